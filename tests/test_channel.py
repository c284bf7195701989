"""Whose turn it is on a half-duplex channel: each rule of firmware/channel.py by itself."""

import random

import pytest

from firmware.channel import (
    CONTENDS_S,
    GAP_S,
    LONGEST_HOLD_S,
    MOST_DOUBLINGS,
    SILENCE_S,
    SLOT_S,
    SLOTS_PER_UNIT,
    URGENT_SLOTS,
    Channel,
    Said,
    Turn,
    Wish,
)

NEVER = float("-inf")
RATE = 11_520.0  # bytes per second
STEP_S = SLOT_S / 10
WIRE_BYTES = 100
US = 1


class Station:
    """A channel that always has something to say, and what its radio hears."""

    def __init__(self, seed=1, *, wish=Wish.COPY):
        self.channel = Channel(random.Random(seed), RATE)
        self.wish = wish
        self.heard_at = NEVER
        self.now = 100.0

    def turn(self):
        return self.channel.turn(self.now, self.heard_at, self.wish)

    def waits(self, *, carrier_for_s=0.0, limit_s=10.0):
        """How long until it is our turn. carrier_for_s: so long something is heard first."""
        began = self.now
        while self.now < began + limit_s:
            if self.now < began + carrier_for_s:
                self.heard_at = self.now
            if self.turn() is not Turn.NONE:
                return self.now - began
            self.now += STEP_S
        raise AssertionError(f"no turn within {limit_s} s")

    def hears(self, source=2, destination=3, *, to_us=False, airtime_s=0.0, said=Said.OTHER, wire_bytes=WIRE_BYTES):
        """A packet ends now; when we may answer."""
        self.heard_at = self.now
        heard = {"to_us": to_us, "airtime_s": airtime_s, "said": said}
        return self.channel.heard(source, US if to_us else destination, wire_bytes, **heard, now=self.now)


def most_s(slots):
    return slots * SLOT_S + STEP_S


@pytest.mark.parametrize("seed", range(20))
def test_on_an_idle_channel_a_short_message_waits_at_most_its_window(seed):
    assert Station(seed, wish=Wish.SHORT).waits() <= most_s(URGENT_SLOTS)


def test_two_that_are_woken_at_once_on_an_idle_channel_do_not_go_at_once():
    waits = {round(Station(seed, wish=Wish.SHORT).waits() / SLOT_S) for seed in range(20)}
    assert len(waits) >= URGENT_SLOTS // 2


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_said_while_something_is_heard(seed):
    station = Station(seed)
    assert station.waits(carrier_for_s=0.7) >= 0.7 + GAP_S - STEP_S


@pytest.mark.parametrize("seed", range(20))
def test_a_back_off_that_was_interrupted_goes_on_where_it_stood(seed):
    def contending():
        station = Station(seed)
        station.hears(airtime_s=0.05, said=Said.PART)
        station.now += 1.0
        return station

    alone = contending().waits()
    interrupted = contending()
    interrupted.turn()
    half_s = alone / 2
    interrupted.now += half_s + WIRE_BYTES / RATE
    interrupted.hears()
    rest_s = interrupted.waits()
    assert rest_s == pytest.approx(alone - half_s + GAP_S, abs=2 * STEP_S)


def test_where_others_contend_copies_draw_from_later_slots_than_short_messages_and_read_outs():
    def waits(wish):
        for seed in range(50):
            station = Station(seed, wish=wish)
            station.hears(airtime_s=0.05, said=Said.PART)
            station.now += 1.0
            yield station.waits()

    assert min(waits(Wish.COPY)) >= URGENT_SLOTS * SLOT_S - STEP_S
    assert max(waits(Wish.SHORT)) <= most_s(URGENT_SLOTS)
    read_outs, copies = list(waits(Wish.READ_OUT)), list(waits(Wish.COPY))
    assert max(read_outs) <= most_s(2 * SLOTS_PER_UNIT)
    assert sum(copy < read_out for copy in copies for read_out in read_outs) < len(copies) * len(read_outs) / 20


def test_a_turn_won_for_a_short_message_is_none_for_a_burst():
    station = Station(wish=Wish.SHORT)
    station.waits()
    assert station.turn() is Turn.SHORT
    burst = Station()
    burst.waits()
    assert burst.turn() is Turn.ANY


