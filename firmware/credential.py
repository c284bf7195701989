"""The credential: the one file that makes a unit a unit of a network. Text that a person can read, of mode 0600.

It has the unit's private key, so no error about it and no repr shows a value of it.
"""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Mapping
from dataclasses import field
from functools import partial
from pathlib import Path

from firmware import private_files, values
from firmware.errors import BadRoster, ConfigError, WrongArgument
from firmware.pictures import MAX_UNIT
from firmware.roster import KEY_BYTES, MAX_ROSTER_BYTES, Roster, public_of
from firmware.values import NotAllowed
from hal.light_dataclass import dataclass

PLACE = "/etc/dandelion/unit.credential"  # where a unit has it (DESIGN §9)
PART_SUFFIX = ".unfinished"  # behind the name of one that is being written; nothing else is called so
MAX_CREDENTIAL_BYTES = 2_000 + (MAX_ROSTER_BYTES + 2) // 3 * 4  # the longest roster in base64, and the rest
_CAN = "copy it anew from where it was made, or enrol the unit anew: `dandelion net revoke`, then `net enrol`"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a unit has of its network. network: its name, for people. private: X25519. admin_public: Ed25519.

    roster: of when the credential was made; the unit has its secret there (checked).
    """

    network: str
    unit: int
    name: str
    private: bytes = field(repr=False)
    admin_public: bytes
    roster: Roster

    def __post_init__(self) -> None:
        row = self.roster.find(self.unit)
        assert row is not None, f"unit {self.unit} is not in its roster"
        assert row.public == public_of(self.private), f"the roster has another key of unit {self.unit}"

    def encode(self) -> bytes:
        """The file."""
        return f"""\
# SECRET: the key of unit {self.unit} ({self.name}) in the network {self.network}. Whoever has this file is that unit.
# It belongs on that unit, as {PLACE}, readable by nobody but the user that runs the unit (mode 0600),
# and nowhere else.
network = "{self.network}"
unit = {self.unit}
name = "{self.name}"
private_key = "{_text(self.private)}"
admin_key = "{_text(self.admin_public)}"
roster = "{_text(self.roster.encoded)}"
""".encode()

    @classmethod
    def decode(cls, data: bytes) -> Credential:
        """From a whole file; ConfigError says what is wrong with it."""
        try:
            found = values.fields(_FIELDS, _parsed(data))
            unit, private, admin_public = found["unit"], found["private_key"], found["admin_key"]
            roster = Roster.decode(found["roster"], admin_public)
            row = roster.find(unit)
            if row is not None and row.public != public_of(private):
                raise BadRoster(f"the private key is not that of unit {unit} in the roster")
            roster.secret_for(unit, private)
        except (NotAllowed, BadRoster) as error:
            raise ConfigError(f"not a credential, or damaged: {error.args[0]}", can=_CAN) from error
        return cls(found["network"], unit, found["name"], private, admin_public, roster)


def read(path: Path) -> Credential:
    """The credential of this file. ConfigError, beginning with the path, for whatever is wrong with it."""
    try:
        data = private_files.read(path, MAX_CREDENTIAL_BYTES)
    except ConfigError as error:
        can = error.can or "`dandelion net enrol` makes it, on the computer that has the network's folder"
        raise ConfigError(error.what, did=error.did, can=can) from error
    try:
        return Credential.decode(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.what}", did=error.did, can=error.can) from error


def require_unit(found: Credential, unit: int, path: Path) -> None:
    """ConfigError where the credential of this path is another unit's."""
    if found.unit != unit:
        what = f"the credential of unit {found.unit} ({found.name}), and unit.id is {unit}"
        can = f"put right unit.id, or copy the credential of unit {unit} there: each unit has its own"
        raise ConfigError(f"{path}: {what}", can=can)


def part_of(path: Path) -> Path:
    """What it is called while it is written. WrongArgument where path has no name, as `/`."""
    if not path.name:
        raise WrongArgument(f"{path} is not a name of a file")
    return path.with_name(path.name + PART_SUFFIX)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _parsed(data: bytes) -> object:
    """None where it is not TOML: an error of the parser's would have the text in it."""
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return None


_FIELDS: Mapping[str, values.Read] = {
    "network": values.network_name,
    "unit": partial(values.whole, 1, MAX_UNIT),
    "name": values.name,
    "private_key": partial(values.base64_bytes, size_bytes=KEY_BYTES),
    "admin_key": partial(values.base64_bytes, size_bytes=KEY_BYTES),
    "roster": values.base64_bytes,
}
