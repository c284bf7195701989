"""The table of crash points (HANDOVER §2), row by row: the power goes right there, and what the restart makes of it.

Cuts at every step of whole stories: tests/test_cuts.py. I1 to I4 are looked at after every durable step of each test.
"""

import random

import pytest
from rig_scene import (
    a_pair,
    carry_out,
    check,
    check_always,
    copies,
    held,
    on_card,
    own,
    part_bytes,
    place,
    press,
    settled,
    shoot,
)

from firmware import commands as c
from firmware import messages as m
from firmware.events import SavePartial
from firmware.pictures import File
from firmware.states import State
from sim.card import PowerCut, ProcessKilled
from sim.machine import Machine, Options

SMALL = Options(size_bytes=(9_000, 9_000))
OFF_S = 5.0  # between a cut and the restart


def scene(**options):
    """Units 1 and 2 with small pictures, looked at after every step."""
    made = Options(size_bytes=(9_000, 9_000), **options)
    rig, origin, host = a_pair(origin=made, host=made)
    check_always(rig, origin, host)
    return rig, origin, host


def cut_when(machine, is_there, cut=PowerCut):
    """The power goes (once) before the first step for which this holds; it is told what comes next. A COMMIT is asked
    about with its changes in view."""

    def about_to(_machine, what, _may):
        if is_there(what):
            machine.watch_steps(None)
            raise cut(f"before {what}")

    machine.watch_steps(about_to)


def before(*words):
    """For cut_when(): the last of these steps, that come in this order (others may come between)."""
    left = list(words)

    def is_there(what):
        if what.startswith(left[0]):
            del left[0]
        return not left

    return is_there


def until_off(rig, machine):
    """Until it is, and a while longer."""
    rig.run_until(lambda: machine.running is None, 150)
    rig.run_for(OFF_S)


def on_again(machine, *others):
    machine.restart()
    check(machine, *others)


def attempts(machine):
    return {said.message.attempt for said in machine.said(m.Request)}


# ---------------------------------------------------------------- the storage recipe


def test_before_the_rename_the_picture_was_never_announced():
    rig, origin, host = scene()
    cut_when(origin, before("card own/"))
    ticket = press(origin)
    until_off(rig, origin)
    assert [entry.name for entry in origin.card.entries("tmp")] == []  # its name was not synced
    on_again(origin, host)
    assert origin.outcome(ticket) is None
    assert own(origin) == []
    assert origin.card.entries("tmp") == []


def test_after_the_rename_and_before_the_row_an_own_picture_is_adopted():
    rig, origin, host = scene()
    cut_when(origin, before("card own/", "card own/", "commit"))
    press(origin)
    until_off(rig, origin)
    assert own(origin) == []
    on_again(origin, host)
    ((entry),) = own(origin)
    assert on_card(origin, entry.picture)
    rig.run_until(settled(origin, host), 150)


def test_an_own_picture_that_is_adopted_after_a_process_ended_is_on_the_medium_before_its_row():
    rig, origin, host = scene()
    cut_when(origin, before("card tmp/", "card own/00001", "card tmp/", "card own/00001"), ProcessKilled)
    press(origin)
    until_off(rig, origin)
    on_again(origin, host)
    assert len(own(origin)) == 1
    origin.power_cut()
    check(origin, host)
    on_again(origin, host)
    assert len(own(origin)) == 1


def test_after_the_rename_and_before_the_row_a_held_picture_is_unlinked_and_sent_again():
    rig, origin, host = scene()
    cut_when(host, before("card held/", "commit"))
    picture = shoot(origin)
    until_off(rig, host)
    assert on_card(host, picture)
    on_again(host, origin)
    assert not on_card(host, picture)
    rig.run_until(settled(origin, host), 150)
    assert attempts(origin) == {1}


# ---------------------------------------------------------------- request, reservation, parts


def test_o1_after_the_commit_the_same_attempt_is_asked_for_again():
    rig, origin, host = scene()
    cut_when(origin, before("say Request"))
    shoot(origin)
    until_off(rig, origin)
    on_again(origin, host)
    rig.run_until(settled(origin, host), 150)
    assert attempts(origin) == {1}


def test_h1_after_the_reservation_it_is_accepted_anew():
    rig, origin, host = scene()
    cut_when(host, before("say Accept"))
    shoot(origin)
    until_off(rig, host)
    on_again(host, origin)
    rig.run_until(settled(origin, host), 150)
    assert attempts(origin) == {1}
    assert len(host.said(m.Accept)) == 1


