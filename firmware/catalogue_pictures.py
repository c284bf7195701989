"""The catalogue's rows of pictures: saved whole, found by what has to be done with them, listed and summed up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from firmware import catalogue_exposure as exposure
from firmware import catalogue_pairs as pairs
from firmware import catalogue_rows as rows
from firmware.catalogue_database import Database
from firmware.events import (
    Cached,
    Counted,
    Counts,
    Held,
    Lacking,
    LookUp,
    Owed,
    OwnInDoubt,
    Page,
    Save,
    Unchecked,
)
from firmware.pictures import MAX_SEQUENCE, Entry, File, PictureId, picture_name

LATEST_OWN = 32  # own pictures that "recent ones" means for their largest; guess
FILES_PAGE = 1_000  # rows in memory while files are compared with them
PREVIEWS_PAGE = 50  # previews looked for in one question
MAX_VERIFIED = 1_000  # above any number of holders that a picture can have (units of a network: 50)

_FIRST = b""  # sorts before every id
_LAST = b"\xff" * 9  # sorts after every id
_OWN_HERE = "FROM picture INDEXED BY own_here WHERE own = 1 AND deleted = 0 AND file > 0"


def _range(origin: int | None, after: PictureId | None) -> tuple[bytes, bytes]:
    """Ids of an origin (None: of all) after one: above the first and not above the second."""
    low, high = _FIRST, _LAST
    if origin is not None:
        low = PictureId(origin - 1, 0xFFFF, MAX_SEQUENCE).encode() if origin else _FIRST
        high = PictureId(origin, 0xFFFF, MAX_SEQUENCE).encode()
    return max(low, after.encode() if after else _FIRST), high


class FileHere(NamedTuple):
    """A file that should be on the card; buried: it is an own one under a tombstone and should not."""

    picture: PictureId
    name: str
    size_bytes: int
    buried: bool


def _rising(low: object, values: list[Any]) -> list[Any]:
    """The same values; ValueError unless each is above the one before: an index out of order is read in circles."""
    for before, value in pairwise((low, *values)):
        if not before < value:
            raise ValueError(f"{value!r} comes after {before!r}")
    return values


def _id_from(low: PictureId, key: bytes) -> PictureId:
    picture = PictureId.decode(key)
    if picture < low:
        raise ValueError(f"{picture} comes after {low}")
    return picture


def _files_here(found: list[rows.Row]) -> list[FileHere]:
    return [_file_here(*row) for row in found]


def _file_here(key: bytes, sha256: bytes, size_bytes: int, buried: int) -> FileHere:
    picture = PictureId.decode(key)
    return FileHere(picture, picture_name(picture, rows.digest_of(sha256)), size_bytes, bool(buried))


class Pictures:
    """The requests about entries. Every question is answered from an index that holds little else than the answer;
    INDEXED BY makes SQLite fail rather than read a million rows."""

    def __init__(self, database: Database, unit: int) -> None:
        """unit: own pictures are those it took, and those of units that it acts for."""
        self._database = database
        self.unit = unit

    @cached_property
    def acts_for(self) -> frozenset[int]:
        """Units gone for good whose pictures are this unit's own now (HANDOVER R10)."""
        return frozenset(origin for (origin,) in self._database.all("SELECT origin FROM acts_for"))

    def is_own(self, origin: int) -> bool:
        """Whether the pictures that this unit took are own ones."""
        return origin == self.unit or origin in self.acts_for

    def look_up(self, request: LookUp) -> Entry | None:
        """One picture."""
        return self._entry(request.picture.encode())

    def save(self, request: Save) -> None:
        """Entries in place of what was known of them, rows out, counters: all or nothing."""
        with self._database.transaction():
            for picture in request.removed:
                self._forget(picture)
            for entry in request.entries:
                self._save_entry(entry, request.age_s)
            if request.next_attempt is not None:
                self._database.set("next_attempt", request.next_attempt)
            if request.sequence is not None:
                self._database.set("sequence", request.sequence)

    def _save_entry(self, entry: Entry, age_s: int | None) -> None:
        picture = entry.picture.id
        key, own = picture.encode(), self.is_own(picture.unit)
        row = rows.row_of(entry, own=own)
        outdated = "UPDATE picture SET recorded = 0 WHERE id = ? AND recorded = 1 AND version <> ?"
        if own and self._database.change(outdated, key, rows.signed(entry.version)):
            self._database.change("UPDATE kept SET newest = 0 WHERE id = ?", key)
        if self._database.change(rows.UPDATE_PICTURE, *row, key) == 0:
            nth = self._database.counter("nth", 0) + 1
            self._database.set("nth", nth)
            self._database.change(rows.INSERT_PICTURE, key, own, picture.unit, nth, *row)
            if own and age_s is not None and entry.file is not File.GONE and not entry.verified:
                exposure.begin(self._database, key, age_s)
        self._database.change("DELETE FROM copy WHERE id = ?", key)
        for copy in entry.copies:
            here = entry.file is not File.GONE
            self._database.change(rows.INSERT_COPY, *rows.copy_row_of(key, copy, here=here))
        if own:
            exposure.end(self._database, key, entry, age_s)
            pairs.fit(self._database, key, entry)

    def _forget(self, picture: PictureId) -> None:
        for table in ("picture", "copy", "kept", "decision", "pair", "exposed"):
            self._database.change(f"DELETE FROM {table} WHERE id = ?", picture.encode())

    def lacking(self, request: Lacking) -> list[Entry]:
        """Too few verified copies: priority first, then oldest."""
        found: list[bytes] = []
        skip = {picture.encode() for picture in request.skip}
        for priority, wanted in ((1, request.priority_copies), (0, request.copies)):
            keys = self._oldest(priority, 0, wanted - 1, request.limit + len(skip), -1)
            found += [key for _, key in keys if key not in skip]
        return self._entries(found[: request.limit])

    def cached(self, request: Cached) -> list[Entry]:
        """Enough verified copies, whatever the priority: oldest first."""
        after = self._nth(request.after)
        found = self._oldest(1, request.priority_copies, MAX_VERIFIED, request.limit, after)
        found += self._oldest(0, request.copies, MAX_VERIFIED, request.limit, after)
        return self._entries(key for _, key in sorted(found)[: request.limit])

    def _nth(self, picture: PictureId | None) -> int:
        """When this catalogue came to know it; -1: it does not (any more)."""
        row = picture and self._database.one("SELECT nth FROM picture WHERE id = ?", picture.encode())
        return int(row[0]) if row else -1

    def _oldest(self, priority: int, low: int, high: int, limit: int, after: int) -> list[tuple[int, bytes]]:
        """(nth, id) of own pictures with the file here, low to high verified copies and nth above `after`; each
        number of copies that occurs is one run of the index, sorted by nth."""
        found: list[tuple[int, bytes]] = []
        verified = low
        while verified <= high:
            row = self._database.one(
                f"SELECT min(verified) {_OWN_HERE} AND priority = ? AND verified >= ?", priority, verified
            )
            if row is None or row[0] is None or row[0] > high:
                break
            self._database.made(_rising, verified - 1, [row[0]])
            run = f"SELECT nth, id {_OWN_HERE} AND priority = ? AND verified = ? AND nth > ? ORDER BY nth LIMIT ?"
            found += self._database.all(run, priority, row[0], after, limit)
            verified = row[0] + 1
        return sorted(found)[:limit]

    def own_in_doubt(self, request: OwnInDoubt) -> list[Entry]:
        """Own pictures that need a look."""
        return self._in_order("INDEXED BY doubt WHERE doubt = 1", None, request.after, request.limit)

    def owed(self, request: Owed) -> list[Entry]:
        """Deleted, or let go, and not all holders have answered."""
        return self._in_order("INDEXED BY owed WHERE owed = 1", None, request.after, request.limit)

    def held(self, request: Held) -> list[Entry]:
        """Pictures held here for others."""
        where = "INDEXED BY held WHERE attempt IS NOT NULL"
        if request.unkept_only:
            where = "INDEXED BY unkept WHERE attempt IS NOT NULL AND kept = 0"
        return self._in_order(where, request.owner, request.after, request.limit)

    def unchecked(self, request: Unchecked) -> list[Entry]:
        """Files that nobody has read since they were found; oldest first."""
        select = "SELECT id FROM picture INDEXED BY unchecked WHERE file = 1 AND nth > ? ORDER BY nth LIMIT ?"
        return self._entries(key for (key,) in self._database.all(select, self._nth(request.after), request.limit))

    # ------------------------------------------------------------ rows against files, for start-up and fsck

    def files_here(self, low: PictureId, high: PictureId) -> Iterator[FileHere]:
        """Whatever should have a file on this card, ids from low to high, ascending; rows may change meanwhile."""
        key, last = b"", low.encode()
        page = (
            "SELECT id, sha256, size_bytes, own AND deleted FROM picture INDEXED BY here "
            "WHERE file > 0 AND id >= ? AND id <= ? AND id <> ? ORDER BY id LIMIT ?"
        )
        while found := self._database.all(page, last, high.encode(), key, FILES_PAGE):
            self._database.made(_rising, key, [row[0] for row in found])
            yield from self._database.made(_files_here, found)
            key = last = found[-1][0]

    def with_previews(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these ids, as PictureId.encode() gives them, may have a preview on this card: own and held ones that
        are not deleted."""
        marks = ", ".join("?" * PREVIEWS_PAGE)  # always as many: one statement, for SQLite keeps those it has made
        select = f"SELECT id FROM picture WHERE id IN ({marks}) AND deleted = 0 AND (own = 1 OR attempt IS NOT NULL)"
        found: set[bytes] = set()
        for start in range(0, len(keys), PREVIEWS_PAGE):
            page = keys[start : start + PREVIEWS_PAGE]
            page = [*page, *[page[-1]] * (PREVIEWS_PAGE - len(page))]
            found.update(key for (key,) in self._database.all(select, *page))
        return found

    def first_here(self, low: PictureId) -> PictureId | None:
        """The lowest id, not below low, that should have a file on this card."""
        row = self._database.one("SELECT min(id) FROM picture INDEXED BY here WHERE file > 0 AND id >= ?", low.encode())
        if row is None or row[0] is None:
            return None
        return self._database.made(_id_from, low, row[0])

    def held_without_file(self) -> list[Entry]:
        """Held pictures whose file was found missing or damaged, of which their origins have not been told."""
        select = "SELECT id FROM picture INDEXED BY held WHERE attempt IS NOT NULL AND file = 0"
        return self._entries(key for (key,) in self._database.all(select))

    # ------------------------------------------------------------ list and status

    def page(self, request: Page) -> list[Entry]:
        """One page of `list`."""
        if request.since_unix_s is not None:
            return self._page_since(request, request.since_unix_s)
        return self._in_order("INDEXED BY living WHERE deleted = 0", request.origin, request.after, request.limit)

    def _page_since(self, request: Page, since_unix_s: float) -> list[Entry]:
        """Origin by origin, each in order of time: every row that is read is answered."""
        time_s, key = since_unix_s, _FIRST
        origin = request.origin or 0
        if request.after is not None:
            origin = request.after.unit
            last = self._entry(request.after.encode())
            if last is not None and last.picture.taken_at is not None:
                time_s, key = max((time_s, key), (last.picture.taken_at, last.picture.id.encode()))
        found: list[bytes] = []
        living = "FROM picture INDEXED BY taken WHERE deleted = 0 AND taken_at IS NOT NULL AND origin"
        while len(found) < request.limit:
            select = f"SELECT taken_at, id {living} = ? AND (taken_at, id) > (?, ?) ORDER BY taken_at, id LIMIT ?"
            rows_found = self._database.all(select, origin, time_s, key, request.limit - len(found))
            found += [k for _, k in self._database.made(_rising, (time_s, key), rows_found)]
            time_s, key = since_unix_s, _FIRST
            following = self._database.one(f"SELECT min(origin) {living} > ?", origin)
            if request.origin is not None or following is None or following[0] is None:
                break
            (origin,) = self._database.made(_rising, origin, [following[0]])
        return self._entries(found)

    def counts(self, request: Counts) -> Counted:
        """Numbers for status."""
        own = lacking = urgent = exposed = 0
        wanted = (request.copies, request.priority_copies)
        for priority, verified, number, _ in self._own_sums():
            own += number
            lacking += number if verified < wanted[priority] else 0
            urgent += number if priority and verified < wanted[priority] else 0
            exposed += number if not verified else 0
        unsure = "SELECT count(*) FROM picture INDEXED BY unrecorded WHERE own = 1 AND recorded = 0 AND deleted = 1"
        ((tombstones,), (orders,)) = self._database.all(f"{unsure} UNION ALL SELECT count(*) FROM delete_order")
        unproved = self._count_away(copies=1, priority_copies=1)
        away = self._count_away(copies=request.copies, priority_copies=request.priority_copies)
        oldest = min(self._oldest(1, 0, 0, 1, -1) + self._oldest(0, 0, 0, 1, -1), default=None)
        entry = None if oldest is None else self._entry(oldest[1])
        return Counted(
            own,
            self._held_sums()[0],
            lacking + away,
            deletes_pending=tombstones + orders,
            urgent=urgent,
            away=away,
            exposed=exposed,
            one_holder=self._count_away(copies=2, priority_copies=2) - unproved,
            unproved=unproved,
            oldest=None if entry is None else entry.picture,
            oldest_since_s=None if oldest is None else exposure.since_s(self._database, oldest[1]),
            suspect=self._database.all("SELECT count(*) FROM copy INDEXED BY copy_suspect WHERE suspect = 1")[0][0],
            covered_s=exposure.covered_s(self._database),
        )

    def _count_away(self, *, copies: int, priority_copies: int) -> int:
        """Own pictures whose file is gone that have fewer verified copies."""
        select = (
            "SELECT count(*) FROM picture INDEXED BY own_away "
            "WHERE own = 1 AND deleted = 0 AND file = 0 AND priority = ? AND verified < ?"
        )
        wanted = ((0, copies), (1, priority_copies))
        return sum(int(self._database.all(select, *values)[0][0]) for values in wanted)

    def own_bytes(self, copies: int, priority_copies: int) -> tuple[int, int]:
        """Bytes of own files here, and of those of them with enough verified copies."""
        sums = [(s, v >= (priority_copies if p else copies)) for p, v, _, s in self._own_sums()]
        return sum(size for size, _ in sums), sum(size for size, enough in sums if enough)

    def held_bytes(self) -> int:
        """Bytes of the files held for others."""
        return self._held_sums()[1]

    def largest_bytes(self) -> int:
        """Of the latest own pictures, 0 if there is none."""
        low, high = _range(self.unit, None)
        card = self._database.counter("card", 0)
        newest = "SELECT size_bytes FROM picture WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT ?"
        sizes = self._database.all(newest, PictureId(self.unit, card, 0).encode(), high, LATEST_OWN)
        return max((size for (size,) in sizes or self._database.all(newest, low, high, LATEST_OWN)), default=0)

    def highest_sequence(self, card: int) -> int:
        """Of the own pictures of this card number, 0 if there is none."""
        low, high = PictureId(self.unit, card, 0).encode(), PictureId(self.unit, card, MAX_SEQUENCE).encode()
        row = self._database.one("SELECT max(id) FROM picture WHERE id >= ? AND id <= ?", low, high)
        return self._database.made(PictureId.decode, row[0]).sequence if row and row[0] else 0

    def _own_sums(self) -> list[rows.Row]:
        select = f"SELECT priority, verified, count(*), sum(size_bytes) {_OWN_HERE} GROUP BY priority, verified"
        return self._database.all(select)

    def held_by(self) -> tuple[tuple[int, int], ...]:
        """Owners, ascending, and bytes of the files held for each."""
        select = (
            "SELECT substr(id, 1, 2), sum(size_bytes) FROM picture INDEXED BY held "
            "WHERE attempt IS NOT NULL AND file > 0 GROUP BY 1 ORDER BY 1"
        )
        return tuple((int.from_bytes(owner), int(size_bytes)) for owner, size_bytes in self._database.all(select))

    def _held_sums(self) -> tuple[int, int]:
        select = "SELECT count(*), sum(size_bytes) FROM picture INDEXED BY held WHERE attempt IS NOT NULL AND file > 0"
        ((number, size_bytes),) = self._database.all(select)
        return number, size_bytes or 0

    # ------------------------------------------------------------ rows to entries

    def _in_order(self, where: str, origin: int | None, after: PictureId | None, limit: int) -> list[Entry]:
        """Entries of an index in the order of their ids."""
        low, high = _range(origin, after)
        select = f"SELECT id FROM picture {where} AND id > ? AND id <= ? ORDER BY id LIMIT ?"
        keys = [key for (key,) in self._database.all(select, low, high, limit)]
        return self._entries(self._database.made(_rising, low, keys))

    def _entries(self, keys: Iterable[bytes]) -> list[Entry]:
        return [entry for entry in map(self._entry, keys) if entry is not None]

    def _entry(self, key: bytes) -> Entry | None:
        row = self._database.one(rows.SELECT_PICTURE, key)
        if row is None:
            return None
        copies = self._database.all(rows.SELECT_COPIES, key) if self.is_own(int.from_bytes(key[:2])) else []
        return self._database.made(rows.entry_of, key, row, copies)
