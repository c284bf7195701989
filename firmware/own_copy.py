"""Reading a picture out of the own card: is it whole, its preview, its bytes into a sink. Parts of steps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from typing import Any

from firmware.core import Core
from firmware.events import DigestFile, Digests, ReadFile, ReadPreview, Request
from firmware.handover import Owner, Recalled, Rotten, owner
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.sinks import Sink
from hal.errors import CardError

BLOCK_BYTES = 32_768
"""Read from the card at once."""


def is_whole(core: Core, entry: Entry | None) -> Generator[Request, Any, bool]:
    """Whether the file is here and its digest, read back from the medium, is right; what is wrong goes to the log."""
    if entry is None or entry.file is File.GONE:
        return False
    picture = entry.picture
    try:
        digests = yield DigestFile(picture)
    except CardError as error:
        core.log("card", f"picture {picture.id} cannot be read from this card: {error}", picture.id)
        return False
    assert isinstance(digests, Digests)
    if not digests.whole:
        core.log("alarm", f"the file of picture {picture.id} on this card is damaged", picture.id)
    return digests.whole


def check(core: Core, entry: Entry) -> Generator[Request, Any, Entry | None]:
    """Adoption (HANDOVER §1): an own file not checked yet counts from now on; None: it was not whole, and put aside."""
    digests = yield DigestFile(entry.picture)
    assert isinstance(digests, Digests)
    if not digests.whole:
        yield from put_aside(core, entry)
        return None
    effects = owner(Owner(entry, core.next_attempt), Recalled())
    yield from core.carry_out(entry.picture, entry, effects)
    return (yield from core.look_up(entry.picture.id))


def put_aside(core: Core, entry: Entry) -> Generator[Request, Any, None]:
    """An own file that is damaged counts as no copy from now on; its bytes go to quarantine/ for a person."""
    picture = entry.picture
    effects = owner(Owner(entry, core.next_attempt), Rotten())
    yield from core.carry_out(picture, entry, effects)
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


def stream(picture: Picture, sink: Sink, wanted: Callable[[], bool]) -> Generator[Request, Any, bool]:
    """All bytes, block by block, once more through the digest: CardError. False: it was not `wanted` any more."""
    digest, offset = hashlib.sha256(), 0
    while offset < picture.size_bytes:
        block = yield ReadFile(picture, offset, min(BLOCK_BYTES, picture.size_bytes - offset))
        assert isinstance(block, bytes)
        if not wanted():
            return False
        if not block:
            break
        digest.update(block)
        sink.write(offset, block)
        offset += len(block)
    if digest.digest() != picture.sha256:
        raise CardError(f"the file of picture {picture.id} on this card is damaged")
    return True
