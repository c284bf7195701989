"""JPEGs made by hand, marker by marker (ITU T.81), where an encoder would not make them: of any size, with any number
of scans, with an Exif block of our own. Of next to no bytes, and correct: a decoder has to do all the work.
"""

from __future__ import annotations

import struct

_LONGEST_RUN_BLOCKS = 32_767  # of one end-of-band run (ITU T.81 G.1.2.2)
_ONE_CODE = bytes([1] + [0] * 15)  # a Huffman table of a single code, the bit 0


def progressive(size: tuple[int, int], *, components: int = 1, scans: int) -> bytes:
    """A grey picture: one scan of DC values, and then as often as wanted one of AC values, all zero."""
    width, height = size
    blocks = -(-width // 8) * -(-height // 8)
    channels = range(1, components + 1)
    frame = struct.pack(">BHHB", 8, height, width, components) + b"".join(bytes([c, 0x11, 0]) for c in channels)
    first = bytes([components]) + b"".join(bytes([c, 0]) for c in channels) + b"\x00\x00\x00"
    runs = f"0{_LONGEST_RUN_BLOCKS - (1 << 14):014b}" * -(-blocks // _LONGEST_RUN_BLOCKS)
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xDB, b"\x00" + b"\x01" * 64),
            _segment(0xC2, frame),
            _segment(0xC4, b"\x00" + _ONE_CODE + b"\x00"),
            _segment(0xC4, b"\x10" + _ONE_CODE + b"\xe0"),
            _segment(0xDA, first),
            bytes(blocks * components // 8 + 1),
            (_segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + _stuffed(runs)) * scans,
            b"\xff\xd9",
        )
    )


def with_exif(jpeg: bytes, *, orientation: int) -> bytes:
    """The same with an Exif block of one tag (Exif 2.32, 4.6.4)."""
    directory = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + _segment(0xE1, b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08" + directory) + jpeg[2:]


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body


def _stuffed(bits: str) -> bytes:
    """Filled up with ones, and a zero byte behind each 0xFF (ITU T.81 F.1.2.3)."""
    whole = bits + "1" * (-len(bits) % 8)
    return int(whole, 2).to_bytes(len(whole) // 8).replace(b"\xff", b"\xff\x00")
