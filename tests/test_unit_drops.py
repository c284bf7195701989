"""Whole units with small cards: copy now, drop late, never without fresh proofs (DESIGN §5, HANDOVER O5)."""

from dataclasses import replace

import pytest
from rig_scene import a_pair, carry_out, check, check_always, copies, held, on_card, own, press, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.determine import Policy, Rules
from firmware.drops import PAGE
from firmware.events import KeepShot
from firmware.layout import picture_path
from firmware.pictures import Copy, File
from firmware.proofs import fresh
from firmware.shutter import FIRST_NEIGHBOUR_S
from sim.card import Fault
from sim.machine import Machine, Options
from sim.rig import Rig

SIZE = 40_000
CAPACITY = 10 * SIZE


def small(**fields):
    return Options(**{"capacity_bytes": CAPACITY, "size_bytes": (SIZE, SIZE), **fields})


def pictures_bytes(machine):
    """What pictures take on the card now, .part files too."""
    card, folders = machine.card, ["tmp"]
    for top in ("own", "held"):
        folders += [f"{top}/{entry.name}" for entry in card.entries(top)]
    return sum(entry.size_bytes for folder in folders for entry in card.entries(folder))


def never_too_much(rig):
    """No card ever holds more than its capacity; checked after every request to it. The most that each held."""
    most = {}

    def watch(machine, _request):
        most[machine.unit] = max(most.get(machine.unit, 0), pictures_bytes(machine))
        assert most[machine.unit] <= machine.options.capacity_bytes

    rig.watch = watch
    return most


def gone_here(machine):
    return [entry for entry in own(machine) if entry.file is File.GONE]


def failure(machine, ticket):
    outcome = machine.outcome(ticket)
    assert isinstance(outcome, c.Failed), outcome
    return str(outcome.error)


def assert_refused_at_once(rig, machine):
    started = rig.now
    ticket = press(machine)
    rig.run_until(lambda: machine.outcome(ticket) is not None, 150)
    assert rig.now - started < 1
    assert "the card is full" in failure(machine, ticket)


# ---------------------------------------------------------------- copied pictures make room for new ones


def test_o5_a_proof_is_fresh_for_24_hours_of_its_own_boot():
    copy = Copy(2, listed=5, verified_boot=3, verified_monotonic=100.0)
    assert fresh(copy, 3, 100.0 + 24 * 3600 - 1)
    assert not fresh(copy, 3, 100.0 + 24 * 3600)
    assert not fresh(copy, 4, 101.0)
    assert not fresh(replace(copy, suspect=True), 3, 101.0)
    assert not fresh(replace(copy, listed=0), 3, 101.0)


def test_a_card_that_is_full_of_copied_pictures_takes_every_shot_at_once():
    rig, origin, host = a_pair(origin=small())
    most = never_too_much(rig)
    taken_s = []
    for _ in range(30):
        started = rig.now
        shoot(origin)
        taken_s.append(rig.now - started)
        rig.run_for(20)
    assert max(taken_s) < 0.5  # never the radio's time
    assert most[1] > CAPACITY - 3 * SIZE  # nothing was dropped before it had to be
    assert len(held(host)) == 30
    check(origin, host)


def test_after_a_restart_proofs_are_asked_for_ahead_of_need():
    """A proof is fresh within one boot only; shots must not wait for the new ones."""
    rig, origin, host = a_pair(origin=small())
    for _ in range(8):
        shoot(origin)
        rig.run_for(10)
    origin.power_cut()
    origin.restart()
    rig.run_for(30)
    assert origin.said(m.Prove)
    check_always(rig, origin, host)
    for _ in range(6):
        started = rig.now
        shoot(origin)
        assert rig.now - started < 0.5
        rig.run_for(30)
    assert len(gone_here(origin)) >= 4


