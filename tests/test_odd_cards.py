"""A start is not stopped by one odd entry on the card: it is put aside, or left alone and told; the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from card_scene import UNIT, Unit, bytes_of, content, files, held, own, picture, pictures_on, put, put_picture

from firmware.events import SavePartial
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File
from firmware.store import Store
from hal.directory_card import DirectoryCard
from hal.errors import CardError, CardReadOnly
from hal.interfaces import CardEntry
from sim.card import Fault, SimCard


@pytest.fixture
def unit(unit: Unit) -> Iterator[Unit]:
    """One with a picture, which is still there after whatever is done to the card."""
    unit.save(own(1))
    put_picture(unit.card, picture(1))
    yield unit
    assert content(1) in pictures_on(unit.card).values()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Unit]:
    """On a real directory, with the catalogue where a unit has it."""
    made = Unit(DirectoryCard(str(tmp_path / "card")), tmp_path / "card" / "catalogue.sqlite3")
    made.start()
    made.save(own(1))
    put_picture(made.card, picture(1))
    yield made
    made.stop()
    assert content(1) in pictures_on(made.card).values()


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[tuple[Unit, SimCard]]:
    card = SimCard()
    made = Unit(card, tmp_path / "c")
    made.start()
    yield made, card
    made.stop()


def told(notices: list[str], *words: str) -> bool:
    return any(all(word in notice for word in words) for notice in notices)


# ------------------------------------------------------------ names that are none


@pytest.mark.parametrize("name", ["99999", "65535", "00000"])
def test_a_directory_of_a_unit_that_cannot_be_is_put_aside(unit: Unit, name: str) -> None:
    put(unit.card, f"held/{name}/{held(3).picture.file_name}", content(3))
    unit.again()
    assert files(unit.card, "quarantine") == {f"quarantine/{name}/{held(3).picture.file_name}": content(3)}


@pytest.mark.parametrize("name", ["identity", "tmp/identity.part"])
def test_a_directory_in_place_of_the_identity_is_put_aside(unit: Unit, name: str) -> None:
    assert unit.started is not None
    before = unit.started.memory.card
    unit.card.unlink("identity")
    put(unit.card, f"{name}/x", b"x")
    assert unit.again().memory.card == before
    assert bytes_of(unit.card, "identity").startswith(b"card ")
    assert files(unit.card, "quarantine") == {f"quarantine/{name.rpartition('/')[2]}/x": b"x"}


@pytest.mark.parametrize("name", ["preview", "tmp", "quarantine", "held"])
def test_a_file_in_place_of_a_directory_is_put_aside_and_the_directory_made_anew(unit: Unit, name: str) -> None:
    unit.card.rename(name, "was")
    put(unit.card, name, b"odd")
    started = unit.again()
    assert told(started.notices, f"{name} was no directory", "quarantine/")
    assert list(files(unit.card, "quarantine").values()) == [b"odd"]
    assert [entry.is_directory for entry in unit.card.entries("") if entry.name == name] == [True]
    assert not unit.again().notices


def test_a_directory_in_place_of_a_picture_is_lost_at_once_and_put_aside(unit: Unit) -> None:
    for row in (own(2, Copy(2, listed=3)), held(3)):
        unit.save(row)
        put(unit.card, f"{Store(unit.card, UNIT).path(row.picture)}/x", b"x")
    started = unit.again()
    assert unit.entry(picture(2).id) == own(2, Copy(2, listed=3), file=File.GONE)
    assert started.memory.lost_held == (held(3),)
    assert told(started.notices, "LOST", str(picture(2).id))
    assert sorted(files(unit.card, "quarantine").values()) == [b"x", b"x"]


# ------------------------------------------------------------ rows that are damaged, not files


@pytest.mark.parametrize("row", [own(2, Copy(2, listed=3)), held(3)])
@pytest.mark.parametrize(
    "flip",
    [
        lambda of: replace(of, size_bytes=of.size_bytes ^ 64),
        lambda of: replace(of, sha256=bytes([of.sha256[0] ^ 1]) + of.sha256[1:]),
    ],
)
def test_a_file_that_fits_its_own_name_stays_and_its_damaged_row_is_put_right(
    unit: Unit, row: Entry, flip: Callable[[object], object]
) -> None:
    path = put_picture(unit.card, row.picture)
    unit.save(replace(row, picture=flip(row.picture)))  # type: ignore[arg-type]
    notices = unit.again().notices
    assert unit.entry(row.picture.id) == row
    assert bytes_of(unit.card, path) == content(row.picture.id.sequence)
    assert told(notices, "put right")
    assert not told(notices, "LOST")
    assert not unit.again().notices


def test_a_second_file_of_the_same_id_does_not_change_the_row_of_the_first(unit: Unit) -> None:
    other = picture(1, b"other content")
    put(unit.card, Store(unit.card, UNIT).path(other), b"other content")
    unit.again()
    assert unit.entry(picture(1).id) == own(1)
    assert list(files(unit.card, "quarantine").values()) == [b"other content"]


def test_a_tombstone_does_not_take_over_other_content(unit: Unit) -> None:
    buried = replace(own(2), picture=picture(2, b"what a person deleted"), deleted=True)
    unit.save(buried)
    put_picture(unit.card, picture(2))
    unit.again()
    assert unit.entry(picture(2).id) == replace(buried, file=File.GONE)
    assert list(files(unit.card, "quarantine").values()) == [content(2)]


# ------------------------------------------------------------ things that are no files, on a real card


def fifo(path: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize("odd", [fifo, dangling])
def test_what_is_named_like_a_picture_and_no_file_is_put_aside(real: Unit, odd: Callable[[Path], None]) -> None:
    """Without a row, and in the place of one; opening a FIFO would wait for ever."""
    folder = real.path.parent
    real.save(own(2))
    for of in (picture(2), picture(3)):
        odd(folder / Store(real.card, UNIT).path(of))
    notices = real.again().notices
    assert real.entry(picture(2).id) == own(2, file=File.GONE)
    assert real.entry(picture(3).id) is None
    assert sorted(os.listdir(folder / "quarantine")) == [picture(2).file_name, picture(3).file_name]
    assert told(notices, "LOST", str(picture(2).id))


@pytest.mark.parametrize("name", ["preview", "tmp", "quarantine", "held", "identity"])
def test_a_link_to_nothing_in_place_of_what_the_card_needs_is_put_aside(real: Unit, name: str) -> None:
    folder = real.path.parent
    (folder / name).rename(folder / "was")
    dangling(folder / name)
    assert real.again().notices
    assert not (folder / name).is_symlink()
    assert len([path for path in (folder / "quarantine").iterdir() if path.is_symlink()]) == 1
    assert not real.again().notices


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("odd", [Path.mkdir, fifo, dangling])
def test_what_is_in_place_of_the_catalogue_and_no_file_is_set_aside_like_a_damaged_one(
    real: Unit, suffix: str, odd: Callable[[Path], None]
) -> None:
    real.stop()
    place = Path(f"{real.path}{suffix}")
    place.unlink(missing_ok=True)
    odd(place)
    started = real.start(seed=3)
    assert started.memory.new_catalogue
    assert told(started.notices, "is not a file", "rebuilt")
    assert real.entry(picture(1).id) == own(1)


def test_a_name_of_any_bytes_can_be_printed(real: Unit) -> None:
    folder = os.fsencode(real.path.parent)
    for name in (b"caf\xe9", b"two\nlines", b"\x1b[2J"):
        with open(folder + b"/own/" + name, "xb"):
            pass
    notices = real.again().notices
    assert len(notices) == 3
    assert "".join(notices).isprintable()
    assert told(notices, r"caf\udce9", "quarantine/")


# ------------------------------------------------------------ faults of one entry


def test_a_file_of_which_the_card_gives_only_the_name_is_left_alone_and_told(sim: tuple[Unit, SimCard]) -> None:
    unit, card = sim
    rows = (own(1), held(2))
    paths = [put_picture(card, row.picture) for row in rows]
    unit.save(*rows)
    strange = [*paths, Store(card, UNIT).path(picture(7)), "own/x", "held/x", "tmp/x.part"]
    for path in strange[2:]:
        put(card, path, b"odd")
    before = files(card)
    card.options.unreadable.update(strange)
    started = unit.again()
    assert started.memory.lost_held == ()
    for path in strange:
        assert told(started.notices, path, "left alone")
    card.options.unreadable.clear()
    assert files(card) == before
    assert [unit.entry(row.picture.id) for row in rows] == list(rows)


def test_a_held_file_that_a_rebuild_had_to_leave_alone_is_not_unlinked_afterwards(sim: tuple[Unit, SimCard]) -> None:
    """It has no row, and was said to be stored all the same."""
    unit, card = sim
    path = put_picture(card, held(1).picture)
    part = f"tmp/{picture(2, unit=2).id}.part"
    put(card, part, b"unfinished")
    unit.stop()
    unit.path.unlink()
    card.options.unreadable.add(path)
    unit.start(seed=3)
    card.options.unreadable.clear()
    assert files(card).keys() >= {path, part}
    unit.again()
    assert unit.entry(held(1).picture.id) == held(1, attempt=UNKNOWN_ATTEMPT)
    assert set(files(card)) == {path, "identity"}


def test_what_cannot_be_moved_or_removed_is_left_alone_and_told(sim: tuple[Unit, SimCard]) -> None:
    unit, card = sim
    buried = replace(own(1), deleted=True)
    stuck = [put_picture(card, buried.picture), put_picture(card, picture(2, unit=2))]
    stuck += [f"tmp/{picture(3, unit=2).id}.part", "tmp/x", "own/x", "held/00002/x"]
    for path in stuck[2:]:
        put(card, path, b"odd")
    torn = Store(card, UNIT).path(picture(4))
    put(card, torn, b"torn")
    unit.save(buried, own(5))
    put_picture(card, picture(5))
    card.options.below.update(dict.fromkeys([*stuck, torn], Fault.IO))
    started = unit.again()
    for path in (*stuck, torn):
        assert told(started.notices, path, "left alone")
    assert unit.entry(buried.picture.id) == buried
    assert unit.entry(picture(5).id) == own(5)
    card.options.below.clear()
    unit.again()
    assert set(pictures_on(card)) == {Store(card, UNIT).path(picture(5))}


def test_a_part_that_cannot_be_removed_does_not_keep_others_from_being_resumed(sim: tuple[Unit, SimCard]) -> None:
    unit, card = sim
    stuck, kept = picture(1, unit=2), picture(2, unit=2)
    put(card, f"tmp/{stuck.id}.part", b"x")
    put(card, f"tmp/{kept.id}.part", bytes(kept.size_bytes))
    assert unit.started is not None
    unit.started.catalogue.save_partial(SavePartial(kept.id, 7, kept.sha256, 64_000, kept.size_bytes))
    card.options.below[f"tmp/{stuck.id}"] = Fault.IO
    assert unit.again().memory.partial_bytes == kept.size_bytes


def test_a_card_that_takes_no_writes_at_all_stops_the_start(sim: tuple[Unit, SimCard]) -> None:
    unit, card = sim
    put(card, "own/x", b"odd")
    card.options.read_only = True
    with pytest.raises(CardReadOnly):
        unit.again()
    card.options.read_only = False
    unit.start()


def test_an_identity_that_cannot_be_read_nor_moved_stops_the_start(sim: tuple[Unit, SimCard]) -> None:
    unit, card = sim
    card.options.below["identity"] = Fault.IO
    with pytest.raises(CardError):
        unit.again()
    card.options.below.clear()
    unit.start()


# ------------------------------------------------------------ many


class Counting(SimCard):
    """Counts the names that are listed, which is what a real card's stats are."""

    listed = 0

    def entries(self, path: str) -> list[CardEntry]:
        found = super().entries(path)
        self.listed += len(found)
        return found


@pytest.mark.parametrize("path", ["held/00002/x{}", "held/{:05d}/x"])
def test_the_work_for_many_odd_files_grows_with_their_number_only(tmp_path: Path, path: str) -> None:
    """Of different names, and of the same name in different places."""
    number, card = 400, Counting()
    for n in range(number):
        put(card, path.format(n + 2), b"")
    unit = Unit(card, tmp_path / "c")
    started = unit.start()
    unit.stop()
    assert card.listed < 10 * number
    assert len(card.entries("quarantine")) == number
    assert started.notices


def test_names_in_quarantine_that_came_from_elsewhere_are_not_overwritten() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    for place in ("own/x", "tmp/x"):
        put(card, place, place.encode())
        store.put_aside(place)
    put(card, "quarantine/x.2", b"of a person")
    put(card, "own/x", b"third")
    assert store.put_aside("own/x") == "quarantine/x.3"
    assert files(card) == {
        "quarantine/x": b"own/x",
        "quarantine/x.1": b"tmp/x",
        "quarantine/x.2": b"of a person",
        "quarantine/x.3": b"third",
    }
