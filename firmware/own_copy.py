"""Reading a picture out of the own card: is it whole, its preview, its bytes into a sink. Parts of steps."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

from firmware.core import Core
from firmware.events import DigestFile, Digests, ReadFile, ReadPreview, Request
from firmware.handover import Owner, Recalled, Rotten, owner
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.sinks import Sink
from hal.errors import CardError

BLOCK_BYTES = 32_768
"""Read from the card at once."""
WAITING_BYTES = 65_536
"""Of a file that may wait in memory for whoever reads it (DESIGN §5: 64 kB)."""


def is_whole(core: Core, entry: Entry | None) -> Generator[Request, Any, bool]:
    """Whether the file is here and its digest, read back from the medium, is right; what is wrong goes to the log."""
    if entry is None or entry.file is File.GONE:
        return False
    picture = entry.picture
    try:
        digests = yield DigestFile.of(entry)
    except CardError as error:
        core.log("card", f"picture {picture.id} cannot be read from this card: {error}", picture.id)
        return False
    assert isinstance(digests, Digests)
    if not digests.whole:
        core.log("alarm", f"the file of picture {picture.id} on this card is damaged", picture.id)
    return digests.whole


def check(core: Core, entry: Entry) -> Generator[Request, Any, Entry | None]:
    """Adoption (HANDOVER §1): an own file not checked yet counts from now on; None: it was not whole, and put aside."""
    digests = yield DigestFile.of(entry)
    assert isinstance(digests, Digests)
    if not digests.whole:
        yield from put_aside(core, entry)
        return None
    effects = owner(Owner(entry, core.next_attempt), Recalled())
    yield from core.carry_out(entry.picture, entry, effects)
    return (yield from core.look_up(entry.picture.id))


def put_aside(core: Core, entry: Entry) -> Generator[Request, Any, None]:
    """An own file that is damaged counts as no copy from now on; its bytes go to quarantine/ for a person, and the
    picture is collected from a holder (firmware/repair.py)."""
    picture = entry.picture
    effects = owner(Owner(entry, core.next_attempt), Rotten())
    yield from core.carry_out(picture, entry, effects)
    core.damaged.append(picture.id)
    text = f"the own file of picture {picture.id} is damaged; it was put into quarantine/"
    core.log("lost", f"{text}; units that hold it: {len(entry.listed)}", picture.id)


def preview(core: Core, picture: PictureId) -> Generator[Request, Any, bytes]:
    """The preview; empty if there is none here that can be read."""
    try:
        found = yield ReadPreview(picture)
    except CardError as error:
        core.log("card", f"the preview of picture {picture} cannot be read from this card: {error}", picture)
        return b""
    assert isinstance(found, bytes)
    return found


class Delivery:
    """A file of the own card on its way to a sink, block by block and once more through the digest.

    Each block is a step of its own, so that it is read only when the sink has room for it. have_bytes: of the
    beginning, which the sink has.
    """

    def __init__(self, picture: Picture, sink: Sink, have_bytes: int) -> None:
        self.picture = picture
        self._have_bytes = have_bytes
        self._sink = sink
        self._sha256 = hashlib.sha256()
        self._offset = 0
        self._reading = False

    @property
    def wants_block(self) -> bool:
        """Whether the next block should be read now."""
        waiting_bytes = self._sink.waiting_bytes
        return not (self._reading or self.whole) and (not waiting_bytes or waiting_bytes + BLOCK_BYTES <= WAITING_BYTES)

    @property
    def whole(self) -> bool:
        """Whether all of it was given to the sink."""
        return self._offset == self.picture.size_bytes

    def block(self) -> Generator[Request, Any, None]:
        """Read the next one and hand it over; CardError where the file is not what it should be."""
        self._reading = True
        try:
            size_bytes = min(BLOCK_BYTES, self.picture.size_bytes - self._offset)
            data = yield ReadFile(self.picture, self._offset, size_bytes)
        finally:
            self._reading = False
        assert isinstance(data, bytes)
        self._sha256.update(data)
        if len(data) != size_bytes or (
            self._offset + size_bytes == self.picture.size_bytes and self._sha256.digest() != self.picture.sha256
        ):
            raise CardError(f"the file of picture {self.picture.id} on this card is damaged")
        new = max(0, self._have_bytes - self._offset)
        if new < size_bytes:
            self._sink.write(self._offset + new, data[new:])
        self._offset += size_bytes