def test_a_shot_into_a_full_card_waits_for_the_copies_that_make_room():
    rig, origin, host = a_pair(origin=small(rules=Rules(policy=Policy.WHEN_FULL, high_water=1.0, low_water=0.9)))
    never_too_much(rig)
    tickets = [press(origin) for _ in range(4)]
    for _ in range(3):
        rig.run_for(3)
        tickets += [press(origin) for _ in range(3)]
    rig.run_until(lambda: all(origin.outcome(ticket) is not None for ticket in tickets), 200)
    assert all(isinstance(origin.outcome(ticket), c.Done) for ticket in tickets)
    assert len(own(origin)) == len(tickets)
    check(origin, host)


def test_the_oldest_go_first():
    rig, origin, _ = a_pair(origin=small())
    pictures = []
    for _ in range(14):
        pictures.append(shoot(origin))
        rig.run_for(15)
    gone = {entry.picture.id for entry in gone_here(origin)}
    assert gone == {picture.id for picture in pictures[: len(gone)]}


def test_cache_also_goes_for_another_units_picture():
    """A host full of its own copied pictures is not full."""
    rig, origin, host = a_pair(origin=small(capacity_bytes=1_000_000), host=small())
    for _ in range(8):
        shoot(host)
        rig.run_for(15)
    most = never_too_much(rig)
    for _ in range(4):
        shoot(origin)
        rig.run_for(40)
    rig.run_until(lambda: len(held(host)) == 4, 300)
    assert most[2] <= CAPACITY
    check(origin, host)


# ---------------------------------------------------------------- pressed


def test_pressed_pictures_with_fewer_copies_go_with_proofs_asked_for_now():
    rig, origin, host = a_pair(origin=small(rules=Rules(copies=2, copies_min=1)))
    check_always(rig, origin, host)
    for _ in range(14):
        shoot(origin)
        rig.run_for(20)
    gone = gone_here(origin)
    assert gone
    asked = {said.message.id for said in origin.said(m.Prove)}
    assert {entry.picture.id for entry in gone} <= asked  # however fresh the proof of the hand-over was


def test_never_below_copies_min():
    rig, origin, _ = a_pair(origin=small(rules=Rules(copies=2, copies_min=2), patience_s=10.0))
    tickets = []
    for _ in range(14):
        tickets.append(press(origin))
        rig.run_for(25)
    assert not gone_here(origin)
    assert any(isinstance(origin.outcome(ticket), c.Failed) for ticket in tickets)


def test_a_holder_that_is_silent_when_its_proof_is_wanted_keeps_the_file_here():
    rig, origin, host = a_pair(origin=small(patience_s=10.0))
    for _ in range(8):
        shoot(origin)
        rig.run_for(15)
    origin.power_cut()
    host.power_cut()
    origin.restart()
    before = len(gone_here(origin))
    for _ in range(4):
        press(origin)
        rig.run_for(60)
    assert len(gone_here(origin)) == before
    assert all(on_card(origin, entry.picture) for entry in own(origin) if entry.file is not File.GONE)


def test_a_holder_whose_proof_is_wrong_becomes_suspect_and_the_file_stays():
    rig, origin, host = a_pair(origin=small())
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    host.card.rot(picture_path(picture, 2), 77)
    origin.power_cut()
    origin.restart()
    rig.run_for(5)
    outcome = carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id))
    assert isinstance(outcome, c.Failed)
    assert on_card(origin, picture)
    assert copies(origin, picture) == []
    rig.run_until(settled(origin, host), 200)  # and a good copy is made there anew
    check(origin, host)


def copied(pictures, **fields):
    """An origin with so many pictures, all of them with a copy at the host."""
    rig, origin, host = a_pair(origin=small(**fields))
    for _ in range(pictures):
        shoot(origin)
        rig.run_for(10)
    rig.run_until(settled(origin, host), 60)
    return rig, origin, host


