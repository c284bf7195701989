"""The serial radio: whole packets over a UART, a USB stick or a pty, by pyserial, without ever blocking."""

from __future__ import annotations

from hal.framing import DELIMITER, IDLE_S, FrameReader, frame
from hal.interfaces import Address, Arrival, Clock, Duplex, Protection, RadioCounts
from hal.pacing import Pacer
from hal.serial_port import BITS_PER_BYTE, SerialPort

# The longest packet: a part of 4 kB with header and seal (DESIGN §7), 0.36 s of line time at 115200 baud.
MTU_BYTES = 4128


class SerialRadio:
    """A Radio on a serial port. Whoever makes it calls service() at deadline() and receive() when readable.

    Of the port and pty_only SerialPort tells.
    """

    is_outdated = False

    def __init__(
        self, port: str, baud: int, clock: Clock, *, duplex: Duplex, rtscts: bool = False, pty_only: bool = False
    ) -> None:
        self.mtu_bytes = MTU_BYTES
        self.line_bytes_per_s = baud / BITS_PER_BYTE
        self.duplex = duplex
        self.counts = RadioCounts()
        self._clock = clock
        self._pacer = Pacer(self.line_bytes_per_s)
        self._room_due = False  # the pacer's opens_at is a deadline until service() has been called after it
        self._reader = FrameReader(MTU_BYTES)
        self._port = SerialPort(port, baud, clock, self.counts, rtscts=rtscts, pty_only=pty_only)
        self._opened = self._port.opened

    @property
    def problem(self) -> str | None:
        """What is wrong with the port."""
        return self._port.problem

    @property
    def heard_at(self) -> float:
        """When bytes last came in."""
        return self._port.heard_at

    def fileno(self) -> int | None:
        """The descriptor to watch for reading, None while the port is away."""
        return self._port.fileno()

    @property
    def room(self) -> int:
        """1 or 0; 0 also while a write is unfinished."""
        return int(not self._port.is_writing and self._clock.monotonic() >= self._pacer.opens_at)

    def send(self, packet: bytes, protection: Protection, to: Address | None = None) -> None:  # noqa: ARG002
        """Frame and write one packet; what the port does not take at once is written in service()."""
        assert protection is Protection.NONE
        if not 1 <= len(packet) <= self.mtu_bytes:
            raise ValueError(f"a packet has 1 to {self.mtu_bytes} bytes, not {len(packet)}")
        if not self.room:
            raise ValueError("send() without room")
        now = self._clock.monotonic()
        data = frame(packet)
        if self._port.torn or now - self._pacer.free_at >= IDLE_S:
            data = DELIMITER + data
        self._pacer.take(len(data), now)
        self._room_due = self._pacer.opens_at > now
        self._port.write(data)
        self.counts.frames_out = self._port.writes

    def receive(self) -> list[Arrival]:
        """The packets that have arrived."""
        packets = self._reader.feed(self._port.read())
        self.counts.frames_in += len(packets)
        self.counts.frames_damaged = self._reader.frames_damaged
        return [Arrival(packet) for packet in packets]

    def deadline(self) -> float | None:
        """When service() is wanted; None if there is nothing to wait for."""
        due = [] if (port_at := self._port.deadline()) is None else [port_at]
        if self._room_due and not self._port.is_writing:
            due.append(self._pacer.opens_at)
        return min(due, default=None)

    def service(self) -> None:
        """Go on writing, open the port again."""
        self._port.service()
        self.counts.frames_out = self._port.writes
        if self._port.opened > self._opened:
            self._opened = self._port.opened
            self._reader.feed(DELIMITER)  # what had begun before ends here
        if self._clock.monotonic() >= self._pacer.opens_at:
            self._room_due = False

    def close(self) -> None:
        """Give the port back, with its lock."""
        self._port.close()
