"""Button, motion sensor, tamper contact and LED of whole units: in virtual time, and at the real service."""

from __future__ import annotations

import asyncio
import itertools
import queue
import select
import threading
from pathlib import Path

import pytest
from one_unit import config_in
from rig_scene import a_pair, settled

from firmware import commands as c
from firmware import config, lights
from firmware.client import Client
from firmware.config import Shutter
from firmware.control_lines import Row
from firmware.determine import Rules
from firmware.panel import Panel
from firmware.service import Service
from hal.board import Pins, make_pins
from hal.gpio_contact import GpioContact
from hal.sampling import Sampler
from sim.camera import CameraFaults
from sim.clock import SimClock
from sim.gpio import GpioFaults, SimGpio
from sim.machine import Machine, Options
from sim.rig import Rig

BUTTON, MOTION, TAMPER, LED = 17, 22, 23, 27
STEP_S = 0.01  # of virtual time, between two looks at the LED
BOUNCE_S = 0.002
PATIENCE_S = 60.0  # real time, for what must happen


class Scene:
    """A unit with everything at its pins. seen: (lit, seconds) of the LED, one after the other."""

    def __init__(self, tmp_path, machine, **shutter):
        self.machine, self.rig = machine, machine.rig
        self.gpio = SimGpio()
        self.gpio.setmode(self.gpio.BCM)
        self.gpio.drive(TAMPER, 0)
        self.sampler = Sampler(self.rig.clock)
        pins = make_pins(
            self.sampler,
            button=BUTTON,
            motion=MOTION,
            tamper=TAMPER,
            led=LED,
            directory=tmp_path,
            gpio=self.gpio,
        )
        assert pins.problems == []
        self.panel = Panel(pins, Shutter(**shutter), self.rig.now)
        self.fault = False
        self._levels = []
        self._look()

    def _look(self):
        """At the contacts, again and again."""
        self.rig.at(self.rig.now + self.sampler.look(), self._look)

    def run(self, seconds):
        """Let so much time pass, as the service does."""
        for _ in range(round(seconds / STEP_S)):
            if any(select.select(self.panel.watched, [], [], 0)):
                self.panel.moved(self.machine.on)
            self.panel.act(self.machine.on, self.rig.now)
            self.machine.turn()
            self.panel.show(self.machine.on, fault=self.fault, now=self.rig.now)
            self._levels.append(self.gpio.level(LED))
            self.rig.run_for(STEP_S)

    def press(self, seconds=0.1):
        """With some bounces."""
        for held, levels in ((seconds, [0, None, 0, None, 0]), (0.1, [None, 0, None, 0, None])):
            for level in levels:
                self.gpio.drive(BUTTON, level)
                self.rig.run_for(BOUNCE_S)
            self.run(held)

    def lit(self):
        """How long each light was that there was since the last call, in tenths of a second."""
        levels, self._levels = self._levels, []
        runs = [(level, len(list(run))) for level, run in itertools.groupby(levels)]
        return [round(STEP_S * length * 20) / 20 for level, length in runs if level]

    def pictures(self):
        """(priority, when it was pressed for, in seconds from the start) of all that was taken."""
        shots = [line for line in self.machine.on.core.journal.after(0) if line.event == "shot"]
        return [self.machine.entry(line.picture).picture.priority for line in shots]

    def logged(self, event):
        return self.machine.logged(event)


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path, Machine(Rig(), 1))
    made.run(1)
    return made


def test_a_press_takes_one_picture_and_the_led_says_when_it_is_safe(scene):
    scene.lit()
    scene.press()
    assert scene.pictures() == []
    assert scene.lit() == [lights.SHORT_S]  # the press was seen
    scene.run(3)
    assert scene.pictures() == [False]
    assert scene.lit()[0] == lights.TAKEN_S
    assert scene.logged("button") == ["the shutter button was pressed"]


def test_holding_the_button_takes_a_picture_and_makes_the_next_ones_priority_pictures_until_it_is_held_again(scene):
    scene.press(5.5)
    assert scene.pictures() == [False]
    assert scene.machine.on.shutter.all_priority
    assert "every picture is a priority picture now" in scene.logged("priority")
    scene.run(10)
    scene.lit()
    scene.run(2 * lights.CYCLE_S)
    assert set(scene.lit()) == {lights.LONG_S}
    scene.press()
    scene.machine.command(lambda ticket: c.Shoot(ticket, False))
    scene.run(5)
    assert scene.pictures() == [False, True, True]
    scene.press(5.5)
    scene.run(1)
    scene.press()
    scene.run(2)
    assert scene.pictures() == [False, True, True, True, False]


