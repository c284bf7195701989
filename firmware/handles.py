"""Handles of pictures on their way in: one byte each, not used again within its TTL (HANDOVER §2, Messages)."""

from __future__ import annotations

from collections.abc import Iterable

from firmware.messages import FIRST_COPY_HANDLE


class Handles:
    """Gives 1..127 in turn; a handle that is over rests until its TTL is."""

    def __init__(self) -> None:
        self._last = 0
        self._resting: dict[int, float] = {}  # handle -> until when; at most one entry a handle

    def give(self, in_use: Iterable[int], now: float) -> int:
        """The next one that is neither in use nor resting; 0: none for now."""
        taken = {*in_use, *(handle for handle, until in self._resting.items() if until > now)}
        for step in range(FIRST_COPY_HANDLE - 1):
            handle = (self._last + step) % (FIRST_COPY_HANDLE - 1) + 1
            if handle not in taken:
                self._last = handle
                return handle
        return 0

    def rest(self, handle: int, until: float) -> None:
        """It is over; its TTL ends then."""
        self._resting[handle] = until
