"""Contract of Radio, on every implementation: two radios and a line between them, time moved by hand."""

from __future__ import annotations

import os
import pty
import random
import select
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from xbee_radio_scene import Scene

from hal.framing import crc16, frame
from hal.interfaces import Duplex, Protection, Radio
from hal.serial_radio import SerialRadio
from hal.xbee_frames import ReceivePacket
from hal.xbee_framing import ApiMode, pack
from sim.air import Air
from sim.clock import SimClock
from sim.radio import Medium, SimLine, SimRadio
from sim.xbee_products import XBEE_900HP, Product

BAUD = 115200
BYTES_PER_S = BAUD / 10

# Seconds to wait for the kernel to hand bytes from one end of a pty to the other; usually microseconds.
KERNEL_S = 10.0

# Seconds of virtual time after which whatever an XBee module had begun has ended.
SILENCE_S = 2.0


class Rig(Protocol):
    """Two radios: what `near` sends, `far` hears. The hand that disturbs them."""

    clock: SimClock
    near: Radio
    far: Radio

    def carry(self) -> list[bytes]:
        """Let everything arrive that near has sent; the packets that far received."""

    def drain(self) -> None:
        """Take what has arrived by now off the line, in no time."""

    def noise(self, data: bytes) -> list[bytes]:
        """Let far hear these bytes; the packets that it received."""

    def on_line(self, packet: bytes) -> bytes:
        """What far hears where this packet comes."""

    def settle(self) -> None:
        """Let far's device, just plugged in, say what it is."""

    def unplug(self) -> None:
        """Far's port goes away."""

    def plug(self) -> None:
        """Far's port is there again."""


class SimRig:
    """Two SimRadios on a perfect SimLine."""

    def __init__(self) -> None:
        self.clock = SimClock()
        self.line = self.medium()
        self.near: Radio = SimRadio(self.line, unit=1)
        self._far = SimRadio(self.line, unit=2)
        self.far: Radio = self._far

    def medium(self) -> Medium:
        return SimLine(self.clock, random.Random(1), baud=BAUD)

    def carry(self) -> list[bytes]:
        packets: list[bytes] = []
        while (arrives_at := self.line.deadline()) is not None:
            self.clock.advance_to(max(arrives_at, self.clock.monotonic()))
            self.line.service()
            assert select.select([self.far.fileno()], [], [], 0)[0]
            packets += [arrival.packet for arrival in self.far.receive()]
        return packets

    def drain(self) -> None:
        self.far.receive()

    def noise(self, data: bytes) -> list[bytes]:
        self.line.noise(self._far, data)
        return self.carry()

    def on_line(self, packet: bytes) -> bytes:
        return frame(packet)

    def settle(self) -> None:
        pass

    def unplug(self) -> None:
        self._far.unplug()

    def plug(self) -> None:
        self._far.plug()

    def close(self) -> None:
        self.near.close()
        self.far.close()


class AirRig(SimRig):
    """The same two in perfect air."""

    def medium(self) -> Medium:
        return Air(self.clock, random.Random(1), {1: frozenset({2}), 2: frozenset({1})}, baud=BAUD)


class PtyRig:
    """Two SerialRadios on the slaves of two ptys, whose masters are joined by carry()."""

    def __init__(self, directory: Path) -> None:
        self.clock = SimClock()
        self._far_link = directory / "far"
        self._near_master = self._make_port(directory / "near")
        self._far_master = self._make_port(self._far_link)
        self.near: Radio = SerialRadio(str(directory / "near"), BAUD, self.clock, duplex=Duplex.FULL)
        self.far: Radio = SerialRadio(str(self._far_link), BAUD, self.clock, duplex=Duplex.FULL)
        self._carried_bytes = 0

    def _make_port(self, link: Path) -> int:
        master, slave = pty.openpty()
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        os.close(slave)
        return master

    def carry(self) -> list[bytes]:
        packets: list[bytes] = []
        while self._carried_bytes < self.near.counts.bytes_out:
            assert select.select([self._near_master], [], [], KERNEL_S)[0]
            data = os.read(self._near_master, 2048)
            self._carried_bytes += len(data)
            packets += self.noise(data)
            self.near.service()
        return packets

    def drain(self) -> None:
        self.carry()

    def noise(self, data: bytes) -> list[bytes]:
        packets: list[bytes] = []
        heard_bytes = self.far.counts.bytes_in + len(data)
        while self.far.counts.bytes_in < heard_bytes:
            data = data[os.write(self._far_master, data[:2048]) :]
            assert select.select([self.far.fileno()], [], [], KERNEL_S)[0]
            packets += [arrival.packet for arrival in self.far.receive()]
        return packets

    def on_line(self, packet: bytes) -> bytes:
        return frame(packet)

    def settle(self) -> None:
        pass

    def unplug(self) -> None:
        os.close(self._far_master)
        self._far_master = -1

    def plug(self) -> None:
        self._far_master = self._make_port(self._far_link)

    def close(self) -> None:
        self.near.close()
        self.far.close()
        for master in (self._near_master, self._far_master):
            if master != -1:
                os.close(master)


