"""What goes wrong with the catalogue's file, in words that help a person; what is our own bug stays one."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from card_scene import UNIT, known, wall

from firmware import catalogue_home, catalogue_schema
from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.catalogue_home import CatalogueFile
from firmware.catalogue_schema import DAMAGE_MARK, connect
from firmware.events import LookUp, Save
from hal.errors import CardError, CardReadOnly

REBUILT = "the next start of the unit rebuilds it from the pictures on the card"
JUNK = b"not a database at all" * 300
OF = known(1).picture.id


def told(raised: pytest.ExceptionInfo[CardError], path: object, text: str) -> bool:
    return str(raised.value) == f"the catalogue {path} cannot be used: {text}"


@contextmanager
def taken(path: Path, how: str) -> Iterator[None]:
    """Another process holds the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL").fetchall()
        other.execute(how).fetchall()
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.parametrize(
    ("how", "ask"),
    [
        ("PRAGMA locking_mode = NORMAL", Catalogue),  # its tables are to be made
        ("PRAGMA locking_mode = EXCLUSIVE", Catalogue),
        ("PRAGMA locking_mode = EXCLUSIVE", Catalogue.read_only),
    ],
)
def test_a_catalogue_that_another_process_holds_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, ask: Callable[[str, int], Catalogue]
) -> None:
    monkeypatch.setattr(catalogue_schema, "BUSY_TIMEOUT_MS", 1)
    path = tmp_path / "c"
    advice = "look whether another process uses it, and at the kernel log; the card may be worn out"
    with taken(path, how), pytest.raises(CardError) as raised:
        ask(str(path), UNIT)
    assert told(raised, path, f"database is locked; {advice}")
    assert type(raised.value) is CardError
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.endswith(DAMAGE_MARK)) == []


@pytest.mark.parametrize("ask", [Catalogue, Catalogue.read_only])
def test_a_catalogue_in_no_directory_cannot_be_used(tmp_path: Path, ask: Callable[[str, int], Catalogue]) -> None:
    path = tmp_path / "nowhere" / "c"
    with pytest.raises(CardError, match="unable to open database file; look whether another process uses it") as raised:
        ask(str(path), UNIT)
    assert type(raised.value) is CardError


def test_a_file_that_is_no_database_is_damage_and_marked(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(JUNK)
    with pytest.raises(CatalogueDamaged) as raised:
        Catalogue.read_only(str(path), UNIT)
    assert told(raised, path, f"file is not a database; {REBUILT}")
    assert (tmp_path / f"c{DAMAGE_MARK}").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CatalogueDamaged) as raised:
        Catalogue(str(path), UNIT)
    assert str(raised.value) == f"{path} is no database of a format that SQLite writes"


