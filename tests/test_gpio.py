"""The library of GPIO pins, and what a unit makes of it where it is missing, forbidden or broken."""

import os
import select
import sys

import pytest

from hal.board import Pins, make_pins
from hal.debounce import SETTLE_S
from hal.errors import PinError
from hal.gpio import load
from hal.gpio_contact import MAX_EDGES, GpioContact
from hal.gpio_led import GpioLed
from sim.clock import SimClock
from sim.gpio import GpioFaults, SimGpio

NO_PINS = {"button": None, "motion": None, "tamper": None, "led": None}
ALL_PINS = {"button": 17, "motion": 22, "tamper": 23, "led": 27}


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


def pins(tmp_path, gpio=None, **wanted):
    return make_pins(SimClock(), **(NO_PINS | wanted), directory=tmp_path, gpio=gpio)


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
    with pytest.raises(PinError) as caught:
        load(tmp_path)
    assert says in caught.value.what
    assert "goes on without" in caught.value.did
    assert advice in caught.value.can
    assert len(pins(tmp_path, button=17, led=27).problems) == 1


# ---------------------------------------------------------------- parts


def test_each_part_that_is_asked_for_is_made_and_given_back(tmp_path):
    gpio = SimGpio()
    gpio.setmode(gpio.BCM)
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


def test_nothing_wired_is_a_button_not_pressed_a_sensor_that_sees_nothing_and_a_case_that_is_open(tmp_path):
    gpio = SimGpio()
    gpio.setmode(gpio.BCM)
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


def test_a_kernel_without_edges_for_the_old_library_is_told_with_the_new_one_and_the_pin_is_free_again(tmp_path):
    gpio = SimGpio(GpioFaults(no_edges=True))
    gpio.setmode(gpio.BCM)
    (problem,) = pins(tmp_path, gpio, button=17).problems
    assert "edges of GPIO 17: Failed to add edge detection" in problem
    assert "rpi-lgpio" in problem
    assert not gpio.is_used(17)


def test_a_pin_that_fails_later_is_a_problem_and_no_press(capsys):
    gpio, clock = SimGpio(), SimClock()
    gpio.setmode(gpio.BCM)
    button, led = GpioContact(gpio, 17, clock, on_at=0, pull=gpio.PUD_UP), GpioLed(gpio, 27)
    gpio.drive(17, 0)
    gpio.told()
    gpio.faults = GpioFaults(broken=frozenset({17, 27}))
    gpio.bounce(17, [None, 0])
    gpio.told()
    assert button.changes() == []
    led.set(True)
    assert button.problem.startswith("GPIO 17 cannot be read: bad GPIO read; ")
    assert led.problem.startswith("GPIO 27 cannot be set: ")
    assert button.deadline() is None  # else the loop would come back at once, for ever
    assert button.changes() == []
    button.close()
    led.close()
    assert capsys.readouterr().err == ""


def test_a_contact_that_goes_on_moving_wakes_the_loop_once_and_is_told_when_it_rests():
    """Its deadline wakes the loop: a pin that swings without end must not take the loop's time."""
    gpio, clock = SimGpio(), SimClock()
    gpio.setmode(gpio.BCM)
    button = GpioContact(gpio, 17, clock, on_at=0, pull=gpio.PUD_UP)
    gpio.drive(17, 0)
    gpio.told()
    assert button.changes() == []
    for _ in range(20):
        clock.advance(0.9 * SETTLE_S)
        gpio.bounce(17, [None, 0])
        gpio.told()
        assert not select.select([button.fileno()], [], [], 0)[0]
        assert button.changes() == []
    clock.advance(SETTLE_S)
    assert [change.on for change in button.changes()] == [True]
    button.close()


def test_more_edges_than_are_kept_still_end_at_the_level_that_is_there():
    gpio, clock = SimGpio(), SimClock()
    gpio.setmode(gpio.BCM)
    button = GpioContact(gpio, 17, clock, on_at=0, pull=gpio.PUD_UP)
    gpio.bounce(17, [0, None] * MAX_EDGES + [0])
    gpio.told()
    assert len(button._edges) == MAX_EDGES
    assert button.changes() == []
    clock.advance(SETTLE_S)
    assert [change.on for change in button.changes()] == [True]
    button.close()


class PressedWhileLookedAt(SimGpio):
    """Whoever reads the level of a pin from the loop sees it just before somebody presses."""

    presses = False

    def input(self, channel, /):
        level = super().input(channel)
        if self.presses:
            self.presses = False
            self.drive(channel, 0)
            self.told()
        return level


def test_an_edge_that_comes_while_the_level_is_looked_at_wakes_the_loop():
    gpio, clock = PressedWhileLookedAt(), SimClock()
    gpio.setmode(gpio.BCM)
    button = GpioContact(gpio, 17, clock, on_at=0, pull=gpio.PUD_UP)
    gpio.bounce(17, [0, None])
    gpio.told()
    assert button.changes() == []
    clock.advance(SETTLE_S)
    gpio.presses = True
    assert button.changes() == []
    assert button.deadline() is None
    assert select.select([button.fileno()], [], [], 0)[0]
    assert button.changes() == []
    clock.advance(SETTLE_S)
    assert [change.on for change in button.changes()] == [True]
    button.close()


def test_an_edge_that_comes_while_the_pin_is_given_back_reaches_nobody(capsys):
    """A library may call back once more: by then the descriptor's number may be another file's."""
    gpio = SimGpio()
    gpio.setmode(gpio.BCM)
    button = GpioContact(gpio, 17, SimClock(), on_at=0, pull=gpio.PUD_UP)
    late = gpio._pins[17].callback
    button.close()
    late(17)
    assert button.changes() == []
    assert capsys.readouterr().err == ""
