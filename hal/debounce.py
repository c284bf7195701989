"""Takes the bounces out of a contact: levels and the times at which they were seen in, settled changes out. Pure."""

from __future__ import annotations

from hal.interfaces import Change

SETTLE_S = 0.025
"""A level counts once nothing has happened for so long. Contacts bounce for 2 ms mostly, rarely for 20; a finger is on
a button for 60 ms and more (gpiozero #378 and TRAPS: 20 to 30 ms)."""


class Debouncer:
    """One contact. `on`: what it has settled at.

    A library's own debouncing reports the first edge after a pause, and takes the bounces of a *release* for a press.
    Here a change is what stays: nothing but the last level before SETTLE_S of quiet counts.
    """

    def __init__(self, on: bool) -> None:
        self.on = on
        self._level = on
        self._edge_at: float | None = None  # the last one, while it has not settled

    def edge(self, level: bool, at: float) -> Change | None:
        """The contact has moved, and this level was seen right after; times never go back. Gives what it had settled at
        before that."""
        change = self._settle(at)
        self._level, self._edge_at = level, at
        return change

    def look(self, level: bool, now: float) -> Change | None:
        """What is there now, to be told at deadline(). Where it is not what the last edge has told, that did not last:
        an edge was missed."""
        if level != self._level:
            self._level, self._edge_at = level, now
            return None
        return self._settle(now)

    def deadline(self) -> float | None:
        """When look() is wanted; None while nothing moves."""
        return None if self._edge_at is None else self._edge_at + SETTLE_S

    def _settle(self, now: float) -> Change | None:
        if self._edge_at is None or now < self._edge_at + SETTLE_S:
            return None
        at, self._edge_at = self._edge_at, None
        if self._level == self.on:
            return None
        self.on = self._level
        return Change(self.on, at)
