"""The world: every fault at once and nothing lost, each checker finds what it is for, one seed is one trace."""

import hashlib
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import commands as c
from firmware.core import MAX_OUTBOX
from firmware.events import Save
from firmware.hosting import Hosting
from firmware.layout import parent_of, picture_path
from firmware.messages import NameAsk
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.states import State
from hal.interfaces import Duplex
from sim.camera import GREY_JPEG
from sim.checks import MOST_STEPS
from sim.truth import Violation
from sim.world import Failed, World, who_hears_whom
from sim.world_options import ALL_FAULTS, WORST, WorldOptions, parse

ROOT = Path(__file__).parent.parent
SMALL = WorldOptions(units=3, hours=3.0, settle_hours=1.0)


# ---------------------------------------------------------------- whole worlds


@pytest.mark.parametrize("seed", [1, 2, 9])
def test_a_day_with_every_fault_loses_nothing_and_settles(seed):
    report = World(replace(ALL_FAULTS, seed=seed, units=5, hours=16.0)).run()
    assert report.pictures > 60
    assert report.copies > report.pictures / 2
    assert report.faults["start"] > 10
    assert report.faults["frame lost"] > 100
    assert report.faults["catalogue lost"] + report.faults["card lost"] > 0


def test_a_quiet_world_places_each_picture_once():
    report = World(replace(SMALL, hours=10.0)).run()
    assert (report.pictures, report.copies, report.deleted, report.excused.total()) == (30, 30, 0, 0)
    assert report.part_bytes == report.placed_bytes + 30 * len(GREY_JPEG)  # and each holder has the preview
    assert report.settled_after_h < 0.2


@pytest.mark.parametrize("seed", [12, 18])
def test_no_transfer_stands_still_on_a_channel_that_only_loses_frames(seed):
    options = replace(
        SMALL, units=5, hours=1.5, duplex=Duplex.HALF, loss=0.15, picture_bytes=30_000, pictures_per_hour=4.0, seed=seed
    )
    world = World(replace(options, beacon_s=60.0))
    report = world.run()
    assert report.copies == report.pictures == 30
    assert not any(machine.logged("timed_out") for machine in world.machines.values())


def test_full_cards_are_no_reason_to_lose_anything():
    options = replace(SMALL, hours=6.0, capacity_bytes=80_000, pictures_per_hour=3.0, restart_every_s=3 * 3600.0)
    report = World(options).run()
    assert 15 < report.pictures < 40  # of 54 that were asked for
    assert report.copies < report.pictures


def digest_in_a_process(hash_seed, *arguments):
    env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "sim.world", *arguments]
    made = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120)
    return made.stdout.split("trace ")[1].strip()


def test_one_seed_is_one_trace_under_any_hash_seed():
    arguments = ["--all-faults", "--units", "4", "--hours", "6", "--seed", "5"]
    digest = digest_in_a_process("1", *arguments)
    assert digest == digest_in_a_process("4711", *arguments)
    assert digest != digest_in_a_process("1", *arguments[:-1], "6")


def test_a_world_that_fails_says_how_to_run_it_again(tmp_path):
    options = replace(SMALL, seed=8, loss=0.2, most_sent=0.5)
    with pytest.raises(Failed, match="bytes: ") as failed:
        World(options).run()
    command = shlex.split(str(failed.value).splitlines()[-1])
    assert command[:3] == ["python", "-m", "sim.world"]
    assert parse(command[3:]) == options
    trace = tmp_path / "trace"
    ran = subprocess.run(
        [sys.executable, *command[1:], "--trace", str(trace)], cwd=ROOT, capture_output=True, text=True
    )
    assert (ran.returncode, "bytes: " in ran.stderr) == (1, True)
    lines = trace.read_text().splitlines()
    assert any(" says Request to " in line for line in lines)
    assert any(" KeepShot 00001-" in line for line in lines)


def test_every_option_can_be_said_and_printed():
    changed = replace(WORST, seed=3, units=9, duplex="half", most_sent=9.0)
    assert parse(shlex.split(changed.command())[3:]) == parse(
        shlex.split(parse(shlex.split(changed.command())[3:]).command())[3:]
    )