def test_turning_priority_is_confirmed_by_four_blinks(scene):
    scene.press(5.02)
    scene.lit()
    scene.run(5)
    assert scene.lit()[:4] == [lights.LONG_S] * 4
    scene.press(5.02)
    scene.lit()
    scene.run(3)
    assert scene.lit()[:4] == [lights.SHORT_S] * 4


def full_scene(tmp_path, **options):
    machine = Machine(Rig(), 1, Options(capacity_bytes=100_000, size_bytes=(60_000, 60_000), **options))
    made = Scene(tmp_path, machine)
    made.run(1)
    made.press()
    made.run(3)
    return made


def test_a_full_card_is_three_blinks_and_a_press_that_waits_for_room_is_answered_by_them_at_once(tmp_path):
    scene = full_scene(tmp_path)
    scene.run(2.5)
    scene.lit()
    scene.press()
    scene.run(2)
    assert scene.lit() == [lights.SHORT_S] * 3
    assert scene.machine.on.shutter.waiting == 1


def test_a_shot_that_was_refused_flickers_and_is_no_picture(tmp_path):
    scene = full_scene(tmp_path, patience_s=20.0)
    scene.lit()
    scene.press()
    scene.run(22)
    assert scene.lit().count(lights.FLICKER_S) == lights.FLICKERS
    assert len(scene.pictures()) == 1


def test_a_camera_that_gives_nothing_flickers(scene):
    scene.machine.camera.faults = CameraFaults(fail=frozenset({scene.machine.camera.captures + 1}))
    scene.lit()
    scene.press()
    scene.run(2)
    assert scene.lit().count(lights.FLICKER_S) == lights.FLICKERS


def test_a_fault_goes_before_everything_and_a_picture_is_confirmed_all_the_same(scene):
    scene.fault = True
    scene.run(lights.CYCLE_S)
    scene.lit()
    scene.run(3)
    assert len(scene.lit()) >= 10
    scene.press()
    scene.run(2)
    assert lights.TAKEN_S in scene.lit()


def test_two_blinks_while_a_copy_is_on_its_way(tmp_path):
    rig, origin, host = a_pair(origin=Options(size_bytes=(150_000, 150_000)), baud=38400)
    scene = Scene(tmp_path, origin)
    scene.run(1)
    scene.press()
    scene.run(4)
    scene.lit()
    scene.run(2 * lights.CYCLE_S)
    assert scene.lit() == [lights.SHORT_S] * 4
    rig.run_until(settled(origin, host), 120)
    scene.run(lights.CYCLE_S)
    scene.lit()
    scene.run(2 * lights.CYCLE_S)
    assert scene.lit() == [lights.SHORT_S] * 2


def test_a_burst_of_each_press_and_movement_and_a_sensor_that_rests(tmp_path):
    scene = Scene(tmp_path, Machine(Rig(), 1), burst=3, burst_spacing_s=1.0, motion_rest_s=60.0)
    scene.run(1)
    scene.press()
    scene.run(10)
    assert len(scene.pictures()) == 3
    for _ in range(3):  # seen again and again: once
        scene.gpio.drive(MOTION, 1)
        scene.run(2)
        scene.gpio.drive(MOTION, 0)
        scene.run(5)
    assert len(scene.pictures()) == 6
    scene.gpio.drive(MOTION, 1)
    scene.run(90)
    assert len(scene.pictures()) == 9
    assert scene.logged("motion") == [
        "the motion sensor sees something",
        "the motion sensor still sees something",
    ]


def test_an_opened_case_is_an_alarm_and_a_priority_picture_that_gets_its_copies_first(tmp_path):
    scene = Scene(tmp_path, Machine(Rig(), 1, Options(rules=Rules(priority_copies=2))))
    scene.run(1)
    scene.gpio.drive(TAMPER, None)
    scene.run(3)
    assert scene.pictures() == [True]
    assert "the case was opened" in scene.logged("alarm")
    scene.gpio.drive(TAMPER, 0)
    scene.run(3)
    assert scene.pictures() == [True]


