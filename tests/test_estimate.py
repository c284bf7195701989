"""LinkEstimate: part lengths that get most through, time-outs that fit the link."""

import math
import random

import pytest

from firmware.estimate import LONGEST_TIMEOUT_S, SHORTEST_PART_BYTES, LinkEstimate

LINE = 11_520.0
OVERHEAD = 24


def seen(errors_per_byte: float, parts: int = 4000) -> LinkEstimate:
    """Experience with errors at random places, with parts of the length that the estimate itself chooses."""
    estimate, chance = LinkEstimate(LINE), random.Random(7)
    for _ in range(parts):
        wire_bytes = estimate.part_bytes(4096, OVERHEAD) + OVERHEAD
        if chance.random() < math.exp(-errors_per_byte * wire_bytes):
            estimate.carried(wire_bytes)
        else:
            estimate.lost(wire_bytes)
    return estimate


def goodput(length: int, errors_per_byte: float) -> float:
    return length / (length + OVERHEAD) * math.exp(-errors_per_byte * (length + OVERHEAD))


@pytest.mark.parametrize("errors_per_byte", [8e-5, 2e-4, 8e-4, 1.6e-3])
def test_parts_get_as_long_as_lets_most_through(errors_per_byte) -> None:
    length = seen(errors_per_byte).part_bytes(4096, OVERHEAD)
    best = max(goodput(other, errors_per_byte) for other in range(64, 4096))
    assert goodput(length, errors_per_byte) >= 0.98 * best


def test_a_bit_error_rate_of_1e_4_makes_parts_of_about_170_bytes() -> None:
    assert 140 <= seen(8e-4).part_bytes(4096, OVERHEAD) <= 200
    assert seen(8e-4).loss == pytest.approx(1 - math.exp(-8e-4 * 186), rel=0.2)


def test_an_unknown_link_starts_with_1_kb_and_a_clean_one_soon_has_the_longest() -> None:
    assert LinkEstimate(LINE).part_bytes(4096, OVERHEAD) == pytest.approx(1000, rel=0.05)
    assert seen(0.0, 100).part_bytes(4096, OVERHEAD) == LINE / 4
    fast = LinkEstimate(100_000.0)
    for _ in range(100):
        fast.carried(4120)
    assert fast.part_bytes(4096, OVERHEAD) == 4096
    assert fast.loss < 0.01


def test_what_fits_the_packet_bounds_the_part_even_below_the_shortest() -> None:
    assert seen(0.0).part_bytes(200, OVERHEAD) == 200
    assert seen(0.5).part_bytes(4096, OVERHEAD) == SHORTEST_PART_BYTES
    assert seen(0.5).part_bytes(40, OVERHEAD) == 40


def test_old_experience_fades() -> None:
    estimate = seen(1.6e-3)
    for _ in range(1500):
        estimate.carried(500)
    assert estimate.part_bytes(4096, OVERHEAD) > 1000


def test_the_first_guess_leaves_a_slow_line_its_time() -> None:
    assert LinkEstimate(LINE).timeout_s() < 1.0
    assert LinkEstimate(120.0).timeout_s() > 2 * 1024 / 120


def test_the_time_out_follows_the_round_trip_and_its_spread() -> None:
    estimate = LinkEstimate(LINE)
    for _ in range(100):
        estimate.took(0.5)
    assert estimate.rtt_s == pytest.approx(0.5)
    assert estimate.timeout_s() == pytest.approx(0.5, abs=0.01)
    estimate.took(1.0)
    assert estimate.timeout_s() > 1.0


def test_no_time_out_is_shorter_than_the_line_needs_for_the_frame() -> None:
    estimate = LinkEstimate(LINE)
    for _ in range(100):
        estimate.took(0.001)
    assert estimate.timeout_s() == 0.1
    assert estimate.timeout_s(0, 2880) == pytest.approx(0.1 + 2 * 2880 / LINE)


def test_the_time_out_doubles_up_to_its_limit_but_never_shrinks() -> None:
    estimate = LinkEstimate(LINE)
    for _ in range(100):
        estimate.took(0.1)
    once_s = estimate.timeout_s()
    assert [estimate.timeout_s(tries) for tries in (1, 2, 9, 10_000)] == [
        pytest.approx(2 * once_s),
        pytest.approx(4 * once_s),
        LONGEST_TIMEOUT_S,
        LONGEST_TIMEOUT_S,
    ]
    for _ in range(100):
        estimate.took(9.0)
    assert estimate.timeout_s(5) == estimate.timeout_s() >= 9.0


def test_the_rate_is_that_of_the_last_seconds() -> None:
    estimate = LinkEstimate(LINE)
    assert estimate.rate_bps is None
    estimate.delivered(1000, 0.0)
    assert estimate.rate_bps is None
    estimate.delivered(500, 0.5)
    assert estimate.rate_bps == 8000.0
    for _ in range(40):
        estimate.delivered(1000, 0.5)
    assert estimate.rate_bps == pytest.approx(16_000, rel=0.05)
