"""The simulated line: its time and its faults; the contract test has what every radio does."""

from __future__ import annotations

import random

import pytest

from hal.framing import frame
from hal.interfaces import Duplex, Protection
from sim.clock import SimClock
from sim.radio import UNREAD_BYTES, LineOptions, SimLine, SimRadio, damaged


def make_line(options: LineOptions, *, seed: int = 1, baud: int = 115200) -> SimLine:
    return SimLine(SimClock(), random.Random(seed), baud=baud, options=options)


def transmit(line: SimLine, sender: SimRadio, receiver: SimRadio, packets: list[bytes]) -> list[bytes]:
    """Send all these at the line's pace; what the receiver gets."""
    got: list[bytes] = []
    for packet in packets:
        while not sender.room:
            due = sender.deadline()
            assert due is not None
            line.clock.advance_to(due)
            sender.service()
        sender.send(packet, Protection.NONE)
        got += packets_of(receiver)
    while (arrives_at := line.deadline()) is not None:
        line.clock.advance_to(max(arrives_at, line.clock.monotonic()))
        got += packets_of(receiver)
    return got


def packets_of(radio: SimRadio) -> list[bytes]:
    return [arrival.packet for arrival in radio.receive()]


def numbered(count: int, size_bytes: int) -> list[bytes]:
    return [number.to_bytes(2, "big") * (size_bytes // 2) for number in range(count)]


def test_a_frame_arrives_after_its_line_time_and_the_delay() -> None:
    line = make_line(LineOptions(delay_s=0.25), baud=10_000)
    near, far = SimRadio(line), SimRadio(line)
    near.send(bytes(500), Protection.NONE)
    due = line.deadline()
    assert due is not None
    assert due - line.clock.monotonic() == pytest.approx((1 + len(frame(bytes(500)))) / 1000 + 0.25)
    line.clock.advance_to(due - 0.001)
    assert far.receive() == []
    line.clock.advance_to(due)
    assert packets_of(far) == [bytes(500)]


def test_all_others_on_a_bus_hear_and_the_sender_does_not() -> None:
    line = make_line(LineOptions(duplex=Duplex.HALF))
    radios = [SimRadio(line) for _ in range(4)]
    assert {radio.duplex for radio in radios} == {Duplex.HALF}
    radios[1].send(b"to all", Protection.NONE)
    line.clock.advance(1.0)
    assert [packets_of(radio) for radio in radios] == [[b"to all"], [], [b"to all"], [b"to all"]]


def test_lost_frames_leave_no_trace() -> None:
    line = make_line(LineOptions(frame_loss=0.25))
    near, far = SimRadio(line), SimRadio(line)
    packets = numbered(400, 20)
    got = transmit(line, near, far, packets)
    assert got == [packet for packet in packets if packet in set(got)]
    assert 260 < len(got) < 340
    assert far.counts.frames_damaged == 0


@pytest.mark.parametrize("options", [LineOptions(chunk_loss=0.1, chunk_bytes=64), LineOptions(bit_error_rate=1e-4)])
def test_what_arrives_in_spite_of_faults_is_right_and_in_order(options: LineOptions) -> None:
    line = make_line(options)
    near, far = SimRadio(line), SimRadio(line)
    packets = numbered(400, 200)
    got = transmit(line, near, far, packets)
    assert got == [packet for packet in packets if packet in set(got)]
    assert 100 < len(got) < 390
    assert far.counts.frames_damaged > 10


@pytest.mark.parametrize("rate", [0.01, 0.5])
def test_bit_errors_come_at_their_rate(rate: float) -> None:
    rng = random.Random(1)
    sent = bytes(range(256)) * 400
    heard = damaged(sent, LineOptions(bit_error_rate=rate), rng)
    flipped = (int.from_bytes(heard, "big") ^ int.from_bytes(sent, "big")).bit_count()
    assert flipped == pytest.approx(rate * 8 * len(sent), rel=0.05)


def test_lost_chunks_are_cut_out_whole() -> None:
    rng = random.Random(1)
    sent = b"".join(bytes([number]) * 50 for number in range(200))
    heard = damaged(sent, LineOptions(chunk_loss=0.3, chunk_bytes=50), rng)
    assert 120 < len(set(heard)) < 160
    assert len(heard) == 50 * len(set(heard))


def test_same_seed_same_faults_and_another_seed_others() -> None:
    def run(seed: int) -> list[bytes]:
        line = make_line(LineOptions(frame_loss=0.2, chunk_loss=0.05, bit_error_rate=1e-4), seed=seed)
        near, far = SimRadio(line), SimRadio(line)
        return transmit(line, near, far, numbered(100, 100))

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_faults_may_change_while_the_line_is_in_use() -> None:
    line = make_line(LineOptions(frame_loss=1.0))
    near, far = SimRadio(line), SimRadio(line)
    assert transmit(line, near, far, [b"lost"]) == []
    line.options = LineOptions()
    assert transmit(line, near, far, [b"heard"]) == [b"heard"]


def test_what_nobody_reads_is_bounded() -> None:
    line = make_line(LineOptions())
    far = SimRadio(line)
    for _ in range(3):
        line.noise(far, bytes(UNREAD_BYTES // 2))
    line.service()
    far.receive()
    assert far.counts.bytes_in == UNREAD_BYTES


def test_a_closed_radio_hears_nothing_and_disturbs_nobody() -> None:
    line = make_line(LineOptions())
    near, far = SimRadio(line), SimRadio(line)
    far.close()
    near.send(b"x", Protection.NONE)
    assert line.deadline() is None
    assert far.fileno() is None
