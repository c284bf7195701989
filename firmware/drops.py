"""Freeing the own card: cache is dropped ahead of need, and never without fresh proofs (DESIGN §5, HANDOVER O5)."""

from __future__ import annotations

from firmware.core import Core
from firmware.determine import PICTURES_AHEAD, PROOFS_AHEAD
from firmware.events import Cached
from firmware.evictions import Evictions
from firmware.hosting import Hostings
from firmware.pictures import Entry, File, PictureId
from firmware.proofs import Proofs
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

    def __init__(self, core: Core, proofs: Proofs, shutter: Shutter, hostings: Hostings, evictions: Evictions) -> None:
        self.core = core
        self._proofs = proofs
        self._shutter = shutter
        self._hostings = hostings
        self._evictions = evictions
        self._looking = False
        self._seen: tuple[int, int, int] | None = None
        self._again_at: float | None = None
        self._rests_until = core.now  # after a drop that came to nothing
        self._ticked_at = core.now
        self._pressed = False
        self._after: PictureId | None = None  # the last picture of the pages passed
        self._asked: set[PictureId] = set()  # pictures whose holders are being asked
        self._unproved: set[PictureId] = set()  # of this page, those whose holders did not prove them
        self._ended = False  # looked through to the end; the next look is from the oldest on
        self._exhausted = False  # and nothing there can be dropped now
        shutter.may_make_room = self._may_make_room

    @property
    def _own_needed_bytes(self) -> int:
        """Room that should be free at once for shots: two more pictures, and a held one."""
        return max(PICTURES_AHEAD * self.core.room.recent_bytes, self._shutter.wanted_bytes)

    @property
    def _needed_bytes(self) -> int:
        """The same, and what a refused unit has asked for lately."""
        ahead_bytes = PICTURES_AHEAD * self.core.room.recent_bytes
        return max(ahead_bytes, self._shutter.wanted_bytes, self._hostings.wanted_bytes)

    @property
    def _free_bytes(self) -> int:
        """Free now, or soon."""
        return self.core.room.free_bytes + self._evictions.size_bytes

    def _is_pressed(self) -> bool:
        return self._free_bytes < self._own_needed_bytes

    @property
    def lacking_bytes(self) -> int:
        """Room that shots want and that nothing of this unit's own can make: only what it holds for others could."""
        if self._may_make_room() or not self._is_pressed():
            return 0
        return self._own_needed_bytes - self._free_bytes

    def _may_make_room(self) -> bool:
        """Whether a shot may still find room by what is dropped."""
        return bool(self.core.room.own_bytes) and not self._exhausted

    def tick(self) -> None:
        """Look for cache to drop when room is short and something has changed since the last look."""
        room, self._ticked_at = self.core.room, self.core.now
        needed_bytes, free_bytes = self._needed_bytes, self._free_bytes
        soon_bytes = max(needed_bytes, PROOFS_AHEAD * room.recent_bytes)
        if free_bytes >= soon_bytes or not room.own_bytes:
            self._from_the_oldest()
            self._again_at = None
            return
        if self._looking or self.core.now < self._rests_until:
            return
        seen = (free_bytes, room.cache_bytes, needed_bytes)
        due = self._again_at is not None and self.core.now >= self._again_at
        if seen == self._seen and not due:
            return
        if self._ended or (self._pressed and not self._is_pressed()):
            self._from_the_oldest()
        self._seen = seen
        self._again_at = None
        self._looking = True
        self.core.run(self._look(), on_error=self._failed)

    def _from_the_oldest(self) -> None:
        self._pressed = self._ended = self._exhausted = False
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
        if self._looking:
            return None
        rests_until = self._rests_until if self._rests_until > self._ticked_at else None
        return min((at for at in (self._again_at, rests_until) if at is not None), default=None)

    def _look(self) -> Step:
        """One page: drop what is proved and has to go, ask for what is not proved; nothing of both: the next page."""
        core, rules = self.core, self.core.settings.rules
        low = (rules.copies_min, rules.copies_min) if self._pressed else (rules.copies, rules.wanted(True))
        found = yield Cached(*low, PAGE, self._after)
        self._looking = False
        needed_bytes = self._own_needed_bytes if self._pressed else self._needed_bytes
        short_bytes = needed_bytes - self._free_bytes
        wanted_bytes = max(short_bytes, 0 if self._pressed else READY_PICTURES * core.room.recent_bytes)
        ready_bytes = 0  # dropped, proved, or being asked for
        for entry in found:
            if ready_bytes >= wanted_bytes:
                return
            if self._is_ready(entry, drop=ready_bytes < short_bytes):
                ready_bytes += entry.picture.size_bytes
        if not ready_bytes and wanted_bytes > 0:
            self._next_page(found)

    def _is_ready(self, entry: Entry, *, drop: bool) -> bool:
        """Whether it is proved, and being dropped where it has to, or its holders are being asked for that."""
        picture = entry.picture
        if self._evictions.in_use(picture.id) or entry.file is not File.WHOLE:
            self._again_at = self.core.now + AGAIN_S
            return False
        if not self._pressed and len(self._evictions.proved(entry)) >= self._needed(entry):
            if drop:
                self._evictions.begin(picture, self._needed(entry), self._dropped)
            return True
        return picture.id in self._asked or (picture.id not in self._unproved and self._ask(entry))

    def _needed(self, entry: Entry) -> int:
        """Proofs that there must be: as many as copies are wanted; when pressed copies_min, asked for now."""
        rules = self.core.settings.rules
        return rules.copies_min if self._pressed else rules.wanted(entry.picture.priority)

    def _dropped(self, gone: bool) -> None:
        self._seen = None
        if not gone:
            self._again_at = self._rests_until = self.core.now + AGAIN_S

    def _next_page(self, found: list[Entry]) -> None:
        """Nothing of this one can go: on, at the end once more from the oldest with fewer copies, or wait."""
        self._unproved.clear()
        self._seen = None
        if len(found) == PAGE:
            self._after = found[-1].picture.id
        elif not self._pressed and self._is_pressed():
            self._pressed, self._after = True, None
        else:
            self._ended = True
            self._exhausted = self._again_at is None  # else some are being sent, and may go when that has ended
            self._seen = (self._free_bytes, self.core.room.cache_bytes, self._needed_bytes)
            self._again_at = self._again_at or self.core.now + UNPROVED_S

    def _ask(self, entry: Entry) -> bool:
        """Ask its holders for proofs; pressed, the file goes once enough have come. False: too few are heard."""
        picture, pressed, needed = entry.picture, self._pressed, self._needed(entry)
        fresh = frozenset[int]() if pressed else self._evictions.proved(entry)
        neighbours, now = self.core.neighbours, self.core.now
        heard = {c.unit for c in entry.verified if c.unit not in fresh and neighbours.is_heard(c.unit, now)}
        if len(fresh) + len(heard) < needed:
            return False
        self._asked.add(picture.id)

        def done(proved: frozenset[int]) -> None:
            self._asked.discard(picture.id)
            self._seen = None
            if len(fresh) + len(proved) < needed:
                self._unproved.add(picture.id)
            elif pressed and self._is_pressed():
                self._evictions.begin(picture, needed, self._dropped)

        self._proofs.ask_all(entry, heard, done, enough=needed - len(fresh))
        return picture.id in self._asked
