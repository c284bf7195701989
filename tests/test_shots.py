"""Shots: what a picture says of itself is true, whatever its card does; and a camera that fails."""

import pytest
from rig_scene import a_pair, held, own, press, shoot

from firmware import commands as c
from firmware.events import TakePicture
from firmware.layout import picture_path
from firmware.shutter import CAMERA_TRIES
from sim.camera import CameraFaults
from sim.card import Fault
from sim.machine import Machine, Options
from sim.rig import Rig


def says_its_id(machine, picture):
    """It is durable on this machine's card, and the only id in it is its own."""
    data = machine.card.durable(picture_path(picture, machine.unit))
    return data.count(b"00001-") == data.count(str(picture.id).encode()) == 1


def test_every_picture_says_its_own_id_at_its_origin_and_at_its_holder():
    rig, origin, host = a_pair()
    pictures = [shoot(origin) for _ in range(3)]
    rig.run_until(lambda: len(held(host)) == 3, 120)
    assert len({picture.id for picture in pictures}) == 3
    assert all(says_its_id(machine, picture) for machine in (origin, host) for picture in pictures)


def test_a_picture_that_the_card_refused_says_the_id_under_which_it_took_it_at_last():
    rig = Rig()
    origin = Machine(rig, 1, Options())
    rig.run_for(1)
    for calls in range(1, 30):
        origin.card.options.at.clear()
        origin.card.options.at[origin.card.calls + calls] = Fault.IO
        shoot(origin)
    assert len(own(origin)) == 29
    assert all(says_its_id(origin, entry.picture) for entry in own(origin))


@pytest.mark.parametrize("read_only", [False, True])
def test_pictures_that_a_failed_card_left_in_memory_say_the_ids_of_the_life_without_it(read_only):
    rig, origin, host = a_pair(origin=Options(without_card=True))
    before = shoot(origin)
    rig.run_until(lambda: held(host), 60)
    origin.card.options.read_only, origin.card.options.dead = read_only, not read_only
    tickets = [press(origin), press(origin)]
    rig.run_until(lambda: all(map(origin.outcome, tickets)), 120)
    assert origin.on.core.settings.without_card
    pictures = [origin.outcome(ticket).value for ticket in tickets]
    assert before.id.card not in {picture.id.card for picture in pictures}
    assert all(says_its_id(host, picture) for picture in (before, *pictures))


def test_the_camera_is_told_whose_picture_it_takes_and_when():
    rig = Rig()
    origin = Machine(rig, 1, Options())
    rig.run_for(1)
    asked = []
    rig.watch = lambda _machine, request: asked.append(request) if isinstance(request, TakePicture) else None
    picture = shoot(origin)
    (occasion,) = [request.occasion for request in asked]
    assert (occasion.unit, occasion.unix_s, occasion.quality) == (1, picture.taken_at, picture.taken_quality)


# ---------------------------------------------------------------- a camera that fails


def broken(shots):
    """A unit whose camera fails at its first so many shots, every other one by hanging."""
    rig = Rig()
    machine = Machine(rig, 1, Options())
    rig.run_for(1)
    numbers = range(1, shots + 1)
    machine.camera.faults = CameraFaults(hang=frozenset(numbers[::2]), fail=frozenset(numbers[1::2]))
    return rig, machine


def fail(rig, machine, times):
    for _ in range(times):
        ticket = press(machine)
        rig.run_until(lambda ticket=ticket: machine.outcome(ticket) is not None, 60)
        assert isinstance(machine.outcome(ticket), c.Failed)


def test_a_camera_that_fails_now_and_then_is_no_alarm():
    rig, machine = broken(CAMERA_TRIES - 1)
    fail(rig, machine, CAMERA_TRIES - 1)
    shoot(machine)
    machine.camera.faults = CameraFaults(fail=frozenset({machine.camera.captures + 1}))
    fail(rig, machine, 1)
    assert not machine.logged("alarm")
    assert not machine.on.shutter.camera_failed


def test_a_camera_that_fails_again_and_again_is_one_alarm_and_a_good_shot_ends_it():
    rig, machine = broken(CAMERA_TRIES + 4)
    fail(rig, machine, CAMERA_TRIES + 4)
    (alarm,) = machine.logged("alarm")
    assert f"failed {CAMERA_TRIES} times in a row" in alarm
    assert machine.on.shutter.camera_failed
    assert machine.on.shutter.camera_trouble
    shoot(machine)
    assert machine.logged("camera") == ["the camera takes pictures again"]
    assert not machine.on.shutter.camera_failed
    assert machine.on.shutter.camera_trouble is None


def test_a_unit_whose_camera_has_failed_is_a_host_as_before():
    rig, origin, host = a_pair()
    host.camera.faults = CameraFaults(fail=frozenset(range(1, 10)))
    fail(rig, host, CAMERA_TRIES)
    picture = shoot(origin)
    rig.run_until(lambda: [row.picture.id for row in held(host)] == [picture.id], 60)


# ---------------------------------------------------------------- how long it takes


def test_the_time_from_the_shutter_to_the_durable_picture_is_told():
    rig = Rig()
    machine = Machine(rig, 1, Options())
    rig.run_for(1)
    machine.latency_s[TakePicture] = 2.0
    before = rig.now
    shoot(machine)
    row = machine.on.shutter.times.row()
    assert row["taken"] == 1
    assert 2.0 < row["last_s"] <= rig.now - before + 0.001
