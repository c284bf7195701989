"""SerialRadio on real ptys: ports that are missing, busy, gone or deaf; the contract test has the rest."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import random
import select
import struct
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import serial

from hal.errors import RadioError
from hal.framing import DELIMITER, FrameReader, frame
from hal.interfaces import Duplex, Protection
from hal.ptys import is_pty
from hal.serial_port import WRITE_TIMEOUT_S, open_port
from hal.serial_radio import MTU_BYTES, SerialRadio
from sim.clock import SimClock

# Seconds to wait for the kernel to hand bytes from one end of a pty to the other; usually microseconds.
KERNEL_S = 10.0

TIOCGEXCL = 0x80045440  # Linux: whether TIOCEXCL is set


class Device:
    """What hangs at the other end of the port: a pty's master, and a link to its slave that can be put back."""

    def __init__(self, link: Path) -> None:
        self.port = str(link)
        self._link = link
        self._master = -1

    def plug(self) -> None:
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(slave))
        os.close(slave)

    def unplug(self) -> None:
        if self._master != -1:
            os.close(self._master)
            self._master = -1

    def say(self, data: bytes) -> None:
        assert os.write(self._master, data) == len(data)

    def hear(self, size_bytes: int) -> bytes:
        """Exactly so many bytes."""
        heard = b""
        while len(heard) < size_bytes:
            assert select.select([self._master], [], [], KERNEL_S)[0]
            heard += os.read(self._master, size_bytes - len(heard))
        return heard

    def hears_nothing(self) -> bool:
        return not select.select([self._master], [], [], 0)[0]


@pytest.fixture
def clock() -> SimClock:
    return SimClock()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path / "port")
    yield made
    made.unplug()


@pytest.fixture
def radio(clock: SimClock, device: Device) -> Iterator[SerialRadio]:
    device.plug()
    made = open_radio(device, clock)
    assert made.problem is None
    yield made
    made.close()


def open_radio(device: Device, clock: SimClock) -> SerialRadio:
    return SerialRadio(device.port, 115200, clock, duplex=Duplex.FULL)


def receive(radio: SerialRadio, size_bytes: int) -> list[bytes]:
    """What the radio makes of the next size_bytes bytes."""
    packets: list[bytes] = []
    until_bytes = radio.counts.bytes_in + size_bytes
    while radio.counts.bytes_in < until_bytes:
        assert select.select([radio.fileno()], [], [], KERNEL_S)[0]
        packets += [arrival.packet for arrival in radio.receive()]
    return packets


def send(radio: SerialRadio, clock: SimClock, packet: bytes) -> None:
    """Send, after waiting for the line if need be."""
    if not radio.room:
        due = radio.deadline()
        assert due is not None
        clock.advance_to(due)
    radio.send(packet, Protection.NONE)


def jam(radio: SerialRadio, clock: SimClock) -> None:
    """Send until the port takes no more."""
    for _ in range(100):
        before = radio.counts.frames_out
        send(radio, clock, bytes(1000))
        if radio.counts.frames_out == before:
            return
    raise AssertionError("the port took everything")


def go_to_deadline(radio: SerialRadio, clock: SimClock) -> float:
    """Let time pass to the radio's deadline and serve it; the seconds that took."""
    due = radio.deadline()
    assert due is not None
    passed_s = due - clock.monotonic()
    assert passed_s > 0
    clock.advance_to(due)
    radio.service()
    return passed_s


