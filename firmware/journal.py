"""The memory ring behind `log`: the latest events of a unit, each a complete sentence."""

from __future__ import annotations

from collections import deque

from firmware.pictures import PictureId
from hal.light_dataclass import dataclass

MAX_LINES = 2000
"""Events kept; about 400 kB, a day of a busy unit."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """at_s: Unix time or None; number: counts from 1 since the start of the unit."""

    number: int
    at_s: float | None
    event: str
    text: str
    picture: PictureId | None
    unit: int | None


class Journal:
    """Append, and read from any number on."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=MAX_LINES)
        self.count = 0

    def add(self, at_s: float | None, event: str, text: str, picture: PictureId | None, unit: int | None) -> None:
        """One more event; the oldest goes when the ring is full."""
        self.count += 1
        self._lines.append(LogLine(self.count, at_s, event, text, picture, unit))

    def after(self, number: int) -> list[LogLine]:
        """Every kept line with a higher number."""
        if not self._lines or number >= self.count:
            return []
        first = self._lines[0].number
        return list(self._lines)[max(0, number + 1 - first) :]
