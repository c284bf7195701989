"""A serial port, by pyserial, without ever blocking: bytes out and in, whatever becomes of the port meanwhile.

pyserial opens and configures the port (raw 8N1); reading and writing are plain os.read and os.write on its non-blocking
descriptor. A pty is a port like any other: no modem lines are asked for unless rtscts is on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import termios

import serial

from hal.errors import PortBusy, RadioError
from hal.interfaces import Clock, RadioCounts
from hal.ptys import is_pty
from hal.reopening import Reopening

# Start bit, eight data bits, stop bit.
BITS_PER_BYTE = 10

# Seconds without one byte taken after which what waits is dropped: a paced line takes a frame in under 0.5 s, so only
# flow control, or an emulator that stopped reading, lasts longer.
WRITE_TIMEOUT_S = 5.0

# Pause in seconds before a write that would have blocked is tried again. What is below holds 4 kB or more then, that
# is 40 ms at 1 Mbaud: the line does not run dry.
WRITE_RETRY_S = 0.02

# Bytes per read, and reads per receive(). The kernel hands out at most 4 kB at a time and holds 64 kB.
_READ_BYTES = 65_536
_READS = 16

_AWAY = "the unit goes on without the radio and opens the port again when it is back"


class SerialPort:
    """A port of one process. Whoever makes it calls service() at deadline() and read() when readable.

    pty_only: anything but a pty is not spoken to, whatever the name of the port leads to when it is opened. A port that
    is missing, busy or gone is a `problem`, never an exception. fileno() may become None in any call, and
    another descriptor only in service(), half a second later at the earliest. counts: bytes and `reopened` of it.
    """

    def __init__(
        self, name: str, baud: int, clock: Clock, counts: RadioCounts, *, rtscts: bool, pty_only: bool
    ) -> None:
        self.problem: str | None = None
        self.heard_at = float("-inf")
        self.opened = 0  # times: each begins a new stream of bytes
        self.writes = 0  # done
        self.torn = True  # the last write was cut off, or whoever is there heard other things before
        self.name = name
        self.baud = baud
        self._rtscts = rtscts
        self._pty_only = pty_only
        self._clock = clock
        self.counts = counts
        self._serial: serial.Serial | None = None
        self._fd: int | None = None  # of _serial
        self._reopening = Reopening()
        self._unwritten = b""
        self._progress_at = 0.0  # when a write last took something, or the first one that it took nothing of came
        self._retry_at = 0.0
        self._open(clock.monotonic())

    def fileno(self) -> int | None:
        """The descriptor to watch for reading, None while the port is away."""
        return self._fd

    @property
    def is_writing(self) -> bool:
        """Whether a write is unfinished."""
        return bool(self._unwritten)

    def write(self, data: bytes) -> None:
        """What the port does not take at once is written in service(). Not while one is unfinished. While the port is
        away the bytes are lost."""
        assert not self._unwritten
        if self._fd is not None:
            now = self._clock.monotonic()
            self._unwritten = data
            if self.problem is None:
                self._progress_at = now
            self._write(self._fd, now)

    def read(self) -> bytes:
        """The bytes that are there; empty if none."""
        read = bytearray()
        for _ in range(_READS):
            if self._fd is None:
                break
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                self._lose(error.strerror or str(error))
                break
            if not data:
                self._lose("its other end hung up")
                break
            self.heard_at = self._clock.monotonic()
            read += data
        self.counts.bytes_in += len(read)
        return bytes(read)

    def deadline(self) -> float | None:
        """When service() is wanted; None if there is nothing to wait for."""
        if self._reopening.due_at is not None:
            return self._reopening.due_at
        return self._retry_at if self._unwritten else None

    def service(self) -> None:
        """Go on writing, open the port again."""
        now = self._clock.monotonic()
        if self._reopening.due_at is not None and now >= self._reopening.due_at:
            self._open(now)
        if self._fd is not None and self._unwritten and now >= self._retry_at:
            self._write(self._fd, now)

    def close(self) -> None:
        """Give the port back, with its lock. What the device has not taken by then may be lost."""
        if self._serial is not None and (self._rtscts or self._unwritten or self.problem is not None):
            # Else the kernel waits 30 s (closing_wait) for flow control to let out up to 4 kB that it has taken of us.
            with contextlib.suppress(termios.error):
                self._serial.reset_output_buffer()
        self._shut()
        self._reopening.succeeded()

    def _open(self, now: float) -> None:
        try:
            self._serial = open_port(self.name, self.baud, rtscts=self._rtscts, pty_only=self._pty_only)
        except RadioError as error:
            self.problem = str(error)
            self._reopening.failed(now)
            return
        self._fd = self._serial.fileno()
        self.problem = None
        self._reopening.succeeded()
        self.torn = True
        if self.opened:
            self.counts.reopened += 1
        self.opened += 1

    def _lose(self, why: str) -> None:
        """The port went away under us."""
        self._shut()
        self._reopening.failed(self._clock.monotonic())
        error = RadioError(
            f"the radio's port {self.name} went away ({why})",
            did=_AWAY,
            can="check its plug, cable and power",
        )
        self.problem = str(error)

    def _shut(self) -> None:
        if self._serial is not None:
            self._serial.close()
        self._serial = self._fd = None
        self._unwritten = b""

    def _write(self, fd: int, now: float) -> None:
        """Write what the port takes now of what waits."""
        try:
            written = os.write(fd, self._unwritten)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        self.counts.bytes_out += written
        self._unwritten = self._unwritten[written:]
        self._retry_at = now + WRITE_RETRY_S
        if written:
            self._progress_at = now
        if not self._unwritten:
            self.writes += 1
            self.torn = False
            self.problem = None
        elif now - self._progress_at >= WRITE_TIMEOUT_S:
            self._give_up()

    def _give_up(self) -> None:
        """Drop what the port does not take. Each next write is tried, and dropped at once until one goes."""
        self._unwritten = b""
        self.torn = True
        error = RadioError(
            f"the radio's port {self.name} does not take what we write",
            did="the unit drops what it could not send and keeps trying",
            can="check the device at its other end, and its flow control",
        )
        self.problem = str(error)


def open_port(port: str, baud: int, *, rtscts: bool, pty_only: bool) -> serial.Serial:
    """Open, lock and configure; raises RadioError, or PortBusy if another process holds the lock."""
    try:
        if pty_only and not is_pty(os.stat(port)):
            raise _not_a_pty(port)
        # exclusive is flock in pyserial >= 3.3, taken before anything is changed; it never sets TIOCEXCL, which would
        # outlive a kill -9. inter_byte_timeout=0 sets VMIN to 1: reading nothing is then EAGAIN, b"" a hang-up.
        opened = serial.Serial(port, baud, timeout=0, rtscts=rtscts, exclusive=True, inter_byte_timeout=0)
        if pty_only and not is_pty(os.fstat(opened.fileno())):  # the name led elsewhere in between
            opened.close()
            raise _not_a_pty(port)
        return opened
    except RadioError:
        raise  # ours, and an OSError too
    except (OSError, ValueError, termios.error) as error:
        number = getattr(error, "errno", None)
        if number in (errno.EWOULDBLOCK, errno.EBUSY):
            raise PortBusy(
                f"the radio's port {port} is in use by another process",
                did=_AWAY,
                can=f"see who holds it with: fuser {port}",
            ) from error
        why = os.strerror(number) if number else str(error)
        raise RadioError(f"the radio's port {port} cannot be opened ({why})", did=_AWAY, can=_advice(number)) from error


def _not_a_pty(port: str) -> RadioError:
    return RadioError(
        f"the radio's port {port} is no virtual line (pty), and this unit has no credential",
        did="nothing was sent there; the unit goes on without the radio and looks again",
        can="name a virtual line in radio.port",
    )


def _advice(number: int | None) -> str:
    """What a person can do about a port that does not open."""
    if number == errno.EACCES:
        return "add the user to the port's group, usually dialout"
    if number == errno.EPERM:
        return (
            "restart the unit (sudo systemctl restart dandelion): its service may not use this kind of port, or did "
            "not know it at its start; if that does not help, add a DeviceAllow= for it (sudo systemctl edit dandelion)"
        )
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return "check radio.port in the config, and the radio's plug"
    return "check that radio.port in the config is a serial port"
