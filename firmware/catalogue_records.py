"""The catalogue's records: which units keep those of own pictures, and those of others' pictures that are kept here."""

from __future__ import annotations

from firmware import catalogue_rows as rows
from firmware.catalogue_pictures import Pictures
from firmware.events import (
    KeptRecords,
    RecordCount,
    SaveRecollected,
    SaveRecorded,
    StaleRecords,
    ThinRecords,
    Unkept,
    Unrecorded,
)
from firmware.pictures import Entry, PictureId

_UNRECORDED = "INDEXED BY unrecorded WHERE own = 1 AND recorded = 0"
_KNOWN = "FROM picture INDEXED BY known WHERE own = 0 AND attempt IS NULL AND deleted"
_FORGET = (
    "UPDATE picture SET recorded = 0 WHERE id IN (SELECT id FROM kept WHERE unit = ?1 AND newest = 1) "
    "AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.id = picture.id AND unit <> ?1 AND newest = 1)"
)


class Records(Pictures):
    """The requests about records, beside those about pictures."""

    def unrecorded(self, request: Unrecorded) -> list[Unkept]:
        """Own records whose newest version nobody else keeps."""
        where = f"{_UNRECORDED} AND deleted = {int(request.deleted)}"
        return [
            Unkept(entry, self._keepers_of(entry.picture.id))
            for entry in self._in_order(where, None, request.after, request.limit)
        ]

    def _keepers_of(self, picture: PictureId) -> tuple[int, ...]:
        found = self._database.all("SELECT unit FROM kept WHERE id = ? ORDER BY unit", picture.encode())
        return tuple(unit for (unit,) in found)

    def stale_records(self, request: StaleRecords) -> dict[int, list[Entry]]:
        """Own records of which those units keep an older version."""
        select = "SELECT id FROM kept INDEXED BY kept_at WHERE unit = ? AND newest = 0 ORDER BY id LIMIT ?"
        keys = {unit: self._database.all(select, unit, request.limit) for unit in request.units}
        return {unit: self._entries(key for (key,) in found) for unit, found in keys.items() if found}

    def save_recorded(self, request: SaveRecorded) -> None:
        """What the unit has confirmed; under another card number it has lost all that it kept before."""
        change = self._database.change
        with self._database.transaction():
            if not self._database.all("SELECT 1 FROM keeper WHERE unit = ? AND card = ?", request.unit, request.card):
                change(_FORGET, request.unit)
                change("DELETE FROM kept WHERE unit = ?", request.unit)
                change("INSERT OR REPLACE INTO keeper VALUES (?, ?)", request.unit, request.card)
            for picture, version in request.versions:
                key, number = picture.encode(), rows.signed(version)
                newest = change("UPDATE picture SET recorded = 1 WHERE id = ? AND own = 1 AND version = ?", key, number)
                change("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", key, request.unit, newest)

    def keepers(self) -> dict[int, int]:
        """Card numbers under which units confirmed the last record of ours, by unit."""
        return dict(self._database.all("SELECT unit, card FROM keeper ORDER BY unit"))

    def kept_records(self, request: KeptRecords) -> list[Entry]:
        """What is known here of another unit's pictures by its own word."""
        return self._in_order(
            "INDEXED BY record WHERE own = 0 AND version <> 0", request.owner, request.after, request.limit
        )

    def thin_records(self, request: ThinRecords) -> RecordCount:
        """The oldest living records go, of the origins that have the most; tombstones never."""
        with self._database.transaction():
            found = self._database.all(f"SELECT count(*), origin {_KNOWN} = 0 GROUP BY origin")
            records = sum(number for number, _ in found)
            for number, origin in sorted(found, reverse=True):
                excess = max(number - request.most_per_origin, min(number, records - request.most))
                if excess > 0:
                    oldest = f"SELECT id {_KNOWN} = 0 AND origin = ? ORDER BY nth LIMIT ?"
                    self._database.change(f"DELETE FROM picture WHERE id IN ({oldest})", origin, excess)
                    records -= excess
        ((tombstones,),) = self._database.all(f"SELECT count(*) {_KNOWN} = 1")
        return RecordCount(records, tombstones)

    def save_recollected(self, request: SaveRecollected) -> None:
        """All that the unit keeps of our records has been taken in."""
        with self._database.transaction():
            self._database.change("INSERT OR REPLACE INTO recollected VALUES (?)", request.unit)

    def recollected(self) -> frozenset[int]:
        """Units whose records of ours have been taken in since the catalogue was made."""
        return frozenset(unit for (unit,) in self._database.all("SELECT unit FROM recollected"))
