"""Answering other units' read-outs: sending a picture, or its preview, to an asker (HANDOVER §3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from typing import Any

from firmware import messages as m
from firmware import own_copy
from firmware.core import Core
from firmware.events import ReadFile, Request
from firmware.handles import CopyHandles
from firmware.outgoing import Outgoing
from firmware.pictures import File, Picture, PictureId
from firmware.ranges import RangeSet
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

MAX_SERVINGS = 4
"""Pictures sent to askers at once, those being looked up included; each takes 128 kB and a share of the line."""
MAX_SERVINGS_PER_UNIT = 2
"""Of these to one asker, so that no unit keeps the others out."""
MAX_SERVINGS_PER_NEIGHBOUR = 3
"""And by way of one neighbour, whoever it says the askers are."""
SILENT_S = 30.0
"""An asker that has confirmed nothing new for so long is given up, on a channel that others use two rounds of their
bursts later (core.round_s): longer than askers are patient, who ask anew."""

ReadBytes = Callable[[int, int], Step]


@dataclass(slots=True, eq=False)
class Served:
    """One picture on its way to an asker, by way of a neighbour: itself, or the unit that passed its GET on.

    copy, outgoing: None while it is being looked up. reported: something was said since it was last asked for.
    """

    neighbour: int
    get: m.Get
    copy: m.Copy | None = None
    outgoing: Outgoing | None = None
    reported: bool = False


class Serving:
    """All pictures on their way to askers. handles: shared with those that are passed on."""

    def __init__(self, core: Core, handles: CopyHandles) -> None:
        self._core = core
        self._all: list[Served] = []
        self._handles = handles

    def __iter__(self) -> Iterator[Served]:
        return iter(self._all)

    def outgoing(self) -> list[Outgoing]:
        """What has parts to say."""
        if not self._all:
            return []
        return [serving.outgoing for serving in self._all if serving.outgoing is not None]

    def busy_with(self, picture: PictureId) -> bool:
        """Whether an asker is being given this picture's file."""
        return any(serving.get.id == picture and not serving.get.preview for serving in self._all)

    # ------------------------------------------------------------ GET

    def on_get(self, source: int, get: m.Get) -> None:
        """COPY and parts, or a refusal; asked again: COPY again, and what is missing now."""
        core = self._core
        if get.holder != core.unit or (get.hops == 0) != (get.asker == source):
            return
        serving = self._find(source, get)
        if serving is not None and (serving.get.id, serving.get.preview) == (get.id, get.preview):
            self._again(serving, get)
            return
        if serving is not None:
            self._end(serving)  # its number is used anew: that read-out is long over
        if not self._has_room(source, get.asker):
            core.say(source, m.RefuseGet(get.asker, get.query, core.unit, get.id, m.GetWhy.BUSY))
            return
        serving = Served(source, get)
        self._all.append(serving)
        core.run(self._begin(serving), get.id, lambda error: self._failed(serving, error))

    def _again(self, serving: Served, get: m.Get) -> None:
        """COPY was lost, or parts were: what is missing now is sent, unless it is just the same question once more."""
        if serving.copy is not None and serving.outgoing is not None:
            self._core.say(serving.neighbour, serving.copy)
            if get.missing and (serving.reported or get.missing != serving.get.missing):
                serving.outgoing.restart(_within(get.missing, serving.copy.size_bytes))
                serving.reported = False
            serving.get = get

    def _begin(self, serving: Served) -> Step:
        """Look it up, say COPY; the parts follow."""
        get, core = serving.get, self._core
        entry = yield from core.look_up(get.id)
        if serving not in self._all:
            return
        if entry is not None and entry.deleted:
            self._refuse(serving, m.GetWhy.DELETED)
        elif get.preview:
            preview = yield from own_copy.preview(core, get.id)
            if preview and serving in self._all:
                picture = Picture(get.id, len(preview), hashlib.sha256(preview).digest())
                self._send(serving, entry.picture if entry else picture, picture, _from_memory(preview))
            elif not preview:
                self._refuse(serving, m.GetWhy.NOT_HERE)
        elif entry is None or entry.file is File.GONE:
            self._refuse(serving, m.GetWhy.NOT_HERE)
        else:
            self._send(serving, entry.picture, entry.picture, _from_card(entry.picture))

    def _send(self, serving: Served, taken: Picture, sent: Picture, read: ReadBytes) -> None:
        """taken: when; sent: length and digest of the bytes that read gives."""
        get, core = serving.get, self._core
        handle, asked = self._handles.give(), (get.asker, get.query, core.unit)
        serving.copy = m.Copy(*asked, handle, sent.size_bytes, sent.sha256, taken.taken_at, taken.taken_quality)
        missing = get.missing or ((0, sent.size_bytes),)
        serving.outgoing = Outgoing(
            core, serving.neighbour, handle, sent.size_bytes, _within(missing, sent.size_bytes), read
        )
        core.say(serving.neighbour, serving.copy)
        what = "preview of picture" if get.preview else "picture"
        by = "" if get.asker == serving.neighbour else f" by way of unit {serving.neighbour}"
        core.log("sending", f"{what} {get.id} is sent to unit {get.asker}, who asked for it{by}", get.id, get.asker)

    # ------------------------------------------------------------ what the asker says

    def on_report(self, source: int, report: m.Report) -> None:
        """What has arrived; once it is all, the serving is over. Raises DamagedPacket."""
        serving = self._under(source, report.handle)
        if serving is not None and serving.outgoing is not None:
            serving.outgoing.on_report(report)
            serving.reported = True
            if serving.outgoing.done_bytes == serving.outgoing.size_bytes:
                self._end(serving)

    def on_expired(self, source: int, expired: m.Expired) -> None:
        """The asker has what it wanted, or wants it no more."""
        serving = self._under(source, expired.handle)
        if serving is not None:
            self._end(serving)

    def new_boot(self, unit: int) -> None:
        """The unit has restarted: it knows nothing of what it asked for."""
        for serving in [s for s in self._all if s.neighbour == unit]:
            self._end(serving)

    # ------------------------------------------------------------ time and ends

    def tick(self) -> None:
        """Askers that are silent, cards that cannot be read. The unit itself ticks what is outgoing()."""
        for serving in list(self._all):
            outgoing = serving.outgoing
            if outgoing is None:
                continue
            if outgoing.failed is not None:
                text = f"picture {serving.get.id} cannot be sent to unit {serving.neighbour}: {outgoing.failed}"
                self._core.log("card", text, serving.get.id, serving.neighbour)
                self._refuse(serving, m.GetWhy.FAILED)
            elif self._core.now >= self._silent_at(outgoing):
                self._end(serving)

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        if not self._all:
            return None
        return min((self._silent_at(outgoing) for outgoing in self.outgoing()), default=None)

    def _silent_at(self, outgoing: Outgoing) -> float:
        return outgoing.progress_at + SILENT_S + 2 * self._core.round_s()

    def _failed(self, serving: Served, error: DandelionError) -> None:
        self._core.log("card", f"picture {serving.get.id} cannot be looked up: {error}", serving.get.id)
        self._refuse(serving, m.GetWhy.FAILED)

    def _refuse(self, serving: Served, why: m.GetWhy) -> None:
        self._end(serving)
        get, unit = serving.get, self._core.unit
        self._core.say(serving.neighbour, m.RefuseGet(get.asker, get.query, unit, get.id, why))

    def _end(self, serving: Served) -> None:
        if serving in self._all:
            self._all.remove(serving)
            if serving.outgoing is not None:
                serving.outgoing.close()
            if serving.copy is not None:
                self._handles.free(serving.copy.handle)

    def _find(self, source: int, get: m.Get) -> Served | None:
        """What was asked for by the same neighbour for the same asker under the same number."""
        for s in self._all:
            if (s.neighbour, s.get.asker, s.get.query) == (source, get.asker, get.query):
                return s
        return None

    def _under(self, neighbour: int, handle: int) -> Served | None:
        for serving in self._all:
            if serving.copy is not None and (serving.neighbour, serving.copy.handle) == (neighbour, handle):
                return serving
        return None

    def _has_room(self, neighbour: int, asker: int) -> bool:
        of_asker = sum(1 for serving in self._all if serving.get.asker == asker)
        by_neighbour = sum(1 for serving in self._all if serving.neighbour == neighbour)
        return (
            not self._core.settings.safe_mode
            and len(self._all) < MAX_SERVINGS
            and of_asker < MAX_SERVINGS_PER_UNIT
            and by_neighbour < MAX_SERVINGS_PER_NEIGHBOUR
        )


def _within(ranges: m.Ranges, size_bytes: int) -> RangeSet:
    """As far as they lie in the picture."""
    return RangeSet((start, min(stop, size_bytes)) for start, stop in ranges if start < size_bytes)


def _from_card(picture: Picture) -> ReadBytes:
    def read(offset: int, size_bytes: int) -> Generator[Request, Any, Any]:
        data = yield ReadFile(picture, offset, size_bytes)
        return data

    return read


def _from_memory(data: bytes) -> ReadBytes:
    def read(offset: int, size_bytes: int) -> Generator[Request, Any, Any]:
        yield from ()
        return data[offset : offset + size_bytes]

    return read
