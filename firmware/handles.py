"""Handles of transfers, one byte each: of pictures on their way in, and out to who asked for them (HANDOVER §2)."""

from __future__ import annotations

from collections.abc import Iterable

from firmware.messages import FIRST_COPY_HANDLE

LAST_COPY_HANDLE = 255
MAX_RESTING = 1024
"""Handles of all units that rest at once; beyond it the one whose rest ends first is free. Eight units' all of them."""


class Handles:
    """For ACCEPT: gives each unit 1..127 in turn; a handle that is over is not used again within its TTL."""

    def __init__(self) -> None:
        self._last = 0
        self._resting: dict[tuple[int, int], float] = {}  # unit, handle -> until when

    def give(self, unit: int, in_use: Iterable[int], now: float) -> int:
        """The next one of this unit that is neither in use nor resting; 0: none for now."""
        resting = (handle for (owner, handle), until in self._resting.items() if owner == unit and until > now)
        taken = {*in_use, *resting}
        for step in range(FIRST_COPY_HANDLE - 1):
            handle = (self._last + step) % (FIRST_COPY_HANDLE - 1) + 1
            if handle not in taken:
                self._last = handle
                return handle
        return 0

    def rest(self, unit: int, handle: int, until: float, now: float) -> None:
        """It is over; its TTL ends then."""
        self._resting = {key: end for key, end in self._resting.items() if end > now}
        if len(self._resting) >= MAX_RESTING:
            del self._resting[min(self._resting, key=lambda key: self._resting[key])]
        if until > now:
            self._resting[unit, handle] = until


class CopyHandles:
    """For COPY: gives 128..255 in turn, each to one picture on its way out at a time, whoever it goes to."""

    def __init__(self) -> None:
        self._last = LAST_COPY_HANDLE
        self._in_use: set[int] = set()

    def give(self) -> int:
        """The next one that is free; far fewer are ever in use."""
        while True:
            self._last = FIRST_COPY_HANDLE if self._last == LAST_COPY_HANDLE else self._last + 1
            if self._last not in self._in_use:
                self._in_use.add(self._last)
                return self._last

    def free(self, handle: int) -> None:
        """It is over."""
        self._in_use.discard(handle)
