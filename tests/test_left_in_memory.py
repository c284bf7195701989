"""Pictures that a life without a card has left in memory are put on the card at the next start with one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from card_scene import Unit, bytes_of, content, files, picture, shot
from one_unit import config_in

from firmware import config
from firmware.beginning import SPARE_CARD
from firmware.dispersal import Dispersal
from firmware.events import KeepShot, LookUp
from firmware.layout import preview_path
from firmware.left_in_memory import take_up
from firmware.pictures import Copy, Entry, File, Picture
from firmware.service import Service
from hal.directory_card import DirectoryCard
from sim.camera import MemoryShot
from sim.card import Fault, SimCard

PATIENCE_S = 60.0  # for what must happen
WITHOUT = 0x7E57  # card number of the life without


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Unit]:
    """A directory in memory with two pictures that no other unit has, and one that another one has stored."""
    made = Unit(SimCard(), tmp_path / "left.sqlite3")
    fill(made)
    yield made
    made.stop()


def fill(unit: Unit) -> None:
    started = unit.start(seed=7)
    for number in (1, 2, 3):
        of = replace(picture(number, card=WITHOUT), taken_at=1000.0 + number, priority=number == 2)
        request = shot(number)
        started.store.keep_shot(KeepShot(of, MemoryShot(content(number), b"" if number == 3 else request.shot.preview)))
        unit.save(Entry(of, File.WHOLE, version=4, copies=(Copy(2, listed=9),) if number == 1 else ()))
    started.catalogue.set_counters(next_attempt=40)


def test_they_are_pictures_of_the_card_now_with_all_that_was_known_of_them(left: Unit, unit: Unit) -> None:
    assert unit.started is not None
    assert left.started is not None
    before = unit.started.memory
    after, all_taken = take_up(left.card, left.started.catalogue, unit.started)
    assert all_taken
    assert {path.rpartition("/")[2] for path in files(unit.card, "own")} == {
        path.rpartition("/")[2] for path in files(left.card, "own") if "-00000001-" not in path
    }
    for number in (2, 3):
        entry = unit.entry(picture(number, card=WITHOUT).id)
        assert entry is not None
        assert (entry.picture.taken_at, entry.picture.priority) == (1000.0 + number, number == 2)
        assert (entry.file, entry.copies) == (File.WHOLE, ())
        assert bytes_of(unit.card, unit.started.store.path(entry.picture)) == content(number)
    previews = {preview_path(picture(2, card=WITHOUT).id): shot(2).shot.preview}  # of the third there was none
    assert files(unit.card, "preview") == previews
    size = len(content(2)) + len(content(3))
    assert after.memory == replace(before, own_bytes=before.own_bytes + size, largest_bytes=150_000, next_attempt=40)
    assert after.notices == [
        *unit.started.notices,
        "2 pictures that waited in memory without a card: put on the card now",
    ]
    again = unit.again(seed=3).memory
    assert (again.own_bytes, again.next_attempt) == (after.memory.own_bytes, 40)
    assert take_up(left.card, left.started.catalogue, unit.started) == (unit.started, True)  # known already


def test_a_card_that_is_full_leaves_them_where_they_are_and_it_is_said(left: Unit, tmp_path: Path) -> None:
    assert left.started is not None
    unit = Unit(SimCard(), tmp_path / "unit.sqlite3")
    started = unit.start()
    assert isinstance(unit.card, SimCard)
    unit.card.options.below["tmp"] = Fault.FULL
    after, all_taken = take_up(left.card, left.started.catalogue, started)
    assert not all_taken
    assert "could not be put on the card, and go with the power" in after.notices[-1]
    assert after.memory == started.memory
    unit.card.options.below.clear()
    assert take_up(left.card, left.started.catalogue, started)[1]
    unit.stop()


def test_a_row_whose_file_is_gone_is_passed_over(left: Unit, unit: Unit) -> None:
    assert left.started is not None
    assert unit.started is not None
    gone = picture(2, card=WITHOUT)
    left.card.unlink(left.started.store.path(gone))
    assert take_up(left.card, left.started.catalogue, unit.started)[1]
    assert unit.entry(gone.id) is None
    assert unit.entry(picture(3, card=WITHOUT).id) is not None


# ------------------------------------------------------------ a unit


@pytest.fixture
def loaded(tmp_path: Path) -> config.Config:
    return config_in(tmp_path)


def test_a_start_with_a_card_takes_them_and_removes_the_directory(loaded: config.Config) -> None:
    place = loaded.unit.runtime_dir / SPARE_CARD
    spare = Unit(DirectoryCard(str(place)), place / loaded.card.catalogue_path.name)
    fill(spare)
    spare.stop()
    found = list[object]()

    async def live() -> None:
        service, ready = Service(loaded, temporary=False), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        await ready.wait()
        found.append(await service.ask(LookUp(picture(3, card=WITHOUT).id)))
        found.extend(line.text for line in service.unit.core.journal.after(0) if "waited in memory" in line.text)
        service.stop.set()
        await unit

    asyncio.run(live())
    entry, told = found
    assert isinstance(entry, Entry)
    assert entry.file is File.WHOLE
    assert str(told).startswith("2 pictures that waited in memory")
    assert not place.exists()


def test_a_shot_that_was_cut_before_its_row_is_taken_too_and_a_damaged_list_costs_none(loaded: config.Config) -> None:
    place = loaded.unit.runtime_dir / SPARE_CARD
    spare = Unit(DirectoryCard(str(place)), place / loaded.card.catalogue_path.name)
    fill(spare)
    spare.stop()
    spare.path.write_bytes(b"no database" * 1000)
    told = asyncio.run(start_and_end(loaded))
    assert any("3 pictures that waited in memory" in text for text in told)
    assert not place.exists()


def test_what_cannot_be_read_there_is_told_and_left(loaded: config.Config) -> None:
    place = loaded.unit.runtime_dir / SPARE_CARD
    place.write_bytes(b"a file")
    assert any(f"has left in {place} cannot be read" in text for text in asyncio.run(start_and_end(loaded)))
    assert place.exists()


async def start_and_end(loaded: config.Config) -> list[str]:
    """A unit that is told to end as soon as it is ready: its log."""
    service = Service(loaded, temporary=False)
    await service.main(service.stop.set)
    return [line.text for line in service.unit.core.journal.after(0)]


def test_a_card_that_is_back_while_one_waits_for_a_host_is_taken_and_the_picture_put_on_it(tmp_path: Path) -> None:
    loaded, card = config_in(tmp_path, camera={"driver": "pattern", "size": [320, 240]}), tmp_path / "stick"
    loaded.card.path.rmdir()
    loaded.card.path.symlink_to(card)

    async def without() -> Picture:
        service, ready = Service(loaded, temporary=False), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        await ready.wait()
        kept: asyncio.Future[Picture] = asyncio.get_running_loop().create_future()
        captured = service.unit.dispersals.captured

        def noted(dispersal: Dispersal, entry: Entry) -> None:
            captured(dispersal, entry)
            kept.set_result(entry.picture)

        service.unit.shutter._dispersals.captured = noted  # type: ignore[method-assign]
        service.unit.shutter.press(None, False)
        service.turn()
        of = await asyncio.wait_for(kept, PATIENCE_S)
        assert service.unit.shutter.waiting == 1
        card.mkdir(mode=0o700)
        service._read_clock()  # as each minute
        await asyncio.wait_for(unit, PATIENCE_S)
        assert service.starts_anew
        return of

    async def then(of: Picture) -> None:
        service = Service(loaded, temporary=False)
        await service.main(service.stop.set)
        assert any("1 picture that waited in memory" in line.text for line in service.unit.core.journal.after(0))
        assert (card / service._store.path(of)).stat().st_size == of.size_bytes

    asyncio.run(then(asyncio.run(without())))