@pytest.mark.parametrize("seed", range(10))
def test_others_hold_off_as_long_as_an_answering_unit_has_announced(seed):
    station = Station(seed)
    station.hears(airtime_s=1.3, said=Said.ANSWER)
    assert station.waits() >= 1.3


@pytest.mark.parametrize("seed", range(10))
def test_what_a_sender_has_announced_is_over_when_nothing_is_heard_of_it(seed):
    station = Station(seed)
    station.hears(airtime_s=1.3)
    assert SILENCE_S <= station.waits() <= SILENCE_S + most_s(URGENT_SLOTS + 2 * SLOTS_PER_UNIT)
    heard = Station(seed)
    heard.hears(airtime_s=1.3)
    assert heard.waits(carrier_for_s=1.3) >= 1.3


@pytest.mark.parametrize("seed", range(10))
def test_what_a_sender_has_announced_is_over_when_it_was_answered(seed):
    station = Station(seed)
    station.hears(2, 3, airtime_s=0.07)
    station.now += 0.005
    station.hears(3, 2)
    other = Station(seed)
    other.hears(2, 3, airtime_s=0.005)
    other.now += 0.005
    other.hears(3, 2)
    assert station.waits() == other.waits()


@pytest.mark.parametrize("seed", range(10))
def test_what_a_unit_announces_takes_the_place_of_what_it_has_announced_before(seed):
    """A burst that was shorter than it might have been does not keep others from the channel."""
    station = Station(seed)
    station.hears(3, 2, airtime_s=1.3, said=Said.ANSWER)
    station.now += 1.0
    station.hears(3, 2)
    other = Station(seed)
    other.hears(3, 2, airtime_s=0.9, said=Said.ANSWER)
    other.now += 1.0
    other.hears(3, 2)
    assert station.waits() == other.waits()


@pytest.mark.parametrize("seed", range(10))
def test_a_burst_does_not_end_the_hold_off_that_its_receiver_has_announced(seed):
    station = Station(seed)
    station.hears(3, 2, airtime_s=1.3, said=Said.ANSWER)
    station.hears(2, 3, airtime_s=0.07)
    assert station.waits() >= 1.3


def test_an_announcement_is_believed_only_so_long():
    station = Station()
    station.hears(airtime_s=655.35, said=Said.ANSWER)
    assert station.waits() <= LONGEST_HOLD_S + most_s(URGENT_SLOTS + 2 * SLOTS_PER_UNIT)


def test_whoever_is_asked_has_the_channel_at_once_and_only_until_then():
    station = Station(wish=Wish.SHORT)
    assert station.hears(to_us=True, airtime_s=station.channel.answer_s) == station.now
    assert station.turn() is Turn.SHORT
    late = Station(wish=Wish.SHORT)
    late.hears(to_us=True, airtime_s=late.channel.answer_s)
    late.now += late.channel.answer_s
    assert late.turn() is Turn.NONE


def test_whoever_a_burst_is_for_answers_when_it_is_over_and_not_before():
    station = Station(wish=Wish.SHORT)
    answer_at = station.hears(to_us=True, airtime_s=1.0 + station.channel.answer_s)
    assert answer_at == pytest.approx(station.now + 1.0)
    station.heard_at = station.now = answer_at - STEP_S
    assert station.turn() is Turn.NONE
    station.heard_at = station.now = answer_at
    assert station.turn() is Turn.SHORT


@pytest.mark.parametrize("seed", range(10))
def test_whoever_a_burst_is_for_does_not_speak_into_it_when_it_hears_nothing_for_a_moment(seed):
    station = Station(seed, wish=Wish.SHORT)
    answer_at = station.hears(to_us=True, airtime_s=1.0 + station.channel.answer_s, said=Said.PART)
    assert station.waits(limit_s=SILENCE_S + 0.2) >= SILENCE_S
    assert station.now < answer_at


def test_an_answer_grants_a_burst_to_whoever_gave_it_and_to_nobody_else():
    station = Station(wish=Wish.SHORT)
    station.hears(7, to_us=True, airtime_s=1.3, said=Said.ANSWER)
    assert station.channel.is_granted_by(7, station.now)
    assert not station.channel.is_granted_by(8, station.now)
    station.channel.sent(7, WIRE_BYTES, 0.0, station.now)
    assert not station.channel.is_granted_by(7, station.now)


