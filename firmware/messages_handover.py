"""The messages of the hand-over from an origin O to a host H, and of what becomes of the copy (HANDOVER §2).

Beside each class stands its LAYOUT: (field, codec) in the order of the wire. `attempt` is the origin's number of one
try; 0 = unknown (HANDOVER §1).
"""

from __future__ import annotations

import enum
import struct
from typing import ClassVar, Self

from firmware.errors import DamagedPacket
from firmware.fields import Choice, Flag, Number, Ranges, Raw, Rest
from firmware.message import ATTEMPT, HANDLE, HOST_HANDLE, ID, NONCE, OFFSET, PICTURE, PROOF, RANGES, SECONDS, Message
from firmware.pictures import MAX_PICTURE_BYTES, Picture, PictureId
from hal.light_dataclass import dataclass

MAX_PART_BYTES = 4096
"""Data in one PART (DESIGN §7)."""


class RefuseWhy(enum.IntEnum):
    """Why a host refuses a REQUEST."""

    FULL = 1  # no room; needed_bytes are lacking
    CONFLICT = 2  # the id is stored here with other content (H1)
    STALE = 3  # row_attempt is higher than the attempt asked for (H1)
    BUSY = 4  # all reservations are taken (R3)
    NOT_HOSTING = 5  # a temporary unit, or hosting nothing
    FAILED = 6  # the host's own card failed
    NOT_YOURS = 7  # the asker does not act for this picture
    SHARE = 8  # room there is, but others ask for their share of it (DESIGN §5)
    DELETED = 9  # the host knows that it was deleted; it says the tombstone, too (R6)


@dataclass(frozen=True, slots=True)
class Request(Message):
    """O asks H to store a picture, under an attempt that is durable at O (O1)."""

    KIND = 16
    picture: Picture
    attempt: int
    LAYOUT = (("picture", PICTURE), ("attempt", ATTEMPT))


@dataclass(frozen=True, slots=True)
class Accept(Message):
    """H has reserved room for ttl_s (refreshed by every part), or holds it already: nothing missing (H1).

    Where all bytes are there and not yet stored, the last one is missing: an origin without bytes takes "nothing
    missing" for a copy (R4). Of more than MAX_RANGES missing ranges the first ones; REPORT tells the others.
    """

    KIND = 17
    id: PictureId
    attempt: int
    handle: int
    ttl_s: int
    missing: Ranges
    LAYOUT = (
        ("id", ID),
        ("attempt", ATTEMPT),
        ("handle", HOST_HANDLE),
        ("ttl_s", SECONDS),
        ("missing", RANGES),
    )


@dataclass(frozen=True, slots=True)
class Refuse(Message):
    """H does not take it. needed_bytes: what it lacks (FULL); row_attempt: what it has (STALE); else 0."""

    KIND = 18
    id: PictureId
    attempt: int
    why: RefuseWhy
    retry_after_s: int
    needed_bytes: int
    row_attempt: int
    LAYOUT = (
        ("id", ID),
        ("attempt", ATTEMPT),
        ("why", Choice(RefuseWhy)),
        ("retry_after_s", SECONDS),
        ("needed_bytes", Number(2**32 - 1)),
        ("row_attempt", ATTEMPT),
    )


_PART = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Part(Message):
    """A piece of a picture. Thousands a second: coded by hand, to the same bytes as its LAYOUT."""

    KIND = 19
    handle: int
    offset: int
    data: bytes
    LAYOUT = (("handle", HANDLE), ("offset", OFFSET), ("data", Rest(MAX_PART_BYTES)))
    FIXED_BYTES: ClassVar[int] = _PART.size  # all but the data

    def encode(self) -> bytes:
        size = len(self.data)
        if not (1 <= size <= MAX_PART_BYTES and 0 <= self.offset <= MAX_PICTURE_BYTES - size):
            raise ValueError(f"a part of {size} bytes at {self.offset} cannot be")
        return _PART.pack(self.handle, self.offset) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self:
        size = len(body) - _PART.size
        if not 1 <= size <= MAX_PART_BYTES:
            raise DamagedPacket(f"a part has {size} bytes of data")
        handle, offset = _PART.unpack_from(body)
        if offset + size > MAX_PICTURE_BYTES:
            raise DamagedPacket(f"a part reaches byte {offset + size}, beyond any picture")
        return cls(handle, offset, body[_PART.size :])


