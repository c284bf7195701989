"""A lost or damaged catalogue is rebuilt from the card's files: every picture is back, nothing is unlinked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from card_scene import (
    CARD,
    UNIT,
    Unit,
    content,
    files,
    filled,
    held,
    own,
    picture,
    pictures_on,
    put,
    put_picture,
)

from firmware.pictures import UNKNOWN_ATTEMPT, Entry, File
from firmware.store import Store
from hal.errors import CardError
from sim.card import Fault, PowerCut, SimCard


def spoil(path: Path) -> None:
    path.write_bytes(b"\xa5" * path.stat().st_size)


@pytest.mark.parametrize("harm", [Path.unlink, spoil])
def test_without_its_catalogue_every_picture_is_back_and_nothing_is_unlinked(unit: Unit, harm: object) -> None:
    before = filled(unit)
    assert unit.started is not None
    old = unit.started.memory
    unit.again()
    unit.stop()
    assert callable(harm)
    harm(unit.path)
    started = unit.start(seed=3)
    assert pictures_on(unit.card) == before
    assert started.memory.new_catalogue
    assert started.memory.card not in (old.card, CARD, 0x0042)
    assert started.memory.next_attempt == 1
    assert unit.entry(picture(3).id) == own(3)
    assert unit.entry(picture(1, card=0x0042).id) == own(1, card=0x0042)
    assert unit.entry(held(7).picture.id) == held(7, attempt=UNKNOWN_ATTEMPT)
    assert unit.entry(held(8, unit=3).picture.id) == held(8, unit=3, attempt=UNKNOWN_ATTEMPT)
    assert (started.memory.own_bytes, started.memory.held_bytes) == (6 * 150_000, 2 * 150_000)
    assert not unit.again().memory.new_catalogue


def test_while_rebuilding_only_whole_files_are_adopted(unit: Unit) -> None:
    before = filled(unit)
    unit.stop()
    unit.path.unlink()
    torn = picture(9, unit=2)
    put(unit.card, Store(unit.card, UNIT).path(torn), content(9)[:99] + bytes(150_000 - 99))
    unit.start()
    assert pictures_on(unit.card) == before
    assert list(files(unit.card, "quarantine")) == [f"quarantine/{torn.file_name}"]
    assert unit.entry(torn.id) is None


def test_while_rebuilding_a_held_file_keeps_what_a_record_said_meanwhile(unit: Unit) -> None:
    """A start that had to leave a file alone is not complete, and the unit ran before the next one."""
    known = replace(held(1), version=4, named=(3,)).without_file
    other = replace(held(2), version=4, picture=replace(held(2).picture, sha256=bytes(32))).without_file
    assert known is not None
    assert other is not None
    assert unit.started is not None
    unit.save(known, other)
    unit.started.catalogue.set_counters(complete=0)
    for row in (held(1), held(2)):
        put_picture(unit.card, row.picture)
    unit.again()
    assert unit.entry(known.picture.id) == replace(known, file=File.WHOLE, attempt=UNKNOWN_ATTEMPT)
    assert unit.entry(held(2).picture.id) == held(2, attempt=UNKNOWN_ATTEMPT)


def test_while_rebuilding_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    card = SimCard()
    path = put_picture(card, held(1).picture)
    put_picture(card, held(2).picture)
    card.options.below[path] = Fault.ROT
    unit = Unit(card, tmp_path / "c")
    started = unit.start()
    assert unit.entry(held(1).picture.id) is None
    assert unit.entry(held(2).picture.id) == held(2, attempt=UNKNOWN_ATTEMPT)
    assert any("moved to quarantine/" in notice for notice in started.notices)
    unit.stop()


def test_a_catalogue_damaged_beyond_its_first_page_is_rebuilt(unit: Unit) -> None:
    before = filled(unit)
    unit.save(*(replace(own(n, file=File.GONE), version=n) for n in range(100, 400)))
    unit.stop()
    data = bytearray(unit.path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 50] = b"\xa5" * 50
    unit.path.write_bytes(data)
    started = unit.start(seed=4)
    assert started.memory.new_catalogue
    assert pictures_on(unit.card) == before
    assert any("rebuilt" in notice for notice in started.notices)
    assert len(list((unit.path.parent / "quarantine").glob("catalogue.sqlite3.1*"))) >= 1


def test_a_rebuild_that_is_cut_anywhere_ends_complete_with_every_picture(tmp_path: Path) -> None:
    """Cut after every call of the rebuild: nothing is unlinked, and it says "new" until it is done."""
    cuts = 0
    for calls in range(0, 500, 7):
        card = SimCard()
        before = {put_picture(card, p): content(p.id.sequence) for p in (picture(1), picture(2, unit=2), picture(3))}
        unit = Unit(card, tmp_path / f"c{calls}")
        card.options.cut_after = card.calls + calls
        try:
            unit.start()
        except PowerCut:
            cuts += 1
        finished = unit.started is not None
        unit.stop()
        card.power_cut()
        assert unit.start().memory.new_catalogue is not finished
        assert pictures_on(card) == before
        assert unit.entry(picture(2, unit=2).id) == Entry(picture(2, unit=2), File.WHOLE, attempt=UNKNOWN_ATTEMPT)
        assert not unit.again().memory.new_catalogue
        unit.stop()
        if finished:
            break
    assert cuts > 5


@pytest.mark.parametrize("fault", [Fault.IO, Fault.ROT])
@pytest.mark.parametrize("call", range(1, 70))
def test_one_wrong_read_while_rebuilding_takes_no_picture_out_of_sight(call: int, fault: Fault, tmp_path: Path) -> None:
    """Seed 42 of the world: an own file whose first read failed went to quarantine/, and counted as lost."""
    card = SimCard()
    mine = picture(1)
    put_picture(card, mine)
    put_picture(card, held(1).picture)
    card.options.at[card.calls + call] = fault
    unit = Unit(card, tmp_path / "c")
    try:
        unit.start()
    except CardError:
        unit.start()  # as its supervisor does
    card.options.at.clear()
    assert unit.entry(mine.id) == own(1)
    assert unit.entry(held(1).picture.id) == held(1, attempt=UNKNOWN_ATTEMPT)
    assert not list(files(card, "quarantine"))
    unit.stop()
