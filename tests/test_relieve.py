"""RELIEVE: a host whose own shots find no room has copies taken elsewhere, and never does a picture lack one for it."""

from dataclasses import replace
from itertools import pairwise

import pytest
from rig_scene import a_pair, carry_out, check, check_always, copies, held, own, part_bytes, place, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.determine import Policy, Rules
from firmware.pictures import File
from firmware.relief import AGAIN_FIRST_S, AT_ONCE, FIRST_S
from sim.card import Fault
from sim.machine import Machine, Options

SIZE = 40_000
ORIGIN = Options(capacity_bytes=100 * SIZE, size_bytes=(SIZE, SIZE), hosting_share=0.0)
HOST = Options(capacity_bytes=10 * SIZE, size_bytes=(SIZE, SIZE), rules=Rules(policy=Policy.NEVER), patience_s=3600)
OTHER = Options(capacity_bytes=100 * SIZE, size_bytes=(SIZE, SIZE))


def a_full_host(*, dropped=False, origin=ORIGIN):
    """Half of the host's card holds others' pictures, its own fill the rest; they are never copied."""
    rig, origin, host = a_pair(origin=origin, host=HOST)
    pictures = [shoot(origin) for _ in range(5)]
    rig.run_until(settled(origin), 400)
    for picture in pictures if dropped else ():
        assert carry_out(origin, lambda ticket, p=picture: c.DropOwn(ticket, p.id)) == c.Done(None)
    for _ in range(4):
        shoot(host)
    return rig, origin, host, pictures


def never_below(rig, machine, wanted=1):
    """No picture that has its copies ever has fewer."""
    had = set()

    def watch(who, _request):
        if who is machine:
            for entry in own(machine):
                if len(entry.verified) >= wanted:
                    had.add(entry.picture.id)
                assert entry.picture.id not in had or len(entry.verified) >= wanted

    rig.watch = watch


@pytest.mark.parametrize("dropped", [False, True])
def test_copies_move_to_another_unit_and_the_shots_find_room(dropped):
    rig, origin, host, pictures = a_full_host(dropped=dropped)
    other = Machine(rig, 3, OTHER)
    never_below(rig, origin)
    rig.run_until(lambda: len(held(host)) == 4, 1200)
    shoot(host)  # there was room for one; there is room for two again soon
    rig.run_until(lambda: len(held(host)) == 3, 3600)
    shoot(host)
    rig.run_for(60)
    named = {s.message.id for s in host.said(m.Relieve)}
    assert 0 < len(named) <= AT_ONCE
    assert {entry.picture.id for entry in held(other)} == named
    for picture in pictures:
        assert copies(origin, picture) == ([3] if picture.id in named else [2])
    check(origin, host, other)


def test_the_oldest_held_are_named_first_and_no_more_than_needed():
    rig, _, host, pictures = a_full_host()
    rig.run_until(lambda: host.said(m.Relieve), FIRST_S + 60)
    rig.run_for(5)
    said = [s.message.id for s in host.said(m.Relieve)]
    assert said == [picture.id for picture in pictures[: len(said)]]
    assert len(said) == 1  # two more pictures should fit, and one does


def test_a_copy_beyond_those_wanted_goes_at_once():
    rig, origin, host, pictures = a_full_host()
    other = Machine(rig, 3, OTHER)
    rig.run_until(lambda: origin.on.core.hears(3), 10)
    carry_out(origin, lambda ticket: c.PlaceCopy(ticket, pictures[0].id, 3, 60.0))
    assert copies(origin, pictures[0]) == [2, 3]
    sent = part_bytes(origin)
    rig.run_until(lambda: host.said(m.Relieve), FIRST_S + 60)
    rig.run_until(lambda: len(held(host)) == 4, 60)
    assert part_bytes(origin) == sent
    assert copies(origin, pictures[0]) == [3]
    check(origin, host, other)


def test_where_nobody_takes_it_the_own_file_does_but_only_when_the_host_asks_again():
    rig, origin, host, _ = a_full_host()
    check_always(rig, origin, host)
    shoot(host)
    rig.run_until(lambda: host.said(m.Relieve), FIRST_S + 60)
    rig.run_for(60)
    assert len(held(host)) == 5
    rig.run_until(lambda: len(held(host)) == 3, 3600)
    shoot(host)
    for entry in own(origin):
        assert entry.file is File.WHOLE or entry.verified