@pytest.mark.parametrize("copies_min", [1, 2])
def test_pictures_at_a_unit_that_is_gone_for_good_do_not_keep_others_from_making_room(copies_min):
    """More of them than one page of the cache, and older than all others."""
    rig, origin, host = copied(PAGE + 2, capacity_bytes=14 * SIZE)
    host.power_cut()
    others = [Machine(rig, unit) for unit in range(3, 3 + copies_min)]
    origin.options.rules = Rules(copies=copies_min, copies_min=copies_min)
    origin.power_cut()
    origin.restart()
    rig.run_for(200)
    check_always(rig, origin, host, *others)
    taken = []
    for _ in range(6):
        taken.append(shoot(origin))
        rig.run_for(60)
    gone = {entry.picture.id for entry in gone_here(origin)}
    assert gone
    if copies_min == 1:  # what only the unit that is gone has stays here
        assert gone < {picture.id for picture in taken}


def test_with_every_holder_of_the_cache_silent_a_shot_is_refused_at_once():
    rig, origin, host = copied(6)
    host.power_cut()
    rig.run_for(250)
    origin.power_cut()
    origin.restart()
    rig.run_for(FIRST_NEIGHBOUR_S + 1)
    for _ in range(4):
        shoot(origin)
    assert_refused_at_once(rig, origin)
    assert not gone_here(origin)


def test_a_holder_that_comes_back_lets_the_cache_go():
    rig, origin, host = copied(8)
    host.power_cut()
    origin.power_cut()
    origin.restart()
    rig.run_for(400)
    assert not gone_here(origin)
    host.restart()
    for _ in range(4):
        shoot(origin)
        rig.run_for(20)
    assert gone_here(origin)
    check(origin, host)


# ---------------------------------------------------------------- a shot that finds no room


def test_with_every_unit_silent_a_shot_is_refused_at_once():
    rig, origin, host = a_pair(origin=small())
    host.power_cut()
    rig.run_for(250)
    for _ in range(10):
        shoot(origin)
    assert_refused_at_once(rig, origin)
    assert len(own(origin)) == 10


def test_while_nobody_was_heard_a_shot_is_not_refused_before_15_s_after_the_start():
    rig = Rig()
    origin = Machine(rig, 1, small(capacity_bytes=2 * SIZE))
    started = rig.now
    shoot(origin)
    shoot(origin)
    ticket = press(origin)
    rig.run_until(lambda: origin.outcome(ticket) is not None, 150)
    assert FIRST_NEIGHBOUR_S <= rig.now - started <= FIRST_NEIGHBOUR_S + 1


def test_with_every_unit_full_a_shot_is_refused_at_once_and_says_so():
    rig, origin, _ = a_pair(origin=small(), host=Options(capacity_bytes=2 * SIZE + 100))
    while True:
        started = rig.now
        ticket = press(origin)
        rig.run_until(lambda t=ticket: origin.outcome(t) is not None, 150)
        if isinstance(origin.outcome(ticket), c.Failed):
            break
        rig.run_for(20)
    assert rig.now - started < 10
    assert "full" in failure(origin, ticket)


def test_while_a_copy_is_under_way_a_shot_waits_no_longer_than_patience():
    rig, origin, host = a_pair(origin=small(capacity_bytes=2 * SIZE, patience_s=20.0), baud=9600)
    shoot(origin)
    shoot(origin)
    rig.run_for(5)
    started = rig.now
    ticket = press(origin)
    rig.run_until(lambda: origin.outcome(ticket) is not None, 60)
    assert rig.now - started == pytest.approx(20.0, abs=0.5)
    assert "full" in failure(origin, ticket)
    rig.run_until(settled(origin, host), 300)
    assert len(own(origin)) == 2


def test_two_shots_are_held_and_a_third_press_waits_for_the_camera():
    rig, origin, _ = a_pair(origin=small(capacity_bytes=2 * SIZE, patience_s=1000.0), baud=9600)
    for _ in range(2):
        shoot(origin)
    tickets = [press(origin) for _ in range(3)]
    rig.run_for(5)
    assert origin.on.shutter.waiting == 2
    assert origin.camera.captures == 4
    rig.run_until(lambda: all(origin.outcome(ticket) is not None for ticket in tickets), 900)
    assert all(isinstance(origin.outcome(ticket), c.Done) for ticket in tickets)


