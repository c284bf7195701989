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
"""While the card is tight and pictures that could go are being sent, it is looked at again after this long. Guess."""
UNPROVED_S = 600.0
"""Where nothing that is here could be proved, it is asked for again after this long, or when a unit is heard (again).
Guess: a holder that comes back says so itself."""
READY_PICTURES = 2
"""Pictures like the recent ones that should be droppable without asking, while more than PICTURES_AHEAD fit."""


class Drops:
    """Drops cache when the card is tight, and the own file when a person says so.

    Looks through the cache from the oldest on, page by page: what is proved goes, or is asked for; what no holder
    proves now is passed over, so that pictures at a unit that is gone do not keep the others here. At the end, where
    that was not enough, once more with copies_min (*pressed*).
    """

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
        self._pressed = False
        self._after: PictureId | None = None  # the last picture of the pages passed
        self._asked: dict[PictureId, int] = {}  # pictures whose holders are being asked, and their sizes
        self._unproved: set[PictureId] = set()  # of this page, those whose holders did not prove them
        self._exhausted = False  # looked through to the end: nothing can be dropped now
        shutter.may_make_room = self._may_make_room

    @property
    def needed_bytes(self) -> int:
        """Room that should be free at once: two more pictures, a held shot, what a refused unit asked for."""
        ahead = PICTURES_AHEAD * self.core.room.recent_bytes
        return max(ahead, self._shutter.wanted_bytes, self._hostings.wanted_bytes)

    def _may_make_room(self) -> bool:
        """Whether a shot may still find room by what is dropped."""
        return bool(self.core.room.own_bytes) and not self._exhausted

    def tick(self) -> None:
        """Look for cache to drop when room is short and something has changed since the last look."""
        room = self.core.room
        if room.free_bytes >= self._hostings.wanted_bytes:
            self._hostings.wanted_bytes = 0
        soon = max(self.needed_bytes, PROOFS_AHEAD * room.recent_bytes)
        if room.free_bytes >= soon:
            self._from_the_oldest()
            return
        if self._looking or not room.own_bytes:
            return
        seen = (room.free_bytes, room.cache_bytes, self.needed_bytes)
        due = self._again_at is not None and self.core.now >= self._again_at
        if seen == self._seen and not due:
            return
        if self._exhausted:
            self._from_the_oldest()
        self._seen = seen
        self._again_at = None
        self._looking = True
        self.core.run(self._look(), on_error=self._failed)

    def _from_the_oldest(self) -> None:
        self._pressed = self._exhausted = False
        self._after = self._seen = None
        self._unproved.clear()

    def new_boot(self, unit: int) -> None:  # noqa: ARG002 - whichever it is
        """A unit is there (again) and may prove what nobody proved before."""
        self._from_the_oldest()

    def _failed(self, error: Exception) -> None:
        self._looking = False
        self._again_at = self.core.now + UNPROVED_S
        self.core.log("card", f"could not look for pictures to drop: {error}")

    def deadline(self) -> float | None:
        """When the card is looked at again."""
        return self._again_at

    def _look(self) -> Step:
        """One page: drop what is proved and has to go, ask for what is not proved; nothing of both: the next page."""
        core, rules = self.core, self.core.settings.rules
        low = (rules.copies_min, rules.copies_min) if self._pressed else (rules.copies, rules.wanted(True))
        found = yield Cached(*low, PAGE, self._after)
        self._looking = False
        short_bytes = self.needed_bytes - core.room.free_bytes
        ready_bytes = 0  # proved, or being asked for
        wanted_bytes = max(short_bytes, 0 if self._pressed else READY_PICTURES * core.room.recent_bytes)
        for entry in found:
            if ready_bytes >= wanted_bytes:
                return
            picture = entry.picture
            if picture.id in self._asked:
                ready_bytes += picture.size_bytes
            elif self._in_use(picture.id) or entry.file is not File.WHOLE:
                self._again_at = core.now + AGAIN_S
            elif self._is_proved(entry):
                ready_bytes += picture.size_bytes
                if short_bytes > 0:
                    short_bytes -= picture.size_bytes
                    needed = rules.wanted(picture.priority)
                    core.run(self._evict(picture.id, needed, lambda _: None), picture.id)
            elif picture.id not in self._unproved and self._ask(entry):
                ready_bytes += picture.size_bytes
        if not ready_bytes and wanted_bytes > 0:
            self._next_page(found, short_bytes)

    def _is_proved(self, entry: Entry) -> bool:
        """Enough proofs no older than a day; when pressed only those that are asked for now count."""
        return not self._pressed and len(self._proved(entry)) >= self._needed(entry)

    def _needed(self, entry: Entry) -> int:
        rules = self.core.settings.rules
        return rules.copies_min if self._pressed else rules.wanted(entry.picture.priority)

    def _proved(self, entry: Entry) -> frozenset[int]:
        return frozenset(c.unit for c in entry.copies if fresh(c, self.core.boot, self.core.now))

    def _next_page(self, found: list[Entry], short_bytes: int) -> None:
        """Nothing of this one can go: on, at the end once more from the oldest with fewer copies, or wait."""
        self._unproved.clear()
        self._seen = None
        if len(found) == PAGE:
            self._after = found[-1].picture.id
        elif not self._pressed and short_bytes > 0:
            self._pressed, self._after = True, None
        else:
            self._exhausted = True
            room = self.core.room
            self._seen = (room.free_bytes, room.cache_bytes, self.needed_bytes)
            self._again_at = self._again_at or self.core.now + UNPROVED_S

    def _ask(self, entry: Entry) -> bool:
        """Ask its holders for proofs; pressed, the file goes once enough have come. False: too few are heard."""
        picture, pressed, needed = entry.picture.id, self._pressed, self._needed(entry)
        proved = set() if pressed else set(self._proved(entry))
        waiting = {c.unit for c in entry.verified if c.unit not in proved and self._is_heard(c.unit)}
        if len(proved) + len(waiting) < needed:
            return False
        self._asked[picture] = entry.picture.size_bytes

        def told(unit: int) -> Callable[[bool], None]:
            def answer(right: bool) -> None:
                waiting.discard(unit)
                if right:
                    proved.add(unit)
                if waiting and len(proved) < needed:
                    return
                if self._asked.pop(picture, None) is None:
                    return  # settled before
                self._seen = None
                if len(proved) < needed:
                    self._unproved.add(picture)
                elif pressed:
                    self.core.run(self._evict(picture, needed, lambda _: None), picture)

            return answer

        for unit in sorted(waiting):
            answer = told(unit)
            if not self._proofs.ask(entry, unit, answer):
                answer(False)
        return picture in self._asked

    def _is_heard(self, unit: int) -> bool:
        neighbour = self.core.neighbours.find(unit)
        return neighbour is not None and not neighbour.silent(self.core.now)

    def _evict(self, picture: PictureId, needed: int, told: Callable[[bool], None]) -> Step:
        """O5, on the picture as it is now."""
        core = self.core
        entry = yield from core.look_up(picture)
        if entry is None or entry.file is not File.WHOLE or self._in_use(picture):
            told(entry is not None and entry.file is File.GONE)
            return
        proved = self._proved(entry)
        effects = handover.owner(Owner(entry, core.next_attempt), handover.Evict(needed, proved))
        yield from core.carry_out(entry.picture, entry, effects)
        if effects:
            units = ", ".join(str(u) for u in sorted(proved))
            core.log("dropped", f"the own file of picture {picture} was dropped; unit {units} holds it", picture)
        else:
            self._again_at = core.now + AGAIN_S
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
        if len(self._proved(entry)) >= needed:
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
