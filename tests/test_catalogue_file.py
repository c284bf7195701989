"""The catalogue's file: pragmas, schema steps, damage, reading without writing, surviving a kill."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from card_scene import NOW_UNIX_S, UNIT, known, wall

from firmware import catalogue_schema as schema
from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.catalogue_home import CatalogueFile
from firmware.events import Lacking, LookUp, LookUpPartial, Partial, Save, SavePartial
from hal.errors import CardError, CardReadOnly

BIGGEST = 2**64 - 1  # an attempt


def test_pragmas_are_what_a_power_cut_needs(tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    with closing(schema.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        schema.assert_pragmas(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")
        with pytest.raises(CardError, match="synchronous 1 where 2 is needed"):
            schema.assert_pragmas(connection, path)


def test_each_step_of_the_schema_is_counted_and_done_once(tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    for _ in range(2):
        with closing(schema.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)


def test_a_catalogue_of_newer_software_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    with closing(schema.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE more (x); PRAGMA user_version = {len(schema.STEPS) + 1}")
    with pytest.raises(CardError, match="this software knows") as raised:
        Catalogue(path, UNIT)
    assert not isinstance(raised.value, CatalogueDamaged)
    assert not Path(path + schema.DAMAGE_MARK).exists()


def damage_none(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 300)


def damage_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 64] = b"\xa5" * 64
    path.write_bytes(data)


def damage_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE copy")


def damage_other(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE picture (x)")


@pytest.mark.parametrize("damage", [damage_none, damage_pages, damage_tables, damage_other])
def test_a_damaged_file_is_told_and_moved_aside_whole(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "catalogue.sqlite3"
    home = CatalogueFile(str(path), UNIT, wall=wall)
    with closing(home.open()) as made:
        made.save(Save(entries=tuple(known(n) for n in range(300))))
    assert callable(damage)
    damage(path)
    spoilt = path.read_bytes()[100:]  # opening may touch the header
    with pytest.raises(CatalogueDamaged):
        home.open()
    assert Path(home.set_aside()).read_bytes()[100:] == spoilt
    assert sorted(p.name for p in tmp_path.iterdir()) == ["quarantine"]
    with closing(home.open()) as made:
        assert made.look_up(LookUp(known(1).picture.id)) is None


def test_damage_found_while_running_makes_the_next_start_rebuild(tmp_path: Path) -> None:
    """The damaged page is one that the check at the start may pass: the mark says so in any case."""
    path = tmp_path / "catalogue.sqlite3"
    home = CatalogueFile(str(path), UNIT, wall=wall)
    with closing(home.open()) as made:
        made.save(Save(entries=tuple(known(n) for n in range(3000))))
    with closing(Catalogue(str(path), UNIT)) as running:
        damage_pages(path)
        with pytest.raises(CatalogueDamaged, match="malformed"):
            running.lacking(Lacking(1, 1, 3000))
    with pytest.raises(CatalogueDamaged, match="while the unit ran"):
        home.open()
    home.set_aside()
    with closing(home.open()):
        pass


def test_a_catalogue_whose_wal_was_moved_away_by_a_cut_is_not_taken_for_sound(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    home = CatalogueFile(str(path), UNIT, wall=wall)
    home.open().close()
    Path(str(path) + schema.DAMAGE_MARK).touch()
    with pytest.raises(CatalogueDamaged):
        home.open()


def test_read_only_reads_and_refuses_to_write(tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    with pytest.raises(CardError):
        Catalogue.read_only(path, UNIT)
    with closing(Catalogue(path, UNIT)) as made:
        made.save(Save(entries=(known(1),)))
        with closing(Catalogue.read_only(path, UNIT)) as reader:
            assert reader.look_up(LookUp(known(1).picture.id)) == known(1)
            assert reader.largest_bytes() == known(1).picture.size_bytes
            with pytest.raises(CardReadOnly):
                reader.save(Save(sequence=3))


def test_a_partial_row_has_the_time_of_the_clock_that_its_file_was_opened_with(tmp_path: Path) -> None:
    of = known(1).picture.id
    with closing(CatalogueFile(str(tmp_path / "c"), UNIT, wall=wall).open()) as made:
        made.carry_out(SavePartial(of, 3, bytes(32), 64_000, 150_000))
        row = made.carry_out(LookUpPartial(of))
    assert isinstance(row, Partial)
    assert row.kept_since == NOW_UNIX_S


def test_what_was_saved_is_there_when_the_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with closing(Catalogue(str(path), UNIT)) as made:
        made.save(Save(entries=(known(1),), next_attempt=BIGGEST, sequence=1))
        for suffix in ("", "-wal"):
            (tmp_path / f"copy{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    with closing(Catalogue(str(tmp_path / "copy"), UNIT)) as copy:
        assert copy.look_up(LookUp(known(1).picture.id)) == known(1)
        assert copy.counter("next_attempt", 0) == BIGGEST


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_catalogue_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with closing(Catalogue(str(tmp_path / "c"), UNIT, wall=wall)):
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"c": 0o600, "c-wal": 0o600, "c-shm": 0o600}
