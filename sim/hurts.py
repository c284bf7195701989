"""What lost cards, rot and lost catalogues excuse, exactly (HANDOVER §2: "not across a lost card or rot")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from firmware import events as e
from firmware.pictures import Entry, PictureId
from sim.machine import Machine

if TYPE_CHECKING:
    from sim.checks import Truth

ALL = 1_000_000  # rows; more than any world has on one card


class Hurts:
    """Copies that were physically destroyed, and lists that were. A copy that is whole again is hurt no longer."""

    def __init__(self, machines: Mapping[int, Machine]) -> None:
        self._machines = machines
        self._hurt: dict[tuple[int, PictureId], float] = {}  # -> attempts below this one may name it
        self._unlisted: set[PictureId] = set()  # the origin's list was lost; R4 and R7 bring it back

    # ------------------------------------------------------------ what happens

    def card_lost(self, unit: int, truths: dict[PictureId, Truth]) -> None:
        """Just before the unit gets a new card."""
        for entry in all_rows(self._machines[unit]):
            picture = entry.picture.id
            self._hit(unit, picture, truths, self._machines[picture.unit].catalogue.counter("next_attempt", 1))
        self.catalogue_lost(unit, truths)

    def catalogue_lost(self, unit: int, truths: dict[PictureId, Truth]) -> None:
        """Just before the unit's catalogue goes: with it go its list, and tombstones that nobody else has."""
        for picture, truth in truths.items():
            if picture.unit != unit:
                continue
            self._unlisted.add(picture)
            if truth.deleted and not self._buried_elsewhere(picture):
                truth.deleted = False
                truth.lost = True  # whoever still holds it may bring it back; nobody must

    def rotted(self, unit: int, picture: PictureId, truths: dict[PictureId, Truth]) -> None:
        """A bit of this unit's file has turned over; its row stays, and until somebody reads the file nobody knows."""
        self._hit(unit, picture, truths, math.inf)

    def _hit(self, unit: int, picture: PictureId, truths: dict[PictureId, Truth], below: float) -> None:
        self._hurt[unit, picture] = below
        truth = truths.get(picture)
        if truth is None:
            return
        if unit == picture.unit:
            truth.here = False
        truth.holders.discard(unit)
        if not truth.here and not truth.holders:
            truth.lost = True

    def _buried_elsewhere(self, picture: PictureId) -> bool:
        others = (machine.entry(picture) for unit, machine in self._machines.items() if unit != picture.unit)
        return any(entry is not None and entry.deleted for entry in others)

    # ------------------------------------------------------------ what that excuses

    def is_hurt(self, unit: int, picture: PictureId) -> bool:
        """Whether the unit's copy (or own file) was destroyed and it has not got another one."""
        return (unit, picture) in self._hurt

    def excuses(self, unit: int, picture: PictureId, attempt: int) -> bool:
        """Whether the list may name this copy under this attempt: the number is from before its card was lost; a copy
        that has rotted may get a new one, as suspect (R4)."""
        return attempt < self._hurt.get((unit, picture), 0)

    def healed(self, unit: int, picture: PictureId) -> None:
        """The unit has it whole (again)."""
        self._hurt.pop((unit, picture), None)

    def may_be_unlisted(self, picture: PictureId) -> bool:
        """Whether the origin may have neither file nor list entry, or not know it at all."""
        return picture in self._unlisted or (picture.unit, picture) in self._hurt

    def listed_again(self, picture: PictureId) -> None:
        """The origin's list names somebody."""
        self._unlisted.discard(picture)


def all_rows(machine: Machine) -> list[Entry]:
    """Everything that the catalogue knows, tombstones excepted."""
    return machine.catalogue.page(e.Page(None, None, None, ALL))
