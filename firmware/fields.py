"""Field codecs: how one value of a message is written to and read from the wire. Messages are rows of these.

A codec's put() raises ValueError for a value that its field cannot hold (our own mistake); take() raises DamagedPacket
for bytes that no put() makes. Each value has exactly one encoding, so that a decoded message encodes to the same
bytes again. Numbers are big-endian. `text` is the codec's name in docs/protocol.md; `max_bytes` its longest encoding.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from firmware.errors import DamagedPacket
from firmware.pictures import ID_BYTES, MAX_PICTURE_BYTES, MAX_UNIT, PictureId

Ranges = tuple[tuple[int, int], ...]
"""Half-open byte ranges (start, stop), ascending, not empty, never touching one another."""

T = TypeVar("T")
E = TypeVar("E", bound=enum.IntEnum)


class Reader:
    """Takes a body apart from its beginning to its end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size_bytes: int) -> bytes:
        """The next bytes, all of them; raises DamagedPacket where the body ends earlier."""
        stop = self.at + size_bytes
        if stop > len(self.data):
            raise DamagedPacket(f"the message ends {stop - len(self.data)} bytes early")
        taken = self.data[self.at : stop]
        self.at = stop
        return taken

    def end(self) -> None:
        """Raises DamagedPacket where bytes are left over."""
        if self.at != len(self.data):
            raise DamagedPacket(f"the message has {len(self.data) - self.at} bytes too many")


class Codec(Protocol[T]):
    """One kind of field."""

    @property
    def text(self) -> str:
        """Its name in docs/protocol.md."""

    @property
    def max_bytes(self) -> int:
        """Its longest encoding."""

    def put(self, out: bytearray, value: T) -> None:
        """Append the encoding of value."""

    def take(self, reader: Reader) -> T:
        """Read a value."""


def _hold(holds: bool, value: object) -> None:
    if not holds:
        raise ValueError(f"{value!r} does not fit its field")


def _allow(allowed: bool, what: str) -> None:
    if not allowed:
        raise DamagedPacket(f"the message has {what}")


class Unsigned:
    """A whole number of low..high in a fixed number of bytes."""

    def __init__(self, size_bytes: int, low: int = 0, high: int | None = None) -> None:
        self.max_bytes = size_bytes
        self._low = low
        self._high = (1 << 8 * size_bytes) - 1 if high is None else high
        self.text = f"u{8 * size_bytes}" + ("" if low == 0 and high is None else f" {low}–{self._high}")

    def put(self, out: bytearray, value: int) -> None:
        _hold(self._low <= value <= self._high, value)
        out += value.to_bytes(self.max_bytes, "big")

    def take(self, reader: Reader) -> int:
        value = int.from_bytes(reader.take(self.max_bytes), "big")
        _allow(self._low <= value <= self._high, f"the number {value}, which cannot be")
        return value


