"""Draws the landscapes that the simulated fleet photographs: `python -m sim.pictures DIR [--count N] [--bytes N]`.

All drawn here, so their licence is the project's. Imports Pillow: run it as a process, never in a unit.
"""

from __future__ import annotations

import argparse
import io
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from hal.jpeg import write_text
from hal.light_dataclass import dataclass

Colour = tuple[int, int, int]

SIZE = (1280, 960)  # pixels
GRAIN = 0.05  # share of white noise, as of a small sensor
QUALITIES = range(20, 96)  # JPEG quality, chosen so that the file becomes as long as asked for
CLOUD_CELLS = (4, 12, 40)  # across, of each layer of the clouds
HILL_WAVES = 4  # of random length that make one ridge
PLACES = ("north gate", "river bend", "old oak", "south field", "ridge", "mill pond")


@dataclass(frozen=True, slots=True)
class Light:
    """A time of day: colours of the sky from top to horizon, of the nearest hill, and of the sun or moon."""

    top: Colour
    horizon: Colour
    near: Colour
    disc: Colour
    disc_radius: int
    stars: int


LIGHTS = (
    Light((70, 130, 205), (205, 226, 240), (46, 92, 44), (255, 250, 225), 34, 0),
    Light((88, 72, 128), (250, 168, 96), (48, 46, 38), (255, 226, 150), 52, 0),
    Light((10, 16, 40), (48, 66, 104), (10, 20, 24), (236, 238, 228), 40, 220),
    Light((150, 168, 182), (232, 228, 216), (92, 98, 58), (250, 246, 236), 44, 0),
)