def test_a_smaller_shot_behind_one_that_finds_no_room_is_kept():
    rig = Rig()
    origin = Machine(rig, 1, small(capacity_bytes=2 * SIZE + SIZE // 2, rules=Rules(policy=Policy.NEVER)))
    shoot(origin)
    shoot(origin)
    large = press(origin)
    rig.run_for(1)
    origin.camera._size_bytes = (SIZE // 4, SIZE // 4)
    smaller = press(origin)
    rig.run_for(1)
    assert origin.on.shutter.waiting == 2
    rig.run_for(FIRST_NEIGHBOUR_S)
    assert "full" in failure(origin, large)
    assert origin.outcome(smaller) == c.Done(own(origin)[-1].picture)


def test_a_file_system_that_is_full_is_not_tried_again_and_again():
    """The capacity says yes, the file system no (its floor): held, asked again now and then, refused in the end."""
    rig, origin, _ = a_pair(origin=small(capacity_bytes=1_000_000, file_system_bytes=17_000_000, patience_s=60.0))
    tried = []
    rig.watch = lambda _machine, request: tried.append(rig.now) if isinstance(request, KeepShot) else None
    tickets = []
    for _ in range(12):
        tickets.append(press(origin))
        rig.run_for(10)
    rig.run_for(120)
    refused = [ticket for ticket in tickets if isinstance(origin.outcome(ticket), c.Failed)]
    assert len(own(origin)) + len(refused) == len(tickets)
    assert len(tried) < 5 * len(tickets)


# ---------------------------------------------------------------- by hand


def drop(machine, picture):
    return carry_out(machine, lambda ticket: c.DropOwn(ticket, picture.id))


def test_drop_by_hand_frees_the_file_and_leaves_the_copy():
    rig, origin, host = a_pair()
    check_always(rig, origin, host)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    assert drop(origin, picture) == c.Done(None)
    assert not on_card(origin, picture)
    assert on_card(host, picture)
    assert drop(origin, picture) == c.Done(None)  # again is fine


def test_drop_by_hand_asks_for_a_proof_where_the_last_one_is_of_an_earlier_boot():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.power_cut()
    origin.restart()
    rig.run_for(3)
    assert drop(origin, picture) == c.Done(None)
    assert origin.said(m.Prove)


@pytest.mark.parametrize("copied", [False, True])
def test_drop_by_hand_is_refused_without_a_copy_that_answers(copied):
    rig, origin, host = a_pair(origin=Options(rules=Rules(copies=1 if copied else 0)))
    picture = shoot(origin)
    if copied:
        rig.run_until(settled(origin, host), 60)
        origin.power_cut()
        host.power_cut()
        origin.restart()
    outcome = drop(origin, picture)
    assert isinstance(outcome, c.Failed)
    assert "was not dropped" in str(outcome.error)
    assert on_card(origin, picture)


def test_where_the_own_card_cannot_be_read_to_compare_a_proof_the_commands_end_and_say_so():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.power_cut()
    origin.restart()
    rig.run_for(3)
    origin.card.options.below["own"] = Fault.IO
    assert isinstance(drop(origin, picture), c.Failed)
    assert carry_out(origin, lambda ticket: c.Verify(ticket, picture.id)) == c.Done(c.Verified((2,), ()))
    assert copies(origin, picture) == [2]  # the fault is here, not there


def test_a_picture_that_is_being_sent_is_not_dropped():
    rig, origin, host = a_pair(origin=Options(size_bytes=(200_000, 200_000)))
    third = Machine(rig, 3)
    rig.run_for(3)
    picture = shoot(origin)
    rig.run_until(settled(origin, host, third), 100)
    (holder,) = copies(origin, picture)
    other = 5 - holder
    copying = origin.command(lambda ticket: c.PlaceCopy(ticket, picture.id, other, 60.0))
    rig.run_for(5)
    assert isinstance(drop(origin, picture), c.Failed)
    rig.run_until(lambda: origin.outcome(copying) is not None, 60)
    assert origin.outcome(copying) == c.Done(None)
    assert drop(origin, picture) == c.Done(None)
    check(origin, host, third)
