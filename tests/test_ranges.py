"""RangeSet against a set of integers, and its edges by name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.ranges import RangeSet

SIZE = 40
pairs = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda pair: (min(pair), max(pair)))
steps = st.lists(st.tuples(st.sampled_from(["add", "subtract"]), pairs), max_size=30)


def both(done: list[tuple[str, tuple[int, int]]]) -> tuple[RangeSet, set[int]]:
    """The same steps on a RangeSet and on the model."""
    ranges, model = RangeSet(), set()
    for what, (start, stop) in done:
        if what == "add":
            ranges.add(start, stop)
            model |= set(range(start, stop))
        else:
            ranges.subtract(start, stop)
            model -= set(range(start, stop))
    return ranges, model


def positions(ranges: RangeSet) -> set[int]:
    return {position for start, stop in ranges for position in range(start, stop)}


@given(steps)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_holds_what_a_set_of_integers_holds_as_sorted_ranges_that_do_not_touch(done) -> None:
    ranges, model = both(done)
    assert positions(ranges) == model
    assert ranges.size_bytes == len(model)
    assert len(ranges) == len(list(ranges))
    flat = [edge for pair in ranges for edge in pair]
    assert flat == sorted(set(flat))
    assert ranges.stop == max(model, default=-1) + 1


@given(steps, pairs, st.integers(0, SIZE))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_answers_as_a_set_of_integers_answers(done, pair, size) -> None:
    ranges, model = both(done)
    asked = set(range(*pair))
    assert ranges.covers(*pair) == (asked <= model)
    assert positions(ranges.gaps(*pair)) == asked - model
    assert positions(ranges.missing(size)) == set(range(size)) - model
    assert ranges.first_gap() == min(set(range(SIZE + 1)) - model)
    assert [position in ranges for position in range(SIZE)] == [n in model for n in range(SIZE)]


@given(steps, pairs)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_says_beforehand_whether_a_range_more_would_come_of_adding(done, pair) -> None:
    ranges, _ = both(done)
    before, said = len(ranges), ranges.grows_by_adding(*pair)
    ranges.add(*pair)
    assert said == (len(ranges) > before)


@given(steps, st.integers(0, 5))
@settings(derandomize=True, max_examples=100, deadline=None)
def test_the_beginning_is_the_first_ranges(done, limit) -> None:
    ranges, _ = both(done)
    assert ranges.beginning(limit) == RangeSet(list(ranges)[:limit])
    assert ranges.beginning(limit).size_bytes == sum(stop - start for start, stop in list(ranges)[:limit])


@given(steps)
@settings(derandomize=True, max_examples=100, deadline=None)
def test_equal_sets_are_equal_however_they_came_about(done) -> None:
    ranges, model = both(done)
    assert ranges == RangeSet((n, n + 1) for n in sorted(model, reverse=True))
    assert ranges != RangeSet([*ranges, (SIZE + 2, SIZE + 3)])


def test_a_copy_does_not_change_with_its_original() -> None:
    ranges = RangeSet([(0, 5)])
    kept = ranges.copy()
    ranges.add(5, 9)
    ranges.subtract(0, 1)
    assert list(kept) == [(0, 5)]
    assert kept.size_bytes == 5
    assert list(ranges) == [(1, 9)]


def test_neighbours_merge() -> None:
    assert list(RangeSet([(0, 5), (10, 15), (5, 10)])) == [(0, 15)]


def test_cutting_the_middle_leaves_both_ends() -> None:
    ranges = RangeSet([(0, 15)])
    ranges.subtract(5, 10)
    assert list(ranges) == [(0, 5), (10, 15)]
    assert ranges.size_bytes == 10


@pytest.mark.parametrize("pair", [(-1, 3), (5, 4)])
def test_a_range_that_cannot_be_is_our_own_mistake(pair) -> None:
    with pytest.raises(AssertionError):
        RangeSet().add(*pair)
    with pytest.raises(AssertionError):
        RangeSet().subtract(*pair)


def test_a_set_that_changes_is_no_key() -> None:
    with pytest.raises(TypeError):
        hash(RangeSet())
