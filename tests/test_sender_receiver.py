"""Sender and Receiver one call at a time: what counts as lost, when a report is due, what a peer cannot do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import DamagedPacket
from firmware.estimate import LinkEstimate
from firmware.ranges import MAX_RANGES, RangeSet
from firmware.transfer import (
    GAP_SPACING_S,
    REPORT_AFTER_S,
    REPORT_BYTES,
    REPORT_RANGES,
    REPORT_SPACING_S,
    Receiver,
    Sender,
)

SIZE = 10_000


def sender_of(size_bytes: int = SIZE) -> Sender:
    return Sender(size_bytes, RangeSet([(0, size_bytes)]), LinkEstimate(11_520.0), 0.0)


def send(sender: Sender, parts: int, now: float, length: int = 100) -> list[tuple[int, int]]:
    """Let this many parts of this length out."""
    made = []
    for _ in range(parts):
        part = sender.next_part(now, length, 24)
        assert part is not None
        sender.sent(*part, part[1] - part[0] + 24, now)
        made.append(part)
    return made


def test_a_part_is_lost_when_the_second_one_after_it_is_reported() -> None:
    sender = sender_of()
    send(sender, 4, 0.0)
    sender.on_report(RangeSet([(0, 100), (200, 300)]), 0.1)
    assert sender.parts_lost == 0
    sender.on_report(RangeSet([(0, 100), (200, 400)]), 0.1)
    assert sender.parts_lost == 1
    assert sender.next_part(0.1, 100, 24) == (100, 200)
    send(sender, 1, 0.1)
    assert (sender.bytes_sent, sender.bytes_resent) == (500, 100)
    assert sender.next_part(0.1, 100, 24) == (400, 500)


def test_only_the_missing_bytes_of_a_lost_part_are_sent_again() -> None:
    sender = sender_of()
    send(sender, 3, 0.0)
    sender.on_report(RangeSet([(100, 130), (200, 300)]), 0.1)
    assert send(sender, 2, 0.1) == [(0, 100), (300, 400)]
    sender.on_report(RangeSet([(0, 130), (200, 400)]), 0.2)
    assert sender.next_part(0.2, 100, 24) == (130, 200)


@pytest.mark.parametrize(("ranges", "lost_beyond"), [(REPORT_RANGES, 0), (REPORT_RANGES - 1, 15)])
def test_a_report_that_was_cut_off_says_nothing_about_what_is_beyond(ranges, lost_beyond) -> None:
    sender = sender_of()
    send(sender, 2 * ranges + 17, 0.0, 50)
    sender.on_report(RangeSet([(50, 150)]), 0.1)
    assert send(sender, 1, 0.1, 50) == [(0, 50)]  # lost, and now newer than all that is still under way
    named = [(0, 150), *((100 * index, 100 * index + 50) for index in range(2, ranges + 1))]
    sender.on_report(RangeSet(named), 0.2)
    gaps = ranges - 1
    assert sender.parts_lost == 1 + gaps + lost_beyond


def test_a_report_may_itself_say_how_far_it_goes() -> None:
    sender = sender_of()
    send(sender, 5, 0.0)
    sender.on_report(RangeSet([(400, 500)]), 0.1, 150)
    assert sender.parts_lost == 1
    sender.on_report(RangeSet([(400, 500)]), 0.1, SIZE)
    assert sender.parts_lost == 3


def test_a_question_is_never_of_bytes_that_were_acknowledged() -> None:
    """A unit between has them no more."""
    sender = sender_of(200)
    (part,) = send(sender, 1, 0.0, length=200)
    assert part == (0, 200)
    sender.on_report(RangeSet([(0, 64)]), 0.1, 64)
    for _ in range(3):
        now = sender.deadline()
        assert now is not None
        asked = sender.next_part(now, 200, 24)
        assert asked is not None
        assert asked[0] == 64
        sender.sent(*asked, asked[1] - asked[0] + 24, now)


def test_what_a_cut_off_list_of_missing_ranges_leaves_open_is_sent_unless_a_report_says_it_is_there() -> None:
    missing = [(100 * index, 100 * index + 50) for index in range(REPORT_RANGES)]
    sender = Sender(SIZE, RangeSet(missing), LinkEstimate(11_520.0), 0.0)
    assert sender.done_bytes == 50 * (REPORT_RANGES - 1)
    sender.on_report(RangeSet([(5_000, SIZE)]), 0.1)
    while not sender.all_sent:
        send(sender, 1, 0.1)
    assert sender.bytes_sent == 50 * REPORT_RANGES + 5_000 - missing[-1][1]
    assert Sender(SIZE, RangeSet(missing[:-1]), LinkEstimate(960.0), 0.0).done_bytes == SIZE - 50 * (REPORT_RANGES - 1)


def test_no_part_of_a_few_bytes_is_left_over() -> None:
    assert send(sender_of(205), 3, 0.0) == [(0, 69), (69, 137), (137, 205)]


def test_a_question_is_asked_in_silence_and_its_answer_is_no_round_trip() -> None:
    sender = sender_of(300)
    send(sender, 3, 0.0)
    assert sender.all_sent
    deadline = sender.deadline()
    assert deadline is not None
    assert sender.next_part(deadline - 0.001, 100, 24) is None
    assert send(sender, 1, deadline) == [(200, 300)]
    assert sender.next_part(deadline, 100, 24) is None
    sender.on_report(RangeSet([(200, 300)]), deadline + 0.01)
    assert sender.estimate.rtt_s is None
    assert sender.parts_lost == 2
    assert send(sender, 2, 2.0) == [(0, 100), (100, 200)]
    sender.on_report(RangeSet([(0, 300)]), 2.25)
    assert sender.estimate.rtt_s == 0.25
    assert sender.all_acknowledged
    assert sender.deadline() is None


def test_questions_after_the_first_are_short() -> None:
    sender = sender_of(100)
    lengths = []
    send(sender, 1, 0.0)
    for _ in range(5):
        now = sender.deadline()
        assert now is not None
        start, stop = send(sender, 1, now)[0]
        lengths.append(stop - start)
    assert lengths == [100, 64, 64, 64, 64]


@pytest.mark.parametrize("room_bytes", [20, 40])
def test_no_question_is_longer_than_the_radios_packets_carry(room_bytes: int) -> None:
    assert bursting().next_question(room_bytes) == (0, room_bytes)
    sender = sender_of(10 * room_bytes)
    send(sender, 5, 0.0, room_bytes)
    for _ in range(3):
        now = sender.deadline()
        assert now is not None
        (question,) = send(sender, 1, now, room_bytes)
        assert question[1] - question[0] <= room_bytes


def test_of_a_question_asked_many_times_at_most_two_can_be_lost() -> None:
    sender = sender_of(100)
    send(sender, 1, 0.0)
    for _ in range(8):
        now = sender.deadline()
        assert now is not None
        send(sender, 1, now)
    sender.on_report(RangeSet(), now + 10.0)
    assert sender.parts_lost == 2


def test_the_rate_leaves_out_the_time_in_which_nothing_was_to_be_sent() -> None:
    sender = sender_of()
    for now in (0.0, 100.0, 200.0):
        send(sender, 10, now)
        sender.on_report(RangeSet([(0, sender.bytes_sent)]), now + 0.5)
    assert sender.estimate.rate_bps == pytest.approx(8 * 1000 / 0.5)


@pytest.mark.parametrize(("size_bytes", "allowed_bytes"), [(200_000, 16_000), (1_000_000, 20_000)])  # HANDOVER R8
def test_what_is_in_flight_is_bounded_however_slow_the_reports_are(size_bytes: int, allowed_bytes: int) -> None:
    sender = sender_of(size_bytes)
    for _ in range(100):
        sender.estimate.took(60.0)
    while (part := sender.next_part(0.0, 4096, 24)) is not None:
        sender.sent(*part, part[1] - part[0] + 24, 0.0)
    assert 0.8 * allowed_bytes <= sender.bytes_sent <= 0.9 * allowed_bytes  # the rest is for questions


def test_a_restart_believes_a_receiver_that_has_less() -> None:
    sender = sender_of()
    send(sender, 50, 0.0)
    sender.on_report(RangeSet([(0, 5_000)]), 0.1)
    sender.restart(RangeSet([(3_000, SIZE)]), 5.0)
    assert (sender.done_bytes, sender.progress_at, sender.deadline()) == (3_000, 5.0, None)
    assert send(sender, 30, 5.0)[0] == (3_000, 3_100)
    assert sender.bytes_resent == 2_000
    sender.restart(RangeSet(), 6.0)
    assert sender.all_sent
    assert sender.all_acknowledged
    assert sender.next_part(6.0, 100, 24) is None


def test_a_stale_report_changes_nothing() -> None:
    sender = sender_of()
    send(sender, 5, 0.0)
    sender.on_report(RangeSet([(0, 500)]), 0.1)
    send(sender, 2, 0.1)
    sender.on_report(RangeSet([(0, 100), (400, 500)]), 0.2)
    assert (sender.done_bytes, sender.parts_lost) == (500, 0)


def test_a_burst_counts_as_one_error() -> None:
    scattered, burst = sender_of(), sender_of()
    for sender, have in (
        (scattered, RangeSet([(0, 100), (200, 300), (400, 500), (600, 1000)])),
        (burst, RangeSet([(0, 400), (700, 1000)])),
    ):
        send(sender, 10, 0.0)
        sender.on_report(have, 0.1)
        assert sender.parts_lost == 3
    assert scattered.estimate.errors_per_byte > 2 * burst.estimate.errors_per_byte


def test_ranges_beyond_the_picture_are_the_peers_error() -> None:
    sender = sender_of()
    for breaks in (
        lambda: sender.on_report(RangeSet([(0, SIZE + 1)]), 0.0),
        lambda: sender.restart(RangeSet([(0, SIZE + 1)]), 0.0),
        lambda: Sender(SIZE, RangeSet([(0, SIZE + 1)]), LinkEstimate(960.0), 0.0),
    ):
        with pytest.raises(DamagedPacket):
            breaks()
    assert sender.done_bytes == 0


@pytest.mark.parametrize(
    ("offset", "size_bytes"), [(0, SIZE + 1), (SIZE, 1), (SIZE - 1, 2), (5, 0), (-1, 5), (2**40, 1)]
)
def test_a_part_that_cannot_be_is_the_peers_error(offset, size_bytes) -> None:
    receiver = Receiver(SIZE, RangeSet())
    with pytest.raises(DamagedPacket):
        receiver.on_part(offset, bytes(size_bytes), 0.0)
    assert receiver.deadline() is None
    assert len(receiver.have) == 0


def test_a_peer_cannot_make_the_sets_grow_without_end() -> None:
    receiver = Receiver(4 * MAX_RANGES, RangeSet())
    sender = sender_of(4 * MAX_RANGES)
    for index in range(2 * MAX_RANGES):
        written = receiver.on_part(2 * index, b"x", 0.0)
        assert len(written) == (index < MAX_RANGES)
        sender.on_report(RangeSet([(2 * index, 2 * index + 1)]), 0.0)
    assert len(receiver.have) == MAX_RANGES
    assert sender.done_bytes == MAX_RANGES
    assert receiver.on_part(1, b"x", 0.0) == [(1, b"x")]  # closes a gap
    assert len(receiver.have) == MAX_RANGES - 1


parts = st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), max_size=40)


@given(parts)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_each_byte_is_given_out_once_and_right(cuts) -> None:
    picture = bytes(range(1, 61))
    receiver, written = Receiver(60, RangeSet()), bytearray(60)
    for offset, length in cuts:
        for start, data in receiver.on_part(offset, picture[offset : offset + length], 0.0):
            assert data
            assert not any(written[start : start + len(data)])
            written[start : start + len(data)] = data
    assert [byte != 0 for byte in written] == [position in receiver.have for position in range(60)]
    assert all(byte in (0, picture[position]) for position, byte in enumerate(written))
    assert receiver.complete == (bytes(written) == picture)


def test_a_report_is_due_some_time_after_the_first_byte_or_at_once_after_many() -> None:
    receiver = Receiver(SIZE, RangeSet())
    receiver.on_part(0, bytes(100), 1.0)
    assert receiver.deadline() == 1.0 + REPORT_AFTER_S
    receiver.on_part(100, bytes(100), 1.1)
    assert not receiver.report_due(1.1)
    assert receiver.report_due(1.0 + REPORT_AFTER_S)
    receiver.on_part(200, bytes(REPORT_BYTES - 200), 1.15)
    assert receiver.report_due(1.15)
    assert receiver.report(1.15) == RangeSet([(0, REPORT_BYTES)])
    assert receiver.deadline() is None


def test_a_fast_line_gets_few_reports() -> None:
    receiver = Receiver(SIZE, RangeSet())
    receiver.on_part(0, bytes(REPORT_BYTES), 1.0)
    receiver.report(1.0)
    receiver.on_part(REPORT_BYTES, bytes(REPORT_BYTES), 1.01)
    assert receiver.deadline() == 1.0 + REPORT_SPACING_S


def test_a_gap_or_a_repeated_part_is_reported_at_once_but_not_each_time() -> None:
    receiver = Receiver(SIZE, RangeSet([(0, 500)]))
    receiver.on_part(600, bytes(50), 1.0)
    assert receiver.report_due(1.0)
    receiver.report(1.0)
    receiver.on_part(700, bytes(50), 1.01)
    assert receiver.deadline() == 1.0 + GAP_SPACING_S
    receiver.report(2.0)
    receiver.on_part(0, bytes(50), 3.0)
    assert receiver.report_due(3.0)


def test_the_end_is_reported_at_once_whoever_says_it() -> None:
    receiver = Receiver(200, RangeSet())
    receiver.on_part(0, bytes(100), 1.0)
    receiver.want_report(1.0)
    assert receiver.report_due(1.0)
    receiver.report(1.0)
    receiver.on_part(100, bytes(100), 1.001)
    assert receiver.complete
    assert receiver.report_due(1.001)


def test_a_report_names_the_first_ranges_only() -> None:
    pairs = [(10 * index, 10 * index + 5) for index in range(REPORT_RANGES + 8)]
    receiver = Receiver(SIZE, RangeSet(pairs))
    assert list(receiver.report(0.0)) == pairs[:REPORT_RANGES]


# ---------------------------------------------------------------- in bursts, on a half-duplex link


def bursting(size_bytes: int = SIZE, burst_bytes: int = 1000) -> Sender:
    return Sender(size_bytes, RangeSet([(0, size_bytes)]), LinkEstimate(11_520.0), 0.0, burst_bytes=burst_bytes)


def test_a_burst_ends_at_its_length_and_the_next_begins_with_the_report() -> None:
    sender = bursting()
    assert len(send(sender, 10, 0.0)) == 10
    assert sender.next_part(0.0, 100, 24) is None
    assert sender.rest_of_burst_bytes(100, 24) == 0
    sender.on_report(RangeSet([(0, 1000)]), 0.2)
    assert sender.next_part(0.2, 100, 24) == (1000, 1100)
    assert sender.rest_of_burst_bytes(100, 24) == 10 * (100 + 24)


reports = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, 3_000)), max_size=REPORT_RANGES),
        st.none() | st.integers(0, 60_000),
    ),
    max_size=4,
)


@given(st.integers(1, 60_000), st.integers(300, 20_000), st.integers(300, 4_000), st.integers(0, 40), reports)
@settings(deadline=None)
def test_behind_the_last_part_of_a_burst_its_report_is_waited_for(
    size_bytes: int, burst_bytes: int, longest_bytes: int, errors: int, told: list
) -> None:
    sender = bursting(size_bytes, burst_bytes)
    for ranges, said_below in [*told, ([], None)]:
        for part in range(2_000):
            cut = sender.next_part(0.0, longest_bytes, 38)
            if cut is None:
                break
            sender.sent(*cut, cut[1] - cut[0] + 38, 0.0)
            assert bool(sender.rest_of_burst_bytes(longest_bytes, 38)) == (sender.deadline() is None), part
            if part == 2:  # what else is sent to that unit meanwhile tells of the line, too
                for _ in range(errors):
                    sender.estimate.lost(1_000)
        assert sender.all_acknowledged or sender.deadline() is not None
        have = RangeSet()
        for start, length in ranges:
            if start < min(size_bytes, start + length):
                have.add(start, min(size_bytes, start + length))
        sender.on_report(have, 0.0, said_below)


def test_what_the_report_on_a_burst_does_not_name_is_lost_and_goes_first() -> None:
    sender = bursting()
    send(sender, 10, 0.0)
    sender.on_report(RangeSet([(0, 300), (500, 900)]), 0.2)
    assert sender.parts_lost == 3
    assert send(sender, 10, 0.2)[:4] == [(300, 400), (400, 500), (900, 1000), (1000, 1100)]


def test_a_burst_of_which_nothing_came_counts_as_one_error() -> None:
    lost, clean = bursting(burst_bytes=8000), bursting(burst_bytes=8000)
    for sender in (lost, clean):
        send(sender, 8, 0.0, 1000)
    lost.on_report(RangeSet(), 0.2)
    assert lost.parts_lost == 8
    assert lost.estimate.errors_per_byte < 2 * clean.estimate.errors_per_byte + 1 / 16_000


def test_no_question_is_asked_while_a_burst_waits_for_the_channel() -> None:
    sender = bursting()
    send(sender, 5, 0.0)
    assert sender.deadline() is None
    assert sender.next_part(100.0, 100, 24) == (500, 600)


def test_a_question_that_waits_for_the_channel_is_asked_once() -> None:
    sender = bursting()
    send(sender, 10, 0.0)
    deadline = sender.deadline()
    assert deadline is not None
    sender.tick(deadline)
    assert sender.deadline() is None
    question = sender.next_part(deadline + 100.0, 100, 24)
    assert question is not None
    assert question[1] - question[0] <= 64
    sender.sent(*question, 88, deadline + 100.0)
    assert sender.next_part(deadline + 100.0, 100, 24) is None
    assert sender.deadline() is not None


def test_a_question_before_a_burst_is_a_burst_of_its_own() -> None:
    sender = bursting()
    question = sender.next_question(4096)
    assert question == (0, 64)
    sender.sent(*question, 88, 0.0, question=True)
    assert sender.next_part(0.0, 100, 24) is None
    sender.on_report(RangeSet([(0, 64)]), 0.1)
    assert sender.next_part(0.1, 100, 24) == (64, 164)


def test_a_burst_is_reported_on_when_it_is_over_and_not_before() -> None:
    receiver = Receiver(SIZE, RangeSet())
    receiver.on_part(0, bytes(3000), 1.0, answer_at=1.5)
    receiver.on_part(6000, bytes(100), 1.2, answer_at=1.5)
    assert receiver.deadline() == 1.5
    assert not receiver.report_due(1.4)
    assert receiver.report_due(1.5)


def test_only_a_question_asks_for_a_burst_and_only_completeness_for_the_end() -> None:
    receiver = Receiver(SIZE, RangeSet())
    receiver.on_part(0, bytes(3000), 1.0, answer_at=1.0)
    assert receiver.asks_for_bytes is None
    receiver.on_part(3000, bytes(64), 1.1, answer_at=1.1)
    assert receiver.asks_for_bytes == SIZE - 3064
    receiver.on_part(3064, bytes(SIZE - 3064), 1.2, answer_at=1.2)
    assert receiver.asks_for_bytes == 0
    receiver.want_report(1.3)
    assert receiver.asks_for_bytes is None