class XBeeRig:
    """Two XBeeRadios on simulated modules, in air without loss; far's pty is its module's USB adapter."""

    def __init__(self, directory: Path, product: Product) -> None:
        self._scene = Scene(directory, product)
        self.clock = self._scene.clock
        near, self._far = self._scene.sides
        self.near: Radio = self._scene.open(near)
        self.far: Radio = self._scene.open(self._far)

    def _heard(self) -> list[bytes]:
        return [arrival.packet for arrival in self._scene.arrivals(self._far)]

    def carry(self) -> list[bytes]:
        self._scene.run_for(SILENCE_S)
        return self._heard()

    def drain(self) -> None:
        self.carry()

    def noise(self, data: bytes) -> list[bytes]:
        self._scene.say(self._far, data)
        self._scene.run_for(SILENCE_S)
        return self._heard()

    def on_line(self, packet: bytes) -> bytes:
        data = packet + crc16(packet).to_bytes(2, "big")
        return pack(ReceivePacket(source=1, options=0, data=data), ApiMode.PLAIN)

    def settle(self) -> None:
        self._scene.run_for(SILENCE_S)

    def unplug(self) -> None:
        self._far.unplug()

    def plug(self) -> None:
        self._far.plug()

    def close(self) -> None:
        self._scene.close()


LARGE_PACKETS = replace(XBEE_900HP, payload_bytes=1200, serial_bytes=4096)

RIGS = {
    "sim": lambda _: SimRig(),
    "air": lambda _: AirRig(),
    "pty": PtyRig,
    "xbee": lambda directory: XBeeRig(directory, LARGE_PACKETS),
}


def make_rig(request: pytest.FixtureRequest, directory: Path) -> Iterator[Rig]:
    made = RIGS[request.param](directory)
    yield made
    made.close()


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from make_rig(request, tmp_path)


@pytest.fixture(params=["sim", "air", "pty"])
def line_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Where the line's rate alone says when there is room; a module has a word of its own in it."""
    yield from make_rig(request, tmp_path)


def await_room(rig: Rig, radio: Radio) -> None:
    """Let time pass up to the radio's deadlines until it takes a packet."""
    for _ in range(100):
        if radio.room:
            return
        due = radio.deadline()
        assert due is not None
        rig.clock.advance_to(max(due, rig.clock.monotonic()))
        radio.service()
    raise AssertionError("no room")


def send(rig: Rig, packet: bytes) -> None:
    await_room(rig, rig.near)
    rig.near.send(packet, Protection.NONE)


def await_back_off(rig: Rig, *, tries: int) -> None:
    """Go from deadline to deadline of the radio without port; none is further off than 10 s."""
    for _ in range(tries):
        rig.far.service()
        due = rig.far.deadline()
        assert due is not None
        assert rig.clock.monotonic() < due <= rig.clock.monotonic() + 10.0
        rig.clock.advance_to(due)
        rig.far.service()


def test_packets_of_all_sizes_arrive_whole_and_in_order(rig: Rig) -> None:
    rng = random.Random(2)
    sizes = [1, 2, 252, 253, 254, 255, 256, 1000, rig.near.mtu_bytes]
    counted_before = rig.near.counts.bytes_out, rig.far.counts.bytes_in  # what a device has been asked
    sent = [filling(size) for size in sizes for filling in (bytes, rng.randbytes, lambda size: b"\xff" * size)]
    got: list[bytes] = []
    for packet in sent:
        send(rig, packet)
        got += rig.carry()
    assert got == sent
    assert rig.near.counts.frames_out == rig.far.counts.frames_in == len(sent)
    out, heard = rig.near.counts.bytes_out - counted_before[0], rig.far.counts.bytes_in - counted_before[1]
    assert min(out, heard) > sum(map(len, sent))
    assert rig.far.counts.frames_damaged == 0


def test_every_byte_that_leaves_one_radio_comes_to_the_other(line_rig: Rig) -> None:
    for size in (1, 255, 1000):
        send(line_rig, bytes(size))
        line_rig.carry()
    assert line_rig.near.counts.bytes_out == line_rig.far.counts.bytes_in > 1256


def test_at_most_two_long_packets_are_taken_and_room_comes_back_at_the_deadline(line_rig: Rig) -> None:
    packet = bytes(1000)
    assert line_rig.near.deadline() is None
    line_rig.near.send(packet, Protection.NONE)
    assert line_rig.near.room == 1
    line_rig.near.send(packet, Protection.NONE)
    assert line_rig.near.room == 0
    due = line_rig.near.deadline()
    assert due is not None
    assert due - line_rig.clock.monotonic() == pytest.approx(len(frame(packet)) / BYTES_PER_S, rel=0.01)
    line_rig.clock.advance_to(due - 0.001)
    line_rig.near.service()
    assert (line_rig.near.room, line_rig.near.deadline()) == (0, due)
    line_rig.clock.advance_to(due)
    assert (line_rig.near.room, line_rig.near.deadline()) == (
        1,
        due,
    )  # told until service() is called: no wake-up is lost
    line_rig.near.service()
    assert (line_rig.near.room, line_rig.near.deadline()) == (1, None)


