"""Copies let go, at the origin: those that a host wants to be relieved of, suspect ones of which it says or shows that
they are gone, and those beyond the number wanted (O8-10).

A copy goes only when O7's last clause holds without it: as many other holders as are wanted have proved theirs lately,
or the own file is here and whole. It leaves the list durably, and only then is DROP said (handover.LetGo).
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from typing import Any

from firmware import handover, own_copy
from firmware import messages as m
from firmware.core import Core
from firmware.determine import Policy
from firmware.dispersal import Dispersals
from firmware.events import Doubted, Request
from firmware.handover import Owner
from firmware.pictures import Entry, File, PictureId
from firmware.proofs import Proofs, fresh
from firmware.repair import Repairs
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

MAX_MOVES = 8
"""Copies that are being let go at once; more that hosts name come again."""
MAX_DISPROVED = 4
"""Of these, so many at most that a lost card has taken: hundreds of them leave places for what hosts name."""
MAX_ASKED = 64
"""Copies remembered that a host has named before."""
SAME_S = 300.0
"""A copy named again within this counts as named once; hosts say it again after twice as long (firmware/relief.py)."""
LOOK_AGAIN_S = 2.0
"""While another copy of the picture is on its way, it is looked again after this long."""
PATIENCE_S = 3600.0
"""A copy that could not be let go within this stays; the host names it again. Guess: some large pictures' transfers."""
SURPLUS_EVERY_S = 24 * 3600
"""Operating time between two looks for copies beyond those wanted: who comes and goes is not emptied at once."""
PAGE = 8
"""Pictures looked at in one turn."""


class Why(enum.Enum):
    """What has begun a move: the end of the sentence that the log has of it."""

    RELIEVE = "its host wants to be relieved of it"
    SURPLUS = "there are more than wanted"
    DISPROVED = "it is suspect, its host has it not, and others are enough"


@dataclass(slots=True, eq=False)
class Move:
    """One copy on its way out; unless its host has asked it stays where others are not enough. asked_before: not for
    the first time, so that the own file will do where nobody else takes it."""

    picture: PictureId
    unit: int
    attempt: int
    why: Why
    since: float
    look_at: float
    asked_before: bool = False
    busy: bool = False


