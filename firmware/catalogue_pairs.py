"""Pairs of nonce and keyed digest for audits without own file, in the catalogue (HANDOVER R9)."""

from __future__ import annotations

from firmware import catalogue_rows as rows
from firmware.catalogue_database import Database
from firmware.events import DuePairs, FirstPair, Pair, SavePairs, UsePair
from firmware.pictures import Entry, File

_PAIR = "SELECT id, unit, due_s, nonce, digest FROM pair"


def fit(database: Database, key: bytes, entry: Entry) -> None:
    """Within a transaction: while its file is gone, and only then, each holder of a picture has a pair; where none was
    made, an empty one that is due at once."""
    if entry.deleted or entry.file is not File.GONE:
        database.change("DELETE FROM pair WHERE id = ?", key)
        return
    listed = {copy.unit for copy in entry.listed}
    have = {unit for (unit,) in database.all("SELECT DISTINCT unit FROM pair WHERE id = ?", key)}
    for unit in have - listed:
        database.change("DELETE FROM pair WHERE id = ? AND unit = ?", key, unit)
    for unit in listed - have:
        _insert(database, Pair(entry.picture.id, unit, 0))


def _insert(database: Database, pair: Pair) -> None:
    values = (pair.picture.encode(), pair.unit, pair.due_s, pair.nonce, pair.digest)
    database.change("INSERT INTO pair VALUES (?, ?, ?, ?, ?)", *values)


class Pairs:
    """The requests about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save_pairs(self, request: SavePairs) -> None:
        """New ones in place of what there was for the same pictures and units."""
        with self._database.transaction():
            for picture, unit in dict.fromkeys((pair.picture, pair.unit) for pair in request.pairs):
                self._database.change("DELETE FROM pair WHERE id = ? AND unit = ?", picture.encode(), unit)
            for pair in request.pairs:
                _insert(self._database, pair)

    def due_pairs(self, request: DuePairs) -> tuple[Pair, ...]:
        """Those for a unit that are due, the one due longest first."""
        where = "INDEXED BY pair_due WHERE unit = ? AND due_s <= ? ORDER BY due_s, id LIMIT ?"
        return self._pairs(where, request.unit, request.age_s, request.limit)

    def first_pair(self, request: FirstPair) -> Pair | None:
        """The next one of a picture for a unit."""
        where = "WHERE id = ? AND unit = ? ORDER BY due_s LIMIT 1"
        return next(iter(self._pairs(where, request.picture.encode(), request.unit)), None)

    def _pairs(self, where: str, *values: object) -> tuple[Pair, ...]:
        return tuple(self._database.made(rows.pair_of, row) for row in self._database.all(f"{_PAIR} {where}", *values))

    def use_pair(self, request: UsePair) -> None:
        """It is gone."""
        pair = request.pair
        with self._database.transaction():
            where = "DELETE FROM pair WHERE id = ? AND unit = ? AND due_s = ?"
            self._database.change(where, pair.picture.encode(), pair.unit, pair.due_s)
