"""Bounces of every kind, and what is left of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.debounce import SETTLE_S, Debouncer
from hal.interfaces import Change

START_S = 1000.0
DOWN, UP = True, False


def play(edges, *, until, late_s=0.0):
    """Edges (level, time) as the library tells them, and a loop that is late_s late at each deadline."""
    contact, found, waiting = Debouncer(UP), [], list(edges)
    level = UP
    while True:
        due = contact.deadline()
        now = min([at for _, at in waiting[:1]] + ([due] if due is not None else []), default=until)
        if now >= until:
            return found, contact
        now += late_s
        while waiting and waiting[0][1] <= now:
            level, at = waiting.pop(0)
            found.append(contact.edge(level, at))
        found.append(contact.look(level, now))
        found[:] = [change for change in found if change is not None]


def edges(*pattern):
    """From "milliseconds:level" one after the other."""
    at, made = START_S, []
    for gap_ms, level in pattern:
        at += gap_ms / 1000
        made.append((level, at))
    return made


CLEAN = [(10, DOWN), (120, UP)]
TACT_SWITCH = [(10, DOWN), (0.2, UP), (0.3, DOWN), (0.1, UP), (1.1, DOWN), (90, UP), (0.4, DOWN), (0.3, UP)]
WORN = [(10, DOWN), (6, UP), (3, DOWN), (8, UP), (1, DOWN), (150, UP), (4, DOWN), (9, UP), (2, DOWN), (15, UP)]
LEVELS_SEEN_LATE = [(10, UP), (0.2, UP), (0.3, DOWN), (0.1, DOWN), (80, DOWN), (0.2, DOWN), (0.4, UP)]


@pytest.mark.parametrize("shape", [CLEAN, TACT_SWITCH, WORN, LEVELS_SEEN_LATE])
@pytest.mark.parametrize("late_s", [0.0, 0.003, 0.3])
def test_a_press_is_one_press_whatever_bounces_at_its_beginning_and_end(shape, late_s):
    found, contact = play(edges(*shape), until=START_S + 10, late_s=late_s)
    assert [change.on for change in found] == [DOWN, UP]
    assert not contact.on
    assert contact.deadline() is None


def test_the_bounce_of_a_release_is_no_press():
    """gpiozero #378: a second after the press the library's pause is over, and the release gives falling edges."""
    found, _ = play(edges((0, DOWN), (1000, UP), (1, DOWN), (2, UP), (1, DOWN), (3, UP)), until=START_S + 10)
    assert [change.on for change in found] == [DOWN, UP]


@pytest.mark.parametrize("length_ms", [0.01, 1, 10, 24])
def test_a_spike_shorter_than_the_settling_is_nothing(length_ms):
    found, _ = play(edges((0, DOWN), (length_ms, UP)), until=START_S + 10)
    assert found == []


def test_a_change_is_told_so_long_after_its_last_edge_and_bears_that_edges_time():
    contact = Debouncer(UP)
    assert contact.edge(DOWN, 5.0) is None
    assert contact.edge(DOWN, 5.010) is None
    assert contact.deadline() == 5.010 + SETTLE_S
    assert contact.look(DOWN, 5.010 + SETTLE_S - 0.001) is None
    assert contact.look(DOWN, 5.010 + SETTLE_S) == Change(True, 5.010)
    assert contact.look(DOWN, 99.0) is None


def test_a_press_counts_only_if_it_is_still_there_when_it_is_looked_at():
    """An edge was missed, or the library was late in reading the level."""
    contact = Debouncer(UP)
    contact.edge(DOWN, 5.0)
    assert contact.look(UP, 5.03) is None
    assert contact.look(UP, 5.06) is None
    assert contact.deadline() is None


def test_a_release_whose_edge_was_missed_is_found_by_any_look():
    contact = Debouncer(UP)
    contact.edge(DOWN, 5.0)
    assert contact.look(DOWN, 5.03) == Change(True, 5.0)
    assert contact.look(UP, 8.0) is None
    assert contact.look(UP, 8.03) == Change(False, 8.0)


def test_a_pin_that_swings_without_end_gives_nothing():
    found, contact = play([(k % 2 == 0, START_S + k * 0.01) for k in range(1000)], until=START_S + 9.99)
    assert found == []
    assert not contact.on


@st.composite
def presses(draw):
    """Edges of some presses with bounces, and the changes that they are."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    at, level, made, truth = START_S, UP, [], []
    for _ in range(draw(st.integers(1, 8))):
        at += chance.uniform(2 * SETTLE_S, 2.0)
        level = not level
        for _ in range(draw(st.integers(0, 12))):
            made.append((chance.random() < 0.5, at))
            at += chance.uniform(0.00001, SETTLE_S * 0.95)
        made.append((level, at))
        truth.append(Change(level, at))
    return made, truth


@given(presses(), st.sampled_from([0.0, 0.0001, 0.02, 0.5, 5.0]))
def test_whatever_bounces_each_press_and_each_release_is_told_once_and_in_order_however_late_the_loop_is(shape, late_s):
    made, truth = shape
    found, contact = play(made, until=made[-1][1] + 60, late_s=late_s)
    assert found == truth
    assert contact.on == truth[-1].on