def test_a_value_that_cannot_be_is_damage_and_marked(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with closing(Catalogue(str(path), UNIT)) as catalogue:
        catalogue.set_counters(boot=7)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE meta SET value = -1 WHERE key = 'boot'")
        with pytest.raises(CatalogueDamaged) as raised:
            catalogue.counter("boot", 0)
    text = f"{2**64 - 1} where 1 to {2**32 - 2} is allowed"
    assert str(raised.value) == f"the catalogue {path} has a value that cannot be: {text}; {REBUILT}"
    assert (tmp_path / f"c{DAMAGE_MARK}").exists()


def test_what_the_check_at_the_start_finds_is_told(tmp_path: Path) -> None:
    home = CatalogueFile(str(tmp_path / "c"), UNIT, wall=wall)
    with closing(home.open()) as catalogue:
        catalogue.save(Save(entries=(known(1),)))
        assert catalogue.flaws() == []
    with closing(sqlite3.connect(tmp_path / "c")) as other:
        other.executescript("PRAGMA ignore_check_constraints = ON; UPDATE picture SET file = 7")
    with pytest.raises(CatalogueDamaged) as raised:
        home.open()
    assert str(raised.value) == f"{tmp_path}/c is damaged: CHECK constraint failed in picture"


def test_tables_of_something_else_are_damage(tmp_path: Path) -> None:
    for name, script in (
        ("more", "CREATE TABLE picture (x)"),
        ("less", f"PRAGMA user_version = {len(catalogue_schema.STEPS)}"),
    ):
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as other:
            other.executescript(f"PRAGMA journal_mode = WAL; {script}")
        with pytest.raises(CatalogueDamaged) as raised:
            Catalogue(str(path), UNIT)
        assert str(raised.value) == (
            f"{path} has other tables than a catalogue: table picture already exists"
            if name == "more"
            else f"{path} is a database, but not a whole catalogue; {REBUILT}"
        )


@pytest.mark.parametrize("ask", [Catalogue, Catalogue.read_only])
def test_newer_software_is_what_a_newer_schema_asks_for(tmp_path: Path, ask: Callable[[str, int], Catalogue]) -> None:
    path, steps = tmp_path / "c", len(catalogue_schema.STEPS)
    with closing(connect(str(path))) as connection:
        connection.executescript(f"CREATE TABLE more (x); PRAGMA user_version = {steps + 1}")
    with pytest.raises(CardError) as raised:
        ask(str(path), UNIT)
    can = "install the newer software again; or remove the catalogue, it is rebuilt from the pictures"
    assert str(raised.value) == f"the catalogue {path} has schema {steps + 1}, this software knows {steps}; {can}"


def test_what_only_reads_says_why_it_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "c"
    Catalogue(str(path), UNIT).close()
    with closing(Catalogue.read_only(str(path), UNIT)) as reader, pytest.raises(CardReadOnly) as raised:
        reader.save(Save(sequence=3))
    text = "attempt to write a readonly database"
    assert told(raised, path, f"{text}; look at the kernel log, then replace the card")


def test_our_own_bugs_are_no_errors_of_the_card(tmp_path: Path) -> None:
    path = tmp_path / "c"
    catalogue = Catalogue(str(path), UNIT)
    catalogue.close()
    catalogue.close()
    with pytest.raises(sqlite3.ProgrammingError):
        catalogue.look_up(LookUp(OF))
    with closing(Catalogue(str(path), UNIT)) as again, pytest.raises(sqlite3.IntegrityError):
        again.set_counters(nonsense=1)
    assert not (tmp_path / f"c{DAMAGE_MARK}").exists()


def test_a_catalogue_that_is_condemned_is_rebuilt_at_the_next_start(tmp_path: Path) -> None:
    home = CatalogueFile(str(tmp_path / "c"), UNIT, wall=wall)
    with closing(home.open()) as catalogue:
        catalogue.condemn()
    with pytest.raises(CatalogueDamaged) as raised:
        home.open()
    assert str(raised.value) == f"{tmp_path}/c was found damaged while the unit ran"


def test_a_catalogue_whose_directory_has_gone_is_condemned_without_a_mark(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    with closing(Catalogue(str(folder / "c"), UNIT)) as catalogue:
        shutil.rmtree(folder)
        catalogue.condemn()
    assert not folder.exists()


def test_a_catalogue_in_memory_leaves_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Catalogue(":memory:", UNIT)) as catalogue:
        catalogue.condemn()
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_may_be_used_in_another_thread_than_it_was_opened_in(tmp_path: Path) -> None:
    path, found = str(tmp_path / "c"), []
    with closing(Catalogue(path, UNIT)) as catalogue, closing(Catalogue.read_only(path, UNIT)) as reader:

        def use() -> None:
            catalogue.save(Save(entries=(known(1),)))
            found.append(reader.look_up(LookUp(OF)))

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert found == [known(1)]


# ------------------------------------------------------------ setting aside


def test_damaged_ones_are_numbered_and_none_is_written_over(tmp_path: Path) -> None:
    home = CatalogueFile(str(tmp_path / "c"), UNIT, wall=wall)
    for number in (1, 2):
        (tmp_path / "c").write_bytes(JUNK + bytes(number))
        assert home.set_aside() == f"{tmp_path}/quarantine/c.{number}"
    assert (tmp_path / "quarantine").stat().st_mode & 0o777 == 0o700
    assert [(tmp_path / f"quarantine/c.{n}").read_bytes() for n in (1, 2)] == [JUNK + bytes(1), JUNK + bytes(2)]
    assert [p.name for p in tmp_path.iterdir()] == ["quarantine"]


def test_wal_and_index_of_a_damaged_one_go_with_it(tmp_path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"c{suffix}").write_bytes(suffix.encode())
    aside = CatalogueFile(str(tmp_path / "c"), UNIT).set_aside()
    assert {p.name: p.read_bytes() for p in (tmp_path / "quarantine").iterdir()} == {
        f"{Path(aside).name}{suffix}": suffix.encode() for suffix in ("-wal", "-shm")
    }


def test_a_catalogue_named_by_a_relative_path_is_opened_and_set_aside_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = CatalogueFile("c", UNIT, wall=wall)
    home.open().close()
    assert home.set_aside() == f"{tmp_path}/quarantine/c.1"


def test_where_quarantine_takes_no_more_the_damaged_one_stays_and_a_person_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_home, "MAX_SET_ASIDE", 2)
    home = CatalogueFile(str(tmp_path / "c"), UNIT, wall=wall)
    (tmp_path / "c").write_bytes(JUNK)
    home.set_aside()
    (tmp_path / "c").write_bytes(JUNK)
    with pytest.raises(CardError) as raised:
        home.set_aside()
    why = f"{tmp_path}/quarantine is full of damaged catalogues; remove the old ones"
    assert str(raised.value) == f"the damaged catalogue {tmp_path}/c cannot be moved aside: {why}"
    assert (tmp_path / "c").read_bytes() == JUNK


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_what_is_not_a_file_is_not_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"c{suffix}"
    path.mkdir()
    with pytest.raises(CatalogueDamaged) as raised:
        CatalogueFile(str(tmp_path / "c"), UNIT).open()
    assert str(raised.value) == f"{path} is not a file"
