"""A camera whose thread hangs for good is declared failed: whoever waits is told, and the unit goes on as a host."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import pytest
from one_unit import config_in

from firmware import commands as c
from firmware import config
from firmware.service import Service
from firmware.watchdog import CAMERA_PATIENCE_S
from hal.interfaces import Occasion, Shot
from sim.camera import SimCamera

PATIENCE_S = 60.0  # for what must happen


class HangingCamera(SimCamera):
    """Hangs in each shot until `free` is set, where not even its own time-out helps."""

    def __init__(self) -> None:
        super().__init__(random.Random(1), size_bytes=(2000, 3000))
        self.asked, self.free = threading.Event(), threading.Event()

    def capture(self, timeout_s: float, occasion: Occasion) -> Shot:
        self.asked.set()
        self.free.wait(PATIENCE_S)
        return super().capture(timeout_s, occasion)


def age(service: Service, seconds: float) -> None:
    """Have the camera hang for so long already. It alone: with a clock set ahead, a card or catalogue that is at
    something just then has not answered for as long, either."""
    since = service.camera.busy_since
    assert since is not None
    service.camera._worker.busy_since = since - seconds


@pytest.fixture
def loaded(tmp_path: Path) -> config.Config:
    return config_in(tmp_path)


def test_a_camera_that_hangs_for_good_is_declared_failed_and_is_back_when_it_answers(loaded: config.Config) -> None:
    async def run() -> None:
        service, camera = Service(loaded, temporary=False), HangingCamera()
        told: asyncio.Queue[c.Told] = asyncio.Queue()
        assert service.look_after() is None  # it reads its card
        ready = asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
            service.camera.driver = camera
            service.command(c.Shoot(service.new_ticket(told.put_nowait)))
            await asyncio.to_thread(camera.asked.wait, PATIENCE_S)
            assert service.look_after() == ""
            age(service, CAMERA_PATIENCE_S)
            assert service.look_after() == ""
            assert service.camera.problem is not None
            assert isinstance((await told.get()).what, c.Failed)
            age(service, 10 * CAMERA_PATIENCE_S)
            assert service.look_after() == "", "the watchdog must not bite for a camera that nothing can end"

            service.command(c.Shoot(service.new_ticket(told.put_nowait)))
            assert isinstance((await told.get()).what, c.Failed)
            camera.free.set()
            journal = service.unit.core.journal
            async with service.news:
                await service.news.wait_for(lambda: any("answers again" in line.text for line in journal.after(0)))
            assert service.camera.problem is None
            service.command(c.Shoot(service.new_ticket(told.put_nowait)))
            assert isinstance((await told.get()).what, c.Done)
        service.stop.set()
        await unit

    asyncio.run(run())
