"""Sender and Receiver over a full-duplex serial line in virtual time: what gets through, how fast, at what cost."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from firmware.estimate import LinkEstimate
from firmware.ranges import RangeSet
from firmware.transfer import Receiver, Sender

OVERHEAD_BYTES = 24  # of every frame: delimiters, CRC, header, seal
RANGE_BYTES = 4  # of one range in a report
LONGEST_PART = 4096
BYTES_PER_S = 11_520.0  # 115200 8N1


class World:
    """Virtual time: a heap of (time, number, what to do)."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (max(when, self.now), next(self._number), what))

    def run(self, until: Callable[[], bool]) -> None:
        """Until the condition holds; fails when nothing is left to happen or after too many events."""
        for _ in range(200_000):
            if until():
                return
            assert self._heap, "nothing is left to happen"
            self.now, _number, what = heapq.heappop(self._heap)
            what()
        raise AssertionError(f"not done after {self.now:.0f} s")


@dataclass(frozen=True, slots=True)
class Part:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Report:
    have: RangeSet


@dataclass(frozen=True, slots=True)
class End:
    pass


Frame = Part | Report | End


@dataclass(frozen=True, slots=True)
class Faults:
    """What a line does to frames; probabilities 0..1. silent: from..to nothing gets through. drops: by content."""

    bit_errors: float = 0.0
    chunk_bytes: int = 64
    chunk_loss: float = 0.0
    duplicated: float = 0.0
    late: float = 0.0  # by late_s, so that the frames after it overtake
    late_s: float = 0.1
    silent: tuple[float, float] = (0.0, 0.0)
    drops: Callable[[Frame, float], bool] = lambda _frame, _now: False


