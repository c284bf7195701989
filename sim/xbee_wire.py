"""The serial line from a host to its simulated XBee module, at its pace."""

from __future__ import annotations

import math
from typing import Final

GRAIN_BYTES: Final = 16
"""The serial line is looked at in steps of so many bytes: less than CTS has in reserve."""


class Wire:
    """The serial line from the host: bytes that it has said, one after the other, and those that have not come yet."""

    def __init__(self) -> None:
        self.is_watched = False  # somebody waits for the next grain
        self._waiting = bytearray()
        self._from = -math.inf  # the first of those that wait is on the line since then

    @property
    def waiting_bytes(self) -> int:
        """What the host has said and the module has not heard."""
        return len(self._waiting)

    def add(self, data: bytes, now: float) -> None:
        """The host says more."""
        if not self._waiting:
            self._from = max(now, self._from)
        self._waiting += data

    def hold(self) -> None:
        """The host waits: what is left begins anew later."""
        self._from = -math.inf

    def due_at(self, bytes_per_s: float, now: float) -> float:
        """When the next grain has come."""
        if self._from == -math.inf:
            self._from = now
        self._from += min(len(self._waiting), GRAIN_BYTES) / bytes_per_s
        return self._from

    def take(self) -> bytes:
        """The next grain; it has come."""
        data = bytes(self._waiting[:GRAIN_BYTES])
        del self._waiting[: len(data)]
        return data
