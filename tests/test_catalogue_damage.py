"""Damage that SQLite alone does not see, wrong values and single flipped bits, ends in a rebuild and never worse."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from card_scene import UNIT, Unit, content, files, picture, pictures_on, put, wall

from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.catalogue_home import CatalogueFile
from firmware.catalogue_schema import DAMAGE_MARK, STEPS
from firmware.events import (
    LookUp,
    LookUpPartial,
    Page,
    Pair,
    Save,
    SaveCalendar,
    SaveDecision,
    SaveName,
    SaveOrder,
    SavePairs,
    SavePartial,
    SaveRecollected,
    SaveRecorded,
)
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from firmware.store import Store
from sim.card import SimCard

SIZE_BYTES = 500
FLIPS = 60
PAGE = 7
EVERY = (PictureId(0, 0, 0), PictureId(0xFFFF, 0xFFFF, 0xFFFF_FFFF))


def small(sequence: int, *, unit: int = UNIT) -> Picture:
    return picture(sequence, content(sequence, SIZE_BYTES), unit=unit)


def rows() -> list[Entry]:
    proved = Copy(2, listed=5, proof=bytes(16), verified_at=1e9)
    own = [Entry(small(n), File.WHOLE, copies=(proved,) if n % 2 else ()) for n in range(1, 20)]
    held = [Entry(small(n, unit=2), File.WHOLE, attempt=n, kept=bool(n % 2)) for n in range(1, 20)]
    dated = [replace(e, picture=replace(e.picture, taken_at=1e9 + e.picture.id.sequence)) for e in own + held]
    told = Entry(small(1, unit=3), File.GONE, version=3, named=(1, 2), doubted=1)
    return [*dated, Entry(small(99), File.GONE, copies=(proved,)), told]


def made(path: Path) -> Unit:
    """A unit with something in each table, stopped."""
    unit = Unit(SimCard(), path)
    started = unit.start()
    put_files(unit.card)
    unit.save(*rows())
    catalogue = started.catalogue
    part = small(1, unit=4)
    catalogue.save_partial(SavePartial(part.id, 7, part.sha256, 400, SIZE_BYTES))
    catalogue.save_name(SaveName(2, "south"))
    catalogue.save_decision(SaveDecision(small(1).id, "ask unit 2", {"room_bytes": 5}))
    catalogue.save_order(SaveOrder(small(1, unit=5).id, bytes(range(32))))
    catalogue.save_recorded(SaveRecorded(2, 77, ((small(1).id, 0), (small(2).id, 5))))
    catalogue.save_recollected(SaveRecollected(2))
    catalogue.save_pairs(SavePairs((Pair(small(99).id, 2, 5, bytes(16), bytes(16)),)))
    catalogue.save_calendar(SaveCalendar((("age", 5), ("scrub_due", 6), ("scrub_after", 7)), ((2, 4),)))
    catalogue.save(Save(entries=(Entry(small(98), File.WHOLE),), age_s=3))
    unit.stop()
    return unit


def put_files(card: SimCard) -> None:
    for row in rows():
        if row.file is File.WHOLE:
            put(card, Store(card, UNIT).path(row.picture), content(row.picture.id.sequence, SIZE_BYTES))


def spoil(path: Path, change: str) -> None:
    """Change rows behind the back of the schema's types and CHECKs, as a worn card does."""
    loosen = "UPDATE sqlite_master SET sql = replace(sql, ') STRICT, WITHOUT', ') WITHOUT')"
    tighten = "UPDATE sqlite_master SET sql = replace(sql, ') WITHOUT', ') STRICT, WITHOUT')"
    for script in (f"PRAGMA writable_schema = ON; {loosen}", change, f"PRAGMA writable_schema = ON; {tighten}"):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA ignore_check_constraints = ON; {script}")


