"""Previews and pattern pictures as the camera's child makes them."""

from __future__ import annotations

import io
import random
import warnings

import pytest
from PIL import Image

from hal.camera_line import PREVIEW_MAX_BYTES
from hal.jpeg import draw_pattern, make_preview
from sim.jpegs import with_exif

# DQT entry 0 of the luminance table at quality 20 by the formula of the IJG library: (16 * 250 + 50) // 100.
COARSEST_FIRST_STEP = 40


def jpeg(picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", **options)
    return out.getvalue()


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    data = random.Random(1).randbytes(width * height * len(mode))
    return Image.frombytes(mode, (width, height), data)


def preview_of(data: bytes) -> Image.Image:
    made = make_preview(io.BytesIO(data))
    assert 0 < len(made) <= PREVIEW_MAX_BYTES
    picture = Image.open(io.BytesIO(made), formats=["JPEG"])
    picture.load()
    return picture


PICTURES = {
    "smooth": jpeg(Image.linear_gradient("L").resize((1920, 1080)).convert("RGB")),
    "pattern": draw_pattern(1, (1920, 1080), 85, random.Random(1)),
    "noise": jpeg(noise(1920, 1080)),
    "grey": jpeg(noise(640, 480, "L")),
    "four colours": jpeg(noise(640, 480, "CMYK")),
    "progressive": jpeg(noise(640, 480), progressive=True),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_preview_is_160_to_320_pixels_wide_and_of_quality_20_or_more(kind: str) -> None:
    picture = preview_of(PICTURES[kind])
    assert 160 <= picture.width <= 320
    assert picture.quantization[0][0] <= COARSEST_FIRST_STEP  # type: ignore[attr-defined]


def test_a_picture_of_little_detail_gets_the_widest_preview() -> None:
    assert preview_of(PICTURES["smooth"]).size == (320, 180)


def test_a_preview_uses_the_room_it_has() -> None:
    assert len(make_preview(io.BytesIO(PICTURES["pattern"]))) > 0.8 * PREVIEW_MAX_BYTES


def test_a_narrow_picture_is_not_widened() -> None:
    assert preview_of(jpeg(noise(50, 30))).size == (50, 30)


def test_a_preview_stands_upright_as_the_exif_orientation_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: rotate by 90 degrees clockwise to view (Exif 2.32, 4.6.4)
    assert preview_of(jpeg(Image.new("RGB", (640, 320), "red"), exif=exif)).size == (320, 640)


def test_what_a_picture_carries_beside_its_pixels_is_not_in_the_preview() -> None:
    carried = random.Random(2).randbytes(30_000)
    picture = preview_of(jpeg(noise(640, 480), comment=carried, icc_profile=carried, xmp=carried))
    assert not {"comment", "icc_profile", "xmp", "exif"} & set(picture.info)


@pytest.mark.parametrize("length", [0, 2, 3, 100, 700, 20_000])
def test_a_truncated_picture_has_no_preview(length: int) -> None:
    assert make_preview(io.BytesIO(PICTURES["noise"][:length])) == b""


def test_of_a_damaged_exif_block_nobody_is_warned() -> None:
    exif = with_exif(jpeg(noise(64, 48)), orientation=6)
    damaged = exif.replace(b"\x00\x08\x00\x01\x01\x12", b"\x00\x08\x00\x02\x01\x12")  # says that two tags follow
    assert damaged != exif
    with warnings.catch_warnings(action="error"):
        assert make_preview(io.BytesIO(damaged))


def test_damaged_pictures_give_a_preview_or_none_but_no_error() -> None:
    chance = random.Random(4)
    whole = jpeg(noise(64, 48))
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        assert len(make_preview(io.BytesIO(damaged))) <= PREVIEW_MAX_BYTES


def test_other_formats_are_not_decoded() -> None:
    out = io.BytesIO()
    noise(64, 48).save(out, "PNG")
    assert make_preview(out) == b""


def test_a_pattern_is_as_long_as_a_photograph_and_of_the_size_asked_for() -> None:
    assert 200_000 < len(PICTURES["pattern"]) < 1_000_000
    with Image.open(io.BytesIO(PICTURES["pattern"])) as picture:
        assert picture.size == (1920, 1080)


def test_quality_decides_how_long_a_pattern_is() -> None:
    lengths = [len(draw_pattern(1, (640, 480), quality, random.Random(1))) for quality in (30, 60, 90)]
    assert lengths == sorted(set(lengths))