def test_units_hear_their_neighbours_on_the_ring_and_some_only_one_way():
    hears = who_hears_whom(WorldOptions(units=50, in_range=8))
    assert hears[1] == frozenset({47, 48, 49, 50, 2, 3, 4, 5})
    assert all(len(heard) == 8 for heard in hears.values())
    one_way = who_hears_whom(WorldOptions(units=50, in_range=8, one_way=0.5))
    lost = [(a, b) for a in hears for b in hears[a] if b not in one_way[a]]
    assert 60 < len(lost) < 140
    assert not [(a, b) for a, b in lost if (b, a) in lost]


# ---------------------------------------------------------------- the checkers


@pytest.fixture
def world():
    """Three units with three settled pictures each."""
    made = World(SMALL)
    made.run()
    return made


def some_picture(world):
    """One whose list number is not the first: its origin, its holder, and its entry."""
    for picture, truth in world.checks.truths.items():
        origin = world.machines[picture.unit]
        entry = origin.entry(picture)
        if entry.listed[0].listed > 1:
            (holder,) = truth.holders
            return origin, world.machines[holder], entry
    raise AssertionError("no such picture")


def commit(machine, *entries, removed=()):
    machine.catalogue.save(Save(entries=entries, removed=removed))


def lose_file(machine, picture):
    path = picture_path(picture, machine.unit)
    machine.card.unlink(path)
    machine.card.sync_directory(parent_of(path))


def test_nothing_is_found_where_nothing_is_wrong(world):
    for machine in world.machines.values():
        world.checks.after(machine)
    world.checks.sweep()
    assert world.checks.unsettled() == []


def test_i1_a_picture_that_nobody_has(world):
    origin, holder, entry = some_picture(world)
    commit(holder, removed=(entry.picture.id,))
    commit(origin, replace(entry, file=File.GONE, copies=()))
    with pytest.raises(Violation, match=r"^I1: nobody has"):
        world.checks.after(origin)


def test_i2_a_holder_without_a_row(world):
    _, holder, entry = some_picture(world)
    commit(holder, removed=(entry.picture.id,))
    with pytest.raises(Violation, match=r"^I2: .* has it not"):
        world.checks.after(holder)


def test_i2_a_row_older_than_the_list(world):
    _, holder, entry = some_picture(world)
    commit(holder, replace(holder.entry(entry.picture.id), attempt=entry.listed[0].listed - 1))
    with pytest.raises(Violation, match=r"^I2: .* listed is"):
        world.checks.after(holder)


def test_i3_a_row_without_its_file(world):
    _, holder, entry = some_picture(world)
    lose_file(holder, entry.picture)
    with pytest.raises(Violation, match=r"^I3: unit \d has a row"):
        world.checks.sweep()


def test_i3_an_own_row_without_its_file(world):
    origin, _, entry = some_picture(world)
    lose_file(origin, entry.picture)
    with pytest.raises(Violation, match=r"^I3: unit \d has an own row"):
        world.checks.picture(entry.picture.id)


def test_i3_a_file_with_a_wrong_byte(world):
    _, holder, entry = some_picture(world)
    holder.card.rot(picture_path(entry.picture, holder.unit), 5)
    with pytest.raises(Violation, match=r"^I3"):
        world.checks.sweep()


def test_i4_neither_file_nor_list(world):
    origin, _, entry = some_picture(world)
    commit(origin, replace(entry, file=File.GONE, copies=()))
    with pytest.raises(Violation, match=r"^I4"):
        world.checks.after(origin)


def test_i5_a_drop_without_a_fresh_proof(world):
    origin, _, entry = some_picture(world)
    old = replace(entry.listed[0], verified_monotonic=origin.rig.now - 25 * 3600)
    commit(origin, replace(entry, file=File.GONE, copies=(old,)))
    with pytest.raises(Violation, match=r"^I5"):
        world.checks.after(origin)


def test_i5_lets_a_drop_with_a_fresh_proof_pass(world):
    origin, _, entry = some_picture(world)
    commit(origin, replace(entry, file=File.GONE))
    world.checks.after(origin)


def test_an_id_that_is_used_twice(world):
    origin, _, entry = some_picture(world)
    other = replace(entry.picture, sha256=hashlib.sha256(b"another").digest())
    commit(origin, replace(entry, picture=other))
    with pytest.raises(Violation, match="is used twice"):
        world.checks.after(origin)


def test_other_content_at_a_holder(world):
    _, holder, entry = some_picture(world)
    other = replace(entry.picture, sha256=hashlib.sha256(b"another").digest())
    commit(holder, replace(holder.entry(entry.picture.id), picture=other))
    with pytest.raises(Violation, match="holds other content"):
        world.checks.after(holder)


