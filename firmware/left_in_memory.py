"""Pictures that a life without its card has left in memory, where no other unit has them yet: put on the card.

They keep their ids, with the card number of that life. Their copies are made as of any picture: a host that has one
already says so, or asks about it (HOLD).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from firmware.catalogue import Catalogue
from firmware.events import KeepShot, Lacking, LookUp, Save
from firmware.layout import preview_path
from firmware.pictures import MAX_PREVIEW_BYTES, Entry, File, Picture
from firmware.startup import Started
from firmware.store import Store
from firmware.wording import so_many
from hal.errors import CardError
from hal.interfaces import Card, CardFile, Shot

MOST = 100
"""Pictures taken up at one start: a life without a card takes no third one while two wait."""


def take_up(left: Card, known: Catalogue, started: Started) -> tuple[Started, bool]:
    """Each one durably, file before row. left, known: directory and catalogue of that life. The start with them in its
    sums, and with a sentence for people; False: not all could be put on the card, and what is left stays there."""
    store, catalogue, memory, notices = started
    moved, error = 0, None
    try:
        for entry in known.lacking(Lacking(1, 1, MOST)):
            picture, path = entry.picture, store.path(entry.picture)
            if catalogue.look_up(LookUp(picture.id)) is not None or not Store(left, store.unit).is_there(path):
                continue
            with closing(_FileShot(left, path, picture)) as shot:
                kept = store.keep_shot(KeepShot(picture, shot))
            catalogue.save(Save(entries=(Entry(kept, File.WHOLE, version=1),), age_s=memory.age_s))
            memory = replace(
                memory,
                own_bytes=memory.own_bytes + kept.size_bytes,
                largest_bytes=max(memory.largest_bytes, kept.size_bytes),
            )
            moved += 1
        attempt = max(memory.next_attempt, known.counter("next_attempt", 1))  # above those that hosts know
        catalogue.set_counters(next_attempt=attempt)
        memory = replace(memory, next_attempt=attempt)
    except CardError as trouble:
        error = trouble
    if moved:
        notices = [*notices, f"{so_many(moved, 'picture')} that waited in memory without a card: put on the card now"]
    return started._replace(memory=memory, notices=[*notices, *([_left(error)] if error else [])]), error is None


def _left(error: CardError) -> str:
    return f"pictures that wait in memory could not be put on the card, and go with the power: {error}"


class _FileShot:
    """A picture's file, as the camera would give it."""

    def __init__(self, card: Card, path: str, picture: Picture) -> None:
        self.size_bytes, self.sha256, self.preview = picture.size_bytes, picture.sha256, _preview(card, picture)
        self._file: CardFile = card.open(path)

    def read(self, offset: int, size_bytes: int) -> bytes:
        return self._file.read(offset, size_bytes)

    def named(self, picture: str) -> Shot:  # noqa: ARG002 - it has its id
        """Itself."""
        return self

    def close(self) -> None:
        self._file.close()


def _preview(card: Card, picture: Picture) -> bytes:
    try:
        with closing(card.open(preview_path(picture.id))) as file:
            return file.read(0, MAX_PREVIEW_BYTES)
    except FileNotFoundError:
        return b""