class LettingGo:
    """All copies that are being let go."""

    def __init__(self, core: Core, proofs: Proofs, dispersals: Dispersals, repairs: Repairs) -> None:
        self.core = core
        self._proofs = proofs
        self._dispersals = dispersals
        self._repairs = repairs
        self._moves: list[Move] = []
        self._asked: dict[tuple[PictureId, int], float] = {}  # when each was named first; the oldest first
        self._after: PictureId | None = None  # in the look for surplus
        self._looking = False
        if not core.calendar["surplus_due"]:
            core.calendar["surplus_due"] = core.age_s + SURPLUS_EVERY_S
        self._surplus_at = core.now + max(0, core.calendar["surplus_due"] - core.age_s)
        dispersals.deciding.leaving = self._leaving

    def _leaving(self, picture: PictureId) -> set[int]:
        """Units whose copies do not count when another one is decided about."""
        return {move.unit for move in self._moves if move.picture == picture and move.why is Why.RELIEVE}

    # ------------------------------------------------------------ what begins it

    def on_relieve(self, source: int, relieve: m.Relieve) -> None:
        """A host names a copy; where nothing can be done, nothing changes."""
        core = self.core
        may = core.settings.rules.policy is not Policy.NEVER and not core.settings.without_card
        if core.is_ours(relieve.id) and may:
            move = Move(relieve.id, source, relieve.attempt, Why.RELIEVE, core.now, core.now)
            move.asked_before = self._has_asked(move)
            self._begin(move)

    def _has_asked(self, move: Move) -> bool:
        """Remembers it, too. What comes again within a minute or two is the same question."""
        key = (move.picture, move.unit)
        first_at = self._asked.setdefault(key, self.core.now)
        while len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        return self.core.now >= first_at + SAME_S

    def _begin(self, move: Move) -> None:
        known = any(other.picture == move.picture for other in self._moves)  # one copy of a picture after the other
        if not known and len(self._moves) < MAX_MOVES:
            self._moves.append(move)
            self._look(move)

    def disproved(self, entry: Entry, unit: int) -> None:
        """A suspect copy is gone, or was proved wrong once more: it goes once the others are enough. Else it would be
        asked for as long as the unit is there."""
        others = sum(1 for move in self._moves if move.why is Why.DISPROVED)
        if self.core.settings.rules.policy is not Policy.NEVER and others < MAX_DISPROVED:
            attempt, now = entry.copy_at(unit).listed, self.core.now
            self._begin(Move(entry.picture.id, unit, attempt, Why.DISPROVED, now, now))

    def _surplus(self) -> Step:
        """One page of pictures with a holder that has been suspect."""
        core = self.core
        found = yield Doubted(self._after, PAGE)
        self._looking = False
        self._after = found[-1].picture.id if len(found) == PAGE else None
        if self._after is None:
            self._surplus_later()
        for entry in found:
            spare = self._spare(entry)
            if spare is not None:
                attempt = entry.copy_at(spare).listed
                self._begin(Move(entry.picture.id, spare, attempt, Why.SURPLUS, core.now, core.now))

    def _spare(self, entry: Entry) -> int | None:
        """The holder that can be done without: one that has been suspect, of these the one with least room."""
        core = self.core
        if entry.deleted:
            return None
        wanted = core.settings.rules.wanted(entry.picture.priority)
        possible = [
            (neighbour.room_bytes, copy.unit)
            for copy in entry.listed
            if copy.doubted
            and not copy.open
            and sum(1 for other in entry.verified if other.unit != copy.unit) >= wanted
            and (neighbour := core.neighbours.find(copy.unit)) is not None
            and not neighbour.silent(core.now)
        ]
        return min(possible, default=(0, None))[1]

    # ------------------------------------------------------------ each move

    def _look(self, move: Move) -> None:
        if move not in self._moves:
            return  # its time was over before this
        move.busy = True
        self.core.run(self._go_on(move), move.picture, lambda error: self._failed(move, error))

    def _failed(self, move: Move, error: DandelionError) -> None:
        self.core.log("card", f"a copy of picture {move.picture} could not be let go: {error}", move.picture)
        self._end(move)

    def _end(self, move: Move) -> None:
        if move in self._moves:
            self._moves.remove(move)

    def _wait(self, move: Move) -> None:
        move.busy = False
        move.look_at = self.core.now + LOOK_AGAIN_S

    def _go_on(self, move: Move) -> Step:
        """What is to be done next for it, with the picture as it is now."""
        core, rules = self.core, self.core.settings.rules
        entry = yield from core.look_up(move.picture)
        copy = None if entry is None else entry.copy_at(move.unit)
        if entry is None or copy is None or entry.deleted or not move.attempt or copy.listed != move.attempt:
            self._end(move)
            return
        if move.why is Why.DISPROVED and (copy.open or not copy.suspect):
            self._end(move)  # it is being placed there anew, or was proved after all
            return
        others = {copy.unit for copy in entry.verified if copy.unit != move.unit}
        wanted = rules.wanted(entry.picture.priority)
        if len(others) >= wanted:
            yield from self._let_go_proved(move, entry, others, wanted)
        elif move.why is not Why.RELIEVE or not self._may_move(move, entry):
            self._end(move)
        elif entry.file is File.GONE:
            self._repairs.recall(entry, lambda came: self._recalled(move, came))
        elif self._dispersals.busy_with(move.picture) or self._dispersals.full:
            self._wait(move)
        else:
            yield from self._place_another(move, entry, wanted)

    def _may_move(self, move: Move, entry: Entry) -> bool:
        """Whether it is worth its airtime to bring the bytes here."""
        return entry.file is not File.GONE or move.asked_before or self._repairs.is_useful(entry)

    def _recalled(self, move: Move, came: bool) -> None:
        if came:
            self._look(move)
        else:
            self._end(move)

    def _place_another(self, move: Move, entry: Entry, wanted: int) -> Step:
        """Another copy first. Where nobody takes one, and the host has asked before, the own file is what remains."""
        keep = self._dispersals.consider(entry)
        if keep is None:
            self._wait(move)
            return
        if (move.asked_before or not keep.wanted) and (yield from own_copy.is_whole(self.core, entry)):
            yield from self._let_go(move, entry, wanted, frozenset())
        self._end(move)

    def _let_go_proved(self, move: Move, entry: Entry, others: set[int], wanted: int) -> Step:
        """As many of the others must have proved theirs lately."""
        core = self.core
        proved = frozenset(copy.unit for copy in entry.verified if fresh(copy, core.boot, core.now)) & others
        if len(proved) >= wanted:
            yield from self._let_go(move, entry, wanted, proved)
            self._end(move)
            return
        heard = {unit for unit in others - proved if core.neighbours.is_heard(unit, core.now)}
        if len(proved) + len(heard) < wanted:
            self._end(move)
            return

        def done(came: frozenset[int]) -> None:
            if len(proved) + len(came) >= wanted:
                self._look(move)
            else:
                self._end(move)

        self._proofs.ask_all(entry, heard, done, enough=wanted - len(proved))

    def _let_go(self, move: Move, entry: Entry, wanted: int, proved: frozenset[int]) -> Generator[Request, Any, None]:
        core, picture = self.core, entry.picture
        event = handover.LetGo(move.unit, move.attempt, wanted, proved)
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        yield from core.carry_out(picture, entry, effects)
        if effects:
            text = f"the copy of picture {picture.id} at unit {move.unit} was let go: {move.why.value}"
            core.log("dropped", text, picture.id, move.unit)

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Look again; look for copies beyond those wanted."""
        core = self.core
        if not self._moves and core.now < self._surplus_at:
            return
        for move in list(self._moves):
            if core.now >= move.since + PATIENCE_S:
                self._end(move)
            elif not move.busy and core.now >= move.look_at:
                self._look(move)
        if core.now >= self._surplus_at and not self._looking and not self._moves:
            self._looking = True
            core.run(self._surplus(), on_error=self._cannot_look)

    def _cannot_look(self, error: DandelionError) -> None:
        self._looking = False
        self._surplus_later()
        self.core.log("card", f"copies beyond those wanted could not be looked up: {error}")

    def _surplus_later(self) -> None:
        self.core.calendar["surplus_due"] = self.core.age_s + SURPLUS_EVERY_S
        self._surplus_at = self.core.now + SURPLUS_EVERY_S

    def deadline(self) -> float | None:
        """When something is looked at."""
        if not self._moves:
            return None if self._looking else self._surplus_at
        return min(move.since + PATIENCE_S if move.busy else move.look_at for move in self._moves)