class Number:
    """A whole number of low..high in as few bytes as it needs: 7 bits a byte, highest first, top bit = more follow."""

    def __init__(self, high: int, low: int = 0) -> None:
        self._low = low
        self._high = high
        self.max_bytes = -(-high.bit_length() // 7)
        self.text = "varint" + (f" from {low}" if low else "")

    def put(self, out: bytearray, value: int) -> None:
        _hold(self._low <= value <= self._high, value)
        for shift in range((max(value.bit_length(), 1) - 1) // 7 * 7, 0, -7):
            out.append(0x80 | (value >> shift & 0x7F))
        out.append(value & 0x7F)

    def take(self, reader: Reader) -> int:
        value = 0
        for index in range(self.max_bytes):
            byte = reader.take(1)[0]
            _allow(index > 0 or byte != 0x80, "a number with a leading zero")
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                _allow(self._low <= value <= self._high, f"the number {value}, which cannot be")
                return value
        raise DamagedPacket("the message has a number without an end")


class Raw:
    """Exactly so many bytes."""

    def __init__(self, size_bytes: int) -> None:
        self.max_bytes = size_bytes
        self.text = f"{size_bytes} bytes"

    def put(self, out: bytearray, value: bytes) -> None:
        _hold(len(value) == self.max_bytes, value)
        out += value

    def take(self, reader: Reader) -> bytes:
        return reader.take(self.max_bytes)


class Rest:
    """All bytes up to the end of the message, at least one; only as the last field."""

    text = "the rest"

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def put(self, out: bytearray, value: bytes) -> None:
        _hold(1 <= len(value) <= self.max_bytes, value)
        out += value

    def take(self, reader: Reader) -> bytes:
        left = len(reader.data) - reader.at
        _allow(1 <= left <= self.max_bytes, f"{left} bytes of data")
        return reader.take(left)


class Flag:
    """Yes (1) or no (0)."""

    max_bytes = 1
    text = "flag"

    def put(self, out: bytearray, value: bool) -> None:
        out.append(1 if value else 0)

    def take(self, reader: Reader) -> bool:
        byte = reader.take(1)[0]
        _allow(byte <= 1, f"the flag {byte}")
        return byte == 1


class Choice(Generic[E]):
    """One of an enum's members, in one byte."""

    max_bytes = 1

    def __init__(self, members: type[E]) -> None:
        self._members = members
        self.text = members.__name__

    def put(self, out: bytearray, value: E) -> None:
        out.append(self._members(value))

    def take(self, reader: Reader) -> E:
        byte = reader.take(1)[0]
        try:
            return self._members(byte)
        except ValueError:
            raise DamagedPacket(f"the message has an unknown {self.text}, {byte}") from None


class Scaled:
    """A whole number of units of `unit` each, rounded down; more than the field can tell is told as its most."""

    def __init__(self, size_bytes: int, unit: int, name: str) -> None:
        self._unit = unit
        self.max_bytes = size_bytes
        self._most = (1 << 8 * size_bytes) - 1
        self.text = f"u{8 * size_bytes} {name}"

    def put(self, out: bytearray, value: int) -> None:
        _hold(value >= 0, value)
        out += min(value // self._unit, self._most).to_bytes(self.max_bytes, "big")

    def take(self, reader: Reader) -> int:
        return int.from_bytes(reader.take(self.max_bytes), "big") * self._unit


LATEST_UNIX_S = 4_102_444_800
"""2100-01-01: a clock that says more is wrong, and what it says is not passed on."""


class Moment:
    """Unix time in seconds or None, told in 1/per_second; all bits set = None, also for a time that cannot be."""

    def __init__(self, size_bytes: int, per_second: int, name: str) -> None:
        self._per_second = per_second
        self._unknown = (1 << 8 * size_bytes) - 1
        self.max_bytes = size_bytes
        self.text = f"u{8 * size_bytes} {name} or none"

    def put(self, out: bytearray, value: float | None) -> None:
        told = value is not None and 0 <= value <= LATEST_UNIX_S
        ticks = round(value * self._per_second) if value is not None and told else self._unknown
        out += ticks.to_bytes(self.max_bytes, "big")

    def take(self, reader: Reader) -> float | None:
        ticks = int.from_bytes(reader.take(self.max_bytes), "big")
        _allow(ticks in range(LATEST_UNIX_S * self._per_second + 1) or ticks == self._unknown, "a time that cannot be")
        return None if ticks == self._unknown else ticks / self._per_second


class Id:
    """A picture id of a possible unit."""

    max_bytes = ID_BYTES
    text = "picture id"

    def put(self, out: bytearray, value: PictureId) -> None:
        _hold(1 <= value.unit <= MAX_UNIT, value)
        out += value.encode()

    def take(self, reader: Reader) -> PictureId:
        value = PictureId.decode(reader.take(ID_BYTES))
        _allow(1 <= value.unit <= MAX_UNIT, f"a picture id of unit {value.unit}")
        return value


class Letters:
    """A unit's name: its length and its letters. Rules of DESIGN §9."""

    _RULE = re.compile(rb"(?![0-9]+\Z)[a-z0-9-]{1,12}")
    max_bytes = 13
    text = "name"

    def put(self, out: bytearray, value: str) -> None:
        letters = value.encode("ascii")
        _hold(self._RULE.fullmatch(letters) is not None, value)
        out.append(len(letters))
        out += letters

    def take(self, reader: Reader) -> str:
        letters = reader.take(reader.take(1)[0])
        _allow(self._RULE.fullmatch(letters) is not None, "a name that cannot be")
        return letters.decode("ascii")


class Many(Generic[T]):
    """A count byte and up to `most` values of one kind."""

    def __init__(self, codec: Codec[T], most: int) -> None:
        self._codec = codec
        self._most = most
        self.max_bytes = 1 + most * codec.max_bytes
        self.text = f"0–{most} × {codec.text}"

    def put(self, out: bytearray, value: tuple[T, ...]) -> None:
        _hold(len(value) <= self._most, value)
        out.append(len(value))
        for one in value:
            self._codec.put(out, one)

    def take(self, reader: Reader) -> tuple[T, ...]:
        count = reader.take(1)[0]
        _allow(count <= self._most, f"{count} values where {self._most} may be")
        return tuple(self._codec.take(reader) for _ in range(count))


class Maybe(Generic[T]):
    """A flag byte, and a value where it is 1."""

    def __init__(self, codec: Codec[T]) -> None:
        self._codec = codec
        self.max_bytes = 1 + codec.max_bytes
        self.text = f"flag, {codec.text}"

    def put(self, out: bytearray, value: T | None) -> None:
        out.append(0 if value is None else 1)
        if value is not None:
            self._codec.put(out, value)

    def take(self, reader: Reader) -> T | None:
        return self._codec.take(reader) if Flag().take(reader) else None


class RangeList:
    """A count byte, then per range two varints: bytes skipped since the range before, and its length."""

    _LENGTH = Number(MAX_PICTURE_BYTES)
    RANGE_MAX_BYTES = 2 * _LENGTH.max_bytes

    def __init__(self, most: int) -> None:
        self._most = most
        self.max_bytes = 1 + most * self.RANGE_MAX_BYTES
        self.text = f"0–{most} ranges"

    def put(self, out: bytearray, value: Ranges) -> None:
        _hold(len(value) <= self._most, value)
        out.append(len(value))
        before = None
        for start, stop in value:
            _hold((before is None or start > before) and start < stop <= MAX_PICTURE_BYTES, value)
            self._LENGTH.put(out, start - (before or 0))
            self._LENGTH.put(out, stop - start)
            before = stop

    def take(self, reader: Reader) -> Ranges:
        count = reader.take(1)[0]
        _allow(count <= self._most, f"{count} ranges where {self._most} may be")
        ranges: list[tuple[int, int]] = []
        for index in range(count):
            skipped, length = self._LENGTH.take(reader), self._LENGTH.take(reader)
            start = skipped + (ranges[-1][1] if ranges else 0)
            _allow(length > 0 and (index == 0 or skipped > 0), "an empty or touching range")
            _allow(start + length <= MAX_PICTURE_BYTES, "a range beyond any picture")
            ranges.append((start, start + length))
        return tuple(ranges)


Rows = tuple[tuple[str, Codec[Any]], ...]


class Group(Generic[T]):
    """The fields of a value made of several: (attribute, codec) in the order of the wire and of `make`'s arguments."""

    def __init__(self, text: str, make: Callable[..., T], rows: Rows) -> None:
        self.text = text
        self._make = make
        self.rows = rows
        self.max_bytes = sum(codec.max_bytes for _, codec in rows)

    def put(self, out: bytearray, value: T) -> None:
        for name, codec in self.rows:
            codec.put(out, getattr(value, name))

    def take(self, reader: Reader) -> T:
        return self._make(*[codec.take(reader) for _, codec in self.rows])
