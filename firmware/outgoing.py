"""One picture on its way out under a handle: parts read ahead from the card, repairs, and END (HANDOVER O3)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from firmware import messages as m
from firmware.core import Core
from firmware.pictures import NONCE_BYTES
from firmware.ranges import RangeSet
from firmware.steps import Step
from firmware.transfer import Sender
from hal.errors import DandelionError

BLOCK_BYTES = 32_768
"""Read from the card at once; at 115200 a block lasts 3 s, longer than an SD card's worst read."""
BLOCKS_KEPT = 4
"""Blocks in memory per picture on its way: two ahead, two for repairs of what is in flight; 128 kB."""


class Outgoing:
    """Gives PARTs, then ENDs, until its owner is content. read(offset, size) is a step whose result is bytes.

    failed: why the picture cannot be read any more, else None. nonce: of every END: it is the same question again, and
    the proof may take longer than any number of repeats.
    """

    def __init__(
        self,
        core: Core,
        unit: int,
        handle: int,
        size_bytes: int,
        missing: RangeSet,
        read: Callable[[int, int], Step],
    ) -> None:
        self.unit = unit
        self.handle = handle
        self.size_bytes = size_bytes
        self.nonce = core.rng.randbytes(NONCE_BYTES)
        self.failed: str | None = None
        self.air_bytes = 0
        self._core = core
        self._read = read
        self._estimate = core.neighbours.heard_before(unit).estimate
        self.sender = Sender(size_bytes, missing, self._estimate, core.now, burst_bytes=core.burst_bytes)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._reading: set[int] = set()
        self._end_tries = 0
        self._end_at: float | None = None  # when END is said again
        self._closed = False

    @property
    def done_bytes(self) -> int:
        """Bytes of the picture that the other unit has confirmed."""
        return self.sender.done_bytes

    @property
    def has_spoken(self) -> bool:
        """Whether anything of it was said."""
        return self.sender.parts_sent > 0 or self._end_at is not None

    @property
    def progress_at(self) -> float:
        """When the other unit last confirmed something new."""
        return self.sender.progress_at

    def next_message(self, longest_part: int, overhead: int, *, question: bool = False) -> m.Part | m.End | None:
        """What to put on the line now; None while there is nothing to say or the card is being read.

        question: a burst must begin with a short part.
        """
        if self._closed or self.failed is not None:
            return None
        cut = self.sender.next_part(self._core.now, longest_part, overhead)
        if cut is not None and question:
            cut = self.sender.next_question(longest_part) or cut
        if cut is not None:
            return self._part(*cut, overhead, question=question)
        return self._end() if self._end_is_due() else None

    def is_ready(self, longest_part: int, overhead: int) -> bool:
        """Whether next_message() has something now; if not for the card, a block is being read from now on."""
        if self._closed or self.failed is not None:
            return False
        cut = self.sender.next_part(self._core.now, longest_part, overhead)
        return self._end_is_due() if cut is None else self._block_of(cut[0]) is not None

    def rest_of_burst_bytes(self, longest_part: int, overhead: int) -> int:
        """What the line takes of the burst under way behind the last message (half duplex), as far as can be told."""
        return self.sender.rest_of_burst_bytes(longest_part, overhead)

    def on_report(self, report: m.Report) -> None:
        """The other unit says what it has."""
        self.sender.on_report(RangeSet(report.have), self._core.now, report.below)
        self._end_tries = 0

    def restart(self, missing: RangeSet) -> None:
        """The other unit says anew what it lacks."""
        self.sender.restart(missing, self._core.now)
        self._end_at = None

    def deadline(self) -> float | None:
        """When next_message may have something that it had not."""
        if self._closed or self.failed is not None:
            return None
        end_at = None if self._end_at is None or self._end_is_due() else self._end_at
        times = [t for t in (self.sender.deadline(), end_at) if t is not None]
        return min(times, default=None)

    def tick(self) -> None:
        """Time has passed."""
        self.sender.tick(self._core.now)

    def close(self) -> None:
        """No more of it is wanted; blocks still being read are thrown away."""
        self._closed = True
        self._blocks.clear()

    def _part(self, start: int, stop: int, overhead: int, *, question: bool) -> m.Part | None:
        block = start // BLOCK_BYTES
        data = self._block_of(start)
        if data is None:
            return None
        self._blocks.move_to_end(block)
        if (block + 1) * BLOCK_BYTES < self.size_bytes:
            self._want(block + 1)
        stop = min(stop, (block + 1) * BLOCK_BYTES)
        first = start - block * BLOCK_BYTES
        self.sender.sent(start, stop, stop - start + overhead, self._core.now, question=question)
        self.air_bytes += stop - start + overhead
        self._end_at = None
        return m.Part(self.handle, start, data[first : first + stop - start])

    def _block_of(self, start: int) -> bytes | None:
        """The block with this byte; None: it is being read from now on."""
        self._want(start // BLOCK_BYTES)
        return self._blocks.get(start // BLOCK_BYTES)

    def _end_is_due(self) -> bool:
        sender = self.sender
        done = sender.all_acknowledged or (sender.all_sent and self._core.burst_bytes is None)
        return done and (self._end_at is None or self._core.now >= self._end_at)

    def _end(self) -> m.End:
        self._end_at = self._core.now + self._estimate.timeout_s(self._end_tries)
        self._end_tries += 1
        return m.End(self.handle, self.nonce)

    def _want(self, block: int) -> None:
        if block in self._blocks or block in self._reading:
            return
        self._reading.add(block)
        self._core.run(self._load(block), on_error=self._cannot_read)

    def _load(self, block: int) -> Step:
        offset = block * BLOCK_BYTES
        size = min(BLOCK_BYTES, self.size_bytes - offset)
        data = yield from self._read(offset, size)
        self._reading.discard(block)
        if self._closed:
            return
        if len(data) != size:
            self.failed = "its file is shorter than it should be"
            return
        self._blocks[block] = data
        while len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)

    def _cannot_read(self, error: DandelionError) -> None:
        self.failed = str(error)
