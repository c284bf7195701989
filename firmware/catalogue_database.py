"""One connection to the catalogue's SQLite file: transactions, questions, durable numbers, and its health."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

from firmware.catalogue_rows import Row, counter_of, signed
from firmware.catalogue_schema import InWords, connect, connect_read_only, value_damage

MAX_FLAWS = 100  # sentences that a check of the file gives

_Made = TypeVar("_Made")


class Database:
    """Used by one thread at a time. Every method raises CardError, CardFull, CardReadOnly or CatalogueDamaged."""

    def __init__(self, path: str, *, read_only: bool) -> None:
        """path may be ":memory:"."""
        self.path = path
        self._connection = connect_read_only(path) if read_only else connect(path)
        self._in_words = InWords(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is done inside is durable at the end, or nothing of it is done."""
        assert not self._connection.in_transaction
        with self._in_words:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def change(self, sql: str, *values: object) -> int:
        """Within a transaction: number of rows changed."""
        assert self._connection.in_transaction
        with self._in_words:
            return self._connection.execute(sql, values).rowcount

    def all(self, sql: str, *values: object) -> list[Row]:
        """Every row; limits are in the question."""
        with self._in_words:
            return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, *values: object) -> Row | None:
        """The first row, None if there is none."""
        return next(iter(self.all(sql, *values)), None)

    def made(self, make: Callable[..., _Made], *values: object) -> _Made:
        """What make gives for values that were read; raises CatalogueDamaged where they cannot be."""
        try:
            return make(*values)
        except (ValueError, TypeError, struct.error) as error:
            raise value_damage(self.path, error) from error

    def counter(self, key: str, default: int) -> int:
        """A durable number."""
        row = self.one("SELECT value FROM meta WHERE key = ?", key)
        return default if row is None else self.made(counter_of, key, row[0])

    def set(self, key: str, value: int) -> None:
        """Within a transaction: keep a number (unsigned, 64 bit)."""
        self.change("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, signed(value))

    def flaws(self) -> list[str]:
        """What SQLite finds wrong in the file: structure, values that the schema forbids, indexes against tables."""
        return [str(text) for (text,) in self.all(f"PRAGMA integrity_check({MAX_FLAWS})") if text != "ok"]

    def close(self) -> None:
        """Give the file back; safe to call twice."""
        with self._in_words:
            self._connection.close()
