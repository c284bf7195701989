"""The catalogue of a unit that acts for one that is gone for good: whose pictures are own ones (R10)."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from card_scene import UNIT, held, known, own, wall

from firmware import catalogue_acting
from firmware.catalogue import Catalogue
from firmware.events import (
    Held,
    LookUp,
    OwnInDoubt,
    Pair,
    Save,
    SaveDecision,
    SaveInventoried,
    SavePairs,
    SaveRecollected,
    Unrecorded,
)
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File
from hal.errors import CardError

GONE = 2
TAG = bytes(range(16))
HELD = replace(held(1, unit=GONE), kept=True)
RECORD = replace(known(2, unit=GONE, file=File.GONE), version=5, named=(UNIT, 3, 4), doubted=1)
HELD_RECORD = replace(held(3, unit=GONE), version=2, named=(UNIT, 3))
TOMBSTONE = replace(known(4, unit=GONE, file=File.GONE), version=6, deleted=True, named=(UNIT, 3, 4), tag=TAG)
HELD_TOMBSTONE = replace(TOMBSTONE, picture=held(5, unit=GONE).picture, file=File.UNCHECKED, attempt=9)
OTHERS = (own(1), held(1, unit=3), replace(known(1, unit=4, file=File.GONE), version=1))


def look_up(catalogue: Catalogue, *entries: Entry) -> list[Entry | None]:
    return [catalogue.look_up(LookUp(entry.picture.id)) for entry in entries]


def filled(path: str = ":memory:") -> Catalogue:
    made = Catalogue(path, UNIT, wall=wall)
    made.save(Save(entries=(HELD, RECORD, HELD_RECORD, TOMBSTONE, HELD_TOMBSTONE, *OTHERS)))
    for unit in (3, 4):
        made.save_inventoried(SaveInventoried(unit))
        made.save_recollected(SaveRecollected(unit))
    return made


def test_what_was_held_is_own_and_what_was_known_is_asked_about() -> None:
    with closing(filled()) as catalogue:
        catalogue.act_for(frozenset({GONE}))
        one, two, three, four, five = look_up(catalogue, HELD, RECORD, HELD_RECORD, TOMBSTONE, HELD_TOMBSTONE)
        assert one == Entry(HELD.picture, File.WHOLE, version=1)
        in_doubt = tuple(Copy(unit, listed=1, suspect=True, doubted=True) for unit in (3, 4))
        assert two == Entry(RECORD.picture, File.GONE, version=6, copies=in_doubt)
        assert three == Entry(HELD_RECORD.picture, File.WHOLE, version=3, copies=in_doubt[:1])
        owed = (Copy(3, owed=True), Copy(4, owed=True))  # not this unit itself
        assert four == Entry(TOMBSTONE.picture, File.GONE, version=7, deleted=True, copies=owed)
        assert five == Entry(HELD_TOMBSTONE.picture, File.UNCHECKED, version=7, deleted=True, copies=owed)
        assert look_up(catalogue, *OTHERS) == list(OTHERS)
        assert [entry.picture.id.unit for entry in catalogue.held(Held(None, None, 10))] == [3]
        own_bytes, _ = catalogue.own_bytes(1, 1)
        assert own_bytes == sum(entry.picture.size_bytes for entry in (OTHERS[0], HELD, HELD_RECORD))
        assert {e.picture.id for e in catalogue.own_in_doubt(OwnInDoubt(None, 10))} == {
            RECORD.picture.id,
            HELD_RECORD.picture.id,
        }
        told = {
            unkept.entry.picture.id for deleted in (True, False) for unkept in _unrecorded(catalogue, deleted=deleted)
        }
        assert told >= {entry.picture.id for entry in (HELD, RECORD, HELD_RECORD, TOMBSTONE, HELD_TOMBSTONE)}
        assert not catalogue.flaws()


def _unrecorded(catalogue: Catalogue, *, deleted: bool) -> list[object]:
    return list(catalogue.unrecorded(Unrecorded(deleted, None, 10)))


def test_every_unit_is_asked_anew_what_it_holds_and_keeps() -> None:
    with closing(filled()) as catalogue:
        catalogue.act_for(frozenset())
        assert catalogue.inventoried() == catalogue.recollected() == {3, 4}
        catalogue.act_for(frozenset({GONE}))
        assert catalogue.inventoried() == catalogue.recollected() == frozenset()


def test_it_lasts_until_another_one_acts_and_what_is_here_is_held_then(tmp_path: Path) -> None:
    path = str(tmp_path / "catalogue.sqlite3")
    with closing(filled(path)) as catalogue:
        catalogue.act_for(frozenset({GONE, 9}))
    suspect = Copy(3, listed=12, suspect=True, doubted=True)
    with closing(Catalogue(path, UNIT, wall=wall)) as catalogue:
        assert catalogue.acts_for == {GONE, 9}
        here = Entry(HELD.picture, File.WHOLE, version=4, copies=(suspect, Copy(5, listed=11), Copy(6, open=13)))
        away = Entry(RECORD.picture, File.GONE, version=8, copies=(Copy(4, listed=10),))
        owing = Entry(TOMBSTONE.picture, File.GONE, version=9, deleted=True, copies=(Copy(3, owed=True),))
        catalogue.save(Save(entries=(here, away, owing)))
        catalogue.save_decision(SaveDecision(HELD.picture.id, "kept", {}))
        catalogue.save_pairs(SavePairs((Pair(RECORD.picture.id, 4, 1, bytes(16), bytes(16)),)))
        catalogue.act_for(frozenset({9}))
        one, two, three, four, five = look_up(catalogue, HELD, RECORD, TOMBSTONE, HELD_TOMBSTONE, HELD_RECORD)
        assert one == Entry(HELD.picture, File.WHOLE, attempt=UNKNOWN_ATTEMPT, version=4, named=(5, 3), doubted=1)
        assert two == Entry(RECORD.picture, File.GONE, version=8, named=(4,))
        assert three == Entry(TOMBSTONE.picture, File.GONE, version=9, deleted=True, named=(3,))
        assert four == replace(HELD_TOMBSTONE, attempt=UNKNOWN_ATTEMPT, version=7, named=(3, 4), tag=b"")
        assert five == replace(HELD_RECORD, attempt=UNKNOWN_ATTEMPT, version=3, named=(3,), doubted=1)
        assert catalogue.acts_for == {9}
        assert not catalogue.flaws()


def test_it_is_done_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = catalogue_acting.as_own
    with closing(filled()) as catalogue:
        for done in range(5):
            count = itertools.count()

            def fails(entry: Entry, unit: int, *, after: int = done, count: itertools.count[int] = count) -> Entry:
                if next(count) == after:
                    raise CardError("the card does not answer")
                return shipped(entry, unit)

            monkeypatch.setattr(catalogue_acting, "as_own", fails)
            with pytest.raises(CardError):
                catalogue.act_for(frozenset({GONE}))
            assert catalogue.acts_for == frozenset()
            everything = (HELD, RECORD, HELD_RECORD, TOMBSTONE, HELD_TOMBSTONE, *OTHERS)
            assert look_up(catalogue, *everything) == list(everything)
            assert catalogue.inventoried() == {3, 4}


def test_there_may_be_more_of_them_than_are_in_memory_at_once() -> None:
    rows = [replace(known(n, unit=GONE), attempt=n) for n in range(1, 2 * catalogue_acting.PAGE + 3)]
    with closing(Catalogue(":memory:", UNIT, wall=wall)) as catalogue:
        catalogue.save(Save(entries=tuple(rows)))
        catalogue.act_for(frozenset({GONE}))
        assert not catalogue.held(Held(None, None, 10))
        assert all(
            entry == Entry(row.picture, File.WHOLE, version=1)
            for entry, row in zip(look_up(catalogue, *rows), rows, strict=True)
        )
