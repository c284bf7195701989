"""The catalogue's SQLite file: how it is opened, its tables in numbered steps, and its errors in our words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from hal.errors import CardError, CardFull, CardReadOnly

BUSY_TIMEOUT_MS = 5000  # another process may hold the file for the time of a command; guess
CACHE_KB = 2000  # pages in memory; SQLite's default, said here because the unit's memory must not grow
WAL_PAGES = 500  # the WAL is copied back at this length, 2 MB: bounds what a start reads; guess, half of the default
DAMAGE_MARK = ".damaged"  # file beside the catalogue: damage was found while running, so the next start rebuilds


class CatalogueDamaged(CardError):
    """The catalogue file is not a sound database; the unit restarts and rebuilds it from the card's files."""


# Steps are never changed once released: a change of the schema is one more step. A file's user_version is the number
# of steps it has seen. Ids are 8-byte BLOBs (they sort as ids do); 64-bit numbers are kept as signed ones.
# nth counts the pictures that this catalogue came to know: "oldest first". own, verified, doubt and owed follow from
# the entry and are kept for the partial indexes, so that no request reads more rows than it answers with.
STEPS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE picture (
        id BLOB PRIMARY KEY CHECK (length(id) = 8),
        nth INTEGER NOT NULL,
        own INTEGER NOT NULL, origin INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL, sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        priority INTEGER NOT NULL, taken_at REAL, taken_quality INTEGER NOT NULL,
        file INTEGER NOT NULL, attempt INTEGER, kept INTEGER NOT NULL,
        version INTEGER NOT NULL, deleted INTEGER NOT NULL,
        verified INTEGER NOT NULL, doubt INTEGER NOT NULL, owed INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX own_here ON picture (priority, verified, nth, size_bytes) WHERE own = 1 AND deleted = 0 AND file > 0;
    CREATE INDEX doubt ON picture (id) WHERE doubt = 1;
    CREATE INDEX owed ON picture (id) WHERE owed = 1;
    CREATE INDEX held ON picture (id, file, size_bytes) WHERE attempt IS NOT NULL;
    CREATE INDEX unkept ON picture (id) WHERE attempt IS NOT NULL AND kept = 0;
    CREATE INDEX unchecked ON picture (nth) WHERE file = 1;
    CREATE INDEX here ON picture (id) WHERE file > 0;
    CREATE INDEX living ON picture (id) WHERE deleted = 0;
    CREATE INDEX taken ON picture (origin, taken_at, id) WHERE deleted = 0 AND taken_at IS NOT NULL;
    CREATE TABLE copy (
        id BLOB NOT NULL, unit INTEGER NOT NULL,
        open INTEGER NOT NULL, listed INTEGER NOT NULL, suspect INTEGER NOT NULL, owed INTEGER NOT NULL,
        proof BLOB NOT NULL, verified_at REAL, verified_boot INTEGER NOT NULL, verified_monotonic REAL NOT NULL,
        PRIMARY KEY (id, unit)
    ) WITHOUT ROWID;
    CREATE TABLE partial (
        id BLOB PRIMARY KEY, attempt INTEGER NOT NULL, sha256 BLOB NOT NULL,
        synced_bytes INTEGER NOT NULL, size_bytes INTEGER NOT NULL, kept_since REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE delete_order (id BLOB PRIMARY KEY, sha256 BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE decision (
        id BLOB NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, inputs TEXT NOT NULL,
        PRIMARY KEY (id, number)
    ) WITHOUT ROWID;
    CREATE TABLE name (unit INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE inventoried (unit INTEGER PRIMARY KEY);
    """,
)
_TABLES = frozenset({"meta", "picture", "copy", "partial", "delete_order", "decision", "name", "inventoried"})

_KINDS: dict[int, type[CardError]] = {
    sqlite3.SQLITE_CORRUPT: CatalogueDamaged,
    sqlite3.SQLITE_NOTADB: CatalogueDamaged,
    sqlite3.SQLITE_FULL: CardFull,
    sqlite3.SQLITE_READONLY: CardReadOnly,
    sqlite3.SQLITE_IOERR: CardError,
    sqlite3.SQLITE_CANTOPEN: CardError,
    sqlite3.SQLITE_PERM: CardError,
    sqlite3.SQLITE_AUTH: CardError,
    sqlite3.SQLITE_BUSY: CardError,
    sqlite3.SQLITE_LOCKED: CardError,
    sqlite3.SQLITE_PROTOCOL: CardError,
}


@contextlib.contextmanager
def in_words(path: str) -> Iterator[None]:
    """Turn SQLite's errors into CardError and its kinds; leave a mark for the next start where the file is damaged.

    What only a bug of ours can cause (wrong SQL, broken constraints) passes through.
    """
    try:
        yield
    except sqlite3.Error as error:
        kind = _KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if kind is None:
            raise
        if kind is CatalogueDamaged:
            mark_damaged(path)
        raise kind(f"the catalogue {path} cannot be used: {error}", can=_ADVICE[kind]) from error


_ADVICE: dict[type[CardError], str] = {
    CatalogueDamaged: "the next start of the unit rebuilds it from the pictures on the card",
    CardFull: "make room on the card",
    CardReadOnly: "look at the kernel log, then replace the card",
    CardError: "look whether another process uses it, and at the kernel log; the card may be worn out",
}


def mark_damaged(path: str) -> None:
    """Best effort: without the mark, the check at the next start has to find the damage itself."""
    if path != ":memory:":
        with contextlib.suppress(OSError):
            Path(path + DAMAGE_MARK).touch(mode=0o600)


def connect(path: str) -> sqlite3.Connection:
    """Open for writing, with all steps done. Raises CatalogueDamaged, or CardError.

    WAL needs memory shared between processes; where the file system cannot map any (some FUSE ones), the file is
    held for this connection alone instead.
    """
    with in_words(path):
        try:
            return _connected(path, "NORMAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
                raise
        return _connected(path, "EXCLUSIVE")


def _connected(path: str, locking: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"PRAGMA locking_mode = {locking}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        assert_pragmas(connection, path)
        _do_steps(connection, path)
    except (sqlite3.Error, CardError):
        connection.close()
        raise
    return connection


def connect_read_only(path: str) -> sqlite3.Connection:
    """Open for commands while nobody runs; changes no row. Raises CardError where there is no catalogue."""
    with in_words(path):
        try:
            return _connected_read_only(path, "ro", "NORMAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
                raise
        return _connected_read_only(path, "rw", "EXCLUSIVE")  # SQLite locks a file for one only if it may write


def _connected_read_only(path: str, mode: str, locking: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode={mode}", isolation_level=None, check_same_thread=False, uri=True
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"PRAGMA locking_mode = {locking}")
        connection.execute("PRAGMA query_only = ON")
        assert_schema(connection, path)
    except (sqlite3.Error, CardError):
        connection.close()
        raise
    return connection


def assert_pragmas(connection: sqlite3.Connection, path: str) -> None:
    """WAL with synchronous=NORMAL loses the last commits in a power cut: what SQLite says must be what we asked."""
    wanted = {"journal_mode": "memory" if path == ":memory:" else "wal", "synchronous": 2}
    for pragma, value in wanted.items():
        found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if found != value:
            raise CardError(f"the catalogue {path} has {pragma} {found} where {value} is needed for power cuts")


def assert_schema(connection: sqlite3.Connection, path: str) -> None:
    """All tables of the newest step are there."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(STEPS):
        can = "install the newer software again; or remove the catalogue, it is rebuilt from the pictures"
        raise CardError(f"the catalogue {path} has schema {version}, this software knows {len(STEPS)}", can=can)
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version < len(STEPS) or not found >= _TABLES:
        raise CatalogueDamaged(f"{path} is a database, but not a whole catalogue", can=_ADVICE[CatalogueDamaged])


def _do_steps(connection: sqlite3.Connection, path: str) -> None:
    """Bring the schema up, each step in a transaction of its own that also counts it."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number in range(version, len(STEPS)):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {STEPS[number]}; PRAGMA user_version = {number + 1}; COMMIT;")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise CatalogueDamaged(f"{path} has other tables than a catalogue: {error}") from error
    assert_schema(connection, path)
