"""Packets that are thrown away are counted, told now and then, and an alarm where there are too many; ordinary life is
none."""

from __future__ import annotations

import random

import pytest
from rig_scene import a_pair, settled, shoot

from firmware import commands as c
from firmware import errors
from firmware import messages as m
from firmware.bad_packets import ALARM_PER_MINUTE, ALARM_S, LOG_S, STARTING_S, BadPackets
from firmware.errors import (
    ClonedUnit,
    DamagedPacket,
    Flooded,
    ForeignSession,
    NewerEpoch,
    OlderEpoch,
    PeerError,
    Replayed,
    WrongSeal,
)
from hal.interfaces import Duplex
from sim.air import Air, AirOptions
from sim.credentials import AdminFolder
from sim.machine import Machine, Options
from sim.radio import LineOptions
from sim.rig import Rig

CAUSES = pytest.mark.parametrize("kind", [WrongSeal, Replayed, DamagedPacket, Flooded], ids=lambda kind: kind.__name__)


class Told:
    """What BadPackets takes of a core: the time, and the log."""

    def __init__(self):
        self.now = 1000.0
        self.started = 0.0
        self.lines = []

    def log(self, event, text):
        self.lines.append((event, text))

    def of(self, event):
        return [text for kind, text in self.lines if kind == event]


def bad():
    core = Told()
    return core, BadPackets(core)


@CAUSES
def test_all_are_counted_and_one_a_minute_is_logged(kind):
    core, packets = bad()
    for _ in range(3 * 60):
        packets.add(kind("this was wrong"))
        core.now += 1 / 0.3  # 18 a minute
    assert packets.counts == {kind.__name__: 180}
    assert len(core.of("radio")) == 180 / 0.3 / LOG_S
    assert not core.of("alarm")
    assert packets.problems() == []


def test_what_was_under_way_for_the_start_before_is_counted_and_no_alarm():
    core, packets = bad()
    core.started = core.now - STARTING_S + 1
    for _ in range(10 * ALARM_PER_MINUTE):
        packets.add(ForeignSession("there is no session with unit 100", source=100))
    assert packets.counts["ForeignSession"] == 10 * ALARM_PER_MINUTE
    assert not core.of("alarm")
    core.now += 1
    for _ in range(ALARM_PER_MINUTE):
        packets.add(ForeignSession("there is no session with unit 100", source=100))
    assert core.of("alarm")


def test_frames_of_sessions_that_are_not_are_told_in_words_and_once():
    """Recorded, and said again after a start of this unit."""
    core, packets = bad()
    for _ in range(ALARM_PER_MINUTE):
        packets.add(ForeignSession("there is no session with unit 100", source=100))
    (said,), (logged,), (alarm,) = packets.problems(), core.of("radio"), core.of("alarm")
    assert said.startswith("many frames come in of sessions that this unit does not have: somebody says again")
    assert logged == "a bad packet was thrown away: there is no session with unit 100"
    assert alarm == f"{said}; such packets are thrown away; the last one: there is no session with unit 100"


def test_each_cause_is_logged_by_itself():
    core, packets = bad()
    for kind in (WrongSeal, Replayed, DamagedPacket):
        packets.add(kind(f"of {kind.__name__}"))
    assert len(core.of("radio")) == 3
    assert packets.counts == {"WrongSeal": 1, "Replayed": 1, "DamagedPacket": 1}


@CAUSES
def test_so_many_in_a_minute_are_an_alarm_and_a_problem_for_a_time(kind):
    core, packets = bad()
    for _ in range(ALARM_PER_MINUTE - 1):
        packets.add(kind("x"))
    assert packets.problems() == []
    packets.add(kind("the thirtieth"))
    (alarm,) = core.of("alarm")
    assert "the thirtieth" in alarm
    (problem,) = packets.problems()
    assert alarm.startswith(problem)
    core.now += ALARM_S - 0.1
    assert packets.problems() == [problem]
    core.now += 0.2
    assert packets.problems() == []


def test_as_many_in_a_longer_time_are_none():
    core, packets = bad()
    for _ in range(20):
        for _ in range(ALARM_PER_MINUTE - 1):
            packets.add(WrongSeal("x"))
        core.now += 60.0
    assert packets.problems() == []
    assert not core.of("alarm")


def test_an_alarm_that_goes_on_is_logged_once_and_ends_after_its_last_minute():
    core, packets = bad()
    for _ in range(3000):
        packets.add(Replayed("x"))
        core.now += 1.0
    assert len(core.of("alarm")) == 1
    assert packets.problems()
    core.now += ALARM_S
    assert packets.problems() == []
    for _ in range(ALARM_PER_MINUTE):
        packets.add(Replayed("x"))
    assert len(core.of("alarm")) == 2