HARMS = (
    "UPDATE picture SET file = 7",
    "UPDATE picture SET file = 1.5",
    "UPDATE picture SET taken_quality = 9",
    "UPDATE picture SET taken_at = 'zz'",
    "UPDATE picture SET size_bytes = 'abc'",
    "UPDATE picture SET size_bytes = -1",
    "UPDATE picture SET origin = 9 WHERE own = 0",
    "UPDATE picture SET sha256 = x'00'",
    "UPDATE picture SET named = x'0102ff' WHERE own = 0",
    "UPDATE picture SET named = 'abcd' WHERE own = 0",
    "UPDATE picture SET doubted = -1",
    "UPDATE picture SET recorded = 2",
    "UPDATE kept SET newest = 5",
    "UPDATE kept SET id = x'00' WHERE newest = 1",
    "UPDATE keeper SET card = 70000",
    "UPDATE copy SET proof = 3",
    "UPDATE copy SET verified_at = 'zz'",
    "UPDATE copy SET unit = 70000",
    "UPDATE copy SET doubted = 2",
    "UPDATE copy SET draw = -1",
    "UPDATE pair SET nonce = x'00'",
    "UPDATE pair SET due_s = -1",
    "UPDATE exposed SET since_s = 'q'",
    "UPDATE heard SET age_s = -1",
    "UPDATE meta SET value = -1 WHERE key = 'age'",
    "UPDATE partial SET id = x'00'",
    "UPDATE partial SET kept_since = 'zz'",
    "UPDATE decision SET inputs = '{'",
    "UPDATE meta SET value = 99999999 WHERE key = 'card'",
    "UPDATE meta SET value = 'q' WHERE key = 'card'",
    "UPDATE meta SET value = -3 WHERE key = 'boot'",
    "UPDATE meta SET value = 4294967295 WHERE key = 'boot'",
    "UPDATE meta SET value = 4294967296 WHERE key = 'sequence'",
    "UPDATE meta SET value = 0 WHERE key = 'next_attempt'",
    "UPDATE meta SET value = 0 WHERE key = 'unit'",
    "UPDATE meta SET key = 'next_attempu' WHERE key = 'next_attempt'",
    "DROP INDEX here",
    "DROP TABLE name",
)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_value_is_found_by_the_next_start_which_rebuilds(tmp_path: Path, harm: str) -> None:
    unit = made(tmp_path / "catalogue.sqlite3")
    before = pictures_on(unit.card)
    spoil(unit.path, harm)
    started = unit.start(seed=3)
    assert started.memory.new_catalogue
    assert any("was rebuilt from the pictures" in notice for notice in started.notices)
    assert pictures_on(unit.card) == before
    assert len(started.catalogue.page(Page(None, None, None, 100))) == len(before)
    assert not unit.again().memory.new_catalogue
    unit.stop()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE picture SET file = 7",
        "UPDATE picture SET taken_at = 'zz'",
        "UPDATE picture SET size_bytes = 2.5",
        "UPDATE picture SET kept = 5",
        "UPDATE picture SET named = 'abcd' WHERE own = 0",
        "UPDATE picture SET doubted = 3 WHERE own = 0",
        "UPDATE copy SET listed = 'x'",
        "UPDATE copy SET verified_monotonic = 'x'",
        "DROP INDEX living",
    ],
)
def test_a_value_that_is_damaged_while_the_unit_runs_has_the_next_start_rebuild(tmp_path: Path, harm: str) -> None:
    path = made(tmp_path / "c").path
    with closing(Catalogue(str(path), UNIT)) as running:
        spoil(path, harm)
        with pytest.raises(CatalogueDamaged):
            running.page(Page(None, None, None, 100))
    assert Path(str(path) + DAMAGE_MARK).exists()
    with pytest.raises(CatalogueDamaged):
        CatalogueFile(str(path), UNIT, wall=wall).open()


def test_a_damaged_counter_and_partial_are_found_when_they_are_read(tmp_path: Path) -> None:
    path = made(tmp_path / "c").path
    with closing(Catalogue(str(path), UNIT)) as running:
        spoil(path, "UPDATE meta SET value = 'q'; UPDATE partial SET size_bytes = 'abc'; UPDATE name SET name = 7")
        with pytest.raises(CatalogueDamaged, match="cannot be"):
            running.counter("boot", 0)
        with pytest.raises(CatalogueDamaged, match="cannot be"):
            running.look_up_partial(LookUpPartial(small(1, unit=4).id))


def test_a_text_that_is_no_utf_8_is_damage(tmp_path: Path) -> None:
    path = made(tmp_path / "c").path
    data = path.read_bytes()
    assert data.count(b"south") == 1
    path.write_bytes(data.replace(b"south", b"so\xffth"))
    with closing(Catalogue.read_only(str(path), UNIT)) as reader, pytest.raises(CatalogueDamaged):
        list(reader._database.all("SELECT name FROM name"))


