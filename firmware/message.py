"""What every message is, and the kinds of fields that several messages share."""

from __future__ import annotations

from typing import ClassVar, Self

from firmware.fields import (
    Choice,
    Flag,
    Group,
    Id,
    Many,
    Moment,
    Number,
    RangeList,
    Raw,
    Reader,
    Rows,
    Scaled,
    Unsigned,
)
from firmware.pictures import MAX_PICTURE_BYTES, MAX_UNIT, Picture
from hal.interfaces import TimeQuality

MAX_RANGES = 32
"""Ranges in one ACCEPT, REPORT or GET, at most 257 bytes. Guess: more holes than a burst leaves at 1 % loss."""
MAX_HOLDERS = 16
"""Holders named in one AT: more copies of one picture than any policy asks for."""
MAX_HOPS = 4
"""How often a WHERE or GET is passed on at most (HANDOVER §3): five units in a row beside the asker."""
FIRST_COPY_HANDLE = 128
"""Handles from here on are given by COPY, those below by ACCEPT."""

ID = Id()
UNIT = Unsigned(2, 1, MAX_UNIT)
SIZE = Number(MAX_PICTURE_BYTES, 1)
ATTEMPT = Number(2**64 - 1)
VERSION = Number(2**64 - 1)
SHA256 = Raw(32)
NONCE = PROOF = Raw(16)  # BLAKE2b-128 keyed with a nonce of END or PROVE (HANDOVER H6)
TAKEN_AT = Moment(6, 1000, "ms")
QUALITY = Choice(TimeQuality)
RANGES = RangeList(MAX_RANGES)
HOLDERS = Many(UNIT, MAX_HOLDERS)
HANDLE = Unsigned(1)
HOST_HANDLE = Unsigned(1, 0, FIRST_COPY_HANDLE - 1)
COPY_HANDLE = Unsigned(1, FIRST_COPY_HANDLE, 255)
OFFSET = Unsigned(4, 0, MAX_PICTURE_BYTES)
SECONDS = Scaled(2, 1, "s")
QUERY = Unsigned(2)
HOPS = Unsigned(1, 0, MAX_HOPS)
PICTURE = Group(
    "picture",
    Picture,
    (
        ("id", ID),
        ("size_bytes", SIZE),
        ("sha256", SHA256),
        ("priority", Flag()),
        ("taken_at", TAKEN_AT),
        ("taken_quality", QUALITY),
    ),
)


class Message:
    """What every message is: immutable, of one KIND, written and read by itself.

    BROADCAST: may be said to everyone. CLEAR_BYTES: so much of its beginning stands in the clear, and it is sealed with
    the network's key, as what is said to everyone is. All others are obeyed from a session of two units only
    (HANDOVER §3, §5), but for those that are not SEALED: anybody may read and say them, and they prove themselves.
    """

    __slots__ = ()
    KIND: ClassVar[int]
    LAYOUT: ClassVar[Rows]
    BROADCAST: ClassVar[bool] = False
    CLEAR_BYTES: ClassVar[int] = 0
    SEALED: ClassVar[bool] = True

    @classmethod
    def is_between_two(cls) -> bool:
        """Whether it is said in a session, where it is for one unit: nobody but that one's peer can have made it."""
        return cls.SEALED and not cls.CLEAR_BYTES

    def encode(self) -> bytes:
        """The body; raises ValueError for a value that its field cannot hold."""
        out = bytearray()
        for name, codec in self.LAYOUT:
            codec.put(out, getattr(self, name))
        return bytes(out)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """From a whole body; raises DamagedPacket for anything that encode() does not make."""
        reader = Reader(body)
        values = [codec.take(reader) for _, codec in cls.LAYOUT]
        reader.end()
        return cls(*values)