def test_h1_what_a_partial_row_tells_of_is_not_sent_again():
    rig, origin, host = a_pair(origin=Options(size_bytes=(200_000, 200_000)))
    check_always(rig, origin, host)
    look = rig.watch

    def watch(machine, request):
        look(machine, request)
        if machine is host and isinstance(request, SavePartial) and request.synced_bytes and host.starts == 1:
            host.power_cut()

    rig.watch = watch
    shoot(origin)
    until_off(rig, host)
    on_again(host, origin)
    rig.run_until(settled(origin, host), 150)
    assert host.said(m.Accept)[-1].message.missing[0][0] > 60_000


@pytest.mark.parametrize("off", ["origin", "host"])
def test_o3_with_parts_under_way_only_what_is_missing_is_sent(off):
    rig, origin, host = scene()
    machine, words = (origin, ["say Part"] * 4) if off == "origin" else (host, ["say Report"])
    cut_when(machine, before(*words))
    picture = shoot(origin)
    until_off(rig, machine)
    on_again(machine, origin, host)
    rig.run_until(settled(origin, host), 150)
    assert attempts(origin) == {1}
    assert part_bytes(origin) < 3 * picture.size_bytes
    if off == "origin":
        assert host.said(m.Accept)[-1].message.missing[0][0] > 0


@pytest.mark.parametrize("tear", [None, 1, 2, 3])
def test_h4_before_the_fsync_what_is_torn_is_unlinked_and_sent_again(tear):
    rig, origin, host = scene()
    host.tear = None if tear is None else random.Random(tear)
    cut_when(host, lambda what: what.startswith("card tmp/") and any(h.state is State.STORE for h in host.on.hostings))
    shoot(origin)
    until_off(rig, host)
    on_again(host, origin)
    assert held(host) == []
    assert host.card.entries("tmp") == []
    rig.run_until(settled(origin, host), 150)


# ---------------------------------------------------------------- stored


def test_h5_before_stored_is_said_the_next_request_fetches_the_proof_without_data():
    rig, origin, host = scene()
    cut_when(host, before("say Stored"))
    picture = shoot(origin)
    until_off(rig, host)
    assert copies(origin, picture) == []
    on_again(host, origin)
    assert len(held(host)) == 1
    rig.run_until(settled(origin, host), 150)
    assert part_bytes(origin) == picture.size_bytes
    assert attempts(origin) == {1}


def test_o4_before_the_list_is_committed_the_next_request_fetches_the_proof_without_data():
    rig, origin, host = scene()
    cut_when(origin, lambda what: what == "commit" and bool(host.said(m.Stored)))
    picture = shoot(origin)
    until_off(rig, origin)
    assert copies(origin, picture) == []
    on_again(origin, host)
    rig.run_until(settled(origin, host), 150)
    assert part_bytes(origin) == picture.size_bytes
    assert attempts(origin) == {1}


def test_o4_before_keep_is_said_hold_asks_for_it():
    rig, origin, host = scene()
    cut_when(origin, before("say Keep"))
    picture = shoot(origin)
    until_off(rig, origin)
    assert copies(origin, picture) == [2]
    assert not held(host)[0].kept
    on_again(origin, host)
    host.power_cut()
    on_again(host, origin)
    rig.run_until(settled(origin, host), 150)


# ---------------------------------------------------------------- dropping


def test_o5_between_commit_and_unlink_the_file_is_taken_back_as_cache():
    rig, origin, host = scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    cut_when(origin, lambda what: what.startswith("card own/") and origin.entry(picture.id).file is File.GONE)
    origin.command(lambda ticket: c.DropOwn(ticket, picture.id))
    until_off(rig, origin)
    assert on_card(origin, picture)
    on_again(origin, host)
    rig.run_until(lambda: origin.entry(picture.id).file is File.WHOLE, 60)
    assert copies(origin, picture) == [2]


def test_h7_between_commit_and_unlink_the_held_file_goes_at_the_start_and_lost_is_said():
    rig, origin, host = scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.watch = None
    cut_when(host, lambda what: what.startswith("card held/") and not held(host))
    carry_out(origin, lambda ticket: c.DeletePicture(ticket, picture.id))
    until_off(rig, host)
    assert on_card(host, picture)
    host.restart()
    assert not on_card(host, picture)
    rig.run_until(lambda: not any(copy.owed for copy in origin.entry(picture.id).copies), 150)


