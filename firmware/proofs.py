"""Asking holders to prove that they still have a picture (HANDOVER R9), and what their answers change (R2)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial

from firmware import handover
from firmware import messages as m
from firmware.core import Core
from firmware.events import DigestFile, Digests
from firmware.handover import Owner
from firmware.own_copy import put_aside
from firmware.pictures import NONCE_BYTES, Copy, Entry, File, Picture, PictureId
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

FRESH_S = 24 * 3600.0
"""A proof is good for dropping the own file for so long, within one boot (DESIGN §5)."""
PROVE_WAIT_S = 20.0
"""PROVE is repeated for so long: reading a large picture back from a slow card takes seconds."""
UNANSWERED_S = 2 * 3600.0
"""A unit that is heard and has answered no question for so long fails by not answering: if it does not hear us, its
copies are of no use to us. Longer than a busy channel or a slow card takes. Guess."""
TALLY_HOURS = 24
"""Answers are told for the last day."""
MAX_PROVINGS = 64
"""Proofs asked for at once; more wait until some are answered."""


Got = Callable[[m.Proof | None], None]


@dataclass(slots=True, eq=False)
class Proving:
    """One proof asked for. Each of told is called once: answered rightly? got: who judges it instead, given the answer,
    or None where there was no answer or LOST."""

    picture: Picture
    unit: int
    attempt: int
    nonce: bytes
    told: list[Callable[[bool], None]]
    since: float
    again_at: float
    got: Got | None = None
    tries: int = 0

    def settle(self, right: bool) -> None:
        """Tell everybody who asked."""
        for told in self.told:
            told(right)
        if self.got is not None:
            self.got(None)


def fresh(copy: Copy, boot: int, now: float) -> bool:
    """Whether this holder's proof may still be used to drop the own file."""
    return (
        bool(copy.listed)
        and not copy.suspect
        and copy.verified_boot == boot
        and now - copy.verified_monotonic < FRESH_S
    )


