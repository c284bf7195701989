"""Looks at all contacts of a unit again and again. hal/gpio.py says why nobody waits for edges instead."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from hal.debounce import AGAIN_S, PERIOD_S
from hal.interfaces import Clock

Look = Callable[[float], bool]
"""Reads one contact; told the monotonic time. Whether it is to be looked at again soon."""


class Sampler:
    """What there is to look at. Whoever has it calls look() again after so long as it says, and never sooner; one other
    thread may add and remove meanwhile."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: list[Look] = []
        self._lock = threading.Lock()

    def add(self, look: Look) -> None:
        """Call this each time from now on."""
        with self._lock:
            self._looks.append(look)

    def remove(self, look: Look) -> None:
        """It is not called any more, and is not being called, once this returns."""
        with self._lock:
            self._looks.remove(look)

    def look(self) -> float:
        """At everything. Seconds until the next look."""
        with self._lock:
            now = self._clock.monotonic()
            unsure = [look(now) for look in self._looks]
        return AGAIN_S if any(unsure) else PERIOD_S


class SamplingThread(Sampler):
    """Looks by itself, as long as there is anything to look at: the thread ends within remove().

    It waits by select() on a descriptor, as Event.wait() takes half as much processor time again (docs/figures.md).
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._thread: threading.Thread | None = None
        self._end = -1  # the descriptor that ends it

    def add(self, look: Look) -> None:
        """Call this each time from now on, in the thread."""
        super().add(look)
        if self._thread is None:
            self._end = os.eventfd(0, os.EFD_CLOEXEC)
            self._thread = threading.Thread(target=self._run, name="contacts", daemon=True)
            self._thread.start()

    def remove(self, look: Look) -> None:
        """It is not called any more once this returns, and if it was the last there is no thread any more."""
        super().remove(look)
        if self._thread is not None and not self._looks:
            os.eventfd_write(self._end, 1)
            self._thread.join()
            os.close(self._end)
            self._thread = None

    def _run(self) -> None:
        wait_s = PERIOD_S
        while not select.select([self._end], [], [], wait_s)[0]:
            wait_s = self.look()
