"""A unit that asks without end is refused beyond its quota, others go on, and who does as usual never meets it."""

from __future__ import annotations

import random

import pytest
from rig_scene import copies, held, own, press, settled, shoot
from test_handshakes import know_each_other

from firmware import commands as c
from firmware import messages as m
from firmware.core import MAX_TO_ONE
from firmware.errors import Flooded
from firmware.handshakes import ANSWERS_AT_ONCE, ANSWERS_PER_S
from firmware.layout import picture_path
from firmware.pictures import PictureId
from firmware.quotas import BURST_S, EXCHANGE_BYTES, MAX_UNITS, Quotas
from hal.interfaces import Duplex
from sim.machine import Machine, Options
from sim.members import Flood
from sim.radio import LineOptions
from sim.rig import Rig

ASK = m.NameAsk()
FAST = 11_520.0


# ---------------------------------------------------------------- one quota


def taken(quotas, unit, message, now, number):
    """How many of so many at once."""
    count = 0
    for _ in range(number):
        try:
            quotas.take(unit, message, now)
        except Flooded:
            continue
        count += 1
    return count


@pytest.mark.parametrize("line_bytes_per_s", [960.0, FAST])
def test_so_many_questions_may_come_at_once_and_then_as_many_as_the_line_carries_answers_for(line_bytes_per_s):
    quotas, per_s = Quotas(line_bytes_per_s), line_bytes_per_s / EXCHANGE_BYTES
    at_once = taken(quotas, 1, ASK, 1000.0, 10_000)
    assert at_once == int(max(BURST_S * per_s, MAX_TO_ONE))
    later = sum(taken(quotas, 1, ASK, 1000.0 + tick / 100, 100) for tick in range(1, 1001))
    assert later == pytest.approx(10 * per_s, abs=2)


def test_each_unit_has_a_quota_of_its_own():
    quotas = Quotas(FAST)
    taken(quotas, 1, ASK, 1000.0, 10_000)
    assert taken(quotas, 2, ASK, 1000.0, 100) == 100


def test_answers_and_parts_take_nothing_of_it():
    quotas = Quotas(FAST)
    kept = PictureId(1, 1, 1)
    answers = (m.Keep(kept, 1, b"dige"), m.Stored(kept, 1, bytes(16)), m.RecordsKept(1, 1, 1), m.Expired(3))
    for message in (m.Part(1, 0, b"x"), m.Report(1, (), 0), *answers):
        assert taken(quotas, 1, message, 1000.0, 10_000) == 10_000
    assert taken(quotas, 1, ASK, 1000.0, 10_000) < 1000


def test_of_no_more_units_than_a_roster_has_the_quota_is_remembered():
    quotas = Quotas(FAST)
    for unit in range(1, 4 * MAX_UNITS):
        quotas.take(unit, ASK, 1000.0)
    assert len(quotas._buckets._all) == MAX_UNITS


# ---------------------------------------------------------------- members that flood


class Nagging(Flood):
    """A flood of the shortest question, to one unit, as fast as its line takes them."""

    def next_packet(self, unit, link):
        self.packets += 1
        (packet,) = link.encode(1, m.InventoryAsk(unit.core.unit, None))
        return packet


def three_units(**rig):
    made = Rig(1, **rig)
    machines = [Machine(made, unit, Options(size_bytes=(30_000, 30_000))) for unit in (1, 2, 3)]
    made.run_until(know_each_other(*machines), 60)
    made.run_for(5)
    return made, machines


def seconds_for_copies(flood, baud=115_200):
    """How long pictures of unit 1 take to the shutter's end, and to their copies, while unit 3 floods or does not."""
    rig, (one, two, three) = three_units(baud=baud)
    first = shoot(one)
    rig.run_until(settled(one, two, three), 300)
    three.flood = flood(random.Random(1), [first.id], 8000) if flood else None
    three.turn()
    rig.run_for(10)
    began = rig.now
    pictures = [shoot(one) for _ in range(2)]
    shots_s = rig.now - began
    rig.run_until(lambda: all(copies(one, picture) for picture in pictures), 600)
    return shots_s, rig.now - began, (one, two, three)


