"""Bringing one picture over one link: Sender and Receiver, without radio or clock.

The sender cuts what is missing into parts of any length and streams them in order, as many bytes in flight as the
round trip asks for. The receiver reports which ranges it *has*: every report is the whole truth (of the beginning of
the picture, if there are too many ranges), so a lost report costs nothing, the next one says the same and more.

A part is lost when a part handed to the radio at least LATER parts after it was reported and it was not: a serial line
does not reorder. So a loss is known about one round trip after it happened, whatever time-outs are, only what was lost
is sent again, and that goes before anything new. Time-outs matter only when nothing at all comes back (the last parts
or the reports on them were lost, or the link is cut): then one part is sent as a question, a short one where it can
carry nothing that is urgent; any part makes the other side report, and from that report on all is as above. The
question is repeated with back-off and without end: whoever owns the sender looks at `progress_at` and gives up.

So no timer of seconds stands behind one lost acknowledgement, a flipped bit costs one part, and a cut link costs what
was in flight. Reports go by the bytes received, few enough to leave the way back to whoever sends there.

On a half-duplex link the same parts go in bursts (`burst_bytes`): nothing comes back before the end of one, the report
that follows is about all of it, so what it does not name is lost, and the next burst begins with that.
"""

from __future__ import annotations

import math

from firmware.errors import DamagedPacket
from firmware.estimate import SHORTEST_PART_BYTES, LinkEstimate
from firmware.messages_handover import Report
from firmware.ranges import MAX_RANGES, RangeSet
from hal.light_dataclass import dataclass

# A list of ranges, of what is there or of what is missing, names at most so many, the first ones. One that names fewer
# is about the whole picture; one that names as many says nothing about what lies beyond its last range. 32 ranges are
# about 130 bytes on the wire.
REPORT_RANGES = 32

LATER = 2  # parts reported of those sent after one that is then held lost: one may overtake (QUIC takes 3, RFC 9002)
LATER_AT_THE_END = 1  # when nothing is left to be sent there will be no second one

# Bytes in flight: what the line carries in a round trip, in the time between reports with one or two of them lost, and
# one part more, as room comes in steps: 10 kB at 115200.
BETWEEN_REPORTS_S = 0.4
# And never more than so many bytes, or this share of the picture: what a cut link costs is sent again, and HANDOVER R8
# allows max(2 %, 16 kB). The rest is for the questions that are asked into the cut link: parts, too.
MAX_IN_FLIGHT_BYTES = 14_000
MAX_IN_FLIGHT_SHARE = 0.0175

# Losses in a row count as one error for each so many bytes of them: a burst on the line is one error, however short
# the parts, and shorter ones would not help against it (the chunks that radios lose are 64 to 512 bytes long).
BURST_BYTES = 512
CUT_TRIES = 3  # and after so many questions without a report all that was lost in a row is one error: the link was cut


@dataclass(slots=True)
class _Flying:
    """A part under way. order: place in the order of sending. clear: a report on it is about this sending of it, as
    its bytes were never sent before or were known to be lost."""

    order: int
    start: int
    stop: int
    wire_bytes: int
    sent_at: float
    clear: bool


