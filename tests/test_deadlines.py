"""Where nothing has happened no part but the beacons has anything to do before its deadline (firmware/unit.py)."""

from collections import Counter

import pytest
from rig_scene import press, shoot

from firmware.drops import Drops
from firmware.unit import Unit
from sim.machine import Machine, Options
from sim.rig import Rig
from sim.world import World
from sim.world_options import WorldOptions

TIGHT = WorldOptions(
    units=3, hours=6.0, settle_hours=1.0, capacity_bytes=80_000, pictures_per_hour=3.0, restart_every_s=3 * 3600.0
)
FAR = WorldOptions(
    seed=4,
    units=5,
    in_range=2,
    hours=6.0,
    settle_hours=1.0,
    capacity_bytes=160_000,
    pictures_per_hour=6.0,
    restart_every_s=4 * 3600.0,
    off_s=1800.0,
    gets=20.0,
    copies_by_hand=5.0,
    drops_by_hand=5.0,
    partitions=3.0,
    partition_s=1800.0,
)


def what_came_of(unit):
    core = unit.core
    return list(core.outbox), len(core.steps.requests), len(core.steps), len(core.told), core.journal.count


def untimely(monkeypatch, options):
    """Parts that had something to do while the beacons alone were looked at, and how often."""
    found, is_beacon_alone = Counter(), Unit._is_beacon_alone

    def look_at_the_others_too(unit):
        if not is_beacon_alone(unit):
            return False
        for tick in unit._ticks:
            if tick != unit.beacons.tick:
                before = what_came_of(unit)
                tick()
                found["looks"] += 1
                if what_came_of(unit) != before:
                    found[type(tick.__self__).__name__] += 1
        return True

    monkeypatch.setattr(Unit, "_is_beacon_alone", look_at_the_others_too)
    World(options).run()
    assert found.pop("looks") > 3_000
    return found


@pytest.mark.parametrize("options", [TIGHT, FAR], ids=["tight", "far"])
def test_no_part_has_anything_to_do_before_its_deadline(monkeypatch, options):
    assert not untimely(monkeypatch, options)


def test_a_part_that_does_not_tell_its_time_is_found(monkeypatch):
    monkeypatch.setattr(Drops, "deadline", lambda _: None)
    assert untimely(monkeypatch, TIGHT).keys() == {"Drops"}


def test_what_is_due_stays_so_until_the_shutter_has_looked():
    """Time goes on by whatever else the unit hears of, too."""
    rig = Rig()
    origin = Machine(rig, 1, Options(capacity_bytes=100_000, size_bytes=(40_000, 40_000), patience_s=30.0))
    for _ in range(2):
        shoot(origin)
    press(origin)
    rig.run_for(1)
    shutter, core = origin.on.shutter, origin.on.core
    due = shutter.deadline()
    core.now = due + 1.0
    assert shutter.deadline() == due
    shutter.tick()
    assert shutter.deadline() != due


def test_the_rest_after_a_drop_that_came_to_nothing_is_over_when_it_was_looked_at():
    rig = Rig()
    core, drops = (on := Machine(rig, 1).on).core, on.drops
    drops._dropped(False)  # as a holder that did not prove its copy in time ends it
    drops._again_at, due = None, drops.deadline()
    core.now = due + 1.0
    assert drops.deadline() == due
    drops.tick()
    assert drops.deadline() is None
