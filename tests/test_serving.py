"""The unit that is asked: AT or UNKNOWN, COPY or a refusal, parts until the asker has all or is gone."""

import dataclasses

import pytest
from boards import LONGEST_PART_BYTES, OVERHEAD_BYTES, START_S, Board, World, a_picture

from firmware import messages as m
from firmware.events import Save
from firmware.pictures import Copy, Entry, File
from firmware.serving import MAX_SERVINGS, MAX_SERVINGS_PER_NEIGHBOUR, MAX_SERVINGS_PER_UNIT, SILENT_S
from sim.card import Fault

PICTURE, DATA = a_picture()
PREVIEW = b"\xff\xd8preview\xff\xd9"
QUERY = 77


def asked_where(board, picture=PICTURE, source=3, asker=3, hops=0):
    """What the board answers to WHERE."""
    board.questions.on_where(source, m.Where(asker, QUERY, picture.id, hops), 0.0)
    board.work(START_S)
    answers = list(board.core.outbox)
    board.core.outbox.clear()
    return answers


def get(query=QUERY, *, asker=3, holder=1, picture=PICTURE, preview=False, missing=(), hops=0):
    return m.Get(asker, query, holder, picture.id, preview, missing, hops)


def asked(board, message, source=3):
    """What the board says at once to GET."""
    board.serving.on_get(source, message)
    board.work(board.core.now)
    answers = [said for _, said in board.core.outbox]
    board.core.outbox.clear()
    return answers


def parts(board, outgoing):
    """All (offset, bytes) that go out until END, as if all were lost."""
    found = []
    while True:
        message = outgoing.next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES)
        board.answer()
        if isinstance(message, m.End):
            return found
        if isinstance(message, m.Part):
            found.append((message.offset, message.data))
            have = ((message.offset, message.offset + len(message.data)),)
            outgoing.on_report(m.Report(message.handle, have, 0))


@pytest.fixture
def board():
    made = Board(1)
    made.put(PICTURE, DATA)
    return made


# ---------------------------------------------------------------- WHERE


def test_a_unit_with_the_file_names_itself(board):
    assert asked_where(board) == [(3, m.At(3, QUERY, PICTURE.id, (1,), len(DATA), PICTURE.sha256))]


def test_a_host_names_itself_only():
    host = Board(2)
    host.put(PICTURE, DATA)
    assert asked_where(host)[0][1].holders == (2,)


def test_the_origin_names_those_in_its_list_suspect_ones_last():
    origin = Board(1)
    copies = (Copy(4, listed=1, suspect=True), Copy(5, listed=2), Copy(6, open=3), Copy(7, listed=4))
    origin.catalogue.save(Save(entries=(Entry(PICTURE, File.GONE, copies=copies),)))
    assert asked_where(origin)[0][1].holders == (5, 7, 4)


def test_the_origin_with_file_and_copies_names_itself_first(board):
    entry = Entry(PICTURE, File.WHOLE, copies=(Copy(5, listed=2),))
    board.catalogue.save(Save(entries=(entry,)))
    assert asked_where(board)[0][1].holders == (1, 5)


def test_more_holders_than_fit_are_cut_off():
    origin = Board(1)
    copies = tuple(Copy(unit, listed=1) for unit in range(10, 40))
    origin.catalogue.save(Save(entries=(Entry(PICTURE, File.GONE, copies=copies),)))
    assert len(asked_where(origin)[0][1].holders) == m.MAX_HOLDERS


@pytest.mark.parametrize("entry", [None, Entry(PICTURE, File.GONE), Entry(PICTURE, File.WHOLE, deleted=True)])
def test_what_nobody_has_is_unknown(entry):
    board = Board(1)
    if entry is not None:
        board.catalogue.save(Save(entries=(entry,)))
    deleted = entry is not None and entry.deleted
    assert asked_where(board) == [(3, m.Unknown(3, QUERY, PICTURE.id, deleted))]


def test_questions_passed_on_by_others_are_answered_to_them(board):
    at = m.At(3, QUERY, PICTURE.id, (1,), len(DATA), PICTURE.sha256)
    assert asked_where(board, source=2, asker=3, hops=1) == [(2, at)]
    (copy,) = asked(board, get(asker=3, hops=1), source=2)
    assert (copy.asker, copy.query, copy.holder) == (3, QUERY, 1)


def test_what_cannot_be_is_not_answered(board):
    assert asked_where(board, source=2, asker=3, hops=0) == []
    assert asked_where(board, source=3, asker=3, hops=1) == []
    assert asked_where(board, source=2, asker=1, hops=1) == []
    assert asked(board, get(asker=3), source=2) == []
    assert asked(board, get(asker=3, hops=1), source=3) == []
    assert asked(board, get(holder=2)) == []