def make_pictures(folder: Path, count: int = 4, about_bytes: int = 220_000) -> list[Path]:
    """Write `count` different landscapes into the folder, made if need be; always the same ones. Their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        name = f"{PLACES[index % len(PLACES)]} {index + 1}"
        path = folder / f"{index + 1:03d}-{name.replace(' ', '-')}.jpg"
        path.write_bytes(_as_long_as(draw_landscape(index, name), about_bytes))
        paths.append(path)
    return paths


def draw_landscape(index: int, caption: str) -> Image.Image:
    """The index-th landscape: sky, clouds, ridges one behind the other, trees, grain and a caption."""
    chance = random.Random(index)
    light = LIGHTS[index % len(LIGHTS)]
    picture = _sky(light, chance)
    horizon = SIZE[1] * 0.52
    ridges = 4
    for ridge in range(ridges):
        nearness = (ridge + 1) / ridges
        colour = _mixed(light.horizon, light.near, 0.25 + 0.75 * nearness)
        heights = _ridge_heights(horizon + ridge * SIZE[1] * 0.11, 30 + 30 * nearness, chance)
        _hill(picture, heights, colour, chance)
        _trees(picture, heights, _mixed(colour, (8, 16, 10), 0.45), nearness, chance)
    return _finished(picture, caption, chance)


def _sky(light: Light, chance: random.Random) -> Image.Image:
    """Gradient, stars, sun or moon with its glow, clouds."""
    gradient = Image.linear_gradient("L").resize((SIZE[0], SIZE[1] * 3 // 5))
    picture = Image.new("RGB", SIZE, light.horizon)
    picture.paste(Image.composite(_plain(light.horizon, gradient), _plain(light.top, gradient), gradient))
    draw = ImageDraw.Draw(picture)
    for _ in range(light.stars):
        x, y, bright = chance.randrange(SIZE[0]), chance.randrange(SIZE[1] // 2), chance.randrange(90, 256)
        draw.ellipse((x, y, x + bright // 128, y + bright // 128), fill=(bright, bright, bright))
    centre = (chance.randrange(SIZE[0] // 6, SIZE[0] * 5 // 6), chance.randrange(SIZE[1] // 8, SIZE[1] * 3 // 8))
    glow = Image.new("L", SIZE, 0)
    for radius, strength in ((light.disc_radius * 4, 50), (light.disc_radius * 2, 90), (light.disc_radius, 255)):
        box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
        ImageDraw.Draw(glow).ellipse(box, fill=strength)
        glow = glow.filter(ImageFilter.GaussianBlur(radius / 3 if radius > light.disc_radius else 1))
    picture.paste(light.disc, mask=glow)
    picture.paste(_mixed(light.horizon, (255, 255, 255), 0.4), mask=_clouds(chance))
    return picture


def _plain(colour: Colour, like: Image.Image) -> Image.Image:
    return Image.new("RGB", like.size, colour)


def _clouds(chance: random.Random) -> Image.Image:
    """How much cloud there is at each place: layers of noise, long across, thinning towards the horizon."""
    made = Image.new("L", SIZE, 110)
    for layer, across in enumerate(CLOUD_CELLS):
        cells = Image.frombytes("L", (across, across), chance.randbytes(across * across))
        made = Image.blend(made, cells.resize(SIZE, Image.Resampling.BICUBIC), 0.6 / (layer + 1))
    thick = made.point([max(0, min(200, (value - 125) * 4)) for value in range(256)])
    fading = Image.linear_gradient("L").resize(SIZE).point([max(0, 230 - 2 * value) for value in range(256)])
    return Image.composite(thick, Image.new("L", SIZE, 0), fading)


def _ridge_heights(base: float, swing: float, chance: random.Random) -> list[float]:
    """The y of a ridge at each x: a few random waves and a little roughness."""
    waves = [
        (chance.uniform(0.4, 1) / n, n * chance.uniform(0.7, 1.4), chance.uniform(0, 7))
        for n in range(1, 1 + HILL_WAVES)
    ]
    heights = []
    rough = 0.0
    for x in range(SIZE[0]):
        rough = rough * 0.97 + chance.uniform(-0.8, 0.8)
        angle = math.tau * x / SIZE[0]
        heights.append(base + rough + swing * sum(a * math.sin(angle * n + phase) for a, n, phase in waves))
    return heights


def _hill(picture: Image.Image, heights: list[float], colour: Colour, chance: random.Random) -> None:
    """Fill below the ridge, with patches of meadow."""
    mask = Image.new("L", SIZE, 0)
    outline = [(0, SIZE[1]), *enumerate(heights), (SIZE[0], SIZE[1])]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    cells = Image.frombytes("L", (96, 96), chance.randbytes(96 * 96)).resize(SIZE, Image.Resampling.BICUBIC)
    patches = Image.composite(
        _plain(_mixed(colour, (255, 240, 170), 0.14), mask), _plain(_mixed(colour, (0, 10, 0), 0.22), mask), cells
    )
    picture.paste(patches, mask=mask)


def _trees(picture: Image.Image, heights: list[float], colour: Colour, nearness: float, chance: random.Random) -> None:
    """Firs along the ridge, taller and fewer the nearer."""
    draw = ImageDraw.Draw(picture)
    for _ in range(round(70 * (1.2 - nearness))):
        x = chance.randrange(SIZE[0])
        foot = heights[x] + chance.uniform(2, 40 * nearness)
        height = chance.uniform(30, 120) * nearness
        shade = _mixed(colour, (90, 120, 60), chance.uniform(0, 0.25))
        draw.line((x, foot, x, foot - height), fill=_mixed(shade, (40, 24, 10), 0.5), width=max(1, round(height / 24)))
        tiers = 5
        for tier in range(tiers):
            top = foot - height * (0.45 + 0.55 * tier / tiers) - height * 0.12
            half = height * 0.26 * (1 - tier / (tiers + 1))
            draw.polygon(((x - half, top + height * 0.3), (x, top), (x + half, top + height * 0.3)), fill=shade)


def _finished(picture: Image.Image, caption: str, chance: random.Random) -> Image.Image:
    """Grain over everything, then the caption."""
    grain = Image.frombytes("L", SIZE, chance.randbytes(SIZE[0] * SIZE[1]))
    picture = Image.blend(picture, Image.merge("RGB", (grain, grain, grain)), GRAIN)
    write_text(picture, (28, SIZE[1] - 60), caption, height_px=34)
    return picture


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    """From one (share 0) to the other (share 1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def _as_long_as(picture: Image.Image, about_bytes: int) -> bytes:
    """The JPEG of the highest quality that is not longer, by bisection; of the lowest if all are."""
    low, high = QUALITIES[0], QUALITIES[-1] + 1
    best = _encoded(picture, low)
    while high - low > 1:
        middle = (low + high) // 2
        made = _encoded(picture, middle)
        if len(made) <= about_bytes:
            low, best = middle, made
        else:
            high = middle
    return best


def _encoded(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m sim.pictures", description="Draw JPEGs for a simulated camera.")
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--count", metavar="N", type=int, default=4)
    parser.add_argument("--bytes", metavar="N", type=int, default=220_000, dest="about_bytes", help="of each, at most")
    words = parser.parse_args()
    for path in make_pictures(words.folder, words.count, words.about_bytes):
        print(f"{path} {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
