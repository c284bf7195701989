"""Safe mode: after five bad starts, what it does and does not, what ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from one_unit import config_in
from rig_scene import a_pair, carry_out, copies, held, own, place, press, settled, shoot

from firmware import bad_starts, config
from firmware import commands as c
from firmware import messages as m
from firmware.bad_starts import BAD_STARTS, GOOD_AFTER_S, SAFE_FOR_S, Starts
from firmware.events import Counts, Names
from firmware.service import Service
from firmware.status import status_row
from sim.machine import Options

PATIENCE_S = 60.0  # for what must happen


@pytest.fixture
def loaded(tmp_path: Path) -> config.Config:
    return config_in(tmp_path)


class Bug(Exception):
    """What ends a start badly."""


async def until_ready(ready: asyncio.Event, unit: asyncio.Task[None]) -> None:
    """Raises what ended the start."""
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((waiting, unit), timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    if not ready.is_set():
        waiting.cancel()
        await unit
    assert ready.is_set()


def a_start(loaded: config.Config, *, bad: bool = False, supervised: bool = True) -> bool:
    """One life of a unit, ended by a bug or as it was told. Whether it was in safe mode."""

    async def live() -> bool:
        service, ready = Service(loaded, temporary=False, supervised=supervised), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        await until_ready(ready, unit)
        if bad:
            service._break(Bug())
            with pytest.raises(Bug):
                await unit
        else:
            service.stop.set()
            await unit
        return service.beginning.in_safe_mode

    return asyncio.run(live())


def test_five_bad_starts_lead_to_safe_mode_and_so_does_a_bad_one_in_it(loaded):
    assert [a_start(loaded, bad=True) for _ in range(BAD_STARTS + 2)] == [False] * BAD_STARTS + [True] * 2


def test_a_start_that_was_told_to_end_begins_the_count_anew(loaded):
    lives = [a_start(loaded, bad=True) for _ in range(BAD_STARTS - 1)] + [a_start(loaded)]
    lives += [a_start(loaded, bad=True) for _ in range(BAD_STARTS)] + [a_start(loaded)]
    assert lives == [False] * (2 * BAD_STARTS) + [True]
    assert not a_start(loaded)


def test_where_nobody_starts_it_anew_nothing_is_counted(loaded):
    assert not any(a_start(loaded, bad=True, supervised=False) for _ in range(BAD_STARTS + 1))
    assert not a_start(loaded)


def test_a_start_is_good_after_a_while(loaded, monkeypatch):
    for _ in range(BAD_STARTS - 1):
        a_start(loaded, bad=True)
    monkeypatch.setattr(bad_starts, "GOOD_AFTER_S", 0.0)

    async def live() -> None:
        service, ready = Service(loaded, temporary=False, supervised=True), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        await until_ready(ready, unit)
        for _ in range(2):  # the timer of 0 s goes off in between; a question is answered after what was noted before
            await asyncio.wait_for(service.ask(Names()), PATIENCE_S)
        service._break(Bug())
        with pytest.raises(Bug):
            await unit

    asyncio.run(live())
    monkeypatch.undo()
    assert not a_start(loaded, bad=True)


def test_safe_mode_ends_by_itself_and_one_more_bad_start_leads_there_again(loaded, monkeypatch):
    for _ in range(BAD_STARTS):
        a_start(loaded, bad=True)
    monkeypatch.setattr(bad_starts, "SAFE_FOR_S", 0.0)

    async def live() -> bool:
        service = Service(loaded, temporary=False, supervised=True)
        await asyncio.wait_for(service.main(lambda: None), PATIENCE_S)
        assert service.beginning.in_safe_mode
        return service.starts_anew

    assert asyncio.run(live())
    monkeypatch.undo()
    assert not a_start(loaded, bad=True)
    assert a_start(loaded, bad=True)


def test_status_and_log_say_that_and_why_and_what_can_be_done(loaded):
    for _ in range(BAD_STARTS):
        a_start(loaded, bad=True)

    async def live() -> tuple[list[str], list[str]]:
        service, ready = Service(loaded, temporary=False, supervised=True), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        await until_ready(ready, unit)
        row = status_row(service, await service.ask(Counts(1, 2)))
        said = [line.text for line in service.unit.core.journal.after(0) if line.event == "alarm"]
        service.stop.set()
        await unit
        assert row["safe_mode"] is True
        return row["problems"], said

    for told in asyncio.run(live()):
        assert any("safe mode" in text and "journal" in text for text in told)


def test_the_count_stays_small_and_safe_mode_lasts_longer_than_a_start_needs_to_be_good():
    assert Starts(10**9).counted == BAD_STARTS + 1
    assert Starts(BAD_STARTS - 1).good_after_s == GOOD_AFTER_S < SAFE_FOR_S == Starts(BAD_STARTS).good_after_s


# ---------------------------------------------------------------- the unit in safe mode


def test_in_safe_mode_pictures_are_taken_and_hosted_and_none_is_sent():
    rig, origin, other = a_pair(origin=Options(safe_mode=True))
    mine = shoot(origin)
    press(other)
    rig.run_until(settled(other), 120)
    rig.run_for(3600)
    assert len(own(origin)) == len(held(origin)) == 1
    assert copies(origin, mine) == []
    refused = place(origin, mine, 2)
    assert isinstance(refused, c.Failed)
    assert "safe mode" in str(refused.error)
    assert isinstance(carry_out(other, lambda ticket: c.Get(ticket, mine.id, False, 60.0, 0, None)), c.Failed)
    assert origin.said(m.Part) == []


@pytest.mark.parametrize("safe", [True, False])
def test_in_safe_mode_no_holder_is_asked_for_proofs(safe):
    rig, origin, _other = a_pair()
    shoot(origin)
    rig.run_until(settled(origin), 120)
    origin.kill()
    origin.options.safe_mode = safe
    origin.restart()
    rig.run_for(12 * 3600)
    assert bool(origin.said(m.Prove)) is not safe


def test_a_unit_without_a_bad_start_sends_and_serves():
    rig, origin, other = a_pair()
    mine = shoot(origin)
    rig.run_until(settled(origin), 120)
    assert copies(origin, mine) == [2]
    assert isinstance(carry_out(other, lambda ticket: c.Get(ticket, mine.id, False, 60.0, 0, None)), c.Done)