class Sender:
    """Sends what is missing of a picture of size_bytes. Ask next_part() while the radio has room; call sent() for each.

    missing: what the receiver lacks (its ACCEPT); DamagedPacket if beyond the picture. Owner's duties: tick() at
    deadline(), on_report() for each report, END when `all_sent`, giving up when `progress_at` is too long ago.
    """

    def __init__(
        self, size_bytes: int, missing: RangeSet, estimate: LinkEstimate, now: float, *, burst_bytes: int | None = None
    ) -> None:
        """burst_bytes: in bursts of at most so many, each reported on as a whole (half duplex); None: streaming."""
        assert size_bytes > 0
        self.size_bytes = size_bytes
        self.estimate = estimate
        self._burst_bytes = burst_bytes
        self._burst_ended = False  # and the report on it is waited for
        self._length = 0  # of its parts
        self.bytes_sent = 0  # of the picture, repeated ones included
        self.bytes_resent = 0  # of these, sent before
        self.parts_sent = 0
        self.parts_lost = 0
        self._order = 0  # of the last part sent
        self._farthest = 0  # end of what was ever sent
        self._lost_order = -1  # the last part found lost, and the wire bytes lost in a row up to it
        self._lost_in_a_row = 0
        self.restart(missing, now)

    def restart(self, missing: RangeSet, now: float) -> None:
        """The receiver says anew what it lacks (an ACCEPT after EXPIRED): believe it, even if it now has less.

        What a list of REPORT_RANGES ranges leaves open counts as missing, until the first report tells.
        """
        _within(missing, self.size_bytes)
        self._todo = missing.copy()
        if len(missing) >= REPORT_RANGES:
            self._todo.add(missing.stop, self.size_bytes)
        self._acked = self._todo.missing(self.size_bytes)
        self._flying: dict[int, _Flying] = {}  # by order, in order
        self._in_flight_bytes = 0
        self._newest_acked = self._order  # order of the newest part reported
        self._question = False  # a part is wanted as a question
        self._burst_ended = False
        self._tries = 0  # questions since the last report
        self._asked_at = self._heard_at = self._sent_at = self._rate_from = now
        self.progress_at = now

    def more(self, start: int, stop: int) -> None:
        """These bytes, which were not to be sent until now, are here to be sent. start <= stop <= size_bytes."""
        assert stop <= self.size_bytes, (start, stop)
        self._todo.add(start, stop)
        self._acked.subtract(start, stop)

    def has(self, start: int, stop: int) -> bool:
        """Whether the receiver said that it has all of this, or it was never to be sent."""
        return self._acked.covers(start, stop)

    @property
    def all_sent(self) -> bool:
        """Everything was sent and nothing is known to be lost: time for END. May become False again."""
        return not self._todo

    @property
    def all_acknowledged(self) -> bool:
        """The receiver said that it has everything."""
        return self._acked.size_bytes == self.size_bytes

    @property
    def done_bytes(self) -> int:
        """How much the receiver has, as far as it said."""
        return self._acked.size_bytes

    def next_part(self, now: float, longest_bytes: int, overhead_bytes: int) -> tuple[int, int] | None:
        """Start and stop of the part to send now, or None; nothing of it counts as sent before sent().

        longest_bytes: of picture, that fit one packet. overhead_bytes: what a part takes on the line beyond its own.
        """
        self.tick(now)
        length = self._length = self._part_bytes(longest_bytes, overhead_bytes)
        if self._question:
            return self._questioning(length)
        if not self._todo or self._burst_ended or self._in_flight_bytes + length > self._most_in_flight(length):
            return None
        start, stop = next(iter(self._todo))
        parts = math.ceil((stop - start) / length)
        return start, start + math.ceil((stop - start) / parts)  # equal ones, not a last one of three bytes

    def next_question(self, longest_bytes: int) -> tuple[int, int] | None:
        """Start and stop of a short part that is still to be sent: it finds out whether a burst would be heard."""
        return self._questioning(longest_bytes) if self._todo else None

    def rest_of_burst_bytes(self, longest_bytes: int, overhead_bytes: int) -> int:
        """What the line takes of the burst under way behind what was sent, as far as known; 0: its report is due."""
        if self._burst_ended:
            return 0
        length = self._part_bytes(longest_bytes, overhead_bytes)
        room_bytes = int(self._most_in_flight(length)) - self._in_flight_bytes
        parts = min(-(-self._todo.size_bytes // length), room_bytes // length)
        return min(self._todo.size_bytes, parts * length) + parts * overhead_bytes

    def sent(self, start: int, stop: int, wire_bytes: int, now: float, *, question: bool = False) -> None:
        """The part was handed to the radio, where it takes wire_bytes of the line. question: of next_question()."""
        assert 0 <= start < stop <= self.size_bytes, (start, stop)
        clear = self._todo.covers(start, stop)
        if not clear:
            self._forget_within(start, stop)
        if not self._flying:
            self._rate_from = now
        self._order += 1
        self._flying[self._order] = _Flying(self._order, start, stop, wire_bytes, now, clear)
        self._in_flight_bytes += stop - start
        self._todo.subtract(start, stop)
        self.parts_sent += 1
        self.bytes_sent += stop - start
        self.bytes_resent += max(0, min(stop, self._farthest) - start)
        self._farthest = max(self._farthest, stop)
        self._burst_ended = self._burst_bytes is not None and (self._question or question or self._is_full())
        self._question = False
        self._sent_at = now

    def on_report(self, have: RangeSet, now: float, said_below: int | None = None) -> None:
        """The receiver says what it has. DamagedPacket if beyond the picture.

        said_below: the position up to which the list is whole; without it, REPORT_RANGES tells.
        """
        _within(have, self.size_bytes)
        for start, stop in have:
            if _add_within_limit(self._acked, start, stop):
                self._todo.subtract(start, stop)
        arrived = [part for part in self._flying.values() if self._acked.covers(part.start, part.stop)]
        if arrived:
            self._measure(arrived, now)
            self.progress_at = now
        for part in arrived:
            self._land(part)
            self.estimate.carried(part.wire_bytes)
        if said_below is None:
            said_below = self.size_bytes if len(have) < REPORT_RANGES else have.stop
        self._find_lost(said_below, now, cut=not arrived and self._burst_bytes is not None)
        self._heard_at = now
        self._tries = 0
        self._question = False
        self._burst_ended = self._burst_bytes is not None and bool(self._flying) and self._is_full()

    def deadline(self) -> float | None:
        """When tick() is wanted; None while nothing is in flight (then next_part() has something, or all is done)."""
        if not self._flying or self._question or (self._burst_bytes is not None and not self._burst_ended):
            return None
        waited_from = max(self._sent_at, self._asked_at, self._heard_at)
        return waited_from + self.estimate.timeout_s(self._tries, self._newest().wire_bytes)

    def tick(self, now: float) -> None:
        """If nothing was heard for too long, let next_part() give a question, whatever is in flight."""
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            self._question = True
            self._tries += 1
            self._asked_at = now

    def _part_bytes(self, longest_bytes: int, overhead_bytes: int) -> int:
        """The longest part now. While something of a burst is in flight it stays: whether one more fits must not change
        behind what was the last part, or behind what was not."""
        if self._burst_bytes is None or not self._flying:
            return self.estimate.part_bytes(longest_bytes, overhead_bytes)
        return self._length

    def _is_full(self) -> bool:
        """Whether no other part goes into the burst."""
        return not self._todo or self._in_flight_bytes + self._length > self._most_in_flight(self._length)

    def _questioning(self, length: int) -> tuple[int, int]:
        """Bytes still to be sent, few; else of the newest part again, the likeliest lost: the first time whole.

        Never what was acknowledged: whoever passes pictures on has it no more.
        """
        short = min(SHORTEST_PART_BYTES, length)  # some radios' packets carry less than the shortest part
        if self._todo:
            start, stop = next(iter(self._todo))
            return start, min(stop, start + short)
        newest = self._newest()
        whole = self._tries == 1 and self._burst_bytes is None
        start, stop = next(iter(self._acked.gaps(newest.start, newest.stop)))
        return start, min(stop, start + (length if whole else short))

    def _newest(self) -> _Flying:
        return next(reversed(self._flying.values()))

    def _most_in_flight(self, length: int) -> float:
        if self._burst_bytes is not None:
            return max(length, min(self._burst_bytes, MAX_IN_FLIGHT_BYTES))
        line = self.estimate.line_bytes_per_s
        wanted = (self.estimate.expected_rtt_s + BETWEEN_REPORTS_S) * line + length
        return min(wanted, max(MAX_IN_FLIGHT_BYTES, MAX_IN_FLIGHT_SHARE * self.size_bytes))

    def _measure(self, arrived: list[_Flying], now: float) -> None:
        """Round trip and rate. Only a clear part, sent after the last question and newer than any reported, tells."""
        newest = arrived[-1]
        if newest.order > self._newest_acked:
            self._newest_acked = newest.order
            tells = self._burst_bytes is None or newest.order == self._order  # a report on a burst is sent at its end
            if tells and newest.clear and newest.sent_at >= self._asked_at:
                self.estimate.took(now - newest.sent_at)
        self.estimate.delivered(sum(part.stop - part.start for part in arrived), now - self._rate_from)
        self._rate_from = now

    def _find_lost(self, said_below: int, now: float, *, cut: bool) -> None:
        """Parts that the report covers, does not name, and would name: a later one arrived, or it is long ago.

        cut: nothing of a burst has arrived.
        """
        later = LATER if self._todo else LATER_AT_THE_END
        for part in list(self._flying.values()):
            overtaken = self._burst_bytes is not None or part.order <= self._newest_acked - later
            long_ago = self._tries > 0 and now - part.sent_at >= self.estimate.timeout_s(0, part.wire_bytes)
            if part.stop <= said_below and (overtaken or long_ago):
                self._land(part)
                self.parts_lost += 1
                self._count_error(part, cut=cut or self._tries >= CUT_TRIES)
                for start, stop in self._acked.gaps(part.start, part.stop):
                    self._todo.add(start, stop)

    def _count_error(self, part: _Flying, *, cut: bool) -> None:
        """Tell the estimate, but of a burst of errors, or of all that was lost in a silence, only once."""
        in_a_row = part.order == self._lost_order + 1
        self._lost_order = part.order
        self._lost_in_a_row = self._lost_in_a_row + part.wire_bytes if in_a_row else 0
        if not in_a_row or (self._lost_in_a_row >= BURST_BYTES and not cut):
            self._lost_in_a_row = 0
            self.estimate.lost(part.wire_bytes)

    def _forget_within(self, start: int, stop: int) -> None:
        """Parts in flight whose bytes are all being sent again: the new one stands for them."""
        for part in list(self._flying.values()):
            if start <= part.start and part.stop <= stop:
                self._land(part)

    def _land(self, part: _Flying) -> None:
        del self._flying[part.order]
        self._in_flight_bytes -= part.stop - part.start


# A report is due after so many bytes, or so long after the first byte not yet reported, whichever is first: at 115200
# a report of 30 bytes for each 2 kB is 1.5 % of the way back, on a slow line one for each part of 1 kB is 3 %.
REPORT_BYTES = 2000
REPORT_AFTER_S = 0.2
REPORT_SPACING_S = 0.05  # no two reports closer, but at the end: a fast line needs none for each 2 kB
GAP_SPACING_S = 0.1  # where something is missing: the other side streams on, sooner would only cost


class Receiver:
    """Takes parts of a picture of size_bytes in any order. Send report() when report_due(); sooner at deadline()."""

    def __init__(self, size_bytes: int, have: RangeSet) -> None:
        assert size_bytes > 0
        assert have.stop <= size_bytes
        self.size_bytes = size_bytes
        self.have = have.copy()  # read only for others
        self._unreported_bytes = 0
        self._reported_at = float("-inf")
        self._due_at: float | None = None
        self._asked = self._ended = False  # what came last was a question, was END

    @property
    def complete(self) -> bool:
        """Every byte was there."""
        return self.have.size_bytes == self.size_bytes

    @property
    def asks_for_bytes(self) -> int | None:
        """After a question (half duplex): how much may follow the report at once; 0: END. None: no more than that."""
        if self.complete:
            return None if self._ended else 0
        return self.size_bytes - self.have.size_bytes if self._asked else None

    def on_part(self, offset: int, data: bytes, now: float, answer_at: float | None = None) -> list[tuple[int, bytes]]:
        """What of a part is new, as (offset, bytes) to be written. DamagedPacket if empty or beyond the picture.

        answer_at: when the sender's burst is over and a report is wanted (half duplex); None: it streams.
        """
        stop = offset + len(data)
        if not 0 <= offset < stop <= self.size_bytes:
            raise DamagedPacket(f"a part {offset}..{stop} of a picture of {self.size_bytes} bytes")
        opens_gap = offset > self.have.stop
        new = [(start, data[start - offset : end - offset]) for start, end in self.have.gaps(offset, stop)]
        if new and not _add_within_limit(self.have, offset, stop):
            new = []
        elif answer_at is None:
            self._stream_report(len(data), now, opens_gap=opens_gap, is_new=bool(new))
        if answer_at is not None:
            self._asked, self._ended = len(data) <= SHORTEST_PART_BYTES, False
            self._due_at = answer_at
        return new

    def _stream_report(self, size_bytes: int, now: float, *, opens_gap: bool, is_new: bool) -> None:
        """When what has come is to be reported, while more comes."""
        self._unreported_bytes += size_bytes
        self._report_after(REPORT_AFTER_S, REPORT_SPACING_S, now)
        if is_new and self.complete:
            self._due_at = now
        elif opens_gap or not is_new:
            self._report_after(0.0, GAP_SPACING_S, now)
        elif self._unreported_bytes >= REPORT_BYTES:
            self._report_after(0.0, REPORT_SPACING_S, now)

    def want_report(self, now: float) -> None:
        """A report at once: END came, and the sender waits."""
        self._asked, self._ended = False, True
        self._due_at = now

    def deadline(self) -> float | None:
        """When the next report is due, None if none is."""
        return self._due_at

    def report_due(self, now: float) -> bool:
        """Whether report() is to be sent now."""
        return self._due_at is not None and now >= self._due_at

    def report(self, now: float) -> RangeSet:
        """What to report: the first REPORT_RANGES ranges of what is there. It counts as sent."""
        self._due_at = None
        self._unreported_bytes = 0
        self._reported_at = now
        return self.have.beginning(REPORT_RANGES)

    def _report_after(self, seconds: float, spacing_s: float, now: float) -> None:
        due_at = max(now + seconds, self._reported_at + spacing_s)
        self._due_at = due_at if self._due_at is None else min(self._due_at, due_at)


def report_of(handle: int, receiver: Receiver, now: float) -> Report:
    """The REPORT that is due under this handle."""
    have = receiver.report(now)
    below = receiver.size_bytes if len(have) < REPORT_RANGES else have.stop
    return Report(handle, tuple(have), below)


def _within(ranges: RangeSet, size_bytes: int) -> None:
    if ranges.stop > size_bytes:
        raise DamagedPacket(f"ranges up to {ranges.stop} of a picture of {size_bytes} bytes")


def _add_within_limit(ranges: RangeSet, start: int, stop: int) -> bool:
    """Add what a peer says unless that makes a range too many; such a part comes again when there are fewer."""
    if len(ranges) >= MAX_RANGES and ranges.grows_by_adding(start, stop):
        return False
    ranges.add(start, stop)
    return True
