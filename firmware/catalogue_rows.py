"""Entries as rows of the tables picture and copy, and back."""

from __future__ import annotations

import hashlib
from typing import Any

from firmware.events import Pair, Partial
from firmware.pictures import MAX_SEQUENCE, MAX_UNIT, NONCE_BYTES, Copy, Entry, File, Picture, PictureId
from hal.interfaces import TimeQuality

Row = tuple[Any, ...]  # what sqlite3 gives

_WRAP = 1 << 64  # SQLite's integers are signed; attempts and versions are unsigned 64 bit
_HALF = 1 << 63
_MAX_BYTES = 0xFFFF_FFFF  # a length on the wire

# Least and most of each counter. The boot number must go up by one once more.
_COUNTERS = {
    "unit": (1, MAX_UNIT),
    "card": (1, 0xFFFF),
    "boot": (1, 0xFFFF_FFFE),
    "sequence": (0, MAX_SEQUENCE),
    "next_attempt": (1, _WRAP - 1),
    "nth": (0, _HALF - 1),
    "age": (0, _HALF - 1),
    "scrub_due": (0, _HALF - 1),
    "scrub_after": (0, _WRAP - 1),
    "surplus_due": (0, _HALF - 1),
    "bad_starts": (0, _HALF - 1),
    "complete": (0, 1),
    "fresh": (0, 1),
}

# The first never change for one id, so an update leaves them and their indexes; the last follow from the others.
_FIXED = "id, own, origin, nth"
_SAID = (
    "size_bytes, sha256, priority, taken_at, taken_quality, file, attempt, kept, version, deleted, named, doubted, tag"
)
_DERIVED = "verified, doubt, owed"
_COPY = "unit, open, listed, suspect, owed, doubted, proof, verified_at, verified_boot, verified_monotonic"
_COPY_DERIVED = "here, draw"
_TAG_BYTES = 16  # of a tombstone


def _marks(columns: str) -> str:
    return ", ".join("?" for _ in columns.split(","))


SELECT_PICTURE = f"SELECT {_SAID} FROM picture WHERE id = ?"
SELECT_COPIES = f"SELECT {_COPY} FROM copy WHERE id = ? ORDER BY unit"
UPDATE_PICTURE = f"UPDATE picture SET ({_SAID}, {_DERIVED}) = ({_marks(_SAID)}, {_marks(_DERIVED)}) WHERE id = ?"
INSERT_PICTURE = (
    f"INSERT INTO picture ({_FIXED}, {_SAID}, {_DERIVED}, recorded) "
    f"VALUES ({_marks(_FIXED)}, {_marks(_SAID)}, {_marks(_DERIVED)}, 0)"
)
INSERT_COPY = f"INSERT INTO copy (id, {_COPY}, {_COPY_DERIVED}) VALUES (?, {_marks(_COPY)}, {_marks(_COPY_DERIVED)})"


def signed(number: int) -> int:
    """An unsigned 64-bit number as SQLite can keep it; order is not kept."""
    assert 0 <= number < _WRAP
    return number - _WRAP if number >= _HALF else number


def unsigned(number: int) -> int:
    """Back from signed()."""
    return number % _WRAP


def counter_of(key: str, value: object) -> int:
    """A counter from its row. This and all below that make ours of rows raise ValueError where a value cannot be."""
    least, most = _COUNTERS[key]
    return _whole(unsigned(_whole(value, -_HALF, _HALF - 1)), least, most)


def _whole(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r} where {least} to {most} is allowed")
    return value


def _flag(value: object) -> bool:
    return bool(_whole(value, 0, 1))


def _number(value: object) -> int:
    """An attempt or a version."""
    return unsigned(_whole(value, -_HALF, _HALF - 1))


def _seconds(value: object) -> float:
    if type(value) is not float:
        raise ValueError(f"{value!r} where seconds belong")
    return value


def digest_of(value: object) -> bytes:
    """A sha256."""
    if type(value) is not bytes or len(value) != 32:
        raise ValueError(f"{value!r} where a digest belongs")
    return value


