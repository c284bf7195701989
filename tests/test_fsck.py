"""fsck finds what does not fit, repairs it without deleting a picture, and is clean afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from card_scene import UNIT, bytes_of, content, files, held, picture, put, put_picture, wall

from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.catalogue_home import CatalogueFile
from firmware.errors import Refused
from firmware.events import LookUp, Save, SavePartial
from firmware.fsck import Finding, Kind, check
from firmware.layout import CATALOGUE
from firmware.pictures import Copy, Entry, File
from firmware.store import Store
from hal.interfaces import CardEntry
from sim.card import Fault, SimCard, SimFile


@pytest.fixture
def card() -> SimCard:
    return SimCard()


@pytest.fixture
def catalogue() -> Iterator[Catalogue]:
    with closing(Catalogue(":memory:", UNIT, wall=wall)) as made:
        made.set_counters(unit=UNIT, card=0x3FA7, complete=1)
        yield made


def own(sequence: int, *copies: Copy, file: File = File.WHOLE) -> Entry:
    return Entry(picture(sequence), file, copies=copies, version=1)


def found(card: SimCard, catalogue: Catalogue, *, repair: bool = False) -> list[Finding]:
    return list(check(card, catalogue, UNIT, repair=repair))


def fill(card: SimCard, catalogue: Catalogue, *rows: Entry) -> list[str]:
    """Rows and their files: the paths."""
    catalogue.save(Save(entries=rows))
    return [put_picture(card, row.picture) for row in rows]


def all_bytes(card: SimCard) -> list[bytes]:
    return sorted(files(card).values())


def test_a_sound_card_has_no_findings(card: SimCard, catalogue: Catalogue) -> None:
    fill(card, catalogue, own(1), own(2, Copy(2, listed=3)), held(3), held(4, unit=3))
    catalogue.save(Save(entries=(own(5, Copy(2, listed=3), file=File.GONE),)))
    put(card, f"tmp/{picture(6, unit=2).id}.part", bytes(10))
    catalogue.save_partial(SavePartial(picture(6, unit=2).id, 1, bytes(32), 10, 10))
    assert found(card, catalogue) == []
    assert found(card, catalogue, repair=True) == []


@pytest.mark.parametrize("row", [own(1, Copy(2, listed=3)), held(1)])
def test_a_flipped_bit_is_found_and_the_file_put_aside(card: SimCard, catalogue: Catalogue, row: Entry) -> None:
    (path,) = fill(card, catalogue, row)
    card.rot(path, 70_000)
    spoilt = bytes_of(card, path)
    (finding,) = found(card, catalogue)
    assert (finding.kind, finding.path, finding.repaired, finding.harmless) == (Kind.DAMAGED, path, False, False)
    assert catalogue.look_up(LookUp(row.picture.id)) == row
    (finding,) = found(card, catalogue, repair=True)
    assert finding.repaired
    assert files(card) == {f"quarantine/{row.picture.file_name}": spoilt}
    assert catalogue.look_up(LookUp(row.picture.id)) == replace(row, file=File.GONE)
    assert found(card, catalogue) == []


def test_a_file_of_another_length_is_damaged(card: SimCard, catalogue: Catalogue) -> None:
    catalogue.save(Save(entries=(own(1),)))
    put(card, Store(card, UNIT).path(picture(1)), content(1)[:-1])
    assert [f.kind for f in found(card, catalogue, repair=True)] == [Kind.DAMAGED]
    assert found(card, catalogue) == []


def test_a_file_that_cannot_be_read_is_damaged(card: SimCard, catalogue: Catalogue) -> None:
    (path,) = fill(card, catalogue, own(1))
    card.options.below[path] = Fault.IO
    (finding,) = found(card, catalogue)
    assert (finding.kind, finding.harmless) == (Kind.DAMAGED, False)
    assert "Input/output error" in finding.text


def test_a_row_without_file_is_said_to_be_lost(card: SimCard, catalogue: Catalogue) -> None:
    catalogue.save(Save(entries=(own(1, Copy(2, listed=3)), held(2))))
    for finding in found(card, catalogue):
        assert finding.kind is Kind.MISSING
        assert finding.text.startswith("LOST")
    assert len(found(card, catalogue, repair=True)) == 2
    assert catalogue.look_up(LookUp(picture(1).id)) == own(1, Copy(2, listed=3), file=File.GONE)
    assert catalogue.held_without_file() == [held(2, file=File.GONE)]  # the next start tells the origin
    assert found(card, catalogue) == []


def test_a_whole_own_file_without_row_is_a_leftover_that_repair_adopts(card: SimCard, catalogue: Catalogue) -> None:
    put_picture(card, picture(1))
    (finding,) = found(card, catalogue)
    assert (finding.kind, finding.harmless, finding.repaired) == (Kind.LEFTOVER, True, False)
    assert found(card, catalogue, repair=True)[0].repaired
    assert catalogue.look_up(LookUp(picture(1).id)) == own(1)
    assert found(card, catalogue) == []


def test_a_torn_file_without_row_is_put_aside(card: SimCard, catalogue: Catalogue) -> None:
    put(card, Store(card, UNIT).path(picture(1)), content(1)[:500])
    assert [f.kind for f in found(card, catalogue)] == [Kind.DAMAGED]
    found(card, catalogue, repair=True)
    assert files(card) == {f"quarantine/{picture(1).file_name}": content(1)[:500]}
    assert found(card, catalogue) == []


def test_a_dropped_file_that_is_there_is_marked_whole(card: SimCard, catalogue: Catalogue) -> None:
    fill(card, catalogue, own(1, Copy(2, listed=3), file=File.GONE))
    assert [f.harmless for f in found(card, catalogue)] == [True]
    found(card, catalogue, repair=True)
    assert catalogue.look_up(LookUp(picture(1).id)) == own(1, Copy(2, listed=3))
    assert found(card, catalogue) == []


def test_repair_marks_unchecked_files_whole(card: SimCard, catalogue: Catalogue) -> None:
    fill(card, catalogue, own(1, file=File.UNCHECKED))
    assert found(card, catalogue) == []
    assert catalogue.look_up(LookUp(picture(1).id)) == own(1, file=File.UNCHECKED)
    assert found(card, catalogue, repair=True) == []
    assert catalogue.look_up(LookUp(picture(1).id)) == own(1)


def test_what_only_the_start_may_unlink_is_left_and_harmless(card: SimCard, catalogue: Catalogue) -> None:
    put_picture(card, held(1).picture)
    fill(card, catalogue, replace(own(2, file=File.GONE), deleted=True))
    put(card, f"tmp/{picture(3, unit=2).id}.part", bytes(10))
    catalogue.save_partial(SavePartial(picture(4, unit=2).id, 1, bytes(32), 10, 10))
    before = files(card)
    findings = found(card, catalogue, repair=True)
    assert [f.kind for f in findings] == [Kind.LEFTOVER] * 4
    assert all(f.harmless for f in findings)
    assert files(card) == before
    (part,) = (f for f in findings if f.path == f"tmp/{picture(3, unit=2).id}.part")
    assert part.text == "is being received, or was left over: then the next start removes it"


def test_strange_files_are_put_aside_without_overwriting(card: SimCard, catalogue: Catalogue) -> None:
    strange = ("own/x", "held/x", "own/00001-3fa7/x", f"held/00003/{picture(1, unit=2).file_name}", "tmp/x")
    for path in strange:
        put(card, path, path.encode())
    put_picture(card, picture(2))
    catalogue.save(Save(entries=(Entry(picture(2, b"other content"), File.GONE, copies=(Copy(2, listed=1),)),)))
    before = all_bytes(card)
    assert [f.kind for f in found(card, catalogue)] == [Kind.UNEXPLAINED] * 6
    assert all(f.repaired for f in found(card, catalogue, repair=True))
    assert all_bytes(card) == before
    assert found(card, catalogue) == []


def test_a_catalogue_that_is_not_complete_is_not_clean(card: SimCard, catalogue: Catalogue) -> None:
    catalogue.set_counters(complete=0)
    (finding,) = found(card, catalogue)
    assert (finding.kind, finding.path, finding.harmless) == (Kind.CATALOGUE, CATALOGUE, False)


def test_a_damaged_index_is_found_and_repair_has_the_next_start_rebuild(tmp_path: Path) -> None:
    home = CatalogueFile(str(tmp_path / "c"), UNIT, wall=wall)
    with closing(home.open()) as catalogue:
        catalogue.set_counters(complete=1)
        catalogue.save(Save(entries=(own(1, Copy(2, listed=1), file=File.GONE),)))
    for there, here, then in (("deleted = 0", "deleted = 1", "REINDEX living"), ("deleted = 1", "deleted = 0", "")):
        change = f"UPDATE sqlite_master SET sql = replace(sql, '{there}', '{here}') WHERE name = 'living'"
        with closing(sqlite3.connect(tmp_path / "c")) as other:
            other.executescript(f"PRAGMA writable_schema = ON; {change}")
        with closing(sqlite3.connect(tmp_path / "c")) as other:
            other.executescript(then)
    for repair in (False, True):
        with closing(Catalogue(str(tmp_path / "c"), UNIT, wall=wall)) as catalogue:
            assert {f.kind for f in found(SimCard(), catalogue, repair=repair)} == {Kind.CATALOGUE}
    with pytest.raises(CatalogueDamaged, match="while the unit ran"):
        home.open()


def test_damage_that_shows_only_while_rows_are_read_ends_the_check_in_words(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with closing(Catalogue(str(path), UNIT, wall=wall)) as catalogue:
        catalogue.set_counters(complete=1)
        catalogue.save(Save(entries=tuple(own(n) for n in range(300))))
    data = bytearray(path.read_bytes())
    with closing(Catalogue(str(path), UNIT, wall=wall)) as catalogue:
        for start in range(4096, len(data), 4096):
            data[start : start + 50] = b"\xa5" * 50
        path.write_bytes(data)
        findings = found(SimCard(), catalogue)
    assert findings
    assert {f.kind for f in findings} == {Kind.CATALOGUE}


def test_looking_changes_nothing(card: SimCard, catalogue: Catalogue) -> None:
    paths = fill(card, catalogue, own(1), held(2), own(3, file=File.UNCHECKED))
    card.rot(paths[0], 5)
    card.unlink(paths[1])
    put_picture(card, picture(4))
    put(card, "own/x", b"x")
    before, rows = files(card), [catalogue.look_up(LookUp(r.id)) for r in (picture(1), held(2).picture, picture(3))]
    assert len(found(card, catalogue)) == 4
    assert files(card) == before
    assert rows == [catalogue.look_up(LookUp(r.id)) for r in (picture(1), held(2).picture, picture(3))]
    assert catalogue.look_up(LookUp(picture(4).id)) is None


# ------------------------------------------------------------ whose card, and which of file and row is damaged


def test_a_catalogue_of_another_unit_is_not_looked_at(card: SimCard) -> None:
    with closing(Catalogue(":memory:", 5, wall=wall)) as catalogue:
        catalogue.set_counters(unit=UNIT, card=0x3FA7, complete=1)
        (path,) = fill(card, catalogue, own(1))
        for repair in (False, True):
            with pytest.raises(Refused, match=f"unit {UNIT}'s, and this config says unit.id = 5"):
                list(check(card, catalogue, 5, repair=repair))
        assert bytes_of(card, path) == content(1)


@pytest.mark.parametrize("row", [own(1, Copy(2, listed=3)), held(1)])
@pytest.mark.parametrize("flip", ["size", "first", "last"])
def test_a_file_that_fits_its_own_name_is_not_what_is_damaged(
    card: SimCard, catalogue: Catalogue, row: Entry, flip: str
) -> None:
    of, path = row.picture, put_picture(card, row.picture)
    spoilt = {
        "size": replace(of, size_bytes=of.size_bytes ^ 64),
        "first": replace(of, sha256=bytes([of.sha256[0] ^ 1]) + of.sha256[1:]),
        "last": replace(of, sha256=of.sha256[:-1] + bytes([of.sha256[-1] ^ 1])),
    }
    catalogue.save(Save(entries=(replace(row, picture=spoilt[flip]),)))
    (finding,) = found(card, catalogue)
    assert (finding.kind, finding.path, finding.repaired, finding.harmless) == (Kind.CATALOGUE, path, False, False)
    (finding,) = found(card, catalogue, repair=True)
    assert finding.repaired
    assert catalogue.look_up(LookUp(of.id)) == row
    assert files(card) == {path: content(1)}
    assert found(card, catalogue) == []


def test_what_the_card_gives_only_the_name_of_is_left_alone(card: SimCard, catalogue: Catalogue) -> None:
    strange = fill(card, catalogue, own(1), held(2))
    strange += ["own/x", f"tmp/{picture(3, unit=2).id}.part"]
    for path in strange[2:]:
        put(card, path, b"odd")
    before = files(card)
    card.options.unreadable.update(strange)
    findings = found(card, catalogue, repair=True)
    assert sorted(f.path for f in findings) == sorted(strange)
    assert not any(f.repaired or f.harmless for f in findings)
    card.options.unreadable.clear()
    assert files(card) == before
    assert [f.path for f in found(card, catalogue) if not f.harmless] == ["own/x"]


def test_a_repair_that_fails_for_one_file_goes_on_with_the_others(card: SimCard, catalogue: Catalogue) -> None:
    for path in ("own/x", "own/y"):
        put(card, path, b"odd")
    card.options.below["own/x"] = Fault.IO
    findings = found(card, catalogue, repair=True)
    assert [(f.path, f.repaired) for f in findings] == [("own/x", False), ("own/y", True)]
    assert "left alone" in findings[0].text


# ------------------------------------------------------------ beside a unit that runs


class Busy(SimCard):
    """Something happens on the card right after a directory was listed, or before a file is opened, the first time."""

    def __init__(self, after: str, happens: Callable[[], None]) -> None:
        super().__init__()
        self.after, self.happens = after, happens
        self.armed = False

    def entries(self, path: str) -> list[CardEntry]:
        found = super().entries(path)
        self._let(path)
        return found

    def open(self, path: str, *, writable: bool = False) -> SimFile:
        self._let(path)
        return super().open(path, writable=writable)

    def _let(self, path: str) -> None:
        if self.armed and path == self.after:
            self.armed = False
            self.happens()


def findings_while(catalogue: Catalogue, after: str, happens: Callable[[SimCard], None], *rows: Entry) -> list[Finding]:
    card = Busy(after, lambda: happens(card))
    put_picture(card, rows[0].picture)
    catalogue.save(Save(entries=rows[1:]))
    card.armed = True
    findings = found(card, catalogue)
    assert not card.armed
    return findings


@pytest.mark.parametrize("after", ["directory", "file"])
@pytest.mark.parametrize("row", [own(1, Copy(2, listed=3)), held(1)])
def test_a_picture_that_is_dropped_while_fsck_looks_is_not_damaged(
    catalogue: Catalogue, row: Entry, after: str
) -> None:
    path = Store(SimCard(), UNIT).path(row.picture)

    def drop(card: SimCard) -> None:
        gone = Save(removed=(row.picture.id,)) if row.attempt else Save(entries=(replace(row, file=File.GONE),))
        catalogue.save(gone)
        card.unlink(path)

    place = path if after == "file" else path.rpartition("/")[0]
    assert findings_while(catalogue, place, drop, row, row) == []


@pytest.mark.parametrize("row", [None, own(1, Copy(2, listed=3), file=File.GONE)])
def test_a_file_that_goes_while_fsck_looks_is_no_finding(catalogue: Catalogue, row: Entry | None) -> None:
    """A held one whose row went before, and an own one that was dropped: the row is committed, the unlink follows."""
    of = picture(1) if row else picture(1, unit=2)
    path = Store(SimCard(), UNIT).path(of)
    rows = () if row is None else (row,)
    first = Entry(of, File.WHOLE)
    assert findings_while(catalogue, path.rpartition("/")[0], lambda card: card.unlink(path), first, *rows) == []


def test_a_picture_that_is_stored_while_fsck_looks_is_no_finding(catalogue: Catalogue) -> None:
    path = Store(SimCard(), UNIT).path(held(1).picture)
    assert findings_while(catalogue, path, lambda _: catalogue.save(Save(entries=(held(1),))), held(1)) == []
