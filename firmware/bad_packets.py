"""Packets that were thrown away: counted by cause, logged now and then, an alarm where there are too many."""

from __future__ import annotations

from collections import Counter

from firmware.core import Core
from firmware.errors import ClonedUnit, Flooded, ForeignSession, NewerEpoch, OlderEpoch, PeerError, Replayed, WrongSeal
from hal.light_dataclass import dataclass

LOG_S = 60.0
"""A cause is logged at most this often."""
ALARM_PER_MINUTE = 30
"""So many of one cause within a minute are an alarm."""
STARTING_S = 10.0
"""So long after a start frames of sessions that this unit does not have are no alarm: what is under way for the start
before, a burst of up to 4 s on a half-duplex channel, 237 of the smallest packets."""
ALARM_S = 600.0
"""An alarm is a problem in `status` for so long after its last such minute, and is logged again only then."""

_NO_MISTAKE = (NewerEpoch, OlderEpoch)  # how units learn of rosters; whatever is in such frames is not looked at
_ALARMS = {
    WrongSeal: "many frames with a wrong seal come in: somebody forges them or says again what was recorded, or "
    "another network is in range",
    Replayed: "many frames come in that were said before: somebody records them and says them again",
    ForeignSession: "many frames come in of sessions that this unit does not have: somebody says again what was "
    "recorded, or a unit starts again and again",
    Flooded: "a unit of this network asks for more than the line carries answers for",
    ClonedUnit: "another unit sends under the number of this one",
}
"""What a person is told of the causes that somebody is behind; of the others only that there are many."""


@dataclass(slots=True)
class _Cause:
    minute_from: float
    in_minute: int = 0
    logged_at: float | None = None
    alarm_at: float | None = None


class BadPackets:
    """counts: by the name of the error, since the start."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.counts: Counter[str] = Counter()
        self._causes: dict[type[PeerError], _Cause] = {}

    def add(self, error: PeerError) -> None:
        """One was thrown away."""
        now, kind = self._core.now, type(error)
        self.counts[kind.__name__] += 1
        starting = isinstance(error, ForeignSession) and now < self._core.started + STARTING_S
        if isinstance(error, _NO_MISTAKE) or starting:
            return
        cause = self._causes.setdefault(kind, _Cause(now))
        if now >= cause.minute_from + 60.0:
            cause.minute_from, cause.in_minute = now, 0
        cause.in_minute += 1
        if cause.in_minute >= ALARM_PER_MINUTE or kind is ClonedUnit:
            self._alarm(kind, cause, error)
        elif cause.logged_at is None or now >= cause.logged_at + LOG_S:
            cause.logged_at = now
            self._core.log("radio", f"a bad packet was thrown away: {_why(error)}")

    def _alarm(self, kind: type[PeerError], cause: _Cause, error: PeerError) -> None:
        now = self._core.now
        if cause.alarm_at is None or now >= cause.alarm_at + ALARM_S:
            self._core.log("alarm", f"{_told(kind)}; such packets are thrown away; the last one: {_why(error)}")
        cause.alarm_at = now

    def problems(self) -> list[str]:
        """What a person should know of now."""
        causes = self._causes.items()
        return [
            _told(kind)
            for kind, cause in causes
            if cause.alarm_at is not None and self._core.now < cause.alarm_at + ALARM_S
        ]


def _told(kind: type[PeerError]) -> str:
    return _ALARMS.get(kind, f"many bad packets come in ({kind.__name__})")


def _why(error: PeerError) -> str:
    """What it was, and what a person can do; what was done with it is said by whoever tells."""
    return "; ".join(part for part in (error.what, error.can) if part)
