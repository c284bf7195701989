"""Own pictures in doubt, looked through now and then: suspect copies are checked, open attempts taken up (R4)."""

from __future__ import annotations

from firmware import handover
from firmware.adoption import Adoptions
from firmware.audits import Audits
from firmware.core import Core
from firmware.events import OwnInDoubt
from firmware.handover import Owner
from firmware.pictures import Entry, File, PictureId
from firmware.proofs import Proofs
from firmware.readout import ReadOuts
from firmware.steps import Step

FIRST_S, LONGEST_S = 20.0, 3600.0
"""They are looked through so long after the start, then ever more seldom, up to hourly. Guesses."""
BOOT_S = 2.0
"""And so long after a unit is heard (again): other questions go first. Guess."""
PAGE = 16
"""Pictures looked at in one turn."""
PAGES_APART_S = 1.0
"""Between two turns of one look, so that answers to the first come before the next questions. Guess."""
CHECKS_PER_UNIT = 1
"""Copies read out at once from one unit for a check: it serves an asker two read-outs, and people's come first."""


class Doubts:
    """One look after the other."""

    def __init__(self, core: Core, proofs: Proofs, audits: Audits, readouts: ReadOuts, adoptions: Adoptions) -> None:
        self.core = core
        self._proofs = proofs
        self._audits = audits
        self._readouts = readouts
        self._adoptions = adoptions
        adoptions.in_doubt = self.soon
        self._at: float | None = core.now + FIRST_S  # None: one is under way
        self._every_s = FIRST_S
        self._after: PictureId | None = None
        self._checking: set[tuple[PictureId, int]] = set()
        self._held_back = False  # checks that wait until one of those under way has ended

    def soon(self, after: PictureId | None = None) -> None:
        """There is something to look at, behind this picture."""
        self._at = self.core.now
        self._after = after

    def _look(self) -> Step:
        """Suspect copies are proved or read out once; attempts that nobody works on are taken up or abandoned."""
        core = self.core
        found = yield OwnInDoubt(self._after, PAGE)
        for entry in found:
            for copy in entry.copies:
                neighbour = core.neighbours.find(copy.unit)
                if neighbour is None or neighbour.silent(core.now):
                    continue
                if copy.open:
                    self._adoptions.take_up(entry, copy)
                elif copy.listed and copy.suspect:
                    self._check(entry, copy.unit)
        if len(found) == PAGE:
            self._after = found[-1].picture.id
            self._at = core.now + PAGES_APART_S
        else:
            nothing = not found and self._after is None
            self._every_s = LONGEST_S if nothing else min(2 * self._every_s, LONGEST_S)
            if self._at is None:
                self._after = None
                self._at = core.now + self._every_s

    def _check(self, entry: Entry, unit: int) -> None:
        """A suspect copy: a proof where we have the bytes, else it is read out once without being stored (R4)."""
        if entry.file is not File.GONE:
            self._proofs.ask(entry, unit, lambda _right: None)
            return
        key = (entry.picture.id, unit)
        if key in self._checking:
            return
        if sum(1 for _, asked in self._checking if asked == unit) >= CHECKS_PER_UNIT:
            self._held_back = True
            return
        self._checking.add(key)

        def proved(right: bool | None) -> None:
            """With a pair that was made while the bytes were here, nothing needs to be read out."""
            if right is None:
                self._readouts.check(entry, unit, done)
            else:
                self._checking.discard(key)
                self._go_on_checking(entry)

        def done(right: bool, why: str) -> None:
            self._checking.discard(key)
            self._go_on_checking(entry)
            if right:
                self._every_s = FIRST_S
                self.core.run(self._checked(entry.picture.id, unit), entry.picture.id)
            else:
                pid = entry.picture.id
                self.core.log(
                    "suspect", f"the copy of picture {pid} at unit {unit} could not be checked: {why}", pid, unit
                )

        self._audits.prove_with_pair(entry, unit, proved)

    def _go_on_checking(self, entry: Entry) -> None:
        """The next one, if one had to wait for this."""
        if self._held_back:
            self._held_back = False
            self.soon(after=entry.picture.id)

    def _checked(self, picture: PictureId, unit: int) -> Step:
        core = self.core
        entry = yield from core.look_up(picture)
        if entry is None:
            return
        event = handover.Audited(unit, entry.copy_at(unit).listed, True, core.stamp())
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        yield from core.carry_out(entry.picture, entry, effects)
        core.log("verified", f"the copy of picture {picture} at unit {unit} was read out and is right", picture, unit)

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Look when it is time."""
        if self._at is not None and self.core.now >= self._at:
            self._at = None
            self.core.run(self._look(), on_error=self._failed)

    def _failed(self, error: Exception) -> None:
        self._at = self.core.now + LONGEST_S
        self.core.log("card", f"could not look through the pictures in doubt: {error}")

    def deadline(self) -> float | None:
        """When the next look is due."""
        return self._at

    def new_boot(self, unit: int) -> None:  # noqa: ARG002 - whichever it is
        """A unit is there (again): doubts about it are looked at soon."""
        self._every_s = FIRST_S
        if self._at is not None:
            self._at = min(self._at, self.core.now + BOOT_S)