class Tally:
    """What became of the proofs asked for within the last day, hour by hour: asked, right, failed."""

    def __init__(self) -> None:
        self._hours: deque[tuple[int, Counter[str]]] = deque(maxlen=TALLY_HOURS)

    def add(self, what: str, now: float) -> None:
        """One more, at this monotonic time."""
        hour = int(now // 3600)
        if not self._hours or self._hours[-1][0] != hour:
            self._hours.append((hour, Counter()))
        self._hours[-1][1][what] += 1

    def sums(self, now: float) -> dict[str, int]:
        """Of the last day, or since the start."""
        first = int(now // 3600) - TALLY_HOURS + 1
        return {w: sum(n[w] for hour, n in self._hours if hour >= first) for w in ("asked", "right", "failed")}


class Proofs:
    """All proofs asked for."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.tally = Tally()
        self.failed: Callable[[int], None] = lambda _: None  # told of each unit that could not prove a copy
        self.disproved: Callable[[Entry, int], None] = lambda *_: None  # a suspect copy: gone, or wrong once more
        self._all: list[Proving] = []
        self._unanswered: dict[int, float] = {}  # since when units answer nothing; as many as there are holders

    def ask(self, entry: Entry, unit: int, told: Callable[[bool], None]) -> bool:
        """Ask this listed holder now, once for all who want it; False when too many are being asked."""
        for proving in self._all:
            if proving.unit == unit and proving.picture.id == entry.picture.id and proving.got is None:
                proving.told.append(told)
                return True
        core = self.core
        nonce = core.rng.randbytes(NONCE_BYTES)
        return self._begin(Proving(entry.picture, unit, entry.copy_at(unit).listed, nonce, [told], core.now, core.now))

    def ask_with(self, entry: Entry, unit: int, nonce: bytes, got: Got) -> bool:
        """Ask this listed holder now with this nonce, never used before; False when too many are being asked."""
        now = self.core.now
        return self._begin(Proving(entry.picture, unit, entry.copy_at(unit).listed, nonce, [], now, now, got))

    def _begin(self, proving: Proving) -> bool:
        if len(self._all) >= MAX_PROVINGS:
            return False
        self._all.append(proving)
        self.tally.add("asked", self.core.now)
        self._say(proving)
        return True

    def ask_all(
        self, entry: Entry, units: Iterable[int], done: Callable[[frozenset[int]], None], *, enough: int | None = None
    ) -> None:
        """Ask these holders. done(those that have proved it) is called once: when so many have, else when all have
        answered or time is over."""
        waiting, proved, told = set(units), set[int](), False

        def look() -> None:
            nonlocal told
            if not told and (not waiting or (enough is not None and len(proved) >= enough)):
                told = True
                done(frozenset(proved))

        def answer(unit: int, right: bool) -> None:
            waiting.discard(unit)
            if right:
                proved.add(unit)
            look()

        for unit in sorted(waiting):
            if not self.ask(entry, unit, partial(answer, unit)):
                waiting.discard(unit)
        look()

    def _say(self, proving: Proving) -> None:
        self.core.say(proving.unit, m.Prove(proving.picture.id, proving.attempt, proving.nonce))
        estimate = self.core.neighbours.heard_before(proving.unit).estimate
        proving.again_at = self.core.now + estimate.timeout_s(proving.tries)
        proving.tries += 1

    def on_proof(self, source: int, proof: m.Proof) -> None:
        """Compare with the own file; without one the answer only shows that the holder answers."""
        self._unanswered.pop(source, None)
        for proving in [p for p in self._all if (p.unit, p.picture.id, p.nonce) == (source, proof.id, proof.nonce)]:
            self._all.remove(proving)
            if proving.got is not None:
                proving.got(proof)
            else:
                self.core.run(self._compare(proving, proof), proof.id, partial(self._failed, proving))

    def _failed(self, proving: Proving, error: DandelionError) -> None:
        """The own card failed: nothing is known of the copy."""
        self.core.log("card", f"a proof of picture {proving.picture.id} could not be compared: {error}")
        proving.settle(False)

    def _compare(self, proving: Proving, proof: m.Proof) -> Step:
        core = self.core
        entry = yield from core.look_up(proof.id)
        if entry is None or entry.file is File.GONE:
            proving.settle(False)
            return
        digests = yield DigestFile.of(entry, proving.nonce)
        assert isinstance(digests, Digests)
        if not digests.whole:
            yield from put_aside(core, entry)
            proving.settle(False)
            return
        right = proof.whole and proof.proof == digests.proofs[0]
        yield from self._judged(entry, proving.unit, proving.attempt, right=right, answered=True)
        proving.settle(right)

    def judge(self, picture: PictureId, unit: int, attempt: int, *, right: bool, answered: bool = True) -> Step:
        """Part of a step on its picture: what the list makes of a proof of this attempt that was compared (R2).
        answered: else it has given none for long."""
        entry = yield from self.core.look_up(picture)
        if entry is not None:
            yield from self._judged(entry, unit, attempt, right=right, answered=answered)

    def _judged(self, entry: Entry, unit: int, attempt: int, *, right: bool, answered: bool) -> Step:
        core, picture = self.core, entry.picture.id
        if answered and not right:
            self._disproved(entry, unit, attempt)
        event = handover.Audited(unit, attempt, right, core.stamp())
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        yield from core.carry_out(entry.picture, entry, effects)
        self.tally.add("right" if right else "failed", core.now)
        if not right:
            self.failed(unit)
        text = f"unit {unit} {'has proved' if right else 'could not prove'} picture {picture}"
        core.log("verified" if right else "suspect", text, picture, unit)

    def _disproved(self, entry: Entry, unit: int, attempt: int) -> None:
        copy = entry.copy_at(unit)
        if copy.listed == attempt and copy.suspect:
            self.disproved(entry, unit)

    def on_lost(self, source: int, lost: m.Lost) -> None:
        """The holder says that it has no copy (any more); of which attempt, the question knows best."""
        self._unanswered.pop(source, None)
        asked = [p for p in self._all if p.unit == source and p.picture.id == lost.id]
        self._all = [p for p in self._all if p not in asked]

        def told(error: DandelionError) -> None:
            self.core.log("card", f"that unit {source} has lost picture {lost.id} could not be noted: {error}")
            for proving in asked:
                proving.settle(False)

        self.core.run(self._lost(source, lost, asked), lost.id, told)

    def _lost(self, source: int, lost: m.Lost, asked: list[Proving]) -> Step:
        if self.core.is_ours(lost.id):
            for attempt in sorted({lost.attempt} | {proving.attempt for proving in asked}):
                yield from self._gone(source, lost.id, handover.Gone(source, attempt, lost.dropped))
        for _ in asked:
            self.tally.add("failed", self.core.now)
            self.failed(source)
        for proving in asked:
            proving.settle(False)

    def _gone(self, source: int, picture: PictureId, event: handover.Gone) -> Step:
        entry = yield from self.core.look_up(picture)
        if entry is None:
            return
        self._disproved(entry, source, event.attempt)
        effects = handover.owner(Owner(entry, self.core.next_attempt), event)
        yield from self.core.carry_out(entry.picture, entry, effects)
        if effects and entry.copy_at(source).listed:
            self.core.log("lost", f"unit {source} has lost its copy of picture {picture}", picture, source)

    def suspect(self, picture: PictureId, unit: int) -> None:
        """An asker got damaged bytes from this holder (DAMAGED): its copy is suspect."""
        self.core.run(self._suspect(picture, unit), picture)

    def _suspect(self, picture: PictureId, unit: int) -> Step:
        entry = yield from self.core.look_up(picture)
        if entry is None:
            return
        event = handover.Audited(unit, entry.copy_at(unit).listed, False, self.core.stamp())
        effects = handover.owner(Owner(entry, self.core.next_attempt), event)
        yield from self.core.carry_out(entry.picture, entry, effects)
        if effects:
            self.core.log("suspect", f"the copy of picture {picture} at unit {unit} is suspect", picture, unit)

    def tick(self) -> None:
        """Ask again, or stop waiting: once in a while no answer is no answer, and the list stays as it is."""
        for proving in list(self._all):
            if self.core.now >= proving.since + PROVE_WAIT_S:
                self._all.remove(proving)
                self._not_answered(proving)
                proving.settle(False)
            elif self.core.now >= proving.again_at:
                self._say(proving)

    def _not_answered(self, proving: Proving) -> None:
        core, unit = self.core, proving.unit
        if not core.neighbours.is_heard(unit, core.now):
            self._unanswered.pop(unit, None)  # silent altogether: firmware/silence.py
        elif core.now >= self._unanswered.setdefault(unit, core.now) + UNANSWERED_S:
            step = self.judge(proving.picture.id, unit, proving.attempt, right=False, answered=False)
            core.run(step, proving.picture.id)

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not self._all:
            return None
        return min(min(p.again_at, p.since + PROVE_WAIT_S) for p in self._all)

    def new_boot(self, unit: int) -> None:
        """Ask again at once what the unit may have forgotten."""
        for proving in self._all:
            if proving.unit == unit:
                proving.tries = 0
                self._say(proving)
