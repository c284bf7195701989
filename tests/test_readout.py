"""Read-outs: a picture comes bit-exact from wherever it is, whatever is lost, damaged or restarted on the way."""

import dataclasses
import hashlib

import pytest
from boards import START_S, Board, World, a_picture

from firmware import commands as c
from firmware import messages as m
from firmware.collecting import HELD_BYTES
from firmware.events import Save
from firmware.own_copy import WAITING_BYTES
from firmware.pictures import EVERYONE, Copy, File
from firmware.readout import BUSY_AGAIN_S, MAX_READ_OUTS
from firmware.serving import MAX_SERVINGS, SILENT_S
from sim.card import Fault

PICTURE, DATA = a_picture()
BAD_DATA = bytes([DATA[0] ^ 1]) + DATA[1:]


def whole(board, unit, ticket=1):
    """The command was told everything, from that unit."""
    ended = board.ended(ticket)
    assert isinstance(ended, c.Done), ended
    assert board.data(ticket) == DATA
    assert ended.value.picture.id == PICTURE.id
    assert ended.value.from_unit == unit
    found = board.founds(ticket)[-1]
    assert (found.size_bytes, found.picture.sha256, found.from_unit) == (len(DATA), PICTURE.sha256, unit)
    assert len(list(board.read_outs)) == 0
    return True


# ---------------------------------------------------------------- from the own card


@pytest.mark.parametrize(("unit", "picture_of"), [(1, 1), (2, 1)])
def test_a_picture_on_the_own_card_is_delivered_whether_own_or_held(unit, picture_of):
    world = World(1, 2)
    assert PICTURE.id.unit == picture_of
    world.boards[unit].put(PICTURE, DATA)
    board = world.get(unit, PICTURE, within_s=1)
    assert whole(board, unit)
    assert board.logged("delivered") == [f"picture {PICTURE.id} delivered from unit {unit}"]
    assert board.said == []


# ---------------------------------------------------------------- for whom has it already


@pytest.mark.parametrize("place", ["here", "listed", "known to another"])
def test_what_the_person_has_already_is_neither_read_nor_asked_of_its_holder(place):
    world = World(1, 2)
    board, other = world.boards[1], world.boards[2]
    picture, data = (PICTURE, DATA) if place != "known to another" else a_picture(unit=2)
    if place == "here":
        board.put(picture, data)
    else:
        other.put(picture, data)
    if place == "listed":
        board.put(picture, None, copies=(2,))
    world.get(1, picture, have_sha256=picture.sha256)
    assert isinstance(board.ended(), c.Done)
    assert [(found.picture.sha256, found.size_bytes) for found in board.founds()] == [(picture.sha256, len(data))]
    assert board.data() == b""
    assert board.sent(m.Get) == []
    assert board.logged("delivered") == board.logged("refused") == []
    assert list(board.read_outs) == []


def test_other_bytes_at_the_person_are_no_reason_to_send_nothing():
    world = World(1, 2)
    world.boards[2].put(PICTURE, DATA)
    world.boards[1].put(PICTURE, None, copies=(2,))
    assert whole(world.get(1, PICTURE, have_sha256=bytes(32)), 2)


def test_a_command_that_ends_early_is_no_refusal():
    world, board, picture, data = slow_reader()
    board.put(picture, data)
    board.get(picture)
    world.run_for(1)
    board.read_outs.cancel(1)
    world.run_for(1)
    assert list(board.read_outs) == []
    assert board.logged("refused") == []


def slow_reader(*others):
    """Unit 1, whose command takes nothing by itself, and a picture of 1 MB."""
    world = World(1, *others)
    board = world.boards[1]
    board.reads = False
    return world, board, *a_picture(size_bytes=1_000_000)


def test_no_more_of_an_own_file_is_in_memory_than_a_slow_reader_needs():
    world, board, picture, data = slow_reader()
    board.put(picture, data)
    board.get(picture)
    taken = 0
    while board.ended() is None:
        world.run_for(50)  # each time nearly as long as its patience
        waiting = len(board.data()) - taken
        assert 0 < waiting <= WAITING_BYTES
        board.take(1, waiting)
        taken += waiting
        board.work(world.now)
    assert board.data() == data
    assert isinstance(board.ended(), c.Done)


