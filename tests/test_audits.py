"""Audits: a holder that has lost what it holds, or lies, is found out, with or without the own file (HANDOVER R9)."""

from dataclasses import replace

import pytest
from rig_scene import carry_out, copies, held, on_card, own, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.audits import A_DAY, COMPARED_DAYS, EVERY_S, QUICK_S
from firmware.determine import Rules
from firmware.events import DigestFile, Digests, DuePairs, Save, SaveCalendar, UsePair
from firmware.layout import picture_path
from firmware.pairs import DAY_S, PAIR_DAYS, RENEW_DAYS
from firmware.pictures import File
from firmware.proofs import UNANSWERED_S
from sim.machine import Machine, Options
from sim.rig import Rig

SMALL = Options(size_bytes=(8_000, 12_000))


class Liar(Machine):
    """A tampered unit: once it lies, it says of everything that it is whole, with made-up digests."""

    lies = False

    def _result(self, request, store):
        if self.lies and isinstance(request, DigestFile):
            return Digests(True, tuple(bytes(16) for _ in request.nonces))
        return super()._result(request, store)


def with_copies(number, *, dropped=0, seed=1):
    """A settled pair; of the first pictures the own file is dropped."""
    rig = Rig(seed)
    origin, host = Machine(rig, 1, SMALL), Liar(rig, 2, SMALL)
    rig.run_for(10)
    pictures = [shoot(origin) for _ in range(number)]
    rig.run_until(settled(origin, host), 400)
    for picture in pictures[:dropped]:
        drop(origin, picture)
    return rig, origin, host, pictures


def drop(machine, picture):
    assert carry_out(machine, lambda ticket: c.DropOwn(ticket, picture.id)) == c.Done(None)


def provings(machine, since=0.0):
    """Questions asked, each counted once however often it was said."""
    return {(s.message.id, s.message.nonce) for s in machine.said(m.Prove) if s.at >= since}


def next_pair(machine, unit=2):
    """The one that is due first, whenever that is."""
    return next(iter(machine.catalogue.due_pairs(DuePairs(unit, 10**9, 1))), None)


def pairs(machine, unit=2):
    """Pictures and nonces of those not used yet."""
    return {(p.picture, p.nonce) for p in machine.catalogue.due_pairs(DuePairs(unit, 10**9, 100)) if p.nonce}


def suspects(machine):
    return {entry.picture.id for entry in own(machine) for copy in entry.listed if copy.suspect}


def lose_all_files(host):
    """Behind its back: the rows stay."""
    for entry in held(host):
        host.card.unlink(picture_path(entry.picture, host.unit))


def parts_bytes(machine):
    return sum(len(s.message.data) for s in machine.said(m.Part))


def grow_older(machine, days):
    """Time that nobody has to simulate: the calendar of this unit is that much further on."""
    machine.power_cut()
    age_s = machine.catalogue.counter("age", 0) + round(days * DAY_S)
    machine.catalogue.save_calendar(SaveCalendar((("age", age_s),)))
    machine.restart()


# ---------------------------------------------------------------- with the own file


def test_each_holder_is_asked_for_a_few_pictures_a_day():
    rig, origin, _, pictures = with_copies(30)
    started = rig.now
    rig.run_for(3 * DAY_S)
    asked = provings(origin, started)
    assert 0.7 * A_DAY < len(asked) / 3 < 1.3 * A_DAY
    assert len({picture for picture, _ in asked}) > len(pictures) / 2  # by chance, not the same ones
    sums = origin.on.proofs.tally.sums(rig.now)
    assert sums["asked"] == sums["right"] > A_DAY / 2
    assert sums["failed"] == 0


def test_a_host_that_lost_every_file_is_noticed_within_a_day():
    rig, origin, host, _ = with_copies(10)
    lose_all_files(host)
    rig.run_until(lambda: suspects(origin), DAY_S)
    assert origin.on.proofs.tally.sums(rig.now)["failed"]


def test_a_host_that_answers_what_it_has_not_is_noticed_within_a_day():
    rig, origin, liar, _ = with_copies(10)
    liar.lies = True
    rig.run_until(lambda: suspects(origin), DAY_S)


