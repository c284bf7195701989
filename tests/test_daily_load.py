"""What a camera makes a day against what the link carries."""

from __future__ import annotations

import pytest

from firmware import lines
from firmware.daily_load import carried_bytes_per_day, daily_load, expected_picture_bytes, shots_per_day
from firmware.shot_times import MOST_TIMES, ShotTimes


def test_a_load_that_the_link_carries_is_told_without_advice() -> None:
    load = daily_load(shots=144, picture_bytes=370_000, copies=1, carried_bytes=896e6)
    assert not load.too_much
    assert load.text == "144 pictures a day of 370 kB, with 1 copy each, are 53.3 MB a day; the link carries 896 MB"
    assert (load.made_bytes, load.carried_bytes) == (53_280_000, 896_000_000)


def test_a_load_that_is_too_much_comes_with_an_interval_that_is_not() -> None:
    load = daily_load(shots=8640, picture_bytes=370_000, copies=2, carried_bytes=896e6)
    assert load.too_much
    assert "copies fall behind by 5.5 GB a day" in load.text
    assert "each 72 s or more seldom (shutter.interval)" in load.text
    assert "fewer copies than 2 (dispersal.copies)" in load.text
    assert not daily_load(shots=86_400 / 72, picture_bytes=370_000, copies=2, carried_bytes=896e6).too_much


def test_fewer_copies_are_advised_only_where_there_can_be_fewer() -> None:
    assert "dispersal.copies" not in daily_load(shots=9, picture_bytes=10**9, copies=1, carried_bytes=1e9).text


@pytest.mark.parametrize(
    ("interval_s", "seen", "seen_for_s", "shots"),
    [
        (600.0, 0, 0.0, 144.0),
        (None, 50, 3599.0, None),
        (None, 50, 43_200.0, 100.0),
        (600.0, 400, 86_400.0, 400.0),  # a button is pressed besides
        (600.0, 1, 86_400.0, 144.0),
    ],
)
def test_shots_a_day_are_those_of_the_interval_or_as_seen_once_enough_was_seen(
    interval_s: float | None, seen: int, seen_for_s: float, shots: float | None
) -> None:
    assert shots_per_day(interval_s, seen=seen, seen_for_s=seen_for_s) == shots


def test_a_link_by_turns_carries_less() -> None:
    full = carried_bytes_per_day(11_520, by_turns=False)
    assert full == pytest.approx(896e6, rel=0.01)
    assert carried_bytes_per_day(11_520, by_turns=True) < full


def test_pictures_that_nobody_has_seen_grow_with_size_and_quality() -> None:
    assert expected_picture_bytes((1920, 1080), 85) == pytest.approx(370_000, rel=0.02)
    by_quality = [expected_picture_bytes((1920, 1080), quality) for quality in (1, 50, 60, 75, 80, 85, 90, 95)]
    assert by_quality == sorted(by_quality)
    assert expected_picture_bytes((3840, 2160), 85) == pytest.approx(4 * 373_248)


def test_times_of_shots_are_told_by_rank_of_the_last_ones() -> None:
    times = ShotTimes()
    assert times.row() == {"taken": 0, "last_s": None, "p50_s": None, "p99_s": None}
    for seconds in range(1, 101):
        times.add(float(seconds))
    assert times.row() == {"taken": 100, "last_s": 100.0, "p50_s": 50.0, "p99_s": 99.0}
    for _ in range(MOST_TIMES):
        times.add(0.5)
    assert times.row() == {"taken": 100 + MOST_TIMES, "last_s": 0.5, "p50_s": 0.5, "p99_s": 0.5}


def test_status_says_in_one_line_what_the_camera_does_and_what_it_makes() -> None:
    shots = {"taken": 3, "last_s": 0.3124, "p50_s": 0.25, "p99_s": 12.5}
    load = {"too_much": False, "text": "little; much"}
    row = {"camera": "picamera2", "shots": shots, "load": load, "camera_note": "another size"}
    (line,) = [line for line in lines.status(row).splitlines() if line.startswith("camera")]
    told = "the last picture was durable 0.312 s after the shutter, half within 0.25 s, 99 % within 12.5 s"
    assert line == f"camera    picamera2; {told}; another size; little; much"
    row["load"] = {"too_much": True, "text": "it is a problem, and stands there"}
    assert "it is a problem" not in lines.status(row)
