"""Radios made of memory, and one shared line for them, with every fault of it chosen by a seeded source of chance.

Simulated: line rate and pacing, propagation delay, lost frames, lost chunks of bytes, flipped bits (all of them in the
real frames of hal.framing), a port that goes away and comes back. Each receiver meets its own faults.

Not simulated: two that send at once do not disturb each other, also where the radios say half duplex; a frame's bytes
arrive together when its last one does; no byte is added that nobody sent, but by noise(); bytes keep their order; the
port always takes what the line rate allows. Range and collisions are in sim/air.py, real descriptors in the link
emulator on ptys.
"""

from __future__ import annotations

import heapq
import math
import os
import random
from collections.abc import Iterator
from typing import Protocol

from hal.framing import DELIMITER, IDLE_S, FrameReader, frame
from hal.interfaces import Address, Arrival, Duplex, Protection, RadioCounts
from hal.light_dataclass import dataclass
from hal.pacing import Pacer
from hal.reopening import Reopening
from sim.clock import SimClock

# As on the serial port: one serial packet has up to 4128 bytes, one byte ten bits.
MTU_BYTES = 4128
BITS_PER_BYTE = 10

# Bytes that wait unread at most; what comes on top is lost, as in the kernel's buffer of a serial port.
UNREAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class LineOptions:
    """The line and its faults; probabilities from 0 to 1, each drawn per frame, chunk or bit and receiver."""

    duplex: Duplex = Duplex.FULL
    delay_s: float = 0.0  # from the last bit sent to the last bit heard
    frame_loss: float = 0.0
    chunk_loss: float = 0.0
    chunk_bytes: int = 64  # what one chunk loss takes
    bit_error_rate: float = 0.0  # below 1


class Medium(Protocol):
    """What radios are joined by: a line, or the air. deadline() is when it wants service(), which hands out what has
    arrived by the clock.
    """

    clock: SimClock
    line_bytes_per_s: float

    @property
    def duplex(self) -> Duplex:
        """Of every radio on it."""

    def join(self, radio: SimRadio) -> None:
        """Called by the radio."""

    def leave(self, radio: SimRadio) -> None:
        """Called by the radio when it is closed."""

    def carry(self, sender: SimRadio, packet: bytes, data: bytes, sent_at: float) -> None:
        """A packet of the sender, and its frame, whose last byte leaves at sent_at."""

    def noise(self, radio: SimRadio, data: bytes) -> None:
        """Bytes that this radio hears now and nobody sent."""

    def heard_at(self, radio: SimRadio) -> float:
        """When this radio last heard anything of another, as far as it can tell by now; -inf before."""

    def deadline(self) -> float | None:
        """None while nothing is under way."""

    def service(self) -> list[SimRadio]:
        """Which radios have heard something, in the order of their units."""


