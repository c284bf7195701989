"""Contacts that bounce in every way, looked at again and again; and what is left of the bounces.

Times are microseconds, so that a look at the very end of a pulse is no matter of rounding.
"""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.debounce import AGAIN_S, LOOKS, PERIOD_S, Debouncer
from hal.interfaces import Change

PERIOD_US, AGAIN_US = round(PERIOD_S * 1e6), round(AGAIN_S * 1e6)
SPAN_US = (LOOKS - 1) * AGAIN_US  # from the first look that sees a change to the one that tells it
LATE_US = 5_000  # a look comes so much later, at most
PRESS_US = 60_000  # a finger's shortest
START_US = 1_000_000_000
DOWN, UP = True, False


def watched(edges, first_us, *, late_us=lambda: 0, until_us=START_US + 5_000_000):
    """The changes that looks from the first on find at a contact that goes to (time, level) one after the other; each
    comes so much later than it should."""
    contact, found, level, coming, at = Debouncer(UP), [], UP, list(edges), first_us
    while at < until_us:
        while coming and coming[0][0] <= at:
            _, level = coming.pop(0)
        change = contact.look(level, at / 1e6)
        if change is not None:
            found.append(change)
            assert contact.on == change.on
        at += (AGAIN_US if contact.is_unsure else PERIOD_US) + late_us()
    return found


def ons(changes):
    return [change.on for change in changes]


def shape(*pattern):
    """Edges from (milliseconds since the one before, level) one after the other."""
    times = itertools.accumulate(round(gap_ms * 1000) for gap_ms, _ in pattern)
    return [(START_US + PERIOD_US + at, level) for at, (_, level) in zip(times, pattern, strict=True)]


def bouncing(at_us, level, *, times, gap_us):
    """It goes to this level, with so many bounces away from it and back."""
    return [(at_us + k * gap_us, level if k % 2 == 0 else not level) for k in range(2 * times + 1)]


CLEAN = [(10, DOWN), (120, UP)]
TACT_SWITCH = [(10, DOWN), (0.2, UP), (0.3, DOWN), (0.1, UP), (1.1, DOWN), (90, UP), (0.4, DOWN), (0.3, UP)]
WORN = [(10, DOWN), (6, UP), (3, DOWN), (8, UP), (1, DOWN), (150, UP), (4, DOWN), (9, UP), (2, DOWN), (15, UP)]
LONG_HELD = [(0, DOWN), (1000, UP), (1, DOWN), (2, UP), (1, DOWN), (3, UP)]  # gpiozero #378: no press at its end


@pytest.mark.parametrize("pattern", [CLEAN, TACT_SWITCH, WORN, LONG_HELD])
def test_a_press_is_one_press_whatever_bounces_at_its_beginning_and_end(pattern):
    for phase_us in range(0, PERIOD_US, 250):
        assert ons(watched(shape(*pattern), START_US + phase_us)) == [DOWN, UP]


@pytest.mark.parametrize("gap_us", [10, 400, 1_000, 3_700])
def test_ten_bounces_of_a_press_and_of_a_release_are_one_change_each(gap_us):
    pressed = bouncing(START_US + 100_000, DOWN, times=10, gap_us=gap_us)
    released = bouncing(START_US + 400_000, UP, times=10, gap_us=gap_us)
    for phase_us in range(0, PERIOD_US, 250):
        assert ons(watched(pressed + released, START_US + phase_us)) == [DOWN, UP]


def test_a_change_is_told_by_the_third_look_and_bears_the_time_of_the_first():
    contact = Debouncer(UP)
    assert [contact.look(DOWN, at) for at in (5.0, 5.012)] == [None, None]
    assert (contact.on, contact.is_unsure) == (UP, True)
    assert contact.look(DOWN, 5.024) == Change(DOWN, 5.0)
    assert (contact.on, contact.is_unsure) == (DOWN, False)
    assert contact.look(DOWN, 5.05) is None
    assert [contact.look(UP, at) for at in (8.0, 8.1)] == [None, None]
    assert contact.look(UP, 8.2) == Change(UP, 8.0)


