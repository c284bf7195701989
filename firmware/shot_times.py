"""How long it takes from the shutter to the durable picture, as `status` tells it. Pure."""

from __future__ import annotations

import math
from collections import deque

MOST_TIMES = 256
"""Of the last so many pictures: a day or two of a camera with an interval."""


class ShotTimes:
    """Seconds from the press until the picture was durable, waiting for room and for the camera included."""

    def __init__(self) -> None:
        self.count = 0
        self._last: deque[float] = deque(maxlen=MOST_TIMES)

    def add(self, seconds: float) -> None:
        """A picture is durable."""
        self.count += 1
        self._last.append(seconds)

    def row(self) -> dict[str, float | int | None]:
        """taken since the start of the unit; last, and within which half and 99 % of the last MOST_TIMES were."""
        ordered = sorted(self._last)

        def within(share: float) -> float | None:
            return round(ordered[math.ceil(share * len(ordered)) - 1], 3) if ordered else None

        last = round(self._last[-1], 3) if self._last else None
        return {"taken": self.count, "last_s": last, "p50_s": within(0.5), "p99_s": within(0.99)}
