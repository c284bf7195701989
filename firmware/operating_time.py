"""Operating time made durable, and when each unit was last heard by it: no clock runs while the power is off.

`core.age_s` counts the seconds that the unit has run. What of it is kept here survives a power cut, and so does what
stands with a picture that is without a copy; the rest is lost, so that time stands still a little longer. Who counts
days counts them by it.
"""

from __future__ import annotations

from firmware.core import Core
from firmware.events import SaveCalendar
from hal.errors import DandelionError

KEEP_FIRST_S, KEEP_LONGEST_S = 300.0, 3600.0
"""It is kept so long after the start, then each time that the unit has run twice as long, at least hourly: a card takes
9000 such writes a year with ease, and a unit that is restarted again and again loses at most half of its time."""

MAX_UNITS = 1024
"""Units remembered with when they were heard: twenty times the largest fleet. Beyond it those heard longest ago go; a
holder among them counts as heard at the next start."""


class OperatingTime:
    """Keeps it now and then."""

    def __init__(self, core: Core, heard: tuple[tuple[int, int], ...]) -> None:
        """heard: units, and operating time when each was heard last, as of before this start."""
        self.core = core
        self._heard = dict(heard)
        self._kept = dict(heard)  # as it is durable
        self._at = core.now + KEEP_FIRST_S

    @property
    def units(self) -> list[int]:
        """All that were ever heard, or hold copies; ascending."""
        return sorted(self._heard.keys() | {n.unit for n in self.core.neighbours if n.proved})

    def heard_at_s(self, unit: int) -> int:
        """Operating time when this unit was heard last; of one never heard: when it was first known of."""
        core, neighbour = self.core, self.core.neighbours.find(unit)
        if neighbour is not None and neighbour.proved:
            self._heard[unit] = core.age_s - int(core.now - neighbour.last_heard)
        return self._heard.setdefault(unit, core.age_s)

    def to_keep(self) -> SaveCalendar:
        """Everything as it is now; also for a clean end."""
        for unit in self.units:
            self.heard_at_s(unit)
        latest = sorted(self._heard.items(), key=lambda heard: heard[1])[-MAX_UNITS:]
        self._heard = dict(latest)
        news = {unit: at_s for unit, at_s in self._heard.items() if self._kept.get(unit) != at_s}
        self._kept |= news
        return SaveCalendar((("age", self.core.age_s), *self.core.calendar.items()), tuple(sorted(news.items())))

    def tick(self) -> None:
        """Keep it when that is due."""
        if self.core.now >= self._at:
            self._at = self.core.now + min(self.core.now - self.core.started, KEEP_LONGEST_S)
            self.core.run(self.core.fetch(self.to_keep()), on_error=self._failed)

    def _failed(self, error: DandelionError) -> None:
        self._kept.clear()
        self.core.log("card", f"operating time could not be kept: {error}")

    def deadline(self) -> float:
        """When it is kept next."""
        return self._at
