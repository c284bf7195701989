"""The catalogue's SQLite file: how it is opened, its tables in numbered steps, and its errors in our words."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import struct
from pathlib import Path

from hal.errors import CardError, CardFull, CardReadOnly

BUSY_TIMEOUT_MS = 5000  # another process may hold the file for the time of a command; guess
CACHE_KB = 2000  # pages in memory; SQLite's default, said here because the unit's memory must not grow
WAL_PAGES = 500  # the WAL is copied back at this length, 2 MB: bounds what a start reads; guess, half of the default
_FORMATS = frozenset({1, 2})  # of a database file: rollback journal, WAL (sqlite.org/fileformat2.html §1.3.3)
DAMAGE_MARK = ".damaged"  # file beside the catalogue: damage was found while running, so the next start rebuilds


class CatalogueDamaged(CardError):
    """The catalogue file is not a sound database; the unit restarts and rebuilds it from the card's files."""


# Steps are never changed once released: a change of the schema is one more step, and each step changes the schema. A
# file's user_version is the number of steps it has seen. Ids are 8-byte BLOBs (they sort as ids do); 64-bit numbers are
# kept as signed ones. nth counts the pictures that this catalogue came to know: "oldest first". own, verified, doubt
# and owed follow from the entry and are kept for the partial indexes, so that no request reads more rows than it
# answers with. named: two bytes a unit. acts_for: units gone for good whose pictures are own ones
# too. kept: which units keep a record of an own picture, newest: of its version of
# now; recorded: one of them does. keeper: the card number under which a unit confirmed the last record.
# STRICT and the CHECKs are for integrity_check: they are how it finds a value that a worn card has changed. They allow
# what catalogue_rows can read, and what any peer may send.
STEPS = (
    """
    CREATE TABLE meta (
        key TEXT PRIMARY KEY CHECK (
            key IN ('unit', 'card', 'boot', 'sequence', 'next_attempt', 'nth', 'complete', 'fresh')
            OR key IN ('age', 'scrub_due', 'scrub_after', 'surplus_due', 'bad_starts')
        ),
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE picture (
        id BLOB PRIMARY KEY CHECK (length(id) = 8),
        nth INTEGER NOT NULL,
        own INTEGER NOT NULL CHECK (own IN (0, 1)),
        origin INTEGER NOT NULL CHECK (printf('%04X', origin) = hex(substr(id, 1, 2))),
        size_bytes INTEGER NOT NULL CHECK (size_bytes BETWEEN 0 AND 4294967295),
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        priority INTEGER NOT NULL CHECK (priority IN (0, 1)),
        taken_at REAL, taken_quality INTEGER NOT NULL CHECK (taken_quality BETWEEN 0 AND 2),
        file INTEGER NOT NULL CHECK (file BETWEEN 0 AND 2),
        attempt INTEGER CHECK (attempt IS NULL OR own = 0), kept INTEGER NOT NULL CHECK (kept IN (0, 1)),
        version INTEGER NOT NULL, deleted INTEGER NOT NULL CHECK (deleted IN (0, 1)),
        named BLOB NOT NULL CHECK (length(named) % 2 = 0), doubted INTEGER NOT NULL CHECK (doubted >= 0),
        tag BLOB NOT NULL CHECK (length(tag) IN (0, 16)),
        verified INTEGER NOT NULL, doubt INTEGER NOT NULL, owed INTEGER NOT NULL,
        recorded INTEGER NOT NULL CHECK (recorded IN (0, 1))
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX own_here ON picture (priority, verified, nth, size_bytes) WHERE own = 1 AND deleted = 0 AND file > 0;
    CREATE INDEX doubt ON picture (id) WHERE doubt = 1;
    CREATE INDEX owed ON picture (id) WHERE owed = 1;
    CREATE INDEX held ON picture (id, file, size_bytes) WHERE attempt IS NOT NULL;
    CREATE INDEX unkept ON picture (id) WHERE attempt IS NOT NULL AND kept = 0;
    CREATE INDEX unchecked ON picture (nth) WHERE file = 1;
    CREATE INDEX held_oldest ON picture (nth) WHERE attempt IS NOT NULL AND kept = 1 AND file = 2;
    CREATE INDEX own_away ON picture (priority, verified, nth) WHERE own = 1 AND deleted = 0 AND file = 0;
    CREATE INDEX here ON picture (id) WHERE file > 0;
    CREATE INDEX living ON picture (id) WHERE deleted = 0;
    CREATE INDEX taken ON picture (origin, taken_at, id) WHERE deleted = 0 AND taken_at IS NOT NULL;
    CREATE INDEX unrecorded ON picture (deleted, id) WHERE own = 1 AND recorded = 0;
    CREATE INDEX record ON picture (id) WHERE own = 0 AND version <> 0;
    CREATE INDEX known ON picture (deleted, origin, nth) WHERE own = 0 AND attempt IS NULL;
    CREATE TABLE kept (
        id BLOB NOT NULL CHECK (length(id) = 8), unit INTEGER NOT NULL CHECK (unit BETWEEN 0 AND 65535),
        newest INTEGER NOT NULL CHECK (newest IN (0, 1)),
        PRIMARY KEY (id, unit)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX kept_at ON kept (unit, newest, id);
    CREATE TABLE keeper (
        unit INTEGER PRIMARY KEY CHECK (unit BETWEEN 0 AND 65535),
        card INTEGER NOT NULL CHECK (card BETWEEN 0 AND 65535)
    ) STRICT;
    CREATE TABLE copy (
        id BLOB NOT NULL CHECK (length(id) = 8), unit INTEGER NOT NULL CHECK (unit BETWEEN 0 AND 65535),
        open INTEGER NOT NULL, listed INTEGER NOT NULL,
        suspect INTEGER NOT NULL CHECK (suspect IN (0, 1)), owed INTEGER NOT NULL CHECK (owed IN (0, 1)),
        doubted INTEGER NOT NULL CHECK (doubted IN (0, 1)),
        proof BLOB NOT NULL, verified_at REAL,
        verified_boot INTEGER NOT NULL CHECK (verified_boot BETWEEN 0 AND 4294967295),
        verified_monotonic REAL NOT NULL,
        here INTEGER NOT NULL CHECK (here IN (0, 1)), draw INTEGER NOT NULL CHECK (draw BETWEEN 0 AND 4294967295),
        PRIMARY KEY (id, unit)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX copy_at ON copy (unit, here, draw, id) WHERE listed <> 0 AND suspect = 0;
    CREATE INDEX copy_suspect ON copy (id, unit) WHERE suspect = 1;
    CREATE INDEX copy_doubted ON copy (id, unit) WHERE doubted = 1;
    CREATE TABLE pair (
        id BLOB NOT NULL CHECK (length(id) = 8), unit INTEGER NOT NULL CHECK (unit BETWEEN 0 AND 65535),
        due_s INTEGER NOT NULL CHECK (due_s >= 0),
        nonce BLOB NOT NULL CHECK (length(nonce) IN (0, 16)),
        digest BLOB NOT NULL CHECK (length(digest) = length(nonce)),
        PRIMARY KEY (id, unit, due_s)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX pair_due ON pair (unit, due_s);
    CREATE TABLE exposed (
        id BLOB PRIMARY KEY CHECK (length(id) = 8), since_s INTEGER NOT NULL CHECK (since_s >= 0)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX exposed_since ON exposed (since_s);
    CREATE TABLE covered (number INTEGER PRIMARY KEY, seconds INTEGER NOT NULL CHECK (seconds >= 0)) STRICT;
    CREATE TABLE heard (
        unit INTEGER PRIMARY KEY CHECK (unit BETWEEN 0 AND 65535), age_s INTEGER NOT NULL CHECK (age_s >= 0)
    ) STRICT;
    CREATE TABLE partial (
        id BLOB PRIMARY KEY CHECK (length(id) = 8),
        attempt INTEGER NOT NULL, sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        synced_bytes INTEGER NOT NULL CHECK (synced_bytes BETWEEN 0 AND 4294967295),
        size_bytes INTEGER NOT NULL CHECK (size_bytes BETWEEN 0 AND 4294967295), kept_since REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE delete_order (
        id BLOB PRIMARY KEY CHECK (length(id) = 8), sha256 BLOB NOT NULL CHECK (length(sha256) = 32)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE decision (
        id BLOB NOT NULL CHECK (length(id) = 8), number INTEGER NOT NULL,
        text TEXT NOT NULL, inputs TEXT NOT NULL CHECK (json_valid(inputs)),
        PRIMARY KEY (id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE name (unit INTEGER PRIMARY KEY CHECK (unit BETWEEN 0 AND 65535), name TEXT NOT NULL) STRICT;
    CREATE TABLE inventoried (unit INTEGER PRIMARY KEY CHECK (unit BETWEEN 0 AND 65535)) STRICT;
    CREATE TABLE recollected (unit INTEGER PRIMARY KEY CHECK (unit BETWEEN 0 AND 65535)) STRICT;
    CREATE TABLE acts_for (origin INTEGER PRIMARY KEY CHECK (origin BETWEEN 1 AND 65534)) STRICT;
    CREATE TABLE roster (epoch INTEGER PRIMARY KEY CHECK (epoch BETWEEN 1 AND 65535), encoded BLOB NOT NULL) STRICT;
    """,
)

