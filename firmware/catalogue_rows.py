"""Entries as rows of the tables picture and copy, and back."""

from __future__ import annotations

from typing import Any

from firmware.pictures import Copy, Entry, File, Picture, PictureId
from hal.interfaces import TimeQuality

Row = tuple[Any, ...]  # what sqlite3 gives

_WRAP = 1 << 64  # SQLite's integers are signed; attempts and versions are unsigned 64 bit
_HALF = 1 << 63

# The first never change for one id, so an update leaves them and their indexes; the last follow from the others.
_FIXED = "id, own, origin, nth"
_SAID = "size_bytes, sha256, priority, taken_at, taken_quality, file, attempt, kept, version, deleted"
_DERIVED = "verified, doubt, owed"
_COPY = "unit, open, listed, suspect, owed, proof, verified_at, verified_boot, verified_monotonic"


def _marks(columns: str) -> str:
    return ", ".join("?" for _ in columns.split(","))


SELECT_PICTURE = f"SELECT {_SAID} FROM picture WHERE id = ?"
SELECT_COPIES = f"SELECT {_COPY} FROM copy WHERE id = ? ORDER BY unit"
UPDATE_PICTURE = f"UPDATE picture SET ({_SAID}, {_DERIVED}) = ({_marks(_SAID)}, {_marks(_DERIVED)}) WHERE id = ?"
INSERT_PICTURE = (
    f"INSERT INTO picture ({_FIXED}, {_SAID}, {_DERIVED}) "
    f"VALUES ({_marks(_FIXED)}, {_marks(_SAID)}, {_marks(_DERIVED)})"
)
INSERT_COPY = f"INSERT INTO copy (id, {_COPY}) VALUES (?, {_marks(_COPY)})"


def signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite can keep it; order is not kept."""
    assert 0 <= number < _WRAP
    return number - _WRAP if number >= _HALF else number


def unsigned(number: int) -> int:
    """Back from signed()."""
    return number % _WRAP


def row_of(entry: Entry, *, own: bool) -> Row:
    """Values for UPDATE_PICTURE, and for INSERT_PICTURE after the fixed ones; own: this unit is the origin."""
    picture = entry.picture
    assert own or not entry.copies, "only the origin knows copies"
    assert not own or entry.attempt is None, "an own picture is not held"
    no_copy = entry.file is File.GONE and not entry.listed
    doubt = own and not entry.deleted and (no_copy or any(c.open or c.suspect for c in entry.copies))
    owed = own and entry.deleted and any(c.owed for c in entry.copies)
    return (
        picture.size_bytes,
        picture.sha256,
        picture.priority,
        picture.taken_at,
        int(picture.taken_quality),
        int(entry.file),
        None if entry.attempt is None else signed(entry.attempt),
        entry.kept,
        signed(entry.version),
        entry.deleted,
        len(entry.verified),
        doubt,
        owed,
    )


def copy_row_of(key: bytes, copy: Copy) -> Row:
    """Values for INSERT_COPY."""
    return (
        key,
        copy.unit,
        signed(copy.open),
        signed(copy.listed),
        copy.suspect,
        copy.owed,
        copy.proof,
        copy.verified_at,
        copy.verified_boot,
        copy.verified_monotonic,
    )


def entry_of(key: bytes, row: Row, copies: list[Row]) -> Entry:
    """From what SELECT_PICTURE and SELECT_COPIES gave."""
    size_bytes, sha256, priority, taken_at, quality, file, attempt, kept, version, deleted = row
    picture = Picture(PictureId.decode(key), size_bytes, sha256, bool(priority), taken_at, TimeQuality(quality))
    return Entry(
        picture,
        File(file),
        attempt=None if attempt is None else unsigned(attempt),
        kept=bool(kept),
        version=unsigned(version),
        deleted=bool(deleted),
        copies=tuple(_copy_of(row) for row in copies),
    )


def _copy_of(row: Row) -> Copy:
    unit, opened, listed, suspect, owed, proof, verified_at, boot, monotonic = row
    return Copy(
        unit,
        open=unsigned(opened),
        listed=unsigned(listed),
        suspect=bool(suspect),
        owed=bool(owed),
        proof=proof,
        verified_at=verified_at,
        verified_boot=boot,
        verified_monotonic=monotonic,
    )
