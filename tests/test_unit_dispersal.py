"""Whole units: a picture gets its copy, whatever is lost on the line (HANDOVER O1 to O4, R5, R8)."""

import itertools
import random
from dataclasses import replace

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
from firmware.determine import Rules
from firmware.events import Lacking, Save, SaveDecision, TakePicture
from firmware.layout import picture_path
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import File
from firmware.states import State
from sim.card import Fault
from sim.machine import Machine, Options
from sim.members import is_swallowed
from sim.radio import LineOptions

LARGE = Options(size_bytes=(300_000, 300_000))


def kinds(machine, *wanted):
    return [
        type(said.message) for said in machine.rig.said if said.source == machine.unit and type(said.message) in wanted
    ]


def loses_first(kind, number=1, *, source=None):
    """A line that swallows the first so many messages of this kind."""
    left = [number]

    def loses(said):
        if isinstance(said.message, kind) and source in (None, said.source) and left[0] > 0:
            left[0] -= 1
            return True
        return False

    return loses


def times(machine, kind):
    return [said.at for said in machine.said(kind)]


def sending(machine):
    return any(dispersal.state is State.SEND for dispersal in machine.on.dispersals)


# ---------------------------------------------------------------- as it should be


def test_a_picture_is_requested_accepted_sent_stored_and_listed():
    rig, origin, host = a_pair()
    check_always(rig, origin, host)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 30)
    (copy,) = origin.entry(picture.id).copies
    assert (copy.unit, copy.suspect, bool(copy.proof)) == (2, False, True)
    row = host.entry(picture.id)
    assert (row.attempt, row.kept, row.picture.sha256) == (copy.listed, True, picture.sha256)
    assert on_card(origin, picture)
    assert on_card(host, picture)
    assert part_bytes(origin) == picture.size_bytes
    words = [line.event for line in origin.on.core.journal.after(0) if line.picture == picture.id]
    assert words == ["shot", "requested", "sending", "stored"]


def test_both_directions_at_once_without_a_refusal():
    rig, one, two = a_pair()
    press(one)
    press(two)
    rig.run_until(lambda: len(own(one)) == len(own(two)) == 1 and settled(one, two)(), 60)
    assert not one.said(m.Refuse)
    assert not two.said(m.Refuse)
    first, *_, last = times(one, m.Part)
    assert any(first < at < last for at in times(two, m.Part))  # each hosts while it sends


def test_a_shot_during_a_transfer_is_taken_at_once_and_kept_before_the_transfer_ends():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_until(lambda: sending(origin), 10)
    rig.run_for(5)
    pressed_at, taken_at = rig.now, []
    rig.watch = lambda _machine, request: taken_at.append(rig.now) if isinstance(request, TakePicture) else None
    ticket = press(origin)
    rig.run_until(lambda: origin.outcome(ticket) is not None, 2)
    assert taken_at == [pytest.approx(pressed_at + origin.latency_s[TakePicture], abs=0.020)]
    assert sending(origin)
    rig.run_until(settled(origin, host), 120)


def test_pictures_of_one_unit_go_one_after_the_other_to_the_same_host():
    rig, origin, host = a_pair()
    for _ in range(4):
        press(origin)
    rig.run_until(lambda: len(own(origin)) == 4 and settled(origin, host)(), 120)
    assert not host.said(m.Refuse)
    attempts = [said.message.attempt for said in origin.said(m.Request)]
    assert attempts == sorted(set(attempts))


def test_a_priority_picture_overtakes_those_that_wait():
    rig, origin, _ = a_pair()
    for _ in range(3):
        shoot(origin)
    urgent = shoot(origin, priority=True)
    rig.run_until(lambda: copies(origin, urgent) == [2], 60)
    waiting = [entry for entry in own(origin) if not entry.verified]
    assert len(waiting) == 2


def test_a_priority_picture_goes_to_two_units():
    rig, origin, host = a_pair()
    third = Machine(rig, 3)
    rig.run_for(3)
    picture = shoot(origin, priority=True)
    rig.run_until(lambda: copies(origin, picture) == [2, 3], 60)
    check(origin, host, third)


