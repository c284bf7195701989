"""Own pictures brought back onto the own card: they lack copies, or their file was damaged here (HANDOVER R2, O8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from firmware.core import Core
from firmware.determine import PICTURES_AHEAD, Policy
from firmware.dispersal import Dispersals
from firmware.events import Away
from firmware.hosting import Hostings
from firmware.neighbours import Neighbour
from firmware.pictures import Entry, File, PictureId
from firmware.readout import ReadOuts
from firmware.steps import Step
from hal.errors import DandelionError

PAGE = 8
"""Pictures looked at in one turn; one of them is brought back at a time."""
FIRST_S, EVERY_S = 60.0, 600.0
"""After the start, and between two looks while nothing is brought back. Guesses: what is lacking a copy has another."""
SOON_S = 1.0
"""After one was brought back, or something changed that concerns this."""
PROVE_WITHIN_S = 3600.0
"""A suspect holder that is heard gets so long to prove a copy before it is given it anew: as long as doubts are looked
through at least (firmware/doubts.py)."""
MAX_DOUBTED = 64
"""Pictures waited with for that; beyond it the one that waits longest begins anew."""
MAX_SKIPPED = 64
"""Pictures passed over in one round, because nobody could give them, or there was no use in it."""


class Repairs:
    """A further copy is made from the own file: where that is gone, it is collected from a holder first. One by one."""

    def __init__(self, core: Core, dispersals: Dispersals, read_outs: ReadOuts, hostings: Hostings) -> None:
        self.core = core
        self._dispersals = dispersals
        self._read_outs = read_outs
        self._hostings = hostings
        self._skipped: set[PictureId] = set()
        self._doubted_since: dict[PictureId, float] = {}  # of those that only a suspect holder could take
        self._busy = False
        self._at = core.now + FIRST_S

    def new_boot(self, unit: int) -> None:  # noqa: ARG002 - whichever it is
        """A unit is there (again), that may give a picture or take a copy."""
        self._skipped.clear()
        self._soon()

    def _soon(self) -> None:
        self._at = min(self._at, self.core.now + SOON_S)

    def tick(self) -> None:
        """Begin the next one."""
        damaged = self.core.damaged
        if self._busy or (self.core.now < self._at and not damaged):
            return
        self._at = self.core.now + EVERY_S
        self._busy = True
        if damaged:
            picture = damaged.popleft()
            self.core.run(self._bring_back(picture), picture, self._failed)
        else:
            self.core.run(self._look(), on_error=self._failed)

    def deadline(self) -> float | None:
        """When it is looked for something to do."""
        return None if self._busy else self._at

    def _failed(self, error: DandelionError) -> None:
        self._busy = False
        self.core.log("card", f"pictures that lack copies could not be brought back: {error}")

    def _look(self) -> Step:
        """The first one that somebody heard has, and somebody else heard may take."""
        rules = self.core.settings.rules
        found: list[Entry] = []
        if rules.policy is not Policy.NEVER:
            found = yield Away(rules.copies, rules.wanted(True), PAGE, frozenset(self._skipped))
        entry = next((entry for entry in found if self.is_useful(entry)), None)
        self._skipped |= {passed.picture.id for passed in found if passed is not entry}
        if len(self._skipped) > MAX_SKIPPED or not found:
            self._skipped.clear()
        if entry is not None:
            self._recall(entry, self._came)
        else:
            self._busy = False
            if self._skipped:
                self._soon()

    def is_useful(self, entry: Entry) -> bool:
        """Whether somebody heard can give it, and somebody else heard may take a copy.

        One whose copy is suspect may take it anew where there is no other, but gets time first to prove what it has.
        """
        core, now, pid = self.core, self.core.now, entry.picture.id
        if core.counts_elsewhere(pid):
            return False
        takers = {n.unit for n in core.neighbours if self._may_take(n, entry)}
        gives = any(core.neighbours.is_heard(copy.unit, now) for copy in entry.verified)
        if not gives or not takers:
            return False
        if takers - {copy.unit for copy in entry.listed}:
            return True
        if pid not in self._doubted_since and len(self._doubted_since) >= MAX_DOUBTED:
            del self._doubted_since[next(iter(self._doubted_since))]
        return now >= self._doubted_since.setdefault(pid, now) + PROVE_WITHIN_S

    def _may_take(self, neighbour: Neighbour, entry: Entry) -> bool:
        return (
            neighbour.hosting
            and not neighbour.silent(self.core.now)
            and neighbour.refused_until <= self.core.now
            and neighbour.room_bytes >= entry.picture.size_bytes
            and all(copy.unit != neighbour.unit for copy in entry.verified)
        )

    def _bring_back(self, picture: PictureId) -> Step:
        entry = yield from self.core.look_up(picture)
        if entry is None or entry.deleted or entry.file is not File.GONE or not entry.verified:
            self._busy = False
            self._soon()
        else:
            self._recall(entry, self._came)

    def recall(self, entry: Entry, done: Callable[[bool], None]) -> None:
        """For whoever needs the bytes of one picture here; done: they are."""
        self._recall(entry, lambda _entry, came, _why: done(came))

    def _recall(self, entry: Entry, done: Callable[[Entry, bool, str], None]) -> None:
        """Only onto a card that is not tight with it: what pressed shots would drop again need not come."""
        room = self.core.room
        needed_bytes = entry.picture.size_bytes + PICTURES_AHEAD * room.recent_bytes
        if room.free_bytes < needed_bytes:
            self._hostings.want(needed_bytes)  # what can be dropped makes room, for the next time
            done(entry, False, f"the card has {room.free_bytes} bytes of room and {needed_bytes} are needed")
        else:
            self._read_outs.recall(entry, partial(done, entry))

    def _came(self, entry: Entry, came: bool, why: str) -> None:
        self._busy = False
        picture = entry.picture.id
        if came:
            self.core.log("adopted", f"picture {picture} is here again", picture)
            self._soon()
        else:
            self._skipped.add(picture)
            self.core.log("refused", f"picture {picture} could not be brought back here: {why}", picture)