_KINDS: dict[int, type[CardError]] = {
    sqlite3.SQLITE_ERROR: CatalogueDamaged,  # our questions are fixed and tested: the schema has changed
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


class InWords:  # a class, not a generator: each question to the catalogue goes through it
    """Turn SQLite's errors into CardError and its kinds; leave a mark for the next start where the file is damaged.

    What only a bug of ours can cause (wrong use of the connection, broken constraints) passes through.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind_of: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, (sqlite3.Error, UnicodeDecodeError)):  # Python decodes texts, and SQLite's about them
            return
        kind = _kind(error)
        if kind is None:
            return
        if kind is CatalogueDamaged:
            mark_damaged(self._path)
        raise kind(f"the catalogue {self._path} cannot be used: {error}", can=_ADVICE[kind]) from error


def _kind(error: sqlite3.Error | UnicodeDecodeError) -> type[CardError] | None:
    if isinstance(error, UnicodeDecodeError):
        return CatalogueDamaged
    if isinstance(error, sqlite3.OperationalError) and not _code(error):  # Python's own: a text that is no UTF-8
        return CatalogueDamaged
    return _KINDS.get(_code(error))


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for what Python's module itself complains of."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def value_damage(path: str, error: ValueError | TypeError | struct.error) -> CatalogueDamaged:
    """For a value in a row that we never write: damage, as a broken page is. Marks the file for the next start; to be
    raised from the error."""
    mark_damaged(path)
    text = f"the catalogue {path} has a value that cannot be: {error}"
    return CatalogueDamaged(text, can=_ADVICE[CatalogueDamaged])


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

    A format that SQLite does not know it opens for reading only, as if the card took no writes.

    WAL needs memory shared between processes; where the file system cannot map any (some FUSE ones), the file is
    held for this connection alone instead.
    """
    if not _formats_of(path) <= _FORMATS:
        raise CatalogueDamaged(f"{path} is no database of a format that SQLite writes")
    _make_private(path)
    with InWords(path):
        try:
            return _connected(path, "NORMAL")
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
                raise
        return _connected(path, "EXCLUSIVE")


def _make_private(path: str) -> None:
    """An empty one where there is none, for its owner alone: SQLite goes by the umask, and on a card that was mounted
    nothing else keeps others out. SQLite gives -wal and -shm the mode of the file."""
    if path != ":memory:":
        with contextlib.suppress(OSError):  # SQLite meets it, too, and it is told there
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _formats_of(path: str) -> frozenset[int]:
    """Bytes 18 and 19 of the header; none where there is no file yet."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return frozenset(file.read(20)[18:])
    return frozenset()


def _connected(path: str, locking: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with contextlib.ExitStack() as unless_done:
        unless_done.callback(connection.close)
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            f"locking_mode = {locking}",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"cache_size = -{CACHE_KB}",
            f"wal_autocheckpoint = {WAL_PAGES}",
        ):
            # To the end: the file becomes one with a WAL behind the first row, and an error there would go unseen.
            connection.execute(f"PRAGMA {pragma}").fetchall()
        assert_pragmas(connection, path)
        _do_steps(connection, path)
        unless_done.pop_all()
    return connection


def connect_read_only(path: str) -> sqlite3.Connection:
    """Open for commands while nobody runs; changes no row. Raises CardError where there is no catalogue.

    Even to read, SQLite needs its -shm file written, but where nothing can change: a card mounted read-only.
    """
    with InWords(path):
        if _is_fixed(path):
            return _connected_read_only(path, "ro&immutable=1", "NORMAL")
        try:
            return _connected_read_only(path, "ro", "NORMAL")
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
                raise
        return _connected_read_only(path, "rw", "EXCLUSIVE")  # SQLite locks a file for one only if it may write


def _is_fixed(path: str) -> bool:
    """The file system takes no writes, and no WAL holds what the file does not have yet."""
    with contextlib.suppress(OSError):
        wal = Path(path + "-wal")
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY) and not (wal.exists() and wal.stat().st_size)
    return False


def _connected_read_only(path: str, mode: str, locking: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode={mode}", isolation_level=None, check_same_thread=False, uri=True
    )
    with contextlib.ExitStack() as unless_done:
        unless_done.callback(connection.close)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"PRAGMA locking_mode = {locking}")
        connection.execute("PRAGMA query_only = ON")
        assert_schema(connection, path)
        unless_done.pop_all()
    return connection


def assert_pragmas(connection: sqlite3.Connection, path: str) -> None:
    """WAL with synchronous=NORMAL loses the last commits in a power cut: what SQLite says must be what we asked."""
    wanted = {"journal_mode": "memory" if path == ":memory:" else "wal", "synchronous": 2}
    for pragma, value in wanted.items():
        found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if found != value:
            raise CardError(f"the catalogue {path} has {pragma} {found} where {value} is needed for power cuts")


def assert_schema(connection: sqlite3.Connection, path: str) -> None:
    """Tables and indexes are those of the newest step, to the letter: a flipped bit in their text changes questions."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = _schema(connection) == _newest_schema()
    if version > len(STEPS) and not ours:
        can = "install the newer software again; or remove the catalogue, it is rebuilt from the pictures"
        raise CardError(f"the catalogue {path} has schema {version}, this software knows {len(STEPS)}", can=can)
    if version != len(STEPS) or not ours:
        raise CatalogueDamaged(f"{path} is a database, but not a whole catalogue", can=_ADVICE[CatalogueDamaged])


def _schema(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


@functools.cache
def _newest_schema() -> set[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for step in STEPS:
            connection.executescript(step)
        return _schema(connection)


def _do_steps(connection: sqlite3.Connection, path: str) -> None:
    """Bring the schema up, each step in a transaction of its own that also counts it."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number in range(max(version, 0), len(STEPS)):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {STEPS[number]}; PRAGMA user_version = {number + 1}; COMMIT;")
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_ERROR:
                raise
            raise CatalogueDamaged(f"{path} has other tables than a catalogue: {error}") from error
    assert_schema(connection, path)
