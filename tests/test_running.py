"""A unit's process at its edges: told to end before it was ready, and locks that somebody else holds."""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import os
import threading
from contextlib import closing
from pathlib import Path

import pytest
from one_unit import config_in
from unprivileged import NOBODY

from firmware import config, offline
from firmware.catalogue import Catalogue
from firmware.client import Client
from firmware.control import hold
from firmware.errors import NobodyRuns, Refused, UnitRuns
from firmware.running import run, temporary
from firmware.service import Service
from hal.errors import CardError
from hal.interfaces import CardEntry, Radio
from sim import power
from sim.card import CardOptions, SimCard

PATIENCE_S = 60.0  # for what must happen


@pytest.fixture
def loaded(tmp_path: Path) -> config.Config:
    return config_in(tmp_path)


class SlowCard(SimCard):
    """A large card without a catalogue: reading it takes until `read` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.read, self.was_read = threading.Event(), threading.Event(), False

    def entries(self, path: str) -> list[CardEntry]:
        self.asked.set()
        self.read.wait(PATIENCE_S)
        self.was_read = True
        return super().entries(path)


def test_a_unit_told_to_end_while_it_reads_its_card_ends_at_once_and_was_never_ready(loaded: config.Config) -> None:
    card, said = SlowCard(), []

    async def run() -> None:
        service = Service(loaded, temporary=True, card=card)
        unit = asyncio.create_task(service.main(lambda: said.append("ready")))
        assert await asyncio.to_thread(card.asked.wait, PATIENCE_S)
        service.stop.set()
        await unit

    asyncio.run(run())
    assert not card.was_read
    assert said == []
    card.read.set()


def test_a_bug_before_the_unit_is_ready_is_no_order_to_end(loaded: config.Config) -> None:
    card = SlowCard()

    async def run() -> None:
        service = Service(loaded, temporary=True, card=card)
        unit = asyncio.create_task(service.main(lambda: None))
        assert await asyncio.to_thread(card.asked.wait, PATIENCE_S)
        service._break(ZeroDivisionError())
        await unit

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
    card.read.set()


def test_a_unit_told_to_end_while_its_radio_is_opened_ends_at_once_and_was_no_bad_start(
    loaded: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an XBee module that takes seconds for each answer."""
    asked, answers, said = threading.Event(), threading.Event(), list[str]()

    def slow(service: Service) -> Radio:
        asked.set()
        answers.wait(PATIENCE_S)
        said.append("open")
        return make_radio(service)

    make_radio = Service._make_radio
    monkeypatch.setattr(Service, "_make_radio", slow)

    async def run() -> None:
        service = Service(loaded, temporary=False, supervised=True)
        unit = asyncio.create_task(service.main(lambda: said.append("ready")))
        assert await asyncio.to_thread(asked.wait, PATIENCE_S)
        with closing(Catalogue.read_only(str(loaded.card.catalogue_path), 1)) as catalogue:
            assert catalogue.counter("bad_starts", 0) == 1
        service.stop.set()
        await unit

    asyncio.run(run())
    assert said == []
    answers.set()
    with closing(Catalogue.read_only(str(loaded.card.catalogue_path), 1)) as catalogue:
        assert catalogue.counter("bad_starts", 9) == 0


def test_what_a_start_up_raises_reaches_whoever_started_it(loaded: config.Config) -> None:
    card = SimCard()
    card.options.read_only = True

    async def run() -> None:
        await Service(loaded, temporary=True, card=card).main(lambda: None)

    with pytest.raises(OSError, match="no more writes"):
        asyncio.run(run())


def test_a_unit_whose_card_is_dead_at_its_start_goes_on_without_and_says_so(loaded: config.Config) -> None:
    card, rows = SimCard(CardOptions(dead=True)), list[object]()

    async def run() -> None:
        service, ready = Service(loaded, temporary=False, card=card), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
            client = Client(loaded.unit.socket_path)
            rows.extend(await asyncio.to_thread(lambda: list(client.ask("status"))))
        service.stop.set()
        await unit

    asyncio.run(run())
    assert "without its card" in str(rows)
    assert (loaded.unit.runtime_dir / "card" / "own").is_dir()