def test_a_reader_that_takes_nothing_any_more_is_given_up():
    world, board, picture, data = slow_reader()
    board.put(picture, data)
    board.get(picture)
    world.run_for(61)
    assert "nothing of it was taken for 60 s" in board.failure()
    assert list(board.read_outs) == []


def test_a_slow_reader_slows_the_holder_down_and_loses_nothing():
    world, board, picture, data = slow_reader(2)
    board.put(picture, None, copies=(2,))
    world.boards[2].put(picture, data)
    board.get(picture)
    taken = most = 0
    while board.ended() is None:
        world.run_for(45)  # longer than a holder is waited for that says nothing
        waiting = len(board.data()) - taken
        most = max(most, waiting)
        board.take(1, min(waiting, 60_000))
        taken += min(waiting, 60_000)
    assert board.data() == data
    assert most <= HELD_BYTES


def test_a_file_not_checked_yet_is_checked_and_delivered():
    board = Board(1)
    entry = board.put(PICTURE, DATA)
    board.catalogue.save(Save(entries=(dataclasses.replace(entry, file=File.UNCHECKED),)))
    board.get(PICTURE)
    board.work(START_S)
    assert whole(board, 1)


def test_a_damaged_own_file_is_an_alarm_and_the_picture_comes_from_its_holder():
    world = World(1, 2)
    world.boards[1].put(PICTURE, BAD_DATA, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    board = world.get(1, PICTURE)
    assert whole(board, 2)
    assert board.logged("alarm") == [f"the file of picture {PICTURE.id} on this card is damaged"]


def test_a_card_that_cannot_be_read_is_no_reason_to_stop():
    world = World(1, 2)
    world.boards[1].put(PICTURE, DATA, copies=(2,))
    world.boards[1].store.card.options.below["own"] = Fault.IO
    world.boards[2].put(PICTURE, DATA)
    assert whole(world.get(1, PICTURE), 2)


def test_a_deleted_picture_is_said_to_be_deleted():
    board = Board(1)
    board.put(PICTURE, None, deleted=True)
    board.get(PICTURE)
    board.work(START_S)
    assert "deleted" in board.failure()


# ---------------------------------------------------------------- from a holder


@pytest.mark.parametrize("size_bytes", [1, 4000, 32_768, 32_769, 200_000])
def test_the_origin_gets_what_only_the_host_has(size_bytes):
    picture, data = a_picture(size_bytes=size_bytes)
    world = World(1, 2)
    world.boards[1].put(picture, None, copies=(2,))
    world.boards[2].put(picture, data)
    board = world.get(1, picture)
    assert board.data() == data
    assert board.ended().value.from_unit == 2
    assert len(data) < board.ended().value.air_bytes < 1.2 * len(data) + 200
    assert board.logged("collected") == [f"picture {picture.id} collected from unit 2"]
    assert board.logged("delivered") == [f"picture {picture.id} delivered from unit 2"]
    assert board.sent(m.Where) == []


def test_at_most_a_tenth_of_the_line_is_lost_on_a_clean_link():
    picture, data = a_picture(size_bytes=200_000)
    world = World(1, 2)
    world.boards[1].put(picture, None, copies=(2,))
    world.boards[2].put(picture, data)
    board = world.get(1, picture, within_s=len(data) / 11_520 / 0.9)
    assert board.data() == data
    assert sum(len(part.data) for part in world.boards[2].sent(m.Part)) == len(data)


def test_a_read_out_that_goes_on_may_take_longer_than_the_time_without_progress():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    assert whole(world.get(1, PICTURE, timeout_s=2.0), 2)
    assert world.now > START_S + 4


def test_the_host_gets_what_only_the_origin_has():
    world = World(1, 2)
    world.boards[1].put(PICTURE, DATA)
    assert whole(world.get(2, PICTURE), 1)


def test_a_third_unit_asks_the_origin_and_collects_from_the_holder():
    world = World(1, 2, 3)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    board = world.get(3, PICTURE)
    assert whole(board, 2)
    assert [unit for unit, message in board.said if isinstance(message, m.Where)] == [1]


def test_without_the_origin_everyone_is_asked():
    world = World(2, 3, 4)
    world.boards[2].put(PICTURE, DATA)
    board = world.get(3, PICTURE, within_s=10)
    assert whole(board, 2)
    assert [unit for unit, message in board.said if isinstance(message, m.Where)] == [EVERYONE]


def test_an_origin_that_does_not_answer_is_not_waited_for():
    world = World(2, 3)
    world.boards[3].heard(1)
    world.boards[2].put(PICTURE, DATA)
    assert whole(world.get(3, PICTURE, within_s=15), 2)


def test_when_whoever_the_origin_named_fails_the_others_are_asked():
    world = World(1, 2, 3, 4)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[4].put(PICTURE, DATA)
    assert whole(world.get(3, PICTURE), 4)


@pytest.mark.parametrize("seed", range(8))
def test_a_fifth_of_all_messages_lost_costs_time_only(seed):
    world = World(1, 2, 3, loss=0.2, seed=seed)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    assert whole(world.get(3, PICTURE), 2)
    world.run(lambda: not list(world.boards[2].serving.outgoing()), 60)


@pytest.mark.parametrize("kind", [m.Where, m.At, m.Get, m.Copy, m.End, m.Report])
def test_the_first_two_messages_of_a_kind_may_be_lost(kind):
    world = World(1, 2)
    world.boards[1].put(PICTURE, DATA)
    world.to_lose = [kind, kind]
    assert whole(world.get(2, PICTURE, within_s=15), 1)
    assert len(world.to_lose) <= 1
    assert world.boards[2].sent(m.Expired) == []


def test_a_holder_not_suspect_goes_before_a_suspect_one():
    world = World(1, 2, 3)
    entry = world.boards[1].put(PICTURE, None, copies=(3,))
    suspect = dataclasses.replace(entry, copies=(Copy(2, listed=1, suspect=True), *entry.copies))
    world.boards[1].catalogue.save(Save(entries=(suspect,)))
    world.boards[2].put(PICTURE, DATA)
    world.boards[3].put(PICTURE, DATA)
    assert whole(world.get(1, PICTURE), 3)


def test_a_holder_that_is_heard_goes_before_a_silent_one():
    world = World(1, 3)
    world.boards[1].put(PICTURE, None, copies=(2, 3))
    world.boards[3].put(PICTURE, DATA)
    assert whole(world.get(1, PICTURE, within_s=8), 3)


def test_a_holder_that_is_busy_is_asked_again_later():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    for asker in range(10, 10 + MAX_SERVINGS):  # of whom nothing more is heard
        world.boards[2].serving.on_get(asker, m.Get(asker, 1, 2, PICTURE.id, False, (), 0))
    assert whole(world.get(1, PICTURE), 2)
    refused = [message.why for message in world.boards[2].sent(m.RefuseGet)]
    assert set(refused) == {m.GetWhy.BUSY}
    assert len(refused) <= SILENT_S / BUSY_AGAIN_S + 1


# ---------------------------------------------------------------- wrong bytes


def damaged_then_right(asker):
    world = World(1, 2, 3, 4)
    world.boards[1].put(PICTURE, None, copies=(2, 3))
    world.boards[2].put(PICTURE, BAD_DATA)
    world.boards[3].put(PICTURE, DATA)
    board = world.get(asker, PICTURE)
    assert [found.from_unit for found in board.founds()] == [2, 3]
    assert whole(board, 3)
    return world


def test_after_a_wrong_digest_the_next_holder_is_asked_and_the_origin_told():
    world = damaged_then_right(asker=4)
    assert world.boards[4].sent(m.Damaged) == [m.Damaged(PICTURE.id, 2)]


def test_at_the_origin_a_wrong_digest_makes_the_copy_suspect():
    board = damaged_then_right(asker=1).boards[1]
    copies = {copy.unit: copy for copy in board.entry(PICTURE).copies}
    assert copies[2].suspect
    assert copies[2].listed == 1
    assert not copies[3].suspect
    assert board.sent(m.Damaged) == []


def test_a_wrong_digest_everywhere_is_told():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, BAD_DATA)
    assert "unit 2, which holds it, gave it with a wrong digest" in world.get(1, PICTURE).failure()


