"""What is used of RPi.GPIO's interface, and how the library is loaded that provides it: RPi.GPIO itself, or rpi-lgpio.

Both have this module name, so only one of them can be installed. RPi.GPIO knows no Pi 5; rpi-lgpio works on all.

Nothing here has to do with edges: levels are read (hal/sampling.py). RPi.GPIO has no edges since kernel 6.6
(raspberrypi/linux#6037), and reads levels as ever. For rpi-lgpio's, lgpio 0.2.2 has a thread that wakes each 0.5 ms as
long as one is waited for (src/lgPthAlerts.c): some three times what reading takes (docs/figures.md).
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar, cast

from hal.errors import PinError

T = TypeVar("T")

_DID = "the unit goes on without it"
_INSTALL = "install rpi-lgpio in place of RPi.GPIO (apt: python3-rpi-lgpio), and start the unit again"
_ALLOW = "add the unit's user to the group gpio, and start the unit again"
_NO_PINS = "this machine has no pins (no /dev/gpiochip0): leave them out of the config"
_FREE = "end whatever else uses it (`gpioinfo` tells), add the unit's user to the group gpio, or take another pin"


class Gpio(Protocol):
    """The module RPi.GPIO, as far as it is used: pins by their BCM numbers, levels 0 and 1. input() is called
    in another thread than the rest."""

    BCM: int
    IN: int
    OUT: int
    LOW: int
    HIGH: int
    PUD_UP: int
    PUD_DOWN: int

    def setmode(self, mode: int, /) -> None:
        """How pins are numbered; opens the chip."""

    def setwarnings(self, on: bool, /) -> None:
        """Whether it warns of pins in use."""

    def setup(self, channel: int, direction: int, pull_up_down: int = ..., initial: int = ...) -> None:
        """Take a pin."""

    def input(self, channel: int, /) -> int:
        """Its level."""

    def output(self, channel: int, value: int, /) -> None:
        """Set its level."""

    def cleanup(self, channel: int, /) -> None:
        """Give a pin back."""


def load(directory: Path, devices: Path = Path("/dev")) -> Gpio:
    """The library, ready for BCM numbers; PinError where there is none, or it may not. devices: where the chip is.

    lgpio makes a pipe in the directory that is current when it is imported, and fails where it cannot (joan2937/lg#22).
    For that moment it is `directory`: no other thread may go by relative paths then.
    """
    try:
        with contextlib.chdir(directory):
            gpio = cast(Gpio, importlib.import_module("RPi.GPIO"))
    except ImportError as error:
        raise PinError(f"there is no library for GPIO pins: {error}", did=_DID, can=_can(_INSTALL, devices)) from error
    except (OSError, RuntimeError, NotImplementedError) as error:  # no Pi; no place for the pipe; an unknown board
        raise PinError(
            f"the library for GPIO pins does not work here: {_said(error)}", did=_DID, can=_can(_INSTALL, devices)
        ) from error
    attempt("the GPIO pins cannot be used", lambda: gpio.setmode(gpio.BCM), can=_can(_ALLOW, devices))
    gpio.setwarnings(False)
    return gpio


def attempt(what: str, call: Callable[[], T], *, can: str = _FREE) -> T:
    """What the call of the library gives; whatever it raises becomes a PinError that begins with `what`.

    RPi.GPIO raises RuntimeError, rpi-lgpio also lgpio.error, which is a plain Exception.
    """
    try:
        return call()
    except Exception as error:
        raise PinError(f"{what}: {_said(error)}", did=_DID, can=can) from error


def give_back(gpio: Gpio, pin: int) -> None:
    """An input that nothing pulls, as it was before."""
    attempt(f"GPIO {pin} cannot be given back", lambda: gpio.cleanup(pin))


def _can(advice: str, devices: Path) -> str:
    """What a person can do, where there are pins at all."""
    return advice if any(devices.glob("gpiochip*")) else _NO_PINS


def _said(error: Exception) -> str:
    """lgpio.error puts its text into quotation marks when it is asked for it."""
    return " ".join(map(str, error.args)) or type(error).__name__
