"""The simulated air: range, collisions, half duplex, loss in bursts, late, doubled and old frames, what is cut off."""

import random
from itertools import pairwise

import pytest

from hal.interfaces import Duplex, Protection
from sim.air import SENSE_S, Air, AirOptions
from sim.clock import SimClock
from sim.radio import SimRadio

ALL_IN_RANGE = {1: frozenset({2, 3}), 2: frozenset({1, 3}), 3: frozenset({1, 2})}
HIDDEN = {1: frozenset({2}), 2: frozenset({1, 3}), 3: frozenset({2})}  # 1 and 3 do not hear each other
PACKET = b"\x01" * 100  # 9 ms at 115200 baud


class Scene:
    """An air with a radio for each unit; what each received, with the time."""

    def __init__(self, hears=None, seed=1, **options):
        hears = hears or ALL_IN_RANGE
        self.clock = SimClock()
        self.began = self.clock.monotonic()
        self.air = Air(self.clock, random.Random(seed), hears, options=AirOptions(**options))
        self.radios = {unit: SimRadio(self.air, unit=unit) for unit in hears}
        self.got = {unit: [] for unit in hears}

    def send(self, unit, packet=PACKET):
        self.radios[unit].send(packet, Protection.NONE)

    def run(self, seconds=1.0):
        end = self.clock.monotonic() + seconds
        while (due := self.air.deadline()) is not None and due <= end:
            self.clock.advance_to(due)
            for radio in self.air.service():
                now = round(self.clock.monotonic() - self.began, 4)
                self.got[radio.unit] += [(now, arrival.packet) for arrival in radio.receive()]
        self.clock.advance_to(end)

    def packets(self, unit):
        return [packet for _, packet in self.got[unit]]

    def send_many(self, unit, number, every_s=0.1):
        for n in range(number):
            self.send(unit, n.to_bytes(2) + PACKET)
            self.run(every_s)


def test_all_in_range_and_nobody_else_hear_a_frame_when_its_last_byte_has_left():
    scene = Scene(HIDDEN)
    scene.send(1)
    scene.run()
    assert scene.got == {1: [], 2: [(0.0091, PACKET)], 3: []}


def test_range_may_go_one_way():
    scene = Scene({1: frozenset(), 2: frozenset({1})})
    scene.send(1)
    scene.send(2)
    scene.run()
    assert scene.packets(1) == []
    assert scene.packets(2) == [PACKET]


@pytest.mark.parametrize("apart_s", [0.0, 0.004, 0.008])
def test_two_at_once_spoil_each_other_where_both_are_heard(apart_s):
    scene = Scene(HIDDEN, duplex=Duplex.HALF)
    scene.send(1)
    scene.run(apart_s)
    scene.send(3)
    scene.run()
    assert scene.packets(2) == []
    assert scene.radios[2].counts.frames_damaged >= 1
    assert scene.air.counts["collided"] == 2


def test_one_after_the_other_do_not():
    scene = Scene(HIDDEN, duplex=Duplex.HALF)
    scene.send(1)
    scene.run(0.0095)
    scene.send(3)
    scene.run()
    assert scene.packets(2) == [PACKET, PACKET]


def test_a_collision_is_each_receivers_own():
    """4 hears only 3: what 1 sends at the same time spoils nothing there."""
    hears = {1: frozenset(), 2: frozenset({1, 3}), 3: frozenset(), 4: frozenset({3})}
    scene = Scene(hears, duplex=Duplex.HALF)
    scene.send(1)
    scene.send(3)
    scene.run()
    assert scene.packets(2) == []
    assert scene.packets(4) == [PACKET]


def test_who_sends_hears_nothing():
    scene = Scene(duplex=Duplex.HALF)
    scene.send(1)
    scene.send(2)
    scene.run()
    assert scene.packets(1) == scene.packets(2) == scene.packets(3) == []
    assert scene.air.counts["deaf"] == 2
    assert scene.air.counts["collided"] == 2


def test_with_full_duplex_nothing_collides():
    scene = Scene()
    scene.send(1)
    scene.send(2)
    scene.run()
    assert [len(scene.got[unit]) for unit in (1, 2, 3)] == [1, 1, 2]


