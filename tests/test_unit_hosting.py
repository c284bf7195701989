"""Whole units: storing for others. Room is really reserved, refusals have a reason and a time (H1 to H7, R3)."""

import itertools
import random
from dataclasses import replace

import pytest
from rig_scene import a_pair, check, check_always, copies, held, on_card, own, part_bytes, place, press, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.events import FinishPart, LookUp, OldestPartials, Save, WritePart
from firmware.hosting import HOSTED_FULL_RETRY_S, KNOWN_TTL_S, RESERVATIONS, SHORTEST_TTL_S
from firmware.layout import picture_path
from firmware.pictures import UNKNOWN_ATTEMPT, File, Picture, PictureId
from firmware.states import State
from sim.card import Fault
from sim.machine import Machine, Options

LARGE = Options(size_bytes=(300_000, 300_000))
FORTY = Options(size_bytes=(40_000, 40_000))


def refusals(machine):
    return [said.message for said in machine.said(m.Refuse)]


def whys(machine):
    return [refuse.why for refuse in refusals(machine)]


def reserved(machine):
    return sum(machine.on.core.room.reserved_held.values())


def parts_on_card(machine):
    return sum(entry.size_bytes for entry in machine.card.entries("tmp"))


def room_is_as_the_card_is(machine):
    """The sums that decisions are made from are those of the files."""
    room = machine.on.core.room
    assert room.held_bytes == sum(row.picture.size_bytes for row in held(machine))
    assert room.own_bytes == sum(row.picture.size_bytes for row in own(machine) if row.file is not File.GONE)
    assert room.partial_bytes + reserved(machine) == parts_on_card(machine)


# ---------------------------------------------------------------- room


def fill(rig, origin, host):
    """Pictures of the origin until the host refuses one."""
    pictures = []
    while not refusals(host):
        pictures.append(shoot(origin))
        rig.run_until(lambda: copies(origin, pictures[-1]) == [2] or bool(refusals(host)), 60)
    return pictures


def test_a_full_host_says_why_when_and_how_much_and_the_picture_stays_where_it_is():
    rig, origin, host = a_pair(origin=FORTY, host=Options(capacity_bytes=300_000))
    check_always(rig, origin, host)
    *_, last = fill(rig, origin, host)
    (refuse,) = refusals(host)
    assert refuse.why is m.RefuseWhy.FULL
    assert refuse.needed_bytes == last.size_bytes
    assert refuse.retry_after_s == HOSTED_FULL_RETRY_S
    assert len(held(host)) == 3  # half of its card
    assert on_card(origin, last)
    rig.run_for(600)
    assert copies(origin, last) == []


def test_a_host_that_has_room_again_says_so_at_once_and_is_asked():
    rig, origin, host = a_pair(origin=FORTY, host=Options(capacity_bytes=300_000))
    first, *_, last = fill(rig, origin, host)
    rig.run_for(200)
    asked = len(origin.said(m.Request))
    origin.command(lambda ticket: c.DeletePicture(ticket, first.id))
    rig.run_until(lambda: bool(host.said(m.Lost)), 10)
    freed_at = rig.now
    rig.run_until(lambda: len(origin.said(m.Request)) > asked, 60)
    assert rig.now - freed_at < 2  # and not when retry_after is over
    rig.run_until(lambda: copies(origin, last) == [2], 20)


def test_a_refused_unit_waits_as_long_as_it_was_told_to():
    rig, origin, host = a_pair(origin=FORTY, host=Options(capacity_bytes=300_000))
    fill(rig, origin, host)
    retry_s, filled_at = refusals(host)[0].retry_after_s, rig.now
    rig.run_for(8 * retry_s)
    asked = [said.at for said in origin.said(m.Request) if said.at > filled_at]
    assert len(asked) >= 6
    assert all(0.75 * retry_s <= later - earlier for earlier, later in itertools.pairwise([filled_at, *asked]))


def test_room_is_reserved_in_full_from_accept_on():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_until(lambda: bool(host.said(m.Accept)), 10)
    assert reserved(host) == parts_on_card(host) == 300_000
    rig.run_until(settled(origin, host), 60)
    assert reserved(host) == parts_on_card(host) == 0
    room_is_as_the_card_is(host)