def test_pictures_that_cannot_have_their_second_copy_keep_no_other_from_its_first():
    rig, origin, _ = a_pair(origin=Options(rules=Rules(copies=2), size_bytes=(1500, 1500)))
    origin.latency_s[TakePicture] = 0.05  # shots come faster than the line takes them
    decided = []
    rig.watch = lambda _machine, request: decided.append(request) if isinstance(request, SaveDecision) else None
    pictures = [shoot(origin) for _ in range(100)]  # more than are passed over in one round of looking for work
    rig.run_for(100)
    assert all(copies(origin, picture) == [2] for picture in pictures)
    assert len(decided) <= 4 * len(pictures)  # each costs a sync: only what is new is written


def test_a_copy_by_hand_goes_where_it_is_told():
    rig, origin, host = a_pair(origin=Options(rules=Rules(copies=0)))
    third = Machine(rig, 3)
    rig.run_for(3)
    picture = shoot(origin)
    ticket = origin.command(lambda ticket: c.PlaceCopy(ticket, picture.id, 3, 60.0))
    rig.run_until(lambda: origin.outcome(ticket) is not None, 60)
    assert origin.outcome(ticket) == c.Done(None)
    assert copies(origin, picture) == [3]
    assert not held(host)
    assert held(third)


def test_a_copy_by_hand_to_a_unit_that_is_not_there_fails_in_time():
    rig, origin, _ = a_pair(origin=Options(rules=Rules(copies=0)))
    picture = shoot(origin)
    started = rig.now
    ticket = origin.command(lambda ticket: c.PlaceCopy(ticket, picture.id, 9, 60.0))
    rig.run_until(lambda: origin.outcome(ticket) is not None, 90)
    assert "unit 9 is not heard, though this unit listened for it for 15 s" in str(origin.outcome(ticket).error)
    assert FIRST_NEIGHBOUR_S <= rig.now - started <= FIRST_NEIGHBOUR_S + 1


# ---------------------------------------------------------------- messages lost, doubled, late


def test_stored_lost_end_is_answered_again_and_no_part_is():
    rig, origin, host = a_pair()
    rig.loses = loses_first(m.Stored, 2)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    assert kinds(origin, m.Request) == [m.Request]
    assert len(host.said(m.Stored)) == 3
    assert part_bytes(origin) == picture.size_bytes


def test_r5_stored_lost_for_long_the_next_request_fetches_the_proof_without_data():
    rig, origin, host = a_pair()
    rig.loses = lambda said: isinstance(said.message, m.Stored)
    picture = shoot(origin)
    rig.run_until(lambda: bool(host.said(m.Stored)), 60)
    host.power_cut()
    host.restart()
    rig.loses = None
    rig.run_until(settled(origin, host), 60)
    assert part_bytes(origin) == picture.size_bytes
    first, again = (said.message for said in host.said(m.Accept))
    assert first.missing == ((0, picture.size_bytes),)
    assert again.missing == ()
    assert first.attempt == again.attempt


def test_a_host_that_restarts_while_its_receipt_is_being_committed_is_asked_once_more_and_nothing_is_wrong():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(lambda: any(d.state is State.SEND for d in origin.on.dispersals), 60)
    origin.latency_s[Save] = 5.0
    rig.run_until(lambda: host.said(m.Stored), 60)
    rig.run_for(0.5)
    host.kill()
    host.restart()
    rig.run_until(settled(origin, host), 60)
    rig.run_until(lambda: not list(origin.on.dispersals), 60)
    assert copies(origin, picture) == [2]
    assert origin.logged("alarm") == []
    assert part_bytes(origin) == picture.size_bytes
    check(origin, host)


def test_accept_lost_the_same_number_is_asked_for_again():
    rig, origin, host = a_pair()
    rig.loses = loses_first(m.Accept, 2)
    shoot(origin)
    rig.run_until(settled(origin, host), 60)
    accepts = [said.message for said in host.said(m.Accept)]
    assert len(accepts) >= 3
    assert len({(accept.attempt, accept.handle) for accept in accepts}) == 1


