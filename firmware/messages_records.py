"""The messages of records: what an origin's list says of its pictures, kept by other units too (HANDOVER R6, R7).

Beside each class stands its LAYOUT: (field, codec) in the order of the wire. `page` numbers a RECORDS of its sender, or
the RECORDS_ASK that it answers; 0: nobody waits for anything.
"""

from __future__ import annotations

from firmware.fields import Flag, Group, Many, Maybe, Raw, Unsigned
from firmware.message import ID, PICTURE, SHA256, SIZE, UNIT, VERSION, Message
from firmware.pictures import Picture, PictureId
from hal.light_dataclass import dataclass

MAX_RECORDS = 8
"""Tombstones and records together in one RECORDS: a page of 470 bytes with two holders each; guess, as INVENTORY's."""
MAX_NAMED = 8
"""Holders that one record names: with more it would not pass an MTU of 40 bytes; more copies than anybody asks for."""
TAG_BYTES = 16
NO_TAG = bytes(TAG_BYTES)
PAGE = Unsigned(2)
NAMED = Many(UNIT, MAX_NAMED)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """This content was deleted by a person; it wins over every version. owed: holders that had not dropped it yet.
    tag: made by the origin, who alone can, and given back to it by who keeps this; all zeros without credentials.

    The size is there because a copy whose attempt nobody knows is asked for by length and digest before it is dropped.
    """

    id: PictureId
    size_bytes: int
    sha256: bytes
    owed: tuple[int, ...]
    tag: bytes = NO_TAG


@dataclass(frozen=True, slots=True)
class Record:
    """What the origin's list says of a picture: of `holders`, the proved ones first, the last `suspect` are suspect."""

    picture: Picture
    version: int
    holders: tuple[int, ...]
    suspect: int


TOMBSTONE = Group(
    "tombstone",
    Tombstone,
    (("id", ID), ("size_bytes", SIZE), ("sha256", SHA256), ("owed", NAMED), ("tag", Raw(TAG_BYTES))),
)
RECORD = Group(
    "record",
    Record,
    (("picture", PICTURE), ("version", VERSION), ("holders", NAMED), ("suspect", Unsigned(1, 0, MAX_NAMED))),
)


@dataclass(frozen=True, slots=True)
class Records(Message):
    """Please keep these; or, of the hearer's own pictures, what is kept of them. last: the asker has got them all."""

    KIND = 50
    page: int
    tombstones: tuple[Tombstone, ...]
    records: tuple[Record, ...]
    last: bool
    LAYOUT = (
        ("page", PAGE),
        ("tombstones", Many(TOMBSTONE, MAX_RECORDS)),
        ("records", Many(RECORD, MAX_RECORDS)),
        ("last", Flag()),
    )


@dataclass(frozen=True, slots=True)
class RecordsKept(Message):
    """The page was taken in. kept: bit n for its n-th row, tombstones first; card: the keeper's card number."""

    KIND = 51
    page: int
    kept: int
    card: int
    LAYOUT = (("page", PAGE), ("kept", Unsigned(2)), ("card", Unsigned(2)))


@dataclass(frozen=True, slots=True)
class RecordsAsk(Message):
    """Which records do you keep of this owner, with ids above `after`? (R7)"""

    KIND = 52
    page: int
    owner: int
    after: PictureId | None
    LAYOUT = (("page", PAGE), ("owner", UNIT), ("after", Maybe(ID)))


def records_that_fit(room_bytes: int) -> int:
    """How many rows a RECORDS may have, whatever stands in them, so that it takes at most room_bytes."""
    without_bytes = len(Records(page=0, tombstones=(), records=(), last=True).encode())
    return min(MAX_RECORDS, (room_bytes - without_bytes) // RECORD.max_bytes)