def test_a_temporary_unit_hosts_nothing():
    rig, origin, host = a_pair(host=Options(temporary=True, hosting_share=0.0))
    shoot(origin)
    rig.run_for(60)
    assert not held(host)
    assert not origin.said(m.Request)


def test_one_reservation_for_each_unit_and_four_in_all():
    rig, first, host = a_pair(origin=ask_only(100_000))
    askers = [first, *(Machine(rig, unit, ask_only(100_000)) for unit in range(3, 3 + RESERVATIONS))]
    rig.run_for(10)
    most = []
    rig.watch = lambda _machine, _request: most.append(len(host.on.core.room.reserved_held))
    for machine in askers:
        press(machine)
        press(machine)
    rig.run_until(lambda: len(host.logged("holding")) == 2 * len(askers), 1000)
    assert max(most) == RESERVATIONS
    assert set(whys(host)) == {m.RefuseWhy.BUSY}
    assert not parts_on_card(host)


def test_the_sums_of_room_fit_the_card_after_transfers_that_were_cut():
    """Each kept .part is counted once, however often it is taken up and left again."""
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    for _ in range(3):
        rig.run_until(lambda: any(d.state is State.SEND for d in origin.on.dispersals), 100)
        rig.run_for(6)
        rig.loses = lambda _said: True
        rig.run_for(300)
        rig.loses = None
        room_is_as_the_card_is(host)
        assert host.on.core.room.partial_bytes == 300_000
    rig.run_until(settled(origin, host), 100)
    room_is_as_the_card_is(host)


def test_kept_parts_go_when_room_is_wanted_and_reservations_do_not():
    """The .part of a reservation that lives is not one that is kept, even where its row is the oldest."""
    rig, first, host = a_pair(origin=ask_only(300_000), host=Options(capacity_bytes=1_000_000, hosting_share=1.0))
    second = Machine(rig, 3, ask_only(400_000))
    third = Machine(rig, 4, ask_only(500_000))
    rig.run_for(5)
    press(second)
    rig.run_until(lambda: host.catalogue.oldest_partials(OldestPartials(1)) != [], 30)
    rig.loses = lambda said: said.source == 3  # its reservation lives on for four times the transfer
    picture = shoot(first)
    rig.run_until(lambda: parts_on_card(host) == 700_000, 10)
    rig.run_for(10)
    first.command(lambda ticket: c.DeletePicture(ticket, picture.id))  # withdrawn: its .part is left behind
    rig.run_until(lambda: host.on.core.room.partial_bytes == 300_000, 10)
    press(third)
    rig.run_until(lambda: parts_on_card(host) == 900_000, 10)
    room_is_as_the_card_is(host)
    rig.loses = None
    rig.run_until(lambda: len(held(host)) == 2, 400)
    assert m.RefuseWhy.FAILED not in whys(host)
    room_is_as_the_card_is(host)


def ask_only(size_bytes):
    """A unit that hosts nothing and takes pictures of this size."""
    return Options(size_bytes=(size_bytes, size_bytes), hosting_share=0.0)


def test_a_reservation_whose_parts_never_came_gives_way_to_its_units_next_picture():
    rig, origin, host = a_pair()
    one, two = (Picture(PictureId(1, 1, n), 100_000, bytes([n]) * 32) for n in (1, 2))
    say(origin, m.Request(one, 1))
    rig.run_for(5)
    say(origin, m.Request(two, 2))
    rig.run_for(1)
    assert whys(host) == [m.RefuseWhy.BUSY]
    rig.run_for(5)
    say(origin, m.Request(two, 2))
    rig.run_for(1)
    assert [said.message.id for said in host.said(m.Accept)] == [one.id, two.id]
    assert reserved(host) == 100_000
    room_is_as_the_card_is(host)


# ---------------------------------------------------------------- reservations and handles end