def test_an_answer_under_another_number_is_no_way_out():
    rig, origin, liar, _ = with_copies(10)
    say = liar.on.core.say

    def tampered(unit, message):
        if isinstance(message, m.Proof):
            message = replace(message, attempt=999, proof=bytes(16))
        say(unit, message)

    liar.on.core.say = tampered
    rig.run_until(lambda: suspects(origin), DAY_S)


def test_one_that_is_heard_and_answers_nothing_is_noticed_within_a_day():
    rig, origin, _, _ = with_copies(10)
    rig.loses = lambda said: isinstance(said.message, m.Proof | m.Lost)
    rig.run_until(lambda: origin.logged("suspect"), DAY_S)


def test_questions_that_get_no_answer_for_an_hour_are_no_failure():
    rig, origin, _, _ = with_copies(10)
    rig.loses = lambda said: isinstance(said.message, m.Proof)
    rig.run_for(UNANSWERED_S - 600)
    assert origin.said(m.Prove)
    rig.loses = None
    rig.run_for(4 * 3600)
    assert not origin.logged("suspect")


def test_lost_said_under_another_number_is_no_way_out_either():
    rig, origin, liar, _ = with_copies(10)
    lose_all_rows(liar)
    say = liar.on.core.say
    liar.on.core.say = lambda unit, message: say(
        unit, replace(message, attempt=999) if isinstance(message, m.Lost) else message
    )
    rig.run_until(lambda: suspects(origin), DAY_S)


def lose_all_rows(host):
    host.catalogue.save(Save(removed=tuple(entry.picture.id for entry in held(host))))


def test_a_host_with_a_new_card_is_noticed_within_a_day_and_gets_everything_again_soon_after():
    rig, origin, host, pictures = with_copies(40)
    host.power_cut()
    host.lose_card()
    host.restart()
    rig.run_until(lambda: origin.said(m.Prove) and origin.logged("lost"), DAY_S)
    rig.run_until(lambda: all(copies(origin, p) == [2] and on_card(host, p) for p in pictures), 2 * 3600)


def test_a_host_with_a_new_card_is_noticed_at_once_where_the_own_files_are_gone():
    rig, origin, host, pictures = with_copies(8, dropped=8)
    rig.run_for(3600)
    assert not suspects(origin)
    host.power_cut()
    host.lose_card()
    host.restart()
    rig.run_until(lambda: suspects(origin) == {p.id for p in pictures}, 10 * QUICK_S)


def test_an_origin_that_was_off_while_its_host_got_a_new_card_notices_it_in_the_next_turn():
    rig, origin, host, pictures = with_copies(8, dropped=8)
    for machine in (origin, host):
        machine.power_cut()
    host.lose_card()
    host.restart()
    origin.restart()
    rig.run_until(lambda: suspects(origin) == {p.id for p in pictures}, EVERY_S + 10 * QUICK_S)


def test_a_host_that_has_lost_some_of_what_is_only_there_is_noticed_within_a_day():
    rig, origin, host, pictures = with_copies(8, dropped=8)
    lost = {p.id for p in pictures[4:]}
    host.catalogue.save(Save(removed=tuple(lost)))
    rig.run_until(lambda: suspects(origin) == lost, DAY_S)


def test_a_host_that_cannot_read_what_is_only_there_is_noticed_within_a_day():
    rig, origin, host, (picture,) = with_copies(1, dropped=1)
    host.card.options.unreadable.add(picture_path(picture, host.unit))
    rig.run_until(lambda: suspects(origin) == {picture.id}, 2 * EVERY_S)


def test_whether_a_picture_is_there_at_all_is_asked_without_a_pair():
    rig, origin, _, _ = with_copies(8, dropped=8)
    since, before = rig.now, pairs(origin)
    rig.run_for(DAY_S / 2)
    assert len(provings(origin, since)) > A_DAY / 3
    assert pairs(origin) == before
    assert not suspects(origin)


def test_audits_go_on_over_restarts_every_few_hours():
    rig, origin, _, _ = with_copies(30)
    started = rig.now
    for _ in range(12):
        rig.run_for(4 * 3600)
        origin.power_cut()
        origin.restart()
    assert len(provings(origin, started)) > A_DAY


def test_a_silent_holder_is_not_asked():
    rig, origin, host, _ = with_copies(5)
    host.power_cut()
    rig.run_for(600)
    started = rig.now
    rig.run_for(DAY_S)
    assert not provings(origin, started)


# ---------------------------------------------------------------- without it


