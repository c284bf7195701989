"""The simulated machine around a unit: virtual time, one seed one trace, latencies, power cuts, the line's tricks."""

import hashlib
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rig_scene import a_pair, own, press, settled, shoot

from firmware import messages as m
from firmware.events import FreeSpace, KeepShot, Save, TakePicture
from firmware.pictures import EVERYONE
from hal.interfaces import Arrival
from sim.camera import CameraFaults
from sim.machine import Machine, Options
from sim.radio import LineOptions
from sim.rig import MAX_TURNS_AT_ONCE, Rig


def trace(seed):
    """A run with loss, cuts and a lost catalogue, as one digest of all that was said and when."""
    rig, one, two = a_pair(seed, line=LineOptions(frame_loss=0.1, bit_error_rate=1e-5))
    press(one)
    press(two)
    rig.run_for(4)
    two.power_cut(random.Random(seed))
    two.lose_catalogue()
    rig.run_for(1)
    two.restart()
    press(one)
    rig.run_for(60)
    said = [(said.at, said.source, said.destination, said.packet) for said in rig.said]
    return hashlib.sha256(repr((rig.events, rig.now, said)).encode()).hexdigest()


def test_one_seed_is_one_trace():
    assert trace(3) == trace(3)
    assert trace(3) != trace(4)


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_a_trace_is_the_same_under_any_hash_seed(hash_seed):
    tests = Path(__file__).parent
    env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    code = "import test_machine; print(test_machine.trace(3))"
    made = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    assert made.stdout.strip() == trace(3)


def test_time_passes_only_as_far_as_asked():
    rig = Rig()
    Machine(rig, 1)
    rig.run_for(123.0)
    assert rig.now == pytest.approx(1123.0)


def test_a_condition_that_never_holds_is_an_error_that_tells_the_story():
    rig = Rig(7)
    Machine(rig, 1)
    with pytest.raises(AssertionError, match=r"(?s)not within 5 s.*seed 7.*unit 1: started"):
        rig.run_until(lambda: False, 5)


def test_a_deadline_that_never_passes_is_found():
    rig = Rig()

    def again():
        rig.at(rig.now, again)

    again()
    with pytest.raises(AssertionError, match="a deadline never passes"):
        rig.run_for(1)
    assert rig.events <= MAX_TURNS_AT_ONCE + 1


def test_what_is_due_at_the_same_time_happens_in_the_order_of_asking():
    rig, order = Rig(), []
    for name in "abc":
        rig.at(rig.now + 1, lambda name=name: order.append(name))
    rig.at(rig.now - 50, lambda: order.append("late"))
    rig.run_for(2)
    assert order == ["late", "a", "b", "c"]


def test_each_thread_does_one_thing_after_the_other_and_all_run_side_by_side():
    rig, one, _ = a_pair()
    one.latency_s.update({TakePicture: 1.0, KeepShot: 10.0, Save: 2.0})
    done = []
    rig.watch = lambda _machine, request: done.append((round(rig.now - began, 3), type(request)))
    began = rig.now
    press(one)
    press(one)
    rig.run_for(14)
    shots = [entry for entry in done if entry[1] in (TakePicture, KeepShot, Save)]
    assert shots[:4] == [(1.0, TakePicture), (2.0, TakePicture), (11.0, KeepShot), (13.0, Save)]


def test_a_power_cut_takes_what_was_not_synced_and_what_was_under_way():
    rig, one, _ = a_pair()
    one.latency_s[KeepShot] = 5.0
    ticket = press(one)
    rig.run_for(3)
    one.power_cut()
    rig.run_for(10)
    assert one.outcome(ticket) is None
    one.restart()
    assert own(one) == []
    assert one.card.entries("tmp") == []
    assert shoot(one).id.sequence == 1


def test_power_may_go_between_two_calls_of_the_card():
    rig, one, _ = a_pair()
    one.card.options.cut_after = one.card.calls + 3
    press(one)
    rig.run_for(2)
    assert one.running is None
    one.restart()
    assert own(one) == []


def test_boot_numbers_rise_and_ids_go_on_over_restarts():
    _, one, _ = a_pair()
    boot, first = one.on.core.boot, shoot(one)
    one.power_cut()
    one.restart()
    assert one.on.core.boot == boot + 1
    assert shoot(one).id.sequence == first.id.sequence + 1


