"""Presses, bursts, movements, an opened case: what the unit is asked for, and when."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.config import MAX_BURST
from firmware.shutter import PRESSES_WAITING
from firmware.triggers import LONG_S, PRESS_SPACING_S, Triggers, Wish
from hal.interfaces import Change

T = 1000.0
ON, OFF = True, False


def triggers(*, burst=1, spacing_s=1.0, motion_rest_s=30.0):
    return Triggers(burst=burst, spacing_s=spacing_s, motion_rest_s=motion_rest_s)


def play(asked, until, now=T):
    """(time since T, wish) of all that is wished for at its deadlines."""
    found = [(now - T, wish) for wish in asked.wishes(now)]
    while (due := asked.deadline()) is not None and due <= until:
        assert due > now or not found, "a deadline that never passes"
        now = max(now, due)
        asked.moves_on(now)
        found += [(now - T, wish) for wish in asked.wishes(now)]
    return found


def test_a_press_is_one_picture_at_once_and_its_release_is_nothing():
    asked = triggers()
    assert asked.button(Change(ON, T))
    assert asked.wishes(T + 0.025) == [Wish.PICTURE]
    assert not asked.button(Change(OFF, T + 0.2))
    assert asked.wishes(T + 0.225) == []
    assert asked.deadline() is None


def test_a_long_press_turns_priority_once_after_its_picture():
    asked = triggers()
    asked.button(Change(ON, T))
    assert play(asked, T + 60) == [(0, Wish.PICTURE), (LONG_S, Wish.TURN_PRIORITY)]
    assert asked.deadline() is None
    asked.button(Change(OFF, T + 60))
    assert asked.wishes(T + 70) == []


def test_a_button_that_is_let_go_just_before_turns_nothing():
    asked = triggers()
    asked.button(Change(ON, T))
    asked.button(Change(OFF, T + LONG_S - 0.001))
    assert play(asked, T + 60) == [(0, Wish.PICTURE)]


def test_presses_closer_than_a_finger_can_are_one():
    asked = triggers()
    assert asked.button(Change(ON, T))
    asked.button(Change(OFF, T + 0.04))
    assert not asked.button(Change(ON, T + PRESS_SPACING_S - 0.001))
    asked.button(Change(OFF, T + 0.14))
    assert asked.button(Change(ON, T + PRESS_SPACING_S + 0.1))


def test_a_burst_is_so_many_pictures_so_far_apart():
    asked = triggers(burst=3, spacing_s=0.5)
    asked.button(Change(ON, T))
    asked.button(Change(OFF, T))
    assert play(asked, T + 60) == [(0, Wish.PICTURE), (0.5, Wish.PICTURE), (1.0, Wish.PICTURE)]


def test_a_press_during_a_burst_begins_it_anew():
    asked = triggers(burst=3, spacing_s=1.0)
    asked.button(Change(ON, T))
    asked.button(Change(OFF, T))
    assert len(play(asked, T + 1.5)) == 2
    asked.button(Change(ON, T + 1.5))
    asked.button(Change(OFF, T + 1.6))
    assert [at for at, _ in play(asked, T + 60, now=T + 1.5)] == [1.5, 2.5, 3.5]


def test_the_longest_burst_finds_room_before_the_camera():
    assert MAX_BURST == PRESSES_WAITING


def test_movement_is_a_trigger_and_the_sensor_rests_after_it():
    asked = triggers(motion_rest_s=30.0)
    assert asked.motion(Change(ON, T))
    assert asked.wishes(T) == [Wish.PICTURE]
    asked.motion(Change(OFF, T + 2))
    assert not asked.motion(Change(ON, T + 10))
    asked.motion(Change(OFF, T + 12))
    assert asked.deadline() is None
    assert play(asked, T + 100, now=T + 40) == []
    assert asked.motion(Change(ON, T + 50))


def test_movement_that_goes_on_is_a_trigger_after_each_rest():
    asked = triggers(motion_rest_s=30.0)
    asked.motion(Change(ON, T))
    assert [at for at, _ in play(asked, T + 65)] == [0, 30, 60]
    asked.motion(Change(OFF, T + 70))
    assert play(asked, T + 200, now=T + 70) == []


def test_a_short_movement_between_two_looks_counts():
    asked = triggers()
    asked.motion(Change(ON, T))
    asked.motion(Change(OFF, T + 0.3))
    assert asked.wishes(T + 1) == [Wish.PICTURE]


def test_an_opened_case_is_priority_pictures_and_a_closed_one_nothing():
    asked = triggers(burst=2)
    assert asked.tamper(Change(ON, T))
    assert play(asked, T + 60) == [(0, Wish.PRIORITY_PICTURE), (1.0, Wish.PRIORITY_PICTURE)]
    assert not asked.tamper(Change(OFF, T + 60))
    assert asked.wishes(T + 61) == []
    asked.button(Change(ON, T + 62))
    assert asked.wishes(T + 62) == [Wish.PICTURE]


def test_a_press_in_the_midst_of_an_opened_cases_burst_does_not_make_it_ordinary():
    asked = triggers(burst=3)
    asked.tamper(Change(ON, T))
    asked.wishes(T)
    asked.motion(Change(ON, T + 0.5))
    assert asked.wishes(T + 0.5) == [Wish.PRIORITY_PICTURE]


@given(
    st.lists(
        st.tuples(st.sampled_from(["button", "motion", "tamper"]), st.booleans(), st.floats(0.0, 40.0)), max_size=30
    ),
    st.integers(1, MAX_BURST),
)
def test_whatever_happens_no_more_than_one_burst_a_trigger_is_asked_for_and_deadlines_pass(happens, burst):
    asked, now, begun, pictures = triggers(burst=burst), T, 0, 0
    for part, on, gap_s in happens:
        later = now + gap_s
        while (due := asked.deadline()) is not None and due <= later:
            begun += asked.moves_on(due)
            found = asked.wishes(due)
            next_due = asked.deadline()
            assert next_due is None or next_due > due
            pictures += len([wish for wish in found if wish is not Wish.TURN_PRIORITY])
        now = later
        begun += getattr(asked, part)(Change(on, now))
        pictures += len([wish for wish in asked.wishes(now) if wish is not Wish.TURN_PRIORITY])
    assert pictures <= begun * burst
    assert pictures >= begun
