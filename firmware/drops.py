"""Freeing the own card: cache is dropped ahead of need, and never without fresh proofs (DESIGN §5, HANDOVER O5)."""

from __future__ import annotations

from collections.abc import Callable

from firmware import handover
from firmware.core import Core
from firmware.determine import PICTURES_AHEAD, PROOFS_AHEAD
from firmware.errors import Refused
from firmware.events import Cached
from firmware.handover import Owner
from firmware.hosting import Hostings
from firmware.pictures import Entry, File, PictureId
from firmware.proofs import Proofs, fresh
from firmware.shutter import Shutter
from firmware.steps import Step

PAGE = 8
"""Cached pictures looked at in one turn."""
AGAIN_S = 5.0
"""While the card is tight and proofs are awaited, it is looked at again after this long."""


class Drops:
    """Drops cache when the card is tight, and the own file when a person says so."""

    def __init__(
        self, core: Core, proofs: Proofs, shutter: Shutter, hostings: Hostings, in_use: Callable[[PictureId], bool]
    ) -> None:
        self.core = core
        self._proofs = proofs
        self._shutter = shutter
        self._hostings = hostings
        self._in_use = in_use  # whether a picture's bytes are being sent somewhere
        self._looking = False
        self._seen: tuple[int, int, int] | None = None
        self._again_at: float | None = None

    @property
    def needed_bytes(self) -> int:
        """Room that should be free at once: two more pictures, a held shot, what a refused unit asked for."""
        ahead = PICTURES_AHEAD * self.core.room.recent_bytes
        return max(ahead, self._shutter.wanted_bytes, self._hostings.wanted_bytes)

    def tick(self) -> None:
        """Look for cache to drop when room is short and something has changed since the last look."""
        room = self.core.room
        if room.free_bytes >= self._hostings.wanted_bytes:
            self._hostings.wanted_bytes = 0
        soon = max(self.needed_bytes, PROOFS_AHEAD * room.recent_bytes)
        if room.free_bytes >= soon or self._looking or not room.own_bytes:
            return
        seen = (room.free_bytes, room.cache_bytes, self.needed_bytes)
        due = self._again_at is not None and self.core.now >= self._again_at
        if seen == self._seen and not due:
            return
        self._seen = seen
        self._again_at = None
        self._looking = True
        self.core.run(self._look(), on_error=self._failed)

    def _failed(self, error: Exception) -> None:
        self._looking = False
        self.core.log("card", f"could not look for pictures to drop: {error}")

    def deadline(self) -> float | None:
        """When the card is looked at again."""
        return self._again_at

    def _look(self) -> Step:
        core, rules = self.core, self.core.settings.rules
        cached = yield Cached(rules.copies, rules.wanted(True), PAGE)
        pressed = not cached and core.room.free_bytes < self.needed_bytes
        if pressed:
            cached = yield Cached(rules.copies_min, rules.copies_min, PAGE)
        self._looking = False
        short = self.needed_bytes - core.room.free_bytes
        asked_bytes = 0
        for entry in cached:
            if self._in_use(entry.picture.id):
                self._again_at = core.now + AGAIN_S
                continue
            needed = rules.copies_min if pressed else rules.wanted(entry.picture.priority)
            proved = frozenset(c.unit for c in entry.copies if fresh(c, core.boot, core.now))
            if len(proved) >= needed and not pressed:
                if short > 0:
                    short -= entry.picture.size_bytes
                    core.run(self._evict(entry.picture.id, needed, lambda _: None), entry.picture.id)
            elif asked_bytes < max(short, core.room.recent_bytes):
                asked_bytes += entry.picture.size_bytes
                self._ask_all(entry, needed if pressed else 0)
                self._again_at = core.now + AGAIN_S

    def _ask_all(self, entry: Entry, drop_with: int) -> None:
        """Ask every holder for a proof now; with drop_with > 0 the file goes once so many have come."""
        proved: set[int] = set()

        def told(unit: int) -> Callable[[bool], None]:
            def answer(right: bool) -> None:
                if right:
                    proved.add(unit)
                self._seen = None
                if drop_with and len(proved) >= drop_with:
                    self.core.run(self._evict(entry.picture.id, drop_with, lambda _: None), entry.picture.id)

            return answer

        for copy in entry.verified:
            self._proofs.ask(entry, copy.unit, told(copy.unit))

    def _evict(self, picture: PictureId, needed: int, told: Callable[[bool], None]) -> Step:
        """O5, on the picture as it is now."""
        core = self.core
        entry = yield from core.look_up(picture)
        if entry is None or entry.file is not File.WHOLE or self._in_use(picture):
            told(entry is not None and entry.file is File.GONE)
            return
        proved = frozenset(c.unit for c in entry.copies if fresh(c, core.boot, core.now))
        effects = handover.owner(Owner(entry, core.next_attempt), handover.Evict(needed, proved))
        yield from core.carry_out(entry.picture, entry, effects)
        if effects:
            units = ", ".join(str(u) for u in sorted(proved))
            core.log("dropped", f"the own file of picture {picture} was dropped; unit {units} holds it", picture)
        told(bool(effects))

    # ------------------------------------------------------------ by hand

    def drop(self, ticket: int, picture: PictureId) -> None:
        """`drop`: asks the holders for proofs now where they are not fresh."""
        self.core.run(self._drop(ticket, picture), picture, lambda e: self._refuse(ticket, picture, str(e)))

    def _drop(self, ticket: int, picture: PictureId) -> Step:
        core, needed = self.core, self.core.settings.rules.copies_min
        entry = yield from core.look_up(picture)
        if entry is None or entry.deleted or picture.unit != core.unit:
            self._refuse(ticket, picture, "it is no picture of this unit")
            return
        if entry.file is File.GONE:
            core.done(ticket)
            return
        if self._in_use(picture):
            self._refuse(ticket, picture, "it is being sent to another unit now")
            return
        proved = [c for c in entry.copies if fresh(c, core.boot, core.now)]
        if len(proved) >= needed:
            yield from self._evict_told(ticket, picture, needed)
            return
        waiting = {c.unit for c in entry.listed}
        if len(waiting) < needed:
            self._refuse(ticket, picture, f"{len(waiting)} other units hold it and {needed} are needed")
            return
        self._ask_then_drop(ticket, entry, needed, waiting)

    def _ask_then_drop(self, ticket: int, entry: Entry, needed: int, waiting: set[int]) -> None:
        picture = entry.picture.id
        proved: set[int] = set()

        def told(unit: int) -> Callable[[bool], None]:
            def answer(right: bool) -> None:
                waiting.discard(unit)
                if right:
                    proved.add(unit)
                if waiting:
                    return
                if len(proved) >= needed:
                    self.core.run(self._evict_told(ticket, picture, needed), picture)
                else:
                    self._refuse(ticket, picture, f"{len(proved)} units have proved it now and {needed} are needed")

            return answer

        for unit in sorted(waiting):
            if not self._proofs.ask(entry, unit, told(unit)):
                told(unit)(False)

    def _evict_told(self, ticket: int, picture: PictureId, needed: int) -> Step:
        def told(dropped: bool) -> None:
            if dropped:
                self.core.done(ticket)
            else:
                self._refuse(ticket, picture, "its proofs are not fresh any more")

        yield from self._evict(picture, needed, told)

    def _refuse(self, ticket: int, picture: PictureId, why: str) -> None:
        self.core.failed(
            ticket,
            Refused(
                f"the own file of picture {picture} was not dropped: {why}",
                did="nothing was changed",
                can="see `whereis` for who holds it, or make another copy with `copy`",
            ),
        )
