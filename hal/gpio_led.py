"""An LED on a GPIO pin, lit while the pin is high."""

from __future__ import annotations

import contextlib

from hal.errors import PinError
from hal.gpio import Gpio, attempt, give_back


class GpioLed:
    """Setting a level is one call into the kernel, or none: nothing blocks."""

    def __init__(self, gpio: Gpio, pin: int) -> None:
        """Takes the pin, dark; PinError where that cannot be."""
        self._gpio, self._pin = gpio, pin
        self._on = self._closed = False
        self.problem: str | None = None
        attempt(f"GPIO {pin} cannot be an output", lambda: gpio.setup(pin, gpio.OUT, initial=gpio.LOW))

    def set(self, on: bool) -> None:
        """Switch it; nothing after close()."""
        if self._closed or on == self._on:
            return
        self._on = on
        try:
            attempt(f"GPIO {self._pin} cannot be set", lambda: self._gpio.output(self._pin, int(on)))
        except PinError as error:
            self.problem = str(error)

    def close(self) -> None:
        """The pin is given back: an input, so it gives no light; safe to call twice."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(PinError):
                give_back(self._gpio, self._pin)