class Line:
    """One direction: takes a frame besides the one it carries, delivers each whole or not at all."""

    def __init__(self, world: World, bytes_per_s: float, delay_s: float, faults: Faults, seed: int) -> None:
        self.world, self.bytes_per_s, self.delay_s, self.faults = world, bytes_per_s, delay_s, faults
        self.random = random.Random(seed)
        self.queued = 0
        self.carried_bytes = 0
        self.free_at = 0.0
        self.chunk, self.chunk_lost = -1, False
        self.opens: Callable[[], None] = lambda: None
        self.deliver: Callable[[Frame], None] = lambda _frame: None

    def send(self, frame: Frame, size_bytes: int) -> None:
        assert self.queued < 2
        self.queued += 1
        self.free_at = max(self.free_at, self.world.now) + size_bytes / self.bytes_per_s
        self.world.at(self.free_at, lambda: self.taken(frame, size_bytes))

    def taken(self, frame: Frame, size_bytes: int) -> None:
        self.queued -= 1
        lost = self.hits_an_error(size_bytes) or self.faults.drops(frame, self.world.now)
        copies = 0 if lost else 1 + (self.random.random() < self.faults.duplicated)
        for _ in range(copies):
            late_s = self.faults.late_s if self.random.random() < self.faults.late else 0.0
            self.world.at(self.world.now + self.delay_s + late_s, lambda: self.deliver(frame))
        self.opens()

    def hits_an_error(self, size_bytes: int) -> bool:
        faults, at_byte = self.faults, round(self.world.now * self.bytes_per_s)  # the line's time counts its bytes
        self.carried_bytes += size_bytes
        lost = self.random.random() > (1 - faults.bit_errors) ** (8 * size_bytes)
        for chunk in range((at_byte - size_bytes) // faults.chunk_bytes, (at_byte - 1) // faults.chunk_bytes + 1):
            if chunk > self.chunk:
                self.chunk, self.chunk_lost = chunk, self.random.random() < faults.chunk_loss
            lost = lost or self.chunk_lost
        return lost or faults.silent[0] <= self.world.now < faults.silent[1]


@dataclass(slots=True)
class Unit:
    """One end: sends reports before parts, END when all is sent; checks that no byte is written twice."""

    world: World
    line: Line  # outwards
    picture: bytes = b""
    sender: Sender | None = None
    receiver: Receiver | None = None
    written: bytearray = field(default_factory=bytearray)
    report_bytes: int = 0
    said_end: bool = False
    armed_at: float = float("inf")

    def take(self, frame: Frame) -> None:
        now = self.world.now
        if isinstance(frame, Part) and self.receiver is not None:
            for offset, data in self.receiver.on_part(frame.offset, frame.data, now):
                assert not any(self.written[offset : offset + len(data)])
                self.written[offset : offset + len(data)] = data
        elif isinstance(frame, End) and self.receiver is not None:
            self.receiver.want_report(now)
        elif isinstance(frame, Report) and self.sender is not None:
            self.sender.on_report(frame.have, now)
        self.pump()

    def pump(self) -> None:
        while self.line.queued < 2 and self.send_one():
            pass
        deadlines = [side.deadline() for side in (self.sender, self.receiver) if side is not None]
        soonest = min((deadline for deadline in deadlines if deadline is not None), default=float("inf"))
        # A deadline that has passed waits for room on the line, whose opening pumps.
        if self.world.now < soonest < float("inf") and soonest != self.armed_at:
            self.armed_at = soonest
            self.world.at(soonest, self.pump)

    def send_one(self) -> bool:
        now = self.world.now
        if self.receiver is not None and self.receiver.report_due(now):
            have = self.receiver.report(now)
            size_bytes = OVERHEAD_BYTES + RANGE_BYTES * len(have)
            self.report_bytes += size_bytes
            self.line.send(Report(have), size_bytes)
            return True
        if self.sender is None or self.sender.all_acknowledged:
            return False
        part = self.sender.next_part(now, LONGEST_PART, OVERHEAD_BYTES)
        if part is not None:
            start, stop = part
            self.sender.sent(start, stop, stop - start + OVERHEAD_BYTES, now)
            self.line.send(Part(start, self.picture[start:stop]), stop - start + OVERHEAD_BYTES)
            self.said_end = False
        elif self.sender.all_sent and not self.said_end:
            self.said_end = True
            self.line.send(End(), OVERHEAD_BYTES + 16)
        return part is not None


class Pair:
    """Two units, a to b, and what came of it."""

    def __init__(
        self,
        there: Faults = Faults(),
        back: Faults = Faults(),
        *,
        bytes_per_s: float = BYTES_PER_S,
        delay_s: float = 0.005,
        seed: int = 1,
    ) -> None:
        self.world = World()
        self.random = random.Random(seed + 100)
        self.bytes_per_s = bytes_per_s
        self.a = Unit(self.world, Line(self.world, bytes_per_s, delay_s, there, seed))
        self.b = Unit(self.world, Line(self.world, bytes_per_s, delay_s, back, seed + 50))
        for unit, other in ((self.a, self.b), (self.b, self.a)):
            unit.line.deliver = other.take
            unit.line.opens = unit.pump

    def begin(
        self, sender: Unit, size_bytes: int, have: RangeSet | None = None, estimate: LinkEstimate | None = None
    ) -> Sender:
        """Let this unit send a picture of which the other one has some already."""
        have = have or RangeSet()
        receiver = self.b if sender is self.a else self.a
        sender.picture = bytes(self.random.randrange(1, 256) for _ in range(size_bytes))
        receiver.written = bytearray(size_bytes)
        for start, stop in have:
            receiver.written[start:stop] = sender.picture[start:stop]
        receiver.receiver = Receiver(size_bytes, have)
        estimate = estimate or LinkEstimate(self.bytes_per_s)
        sender.said_end = False
        sender.sender = Sender(size_bytes, have.missing(size_bytes), estimate, self.world.now)
        sender.pump()
        return sender.sender

    def finish(self, *senders: Sender) -> float:
        """Run until these know that all is there; the seconds it took."""
        self.world.run(lambda: all(sender.all_acknowledged for sender in senders))
        assert self.a.sender is None or self.b.written == self.a.picture
        assert self.b.sender is None or self.a.written == self.b.picture
        return self.world.now


def share(sender: Sender, seconds: float) -> float:
    """Of the line's byte rate, what the picture took."""
    return sender.size_bytes / seconds / sender.estimate.line_bytes_per_s


@pytest.mark.parametrize(
    ("bytes_per_s", "delay_s", "size_bytes", "least"),
    [
        (BYTES_PER_S, 0.005, 200_000, 0.985),
        (BYTES_PER_S, 0.3, 200_000, 0.95),  # 0.6 s of the 18 are one round trip at the end
        (BYTES_PER_S, 0.005, 8_000, 0.94),
        (960.0, 0.005, 20_000, 0.96),
        (100_000.0, 0.005, 500_000, 0.98),
    ],
)
def test_a_clean_line_is_filled_and_reports_cost_less_than_3_percent(bytes_per_s, delay_s, size_bytes, least) -> None:
    pair = Pair(bytes_per_s=bytes_per_s, delay_s=delay_s)
    sender = pair.begin(pair.a, size_bytes)
    assert share(sender, pair.finish(sender)) >= least
    assert sender.bytes_sent == size_bytes
    assert (sender.bytes_resent, sender.parts_lost) == (0, 0)
    assert pair.b.report_bytes < 0.03 * pair.a.line.carried_bytes


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("faults", "least", "resent"),
    [
        (Faults(chunk_loss=0.1, chunk_bytes=64), 0.52, 0.55),
        (Faults(chunk_loss=0.1, chunk_bytes=512), 0.70, 0.25),
        (Faults(bit_errors=1e-4), 0.69, 0.26),
        (Faults(bit_errors=1e-5), 0.85, 0.10),
        (Faults(duplicated=0.2, late=0.1), 0.98, 0.0),
        (Faults(late=0.05, late_s=0.8), 0.85, 0.12),  # overtaken by more than the one that is allowed for
    ],
)
def test_a_bad_line_both_ways_costs_what_it_takes_and_little_more(faults, least, resent, seed) -> None:
    pair = Pair(faults, faults, seed=seed)
    sender = pair.begin(pair.a, 200_000)
    assert share(sender, pair.finish(sender)) >= least
    assert sender.bytes_resent <= resent * 200_000


