"""The catalogue's small tables: partial rows, delete orders, decisions for `explain`, neighbours' names."""

from __future__ import annotations

import json
from collections.abc import Callable

from firmware import catalogue_rows as rows
from firmware.catalogue_database import Database
from firmware.events import (
    Decisions,
    LookUpPartial,
    Names,
    OldestPartials,
    Orders,
    Partial,
    SaveDecision,
    SaveInventoried,
    SaveName,
    SaveOrder,
    SavePartial,
    SaveRoster,
)
from firmware.pictures import PictureId

MAX_DECISIONS = 20  # kept per picture (events.SaveDecision)
_PARTIAL = "SELECT id, attempt, sha256, synced_bytes, size_bytes, kept_since FROM partial"


class Notes:
    """The requests about what is noted beside the pictures."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        """wall: Unix seconds, for partial rows."""
        self._database = database
        self._wall = wall

    def save_partial(self, request: SavePartial) -> None:
        """The partial row of a .part; 0 synced bytes take it away."""
        key = request.picture.encode()
        with self._database.transaction():
            self._database.change("DELETE FROM partial WHERE id = ?", key)
            if request.synced_bytes:
                attempt = rows.signed(request.attempt)
                values = (key, attempt, request.sha256, request.synced_bytes, request.size_bytes, self._wall())
                self._database.change("INSERT INTO partial VALUES (?, ?, ?, ?, ?, ?)", *values)

    def look_up_partial(self, request: LookUpPartial) -> Partial | None:
        """The partial row of a picture."""
        row = self._database.one(f"{_PARTIAL} WHERE id = ?", request.picture.encode())
        return None if row is None else self._database.made(rows.partial_of, row)

    def oldest_partials(self, request: OldestPartials) -> list[Partial]:
        """Which .part goes first when room is wanted."""
        found = self._database.all(f"{_PARTIAL} ORDER BY kept_since, id LIMIT ?", request.limit)
        return [self._database.made(rows.partial_of, row) for row in found]

    def save_order(self, request: SaveOrder) -> None:
        """A person's order to delete."""
        key = request.picture.encode()
        with self._database.transaction():
            self._database.change("DELETE FROM delete_order WHERE id = ?", key)
            if not request.done:
                self._database.change("INSERT INTO delete_order VALUES (?, ?)", key, request.sha256)

    def orders(self, request: Orders) -> list[tuple[PictureId, bytes]]:
        """Delete orders not yet answered."""
        after = b"" if request.after is None else request.after.encode()
        select = "SELECT id, sha256 FROM delete_order WHERE id > ? ORDER BY id LIMIT ?"
        found = self._database.all(select, after, request.limit)
        return [self._database.made(_order, key, sha256) for key, sha256 in found]

    def save_decision(self, request: SaveDecision) -> None:
        """One more decision; the oldest goes when there are too many."""
        key = request.picture.encode()
        with self._database.transaction():
            ((last,),) = self._database.all("SELECT coalesce(max(number), 0) FROM decision WHERE id = ?", key)
            values = (key, last + 1, request.text, json.dumps(request.inputs))
            self._database.change("INSERT INTO decision VALUES (?, ?, ?, ?)", *values)
            self._database.change("DELETE FROM decision WHERE id = ? AND number <= ?", key, last + 1 - MAX_DECISIONS)

    def decisions(self, request: Decisions) -> list[SaveDecision]:
        """What was decided on a picture."""
        found = self._database.all(
            "SELECT text, inputs FROM decision WHERE id = ? ORDER BY number", request.picture.encode()
        )
        return [self._database.made(_decision, request.picture, *row) for row in found]

    def save_name(self, request: SaveName) -> None:
        """A neighbour's name; the newest one stays."""
        with self._database.transaction():
            self._database.change("INSERT OR REPLACE INTO name VALUES (?, ?)", request.unit, request.name)

    def save_inventoried(self, request: SaveInventoried) -> None:
        """The unit's INVENTORY has been taken in."""
        with self._database.transaction():
            self._database.change("INSERT OR REPLACE INTO inventoried VALUES (?)", request.unit)

    def inventoried(self) -> frozenset[int]:
        """Units whose INVENTORY has been taken in since the catalogue was made."""
        return frozenset(unit for (unit,) in self._database.all("SELECT unit FROM inventoried"))

    def save_roster(self, request: SaveRoster) -> None:
        """In place of the one before."""
        with self._database.transaction():
            self._database.change("DELETE FROM roster")
            self._database.change("INSERT INTO roster VALUES (?, ?)", request.epoch, request.encoded)

    def roster(self) -> bytes:
        """The one that was saved last; empty if there is none."""
        row = self._database.one("SELECT encoded FROM roster")
        return b"" if row is None else bytes(row[0])

    def names(self, _request: Names) -> dict[int, str]:
        """Neighbours' names by unit."""
        return dict(self._database.all("SELECT unit, name FROM name ORDER BY unit"))


def _order(key: bytes, sha256: object) -> tuple[PictureId, bytes]:
    return PictureId.decode(key), rows.digest_of(sha256)


def _decision(picture: PictureId, text: str, inputs: str) -> SaveDecision:
    return SaveDecision(picture, text, json.loads(inputs))
