"""What a button, a motion sensor and a tamper contact ask for: long presses, bursts, rests. Pure: changes and times in,
wishes out."""

from __future__ import annotations

import enum
import math

from hal.interfaces import Change

LONG_S = 5.0
"""A button that is held for so long turns priority pictures on or off; long enough not to happen by chance."""
PRESS_SPACING_S = 0.1
"""A second press sooner than this is a bad contact, not a finger: people manage eight a second."""


class Wish(enum.Enum):
    """What the unit is asked for."""

    PICTURE = enum.auto()
    PRIORITY_PICTURE = enum.auto()
    TURN_PRIORITY = enum.auto()  # have all pictures be priority pictures from now on, or no more


class Triggers:
    """burst: pictures of each trigger, spacing_s apart. motion_rest_s: from one trigger by motion to the next.

    A trigger while a burst is under way begins it anew, so that no more than one burst is ever owed. Tell every change,
    and ask wishes() after that and at deadline().
    """

    def __init__(self, *, burst: int, spacing_s: float, motion_rest_s: float) -> None:
        self._burst, self._spacing_s, self._motion_rest_s = burst, spacing_s, motion_rest_s
        self._left = 0  # pictures of the burst
        self._next_at = -math.inf
        self._is_urgent = False  # they are priority pictures
        self._pressed_at = -math.inf
        self._long_at = math.inf
        self._moves = False
        self._rests_until = -math.inf

    def button(self, change: Change) -> bool:
        """Pressed or released; whether that was a press that counts. It is one at once, however long it becomes."""
        self._long_at = change.at + LONG_S if change.on else math.inf
        if not change.on or change.at < self._pressed_at + PRESS_SPACING_S:
            return False
        self._pressed_at = change.at
        self._begin(change.at, urgent=False)
        return True

    def motion(self, change: Change) -> bool:
        """The sensor sees something move, or no more; whether that was a trigger."""
        self._moves = change.on
        return self.moves_on(change.at)

    def moves_on(self, now: float) -> bool:
        """Whether what the sensor (still) sees is a trigger now: it rests after each."""
        if not self._moves or now < self._rests_until:
            return False
        self._rests_until = now + self._motion_rest_s
        self._begin(now, urgent=False)
        return True

    def tamper(self, change: Change) -> bool:
        """The case was opened or closed; whether that was a trigger."""
        if change.on:
            self._begin(change.at, urgent=True)
        return change.on

    def wishes(self, now: float) -> list[Wish]:
        """What is to be done now."""
        found = []
        if self._left and now >= self._next_at:
            self._left -= 1
            self._next_at = now + self._spacing_s
            found.append(Wish.PRIORITY_PICTURE if self._is_urgent else Wish.PICTURE)
        if now >= self._long_at:
            self._long_at = math.inf
            found.append(Wish.TURN_PRIORITY)
        return found

    def deadline(self) -> float | None:
        """When moves_on() and wishes() are wanted."""
        times = [self._long_at]
        if self._left:
            times.append(self._next_at)
        if self._moves:
            times.append(self._rests_until)
        due = min(times)
        return None if due == math.inf else due

    def _begin(self, at: float, *, urgent: bool) -> None:
        self._is_urgent = urgent or (self._is_urgent and self._left > 0)
        self._left, self._next_at = self._burst, at
