"""Simulated XBee modules in virtual time, and hosts that talk to them in frames or in text."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from hal import xbee_frames as x
from hal.xbee_framing import ApiMode, ApiReader, pack
from sim.xbee_air import Air
from sim.xbee_mac import Ack, Packet
from sim.xbee_module import Module
from sim.xbee_products import DIGIMESH, Product

PATIENCE_S = 30.0
"""Virtual seconds for what happens at once, in the eyes of a person."""

Kind = TypeVar("Kind", bound=x.Frame)


class Host:
    """One end of a module's serial line."""

    def __init__(self, scene: Scene, module: Module, mode: ApiMode) -> None:
        self.module = module
        self.frames: list[x.Frame] = []  # what has come and was not taken
        self.text = b""  # the same of a host without frames
        self.mode = mode
        self._scene = scene
        self._reader = ApiReader(mode)
        self._number = 0

    def say(self, data: bytes) -> None:
        """Bytes, as fast as the line takes them."""
        while data:
            piece = data[: self.module.room_bytes]
            self.module.write(piece, self._scene.now)
            data = data[len(piece) :]
            if data:
                self._scene.step()

    def send(self, frame: x.Frame) -> None:
        self.say(pack(frame, self.mode))

    def listen(self) -> None:
        """Called by the scene, whenever time has passed."""
        data = self.module.read(self._scene.now)
        self.text += data
        self.frames += self._reader.feed(data, self._scene.now)

    def take(self, kind: type[Kind]) -> Kind:
        """The next frame of this kind; those before it stay."""
        self._scene.until(lambda: any(isinstance(frame, kind) for frame in self.frames))
        found = next(frame for frame in self.frames if isinstance(frame, kind))
        self.frames.remove(found)
        return found

    def new_id(self) -> int:
        self._number = self._number % 255 + 1
        return self._number

    def at(self, command: str, value: bytes = b"", *, queued: bool = False) -> x.AtResponse:
        """An AT command and its answer."""
        kind = x.AtQueued if queued else x.AtCommand
        asked = kind(frame_id=self.new_id(), command=command, value=value)
        self.send(asked)
        answer = self.take(x.AtResponse)
        assert (answer.frame_id, answer.command) == (asked.frame_id, command)
        return answer

    def number(self, command: str) -> int:
        answer = self.at(command)
        assert answer.status == x.AtStatus.OK
        return int.from_bytes(answer.value, "big")

    def set(self, **values: int) -> None:
        for name, value in values.items():
            assert self.at(name, value.to_bytes(8, "big")).status == x.AtStatus.OK

    def transmit(self, to: int, data: bytes) -> x.TransmitStatus:
        """A packet and what became of it."""
        asked = x.TransmitRequest(frame_id=self.new_id(), to=to, data=data)
        self.send(asked)
        answer = self.take(x.TransmitStatus)
        assert answer.frame_id == asked.frame_id
        return answer

    def received(self) -> list[bytes]:
        """The data of all packets that have come so far, taken."""
        found = [frame for frame in self.frames if isinstance(frame, x.ReceivePacket | x.Rx64 | x.Rx16)]
        self.frames = [frame for frame in self.frames if frame not in found]
        return [frame.data for frame in found]

    def type_command(self, line: str) -> str:
        """A line in command mode, and its answer."""
        before = len(self.text)
        self.say(line.encode() + b"\r")
        self._scene.until(lambda: self.text[before:].endswith(b"\r"))
        return self.text[before:-1].decode()

    def enter_command_mode(self) -> None:
        self._scene.run(1.1)
        before = len(self.text)
        self.say(b"+++")
        self._scene.until(lambda: self.text[before:] == b"OK\r")


class Scene:
    """Modules in one air. ap: AP of each."""

    def __init__(
        self,
        count: int = 2,
        *,
        product: Product = DIGIMESH,
        loss: float = 0.0,
        seed: int = 1,
        ap: int = 1,
        **set_up: int,
    ) -> None:
        self.now = 100.0
        self.air: Air[Packet | Ack] = Air(random.Random(seed), loss=loss, now=self.now)
        mode = ApiMode.ESCAPED if ap == 2 else ApiMode.PLAIN
        self.hosts: list[Host] = []
        for number in range(count):
            own = {"AP": ap} | set_up
            if product.protocol == "zigbee" and number == 0:
                own["CE"] = 1
            self.hosts.append(Host(self, Module(self.air, product, serial=0x1000 + number, set_up=own), mode))

    def step(self, limit: float = float("inf")) -> None:
        """Up to the next event, not beyond limit."""
        deadline = self.air.deadline()
        self.now = min(limit, max(self.now, self.now + PATIENCE_S if deadline is None else deadline))
        self.air.service(self.now)
        for host in self.hosts:
            host.listen()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.step(end)

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        end = self.now + seconds
        while not condition():
            assert self.now < end, "it does not happen"
            self.step(end)