@pytest.mark.parametrize("number", [-7, 0, 3])
def test_a_wrong_number_of_steps_alone_is_damage_and_no_newer_software(tmp_path: Path, number: int) -> None:
    unit = made(tmp_path / "c")
    with closing(sqlite3.connect(unit.path)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")
    assert number != len(STEPS)
    assert unit.start(seed=3).memory.new_catalogue
    unit.stop()


def test_a_file_format_that_nobody_writes_is_damage_and_no_card_that_takes_no_writes(tmp_path: Path) -> None:
    unit = made(tmp_path / "c")
    data = bytearray(unit.path.read_bytes())
    data[18] ^= 0x10
    unit.path.write_bytes(data)
    assert unit.start(seed=3).memory.new_catalogue
    unit.stop()


def test_no_flipped_bit_stops_the_start_or_costs_a_picture(tmp_path: Path) -> None:
    """Each is lived with, found at the start, or found when a page of `list` meets it, and then by the next start."""
    rng = random.Random(11)
    sound = made(tmp_path / "sound").path.read_bytes()
    filled = [place for place, byte in enumerate(sound) if byte]
    rebuilt = 0
    for number in range(FLIPS):
        place, bit = rng.choice(filled), rng.randrange(8)
        spoilt = bytearray(sound)
        spoilt[place] ^= 1 << bit
        rebuilt += rebuilds(tmp_path / f"c{number}", bytes(spoilt))
        list_ends(tmp_path / f"r{number}", bytes(spoilt))
    assert FLIPS // 4 < rebuilt < FLIPS


def rebuilds(path: Path, catalogue: bytes) -> bool:
    path.mkdir()
    unit = Unit(SimCard(), path / "catalogue.sqlite3")
    put_files(unit.card)
    before = Counter(pictures_on(unit.card).values())
    unit.path.write_bytes(catalogue)
    started = unit.start(seed=3)
    try:
        started.catalogue.page(Page(None, None, None, 100))
    except CatalogueDamaged:
        started = unit.again(seed=4)
        assert started.memory.new_catalogue
        started.catalogue.page(Page(None, None, None, 100))
    assert before <= Counter(files(unit.card).values())
    unit.stop()
    return started.memory.new_catalogue


def list_ends(path: Path, catalogue: bytes) -> None:
    """`list` reads what nobody has checked: an index out of order must not send it round and round."""
    path.write_bytes(catalogue)
    for since in (None, 0.0):
        after: PictureId | None = None
        try:
            with closing(Catalogue.read_only(str(path), UNIT)) as reader:
                for _ in range(len(rows())):
                    page = reader.page(Page(None, since, after, PAGE))
                    if not page:
                        break
                    after = page[-1].picture.id
                else:
                    pytest.fail("list goes on for ever")
        except CatalogueDamaged:
            pass


def test_an_index_that_is_out_of_order_is_not_read_in_circles(tmp_path: Path) -> None:
    path = tmp_path / "c"
    sound, found_out = made(path).path.read_bytes(), 0
    for sequence in range(1, 20):
        key = small(sequence, unit=2).id.encode()
        path.write_bytes(sound.replace(key, b"\x00\x42" + key[2:]))
        with closing(Catalogue.read_only(str(path), UNIT)) as reader:
            found_out += first_ones_end(reader)
    assert found_out


def first_ones_end(reader: Catalogue) -> bool:
    """True: the damage was found on the way."""
    low: PictureId | None = PictureId(0, 0, 0)
    try:
        for _ in range(len(rows())):
            low = reader.first_here(low)
            if low is None:
                return False
            low = PictureId(low.unit + 1, 0, 0)
    except CatalogueDamaged:
        return True
    pytest.fail("it goes round and round")


@pytest.mark.parametrize(
    ("ask", "spoilt"),
    [
        (lambda reader: list(reader.files_here(*EVERY)), lambda n: (small(n, unit=2).id.encode(), b"\0\x42")),
        (lambda reader: reader.page(Page(2, 1.0, None, 100)), lambda n: (struct.pack(">i", 10**9 + n), b"\x7f")),
    ],
)
def test_a_page_that_is_out_of_order_is_damage(
    tmp_path: Path, ask: Callable[[Catalogue], object], spoilt: Callable[[int], tuple[bytes, bytes]]
) -> None:
    path = made(tmp_path / "c").path
    sound, found_out = path.read_bytes(), 0
    for sequence in range(1, 20):
        before, above = spoilt(sequence)
        path.write_bytes(sound.replace(before, above + before[len(above) :]))
        with closing(Catalogue.read_only(str(path), UNIT)) as reader:
            try:
                ask(reader)
            except CatalogueDamaged as error:
                found_out += "has a value that cannot be" in str(error) and "comes after" in str(error)
    assert found_out


def test_a_flipped_bit_in_the_id_of_a_held_row_does_not_unlink_its_file(tmp_path: Path) -> None:
    """Its file would look as if it never had a row, and never was said to be stored."""
    unit = made(tmp_path / "c")
    before = pictures_on(unit.card)
    key = small(9, unit=2).id.encode()
    data = unit.path.read_bytes()
    places = [place for place in range(len(data)) if data.startswith(key, place)]
    assert len(places) > 2
    for place in places:
        spoilt = bytearray(data)
        spoilt[place + len(key) - 2] ^= 0x40
        unit.path.write_bytes(spoilt)
        unit.start(seed=3)
        assert pictures_on(unit.card) == before
        assert unit.entry(small(9, unit=2).id) is not None
        unit.stop()


def test_a_row_that_is_right_is_still_read_after_all_this(tmp_path: Path) -> None:
    path = made(tmp_path / "c").path
    with closing(CatalogueFile(str(path), UNIT, wall=wall).open()) as catalogue:
        for row in rows():
            assert catalogue.look_up(LookUp(row.picture.id)) == row