def row_of(entry: Entry, *, own: bool) -> Row:
    """Values for UPDATE_PICTURE, and for INSERT_PICTURE after the fixed ones; own: this unit is the origin."""
    picture = entry.picture
    assert own or not entry.copies, "only the origin knows copies"
    assert not own or not entry.named, "the origin has a list of its own"
    assert not own or entry.attempt is None, "an own picture is not held"
    no_copy = entry.file is File.GONE and not entry.listed
    doubt = own and not entry.deleted and (no_copy or any(c.open or c.suspect for c in entry.copies))
    owed = own and any(c.owed for c in entry.copies)
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
        b"".join(unit.to_bytes(2, "big") for unit in entry.named),
        entry.doubted,
        entry.tag,
        len(entry.verified),
        doubt,
        owed,
    )


def draw_of(key: bytes, unit: int) -> int:
    """A number of 32 bits that orders the copies at a unit by chance: audits go on from a point drawn at random."""
    return int.from_bytes(hashlib.blake2b(key + unit.to_bytes(2), digest_size=4).digest())


def copy_row_of(key: bytes, copy: Copy, *, here: bool) -> Row:
    """Values for INSERT_COPY; here: the own file is on the card."""
    return (
        key,
        copy.unit,
        signed(copy.open),
        signed(copy.listed),
        copy.suspect,
        copy.owed,
        copy.doubted,
        copy.proof,
        copy.verified_at,
        copy.verified_boot,
        copy.verified_monotonic,
        here,
        draw_of(key, copy.unit),
    )


def entry_of(key: bytes, row: Row, copies: list[Row]) -> Entry:
    """From what SELECT_PICTURE and SELECT_COPIES gave."""
    size_bytes, sha256, priority, taken_at, quality, file, attempt, kept, version, deleted, named, doubted, tag = row
    picture = Picture(
        PictureId.decode(key),
        _whole(size_bytes, 0, _MAX_BYTES),
        digest_of(sha256),
        _flag(priority),
        None if taken_at is None else _seconds(taken_at),
        TimeQuality(quality),
    )
    return Entry(
        picture,
        File(file),
        attempt=None if attempt is None else _number(attempt),
        kept=_flag(kept),
        version=_number(version),
        deleted=_flag(deleted),
        copies=tuple(_copy_of(row) for row in copies),
        named=_units(named),
        doubted=_whole(doubted, 0, len(named) // 2),
        tag=_tag(tag),
    )


def _tag(value: object) -> bytes:
    if type(value) is not bytes or len(value) not in (0, _TAG_BYTES):
        raise ValueError(f"{value!r} where a tag belongs")
    return value


def _units(value: object) -> tuple[int, ...]:
    """Two bytes each."""
    if type(value) is not bytes or len(value) % 2:
        raise ValueError(f"{value!r} where units belong")
    return tuple(int.from_bytes(value[at : at + 2], "big") for at in range(0, len(value), 2))


def _copy_of(row: Row) -> Copy:
    unit, opened, listed, suspect, owed, doubted, proof, verified_at, boot, monotonic = row
    if type(proof) is not bytes:
        raise ValueError(f"{proof!r} where a proof belongs")
    return Copy(
        _whole(unit, 0, 0xFFFF),
        open=_number(opened),
        listed=_number(listed),
        suspect=_flag(suspect),
        owed=_flag(owed),
        doubted=_flag(doubted),
        proof=proof,
        verified_at=None if verified_at is None else _seconds(verified_at),
        verified_boot=_whole(boot, 0, 0xFFFF_FFFF),
        verified_monotonic=_seconds(monotonic),
    )


def pair_of(row: Row) -> Pair:
    """From id, unit, due_s, nonce, digest."""
    key, unit, due_s, nonce, digest = row
    if (type(nonce), type(digest)) != (bytes, bytes) or len(nonce) != len(digest) or len(nonce) not in (0, NONCE_BYTES):
        # It is not said what: a holder that knew a nonce could do without the picture.
        raise ValueError("something else where a nonce and its digest belong")
    return Pair(PictureId.decode(key), _whole(unit, 0, 0xFFFF), _whole(due_s, 0, _HALF - 1), nonce, digest)


def seconds_of(value: object) -> int:
    """Whole seconds of operating time."""
    return _whole(value, 0, _HALF - 1)


def partial_of(row: Row) -> Partial:
    """From id, attempt, sha256, synced_bytes, size_bytes, kept_since."""
    key, attempt, sha256, synced_bytes, size_bytes, kept_since = row
    return Partial(
        PictureId.decode(key),
        _number(attempt),
        digest_of(sha256),
        _whole(synced_bytes, 0, _MAX_BYTES),
        _whole(size_bytes, 0, _MAX_BYTES),
        _seconds(kept_since),
    )
