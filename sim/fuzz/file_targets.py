"""Targets: what lies on a card or comes from a camera. Names of files, pictures, the line of the camera's child."""

from __future__ import annotations

import io
import os
import random

from firmware import layout
from firmware.pictures import PictureId
from hal.camera_child import DECODER_MAX_BYTES, PREVIEW_MAX_S
from hal.camera_line import (
    MESSAGE_MAX_BYTES,
    PREVIEW_MAX_BYTES,
    Chosen,
    Failed,
    Message,
    Ready,
    Taken,
    decode,
    encode,
    request_of,
)
from hal.interfaces import Occasion, TimeQuality
from hal.jpeg import draw_pattern, make_preview
from sim.camera import GREY_JPEG, grey_jpeg
from sim.fuzz.target import Target
from sim.jpegs import progressive, with_exif

NAME_BYTES = 255  # of a file or directory, at most (NAME_MAX of Linux)
PICTURE_BYTES = 8192
"""Of the pictures that are tried: headers, Exif, tables and scans have room; more pixels would only take longer."""

# ---------------------------------------------------------------- names

Names = tuple[str, tuple[PictureId, str] | None, PictureId | None, PictureId | None, tuple[int, int] | None, int | None]


def _name(data: bytes) -> Names:
    name = os.fsdecode(data)
    return (
        layout.printable(name),
        layout.picture_of(name),
        layout.part_of(name),
        layout.preview_of(name),
        layout.own_directory_of(name),
        layout.origin_of(name),
    )


def _check_name(data: bytes, read: Names) -> None:
    """What a name is taken for has this name and no other."""
    name = os.fsdecode(data)
    shown, picture, part, preview, own, origin = read
    assert shown.isprintable()
    shown.encode()
    assert picture is None or f"{picture[0]}-{picture[1]}.jpg" == name
    assert part is None or layout.part_path(part) == f"{layout.TMP}/{name}"
    assert preview is None or layout.preview_path(preview) == f"{layout.PREVIEW}/{name}"
    assert own is None or layout.own_directory(*own) == f"{layout.OWN}/{name}"
    assert origin is None or layout.held_directory(origin) == f"{layout.HELD}/{name}"


def _names() -> list[bytes]:
    picture = "00001-3fa7-00000042"
    names = [f"{picture}-00112233445566ff.jpg", f"{picture}.jpg", f"{picture}.part", "00001-3fa7", "00002"]
    return [name.encode() for name in [*names, "65534-ffff-4294967295-0011223344556677.jpg", "identity", "wrong \n"]]


# ---------------------------------------------------------------- the camera's child


_OCCASION = Occasion(1, 1.7e9, TimeQuality.SYNCED)


def _check_line(_data: bytes, message: Message) -> None:
    """What the parent goes on to do with it."""
    match message:
        case Chosen(name):
            encode(request_of(1, name, 1.0, _OCCASION))
        case Failed():
            str(message.error()).encode()
        case Taken():
            assert len(bytes.fromhex(message.sha256)) == 32
            assert len(message.preview) <= PREVIEW_MAX_BYTES


def _lines() -> list[bytes]:
    said: tuple[Message, ...] = (
        request_of(3, "a.jpg", 2.5, _OCCASION),
        Ready("another size"),
        Chosen("a\udcff.jpg"),
        Taken(size_bytes=500, sha256="ab" * 32, id_at=26, preview=GREY_JPEG),
        Failed(what="no", did="nothing", can="wait"),
    )
    return [encode(message) for message in said]


def _check_preview(_data: bytes, preview: bytes) -> None:
    assert len(preview) <= PREVIEW_MAX_BYTES
    assert not preview or (preview.startswith(b"\xff\xd8") and preview.endswith(b"\xff\xd9"))


def _pictures() -> list[bytes]:
    small = draw_pattern(1, (48, 32), 50, random.Random(1))
    return [
        GREY_JPEG,
        grey_jpeg(random.Random(2), 1000),
        small,
        with_exif(small, orientation=6),
        progressive((48, 32), components=3, scans=3),
        progressive((400, 300), components=1, scans=2),
    ]


TARGETS = (
    Target("names", _name, (), _check_name, _names, NAME_BYTES),
    Target("camera line", decode, (ValueError,), _check_line, _lines, MESSAGE_MAX_BYTES),
    Target(
        "pictures",
        lambda data: make_preview(io.BytesIO(data)),
        (),
        _check_preview,
        _pictures,
        PICTURE_BYTES,
        PREVIEW_MAX_S,  # it is decoded in a process of its own, which is given so much
        DECODER_MAX_BYTES,
    ),
)