def test_a_deleted_picture_that_comes_back(world):
    origin, _, entry = some_picture(world)
    ticket = origin.command(lambda t: c.DeletePicture(t, entry.picture.id))
    world.run_hours(0.1)
    assert origin.outcome(ticket) == c.Done("deleted")
    commit(origin, entry)
    with pytest.raises(Violation, match="was deleted and came back"):
        world.checks.after(origin)


def test_a_picture_that_is_deleted_without_an_order(world):
    origin, _, entry = some_picture(world)
    commit(origin, replace(entry, deleted=True, file=File.GONE, copies=()))
    with pytest.raises(Violation, match="nobody has ordered that"):
        world.checks.after(origin)


def test_a_picture_that_its_origin_has_forgotten(world):
    origin, _, entry = some_picture(world)
    commit(origin, removed=(entry.picture.id,))
    with pytest.raises(Violation, match=r"has forgotten"):
        world.checks.sweep()


def test_a_held_picture_that_was_never_taken(world):
    origin, holder, _ = some_picture(world)
    picture = Picture(PictureId(origin.unit, 1, 99), 100, bytes(32))
    commit(holder, Entry(picture, File.WHOLE, attempt=1))
    with pytest.raises(Violation, match="never took"):
        world.checks.after(holder)


def test_a_reservation_past_its_time(world):
    origin, holder, entry = some_picture(world)
    hosting = Hosting(origin.unit, entry.picture, 9, state=State.ACCEPT, expires=world.rig.now - 2)
    holder.on.hostings._all.append(hosting)
    with pytest.raises(Violation, match=r"^TTL"):
        world.checks.bounds(holder)


def test_reserved_room_that_nobody_fills(world):
    _, holder, entry = some_picture(world)
    holder.on.core.room.reserved_held[("hosting", 1, entry.picture.id)] = 8000
    with pytest.raises(Violation, match=r"^TTL"):
        world.checks.bounds(holder)


def test_an_outbox_that_is_full(world):
    _, holder, _ = some_picture(world)
    for unit in range(100, 100 + MAX_OUTBOX):
        holder.on.core.say(unit, NameAsk())
    with pytest.raises(Violation, match=r"^outbox"):
        world.checks.bounds(holder)


def test_steps_that_pile_up(world):
    _, holder, _ = some_picture(world)

    def waiting():
        yield Save()

    for _ in range(MOST_STEPS + 1):
        holder.on.core.run(waiting())
    with pytest.raises(Violation, match=r"^steps"):
        world.checks.bounds(holder)


def test_a_wrong_picture_that_is_delivered(world):
    for truth in world.checks.truths.values():
        truth.sha256 = bytes(32)
    with pytest.raises(Violation, match="a wrong picture was delivered"):
        read_all_out(world)


def read_all_out(world):
    import random

    from sim.people import People

    people = People(world, world.faults.counts)
    for seed in range(5):
        people.get(random.Random(seed))
        world.rig.run_for(60)


def test_what_is_not_settled(world):
    origin, holder, entry = some_picture(world)
    pid, (copy,) = entry.picture.id, entry.listed
    third = next(m for m in world.machines.values() if m not in (origin, holder))

    def found(machine, changed):
        before = machine.entry(pid)
        commit(machine, changed)
        machine.changed()
        told = world.checks.unsettled()
        commit(machine, before)
        return told

    truth = world.checks.truths[pid]
    assert found(origin, replace(entry, copies=(replace(copy, open=99),))) == [
        f"an attempt at unit {holder.unit} is open for {pid}"
    ]
    assert f"{pid} lacks 1 copies" in found(origin, replace(entry, copies=()))
    assert f"unit {holder.unit} holds {pid} and is not listed" in found(origin, replace(entry, copies=()))
    truth.holders.add(third.unit)
    assert world.checks.unsettled() == [f"unit {third.unit} holds {pid} and is not listed"]
    truth.holders = set()
    assert world.checks.unsettled() == [f"unit {holder.unit} is listed for {pid} and has it not"]
    truth.holders, truth.deleted = {holder.unit}, True
    assert world.checks.unsettled() == [f"unit {holder.unit} still holds {pid}, which was deleted"]
    truth.deleted = False
    assert f"unit {holder.unit} has had no KEEP for {pid}" in found(holder, replace(holder.entry(pid), kept=False))
    holder.kill()
    assert f"unit {holder.unit} is off" in world.checks.unsettled()


