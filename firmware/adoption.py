"""Copies that holders name and the list does not: taken into it again, or dropped (HANDOVER R4, R7), at the origin."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import field, replace

from firmware import handover, own_copy
from firmware import messages as m
from firmware.core import Core
from firmware.dispersal import NONCES_KEPT, Dispersals
from firmware.events import DigestFile, Digests, SaveInventoried
from firmware.handover import Owner, Word
from firmware.pictures import NONCE_BYTES, UNKNOWN_ATTEMPT, Copy, Entry, File, Picture, PictureId
from firmware.steps import Step
from hal.light_dataclass import dataclass

ANSWER_WAIT_S = 20.0
"""REQUEST and END of an adoption are repeated for so long; the holder's next HOLD begins it anew."""
MAX_ADOPTIONS = 16
"""Adoptions under way at once; what more is named comes again with the next HOLD or INVENTORY."""
INVENTORY_AGAIN_S = 10.0
"""An unanswered question for an INVENTORY is said again after this long."""
ASKED_ANEW_FIRST_S, ASKED_ANEW_LONGEST_S = 60.0, 6 * 3600.0
"""An INVENTORY is asked for anew so long after one that named copies which the list does not, ever more seldom: whoever
has KEEP says no HOLD, so that a REQUEST or DROP that was lost would leave a copy unknown for ever. Guesses."""
MAX_INVENTORIED = 1024
"""Units that are asked for an INVENTORY, each once a catalogue: twenty times the largest fleet."""
FARTHEST_SEQUENCE = 65_536
"""A picture of this very card that a holder names, at most so far above our own count, tells that the catalogue is an
older copy; one above that is a liar's or a clone's. Guess: a card's image is no older than so many shots."""


@dataclass(slots=True)
class Adoption:
    """One copy whose number is being learnt: REQUEST, then END where there are bytes to check a proof with."""

    picture: Picture
    unit: int
    attempt: int
    since: float
    again_at: float
    tries: int = 0
    handle: int | None = None
    nonces: deque[bytes] = field(default_factory=lambda: deque(maxlen=NONCES_KEPT))  # one a handle, newest last


@dataclass(slots=True)
class _Inventory:
    """The question for the next page of what a unit holds of this origin's pictures: when it is said (again), after
    which id, and whether the answer is waited for."""

    at: float
    origin: int
    after: PictureId | None = None
    asked: bool = False


