"""How often something may be said to one unit, for answers that anybody can provoke."""

from __future__ import annotations

EXPIRED_EVERY_S = 1.0
"""Parts that nobody reserved or asked for are answered by EXPIRED at most this often per unit (HANDOVER O3)."""
MAX_UNITS = 64
"""Units of which the last time is remembered; beyond it the one told longest ago is forgotten."""


class AtMostEvery:
    """One thing, at most every so many seconds to each unit."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._said: dict[int, float] = {}  # the one told longest ago first

    def may(self, unit: int, now: float) -> bool:
        """Whether it may be said to this unit now; then it counts as said."""
        if now - self._said.get(unit, float("-inf")) < self._seconds:
            return False
        self._said.pop(unit, None)
        if len(self._said) >= MAX_UNITS:
            del self._said[next(iter(self._said))]
        self._said[unit] = now
        return True
