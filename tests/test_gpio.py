"""The library of GPIO pins, and what a unit makes of it where it is missing, forbidden or broken."""

import os
import select
import sys
import threading

import pytest

from hal.board import Pins, make_pins
from hal.clock import SystemClock
from hal.debounce import LOOKS, PERIOD_S
from hal.errors import PinError
from hal.gpio import load
from hal.gpio_contact import MAX_CHANGES, GpioContact
from hal.gpio_led import GpioLed
from hal.sampling import Sampler, SamplingThread
from sim.clock import SimClock
from sim.gpio import GpioFaults, SimGpio

NO_PINS = {"button": None, "motion": None, "tamper": None, "led": None}
ALL_PINS = {"button": 17, "motion": 22, "tamper": 23, "led": 27}
PATIENCE_S = 60.0  # real time, for what must happen


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Puts a library with this text in the place of the machine's."""
    place = tmp_path / "site"
    (place / "RPi").mkdir(parents=True)
    (place / "RPi" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(place))

    def put(text):
        (place / "RPi" / "GPIO.py").write_text(text)

    yield put
    for name in ("RPi", "RPi.GPIO"):
        sys.modules.pop(name, None)


@pytest.fixture
def gpio():
    made = SimGpio()
    made.setmode(made.BCM)
    return made


@pytest.fixture
def clock():
    return SimClock()


@pytest.fixture
def sampler(clock):
    return Sampler(clock)


def is_readable(contact, within_s=0.0):
    return bool(select.select([contact.fileno()], [], [], within_s)[0])


def pins(tmp_path, gpio=None, **wanted):
    return make_pins(Sampler(SimClock()), **(NO_PINS | wanted), directory=tmp_path, gpio=gpio)


# ---------------------------------------------------------------- loading


def test_without_pins_no_library_is_loaded(tmp_path, library):
    library("raise AssertionError('loaded')")
    assert pins(tmp_path) == Pins()
    assert "RPi" not in sys.modules


def test_a_library_is_loaded_for_bcm_numbers_and_may_leave_its_pipe_in_the_directory(tmp_path, library):
    place, here = tmp_path / "run", os.getcwd()
    place.mkdir()
    library(
        "open('.lgd-nfy0', 'w').close()\nfrom sim.gpio import SimGpio\n"
        "chip = SimGpio()\nBCM, setmode, setwarnings = chip.BCM, chip.setmode, chip.setwarnings\n"
    )
    load(place)
    assert (place / ".lgd-nfy0").exists()
    assert os.getcwd() == here
    chip = sys.modules["RPi.GPIO"].chip
    assert chip._mode == chip.BCM


@pytest.mark.parametrize(
    ("text", "says", "advice"),
    [
        (
            "raise ModuleNotFoundError(\"No module named 'RPi'\")",
            "there is no library for GPIO pins: No module",
            "install",
        ),
        ("raise RuntimeError('This module can only be run on a Raspberry Pi!')", "can only be run on a", "rpi-lgpio"),
        ("open('no/such/.lgd-nfy-3')", "does not work here: ", "install"),
        ("raise NotImplementedError('old-style revision codes')", "does not work here: old-style", "install"),
        (
            "BCM = 11\nclass error(Exception): pass\ndef setmode(mode): raise error('can not open gpiochip')",
            "the GPIO pins cannot be used: can not open gpiochip",
            "group gpio",
        ),
    ],
)
def test_a_library_that_is_missing_or_forbidden_is_told_with_what_can_be_done(tmp_path, library, text, says, advice):
    library(text)
    for chips, can in ((["gpiochip0"], advice), ([], "this machine has no pins")):
        (devices := tmp_path / f"dev{len(chips)}").mkdir()
        for chip in chips:
            (devices / chip).touch()
        with pytest.raises(PinError) as caught:
            load(tmp_path, devices)
        assert says in caught.value.what
        assert "goes on without" in caught.value.did
        assert can in caught.value.can
    assert len(pins(tmp_path, button=17, led=27).problems) == 1


# ---------------------------------------------------------------- parts


def test_each_part_that_is_asked_for_is_made_and_given_back(tmp_path, gpio):
    for pin in ALL_PINS.values():
        gpio.drive(pin, 0)  # the case is shut
    made = pins(tmp_path, gpio, **ALL_PINS)
    assert made.problems == []
    assert all(gpio.is_used(pin) for pin in ALL_PINS.values())
    assert made.button.on  # held down at the start
    assert not made.motion.on
    assert not made.tamper.on
    for part in (made.button, made.motion, made.tamper, made.led):
        part.close()
    assert not any(gpio.is_used(pin) for pin in ALL_PINS.values())


def test_nothing_wired_is_a_button_not_pressed_a_sensor_that_sees_nothing_and_a_case_that_is_open(tmp_path, gpio):
    made = pins(tmp_path, gpio, **ALL_PINS)
    assert (made.button.on, made.motion.on, made.tamper.on) == (False, False, True)