def test_send_without_room_and_packets_of_wrong_size_are_refused(rig: Rig) -> None:
    for packet in (b"", bytes(rig.near.mtu_bytes + 1)):
        with pytest.raises(ValueError, match="bytes"):
            rig.near.send(packet, Protection.NONE)
    sent = 0
    while rig.near.room:
        rig.near.send(bytes(1000), Protection.NONE)
        sent += 1
    assert 1 <= sent <= 2
    with pytest.raises(ValueError, match="without room"):
        rig.near.send(b"x", Protection.NONE)
    assert rig.carry() == [bytes(1000)] * sent


@pytest.mark.parametrize(("packet_bytes", "late_s"), [(256, 0.0), (256, 0.02), (12, 0.02), (4128, 0.2)])
def test_the_line_is_filled_and_never_overfilled(line_rig: Rig, packet_bytes: int, late_s: float) -> None:
    packet = b"\7" * packet_bytes
    ahead_bytes = max(0.030 * BYTES_PER_S, len(frame(packet))) + len(frame(packet))
    begun_at = line_rig.clock.monotonic()
    while line_rig.near.counts.bytes_out < 3 * BYTES_PER_S:
        while line_rig.near.room:
            line_rig.near.send(packet, Protection.NONE)
            line_bytes = (line_rig.clock.monotonic() - begun_at) * BYTES_PER_S
            assert line_bytes * 0.995 <= line_rig.near.counts.bytes_out <= line_bytes + ahead_bytes + 1
        due = line_rig.near.deadline()
        assert due is not None
        line_rig.drain()
        line_rig.clock.advance_to(due + late_s)
        line_rig.near.service()


def test_a_damaged_frame_is_counted_and_the_next_arrives(rig: Rig) -> None:
    hit = bytearray(rig.on_line(b"a packet that meets noise"))
    hit[5] ^= 0x10
    assert rig.noise(bytes(hit)) == []
    assert rig.far.counts.frames_damaged == 1
    send(rig, b"next")
    assert rig.carry() == [b"next"]


def test_noise_before_the_first_frame_after_silence_does_not_cost_it(rig: Rig) -> None:
    send(rig, b"one")
    assert rig.carry() == [b"one"]
    rig.clock.advance(1.0)
    rig.noise(b"\x55\x12\x99")
    send(rig, b"two")
    assert rig.carry() == [b"two"]


def test_random_bytes_are_counted_and_the_next_packet_arrives(rig: Rig) -> None:
    assert len(rig.noise(random.Random(3).randbytes(60_000))) <= 1
    assert 150 < rig.far.counts.frames_damaged < 600
    send(rig, b"next")
    assert rig.carry() == [b"next"]


def test_a_port_that_goes_away_is_a_problem_and_is_opened_again(rig: Rig) -> None:
    assert rig.far.fileno() is not None
    rig.unplug()
    assert rig.far.receive() == []
    assert rig.far.problem
    assert rig.far.fileno() is None
    for _ in range(3):
        await_room(rig, rig.far)
        rig.far.send(bytes(1000), Protection.NONE)  # lost, at the pace of the line
    assert rig.far.counts.frames_out == 0
    await_back_off(rig, tries=4)
    assert rig.far.problem
    assert rig.far.counts.reopened == 0
    rig.plug()
    await_back_off(rig, tries=1)
    assert rig.far.problem is None
    assert rig.far.fileno() is not None
    assert rig.far.counts.reopened == 1
    rig.settle()
    assert rig.far.deadline() is None
    send(rig, b"back")
    assert rig.carry() == [b"back"]


def test_half_a_frame_before_the_port_went_does_not_cost_the_first_one_after(rig: Rig) -> None:
    rig.noise(rig.on_line(b"cut off")[:5])
    rig.unplug()
    rig.far.receive()
    rig.plug()
    await_back_off(rig, tries=1)
    rig.settle()
    assert rig.noise(rig.on_line(b"whole")) == [b"whole"]
    assert rig.far.counts.frames_damaged == 1


def test_the_descriptor_is_readable_only_when_there_is_something_to_receive(rig: Rig) -> None:
    descriptor = rig.far.fileno()
    assert not select.select([descriptor], [], [], 0)[0]
    send(rig, b"x")
    assert rig.carry() == [b"x"]  # has waited for it
    assert rig.far.fileno() == descriptor
    assert not select.select([descriptor], [], [], 0)[0]
