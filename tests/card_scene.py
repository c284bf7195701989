"""Pictures, shots and entries for the tests of store, catalogue, start-up and fsck. Seeded, no clock."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from pathlib import Path

from firmware.catalogue_home import CatalogueFile
from firmware.events import KeepShot, LookUp, Save
from firmware.layout import parent_of
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from firmware.startup import Started, start_up
from firmware.store import Store
from hal.interfaces import Card
from sim.camera import MemoryShot

UNIT = 1
CARD = 0x3FA7
PREVIEW = b"\xff\xd8 a small picture \xff\xd9"
NOW_UNIX_S = 1_700_000_000.0


def wall() -> float:
    """A wall clock that stands."""
    return NOW_UNIX_S


def content(sequence: int, size_bytes: int = 150_000) -> bytes:
    """Bytes of a picture, different for each sequence."""
    return random.Random(sequence).randbytes(size_bytes)


def picture(sequence: int, data: bytes | None = None, *, unit: int = UNIT, card: int = CARD) -> Picture:
    """The picture of content(sequence)."""
    data = content(sequence) if data is None else data
    return Picture(PictureId(unit, card, sequence), len(data), hashlib.sha256(data).digest())


def shot(sequence: int, data: bytes | None = None) -> KeepShot:
    """The request that keeps an own picture."""
    data = content(sequence) if data is None else data
    return KeepShot(picture(sequence, data), MemoryShot(data, PREVIEW))


def held(sequence: int, *, attempt: int = 7, unit: int = 2, file: File = File.WHOLE) -> Entry:
    """A row of a picture held for another unit."""
    return Entry(picture(sequence, unit=unit), file, attempt=attempt)


def put(card: Card, path: str, data: bytes) -> None:
    """A file that is on the medium, name and all."""
    if parent_of(path):
        card.make_directory(parent_of(path))
    file = card.create(path, len(data))
    file.write(0, data)
    file.sync()
    file.close()
    card.sync_directory(parent_of(path))


def put_picture(card: Card, of: Picture) -> str:
    """The file of a picture of content(sequence), in its place: its path."""
    path = Store(card, UNIT).path(of)
    put(card, path, content(of.id.sequence, of.size_bytes))
    return path


def bytes_of(card: Card, path: str) -> bytes:
    """The whole file."""
    file = card.open(path)
    try:
        return file.read(0, 10_000_000)
    finally:
        file.close()


def files(card: Card, top: str = "") -> dict[str, bytes]:
    """Every file below a directory."""
    found = {}
    for entry in card.entries(top):
        path = f"{top}/{entry.name}" if top else entry.name
        found.update(files(card, path) if entry.is_directory else {path: bytes_of(card, path)})
    return found


def own(sequence: int, *copies: Copy, file: File = File.WHOLE, card: int = CARD) -> Entry:
    """A row of an own picture."""
    return Entry(picture(sequence, card=card), file, copies=copies, version=1)


def known(sequence: int, *copies: Copy, unit: int = UNIT, file: File = File.WHOLE, priority: bool = False) -> Entry:
    """A row of a picture of a few bytes, which needs no file."""
    of = picture(sequence, b"picture %d" % sequence, unit=unit)
    return Entry(replace(of, priority=priority), file, copies=copies)


def pictures_on(card: Card) -> dict[str, bytes]:
    """Every file that is a picture in its place."""
    return {**files(card, "own"), **files(card, "held")}


@dataclass
class Unit:
    """A card with its catalogue, to be started again and again."""

    card: Card
    path: Path
    number: int = UNIT
    started: Started | None = None

    def start(self, *, seed: int = 1, now_unix_s: float = NOW_UNIX_S) -> Started:
        home = CatalogueFile(str(self.path), self.number, wall=lambda: now_unix_s)
        rng = random.Random(seed)
        self.started = start_up(self.card, home, self.number, rng, copies=1, priority_copies=2, wall=lambda: now_unix_s)
        return self.started

    def stop(self) -> None:
        if self.started is not None:
            self.started.catalogue.close()
            self.started = None

    def again(self, *, seed: int = 1, now_unix_s: float = NOW_UNIX_S) -> Started:
        self.stop()
        return self.start(seed=seed, now_unix_s=now_unix_s)

    def entry(self, of: PictureId) -> Entry | None:
        assert self.started is not None
        return self.started.catalogue.look_up(LookUp(of))

    def save(self, *entries: Entry) -> None:
        assert self.started is not None
        self.started.catalogue.save(Save(entries=entries))


def filled(unit: Unit) -> dict[str, bytes]:
    """Own and held pictures, known to the catalogue, some proved elsewhere: what is on the card."""
    rows = [own(n, *((Copy(2, listed=n),) if n % 2 else ())) for n in range(1, 6)]
    rows += [own(1, card=0x0042), held(7), replace(held(8, unit=3), kept=True)]
    for row in rows:
        put_picture(unit.card, row.picture)
    unit.save(*rows)
    return pictures_on(unit.card)
