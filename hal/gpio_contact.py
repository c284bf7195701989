"""A Contact on a GPIO pin: the sampler's thread reads and debounces it, the loop is woken by what has settled."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from functools import partial

from hal.debounce import Debouncer
from hal.errors import PinError
from hal.gpio import Gpio, attempt, give_back
from hal.interfaces import Change
from hal.sampling import Sampler

MAX_CHANGES = 64
"""Changes that wait for the loop: 2 s of a contact that swings as fast as it can be told. Of more the oldest are
forgotten, and what it is at is right in the end."""


class GpioContact:
    """on_at: the level at which it is on. pull: PUD_UP or PUD_DOWN, where the pin is while nothing drives it."""

    def __init__(self, gpio: Gpio, pin: int, sampler: Sampler, *, on_at: int, pull: int) -> None:
        """Takes the pin; PinError where that cannot be."""
        self._gpio, self._pin, self._sampler, self._on_at = gpio, pin, sampler, on_at
        self.problem: str | None = None
        self._read, self._cannot = partial(gpio.input, pin), f"GPIO {pin} cannot be read"  # made once: used often
        attempt(f"GPIO {pin} cannot be an input", lambda: gpio.setup(pin, gpio.IN, pull_up_down=pull))
        try:
            self.on = self._level()
        except PinError:
            self._give_back()
            raise
        self._debouncer = Debouncer(self.on)
        self._settled: deque[Change] = deque(maxlen=MAX_CHANGES)  # appended to by the sampler's thread, emptied by ours
        self._fd: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        sampler.add(self._look)

    def fileno(self) -> int | None:
        """Readable once it has settled at another level, or can no longer be read; None after close()."""
        return self._fd

    def changes(self) -> list[Change]:
        """Whatever has settled since the last call."""
        if self._fd is None:
            return []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        found = []
        while self._settled:
            found.append(self._settled.popleft())
            self.on = found[-1].on
        return found

    def close(self) -> None:
        """Nobody looks any more, the pin is given back; safe to call twice."""
        if self._fd is not None:
            self._sampler.remove(self._look)
            self._give_back()
            os.close(self._fd)
            self._fd = None

    def _level(self) -> bool:
        return attempt(self._cannot, self._read) == self._on_at

    def _give_back(self) -> None:
        with contextlib.suppress(PinError):
            give_back(self._gpio, self._pin)

    def _look(self, now: float) -> bool:
        """In the sampler's thread, and never once close() has been called."""
        if self.problem is not None:
            return False
        try:
            change = self._debouncer.look(self._level(), now)
        except PinError as error:
            self.problem = str(error)
            self._wake()
            return False
        if change is not None:
            self._settled.append(change)
            self._wake()
        return self._debouncer.is_unsure

    def _wake(self) -> None:
        assert self._fd is not None
        os.eventfd_write(self._fd, 1)
