"""A unit whose card is dead or read-only goes on without: pictures go from memory straight to a host (DESIGN §5)."""

import errno

import pytest
from rig_scene import a_pair, carry_out, check, copies, held, own, place, press, settled, shoot

from firmware import commands as c
from firmware import events as e
from firmware import messages as m
from firmware.determine import Rules
from firmware.pictures import UNKNOWN_ATTEMPT
from firmware.record_rows import page_of
from firmware.shutter import SHOTS_HELD
from firmware.without_card import is_dead
from hal.errors import CardError, CardFull, CardReadOnly
from sim.card import Fault
from sim.machine import Machine, Options


def without(read_only=False, **fields):
    """A settled pair with one picture, whose origin has started anew on a card that has failed."""
    rig, origin, host = a_pair(origin=Options(without_card=True, **fields))
    before = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.kill()
    origin.card.options.read_only, origin.card.options.dead = read_only, not read_only
    origin.restart()
    rig.run_until(lambda: origin.on.core.neighbours.find(2) and not len(origin.on.core.steps), 10)
    return rig, origin, host, before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_start_on_a_card_that_has_failed_goes_on_as_origin_with_an_alarm(read_only):
    _, origin, host, before = without(read_only)
    assert any("goes on without" in line for line in origin.logged("card"))
    picture = shoot(origin)
    assert picture.id.card != before.id.card
    assert copies(origin, picture) == [2]
    assert picture.id in {row.picture.id for row in held(host)}


def test_a_picture_is_announced_when_a_host_has_stored_it_and_not_before():
    rig, origin, host, _ = without()
    host.kill()
    ticket = press(origin)
    rig.run_for(60)
    assert origin.outcome(ticket) is None
    assert not origin.logged("shot")
    host.restart()
    rig.run_until(lambda: origin.outcome(ticket) is not None, 60)
    assert isinstance(origin.outcome(ticket), c.Done)
    assert origin.outcome(ticket).value.id in {row.picture.id for row in held(host)}


def test_two_pictures_wait_in_memory_and_a_third_press_is_refused_with_the_reason():
    rig, origin, host, _ = without()
    host.kill()
    tickets = []
    for _ in range(SHOTS_HELD + 1):
        tickets.append(press(origin))
        rig.run_for(5)
    *waiting, refused = map(origin.outcome, tickets)
    assert waiting == [None] * SHOTS_HELD
    assert "wait in memory" in str(refused.error)


def test_whoever_waits_for_longer_than_patience_is_told_and_the_picture_still_finds_its_host():
    rig, origin, host, _ = without(patience_s=30.0)
    host.kill()
    ticket = press(origin)
    rig.run_for(40)
    assert "in memory only" in str(origin.outcome(ticket).error)
    host.restart()
    rig.run_until(lambda: origin.logged("shot"), 120)


def test_many_pictures_pass_through_memory_one_after_the_other():
    _rig, origin, host, _ = without()
    pictures = [shoot(origin) for _ in range(12)]
    assert {row.picture.id for row in held(host)} >= {picture.id for picture in pictures}


def test_nothing_is_hosted_without_a_card():
    rig, origin, host, _ = without()
    picture = shoot(host)
    rig.run_for(120)
    assert copies(host, picture) == []
    assert not held(origin)


def test_the_card_that_works_again_is_used_by_the_next_start_which_takes_the_new_pictures_into_its_list():
    rig, origin, host, before = without(read_only=True)
    picture = shoot(origin)
    works_again(origin)
    assert not origin.on.core.settings.without_card
    assert {entry.picture.id for entry in own(origin)} == {before.id}
    rig.run_until(lambda: copies(origin, picture) == [2], 3600)
    assert origin.on.core.card == before.id.card
    rig.run_until(settled(origin, host), 600)


def test_no_keep_is_said_by_a_life_that_forgets_what_it_knows():
    rig, origin, _host, _ = without()
    before = len(origin.said(m.Keep))
    shoot(origin)
    rig.run_for(60)
    assert len(origin.said(m.Keep)) == before


