"""Decodes and draws JPEGs with Pillow: previews, and the pattern camera's pictures. Imported in child processes only.

Decoding meets files of others, so it is done in a process with limits of its own (hal.camera_child).
"""

from __future__ import annotations

import io
import random
import struct
import warnings
from typing import IO

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from hal.camera_line import PREVIEW_MAX_BYTES

PREVIEW_WIDTHS = range(320, 159, -16)  # pixels, widest first (DESIGN §8: 160-320)
PREVIEW_QUALITIES = range(20, 86)  # JPEG quality: below 20 a preview shows blocks, above 85 only its size grows
PREVIEW_SOFTER = (2, 4, 8)  # detail left out, as a factor, where not even the narrowest fits
DECODE_MAX_PIXELS = 100_000_000  # guess: twice the largest sensor there is for a Pi; 300 MB as RGB
PATTERN_CLOUDS = (2, 8, 64)  # cells across of each layer of the clouds, coarse to fine
PATTERN_SHAPES = 40
# Share of white noise in the pattern: makes 370 kB of 1920x1080 at quality 85, as a camera does of a meadow.
PATTERN_GRAIN = 0.06
# Pillow's decoders raise all of these on damaged files; each of them means "no preview" and nothing more.
_UNDECODABLE = (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, struct.error, MemoryError)

Image.MAX_IMAGE_PIXELS = None  # our own limit is checked instead: Pillow's only warns at first
Image.preinit()  # loads the JPEG plugin now rather than during the first shot


def make_preview(picture: IO[bytes]) -> bytes:
    """A JPEG of at most 4 kB of a JPEG file, upright, as wide as quality 20 allows; empty if it cannot be decoded.

    Pictures narrower than 320 pixels keep their width at most. Extremely tall ones may get no preview.
    """
    try:
        # Pillow warns of damaged Exif blocks; nobody could do anything about it.
        with warnings.catch_warnings(action="ignore"), Image.open(picture, formats=["JPEG"]) as whole:
            if whole.width * whole.height > DECODE_MAX_PIXELS:
                return b""
            whole.draft("RGB", (PREVIEW_WIDTHS[0] * 2, PREVIEW_WIDTHS[0] * 2))
            upright = ImageOps.exif_transpose(whole)
            bare = upright if upright.mode == "L" else upright.convert("RGB")
            bare.info.clear()  # Pillow would write comments and profiles of the picture into the preview
            return _fit(bare)
    except _UNDECODABLE:
        return b""


def _fit(picture: Image.Image) -> bytes:
    """The widest preview that fits, else softer ones of the least width, else empty."""
    for width in PREVIEW_WIDTHS:
        if made := _finest(_narrowed(picture, width)):
            return made
    narrow = _narrowed(picture, PREVIEW_WIDTHS[-1])
    for factor in PREVIEW_SOFTER:
        less = (max(1, narrow.width // factor), max(1, narrow.height // factor))
        if made := _finest(narrow.resize(less, Image.Resampling.BOX).resize(narrow.size, Image.Resampling.BICUBIC)):
            return made
    return b""


def _narrowed(picture: Image.Image, width: int) -> Image.Image:
    width = min(width, picture.width)
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _finest(picture: Image.Image) -> bytes:
    """The JPEG of the highest quality that fits, by bisection; empty if none does."""
    best = _encoded(picture, PREVIEW_QUALITIES[0])
    if len(best) > PREVIEW_MAX_BYTES:
        return b""
    low, high = PREVIEW_QUALITIES[0], PREVIEW_QUALITIES[-1] + 1  # low fits, high is taken not to
    while high - low > 1:
        middle = (low + high) // 2
        made = _encoded(picture, middle)
        if len(made) <= PREVIEW_MAX_BYTES:
            low, best = middle, made
        else:
            high = middle
    return best


def _encoded(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def draw_pattern(number: int, size: tuple[int, int], quality: int, chance: random.Random) -> bytes:
    """A JPEG as detailed as a photograph: clouds of many scales, shapes, grain, and the shot's number to read."""
    picture = Image.merge("RGB", [_clouds(size, chance) for _ in range(3)])
    _shapes(picture, chance)
    grain = Image.frombytes("L", size, chance.randbytes(size[0] * size[1]))
    picture = Image.blend(picture, Image.merge("RGB", (grain, grain, grain)), PATTERN_GRAIN)
    _caption(picture, f"shot {number}")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _clouds(size: tuple[int, int], chance: random.Random) -> Image.Image:
    """One channel: random cells of several scales, smoothed and laid over one another."""
    made = Image.new("L", size, 128)
    for layer, across in enumerate(PATTERN_CLOUDS):
        down = max(1, across * size[1] // size[0])
        cells = Image.frombytes("L", (across, down), chance.randbytes(across * down))
        made = Image.blend(made, cells.resize(size, Image.Resampling.BICUBIC), 0.7 / (layer + 1))
    return made


def _shapes(picture: Image.Image, chance: random.Random) -> None:
    draw = ImageDraw.Draw(picture, "RGBA")
    width, height = picture.size
    for _ in range(PATTERN_SHAPES):
        x, y = chance.randrange(width), chance.randrange(height)
        across, down = chance.randrange(2, 3 + width // 6), chance.randrange(2, 3 + height // 6)
        colour = (*chance.randbytes(3), chance.randrange(60, 200))
        box = (x - across, y - down, x + across, y + down)
        chance.choice((draw.ellipse, draw.rectangle))(box, fill=colour, outline=(0, 0, 0, 120))


def _caption(picture: Image.Image, text: str) -> None:
    height = max(10, picture.height // 14)
    write_text(picture, (picture.width // 40, picture.height - height * 3 // 2), text, height_px=height)


def write_text(picture: Image.Image, place: tuple[int, int], text: str, *, height_px: int) -> None:
    """White letters with a dark rim, from place (left, top): the one font that each Pillow has, whatever size it gives
    it, enlarged."""
    font = ImageFont.load_default()
    _left, _top, right, bottom = font.getbbox(text)
    small = Image.new("L", (round(right) + 2, round(bottom) + 2), 0)
    ImageDraw.Draw(small).text((1, 1), text, fill=255, font=font)
    letters = small.resize((small.width * height_px // small.height, height_px), Image.Resampling.BICUBIC)
    rim = letters.filter(ImageFilter.MaxFilter(1 + 2 * max(1, height_px // 16)))
    picture.paste("black", place, rim)
    picture.paste("white", place, letters)
