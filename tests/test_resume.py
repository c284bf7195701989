"""What has come of a picture is not fetched again: from one holder to the next, and from one command to the next."""

import pytest
from boards import World, a_picture

from firmware import commands as c
from firmware import messages as m
from firmware.incoming import Incoming
from firmware.ranges import RangeSet

PICTURE, DATA = a_picture()
BAD_DATA = DATA[:10_000] + bytes([DATA[10_000] ^ 1]) + DATA[10_001:]


def is_whole(board, unit, had=b""):
    ended = board.ended()
    assert isinstance(ended, c.Done), ended
    assert board.data(had=had) == DATA
    assert ended.value.from_unit == unit
    return True


def two_holders(first=DATA, second=DATA):
    """Unit 1 lists units 2 and 3, and asks unit 2 first."""
    world = World(1, 2, 3)
    world.boards[1].put(PICTURE, None, copies=(2, 3))
    world.boards[2].put(PICTURE, first)
    world.boards[3].put(PICTURE, second)
    world.boards[1].get(PICTURE)
    return world, world.boards[1]


def part_bytes(board):
    return sum(len(part.data) for part in board.sent(m.Part))


# ---------------------------------------------------------------- from one holder to the next


def test_what_has_come_from_a_holder_that_stops_is_kept():
    world, board = two_holders()
    world.run(lambda: len(board.data()) > 25_000, 10)
    world.dead = {2}
    world.run(lambda: board.ended() is not None, 60)
    assert is_whole(board, 3)
    assert board.founds()[0].offset == 0
    assert board.founds()[1].offset > 25_000
    assert part_bytes(world.boards[3]) <= len(DATA) - board.founds()[1].offset


def test_after_a_wrong_digest_over_bytes_of_two_nobody_is_blamed_and_the_last_one_asked_gives_all():
    world, board = two_holders(first=BAD_DATA)
    world.run(lambda: len(board.data()) > 25_000, 10)
    world.dead = {2}
    world.run(lambda: board.ended() is not None, 60)
    assert is_whole(board, 3)
    assert [(found.from_unit, found.offset > 0) for found in board.founds()] == [(2, False), (3, True), (3, False)]
    assert not any(copy.suspect for copy in board.entry(PICTURE).copies)


def test_a_holder_with_a_wrong_digest_of_its_own_is_blamed_and_nothing_of_it_kept():
    world, board = two_holders(first=BAD_DATA)
    world.run(lambda: board.ended() is not None, 60)
    assert is_whole(board, 3)
    assert [(found.from_unit, found.offset) for found in board.founds()] == [(2, 0), (3, 0)]
    assert board.entry(PICTURE).copy_at(2).suspect


def test_other_content_at_the_next_holder_costs_nothing_of_what_has_come():
    other, data = a_picture(seed=8)
    world = World(1, 2, 3, 4)
    board = world.boards[1]
    board.put(PICTURE, None, copies=(2, 3, 4))
    world.boards[2].put(PICTURE, DATA)
    world.boards[3].put(other, data)
    world.boards[4].put(PICTURE, DATA)
    board.get(PICTURE)
    world.run(lambda: len(board.data()) > 25_000, 10)
    world.dead = {2}
    world.run(lambda: board.ended() is not None, 60)
    assert is_whole(board, 4)
    assert board.founds()[-1].offset > 25_000


# ---------------------------------------------------------------- from one command to the next


@pytest.mark.parametrize("have_bytes", [1, 25_000, 32_768, 40_000, len(DATA) - 1])
def test_the_own_card_gives_only_the_rest(have_bytes):
    world = World(1)
    world.boards[1].put(PICTURE, DATA)
    board = world.get(1, PICTURE, have_bytes=have_bytes)
    assert is_whole(board, 1, had=DATA[:have_bytes])
    assert [found.offset for found in board.founds()] == [have_bytes]


@pytest.mark.parametrize("have_bytes", [1, 25_000, len(DATA) - 1])
def test_a_holder_is_asked_for_the_rest_only(have_bytes):
    world = World(1, 2)
    world.boards[2].put(PICTURE, DATA)
    world.boards[1].put(PICTURE, None, copies=(2,))
    board = world.get(1, PICTURE, have_bytes=have_bytes)
    assert is_whole(board, 2, had=DATA[:have_bytes])
    assert board.sent(m.Get)[0].missing == ((have_bytes, len(DATA)),)
    assert part_bytes(world.boards[2]) == len(DATA) - have_bytes


@pytest.mark.parametrize(("have_bytes", "offset"), [(len(DATA), len(DATA) - 1), (len(DATA) + 1, 0), (60_000_000, 0)])
def test_a_beginning_that_cannot_be_gone_on_with_is_left_aside(have_bytes, offset):
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    board = world.get(1, PICTURE, have_bytes=have_bytes)
    assert is_whole(board, 2, had=DATA[:offset])
    assert [found.offset for found in board.founds()] == [offset]


def test_what_was_never_seen_here_is_left_to_the_command_to_compare():
    """The wrong byte lies in what the command had: it is told that all has come, and nobody is blamed."""
    world = World(1, 2)
    world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, BAD_DATA)
    board = world.get(1, PICTURE, have_bytes=20_000)
    assert isinstance(board.ended(), c.Done)
    assert not board.entry(PICTURE).copy_at(2).suspect


def test_a_preview_comes_whole():
    world = World(1)
    preview = b"\xff\xd8" + bytes(100) + b"\xff\xd9"
    world.boards[1].put(PICTURE, DATA)
    world.boards[1].put_preview(PICTURE, preview)
    board = world.get(1, PICTURE, preview=True, have_bytes=50)
    assert board.data() == preview


# ---------------------------------------------------------------- Incoming itself


class Kept:
    """A sink that keeps what it is given."""

    waiting_bytes = 0

    def __init__(self):
        self.given = []

    def write(self, offset, data):
        self.given.append((offset, data))


def test_bytes_go_on_in_order_and_leave_out_what_is_elsewhere():
    incoming, sink = Incoming(PICTURE, 100, RangeSet([(0, 10), (40, 60), (90, 100)])), Kept()
    data = bytes(range(100))
    for start, stop in [(60, 90), (20, 50), (5, 20), (0, 100)]:
        incoming.on_part(2, m.Part(128, start, data[start:stop]), sink, 0.0, None)
    assert sink.given == [(10, data[10:20]), (20, data[20:40]), (60, data[60:90])]
    assert incoming.complete
    assert incoming.position == 100
    assert incoming.is_right is None


def test_all_bytes_by_here_have_a_digest():
    for data, right in [(DATA, True), (BAD_DATA, False)]:
        incoming, sink = Incoming(PICTURE, len(DATA), RangeSet()), Kept()
        for start in reversed(range(0, len(DATA), 1000)):
            incoming.on_part(2, m.Part(128, start, data[start : start + 1000]), sink, 0.0, None)
        assert b"".join(data for _, data in sink.given) == data
        assert incoming.is_right is right