def test_a_request_that_comes_twice_is_one_reservation():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_until(lambda: sending(origin), 10)
    (request,) = origin.said(m.Request)
    rig.run_for(2)
    before = dict(host.on.core.room.reserved_held)
    rig.say_again(request)
    rig.run_for(1)
    assert host.on.core.room.reserved_held == before
    assert len({said.message.handle for said in host.said(m.Accept)}) == 1
    rig.run_until(settled(origin, host), 60)
    assert part_bytes(origin) == 300_000


def test_a_request_that_comes_again_when_all_is_over_costs_nothing():
    rig, origin, host = a_pair()
    shoot(origin)
    rig.run_until(settled(origin, host), 60)
    (request,) = origin.said(m.Request)
    before = part_bytes(origin)
    rig.say_again(request)
    rig.run_for(300)
    assert part_bytes(origin) == before
    assert settled(origin, host)()
    assert not host.on.core.room.reserved_held


def test_keep_lost_hold_asks_and_keep_answers():
    rig, origin, host = a_pair()
    rig.loses = loses_first(m.Keep)
    picture = shoot(origin)
    rig.run_until(lambda: copies(origin, picture) == [2], 60)
    assert not host.entry(picture.id).kept
    rig.run_until(settled(origin, host), 60)
    assert kinds(host, m.Hold) == [m.Hold]
    assert kinds(origin, m.Keep) == [m.Keep, m.Keep]


def test_r4_a_copy_without_keep_is_asked_about_every_day_for_as_long_as_none_comes():
    rig, origin, host = a_pair()
    rig.loses = lambda said: isinstance(said.message, m.Keep)
    picture = shoot(origin)
    rig.run_for(7 * 24 * 3600)
    asked = [said.at for said in host.said(m.Hold)]
    assert asked[-1] > rig.now - 25 * 3600
    assert len(asked) < 30
    assert on_card(host, picture)
    rig.loses = None
    rig.run_for(25 * 3600)
    assert host.entry(picture.id).kept


def test_everything_ever_said_may_come_again():
    rig, origin, host = a_pair()
    check_always(rig, origin, host)
    for machine in (origin, host, origin):
        shoot(machine)
        rig.run_until(settled(origin, host), 60)
        for said in list(rig.said):
            rig.say_again(said)
            rig.run_for(0.1)
    rig.run_until(settled(origin, host), 300)
    assert len(own(origin)) == 2
    assert len(held(origin)) == 1


@pytest.mark.parametrize(
    "line", [LineOptions(frame_loss=0.3), LineOptions(bit_error_rate=1e-4), LineOptions(delay_s=2.0)]
)
def test_a_bad_line_only_takes_longer(line):
    rig, origin, host = a_pair(seed=5, line=line)
    check_always(rig, origin, host)
    press(origin)
    press(host)
    rig.run_until(lambda: len(own(origin)) == len(own(host)) == 1 and settled(origin, host)(), 400)


# ---------------------------------------------------------------- what comes is not what was sent


def test_a_wrong_digest_is_thrown_away_with_its_reservation_and_the_picture_sent_again():
    rig, origin, host = a_pair()
    damage = loses_first(m.Part)

    def damaged(said):
        if not damage(said):
            return False
        part = said.message
        rig.say_again(said._replace(message=replace(part, data=part.data[:-1] + bytes([part.data[-1] ^ 1]))))
        return True

    rig.loses = damaged
    shoot(origin)
    rig.run_until(lambda: bool(host.logged("alarm")), 60)
    rig.run_for(0.1)
    assert not held(host)
    assert not host.on.core.room.reserved_held
    assert [said.message.why for said in host.said(m.Refuse)] == [m.RefuseWhy.FAILED]
    rig.run_until(settled(origin, host), 120)
    check(origin, host)


def test_a_wrong_proof_is_no_copy():
    rig, origin, host = a_pair()
    wrong = loses_first(m.Stored)

    def forged(said):
        if not wrong(said):
            return False
        rig.say_again(said._replace(message=replace(said.message, proof=bytes(16))))
        return True

    rig.loses = forged
    picture = shoot(origin)
    rig.run_until(lambda: bool(origin.logged("refused")), 60)
    assert copies(origin, picture) == []
    assert "its proof is wrong" in origin.logged("refused")[0]
    assert origin.on.core.neighbours.find(2).sent_in_vain == 1
    before = part_bytes(origin)
    rig.run_until(settled(origin, host), 120)
    assert part_bytes(origin) == before