def test_a_copy_that_has_lost_its_number_gets_none_from_a_life_that_counts_anew():
    """A lower one than the card's list names: a DROP of what is between would take the copy."""
    rig, origin, host = a_pair(origin=Options(without_card=True))
    *_, last = [shoot(origin) for _ in range(5)]
    rig.run_until(settled(origin, host), 600)
    (listed,) = [copy.listed for entry in own(origin) if entry.picture.id == last.id for copy in entry.copies]
    for machine in (origin, host):
        machine.kill()
    host.lose_catalogue()
    origin.card.options.read_only = True
    for machine in (host, origin):
        machine.restart()
    rig.run_for(3600)
    assert origin.on.core.settings.without_card
    (row,) = [row for row in held(host) if row.picture.id == last.id]
    assert row.attempt == UNKNOWN_ATTEMPT < listed
    works_again(origin)
    rig.run_until(settled(origin, host), 3600)
    (row,) = [row for row in held(host) if row.picture.id == last.id]
    assert row.attempt >= listed


def test_no_further_copies_are_made_of_pictures_whose_attempts_the_card_counts():
    """Whether the card's list names that unit already, nobody can know."""
    rules = Rules(copies=2)
    rig, origin, host = a_pair(origin=Options(without_card=True, rules=rules))
    before = shoot(origin)
    rig.run_until(lambda: copies(origin, before) == [2], 600)
    origin.kill()
    origin.card.options.dead = True
    third = Machine(rig, 3, Options())
    origin.restart()
    rig.run_until(lambda: copies(origin, before) == [2], 600)
    outcome = carry_out(origin, lambda ticket: c.PlaceCopy(ticket, before.id, 3, 60.0))
    assert "the card that has failed" in str(outcome.error)
    picture = shoot(origin)
    rig.run_for(2 * 3600)
    assert {row.picture.id for row in held(third)} == {picture.id}
    assert {row.picture.id for row in held(host)} == {before.id, picture.id}


def test_a_delete_is_refused_where_no_card_can_keep_it_and_the_card_that_comes_back_is_right():
    rig, origin, host, before = without(read_only=True)
    rig.run_for(60)
    outcome = carry_out(origin, lambda ticket: c.DeletePicture(ticket, before.id))
    assert "would not last" in str(outcome.error)
    works_again(origin)
    rig.run_until(settled(origin, host), 3600)
    assert (copies(origin, before), len(held(host))) == ([2], 1)


def test_an_order_of_another_unit_waits_there_until_the_origin_has_a_card():
    rig, origin, host, before = without(read_only=True)
    assert carry_out(host, lambda ticket: c.DeletePicture(ticket, before.id)) == c.Done("pending")
    rig.run_for(600)
    assert held(host)
    assert host.catalogue.orders(e.Orders(None, 1))
    works_again(origin)
    rig.run_until(lambda: not held(host) and not own(origin), 3600)


def test_no_copy_is_dropped_by_a_life_that_forgets_its_list():
    """A copy that is one too many for it may be one that the list on the card names."""
    rig, origin, host = a_pair(origin=Options(without_card=True))
    third = Machine(rig, 3)
    before = shoot(origin)
    rig.run_for(60)
    place(origin, before, 3)
    place(origin, before, 2)
    third.kill()
    origin.kill()
    origin.card.options.read_only = True
    origin.restart()
    rig.run_until(lambda: copies(origin, before) == [2], 600)
    third.restart()
    third.on.core.say(1, m.Hold(before.id, third.entry(before.id).attempt, before.digest4))
    rig.run_for(600)
    works_again(origin)
    check(origin, host, third)
    assert copies(origin, before) == [2, 3]


def test_no_host_is_relieved_by_a_life_that_could_not_say_drop():
    rig, origin, host, before = without(read_only=True)
    Machine(rig, 3)
    rig.run_until(lambda: copies(origin, before) == [2], 600)
    for _ in range(2):
        host.on.core.say(1, m.Relieve(before.id, host.entry(before.id).attempt))
        host.turn()
        rig.run_for(600)
    assert copies(origin, before) == [2]