def test_a_member_that_asks_without_end_is_refused_and_alarmed_of_and_pictures_go_on():
    usual_shots_s, usual_s, _ = seconds_for_copies(None)
    shots_s, copied_s, (one, two, three) = seconds_for_copies(Nagging)
    assert one.on.bad_packets.counts["Flooded"] > 1000
    assert "asks for more than the line carries" in one.on.bad_packets.problems()[0]
    assert len(one.logged("alarm")) == 1
    assert not two.on.bad_packets.problems()
    assert shots_s == pytest.approx(usual_shots_s, abs=0.1)
    assert copied_s < 4 * usual_s
    three.flood = None
    one.rig.run_for(700)
    assert not one.on.bad_packets.problems()


@pytest.mark.parametrize("baud", [9600, 115_200])
def test_no_flood_of_questions_keeps_pictures_of_others_from_their_copies(baud):
    usual_shots_s, usual_s, _ = seconds_for_copies(None, baud)
    shots_s, copied_s, (one, two, three) = seconds_for_copies(Flood, baud)
    assert shots_s == pytest.approx(usual_shots_s, abs=0.1)
    assert copied_s < 5 * usual_s
    assert three.flood.packets > 100
    assert not [row for machine in (one, two) for row in held(machine) if row.picture.id.sequence > 10]


def test_hellos_without_end_are_answered_a_few_times_and_then_one_a_second():
    rig, (one, _two, three) = three_units()
    rig.run_for(10)
    before = len(one.said(m.Welcome))
    for _ in range(300):
        (hello,) = three.on.link.encode(1, three.on.link.seal.begin(1))
        three.on.link.tapped.clear()
        rig.arrives(hello, [1])
        rig.run_for(0.1)
    answered = len(one.said(m.Welcome)) - before
    assert ANSWERS_AT_ONCE <= answered <= ANSWERS_AT_ONCE + 30 * ANSWERS_PER_S + 1
    assert one.on.bad_packets.counts["Flooded"] > 200
    assert one.on.bad_packets.problems()


# ---------------------------------------------------------------- ordinary life


@pytest.mark.parametrize(
    ("baud", "duplex", "pictures"), [(9600, Duplex.FULL, 40), (9600, Duplex.HALF, 20), (115_200, Duplex.FULL, 40)]
)
def test_no_ordinary_exchange_meets_the_quota(baud, duplex, pictures):
    """Lists and catalogues that are made anew, many copies lost, many pictures deleted: as fast as the line goes."""
    rig = Rig(1, baud=baud, line=LineOptions(duplex=duplex))
    options = Options(size_bytes=(400, 600), capacity_bytes=50_000_000)
    one, two = (Machine(rig, unit, options) for unit in (1, 2))
    rig.run_until(know_each_other(one, two), 60)
    flooded = 0
    for _ in range(pictures):
        press(one)
        rig.run_for(0.35)
    rig.run_until(settled(one, two), 2000)
    for machine, lose in ((one, one.lose_catalogue), (two, two.lose_catalogue), (two, lambda: lose_files(two))):
        flooded += sum(made.on.bad_packets.counts["Flooded"] for made in (one, two))
        machine.kill()
        lose()
        machine.restart()
        rig.run_for(10)
        rig.run_until(settled(one, two), 2000)
    rows = own(one)
    assert len(rows) == pictures
    for row in rows:
        one.command(lambda ticket, row=row: c.DeletePicture(ticket, row.picture.id))
    rig.run_for(60)
    flooded += sum(made.on.bad_packets.counts["Flooded"] for made in (one, two))
    assert flooded == 0
    assert not one.on.bad_packets.problems() + two.on.bad_packets.problems()


def lose_files(machine):
    for row in held(machine):
        machine.card.unlink(picture_path(row.picture, machine.unit))
