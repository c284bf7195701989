"""What lost cards, rot, lies and lost catalogues excuse, exactly (HANDOVER §2: "not across a lost card or rot")."""

from __future__ import annotations

from collections.abc import Mapping

from firmware import events as e
from firmware.pictures import Copy, Entry, PictureId
from hal.light_dataclass import dataclass
from sim.machine import Machine
from sim.truth import Loss, Truth, Violation

ALL = 1_000_000  # rows; more than any world has on one card


@dataclass(frozen=True, slots=True)
class _Hurt:
    """One copy that was destroyed, and how. below: lists may still name it under attempts below this one.

    row: its row is still there, so that it may be listed under any number, as suspect (R4).
    """

    below: int
    why: Loss
    row: bool = True


class Hurts:
    """Copies that were physically destroyed, and lists that were. A copy that is whole again is hurt no longer.

    excused: the ways to lose a picture that this world's faults and R14 excuse; any other raises Violation.
    """

    def __init__(
        self, machines: Mapping[int, Machine], truths: dict[PictureId, Truth], excused: frozenset[Loss]
    ) -> None:
        self._machines = machines
        self._truths = truths
        self._excused = excused
        self._hurt: dict[tuple[int, PictureId], _Hurt] = {}
        self._unlisted: set[PictureId] = set()  # the origin's list was lost; R4 and R7 bring it back
        self._unburied: set[PictureId] = set()  # deleted; the origin has lost the tombstone, another unit has it (R6)

    # ------------------------------------------------------------ what happens

    def card_lost(self, unit: int) -> None:
        """Just before the unit gets a new card, or its card dies."""
        for entry in all_rows(self._machines[unit]):
            picture = entry.picture.id
            self._hit(unit, picture, Loss.LAST_COPY, row=False)
        self.catalogue_lost(unit)

    def catalogue_lost(self, unit: int) -> None:
        """Just before the unit's catalogue goes: with it go its list, and tombstones that nobody else has."""
        for picture, truth in self._truths.items():
            if picture.unit == unit:
                self._unlisted.add(picture)
            if not truth.deleted or (picture.unit != unit and picture not in self._unburied):
                continue
            if self._buried_elsewhere(picture, unit):
                self._unburied.add(picture)
            else:
                self._unburied.discard(picture)
                truth.deleted = False
                truth.lose(Loss.FORGOTTEN)  # whoever still holds it may bring it back; nobody must

    def memory_lost(self, unit: int) -> None:
        """Just before a life without a card ends: with it go its list, and all that it has taken and still has."""
        machine = self._machines[unit]
        assert machine.memory is not None
        for picture, truth in self._truths.items():
            if picture.unit != unit or machine.storage_of(picture) is not machine.memory:
                continue
            self._unlisted.add(picture)
            if truth.here:
                self._hit(unit, picture, Loss.WITHOUT_CARD, row=False)

    def rotted(self, unit: int, picture: PictureId) -> None:
        """A bit of this unit's file has turned over; its row stays, and until somebody reads the file nobody knows."""
        self._hit(unit, picture, Loss.ROT)

    def thrown_away(self, unit: int, picture: PictureId) -> None:
        """The unit says that it has stored this one and has thrown it away; its row stays."""
        self._hit(unit, picture, Loss.LIAR)

    def unsynced(self, unit: int, picture: PictureId) -> None:
        """The power went before the card had written what it said was written; the row is there."""
        self._hit(unit, picture, Loss.LYING_CARD)

    def _hit(self, unit: int, picture: PictureId, why: Loss, *, row: bool = True) -> None:
        origin = self._machines[picture.unit]
        self._hurt[unit, picture] = _Hurt(self._next_attempt(picture), why, row)
        truth = self._truths.get(picture)
        if truth is None:
            return
        if unit == picture.unit:
            entry = origin.storage_of(picture).entry(picture)
            if entry is None or not entry.listed:
                self._unlisted.add(picture)
            truth.here = False
        truth.holders.discard(unit)
        self.may_be_lost(unit, picture, here=truth.here)

    def may_be_lost(self, unit: int, picture: PictureId, *, here: bool) -> None:
        """If this unit's copy was destroyed and nobody has the picture any more, it is lost; is that excused?
        here: whether its origin has the file."""
        truth, hurt = self._truths[picture], self._hurt.get((unit, picture))
        if hurt is None or here or truth.holders or truth.lost or truth.deleted or not truth.announced:
            return
        why = hurt.why
        if truth.without_card and not truth.dropped and why in (Loss.LAST_COPY, Loss.WITHOUT_CARD):
            why = Loss.WITHOUT_CARD
        elif not truth.copied:
            why = Loss.NEVER_COPIED
        elif why is Loss.LAST_COPY and unit != picture.unit:
            why = Loss.ONLY_HOLDER if truth.dropped else Loss.AFTER_ORIGIN
        truth.lose(why)
        if why not in self._excused:
            raise Violation(f"R14: {picture} is lost: {why.value}; nothing excuses that here")

    def _buried_elsewhere(self, picture: PictureId, than: int) -> bool:
        others = (
            machine.kept.entry(picture) for unit, machine in self._machines.items() if unit not in (picture.unit, than)
        )
        return any(entry is not None and entry.deleted for entry in others)

    # ------------------------------------------------------------ what that excuses

    def is_hurt(self, unit: int, picture: PictureId) -> bool:
        """Whether the unit's copy (or own file) was destroyed and it has not got another one."""
        return (unit, picture) in self._hurt

    def excuses(self, picture: PictureId, copy: Copy) -> bool:
        """Whether the list may name this copy though it is not whole: since before it was destroyed, or, where its row
        is still there, as suspect (R4)."""
        hurt = self._hurt.get((copy.unit, picture))
        return hurt is not None and (copy.listed < hurt.below or (hurt.row and copy.suspect))

    def row_is(self, unit: int, picture: PictureId, *, there: bool) -> None:
        """Once the unit knows that it has not got it, no list names it under a number that is given out later. A row
        may also come after the harm: a liar stores what it has thrown away."""
        hurt = self._hurt.get((unit, picture))
        if hurt is not None and hurt.row is not there:
            below = hurt.below if there else self._next_attempt(picture)
            self._hurt[unit, picture] = _Hurt(below, hurt.why, there)

    def _next_attempt(self, picture: PictureId) -> int:
        return max(s.catalogue.counter("next_attempt", 1) for s in self._machines[picture.unit].storages)

    def healed(self, unit: int, picture: PictureId) -> None:
        """The unit has it whole (again), and a row. An own file that is whole needs no list, and does not go before
        somebody is listed."""
        self._hurt.pop((unit, picture), None)
        if unit == picture.unit:
            self._unlisted.discard(picture)

    def may_be_unlisted(self, picture: PictureId) -> bool:
        """Whether the origin may have neither file nor list entry, or not know it at all, until it lists somebody."""
        return picture in self._unlisted

    def unlisted(self, picture: PictureId) -> None:
        """The origin's list names nobody, which its own file excuses; and that was destroyed, which it cannot know."""
        if self.is_hurt(picture.unit, picture):
            self._unlisted.add(picture)

    def is_unburied(self, picture: PictureId) -> bool:
        """Whether the origin may take a deleted picture for a living one, until one that has the tombstone is heard."""
        return picture in self._unburied

    def buried_again(self, picture: PictureId) -> None:
        """The origin has the tombstone."""
        self._unburied.discard(picture)

    def listed_again(self, picture: PictureId) -> None:
        """The origin's list names somebody."""
        self._unlisted.discard(picture)


def all_rows(machine: Machine) -> list[Entry]:
    """Everything that the catalogue on its card knows, tombstones excepted."""
    return machine.kept.catalogue.page(e.Page(None, None, None, ALL))