class Adoptions:
    """All adoptions under way, and the questions for inventories."""

    def __init__(self, core: Core, dispersals: Dispersals, *, inventoried: frozenset[int]) -> None:
        self.core = core
        self._dispersals = dispersals
        dispersals.deciding.adopting = self._under_way
        self._inventoried = set(inventoried)
        self._all: list[Adoption] = []
        self._beginning: set[tuple[PictureId, int]] = set()  # whose number is being committed
        self._inventories: dict[int, _Inventory] = {}  # by the unit that is asked
        self._unlisted: set[int] = set()  # units that named such copies since their INVENTORY was asked for
        self._asked_anew_s: dict[int, float] = {}
        self.in_doubt: Callable[[], None] = lambda: None  # told that a suspect copy is in a list (again)

    # ------------------------------------------------------------ what holders name

    def on_hold(self, source: int, hold: m.Hold) -> None:
        """R4: a holder asks whether its copy is still wanted."""
        if self.core.is_ours(hold.id):
            self.core.run(self._held_there(source, hold), hold.id)

    def _held_there(self, source: int, hold: m.Hold) -> Step:
        entry = yield from self.core.look_up(hold.id)
        if entry is None:  # length and digest are not in a HOLD: INVENTORY names them (R7)
            before = PictureId(hold.id.unit, hold.id.card, hold.id.sequence - 1) if hold.id.sequence else None
            self.core.say(source, m.InventoryAsk(hold.id.unit, before))
            return
        if entry.picture.digest4 != hold.digest4:
            self.core.log("alarm", f"unit {source} holds another content under the id {hold.id}", hold.id, source)
            return
        yield from self.named(entry, source, hold.attempt)

    def on_inventory(self, source: int, inventory: m.Inventory) -> None:
        """R7: a page of what a unit holds for us; the next page is asked for once this one is durable."""
        rows = [row for row in inventory.rows if row.picture.id.unit == inventory.owner]
        if inventory.owner not in self.core.origins:
            return
        left = {row.picture.id for row in rows}
        for row in rows:
            self.core.run(self._row_of_page(source, row, inventory, left), row.picture.id)
        if not rows:
            self._page_taken(source, inventory)

    def _row_of_page(self, source: int, row: m.InventoryRow, page: m.Inventory, left: set[PictureId]) -> Step:
        yield from self._inventory_row(source, row)
        left.discard(row.picture.id)
        if not left:
            self._page_taken(source, page)

    def _page_taken(self, source: int, page: m.Inventory) -> None:
        asking = self._inventories.get(source)
        if asking is None or not asking.asked or asking.origin != page.owner:
            return  # an answer that came twice: what is to be asked anew still is
        if not page.last and page.rows:
            self._ask_inventory(source, page.owner, page.rows[-1].picture.id)
            return
        if (following := self.core.origin_after(page.owner)) is not None:
            self._ask_inventory(source, following)
        elif source in self._unlisted:
            self._ask_anew(source)
        else:
            del self._inventories[source]
            self._inventoried.add(source)
            self.core.run(self.core.fetch(SaveInventoried(source)))

    def _ask_anew(self, source: int) -> None:
        wait_s = self._asked_anew_s.get(source, ASKED_ANEW_FIRST_S)
        self._asked_anew_s[source] = min(2 * wait_s, ASKED_ANEW_LONGEST_S)
        self._unlisted.remove(source)
        self._inventories[source] = _Inventory(self.core.now + wait_s, self.core.unit)

    def _inventory_row(self, source: int, row: m.InventoryRow) -> Step:
        if not self.counts_up_to(row.picture.id, source):
            return
        entry = yield from self.core.look_up(row.picture.id)
        if entry is None:  # commit it as known, then ask under a number of now
            entry = Entry(row.picture, File.GONE, version=1)
            yield from self.core.save(row.picture, None, entry)
            self.core.log(
                "adopted", f"unit {source} holds picture {row.picture.id}, which was not known", row.picture.id, source
            )
        if entry.picture.sha256 != row.picture.sha256:
            text = f"unit {source} holds another content under the id {row.picture.id}"
            self.core.log("alarm", text, row.picture.id, source)
            return
        if entry.picture.taken_at is None and row.picture.taken_at is not None:  # it was found by its file alone
            told = replace(entry, picture=row.picture)
            yield from self.core.save(row.picture, entry, told)
            entry = told
        yield from self.named(entry, source, row.attempt)

    def counts_up_to(self, picture: PictureId, source: int) -> bool:
        """Whether we can have taken it; our own count then goes on after it, so that no id is used twice."""
        core = self.core
        if (picture.unit, picture.card) == (core.unit, core.card) and picture.sequence > core.sequence:
            if picture.sequence > core.sequence + FARTHEST_SEQUENCE:
                text = f"unit {source} holds picture {picture}, far above what this unit has taken with this card"
                core.log("alarm", text, picture, source)
                return False
            core.sequence = picture.sequence  # durable with its row
        return True

    def named(self, entry: Entry, unit: int, attempt: int) -> Step:
        """A unit is named as holder of a copy, by itself or by a record (R4): it is asked, or the copy dropped."""
        core = self.core
        if not entry.deleted and entry.copy_at(unit).listed != attempt:
            self._unlisted.add(unit)  # of a deleted one the row remembers what is owed
        if any(d.picture is not None and d.id == entry.picture.id and d.host == unit for d in self._dispersals):
            return  # its dispersal to that very unit is under way and will settle it
        if attempt == UNKNOWN_ATTEMPT and core.counts_elsewhere(entry.picture.id):
            return  # INVENTORY tells its number; or the card that comes back does
        wanted = core.settings.rules.wanted(entry.picture.priority)
        effects = handover.owner(Owner(entry, core.next_attempt), handover.Named(unit, attempt, wanted))
        self._beginning.add((entry.picture.id, unit))  # no dispersal goes there while the number is being committed
        try:
            for say in (yield from core.carry_out(entry.picture, entry, effects)):
                assert say.word is Word.REQUEST
                self._begin(entry.picture, unit, say.attempt)
        finally:
            self._beginning.discard((entry.picture.id, unit))

    def heard(self, unit: int) -> None:
        """R7: a unit that this catalogue has not asked yet may hold pictures of a list that was lost."""
        if len(self._inventoried) >= MAX_INVENTORIED:
            return
        if unit not in self._inventoried and unit not in self._inventories:
            self._ask_inventory(unit, self.core.unit)

    def _ask_inventory(self, unit: int, origin: int, after: PictureId | None = None) -> None:
        self._inventories[unit] = _Inventory(self.core.now + INVENTORY_AGAIN_S, origin, after, asked=True)
        self.core.say(unit, m.InventoryAsk(origin, after))

    # ------------------------------------------------------------ learning the number

    def _begin(self, picture: Picture, unit: int, attempt: int) -> None:
        for old in self._all:
            if old.picture.id == picture.id and old.unit == unit:
                old.attempt = attempt
                return
        if len(self._all) >= MAX_ADOPTIONS:
            return
        adoption = Adoption(picture, unit, attempt, self.core.now, self.core.now)
        self._all.append(adoption)
        self._say(adoption)

    def _say(self, adoption: Adoption) -> None:
        if adoption.handle is None:
            self.core.say(adoption.unit, m.Request(adoption.picture, adoption.attempt))
        else:
            self.core.say(adoption.unit, m.End(adoption.handle, adoption.nonces[-1]))
        estimate = self.core.neighbours.heard_before(adoption.unit).estimate
        adoption.again_at = self.core.now + estimate.timeout_s(adoption.tries)
        adoption.tries += 1

    def on_accept(self, source: int, accept: m.Accept) -> None:
        """The holder has raised its row to our number."""
        adoption = self._find(source, accept.id, accept.attempt)
        if adoption is not None and adoption.handle is None:
            self.core.run(self._accepted(adoption, accept), accept.id)

    def _accepted(self, adoption: Adoption, accept: m.Accept) -> Step:
        core = self.core
        entry = yield from core.look_up(accept.id)
        if entry is None or adoption not in self._all or adoption.handle is not None:
            return
        if entry.file is File.WHOLE and accept.missing:
            self._end(adoption)  # it is gone there: an ordinary dispersal goes on with the open attempt
            return
        event = handover.Accepted(adoption.unit, accept.attempt, not accept.missing)
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        said = yield from core.carry_out(entry.picture, entry, effects)
        if any(say.word is Word.PARTS for say in said):
            adoption.handle = accept.handle
            adoption.nonces.append(core.rng.randbytes(NONCE_BYTES))
            adoption.tries = 0
            self._say(adoption)
            return
        self._end(adoption)
        if not entry.deleted and not accept.missing:
            core.log(
                "adopted",
                f"unit {adoption.unit} is listed again as holder of picture {accept.id}",
                accept.id,
                adoption.unit,
            )
            self.in_doubt()

    def on_stored(self, source: int, stored: m.Stored) -> None:
        """The proof over the copy, to be compared with our own bytes (O4)."""
        adoption = self._find(source, stored.id, stored.attempt)
        if adoption is not None and adoption.handle is not None:
            self.core.run(self._receipt(adoption, stored), stored.id)

    def _receipt(self, adoption: Adoption, stored: m.Stored) -> Step:
        core = self.core
        entry = yield from core.look_up(stored.id)
        if entry is None or adoption not in self._all:
            return
        digests = yield DigestFile.of(entry, *adoption.nonces)
        assert isinstance(digests, Digests)
        if not digests.whole:  # no proof can be checked with it; the copy there is asked about anew without
            yield from own_copy.put_aside(core, entry)
            self._end(adoption)
            return
        right = digests.whole and stored.proof in digests.proofs
        event = handover.Receipt(adoption.unit, stored.attempt, right, stored.proof, core.stamp())
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        yield from core.carry_out(entry.picture, entry, effects)
        if effects:
            self._end(adoption)
            core.log(
                "adopted",
                f"unit {adoption.unit} is listed again as holder of picture {stored.id}",
                stored.id,
                adoption.unit,
            )

    def on_expired(self, source: int, expired: m.Expired) -> None:
        """The holder knows the handle no more: REQUEST with the same number."""
        for adoption in self._all:
            if (adoption.unit, adoption.handle) == (source, expired.handle):
                adoption.handle = None
                adoption.tries = 0
                self._say(adoption)

    def on_refuse(self, source: int, refuse: m.Refuse) -> None:
        """Busy: later. Stale: a later number is needed. Else the holder's next HOLD begins it anew."""
        adoption = self._find(source, refuse.id, refuse.attempt)
        if adoption is None:
            return
        if refuse.why is m.RefuseWhy.BUSY:
            adoption.again_at = self.core.now + refuse.retry_after_s
            return
        self._end(adoption)
        if refuse.why is m.RefuseWhy.STALE:
            self.core.run(self._stale(adoption, refuse), refuse.id)

    def _stale(self, adoption: Adoption, refuse: m.Refuse) -> Step:
        core = self.core
        entry = yield from core.look_up(refuse.id)
        if entry is None:
            return
        event = handover.Stale(adoption.unit, refuse.attempt, refuse.row_attempt)
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        yield from core.carry_out(entry.picture, entry, effects)
        after = yield from core.look_up(refuse.id)
        if after is not None and effects:
            yield from self.named(after, adoption.unit, refuse.row_attempt)

    def _under_way(self, picture: PictureId) -> set[int]:
        beginning = {unit for begun, unit in self._beginning if begun == picture}
        return beginning | {adoption.unit for adoption in self._all if adoption.picture.id == picture}

    def take_up(self, entry: Entry, copy: Copy) -> None:
        """An attempt that is open and that nobody works on: taken up where it tells of a copy, abandoned where enough
        others have one."""
        pid = entry.picture.id
        if any(d.picture is not None and d.id == pid for d in self._dispersals):
            return
        if self._find(copy.unit, pid, copy.open) is not None:
            return
        if entry.file is File.GONE:
            self._begin(entry.picture, copy.unit, copy.open)
        elif self.core.is_cache(entry):
            self.core.run(self._abandon(pid, copy.unit), pid)

    def _abandon(self, picture: PictureId, unit: int) -> Step:
        entry = yield from self.core.look_up(picture)
        if entry is not None:
            effects = handover.owner(Owner(entry, self.core.next_attempt), handover.Abandon(unit))
            yield from self.core.carry_out(entry.picture, entry, effects)

    def _end(self, adoption: Adoption) -> None:
        if adoption in self._all:
            self._all.remove(adoption)
        self.core.changed = True  # an ordinary dispersal may now go there

    def _find(self, unit: int, picture: PictureId, attempt: int) -> Adoption | None:
        for a in self._all:
            if a.unit == unit and a.picture.id == picture and a.attempt == attempt:
                return a
        return None

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Say again what was not answered."""
        if not self._all and not self._inventories:
            return
        now = self.core.now
        for adoption in list(self._all):
            if now >= adoption.since + ANSWER_WAIT_S:
                self._end(adoption)
            elif now >= adoption.again_at:
                self._say(adoption)
        for unit, asking in list(self._inventories.items()):
            if now < asking.at:
                continue
            neighbour = self.core.neighbours.find(unit)
            if neighbour is None or neighbour.silent(now):
                del self._inventories[unit]  # asked anew from the beginning when it is heard again
            else:
                self._ask_inventory(unit, asking.origin, asking.after)

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not self._all and not self._inventories:
            return None
        times = [min(a.again_at, a.since + ANSWER_WAIT_S) for a in self._all]
        times += [asking.at for asking in self._inventories.values()]
        return min(times)

    def new_boot(self, unit: int) -> None:
        """A unit is there (again), and knows nothing of handles."""
        for adoption in self._all:
            if adoption.unit == unit:
                adoption.handle = None
                adoption.tries = 0
                self._say(adoption)
