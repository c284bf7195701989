"""What a power cut in a story of power_scene.py must leave: what was committed is there, and nobody lacks a picture."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from card_scene import content
from power_scene import UNITS, RealCard, entries_of, start
from rig_scene import check

from firmware import events as e
from firmware import fsck
from firmware.catalogue import Catalogue
from firmware.layout import part_path, picture_path
from firmware.pictures import Entry, File, Picture, PictureId
from sim.forgetful import Change, Image, Marked, Medium, lay_out

MOST_ROWS = 1000  # of a story
FAST = "/dev/shm"  # memory: start-ups on what is left need not wait for a disk
Rows = dict[PictureId, Entry | None]  # None: the row was removed
Leave = Callable[[Medium, random.Random], Image]  # what is left, by chance


@dataclass
class Promised:
    """What a story has said so far. rows: committed, by unit; saving: those that the last commit begun would make,
    where it has not said that it ended; going: units whose catalogue is being removed; adopted: those whose
    start-up had to make rows by itself."""

    pictures: dict[bytes, bytes] = field(default_factory=dict)  # bytes by sha256
    rows: dict[int, Rows] = field(default_factory=lambda: defaultdict(dict))
    saving: dict[int, Rows] = field(default_factory=lambda: defaultdict(dict))
    parts: dict[PictureId, e.SavePartial] = field(default_factory=dict)  # of unit 1, to be resumed (R8)
    next_attempt: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    going: set[int] = field(default_factory=set)
    adopted: set[int] = field(default_factory=set)

    def follow(self, change: Marked) -> None:
        """The next mark of the story."""
        match pickle.loads(change.data):
            case ("picture", Picture() as picture, bytes(data)):
                self.pictures[picture.sha256] = data
            case ("picture of card_scene", Picture() as picture):  # too long for a mark
                self.pictures[picture.sha256] = content(picture.id.sequence)
            case ("saving", int(unit), e.Save() as request):
                self.saving[unit].update(_rows(request))
            case ("saved", int(unit), e.Save() as request):
                self.rows[unit].update(_rows(request))
                for picture in _rows(request):
                    del self.saving[unit][picture]
                self.next_attempt[unit] = max(self.next_attempt[unit], request.next_attempt or 0)
            case ("part", e.SavePartial() as partial):
                self.parts[partial.picture] = partial
            case ("part given up", e.SavePartial() as partial):
                self.parts.pop(partial.picture, None)
            case ("finishing", Picture() as picture):  # it has its place, but no row: it was never stored
                self.parts.pop(picture.id, None)
            case ("catalogue goes", int(unit)):
                self.going.add(unit)
            case ("catalogue is gone", int(unit)):
                self.going.discard(unit)
                for promised in (self.rows, self.saving):
                    promised[unit].clear()
                self.next_attempt[unit] = 0
                self.adopted.add(unit)
            case other:
                raise AssertionError(other)

    def may_be(self, unit: int, picture: PictureId) -> list[Entry | None]:
        """What a unit's row may be; empty where nothing was ever said of it."""
        places = (self.rows[unit], self.saving[unit])
        return [rows[picture] for rows in places if picture in rows]


def _rows(request: e.Save) -> Rows:
    removed: Rows = dict.fromkeys(request.removed)
    return removed | {entry.picture.id: entry for entry in request.entries}


# ---------------------------------------------------------------- cuts


@dataclass(frozen=True)
class Cut:
    """The power goes behind one change of the log."""

    number: int
    image: Image
    promised: Promised


def cuts(log: list[Change], leave: Leave, *, begin: int = 0, every: int = 1, seed: int = 0) -> Iterator[Cut]:
    """A cut behind every so many-th change from `begin` on, as often as what is left differs. Each is to be looked at
    before the next is asked for."""
    medium, promised = Medium(), Promised()
    seen: set[int] = set()
    for number, change in enumerate(log):
        medium.follow(change)
        if isinstance(change, Marked):
            promised.follow(change)
        if number < begin or (number - begin) % every:
            continue
        image = leave(medium, random.Random(f"{seed} {number}"))
        key = hash((tuple(image.items()), isinstance(change, Marked) and number))
        if key not in seen:
            seen.add(key)
            yield Cut(number, image, promised)


