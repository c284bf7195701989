"""Freeing an own file: O5 on the picture as it is then, never without its proofs (HANDOVER O5, DESIGN §5)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from firmware import handover
from firmware.core import Core
from firmware.events import DigestFile, Digests, Request, SavePairs
from firmware.handover import Owner
from firmware.own_copy import put_aside
from firmware.pairs import MAX_HOLDERS, nonces_for, pairs_of
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.proofs import fresh
from firmware.steps import Step
from hal.errors import DandelionError

Told = Callable[[bool], None]


class Evictions:
    """Files that are being dropped."""

    def __init__(self, core: Core, in_use: Callable[[PictureId], bool]) -> None:
        """in_use: whether a picture's bytes are being sent somewhere."""
        self.core = core
        self.in_use = in_use
        self._under_way: dict[PictureId, tuple[int, list[Told]]] = {}  # its size, and who is told the end

    @property
    def size_bytes(self) -> int:
        """What will be free once those under way have ended."""
        return sum(size_bytes for size_bytes, _ in self._under_way.values()) if self._under_way else 0

    def proved(self, entry: Entry) -> frozenset[int]:
        """Units whose proof may be used now."""
        return frozenset(c.unit for c in entry.copies if fresh(c, self.core.boot, self.core.now))

    def begin(self, picture: Picture, needed: int, told: Told) -> None:
        """Drop its own file if so many proofs are fresh and nobody is being given it. told: is it gone?"""
        if picture.id in self._under_way:
            self._under_way[picture.id][1].append(told)
            return
        self._under_way[picture.id] = picture.size_bytes, [told]

        def failed(error: DandelionError) -> None:
            self.core.log("card", f"the file of picture {picture.id} could not be dropped: {error}", picture.id)
            self._ended(picture, gone=False)

        self.core.run(self._evict(picture, needed), picture.id, failed)

    def _evict(self, picture: Picture, needed: int) -> Step:
        core = self.core
        entry = yield from core.look_up(picture.id)
        if entry is None or entry.file is not File.WHOLE or self.in_use(picture.id):
            self._ended(picture, gone=entry is not None and entry.file is File.GONE)
            return
        proved = self.proved(entry)
        effects = handover.owner(Owner(entry, core.next_attempt), handover.Evict(needed, proved))
        if effects and not (yield from self._make_pairs(entry)):
            effects = ()
        yield from core.carry_out(picture, entry, effects)
        if effects:
            units = ", ".join(str(u) for u in sorted(proved))
            text = f"the own file of picture {picture.id} was dropped; unit {units} holds it"
            core.log("dropped", text, picture.id)
        self._ended(picture, gone=bool(effects))

    def _make_pairs(self, entry: Entry) -> Generator[Request, Any, bool]:
        """The last time that the bytes are here: pairs for audits, durable before the file goes (R9). False: they are
        not right any more, and the file was put aside."""
        core, picture = self.core, entry.picture
        units = [copy.unit for copy in entry.listed][:MAX_HOLDERS]
        nonces = nonces_for(core, units)
        digests = yield DigestFile.of(entry, *nonces)
        assert isinstance(digests, Digests)
        if not digests.whole:
            yield from put_aside(core, entry)
            return False
        yield SavePairs(pairs_of(picture.id, units, core.age_s, nonces, digests.proofs))
        return True

    def _ended(self, picture: Picture, *, gone: bool) -> None:
        _, all_told = self._under_way.pop(picture.id)
        for told in all_told:
            told(gone)
