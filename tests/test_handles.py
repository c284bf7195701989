"""Handles and what is said at most every so often: nobody who asks too much takes them from the others."""

from firmware.handles import MAX_RESTING, Handles
from firmware.spacing import MAX_UNITS, AtMostEvery


def test_a_handle_that_is_over_rests_until_its_time_and_only_for_its_unit():
    handles = Handles()
    given = [handles.give(1, (), 0.0) for _ in range(3)]
    assert given == [1, 2, 3]
    for handle in range(1, 128):
        handles.rest(1, handle, 100.0 + handle, 0.0)
    assert handles.give(1, (), 50.0) == 0
    assert handles.give(2, (), 50.0) != 0
    assert handles.give(1, (), 101.5) == 1


def test_handles_in_use_are_not_given_again():
    assert Handles().give(1, range(1, 127), 0.0) == 127
    assert Handles().give(1, range(1, 128), 0.0) == 0


def test_memory_for_resting_handles_is_bounded_and_the_one_nearest_its_end_is_free_first():
    handles = Handles()
    for number in range(MAX_RESTING + 1):
        handles.rest(1 + number // 127, 1 + number % 127, 1000.0 + number, 0.0)
    assert handles.give(1, range(2, 128), 0.0) == 1
    assert handles.give(1, range(3, 128), 0.0) != 2


def test_something_is_said_to_a_unit_at_most_every_so_often():
    spacing = AtMostEvery(1.0)
    assert [spacing.may(2, now) for now in (0.0, 0.5, 1.0, 1.9, 2.0)] == [True, False, True, False, True]
    assert spacing.may(3, 2.0)


def test_memory_for_units_is_bounded():
    spacing = AtMostEvery(1000.0)
    for unit in range(MAX_UNITS + 1):
        assert spacing.may(unit, 1.0)
    assert spacing.may(0, 2.0)  # the one told longest ago was forgotten
    assert not spacing.may(MAX_UNITS, 2.0)
