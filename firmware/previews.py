"""Previews of held pictures: fetched from the origin once a copy counts there, when nothing else is to be done."""

from __future__ import annotations

from collections.abc import Callable

from firmware import messages as m
from firmware import own_copy
from firmware.commands import Collected, Found
from firmware.core import Core
from firmware.errors import Refused
from firmware.events import SavePreview
from firmware.pictures import MAX_PREVIEW_BYTES, PictureId, looks_like_jpeg
from firmware.readout import ReadOuts
from firmware.sinks import Ended
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

MAX_WANTED = 256
"""Previews that wait to be fetched; beyond it the one waiting longest is done without. A night's copies; guess."""
AFTER_S = 2.0
"""So long after KEEP, or after something else was in the way, so that what follows KEEP goes first. Guess."""
AGAIN_S = 60.0
"""And after a fetch that has failed, or while none of those that are due can be heard."""
MOST_TRIES = 3
"""Then it is done without; the origin may not have one."""


@dataclass(slots=True)
class _Wanted:
    due_at: float
    tries: int = 0


class Previews:
    """Those that are to be fetched, one at a time. is_idle: whether no picture is on its way in or out.

    Best effort, and forgotten at a restart: a picture is as good without.
    """

    def __init__(self, core: Core, read_outs: ReadOuts, is_idle: Callable[[], bool]) -> None:
        self._core = core
        self._read_outs = read_outs
        self._is_idle = is_idle
        self._wanted: dict[PictureId, _Wanted] = {}  # the one waiting longest first
        self._look_at = core.now  # not before: something was in the way of all of them
        self._fetching: PictureId | None = None

    def on_keep(self, source: int, keep: m.Keep) -> None:
        """The copy is in the origin's list."""
        if self._core.owner_of(keep.id.unit) == source and keep.id not in self._wanted:
            if len(self._wanted) >= MAX_WANTED:
                del self._wanted[next(iter(self._wanted))]
            self._wanted[keep.id] = _Wanted(self._core.now + AFTER_S)
            self._look_at = min(self._look_at, self._core.now + AFTER_S)

    def tick(self) -> None:
        """The next one that is due."""
        core, now = self._core, self._core.now
        if not self._wanted or self._fetching is not None or now < self._look_at:
            return
        ripe = [picture for picture, wanted in self._wanted.items() if now >= wanted.due_at]
        due = next((picture for picture in ripe if core.hears(core.owner_of(picture.unit))), None)
        if due is None or not self._is_idle():
            self._look_at = now + (AGAIN_S if ripe and due is None else AFTER_S)
            return
        self._fetching = due
        self._core.run(self._fetch(due), due, lambda _: self._over(due, again=False))

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        if self._fetching is not None or not self._wanted:
            return None
        return max(self._look_at, min(wanted.due_at for wanted in self._wanted.values()))

    def _fetch(self, picture: PictureId) -> Step:
        """Unless it is here, or the copy is not."""
        entry = yield from self._core.look_up(picture)
        if entry is None or entry.attempt is None or (yield from own_copy.preview(self._core, picture)):
            self._over(picture, again=False)
            return
        owner = self._core.owner_of(picture.unit)
        if not self._read_outs.preview(picture, owner, _ToMemory(lambda data: self._came(picture, data))):
            self._fetching = None
            if picture in self._wanted:
                self._wanted[picture].due_at = self._core.now + AFTER_S

    def _came(self, picture: PictureId, data: bytes) -> None:
        """Or not: then data is empty."""
        if looks_like_jpeg(data):
            self._core.run(self._keep(picture, data), picture)
        self._over(picture, again=not data)

    def _keep(self, picture: PictureId, data: bytes) -> Step:
        """A copy that was dropped meanwhile needs none."""
        entry = yield from self._core.look_up(picture)
        if entry is not None and entry.attempt is not None and not entry.deleted:
            yield SavePreview(picture, data)

    def _over(self, picture: PictureId, *, again: bool) -> None:
        self._fetching = None
        wanted = self._wanted.get(picture)
        if wanted is None:
            return
        wanted.tries += 1
        wanted.due_at = self._core.now + AGAIN_S
        if not again or wanted.tries >= MOST_TRIES:
            del self._wanted[picture]


class _ToMemory:
    """A Sink for a preview. ended(its bytes), empty where there are none."""

    problem: DandelionError | None = None
    waiting_bytes = 0

    def __init__(self, ended: Callable[[bytes], None]) -> None:
        self._ended = ended
        self._data = b""

    def begin(self, found: Found) -> None:
        self._data = self._data[: found.offset]

    def write(self, offset: int, data: bytes) -> None:
        assert offset + len(data) <= MAX_PREVIEW_BYTES
        self._data += data

    def finish(self, collected: Collected, ended: Ended) -> None:
        del collected
        ended(None)
        self._ended(self._data)

    def fail(self, error: Refused) -> None:
        del error
        self._ended(b"")
