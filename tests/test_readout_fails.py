"""Read-outs that cannot be: the person is told in time which unit did what."""

import dataclasses

import pytest
from boards import CARD_NUMBER, START_S, World, a_picture

from firmware import commands as c
from firmware import messages as m
from firmware.asked import MAX_HOLDERS
from firmware.pictures import PictureId
from sim.card import Fault

PICTURE, DATA = a_picture()


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


def test_a_silent_holder_is_named():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.dead = {*world.boards}
    board = world.get(1, PICTURE, within_s=40)
    assert "unit 2, which holds it, did not answer" in board.failure()
    assert len(list(board.read_outs)) == 0


def test_the_command_gives_up_after_its_own_time():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.dead = {*world.boards}
    failure = world.get(1, PICTURE, within_s=5.1, timeout_s=5.0).failure()
    assert "nothing came for 5 s; unit 2, which holds it, was asked" in failure


def test_a_line_that_goes_away_in_the_middle_is_told_and_one_that_comes_back_is_used():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    board = world.boards[1]
    board.get(PICTURE)
    world.run(lambda: len(board.data()) > 20_000, 10)
    world.dead = {*world.boards}
    world.run_for(15)
    world.dead = set()
    world.run(lambda: board.ended() is not None, 10)
    assert whole(board, 2)
    assert len(board.founds()) == 1
    board.get(PICTURE, ticket=2)
    world.run(lambda: len(board.data(2)) > 20_000, 10)
    world.dead = {*world.boards}
    world.run(lambda: board.ended(2) is not None, 40)
    assert "unit 2, which holds it, stopped in the middle" in board.failure(2)


def test_no_holder_is_asked_twice():
    world = World(1, 2, 3)
    world.boards[1].put(PICTURE, None, copies=(2, 3))
    world.dead = {2, 3}
    world.get(1, PICTURE)
    asked = [unit for unit, message in world.boards[1].said if isinstance(message, m.Get)]
    assert asked == sorted(asked)
    assert set(asked) == {2, 3}


@pytest.mark.parametrize("origin", [1, 9])
def test_an_unknown_id_is_said_to_be_unknown_as_soon_as_all_have_answered(origin):
    world = World(1, 2, 3)
    failure = world.get(2, a_picture(unit=origin)[0], within_s=1).failure()
    assert "it is not known here" in failure
    assert "unit 1" in failure or "units 1, 3" in failure


def test_an_unknown_id_is_answered_in_time_when_nobody_answers():
    world = World(1, 2, 3)
    world.dead = {*world.boards}
    failure = world.get(2, PICTURE, within_s=16).failure()
    assert "units 1, 3, asked who has it, did not answer" in failure


def test_when_the_origin_knows_of_nobody_nobody_else_is_waited_for():
    world = World(1, 2, 3)
    world.to_lose = [m.Where] * 4  # the origin's, until the others are asked, too
    world.dead = {2}
    failure = world.get(3, PICTURE, within_s=7).failure()
    assert "unit 1 knew of nobody who has it; unit 2, asked who has it, did not answer" in failure


def test_without_any_other_unit_it_waits_for_one_and_says_so():
    world = World(2)
    failure = world.get(2, PICTURE, within_s=16).failure()
    assert world.now >= START_S + 15
    assert "no other unit is heard" in failure


def test_a_unit_heard_while_waiting_is_asked_and_an_unknown_id_still_answered_in_time():
    world = World(2)
    board = world.boards[2]
    board.get(PICTURE)
    world.run_for(14.9)
    board.heard(1)
    board.read_outs.new_boot(1)
    world.run(lambda: board.ended() is not None, 5.0)
    assert next(unit for unit, message in board.said if isinstance(message, m.Where)) == 1
    assert "unit 1, asked who has it, did not answer" in board.failure()


def test_an_own_id_of_this_catalogue_that_it_does_not_know_is_unknown_at_once():
    world = World(1, 2)
    assert "never taken here" in world.get(1, PICTURE, within_s=0.1).failure()
    assert world.boards[1].said == []


def test_an_own_id_of_an_earlier_card_is_asked_for_elsewhere():
    world = World(1, 2)
    old = dataclasses.replace(PICTURE, id=PictureId(1, CARD_NUMBER + 1, 1))
    world.boards[2].put(old, DATA)
    board = world.get(1, old)
    assert board.data() == DATA
    assert board.ended().value.from_unit == 2


def test_a_picture_that_nobody_holds_is_told_so():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None)
    assert "no unit holds it" in world.get(1, PICTURE, within_s=1).failure()


def test_a_holder_that_has_lost_it_refuses():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    assert "unit 2, which holds it, does not have it any more" in world.get(1, PICTURE, within_s=1).failure()


def test_a_holder_whose_card_fails_says_so():
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    world.boards[2].store.card.options.below["held"] = Fault.IO
    assert "unit 2, which holds it, cannot read it from its card" in world.get(1, PICTURE, within_s=3).failure()


def test_a_delete_that_another_asker_is_told_of_ends_no_read_out_here():
    """Numbers of read-outs are each asker's own."""
    board = World(1, 2).boards[1]
    board.heard(2)
    board.get(a_picture(unit=2)[0])
    board.work(board.core.now)
    (read_out,) = board.read_outs
    about = (read_out.query, 2, read_out.id, m.GetWhy.DELETED)
    board.read_outs.on_refuse_get(2, m.RefuseGet(9, *about))
    assert list(board.read_outs) == [read_out]
    board.read_outs.on_refuse_get(2, m.RefuseGet(1, *about))
    board.work(board.core.now)
    assert not list(board.read_outs)
    assert "deleted" in board.failure()


def test_so_many_holders_may_be_named_and_no_more():
    board = World(1, 2).boards[1]
    board.heard(2)
    board.get(a_picture(unit=3)[0])
    board.work(board.core.now)
    (read_out,) = board.read_outs
    for first in range(1000, 3000, m.MAX_HOLDERS):
        holders = tuple(range(first, first + m.MAX_HOLDERS))
        board.read_outs.on_at(2, m.At(1, read_out.query, read_out.id, holders, len(DATA), PICTURE.sha256))
    assert len(read_out.holders) == MAX_HOLDERS


def test_a_check_of_one_copy_asks_nobody_else():
    """Whoever else has it says nothing about this copy (R4)."""
    world = World(1, 2, 3)
    entry = world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[3].put(PICTURE, DATA)
    world.dead = {2}
    said = []
    world.boards[1].read_outs.check(entry, 2, lambda *told: said.append(told))
    world.run(lambda: said, 60)
    assert said[0][0] is False
    assert world.boards[1].sent(m.Where) == []
