"""What an LED shows: blinks that people can count, each state its own, and what is said once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import lights
from firmware.lights import CYCLE_S, Lights, Said, State, said_pattern, state_pattern

T = 1000.0


def watch(shown, since, until):
    """(lit, seconds) one after the other, as somebody with a stopwatch sees it; the last one may go on."""
    now, seen = since, []
    while now < until:
        light = shown.at(now)
        assert light.until > now
        seen.append((light.lit, min(light.until, until) - now))
        now = light.until
    merged = []
    for lit, group in itertools.groupby(seen, key=lambda one: one[0]):
        length_s = round(sum(seconds for _, seconds in group), 3)
        if length_s:
            merged.append((lit, length_s))
    return merged


def blinks(seen):
    return [seconds for lit, seconds in seen if lit]


@pytest.mark.parametrize("state", [State.WELL, State.SENDING, State.FULL])
@pytest.mark.parametrize("priority", [False, True])
def test_a_state_is_so_many_blinks_in_each_cycle_and_long_ones_where_priority_is_on(state, priority):
    shown = Lights()
    shown.be(state, priority=priority)
    length_s = lights.LONG_S if priority else lights.SHORT_S
    for cycle in range(3):
        seen = watch(shown, T + cycle * CYCLE_S + 0.0001, T + (cycle + 1) * CYCLE_S)
        assert [round(seconds, 2) for seconds in blinks(seen)] == [length_s] * state.value


def test_the_dark_between_two_cycles_is_not_taken_for_that_between_two_blinks():
    for state in (State.WELL, State.SENDING, State.FULL):
        for priority in (False, True):
            *_, pause_s = state_pattern(state, priority=priority)
            assert pause_s > 3 * lights.GAP_S


def test_every_state_and_saying_has_a_pattern_of_its_own_that_a_person_can_tell():
    told = [state_pattern(state, priority=priority) for state in State for priority in (False, True)]
    told = [*dict.fromkeys(told), *map(said_pattern, Said)]
    assert len(told) == 2 * len(State) - 1 + len(Said)  # a fault is a fault, priority or not
    assert lights.TURNED_BLINKS not in {state.value for state in State}
    for pattern in told:
        assert all(seconds >= lights.FLICKER_S for seconds in pattern[2:])


def test_a_fault_blinks_without_end():
    shown = Lights()
    shown.be(State.FAULT, priority=False)
    seen = watch(shown, T, T + 3600.07)
    assert len(blinks(seen)) == pytest.approx(3600 / (2 * lights.QUICK_S), abs=2)


def test_a_cycle_that_has_begun_ends_as_it_began_so_that_blinks_can_be_counted():
    shown = Lights()
    shown.be(State.FULL, priority=False)
    assert shown.at(T).lit
    shown.be(State.WELL, priority=True)
    assert blinks(watch(shown, T, T + CYCLE_S)) == [lights.SHORT_S] * 3
    assert blinks(watch(shown, T + CYCLE_S, T + 2 * CYCLE_S)) == [lights.LONG_S]


def test_a_fault_is_shown_within_a_cycle_and_its_end_at_once():
    shown = Lights()
    shown.at(T)
    shown.be(State.FAULT, priority=False)
    assert len(blinks(watch(shown, T, T + CYCLE_S))) == 1
    assert len(blinks(watch(shown, T + CYCLE_S, T + CYCLE_S + 3))) == 10
    shown.be(State.WELL, priority=False)
    assert len(blinks(watch(shown, T + CYCLE_S + 3.2, T + 2 * CYCLE_S + 3))) == 1


def test_a_press_is_answered_at_once_by_what_the_unit_is_at():
    shown = Lights()
    shown.at(T)
    assert not shown.at(T + 3).lit
    shown.be(State.FULL, priority=False)
    shown.answer()
    assert len(blinks(watch(shown, T + 3, T + 3 + CYCLE_S))) == 3


def test_a_picture_taken_is_one_long_light_and_the_state_goes_on_after_it():
    shown = Lights()
    shown.say(Said.TAKEN, T)
    seen = watch(shown, T, T + CYCLE_S + 1.6)
    assert blinks(seen) == [lights.TAKEN_S, lights.SHORT_S]
    assert seen[0] == (False, lights.REST_S)


def test_a_refused_shot_flickers():
    shown = Lights()
    shown.say(Said.REFUSED, T)
    assert blinks(watch(shown, T, T + 1.5)) == [lights.FLICKER_S] * lights.FLICKERS


@pytest.mark.parametrize(("said", "length_s"), [(Said.PRIORITY_ON, lights.LONG_S), (Said.PRIORITY_OFF, lights.SHORT_S)])
def test_turning_priority_is_confirmed_even_while_something_is_wrong(said, length_s):
    shown = Lights()
    shown.be(State.FAULT, priority=said is Said.PRIORITY_ON)
    shown.say(said, T)
    seen = blinks(watch(shown, T, T + sum(said_pattern(said)) - 0.001))
    assert seen == [length_s] * lights.TURNED_BLINKS


def test_what_is_said_last_is_said_at_once():
    shown = Lights()
    shown.say(Said.PRIORITY_ON, T)
    shown.say(Said.TAKEN, T + 1)
    assert blinks(watch(shown, T + 1, T + 2.5)) == [lights.TAKEN_S]


@given(
    st.lists(
        st.tuples(st.floats(0.0, 100_000.0), st.sampled_from(State), st.booleans(), st.none() | st.sampled_from(Said)),
        max_size=20,
    )
)
def test_the_next_change_is_never_now_nor_later_than_a_cycle(happens):
    shown, now = Lights(), T
    for gap_s, state, priority, said in happens:
        now += gap_s
        shown.be(state, priority=priority)
        if said is not None:
            shown.say(said, now)
        for _ in range(5):
            light = shown.at(now)
            assert now < light.until <= now + CYCLE_S
            now = light.until