def test_a_reservation_without_parts_ends_after_its_time_and_the_part_stays():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_until(lambda: bool(host.said(m.Accept)), 10)
    rig.run_for(5)
    origin.power_cut()
    left_at = rig.now
    ttl_s = host.said(m.Accept)[0].message.ttl_s
    assert ttl_s >= SHORTEST_TTL_S
    rig.run_until(lambda: not reserved(host), ttl_s + 5)
    assert rig.now >= left_at + ttl_s - 5
    rig.run_for(1)
    assert host.on.core.room.partial_bytes == 300_000
    origin.restart()
    rig.run_until(settled(origin, host), 100)
    accept = host.said(m.Accept)[-1].message
    assert accept.missing[0][0] > 10_000  # resumed


@pytest.mark.parametrize(("size_bytes", "ttl_s"), [(20_000, 60), (1_000_000, 347)])  # 11520 bytes a second
def test_r3_a_reservation_lives_60_s_or_four_times_as_long_as_its_transfer_takes(size_bytes, ttl_s):
    rig, origin, host = a_pair()
    say(origin, m.Request(Picture(PictureId(1, 1, 1), size_bytes, bytes(32)), 1))
    rig.run_until(lambda: bool(host.said(m.Accept)), 5)
    assert host.said(m.Accept)[0].message.ttl_s == ttl_s
    rig.run_for(ttl_s - 2)
    assert reserved(host) == size_bytes
    rig.run_for(4)
    assert reserved(host) == 0


def test_r3_every_part_begins_the_time_of_its_reservation_anew():
    rig, origin, host = a_pair()
    picture = Picture(PictureId(1, 1, 1), 20_000, bytes(32))
    say(origin, m.Request(picture, 1))
    rig.run_until(lambda: bool(host.said(m.Accept)), 5)
    handle = host.said(m.Accept)[0].message.handle
    for part in range(5):
        rig.run_for(SHORTEST_TTL_S - 5)
        say(origin, m.Part(handle, 100 * part, bytes(100)))
    rig.run_for(SHORTEST_TTL_S - 5)
    assert not host.said(m.Expired)
    assert reserved(host) == picture.size_bytes
    rig.run_for(10)
    assert reserved(host) == 0


@pytest.mark.parametrize(("digest", "there_bytes"), [(b"a", 500), (b"b", 0)])
def test_r8_what_came_is_taken_up_under_any_attempt_of_the_same_content_and_of_no_other(digest, there_bytes):
    rig, origin, host = a_pair()
    picture = Picture(PictureId(1, 1, 1), 20_000, b"a" * 32)
    say(origin, m.Request(picture, 1))
    rig.run_until(lambda: bool(host.said(m.Accept)), 5)
    for offset in range(0, 500, 100):
        say(origin, m.Part(host.said(m.Accept)[0].message.handle, offset, bytes(100)))
    rig.run_for(2)
    say(origin, m.Drop(picture.id, 1, picture.digest4))
    rig.run_for(2)
    assert not reserved(host)
    say(origin, m.Request(replace(picture, sha256=digest * 32), 2))
    rig.run_until(lambda: len(host.said(m.Accept)) == 2, 5)
    assert host.said(m.Accept)[1].message.missing == ((there_bytes, 20_000),)


def test_parts_under_a_handle_that_nobody_gave_are_answered_by_expired_once_a_second():
    rig, origin, host = a_pair()
    for _ in range(30):
        say(origin, m.Part(99, 0, b"nobody asked for this"))
        rig.run_for(0.1)
    expired = host.said(m.Expired)
    assert {said.message.handle for said in expired} == {99}
    assert len(expired) == 3


def test_a_host_that_restarts_costs_a_round_trip_and_no_time_out():
    rig, origin, host = a_pair(origin=LARGE)
    shoot(origin)
    rig.run_for(8)
    host.power_cut()
    rig.run_for(0.5)
    host.restart()
    restarted_at = rig.now
    rig.run_until(lambda: len(host.said(m.Accept)) == 2, 10)
    assert rig.now - restarted_at <= 1.0