def test_another_unit_under_our_number_is_an_alarm_at_once():
    core, packets = bad()
    packets.add(ClonedUnit("x"))
    assert "under the number of this one" in core.of("alarm")[0]
    assert packets.problems()


@pytest.mark.parametrize("kind", [NewerEpoch, OlderEpoch], ids=lambda kind: kind.__name__)
def test_units_of_another_epoch_are_counted_and_nothing_is_wrong_with_them(kind):
    core, packets = bad()
    for _ in range(1000):
        packets.add(kind("x", source=2, epoch=9))
    assert packets.counts == {kind.__name__: 1000}
    assert core.lines == []
    assert packets.problems() == []


ERRORS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, PeerError) and e.__name__[0] != "_"]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_cause_has_words_for_people(kind):
    _, packets = bad()
    told = {NewerEpoch: {"source": 2, "epoch": 9}, OlderEpoch: {"source": 2, "epoch": 9}, ForeignSession: {"source": 2}}
    for _ in range(ALARM_PER_MINUTE):
        packets.add(kind("x", **told.get(kind, {})))
    assert packets.counts == {kind.__name__: ALARM_PER_MINUTE}
    assert [len(problem) > 20 for problem in packets.problems()] == [True] * (kind not in (NewerEpoch, OlderEpoch))


# ---------------------------------------------------------------- ordinary life


def alarms(*machines):
    return [line for machine in machines for line in machine.logged("alarm")]


@pytest.mark.parametrize("duplex", list(Duplex), ids=lambda duplex: duplex.value)
def test_units_that_restart_again_and_again_in_the_midst_of_transfers_alarm_nobody(duplex):
    rig, one, two = a_pair(
        origin=Options(size_bytes=(150_000, 150_000)),
        host=Options(size_bytes=(150_000, 150_000)),
        line=LineOptions(duplex=duplex, frame_loss=0.02),
    )
    chance, told, thrown_away = random.Random(1), [], 0
    for _ in range(12):
        for machine in (one, two):
            machine.on.command(c.Shoot(None, False), rig.now)
            machine.turn()
        rig.run_for(5 + 5 * chance.random())
        machine = chance.choice((one, two))
        told += alarms(machine)
        thrown_away += machine.on.bad_packets.counts.total()
        machine.power_cut()
        rig.run_for(chance.choice((0, 1, 20)))
        machine.restart()
    rig.run_for(60)
    assert not told + alarms(one, two)
    assert thrown_away > 0
    assert not one.on.bad_packets.problems() + two.on.bad_packets.problems()


@pytest.mark.parametrize("baud", [9600, 115_200])
def test_eight_units_that_start_take_pictures_and_change_their_epoch_alarm_nobody(baud):
    units = range(1, 9)
    hears, half = {u: frozenset(units) - {u} for u in units}, AirOptions(duplex=Duplex.HALF, frame_loss=0.02)
    rig = Rig(1, medium=lambda clock: Air(clock, random.Random(1), hears, baud=baud, options=half))
    admin = AdminFolder(units)
    machines = [Machine(rig, u, Options(credential=admin.credential(u), size_bytes=(2_000, 4_000))) for u in units]
    rig.run_for(60)
    for machine in machines:
        machine.on.command(c.Shoot(None, False), rig.now)
        machine.turn()
    rig.run_for(120)
    admin.rotate()
    machines[0].command(lambda ticket: c.PushRoster(ticket, admin.newest.encoded))
    rig.run_until(lambda: all(machine.on.core.epoch == admin.newest.epoch for machine in machines), 300)
    machines[3].power_cut()
    rig.run_for(30)
    machines[3].restart()
    rig.run_for(120)
    assert not alarms(*machines)
    assert any(machine.on.bad_packets.counts["OlderEpoch"] for machine in machines)


def test_frames_with_a_wrong_seal_are_a_problem_in_status_while_they_come_and_for_a_time():
    rig, one, two = a_pair()
    shoot(one)
    rig.run_until(settled(one, two), 60)
    said = one.said(m.Keep)[-1]
    for _ in range(ALARM_PER_MINUTE):
        rig.replay(said._replace(packet=said.packet[:-1] + bytes([said.packet[-1] ^ 1])))
        rig.run_for(1)
    assert "wrong seal" in two.on.bad_packets.problems()[0]
    assert len([line for line in two.logged("alarm") if "wrong seal" in line]) == 1
    assert not one.on.bad_packets.problems()
    rig.run_for(ALARM_S + LOG_S)
    assert two.on.bad_packets.problems() == []
