"""Limits of what other units can make an asker hold, believe or say."""

import dataclasses

from boards import Board, World, a_picture

from firmware import messages as m
from firmware.collecting import ACKNOWLEDGED_SHARE, HELD_BYTES, Collecting, Wanted
from firmware.pictures import Picture
from firmware.ranges import RangeSet
from firmware.sinks import ToPerson

PICTURE, DATA = a_picture()


def test_parts_far_ahead_of_the_first_gap_are_not_taken():
    board = Board(1)
    size_bytes = 2 * HELD_BYTES
    picture = Picture(PICTURE.id, size_bytes, bytes(32))
    wanted = Wanted(PICTURE.id, 1, 1, False, picture)
    collecting = Collecting(board.core, wanted, 2, 2, ToPerson(board.core, 1), overhead_bytes=0)
    collecting.on_copy(m.Copy(1, 1, 2, 128, size_bytes, picture.sha256, None, picture.taken_quality))
    collecting.on_part(m.Part(128, HELD_BYTES - 100, bytes(100)))
    collecting.on_part(m.Part(128, HELD_BYTES - 99, bytes(200)))
    collecting.on_end()
    reports = [message for _, message in board.core.outbox if isinstance(message, m.Report)]
    assert collecting.incoming.receiver.have == RangeSet([(HELD_BYTES - 100, HELD_BYTES)])
    assert reports[-1] == m.Report(128, (), int(ACKNOWLEDGED_SHARE * HELD_BYTES))


def test_parts_that_nobody_asked_for_are_answered_once_a_second():
    board = Board(1)
    for _ in range(5):
        board.read_outs.on_part(2, m.Part(130, 0, b"x"))
        board.read_outs.on_end(2, m.End(130, bytes(16)))
    assert list(board.core.outbox) == [(2, m.Expired(130))]
    board.core.now += 1.0
    board.read_outs.on_part(2, m.Part(130, 0, b"x"))
    assert len(board.core.outbox) == 2


def test_answers_that_were_not_asked_for_change_nothing():
    world = World(1, 2, 3)
    board = world.boards[1]
    board.put(PICTURE, None, copies=(2,))
    world.dead = {*world.boards}
    board.get(PICTURE)
    world.run_for(0.1)
    query = board.sent(m.Get)[0].query
    copy = m.Copy(1, query, 2, 128, len(DATA), PICTURE.sha256, None, PICTURE.taken_quality)
    board.read_outs.on_copy(3, copy)
    board.read_outs.on_copy(2, dataclasses.replace(copy, query=query ^ 1))
    board.read_outs.on_refuse_get(3, m.RefuseGet(1, query, 2, PICTURE.id, m.GetWhy.NOT_HERE))
    board.read_outs.on_at(3, m.At(1, query, PICTURE.id, (3,), 5, bytes(32)))
    board.read_outs.on_unknown(3, m.Unknown(1, query, PICTURE.id))
    assert board.founds() == []
    assert board.ended() is None


def test_who_was_not_asked_names_no_holders():
    world = World(1, 2, 3)
    board = world.boards[3]
    world.dead = {1, 2, 3}
    board.get(PICTURE)
    world.run_for(0.1)
    query = board.sent(m.Where)[0].query
    board.read_outs.on_at(2, m.At(3, query, PICTURE.id, (2,), len(DATA), PICTURE.sha256))
    world.run_for(0.1)
    assert board.sent(m.Get) == []
    board.read_outs.on_at(1, m.At(3, query, PICTURE.id, (2,), len(DATA), PICTURE.sha256))
    world.run_for(0.1)
    assert [unit for unit, message in board.said if isinstance(message, m.Get)] == [2]
