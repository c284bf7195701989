"""What of a simulated machine is shipped and watched: its catalogue, which lives in memory, and its link."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

from firmware import events as e
from firmware.catalogue import Catalogue
from firmware.catalogue_database import Database
from firmware.link import Link, _Header
from firmware.messages import Message
from firmware.pictures import Entry, PictureId
from firmware.seal import Seal
from hal.errors import CardError
from hal.interfaces import Duplex
from hal.light_dataclass import dataclass
from sim.card import SimCard
from sim.radio import SimRadio

BeforeCommit = Callable[[], CardError | None]
"""Called before each COMMIT. What it raises rolls it back, what it gives back is raised when it is done."""
MOST_REMEMBERED = 64
"""Answers remembered; one step's checks want a few."""


class _WatchedDatabase(Database):
    """Says when a transaction is about to be committed."""

    before: BeforeCommit | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            error = None if self.before is None else self.before()
        if error is not None:
            raise error

    @property
    def changes(self) -> int | None:
        """Rows changed since it was opened, those that were rolled back too; None while a transaction is under way."""
        return None if self._connection.in_transaction else self._connection.total_changes

    def copy_into(self, other: _WatchedDatabase) -> None:
        """All of it."""
        self._connection.backup(other._connection)


class WatchedCatalogue(Catalogue):
    """Remembers which pictures' rows were changed since somebody looked. close() leaves it open: it has no file.

    number: of no other one that was ever made.
    """

    _numbers = itertools.count()

    def __init__(
        self, unit: int, wall: Callable[[], float], changed: dict[PictureId, None], before: BeforeCommit
    ) -> None:
        super().__init__(":memory:", unit, wall=wall)
        self._changed = changed
        self._remembered: dict[e.LookUp | e.Page | e.Held, object] = {}
        self._remembered_at = -1
        self.database.before = before
        self.number = next(self._numbers)

    def open_database(self, path: str, *, read_only: bool) -> Database:
        """Once, when it is made."""
        self.database = _WatchedDatabase(path, read_only=read_only)
        return self.database

    def save(self, request: e.Save) -> None:
        try:
            super().save(request)
        finally:  # an error may come of a COMMIT that is done
            self._changed.update(dict.fromkeys(request.removed))
            self._changed.update((entry.picture.id, None) for entry in request.entries)

    def close(self) -> None:
        pass

    def copy_into(self, other: WatchedCatalogue) -> None:
        """All of it, as a copy of the file would have it."""
        self.database.copy_into(other.database)

    def entry(self, picture: PictureId) -> Entry | None:
        """What it knows of a picture, for checks."""
        return cast(Entry | None, self.remembered(e.LookUp(picture)))

    def entries(self, request: e.Page | e.Held) -> list[Entry]:
        """What it has in order, for checks."""
        return list(cast(list[Entry], self.remembered(request)))

    def remembered(self, request: e.LookUp | e.Page | e.Held) -> object:
        """carry_out() for checks, which ask the same again and again: remembered until any row changes."""
        changes = self.database.changes
        if changes is None:
            return self.carry_out(request)
        if changes != self._remembered_at or len(self._remembered) > MOST_REMEMBERED:
            self._remembered.clear()
            self._remembered_at = changes
        if request not in self._remembered:
            self._remembered[request] = self.carry_out(request)
        return self._remembered[request]

    def size_bytes(self) -> int:
        """What its file would have."""
        return int(self._database.all("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")[0][0])


class MemoryHome:
    """A CatalogueHome in memory: the open connection stays over restarts, each COMMIT is durable."""

    def __init__(self, unit: int, wall: Callable[[], float], before: BeforeCommit) -> None:
        self._unit = unit
        self._wall = wall
        self._before = before
        self.catalogue: WatchedCatalogue | None = None
        self.changed: dict[PictureId, None] = {}  # a set in order

    def open(self) -> WatchedCatalogue:
        """As it is, whatever has become of the card."""
        if self.catalogue is None:
            self.catalogue = WatchedCatalogue(self._unit, self._wall, self.changed, self._before)
        return self.catalogue

    def entry(self, picture: PictureId) -> Entry | None:
        """What the catalogue knows."""
        return self.open().entry(picture)

    def entries(self, request: e.Page | e.Held) -> list[Entry]:
        """What the catalogue knows."""
        return self.open().entries(request)

    def set_aside(self) -> str:
        self.catalogue = None
        return "nowhere"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a unit has its pictures and its list: a card, and the catalogue on it."""

    card: SimCard
    home: MemoryHome

    @property
    def catalogue(self) -> WatchedCatalogue:
        """As it is, whatever has become of the card."""
        return self.home.open()

    def entry(self, picture: PictureId) -> Entry | None:
        """What the catalogue there knows."""
        return self.home.entry(picture)

    def entries(self, request: e.Page | e.Held) -> list[Entry]:
        """What the catalogue there knows."""
        return self.home.entries(request)


class TappedLink(Link):
    """Remembers what each packet says, in the order in which they go out; tells which that come are opened."""

    def __init__(self, unit: int, seal: Seal, radio: SimRadio, opened: Callable[[bytes], None]) -> None:
        super().__init__(unit, seal, radio.mtu_bytes, overhears=radio.duplex is Duplex.HALF)
        self.tapped: deque[tuple[int, Message, bytes]] = deque()
        self._opened = opened

    def encode(self, destination: int, message: Message, *, airtime_ms: int | None = None) -> list[bytes]:
        packets = super().encode(destination, message, airtime_ms=airtime_ms)
        self.tapped += [(destination, message, packet) for packet in packets]
        return packets

    def _open(self, kind: type[Message], header: _Header, in_the_clear: bytes, rest: bytes) -> bytes | None:
        body = super()._open(kind, header, in_the_clear, rest)
        if body is not None and kind.SEALED:
            self._opened(in_the_clear + rest)
        return body
