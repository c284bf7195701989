"""Read-outs from units that are not heard: through those between, with loss, restarts and rot on the way."""

import contextlib
import dataclasses
import hashlib
import random

import pytest
from boards import Board, a_picture
from out_of_range import Field, row
from rig_scene import check_always, copies, settled, shoot

from firmware import commands as c
from firmware import events as e
from firmware import messages as m
from firmware.asked import ReadOut
from firmware.errors import PeerError
from firmware.layout import picture_path, preview_path
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.onward import Onward
from firmware.pictures import EVERYONE
from firmware.questions import MAX_QUESTIONS
from firmware.relays import MAX_RELAYS, MAX_RELAYS_PER_NEIGHBOUR, SILENT_S
from firmware.serving import MAX_SERVINGS
from hal.interfaces import Duplex, TimeQuality
from sim.camera import GREY_JPEG


def whole(field, unit, ticket, picture, holder, within_s=120.0):
    """The command got every byte, from that holder."""
    ended = field.wait(unit, ticket, within_s)
    assert isinstance(ended, c.Done), str(ended.error) + "\n" + field.rig.story()
    assert hashlib.sha256(field.read(unit, ticket)).digest() == picture.sha256
    assert ended.value.from_unit == holder
    return True


def rot(machine, picture):
    """A byte of its file there changes by itself."""
    path = picture_path(picture, machine.unit)
    file = machine.card.open(path, writable=True)
    file.write(1000, bytes([file.read(1000, 1)[0] ^ 1]))
    file.sync()
    file.close()


def preview_of(machine, picture):
    """As it is on the card there."""
    return machine.card.durable(preview_path(picture.id))


@pytest.mark.parametrize("length", [3, 4, 5, 6])
def test_a_picture_comes_through_up_to_four_units_between(length):
    field = Field(*row(range(1, length + 1)))
    picture = shoot(field[length])
    assert whole(field, 1, field.get(1, picture), picture, length)
    between = range(2, length)
    assert all(field[unit].said(m.Get)[0].message.hops == unit - 1 for unit in between)
    assert all(not list(field[unit].on.relays) for unit in between) or field.rig.run_for(2) is None
    assert all(field[unit].on.core.room.used_bytes == 0 for unit in between)


def test_farther_than_the_hop_limit_nothing_is_found_and_that_in_time():
    field = Field(*row(range(1, 8)))
    picture = shoot(field[7])
    began = field.rig.now
    ended = field.wait(1, field.get(1, picture), 20)
    assert isinstance(ended, c.Failed)
    assert field.rig.now - began < 19
    assert field[6].said(m.Where) == []


@pytest.mark.parametrize("loss", [0.2, 0.3])
@pytest.mark.parametrize("seed", range(6))
def test_loss_at_every_hop_costs_time_only(loss, seed):
    field = Field(*row((1, 2, 3, 4)), seed=seed)
    picture = shoot(field[4])
    field.lose(loss)
    assert whole(field, 1, field.get(1, picture), picture, 4, within_s=240)


def test_from_a_holder_beyond_a_unit_that_has_nothing_when_the_origin_is_gone():
    field = Field((4, 3), (3, 2), (2, 1), hosts=(3,))
    picture = shoot(field[4])
    field.rig.run_until(settled(field[4]), 60)
    field[4].power_cut()
    assert whole(field, 1, field.get(1, picture), picture, 3)


def test_an_origin_beyond_names_its_holders_and_each_is_found():
    """Unit 3 has dropped its file; its holder 4 is heard by it alone."""
    field = Field((1, 2), (2, 3), (3, 4), hosts=(4,))
    picture = shoot(field[3])
    field.rig.run_until(settled(field[3]), 60)
    ticket = field[3].command(lambda ticket: c.DropOwn(ticket, picture.id))
    assert isinstance(field.wait(3, ticket), c.Done)
    assert whole(field, 1, field.get(1, picture), picture, 4)


def test_the_origin_finds_the_way_to_its_own_holder():
    """Unit 3 has dropped its file and hears its holder no more; unit 2 does."""
    field = Field((3, 4), (3, 2), (2, 4), hosts=(4,))
    picture = shoot(field[3])
    field.rig.run_until(settled(field[3]), 60)
    assert isinstance(field.wait(3, field[3].command(lambda ticket: c.DropOwn(ticket, picture.id))), c.Done)
    field.part(3, 4)
    field.rig.run_for(400)  # until it counts as silent
    assert whole(field, 3, field.get(3, picture), picture, 4)


