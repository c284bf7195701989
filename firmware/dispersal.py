"""Placing own pictures with other units: the DISPERSAL chain from the decision to the list entry (HANDOVER O1–O6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import field

from firmware import handover, own_copy, states
from firmware import messages as m
from firmware.core import Core
from firmware.deciding import NO_ROOM_ENDS_IT, Deciding
from firmware.determine import Keep
from firmware.errors import Refused
from firmware.events import DigestFile, Digests, ReadFile
from firmware.handover import Owner, Word
from firmware.outgoing import Outgoing
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.ranges import RangeSet
from firmware.states import State
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

MAX_DISPERSALS = 8
"""Pictures on their way out at once, each to another unit (one reservation per peer, R3)."""
ACCEPT_WAIT_S = 20.0
"""REQUEST is repeated with back-off for so long; then the unit is left alone for a while. Guess: four longest
time-outs of the link."""
UNANSWERED_S = 30.0
"""A unit that did not answer a REQUEST is asked again after this long, and while nothing at all is heard of it each
time after twice as long, MOST_DOUBLINGS times; or when it is heard. Guess."""
MOST_DOUBLINGS = 5
"""A quarter of an hour: a unit that is out of reach is asked for 2 % of the time, and beacons tell when it is back."""
MOST_DOUBLINGS_IN_VAIN = 7
"""An hour: a unit that accepts, but never proves that it has stored anything, costs a picture's airtime each time."""
NO_PROGRESS_S = 60.0
"""A transfer in which nothing was confirmed for so long has failed (DESIGN §9: `copy` gives up on 60 s)."""
NONCES_KEPT = 4
"""ACCEPTs of one attempt whose STORED is still taken, however late it comes; more restarts of the host in one transfer
cost a repeated END."""


@dataclass(slots=True, eq=False)
class ByHand:
    """A copy at this unit that a person asked for. timeout_s: without progress.

    kept: why it came to nothing so far. told: the person knows how it ended.
    """

    unit: int
    ticket: int
    timeout_s: float
    kept: Keep | None = None
    told: bool = False


@dataclass(slots=True, eq=False)
class Dispersal:
    """One picture of ours from the shutter (or a reconsideration) to a list entry."""

    picture: Picture | None
    state: State = State.IDLE
    host: int = 0
    attempt: int = 0
    by_hand: ByHand | None = None
    outgoing: Outgoing | None = None
    since: float = 0.0
    again_at: float | None = None
    tries: int = 0
    handle: int = -1
    nonces: deque[bytes] = field(default_factory=lambda: deque(maxlen=NONCES_KEPT))

    @property
    def id(self) -> PictureId:
        """Known from the moment that the picture is."""
        assert self.picture is not None
        return self.picture.id