def test_missing_port_is_a_problem_tried_ever_less_often(clock: SimClock, device: Device) -> None:
    radio = open_radio(device, clock)
    assert radio.fileno() is None
    assert radio.problem is not None
    assert device.port in radio.problem
    assert "No such file" in radio.problem
    assert [go_to_deadline(radio, clock) for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    device.plug()
    go_to_deadline(radio, clock)
    assert (radio.problem, radio.counts.reopened) == (None, 0)  # it was never open before
    radio.close()


def test_what_is_no_serial_port_is_a_problem(clock: SimClock, tmp_path: Path) -> None:
    (tmp_path / "port").write_bytes(b"text")
    radio = SerialRadio(str(tmp_path / "port"), 115200, clock, duplex=Duplex.FULL)
    assert radio.problem is not None
    assert "serial port" in radio.problem
    assert (tmp_path / "port").read_bytes() == b"text"


def test_port_of_another_process_is_left_alone_and_taken_when_free(
    radio: SerialRadio, clock: SimClock, device: Device
) -> None:
    data = frame(b"for the first")
    device.say(data)
    second = open_radio(device, clock)
    assert second.problem is not None
    assert "in use by another process" in second.problem
    assert device.port in second.problem
    assert receive(radio, len(data)) == [b"for the first"]
    radio.close()
    go_to_deadline(second, clock)
    assert second.problem is None
    second.close()


def test_port_is_never_set_exclusive(radio: SerialRadio) -> None:
    descriptor = radio.fileno()
    assert descriptor is not None
    assert struct.unpack("i", fcntl.ioctl(descriptor, TIOCGEXCL, bytes(4))) == (0,)


def test_every_byte_value_passes_both_ways(radio: SerialRadio, device: Device) -> None:
    packet = bytes(range(256)) * 2
    data = frame(packet)
    device.say(data)
    assert receive(radio, len(data)) == [packet]
    radio.send(packet, Protection.NONE)
    assert device.hear(1 + len(data)) == DELIMITER + data


def test_a_delimiter_goes_first_only_after_silence(radio: SerialRadio, clock: SimClock, device: Device) -> None:
    short = frame(b"x")
    radio.send(b"x", Protection.NONE)
    assert device.hear(1 + len(short)) == DELIMITER + short
    clock.advance(0.09)
    radio.send(b"x", Protection.NONE)
    assert device.hear(len(short)) == short
    clock.advance(0.2)
    radio.send(b"x", Protection.NONE)
    assert device.hear(1 + len(short)) == DELIMITER + short
    assert device.hears_nothing()


def test_packets_fed_byte_by_byte_arrive(radio: SerialRadio, device: Device) -> None:
    data = frame(b"one") + frame(b"two")
    got: list[bytes] = []
    for byte in data:
        device.say(bytes([byte]))
        got += receive(radio, 1)
    assert got == [b"one", b"two"]


def test_an_idle_radio_wants_no_service(radio: SerialRadio, clock: SimClock) -> None:
    assert radio.deadline() is None
    radio.send(bytes(1000), Protection.NONE)
    assert radio.deadline() is None
    clock.advance(100.0)
    assert radio.deadline() is None


def test_what_the_port_does_not_take_at_once_goes_on_in_service(
    radio: SerialRadio, clock: SimClock, device: Device
) -> None:
    jam(radio, clock)
    assert go_to_deadline(radio, clock) < 0.1
    clock.advance(1.0)
    assert (radio.room, radio.problem) == (0, None)  # whatever the model says, the port is not done
    radio.service()
    reader = FrameReader(MTU_BYTES)
    sent = radio.counts.frames_out + 1
    got = reader.feed(device.hear(radio.counts.bytes_out))
    for _ in range(10):
        before_bytes = radio.counts.bytes_out
        go_to_deadline(radio, clock)
        got += reader.feed(device.hear(radio.counts.bytes_out - before_bytes))
        if radio.counts.frames_out == sent:
            break
    assert got == [bytes(1000)] * sent
    assert reader.frames_damaged == 0
    assert radio.problem is None


def test_a_deaf_port_is_a_problem_after_five_seconds_and_stops_nobody(
    radio: SerialRadio, clock: SimClock, device: Device
) -> None:
    jam(radio, clock)
    jammed_at = clock.monotonic()
    while radio.problem is None:
        go_to_deadline(radio, clock)
    assert clock.monotonic() - jammed_at == pytest.approx(WRITE_TIMEOUT_S, abs=0.1)
    assert "does not take what we write" in radio.problem
    taken_bytes = radio.counts.bytes_out
    for _ in range(5):
        send(radio, clock, b"lost")
    assert radio.counts.bytes_out == taken_bytes

    reader = FrameReader(MTU_BYTES)
    assert reader.feed(device.hear(taken_bytes)) == [bytes(1000)] * radio.counts.frames_out
    send(radio, clock, b"heard again")
    assert radio.problem is None
    assert reader.feed(device.hear(radio.counts.bytes_out - taken_bytes)) == [b"heard again"]


def test_an_unplugged_port_is_noticed_by_reading(radio: SerialRadio, clock: SimClock, device: Device) -> None:
    device.unplug()
    assert select.select([radio.fileno()], [], [], KERNEL_S)[0]
    assert radio.receive() == []
    assert_away_and_back(radio, clock, device)


def test_a_port_that_the_service_does_not_allow_says_how_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """By EPERM, which only the device filter of a service gives here: a file mode gives EACCES."""

    def refuse(*_: object, **_options: object) -> serial.Serial:
        raise serial.SerialException(errno.EPERM, "could not open port")

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(RadioError) as refused:
        open_port("/dev/ttyUSB0", 9600, rtscts=False, pty_only=False)
    for words in ("Operation not permitted", "systemctl restart dandelion", "DeviceAllow="):
        assert words in str(refused.value)


def test_an_unplugged_port_is_noticed_by_writing(radio: SerialRadio, clock: SimClock, device: Device) -> None:
    device.unplug()
    radio.send(b"x", Protection.NONE)
    assert_away_and_back(radio, clock, device)


def assert_away_and_back(radio: SerialRadio, clock: SimClock, device: Device) -> None:
    assert radio.fileno() is None
    assert radio.problem is not None
    for words in (device.port, "went away", "the unit goes on", "check"):
        assert words in radio.problem
    go_to_deadline(radio, clock)
    assert "cannot be opened" in radio.problem
    device.plug()
    go_to_deadline(radio, clock)
    assert (radio.problem, radio.counts.reopened) == (None, 1)
    radio.send(b"back", Protection.NONE)
    assert device.hear(1 + len(frame(b"back"))) == DELIMITER + frame(b"back")


def test_a_megabyte_of_random_bytes_is_counted(radio: SerialRadio, device: Device) -> None:
    rng = random.Random(5)
    got: list[bytes] = []
    for _ in range(1000):
        device.say(rng.randbytes(1000))
        got += receive(radio, 1000)
    assert radio.counts.bytes_in == 1_000_000
    assert 3000 < radio.counts.frames_damaged < 4500
    assert len(got) <= 1
    device.say(DELIMITER + frame(b"next"))
    assert receive(radio, 1 + len(frame(b"next"))) == [b"next"]


def test_a_closed_radio_gives_its_port_back(radio: SerialRadio, device: Device, clock: SimClock) -> None:
    radio.close()
    assert (radio.fileno(), radio.deadline(), radio.receive()) == (None, None, [])
    next_one = open_radio(device, clock)
    assert next_one.problem is None
    next_one.close()


def test_flow_control_may_be_asked_of_a_pty(clock: SimClock, device: Device) -> None:
    device.plug()
    radio = SerialRadio(device.port, 115200, clock, duplex=Duplex.HALF, rtscts=True)
    assert radio.problem is None
    radio.send(b"x", Protection.NONE)
    assert device.hear(1 + len(frame(b"x"))) == DELIMITER + frame(b"x")
    radio.close()


@pytest.mark.parametrize("rtscts", [True, False])
def test_with_flow_control_what_the_kernel_still_holds_is_dropped_before_the_port_is_closed(
    clock: SimClock, rtscts: bool
) -> None:
    """Else closing waits for CTS. A pty has none, but says to its other end what was dropped (packet mode)."""
    master, slave = pty.openpty()  # the slave stays open: the master's reads do not fail when the radio's end closes
    fcntl.ioctl(master, termios.TIOCPKT, struct.pack("i", 1))
    radio = SerialRadio(os.ttyname(slave), 115200, clock, duplex=Duplex.FULL, rtscts=rtscts)
    radio.send(b"x", Protection.NONE)
    os.set_blocking(master, False)

    def told() -> int:
        words = 0
        with suppress(BlockingIOError):
            while word := os.read(master, 1000):
                words |= word[0] if len(word) == 1 else 0
        return words

    assert not told() & termios.TIOCPKT_FLUSHWRITE
    radio.close()
    assert bool(told() & termios.TIOCPKT_FLUSHWRITE) is rtscts
    os.close(master)
    os.close(slave)


def test_ptys_are_known_also_behind_links(device: Device, tmp_path: Path) -> None:
    device.plug()
    assert is_pty(os.stat(device.port))
    assert is_pty(os.stat(os.path.realpath(device.port)))
    (tmp_path / "file").touch()
    for other in ("/dev/null", str(tmp_path / "file"), str(tmp_path)):
        assert not is_pty(os.stat(other))


def test_a_radio_for_ptys_only_speaks_to_nothing_else_whatever_its_port_becomes(
    clock: SimClock, device: Device, tmp_path: Path
) -> None:
    port = tmp_path / "elsewhere"
    radio = SerialRadio(str(port), 115200, clock, duplex=Duplex.FULL, pty_only=True)
    assert "No such file" in str(radio.problem)
    port.symlink_to("/dev/null")
    go_to_deadline(radio, clock)
    assert "no virtual line (pty)" in str(radio.problem)
    assert radio.fileno() is None
    port.unlink()
    device.plug()
    port.symlink_to(device.port)
    go_to_deadline(radio, clock)
    assert radio.problem is None
    radio.close()