def test_pairs_are_made_before_the_file_goes_and_are_used_by_the_calendar():
    rig, origin, host, (picture,) = with_copies(1, dropped=1)
    made, nonces = rig.now, {nonce for _, nonce in pairs(origin)}
    rig.run_for(4.5 * DAY_S)
    days = [round((s.at - made) / DAY_S) for s in origin.said(m.Prove) if s.message.nonce in nonces]
    assert days == [1, 2, 4]
    assert parts_bytes(host) == 0
    assert copies(origin, picture) == [2]


def test_all_pairs_that_are_due_are_used_within_a_few_turns():
    rig, origin, host, _ = with_copies(12, dropped=12)
    grow_older(origin, 2.1)  # two of each are due
    rig.run_until(lambda: len(provings(origin)) == 24, 5 * EVERY_S)
    rig.run_for(10)
    assert not suspects(origin)
    assert parts_bytes(host) == 0


def test_of_pairs_that_are_due_for_one_picture_a_turn_uses_one():
    rig, origin, _, pictures = with_copies(2, dropped=2)
    grow_older(origin, 4.1)  # three of each are due
    before = pairs(origin)
    rig.run_until(lambda: pairs(origin) != before, 2 * EVERY_S)
    rig.run_for(60)
    used = before - pairs(origin)
    assert used <= provings(origin)
    assert sorted(picture for picture, _ in used) == sorted(picture.id for picture in pictures)


def test_after_the_last_pair_the_picture_is_read_out_once_and_new_ones_are_made():
    rig, origin, host, (picture,) = with_copies(1, dropped=1)
    grow_older(origin, RENEW_DAYS - 1)  # all are due
    rig.run_for(len(PAIR_DAYS) * 1.6 * EVERY_S)
    assert not pairs(origin)
    assert origin.on.proofs.tally.sums(rig.now)["right"] == len(PAIR_DAYS)
    assert parts_bytes(host) == 0
    grow_older(origin, 1)
    rig.run_until(lambda: parts_bytes(host) >= picture.size_bytes, 3 * 3600)
    rig.run_for(4 * 3600)
    assert picture.size_bytes <= parts_bytes(host) < 1.2 * picture.size_bytes
    assert copies(origin, picture) == [2]
    assert origin.entry(picture.id).file is File.GONE
    pair = next_pair(origin)
    assert pair.nonce
    assert pair.due_s > origin.on.core.age_s


def test_a_host_that_lost_what_is_only_there_is_noticed_when_the_first_pair_is_due():
    rig, origin, host, _ = with_copies(4, dropped=4)
    lose_all_files(host)
    rig.run_until(lambda: suspects(origin), 1.2 * DAY_S)


def test_a_made_up_answer_to_a_pair_is_noticed():
    rig, origin, liar, _ = with_copies(4, dropped=4)
    liar.lies = True
    rig.run_until(lambda: suspects(origin), 1.2 * DAY_S)


def test_a_pair_is_never_said_twice_even_when_its_answer_was_lost():
    """Else a liar could answer the second time what it has stored the first time."""
    rig, origin, _, (picture,) = with_copies(1, dropped=1)
    rig.loses, made = lambda said: isinstance(said.message, m.Proof), pairs(origin)
    grow_older(origin, 1.1)
    rig.run_for(2.5 * 3600)
    first = provings(origin) & made
    assert len(first) == 1
    rig.loses, started = None, rig.now
    grow_older(origin, 3)
    rig.run_for(4 * 3600)
    later = provings(origin, started)
    assert later & made
    assert first.isdisjoint(later)
    assert copies(origin, picture) == [2]


def test_deleting_a_picture_takes_its_pairs_away():
    _, origin, _, (picture,) = with_copies(1, dropped=1)
    assert next_pair(origin)
    carry_out(origin, lambda ticket: c.DeletePicture(ticket, picture.id))
    assert next_pair(origin) is None


def test_a_rotten_own_file_is_found_when_it_is_dropped_and_stays():
    _, origin, _, (picture,) = with_copies(1)
    origin.card.rot(picture_path(picture, 1), 4_000)
    outcome = carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id))
    assert isinstance(outcome, c.Failed)
    assert [entry.name for entry in origin.card.entries("quarantine")]


# ---------------------------------------------------------------- suspects, and read-outs