def test_a_pin_that_another_process_has_costs_that_part_only(tmp_path):
    gpio = SimGpio(GpioFaults(taken=frozenset({17})))
    gpio.setmode(gpio.BCM)
    made = pins(tmp_path, gpio, button=17, led=27)
    assert made.button is None
    assert made.led is not None
    (problem,) = made.problems
    assert problem.startswith("the shutter button: GPIO 17 cannot be an input: GPIO busy; ")
    assert "gpioinfo" in problem


def button_at(gpio, sampler, pin=17):
    return GpioContact(gpio, pin, sampler, on_at=0, pull=gpio.PUD_UP)


def look(sampler, clock, times=LOOKS):
    """As the thread does."""
    for _ in range(times):
        clock.advance(PERIOD_S)
        sampler.look()


def test_a_pin_that_fails_later_is_a_problem_and_no_press_and_the_others_go_on(gpio, clock, sampler):
    button, sensor, led = button_at(gpio, sampler), button_at(gpio, sampler, 22), GpioLed(gpio, 27)
    gpio.drive(17, 0)
    look(sampler, clock, 1)
    gpio.faults = GpioFaults(broken=frozenset({17, 27}))
    look(sampler, clock, 1)
    assert is_readable(button)  # people are told at once
    assert button.changes() == []
    assert button.problem.startswith("GPIO 17 cannot be read: bad GPIO read; the unit goes on without it; ")
    led.set(True)
    assert led.problem.startswith("GPIO 27 cannot be set: ")
    gpio.drive(22, 0)
    gpio.faults = GpioFaults()
    look(sampler, clock, LOOKS + 1)
    assert not is_readable(button)  # it is looked at no more
    assert button.changes() == []
    assert [change.on for change in sensor.changes()] == [True]
    for part in (button, sensor, led):
        part.close()


def test_what_had_settled_before_a_pin_failed_is_told(gpio, clock, sampler):
    button = button_at(gpio, sampler)
    gpio.drive(17, 0)
    look(sampler, clock)
    gpio.faults = GpioFaults(broken=frozenset({17}))
    look(sampler, clock)
    assert [change.on for change in button.changes()] == [True]
    assert button.problem is not None
    button.close()


class Blind(SimGpio):
    """Pins can be taken, not read."""

    def input(self, channel, /):
        raise RuntimeError(f"line {channel} gives nothing")


def test_a_pin_that_cannot_be_read_at_first_is_given_back(sampler):
    blind = Blind()
    blind.setmode(blind.BCM)
    with pytest.raises(PinError, match="GPIO 17 cannot be read: line 17 gives nothing"):
        button_at(blind, sampler)
    assert not blind.is_used(17)
    sampler.look()  # at nothing


def test_a_contact_that_is_at_rest_or_bounces_does_not_wake_the_loop(gpio, clock, sampler):
    button = button_at(gpio, sampler)
    for _ in range(20):
        look(sampler, clock)
        gpio.drive(17, 0)
        look(sampler, clock, LOOKS - 1)
        gpio.drive(17, None)
        assert not is_readable(button)
    button.close()


def test_a_contact_that_swings_while_the_loop_is_busy_is_right_in_the_end(gpio, clock, sampler):
    button = button_at(gpio, sampler)
    for level in (0, None) * (MAX_CHANGES + 8):
        gpio.drive(17, level)
        look(sampler, clock)
    gpio.drive(17, 0)
    look(sampler, clock)
    assert not button.on  # nothing was told
    changes = button.changes()
    assert len(changes) == MAX_CHANGES
    assert changes[-1].on
    assert button.on
    assert not is_readable(button)
    button.close()


def test_a_contact_that_is_closed_with_a_change_that_nobody_has_taken_is_silent_and_not_looked_at(gpio, clock, sampler):
    button = button_at(gpio, sampler)
    gpio.drive(17, 0)
    look(sampler, clock)
    assert is_readable(button)
    button.close()
    button.close()
    assert button.changes() == []
    assert button.fileno() is None
    look(sampler, clock)
    assert button.problem is None
    assert not gpio.is_used(17)


def test_contacts_of_a_unit_share_one_thread_that_wakes_the_loop_and_ends_with_the_last(gpio, tmp_path):
    made = make_pins(SamplingThread(SystemClock()), **ALL_PINS, directory=tmp_path, gpio=gpio)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "contacts")
    gpio.drive(17, 0)
    assert is_readable(made.button, PATIENCE_S)
    assert [change.on for change in made.button.changes()] == [True]
    assert not is_readable(made.tamper)
    for part in (made.button, made.motion):
        part.close()
    assert thread.is_alive()
    made.tamper.close()
    assert not thread.is_alive()
    made.led.close()
