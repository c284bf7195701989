"""A shared serial line and its faults as pure values: bytes and the time in, bytes out once the line has carried them.

What is simulated: 10 bit times per byte (8N1) from each sender, so a line never carries more than baud / 10 bytes
per second and sender; delay; lost chunks and flipped bits, drawn for each receiver apart (two radios do not fail
alike); on a half-duplex medium the bytes of senders that overlap arrive as random ones.

What is not: the receiver's side has no pace of its own. A hub of N ports (full duplex, N > 2) hands a receiver up
to N-1 times the line rate, as if each sender had a channel of its own. It forwards whole frames that end with 0x00
(COBS, DESIGN §7), so that frames of several senders do not mix; a stream without 0x00 comes out in pieces of
HUB_FRAME_BYTES. Not simulated either: capture of the stronger sender, hidden stations, wrong baud rates, noise
while nobody sends (inject() makes some).
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque

from hal.light_dataclass import dataclass

BITS_PER_BYTE_ON_LINE = 10  # 8N1: start bit, eight data bits, stop bit
MAX_PORTS = 64  # one select() carries them; DESIGN speaks of 3 to 50 units
MAX_DELAY_S = 10.0  # bounds what is in flight; a satellite hop is 0.6 s
LANE_BYTES = 4096  # what a sender's driver takes ahead of the line: the kernel's UART transmit buffer (one page)
LANE_S = 0.05  # and no less than this much line time, so that a late wake-up of the pump costs no rate
GRAIN_S = 0.004  # a long stream is handed over in steps of this length; the end of a burst at its very instant
HUB_FRAME_BYTES = 16_384  # longest frame a hub keeps together: four times DESIGN §7's largest part
_NEVER = 1 << 62  # bits until the next error where there are none
_ROUNDING = 1e-3  # of a byte: monotonic seconds as floats are no finer over weeks


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """Every fault of the line and how likely it is.

    half_duplex: one medium for all. delay_s: added to each byte. bit_error_rate: per bit. chunk_loss: probability
    that a chunk of chunk_bytes consecutive bytes of one sender does not reach a receiver. ValueError if impossible.
    """

    half_duplex: bool = False
    delay_s: float = 0.0
    bit_error_rate: float = 0.0
    chunk_loss: float = 0.0
    chunk_bytes: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.delay_s <= MAX_DELAY_S:
            raise ValueError(f"delay_s must be within 0..{MAX_DELAY_S}, not {self.delay_s}")
        if not (0 <= self.bit_error_rate <= 0.5 and 0 <= self.chunk_loss <= 1):
            raise ValueError("bit_error_rate must be within 0..0.5 and chunk_loss within 0..1")
        if self.chunk_bytes < 1:
            raise ValueError("chunk_bytes must be at least 1")


@dataclass(slots=True)
class PortCounts:
    """Bytes at one port since the line was made, seen from its unit; all but the first are of what came to it."""

    sent_bytes: int = 0
    arrived_bytes: int = 0
    lost_bytes: int = 0  # lost chunks, and all that was under way while the line was cut
    garbled_bytes: int = 0  # collisions of a half-duplex medium
    flipped_bits: int = 0
    overflowed_bytes: int = 0  # the unit did not read in time


class LineModel:
    """`count` ports on one line. The caller's clock only goes forward; seeded chance, so same calls, same bytes.

    What arrives does not depend on how often take() is called, only when it is handed over.
    """

    def __init__(self, count: int, *, baud: int, options: LineOptions, rng: random.Random) -> None:
        if not 2 <= count <= MAX_PORTS:
            raise ValueError(f"a line joins 2 to {MAX_PORTS} ports, not {count}")
        if baud < BITS_PER_BYTE_ON_LINE:
            raise ValueError(f"baud must be at least {BITS_PER_BYTE_ON_LINE}, not {baud}")
        self.counts = [PortCounts() for _ in range(count)]
        self.is_hub = count > 2 and not options.half_duplex
        self.bytes_per_s = baud / BITS_PER_BYTE_ON_LINE
        self._options = options
        self._lanes = [_Lane(1 / self.bytes_per_s) for _ in range(count)]
        self._paths = [
            [_Path(options, random.Random(rng.getrandbits(64)), self.counts[to]) for to in range(count)]
            for _ in range(count)
        ]
        self._frames = [bytearray() for _ in range(count)]  # of a hub: what each sender has begun
        self._arrivals: list[tuple[float, int, int, bytes]] = []  # heap of (due, order, port, bytes)
        self._order = 0
        self._cut = False

    @property
    def cut(self) -> bool:
        """Whether the line is cut: senders notice nothing, nothing arrives."""
        return self._cut

    def room(self, port: int) -> int:
        """Bytes that send() takes for this port now."""
        return max(LANE_BYTES, int(LANE_S * self.bytes_per_s)) - len(self._lanes[port].queue)

    def send(self, port: int, data: bytes, now: float) -> None:
        """The unit at `port` writes; ValueError beyond room()."""
        if len(data) > self.room(port):
            raise ValueError(f"{len(data)} bytes for a lane with room for {self.room(port)}")
        self._advance(now)
        if data:
            self._lanes[port].add(data, now)
            self.counts[port].sent_bytes += len(data)

    def inject(self, port: int, data: bytes, now: float) -> None:
        """Noise: these bytes arrive at `port` at once, whatever the line does."""
        self._advance(now)
        self._arrive(port, data, now)

    def stop(self, now: float) -> None:
        """Cut the line: what is under way is lost, and so is all that is sent until start()."""
        self._advance(now)
        for _, _, port, data in self._arrivals:
            self.counts[port].lost_bytes += len(data)
        self._arrivals.clear()
        for frame in self._frames:
            frame.clear()
        self._cut = True

    def start(self, now: float) -> None:
        """Join the line again."""
        self._advance(now)
        self._cut = False

    def take(self, now: float) -> list[tuple[int, bytes]]:
        """(port, bytes) that have arrived by now and were not taken yet, in order of arrival."""
        self._advance(now)
        taken: list[tuple[int, bytes]] = []
        while self._arrivals and self._arrivals[0][0] <= now:
            _, _, port, data = heapq.heappop(self._arrivals)
            self.counts[port].arrived_bytes += len(data)
            taken.append((port, data))
        return taken

    def deadline(self) -> float | None:
        """When take() is wanted next; None while the line is quiet."""
        grain_bytes = max(1, int(GRAIN_S * self.bytes_per_s))
        due = [lane.deadline(grain_bytes) for lane in self._lanes if lane.queue]
        if self._arrivals:
            due.append(self._arrivals[0][0])
        return min(due, default=None)

    def _advance(self, now: float) -> None:
        for port, lane in enumerate(self._lanes):
            start, data = lane.through(now)
            if data and self._cut:
                self._lose(port, len(data))
            elif data:
                self._carry(port, data, start)
        for lane in self._lanes:
            lane.forget(now)

    def _lose(self, port: int, size_bytes: int) -> None:
        for to, counts in enumerate(self.counts):
            if to != port:
                counts.lost_bytes += size_bytes

    def _carry(self, port: int, data: bytes, start: float) -> None:
        """Spread what `port` sent from `start` on, whole, to the others."""
        due = start + len(data) / self.bytes_per_s + self._options.delay_s
        collided = self._collisions(port, len(data), start) if self._options.half_duplex else []
        if self.is_hub:
            data = self._whole_frames(port, data)
        for to, path in enumerate(self._paths[port]):
            if to != port and data:
                self._arrive(to, path.carry(data, collided), due)

    def _whole_frames(self, port: int, data: bytes) -> bytes:
        """All of the sender's frames that are complete now, in one piece; the rest waits."""
        waiting = self._frames[port]
        waiting += data
        end = waiting.rfind(0) + 1
        if not end and len(waiting) >= HUB_FRAME_BYTES:
            end = len(waiting)
        whole = bytes(waiting[:end])
        del waiting[:end]
        return whole

    def _collisions(self, port: int, size_bytes: int, start: float) -> list[int]:
        """Indices into these bytes of those during which another port was sending too."""
        hit: set[int] = set()
        for other, lane in enumerate(self._lanes):
            if other == port:
                continue
            for busy_from, busy_to in lane.busy:
                first = math.floor((busy_from - start) * self.bytes_per_s + _ROUNDING)
                after = math.ceil((busy_to - start) * self.bytes_per_s - _ROUNDING)
                hit.update(range(max(first, 0), min(after, size_bytes)))
        return sorted(hit)

    def _arrive(self, port: int, data: bytes, due: float) -> None:
        if data:
            self._order += 1
            heapq.heappush(self._arrivals, (due, self._order, port, data))