def test_lost_messages_take_their_time_on_the_line_and_do_not_arrive():
    rig, one, two = a_pair()
    rig.loses = lambda said: isinstance(said.message, m.Request)
    shoot(one)
    rig.run_for(5)
    assert one.said(m.Request)
    assert all(said.lost for said in one.said(m.Request))
    assert not two.said(m.Accept)
    rig.loses = None
    rig.run_until(settled(one, two), 60)


def test_what_was_said_is_thrown_away_when_it_is_said_again():
    rig, one, two = a_pair()
    shoot(one)
    rig.run_until(settled(one, two), 60)
    (request,) = one.said(m.Request)
    before = len(two.said(m.Accept))
    rig.replay(request)
    rig.run_for(1)
    assert len(two.said(m.Accept)) == before
    assert two.on.bad_packets.counts["Replayed"] == 1


def test_a_camera_that_hangs_is_told_and_the_next_press_works():
    rig, one, _ = a_pair()
    one.camera.faults = CameraFaults(hang=frozenset({1}))
    ticket = press(one)
    rig.run_for(2)
    assert "did not answer" in str(one.outcome(ticket).error)
    shoot(one)


def test_a_unit_with_a_small_file_system_starts_and_says_why_it_keeps_nothing():
    rig = Rig()
    one = Machine(rig, 1, Options(file_system_bytes=17_000_000, size_bytes=(500_000, 500_000), patience_s=20.0))
    ticket = press(one)
    rig.run_for(60)
    assert "file system" in str(one.outcome(ticket).error)


def test_beacons_come_as_seldom_as_the_settings_say():
    rig = Rig()
    one = Machine(rig, 1, Options(beacon_s=600.0))
    rig.run_for(3600)
    first = len(one.said(m.Beacon))
    rig.run_for(2 * 3600)
    assert 11 <= len(one.said(m.Beacon)) - first <= 14
    assert one.said(m.Beacon)[-1].message.interval_s == 600


@pytest.mark.parametrize(("file_system_bytes", "looks"), [(64_000_000, 6), (26_000_000, 60)])
def test_an_ample_file_system_is_looked_at_seldom_and_a_tight_one_each_minute(file_system_bytes, looks):
    rig, seen = Rig(), []
    rig.watch = lambda _machine, request: seen.extend([rig.now] * isinstance(request, FreeSpace))
    Machine(rig, 1, Options(capacity_bytes=10_000_000, file_system_bytes=file_system_bytes))
    rig.run_for(3605)
    assert looks <= len(seen) <= looks + 1


def test_what_others_say_to_one_another_asks_for_no_turn():
    rig, one, two = a_pair()
    three = Machine(rig, 3)
    shoot(one)
    rig.run_until(settled(one, two), 60)
    (request, *_) = one.said(m.Request)
    assert three.on.packet(Arrival(request.packet), rig.now) is False


def test_a_beacon_asks_for_a_turn_where_it_brings_news_or_wants_an_answer():
    rig, one, _ = a_pair()
    three = Machine(rig, 3)
    rig.run_for(200)
    *_, quiet = (said.message for said in one.said(m.Beacon) if not said.message.answer_wanted)

    def brings_news(beacon):
        (packet,) = one.on.link.encode(EVERYONE, beacon)
        return three.on.packet(Arrival(packet), rig.now)

    assert brings_news(quiet) is False
    assert brings_news(replace(quiet, answer_wanted=True)) is True
    three.on.core.neighbours.find(1).room_bytes = 0
    assert brings_news(quiet) is True


def test_a_killed_process_leaves_what_was_not_synced_and_a_power_cut_does_not():
    _, one, _ = a_pair()
    one.card.create("tmp/odd", 10).write(0, b"x")
    one.kill()
    assert [entry.name for entry in one.card.entries("tmp")] == ["odd"]
    one.restart()
    one.card.create("tmp/odd.2", 10).write(0, b"x")
    one.power_cut()
    assert "odd.2" not in [entry.name for entry in one.card.entries("tmp")]


def test_a_wall_clock_that_jumps_is_told_and_monotonic_time_goes_on():
    rig, one, _ = a_pair()
    before, now = one.on.core.wall_s(), rig.now
    one.set_wall_error(-3600.0)
    assert rig.now == now
    assert one.on.core.wall_s() == pytest.approx(before - 3600, abs=1)
    assert shoot(one).taken_at < before


def test_a_slow_card_takes_its_time():
    rig, one, _ = a_pair()
    one.slowness = 100.0
    began = rig.now
    shoot(one)
    assert rig.now - began > 3.0
