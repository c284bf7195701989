"""The catalogue's questions for upkeep: what is audited, scrubbed, let go or repaired next; operating time."""

from __future__ import annotations

from firmware import catalogue_exposure as exposure
from firmware.catalogue_pictures import MAX_VERIFIED, Pictures
from firmware.catalogue_rows import seconds_of
from firmware.events import Away, Doubted, DrawnAt, ListedAt, NextFile, OldestHeld, SaveCalendar
from firmware.pictures import Entry, PictureId

UNKEPT_MAX_S = 2 * 3600
"""Operating time is kept each hour at least (firmware/operating_time.py): a row that says more is damaged."""
MAX_HEARD = 1024  # units; those heard longest ago are forgotten
_AT = "SELECT id FROM copy INDEXED BY copy_at WHERE listed <> 0 AND suspect = 0 AND unit = ?"
_AWAY = "FROM picture INDEXED BY own_away WHERE own = 1 AND deleted = 0 AND file = 0 AND priority = ?"


class Upkeep(Pictures):
    """Questions that come now and then, page by page, each answered from an index."""

    def oldest_held(self, request: OldestHeld) -> list[Entry]:
        """Held longest, first."""
        where = "INDEXED BY held_oldest WHERE attempt IS NOT NULL AND kept = 1 AND file = 2 AND nth > ?"
        select = f"SELECT id FROM picture {where} ORDER BY nth LIMIT ?"
        return self._entries(key for (key,) in self._database.all(select, self._nth(request.after), request.limit))

    def away(self, request: Away) -> list[Entry]:
        """Only elsewhere, and at too few units."""
        skip = {picture.encode() for picture in request.skip}
        found: list[bytes] = []
        for priority, wanted in ((1, request.priority_copies), (0, request.copies)):
            for verified in range(1, min(wanted, MAX_VERIFIED)):
                select = f"SELECT id {_AWAY} AND verified = ? ORDER BY nth LIMIT ?"
                keys = self._database.all(select, priority, verified, request.limit + len(skip))
                found += [key for (key,) in keys if key not in skip]
        return self._entries(found[: request.limit])

    def listed_at(self, request: ListedAt) -> list[Entry]:
        """Of one holder."""
        keys = self._database.all(f"{_AT} LIMIT ?", request.unit, request.limit)
        return self._entries(key for (key,) in keys)

    def drawn_at(self, request: DrawnAt) -> list[PictureId]:
        """Of one holder, with the file here or without, by chance."""
        unit, here = request.unit, int(request.here)
        above = f"{_AT} AND here = ? AND draw >= ? ORDER BY draw, id LIMIT ?"
        below = f"{_AT} AND here = ? AND draw < ? ORDER BY draw, id LIMIT ?"
        keys = self._database.all(above, unit, here, request.start, request.limit)
        if len(keys) < request.limit:
            keys += self._database.all(below, unit, here, request.start, request.limit - len(keys))
        return [self._database.made(PictureId.decode, key) for (key,) in keys]

    def doubted(self, request: Doubted) -> list[Entry]:
        """Holders that have been suspect."""
        after = b"" if request.after is None else request.after.encode()
        select = "SELECT DISTINCT id FROM copy INDEXED BY copy_doubted WHERE doubted = 1 AND id > ? ORDER BY id LIMIT ?"
        return self._entries(key for (key,) in self._database.all(select, after, request.limit))

    def next_file(self, request: NextFile) -> Entry | None:
        """In the order of ids."""
        after = b"" if request.after is None else request.after.encode()
        select = "SELECT id FROM picture INDEXED BY here WHERE file > 0 AND id > ? ORDER BY id LIMIT 1"
        row = self._database.one(select, after)
        return None if row is None else self._entry(row[0])

    # ------------------------------------------------------------ operating time

    def save_calendar(self, request: SaveCalendar) -> None:
        """All in one transaction."""
        with self._database.transaction():
            for key, value in request.counters:
                self._database.set(key, value)
            for unit, age_s in request.heard:
                self._database.change("INSERT OR REPLACE INTO heard VALUES (?, ?)", unit, age_s)
            if request.heard:
                oldest = "SELECT unit FROM heard ORDER BY age_s DESC, unit LIMIT -1 OFFSET ?"
                self._database.change(f"DELETE FROM heard WHERE unit IN ({oldest})", MAX_HEARD)

    def take_up_time(self) -> int:
        """At the start: operating time as it was kept, or at the shutter of the latest picture that is without a copy,
        where that was later. What ran in between counts for no unit's silence: when it was heard then was not kept."""
        kept_s = self._database.counter("age", 0)
        age_s = max(kept_s, exposure.newest_since_s(self._database, at_most_s=kept_s + UNKEPT_MAX_S))
        if age_s > kept_s:
            with self._database.transaction():
                self._database.set("age", age_s)
                self._database.change("UPDATE heard SET age_s = age_s + ?", age_s - kept_s)
        return age_s

    def heard(self, age_s: int) -> tuple[tuple[int, int], ...]:
        """Units, and operating time when each was last heard; holders of which nothing is known: age_s."""
        heard = {
            unit: self._database.made(seconds_of, at_s)
            for unit, at_s in self._database.all("SELECT unit, age_s FROM heard ORDER BY unit")
        }
        for unit in self._holders():
            heard.setdefault(unit, age_s)
        return tuple(sorted(heard.items()))

    def _holders(self) -> list[int]:
        """Units with copies that are not suspect: one step of the index for each."""
        found: list[int] = []
        select = "SELECT min(unit) FROM copy INDEXED BY copy_at WHERE listed <> 0 AND suspect = 0 AND unit > ?"
        unit = -1
        while True:
            row = self._database.one(select, unit)
            if row is None or row[0] is None or row[0] <= unit:
                return found
            unit = int(row[0])
            found.append(unit)

    def scrub_after(self) -> PictureId | None:
        """The last file that was read again; None: from the first on."""
        number = self._database.counter("scrub_after", 0)
        return PictureId.decode(number.to_bytes(8)) if number else None