class _Lane:
    """What one port is sending: the bytes not yet through, and when the medium was busy with it."""

    __slots__ = ("_byte_s", "_done", "_start", "busy", "queue")

    def __init__(self, byte_s: float) -> None:
        self.queue = bytearray()
        self.busy: deque[tuple[float, float]] = deque()  # at most one entry a byte time: forget() ends them
        self._byte_s = byte_s
        self._start = -math.inf  # of the burst: bytes without a gap between them
        self._done = 0  # bytes of the burst that are through

    def add(self, data: bytes, now: float) -> None:
        if self.queue:
            begun, _ = self.busy.pop()
        else:
            begun = self._start = max(now, self._start + self._done * self._byte_s)
            self._done = 0
        self.queue += data
        self.busy.append((begun, self._start + (self._done + len(self.queue)) * self._byte_s))

    def through(self, now: float) -> tuple[float, bytes]:
        """The bytes that are whole on the line by now, and when the first of them began."""
        if not self.queue:
            return now, b""
        whole = int((now - self._start) / self._byte_s + _ROUNDING) - self._done
        began = self._start + self._done * self._byte_s
        data = bytes(self.queue[: max(whole, 0)])
        del self.queue[: len(data)]
        self._done += len(data)
        return began, data

    def deadline(self, grain_bytes: int) -> float:
        """When the next grain, or the rest, is through; only while something is queued."""
        return self._start + (self._done + min(len(self.queue), grain_bytes)) * self._byte_s

    def forget(self, now: float) -> None:
        """Drop what can no longer overlap a byte that is not yet through."""
        while self.busy and self.busy[0][1] < now - 2 * self._byte_s:
            self.busy.popleft()