def test_r13_a_keep_that_comes_with_a_drop_brings_no_row_back():
    rig, origin, host = scene()
    rig.loses = lambda said: isinstance(said.message, m.Keep | m.Drop)
    picture = shoot(origin)
    rig.run_until(lambda: origin.said(m.Keep), 60)
    carry_out(origin, lambda ticket: c.DeletePicture(ticket, picture.id))
    rig.run_until(lambda: origin.said(m.Drop), 60)
    assert len(held(host)) == 1
    rig.say_again(origin.said(m.Drop)[0])
    rig.say_again(origin.said(m.Keep)[0])
    rig.run_for(1)
    assert held(host) == []
    check(origin, host)


def test_o6_stored_of_an_attempt_that_was_given_up_is_ignored_and_its_copy_dropped():
    rig, origin, host = scene()
    rig.loses = lambda said: said.source == 2 and isinstance(said.message, m.Stored | m.Beacon | m.Report)
    picture = shoot(origin)
    rig.run_until(lambda: held(host), 60)
    rig.loses = lambda said: said.source == 2
    third = Machine(rig, 3, SMALL)
    check_always(rig, origin, host, third)
    rig.run_until(lambda: copies(origin, picture) == [3], 1000)
    assert not any(copy.open for copy in origin.entry(picture.id).copies)
    rig.say_again(host.said(m.Stored)[0])
    rig.run_for(5)
    assert copies(origin, picture) == [3]
    rig.loses = None
    host.power_cut()
    on_again(host, origin, third)
    rig.run_until(lambda: not held(host), 300)
    assert origin.said(m.Drop)


def test_h7_a_late_drop_of_an_older_attempt_is_refused():
    rig, origin, host = scene()
    third = Machine(rig, 3, SMALL)
    check_always(rig, origin, host, third)
    rig.run_until(lambda: origin.on.core.hears(3), 60)
    picture = shoot(origin)
    rig.run_until(settled(origin, host, third), 60)
    first, other = (host, third) if held(host) else (third, host)
    first.on.core.say(1, m.Relieve(picture.id, held(first)[0].attempt))
    first.turn()
    rig.run_until(lambda: copies(origin, picture) == [other.unit] and not held(first), 150)
    (drop,) = origin.said(m.Drop)[:1]
    assert place(origin, picture, first.unit) == c.Done(None)
    rig.say_again(drop)
    rig.run_for(5)
    assert len(held(first)) == 1
    check(origin, host, third)


def test_o9_before_the_copy_leaves_the_list_there_are_two_and_the_list_is_right():
    rig, origin, host = scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    assert carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id)) == c.Done(None)
    third = Machine(rig, 3, SMALL)
    check_always(rig, origin, host, third)
    rig.run_until(lambda: origin.on.core.hears(3), 60)

    cut_when(origin, lambda what: what == "commit" and not origin.entry(picture.id).copy_at(2).listed)
    host.on.core.say(1, m.Relieve(picture.id, held(host)[0].attempt))
    host.turn()
    until_off(rig, origin)
    assert len(held(host)) == len(held(third)) == 1
    assert origin.entry(picture.id).copy_at(2).listed
    on_again(origin, host, third)
    rig.run_until(lambda: len(copies(origin, picture)) == 2, 150)


# ---------------------------------------------------------------- cards that are lost


def test_a_new_card_of_the_origin_learns_its_copies_again():
    rig, origin, host = scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.watch = None
    origin.power_cut()
    origin.lose_card()
    rig.run_for(OFF_S)
    origin.restart()
    rig.run_until(lambda: copies(origin, picture) == [2], 300)
    check(origin, host)
    assert shoot(origin).id.card != picture.id.card


def test_a_dead_card_of_the_host_shows_in_the_next_proof_and_another_copy_is_made():
    rig, origin, host = scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.watch = None
    host.power_cut()
    host.lose_card()
    rig.run_for(OFF_S)
    host.restart()
    assert carry_out(origin, lambda ticket: c.Verify(ticket, picture.id)) == c.Done(c.Verified((2,), ()))
    rig.run_until(lambda: copies(origin, picture) == [2] and held(host), 7200)
    check(origin, host)
