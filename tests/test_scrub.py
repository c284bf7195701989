"""Scrub: each file is read again once in 30 days of operating time; rot is told, and repaired from other copies."""

from dataclasses import replace

import pytest
from rig_scene import a_pair, carry_out, check, copies, held, on_card, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.determine import Rules
from firmware.events import DigestFile, SaveCalendar
from firmware.layout import picture_path
from firmware.pictures import File
from firmware.scrub import LATEST_S, LEAST_EVERY_S, ROUND_S
from sim.machine import Machine, Options
from sim.rig import Rig

DAY_S = 24 * 3600
SMALL = Options(size_bytes=(8_000, 12_000))


def with_copies(number, *, host=SMALL):
    rig, origin, holder = a_pair(origin=SMALL, host=host)
    pictures = [shoot(origin) for _ in range(number)]
    rig.run_until(settled(origin, holder), 400)
    return rig, origin, holder, pictures


class Reading:
    """Which files a machine has read whole without being asked by anybody for a proof."""

    def __init__(self, machine):
        self.machine, self.read, self.at = machine, [], []
        machine.rig.watch = self.watch

    def watch(self, machine, request):
        if machine is self.machine and isinstance(request, DigestFile) and not request.nonces:
            self.read.append(request.picture.id)
            self.at.append(machine.rig.now)


def hurry(*machines, days=30):
    """Everything is due: the calendar is that much further on."""
    for machine in machines:
        machine.power_cut()
        age_s = machine.catalogue.counter("age", 0) + days * DAY_S
        machine.catalogue.save_calendar(SaveCalendar((("age", age_s),)))
        machine.restart()


def begin(rig, *machines):
    """The first round has begun, with all files counted, and that is kept."""
    for machine in machines:
        machine.power_cut()
        machine.restart()
    rig.run_for(1200)


# ---------------------------------------------------------------- the round


def test_every_file_own_and_held_is_read_once_in_30_days_over_restarts():
    rig, origin, host, pictures = with_copies(8)
    other = shoot(host)
    rig.run_until(settled(origin, host), 100)
    begin(rig, origin)
    reading = Reading(origin)
    for _ in range(28):  # a day each; what is between is not simulated
        rig.run_for(3 * 3600)
        hurry(origin, days=1)
    rig.run_for(3600)
    assert set(reading.read) == {picture.id for picture in (*pictures, other)}
    assert len(reading.read) <= len(pictures) + 3


def test_files_are_read_spread_over_the_round():
    rig, origin, _, pictures = with_copies(14)
    begin(rig, origin)
    reading = Reading(origin)
    rig.run_for(2.5 * ROUND_S / len(pictures))
    assert len(reading.read) == 2


def test_what_is_behind_time_is_read_at_a_bounded_rate():
    rig, origin, _, pictures = with_copies(20)
    begin(rig, origin)
    hurry(origin, days=27)
    reading = Reading(origin)
    rig.run_for(40 * LEAST_EVERY_S)
    assert len(reading.read) == len(set(reading.read)) == len(pictures) - 1  # in time again
    assert min(later - at for at, later in zip(reading.at, reading.at[1:], strict=False)) >= LEAST_EVERY_S


def test_nothing_is_read_while_a_transfer_is_under_way():
    big = replace(SMALL, size_bytes=(1_000_000, 1_000_000))
    rig, origin, host = a_pair(origin=big, host=big)
    for _ in range(2):
        shoot(origin)
    rig.run_until(settled(origin, host), 900)
    begin(rig, origin)
    hurry(origin)
    shoot(origin)
    rig.run_until(lambda: any(True for _ in origin.on.dispersals.outgoing()), 30)
    reading = Reading(origin)
    rig.run_until(settled(origin, host), 900)
    assert not reading.read
    rig.run_for(300)
    assert reading.read


def test_transfers_without_end_hold_it_up_for_some_hours_only():
    rig, origin, _, _ = with_copies(3)
    begin(rig, origin)
    hurry(origin)
    reading = Reading(origin)
    origin.on.scrub._busy = lambda: True
    rig.run_for(LATEST_S - 60)
    assert not reading.read
    rig.run_for(120 + 2 * LEAST_EVERY_S)
    assert len(reading.read) == 3


# ---------------------------------------------------------------- rot


def rot(machine, picture):
    machine.card.rot(picture_path(picture, machine.unit), 5_000)


def test_a_rotten_own_file_is_put_aside_and_comes_back_from_a_holder():
    rig, origin, host, pictures = with_copies(3)
    begin(rig, origin)
    rot(origin, pictures[1])
    hurry(origin)
    rig.run_until(lambda: origin.logged("adopted"), 600)
    rig.run_until(settled(origin, host), 60)
    assert origin.entry(pictures[1].id).file is File.WHOLE
    assert on_card(origin, pictures[1])
    assert copies(origin, pictures[1]) == [2]
    assert len(origin.card.entries("quarantine")) == 1
    check(origin, host)


def test_a_rotten_own_file_without_a_copy_is_kept_for_a_person():
    rig = Rig(1)
    origin = Machine(rig, 1, SMALL)
    picture = shoot(origin)
    begin(rig, origin)
    rot(origin, picture)
    hurry(origin)
    rig.run_until(lambda: origin.logged("lost"), 600)
    assert len(origin.card.entries("quarantine")) == 1


@pytest.mark.parametrize("dropped", [False, True])
def test_rot_at_a_holder_is_told_and_another_copy_made(dropped):
    """End to end; where the own file is gone it takes a second holder to collect the picture from."""
    rig = Rig(1)
    rules = Rules(copies=2 if dropped else 1)
    origin = Machine(rig, 1, replace(SMALL, rules=rules))
    hosts = Machine(rig, 2, SMALL), Machine(rig, 3, SMALL)
    rig.run_for(10)
    picture = shoot(origin)
    rig.run_until(settled(origin, *hosts, wanted=rules.copies), 200)
    if dropped:
        assert carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id)) == c.Done(None)
    host = next(host for host in hosts if held(host))
    begin(rig, *hosts)
    rot(host, picture)
    hurry(host)
    rig.run_until(lambda: origin.logged("lost"), 600)
    assert host.said(m.Lost)
    rig.run_until(lambda: len(copies(origin, picture)) == rules.copies, 2 * 3600)
    holders = [other for other in hosts if held(other)]
    assert sorted(other.unit for other in holders) == copies(origin, picture)
    assert all(on_card(other, picture) for other in holders)