@dataclass(frozen=True, slots=True)
class End(Message):
    """All parts have been sent once: report what is missing, or store it and prove it with this nonce (O3)."""

    KIND = 20
    handle: int
    nonce: bytes
    LAYOUT = (("handle", HANDLE), ("nonce", NONCE))


@dataclass(frozen=True, slots=True)
class Report(Message):
    """What has arrived of the bytes before `below`: exactly `have`. Of what lies behind it says nothing."""

    KIND = 21
    handle: int
    have: Ranges
    below: int
    LAYOUT = (("handle", HANDLE), ("have", RANGES), ("below", OFFSET))


@dataclass(frozen=True, slots=True)
class Expired(Message):
    """Nobody expects anything under this handle (any more): O asks again (O3), who serves a read-out stops.

    At most once a second.
    """

    KIND = 22
    handle: int
    LAYOUT = (("handle", HANDLE),)


@dataclass(frozen=True, slots=True)
class Stored(Message):
    """H has file and row on its card. proof: BLAKE2b-128 keyed with END's nonce over the bytes read back (H6)."""

    KIND = 23
    id: PictureId
    attempt: int
    proof: bytes
    LAYOUT = (("id", ID), ("attempt", ATTEMPT), ("proof", PROOF))


@dataclass(frozen=True, slots=True)
class Hold(Message):
    """H to O: still wanted? (R4). It, KEEP and DROP act on the content of these four digest bytes only."""

    KIND = 32
    id: PictureId
    attempt: int
    digest4: bytes
    LAYOUT = (("id", ID), ("attempt", ATTEMPT), ("digest4", Raw(4)))


@dataclass(frozen=True, slots=True)
class Keep(Message):
    """O to H: the copy of this attempt is in my list."""

    KIND = 33
    id: PictureId
    attempt: int
    digest4: bytes
    LAYOUT = Hold.LAYOUT


@dataclass(frozen=True, slots=True)
class Drop(Message):
    """O to H: copies of this attempt and of those before are not wanted (O7, H7); answered by LOST each time."""

    KIND = 34
    id: PictureId
    attempt: int
    digest4: bytes
    LAYOUT = Hold.LAYOUT


@dataclass(frozen=True, slots=True)
class Lost(Message):
    """H to O: there is no copy here of this attempt. dropped: the answer to a DROP."""

    KIND = 35
    id: PictureId
    attempt: int
    dropped: bool
    LAYOUT = (("id", ID), ("attempt", ATTEMPT), ("dropped", Flag()))


@dataclass(frozen=True, slots=True)
class Relieve(Message):
    """H to O: please take this copy elsewhere, my own pictures find no room. O may, and nothing changes until DROP."""

    KIND = 38
    id: PictureId
    attempt: int
    LAYOUT = (("id", ID), ("attempt", ATTEMPT))


@dataclass(frozen=True, slots=True)
class Prove(Message):
    """O to H: read the copy back and prove it (R9); LOST answers where there is no row."""

    KIND = 36
    id: PictureId
    attempt: int
    nonce: bytes
    LAYOUT = (("id", ID), ("attempt", ATTEMPT), ("nonce", NONCE))


@dataclass(frozen=True, slots=True)
class Proof(Message):
    """H to O: the proof that PROVE asked for. whole: the bytes read back have the digest that was stored."""

    KIND = 37
    id: PictureId
    attempt: int
    nonce: bytes
    proof: bytes
    whole: bool
    LAYOUT = (
        ("id", ID),
        ("attempt", ATTEMPT),
        ("nonce", NONCE),
        ("proof", PROOF),
        ("whole", Flag()),
    )