def test_a_handle_is_not_given_again_within_its_time():
    rig, origin, host = a_pair(origin=Options(size_bytes=(500, 500)), baud=1_000_000)
    given, count = {}, 140
    pictures = [shoot(origin) for _ in range(3)]
    rig.run_until(settled(origin, host), 60)
    entry = host.entry(pictures[0].id)
    for n in range(count):  # a copy asked about again and again, under ever higher numbers
        say(origin, m.Request(entry.picture, 1000 + n))
        rig.run_for(0.25)
    accepts = [said for said in host.said(m.Accept)]
    assert len(accepts) > 80
    for said in accepts:
        handle = said.message.handle
        assert said.at >= given.get(handle, 0.0), f"handle {handle} at {said.at}"
        given[handle] = said.at + said.message.ttl_s
    assert {said.message.ttl_s for said in accepts[-80:]} == {int(KNOWN_TTL_S)}


def say(machine, message):
    """The unit says this to unit 2, as if it had decided to."""
    machine.on.core.say(2, message)
    machine.turn()


# ---------------------------------------------------------------- stale, conflict, not yours


def test_h1_a_stale_number_is_refused_with_the_rows_and_the_origin_goes_above_it():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    row = host.entry(picture.id)
    host.catalogue.save(Save(entries=(replace(row, attempt=50),)))
    origin.catalogue.save(Save(entries=(replace(origin.entry(picture.id), copies=()),)))
    origin.on.core.changed = True
    origin.turn()
    rig.run_until(settled(origin, host), 60)
    (stale,) = refusals(host)
    assert (stale.why, stale.row_attempt) == (m.RefuseWhy.STALE, 50)
    assert origin.entry(picture.id).copies[0].listed == host.entry(picture.id).attempt == 51
    assert part_bytes(origin) == picture.size_bytes


def test_h1_another_content_under_a_known_id_is_refused_and_nothing_changes():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    before = host.entry(picture.id)
    say(origin, m.Request(replace(picture, sha256=bytes(32)), 99))
    rig.run_for(2)
    assert whys(host) == [m.RefuseWhy.CONFLICT]
    assert host.entry(picture.id) == before
    assert on_card(host, picture)
    assert "another content" in host.logged("alarm")[0]


def test_a_conflict_at_the_only_host_keeps_no_other_picture_back():
    rig, origin, host = a_pair()
    first = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    row = host.entry(first.id)
    host.catalogue.save(Save(entries=(replace(row, picture=replace(first, sha256=bytes(32))),)))
    origin.catalogue.save(Save(entries=(replace(origin.entry(first.id), copies=()),)))
    others = [shoot(origin) for _ in range(3)]
    rig.run_until(lambda: all(copies(origin, picture) == [2] for picture in others), 200)
    assert copies(origin, first) == []
    assert whys(host).count(m.RefuseWhy.CONFLICT) == 1


def test_nobody_asks_drops_or_keeps_for_another_units_picture():
    rig, origin, host = a_pair()
    other = Machine(rig, 3)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    attempt = host.entry(picture.id).attempt
    for message in (
        m.Request(picture, 900),
        m.Drop(picture.id, 900, picture.digest4),
        m.Keep(picture.id, attempt, picture.digest4),
        m.Prove(picture.id, attempt, bytes(16)),
    ):
        say(other, message)
        rig.run_for(2)
    assert host.entry(picture.id).attempt == attempt
    assert [refuse.why for refuse in refusals(host)] == [m.RefuseWhy.NOT_YOURS]
    assert not host.said(m.Proof)
    check(origin, host)


def test_r1_nobody_has_a_host_forward_what_it_holds():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    third = Machine(rig, 3)
    rig.run_for(5)
    outcome = place(host, picture, 3)
    assert isinstance(outcome, c.Failed)
    assert "unit 1 decides about" in str(outcome.error)
    origin.power_cut()
    rig.run_for(3 * 24 * 3600)  # long enough for the origin's copies to be in doubt, if it were the origin
    assert not host.said(m.Request)
    assert not held(third)


def test_h7_drop_acts_on_its_own_content_only():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    say(origin, m.Drop(picture.id, 900, b"else"))
    rig.run_for(2)
    assert on_card(host, picture)
    assert not host.said(m.Lost)


