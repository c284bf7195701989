"""WHERE at a unit that is asked: what it answers from, what it passes on and to whom, and what it remembers."""

import dataclasses

import pytest
from boards import START_S, Board, World, a_picture

from firmware import messages as m
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import EVERYONE
from firmware.questions import ANSWER_AFTER_S, LAST_HOP_S, MAX_PASSED_ON, MAX_QUESTIONS, REMEMBERED_S
from firmware.searching import ENOUGH_PASSES

PICTURE, DATA = a_picture(unit=1)
ASKER, QUERY = 3, 77
UNKNOWN = m.Unknown(ASKER, QUERY, PICTURE.id)


def where(hops=1, query=QUERY, picture=PICTURE):
    return m.Where(ASKER, query, picture.id, hops)


def at(*holders, picture=PICTURE):
    return m.At(ASKER, QUERY, PICTURE.id, holders, picture.size_bytes, picture.sha256)


@pytest.fixture
def board():
    """Unit 2 hears 4, who asks (for 3), and 5 and 6; not the origin 1, nor the asker 3. It has been up for a while."""
    made = Board(2)
    made.core.now = START_S + FIRST_NEIGHBOUR_S
    made.heard(4, 5, 6)
    return made


def say(board, source, message, after_s=0.0):
    """What the board says at once to this message."""
    match message:
        case m.Where():
            board.questions.on_where(source, message, after_s)
        case m.At():
            board.questions.on_at(source, message)
        case m.Unknown():
            board.questions.on_unknown(source, message)
    return later(board, 0.0)


def later(board, seconds):
    """What it says after so much time."""
    board.work(board.core.now + seconds)
    said = list(board.core.outbox)
    board.core.outbox.clear()
    return said


# ---------------------------------------------------------------- what it answers from


def test_a_record_names_holders_even_where_nothing_is_held(board):
    board.put(PICTURE, None)
    board.named[PICTURE.id] = (5, 9)
    assert say(board, 4, where()) == [(4, at(5, 9))]
    assert later(board, 30) == []


def test_the_own_file_goes_before_the_record(board):
    board.put(PICTURE, DATA)
    board.named[PICTURE.id] = (2, 5)
    assert say(board, 4, where()) == [(4, at(2, 5))]


def test_the_asker_is_not_told_of_itself(board):
    board.put(PICTURE, None)
    board.named[PICTURE.id] = (ASKER, 5)
    assert say(board, 4, where()) == [(4, at(5))]


def test_holders_that_are_not_heard_are_named_and_looked_for(board):
    board.put(PICTURE, None)
    board.named[PICTURE.id] = (8, 9)
    assert say(board, 4, where()) == [(EVERYONE, where(2)), (4, at(8, 9))]
    assert say(board, 5, at(9)) == []
    assert board.questions.way(m.Get(ASKER, QUERY, 9, PICTURE.id, False, (), 1)) == 5
    assert board.questions.way(m.Get(ASKER, QUERY, 8, PICTURE.id, False, (), 1)) is None


def test_a_tombstone_ends_the_question_and_says_so(board):
    board.put(PICTURE, None, deleted=True)
    assert say(board, 4, where()) == [(4, dataclasses.replace(UNKNOWN, deleted=True))]


def test_the_origin_knows_best_of_its_present_card_only():
    board = Board(1)
    board.core.now = START_S + FIRST_NEIGHBOUR_S
    board.heard(4, 5)
    assert say(board, 4, where()) == [(4, UNKNOWN)]
    old = dataclasses.replace(PICTURE, id=dataclasses.replace(PICTURE.id, card=1))
    assert say(board, 4, where(query=78, picture=old)) == [(EVERYONE, where(2, query=78, picture=old))]


def test_an_asker_collects_from_those_that_a_record_names():
    world = World(2, 3, 5)
    world.boards[3].put(PICTURE, None)
    world.boards[3].named[PICTURE.id] = (5,)
    world.boards[5].put(PICTURE, DATA)
    board = world.get(3, PICTURE)
    assert board.data() == DATA
    assert board.sent(m.Where) == []


# ---------------------------------------------------------------- passing on


def test_who_knows_nothing_asks_the_origin_alone_and_then_everyone(board):
    board.heard(1)
    assert say(board, 4, where()) == [(1, where(2))]
    said = [destination for destination, _ in later(board, LAST_HOP_S * 3 / 3)]
    assert said[-1] == EVERYONE


def test_what_the_origin_says_is_handed_back_at_once(board):
    board.heard(1)
    say(board, 4, where())
    assert say(board, 5, at(5)) == []  # it was not asked
    assert say(board, 1, at(5, 9)) == [(4, at(5, 9))]
    assert later(board, 60) == []


def test_unknown_is_handed_back_once_everyone_has_said_so(board):
    assert say(board, 4, where()) == [(EVERYONE, where(2))]
    assert say(board, 5, UNKNOWN) == []
    assert say(board, 6, UNKNOWN) == [(4, UNKNOWN)]
    assert say(board, 4, where()) == [(4, UNKNOWN)]


def test_who_asks_the_same_is_not_waited_for_unless_it_asks_for_us(board):
    say(board, 4, where())
    assert say(board, 5, where(3)) == []  # one hop more: it may have it from us
    assert say(board, 5, UNKNOWN) == []
    assert say(board, 6, where(2)) == [(4, UNKNOWN)]


