"""The catalogue of a unit that acts for one that is gone for good: whose pictures are own ones (HANDOVER R10)."""

from __future__ import annotations

from collections.abc import Iterator

from firmware import catalogue_rows as rows
from firmware.catalogue_pictures import Pictures
from firmware.pictures import MAX_SEQUENCE, UNKNOWN_ATTEMPT, Copy, Entry, File, PictureId

PAGE = 200  # rows in memory at once
LEAST_ATTEMPT = 1  # every copy has this number or a higher one, whoever gave it (I2)


class ActsFor(Pictures):
    """What changes when the roster says so; at a start, while nothing else uses the catalogue."""

    def act_for(self, origins: frozenset[int]) -> None:
        """From now on the pictures that these units took are own ones, beside those that this unit takes; all in one
        transaction. Every unit is asked anew what it holds and keeps, since it may do so for these."""
        before, change = self.acts_for, self._database.change
        if origins == before:
            return
        self.acts_for = origins
        try:
            with self._database.transaction():
                for origin in sorted(origins ^ before):
                    for entry in self._entries_of(origin):
                        self._forget(entry.picture.id)
                        turned = as_own(entry, self.unit) if origin in origins else as_others(entry)
                        self._save_entry(turned, None)
                for table in ("acts_for", "inventoried", "recollected"):
                    change(f"DELETE FROM {table}")
                for origin in sorted(origins):
                    change("INSERT INTO acts_for VALUES (?)", origin)
        finally:
            del self.acts_for  # read anew: what is committed counts

    def _entries_of(self, origin: int) -> Iterator[Entry]:
        """With all that is known of their copies; rows may change behind it."""
        key, last = PictureId(origin, 0, 0).encode(), PictureId(origin, 0xFFFF, MAX_SEQUENCE).encode()
        select = "SELECT id FROM picture WHERE id >= ? AND id <= ? AND id <> ? ORDER BY id LIMIT ?"
        passed = b""
        while found := self._database.all(select, key, last, passed, PAGE):
            for (key,) in found:
                row = self._database.one(rows.SELECT_PICTURE, key)
                yield self._database.made(rows.entry_of, key, row, self._database.all(rows.SELECT_COPIES, key))
            passed = key


def as_own(entry: Entry, unit: int) -> Entry:
    """Of a picture that was another unit's. What is held here is the own file; copies that the record names are in
    doubt until their holders say more (R4). A tombstone that is kept here came from whoever decided, and stays."""
    holders = sorted({*entry.named} - {unit})
    doubted = tuple(Copy(holder, listed=LEAST_ATTEMPT, suspect=True, doubted=True) for holder in holders)
    copies = tuple(Copy(holder, owed=True) for holder in holders) if entry.deleted else doubted
    return Entry(entry.picture, entry.file, version=entry.version + 1, deleted=entry.deleted, copies=copies)


def as_others(entry: Entry) -> Entry:
    """Of a picture about which another unit decides from now on: a file here is held for that one, which has to ask for
    it under a number of its own; what the list said is a record."""
    attempt = None if entry.file is File.GONE else UNKNOWN_ATTEMPT
    listed = sorted(entry.listed, key=lambda copy: (copy.suspect, copy.unit))
    named = tuple(copy.unit for copy in (entry.copies if entry.deleted else listed))
    doubted = 0 if entry.deleted else sum(copy.suspect for copy in listed)
    picture, version = entry.picture, max(1, entry.version)
    return Entry(picture, entry.file, attempt, version=version, deleted=entry.deleted, named=named, doubted=doubted)
