"""How long own pictures were without a verified copy, in the catalogue (HANDOVER R12), by operating time."""

from __future__ import annotations

from firmware import catalogue_rows as rows
from firmware.catalogue_database import Database
from firmware.pictures import Entry

LATEST = 1000  # pictures that the percentiles are of: a week of one each ten minutes


def begin(database: Database, key: bytes, age_s: int) -> None:
    """Within a transaction: an own picture was taken."""
    database.change("INSERT OR REPLACE INTO exposed VALUES (?, ?)", key, age_s)


def end(database: Database, key: bytes, entry: Entry, age_s: int | None) -> None:
    """Within a transaction: this was saved of an own picture; its first verified copy ends its exposure."""
    if not entry.deleted and not entry.verified:
        return
    since = since_s(database, key)
    if since is None:
        return
    database.change("DELETE FROM exposed WHERE id = ?", key)
    if age_s is not None and not entry.deleted:
        ((last,),) = database.all("SELECT coalesce(max(number), 0) FROM covered")
        database.change("INSERT INTO covered VALUES (?, ?)", last + 1, max(0, age_s - since))
        database.change("DELETE FROM covered WHERE number <= ?", last + 1 - LATEST)


def since_s(database: Database, key: bytes) -> int | None:
    """Operating time at the shutter of a picture that never had a verified copy; None: not known, or it has had one."""
    row = database.one("SELECT since_s FROM exposed WHERE id = ?", key)
    return None if row is None else database.made(rows.seconds_of, row[0])


def newest_since_s(database: Database, *, at_most_s: int) -> int:
    """Operating time at the shutter of the latest picture that is without a copy, of those up to at_most_s; 0 where
    there is none."""
    ((newest,),) = database.all("SELECT coalesce(max(since_s), 0) FROM exposed WHERE since_s <= ?", at_most_s)
    return database.made(rows.seconds_of, newest)


def covered_s(database: Database) -> tuple[int, ...]:
    """How long the latest pictures were exposed, newest last."""
    found = database.all("SELECT seconds FROM covered ORDER BY number")
    return tuple(database.made(rows.seconds_of, seconds) for (seconds,) in found)
