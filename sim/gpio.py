"""RPi.GPIO's interface, as far as hal/gpio.py uses it, on pins made of memory; and what is wired to them.

As the libraries do: edges are queued, and callbacks come on a thread of its own, later, where levels may have changed
again; what a callback raises is printed and forgotten; wrong use, a pin that another process has, no permission and a
kernel without edges raise what they raise, rpi-lgpio's plain Exceptions among them.

Not simulated: BOARD numbers, bouncetime, edges of one direction, several callbacks on a pin, PWM, event_detected and
wait_for_edge; other functions of pins (UART, I²C); voltages, noise on a pin that nothing pulls (it reads 0), and
a callback that comes after its pin was given back.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterable
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
    """What this machine refuses. no_access: the chip; taken: pins of another process; no_edges: RPi.GPIO on kernel 6.6;
    broken: pins that fail from now on."""

    no_access: bool = False
    taken: frozenset[int] = frozenset()
    no_edges: bool = False
    broken: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Pin:
    outside: int | None = None  # what is wired to it drives it so; None: nothing does
    is_output: bool = False
    is_used: bool = False
    pull: int = 20
    value: int = 0  # set as an output
    callback: Callable[[int], object] | None = None
    seen: Callable[[int], object] = lambda _level: None


@dataclass(slots=True)
class SimGpio:
    """The module. drive() and bounce() are the hands at the wires, level() and watch() the eye at an LED."""

    faults: GpioFaults = GpioFaults()
    BCM: int = 11
    OUT: int = 0
    IN: int = 1
    LOW: int = 0
    HIGH: int = 1
    PUD_OFF: int = 20
    PUD_DOWN: int = 21
    PUD_UP: int = 22
    BOTH: int = 33
    _mode: int | None = None
    _pins: list[_Pin] = field(default_factory=lambda: [_Pin() for _ in range(PINS)])
    _edges: queue.SimpleQueue[tuple[Callable[[int], object], int] | threading.Event] = field(
        default_factory=queue.SimpleQueue
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        threading.Thread(target=self._call_back, name="simulated GPIO", daemon=True).start()

    # ------------------------------------------------------------ what is outside

    def drive(self, pin: int, level: int | None) -> None:
        """What is wired to the pin pulls it there from now on; None: it lets go, as an open contact."""
        with self._lock:
            wired = self._pins[pin]
            before = self._level(wired)
            wired.outside = level
            if self._level(wired) != before and wired.callback is not None:
                self._edges.put((wired.callback, pin))

    def bounce(self, pin: int, levels: Iterable[int | None]) -> None:
        """One level after the other, faster than anybody looks."""
        for level in levels:
            self.drive(pin, level)

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

    def told(self) -> None:
        """Waits until every edge so far has been reported."""
        reached = threading.Event()
        self._edges.put(reached)
        reached.wait()

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

    def add_event_detect(self, channel: int, edge: int, callback: Callable[[int], object]) -> None:
        """Report both edges of an input."""
        if edge != self.BOTH:
            raise ValueError("The edge must be set to RISING, FALLING or BOTH")
        with self._lock:
            pin = self._checked(channel)
            if not pin.is_used or pin.is_output:
                raise RuntimeError("You must setup() the GPIO channel as an input first")
            if pin.callback is not None:
                raise RuntimeError("Conflicting edge detection already enabled for this GPIO channel")
            if self.faults.no_edges:
                raise RuntimeError("Failed to add edge detection")
            pin.callback = callback

    def remove_event_detect(self, channel: int, /) -> None:
        """Report none any more; fine where none was."""
        with self._lock:
            self._checked(channel).callback = None

    def cleanup(self, channel: int, /) -> None:
        """Give a pin back; fine where it was not taken."""
        with self._lock:
            pin = self._checked(channel)
            pin.is_used, pin.is_output, pin.pull, pin.callback = False, False, self.PUD_OFF, None

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

    def _call_back(self) -> None:
        """The library's thread."""
        while True:
            match self._edges.get():
                case threading.Event() as reached:
                    reached.set()
                case (callback, pin):
                    try:
                        callback(pin)
                    except Exception as error:  # noqa: BLE001 - as the libraries do
                        print(error, file=sys.stderr)
