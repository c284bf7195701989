"""Contracts of Contact and Led (hal.interfaces), on RPi.GPIO's interface: simulated, and rpi-lgpio's own.

The real library runs where there is a chip of the kernel's gpio-sim, as in the virtual board: DANDELION_GPIO_SIM is its
directory in /sys/devices/platform (…/gpio-sim.0/gpiochip0), and RPI_LGPIO_REVISION and RPI_LGPIO_CHIP tell the library.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from hal.clock import SystemClock
from hal.debounce import AGAIN_S, LOOKS, PERIOD_S
from hal.errors import PinError
from hal.gpio import Gpio, load
from hal.gpio_contact import GpioContact
from hal.gpio_led import GpioLed
from hal.interfaces import Change, Clock, Contact, Led
from hal.sampling import Sampler, SamplingThread
from sim.clock import SimClock
from sim.gpio import SimGpio

BUTTON, SENSOR, LED = 17, 22, 27
PATIENCE_S = 20.0  # for a change that must come
QUIET_S = 12 * PERIOD_S  # a change that has not come by then comes no more: three looks tell one
BOUNCE_S = 0.001


class Rig(Protocol):
    """Pins, and the hands at them."""

    gpio: Gpio
    clock: Clock
    sampler: Sampler

    def bounce(self, pin: int, levels: Sequence[int]) -> None:
        """Drive it to these levels, each for BOUNCE_S or less."""

    def level(self, pin: int) -> int: ...

    def wait(self, contact: Contact, *, surely: bool) -> bool:
        """Until the contact is readable; whether it is. surely: it must become so, else only for QUIET_S."""


class SimRig:
    """In virtual time."""

    def __init__(self, place: Path) -> None:
        del place
        self.clock = SimClock(monotonic_s=100.0)
        self.sampler = Sampler(self.clock)
        self.gpio = SimGpio()
        self.gpio.setmode(self.gpio.BCM)
        self.level = self.gpio.level
        self._looks_at = self.clock.monotonic()

    def bounce(self, pin: int, levels: Sequence[int]) -> None:
        for level in levels:
            self.gpio.drive(pin, level)
            self._pass(BOUNCE_S)

    def wait(self, contact: Contact, *, surely: bool) -> bool:
        end = self.clock.monotonic() + QUIET_S
        while not readable(contact) and self.clock.monotonic() < end:
            self._pass(PERIOD_S)
        assert readable(contact) or not surely
        return readable(contact)

    def _pass(self, seconds: float) -> None:
        """Time, with the looks that are due."""
        end = self.clock.monotonic() + seconds
        while self._looks_at <= end:
            self.clock.advance_to(self._looks_at)
            self._looks_at += self.sampler.look()
        self.clock.advance_to(end)


class ChipRig:
    """On a chip of gpio-sim, by the installed library."""

    def __init__(self, place: Path) -> None:
        self.clock = SystemClock()
        self.sampler = SamplingThread(self.clock)
        self.gpio = load(place)
        self._lines = Path(os.environ["DANDELION_GPIO_SIM"])

    def bounce(self, pin: int, levels: Sequence[int]) -> None:
        with (self._lines / f"sim_gpio{pin}" / "pull").open("wb", buffering=0) as pull:
            for level in levels:
                pull.write(b"pull-up" if level else b"pull-down")

    def level(self, pin: int) -> int:
        return int((self._lines / f"sim_gpio{pin}" / "value").read_text())

    def wait(self, contact: Contact, *, surely: bool) -> bool:
        found = readable(contact, PATIENCE_S if surely else QUIET_S)
        assert found or not surely
        return found


def readable(contact: Contact, within_s: float = 0.0) -> bool:
    return bool(select.select([contact.fileno()], [], [], within_s)[0])


RIGS = [SimRig, *([ChipRig] if "DANDELION_GPIO_SIM" in os.environ else [])]


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    made: Rig = request.param(tmp_path)
    drive(made, BUTTON, 1)
    drive(made, SENSOR, 0)
    return made


@pytest.fixture
def button(rig: Rig) -> Iterator[GpioContact]:
    made = GpioContact(rig.gpio, BUTTON, rig.sampler, on_at=0, pull=rig.gpio.PUD_UP)
    yield made
    made.close()


@pytest.fixture
def sensor(rig: Rig) -> Iterator[GpioContact]:
    made = GpioContact(rig.gpio, SENSOR, rig.sampler, on_at=1, pull=rig.gpio.PUD_DOWN)
    yield made
    made.close()


@pytest.fixture
def led(rig: Rig) -> Iterator[GpioLed]:
    made = GpioLed(rig.gpio, LED)
    yield made
    made.close()


def settled(rig: Rig, contact: Contact, *, surely: bool = True) -> list[Change]:
    """What comes of what was done to the pin, until it rests. surely: something must."""
    found, moved = [], rig.wait(contact, surely=surely)
    while moved:
        found += contact.changes()
        moved = rig.wait(contact, surely=False)
    return found


def drive(rig: Rig, pin: int, level: int) -> None:
    rig.bounce(pin, [level])


def ons(changes: list[Change]) -> list[bool]:
    return [change.on for change in changes]


def test_a_pin_is_pulled_to_where_it_is_asked_for_and_that_is_no_change(rig: Rig, button: GpioContact) -> None:
    opened = GpioContact(rig.gpio, SENSOR, rig.sampler, on_at=1, pull=rig.gpio.PUD_UP)
    assert not button.on
    assert settled(rig, button, surely=False) == settled(rig, opened, surely=False) == []
    opened.close()


def test_a_press_and_a_release_are_one_change_each_and_wake_the_loop(rig: Rig, button: GpioContact) -> None:
    drive(rig, BUTTON, 0)
    pressed = settled(rig, button)
    assert ons(pressed) == [True]
    assert button.on
    drive(rig, BUTTON, 1)
    assert ons(settled(rig, button)) == [False]
    assert not button.on
    assert button.changes() == []


def test_a_change_is_told_when_it_has_settled_and_from_when_on(rig: Rig, button: GpioContact) -> None:
    before = rig.clock.monotonic()
    drive(rig, BUTTON, 0)
    (change,) = settled(rig, button)
    assert change.on
    assert before <= change.at <= rig.clock.monotonic() - (LOOKS - 1) * AGAIN_S


def test_a_button_that_bounces_ten_times_is_pressed_once_and_released_once(rig: Rig, button: GpioContact) -> None:
    rig.bounce(BUTTON, (*(0, 1) * 10, 0))
    assert ons(settled(rig, button)) == [True]
    rig.bounce(BUTTON, (*(1, 0) * 10, 1))
    assert ons(settled(rig, button)) == [False]


def test_a_spike_is_no_press(rig: Rig, button: GpioContact) -> None:
    rig.bounce(BUTTON, (0, 1))
    assert settled(rig, button, surely=False) == []
    assert not button.on


def test_a_sensor_is_on_while_it_drives_its_pin_high(rig: Rig, sensor: GpioContact) -> None:
    drive(rig, SENSOR, 1)
    assert ons(settled(rig, sensor)) == [True]
    drive(rig, SENSOR, 0)
    assert ons(settled(rig, sensor)) == [False]


def test_two_contacts_do_not_hear_each_other(rig: Rig, button: GpioContact, sensor: GpioContact) -> None:
    drive(rig, SENSOR, 1)
    assert ons(settled(rig, sensor)) == [True]
    assert settled(rig, button, surely=False) == []


def test_two_contacts_that_move_at_once_are_both_heard(rig: Rig, button: GpioContact, sensor: GpioContact) -> None:
    for on in (True, False):
        drive(rig, BUTTON, int(not on))
        drive(rig, SENSOR, int(on))
        assert ons(settled(rig, button)) == [on]
        assert ons(settled(rig, sensor)) == [on]


def test_a_closed_contact_is_not_watched_and_does_not_change_and_its_pin_is_free(rig: Rig, button: GpioContact) -> None:
    drive(rig, BUTTON, 0)
    rig.wait(button, surely=True)
    button.close()
    button.close()
    drive(rig, BUTTON, 1)
    assert button.fileno() is None
    assert button.changes() == []
    GpioContact(rig.gpio, BUTTON, rig.sampler, on_at=0, pull=rig.gpio.PUD_UP).close()


def test_a_pin_that_does_not_exist_is_an_error_for_people(rig: Rig) -> None:
    with pytest.raises(PinError, match=r"GPIO 99 cannot be an input: .*; the unit goes on without it; .*gpioinfo"):
        GpioContact(rig.gpio, 99, rig.sampler, on_at=0, pull=rig.gpio.PUD_UP)
    with pytest.raises(PinError, match="GPIO 99 cannot be an output: "):
        GpioLed(rig.gpio, 99)


def test_an_led_shows_what_was_set_last_and_is_dark_at_first_and_when_closed(rig: Rig, led: GpioLed) -> None:
    shown: Led = led
    assert rig.level(LED) == 0
    shown.set(True)
    shown.set(True)
    assert rig.level(LED) == 1
    shown.set(False)
    assert rig.level(LED) == 0
    shown.set(True)
    shown.close()
    shown.close()
    assert rig.level(LED) == 0
    shown.set(True)
    assert rig.level(LED) == 0
    assert shown.problem is None
