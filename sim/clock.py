"""A clock moved by hand: the only source of time in a simulation."""

from __future__ import annotations

from hal.interfaces import TimeQuality

# Starts that nobody mistakes for real ones: 2001-09-09T01:46:40Z, and a monotonic time that is not 0.
WALL_START_S = 1_000_000_000.0
MONOTONIC_START_S = 1_000.0


class SimClock:
    """Time that passes only in advance() and advance_to(). Wall time goes along, and can be set to anything."""

    def __init__(
        self,
        monotonic_s: float = MONOTONIC_START_S,
        wall_s: float = WALL_START_S,
        quality: TimeQuality = TimeQuality.UNSET,
    ) -> None:
        self._monotonic_s = monotonic_s
        self._wall_ahead_s = wall_s - monotonic_s
        self._quality = quality

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._monotonic_s

    def wall(self) -> tuple[float, TimeQuality]:
        """Unix time and its quality, as last set."""
        return self._monotonic_s + self._wall_ahead_s, self._quality

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.advance_to(self._monotonic_s + seconds)

    def advance_to(self, monotonic_s: float) -> None:
        """Let time pass up to this moment; fine if it is now, an error if it is gone."""
        assert monotonic_s >= self._monotonic_s
        self._monotonic_s = monotonic_s

    def set_wall(self, wall_s: float, quality: TimeQuality) -> None:
        """Wall time jumps; monotonic time does not notice."""
        self._wall_ahead_s = wall_s - self._monotonic_s
        self._quality = quality
