"""Deleting a picture everywhere: tombstones at the origin, orders forwarded from elsewhere (HANDOVER R6).

A delete is sure once another unit has the tombstone (firmware/records.py): until then a lost card could bring the
picture back.
"""

from __future__ import annotations

from firmware import handover
from firmware import messages as m
from firmware.core import Core
from firmware.dispersal import Dispersals
from firmware.errors import Refused
from firmware.events import Orders, Owed, SaveOrder, Unrecorded
from firmware.finding import Findings
from firmware.handover import Owner
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.record_rows import page_of
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

AGAIN_FIRST_S, AGAIN_LONGEST_S = 15.0, 24 * 3600.0
"""DROPs still owed and orders not yet confirmed are said again so often, ever more seldom, up to daily. Guesses."""
PAGE = 16
"""Pictures with a DROP owed, or orders, handled in one turn."""
SURE_WAIT_S = 5.0
"""A person's order waits so long for another unit to have the tombstone, then is told to be pending. Guess."""
MAX_UNSURE = 64
"""Orders that wait so at once; one more is told at once."""


@dataclass(frozen=True, slots=True)
class _Unsure:
    ticket: int
    picture: PictureId
    until: float


class Deletions:
    """Tombstones, and what is still owed for them."""

    def __init__(self, core: Core, dispersals: Dispersals, findings: Findings) -> None:
        self.core = core
        self._dispersals = dispersals
        self._findings = findings
        self._again_at: float | None = core.now + AGAIN_FIRST_S
        self._every_s = AGAIN_FIRST_S
        self._after: PictureId | None = None  # of tombstones
        self._after_order: PictureId | None = None
        self._unsure: list[_Unsure] = []

    def delete(self, ticket: int, picture: PictureId) -> None:
        """A person's order."""
        self.core.run(self._order(ticket, picture), picture, lambda error: self._not_ordered(ticket, error))

    def _not_ordered(self, ticket: int, error: DandelionError) -> None:
        self.soon()  # a COMMIT that has failed may be done all the same
        self.core.failed(ticket, Refused(error.what, did=error.did, can=error.can))

    def _order(self, ticket: int, picture: PictureId) -> Step:
        core = self.core
        if core.settings.without_card:
            what = "the card cannot be used, and a delete that is kept nowhere would not last"
            can = "delete it at another unit, which keeps the order, or when this one has a card again"
            core.failed(ticket, Refused(what, did="nothing was deleted", can=can))
            return
        entry = yield from core.look_up(picture)
        if not core.is_ours(picture):
            if entry is not None and entry.deleted:
                core.done(ticket, "deleted")
            elif core.is_released(picture.unit):
                core.failed(ticket, core.refuse_released(picture))
            elif entry is not None:
                yield from self._forward(ticket, entry.picture)
            else:
                self._findings.find(picture, lambda found, why: self._found(ticket, picture, found, why))
        elif entry is not None:
            yield from self.bury(entry, handover.Delete())
            before = PictureId(picture.unit, picture.card, picture.sequence - 1) if picture.sequence else None
            unkept = yield Unrecorded(deleted=True, after=before, limit=1)
            self._tell(ticket, picture, sure=not any(one.entry.picture.id == picture for one in unkept))
        else:
            can = "see `dandelion list` for those that there are"
            never = Refused(f"picture {picture} was never taken here", did="nothing was deleted", can=can)
            core.failed(ticket, never)

    def _found(self, ticket: int, picture: PictureId, found: Picture | None, why: str) -> None:
        if found is None:
            can = f"delete it at unit {self.core.owner_of(picture.unit)}, which decides about it"
            error = Refused(f"picture {picture} is not known here: {why}", did="nothing was deleted", can=can)
            self.core.failed(ticket, error)
        else:
            self.core.run(self._forward(ticket, found), picture, lambda error: self._not_ordered(ticket, error))

    def _forward(self, ticket: int, picture: Picture) -> Step:
        """The order is durable here until the origin's tombstone comes (R6)."""
        yield SaveOrder(picture.id, picture.sha256)
        self.core.say(self.core.owner_of(picture.id.unit), m.Delete(picture.id, picture.sha256))
        self.soon()
        self.core.done(ticket, "pending")

    def _tell(self, ticket: int, picture: PictureId, *, sure: bool) -> None:
        """Deleted; pending while no other unit has the tombstone (R6), which a moment's patience may change.

        A unit that is just up, perhaps for this command alone, has yet to hear the others.
        """
        core = self.core
        until = core.started + FIRST_NEIGHBOUR_S
        if any(n.hosting and not n.silent(core.now) for n in core.neighbours):
            until = max(until, core.now + SURE_WAIT_S)
        if sure:
            core.done(ticket, "deleted")
        elif until > core.now and len(self._unsure) < MAX_UNSURE:
            self._unsure.append(_Unsure(ticket, picture, until))
        else:
            core.done(ticket, "pending")

    def sure(self, picture: PictureId) -> None:
        """Another unit has this tombstone on its card."""
        for unsure in [u for u in self._unsure if u.picture == picture]:
            self._unsure.remove(unsure)
            self.core.done(unsure.ticket, "deleted")

    def bury(self, entry: Entry, event: handover.Delete | handover.Buried) -> Step:
        """The tombstone, durable; then unlink and DROPs."""
        core, pid = self.core, entry.picture.id
        self._dispersals.forget(pid)
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        yield from core.carry_out(entry.picture, entry, effects)
        if entry.file is File.GONE:
            yield from core.unlink(entry.picture, keep_preview=False)  # no file was left, but its preview was
        if effects:
            core.log("deleted", f"picture {pid} is deleted; its holders are told", pid)
            self.soon()

    def on_delete(self, source: int, delete: m.Delete) -> None:
        """An order that another unit took from a person, for a picture of ours; that unit says it until it is done."""
        if self.core.is_ours(delete.id) and not self.core.settings.without_card:
            self.core.run(self._ordered(source, delete), delete.id)

    def _ordered(self, source: int, delete: m.Delete) -> Step:
        entry = yield from self.core.look_up(delete.id)
        if entry is None or entry.picture.sha256 != delete.sha256:
            return
        yield from self.bury(entry, handover.Delete())
        self.core.say(source, page_of(0, [self.core.record_of(entry)]))

    def soon(self) -> None:
        """Something is owed, or a unit is there (again)."""
        self._every_s = AGAIN_FIRST_S
        if self._again_at is not None:
            self._again_at = min(self._again_at, self.core.now + AGAIN_FIRST_S)

    def new_boot(self) -> None:
        """A unit is there (again): what it is owed is said soon."""
        self.soon()
        if self._again_at is not None:
            self._again_at = min(self._again_at, self.core.now + 1.0)

    def _say_again(self) -> Step:
        core = self.core
        next_attempt = core.next_attempt  # of attempts that the rows may not show yet none is below it
        owed = yield Owed(self._after, PAGE)
        for entry in owed:
            for copy in entry.copies:
                if copy.owed and core.neighbours.find(copy.unit) is not None:
                    self._say_drop(Owner(entry, next_attempt), copy.unit)
        orders = yield Orders(self._after_order, PAGE)
        for picture, sha256 in orders:
            if core.is_ours(picture) or core.is_released(picture.unit):
                core.run(self._settle(picture, sha256), picture)
            elif core.neighbours.find(core.owner_of(picture.unit)) is not None:
                core.say(core.owner_of(picture.unit), m.Delete(picture, sha256))
        if len(owed) == PAGE or len(orders) == PAGE:
            self._after = owed[-1].picture.id if owed else self._after
            self._after_order = orders[-1][0] if orders else self._after_order
            self._again_at = core.now + 1.0
            return
        if not owed and not orders and self._after is None and self._after_order is None:
            self._every_s = AGAIN_LONGEST_S  # nothing is owed; what comes says so by soon()
        self._after = self._after_order = None
        self._again_at = core.now + self._every_s
        self._every_s = min(2 * self._every_s, AGAIN_LONGEST_S)

    def _settle(self, picture: PictureId, sha256: bytes) -> Step:
        """An order for a unit that is gone for good: this one decides in its stead by now, or nobody does (R10)."""
        core = self.core
        entry = yield from core.look_up(picture)
        if core.is_ours(picture) and entry is not None and entry.picture.sha256 == sha256:
            yield from self.bury(entry, handover.Delete())
        elif not core.is_ours(picture):
            core.log("deleted", f"{core.refuse_released(picture).what}; the order to delete it is forgotten", picture)
        else:
            return  # not known yet: a unit that holds it may say so
        yield SaveOrder(picture, sha256, done=True)

    def _say_drop(self, state: Owner, unit: int) -> None:
        """O7 on the row that was read: it may not be deleted, and its other copies less than when it was let go."""
        picture = state.entry.picture
        number = handover.drop_number(state, unit)
        if handover.may_drop(state, unit, number, self.core.settings.rules.wanted(picture.priority)):
            self.core.say(unit, m.Drop(picture.id, number, picture.digest4))

    def tick(self) -> None:
        """Say again what is owed; tell people who have waited long enough."""
        if self._unsure:
            self._tell_unsure()
        if self.core.owing:
            self.core.owing = False
            self.soon()
        if self._again_at is not None and self.core.now >= self._again_at:
            self._again_at = None
            self.core.run(self._say_again(), on_error=self._failed)

    def _tell_unsure(self) -> None:
        for unsure in [u for u in self._unsure if self.core.now >= u.until]:
            self._unsure.remove(unsure)
            self.core.done(unsure.ticket, "pending")

    def _failed(self, error: Exception) -> None:
        self._again_at = self.core.now + AGAIN_LONGEST_S
        self.core.log("card", f"could not look up what is owed for deleted pictures: {error}")

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not self._unsure:
            return self._again_at
        times = [unsure.until for unsure in self._unsure]
        return min(times if self._again_at is None else [*times, self._again_at], default=None)