# ---------------------------------------------------------------- what is excused, and no more


def test_rot_excuses_the_copy_that_it_hit_and_no_other(world):
    _, holder, entry = some_picture(world)
    other = next(p for p, t in world.checks.truths.items() if holder.unit in t.holders and p != entry.picture.id)
    holder.card.rot(picture_path(entry.picture, holder.unit), 5)
    world.checks.hurts.rotted(holder.unit, entry.picture.id)
    world.checks.sweep()
    lose_file(holder, holder.entry(other).picture)
    with pytest.raises(Violation, match=r"^I3"):
        world.checks.sweep()


def test_a_lost_card_excuses_its_copies_until_they_are_listed_anew(world):
    origin, holder, entry = some_picture(world)
    holder.kill()
    world.checks.hurts.card_lost(holder.unit)
    holder.lose_card()
    holder.restart()
    world.checks.after(holder)
    world.checks.sweep()
    next_attempt = origin.catalogue.counter("next_attempt", 1)
    commit(origin, replace(entry, copies=(replace(entry.listed[0], listed=next_attempt),)))
    with pytest.raises(Violation, match=r"^I2"):
        world.checks.after(origin)


def test_a_picture_with_another_copy_is_not_excused_by_a_lost_card(world):
    origin, holder, entry = some_picture(world)
    origin.kill()
    world.checks.hurts.card_lost(origin.unit)
    origin.lose_card()
    origin.restart()
    commit(holder, removed=(entry.picture.id,))
    with pytest.raises(Violation, match=r"^I1"):
        world.checks.after(holder)


def saves(world, origin, entry, **changes):
    """A row of the origin, and what the checks make of it."""
    commit(origin, replace(entry, **changes))
    world.checks.after(origin)


def rots(world, machine, picture):
    machine.card.rot(picture_path(picture, machine.unit), 5)
    world.checks.hurts.rotted(machine.unit, picture.id)


def test_a_rotten_own_file_does_not_excuse_a_list_that_forgets_its_holder(world):
    origin, _, entry = some_picture(world)
    rots(world, origin, entry.picture)
    saves(world, origin, entry, file=File.GONE)
    with pytest.raises(Violation, match=r"^I4"):
        saves(world, origin, entry, file=File.GONE, copies=())


def test_a_rotten_own_file_excuses_a_list_that_named_nobody_until_it_names_somebody(world):
    origin, _, entry = some_picture(world)
    rots(world, origin, entry.picture)
    saves(world, origin, entry, copies=())  # it cannot know, so the own file may be all that it wants
    saves(world, origin, entry, file=File.GONE, copies=())
    saves(world, origin, entry, file=File.GONE)
    with pytest.raises(Violation, match=r"^I4"):
        saves(world, origin, entry, file=File.GONE, copies=())


def test_a_rotten_copy_is_listed_anew_as_suspect_only(world):
    origin, holder, entry = some_picture(world)
    rots(world, holder, entry.picture)
    again = replace(entry.listed[0], listed=origin.catalogue.counter("next_attempt", 1))
    saves(world, origin, entry, copies=(replace(again, suspect=True),))
    with pytest.raises(Violation, match=r"^I2"):
        saves(world, origin, entry, copies=(again,))


def test_files_of_a_lost_catalogue_are_copies_until_the_next_start_takes_them_in(world):
    _, holder, entry = some_picture(world)
    holder.kill()
    world.checks.hurts.catalogue_lost(holder.unit)
    holder.lose_catalogue()
    world.checks.picture(entry.picture.id)
    lose_file(holder, entry.picture)
    with pytest.raises(Violation, match=r"^I2"):
        world.checks.picture(entry.picture.id)


def test_a_rotten_copy_whose_row_has_gone_is_not_listed_anew(world):
    origin, holder, entry = some_picture(world)
    rots(world, holder, entry.picture)
    commit(holder, removed=(entry.picture.id,))
    world.checks.after(holder)
    again = replace(entry.listed[0], listed=origin.catalogue.counter("next_attempt", 1), suspect=True)
    with pytest.raises(Violation, match=r"^I2"):
        saves(world, origin, entry, copies=(again,))
