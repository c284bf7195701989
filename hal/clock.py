"""The machine's clock: monotonic time, and wall time with the kernel's own word on whether it is right."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from hal.interfaces import TimeQuality

# What adjtimex(2) returns while nobody keeps the clock right (or it cannot be asked: -1).
_TIME_ERROR = 5
_FAILED = -1

# More than struct timex takes anywhere (208 bytes). All zeros, so its `modes` ask for no change.
_TIMEX_BYTES = 512

# Made by systemd-timesyncd at its first synchronisation since the machine started.
_TIMESYNC_MARK = Path("/run/systemd/timesync/synchronized")

_libc = ctypes.CDLL(None)


def kernel_is_synchronised() -> bool:
    """Whether the kernel takes its wall time for right: an NTP daemon set it and keeps it."""
    return _libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) not in (_FAILED, _TIME_ERROR)


class SystemClock:
    """The Clock of a real unit. Never says PEER: time heard from other units is the core's affair."""

    def monotonic(self) -> float:
        """Seconds since some start, usually the machine's."""
        return time.monotonic()

    def wall(self) -> tuple[float, TimeQuality]:
        """Unix time, SYNCED if an NTP daemon vouches for it, else UNSET."""
        synced = kernel_is_synchronised() or _TIMESYNC_MARK.exists()
        return time.time(), TimeQuality.SYNCED if synced else TimeQuality.UNSET