class SimLine:
    """A cable or a channel: what one of its radios sends arrives at all others. Joined by making SimRadios on it.

    deadline() is when the next bytes arrive, service() hands out what has arrived by the clock; a radio's receive()
    does that too. Same options, seed and calls: same faults.
    """

    def __init__(
        self, clock: SimClock, rng: random.Random, *, baud: int = 115200, options: LineOptions | None = None
    ) -> None:
        self.clock = clock
        self.options = options or LineOptions()  # may be replaced while the line is in use
        self.line_bytes_per_s = baud / BITS_PER_BYTE
        self._rng = rng
        self._radios: list[SimRadio] = []
        self._under_way: list[tuple[float, int, SimRadio, bytes]] = []  # heap by time, then order of sending
        self._sent = 0
        self._heard_at: dict[SimRadio, float] = {}

    @property
    def duplex(self) -> Duplex:
        """As the options say."""
        return self.options.duplex

    def join(self, radio: SimRadio) -> None:
        """Called by the radio."""
        self._radios.append(radio)

    def leave(self, radio: SimRadio) -> None:
        """Called by the radio when it is closed."""
        self._radios.remove(radio)
        self._heard_at.pop(radio, None)

    def carry(self, sender: SimRadio, packet: bytes, data: bytes, sent_at: float) -> None:  # noqa: ARG002 - the bytes go
        """Bytes of the sender, whose last one leaves at sent_at."""
        for radio in self._radios:
            if radio is not sender:
                self._deliver(radio, damaged(data, self.options, self._rng), sent_at + self.options.delay_s)

    def noise(self, radio: SimRadio, data: bytes) -> None:
        """Bytes that this radio hears now and nobody sent."""
        self._deliver(radio, data, self.clock.monotonic())

    def deadline(self) -> float | None:
        """When the next bytes arrive; None if none are under way."""
        return self._under_way[0][0] if self._under_way else None

    def heard_at(self, radio: SimRadio) -> float:
        """When the last bytes came in."""
        return self._heard_at.get(radio, -math.inf)

    def service(self) -> list[SimRadio]:
        """Hand out what has arrived by now."""
        now = self.clock.monotonic()
        heard = {}
        while self._under_way and self._under_way[0][0] <= now:
            at, _, radio, data = heapq.heappop(self._under_way)
            radio.hear(data)
            heard[radio] = self._heard_at[radio] = at
        return sorted(heard, key=lambda radio: radio.unit)

    def _deliver(self, radio: SimRadio, data: bytes, arrives_at: float) -> None:
        if data:
            self._sent += 1
            heapq.heappush(self._under_way, (arrives_at, self._sent, radio, data))