def test_a_small_picture_gets_over_an_unknown_bad_link_within_seconds() -> None:
    for seed in range(1, 11):
        pair = Pair(Faults(chunk_loss=0.1), Faults(chunk_loss=0.1), seed=seed)
        assert pair.finish(pair.begin(pair.a, 3_000)) < 8.0


@pytest.mark.parametrize(("only_each", "least"), [(2, 0.98), (3, 0.9)])
def test_losing_every_second_report_costs_nothing_and_two_of_three_a_little(only_each, least) -> None:
    count = itertools.count(1)
    pair = Pair(back=Faults(drops=lambda _frame, now: next(count) % only_each > 0 and now < 17))
    sender = pair.begin(pair.a, 200_000)
    assert share(sender, pair.finish(sender)) >= least
    assert sender.bytes_resent == 0


def test_when_every_report_but_the_last_is_lost_one_question_is_enough() -> None:
    pair = Pair(back=Faults(drops=lambda _frame, now: now < 1.0))
    sender = pair.begin(pair.a, 8_000)  # 0.7 s
    assert pair.finish(sender) < 2.0
    assert sender.bytes_resent <= 1_200


def test_the_last_part_lost_is_sent_again_after_a_time_out_of_this_link() -> None:
    once = iter([True])

    def drops(frame: Frame, _now: float) -> bool:
        return isinstance(frame, Part) and frame.offset > 7_000 and next(once, False)

    pair = Pair(Faults(drops=drops))
    sender = pair.begin(pair.a, 8_000)
    assert pair.finish(sender) < 0.73 + 0.7
    assert sender.bytes_resent <= 1_200


def test_a_short_round_trip_known_before_makes_no_long_part_late() -> None:
    estimate = LinkEstimate(BYTES_PER_S)
    for _ in range(50):
        estimate.took(0.01)
    pair = Pair()
    sender = pair.begin(pair.a, 3_000, estimate=estimate)
    pair.finish(sender)
    assert sender.bytes_resent == 0


def test_one_byte() -> None:
    pair = Pair()
    sender = pair.begin(pair.a, 1)
    assert pair.finish(sender) < 0.1
    assert sender.parts_sent == 1


def test_only_what_is_missing_is_sent() -> None:
    pair = Pair()
    have = RangeSet([(0, 64_000), (70_000, 70_001), (90_000, 100_000)])
    sender = pair.begin(pair.a, 100_000, have)
    pair.finish(sender)
    assert sender.bytes_sent == have.missing(100_000).size_bytes
    assert sender.bytes_resent == 0


@pytest.mark.parametrize("cut_at", [0.3, 1.0, 5.0, 9.1, 13.7])
@pytest.mark.parametrize("ways", [1, 2])
def test_a_line_cut_for_30_s_is_found_again_and_costs_what_was_in_flight(cut_at, ways) -> None:
    cut = Faults(silent=(cut_at, cut_at + 30.0))
    pair = Pair(cut, cut)
    senders = [pair.begin(unit, 200_000) for unit in (pair.a, pair.b)[:ways]]
    assert pair.finish(*senders) < 17.8 + 30.0 + 5.0
    for sender in senders:
        assert sender.bytes_resent <= 14_000  # HANDOVER R8 allows 16 kB
        assert sender.estimate.part_bytes(LONGEST_PART, OVERHEAD_BYTES) > 1_000  # a cut is no reason for short parts


def test_a_silent_line_is_asked_ever_more_rarely_and_without_end() -> None:
    pair = Pair(Faults(silent=(5.0, 1e9)))
    sender = pair.begin(pair.a, 200_000)
    pair.world.run(lambda: pair.world.now > 600.0)
    assert 4.0 < sender.progress_at < 6.0
    sent = sender.bytes_sent
    pair.world.run(lambda: pair.world.now > 900.0)
    assert 290 * 64 <= sender.bytes_sent - sent <= 310 * 64  # 300 s at LONGEST_TIMEOUT_S


@pytest.mark.parametrize(
    ("faults", "least"), [(Faults(), 0.96), (Faults(bit_errors=1e-4), 0.66), (Faults(chunk_loss=0.1), 0.45)]
)
def test_two_senders_in_opposite_directions_hardly_disturb_each_other(faults, least) -> None:
    pair = Pair(faults, faults)
    one, other = pair.begin(pair.a, 200_000), pair.begin(pair.b, 200_000)
    assert share(one, pair.finish(one, other)) >= least


def test_a_second_sender_that_sets_in_makes_nothing_be_sent_twice() -> None:
    for tenths in range(50, 60):
        pair = Pair()
        one = pair.begin(pair.a, 100_000)
        pair.world.run(lambda pair=pair, at=tenths / 10: pair.world.now >= at)
        other = pair.begin(pair.b, 50_000)
        pair.finish(one, other)
        assert (one.bytes_resent, other.bytes_resent) == (0, 0)


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        pair = Pair(Faults(chunk_loss=0.1), Faults(chunk_loss=0.1), seed=4)
        sender = pair.begin(pair.a, 50_000)
        runs.append((pair.finish(sender), sender.bytes_resent, pair.b.report_bytes))
    assert runs[0] == runs[1]
