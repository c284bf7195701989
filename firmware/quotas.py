"""How much one unit may ask for: a member that floods the others takes no more than its share (HANDOVER §5)."""

from __future__ import annotations

from dataclasses import dataclass

from firmware import messages as m
from firmware.errors import Flooded

EXCHANGE_BYTES = 90
"""The least that a question and its answer take of the line (PROVE and PROOF take 95): whoever asks more often than
these fit wants no answers."""
BURST_S = 2.0
"""So many seconds' worth may come at once. Guess."""
MAX_UNITS = 256
"""Units whose share is remembered; as many as a roster has."""

_FREE = (m.Part, m.Report)  # of transfers that we have agreed to, at most one a frame of theirs


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Buckets:
    """A token bucket for each unit: so many at once, and so many more a second."""

    def __init__(self, at_once: float, per_s: float) -> None:
        self._at_once = at_once
        self._per_s = per_s
        self._buckets: dict[int, _Bucket] = {}

    def take(self, unit: int, now: float) -> None:
        """Raises Flooded where it is one too many."""
        bucket = self._buckets.get(unit)
        if bucket is None:
            if len(self._buckets) >= MAX_UNITS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[unit] = _Bucket(self._at_once, now)
        bucket.left = min(self._at_once, bucket.left + self._per_s * (now - bucket.at))
        bucket.at = now
        if bucket.left < 1:
            raise Flooded(f"unit {unit} asks for more than its share")
        bucket.left -= 1


class Quotas:
    """Filled as fast as the line carries questions and answers."""

    def __init__(self, line_bytes_per_s: float) -> None:
        per_s = line_bytes_per_s / EXCHANGE_BYTES
        self._buckets = Buckets(BURST_S * per_s, per_s)

    def take(self, unit: int, message: m.Message, now: float) -> None:
        """A message of this unit; raises Flooded where it is one too many."""
        if not isinstance(message, _FREE):
            self._buckets.take(unit, now)