# ---------------------------------------------------------------- GET


def test_copy_tells_what_is_sent_and_the_parts_are_the_picture(board):
    (copy,) = asked(board, get())
    assert (copy.query, copy.size_bytes, copy.sha256) == (QUERY, len(DATA), PICTURE.sha256)
    assert copy.handle >= m.FIRST_COPY_HANDLE
    (outgoing,) = board.serving.outgoing()
    assert (outgoing.unit, outgoing.handle) == (3, copy.handle)
    sent = parts(board, outgoing)
    assert b"".join(data for _, data in sent) == DATA
    assert [offset for offset, _ in sent] == sorted(offset for offset, _ in sent)


def test_only_what_is_missing_is_sent(board):
    asked(board, get(missing=((1000, 2000), (40_000, 40_010), (49_990, 60_000), (70_000, 70_001))))
    sent = parts(board, next(iter(board.serving.outgoing())))
    assert b"".join(data for _, data in sent) == DATA[1000:2000] + DATA[40_000:40_010] + DATA[49_990:]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, m.GetWhy.NOT_HERE),
        ({"file": File.GONE}, m.GetWhy.NOT_HERE),
        ({"file": File.WHOLE, "deleted": True}, m.GetWhy.DELETED),
    ],
)
def test_what_is_not_here_is_refused(fields, why):
    board = Board(1)
    if fields:
        board.catalogue.save(Save(entries=(Entry(PICTURE, **fields),)))
    assert asked(board, get()) == [m.RefuseGet(3, QUERY, 1, PICTURE.id, why)]
    assert list(board.serving.outgoing()) == []


def test_the_same_query_again_is_the_same_serving(board):
    (first,) = asked(board, get())
    (outgoing,) = board.serving.outgoing()
    assert asked(board, get()) == [first]
    assert list(board.serving.outgoing()) == [outgoing]
    assert asked(board, get(missing=((20, 30),))) == [first]
    assert parts(board, outgoing) == [(20, DATA[20:30])]


def test_the_same_question_once_more_sends_nothing_twice(board):
    rest = ((20, 30), (40, 50))
    (first,) = asked(board, get(missing=rest))
    (outgoing,) = board.serving.outgoing()
    assert outgoing.next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES) is None  # the card is being read
    board.answer()
    sent = [outgoing.next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES) for _ in range(2)]
    assert [part.offset for part in sent] == [20, 40]
    assert asked(board, get(missing=rest)) == [first]
    assert isinstance(outgoing.next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES), m.End)
    board.serving.on_report(3, m.Report(first.handle, ((0, 20),), len(DATA)))
    assert asked(board, get(missing=rest)) == [first]
    assert outgoing.next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES).offset == 20


def test_by_way_of_one_neighbour_not_all_places_are_taken(board):
    for asker in range(11, 11 + MAX_SERVINGS_PER_NEIGHBOUR):
        assert isinstance(asked(board, get(asker=asker, hops=1))[0], m.Copy)
    assert asked(board, get(asker=20, hops=1)) == [m.RefuseGet(20, QUERY, 1, PICTURE.id, m.GetWhy.BUSY)]
    assert isinstance(asked(board, get(asker=20), source=20)[0], m.Copy)


def test_a_preview_on_its_way_needs_no_file(board):
    board.put_preview(PICTURE, PREVIEW)
    asked(board, get(preview=True))
    assert len(list(board.serving.outgoing())) == 1
    assert not board.serving.busy_with(PICTURE.id)
    asked(board, get(8))
    assert board.serving.busy_with(PICTURE.id)


def test_a_query_used_anew_for_another_picture_ends_the_old_serving(board):
    other, data = a_picture(sequence=2, seed=9)
    board.put(other, data)
    (first,) = asked(board, get())
    (second,) = asked(board, get(picture=other))
    assert second.sha256 == other.sha256
    assert second.handle != first.handle
    assert len(list(board.serving.outgoing())) == 1