class Dispersals:
    """All dispersals under way."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.deciding = Deciding(core)
        self._all: list[Dispersal] = []

    def __iter__(self) -> Iterator[Dispersal]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def outgoing(self) -> list[Outgoing]:
        """What is being sent, priority pictures first."""
        if not self._all:
            return []
        sending = [d for d in self._all if d.outgoing is not None and d.state is State.SEND]
        if len(sending) > 1:
            sending.sort(key=lambda d: not (d.picture is not None and d.picture.priority))
        return [d.outgoing for d in sending if d.outgoing is not None]

    def busy_with(self, picture: PictureId) -> bool:
        """Whether a copy of this picture is being made."""
        return self.find(picture) is not None

    def runs(self, by_hand: ByHand) -> bool:
        """Whether this copy is on its way."""
        return any(d.by_hand is by_hand for d in self._all)

    def find(self, picture: PictureId) -> Dispersal | None:
        """The dispersal of this picture, if one is under way."""
        return next((d for d in self._all if d.picture is not None and d.id == picture), None)

    @property
    def at_work(self) -> frozenset[PictureId]:
        """Pictures under way, and those that the own card did not give lately: not to be considered now."""
        return frozenset(d.id for d in self._all if d.picture is not None) | self.deciding.resting

    @property
    def full(self) -> bool:
        """Whether no more can be begun now."""
        return len(self._all) >= MAX_DISPERSALS

    def tick(self) -> None:
        """Say again what was not answered; give up what has taken too long."""
        for dispersal in list(self._all):
            self._tick_one(dispersal)

    # ------------------------------------------------------------ deciding

    def consider(self, entry: Entry, by_hand: ByHand | None = None) -> Keep | None:
        """Decide about a picture that no dispersal is under way for; Keep if it stays."""
        dispersal = Dispersal(entry.picture, by_hand=by_hand)
        states.dispersal.move(dispersal, "reconsider")
        self._all.append(dispersal)
        return self._decide(dispersal, entry)

    def captured(self, dispersal: Dispersal, entry: Entry) -> None:
        """A shot is durable: CAPTURE → DECIDE."""
        dispersal.picture = entry.picture
        states.dispersal.move(dispersal, "captured")
        self._all.append(dispersal)
        self._decide(dispersal, entry)

    def _decide(self, dispersal: Dispersal, entry: Entry) -> Keep | None:
        """DECIDE: the one place where what comes next is decided, also after every failure; Keep if it stays."""
        busy = {d.host for d in self._all if d is not dispersal and d.host}
        decision = self.deciding.decide(entry, None if dispersal.by_hand is None else dispersal.by_hand.unit, busy)
        if isinstance(decision, Keep):
            self._keep(dispersal, decision)
            return decision
        dispersal.host = decision.unit
        dispersal.tries = 0
        dispersal.since = self.core.now
        states.dispersal.move(dispersal, "disperse")
        self._request(dispersal)
        return None

    def _keep(self, dispersal: Dispersal, keep: Keep) -> None:
        self.deciding.kept(keep, by_hand=dispersal.by_hand is not None)
        states.dispersal.move(dispersal, "keep")
        self._all.remove(dispersal)
        if dispersal.by_hand is not None:
            dispersal.by_hand.kept = keep

    # ------------------------------------------------------------ REQUEST, AWAIT_ACCEPT

    def _request(self, dispersal: Dispersal) -> None:
        self.core.run(self._place(dispersal), dispersal.id, lambda error: self._own_trouble(dispersal, error))

    def _own_trouble(self, dispersal: Dispersal, error: DandelionError | str) -> None:
        """The own card or catalogue failed: no fault of the host's; the picture rests, others go on."""
        pid = dispersal.id
        self.core.log("card", f"picture {pid} cannot be copied now: {error}", pid)
        self._stop_sending(dispersal)
        if dispersal.state is not State.DECIDE:
            states.dispersal.move(dispersal, "failed" if dispersal.state is State.REQUEST else "refused")
        again_at = self.deciding.rest(pid)
        self._keep(dispersal, Keep(f"the own card failed: {error}", again_at, others_too=False))

    def _place(self, dispersal: Dispersal) -> Step:
        """O1; attempts open elsewhere are abandoned first (O6)."""
        core, picture = self.core, dispersal.picture
        assert picture is not None
        entry = yield from core.look_up(picture.id)
        if entry is not None and entry.file is File.UNCHECKED:
            entry = yield from own_copy.check(core, entry)
        if entry is None or entry.deleted or entry.file is File.GONE:
            self._gone(dispersal)
            return
        for other in [c.unit for c in entry.copies if c.open and c.unit != dispersal.host]:
            entry = yield from self._abandon(entry, other)
        effects = handover.owner(Owner(entry, core.next_attempt), handover.Place(dispersal.host))
        for say in (yield from core.carry_out(picture, entry, effects)):
            assert say.word is Word.REQUEST
            dispersal.attempt = say.attempt
        if dispersal.state is not State.REQUEST:
            return
        states.dispersal.move(dispersal, "requested")
        dispersal.since = core.now
        core.log("requested", f"picture {picture.id} requested of unit {dispersal.host}", picture.id, dispersal.host)
        self._say_request(dispersal)

    def _abandon(self, entry: Entry, unit: int) -> Step:
        """O6, and DROP of the burned number, so that a reservation there ends."""
        core, picture = self.core, entry.picture
        burned = entry.copy_at(unit).open
        effects = handover.owner(Owner(entry, core.next_attempt), handover.Abandon(unit))
        yield from core.carry_out(picture, entry, effects)
        after = yield from core.look_up(picture.id)
        assert after is not None
        wanted = core.settings.rules.wanted(picture.priority)
        if handover.may_drop(Owner(after, core.next_attempt), unit, burned, wanted):
            core.say(unit, m.Drop(picture.id, burned, picture.digest4))
        return after

    def _say_request(self, dispersal: Dispersal) -> None:
        assert dispersal.picture is not None
        self.core.say(dispersal.host, m.Request(dispersal.picture, dispersal.attempt))
        neighbour = self.core.neighbours.heard_before(dispersal.host)
        dispersal.again_at = self.core.now + neighbour.estimate.timeout_s(dispersal.tries)
        dispersal.tries += 1

    def on_accept(self, source: int, accept: m.Accept) -> None:
        """O3: send what is missing."""
        dispersal = self._find(source, accept.id, accept.attempt)
        if dispersal is None:
            return
        if dispersal.state is State.SEND and accept.handle == dispersal.handle:
            return  # the answer to a REQUEST that was said twice
        if dispersal.state is State.AWAIT_ACCEPT:
            self.core.run(self._accepted(dispersal, accept), accept.id)

    def _accepted(self, dispersal: Dispersal, accept: m.Accept) -> Step:
        core, picture = self.core, dispersal.picture
        assert picture is not None
        entry = yield from core.look_up(picture.id)
        if entry is None or dispersal.state is not State.AWAIT_ACCEPT:
            return
        event = handover.Accepted(dispersal.host, accept.attempt, not accept.missing)
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        said = yield from core.carry_out(picture, entry, effects)
        if not any(say.word is Word.PARTS for say in said):
            self._gone(dispersal)
            return
        missing = RangeSet(accept.missing)
        if missing.stop > picture.size_bytes:
            return
        states.dispersal.move(dispersal, "accepted")
        neighbour = core.neighbours.heard_before(dispersal.host)
        neighbour.last_used = core.now
        dispersal.handle = accept.handle
        dispersal.again_at = None
        dispersal.outgoing = Outgoing(
            core, dispersal.host, accept.handle, picture.size_bytes, missing, _reader(picture)
        )
        dispersal.nonces.append(dispersal.outgoing.nonce)
        core.log("sending", f"picture {picture.id} is being sent to unit {dispersal.host}", picture.id, dispersal.host)

    # ------------------------------------------------------------ SEND

    def on_report(self, source: int, report: m.Report) -> None:
        """What the host has of the picture under this handle."""
        dispersal = self._sending(source, report.handle)
        if dispersal is not None and dispersal.outgoing is not None:
            dispersal.outgoing.on_report(report)

    def on_expired(self, source: int, expired: m.Expired) -> None:
        """The host has no such reservation any more: REQUEST with the same number."""
        dispersal = self._sending(source, expired.handle)
        if dispersal is not None:
            self._ask_again(dispersal)

    def _ask_again(self, dispersal: Dispersal) -> None:
        self._stop_sending(dispersal)
        dispersal.tries = 0
        states.dispersal.move(dispersal, "expired")
        self.core.log(
            "expired",
            f"unit {dispersal.host} has restarted; it is asked again for room for picture {dispersal.id}",
            dispersal.id,
            dispersal.host,
        )
        self._request(dispersal)

    def on_stored(self, source: int, stored: m.Stored) -> None:
        """O4, when the proof is right for a nonce that we sent."""
        dispersal = self._find(source, stored.id, stored.attempt)
        if dispersal is not None and dispersal.state is State.SEND and not self.core.steps.busy(stored.id):
            self.core.run(self._receipt(dispersal, stored), stored.id)

    def _receipt(self, dispersal: Dispersal, stored: m.Stored) -> Step:
        core, picture = self.core, dispersal.picture
        assert picture is not None
        entry = yield from core.look_up(picture.id)
        if entry is None or dispersal.outgoing is None:
            return
        digests = yield DigestFile.of(entry, *dispersal.nonces)
        assert isinstance(digests, Digests)
        if dispersal.state is not State.SEND:
            return
        if not digests.whole:
            yield from own_copy.put_aside(core, entry)
            self._own_trouble(dispersal, "the own file is damaged")
            return
        right = digests.whole and stored.proof in digests.proofs
        event = handover.Receipt(dispersal.host, stored.attempt, right, stored.proof, core.stamp())
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        if not effects:
            self._refused(dispersal, self._after_in_vain_s(dispersal.host), "its proof is wrong", NO_ROOM_ENDS_IT)
            return
        yield from core.carry_out(picture, entry, effects)
        if dispersal.state is not State.SEND:
            return  # the host has restarted, or time was over, while that was committed: what follows finds it
        text = f"picture {picture.id} is stored at unit {dispersal.host}"
        if dispersal.outgoing is not None and (again_bytes := dispersal.outgoing.sender.bytes_resent):
            text += f" ({again_bytes} bytes of it were sent again)"
        states.dispersal.move(dispersal, "stored_there")
        core.neighbours.heard_before(dispersal.host).sent_in_vain = 0
        self._stop_sending(dispersal)
        self._all.remove(dispersal)
        core.log("stored", text, picture.id, dispersal.host)
        if dispersal.by_hand is not None:
            dispersal.by_hand.told = True
            core.done(dispersal.by_hand.ticket)

    def on_refuse(self, source: int, refuse: m.Refuse) -> None:
        """The host does not take it now."""
        dispersal = self._find(source, refuse.id, refuse.attempt)
        if dispersal is None or dispersal.state not in (State.AWAIT_ACCEPT, State.SEND):
            return
        if refuse.why in (m.RefuseWhy.CONFLICT, m.RefuseWhy.DELETED):
            self.deciding.conflict(refuse.id, source)
        words = refuse.why.name.lower().replace("_", " ")
        if refuse.why is m.RefuseWhy.STALE:
            self.core.run(self._stale(dispersal, refuse), refuse.id)
            return
        if refuse.why is m.RefuseWhy.FAILED and dispersal.state is State.SEND:
            self.core.run(self._failed_there(dispersal, refuse), refuse.id)
            return
        self._refused(dispersal, refuse.retry_after_s, words, refuse.needed_bytes or None)

    def _failed_there(self, dispersal: Dispersal, refuse: m.Refuse) -> Step:
        """What arrived may be wrong because it is wrong here: a rotten file would go to one unit after the other."""
        entry = yield from self.core.look_up(refuse.id)
        if entry is None or entry.file is File.GONE:
            return
        digests = yield DigestFile.of(entry)
        assert isinstance(digests, Digests)
        if dispersal.state is not State.SEND:
            return
        if not digests.whole:
            yield from own_copy.put_aside(self.core, entry)
            self._own_trouble(dispersal, "the own file is damaged")
            return
        again_s = max(refuse.retry_after_s, self._after_in_vain_s(dispersal.host))
        self._refused(dispersal, again_s, "failed", NO_ROOM_ENDS_IT)

    def _stale(self, dispersal: Dispersal, refuse: m.Refuse) -> Step:
        """H1: the host has a later attempt; never the same number again."""
        core, picture = self.core, dispersal.picture
        assert picture is not None
        entry = yield from core.look_up(picture.id)
        if entry is None or dispersal.state not in (State.AWAIT_ACCEPT, State.SEND):
            return
        event = handover.Stale(dispersal.host, refuse.attempt, refuse.row_attempt)
        effects = handover.owner(Owner(entry, core.next_attempt), event)
        yield from core.carry_out(picture, entry, effects)
        if dispersal.state not in (State.AWAIT_ACCEPT, State.SEND):
            return  # as in _receipt
        self._stop_sending(dispersal)
        states.dispersal.move(dispersal, "refused")
        self._look_again(dispersal)

    def _refused(self, dispersal: Dispersal, retry_after_s: float, why: str, needed_bytes: float | None) -> None:
        host = dispersal.host
        self.core.log("refused", f"unit {host} does not take picture {dispersal.id}: {why}", dispersal.id, host)
        self.deciding.leave_alone(host, retry_after_s, why, needed_bytes)
        self._stop_sending(dispersal)
        states.dispersal.move(dispersal, "refused")
        self._look_again(dispersal)

    def _look_again(self, dispersal: Dispersal) -> None:
        """From DECIDE, with the picture as it is now."""
        self.core.run(self._decide_anew(dispersal), dispersal.id, lambda error: self._own_trouble(dispersal, error))

    def _decide_anew(self, dispersal: Dispersal) -> Step:
        entry = yield from self.core.look_up(dispersal.id)
        dispersal.host = 0
        if entry is None or entry.deleted or entry.file is File.GONE:
            states.dispersal.move(dispersal, "keep")
            self._all.remove(dispersal)
            return
        self._decide(dispersal, entry)

    def _gone(self, dispersal: Dispersal) -> None:
        """Deleted, or its file dropped, meanwhile: nothing is left to be sent."""
        self._stop_sending(dispersal)
        if dispersal.state is State.REQUEST:
            states.dispersal.move(dispersal, "failed")
        elif dispersal.state is State.AWAIT_ACCEPT:
            states.dispersal.move(dispersal, "refused")
        states.dispersal.move(dispersal, "keep")
        self._all.remove(dispersal)
        self._tell_gone(dispersal)

    # ------------------------------------------------------------ time, restarts

    def _tick_one(self, dispersal: Dispersal) -> None:
        now = self.core.now
        if dispersal.state is State.AWAIT_ACCEPT:
            if now >= dispersal.since + ACCEPT_WAIT_S:
                self._timed_out(dispersal)
            elif dispersal.again_at is not None and now >= dispersal.again_at:
                self._say_request(dispersal)
        elif dispersal.state is State.SEND and dispersal.outgoing is not None:
            outgoing = dispersal.outgoing
            outgoing.tick()
            if outgoing.failed is not None:
                self._own_trouble(dispersal, outgoing.failed)
            elif now >= max(outgoing.progress_at, dispersal.since) + self._patience_s(dispersal):
                self._timed_out(dispersal)

    def _timed_out(self, dispersal: Dispersal) -> None:
        host, sending = dispersal.host, dispersal.state is State.SEND
        what = "has confirmed nothing more of" if sending else "did not answer about"
        self.core.log("timed_out", f"unit {host} {what} picture {dispersal.id}; it stays here", dispersal.id, host)
        if sending and self._was_cut(dispersal):
            self.deciding.leave_alone(host, UNANSWERED_S, "the line to it was cut in the midst of a picture")
        elif sending:
            again_s, why = self._after_in_vain_s(host), "it has not stored what it accepted"
            self.deciding.leave_alone(host, again_s, why, NO_ROOM_ENDS_IT)
        else:
            self.deciding.leave_alone(host, self._after_silence_s(host), "it did not answer")
        self._stop_sending(dispersal)
        states.dispersal.move(dispersal, "timed_out")
        self._look_again(dispersal)

    def _was_cut(self, dispersal: Dispersal) -> bool:
        """Whether the host has got farther with this picture than before, and not to its end, so that the next try goes
        on from there; or was sent nothing, for the line was others'."""
        outgoing, neighbour = dispersal.outgoing, self.core.neighbours.heard_before(dispersal.host)
        if outgoing is None or not outgoing.has_spoken:
            return True
        before, neighbour.cut_at = neighbour.cut_at, (dispersal.id, outgoing.done_bytes)
        farthest_bytes = before[1] if before is not None and before[0] == dispersal.id else 0
        return farthest_bytes < outgoing.done_bytes < outgoing.size_bytes

    def _after_silence_s(self, host: int) -> float:
        neighbour = self.core.neighbours.heard_before(host)
        neighbour.unanswered += 1
        return _doubled_s(neighbour.unanswered, MOST_DOUBLINGS)

    def _after_in_vain_s(self, host: int) -> float:
        """It has accepted a picture and not stored it."""
        neighbour = self.core.neighbours.heard_before(host)
        neighbour.sent_in_vain += 1
        return _doubled_s(neighbour.sent_in_vain, MOST_DOUBLINGS_IN_VAIN)

    def _patience_s(self, dispersal: Dispersal) -> float:
        """How long without progress: a person's word counts; else on a busy channel two rounds of bursts more."""
        if dispersal.by_hand is not None:
            return dispersal.by_hand.timeout_s
        return NO_PROGRESS_S + 2 * self.core.round_s()

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not self._all:
            return None
        times: list[float] = []
        for d in self._all:
            if d.state is State.AWAIT_ACCEPT:
                times.append(min(d.since + ACCEPT_WAIT_S, d.again_at or d.since + ACCEPT_WAIT_S))
            elif d.state is State.SEND and d.outgoing is not None:
                times.append(max(d.outgoing.progress_at, d.since) + self._patience_s(d))
        return min(times, default=None)

    def new_boot(self, unit: int) -> None:
        """The host has restarted: it knows no handle of before, and is asked again at once."""
        for dispersal in [d for d in self._all if d.host == unit]:
            if dispersal.state is State.SEND:
                self._ask_again(dispersal)
            elif dispersal.state is State.AWAIT_ACCEPT:
                dispersal.tries = 0
                self._say_request(dispersal)

    def forget(self, picture: PictureId) -> None:
        """The picture is being deleted or its file dropped: its dispersal ends."""
        for dispersal in [d for d in self._all if d.picture is not None and d.id == picture]:
            if dispersal.state in (State.AWAIT_ACCEPT, State.SEND):
                self._stop_sending(dispersal)
                states.dispersal.move(dispersal, "timed_out")
                states.dispersal.move(dispersal, "keep")
                self._all.remove(dispersal)
                self._tell_gone(dispersal)

    def _tell_gone(self, dispersal: Dispersal) -> None:
        if dispersal.by_hand is not None:
            dispersal.by_hand.told = True
            text = f"picture {dispersal.id} is not on this card any more"
            self.core.failed(dispersal.by_hand.ticket, Refused(text))

    def _stop_sending(self, dispersal: Dispersal) -> None:
        if dispersal.outgoing is not None:
            dispersal.outgoing.close()
            dispersal.outgoing = None
        dispersal.handle = -1

    def _find(self, source: int, picture: PictureId, attempt: int) -> Dispersal | None:
        for d in self._all:
            if d.host == source and d.picture is not None and d.id == picture and d.attempt == attempt:
                return d
        return None

    def _sending(self, source: int, handle: int) -> Dispersal | None:
        for d in self._all:
            if d.host == source and d.state is State.SEND and d.handle == handle:
                return d
        return None


def _doubled_s(times: int, most: int) -> float:
    """How long a unit is left alone after so many times in a row: doubled for each but the first, so often at most."""
    return UNANSWERED_S * 2.0 ** min(times - 1, most)


def _reader(picture: Picture) -> Callable[[int, int], Step]:
    def read(offset: int, size_bytes: int) -> Step:
        return (yield ReadFile(picture, offset, size_bytes))

    return read
