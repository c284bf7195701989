"""Audits by calendar (HANDOVER R9): each holder proves a few pictures a day, whether or not the own file is here.

With the own file a fresh nonce is asked and compared with it. Without it one of the pairs is used that were made while
the bytes were here (firmware/pairs.py); when none is left, two holders get one nonce and are compared, and the copy of
a single holder is read out once, of which new pairs are made.

A holder that has no picture of those with the own file here is asked, as often, whether it still has one of the others,
by any nonce: no pair is used, and one that has lost its card says LOST. It is asked for both kinds, and soon, when a
proof has failed or it is heard with a card of another number.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from firmware import messages as m
from firmware.core import Core
from firmware.events import DrawnAt, DuePairs, FirstPair, Pair, Request, SavePairs, UsePair
from firmware.neighbours import Neighbour
from firmware.pairs import DAY_S
from firmware.pictures import NONCE_BYTES, Entry, File, PictureId
from firmware.proofs import Proofs
from firmware.readout import ReadOuts
from firmware.steps import Step
from hal.errors import DandelionError

A_DAY = 20
"""Pictures with own file that a holder is asked for a day (R9): one that has lost a tenth of what it holds is found
within a day with 9 chances in 10. Each costs some 100 bytes of air."""
EVERY_S = DAY_S / (A_DAY + 2)
"""Between two turns of one holder, on average. Chance spreads the turns: with two more nearly every day has A_DAY."""
PAIRS_A_TURN = 10
"""Pictures without own file that a holder is asked for in a turn: 220 a day. A camera that takes one an hour, and drops
it from its own card at once, uses 192 pairs a day, eight of each."""
QUICK_S, QUICK_TURNS = 30.0, 16
"""After a failed proof, or on a new card, so many turns of that holder come so fast, and anew after each failure: what
a dead card or a liar has lost is found, and copied anew, within hours. Those proved longest ago of the DRAWN are asked
for then; with 8 turns the last two of 40 stayed unnoticed once in 60 times. Guesses."""
DRAWN = 16
"""One of so many behind a point drawn at random is asked for, so that none is hidden behind a close neighbour."""
BUSY_AGAIN_S = 60.0
"""While pictures are on their way, a turn waits so long and looks again."""
LATEST_S = 4 * 3600.0
"""It waits at most so long: a channel that is never free must not hide a liar."""
READ_OUT_EVERY_S = DAY_S / 2
"""Copies without pairs are read out at most so often of one holder: each costs its whole size of air. Guess."""
AGAIN_DAYS = 1
"""What could not be renewed is tried again after so many days."""
COMPARED_DAYS = 16
"""Two holders without pairs are compared so often: as seldom as the calendar of pairs in its middle. Guess."""


class Audits:
    """One turn after the other for each unit that is heard."""

    def __init__(self, core: Core, proofs: Proofs, read_outs: ReadOuts, busy: Callable[[], bool]) -> None:
        """busy: whether pictures are on their way from or to this unit."""
        self.core = core
        self._proofs = proofs
        self._read_outs = read_outs
        self._busy = busy
        self._turns: dict[int, float] = {}  # when each unit has its next turn; as many as there are neighbours
        self._look_at: dict[int, float] = {}  # the same, later while the channel is busy
        self._at = float("inf")  # the first of these
        self._quick: dict[int, int] = {}  # quick turns that are left, of units that may have lost more
        proofs.failed = self._hurry
        self._read_out_at: dict[int, float] = {}  # those read out of lately, and until when that was

    def new_boot(self, unit: int) -> None:
        """A unit is heard (again)."""
        if unit not in self._turns:
            self._set(unit, self.core.now + EVERY_S * self.core.rng.random())

    def on_beacon(self, neighbour: Neighbour, card: int) -> None:
        """With another card it may have lost everything. A beacon changes nothing that lasts: it is only asked."""
        known, neighbour.card = neighbour.card, card
        if known not in (None, card):
            self._hurry(neighbour.unit)
            self.core.changed = True  # so that this beacon is news

    def _hurry(self, unit: int) -> None:
        """What else has it lost?"""
        self._quick[unit] = QUICK_TURNS
        if unit in self._turns:
            self._set(unit, min(self._turns[unit], self.core.now + QUICK_S))

    def _next_turn_s(self, unit: int) -> float:
        quick = self._quick.pop(unit, 0)
        if quick > 1:
            self._quick[unit] = quick - 1
        return QUICK_S if quick else EVERY_S * (0.5 + self.core.rng.random())

    def _set(self, unit: int, at: float) -> None:
        self._turns[unit] = self._look_at[unit] = at
        self._at = min(self._at, at)

    def tick(self) -> None:
        """Turns that are due; a unit that is silent has none until it is heard again."""
        now = self.core.now
        if now < self._at:
            return
        for unit in [unit for unit, at in self._look_at.items() if now >= at]:
            if not self.core.neighbours.is_heard(unit, now):
                del self._turns[unit], self._look_at[unit]
            elif self._busy() and now < self._turns[unit] + LATEST_S:
                self._look_at[unit] = now + BUSY_AGAIN_S
            else:
                quick = unit in self._quick
                self._set(unit, now + self._next_turn_s(unit))
                self.core.run(self._turn(unit, quick=quick), on_error=self._failed)
                self.core.run(self._without_file(unit), on_error=self._failed)
        self._at = min(self._look_at.values(), default=float("inf"))

    def deadline(self) -> float | None:
        """When a unit has its turn."""
        return self._at if self._look_at else None

    def _failed(self, error: DandelionError) -> None:
        self.core.log("card", f"an audit could not be made: {error}")

    # ------------------------------------------------------------ drawn by chance

    def _turn(self, unit: int, *, quick: bool) -> Step:
        """One with the own file first; where there is none, or in haste, one without."""
        drawn = yield from self._drawn(unit, File.WHOLE, DRAWN if quick else 1)
        if drawn:
            self._proofs.ask(min(drawn, key=partial(self._proved_at, unit)), unit, lambda _right: None)
        if quick or not drawn:
            for entry in (yield from self._drawn(unit, File.GONE, 1)):
                self._ask_whether_there(entry, unit)

    def _drawn(self, unit: int, file: File, most: int) -> Generator[Request, Any, list[Entry]]:
        drawn = yield DrawnAt(unit, self.core.rng.randrange(2**32), DRAWN, here=file is not File.GONE)
        self.core.rng.shuffle(drawn)
        found: list[Entry] = []
        for picture in drawn:
            entry = yield from self.core.look_up(picture)
            if entry is not None and entry.file is file and entry.copy_at(unit).listed:
                found.append(entry)
                if len(found) == most:
                    break
        return found

    def _ask_whether_there(self, entry: Entry, unit: int) -> None:
        """An honest unit says LOST of what it has not, or that what it reads is not whole."""

        def got(proof: m.Proof | None) -> None:
            if proof is not None and not proof.whole:
                self._judge(entry, unit, False)

        self._proofs.ask_with(entry, unit, self.core.rng.randbytes(NONCE_BYTES), got)

    def _proved_at(self, unit: int, entry: Entry) -> float:
        copy = entry.copy_at(unit)
        return copy.verified_monotonic if copy.verified_boot == self.core.boot else float("-inf")

    # ------------------------------------------------------------ without it

    def _without_file(self, unit: int) -> Step:
        due = yield DuePairs(unit, self.core.age_s, PAIRS_A_TURN)
        asked = set[PictureId]()
        for pair in due:
            if pair.picture not in asked:  # another one of the same picture is for the next turn
                asked.add(pair.picture)
                self.core.run(self._due(pair), pair.picture, self._failed)

    def _due(self, pair: Pair) -> Step:
        entry = yield from self.core.look_up(pair.picture)
        if entry is None or not _is_audited(entry, pair.unit):
            yield UsePair(pair)
        elif pair.nonce:
            yield from self._use(entry, pair, lambda _right: None)
        else:
            yield from self._renew(entry, pair.unit)

    def prove_with_pair(self, entry: Entry, unit: int, done: Callable[[bool | None], None]) -> None:
        """A copy, the own file gone: a proof with the next pair. done: right? None: no pair, or no answer."""

        def failed(error: DandelionError) -> None:
            self._failed(error)
            done(None)

        self.core.run(self._next_pair(entry.picture.id, unit, done), entry.picture.id, failed)

    def _next_pair(self, picture: PictureId, unit: int, done: Callable[[bool | None], None]) -> Step:
        entry = yield from self.core.look_up(picture)
        pair = yield FirstPair(picture, unit)
        if entry is None or pair is None or not pair.nonce:
            done(None)
        else:
            yield from self._use(entry, pair, done)

    def _use(self, entry: Entry, pair: Pair, done: Callable[[bool | None], None]) -> Step:
        """Once, and never again: it is gone before it is said, or a liar could keep the answer of a lost question."""
        yield UsePair(pair)

        def got(proof: m.Proof | None) -> None:
            if proof is None:
                done(None)
                return
            right = proof.whole and proof.proof == pair.digest
            self._judge(entry, pair.unit, right)
            done(right)

        if not self._proofs.ask_with(entry, pair.unit, pair.nonce, got):
            done(None)

    def _judge(self, entry: Entry, unit: int, right: bool) -> None:
        """The copy that was asked about, whatever number the answer bears."""
        attempt, picture = entry.copy_at(unit).listed, entry.picture.id
        self.core.run(self._proofs.judge(picture, unit, attempt, right=right), picture)

    # ------------------------------------------------------------ no pair is left

    def _renew(self, entry: Entry, unit: int) -> Step:
        """First the next try is noted; what succeeds takes its place."""
        core = self.core
        yield SavePairs((self._later(entry, unit, AGAIN_DAYS),))
        if entry.copy_at(unit).suspect:
            return  # it is read out as a suspect (R4)
        other = next((c.unit for c in entry.verified if c.unit != unit and self._is_heard(c.unit)), None)
        if other is not None:
            self._compare(entry, unit, other)
            return
        self._read_out_at = {other: at for other, at in self._read_out_at.items() if core.now < at}
        if unit not in self._read_out_at and not self._busy():
            self._read_out_at[unit] = core.now + READ_OUT_EVERY_S
            self._read_outs.check(entry, unit, partial(self._read_out, entry, unit))

    def _later(self, entry: Entry, unit: int, days: int) -> Pair:
        return Pair(entry.picture.id, unit, self.core.age_s + days * DAY_S)

    def _is_heard(self, unit: int) -> bool:
        return self.core.neighbours.is_heard(unit, self.core.now)

    def _read_out(self, entry: Entry, unit: int, right: bool, why: str) -> None:
        """Its pairs are made; a damaged copy is suspect already."""
        del why  # the log has it
        if right:
            self._judge(entry, unit, True)

    def _compare(self, entry: Entry, unit: int, other: int) -> None:
        """One nonce to both: equal answers are right, different ones make both suspect, and each is read out then."""
        nonce = self.core.rng.randbytes(NONCE_BYTES)
        answers: dict[int, m.Proof | None] = {}

        def got(asked: int, proof: m.Proof | None) -> None:
            answers[asked] = proof
            if len(answers) == 2:
                self._compared(entry, unit, answers)

        for asked in (unit, other):
            if not self._proofs.ask_with(entry, asked, nonce, partial(got, asked)):
                got(asked, None)

    def _compared(self, entry: Entry, unit: int, answers: dict[int, m.Proof | None]) -> None:
        told = {asked: proof for asked, proof in answers.items() if proof is not None}
        broken = [asked for asked, proof in told.items() if not proof.whole]
        for asked in broken:
            self._judge(entry, asked, False)
        if broken or len(told) < len(answers):
            return
        equal = len({proof.proof for proof in told.values()}) == 1
        for asked in told:
            self._judge(entry, asked, equal)
        if equal:
            later = self._later(entry, unit, COMPARED_DAYS)
            self.core.run(self.core.fetch(SavePairs((later,))), entry.picture.id, self._failed)


def _is_audited(entry: Entry, unit: int) -> bool:
    return not entry.deleted and entry.file is File.GONE and bool(entry.copy_at(unit).listed)
