"""A service that ends to be started again in its process, as its unit wants it: nothing of the former life goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from one_unit import config_in

from firmware import commands as c
from firmware import running
from firmware.control import hold_card
from firmware.errors import Refused
from firmware.log_printer import LogPrinter
from firmware.service import Service
from firmware.shutter import Shutter
from hal.service_manager import ServiceManager

WITHIN_S = 60.0


class Lives(LogPrinter):
    """The services that a process has had, and what it has printed."""

    def __init__(self) -> None:
        self.services: list[Service] = []
        self._ready = 0
        self._news = asyncio.Event()

    def print(self, line: str) -> None:
        """Nobody reads it."""
        self._ready += line.startswith("ready")
        self._news.set()

    async def begin(self, number: int) -> Service:
        """Wait until so many have been ready; the last one."""
        async with asyncio.timeout(WITHIN_S):
            while self._ready < number:
                self._news.clear()
                await self._news.wait()
        return self.services[-1]


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Lives], Awaitable[None]]], None]:
    """Have a unit run while this goes on."""
    camera = {"driver": "pattern", "size": [320, 240]}
    loaded = config_in(tmp_path, camera=camera, shutter={"interval": "1 h"})

    async def run(story: Callable[[Lives], Awaitable[None]]) -> None:
        lives = Lives()

        class Noted(Service):
            def __init__(self, *args: object, **fields: object) -> None:
                super().__init__(*args, **fields)  # type: ignore[arg-type]
                lives.services.append(self)

        monkeypatch.setattr(running, "Service", Noted)
        unit = asyncio.create_task(running._run(loaded, lives, None, ServiceManager({})))
        await story(lives)
        last = lives.services[-1]
        last.starts_anew = False
        last.stop.set()
        await unit

    return lambda story: asyncio.run(run(story))


def start_anew(service: Service) -> None:
    service.unit.core.start_anew = "the roster says so"
    service.turn()


def test_the_card_of_each_life_is_that_ones_alone(live: Callable[..., None]) -> None:
    """It may have been mounted meanwhile."""

    async def story(lives: Lives) -> None:
        former = await lives.begin(1)
        card = former.config.card.path
        card.rename(card.with_name("before"))
        card.mkdir(mode=0o700)
        start_anew(former)
        await lives.begin(2)
        with pytest.raises(Refused, match="another unit works on the card"), hold_card(card):
            pass
        with hold_card(card.with_name("before")):
            pass

    live(story)


def test_a_life_that_has_ended_does_nothing_any_more(live: Callable[..., None]) -> None:
    async def story(lives: Lives) -> None:
        former = await lives.begin(1)
        start_anew(former)
        assert await lives.begin(2) is not former
        told = former.unit.core.journal.count
        for still_to_come in (former._interval, former._read_clock, former.turn):
            still_to_come()
        assert former.unit.core.journal.count == told
        assert former._timer is not None
        assert former._timer.cancelled()

    live(story)


def test_a_shot_that_is_under_way_is_taken_before(live: Callable[..., None]) -> None:
    async def story(lives: Lives) -> None:
        former = await lives.begin(1)
        former.command(c.Shoot(None))
        before = former.unit.core.sequence
        start_anew(former)
        assert (await lives.begin(2)).unit.core.sequence == before + 1

    live(story)


def test_while_a_picture_waits_in_memory_the_unit_does_not_begin_to_end(
    live: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may wait for weeks, without a card; whoever follows the log goes on."""

    async def story(lives: Lives) -> None:
        former = await lives.begin(1)
        with monkeypatch.context() as waiting:
            waiting.setattr(Shutter, "is_idle", False)
            start_anew(former)
            assert not former.ending
            assert not former.starts_anew
        former.turn()
        assert await lives.begin(2) is not former

    live(story)
