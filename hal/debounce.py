"""Takes the bounces out of a contact: levels and the times of the looks that saw them in, settled changes out. Pure."""

from __future__ import annotations

from hal.interfaces import Change

PERIOD_S = 0.025
"""From one look at a contact to the next, while it is where it was."""
AGAIN_S = 0.0115
LOOKS = 3
"""Once a look sees it elsewhere: from one to the next, and how many in a row must see it there. Contacts bounce for
2 ms mostly, rarely for 20, and these span 23. On a long cable the mains' hum pulls a pin down for half a period at
most: three such looks fall on pulses only if these last for 11.5 of 20 ms (50 Hz), 10.4 of 16.7 (60 Hz). A finger is on
a button for 60 ms and more (gpiozero #378, TRAPS: 20 to 30 ms), seen even where each look comes 5 ms late."""


class Debouncer:
    """One contact. `on`: what it has settled at.

    A level counts once LOOKS in a row have seen it, AGAIN_S apart at least: no single pulse that is shorter does. A
    library's own debouncing reports the first edge after a pause, and takes the bounces of a *release* for a press.
    """

    def __init__(self, on: bool) -> None:
        self.on = on
        self._seen = 0  # looks in a row that saw it elsewhere
        self._left_at = 0.0  # the first of them

    @property
    def is_unsure(self) -> bool:
        """Whether it is to be looked at again soon."""
        return self._seen > 0

    def look(self, level: bool, now: float) -> Change | None:
        """What is there now. A change bears the time of the look that saw it first."""
        if level == self.on:
            self._seen = 0
            return None
        if not self._seen:
            self._left_at = now
        self._seen += 1
        if self._seen < LOOKS:
            return None
        self.on, self._seen = level, 0
        return Change(level, self._left_at)
