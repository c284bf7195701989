"""What has come of one picture, from whichever units: its ranges, and its bytes in order to a sink."""

from __future__ import annotations

import hashlib

from firmware.messages import Part
from firmware.pictures import Picture
from firmware.ranges import RangeSet
from firmware.sinks import Taker
from firmware.transfer import Receiver


class Incoming:
    """Takes parts in any order. elsewhere: what the sink has or gets without us, and is never given.

    picture: what it should be, as told; size_bytes: of what comes (a picture, or its preview). units: those whose bytes
    are in it.
    """

    def __init__(self, picture: Picture, size_bytes: int, elsewhere: RangeSet) -> None:
        self.picture = picture
        self.size_bytes = size_bytes
        self.receiver = Receiver(size_bytes, elsewhere)
        self.units: set[int] = set()
        self.air_bytes = 0  # of the packets that carried it
        self._checkable = not elsewhere.size_bytes
        self._elsewhere = elsewhere.copy()
        self._sha256 = hashlib.sha256()
        self._ahead: dict[int, bytes] = {}  # parts above the position, by offset; they never overlap
        self.position = self._past(0)  # of the next byte for the sink

    @property
    def complete(self) -> bool:
        """Every byte is here, or elsewhere."""
        return self.receiver.complete

    @property
    def is_right(self) -> bool | None:
        """Once complete: whether the digest is right; None where not all bytes came by here."""
        return self._sha256.digest() == self.picture.sha256 if self._checkable else None

    def on_part(self, unit: int, part: Part, sink: Taker, now: float, answer_at: float | None) -> bool:
        """Whether anything of it is new; what is in order goes to the sink. Raises DamagedPacket."""
        new = self.receiver.on_part(part.offset, part.data, now, answer_at)
        if new:
            self.units.add(unit)
        self._ahead.update(new)
        while (in_order := self._ahead.pop(self.position, None)) is not None:
            self._sha256.update(in_order)
            sink.write(self.position, in_order)
            self.position = self._past(self.position + len(in_order))
        return bool(new)

    def missing(self) -> RangeSet:
        """What is neither here nor elsewhere."""
        return self.receiver.have.missing(self.size_bytes)

    def _past(self, position: int) -> int:
        """The first position from here on that is not elsewhere."""
        left = self._elsewhere.gaps(position, self.size_bytes)
        return next(iter(left), (self.size_bytes, self.size_bytes))[0]