def test_other_content_under_the_id_is_not_even_collected():
    world = World(1, 2)
    other, data = a_picture(seed=8)
    assert other.id == PICTURE.id
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(other, data)
    board = world.get(1, PICTURE)
    assert "unit 2, which holds it, has another picture under this id" in board.failure()
    assert board.founds() == []


# ---------------------------------------------------------------- restarts, repeats, cancels


def test_a_holder_that_restarts_in_the_middle_sends_only_what_is_missing():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    board = world.boards[1]
    board.get(PICTURE)
    world.run(lambda: len(board.data()) > 25_000, 10)
    gets = len(board.sent(m.Get))
    world.restart(2)
    world.run(lambda: len(board.sent(m.Get)) > gets, 0.1)
    assert board.sent(m.Get)[-1].missing[0][0] == len(board.data())
    world.run(lambda: board.ended() is not None, 10)
    assert whole(board, 2)
    assert len(board.founds()) == 1
    assert sum(len(part.data) for part in world.boards[2].sent(m.Part)) < len(DATA) + 16_000


def test_an_asker_that_restarts_may_ask_again_at_once():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    world.boards[1].get(PICTURE)
    world.run(lambda: len(world.boards[1].data()) > 25_000, 10)
    world.restart(1)
    assert whole(world.get(1, PICTURE, ticket=2, within_s=10), 2, ticket=2)