# ---------------------------------------------------------------- questions


def ring(length):
    return [*row(range(1, length + 1)), (length, 1)]


def mesh(length):
    return [(a, b) for a in range(1, length + 1) for b in range(1, a)]


@pytest.mark.parametrize("links", [ring(5), ring(6), mesh(6), [*ring(6), (1, 4), (2, 5)]])
def test_a_question_goes_round_no_loop_and_ends_everywhere(links):
    field = Field(*links)
    began = field.rig.now
    unknown = shoot(field[2])
    field[2].power_cut()
    ended = field.wait(1, field.get(1, unknown), 20)
    assert isinstance(ended, c.Failed)
    assert field.rig.now - began < 19.5
    field.rig.run_for(20)
    said = len(field.rig.said)
    field.rig.run_for(30)
    late = [s for s in list(field.rig.said)[said:] if isinstance(s.message, m.Where | m.At | m.Unknown)]
    assert late == []
    for unit, machine in field.units():
        hops = {s.message.hops for s in machine.said(m.Where)}
        assert len(hops) <= 1, f"unit {unit} has passed one question on in several ways"
        assert len(machine.said(m.Where)) <= 30


def test_in_a_dense_fleet_few_pass_a_question_on():
    field = Field(*mesh(14))
    picture = shoot(field[14])
    field[14].power_cut()
    assert isinstance(field.wait(1, field.get(1, picture), 20), c.Failed)
    said = [said.destination for unit in range(2, 14) for said in field[unit].said(m.Where)[-1:]]
    passed_on = [destination for destination in said if destination == EVERYONE]
    assert len(passed_on) <= 8


def test_an_unknown_id_is_answered_as_soon_as_everybody_has():
    field = Field(*row((1, 2, 3, 4)))
    picture = shoot(field[4])
    strange = dataclasses.replace(picture, id=dataclasses.replace(picture.id, unit=9))
    field.rig.run_for(FIRST_NEIGHBOUR_S)  # units that have just started wait for others to be heard
    began = field.rig.now
    ended = field.wait(1, field.get(1, strange), 20)
    assert "unit 2 knew of nobody who has it" in str(ended.error)
    assert field.rig.now - began < 3


def test_a_question_changes_nothing_durable():
    field = Field(*row((1, 2, 3)))
    picture = shoot(field[3])
    changes = []
    changing = (e.Save, e.SavePartial, e.SaveOrder, e.KeepShot, e.BeginPart, e.RemoveFile, e.FinishPart)
    field.rig.watch = lambda machine, request: isinstance(request, changing) and changes.append((machine.unit, request))
    assert whole(field, 1, field.get(1, picture), picture, 3)
    assert changes == []


# ---------------------------------------------------------------- what goes wrong on the way

DIAMOND = [(1, 2), (1, 3), (2, 4), (3, 4)]


def test_when_the_unit_between_dies_the_rest_comes_by_another_way():
    field = Field(*DIAMOND, size_bytes=(80_000, 90_000))
    picture = shoot(field[4])
    ticket = field.get(1, picture)
    field.rig.run_until(lambda: field.came_bytes(1) > 30_000, 60)
    between = next(unit for unit in (2, 3) if list(field[unit].on.relays))
    field[between].power_cut()
    came = len(field.read(1, ticket))
    assert whole(field, 1, ticket, picture, 4)
    founds = [what for what in field[1].told[ticket] if isinstance(what, c.Found)]
    assert founds[-1].offset >= came
    sent = sum(len(said.message.data) for said in field[5 - between].said(m.Part))
    assert sent < picture.size_bytes - came + 20_000


def test_when_the_unit_between_restarts_the_rest_comes():
    field = Field(*row((1, 2, 3)), size_bytes=(80_000, 90_000))
    picture = shoot(field[3])
    ticket = field.get(1, picture)
    field.rig.run_until(lambda: field.came_bytes(1) > 30_000, 60)
    came = len(field.read(1, ticket))
    field[2].power_cut()
    field[2].restart()
    assert whole(field, 1, ticket, picture, 3)
    assert all(what.offset >= came for what in field[1].told[ticket][1:] if isinstance(what, c.Found))


