"""The Exif block of the pictures that our own cameras make: written whole, without a library (Exif 2.32, TIFF 6.0).

Imported on both sides of the camera's line. A picture's id is given to it only when it has its place on the card, after
its bytes were made: the block keeps room for it, into which `with_id` puts it without moving anything.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction

from hal.interfaces import Occasion, TimeQuality
from hal.light_dataclass import dataclass

SOFTWARE = "Dandelion"
ID_MAX_CHARS = 21  # "00001-3fa7-" and the ten digits of the last sequence number there is
_SOI = b"\xff\xd8"
_APP0, _APP1 = b"\xff\xe0", b"\xff\xe1"
_SEGMENT_MAX_BYTES = 65_535  # its length counts itself (ITU T.81 B.2.4.6)
_HEAD = b"Exif\x00\x00"
_FIRST_IFD_AT = 8  # behind byte order, 42 and this offset; offsets count from the byte order on
_ENTRY = struct.Struct(">HHI4s")  # tag, type, count, value or offset of the value
_BYTES_INSIDE = 4  # values of so many bytes stand in the entry itself
_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 2, 3, 4, 5, 7
_UNIT_BYTES = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _UNDEFINED: 1}
# Where the id is: its entry, that of BodySerialNumber, the end of the directory, then its text, the first value behind.
_ID_TAG, _SERIAL_TAG = 0xA420, 0xA431
_ID_TEXT_AT = 2 * _ENTRY.size + 4
_ID_TEXT_BYTES = ID_MAX_CHARS + 1  # and the NUL that ends it
ID_FIELD_BYTES = _ID_TEXT_AT + _ID_TEXT_BYTES
_UNCOMPRESSED_YCBCR = b"\x01\x02\x03\x00"  # ComponentsConfiguration: Y Cb Cr
_NOT_TEXT = re.compile(r"[^ -~]")
_LONGEST_TEXT = 64  # of a name that a driver tells
_LONGEST_S = 4000.0  # of an exposure; in millionths of a second it fits into 32 bits
_FARTHEST_M = 1000.0  # beyond it all is infinity
_INFINITELY_FAR = 0xFFFF_FFFF  # Exif 4.6.6


@dataclass(frozen=True, slots=True)
class Details:
    """What the camera tells of a picture; None where it does not. focus: in dioptres (1/m), 0: infinity."""

    make: str
    model: str
    width: int
    height: int
    exposure_s: float | None = None
    iso: float | None = None
    focus: float | None = None


def with_exif(jpeg: bytes, details: Details, occasion: Occasion) -> tuple[bytes, int]:
    """The JPEG with our block in place of its JFIF head, and where the field of its id begins (`with_id`)."""
    assert jpeg.startswith(_SOI), jpeg[:2]
    block, id_at = _block(details, occasion)
    length = len(_HEAD) + len(block) + 2
    assert length <= _SEGMENT_MAX_BYTES
    head = _SOI + _APP1 + length.to_bytes(2) + _HEAD
    rest = len(_SOI)
    if jpeg[rest : rest + 2] == _APP0:  # Exif 4.5.4: its own block comes first, and no JFIF one with it
        rest += 2 + int.from_bytes(jpeg[rest + 2 : rest + 4])
    return b"".join((head, block, jpeg[rest:])), len(head) + id_at


def with_id(field: bytes, picture: str) -> bytes:
    """The field of the id, ID_FIELD_BYTES long, with this id in it. ValueError where it is no such field."""
    text = picture.encode("ascii")
    if len(field) != ID_FIELD_BYTES or not 0 < len(text) <= ID_MAX_CHARS:
        raise ValueError(f"no room for the id {picture!r}")
    tag, kind, _count, offset = _ENTRY.unpack_from(field)
    if (tag, kind) != (_ID_TAG, _ASCII):
        raise ValueError("no field of a picture's id")
    entry = _ENTRY.pack(tag, kind, len(text) + 1, offset)
    return entry + field[len(entry) : _ID_TEXT_AT] + text.ljust(_ID_TEXT_BYTES, b"\x00")


Value = tuple[int, int, bytes]  # tag, type, bytes


def _block(details: Details, occasion: Occasion) -> tuple[bytes, int]:
    """From the byte order on, and where the entry of the id begins in it."""
    make, model = _text(0x010F, details.make), _text(0x0110, details.model)
    upright, software = _shorts(0x0112, 1), _text(0x0131, SOFTWARE)
    named = [make, model, upright, software]
    pointed_at = _FIRST_IFD_AT + _directory_bytes([*named, _longs(0x8769, 0)])
    first = _directory([*named, _longs(0x8769, pointed_at)], _FIRST_IFD_AT)
    values = [*_exposure(details), *_moment(occasion), *_form(details), (_ID_TAG, _ASCII, bytes(_ID_TEXT_BYTES))]
    values.append(_text(_SERIAL_TAG, str(occasion.unit)))
    second = _directory(sorted(values), pointed_at)
    id_at = pointed_at + 2 + (len(values) - 2) * _ENTRY.size
    return b"MM\x00\x2a" + _FIRST_IFD_AT.to_bytes(4) + first + second, id_at


def _exposure(details: Details) -> Iterable[Value]:
    if details.exposure_s is not None and 0 < details.exposure_s < _LONGEST_S:
        yield _rational(0x829A, Fraction(details.exposure_s).limit_denominator(1_000_000))
    if details.iso is not None and details.iso > 0:
        yield _shorts(0x8827, min(65_535, round(details.iso)))
    if details.focus is not None and 0 <= details.focus < math.inf:  # SubjectDistance in metres; all ones: infinity
        far = details.focus * _FARTHEST_M < 1
        distance = Fraction(_INFINITELY_FAR) if far else Fraction(1 / details.focus).limit_denominator(1000)
        yield _rational(0x9206, distance)


def _moment(occasion: Occasion) -> Iterable[Value]:
    """When, in UTC, and how far to trust it. Where the clock is unset nothing is claimed."""
    quality = occasion.quality if occasion.unix_s is not None else TimeQuality.UNSET
    yield 0x9286, _UNDEFINED, b"ASCII\x00\x00\x00" + f"time quality: {quality.name.lower()}".encode()
    if occasion.unix_s is None or quality is TimeQuality.UNSET:
        return
    taken = datetime.fromtimestamp(occasion.unix_s, UTC)
    for tag in (0x9003, 0x9004):  # DateTimeOriginal, DateTimeDigitized
        yield _text(tag, taken.strftime("%Y:%m:%d %H:%M:%S"))
    for tag in (0x9011, 0x9012):
        yield _text(tag, "+00:00")
    for tag in (0x9291, 0x9292):
        yield _text(tag, f"{taken.microsecond // 1000:03d}")


def _form(details: Details) -> Iterable[Value]:
    yield 0x9000, _UNDEFINED, b"0232"  # of Exif
    yield 0x9101, _UNDEFINED, _UNCOMPRESSED_YCBCR
    yield 0xA000, _UNDEFINED, b"0100"  # of Flashpix, as Exif wants it
    yield _shorts(0xA001, 1)  # sRGB
    yield _longs(0xA002, details.width)
    yield _longs(0xA003, details.height)


def _text(tag: int, text: str) -> Value:
    return tag, _ASCII, _NOT_TEXT.sub("?", text[:_LONGEST_TEXT]).encode() + b"\x00"


def _shorts(tag: int, value: int) -> Value:
    return tag, _SHORT, struct.pack(">H", value)


def _longs(tag: int, value: int) -> Value:
    return tag, _LONG, struct.pack(">I", value)


def _rational(tag: int, value: Fraction) -> Value:
    return tag, _RATIONAL, struct.pack(">2I", value.numerator, value.denominator)


def _directory_bytes(values: list[Value]) -> int:
    return len(_directory(values, 0))


def _directory(values: list[Value], at: int) -> bytes:
    """An IFD that begins at this offset, its values behind it; the id's first, so that `with_id` finds its text."""
    values_at = at + 2 + len(values) * _ENTRY.size + 4
    behind: dict[int, int] = {}
    body = b""
    for tag, _kind, data in sorted(values, key=lambda value: (value[0] != _ID_TAG, value[0])):
        if len(data) > _BYTES_INSIDE:
            behind[tag] = values_at + len(body)
            body += data + bytes(len(data) % 2)  # offsets are even (TIFF 6.0, section 2)
    entries = b""
    for tag, kind, data in values:
        place = behind[tag].to_bytes(4) if tag in behind else data.ljust(_BYTES_INSIDE, b"\x00")
        entries += _ENTRY.pack(tag, kind, len(data) // _UNIT_BYTES[kind], place)
    return len(values).to_bytes(2) + entries + bytes(4) + body
