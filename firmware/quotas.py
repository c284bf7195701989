"""How much one unit may ask for: a member that floods the others takes no more than its share (HANDOVER §5)."""

from __future__ import annotations

from firmware import messages as m
from firmware.core import MAX_TO_ONE
from firmware.errors import Flooded
from hal.light_dataclass import dataclass

EXCHANGE_BYTES = 75
"""Of the line for a question and its answer; most take more (PROVE and PROOF 95), so that whoever asks more often than
these fit wants no answers. Two units on a full-duplex line of 9600 baud that make a list of 600 pictures anew, the most
that units ask one another, ask once each 92 bytes (measured)."""
BURST_S = 2.0
"""So many seconds' worth may come at once, and no less than waits in one unit's outbox for another. Guess."""
MAX_UNITS = 256
"""Units whose quota is remembered; as many as a roster has."""

_ANSWERS = (
    *(m.Part, m.Report, m.Accept, m.Refuse, m.Expired, m.Stored, m.Keep, m.Proof, m.RecordsKept),
    *(m.At, m.Unknown, m.Copy, m.RefuseGet),
)
"""What comes of our own questions and of transfers that we have agreed to: whoever says it unasked is not heeded."""


@dataclass(slots=True)
class Bucket:
    """Tokens: so many at most, and so many more each second."""

    left: float
    at: float

    def take(self, now: float, most: float, per_s: float) -> bool:
        """One; False: there is none."""
        self.left = min(most, self.left + per_s * (now - self.at))
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Buckets:
    """One for each unit; full in the beginning."""

    def __init__(self, most: float, per_s: float) -> None:
        self._most = most
        self._per_s = per_s
        self._all: dict[int, Bucket] = {}

    def take(self, unit: int, now: float) -> bool:
        """One of this unit's; False: it has none."""
        bucket = self._all.get(unit)
        if bucket is None:
            if len(self._all) >= MAX_UNITS:
                del self._all[next(iter(self._all))]
            bucket = self._all[unit] = Bucket(self._most, now)
        return bucket.take(now, self._most, self._per_s)


class Quotas:
    """Filled as fast as the line carries questions and answers."""

    def __init__(self, line_bytes_per_s: float) -> None:
        per_s = line_bytes_per_s / EXCHANGE_BYTES
        self._buckets = Buckets(max(BURST_S * per_s, MAX_TO_ONE), per_s)

    def take(self, unit: int, message: m.Message, now: float) -> None:
        """A message of this unit; raises Flooded where it is one too many."""
        if not isinstance(message, _ANSWERS) and not self._buckets.take(unit, now):
            raise Flooded(f"unit {unit} says more than the line carries answers for")
