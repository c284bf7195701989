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
    board.core.outbox.clear()
    board.core.now += 1.0
    board.read_outs.on_part(2, m.Part(130, 0, b"x"))
    assert len(board.core.outbox) == 1


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


class Slow:
    """A sink whose bytes wait until they are taken."""

    problem = None

    def __init__(self):
        self.waiting_bytes = 0

    def begin(self, _found):
        pass

    def write(self, _offset, data):
        self.waiting_bytes += len(data)


def test_a_holder_is_held_back_by_what_is_not_acknowledged_and_let_go_on_as_the_sink_takes():
    """With 64 kB: 24 kB are acknowledged, the next part is not, and no GET is said meanwhile."""
    board, sink = Board(1), Slow()
    picture = Picture(PICTURE.id, 500_000, bytes(32))
    wanted = Wanted(PICTURE.id, 1, 1, False, picture)
    collecting = Collecting(board.core, wanted, 2, 2, sink, overhead_bytes=0, held_bytes=64_000)
    collecting.on_copy(m.Copy(1, 1, 2, 128, 500_000, picture.sha256, None, picture.taken_quality))
    for offset in range(0, 28_000, 4000):
        board.core.now += 0.4
        collecting.on_part(m.Part(128, offset, bytes(4000)))
    assert said(board, m.Report)[-1] == m.Report(128, ((0, 24_000),), 24_000)
    for _ in range(100):
        board.core.now += 1.0
        collecting.tick()
    assert collecting.result is None
    assert said(board, m.Get) == []
    sink.waiting_bytes -= 3000
    collecting.tick()
    assert said(board, m.Report) == []
    sink.waiting_bytes -= 1000
    collecting.tick()
    assert said(board, m.Report) == [m.Report(128, ((0, 28_000),), 28_000)]


def test_the_farther_along_the_way_the_sooner_silence_is_told():
    for hops, patience_s in [(0, 20.0), (1, 18.0), (4, 12.0)]:
        board = Board(1)
        wanted = Wanted(PICTURE.id, 9, 1, False, None, hops=hops)
        collecting = Collecting(board.core, wanted, 2, 2, Slow(), overhead_bytes=0)
        board.core.now += patience_s - 0.1
        collecting.tick()
        assert collecting.result is None
        board.core.now += 0.1
        collecting.tick()
        assert collecting.result.why == "timed_out"


def said(board, kind):
    """What it has said of this kind since the last look at anything."""
    found = [message for _, message in board.core.outbox if isinstance(message, kind)]
    if kind is m.Report:
        board.core.outbox.clear()
    return found
