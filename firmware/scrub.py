"""Scrub: every file, own and held, is read back once in 30 days of operating time, so that rot is found while there are
other copies."""

from __future__ import annotations

from collections.abc import Callable

from firmware.core import Core
from firmware.events import Counted, Counts, DigestFile, Digests, NextFile
from firmware.held import HeldCopies
from firmware.own_copy import put_aside
from firmware.pictures import Entry, PictureId
from firmware.steps import Step
from hal.errors import DandelionError

ROUND_S = 28 * 24 * 3600
"""Operating time of one round through all files: two days are left of 30 for what is in its way."""
LEAST_EVERY_S = 10.0
"""No two files within this: 250,000 of them in 30 days; a twentieth of what a card can read where much is behind."""
COUNT_EVERY_S = 6 * 3600.0
"""The files are counted so often, and how far apart they are read follows from that."""
BUSY_AGAIN_S = 30.0
"""While a transfer is under way or a shot waits, the card is theirs; then it is looked again. Guess."""
LATEST_S = 4 * 3600.0
"""After so long with transfers at each look files are read all the same, or on a channel that is never free none would
be, ever (audits.py has the same)."""
FAILED_S = 3600.0
"""After an error of the own card. Guess."""


class Scrub:
    """One file after the other, in the order of ids; where it is in its round is kept with operating time."""

    def __init__(self, core: Core, held: HeldCopies, busy: Callable[[], bool]) -> None:
        """busy: whether the card is needed for something that cannot wait."""
        self.core = core
        self.checked = self.damaged = 0  # files since the start
        self._held = held
        self._busy = busy
        self._busy_since: float | None = None  # at each look since then
        self._at: float | None = core.now + LEAST_EVERY_S
        self._count_at = core.now
        self._every_s = ROUND_S

    @property
    def after(self) -> PictureId | None:
        """The last file of this round that was read; None: it is about to begin."""
        number = self.core.calendar["scrub_after"]
        return PictureId.decode(number.to_bytes(8)) if number else None

    def tick(self) -> None:
        """Read the next file when it is due."""
        core = self.core
        if self._at is None or core.now < self._at:
            return
        wait_s = core.calendar["scrub_due"] - core.age_s
        if core.now >= self._count_at:
            self._at = None
            core.run(self._count(), on_error=self._failed)
        elif wait_s > 0:
            self._at = min(core.now + max(wait_s, LEAST_EVERY_S), self._count_at)
        elif self._must_wait():
            self._at = core.now + BUSY_AGAIN_S
        else:
            self._at = None
            core.run(self._next(), on_error=self._failed)

    def _must_wait(self) -> bool:
        now = self.core.now
        if not self._busy():
            self._busy_since = None
            return False
        self._busy_since = now if self._busy_since is None else self._busy_since
        return now < self._busy_since + LATEST_S

    def deadline(self) -> float | None:
        """When the next file may be due."""
        return self._at

    def _failed(self, error: DandelionError) -> None:
        self._at = self.core.now + FAILED_S
        self.core.log("card", f"a file could not be read again: {error}")

    def _next(self) -> Step:
        core = self.core
        core.calendar["scrub_due"] += self._every_s
        self._at = core.now + LEAST_EVERY_S
        entry = yield NextFile(self.after)
        if entry is None:
            entry = yield NextFile(None)
        if entry is None:
            core.calendar["scrub_after"] = 0
            core.calendar["scrub_due"] = core.age_s + self._every_s
            return
        core.calendar["scrub_after"] = int.from_bytes(entry.picture.id.encode())
        core.run(self._check(entry.picture.id), entry.picture.id, self._failed)

    def _count(self) -> Step:
        """When the next one is due follows from how many there are."""
        core, rules = self.core, self.core.settings.rules
        counted = yield Counts(rules.copies, rules.wanted(True))
        assert isinstance(counted, Counted)
        self._at, self._count_at = core.now + LEAST_EVERY_S, core.now + COUNT_EVERY_S
        self._every_s = max(int(LEAST_EVERY_S), ROUND_S // max(1, counted.own + counted.held))
        next_s, latest_s = core.calendar["scrub_due"], core.age_s + self._every_s
        core.calendar["scrub_due"] = min(next_s, latest_s) if next_s else latest_s

    def _check(self, picture: PictureId) -> Step:
        entry = yield from self.core.look_up(picture)
        if entry is None or not entry.file:
            return
        digests = yield DigestFile.of(entry)
        assert isinstance(digests, Digests)
        self.checked += 1
        if not digests.whole:
            self.damaged += 1
            yield from self._rotten(entry)

    def _rotten(self, entry: Entry) -> Step:
        """A held file: its owner is told, and makes another copy. An own one is collected from a holder."""
        if entry.attempt is not None:
            yield from self._held.lost(entry)
        else:
            yield from put_aside(self.core, entry)