def test_a_transmission_is_sensed_after_a_moment_and_until_it_ends():
    scene = Scene(HIDDEN)
    assert scene.radios[2].heard_at == float("-inf")
    scene.send(1)
    scene.run(SENSE_S / 2)
    assert scene.radios[2].heard_at == float("-inf")
    scene.run(SENSE_S)
    assert scene.radios[2].heard_at == scene.clock.monotonic()
    assert scene.radios[1].heard_at == float("-inf"), "its own is no other's"
    assert scene.radios[3].heard_at == float("-inf"), "it is hidden from unit 3"
    scene.run()
    assert scene.radios[2].heard_at == pytest.approx(scene.began + 0.0091, abs=1e-4)


def test_loss_is_each_receivers_own_and_about_as_often_as_asked():
    scene = Scene(frame_loss=0.3)
    scene.send_many(1, 1000)
    two, three = scene.packets(2), scene.packets(3)
    assert 650 < len(two) < 750
    assert 650 < len(three) < 750
    assert two != three


def test_bursts_take_several_frames_in_a_row_and_leave_long_times_alone():
    scene = Scene({1: frozenset(), 2: frozenset({1})}, burst_every_s=20.0, burst_s=5.0, burst_loss=1.0)
    scene.send_many(1, 5000, every_s=0.1)
    numbers = [int.from_bytes(packet[:2]) for packet in scene.packets(2)]
    gaps = [after - before - 1 for before, after in pairwise(numbers) if after > before + 1]
    assert 0.1 < 1 - len(numbers) / 5000 < 0.3  # 5 s of every 25
    assert sum(gaps) / len(gaps) > 20  # mean burst: 50 frames
    assert len(gaps) < 50


def test_late_frames_come_behind_others_that_were_sent_after_them():
    scene = Scene(late=0.2, late_s=(0.5, 3600.0))
    scene.send_many(1, 200)
    scene.run(4000)
    packets = scene.packets(2)
    assert sorted(packets) == [n.to_bytes(2) + PACKET for n in range(200)]
    assert packets != sorted(packets)
    assert 600 < max(at for at, _ in scene.got[2]) < 3700


def test_doubled_frames_come_twice():
    scene = Scene(doubled=1.0, late_s=(0.5, 0.6))
    scene.send(1)
    scene.run()
    assert [at for at, _ in scene.got[2]] == [pytest.approx(0.0091, abs=1e-3), pytest.approx(0.56, abs=0.06)]


def test_old_frames_come_back_also_to_a_radio_that_was_not_there_then():
    scene = Scene()
    scene.send(1)
    scene.run()
    scene.radios[2].close()
    scene.radios[2] = SimRadio(scene.air, unit=2)
    scene.run(86_400)
    scene.air.bring_back()
    scene.run()
    assert [round(at) for at, _ in scene.got[2]] == [0, 86_401]


def test_a_cut_link_is_cut_in_one_direction_until_it_is_mended():
    scene = Scene()
    scene.air.cut_link(1, 2)
    scene.send(1)
    scene.send(2)
    scene.run()
    assert [len(scene.got[unit]) for unit in (1, 2, 3)] == [1, 0, 2]
    scene.air.mend_link(1, 2)
    scene.send(1)
    scene.run()
    assert len(scene.got[2]) == 1


def test_a_partition_cuts_both_ways_and_not_within():
    scene = Scene({unit: frozenset({1, 2, 3, 4} - {unit}) for unit in (1, 2, 3, 4)})
    scene.air.part(frozenset({1, 2}))
    scene.send(1)
    scene.send(3)
    scene.run()
    assert [len(scene.got[unit]) for unit in (1, 2, 3, 4)] == [0, 1, 0, 1]
    scene.air.mend_all()
    scene.send(1)
    scene.run()
    assert [len(scene.got[unit]) for unit in (1, 2, 3, 4)] == [0, 2, 1, 2]


def test_a_radio_that_is_closed_meanwhile_gets_nothing_and_harms_nothing():
    scene = Scene(doubled=1.0, late_s=(0.5, 0.6))
    scene.send(1)
    scene.radios[2].close()
    scene.run()
    assert scene.got[2] == []


def test_what_is_on_the_air_is_forgotten_when_nothing_can_overlap_it_any_more():
    scene = Scene(duplex=Duplex.HALF)
    for unit in (1, 2, 3) * 100:
        scene.send(unit)
        scene.run(0.02)
    assert len(scene.air._on_air) <= 1


def test_one_seed_is_one_air():
    def story(seed):
        scene = Scene(seed=seed, frame_loss=0.2, burst_every_s=10.0, doubled=0.1, late=0.1)
        scene.send_many(1, 300)
        return scene.got

    assert story(1) == story(1)
    assert story(1) != story(2)
