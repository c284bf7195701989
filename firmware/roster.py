"""The roster: which units are in the network in an epoch, with the epoch's secret for each, signed by the admin.

Pure: bytes in and out. docs/protocol.md §12 has the format byte by byte: a roster has exactly one encoding.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import field
from itertools import pairwise

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from firmware.errors import BadRoster
from firmware.pictures import MAX_UNIT
from firmware.raw_keys import raw_bytes
from hal.light_dataclass import dataclass

VERSION = 1
"""Of the format; another one is refused."""
MAX_EPOCH = 0xFFFF
"""What the field holds: one change of the network a day for 179 years."""
MAX_ROWS = 256
"""Units in a network: five times the largest that this is made for, and as many as seal.MAX_PEERS."""
MAX_ACTING = 256
"""Units gone for good that the roster speaks of; as many as there can be others."""
NETWORK_BYTES = 8
KEY_BYTES = 32  # X25519 and Ed25519, private and public, raw (RFC 7748, RFC 8032)
SECRET_BYTES = 32
WRAPPED_BYTES = SECRET_BYTES + 16  # and the tag of Poly1305 (RFC 8439)
SIGNATURE_BYTES = 64  # RFC 8032
WORDS = 6
"""Of 11 bits each: nobody finds a second key with the same 66 bits, and people do compare six words."""

SIGNED = b"dandelion roster 1"  # before what is signed: no signature made for something else fits
_WRAP = b"dandelion network secret"
_WORDS = b"dandelion words"
_NONCE = bytes(12)  # each wrapping key encrypts once
_WORD_BITS = 11
_HEAD = struct.Struct(f">B{NETWORK_BYTES}sH{KEY_BYTES}sH")  # version, network, epoch, ephemeral, number of rows
_ROW = struct.Struct(f">H{KEY_BYTES}s{WRAPPED_BYTES}s")
_COUNT = struct.Struct(">H")  # of acting
_ACTING = struct.Struct(">HH")
MIN_ROSTER_BYTES = _HEAD.size + _COUNT.size + SIGNATURE_BYTES
MAX_ROSTER_BYTES = MIN_ROSTER_BYTES + MAX_ROWS * _ROW.size + MAX_ACTING * _ACTING.size


@dataclass(frozen=True, slots=True)
class Row:
    """A unit of the network. public: its X25519 key. wrapped: the secret of the epoch, for the holder of that key."""

    unit: int
    public: bytes
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts for a unit that is gone for good (HANDOVER R10). by: a unit of the roster, or 0: released."""

    gone: int
    by: int


@dataclass(frozen=True, slots=True)
class Roster:
    """Of one epoch. network: names the admin's key. ephemeral: the X25519 public key of the epoch's wrapping.

    rows ascend by unit, acting by gone. encoded: as it is handed on, with its signature. Made by decode() and
    make_roster() only.
    """

    network: bytes
    epoch: int
    ephemeral: bytes
    rows: tuple[Row, ...]
    acting: tuple[Acting, ...]
    encoded: bytes = field(repr=False)

    @classmethod
    def decode(cls, data: bytes, admin_public: bytes) -> Roster:
        """From bytes of whatever source. BadRoster for all that the owner of this key has not signed as a roster."""
        _require(MIN_ROSTER_BYTES <= len(data) <= MAX_ROSTER_BYTES, f"{len(data)} bytes are no roster")
        _require(data[0] == VERSION, f"the roster has format {data[0]}, which this version does not know")
        body = bytes(data[:-SIGNATURE_BYTES])
        _verify(admin_public, body, bytes(data[-SIGNATURE_BYTES:]))
        _, network, epoch, ephemeral, row_count = _HEAD.unpack_from(body)
        rows_end = _HEAD.size + row_count * _ROW.size
        acting_start = rows_end + _COUNT.size
        _require(row_count <= MAX_ROWS and acting_start <= len(body), "the roster ends within its rows")
        (acting_count,) = _COUNT.unpack_from(body, rows_end)
        whole = acting_count <= MAX_ACTING and acting_start + acting_count * _ACTING.size == len(body)
        _require(whole, "the roster is longer or shorter than it says")
        rows = tuple(Row(*row) for row in _ROW.iter_unpack(body[_HEAD.size : rows_end]))
        acting = tuple(Acting(*row) for row in _ACTING.iter_unpack(body[acting_start:]))
        _require(network == network_of(admin_public), "the roster names another network")
        _require(epoch > 0, "the roster has epoch 0")
        _check_units(rows, acting)
        return cls(network, epoch, ephemeral, rows, acting, bytes(data))

    def find(self, unit: int) -> Row | None:
        """The row of this unit; None where it is not in the network."""
        index = bisect_left(self.rows, unit, key=lambda row: row.unit)
        return self.rows[index] if index < len(self.rows) and self.rows[index].unit == unit else None

    def secret_for(self, unit: int, private: bytes) -> bytes:
        """The network's secret of this epoch, as the unit with this X25519 key finds it. BadRoster if it does not."""
        row = self.find(unit)
        if row is None:
            raise BadRoster(f"unit {unit} is not in the roster of epoch {self.epoch}")
        shared = _shared(private, self.ephemeral)
        key = _wrapping_key(shared, self.network, self.epoch, self.ephemeral, row.unit, row.public)
        try:
            return ChaCha20Poly1305(key).decrypt(_NONCE, row.wrapped, b"")
        except InvalidTag:
            raise BadRoster(f"the key of unit {unit} does not open its row in epoch {self.epoch}") from None


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise BadRoster(what)