def after_failures(failures, seed):
    """What a unit waits whose questions were not answered, the wait for the last answer left out."""
    station = Station(seed)
    for _ in range(failures):
        station.waits()
        station.channel.sent(2, WIRE_BYTES, station.channel.answer_s, station.now)
        station.channel.over()
        station.now += WIRE_BYTES / RATE + station.channel.answer_s
    return station.waits()


def test_each_answer_that_does_not_come_doubles_the_window_up_to_a_limit():
    longest = [max(after_failures(failures, seed) for seed in range(60)) for failures in range(5)]
    windows = [(1 << min(failures, MOST_DOUBLINGS)) * SLOTS_PER_UNIT for failures in range(5)]
    for seen_s, window in zip(longest, windows, strict=True):
        assert 0.7 * window * SLOT_S < seen_s <= most_s(URGENT_SLOTS + window + 2)


def test_an_answer_takes_the_doubling_back():
    def answered(seed):
        station = Station(seed)
        for answer in (False, False, True):
            station.waits()
            station.channel.sent(2, WIRE_BYTES, station.channel.answer_s, station.now)
            station.channel.over()
            station.now += WIRE_BYTES / RATE + station.channel.answer_s / 2
            if answer:
                station.hears(to_us=True)
            station.now += station.channel.answer_s / 2
        return station.waits()

    assert max(answered(seed) for seed in range(60)) <= most_s(URGENT_SLOTS + SLOTS_PER_UNIT + 1)


def test_the_window_grows_with_the_units_that_contend_and_shrinks_when_they_are_done():
    def window_s(others, later_s=0.0):
        longest = 0.0
        for seed in range(60):
            station = Station(seed)
            for unit in range(others):
                station.hears(unit + 2, airtime_s=0.05, said=Said.PART)
            station.now += 1.0 + later_s
            longest = max(longest, station.waits())
        return longest

    assert window_s(7) > 0.8 * 8 * SLOTS_PER_UNIT * SLOT_S
    assert window_s(7, CONTENDS_S) <= most_s(URGENT_SLOTS + SLOTS_PER_UNIT)


def test_what_has_lapsed_before_its_turn_sets_no_timer():
    station = Station()
    station.turn()
    station.hears(to_us=True, airtime_s=0.07)
    station.channel.nothing_to_say()
    assert station.channel.deadline() is None


@pytest.mark.parametrize("seed", range(10))
def test_a_short_message_that_has_lapsed_wins_no_turn_for_a_burst(seed):
    station = Station(seed, wish=Wish.SHORT)
    station.turn()
    station.channel.over()  # where it had won at once
    station.wish = Wish.COPY
    station.waits()
    assert station.turn() is Turn.ANY


def test_nothing_to_say_sets_no_timer():
    station = Station()
    assert station.channel.deadline() is None
    station.turn()
    assert station.channel.deadline() is not None
    station.now = station.channel.deadline()
    assert station.turn() is Turn.ANY
    assert station.channel.deadline() is None


def burst_left_s(station):
    """A burst waits, among six others that contend, for longer than short messages do; what is left of that."""
    for other in range(3, 9):
        station.hears(source=other, said=Said.PART)
    station.now += GAP_S + STEP_S
    station.turn()
    return station.channel._left_s


@pytest.mark.parametrize("seed", range(10))
def test_the_back_off_of_a_burst_goes_on_behind_an_answer(seed):
    """Or whoever is asked often, as hosts are, never has a turn of its own."""
    station = Station(seed)
    left_s = burst_left_s(station)
    station.hears(to_us=True, airtime_s=0.1, said=Said.ANSWER)
    station.wish = Wish.SHORT
    assert station.turn() is Turn.SHORT
    station.channel.sent(2, WIRE_BYTES, 0.0, station.now)
    station.channel.over()
    station.wish = Wish.COPY
    station.now += WIRE_BYTES / RATE
    station.heard_at = station.now
    assert station.waits() <= GAP_S + left_s + 2 * STEP_S


@pytest.mark.parametrize("seed", range(10))
def test_the_back_off_of_a_burst_goes_on_behind_a_short_message_that_went_first(seed):
    station = Station(seed)
    left_s = burst_left_s(station)
    station.wish = Wish.SHORT
    waited_s = station.waits()
    station.channel.sent(2, WIRE_BYTES, 0.0, station.now)
    station.channel.over()
    station.wish = Wish.COPY
    station.now += WIRE_BYTES / RATE
    station.heard_at = station.now
    assert station.waits() == pytest.approx(GAP_S + max(0.0, left_s - waited_s), abs=4 * STEP_S)