def test_each_asker_gets_two_at_once_and_all_together_four(board):
    for query in range(MAX_SERVINGS_PER_UNIT):
        assert isinstance(asked(board, get(query))[0], m.Copy)
    assert asked(board, get(9)) == [m.RefuseGet(3, 9, 1, PICTURE.id, m.GetWhy.BUSY)]
    for asker in range(4, 4 + MAX_SERVINGS - MAX_SERVINGS_PER_UNIT):
        assert isinstance(asked(board, get(asker=asker), asker)[0], m.Copy)
    assert asked(board, get(asker=9), 9) == [m.RefuseGet(9, QUERY, 1, PICTURE.id, m.GetWhy.BUSY)]
    assert len({outgoing.handle for outgoing in board.serving.outgoing()}) == MAX_SERVINGS
    board.serving.new_boot(4)
    assert isinstance(asked(board, get(asker=9), 9)[0], m.Copy)


def test_a_handle_is_not_used_again_while_it_lives(board):
    (lasting,) = asked(board, get(1, asker=4), 4)
    used = set()
    for query in range(200):
        (copy,) = asked(board, get(query))
        assert m.FIRST_COPY_HANDLE <= copy.handle <= 255
        used.add(copy.handle)
        board.serving.on_expired(3, m.Expired(copy.handle))
    assert lasting.handle not in used
    assert len(used) == 127


def test_a_card_that_fails_is_told(board):
    asked(board, get())
    board.store.card.options.below["own"] = Fault.IO
    next(iter(board.serving.outgoing())).next_message(LONGEST_PART_BYTES, OVERHEAD_BYTES)
    board.work(START_S)
    assert board.core.outbox[-1] == (3, m.RefuseGet(3, QUERY, 1, PICTURE.id, m.GetWhy.FAILED))
    assert list(board.serving.outgoing()) == []
    assert board.serving.deadline() is None
    assert len(board.logged("card")) == 1


def test_a_preview_is_sent_even_where_the_picture_is_away():
    board = Board(1)
    taken = dataclasses.replace(PICTURE, taken_at=1_700_000_000.0)
    board.put(taken, None, copies=(2,))
    board.put_preview(taken, PREVIEW)
    (copy,) = asked(board, get(preview=True))
    assert (copy.size_bytes, copy.taken_at) == (len(PREVIEW), 1_700_000_000.0)
    assert parts(board, next(iter(board.serving.outgoing()))) == [(0, PREVIEW)]


def test_a_preview_that_is_not_here_is_refused(board):
    assert asked(board, get(preview=True)) == [m.RefuseGet(3, QUERY, 1, PICTURE.id, m.GetWhy.NOT_HERE)]


# ---------------------------------------------------------------- ends


def test_it_ends_when_the_asker_has_all(board):
    (copy,) = asked(board, get())
    half = ((0, len(DATA) // 2),)
    board.serving.on_report(3, m.Report(copy.handle, half, len(DATA)))
    assert len(list(board.serving.outgoing())) == 1
    board.serving.on_report(4, m.Report(copy.handle, ((0, len(DATA)),), len(DATA)))
    assert len(list(board.serving.outgoing())) == 1
    board.serving.on_report(3, m.Report(copy.handle, ((0, len(DATA)),), len(DATA)))
    assert list(board.serving.outgoing()) == []


def test_it_ends_when_the_asker_wants_no_more(board):
    (copy,) = asked(board, get())
    board.serving.on_expired(4, m.Expired(copy.handle))
    assert len(list(board.serving.outgoing())) == 1
    board.serving.on_expired(3, m.Expired(copy.handle))
    assert list(board.serving.outgoing()) == []


def test_it_ends_when_the_asker_restarts_and_others_go_on(board):
    asked(board, get())
    asked(board, get(asker=4), 4)
    board.serving.new_boot(3)
    assert [outgoing.unit for outgoing in board.serving.outgoing()] == [4]


def test_it_ends_when_the_asker_is_silent_for_too_long(board):
    asked(board, get())
    assert board.serving.deadline() == START_S + SILENT_S
    board.work(START_S + SILENT_S - 0.1)
    assert len(list(board.serving.outgoing())) == 1
    board.work(START_S + SILENT_S)
    assert list(board.serving.outgoing()) == []


def test_an_asker_that_has_vanished_in_the_middle_is_forgotten():
    world = World(1, 2)
    world.boards[1].put(PICTURE, DATA)
    world.boards[2].get(PICTURE)
    world.run(lambda: len(world.boards[2].data()) > 10_000, 10)
    world.dead = {2}
    world.run(lambda: not list(world.boards[1].serving.outgoing()), SILENT_S + 5)


def test_two_askers_at_once_both_get_it():
    world = World(1, 2, 3)
    world.boards[1].put(PICTURE, DATA)
    world.boards[2].get(PICTURE)
    world.get(3, PICTURE)
    world.run(lambda: world.boards[2].ended() is not None, 30)
    assert world.boards[2].data() == world.boards[3].data() == DATA