@contextlib.contextmanager
def laid_out(image: Image) -> Iterator[Path]:
    """The image as a directory."""
    with tempfile.TemporaryDirectory(dir=FAST if os.path.isdir(FAST) else None) as folder:
        lay_out(image, Path(folder))
        yield Path(folder)


# ---------------------------------------------------------------- what must be


@dataclass
class Left:
    """A unit started on what is left of its card; has what rig_scene.check looks at."""

    unit: int
    card: RealCard
    catalogue: Catalogue
    notices: list[str]
    next_attempt: int

    def entry(self, picture: PictureId) -> Entry | None:
        """What the catalogue knows."""
        return self.catalogue.look_up(e.LookUp(picture))

    def entries(self, request: e.Page | e.Held) -> list[Entry]:
        """What the catalogue knows."""
        return entries_of(self.catalogue, request)


def check_left(image: Image, promised: Promised, units: tuple[int, ...] = UNITS) -> None:
    """Start the units on what is left: what was promised is there, and I1 to I4 hold between them."""
    with laid_out(image) as top, contextlib.ExitStack() as at_end:
        left = []
        for unit in units:
            card, begun = start(top, unit)
            at_end.callback(begun.catalogue.close)
            left.append(Left(unit, card, begun.catalogue, begun.notices, begun.memory.next_attempt))
        for one in left:
            _check_unit(one, promised)
        check(*left)


def _check_unit(one: Left, promised: Promised) -> None:
    wrong = [notice for notice in one.notices if "LOST" in notice or "damaged" in notice]
    assert not wrong, f"unit {one.unit} says: {wrong}"
    assert one.catalogue.flaws() == []
    if one.unit not in promised.going:
        _check_rows(one, promised)
    found = list(fsck.check(one.card, one.catalogue, one.unit, repair=False))
    assert all(finding.harmless for finding in found), f"unit {one.unit}: {found}"


def _check_rows(one: Left, promised: Promised) -> None:
    assert one.next_attempt >= promised.next_attempt[one.unit], f"unit {one.unit} gives numbers out again"
    for picture in sorted(promised.rows[one.unit]):
        if one.entry(picture) is None:
            assert None in promised.may_be(one.unit, picture), f"unit {one.unit}: the row of {picture} is gone"
    for row in one.catalogue.page(e.Page(None, None, None, MOST_ROWS)):
        _check_row(one, row, promised)
    for picture in promised.parts if one.unit == 1 else ():
        assert one.catalogue.look_up_partial(e.LookUpPartial(picture)) is not None, (
            f"the part of {picture} is forgotten"
        )
    for partial in one.catalogue.oldest_partials(e.OldestPartials(MOST_ROWS)):
        found, whole = one.card.durable(part_path(partial.picture)), promised.pictures[partial.sha256]
        assert found is not None
        assert found[: partial.synced_bytes] == whole[: partial.synced_bytes], f"{partial} is not on the card"


def _check_row(one: Left, row: Entry, promised: Promised) -> None:
    """It is what was committed last, or what was being committed; and its file is whole."""
    picture, may_be = row.picture.id, promised.may_be(one.unit, row.picture.id)
    if row.file is not File.GONE:
        found = one.card.durable(picture_path(row.picture, one.unit))
        assert found == promised.pictures[row.picture.sha256], f"unit {one.unit}: the bytes of {picture} are other ones"
    rows = [entry for entry in may_be if entry is not None]
    if not promised.rows[one.unit].get(picture) and _is_adopted(one, row, promised):
        return
    assert any(replace(row, file=File.GONE) == replace(entry, file=File.GONE) for entry in rows), (
        f"unit {one.unit} has {row} where one of {may_be} was committed"
    )
    assert row.file is not File.GONE or any(entry.file is File.GONE for entry in rows), f"the file of {picture} is gone"


def _is_adopted(one: Left, row: Entry, promised: Promised) -> bool:
    """A row that start-up makes of a file that has none."""
    own = row.picture.id.unit == one.unit
    return row == Entry(row.picture, File.WHOLE, version=1) if own else one.unit in promised.adopted