def test_presses_without_end_are_refused_and_nothing_is_owed(scene):
    """More than the camera takes: those that wait are bounded, the others flicker."""
    scene.machine.latency_s |= dict.fromkeys(scene.machine.latency_s, 2.0)
    for _ in range(40):
        scene.press(0.1)
    assert scene.machine.on.shutter.failed > 0
    scene.run(60)
    assert len(scene.pictures()) + scene.machine.on.shutter.failed == 40


def test_a_pin_that_fails_is_a_problem_that_people_are_told(scene):
    scene.gpio.faults = GpioFaults(broken=frozenset({BUTTON}))
    scene.press()
    (problem,) = scene.panel.problems
    assert problem.startswith("GPIO 17 cannot be read")


def test_contacts_at_rest_want_nothing():
    """Their descriptors wake the service, no deadline does."""
    gpio = SimGpio()
    gpio.setmode(gpio.BCM)
    contact = GpioContact(gpio, BUTTON, Sampler(SimClock()), on_at=0, pull=gpio.PUD_UP)
    panel = Panel(Pins(button=contact), Shutter(), 1000.0)
    assert panel.watched == [contact.fileno()]
    assert panel.deadline() is None
    panel.close()
    assert panel.watched == []


def test_nothing_at_the_pins_wants_nothing():
    panel = Panel(Pins(), Shutter(), 1000.0)
    assert panel.watched == panel.problems == []
    assert panel.deadline() is None
    assert not panel.has_led
    panel.close()


# ---------------------------------------------------------------- the service


@pytest.fixture
def loaded(tmp_path: Path) -> config.Config:
    return config_in(
        tmp_path,
        camera={"driver": "pattern", "size": [320, 240]},
        shutter={"button_pin": 17, "led_pin": 27, "motion_pin": 22},
    )


def with_unit(loaded, gpio, ask):
    """A unit up for the time of ask(service, client), which runs beside its loop."""

    async def run():
        service, ready = Service(loaded, temporary=False, gpio=gpio), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
            found = await asyncio.to_thread(ask, Client(loaded.unit.socket_path))
        service.stop.set()
        await unit
        return found

    return asyncio.run(run())


def wait_for(client, event):
    for answer in client.ask("log", follow=True):
        if isinstance(answer, Row) and answer.fields["event"] == event:
            return answer.fields["text"]
    raise AssertionError(f"the log has ended without {event}")


def status(client):
    (row,) = (answer.fields for answer in client.ask("status") if isinstance(answer, Row))
    return row


def test_a_press_at_the_pin_of_a_running_unit_is_a_picture_on_its_card_and_a_light(loaded):
    gpio, lights_seen = SimGpio(), queue.SimpleQueue()
    gpio.setmode(gpio.BCM)
    gpio.watch(LED, lights_seen.put)

    def ask(client):
        assert not any("GPIO" in problem for problem in status(client)["problems"])
        assert status(client)["priority"] is False
        while not lights_seen.empty():
            lights_seen.get()
        gpio.drive(BUTTON, 0)
        wait_for(client, "button")
        gpio.drive(BUTTON, None)
        assert "is taken and on the card" in wait_for(client, "shot")
        while not lights_seen.get(timeout=PATIENCE_S):
            pass
        gpio.drive(MOTION, 1)
        return wait_for(client, "motion")

    assert with_unit(loaded, gpio, ask) == "the motion sensor sees something"
    assert not any(gpio.is_used(pin) for pin in (BUTTON, MOTION, LED))
    assert gpio.level(LED) == 0
    assert not any(thread.name == "contacts" for thread in threading.enumerate())


def test_a_unit_whose_pins_cannot_be_used_goes_on_and_says_so(loaded):
    gpio = SimGpio(GpioFaults(taken=frozenset({BUTTON})))
    gpio.setmode(gpio.BCM)

    def ask(client):
        return wait_for(client, "pins"), status(client)["problems"]

    said, problems = with_unit(loaded, gpio, ask)
    assert said.startswith("the shutter button: GPIO 17 cannot be an input: GPIO busy")
    assert said in problems