def _verify(admin_public: bytes, body: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(admin_public).verify(signature, SIGNED + body)
    except InvalidSignature:
        raise BadRoster("the roster is not signed by the admin of this network, or is damaged") from None


def _check_units(rows: tuple[Row, ...], acting: tuple[Acting, ...]) -> None:
    units, gone = [row.unit for row in rows], [one.gone for one in acting]
    _require(_ascend(units), "the rows of the roster do not ascend by units that can be")
    _require(len({row.public for row in rows}) == len(rows), "two rows of the roster have one key")
    _require(_ascend(gone), "those gone for good do not ascend by units that can be")
    _require(not set(units) & set(gone), "a unit is in the roster and gone for good")
    _require({one.by for one in acting} <= {0, *units}, "a unit acts for another and is not in the roster")


def _ascend(units: list[int]) -> bool:
    """Whether all are numbers of units, each higher than the one before."""
    return all(1 <= unit <= MAX_UNIT for unit in units) and all(low < high for low, high in pairwise(units))


# ---------------------------------------------------------------- keys


def network_of(admin_public: bytes) -> bytes:
    """The id of the network whose admin has this Ed25519 key."""
    return hashlib.blake2b(admin_public, digest_size=32).digest()[:NETWORK_BYTES]


def public_of(private: bytes) -> bytes:
    """The public key of a unit's X25519 key."""
    return raw_bytes(X25519PrivateKey.from_private_bytes(private).public_key())


def admin_public_of(admin_private: bytes) -> bytes:
    """The public key of an admin's Ed25519 key."""
    return raw_bytes(Ed25519PrivateKey.from_private_bytes(admin_private).public_key())


def _shared(private: bytes, public: bytes) -> bytes:
    """X25519, or BadRoster for a public key with which everybody comes to the same result (RFC 7748 §6.1)."""
    key = X25519PrivateKey.from_private_bytes(private)
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise BadRoster("the roster has a key with which nothing can be kept secret") from None


def _wrapping_key(shared: bytes, network: bytes, epoch: int, ephemeral: bytes, unit: int, public: bytes) -> bytes:
    info = _WRAP + network + struct.pack(">HH", epoch, unit)
    return HKDF(algorithm=SHA256(), length=32, salt=ephemeral + public, info=info).derive(shared)


# ---------------------------------------------------------------- the admin's side


def make_roster(
    *,
    admin_private: bytes,
    epoch: int,
    members: Mapping[int, bytes],
    acting: Collection[Acting] = (),
    secret: bytes,
    ephemeral_private: bytes,
) -> Roster:
    """The signed roster of an epoch; the same arguments give the same bytes.

    members: unit -> its X25519 public key. secret: the network's, of this epoch alone. ephemeral_private: an X25519 key
    that is used for nothing else and forgotten. BadRoster for what no unit would take.
    """
    assert 1 <= epoch <= MAX_EPOCH, epoch
    assert len(members) <= MAX_ROWS, len(members)
    assert len(acting) <= MAX_ACTING, len(acting)
    assert len(secret) == SECRET_BYTES, len(secret)
    admin_public = admin_public_of(admin_private)
    network, ephemeral = network_of(admin_public), public_of(ephemeral_private)
    body = bytearray(_HEAD.pack(VERSION, network, epoch, ephemeral, len(members)))
    for unit, public in sorted(members.items()):
        shared = _shared(ephemeral_private, public)
        key = _wrapping_key(shared, network, epoch, ephemeral, unit, public)
        body += _ROW.pack(unit, public, ChaCha20Poly1305(key).encrypt(_NONCE, secret, b""))
    body += _COUNT.pack(len(acting))
    for one in sorted(acting, key=lambda one: one.gone):
        body += _ACTING.pack(one.gone, one.by)
    signature = Ed25519PrivateKey.from_private_bytes(admin_private).sign(SIGNED + bytes(body))
    return Roster.decode(bytes(body) + signature, admin_public)


# ---------------------------------------------------------------- words to compare


def words_of(unit: int, public: bytes) -> str:
    """Six words of a unit's key, for two people to compare: of BIP-39's English list, 66 bits of a digest."""
    digest = hashlib.blake2b(_WORDS + struct.pack(">H", unit) + public, digest_size=32).digest()
    bits = int.from_bytes(digest, "big") >> 8 * len(digest) - WORDS * _WORD_BITS
    shifts = range((WORDS - 1) * _WORD_BITS, -1, -_WORD_BITS)
    return " ".join(_word_list()[bits >> shift & (1 << _WORD_BITS) - 1] for shift in shifts)


@functools.cache
def _word_list() -> list[str]:
    from mnemonic import Mnemonic  # only commands that show words need it, and its list is a file

    return Mnemonic("english").wordlist
