"""What the camera makes a day against what the link carries, in words. Pure; for start-up, status, doctor."""

from __future__ import annotations

from itertools import pairwise

from hal.light_dataclass import dataclass

DAY_S = 86_400.0
GOODPUT = 0.9
"""Share of the line's byte rate that is picture on a clean line with both ends free to send (docs/figures.md)."""
GOODPUT_BY_TURNS = 0.75
"""The same where units take turns (docs/figures.md), as long as nobody else has something to send."""
SEEN_AT_LEAST_S = 3600.0
"""How long a unit must have run before its shots are taken for what it makes of each day."""
_BYTES_PER_PIXEL = ((50, 0.06), (75, 0.11), (85, 0.18), (95, 0.40))
"""Of JPEGs by quality, before the first picture is there: those of the pattern camera, which are like a meadow's. A
guess for any other view."""


@dataclass(frozen=True, slots=True)
class DailyLoad:
    """Bytes a day: made, all copies together; carried, if the link does nothing else. text: in words, with advice where
    it is too_much: copies fall behind."""

    made_bytes: int
    carried_bytes: int
    text: str
    too_much: bool


def carried_bytes_per_day(line_bytes_per_s: float, *, by_turns: bool) -> float:
    """What the link carries of pictures: by_turns on a half-duplex line. Limits of airtime by law are not in it."""
    return DAY_S * line_bytes_per_s * (GOODPUT_BY_TURNS if by_turns else GOODPUT)


def expected_picture_bytes(size: tuple[int, int], quality: int) -> int:
    """Of a picture of this size (pixels) and JPEG quality that nobody has seen yet."""
    pixels, (lowest, least) = size[0] * size[1], _BYTES_PER_PIXEL[0]
    if quality <= lowest:
        return round(pixels * least)
    for (low, few), (high, many) in pairwise(_BYTES_PER_PIXEL):
        if quality <= high:
            return round(pixels * (few + (many - few) * (quality - low) / (high - low)))
    return round(pixels * _BYTES_PER_PIXEL[-1][1])


def shots_per_day(interval_s: float | None, *, seen: int, seen_for_s: float) -> float | None:
    """By shutter.interval and what came besides; None without one, as long as too little was seen."""
    as_seen = seen * DAY_S / seen_for_s if seen_for_s >= SEEN_AT_LEAST_S else None
    by_interval = None if interval_s is None else DAY_S / interval_s
    return max((shots for shots in (as_seen, by_interval) if shots is not None), default=None)


def daily_load(*, shots: float, picture_bytes: int, copies: int, carried_bytes: float) -> DailyLoad:
    """shots and carried_bytes (carried_bytes_per_day, more than 0) are of a day; copies of each picture."""
    made = shots * picture_bytes * copies
    pictures = "1 picture" if round(shots) == 1 else f"{shots:,.0f} pictures"
    each = "1 copy" if copies == 1 else f"{copies} copies"
    what = f"{pictures} a day of {_size(picture_bytes)}, with {each} each, are {_size(made)} a day"
    too_much = made > carried_bytes
    if not too_much:
        text = f"{what}; the link carries {_size(carried_bytes)}"
    else:
        seldom = _time(DAY_S * picture_bytes * copies / carried_bytes)
        fewer = f" or fewer copies than {copies} (dispersal.copies)" if copies > 1 else ""
        behind = f"the link carries {_size(carried_bytes)}: copies fall behind by {_size(made - carried_bytes)} a day"
        text = (
            f"{what}, and {behind}; take a picture each {seldom} or more seldom (shutter.interval), or smaller ones "
            f"(camera.size, camera.quality){fewer}"
        )
    return DailyLoad(round(made), round(carried_bytes), text, too_much)


def _size(size_bytes: float) -> str:
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= step:
            form = ".3g" if size_bytes < 999.5 * step else ",.0f"
            return f"{size_bytes / step:{form}} {unit}"
    return f"{size_bytes:.0f} B"


def _time(seconds: float) -> str:
    """Rounded up, so that it is enough."""
    for unit, step in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * step:
            return f"{-(-seconds // step):.0f} {unit}"
    return f"{-(-seconds // 1):.0f} s"
