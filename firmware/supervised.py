"""What systemd is told of a unit's process: that it gets ready, is ready, gets on (firmware/watchdog.py), ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from hal.service_manager import ServiceManager

PATS_PER_PERIOD = 3
"""Two may come late before the watchdog bites."""
LOOK_EVERY_S = 10.0
"""Where no watchdog asks for less: a camera that hangs is noticed so soon."""
READING_SHARE = 0.01
"""Of the time a start-up that gets on spends computing: it digests what it reads, 20 MB/s of a card are 4 % of the
slowest board. Guess."""


class Supervised:
    """Tells the manager of one process, over all lives that a unit leads in it."""

    def __init__(
        self,
        manager: ServiceManager,
        say: Callable[[str], None],
        *,
        used_s: Callable[[], float] = time.process_time,
    ) -> None:
        """say: for lines that people read. used_s: processor time of this process, in seconds."""
        self._manager = manager
        self._say = say
        self._used_s = used_s
        self._was_ready = False
        self._said = ""
        self.every_s = LOOK_EVERY_S
        if manager.watchdog_s is not None:
            self.every_s = min(LOOK_EVERY_S, manager.watchdog_s / PATS_PER_PERIOD)
        self._used_at = used_s()

    def ready(self, status: str) -> None:
        """The unit answers commands. status: one line about it."""
        self._was_ready = True
        self._manager.tell(READY="1", STATUS=status)

    def ends(self) -> None:
        """The unit was told to end."""
        self._manager.tell(STOPPING="1", STATUS="it was told to end")

    def reads(self) -> None:
        """A look at a unit that is not ready yet: it reads its card, mostly. The manager waits on, if that gets on."""
        used_s = self._used_s()
        gets_on = used_s - self._used_at >= READING_SHARE * self.every_s
        self._used_at = used_s
        if not gets_on:
            return
        if self._was_ready:  # it starts anew in its process
            self._manager.tell(WATCHDOG="1")
        else:
            longer_us = int(2 * PATS_PER_PERIOD * self.every_s * 1e6)
            self._manager.tell(EXTEND_TIMEOUT_USEC=str(longer_us), STATUS="it reads its card")

    def looked(self, standing_still: str) -> None:
        """A look at a unit that runs: which part does not get on, or nothing."""
        if not standing_still:
            self._manager.tell(WATCHDOG="1")
        if bool(standing_still) != bool(self._said):
            told = f"alarm: the unit stands still: {standing_still}" if standing_still else "the unit gets on again"
            if standing_still and self._manager.watchdog_s is not None:
                told += "; the watchdog will start it anew"
            self._say(told)
            self._manager.tell(STATUS=told)
        self._said = standing_still

    async def watch(self, look: Callable[[], str | None]) -> None:
        """Look for ever, each every_s. look: as for looked(); None: the unit is not ready yet."""
        while True:
            found = look()
            if found is None:
                self.reads()
            else:
                self.looked(found)
            await asyncio.sleep(self.every_s)
