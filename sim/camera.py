"""A camera made of memory and chance: real, tiny JPEGs of any length, and faults at the shots they are ordered for.

The id of a picture is written into its first comment, where that is long enough. Not simulated: an Exif block, time
(a hang is told at once, nothing waits for timeout_s), what is on a picture (a grey square; its
length and its bytes are what counts), previews of realistic length, and memory that runs out.
"""

from __future__ import annotations

import hashlib
import random

from hal.errors import CameraError, CameraHung
from hal.exif import ID_MAX_CHARS
from hal.interfaces import Occasion
from hal.light_dataclass import dataclass

# A whole JPEG: 16x16 pixels of grey. Comments between its first 20 bytes (SOI, APP0) and the rest make it longer.
GREY_JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300281c1e231e19282321232d2b28303c64413c37373c7b58"
    "5d4964918099968f808c8aa0b4e6c3a0aadaad8a8cc8ffcbdaeef5ffffff9bc1fffffffaffe6fdfff8ffc0000b080010"
    "001001011100ffc40014000100000000000000000000000000000000ffc4001410010000000000000000000000000000"
    "0000ffda0008010100003f0000ffd9"
)
_COMMENTS_AT = 20
COMMENT_HEAD_BYTES = 4  # marker FF FE and the length, which counts itself (ITU T.81 B.2.4.5)
COMMENT_MAX_BYTES = 65_537  # marker and the longest segment
LEAST_BYTES = len(GREY_JPEG) + COMMENT_HEAD_BYTES
ID_AT = _COMMENTS_AT + COMMENT_HEAD_BYTES


@dataclass(frozen=True, slots=True)
class CameraFaults:
    """At which captures, counted from 1 since the camera was made, something goes wrong."""

    hang: frozenset[int] = frozenset()
    fail: frozenset[int] = frozenset()


class MemoryShot:
    """A picture held as bytes. Implements hal.interfaces.Shot. id_at: where an id goes, None: nowhere. of: whose memory
    it shares."""

    def __init__(self, data: bytes, preview: bytes, id_at: int | None = None, of: MemoryShot | None = None) -> None:
        self._id_at, self._of = id_at, of
        self.size_bytes = len(data)
        self.sha256 = hashlib.sha256(data).digest()
        self.preview = preview
        self._data: bytes | None = data

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Exactly these bytes, less only at the end; ValueError once closed."""
        if self._data is None or (self._of is not None and self._of._data is None):
            raise ValueError("the shot is closed")
        return self._data[offset : offset + size_bytes]

    def named(self, picture: str) -> MemoryShot:
        """With this id in its first comment."""
        if self._id_at is None:
            return self
        data, at = self.read(0, self.size_bytes), self._id_at
        return MemoryShot(data[:at] + picture.encode() + data[at + len(picture) :], self.preview, at, self)

    def close(self) -> None:
        """Forget the bytes; safe to call twice."""
        self._data = None


class SimCamera:
    """Implements hal.interfaces.Camera. Pictures are of size_bytes (least, most), at least LEAST_BYTES long.

    captures counts the calls so far; faults may be replaced, previews left out at any time.
    """

    def __init__(
        self, chance: random.Random, *, size_bytes: tuple[int, int], faults: CameraFaults | None = None
    ) -> None:
        assert LEAST_BYTES <= size_bytes[0] <= size_bytes[1], size_bytes
        self._chance = chance
        self._size_bytes = size_bytes
        self.faults = faults or CameraFaults()
        self._closed = False
        self.captures = 0
        self.note = ""
        self.has_previews = True

    def open(self) -> None:
        """Nothing to wait for."""
        self._closed = False

    def capture(self, timeout_s: float, occasion: Occasion) -> MemoryShot:  # noqa: ARG002 - no Exif block
        """Take one picture. Raises CameraError and CameraHung where the faults say so."""
        if self._closed:
            raise CameraError("the camera was closed", did="no picture was taken")
        self.captures += 1
        if self.captures in self.faults.hang:
            raise CameraHung(f"the camera did not answer within {timeout_s:.1f} s", did="no picture was taken")
        if self.captures in self.faults.fail:
            raise CameraError("the camera failed as it was ordered to", did="no picture was taken")
        preview = GREY_JPEG if self.has_previews else b""
        data = grey_jpeg(self._chance, self._chance.randint(*self._size_bytes))
        return MemoryShot(data, preview, ID_AT if len(data) >= LEAST_BYTES + ID_MAX_CHARS else None)

    def close(self) -> None:
        """capture() raises CameraError until open() is called."""
        self._closed = True


def grey_jpeg(chance: random.Random, size_bytes: int) -> bytes:
    """A JPEG of exactly so many bytes (LEAST_BYTES or more), incompressible: a grey square with random comments."""
    assert size_bytes >= LEAST_BYTES, size_bytes
    made = [GREY_JPEG[:_COMMENTS_AT]]
    left = size_bytes - len(GREY_JPEG)
    while left > 0:
        taken = min(left, COMMENT_MAX_BYTES)
        if 0 < left - taken < COMMENT_HEAD_BYTES:
            taken -= COMMENT_HEAD_BYTES  # so that the last one has room for its head
        made.append(b"\xff\xfe" + (taken - 2).to_bytes(2) + chance.randbytes(taken - COMMENT_HEAD_BYTES))
        left -= taken
    return b"".join([*made, GREY_JPEG[_COMMENTS_AT:]])
