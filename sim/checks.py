"""What must hold in a world after every durable step, and at its end: I1 to I6 of HANDOVER §2, and what must not be.

Each check names the rule and raises Violation. What is looked at is what would be left if every power went now: rows
that are committed and bytes that are on the media. A picture is checked whenever a row or file of it changes anywhere,
and all of them in sweep(). What a lost card, rot or a lost catalogue may excuse is noted when it happens (`Hurts`), so
that nothing else is excused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from firmware import events as e
from firmware.core import MAX_OUTBOX
from firmware.hosting import MAX_ALIVE
from firmware.layout import picture_path
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File, Picture, PictureId
from firmware.states import State
from sim.hurts import Hurts
from sim.machine import Machine
from sim.truth import Loss, Truth, Violation
from sim.watched import Storage

PAGE = 500  # rows read at once
LATE_S = 1.0  # a reservation ends at the next turn after its time; a turn comes at once, so this is generous
PROOF_LIFE_S = 24 * 3600 + 60.0  # DESIGN §5, and what a slow catalogue takes between the decision and its commit
MOST_STEPS = 200  # durable steps under way in one unit: eight dispersals, four hostings, a page of proofs and replies


class Checks:
    """Over all machines of a world. truths: every picture that was ever taken, the oldest first.

    excused: ways to lose a picture that the faults of this world and R14 excuse; any other is a violation.
    """

    def __init__(
        self, machines: Mapping[int, Machine], copies_min: int, excused: frozenset[Loss] = frozenset(Loss)
    ) -> None:
        self.truths: dict[PictureId, Truth] = {}
        self.hurts = Hurts(machines, self.truths, excused)
        self.looked = 0  # pictures checked, for the report
        self._transfers: dict[tuple[int, int], tuple[PictureId, int]] = {}  # catalogue, attempt -> for what
        self._machines = machines
        self._copies_min = copies_min

    # ------------------------------------------------------------ after a step

    def after(self, machine: Machine, request: e.Request | None = None) -> None:
        """Rows or files may have changed at this machine: by the request, or (None) by a start-up."""
        touched = machine.changed()
        match request:
            case e.RemoveFile() | e.Quarantine() | e.FinishPart() | e.KeepShot():
                touched.append(request.picture.id)
        for picture in touched:
            storage = machine.storage_of(picture)
            self._row(machine, picture, storage.entry(picture))
            self.picture(picture)
            if machine.memory is not None and storage is not machine.memory:
                self._seen_without_card(machine, machine.memory, picture)

    def _row(self, machine: Machine, picture: PictureId, entry: Entry | None) -> None:
        """Learn what is new, and whether this machine's held row and file agree."""
        if picture.unit == machine.unit:
            if entry is not None:
                storage = machine.storage_of(picture)
                self._known(entry, announced=storage is not machine.memory)
                self._attempts(machine, storage, entry)
            return
        truth = self.truths.get(picture)
        if entry is None or entry.attempt is None:
            if truth is not None:
                truth.holders.discard(machine.unit)
                self.hurts.row_is(machine.unit, picture, there=False)
            return
        if truth is None:
            raise Violation(f"unit {machine.unit} holds {picture}, which unit {picture.unit} never took")
        if entry.picture.sha256 != truth.sha256:
            raise Violation(f"unit {machine.unit} holds other content under the id {picture}")
        if whole(machine, entry.picture):
            truth.holders.add(machine.unit)
            truth.copied = True
            self.hurts.healed(machine.unit, picture)
            return
        truth.holders.discard(machine.unit)
        self.hurts.row_is(machine.unit, picture, there=True)
        if not self.hurts.is_hurt(machine.unit, picture):
            raise Violation(f"I3: unit {machine.unit} has a row and no whole file of {picture}")

    def _seen_without_card(self, machine: Machine, memory: Storage, picture: PictureId) -> None:
        """What a life without a card makes of a picture of other lives or units: its list is right too (I2)."""
        entry = memory.entry(picture)
        if entry is None:
            return
        if picture.unit != machine.unit:
            if entry.attempt is not None:
                raise Violation(f"unit {machine.unit} hosts {picture} and has no card")
            return
        self._attempts(machine, memory, entry)
        for copy in entry.listed:
            self._listed(entry.picture, copy)

    def _attempts(self, machine: Machine, storage: Storage, entry: Entry) -> None:
        """O1: (origin, attempt) names one transfer, for as long as its catalogue lives."""
        for copy in entry.copies:
            what = entry.picture.id, copy.unit
            key = storage.catalogue.number, copy.open  # not its card number: of 65,535 two may be the same
            if copy.open and self._transfers.setdefault(key, what) != what:
                raise Violation(f"O1: attempt {copy.open} of unit {machine.unit} is used twice, for {what} too")

    def _known(self, entry: Entry, *, announced: bool) -> None:
        """Its origin has it in its catalogue. announced: that is on a card."""
        picture = entry.picture
        truth = self.truths.get(picture.id)
        if entry.deleted and not any(picture.id in m.delete_orders for m in self._machines.values()):
            raise Violation(f"R6: {picture.id} is deleted, and nobody has ordered that")
        if truth is None:
            self.truths[picture.id] = Truth(picture.sha256, picture.size_bytes, deleted=entry.deleted)
            self.truths[picture.id].announced = announced
            self.truths[picture.id].without_card = not announced
            return
        if truth.sha256 != picture.sha256:
            raise Violation(f"the id {picture.id} is used twice, for {truth.sha256.hex()} and {picture.sha256.hex()}")
        if announced and not truth.announced:
            self._announce(picture.id, truth)
        if entry.deleted:
            self.hurts.buried_again(picture.id)
        elif truth.deleted and not self.hurts.is_unburied(picture.id):
            raise Violation(f"{picture.id} was deleted and came back")
        truth.deleted = truth.deleted or entry.deleted
        truth.here = truth.here and not entry.deleted

    def _announce(self, picture: PictureId, truth: Truth) -> None:
        """From now on it must not be lost; where a copy of it was hurt before, it may have been."""
        truth.announced = True
        for unit in self._machines:
            self.hurts.may_be_lost(unit, picture, here=truth.here)

    def announced_without_card(self, machine: Machine, picture: PictureId) -> None:
        """A life without a card has told people of it (DESIGN §5)."""
        truth, entry = self.truths.get(picture), machine.storage_of(picture).entry(picture)
        if truth is None or entry is None:
            raise Violation(f"announced: unit {machine.unit} tells of {picture}, which it never took")
        stored = truth.holders or any(self.hurts.is_hurt(copy.unit, picture) for copy in entry.verified)
        if not stored:
            raise Violation(f"announced: unit {machine.unit} has no card, and no host has stored {picture}")
        self._announce(picture, truth)
        self.picture(picture)

    # ------------------------------------------------------------ one picture

    def picture(self, picture: PictureId) -> None:
        """I1 to I5 of one picture; fine if it was never taken."""
        truth = self.truths.get(picture)
        if truth is not None and not truth.deleted:
            self._picture(picture, truth, self._entry(picture))

    def _entry(self, picture: PictureId) -> Entry | None:
        """As its origin knows it."""
        return self._machines[picture.unit].storage_of(picture).entry(picture)

    def _picture(self, picture: PictureId, truth: Truth, entry: Entry | None) -> None:
        self.looked += 1
        origin = self._machines[picture.unit]
        here = entry is not None and entry.file is not File.GONE and self._own_file(origin, entry)
        truth.dropped = not here and (truth.dropped or (truth.here and entry is not None))
        if not here and not truth.holders and entry is not None:
            for copy in entry.verified:  # its card died, or it lied, and the own file was dropped on its proof
                self.hurts.may_be_lost(copy.unit, picture, here=False)
        owed = truth.announced and not truth.lost
        if not here and owed:
            taken = Picture(picture, truth.size_bytes, truth.sha256)
            if all(held_attempt(self._machines[unit], taken) is None for unit in truth.holders):
                raise Violation(f"I1: nobody has {picture} any more")
        if entry is not None:
            self._list(entry)
            self._dropped(entry, truth, here=here)
        truth.here = here

    def _own_file(self, origin: Machine, entry: Entry) -> bool:
        if whole(origin, entry.picture):
            self.hurts.healed(origin.unit, entry.picture.id)
            return True
        if not self.hurts.is_hurt(origin.unit, entry.picture.id):
            raise Violation(f"I3: unit {origin.unit} has an own row and no whole file of {entry.picture.id}")
        return False

    def _list(self, entry: Entry) -> None:
        """I2 and I4."""
        picture = entry.picture
        for copy in entry.listed:
            self._listed(picture, copy)
        if entry.listed:
            self.hurts.listed_again(picture.id)
        elif entry.file is not File.GONE:
            self.hurts.unlisted(picture.id)
        elif not self.hurts.may_be_unlisted(picture.id):
            raise Violation(f"I4: {picture.id} is gone at its origin and the list names nobody")

    def _listed(self, picture: Picture, copy: Copy) -> None:
        attempt = held_attempt(self._machines[copy.unit], picture)
        if attempt is None:
            if not self.hurts.excuses(picture.id, copy):
                raise Violation(f"I2: unit {copy.unit} is listed for {picture.id} and has it not")
        elif attempt != UNKNOWN_ATTEMPT and attempt < copy.listed:
            raise Violation(f"I2: unit {copy.unit} has {picture.id} under {attempt}, listed is {copy.listed}")

    def _dropped(self, entry: Entry, truth: Truth, *, here: bool) -> None:
        """I5, when the own file has just gone: enough others have proved in time that they have it."""
        picture = entry.picture.id
        if here or not truth.here or self.hurts.is_hurt(picture.unit, picture):
            return
        origin = self._machines[picture.unit]
        catalogue, since = origin.storage_of(picture).catalogue, origin.rig.now - PROOF_LIFE_S
        boot = catalogue.counter("boot", 0)
        proved = [c for c in entry.verified if c.verified_boot == boot and c.verified_monotonic >= since]
        if len(proved) < self._copies_min:
            raise Violation(f"I5: the own file of {picture} was dropped while {len(proved)} others had proved theirs")

    # ------------------------------------------------------------ all of it

    def sweep(self) -> None:
        """Every picture, every row, and the bounds of every unit."""
        for machine in self._machines.values():
            machine.changed()
            for row in held_rows(machine):
                self._row(machine, row.picture.id, row)
            self.bounds(machine)
        for picture, truth in self.truths.items():
            entry, origin = self._entry(picture), self._machines[picture.unit]
            if entry is not None:
                self._known(entry, announced=origin.storage_of(picture) is not origin.memory)
            elif truth.announced and not self.hurts.may_be_unlisted(picture):
                raise Violation(f"unit {picture.unit} has forgotten {picture}")
            if not truth.deleted:
                self._picture(picture, truth, entry)

    def bounds(self, machine: Machine) -> None:
        """What must not grow, and no reservation past its time."""
        unit = machine.running
        if unit is None:
            return
        core, who = unit.core, f"unit {machine.unit}"
        if len(core.outbox) >= MAX_OUTBOX:
            raise Violation(f"outbox: {who} has {len(core.outbox)} messages waiting")
        if len(core.steps) > MOST_STEPS:
            raise Violation(f"steps: {who} has {len(core.steps)} steps under way")
        hostings = list(unit.hostings)
        if len(hostings) > MAX_ALIVE:
            raise Violation(f"hostings: {who} remembers {len(hostings)}")
        for hosting in hostings:
            if hosting.state is State.ACCEPT and machine.rig.now > hosting.expires + LATE_S:
                raise Violation(f"TTL: {who} still reserves room for {hosting.picture.id}")
        alive = {hosting.key for hosting in hostings}
        for key in core.room.reserved_held:
            if key not in alive and not len(core.steps):
                raise Violation(f"TTL: {who} reserves room for {key} and nobody is sending it")

    # ------------------------------------------------------------ the end

    def unsettled(self) -> list[str]:
        """I6: what is still to be done, one line each; empty when everything is settled."""
        waiting = [text for machine in self._machines.values() for text in self._under_way(machine)]
        for picture, truth in self.truths.items():
            if truth.deleted:
                if self.hurts.is_unburied(picture):
                    waiting.append(f"unit {picture.unit} does not know that {picture} was deleted")
                waiting += [f"unit {unit} still holds {picture}, which was deleted" for unit in sorted(truth.holders)]
            elif truth.announced and not truth.lost:
                waiting += self._picture_unsettled(picture, truth)
        return waiting

    def _under_way(self, machine: Machine) -> list[str]:
        unit, who = machine.running, f"unit {machine.unit}"
        if unit is None:
            return [f"{who} is off"]
        if machine.memory is not None:
            return [f"{who} goes on without its card"]
        found = [f"{who} is placing {d.id}" for d in unit.dispersals if d.picture and not self._finds_no_room(d.id)]
        found += [f"{who} is receiving {h.picture.id}" for h in unit.hostings if h.state is not State.IDLE]
        if len(unit.core.steps):
            found.append(f"{who} has steps under way")
        room, catalogue, rules = unit.core.room, machine.catalogue, machine.options.rules
        reckoned = room.own_bytes, room.cache_bytes, room.held_bytes
        in_rows = *catalogue.own_bytes(rules.wanted(False), rules.wanted(True)), catalogue.held_bytes()
        if reckoned != in_rows or +unit.core.hosted_bytes != dict(catalogue.held_by()):
            found.append(f"{who} reckons with {reckoned} bytes of own files, cache and held files; its rows: {in_rows}")
        found += [
            f"{who} has had no KEEP for {row.picture.id}"
            for row in machine.catalogue.held(e.Held(None, None, PAGE, unkept_only=True))
            if not self._no_keep_can_come(row.picture.id)
        ]
        found += [
            f"{who} owes unit {copy.unit} a DROP of {entry.picture.id}"
            for entry in machine.catalogue.owed(e.Owed(None, PAGE))
            for copy in entry.copies
            if copy.owed and not self.hurts.is_hurt(copy.unit, entry.picture.id)
        ]
        found += [
            f"{who} has an order to delete {picture}, which its origin has not answered"
            for picture, _ in machine.catalogue.orders(e.Orders(None, PAGE))
            if picture in self.truths
        ]
        if any(n.hosting and not n.silent(machine.rig.now) for n in unit.core.neighbours):
            found += [
                f"nobody keeps the record of {unkept.entry.picture.id}"
                for deleted in (True, False)
                for unkept in machine.catalogue.unrecorded(e.Unrecorded(deleted, None, PAGE))
            ]
        return found

    def _no_keep_can_come(self, picture: PictureId) -> bool:
        return picture not in self.truths

    def _picture_unsettled(self, picture: PictureId, truth: Truth) -> list[str]:
        entry = self._entry(picture)
        if entry is None:
            return [f"unit {picture.unit} does not know {picture}, which {sorted(truth.holders)} hold"]
        listed = {copy.unit for copy in entry.listed}
        tries = [] if self._finds_no_room(picture) else [c.unit for c in entry.copies if c.open]
        found = [f"an attempt at unit {unit} is open for {picture}" for unit in tries]
        found += [f"unit {unit} holds {picture} and is not listed" for unit in sorted(truth.holders - listed)]
        found += [
            f"unit {unit} is listed for {picture} and has it not"
            for unit in sorted(listed - truth.holders)
            if not self.hurts.is_hurt(unit, picture)
        ]
        lacking = self._lacking(entry)
        if truth.here and lacking > 0 and not self._finds_no_room(picture):
            found.append(f"{picture} lacks {lacking} copies")
        return found

    def _lacking(self, entry: Entry) -> int:
        rules = self._machines[entry.picture.id.unit].options.rules
        return rules.wanted(entry.picture.priority) - len(entry.verified)

    def _finds_no_room(self, picture: PictureId) -> bool:
        """Whether it lacks copies and no unit that its origin hears can take one; the origin goes on asking then."""
        machine = self._machines[picture.unit]
        origin, entry = machine.running, self._entry(picture)
        if origin is None or entry is None or self._lacking(entry) <= 0:
            return False
        listed = {copy.unit for copy in entry.listed}
        return not any(
            n.unit not in listed
            and n.hosting
            and n.room_bytes >= entry.picture.size_bytes
            and not n.silent(machine.rig.now)
            for n in origin.core.neighbours
        )


def whole(machine: Machine, picture: Picture) -> bool:
    """The picture's bytes on the medium are right."""
    data = machine.storage_of(picture.id).card.durable(picture_path(picture, machine.unit))
    return data is not None and hashlib.sha256(data).digest() == picture.sha256


def held_attempt(machine: Machine, picture: Picture) -> int | None:
    """Under which a host has row and whole file, None where it has not. While its catalogue is gone or not complete
    again, which may take until its card answers, no row is needed: the next start adopts what is there."""
    catalogue, row = machine.kept.catalogue, machine.kept.entry(picture.id)
    if row is None and not catalogue.counter("complete", 0):
        attempt: int | None = UNKNOWN_ATTEMPT
    else:
        attempt = None if row is None else row.attempt
    return attempt if attempt is not None and whole(machine, picture) else None


def held_rows(machine: Machine) -> list[Entry]:
    """All of them; without a card nothing else is held."""
    return machine.kept.catalogue.held(e.Held(None, None, 1_000_000))
