"""Takes the bounces out of a contact: levels and the times of the looks that saw them in, settled changes out. Pure."""

from __future__ import annotations

from hal.interfaces import Change

PERIOD_S = 0.025
"""From one look at a contact to the next. Contacts bounce for 2 ms mostly, rarely for 20: one look at most falls among
the bounces. A finger is on a button for 60 ms and more, which is two looks even where each comes 5 ms late (gpiozero
#378 and TRAPS: 20 to 30 ms)."""


class Debouncer:
    """One contact. `on`: what it has settled at.

    A level counts once two looks in a row, at least PERIOD_S apart, have seen it, so what is shorter never does. A
    library's own debouncing reports the first edge after a pause, and takes the bounces of a *release* for a press.
    """

    def __init__(self, on: bool) -> None:
        self.on = on
        self._left_at: float | None = None  # when a look first saw it elsewhere, if the last one did

    def look(self, level: bool, now: float) -> Change | None:
        """What is there now. A change bears the time of the look that saw it first."""
        at, self._left_at = self._left_at, None
        if level == self.on:
            return None
        if at is None:
            self._left_at = now
            return None
        self.on = level
        return Change(level, at)