def test_what_is_only_there_stays_there_where_the_origin_has_no_room_either():
    rig, origin, host, pictures = a_full_host(dropped=True, origin=replace(ORIGIN, capacity_bytes=8 * SIZE))
    for _ in range(6):
        shoot(origin)
    check_always(rig, origin, host)
    rig.run_for(3 * AGAIN_FIRST_S)
    assert host.said(m.Relieve)
    assert len(held(host)) == len(pictures)
    assert all(copies(origin, picture) == [2] for picture in pictures)


def test_it_is_said_ever_more_seldom():
    rig, origin, host, _ = a_full_host(dropped=True, origin=replace(ORIGIN, capacity_bytes=8 * SIZE))
    for _ in range(6):
        shoot(origin)
    rig.run_for(12 * 3600)
    said = [s.at for s in host.said(m.Relieve)]
    assert 4 <= len(said) <= 10
    gaps = [later - at for at, later in pairwise(said)]
    assert all(later > 1.5 * gap for gap, later in pairwise(gaps))


def test_a_host_that_wants_to_be_relieved_takes_nothing_more():
    """Else it would be given the same again: its origin still wants a copy."""
    rig, origin, host, _ = a_full_host()
    shoot(host)
    began = rig.now
    rig.run_for(4 * AGAIN_FIRST_S)
    assert [s for s in origin.said(m.Request) if s.at > began]
    assert not [s for s in host.said(m.Accept) if s.at > began]


def test_a_drop_that_was_lost_is_said_again_after_a_restart_too():
    rig, origin, host, _ = a_full_host()
    Machine(rig, 3, OTHER)
    rig.loses = lambda said: isinstance(said.message, m.Drop)
    rig.run_until(lambda: origin.said(m.Drop), 1800)
    rig.run_for(60)
    assert len(held(host)) == 5
    origin.power_cut()
    origin.restart()
    rig.loses = None
    rig.run_until(lambda: len(held(host)) == 4, 120)
    rig.run_until(lambda: not any(copy.owed for entry in own(origin) for copy in entry.copies), 60)


def test_policy_never_leaves_what_a_person_has_placed():
    origin = replace(ORIGIN, rules=Rules(policy=Policy.NEVER))
    rig, first, host = a_pair(origin=origin, host=HOST)
    pictures = [shoot(first) for _ in range(5)]
    for picture in pictures:
        assert carry_out(first, lambda t, p=picture: c.PlaceCopy(t, p.id, 2, 60.0)) == c.Done(None)
    for _ in range(4):
        shoot(host)
    rig.run_for(3 * AGAIN_FIRST_S)
    assert host.said(m.Relieve)
    assert len(held(host)) == 5


@pytest.mark.parametrize("victim", ["origin", "host", "other"])
@pytest.mark.parametrize("seed", range(3))
def test_power_cuts_while_copies_move_lose_nothing(victim, seed):
    rig, origin, host, _ = a_full_host()
    machines = {"origin": origin, "host": host, "other": Machine(rig, 3, OTHER)}
    check_always(rig, *machines.values())
    cut = machines[victim]
    rig.run_until(lambda: host.said(m.Relieve), FIRST_S + 60)
    for number in range(6):
        rig.run_events(7 + 13 * seed + 5 * number, 30)
        cut.power_cut()
        rig.run_for(3)
        cut.restart()
    rig.run_until(lambda: len(held(host)) < 5, 2 * 3600)
    rig.run_until(settled(origin), 600)


# ---------------------------------------------------------------- surplus


def doubted_and_back():
    """The first host was silent for 48 hours, another one got the copies, and now both have them."""
    rig, origin, host = a_pair(origin=ORIGIN, host=OTHER)
    pictures = [shoot(origin) for _ in range(3)]
    rig.run_until(settled(origin, host), 200)
    host.power_cut()
    other = Machine(rig, 3, OTHER)
    rig.run_until(lambda: all(copies(origin, picture) == [3] for picture in pictures), 50 * 3600)
    host.restart()
    rig.run_until(lambda: all(copies(origin, picture) == [2, 3] for picture in pictures), 600)
    return rig, origin, (host, other), pictures


def test_copies_that_came_back_are_let_go_within_a_day_and_never_below_wanted():
    rig, origin, (host, other), pictures = doubted_and_back()
    never_below(rig, origin)
    rig.run_until(lambda: not held(host), 25 * 3600)
    assert all(copies(origin, picture) == [3] for picture in pictures)
    assert len(held(other)) == len(pictures)
    check(origin, host, other)