@pytest.mark.skipif(bool(power.why_not()), reason=power.why_not())
def test_a_unit_whose_card_is_on_an_overlay_in_memory_says_so(loaded: config.Config) -> None:
    """On a real one, in a mount namespace of its own."""
    told = loaded.file.with_name("told")

    async def run(on_overlay: config.Config) -> None:
        service = Service(on_overlay, temporary=False)
        ready = asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
        lines = [f"{line.event}: {line.text}" for line in service.unit.core.journal.after(0)]
        told.write_text("\n".join((*lines, f"problem: {service.card_problem}")))
        service.stop.set()
        await unit

    def start(top: Path) -> None:
        (memory := top / "memory").mkdir()
        (merged := top / "merged").mkdir()
        if not mounted("tmpfs", memory, ""):
            return
        for name in ("lower", "upper", "work"):
            (memory / name).mkdir()
        if mounted("overlay", merged, f"lowerdir={memory}/lower,upperdir={memory}/upper,workdir={memory}/work"):
            card = dataclasses.replace(loaded.card, path=merged / "card")
            asyncio.run(run(dataclasses.replace(loaded, card=card)))

    done = power.run(start)
    assert not done.error, done.error
    if not told.exists():
        pytest.skip("this kernel does not let us mount an overlay")
    alarm, problem = (line for line in told.read_text().splitlines() if "power cut" in line)
    assert alarm.startswith("alarm: ")
    assert problem.startswith("problem: ")


def mounted(kind: str, where: Path, options: str) -> bool:
    words = (kind.encode(), bytes(where), kind.encode(), ctypes.c_ulong(0), options.encode())
    return ctypes.CDLL(None).mount(*words) == 0


def test_a_unit_that_ends_keeps_how_long_it_has_run(loaded: config.Config) -> None:

    async def run() -> None:
        service = Service(loaded, temporary=True)
        ready = asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
        service.unit.core.started -= 5000.0  # as if it had run for so long
        service.stop.set()
        await unit

    asyncio.run(run())
    with closing(Catalogue.read_only(str(loaded.card.catalogue_path), 1)) as catalogue:
        assert 5000 <= catalogue.counter("age", 0) < 5000 + PATIENCE_S


def test_a_temporary_unit_waits_for_other_commands_but_not_for_who_follows_its_log(loaded: config.Config) -> None:
    followed, ended = threading.Event(), threading.Event()

    def follow() -> None:
        for _line in Client(loaded.unit.socket_path).ask("log", follow=True):
            followed.set()
        ended.set()

    with temporary(loaded):
        threading.Thread(target=follow, daemon=True).start()
        assert followed.wait(PATIENCE_S)
        assert not ended.is_set()
    assert ended.wait(PATIENCE_S)
    with pytest.raises(NobodyRuns):
        list(Client(loaded.unit.socket_path).ask("status"))


def test_a_lock_that_somebody_holds_is_no_unit_that_cannot_be_opened(loaded: config.Config) -> None:
    with hold(loaded.unit.runtime_dir), pytest.raises(UnitRuns), temporary(loaded):
        pass
    (loaded.unit.runtime_dir / "lock").unlink()
    (loaded.unit.runtime_dir / "lock").mkdir()
    with pytest.raises(Refused, match="cannot be opened") as refused, temporary(loaded):
        pass
    assert not isinstance(refused.value, UnitRuns)


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about what root leaves behind")
@pytest.mark.parametrize("place", ["card", "run"])
def test_root_leaves_nothing_among_the_files_of_another_user(loaded: config.Config, place: str) -> None:
    """A unit of that user could open neither the lock nor the pictures."""
    Catalogue(str(loaded.card.catalogue_path), 1).close()
    theirs = {"card": loaded.card.path, "run": loaded.unit.runtime_dir}[place]
    theirs.mkdir(exist_ok=True)
    os.chown(theirs, NOBODY, -1)
    before = os.listdir(loaded.card.path)
    with pytest.raises(Refused, match="belongs to user nobody"):
        run(loaded)
    with pytest.raises(Refused, match="sudo -u nobody dandelion"), temporary(loaded):
        pass
    with pytest.raises(Refused, match="nothing was done"):
        list(offline.fsck_findings(loaded, repair=True))
    assert os.listdir(loaded.card.path) == before
    assert not loaded.unit.runtime_dir.exists() or not os.listdir(loaded.unit.runtime_dir)
    assert list(offline.fsck_findings(loaded, repair=False))  # what only reads is done


def test_whose_a_card_is_that_cannot_be_looked_at_is_no_matter(loaded: config.Config) -> None:
    """What is wrong with it is told by who reads it."""
    loaded.card.path.rmdir()
    loaded.card.path.symlink_to("card")
    with pytest.raises(CardError, match="leads nowhere"), temporary(loaded):
        pass
