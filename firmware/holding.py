"""Pictures held for others between their hand-over and their end: HOLD (R4), INVENTORY (R7), background checks."""

from __future__ import annotations

from firmware import messages as m
from firmware import own_copy
from firmware.core import Core
from firmware.events import Held, Unchecked
from firmware.held import HeldCopies
from firmware.pictures import UNKNOWN_ATTEMPT, PictureId
from firmware.steps import Step

HOLD_FIRST_S, HOLD_LONGEST_S = 5.0, 24 * 3600.0
"""Owners of copies without KEEP are asked so long after the last change, then ever more seldom, up to daily (R4)."""
PAGE = 16
"""HOLDs said in one turn, half a second of a 9600 line."""
CHECK_AGAIN_S = 3600.0
"""A file that could not be read to be checked is tried again after this long; guess."""
PAGE_EVERY_S = 2.0
"""Between two turns of a sweep that has more than a page."""


class Holding:
    """Asks owners about copies without KEEP, answers INVENTORY, checks files that were adopted by name."""

    def __init__(self, core: Core, held: HeldCopies) -> None:
        self.core = core
        self._held = held
        self._sweep_at: float | None = core.now + HOLD_FIRST_S
        self._every_s = HOLD_FIRST_S
        self._after: PictureId | None = None
        self._checking = False
        self._checked: PictureId | None = None  # the last one in this round
        self._check_at: float | None = core.now  # when files not checked yet are looked for; None: there are none
        self._again_at: float | None = None  # when what failed in this round is tried again

    def stored(self) -> None:
        """A copy was stored or a unit is there (again): ask soon for KEEPs that do not come by themselves."""
        self._every_s = HOLD_FIRST_S
        soon = self.core.now + HOLD_FIRST_S
        if self._sweep_at is not None:
            self._sweep_at = min(self._sweep_at, soon)

    def _sweep(self) -> Step:
        found = yield Held(None, self._after, PAGE, unkept_only=True)
        for entry in found:
            neighbour = self.core.neighbours.find(self.core.owner_of(entry.picture.id.unit))
            if neighbour is not None and not neighbour.silent(self.core.now):
                assert entry.attempt is not None
                self.core.say(neighbour.unit, m.Hold(entry.picture.id, entry.attempt, entry.picture.digest4))
        if len(found) == PAGE:
            self._after = found[-1].picture.id
            self._sweep_at = self.core.now + PAGE_EVERY_S
        else:
            if not found and self._after is None:
                self._every_s = HOLD_LONGEST_S  # all have their KEEP; the next one without it is told of by core.unkept
            self._after = None
            self._sweep_at = self.core.now + self._every_s
            self._every_s = min(2 * self._every_s, HOLD_LONGEST_S)

    def on_inventory_ask(self, source: int, ask: m.InventoryAsk, rows: int) -> None:
        """A page of what is held here for its asker; only owners are answered."""
        if self.core.owner_of(ask.owner) == source:
            self.core.run(self._inventory(source, ask, rows))

    def _inventory(self, source: int, ask: m.InventoryAsk, rows: int) -> Step:
        found = yield Held(ask.owner, ask.after, rows)
        page = tuple(m.InventoryRow(e.picture, UNKNOWN_ATTEMPT if e.attempt is None else e.attempt) for e in found)
        self.core.say(source, m.Inventory(ask.owner, page, len(found) < rows))

    # ------------------------------------------------------------ digests of files adopted by name

    def _check_next(self) -> Step:
        found = yield Unchecked(1, self._checked)
        if not found:
            self._checking = False
            self._checked = None
            self._check_at, self._again_at = self._again_at, None
            return
        picture: PictureId = found[0].picture.id
        self._checked = picture
        self.core.run(self._check(picture), picture, self._check_failed)

    def _check(self, picture: PictureId) -> Step:
        core = self.core
        entry = yield from core.look_up(picture)
        if entry is not None and entry.attempt is not None:
            yield from self._held.check(entry)
        elif entry is not None:
            yield from own_copy.check(core, entry)
        self._checking = False

    def _check_failed(self, error: Exception) -> None:
        """The next one may be readable; this one is tried again later."""
        self._checking = False
        self._again_at = self.core.now + CHECK_AGAIN_S
        self.core.log("card", f"a file could not be checked: {error}")

    def _cannot_look(self, error: Exception) -> None:
        self._checking = False
        self._check_at, self._again_at = self.core.now + CHECK_AGAIN_S, None
        self.core.log("card", f"files could not be checked: {error}")

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """HOLDs that are due; one unchecked file after the other."""
        if self.core.unkept:
            self.core.unkept = False
            self.stored()
        if self._sweep_at is not None and self.core.now >= self._sweep_at:
            self._sweep_at = None
            self.core.run(self._sweep(), on_error=self._sweep_failed)
        if not self._checking and self._check_at is not None and self.core.now >= self._check_at:
            self._checking = True
            self.core.run(self._check_next(), on_error=self._cannot_look)

    def _sweep_failed(self, error: Exception) -> None:
        self._sweep_at = self.core.now + HOLD_LONGEST_S
        self.core.log("card", f"could not look through the pictures held: {error}")

    def deadline(self) -> float | None:
        """When tick has something to do."""
        check_at = None if self._checking else self._check_at
        if self._sweep_at is None or check_at is None:
            return self._sweep_at if check_at is None else check_at
        return min(self._sweep_at, check_at)
