"""Records as messages tell them and entries hold them, and how one that is heard is merged (HANDOVER R6). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from firmware import messages as m
from firmware.handover import Said
from firmware.pictures import Entry, File, Picture, PictureId

Row = m.Tombstone | m.Record


def row_of(entry: Entry) -> Row:
    """What is known of a picture, for another unit: from the record that is kept of it; or from the list at its origin,
    which tags its tombstones besides (Core.record_of)."""
    picture = entry.picture
    if entry.deleted:
        owed = tuple(copy.unit for copy in entry.copies if copy.owed) or entry.named
        tag = entry.tag or m.NO_TAG
        return m.Tombstone(picture.id, picture.size_bytes, picture.sha256, owed[: m.MAX_NAMED], tag)
    suspect = [copy.unit for copy in entry.listed if copy.suspect]
    listed = tuple([copy.unit for copy in entry.verified] + suspect)
    named, doubted = (listed, len(suspect)) if listed else (entry.named, entry.doubted)
    told = named[: m.MAX_NAMED]
    return m.Record(picture, entry.version, told, max(0, doubted - (len(named) - len(told))))


def page_of(number: int, rows: Iterable[Row], *, last: bool = True) -> m.Records:
    """The message that tells these; number 0: nobody waits for it."""
    told = list(rows)
    tombstones = tuple(row for row in told if isinstance(row, m.Tombstone))
    return m.Records(number, tombstones, tuple(row for row in told if isinstance(row, m.Record)), last)


def rows_of(page: m.Records) -> tuple[Row, ...]:
    """Its rows in the order of RECORDS_KEPT's bits."""
    return (*page.tombstones, *page.records)


def id_of(row: Row) -> PictureId:
    """Which picture it is about."""
    return row.id if isinstance(row, m.Tombstone) else row.picture.id


def picture_of(row: Row) -> Picture:
    """The picture as the row tells it; a tombstone has no time and no priority."""
    return Picture(row.id, row.size_bytes, row.sha256) if isinstance(row, m.Tombstone) else row.picture


def said_of(record: m.Record) -> Said:
    """What it says but for its version, as handover.said_by tells it of a list."""
    proved = len(record.holders) - record.suspect
    return Said(False, tuple(sorted((unit, number >= proved) for number, unit in enumerate(record.holders))))


def merged(entry: Entry | None, row: Row) -> Entry:
    """What another unit than the origin knows afterwards, the same entry where the row says nothing new.

    Deleted wins over every version, else the higher version. The held file is another matter: only DROP takes it (R1).
    The row must be of the entry's content.
    """
    if isinstance(row, m.Tombstone):
        tag = b"" if row.tag == m.NO_TAG else row.tag
        if entry is not None and entry.deleted:  # by now somebody may act for who said so first, and knows another tag
            return replace(entry, tag=tag) if tag not in (b"", entry.tag) else entry
        known = entry or Entry(picture_of(row), File.GONE)
        version = max(1, known.version)
        return replace(known, deleted=True, version=version, named=row.owed, doubted=0, tag=tag)
    if entry is not None and (entry.deleted or row.version <= entry.version):
        return entry
    known = entry or Entry(row.picture, File.GONE)
    picture = told_better(known.picture, row.picture)
    doubted = min(row.suspect, len(row.holders))
    return replace(known, picture=picture, version=row.version, named=row.holders, doubted=doubted)


def told_better(known: Picture, told: Picture) -> Picture:
    """The picture as told last; a time that is not told any more was not forgotten, its teller found a bare file."""
    if told.taken_at is None:
        return replace(told, taken_at=known.taken_at, taken_quality=known.taken_quality)
    return told


def contradicts(entry: Entry, row: Row) -> bool:
    """Whether the entry says otherwise with at least the same right, so that who told the row should hear of it."""
    if isinstance(row, m.Tombstone) or entry.deleted:
        return entry.deleted and isinstance(row, m.Record)
    said = row_of(entry)
    assert isinstance(said, m.Record)
    return entry.version > row.version or (entry.version == row.version and said_of(said) != said_of(row))