def test_when_the_unit_beyond_the_next_dies_the_asker_is_told_and_goes_on():
    field = Field((1, 2), (2, 3), (2, 4), (3, 5), (4, 5), size_bytes=(80_000, 90_000))
    picture = shoot(field[5])
    ticket = field.get(1, picture)
    field.rig.run_until(lambda: field.came_bytes(1) > 30_000, 60)
    between = next(unit for unit in (3, 4) if list(field[unit].on.relays))
    field[between].power_cut()
    assert whole(field, 1, ticket, picture, 5)


def test_a_rotten_file_beyond_is_found_out_the_origin_told_and_the_next_holder_asked():
    field = Field((1, 5), (5, 3), (5, 4), hosts=(3, 4), copies=2)
    picture = shoot(field[5])
    field.rig.run_until(settled(field[5], wanted=2), 60)
    assert isinstance(field.wait(5, field[5].command(lambda ticket: c.DropOwn(ticket, picture.id))), c.Done)
    rot(field[3], picture)
    ticket = field.get(1, picture)
    assert whole(field, 1, ticket, picture, 4)
    founds = [(what.from_unit, what.offset) for what in field[1].told[ticket] if isinstance(what, c.Found)]
    assert founds == [(3, 0), (4, 0)]
    assert [said.message for said in field[1].said(m.Damaged)] == [m.Damaged(picture.id, 3)]
    assert field[5].entry(picture.id).copy_at(3).suspect or field[5].logged("suspect")


def test_a_rotten_holder_that_answers_for_itself_does_not_hide_the_one_beyond():
    """The asker hears nobody else, so the holder that failed it is asked who else there is."""
    field = Field(*row(range(1, 5)), hosts=(2, 4), copies=2)
    picture = shoot(field[3])
    field.rig.run_until(settled(field[3], wanted=2), 60)
    assert isinstance(field.wait(3, field[3].command(lambda ticket: c.DropOwn(ticket, picture.id))), c.Done)
    rot(field[2], picture)
    ticket = field.get(1, picture)
    assert whole(field, 1, ticket, picture, 4)
    assert field[1].said(m.Where)[-1].message.without == (2,)


# ---------------------------------------------------------------- what a unit between takes


def test_a_unit_between_never_holds_more_than_64_kilobytes():
    """Its way to the asker is much slower than the holder's to it: it loses most packets."""
    field = Field(*row((1, 2, 3)), size_bytes=(200_000, 200_000))
    picture = shoot(field[3])
    ticket = field.get(1, picture)
    most = 0

    def look(*_):
        nonlocal most
        for relay in field[2].on.relays:
            incoming = relay.collecting.incoming if relay.collecting else None
            ahead_bytes = sum(len(data) for data in incoming._ahead.values()) if incoming else 0
            held_bytes = sum(len(data) for _, data in relay.onward._pieces) + ahead_bytes
            assert held_bytes <= 65_536
            most = max(most, held_bytes)

    field.rig.watch = look
    field.rig.run_until(lambda: field.came_bytes(1) > 30_000, 60)
    chance = random.Random(5)
    field.rig.loses = lambda said: (said.source, said.destination) == (2, 1) and chance.random() < 0.6
    field.rig.run_until(lambda: field.came_bytes(1) > 100_000 or look(), 400)
    field.rig.loses = None
    assert whole(field, 1, ticket, picture, 3, within_s=300)
    assert most > 20_000
    sent = sum(len(said.message.data) for said in field[3].said(m.Part))
    assert sent < 1.1 * picture.size_bytes, "what could not go on was sent again and again"


def test_several_askers_at_once_are_all_served_those_beyond_the_limit_later():
    field = Field((1, 4), (2, 4), (3, 4), (4, 5), (5, 6), size_bytes=(60_000, 70_000))
    pictures = [shoot(field[6]) for _ in range(2)]
    asked = [(unit, field.get(unit, pictures[unit % 2]), pictures[unit % 2]) for unit in (1, 2, 3)]
    for unit, ticket, picture in asked:
        assert whole(field, unit, ticket, picture, 6, within_s=300)
    assert m.GetWhy.BUSY in refusals(field[5])


