"""PortReader in a service whose radio is an XBee module at the end of a real pty: no turn is forgotten."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from one_unit import config_in

from firmware.service import Service
from hal.framing import CRC_BYTES, crc16
from hal.xbee_frames import AtCommand, AtResponse, AtStatus, Modem, ModemStatus, ReceivePacket
from hal.xbee_framing import ApiMode, ApiReader, pack
from sim.pty_port import READ_BYTES, PtyPort

PATIENCE_S = 8.0  # for what must happen
LATE_S = 0.1  # a timer that was set at once

SETTINGS = {"AP": b"\1", "HV": b"\x41\0", "VR": b"\x30\x0c", "SH": b"\0\x13\xa2\0", "SL": b"\0\0\0\1", "NP": b"\1\0"}


class Module:
    """Answers what it is asked, on a thread of its own, as the start of a service waits for that in its loop."""

    def __init__(self, link: Path) -> None:
        self.answers = True
        self.heard: Callable[[AtCommand], None] = lambda _: None
        self._pty = PtyPort(link)
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        assert self._pty.write(data) == len(data)

    def close(self) -> None:
        os.close(self._ended)
        self._thread.join(PATIENCE_S)
        os.close(self._end)
        self._pty.close()

    def _run(self) -> None:
        reader = ApiReader(ApiMode.PLAIN)
        while self._end not in select.select([self._pty.fd, self._end], [], [])[0]:
            for question in reader.feed(self._pty.read(READ_BYTES), 0.0):
                if not isinstance(question, AtCommand):
                    continue
                answers = self.answers  # before whoever hears of the question changes it
                self.heard(question)
                if answers:
                    value = SETTINGS.get(question.command, b"")
                    status = AtStatus.OK if value else AtStatus.INVALID_COMMAND
                    answer = AtResponse(
                        frame_id=question.frame_id, command=question.command, status=status, value=value
                    )
                    self.say(pack(answer, ApiMode.PLAIN))


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Module]:
    made = Module(tmp_path / "port")
    yield made
    made.close()


def live(place: Path, story: Callable[[Service], Awaitable[None]]) -> None:
    """A unit that knows its module, while this goes on."""
    loaded = config_in(place, radio={"driver": "xbee", "port": str(place / "port")})

    async def run() -> None:
        service, ready = Service(loaded, temporary=True), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
            assert service.radio.problem is None
            await story(service)
        service.stop.set()
        await unit

    asyncio.run(run())


def packet_frame(packet: bytes) -> bytes:
    data = packet + crc16(packet).to_bytes(CRC_BYTES, "big")
    return pack(ReceivePacket(source=9, options=1, data=data), ApiMode.PLAIN)


def hear(service: Service, monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[bytes]:
    """The packets that the unit is handed from now on."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    monkeypatch.setattr(service.unit, "packet", lambda arrival, _: heard.put_nowait(arrival.packet))
    return heard


async def say(service: Service, module: Module, data: bytes) -> None:
    """Returns once the unit has read it."""
    until_bytes = service.radio.counts.bytes_in + len(data)
    module.say(data)
    while service.radio.counts.bytes_in < until_bytes:
        await asyncio.to_thread(lambda: None)  # the loop goes round


def say_between_turns(service: Service, module: Module, data: bytes) -> None:
    """Have it read with no turn due and none possible meanwhile, as the loop stands: a turn that came by chance, for
    what a thread has answered or the unit's own time, would read the port too, and set the timer."""
    service._arm_for(float("inf"))
    module.say(data)
    assert select.select([service.radio.fileno()], [], [], PATIENCE_S)[0]
    service._port._readable()
    due = service.radio.deadline()
    assert due is not None
    assert service._timer is not None
    assert service._timer.when() <= due + LATE_S


def test_a_question_to_a_module_that_was_reset_is_repeated_in_time(tmp_path: Path, module: Module) -> None:
    async def story(service: Service) -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Queue[AtCommand]()
        module.heard = lambda question: loop.call_soon_threadsafe(asked.put_nowait, question)
        module.answers = False  # the first is lost
        say_between_turns(service, module, pack(ModemStatus(status=Modem.HARDWARE_RESET), ApiMode.PLAIN))
        first = await asked.get()
        module.answers = True
        assert await asked.get() == first

    live(tmp_path, story)


def test_a_good_frame_behind_a_damaged_length_reaches_the_unit_in_time(
    tmp_path: Path, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(service: Service) -> None:
        heard = hear(service, monkeypatch)
        longer = bytearray(packet_frame(b"its length grows to 1 kB"))
        longer[1] |= 0x04
        say_between_turns(service, module, bytes(longer) + packet_frame(b"behind it"))
        assert await heard.get() == b"behind it"

    live(tmp_path, story)


def test_a_loop_that_is_late_still_takes_a_whole_frame(
    tmp_path: Path, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(service: Service) -> None:
        heard, frame = hear(service, monkeypatch), packet_frame(b"cut in two")
        await say(service, module, frame[:12])
        module.say(frame[12:])
        select.select([service.radio.fileno()], [], [], PATIENCE_S)
        clock = service.clock.monotonic
        monkeypatch.setattr(service.clock, "monotonic", lambda: clock() + 1.0)
        service.turn()
        assert await heard.get() == b"cut in two"
        assert service.radio.counts.frames_damaged == 0

    live(tmp_path, story)