def damaged(data: bytes, options: LineOptions, rng: random.Random) -> bytes:
    """What one receiver hears of a frame's bytes."""
    if options.frame_loss > 0 and rng.random() < options.frame_loss:
        return b""
    if options.bit_error_rate > 0:
        flipped = bytearray(data)
        for bit in _bit_errors(8 * len(data), options.bit_error_rate, rng):
            flipped[bit // 8] ^= 1 << bit % 8
        data = bytes(flipped)
    if options.chunk_loss > 0:
        starts = range(0, len(data), options.chunk_bytes)
        chunks = [data[start : start + options.chunk_bytes] for start in starts]
        data = b"".join(chunk for chunk in chunks if rng.random() >= options.chunk_loss)
    return data


def _bit_errors(bits: int, rate: float, rng: random.Random) -> Iterator[int]:
    """Which of the bits are flipped, at a rate below 1: the gaps between errors are drawn, not each bit."""
    gap_scale = math.log1p(-rate)
    position = int(math.log(1.0 - rng.random()) / gap_scale)
    while position < bits:
        yield position
        position += 1 + int(math.log(1.0 - rng.random()) / gap_scale)


class SimRadio:
    """A Radio on a line or in the air. unplug() and plug() are for the hand that pulls its cable. unit: whose it is.

    muted: what it sends takes its time and reaches nobody.
    """

    is_outdated = False

    def __init__(self, line: Medium, *, unit: int = 0, mtu_bytes: int = MTU_BYTES) -> None:
        self.unit = unit
        self.muted = False
        self.mtu_bytes = mtu_bytes
        self.line_bytes_per_s = line.line_bytes_per_s
        self.duplex = line.duplex
        self.counts = RadioCounts()
        self.problem: str | None = None
        self._line = line
        self._plugged = True
        self._reopening = Reopening()
        self._pacer = Pacer(line.line_bytes_per_s)
        self._room_due = False
        self._reader = FrameReader(mtu_bytes)
        self._unread = bytearray()
        self._decoded: list[bytes] = []  # packets that wait unread, and came before what is in _unread
        self._wake_fd: int | None = None  # made when asked for: a world of many units needs none
        line.join(self)

    def unplug(self) -> None:
        """The port goes away, with what it had not handed out."""
        assert self._plugged
        self._plugged = False
        if self.problem is None:
            self._reopening.failed(self._line.clock.monotonic())
            self.problem = (
                "the simulated radio is unplugged; "
                "the unit goes on without the radio and opens it again when it is back; plug it in"
            )
        self._unread.clear()
        self._decoded.clear()
        self._close_wake()

    def plug(self) -> None:
        """The port is there again; the radio finds it when it tries next."""
        assert not self._plugged
        self._plugged = True

    def hear(self, data: bytes) -> None:
        """Called by the line: these bytes arrive now."""
        if self.problem is not None:
            return
        self._unread += data[: UNREAD_BYTES - len(self._unread)]
        if self._wake_fd is not None:
            os.eventfd_write(self._wake_fd, 1)

    def hear_packet(self, data: bytes, packet: bytes | None) -> None:
        """Called by the air: hear(data), which is a whole frame. packet: what is in it, if it is as it was sent: many
        hear the same, and decoding is what takes time.
        """
        if packet is None or self._unread or self._wake_fd is not None or not self._reader.is_between_frames:
            self.hear(data)
        elif self.problem is None:
            self._decoded.append(packet)
            self.counts.bytes_in += len(data)

    def fileno(self) -> int | None:
        """Readable once the line has handed bytes to this radio; None while unplugged."""
        if self.problem is None and self._wake_fd is None:
            self._wake_fd = os.eventfd(1 if self._unread or self._decoded else 0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return self._wake_fd

    @property
    def room(self) -> int:
        """1 or 0, as the pacing model says."""
        return int(self._line.clock.monotonic() >= self._pacer.opens_at)

    def send(self, packet: bytes, protection: Protection, to: Address | None = None) -> None:  # noqa: ARG002
        """Frame one packet and put it on the line, after what is there already."""
        assert protection is Protection.NONE
        if not 1 <= len(packet) <= self.mtu_bytes:
            raise ValueError(f"a packet has 1 to {self.mtu_bytes} bytes, not {len(packet)}")
        if not self.room:
            raise ValueError("send() without room")
        now = self._line.clock.monotonic()
        data = frame(packet)
        if now - self._pacer.free_at >= IDLE_S:
            data = DELIMITER + data
        self._pacer.take(len(data), now)
        self._room_due = self._pacer.opens_at > now
        if self.problem is None:
            if not self.muted:
                self._line.carry(self, packet, data, self._pacer.free_at)
            self.counts.bytes_out += len(data)
            self.counts.frames_out += 1

    @property
    def heard_at(self) -> float:
        """Monotonic time at which bytes of another last came in, as far as known; -inf before."""
        return self._line.heard_at(self)

    def receive(self) -> list[Arrival]:
        """The packets that have arrived by the clock."""
        self._line.service()
        if self._wake_fd is not None:
            self._quench_wake(self._wake_fd)
        packets, self._decoded = self._decoded, []
        if self._unread:
            self.counts.bytes_in += len(self._unread)
            packets += self._reader.feed(bytes(self._unread))
            self._unread.clear()
        self.counts.frames_in += len(packets)
        self.counts.frames_damaged = self._reader.frames_damaged
        return [Arrival(packet) for packet in packets]

    def deadline(self) -> float | None:
        """When service() is wanted; arrivals are told by the line's own deadline() and by fileno()."""
        due: list[float] = []
        if self._reopening.due_at is not None:
            due.append(self._reopening.due_at)
        if self._room_due:
            due.append(self._pacer.opens_at)
        return min(due, default=None)

    def service(self) -> None:
        """Try the port again if it is time."""
        now = self._line.clock.monotonic()
        if now >= self._pacer.opens_at:
            self._room_due = False
        if self._reopening.due_at is None or now < self._reopening.due_at:
            return
        if not self._plugged:
            self._reopening.failed(now)
            return
        self._reopening.succeeded()
        self.problem = None
        self._reader.feed(DELIMITER)
        self.counts.reopened += 1

    def close(self) -> None:
        """Leave the line."""
        self._line.leave(self)
        self._reopening.succeeded()
        self.problem = "the simulated radio is closed"
        self._close_wake()

    def _quench_wake(self, fd: int) -> None:
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            return

    def _close_wake(self) -> None:
        if self._wake_fd is not None:
            os.close(self._wake_fd)
            self._wake_fd = None