class _Path:
    """From one sender to one receiver: the damage on the way, independent of how the stream is cut into calls."""

    def __init__(self, options: LineOptions, rng: random.Random, counts: PortCounts) -> None:
        self._options = options
        self._counts = counts
        self._loss, self._bits, self._noise = (random.Random(rng.getrandbits(64)) for _ in range(3))
        self._chunk_left_bytes = 0
        self._chunk_lost = False
        self._clean_bits = self._gap()

    def carry(self, data: bytes, collided: list[int]) -> bytes:
        """What is left of data at the receiver."""
        changed = bytearray(data)
        for index in collided:
            changed[index] = self._noise.getrandbits(8)
        self._counts.garbled_bytes += len(collided)
        self._flip(changed)
        return self._lose(bytes(changed))

    def _gap(self) -> int:
        """Clean bits before the next error: geometric, by inversion."""
        rate = self._options.bit_error_rate
        if not rate:
            return _NEVER
        return int(math.log(1 - self._bits.random()) / math.log(1 - rate))

    def _flip(self, data: bytearray) -> None:
        size_bits = 8 * len(data)
        while self._clean_bits < size_bits:
            data[self._clean_bits // 8] ^= 1 << self._clean_bits % 8
            self._counts.flipped_bits += 1
            self._clean_bits += 1 + self._gap()
        self._clean_bits -= size_bits

    def _lose(self, data: bytes) -> bytes:
        if not self._options.chunk_loss:
            return data
        kept = bytearray()
        at = 0
        while at < len(data):
            if not self._chunk_left_bytes:
                self._chunk_left_bytes = self._options.chunk_bytes
                self._chunk_lost = self._loss.random() < self._options.chunk_loss
            piece = data[at : at + self._chunk_left_bytes]
            if self._chunk_lost:
                self._counts.lost_bytes += len(piece)
            else:
                kept += piece
            self._chunk_left_bytes -= len(piece)
            at += len(piece)
        return bytes(kept)
