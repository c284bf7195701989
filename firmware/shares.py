"""Fair shares of the room that a unit has for others (DESIGN §5): pure, what was asked and what is held handed in.

A unit may use what no other one asks for. Where what is left does not do for what the others asked for lately, the one
above an equal share is refused first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from hal.light_dataclass import dataclass

MEMORY_S = 24 * 3600.0
"""What a unit asked for fades to 1/e within this: a day has all hours of what cameras see. Guess."""
REFUSED_S = 3600.0
"""A refused picture is asked for again within this, or not any more: twice the longest retry_after of a full host."""
MAX_UNITS = 64
"""Units remembered; beyond it the one that asked longest ago is forgotten."""


def may_take(asker: int, size_bytes: int, held: Mapping[int, int], asked: Mapping[int, float], room_bytes: int) -> bool:
    """Whether a unit may have so much more, by its share. held: bytes held or promised, asked: bytes asked for lately,
    by unit; room_bytes: what all of them may use together.

    The share is equal among those that ask; of what those hold that do not, nothing is divided.
    """
    asking = asked.keys() | {asker}
    divided_bytes = room_bytes - sum(size for unit, size in held.items() if unit not in asking)
    share_bytes = max(0, divided_bytes) / len(asking)
    if held.get(asker, 0) + size_bytes <= share_bytes:
        return True
    left_bytes = room_bytes - sum(held.values()) - size_bytes
    return left_bytes >= sum(
        min(asked[unit], max(0.0, share_bytes - held.get(unit, 0))) for unit in sorted(asking) if unit != asker
    )


@dataclass(slots=True)
class Asked:
    """What one unit asked for. faded_bytes: as of `at`. refused_bytes: of the one last refused, until one is taken."""

    at: float
    faded_bytes: float = 0.0
    refused_bytes: int = 0
    refused_at: float = 0.0


@dataclass(slots=True)
class Demand:
    """Who asked for how much lately."""

    _units: dict[int, Asked] = field(default_factory=dict)  # the one that asked longest ago first

    def taken(self, unit: int, size_bytes: int, now: float) -> None:
        """A picture of this unit was taken in."""
        asked = self._of(unit, now)
        asked.faded_bytes = _faded(asked, now) + size_bytes
        asked.at = now
        asked.refused_bytes = 0

    def refused(self, unit: int, size_bytes: int, now: float) -> None:
        """A picture of this unit found no room; it is asked for again, and counts once."""
        asked = self._of(unit, now)
        asked.refused_bytes = size_bytes
        asked.refused_at = now

    def bytes_by_unit(self, now: float) -> dict[int, float]:
        """Of each that asked lately."""
        asked = {
            unit: _faded(a, now) + (a.refused_bytes if now < a.refused_at + REFUSED_S else 0)
            for unit, a in self._units.items()
        }
        return {unit: size for unit, size in asked.items() if size >= 1}

    def forget(self, unit: int) -> None:
        """It is there no more."""
        self._units.pop(unit, None)

    def _of(self, unit: int, now: float) -> Asked:
        asked = self._units.pop(unit, None) or Asked(now)
        if len(self._units) >= MAX_UNITS:
            del self._units[next(iter(self._units))]
        self._units[unit] = asked
        return asked


def _faded(asked: Asked, now: float) -> float:
    return asked.faded_bytes * math.exp((asked.at - now) / MEMORY_S)
