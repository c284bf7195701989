"""Fair shares of hosting room: nobody is limited by what nobody asks for; who is above its share is refused first."""

from collections import Counter

import pytest
from rig_scene import held, shoot

from firmware import messages as m
from firmware.determine import Rules
from firmware.shares import MAX_UNITS, MEMORY_S, REFUSED_S, Demand, may_take
from sim.machine import Machine, Options
from sim.rig import Rig

ROOM = 1000


@pytest.mark.parametrize(
    ("size", "held_bytes", "asked", "may"),
    [
        (100, {}, {}, True),
        (100, {1: 900}, {}, True),  # alone it may have it all
        (100, {1: 900}, {1: 900}, True),
        (100, {1: 800, 2: 100}, {}, True),  # the other asks for nothing
        (100, {1: 800, 2: 100}, {2: 100}, False),  # what is left is the other's
        (100, {1: 700, 2: 100}, {2: 100}, True),  # enough is left for both
        (100, {1: 700, 2: 100}, {2: 101}, False),
        (100, {1: 400, 2: 500}, {2: 900}, True),  # within its share, whatever others ask for
        (100, {1: 450, 2: 450}, {2: 900}, False),  # above it, and the other has 50 bytes of its share to come
        (100, {1: 400, 2: 500, 3: 100}, {2: 900}, False),  # what is held for one that does not ask is not divided
        (100, {1: 400, 2: 100, 3: 100}, {2: 150, 3: 150}, True),
        (100, {1: 400, 2: 100, 3: 100}, {2: 151, 3: 150}, False),
        (100, {1: 400, 2: 100, 3: 100}, {2: 900, 3: 60}, True),  # up to its share only, a third of the room
        (100, {1: 400, 2: 100, 3: 100}, {2: 900, 3: 70}, False),
        (100, {1: 0, 2: 900}, {2: 5000}, True),  # the one below its share comes first
    ],
)
def test_who_may_take_more(size, held_bytes, asked, may):
    assert may_take(1, size, held_bytes, asked, ROOM) is may


def test_demand_fades_and_a_refused_picture_counts_once_until_it_is_taken():
    demand = Demand()
    demand.taken(2, 1000, 0.0)
    for at in (1.0, 60.0, 120.0):
        demand.refused(3, 500, at)
    assert demand.bytes_by_unit(120.0)[3] == 500
    assert demand.bytes_by_unit(MEMORY_S) == {2: pytest.approx(368, abs=1)}
    demand.taken(3, 500, 200.0)
    assert demand.bytes_by_unit(200.0)[3] == 500
    demand.refused(2, 70, 300.0)
    assert demand.bytes_by_unit(300.0 + REFUSED_S)[2] < 1000


def test_demand_remembers_so_many_units():
    demand = Demand()
    for unit in range(MAX_UNITS + 10):
        demand.taken(unit, 1000, float(unit))
    assert sorted(demand.bytes_by_unit(100.0)) == list(range(10, MAX_UNITS + 10))


SIZE = 20_000


def a_host_with(*origins, hosts_pictures):
    """Unit 9 has room for so many pictures, and others ask for it."""
    rig = Rig(1)
    host = Machine(rig, 9, Options(capacity_bytes=hosts_pictures * SIZE, hosting_share=1.0, size_bytes=(SIZE, SIZE)))
    nobody_else = Options(hosting_share=0.0, size_bytes=(SIZE, SIZE), rules=Rules())
    machines = [Machine(rig, unit, nobody_else) for unit in origins]
    rig.run_for(30)
    return rig, host, machines


def of_each(host):
    return Counter(entry.picture.id.unit for entry in held(host))


def test_four_origins_get_equal_shares_of_one_host():
    rig, host, origins = a_host_with(1, 2, 3, 4, hosts_pictures=32)
    for _ in range(12):
        for origin in origins:
            shoot(origin)
        rig.run_for(30)
    rig.run_for(600)
    assert len(held(host)) >= 31
    assert max(of_each(host).values()) - min(of_each(host).values()) <= 1


def test_one_that_takes_many_leaves_the_others_what_they_ask_for():
    rig, host, (greedy, *others) = a_host_with(1, 2, 3, 4, hosts_pictures=32)
    for number in range(40):
        shoot(greedy)
        if number % 4 == 0:
            for origin in others:
                shoot(origin)
        rig.run_for(20)
    rig.run_for(600)
    each = of_each(host)
    assert any(said.message.why is m.RefuseWhy.SHARE for said in host.said(m.Refuse))
    assert len(held(host)) >= 28
    assert min(each[2], each[3], each[4]) >= 5
    assert each[1] > 8  # more than its share, of what the others did not ask for


def test_one_alone_may_use_it_all():
    rig, host, (origin,) = a_host_with(1, hosts_pictures=10)
    for _ in range(12):
        shoot(origin)
        rig.run_for(10)
    rig.run_for(60)
    assert len(held(host)) == 10


def test_what_is_held_for_each_is_known_after_a_restart():
    rig, host, origins = a_host_with(1, 2, hosts_pictures=20)
    for origin in origins:
        shoot(origin)
    rig.run_for(60)
    before = dict(host.on.core.hosted_bytes)
    assert before == {1: SIZE, 2: SIZE}
    host.power_cut()
    host.restart()
    assert dict(host.on.core.hosted_bytes) == before
