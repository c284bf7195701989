"""The bytes of one read-out that passes through: a sink for what comes, and parts for the next unit (DESIGN §5)."""

from __future__ import annotations

from collections import deque

from firmware import messages as m
from firmware.commands import Collected, Found
from firmware.core import Core
from firmware.errors import Refused
from firmware.pictures import NONCE_BYTES
from firmware.ranges import RangeSet
from firmware.sinks import Ended
from firmware.transfer import Sender
from hal.errors import DandelionError


class Onward:
    """Takes bytes in order and gives them as PARTs, then END, to `unit` under `handle`; keeps them until confirmed.

    sender: None until it is known how much comes. whole: all has come. A Sink: whoever writes looks at waiting_bytes.
    """

    def __init__(self, core: Core, unit: int, handle: int) -> None:
        self.unit = unit
        self.handle = handle
        self.sender: Sender | None = None
        self.whole = False
        self.waiting_bytes = 0
        self.problem: DandelionError | None = None
        self._core = core
        self._estimate = core.neighbours.heard_before(unit).estimate
        self._nonce = core.rng.randbytes(NONCE_BYTES)
        self._pieces: deque[tuple[int, bytes]] = deque()  # by offset, ascending
        self._gone = RangeSet()  # what was confirmed, and is here no more
        self._end_tries = 0
        self._end_at: float | None = None  # when END is said again
        self._waiting_since = core.now

    # ------------------------------------------------------------ as a sink

    def begin(self, found: Found) -> None:
        """So much will come."""
        core = self._core
        self.sender = Sender(found.size_bytes, RangeSet(), self._estimate, core.now, burst_bytes=core.burst_bytes)

    def write(self, offset: int, data: bytes) -> None:
        """The next bytes: to be sent."""
        assert self.sender is not None
        if not self._pieces:
            self._waiting_since = self._core.now
        self._pieces.append((offset, data))
        self.waiting_bytes += len(data)
        self.sender.more(offset, offset + len(data))
        self._end_at = None

    def finish(self, collected: Collected, ended: Ended) -> None:
        """Never: whoever collects looks at the bytes that are on their way."""
        raise AssertionError((collected, ended))

    def fail(self, error: Refused) -> None:
        """Never: the asker is refused instead."""
        raise AssertionError(error)

    # ------------------------------------------------------------ towards the asker

    @property
    def done(self) -> bool:
        """Whether the next unit has confirmed everything."""
        return self.whole and self.sender is not None and self.sender.all_acknowledged

    @property
    def silent_since(self) -> float:
        """Since when the next unit has confirmed nothing of what it could; never, where nothing waits for it."""
        if self.sender is None or not self._pieces:
            return float("inf")
        return max(self.sender.progress_at, self._waiting_since)

    def next_message(self, longest_part: int, overhead: int, *, question: bool = False) -> m.Part | m.End | None:
        """What to put on the line now. question: a burst must begin with a short part (half duplex)."""
        assert self.sender is not None
        cut = self.sender.next_part(self._core.now, longest_part, overhead)
        if cut is not None and question:
            cut = self.sender.next_question(longest_part) or cut
        if cut is not None:
            return self._part(*cut, overhead, question=question)
        if not self._end_is_due():
            return None
        self._end_at = self._core.now + self._estimate.timeout_s(self._end_tries)
        self._end_tries += 1
        return m.End(self.handle, self._nonce)

    def is_ready(self, longest_part: int, overhead: int) -> bool:
        """Whether next_message() has something now."""
        assert self.sender is not None
        return self.sender.next_part(self._core.now, longest_part, overhead) is not None or self._end_is_due()

    def rest_of_burst_bytes(self, longest_part: int, overhead: int) -> int:
        """What the line takes of the burst under way behind the last message (half duplex), as far as can be told."""
        assert self.sender is not None
        return self.sender.rest_of_burst_bytes(longest_part, overhead)

    def _end_is_due(self) -> bool:
        sender = self.sender
        assert sender is not None
        done = sender.all_acknowledged or (sender.all_sent and self._core.burst_bytes is None)
        return self.whole and done and (self._end_at is None or self._core.now >= self._end_at)

    def _part(self, start: int, stop: int, overhead: int, *, question: bool) -> m.Part:
        """As much of it as lies together; what of its beginning was confirmed may be here no more."""
        assert self.sender is not None
        data = bytearray()
        for offset, piece in self._pieces:
            if not data and start < offset < stop:
                start = offset
            if offset <= start + len(data) < offset + len(piece):
                first = start + len(data) - offset
                data += piece[first : first + stop - start - len(data)]
        assert data, (start, stop)
        stop = start + len(data)
        self.sender.sent(start, stop, len(data) + overhead, self._core.now, question=question)
        self._end_at = None
        return m.Part(self.handle, start, bytes(data))

    def on_report(self, report: m.Report) -> None:
        """The next unit says what it has; that is kept no longer. Raises DamagedPacket."""
        assert self.sender is not None
        have = RangeSet(report.have)
        self.sender.on_report(have, self._core.now, report.below)
        self._end_tries = 0
        kept: deque[tuple[int, bytes]] = deque()
        for offset, data in self._pieces:
            if self.sender.has(offset, offset + len(data)):
                self._gone.add(offset, offset + len(data))
                self.waiting_bytes -= len(data)
            else:
                kept.append((offset, data))
        self._pieces = kept

    def restart(self, missing: m.Ranges) -> bool:
        """The next unit says anew what it lacks. False, and nothing is changed: some of it was here and is gone."""
        assert self.sender is not None
        size_bytes = self.sender.size_bytes
        lacks = RangeSet((start, min(stop, size_bytes)) for start, stop in missing if start < size_bytes)
        if any(self._gone.gaps(start, stop).size_bytes < stop - start for start, stop in lacks):
            return False
        todo = RangeSet()
        for offset, data in self._pieces:
            for start, stop in lacks:
                if max(start, offset) < min(stop, offset + len(data)):
                    todo.add(max(start, offset), min(stop, offset + len(data)))
        self.sender.restart(todo, self._core.now)
        self._end_at = None
        return True

    def deadline(self) -> float | None:
        """When next_message may have something that it had not."""
        if self.sender is None:
            return None
        end_at = None if self._end_at is None or self._end_is_due() else self._end_at
        times = [at for at in (self.sender.deadline(), end_at) if at is not None]
        return min(times, default=None)

    def tick(self) -> None:
        """Time has passed."""
        if self.sender is not None:
            self.sender.tick(self._core.now)