# ---------------------------------------------------------------- R8: how much is sent again


def test_r8_after_a_cut_link_little_is_sent_again():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_until(lambda: part_bytes(origin) > 120_000, 60)
    origin.radio.unplug()
    rig.run_for(20)
    origin.radio.plug()
    rig.run_until(settled(origin, host), 120)
    assert part_bytes(origin) - 300_000 <= 16_000


def test_r8_after_a_link_cut_for_longer_than_any_patience_little_is_sent_again():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_until(lambda: part_bytes(origin) > 120_000, 60)
    rig.loses = lambda _said: True
    rig.run_for(1000)
    rig.loses = None
    assert not host.on.core.room.reserved_held
    rig.run_until(settled(origin, host), 300)
    received_again = part_bytes(origin) - 300_000
    assert received_again <= 16_000


@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize("at_bytes", [30_000, 150_000, 290_000])
def test_r8_after_a_reboot_at_most_128_kb_is_sent_again(unit, at_bytes):
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_until(lambda: part_bytes(origin) > at_bytes, 60)
    machine = (origin, host)[unit - 1]
    machine.power_cut(random.Random(at_bytes))
    rig.run_for(5)
    machine.restart()
    rig.run_until(settled(origin, host), 200)
    assert part_bytes(origin) - 300_000 <= 128_000
    check(origin, host)


def test_an_own_file_that_is_rotten_is_sent_once_and_then_put_aside():
    """Seed 310 of the world: it went to one unit after the other for ever, each of which found its digest wrong."""
    rig, origin, host = a_pair()
    rig.loses = lambda said: isinstance(said.message, m.Request)
    picture = shoot(origin)
    origin.card.rot(picture_path(picture, 1), 9)
    rig.loses = None
    rig.run_until(lambda: origin.entry(picture.id).file is File.GONE, 120)
    rig.run_for(60)
    assert [entry.name for entry in origin.card.entries("quarantine")] == [picture.file_name]
    assert sum(len(said.message.data) for said in origin.said(m.Part)) < 2 * picture.size_bytes
    assert not held(host)


def test_another_proof_of_a_copy_is_no_reason_to_look_for_pictures_that_lack_one():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 30)
    rig.run_for(5)
    asked = []
    rig.watch = lambda who, request: asked.append(type(request)) if who is origin else None
    (before,) = origin.entry(picture.id).copies
    carry_out(origin, lambda ticket: c.Verify(ticket, picture.id))
    rig.run_for(5)
    (after,) = origin.entry(picture.id).copies
    assert after.verified_monotonic > before.verified_monotonic
    assert Lacking not in asked


# ---------------------------------------------------------------- a host out of reach


def out_of_reach_for(seconds):
    """The origin asks a host that it hears nothing of, and that its long beacon interval lets it count as heard."""
    seldom = Options(beacon_s=900.0)
    rig, origin, host = a_pair(origin=seldom, host=seldom)
    rig.run_for(2000)
    rig.loses = lambda _: True
    picture = shoot(origin)
    rig.run_for(seconds)
    return rig, origin, host, picture


def test_a_unit_out_of_reach_is_asked_ever_more_seldom_and_at_once_when_it_is_heard():
    rig, origin, host, _ = out_of_reach_for(1100)
    rounds = [at for before, at in itertools.pairwise([0.0, *times(origin, m.Request)]) if at - before > 20]
    gaps = [after - before for before, after in itertools.pairwise(rounds)]
    assert gaps[-1] > 4 * gaps[0]
    neighbour = origin.on.core.neighbours.find(2)
    rig.run_until(lambda: neighbour.refused_until > rig.now + 240, 300)
    rig.loses = None
    host.on.core.say(1, m.NameAsk())
    host.turn()
    assert neighbour.refused_until > rig.now + 200
    assert not neighbour.silent(rig.now + 10), "nothing else would end the waiting"
    asked_at = times(origin, m.Request)[-1]
    rig.run_until(lambda: times(origin, m.Request)[-1] > asked_at, 5)


