"""A part's deadline is the truth: where nothing has happened it has nothing to do before (firmware/unit.py)."""

from collections import Counter

from firmware.drops import Drops
from firmware.unit import Unit
from sim.world import World
from sim.world_options import WorldOptions

TIGHT = WorldOptions(
    units=3, hours=6.0, settle_hours=1.0, capacity_bytes=80_000, pictures_per_hour=3.0, restart_every_s=3 * 3600.0
)


def what_came_of(unit):
    core = unit.core
    return list(core.outbox), len(core.steps.requests), len(core.steps), len(core.told), core.journal.count


def untimely(monkeypatch, options):
    """Parts that had something to do before their time, and how often, in a world where each part is ticked always."""
    found, due_alone = Counter(), Unit._ticks_due

    def ticks_due(unit):
        due = list(due_alone(unit))
        for tick in due:
            tick()
        for tick, deadline in zip(unit._ticks, unit._deadlines, strict=True):
            at = deadline()
            if tick in due or unit.core.changed or (at is not None and at <= unit.core.now):
                continue  # it was its time, or it is now, or all are looked at anyway
            before = what_came_of(unit)
            tick()
            found["looks"] += 1
            if what_came_of(unit) != before:
                found[type(tick.__self__).__name__] += 1
        return ()

    monkeypatch.setattr(Unit, "_ticks_due", ticks_due)
    World(options).run()
    assert found.pop("looks") > 10_000
    return found


def test_no_part_has_anything_to_do_before_its_deadline(monkeypatch):
    assert not untimely(monkeypatch, TIGHT)


def test_a_part_that_does_not_tell_its_time_is_found(monkeypatch):
    monkeypatch.setattr(Drops, "deadline", lambda _: None)
    assert untimely(monkeypatch, TIGHT).keys() == {"Drops"}
