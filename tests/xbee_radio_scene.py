"""XBee radios on simulated modules, joined by real ptys, in time that is moved by hand."""

from __future__ import annotations

import random
import select
from dataclasses import dataclass, field
from pathlib import Path

from hal.interfaces import Arrival, RadioCounts
from hal.serial_port import SerialPort
from hal.xbee_module import Wanted
from hal.xbee_radio import XBeeRadio
from sim.clock import SimClock
from sim.pty_port import READ_BYTES, PtyPort
from sim.xbee_air import Air
from sim.xbee_module import Module
from sim.xbee_products import Product

# Seconds to wait for the kernel to hand bytes from one end of a pty to the other; usually microseconds.
KERNEL_S = 10.0

BAUD = 115_200
SERIAL = 0x4152_6300


@dataclass
class Side:
    """A module, the pty that leads to it, and what has gone over that."""

    module: Module
    link: Path
    pty: PtyPort | None = None
    radio: XBeeRadio | None = None
    heard_bytes: int = 0  # by the module
    said_bytes: int = 0  # to the radio
    arrived: list[Arrival] = field(default_factory=list)

    def plug(self) -> None:
        self.pty = PtyPort(self.link)

    def unplug(self) -> None:
        assert self.pty is not None
        self.pty.close()
        self.pty = None


class Scene:
    """Modules that hear each other, each with a radio once open() has made it."""

    def __init__(self, directory: Path, product: Product, *, count: int = 2, loss: float = 0.0, **set_up: int) -> None:
        self.clock = SimClock()
        self.air = Air(random.Random(1), loss=loss, now=self.clock.monotonic())
        self.sides = [
            Side(Module(self.air, product, serial=SERIAL + index, set_up=set_up), directory / f"xbee{index}")
            for index in range(count)
        ]
        for side in self.sides:
            side.plug()

    def open(self, side: Side, wanted: Wanted | None = None, *, settled: bool = True) -> XBeeRadio:
        """A radio that knows its module, or has just begun to ask it."""
        port = SerialPort(str(side.link), BAUD, self.clock, RadioCounts(), rtscts=False, pty_only=False)
        side.radio = XBeeRadio(port, self.clock, wanted or Wanted())
        if settled:
            self.run_until(lambda: not side.radio.is_asking)
            side.radio = XBeeRadio(port, self.clock, wanted or Wanted(), side.radio.inquiry)
        return side.radio

    def say(self, side: Side, data: bytes) -> None:
        """Let the radio read these bytes, whoever has said them."""
        while data:
            took = side.pty.write(data[:2048])
            data = data[took:]
            side.said_bytes += took
            self._read(side)

    def pump(self) -> None:
        """Carry what has been said by now, both ways, and what is answered at once."""
        self._carry()
        while any(
            side.radio is not None and side.pty is not None and side.heard_bytes < side.radio.counts.bytes_out
            for side in self.sides
        ):
            self._carry()

    def _carry(self) -> None:
        now = self.clock.monotonic()
        for side in self.sides:
            if side.radio is not None:
                side.radio.service()
                side.arrived += side.radio.receive()
            if side.pty is not None and side.radio is not None:
                while side.heard_bytes < side.radio.counts.bytes_out:
                    assert select.select([side.pty.fd], [], [], KERNEL_S)[0]
                    data = side.pty.read(min(READ_BYTES, side.module.room_bytes))
                    side.heard_bytes += len(data)
                    side.module.write(data, now)
        self.air.service(now)
        for side in self.sides:
            said = side.module.read(now)
            if side.pty is not None and side.radio is not None:
                self.say(side, said)

    def _read(self, side: Side) -> None:
        radio = side.radio
        while radio.fileno() is not None and radio.counts.bytes_in < side.said_bytes:
            assert select.select([radio.fileno()], [], [], KERNEL_S)[0]
            side.arrived += radio.receive()

    def deadline(self) -> float | None:
        """When something happens by itself next."""
        due = [self.air.deadline(), *(side.radio.deadline() for side in self.sides if side.radio is not None)]
        return min((at for at in due if at is not None), default=None)

    def run_until(self, holds, within_s: float = 30.0) -> None:
        """Go from deadline to deadline until this holds."""
        until = self.clock.monotonic() + within_s
        self.pump()
        while not holds():
            due = self.deadline()
            assert due is not None, "nothing is to happen any more"
            assert due <= until, f"not in {within_s} s"
            self.clock.advance_to(max(due, self.clock.monotonic()))
            self.pump()

    def run_for(self, seconds: float) -> None:
        """Go on for so long."""
        until = self.clock.monotonic() + seconds
        self.pump()
        while (due := self.deadline()) is not None and due <= until:
            self.clock.advance_to(max(due, self.clock.monotonic()))
            self.pump()
        self.clock.advance_to(until)
        self.pump()

    def arrivals(self, side: Side) -> list[Arrival]:
        """What has come there since the last look."""
        arrived, side.arrived = side.arrived, []
        return arrived

    def close(self) -> None:
        for side in self.sides:
            if side.radio is not None:
                side.radio.close()
            if side.pty is not None:
                side.unplug()