def test_suspects_are_proved_with_pairs_and_nothing_is_read_out():
    rig, origin, host, pictures = with_copies(6, dropped=6)
    host.power_cut()
    rig.run_for(49 * 3600)
    assert suspects(origin) == {picture.id for picture in pictures}
    host.restart()
    rig.run_until(lambda: not suspects(origin), 600)
    assert parts_bytes(host) == 0


def test_a_persons_read_out_makes_new_pairs():
    rig, origin, _, (picture,) = with_copies(1, dropped=1)
    grow_older(origin, 3)
    old = next_pair(origin)
    ticket = origin.command(lambda ticket: c.Get(ticket, picture.id, False, 60.0))
    rig.run_until(lambda: isinstance(origin.outcome(ticket), c.Done), 60)
    rig.run_for(1)
    new = next_pair(origin)
    assert new.nonce != old.nonce
    assert new.due_s == pytest.approx(origin.on.core.age_s + DAY_S, abs=5)
    grow_older(origin, 1.1)
    rig.run_for(2.5 * 3600)
    assert copies(origin, picture) == [2]
    assert origin.on.proofs.tally.sums(rig.now)["right"]


# ---------------------------------------------------------------- two holders


def two_holders():
    """Both hold a picture whose own file is gone and of which no pair is left."""
    rig = Rig(1)
    origin = Machine(rig, 1, replace(SMALL, rules=Rules(copies=2)))
    hosts = Machine(rig, 2, SMALL), Liar(rig, 3, SMALL)
    rig.run_for(10)
    picture = shoot(origin)
    rig.run_until(settled(origin, *hosts, wanted=2), 300)
    drop(origin, picture)
    for unit in (2, 3):
        while (pair := next_pair(origin, unit)).nonce:
            origin.catalogue.use_pair(UsePair(pair))
    grow_older(origin, RENEW_DAYS + 1)
    return rig, origin, hosts, picture


def test_two_holders_without_pairs_get_one_nonce_and_agree():
    rig, origin, hosts, picture = two_holders()
    rig.run_for(4 * 3600)
    asked = {(s.destination, s.message.nonce) for s in origin.said(m.Prove)}
    assert any({(2, nonce), (3, nonce)} <= asked for _, nonce in provings(origin))
    assert copies(origin, picture) == [2, 3]
    assert all(parts_bytes(host) == 0 for host in hosts)
    for unit in (2, 3):
        later = next_pair(origin, unit)
        assert not later.nonce
        assert later.due_s > origin.on.core.age_s + (COMPARED_DAYS - 1) * DAY_S


def test_two_holders_that_disagree_are_both_suspect_and_read_out():
    rig, origin, (honest, liar), picture = two_holders()
    liar.lies = True
    both = []
    rig.watch = lambda *_: both.extend(origin.logged("suspect")) if all_suspect(origin, picture) else None
    rig.run_until(lambda: both, 3 * 3600)
    rig.run_until(lambda: 2 in copies(origin, picture), 4 * 3600)  # read out, and right
    assert parts_bytes(honest) >= picture.size_bytes


def all_suspect(machine, picture):
    entry = machine.entry(picture.id)
    return entry is not None and bool(entry.listed) and not entry.verified


# ------------------------------------------------------------ a person asks now


def verify(origin, picture):
    return carry_out(origin, lambda ticket: c.Verify(ticket, picture.id))


def test_a_picture_that_is_only_elsewhere_is_proved_on_demand_with_a_pair():
    rig, origin, host, (picture,) = with_copies(1, dropped=1)
    before = pairs(origin)
    rig.run_for(100)
    asked_at = origin.on.core.wall_s()
    assert verify(origin, picture) == c.Done(c.Verified((2,), (2,)))
    assert origin.entry(picture.id).copy_at(2).verified_at >= asked_at
    assert len(pairs(origin)) == len(before) - 1
    lose_all_files(host)
    assert verify(origin, picture) == c.Done(c.Verified((2,), ()))
    assert suspects(origin) == {picture.id}


def test_a_silent_holder_costs_no_pair_when_a_person_asks():
    rig, origin, host, (picture,) = with_copies(1, dropped=1)
    before = pairs(origin)
    host.power_cut()
    rig.run_until(lambda: not origin.on.core.hears(2), 600)
    assert verify(origin, picture) == c.Done(c.Verified((2,), ()))
    assert pairs(origin) == before
    assert not suspects(origin)