def refusals(machine):
    machine.turn()
    machine.rig.run_for(0.5)
    return [said.message.why for said in machine.said(m.RefuseGet)]


def test_few_read_outs_pass_through_at_once():
    field = Field(*row((1, 2, 3)), (4, 2), (5, 2))
    field[3].power_cut()  # so that nothing comes, and nothing ends
    picture = a_picture(unit=3)[0]
    for source, most in [(1, MAX_RELAYS_PER_NEIGHBOUR), (4, MAX_RELAYS_PER_NEIGHBOUR)]:
        for query in range(most):
            field[2].on.relays.on_get(source, m.Get(source, query, 3, picture.id, False, (), 0))
        assert refusals(field[2]) == []
    assert len(list(field[2].on.relays)) == MAX_RELAYS
    field[2].on.relays.on_get(5, m.Get(5, 1, 3, picture.id, False, (), 0))
    assert refusals(field[2]) == [m.GetWhy.BUSY]


def test_one_neighbour_does_not_take_all_places():
    field = Field(*row((1, 2, 3)))
    field[3].power_cut()
    picture = a_picture(unit=3)[0]
    for query in range(MAX_RELAYS_PER_NEIGHBOUR + 1):
        field[2].on.relays.on_get(1, m.Get(1, query, 3, picture.id, False, (), 0))
    assert refusals(field[2]) == [m.GetWhy.BUSY]


def test_a_get_that_was_passed_on_often_enough_goes_no_farther():
    field = Field(*row((1, 2, 3)))
    picture = shoot(field[3])
    field[2].on.relays.on_get(1, m.Get(9, 7, 3, picture.id, False, (), m.MAX_HOPS))
    assert refusals(field[2]) == [m.GetWhy.NO_WAY]
    assert field[2].said(m.Get) == []


def test_when_the_askers_side_restarts_it_is_over_and_when_it_falls_silent_soon_after():
    for restarts, within_s in [(True, 5), (False, SILENT_S + 5)]:
        field = Field(*row((1, 2, 3)), size_bytes=(80_000, 90_000))
        picture = shoot(field[3])
        field.get(1, picture)
        field.rig.run_until(lambda field=field: field.came_bytes(1) > 30_000, 60)
        field[1].power_cut()
        if restarts:
            field[1].restart()
        field.rig.run_until(lambda field=field: not list(field[2].on.relays), within_s)
        field.rig.run_until(lambda field=field: not list(field[3].on.serving), 60)


def test_a_restart_of_the_askers_side_ends_it_at_once():
    field = Field(*row((1, 2, 3)), size_bytes=(80_000, 90_000))
    picture = shoot(field[3])
    field.get(1, picture)
    field.rig.run_until(lambda: field.came_bytes(1) > 30_000, 60)
    field[2].on.relays.new_boot(1)
    assert list(field[2].on.relays) == []


def test_ways_are_forgotten_when_everyone_is_asked_again():
    read_out = ReadOut(a_picture()[0].id, 1, None, 60.0, 0.0)
    read_out.is_named(5, by=2)
    read_out.is_named(5, by=5)
    read_out.tried_ways = {(5, 2), (5, 5)}
    assert read_out.ways == {5: [2]}
    read_out.forget_ways()
    assert read_out.ways == {}
    assert read_out.tried_ways == {(5, 5)}


def test_a_get_for_a_holder_that_nobody_named_is_refused():
    field = Field(*row((1, 2)))
    picture = shoot(field[1])
    field[2].on.relays.on_get(1, m.Get(1, 7, 9, picture.id, False, (), 0))
    field[2].turn()
    field.rig.run_for(1)
    assert [s.message.why for s in field[2].said(m.RefuseGet)] == [m.GetWhy.NO_WAY]
    assert list(field[2].on.relays) == []


@pytest.mark.parametrize(
    ("source", "asker", "holder", "hops"), [(1, 2, 9, 1), (1, 3, 9, 0), (1, 1, 9, 1), (1, 1, 2, 0)]
)
def test_a_get_that_cannot_be_is_left_alone(source, asker, holder, hops):
    field = Field(*row((1, 2)))
    picture = shoot(field[1])
    field[2].on.relays.on_get(source, m.Get(asker, 7, holder, picture.id, False, (), hops))
    field[2].turn()
    assert field[2].said(m.RefuseGet) == []
    assert list(field[2].on.relays) == []


