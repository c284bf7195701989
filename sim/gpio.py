"""RPi.GPIO's interface, as far as hal/gpio.py uses it, on pins made of memory; and what is wired to them.

Any thread may call it. Wrong use, a pin that another process has and no permission raise what they raise in the
libraries, rpi-lgpio's plain Exceptions among them.

Not simulated: BOARD numbers, edges, PWM; other functions of pins (UART, I²C); voltages, and noise on a pin that nothing
pulls (it reads 0).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import field

from hal.light_dataclass import dataclass

PINS = 54
"""Of a BCM chip; 0 to 27 are on the header."""


class PlainError(Exception):
    """What lgpio.error is: no RuntimeError, and its text is in quotation marks."""

    def __str__(self) -> str:
        return repr(self.args[0])


@dataclass(frozen=True, slots=True)
class GpioFaults:
    """What this machine refuses. no_access: the chip; taken: pins of another process; broken: pins that fail from now
    on."""

    no_access: bool = False
    taken: frozenset[int] = frozenset()
    broken: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Pin:
    outside: int | None = None  # what is wired to it drives it so; None: nothing does
    is_output: bool = False
    is_used: bool = False
    pull: int = 20
    value: int = 0  # set as an output
    seen: Callable[[int], object] = lambda _level: None


@dataclass(slots=True)
class SimGpio:
    """The module. drive() is the hands at the wires, level() and watch() the eye at an LED."""

    faults: GpioFaults = GpioFaults()
    BCM: int = 11
    OUT: int = 0
    IN: int = 1
    LOW: int = 0
    HIGH: int = 1
    PUD_OFF: int = 20
    PUD_DOWN: int = 21
    PUD_UP: int = 22
    _mode: int | None = None
    _pins: list[_Pin] = field(default_factory=lambda: [_Pin() for _ in range(PINS)])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # ------------------------------------------------------------ what is outside

    def drive(self, pin: int, level: int | None) -> None:
        """What is wired to the pin pulls it there from now on; None: it lets go, as an open contact."""
        with self._lock:
            self._pins[pin].outside = level

    def level(self, pin: int) -> int:
        """What a voltmeter would show."""
        with self._lock:
            return self._level(self._pins[pin])

    def watch(self, pin: int, seen: Callable[[int], object]) -> None:
        """Be told of each level that the pin is set to as an output."""
        self._pins[pin].seen = seen

    def is_used(self, pin: int) -> bool:
        """Whether the pin was taken and not given back."""
        with self._lock:
            return self._pins[pin].is_used

    # ------------------------------------------------------------ the library's interface

    def setmode(self, mode: int, /) -> None:
        """BCM only."""
        if self._mode not in (None, mode):
            raise ValueError("A different mode has already been set!")
        if mode != self.BCM:
            raise ValueError("An invalid mode was passed to setmode()")
        if self.faults.no_access:
            raise PlainError("can not open gpiochip")
        self._mode = mode

    def setwarnings(self, on: bool, /) -> None:
        """It never warns."""

    def setup(self, channel: int, direction: int, pull_up_down: int | None = None, initial: int | None = None) -> None:
        """Take a pin."""
        if direction not in (self.IN, self.OUT):
            raise ValueError("An invalid direction was passed to setup()")
        if direction == self.OUT and pull_up_down is not None:
            raise ValueError("pull_up_down parameter is not valid for outputs")
        if direction == self.IN and initial is not None:
            raise ValueError("initial parameter is not valid for inputs")
        with self._lock:
            pin = self._checked(channel)
            if channel in self.faults.taken:
                raise PlainError("GPIO busy")
            pin.is_used, pin.is_output = True, direction == self.OUT
            pin.pull = self.PUD_OFF if pull_up_down is None else pull_up_down
            pin.value = int(bool(initial))

    def input(self, channel: int, /) -> int:
        """The level of a pin that was taken."""
        with self._lock:
            pin = self._checked(channel)
            if not pin.is_used:
                raise RuntimeError("You must setup() the GPIO channel first")
            return self._level(pin)

    def output(self, channel: int, value: int, /) -> None:
        """Set the level of an output."""
        with self._lock:
            pin = self._checked(channel)
            if not (pin.is_used and pin.is_output):
                raise RuntimeError("The GPIO channel has not been set up as an OUTPUT")
            pin.value = int(bool(value))
        pin.seen(pin.value)

    def cleanup(self, channel: int, /) -> None:
        """Give a pin back; fine where it was not taken."""
        with self._lock:
            pin = self._checked(channel)
            pin.is_used, pin.is_output, pin.pull = False, False, self.PUD_OFF

    # ------------------------------------------------------------ inside

    def _checked(self, channel: int) -> _Pin:
        if self._mode is None:
            raise RuntimeError("Please set pin numbering mode using GPIO.setmode(GPIO.BOARD) or GPIO.setmode(GPIO.BCM)")
        if not 0 <= channel < PINS:
            raise ValueError("The channel sent is invalid on a Raspberry Pi")
        if channel in self.faults.broken:
            raise PlainError("bad GPIO read")
        return self._pins[channel]

    def _level(self, pin: _Pin) -> int:
        if pin.is_output:
            return pin.value
        if pin.outside is not None:
            return pin.outside
        return int(pin.pull == self.PUD_UP)