def a_host_without():
    """The same pair, whose host has started anew on a card that takes no writes and has a picture of the origin."""
    rig, origin, host = a_pair(host=Options(without_card=True))
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_for(120)  # the host keeps its record too
    host.kill()
    host.card.options.read_only = True
    host.restart()
    rig.run_for(60)
    assert host.on.core.settings.without_card
    return rig, origin, host, picture


def test_a_drop_is_not_settled_by_a_host_that_cannot_reach_its_card():
    rig, origin, host, picture = a_host_without()
    carry_out(origin, lambda ticket: c.DeletePicture(ticket, picture.id))
    rig.run_for(600)
    works_again(host)
    rig.run_until(lambda: not held(host), 600)


def test_r7_an_origin_without_list_asks_a_host_without_card_until_it_has_its_card_again():
    rig, origin, host, picture = a_host_without()
    rig.loses = lambda said: isinstance(said.message, m.RecordsAsk)  # which names holders too
    origin.kill()
    origin.lose_card()
    origin.restart()
    rig.run_for(600)
    works_again(host)
    rig.run_until(lambda: copies(origin, picture) == [2], 600)


def test_r6_a_unit_without_card_keeps_no_record_and_tells_of_none_and_the_tombstones_on_its_card_are_found_later():
    rig, origin, host, picture = a_host_without()
    works_again(host)
    carry_out(origin, lambda ticket: c.DeletePicture(ticket, picture.id))
    rig.run_for(600)
    origin.kill()
    host.kill()
    host.card.options.read_only = True
    origin.lose_card()
    origin.restart()
    host.restart()
    rig.run_for(600)
    origin.on.core.say(2, page_of(7, [m.Tombstone(picture.id, picture.size_bytes, picture.sha256, ())]))
    origin.turn()
    rig.run_for(5)
    answers = [said.message for said in host.said(m.RecordsKept) if said.message.page == 7]
    assert [answer.kept for answer in answers] == [0]
    works_again(host)
    rig.run_until(lambda: (entry := origin.entry(picture.id)) is not None and entry.deleted, 600)


def works_again(machine):
    """The card that took no writes; the unit starts on it."""
    machine.kill()
    machine.card.options.read_only = False
    machine.restart()


def test_pictures_that_are_elsewhere_can_be_read_out_at_a_unit_without_a_card():
    rig, origin, _host, before = without()
    rig.run_for(60)
    assert isinstance(carry_out(origin, lambda ticket: c.Get(ticket, before.id, False, 60.0)), c.Done)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_card_that_fails_while_pictures_are_taken_costs_none_of_them(read_only):
    rig, origin, host = a_pair(origin=Options(without_card=True))
    before = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.card.options.read_only, origin.card.options.dead = read_only, not read_only
    tickets = [press(origin), press(origin)]
    rig.run_until(lambda: all(map(origin.outcome, tickets)), 120)
    pictures = [origin.outcome(ticket).value for ticket in tickets]
    assert {row.picture.id for row in held(host)} == {before.id, *(picture.id for picture in pictures)}
    assert before.id.card not in {picture.id.card for picture in pictures}
    assert origin.on.core.settings.without_card


def test_one_call_of_the_card_that_fails_costs_no_picture_and_the_card_stays_in_use():
    rig, origin, _ = a_pair(origin=Options(without_card=True))
    for calls in range(1, 40):
        origin.card.options.at.clear()  # one that was not met
        origin.card.options.at[origin.card.calls + calls] = Fault.IO
        shoot(origin)
    assert not origin.on.core.settings.without_card
    rig.run_for(1)


def caused(error, number):
    error.__cause__ = OSError(number, "")
    return error


@pytest.mark.parametrize(
    ("error", "dead"),
    [
        (CardError("?"), True),
        (caused(CardError("?"), errno.EIO), True),
        (CardReadOnly("?"), True),
        (CardFull("?"), False),
        (caused(CardError("?"), errno.EACCES), False),
        (caused(CardError("?"), errno.ENOTDIR), False),
    ],
)
def test_a_card_that_works_and_is_not_ours_is_for_a_person_to_look_at(error, dead):
    assert is_dead(error) is dead
