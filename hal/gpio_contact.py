"""A Contact on a GPIO pin: the library's callback only queues, the loop debounces and looks at the level again."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque

from hal.debounce import Debouncer
from hal.errors import PinError
from hal.gpio import Gpio, attempt, give_back, watch_edges
from hal.interfaces import Change, Clock

MAX_EDGES = 256
"""Edges that wait for the loop; a press bounces some ten times. Of more the oldest are forgotten: the level at the end
is looked at anyway."""


class GpioContact:
    """on_at: the level at which it is on. pull: PUD_UP or PUD_DOWN, where the pin is while nothing drives it.

    Edges wake the loop once; from then on only deadline() does until the contact rests, so that a pin that swings
    without end costs the loop no more than one look each SETTLE_S.
    """

    def __init__(self, gpio: Gpio, pin: int, clock: Clock, *, on_at: int, pull: int) -> None:
        """Takes the pin; PinError where that cannot be."""
        self._gpio, self._pin, self._clock, self._on_at = gpio, pin, clock, on_at
        self.problem: str | None = None
        self._edges: deque[tuple[bool, float]] = deque(maxlen=MAX_EDGES)
        self._lock = threading.Lock()  # between the library's thread and ours: the descriptor, and whether it wakes
        self._wakes = True
        attempt(f"GPIO {pin} cannot be an input", lambda: gpio.setup(pin, gpio.IN, pull_up_down=pull))
        self._fd: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            watch_edges(gpio, pin, self._edge)
            self._debouncer = Debouncer(self._level())  # after edges are reported: none falls between
        except PinError:
            self.close()
            raise

    @property
    def on(self) -> bool:
        """What it has settled at."""
        return self._debouncer.on

    def fileno(self) -> int | None:
        """Readable after an edge; None after close()."""
        return self._fd

    def deadline(self) -> float | None:
        """When it will have settled, if nothing more happens; None where nothing more is found out."""
        return None if self._fd is None or self.problem is not None else self._debouncer.deadline()

    def changes(self) -> list[Change]:
        """Whatever has settled since the last call."""
        if self._fd is None or self.problem is not None:
            return []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        found = []
        while self._edges:
            found.append(self._debouncer.edge(*self._edges.popleft()))
        try:
            found.append(self._debouncer.look(self._level(), self._clock.monotonic()))
        except PinError as error:
            self.problem = str(error)
        self._rest()
        return [change for change in found if change is not None]

    def close(self) -> None:
        """No more edges, the pin is given back; safe to call twice."""
        with self._lock:
            fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(PinError):
                give_back(self._gpio, self._pin)
            os.close(fd)

    def _level(self) -> bool:
        level = attempt(f"GPIO {self._pin} cannot be read", lambda: self._gpio.input(self._pin))
        return level == self._on_at

    def _rest(self) -> None:
        """Let the next edge wake the loop, if the contact rests; one that came meanwhile has not."""
        with self._lock:
            self._wakes = self._debouncer.deadline() is None
            if self._wakes and self._edges:
                self._wake()

    def _edge(self, _pin: int) -> None:
        """In the library's thread. A level that cannot be read is found out by the loop."""
        with self._lock, contextlib.suppress(PinError):
            if self._fd is None:
                return
            if self._wakes:
                self._wake()
            self._edges.append((self._level(), self._clock.monotonic()))

    def _wake(self) -> None:
        assert self._fd is not None
        self._wakes = False
        os.eventfd_write(self._fd, 1)