# ---------------------------------------------------------------- previews


def test_a_holder_fetches_the_preview_and_gives_it_when_the_origin_is_gone():
    field = Field((4, 3), (3, 2), (2, 1), hosts=(3,))
    picture = shoot(field[4])
    field.rig.run_until(settled(field[4]), 60)
    field.rig.run_until(lambda: preview_of(field[3], picture), 30)
    field[4].power_cut()
    ended = field.wait(1, field.get(1, picture, preview=True))
    assert isinstance(ended, c.Done), field.rig.story()
    assert ended.value.from_unit == 3
    assert field.read(1, 1) == GREY_JPEG == preview_of(field[3], picture)


def test_a_preview_comes_from_an_origin_beyond():
    field = Field(*row((1, 2, 3)))
    picture = shoot(field[3])
    ended = field.wait(1, field.get(1, picture, preview=True))
    assert isinstance(ended, c.Done), field.rig.story()
    assert field.read(1, 1) == GREY_JPEG


# ---------------------------------------------------------------- on a shared channel


@pytest.mark.parametrize("length", [3, 4, 5])
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_picture_comes_through_units_that_take_turns(length, loss):
    field = Field(*row(range(1, length + 1)), duplex=Duplex.HALF)
    picture = shoot(field[length])
    field.lose(loss)
    assert whole(field, 1, field.get(1, picture), picture, length, within_s=300)


# ---------------------------------------------------------------- beside a dispersal


@pytest.mark.parametrize("asker", [2, 3])
def test_a_picture_is_read_out_while_it_is_being_dispersed_and_neither_harms_the_other(asker):
    """Unit 2 is its host, and asks for it itself before it has it; or another unit asks."""
    field = Field((1, 2), (1, 3), (2, 3), hosts=(2,), size_bytes=(100_000, 110_000))
    check_always(field.rig, *(field[unit] for unit in (1, 2, 3)))
    picture = shoot(field[1])
    field.rig.run_until(lambda: any(d.outgoing and d.outgoing.done_bytes > 20_000 for d in field[1].on.dispersals), 30)
    assert whole(field, asker, field.get(asker, picture), picture, 1)
    field.rig.run_until(settled(field[1]), 60)
    assert copies(field[1], picture) == [2]
    to_host = [s.message for s in field[1].said(m.Part) if s.message.handle < m.FIRST_COPY_HANDLE]
    assert sum(len(part.data) for part in to_host) == picture.size_bytes


# ---------------------------------------------------------------- the bytes on their way (Onward)

ME, NEXT = 2, 3


def onward_with(size_bytes=20_000, given=((0, 10_000),)):
    """Of so much, these are here and on their way to unit 3."""
    board = Board(ME)
    board.heard(NEXT)
    onward = Onward(board.core, NEXT, 130)
    data = random.Random(3).randbytes(size_bytes)
    onward.begin(c.Found(a_picture()[0], size_bytes, 1))
    for start, stop in given:
        for at in range(start, stop, 1000):
            onward.write(at, data[at : min(at + 1000, stop)])
    return onward, data


def all_of(onward):
    """What it says now."""
    said = []
    while (message := onward.next_message(4000, 30)) is not None:
        said.append(message)
    return said


def test_bytes_are_said_as_they_lie_and_kept_until_they_are_confirmed():
    onward, data = onward_with()
    parts = all_of(onward)
    assert b"".join(part.data for part in parts) == data[:10_000]
    onward.on_report(m.Report(130, ((0, 4500),), 20_000))
    assert onward.waiting_bytes == 6000  # pieces go whole
    onward.on_report(m.Report(130, ((0, 10_000),), 20_000))
    assert onward.waiting_bytes == 0
    assert not onward.done
    assert all_of(onward) == []


def test_what_is_lost_is_said_again_and_what_was_confirmed_never():
    onward, data = onward_with()
    first = all_of(onward)[0]
    stop = first.offset + len(first.data)
    onward.on_report(m.Report(130, ((0, stop - 500), (stop, 10_000)), 20_000))
    onward._core.now += 30
    onward.tick()
    said = all_of(onward)
    assert {data[part.offset : part.offset + len(part.data)] == part.data for part in said} == {True}
    assert min(part.offset for part in said) >= stop - 1500