def test_a_person_need_not_wait_for_a_unit_that_did_not_answer():
    rig, origin, host, picture = out_of_reach_for(900)
    rig.run_until(lambda: origin.on.core.neighbours.find(2).refused_until > rig.now + 120, 600)
    rig.loses = None
    assert place(origin, picture, 2) == c.Done(None)
    assert on_card(host, picture)


# ---------------------------------------------------------------- a host that accepts and does not store


def swallows(said):
    return is_swallowed(said.source == 2, said.destination == 2, said.message)


def test_a_unit_that_stores_nothing_of_what_it_accepts_is_asked_ever_more_seldom_and_at_once_after_its_restart():
    rig, origin, host = a_pair()
    rig.loses = swallows
    picture = shoot(origin)
    rig.run_for(4 * 3600)
    accepted = [at for before, at in itertools.pairwise([0.0, *times(host, m.Accept)]) if at - before > 20]
    gaps = [after - before for before, after in itertools.pairwise(accepted)]
    assert gaps[-1] > 10 * gaps[0]
    assert max(gaps) < 2 * 3600
    assert "unit 2: it has not stored what it accepted" in origin.on.dispersals.deciding.idle_why
    neighbour = origin.on.core.neighbours.find(2)
    rig.run_until(lambda: neighbour.refused_until > rig.now + 300, 2 * 3600)
    rig.run_for(200)
    assert neighbour.refused_until > rig.now, "beacons have not ended the waiting"
    rig.loses = None
    host.power_cut()
    host.restart()
    rig.run_until(settled(origin, host), 60)
    assert copies(origin, picture) == [2]
    assert neighbour.sent_in_vain == 0


def in_vain(times, waits_s=0.0):
    """A host has accepted a picture so often and not stored it, is left alone, and would store it from now on."""
    rig, origin, host = a_pair()
    rig.loses = swallows
    picture = shoot(origin)
    neighbour = origin.on.core.neighbours.find(2)
    rig.run_until(lambda: neighbour.sent_in_vain == times and neighbour.refused_until > rig.now + waits_s, 1800)
    rig.loses = None
    return rig, origin, host, picture


def test_a_host_that_stores_again_is_asked_again_as_any():
    rig, origin, host, picture = in_vain(3)
    rig.run_until(settled(origin, host), 300)
    assert copies(origin, picture) == [2]
    assert origin.on.core.neighbours.find(2).sent_in_vain == 0


def test_a_person_need_not_wait_for_a_unit_that_stored_nothing():
    _, origin, host, picture = in_vain(5, waits_s=200)
    assert place(origin, picture, 2) == c.Done(None)
    assert on_card(host, picture)


def test_a_host_whose_card_spoils_what_it_writes_costs_ever_less():
    rig, origin, host = a_pair()
    host.card.options.below["tmp/"] = Fault.ROT
    picture = shoot(origin)
    rig.run_for(4 * 3600)
    assert copies(origin, picture) == []
    assert "unit 2: failed" in origin.on.dispersals.deciding.idle_why
    assert part_bytes(origin) < 12 * picture.size_bytes


def test_a_transfer_that_never_gets_farther_counts_as_one_that_came_to_nothing():
    rig, origin, _ = a_pair(origin=LARGE)
    rig.loses = lambda said: isinstance(said.message, m.Part) and said.message.offset >= 100_000
    shoot(origin)
    neighbour = origin.on.core.neighbours.find(2)
    rig.run_until(lambda: bool(origin.logged("timed_out")), 300)
    assert neighbour.sent_in_vain == 0
    assert neighbour.refused_why == "the line to it was cut in the midst of a picture"
    rig.run_until(lambda: neighbour.sent_in_vain == 4, 1800)


def test_a_transfer_that_is_cut_in_its_midst_is_taken_up_again_soon_however_often():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    for parts in range(1, 6):
        rig.run_until(lambda sent=50_000 * parts: part_bytes(origin) > sent, 120)
        rig.loses = lambda said: not isinstance(said.message, m.Beacon)
        rig.run_for(120)
        rig.loses = None
    rig.run_until(settled(origin, host), 120)
