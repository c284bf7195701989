"""`drop`: the own file goes when a person says so, with proofs asked for where they are not fresh (DESIGN §9)."""

from __future__ import annotations

from firmware.commands import DropOwn
from firmware.core import Core
from firmware.errors import Refused
from firmware.evictions import Evictions
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.proofs import Proofs
from firmware.steps import Step
from firmware.wording import so_many


class DropByHand:
    """Answers to `drop`."""

    def __init__(self, core: Core, proofs: Proofs, evictions: Evictions) -> None:
        self.core = core
        self._proofs = proofs
        self._evictions = evictions

    def drop(self, command: DropOwn) -> None:
        """Done once the file is gone, which it may be already."""
        ticket, picture = command.ticket, command.picture
        self.core.run(self._drop(ticket, picture), picture, lambda e: self._refuse(ticket, picture, str(e)))

    def _drop(self, ticket: int, picture: PictureId) -> Step:
        core, needed = self.core, self.core.settings.rules.copies_min
        entry = yield from core.look_up(picture)
        if entry is None or entry.deleted or not core.is_ours(picture):
            self._refuse(ticket, picture, "it is no picture of this unit")
            return
        if entry.file is File.GONE:
            core.done(ticket)
            return
        if self._evictions.in_use(picture):
            self._refuse(ticket, picture, "it is being sent or read out now")
            return
        if len(self._evictions.proved(entry)) >= needed:
            self._evict(ticket, entry.picture, needed)
            return
        holders = {c.unit for c in entry.listed}
        if len(holders) < needed:
            self._refuse(
                ticket,
                picture,
                f"{so_many(len(holders), 'other unit holds', 'other units hold')} it, of {needed} needed",
            )
            return
        self._ask_then_drop(ticket, entry, needed, holders)

    def _ask_then_drop(self, ticket: int, entry: Entry, needed: int, holders: set[int]) -> None:
        picture = entry.picture

        def done(proved: frozenset[int]) -> None:
            if len(proved) >= needed:
                self._evict(ticket, picture, needed)
            else:
                have = so_many(len(proved), "unit has", "units have")
                self._refuse(ticket, picture.id, f"{have} proved it now, of {needed} needed")

        self._proofs.ask_all(entry, holders, done, enough=needed)

    def _evict(self, ticket: int, picture: Picture, needed: int) -> None:
        def told(gone: bool) -> None:
            if gone:
                self.core.done(ticket)
            else:
                self._refuse(ticket, picture.id, "its proofs are not fresh any more, or it is wanted now")

        self._evictions.begin(picture, needed, told)

    def _refuse(self, ticket: int, picture: PictureId, why: str) -> None:
        self.core.failed(
            ticket,
            Refused(
                f"the own file of picture {picture} was not dropped: {why}",
                did="nothing was changed",
                can="see `whereis` for who holds it, or make another copy with `copy`",
            ),
        )