def test_not_while_the_others_cannot_prove_theirs():
    rig, origin, (host, other), pictures = doubted_and_back()
    other.power_cut()
    origin.power_cut()  # proofs of before count no more
    origin.restart()
    rig.run_for(26 * 3600)
    assert len(held(host)) == len(pictures)


def test_of_three_copies_the_one_that_was_doubted_goes_and_no_other():
    rig, origin, (host, other), pictures = doubted_and_back()
    Machine(rig, 4, replace(OTHER, capacity_bytes=20 * SIZE))  # least room of all
    rig.run_until(lambda: origin.on.core.neighbours.find(4), 10)
    assert carry_out(origin, lambda ticket: c.PlaceCopy(ticket, pictures[0].id, 4, 60.0)) == c.Done(None)
    rig.run_until(lambda: not held(host), 25 * 3600)
    rig.run_for(25 * 3600)
    assert copies(origin, pictures[0]) == [3, 4]
    assert len(held(other)) == len(pictures)


def lost_with_a_card(*, dropped=False, rules=Rules()):  # noqa: B008 - frozen
    """The first host has a new card; another one has a copy of each, or takes one."""
    rig, origin, host = a_pair(origin=replace(ORIGIN, rules=rules), host=OTHER)
    pictures = [shoot(origin) for _ in range(6)]
    for picture in pictures if rules.policy is Policy.NEVER else ():
        assert place(origin, picture, 2) == c.Done(None)
    rig.run_until(settled(origin, host), 200)
    other = Machine(rig, 3, OTHER)
    rig.run_until(lambda: origin.on.core.hears(3), 10)
    for picture in pictures if dropped else ():
        assert place(origin, picture, 3) == c.Done(None)
        assert carry_out(origin, lambda ticket, p=picture: c.DropOwn(ticket, p.id)) == c.Done(None)
    host.power_cut()
    host.lose_card()
    host.restart()
    return rig, origin, host, other, pictures


@pytest.mark.parametrize(("dropped", "within_h"), [(False, 1), (True, 26)])
def test_copies_that_a_lost_card_took_are_let_go_once_others_are_proved(dropped, within_h):
    rig, origin, host, other, pictures = lost_with_a_card(dropped=dropped)
    rig.run_until(lambda: origin.logged("lost"), 25 * 3600)
    rig.run_until(lambda: not any(e.copy_at(2).listed for e in own(origin)), within_h * 3600)
    assert [copies(origin, picture) for picture in pictures] == [[3]] * len(pictures)
    asked = sum(said.destination == 2 for said in origin.said(m.Prove))
    rig.run_for(26 * 3600)
    assert sum(said.destination == 2 for said in origin.said(m.Prove)) == asked
    check(origin, host, other)


@pytest.mark.parametrize("silent", ["answers lost", "own card failing"])
def test_no_copy_is_let_go_because_nothing_is_known_of_it(silent):
    """It is back after 48 hours, and for a while its answers do not arrive, or cannot be compared here."""
    rig, origin, host = a_pair(origin=ORIGIN, host=OTHER)
    pictures = [shoot(origin) for _ in range(3)]
    rig.run_until(settled(origin, host), 200)
    host.power_cut()
    Machine(rig, 3, OTHER)
    rig.run_until(lambda: all(copies(origin, picture) == [3] for picture in pictures), 50 * 3600)
    if silent == "answers lost":
        rig.loses = lambda said: said.source == 2 and isinstance(said.message, m.Proof)
    else:
        origin.card.options.below["own"] = Fault.IO
    host.restart()
    rig.run_for(1200)
    assert len(held(host)) == len(pictures)
    rig.loses = None


def test_policy_never_keeps_even_those():
    rig, origin, *_ = lost_with_a_card(dropped=True, rules=Rules(policy=Policy.NEVER))
    rig.run_until(lambda: origin.logged("lost"), 25 * 3600)
    rig.run_for(10 * 3600)
    assert all(e.copy_at(2).listed for e in own(origin))


def test_not_what_a_person_has_placed_besides():
    rig, origin, host = a_pair(origin=ORIGIN, host=OTHER)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 100)
    other = Machine(rig, 3, OTHER)
    rig.run_until(lambda: origin.on.core.hears(3), 10)
    carry_out(origin, lambda ticket: c.PlaceCopy(ticket, picture.id, 3, 60.0))
    rig.run_for(26 * 3600)
    assert copies(origin, picture) == [2, 3]
    check(origin, host, other)
