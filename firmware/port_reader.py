"""When the radio's port is read: as the loop says that bytes have come, but not for every few of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from hal.interfaces import Radio

READS_AT_ONCE = 4
READ_EVERY_S = 0.020
READ_EVERY_BYTES = 512
"""A UART wakes its reader for each 8 bytes, 1400 times a second at 115200, and only the last wake-up of a frame brings
a packet. So after so many reads without one the port is left alone for so long, or for so many bytes of line time where
that is less: the kernel keeps 4 kB (TRAPS), and short frames are not delayed."""


class PortReader:
    """Watches the radio's descriptor, which changes when the port goes away and comes back."""

    def __init__(
        self,
        radio: Radio,
        loop: asyncio.AbstractEventLoop,
        listen: Callable[[], bool],
        *,
        turn: Callable[[], None],
        wake: Callable[[float], None],
    ) -> None:
        """listen: takes what has come, True if there were whole packets. turn: called where there is something new.
        wake: called where there is not, with the time by which a turn is due for the radio."""
        self._radio = radio
        self._loop = loop
        self._listen = listen
        self._turn = turn
        self._wake = wake
        self._watched: int | None = None
        self._reads = 0  # since the last packet
        self._pause: asyncio.TimerHandle | None = None  # until the port is read again

    def watch(self) -> None:
        """To be called after whatever may have opened or closed the port."""
        if self._pause is None:
            self._watch(self._radio.fileno())

    def end(self) -> None:
        """Leave the port alone from now on."""
        if self._pause is not None:
            self._pause.cancel()
        self._watch(None)

    def _watch(self, descriptor: int | None) -> None:
        if descriptor == self._watched:
            return
        if self._watched is not None:
            with suppress(OSError, ValueError):
                self._loop.remove_reader(self._watched)
        self._watched = descriptor
        if descriptor is not None:
            self._loop.add_reader(descriptor, self._readable)

    def _readable(self) -> None:
        radio = self._radio
        self._pause = None
        before_bytes, had_room = radio.counts.bytes_in, radio.room > 0
        packets = self._listen()
        has_room = not had_room and radio.room > 0  # a module has told that it takes more
        if packets or has_room or radio.counts.bytes_in == before_bytes or radio.fileno() is None:
            self._reads = 0
            self._turn()
            return
        if (due := radio.deadline()) is not None:  # half a frame is not waited for for ever; a module was asked
            self._wake(due)
        self._reads += 1  # a frame has begun and goes on
        if self._reads >= READS_AT_ONCE:
            self._watch(None)
            pause_s = min(READ_EVERY_S, READ_EVERY_BYTES / radio.line_bytes_per_s)
            self._pause = self._loop.call_later(pause_s, self._readable)
