"""The folder of a network's admin: its two files, read with care, and one command at a time.

    DIR/admin.key       Ed25519, PKCS #8 in PEM: whoever has it decides who is in the network
    DIR/network.json    names, members with their public keys, the newest roster; no secret but wrapped ones

Both are of mode 0600, the folder is of 0700, and each file is replaced whole.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from firmware import private_files, values
from firmware.errors import BadRoster, ConfigError, Refused, WrongArgument
from firmware.pictures import MAX_UNIT
from firmware.roster import KEY_BYTES, MAX_EPOCH, MAX_ROWS, Roster, admin_public_of
from firmware.values import NotAllowed
from hal.light_dataclass import dataclass

ADMIN_KEY = "admin.key"
NETWORK = "network.json"
FORMAT = 1
"""Of network.json."""
MAX_KEY_FILE_BYTES = 4_000  # an Ed25519 key in PEM has 119
MAX_REVOKED = 1_024
"""Members remembered after they were revoked; beyond it those revoked longest ago are forgotten. Guess: for people."""
MAX_NETWORK_BYTES = 1_000_000  # 200 per member, and the roster: 300 kB at most
_RESTORE = (
    "restore the folder from a copy, but of no earlier state than the last change: else epochs are made that units have"
)
_AS_WRITTEN = "what was written there"


@dataclass(frozen=True, slots=True)
class Member:
    """A unit that is in the network, or was: since_epoch to until_epoch, the last one with it; None: it is in."""

    unit: int
    name: str
    public: bytes
    since_epoch: int
    until_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """What network.json says. members ascend by unit, then by since_epoch; those that are in are the roster's rows."""

    name: str
    members: tuple[Member, ...]
    roster: Roster

    @property
    def present(self) -> list[Member]:
        """Those that are in."""
        return [one for one in self.members if one.until_epoch is None]

    def find(self, unit: int) -> Member | None:
        """The member that is in under this number."""
        return next((one for one in self.present if one.unit == unit), None)


def load(folder: Path) -> tuple[bytes, Network]:
    """The admin's private key, and the network.

    WrongArgument where the folder is none of a network, ConfigError where something is wrong with it.
    """
    key_path, path = folder / ADMIN_KEY, folder / NETWORK
    try:
        status = folder.stat()
        names = os.listdir(folder)
    except OSError as error:
        raise _no_network(folder, error.strerror) from error
    has_key = ADMIN_KEY in names
    if NETWORK not in names:
        raise _no_network(folder, f"there is no {NETWORK} in it", has_key=has_key)
    private_files.require_private(folder, status)
    if not has_key:
        raise ConfigError(f"{key_path} is not there", did="nothing was changed", can=_RESTORE)
    admin_private = _raw(private_files.read(key_path, MAX_KEY_FILE_BYTES))
    if admin_private is None:
        raise ConfigError(f"{key_path} is not a private Ed25519 key", can=_RESTORE)
    data = private_files.read(path, MAX_NETWORK_BYTES)
    try:
        return admin_private, _decode(data, admin_public_of(admin_private))
    except (NotAllowed, BadRoster) as error:
        raise ConfigError(f"{path} is damaged: {error.args[0]}", can=_RESTORE) from error


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only command that changes something there; Refused while another one is."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _no_network(folder, error.strerror) from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    with private_files.in_words(folder):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            can = "let it end, then give this one again"
            raise Refused(f"another command is at work in {folder}", did="nothing was changed", can=can) from None


def _no_network(folder: Path, why: str | None, *, has_key: bool = False) -> WrongArgument:
    """has_key: of a network that has lost the rest, or of one whose making was cut."""
    makes = "`dandelion net create DIR` makes one"
    can = f"if it was one, restore it from the newest copy; else remove it: {makes}" if has_key else makes
    return WrongArgument(f"{folder} is not the folder of a network: {why}", can=can)


# ---------------------------------------------------------------- admin.key


def encode_key(admin_private: bytes) -> bytes:
    """The file."""
    key = Ed25519PrivateKey.from_private_bytes(admin_private)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _raw(pem: bytes) -> bytes | None:
    """The key in the file; None where it is no such file: an error of the library's is not passed on."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a password
        return None
    if not isinstance(key, Ed25519PrivateKey):
        return None
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


# ---------------------------------------------------------------- network.json


def encode(network: Network) -> bytes:
    """The file."""
    fields = {
        "format": FORMAT,
        "name": network.name,
        "network": network.roster.network.hex(),
        "epoch": network.roster.epoch,
        "units": [{**asdict(one), "public": _text(one.public)} for one in network.members],
        "roster": _text(network.roster.encoded),
    }
    return f"{json.dumps(fields, indent=1)}\n".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(data: bytes, admin_public: bytes) -> Network:
    """Raises NotAllowed, or BadRoster, for what encode() has not made under this key."""
    found = values.fields(_FIELDS, _parsed(data))
    network = Network(found["name"], found["units"], Roster.decode(found["roster"], admin_public))
    roster, present = network.roster, network.present
    told = (found["network"], found["epoch"], [(one.unit, one.public) for one in present])
    signed = (roster.network.hex(), roster.epoch, [(row.unit, row.public) for row in roster.rows])
    if told != signed or len({one.name for one in present}) < len(present):
        raise NotAllowed("not what its roster says", allowed=_AS_WRITTEN)
    return network


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _members(value: object) -> tuple[Member, ...]:
    if not isinstance(value, list) or len(value) > MAX_ROWS + MAX_REVOKED:
        raise NotAllowed("no list, or one too long", allowed=_AS_WRITTEN)
    return tuple(Member(**values.fields(_MEMBER_FIELDS, one)) for one in value)


_EPOCH = partial(values.whole, 1, MAX_EPOCH)
_MEMBER_FIELDS: Mapping[str, values.Read] = {
    "unit": partial(values.whole, 1, MAX_UNIT),
    "name": values.name,
    "public": partial(values.base64_bytes, size_bytes=KEY_BYTES),
    "since_epoch": _EPOCH,
    "until_epoch": lambda value: None if value is None else _EPOCH(value),
}
_FIELDS: Mapping[str, values.Read] = {
    "format": partial(values.whole, FORMAT, FORMAT),
    "name": values.network_name,
    "network": values.text,
    "epoch": _EPOCH,
    "units": _members,
    "roster": values.base64_bytes,
}