def test_a_level_that_was_left_in_between_begins_anew():
    contact = Debouncer(UP)
    looks = [(DOWN, 5.0), (DOWN, 5.012), (UP, 5.024), (DOWN, 5.05), (DOWN, 5.062)]
    assert [contact.look(level, at) for level, at in looks] == [None] * len(looks)
    assert contact.look(DOWN, 5.074) == Change(DOWN, 5.05)


@pytest.mark.parametrize(("period_us", "low_us"), [(20_000, 11_400), (16_667, 10_300)])
def test_the_hum_of_the_mains_on_a_cable_is_no_press(period_us, low_us):
    """Low for more than half of each period, where each look comes right when it should."""
    hum = [(START_US + k * period_us + low, level) for k in range(600) for low, level in ((0, DOWN), (low_us, UP))]
    for phase_us in range(0, period_us, 500):
        assert watched(hum, START_US + phase_us, until_us=START_US + 10_000_000) == []


def test_what_is_there_at_the_start_is_no_change():
    contact = Debouncer(DOWN)
    assert [contact.look(DOWN, 5.0 + k * AGAIN_S) for k in range(LOOKS)] == [None] * LOOKS
    assert contact.on == DOWN


def by_chance(chance, most_us):
    return lambda: chance.randint(0, most_us)


PHASES = st.integers(START_US - PERIOD_US, START_US - 1)  # of the first look, before the contact moves
CHANCE = st.randoms(use_true_random=False)


@given(st.integers(1, SPAN_US), PHASES, CHANCE)
def test_a_pulse_no_longer_than_the_looks_that_tell_it_is_nothing_however_late_they_are(length_us, first_us, chance):
    edges = [(START_US, DOWN), (START_US + length_us, UP)]
    assert watched(edges, first_us, late_us=by_chance(chance, 200_000)) == []


@given(st.integers(PRESS_US, 500_000), PHASES, CHANCE)
def test_a_press_of_a_finger_is_seen_whenever_looks_fall(length_us, first_us, chance):
    edges = [(START_US, DOWN), (START_US + length_us, UP)]
    pressed, released = watched(edges, first_us, late_us=by_chance(chance, LATE_US))
    assert (pressed.on, released.on) == (DOWN, UP)
    late_s = (PERIOD_US + LATE_US) / 1e6
    assert START_US / 1e6 <= pressed.at <= START_US / 1e6 + late_s
    assert (START_US + length_us) / 1e6 <= released.at <= (START_US + length_us) / 1e6 + late_s


@st.composite
def presses(draw):
    """Edges of some presses and releases, each with bounces of up to three periods; the levels that they come to."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    at, level, made, truth = START_US, UP, [], []
    for _ in range(draw(st.integers(1, 8))):
        level = not level
        bounces = sorted(chance.randint(0, 3 * PERIOD_US) for _ in range(draw(st.integers(0, 30))))
        made += [(at + bounce, chance.random() < 0.5) for bounce in bounces]
        at += bounces[-1] if bounces else 0
        made.append((at, level))
        truth.append(level)
        at += PERIOD_US + SPAN_US + LOOKS * LATE_US + chance.randint(0, 1_000_000)
    return made, truth


@given(presses(), PHASES, CHANCE)
def test_bounces_of_up_to_three_periods_leave_each_press_and_each_release_told_once(pressed, first_us, chance):
    made, truth = pressed
    until_us = made[-1][0] + 1_000_000
    assert ons(watched(made, first_us, late_us=by_chance(chance, LATE_US), until_us=until_us)) == truth


@given(st.lists(st.booleans()))
def test_whatever_is_seen_changes_are_by_turns_and_each_was_seen_three_times(seen):
    contact = Debouncer(UP)
    found = [contact.look(level, float(k)) for k, level in enumerate(seen)]
    changes = [change for change in found if change is not None]
    assert ons(changes) == [k % 2 == 0 for k in range(len(changes))]
    for k, change in enumerate(found):
        if change is not None:
            first = k - LOOKS + 1
            assert change.at == first
            assert set(seen[first : k + 1]) == {change.on}