def test_a_question_is_of_what_is_still_here():
    """A part on its way whose beginning was confirmed, by a report that speaks of no more than that."""
    onward, data = onward_with(given=((0, 1500),))
    all_of(onward)
    onward.on_report(m.Report(130, ((0, 1100),), 1100))
    for _ in range(3):
        onward._core.now += 30
        onward.tick()
        (asked,) = all_of(onward)
        assert asked.offset >= 1100
        assert asked.data == data[asked.offset : asked.offset + len(asked.data)]


def test_end_comes_once_all_has_come_and_it_is_done_when_all_is_confirmed():
    onward, _ = onward_with(size_bytes=8000, given=((0, 8000),))
    assert {type(message) for message in all_of(onward)} == {m.Part}
    onward.whole = True
    assert [type(message) for message in all_of(onward)] == [m.End]
    assert not onward.done
    onward.on_report(m.Report(130, ((0, 8000),), 8000))
    assert onward.done


def test_asked_anew_it_says_what_is_here_of_it_and_refuses_what_is_gone():
    onward, data = onward_with()
    all_of(onward)
    onward.on_report(m.Report(130, ((0, 3000),), 20_000))
    assert not onward.restart(((2000, 20_000),))
    assert onward.restart(((3000, 4000), (9000, 20_000)))
    assert b"".join(part.data for part in all_of(onward)) == data[3000:4000] + data[9000:10_000]


# ---------------------------------------------------------------- whatever is said


def anything(chance, pictures):
    """A message of read-out whose values often fit together."""
    asker, query, holder = chance.choice([1, 1, 3, 3, 2, 9]), chance.randrange(2), chance.choice([1, 1, 3, 3, 2, 9])
    pid, size_bytes = chance.choice(pictures), chance.choice([30_000, 30_000, 4000, 64_000_000])
    handle, offset = chance.randrange(128, 130), chance.randrange(0, 32_000, 1000)
    many = tuple((at, at + 1) for at in range(0, 64, 2))
    ranges = chance.choice([(), ((0, 1000),), ((500, 20_000), (29_000, 90_000)), many])
    return chance.choice(
        [
            m.Where(asker, query, pid, chance.randrange(5)),
            m.At(asker, query, pid, tuple({holder, 9}), size_bytes, bytes(32)),
            m.Unknown(asker, query, pid),
            m.Get(asker, query, holder, pid, chance.random() < 0.3, ranges, chance.randrange(5)),
            m.Copy(asker, query, holder, handle, size_bytes, bytes(32), None, TimeQuality.UNSET),
            m.RefuseGet(asker, query, holder, pid, chance.choice(list(m.GetWhy))),
            *(m.Part(handle, at, bytes(chance.choice([1000, 4096]))) for at in (0, 0, offset, offset)),
            m.End(handle, bytes(16)),
            m.Report(handle, ranges, ranges[-1][1] if ranges else 0),
            m.Expired(handle),
        ]
    )


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_said_of_read_outs_nothing_breaks_and_every_bound_holds(seed):
    field = Field((1, 2), (2, 3), (1, 3), size_bytes=(30_000, 30_000), seed=seed)
    chance = random.Random(seed)
    pictures = [shoot(field[2]).id, shoot(field[1]).id, a_picture(unit=9)[0].id]
    unit, most = field[2].on, 0
    for number in range(3000):
        if number % 300 == 0:
            field.get(2, dataclasses.replace(a_picture()[0], id=pictures[1 + number % 600 // 300]))
        source, message = chance.choice([1, 3]), anything(chance, pictures)
        with contextlib.suppress(PeerError):
            unit._handlers[type(message)](source, message)
        field[2].turn()
        field.rig.run_for(chance.choice([0.0, 0.001, 0.05]))
        assert len(list(unit.relays)) <= MAX_RELAYS
        assert len(list(unit.serving)) <= MAX_SERVINGS
        assert len(unit.questions) <= MAX_QUESTIONS
        assert all(relay.onward.waiting_bytes <= 65_536 for relay in unit.relays)
        most = max(most, sum(relay.onward.waiting_bytes for relay in unit.relays))
    assert most > 0
    field.rig.run_for(400)
    assert list(unit.relays) == list(unit.serving) == list(unit.read_outs) == []