def test_h7_a_repeated_drop_is_answered_again():
    rig, origin, host = a_pair()
    unknown = PictureId(1, 1, 1)
    for _ in range(3):
        say(origin, m.Drop(unknown, 1, b"none"))
        rig.run_for(2)
    assert [said.message for said in host.said(m.Lost)] == [m.Lost(unknown, 1, True)] * 3


def test_h7_a_drop_ends_the_reservation_of_its_attempt_and_of_those_before():
    rig, origin, host = a_pair()
    picture = Picture(PictureId(1, 1, 1), 100_000, bytes(32))
    say(origin, m.Request(picture, 7))
    rig.run_for(1)
    say(origin, m.Drop(picture.id, 6, picture.digest4))
    rig.run_for(1)
    assert reserved(host) == 100_000
    say(origin, m.Drop(picture.id, 7, picture.digest4))
    rig.run_for(1)
    assert reserved(host) == 0
    room_is_as_the_card_is(host)


# ---------------------------------------------------------------- the host's own card fails


def test_a_held_file_that_rots_is_told_and_another_copy_is_made():
    rig, origin, host = a_pair()
    third = Machine(rig, 3)
    rig.run_for(3)
    picture = shoot(origin)
    rig.run_until(lambda: bool(copies(origin, picture)), 60)
    (unit,) = copies(origin, picture)
    holder = {2: host, 3: third}[unit]
    holder.card.rot(picture_path(picture, unit), 1000)
    say_to(origin, unit, m.Prove(picture.id, holder.entry(picture.id).attempt, bytes(16)))
    rig.run_until(lambda: copies(origin, picture) not in ([], [unit]), 60)
    assert origin.entry(picture.id).copy_at(unit).suspect
    assert holder.entry(picture.id) is None
    assert copies(origin, picture) == [5 - unit]


def test_r9_a_copy_of_an_older_attempt_is_no_proof_of_the_one_asked_about():
    """As after rot, and a REQUEST of long ago that came then: a DROP on its way may still reach that copy."""
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    attempt = host.entry(picture.id).attempt
    say(origin, m.Prove(picture.id, attempt + 1, bytes(16)))
    rig.run_for(2)
    assert [said.message for said in host.said(m.Lost)] == [m.Lost(picture.id, attempt + 1, False)]
    assert not host.said(m.Proof)
    host.catalogue.save(Save(entries=(replace(host.entry(picture.id), attempt=UNKNOWN_ATTEMPT),)))
    say(origin, m.Prove(picture.id, attempt + 1, bytes(16)))
    rig.run_for(2)
    assert len(host.said(m.Proof)) == 1


def say_to(machine, unit, message):
    machine.on.core.say(unit, message)
    machine.turn()


@pytest.mark.parametrize("calls", range(1, 40, 3))
def test_a_host_whose_card_fails_once_refuses_and_takes_the_picture_later(calls):
    """EIO at one call of the card after another while it receives: no loss, no reservation left behind."""
    rig, origin, host = a_pair()
    check_always(rig, origin, host)
    host.card.options.at[host.card.calls + calls] = Fault.IO
    press(origin)
    rig.run_until(lambda: len(own(origin)) == 1 and settled(origin, host)(), 1000)
    room_is_as_the_card_is(host)


def test_a_host_whose_card_takes_no_more_writes_refuses_and_others_are_asked():
    rig, origin, host = a_pair()
    Machine(rig, 3, Options(capacity_bytes=1_000_000))
    rig.run_for(3)
    host.card.options.read_only = True
    picture = shoot(origin)
    rig.run_until(lambda: copies(origin, picture) == [3], 100)
    assert whys(host) == [m.RefuseWhy.FAILED]
    assert reserved(host) == 0


def test_a_stalled_card_loses_no_part_and_nothing_is_stored_before_it_is_synced():
    rig, origin, host = a_pair()
    host.latency_s[FinishPart] = 8.0
    stored_at = []
    rig.watch = lambda _machine, request: stored_at.append(rig.now) if isinstance(request, FinishPart) else None
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 100)
    assert host.said(m.Stored)[0].at >= stored_at[0]
    assert part_bytes(origin) == picture.size_bytes