def test_who_cancels_is_told_nothing_more_and_the_holder_stops():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    board = world.boards[1]
    board.get(PICTURE)
    world.run(lambda: len(board.data()) > 10_000, 10)
    board.read_outs.cancel(1)
    told = len(board.told[1]) + 1
    world.run(lambda: not list(world.boards[2].serving.outgoing()), 5)
    assert len(board.told[1]) == told
    assert isinstance(board.ended(), c.Failed)
    assert list(board.read_outs) == []
    assert sum(len(part.data) for part in world.boards[2].sent(m.Part)) < len(DATA)


def test_too_many_at_once_are_refused_and_the_others_go_on():
    world = World(1, 2)
    world.dead = {*world.boards}
    board = world.boards[1]
    board.put(PICTURE, None, copies=(2,))
    for ticket in range(MAX_READ_OUTS + 1):
        board.get(PICTURE, ticket)
        board.work(START_S)
    assert "read-outs are under way" in board.failure(MAX_READ_OUTS)
    assert all(board.ended(ticket) is None for ticket in range(MAX_READ_OUTS))


def test_two_read_outs_of_one_picture_both_come():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    world.boards[1].get(PICTURE, 1)
    world.get(1, PICTURE, 2)
    world.run(lambda: world.boards[1].ended(1) is not None, 30)
    assert whole(world.boards[1], 2, 1)
    assert whole(world.boards[1], 2, 2)


# ---------------------------------------------------------------- previews

PREVIEW = b"\xff\xd8" + bytes(range(256)) * 10 + b"\xff\xd9"


def test_a_preview_comes_from_the_own_card():
    board = Board(1)
    board.put(PICTURE, None, copies=(2,))
    board.put_preview(PICTURE, PREVIEW)
    board.get(PICTURE, preview=True)
    board.work(START_S)
    assert board.data() == PREVIEW
    assert board.founds()[0].picture.sha256 == hashlib.sha256(PREVIEW).digest()
    assert board.ended().value.from_unit == 1


@pytest.mark.parametrize(("asker", "has_it"), [(1, 2), (2, 1), (3, 1), (3, 2)])
def test_a_preview_comes_from_another_unit(asker, has_it):
    world = World(1, 2, 3)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    world.boards[has_it].put_preview(PICTURE, PREVIEW)
    board = world.get(asker, PICTURE, preview=True, within_s=10)
    assert board.data() == PREVIEW
    assert board.ended().value.from_unit == has_it
    assert board.founds()[-1].size_bytes == len(PREVIEW)


def test_a_preview_that_nobody_has_is_told():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    failure = world.get(1, PICTURE, preview=True, within_s=1).failure()
    assert failure.startswith(f"preview of picture {PICTURE.id}")
    assert "unit 2, which holds it, has no preview of it" in failure
