"""The messages of read-out: who has a picture, get it, and what does a holder hold (HANDOVER §3).

Beside each class stands its LAYOUT: (field, codec) in the order of the wire. `query` numbers a read-out of its asker.
"""

from __future__ import annotations

import enum

from firmware.fields import Choice, Flag, Group, Many, Maybe, Ranges
from firmware.message import (
    ATTEMPT,
    COPY_HANDLE,
    HOLDERS,
    HOPS,
    ID,
    PICTURE,
    QUALITY,
    QUERY,
    RANGES,
    SHA256,
    SIZE,
    TAKEN_AT,
    UNIT,
    Message,
)
from firmware.pictures import Picture, PictureId
from hal.interfaces import TimeQuality
from hal.light_dataclass import dataclass

MAX_ROWS = 8
"""Rows of one INVENTORY: a page of at most 500 bytes."""


class GetWhy(enum.IntEnum):
    """Why a unit does not serve a GET."""

    NOT_HERE = 1
    BUSY = 2
    FAILED = 3  # its card failed, or the file there is not what was stored
    NO_WAY = 4  # a unit between knows no way to the holder, or it is silent
    DELETED = 5  # by a person


@dataclass(frozen=True, slots=True)
class Where(Message):
    """Who has this picture? hops: how often it has been passed on. (asker, query) names the question. without: holders
    that have failed the asker: they do not count, and a question that names more of them is asked anew."""

    KIND = 64
    BROADCAST = True
    asker: int
    query: int
    id: PictureId
    hops: int
    without: tuple[int, ...] = ()
    LAYOUT = (("asker", UNIT), ("query", QUERY), ("id", ID), ("hops", HOPS), ("without", HOLDERS))


@dataclass(frozen=True, slots=True)
class At(Message):
    """These have it; handed back to the neighbour that the WHERE came from."""

    KIND = 65
    asker: int
    query: int
    id: PictureId
    holders: tuple[int, ...]
    size_bytes: int
    sha256: bytes
    LAYOUT = (
        ("asker", UNIT),
        ("query", QUERY),
        ("id", ID),
        ("holders", HOLDERS),
        ("size_bytes", SIZE),
        ("sha256", SHA256),
    )


@dataclass(frozen=True, slots=True)
class Unknown(Message):
    """I, who would know, know of no such picture, or of nobody who has it. deleted: because a person deleted it."""

    KIND = 66
    asker: int
    query: int
    id: PictureId
    deleted: bool = False
    LAYOUT = (("asker", UNIT), ("query", QUERY), ("id", ID), ("deleted", Flag()))


@dataclass(frozen=True, slots=True)
class Get(Message):
    """Asks `holder` for a picture or its preview. missing: what is wanted of it, empty = all."""

    KIND = 67
    asker: int
    query: int
    holder: int
    id: PictureId
    preview: bool
    missing: Ranges
    hops: int
    LAYOUT = (
        ("asker", UNIT),
        ("query", QUERY),
        ("holder", UNIT),
        ("id", ID),
        ("preview", Flag()),
        ("missing", RANGES),
        ("hops", HOPS),
    )


@dataclass(frozen=True, slots=True)
class Copy(Message):
    """The parts that GET asked for follow under this handle. Size and digest are those of what is sent.

    asker, query and holder are those of the GET: a unit between passes on several at once.
    """

    KIND = 68
    asker: int
    query: int
    holder: int
    handle: int
    size_bytes: int
    sha256: bytes
    taken_at: float | None
    quality: TimeQuality
    LAYOUT = (
        ("asker", UNIT),
        ("query", QUERY),
        ("holder", UNIT),
        ("handle", COPY_HANDLE),
        ("size_bytes", SIZE),
        ("sha256", SHA256),
        ("taken_at", TAKEN_AT),
        ("quality", QUALITY),
    )


@dataclass(frozen=True, slots=True)
class RefuseGet(Message):
    """The GET of this asker, query and holder is not served (any more)."""

    KIND = 69
    asker: int
    query: int
    holder: int
    id: PictureId
    why: GetWhy
    LAYOUT = (("asker", UNIT), ("query", QUERY), ("holder", UNIT), ("id", ID), ("why", Choice(GetWhy)))


@dataclass(frozen=True, slots=True)
class InventoryAsk(Message):
    """Which pictures of this owner do you hold, with ids above `after`? (R7)"""

    KIND = 80
    owner: int
    after: PictureId | None
    LAYOUT = (("owner", UNIT), ("after", Maybe(ID)))


@dataclass(frozen=True, slots=True)
class InventoryRow:
    """One held picture."""

    picture: Picture
    attempt: int


INVENTORY_ROW = Group("row", InventoryRow, (("picture", PICTURE), ("attempt", ATTEMPT)))


@dataclass(frozen=True, slots=True)
class Inventory(Message):
    """A page of held pictures, ids ascending. last: there are no more."""

    KIND = 81
    owner: int
    rows: tuple[InventoryRow, ...]
    last: bool
    LAYOUT = (("owner", UNIT), ("rows", Many(INVENTORY_ROW, MAX_ROWS)), ("last", Flag()))
