"""Pictures, shots and entries for the tests of store, catalogue, start-up and fsck. Seeded, no clock."""

from __future__ import annotations

import hashlib
import random

from firmware.events import KeepShot
from firmware.layout import parent_of
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.store import Store
from hal.interfaces import Card
from sim.camera import MemoryShot
from sim.card import SimCard

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


def calls_of(card: SimCard, first: int) -> range:
    """Numbers of the calls made since the card had made first of them."""
    return range(first + 1, card.calls + 1)
