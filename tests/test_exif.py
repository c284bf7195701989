"""The Exif block of our own pictures, read back by Pillow, which knows nothing of how it was written."""

from __future__ import annotations

import io
import math
import random
from typing import Any

import pytest
from PIL import ExifTags, Image

from hal.exif import ID_FIELD_BYTES, Details, with_exif, with_id
from hal.interfaces import Occasion, TimeQuality
from hal.jpeg import draw_pattern
from sim.camera import GREY_JPEG

PICTURE = "00007-3fa7-00000042"
UNSET = Occasion(7, None, TimeQuality.UNSET)
SYNCED = Occasion(7, 1_790_000_000.25, TimeQuality.SYNCED)
PLAIN = Details(make="Raspberry Pi", model="imx708", width=16, height=16)
FULL = Details("Raspberry Pi", "imx708", 16, 16, exposure_s=0.008333, iso=212.4, focus=2.0)


def read(jpeg: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tags of the picture and of its Exif directory, by name."""
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
        picture.load()
        exif = picture.getexif()
    first = {ExifTags.TAGS[tag]: value for tag, value in exif.items()}
    return first, {ExifTags.TAGS[tag]: value for tag, value in exif.get_ifd(ExifTags.IFD.Exif).items()}


def made(details: Details = PLAIN, occasion: Occasion = SYNCED, picture: str = PICTURE) -> bytes:
    jpeg, at = with_exif(GREY_JPEG, details, occasion)
    field = with_id(jpeg[at : at + ID_FIELD_BYTES], picture)
    return jpeg[:at] + field + jpeg[at + len(field) :]


def test_a_picture_says_its_id_its_unit_and_its_camera() -> None:
    first, exif = read(made())
    assert (exif["ImageUniqueID"], exif["BodySerialNumber"]) == (PICTURE, "7")
    assert (first["Make"], first["Model"], first["Software"]) == ("Raspberry Pi", "imx708", "Dandelion")
    assert (exif["ExifImageWidth"], exif["ExifImageHeight"], first["Orientation"]) == (16, 16, 1)


@pytest.mark.parametrize("quality", [TimeQuality.PEER, TimeQuality.SYNCED])
def test_it_says_when_it_was_taken_in_utc_and_how_far_to_trust_that(quality: TimeQuality) -> None:
    _, exif = read(made(occasion=Occasion(7, 1_790_000_000.25, quality)))
    assert exif["DateTimeOriginal"] == exif["DateTimeDigitized"] == "2026:09:21 14:13:20"
    assert exif["OffsetTimeOriginal"] == exif["OffsetTimeDigitized"] == "+00:00"
    assert exif["SubsecTimeOriginal"] == "250"
    assert exif["UserComment"] == b"ASCII\0\0\0time quality: " + quality.name.lower().encode()


@pytest.mark.parametrize("unix_s", [None, 12.0])
def test_no_time_is_claimed_where_the_clock_is_unset(unix_s: float | None) -> None:
    _, exif = read(made(occasion=Occasion(7, unix_s, TimeQuality.UNSET)))
    assert not [name for name in exif if "Time" in name and name != "ExposureTime"]
    assert exif["UserComment"].endswith(b"time quality: unset")
    assert exif["ImageUniqueID"] == PICTURE


def test_exposure_and_focus_are_told_where_the_camera_tells_them() -> None:
    _, exif = read(made(FULL))
    assert exif["ExposureTime"] == pytest.approx(0.008333, abs=1e-6)
    assert exif["ISOSpeedRatings"] == 212
    assert exif["SubjectDistance"] == pytest.approx(0.5)
    _, without = read(made())
    assert not {"ExposureTime", "ISOSpeedRatings", "SubjectDistance"} & without.keys()


@pytest.mark.parametrize("focus", [0.0, 1e-30])
def test_a_lens_at_infinity_says_so(focus: float) -> None:
    _, exif = read(made(Details("m", "m", 1, 1, focus=focus)))
    assert exif["SubjectDistance"] == 0xFFFF_FFFF


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300])
def test_figures_that_cannot_be_are_left_out(value: float) -> None:
    _, exif = read(made(Details("m", "m", 1, 1, exposure_s=value, iso=min(value, 1e6), focus=value)))
    assert "ExposureTime" not in exif
    assert exif.get("ISOSpeedRatings", 65_535) == 65_535
    assert exif["ImageUniqueID"] == PICTURE


@pytest.mark.parametrize("picture", [PICTURE, "00001-0000-100000000", "65534-ffff-4294967295"])
def test_an_id_of_any_length_fits_and_nothing_else_moves(picture: str) -> None:
    blank, _ = with_exif(GREY_JPEG, FULL, SYNCED)
    named = made(FULL, SYNCED, picture)
    assert len(named) == len(blank)
    before, after = read(blank)[1], read(named)[1]
    assert after.pop("ImageUniqueID") == picture
    before.pop("ImageUniqueID")
    assert after == before


def test_a_picture_can_be_given_another_id() -> None:
    jpeg, at = with_exif(GREY_JPEG, PLAIN, UNSET)
    field = with_id(jpeg[at : at + ID_FIELD_BYTES], "65534-ffff-4294967295")
    assert with_id(field, PICTURE) == with_id(jpeg[at : at + ID_FIELD_BYTES], PICTURE)


def test_what_is_no_field_and_what_is_no_id_is_refused() -> None:
    jpeg, at = with_exif(GREY_JPEG, PLAIN, UNSET)
    field = jpeg[at : at + ID_FIELD_BYTES]
    wrong = [(field[:length], PICTURE) for length in range(len(field))]
    for part, picture in [*wrong, (field, ""), (field, "1" * 22)]:
        with pytest.raises(ValueError, match="no room for the id"):
            with_id(part, picture)
    with pytest.raises(ValueError, match="no field"):
        with_id(field[1:] + b"\0", PICTURE)


def test_the_pixels_stay_and_the_block_is_first_as_exif_wants_it() -> None:
    jpeg = draw_pattern(1, (160, 120), 85, random.Random(1))
    with_it, _ = with_exif(jpeg, PLAIN, SYNCED)
    assert with_it[2:4] == b"\xff\xe1"
    assert b"JFIF" not in with_it
    with Image.open(io.BytesIO(jpeg)) as one, Image.open(io.BytesIO(with_it)) as other:
        assert one.tobytes() == other.tobytes()


def test_names_that_are_no_plain_text_do_no_harm() -> None:
    first, exif = read(made(Details("Füße\0\n", "x" * 500, 1, 1)))
    assert first["Make"] == "F??e??"
    assert first["Model"] == "x" * 64
    assert exif["ImageUniqueID"] == PICTURE
