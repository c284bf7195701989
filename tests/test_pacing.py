"""Pacing and back-off: the two small models of time that every radio shares."""

from __future__ import annotations

import pytest

from hal.pacing import AHEAD_S, Pacer
from hal.reopening import Reopening


def test_line_takes_frames_one_after_the_other() -> None:
    pacer = Pacer(1000.0)
    pacer.take(500, 10.0)
    pacer.take(250, 10.0)
    assert pacer.free_at == pytest.approx(10.75)


def test_two_long_frames_may_be_ahead() -> None:
    pacer = Pacer(1000.0)
    pacer.take(500, 10.0)
    assert pacer.opens_at <= 10.0  # the line takes the first: one may wait
    pacer.take(500, 10.0)
    assert pacer.opens_at == pytest.approx(10.5)


def test_many_short_frames_may_be_ahead_for_30_ms() -> None:
    pacer = Pacer(1000.0)
    taken = 0
    while pacer.opens_at <= 10.0:
        pacer.take(4, 10.0)
        taken += 1
    assert taken == 8  # 28 ms were not yet too many, 32 ms are
    assert pacer.opens_at == pytest.approx(10.032 - AHEAD_S)


def test_lateness_while_the_line_is_busy_costs_nothing_and_idle_time_is_not_made_up() -> None:
    pacer = Pacer(1000.0)
    pacer.take(500, 10.0)
    pacer.take(500, 10.4)
    assert pacer.free_at == pytest.approx(11.0)
    pacer.take(500, 20.0)
    assert pacer.free_at == pytest.approx(20.5)


def test_back_off_doubles_up_to_ten_seconds_and_starts_anew_after_success() -> None:
    reopening = Reopening()
    assert reopening.due_at is None
    now = 100.0
    pauses = []
    for _ in range(7):
        reopening.failed(now)
        assert reopening.due_at is not None
        pauses.append(reopening.due_at - now)
        now = reopening.due_at
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    reopening.succeeded()
    assert reopening.due_at is None
    reopening.failed(now)
    assert reopening.due_at == now + 0.5
