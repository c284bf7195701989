"""Contract of Clock, on every implementation."""

from __future__ import annotations

import pytest

from hal.clock import SystemClock
from hal.interfaces import Clock, TimeQuality
from sim.clock import SimClock


@pytest.fixture(params=[SystemClock, SimClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_monotonic_time_never_goes_back(clock: Clock) -> None:
    times = [clock.monotonic() for _ in range(1000)]
    assert times == sorted(times)


def test_wall_time_is_a_possible_date_of_known_quality(clock: Clock) -> None:
    wall_s, quality = clock.wall()
    assert wall_s >= 0
    assert quality in (TimeQuality.UNSET, TimeQuality.SYNCED)


def test_qualities_are_ordered_worst_first() -> None:
    assert TimeQuality.UNSET < TimeQuality.PEER < TimeQuality.SYNCED


def test_sim_time_passes_only_by_hand() -> None:
    clock = SimClock(monotonic_s=5.0, wall_s=1000.0)
    assert (clock.monotonic(), clock.wall()) == (5.0, (1000.0, TimeQuality.UNSET))
    clock.advance(2.5)
    assert (clock.monotonic(), clock.wall()) == (7.5, (1002.5, TimeQuality.UNSET))
    clock.advance_to(8.0)
    assert (clock.monotonic(), clock.wall()) == (8.0, (1003.0, TimeQuality.UNSET))
    with pytest.raises(AssertionError):
        clock.advance(-0.1)


def test_a_jump_of_sim_wall_time_leaves_monotonic_time_alone() -> None:
    clock = SimClock(monotonic_s=5.0, wall_s=1000.0)
    clock.set_wall(50.0, TimeQuality.SYNCED)
    clock.advance(1.0)
    assert clock.monotonic() == 6.0
    assert clock.wall() == (51.0, TimeQuality.SYNCED)