# ---------------------------------------------------------------- power cuts of either, anywhere


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cut", range(5, 265, 20))
def test_power_cuts_at_any_event_lose_nothing(seed, cut):
    chance = random.Random(f"{seed} {cut}")
    rig, origin, host = a_pair(seed=cut)
    check_always(rig, origin, host)
    press(origin)
    press(host)
    press(origin)
    rig.run_events(cut, 100)
    victims = [(origin,), (host,), (origin, host)][seed]
    for machine in victims:
        machine.power_cut(chance)
    rig.run_for(chance.choice([0.1, 3.0, 90.0]))
    for machine in victims:
        machine.restart()
    rig.run_until(settled(origin, host), 400)
    check(origin, host)
    for machine in (origin, host):
        ids = [row.picture.id for row in own(machine)]
        assert len(ids) == len(set(ids))
        room_is_as_the_card_is(machine)


@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize("call", range(2, 44, 3))
def test_power_cuts_between_any_two_calls_of_the_card_lose_nothing(unit, call):
    rig, origin, host = a_pair(seed=call)
    check_always(rig, origin, host)
    machine = (origin, host)[unit - 1]
    machine.card.options.cut_after = machine.card.calls + call
    press(origin)
    rig.run_for(20)
    machine.card.options.cut_after = None
    if machine.running is None:
        machine.restart()
    machine.card.options.cut_after = None  # so many calls may not have been needed
    rig.run_until(settled(origin, host), 400)
    check(origin, host)
    room_is_as_the_card_is(machine)


@pytest.mark.parametrize("resumed", [True, False])
def test_r4_bytes_that_are_all_there_and_were_never_stored_are_no_copy_to_an_origin_without_its_file(resumed):
    """END was lost. "Nothing missing" is said of a row only: an origin that has no bytes takes it for a copy."""
    rig, origin, host = a_pair(origin=Options(size_bytes=(9_000, 9_000)))
    rig.loses = lambda said: isinstance(said.message, m.End)
    picture = shoot(origin)
    rig.run_until(lambda: any(h.receiver is not None and h.receiver.complete for h in host.on.hostings), 60)
    origin.kill()
    origin.card.unlink(picture_path(picture, 1))
    if resumed:
        rig.run_for(300)
        assert not list(host.on.hostings)
    origin.restart()
    accepted = len(host.said(m.Accept))
    rig.run_until(lambda: len(host.said(m.Accept)) > accepted, 60)
    rig.run_for(5)
    assert not origin.entry(picture.id).listed
    assert not held(host)


def test_h7_a_drop_that_comes_just_before_all_is_stored_leaves_no_copy():
    """Both wait for the same slow catalogue: the answer to the DROP must not be followed by the row."""
    rig, origin, host = a_pair()
    rig.loses = lambda said: isinstance(said.message, m.End)
    picture = shoot(origin)
    rig.run_until(lambda: any(h.receiver is not None and h.receiver.complete for h in host.on.hostings), 60)
    rig.run_for(0.3)
    origin.kill()
    rig.loses = None
    host.latency_s[LookUp] = 1.0
    host.on.hostings.on_drop(1, m.Drop(picture.id, 1, picture.digest4))
    host.turn()
    rig.run_for(0.2)
    host.on.hostings.on_end(1, origin.said(m.End)[-1].message)
    host.turn()
    rig.run_for(8)
    assert held(host) == []
    assert [said.message for said in host.said(m.Lost)] == [m.Lost(picture.id, 1, True)]


def test_a_write_that_fails_while_the_picture_is_being_stored_already_ends_it_once():
    """The last parts still wait for a slow card when END has come."""
    rig, origin, host = a_pair()
    host.latency_s[WritePart] = 0.5
    press(origin)
    rig.run_until(lambda: any(hosting.state is State.STORE for hosting in host.on.hostings), 60)
    host.card.options.below["tmp"] = Fault.IO
    rig.run_until(lambda: bool(refusals(host)), 60)
    host.card.options.below.clear()
    del host.latency_s[WritePart]
    rig.run_until(settled(origin, host), 900)
    assert whys(host)[0] is m.RefuseWhy.FAILED
    assert host.starts == 1
    room_is_as_the_card_is(host)