def test_when_time_is_over_nothing_is_said_and_the_question_heard_again_is_asked_again(board):
    say(board, 4, where(2))
    said = later(board, LAST_HOP_S * 2)
    assert said == []
    assert later(board, 30) == []
    assert say(board, 5, where(3)) == []  # not whom the answer goes to
    say(board, 4, where(2))
    assert later(board, ANSWER_AFTER_S) == [(EVERYONE, where(3))]


def test_the_question_is_repeated_under_its_number_until_something_comes_back(board):
    say(board, 4, where())
    again = [said for _ in range(20) for said in later(board, 0.2)]
    assert set(again) == {(EVERYONE, where(2))}
    assert 2 <= len(again) <= 5
    assert say(board, 5, at(5)) == [(4, at(5))]
    assert later(board, 6) == []


def test_each_new_holder_is_handed_back_and_the_first_way_to_it_stays(board):
    say(board, 4, where())
    assert say(board, 5, at(5, 9)) == [(4, at(5, 9))]
    assert say(board, 6, at(9)) == []
    assert say(board, 6, at(6, 9)) == [(4, at(5, 9, 6))]
    assert board.questions.way(m.Get(ASKER, QUERY, 9, PICTURE.id, False, (), 1)) == 5
    assert say(board, 4, where()) == [(4, at(5, 9, 6))]


def test_other_content_counts_only_from_the_origin(board):
    other, _ = a_picture(unit=1, seed=8)
    say(board, 4, where())
    say(board, 5, at(5))
    assert say(board, 6, at(6, picture=other)) == []
    assert say(board, 1, at(6, picture=other)) == [(4, at(6, picture=other))]


def test_at_the_hop_limit_nothing_is_passed_on_and_a_shorter_way_counts_as_new(board):
    assert say(board, 4, where(4)) == [(4, UNKNOWN)]
    assert say(board, 5, where(4)) == [(5, UNKNOWN)]
    assert say(board, 5, where(2)) == [(EVERYONE, where(3))]


def test_a_unit_that_hears_nobody_else_says_so_unless_it_has_just_started():
    for up_s, said in [(FIRST_NEIGHBOUR_S, [(4, UNKNOWN)]), (1.0, [])]:
        board = Board(2)
        board.core.now = START_S + up_s
        board.heard(4)
        assert say(board, 4, where()) == said
    board.heard(5)
    assert later(board, 0.1) == [(EVERYONE, where(2))]


def test_to_everyone_it_speaks_after_a_random_wait(board):
    assert say(board, 4, where(), ANSWER_AFTER_S) == []
    assert later(board, ANSWER_AFTER_S) == [(EVERYONE, where(2))]
    board.put(PICTURE, DATA)
    assert say(board, 4, where(query=78), ANSWER_AFTER_S) == []
    assert len(later(board, ANSWER_AFTER_S)) == 1


def test_what_enough_others_pass_on_is_not_passed_on(board):
    board.heard(*range(10, 30))
    say(board, 4, where(), ANSWER_AFTER_S)
    for unit in range(10, 10 + ENOUGH_PASSES):
        assert say(board, unit, where(2)) == []
    assert later(board, 30) == [(4, UNKNOWN)]


def test_a_flood_of_questions_is_not_passed_on_beyond_a_few_at_once(board):
    passed = [said for query in range(20) for said in say(board, 4, where(query=query))]
    assert len(passed) == MAX_PASSED_ON
    assert {destination for destination, _ in passed} == {EVERYONE}
    for query in range(MAX_PASSED_ON):
        for unit in (5, 6):
            say(board, unit, dataclasses.replace(UNKNOWN, query=query))
    assert say(board, 4, where(query=19)) == []
    assert (EVERYONE, where(2, query=19)) in later(board, ANSWER_AFTER_S)


# ---------------------------------------------------------------- what it remembers


def test_questions_remembered_are_few_and_the_one_unused_for_longest_goes(board):
    for query in range(MAX_QUESTIONS + 5):
        board.core.now += 0.01
        say(board, 4, where(query=query))
    assert len(board.questions) == MAX_QUESTIONS


def test_questions_are_forgotten_after_a_while(board):
    say(board, 4, where())
    later(board, REMEMBERED_S)
    assert len(board.questions) == 0
    assert board.questions.deadline() is None


def test_a_number_that_stands_for_another_picture_is_another_question(board):
    other, _ = a_picture(unit=1, sequence=2)
    say(board, 4, where())
    assert say(board, 4, where(picture=other)) == [(EVERYONE, where(2, picture=other))]
    assert len(board.questions) == 1


def test_a_way_that_has_failed_is_forgotten_and_the_question_asked_anew(board):
    say(board, 4, where())
    say(board, 5, at(9))
    get = m.Get(ASKER, QUERY, 9, PICTURE.id, False, (), 1)
    board.questions.has_no_way(get, 6)
    assert board.questions.way(get) == 5
    board.questions.has_no_way(get, 5)
    assert board.questions.way(get) is None
    assert say(board, 4, where()) == [(EVERYONE, where(2))]


def test_that_it_was_deleted_is_handed_back_at_once_whatever_others_have_and_stays_the_answer(board):
    deleted = m.Unknown(ASKER, QUERY, PICTURE.id, deleted=True)
    later(board, 1.0)
    say(board, 4, where())
    later(board, 1.0)
    assert say(board, 5, at(9)) == [(4, at(9))]
    assert say(board, 6, deleted) == [(4, deleted)]
    assert say(board, 4, where()) == [(4, deleted)]
