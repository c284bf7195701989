"""Reading pictures out: the READ_OUT chain from the question to the last byte handed over (DESIGN §4, HANDOVER §3)."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from firmware import messages as m
from firmware import states
from firmware.collecting import Collecting, Result, Wanted
from firmware.commands import Collected, Found, Get
from firmware.core import Core
from firmware.errors import Refused
from firmware.events import DigestFile, Digests, ReadFile, ReadPreview, Request
from firmware.handover import Audited, Owner, owner
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.searching import Search
from firmware.sinks import DigestOnly, Done, Sink, ToOwnCard, ToPerson
from firmware.states import State
from firmware.steps import Step
from hal.errors import CardError, DandelionError

MAX_READ_OUTS = 8
"""At once; each takes up to 256 kB of memory. Guess: a person and a page ask for a few, the unit for one or two."""
MAX_RECALLS = 2
"""Of these, onto the own card: with four hostings they stay within the card's open .part files."""
BLOCK_BYTES = 32_768
"""Read from the own card at once."""
PATIENCE_S = 60.0
"""A read-out of the unit itself is given up after so long without progress; a person's command says its own."""
EXPIRED_EVERY_S = 1.0
"""Parts that nobody asked for are answered at most this often per unit (HANDOVER O3)."""
MAX_EXPIRED = 64
"""Units of which the time of the last EXPIRED is remembered; beyond it the one told longest ago is forgotten."""


@dataclass(slots=True, eq=False)
class ReadOut:
    """One picture on its way to a sink. content: the length and digest that its bytes must have, once known.

    holders: units that are said to have it, and whether they are suspect; tried: what each one asked did.
    only: these holders and no others. looking: the own catalogue and card are being asked.
    """

    id: PictureId
    query: int
    sink: Sink
    patience_s: float
    progress_at: float
    preview: bool = False
    only: bool = False
    state: State = State.IDLE
    looking: bool = False
    content: Picture | None = None
    holders: dict[int, bool] = field(default_factory=dict)
    tried: dict[int, str] = field(default_factory=dict)
    search: Search | None = None
    collecting: Collecting | None = None


class ReadOuts:
    """All read-outs that this unit has asked for. overhead_bytes: of a packet beyond a message's body, to tell airtime."""

    def __init__(self, core: Core) -> None:
        self.overhead_bytes = 0
        self._core = core
        self._all: list[ReadOut] = []
        self._query = core.rng.randrange(2**16)
        self._expired_said: dict[int, float] = {}

    def __iter__(self) -> Generator[ReadOut, None, None]:
        yield from self._all

    # ------------------------------------------------------------ asked

    def get(self, command: Get) -> None:
        """A person's command."""
        if len(self._all) >= MAX_READ_OUTS:
            busy = Refused(f"{MAX_READ_OUTS} read-outs are under way", can="try again when one of them is done")
            self._core.failed(command.ticket, busy)
            return
        sink = ToPerson(self._core, command.ticket)
        read_out = self._new(command.picture, sink, command.timeout_s)
        read_out.preview = command.preview
        self._begin(read_out)

    def cancel(self, ticket: int) -> None:
        """The person has gone; fine if nothing was under way."""
        for read_out in list(self._all):
            if isinstance(read_out.sink, ToPerson) and read_out.sink.ticket == ticket:
                self._give_up(read_out, Refused("the command was cancelled"))

    def recall(self, entry: Entry, done: Done) -> None:
        """Bring an own picture back onto the own card (O8, O9); done(whether it is here, why not)."""
        size_bytes, room = entry.picture.size_bytes, self._core.room
        recalls = sum(1 for r in self._all if isinstance(r.sink, ToOwnCard))
        if len(self._all) >= MAX_READ_OUTS or recalls >= MAX_RECALLS:
            done(False, "too many read-outs are under way")
        elif any(isinstance(r.sink, ToOwnCard) and r.id == entry.picture.id for r in self._all):
            done(False, "it is being recalled already")
        elif room.free_bytes < size_bytes:
            done(False, f"the card has room for {room.free_bytes} bytes, not for {size_bytes}")
        else:
            self._begin(self._new(entry.picture.id, ToOwnCard(self._core, entry, done), PATIENCE_S))

    def check(self, entry: Entry, unit: int, done: Done) -> None:
        """Read a suspect copy out once, keeping nothing (R4); done(whether its digest is right, why not)."""
        if len(self._all) >= MAX_READ_OUTS:
            done(False, "too many read-outs are under way")
            return
        read_out = self._new(entry.picture.id, DigestOnly(done), PATIENCE_S)
        read_out.only = True
        read_out.content = entry.picture
        read_out.holders[unit] = True
        self._all.append(read_out)
        states.read_out.move(read_out, "asked")
        self._go_on(read_out)

    def _new(self, picture: PictureId, sink: Sink, patience_s: float) -> ReadOut:
        self._query = (self._query + 1) % 2**16
        return ReadOut(picture, self._query, sink, patience_s, self._core.now)

    def _begin(self, read_out: ReadOut) -> None:
        self._all.append(read_out)
        states.read_out.move(read_out, "asked")
        read_out.looking = True
        if not self._core.run(self._look_up(read_out), read_out.id, lambda e: self._own_failed(read_out, e)):
            self._own_failed(read_out, Refused(f"too much waits for picture {read_out.id}", can="try again"))

    # ------------------------------------------------------------ LOOK_UP: here?

    def _look_up(self, read_out: ReadOut) -> Step:
        """The own catalogue and card, then whoever is named there."""
        entry = yield from self._core.look_up(read_out.id)
        if read_out.state is not State.LOOK_UP:
            return
        if entry is not None and entry.deleted:
            self._give_up(read_out, Refused(f"picture {read_out.id} was deleted"))
            return
        if entry is not None and not read_out.preview:
            read_out.content = entry.picture
        if isinstance(read_out.sink, (ToPerson)):
            here = yield from self._here(read_out, entry)
            if here or read_out.state is not State.LOOK_UP:
                return
        read_out.looking = False
        self._name_holders(read_out, entry)
        self._go_on(read_out)

    def _here(self, read_out: ReadOut, entry: Entry | None) -> Generator[Request, Any, bool]:
        """Deliver it from the own card, if it is there and whole."""
        unit = self._core.unit
        if read_out.preview:
            preview = yield ReadPreview(read_out.id)
            if not preview or read_out.state is not State.LOOK_UP:
                return False
            found = Picture(read_out.id, len(preview), hashlib.sha256(preview).digest())
            states.read_out.move(read_out, "here")
            read_out.sink.begin(Found(found, len(preview), unit))
            read_out.sink.write(0, preview)
            self._hand_over(read_out, Collected(found, unit, 0))
            return True
        if entry is None or entry.file is File.GONE:
            return False
        whole = yield from self._is_whole(entry.picture)
        if not whole or read_out.state is not State.LOOK_UP:
            return False
        states.read_out.move(read_out, "here")
        yield from self._deliver(read_out, entry.picture)
        return True

    def _is_whole(self, picture: Picture) -> Generator[Request, Any, bool]:
        try:
            digests = yield DigestFile(picture)
        except CardError as error:
            self._core.log("card", f"picture {picture.id} cannot be read from this card: {error}", picture.id)
            return False
        assert isinstance(digests, Digests)
        if not digests.whole:
            self._core.log("alarm", f"the file of picture {picture.id} on this card is damaged", picture.id)
        return digests.whole

    def _deliver(self, read_out: ReadOut, picture: Picture) -> Generator[Request, Any, None]:
        """DELIVER from the own card, block by block."""
        read_out.sink.begin(Found(picture, picture.size_bytes, self._core.unit))
        digest, offset = hashlib.sha256(), 0
        while offset < picture.size_bytes:
            block = yield ReadFile(picture, offset, min(BLOCK_BYTES, picture.size_bytes - offset))
            if read_out.state is not State.DELIVER:
                return
            if not block:
                break
            digest.update(block)
            read_out.sink.write(offset, block)
            read_out.progress_at = self._core.now
            offset += len(block)
        if offset < picture.size_bytes or digest.digest() != picture.sha256:
            raise CardError(f"the file of picture {picture.id} on this card is damaged")
        self._hand_over(read_out, Collected(picture, self._core.unit, 0))

    def _name_holders(self, read_out: ReadOut, entry: Entry | None) -> None:
        """Whom the own dispersal list names; for a preview the origin, which keeps them all; else WHERE will tell."""
        core, origin = self._core, read_out.id.unit
        if origin == core.unit:
            if entry is not None:
                read_out.holders = {copy.unit: copy.suspect for copy in entry.listed}
            if entry is not None or read_out.id.card == core.card:
                return  # this catalogue knows all there is to know
        elif read_out.preview:
            neighbour = core.neighbours.find(origin)
            if neighbour is not None and not neighbour.silent(core.now):
                read_out.holders[origin] = False
        read_out.search = Search(core, read_out.id, read_out.query)

    # ------------------------------------------------------------ LOOK_UP: elsewhere, COLLECT

    def _go_on(self, read_out: ReadOut) -> None:
        """In LOOK_UP: the next holder, or who else may know, or nobody."""
        if read_out.state is not State.LOOK_UP or read_out.looking:
            return
        left = [unit for unit in read_out.holders if unit not in read_out.tried and unit != self._core.unit]
        if left:
            self._collect(read_out, min(left, key=lambda unit: self._rank(read_out, unit)))
            return
        search = read_out.search
        if search is not None:
            search.tick()
            if not search.over or (read_out.tried and search.widen()):
                search.tick()
                return
        states.read_out.move(read_out, "nobody_left")
        self._end(read_out, self._nobody(read_out))

    def _rank(self, read_out: ReadOut, unit: int) -> tuple[bool, bool, bool, int]:
        """The better a holder, the lower: heard, not suspect, the origin itself."""
        neighbour = self._core.neighbours.find(unit)
        silent = neighbour is None or neighbour.silent(self._core.now)
        return silent, read_out.holders[unit], unit != read_out.id.unit, unit

    def _collect(self, read_out: ReadOut, holder: int) -> None:
        wanted = Wanted(read_out.id, read_out.query, read_out.preview, read_out.content)
        read_out.tried[holder] = "was asked"
        states.read_out.move(read_out, "elsewhere")
        read_out.collecting = Collecting(self._core, wanted, holder, read_out.sink, self.overhead_bytes)
        read_out.collecting.tick()

    def _look_at(self, read_out: ReadOut) -> None:
        """After the collecting has heard something: does it go on, and if not, what now?"""
        collecting, problem = read_out.collecting, read_out.sink.problem
        assert collecting is not None
        read_out.progress_at = max(read_out.progress_at, collecting.progress_at)
        if problem is not None:
            self._give_up(read_out, problem)
        elif collecting.result is not None:
            self._settle(read_out, collecting, collecting.result)

    def _settle(self, read_out: ReadOut, collecting: Collecting, result: Result) -> None:
        read_out.collecting = None
        read_out.tried[collecting.holder] = result.text
        states.read_out.move(read_out, result.why)
        what, unit = _what(read_out), collecting.holder
        if read_out.state is State.DELIVER:
            self._core.log("collected", f"{what} collected from unit {unit}", read_out.id, unit)
            self._hand_over(read_out, collecting.collected)
            return
        self._core.log(result.why, f"{what} could not be collected: unit {unit} {result.text}", read_out.id, unit)
        if result.why == "damaged" and not read_out.preview:
            self._tell_damaged(read_out.id, unit)
        self._go_on(read_out)

    def _tell_damaged(self, picture: PictureId, holder: int) -> None:
        """The origin makes the copy suspect (R2)."""
        if picture.unit == self._core.unit:
            self._core.run(self._suspect(picture, holder), picture)
        elif picture.unit != holder:
            self._core.say(picture.unit, m.Damaged(picture, holder))

    def _suspect(self, picture: PictureId, holder: int) -> Step:
        core = self._core
        entry = yield from core.look_up(picture)
        if entry is not None and not entry.copy_at(holder).suspect:
            failed = Audited(holder, entry.copy_at(holder).listed, right=False, stamp=core.stamp())
            effects = owner(Owner(entry, core.next_attempt), failed)
            yield from core.carry_out(entry.picture, entry, effects)
            core.log("suspect", f"the copy of picture {picture} at unit {holder} is damaged", picture, holder)

    # ------------------------------------------------------------ DELIVER and ends

    def _hand_over(self, read_out: ReadOut, collected: Collected) -> None:
        """DELIVER: all bytes are with the sink and right."""
        read_out.progress_at = self._core.now
        read_out.sink.finish(collected, lambda error: self._handed_over(read_out, collected, error))

    def _handed_over(self, read_out: ReadOut, collected: Collected, error: DandelionError | None) -> None:
        if read_out.state is not State.DELIVER:
            return
        if error is not None:
            self._own_failed(read_out, error)
            return
        states.read_out.move(read_out, "delivered")
        self._all.remove(read_out)
        if isinstance(read_out.sink, ToPerson):
            text = f"{_what(read_out)} delivered from unit {collected.from_unit}"
            self._core.log("delivered", text, read_out.id, collected.from_unit)

    def _own_failed(self, read_out: ReadOut, error: DandelionError) -> None:
        """The own card or catalogue failed."""
        if read_out.state is State.DELIVER:
            states.read_out.move(read_out, "failed")
            self._end(read_out, error)
        else:
            self._give_up(read_out, error)

    def _give_up(self, read_out: ReadOut, error: DandelionError) -> None:
        """From any state to IDLE: no more time, no more interest, or no way to take the bytes."""
        while read_out.state is not State.IDLE:
            states.read_out.move(read_out, "timed_out")
        self._end(read_out, error)

    def _end(self, read_out: ReadOut, error: DandelionError) -> None:
        """In IDLE, without the picture."""
        if read_out in self._all:
            self._all.remove(read_out)
            self._core.log("expired", f"{_what(read_out)} was not read out: {error}", read_out.id)
            said = Refused(f"{_what(read_out)} could not be read out: {error.what}", did=error.did, can=error.can)
            read_out.sink.fail(said)

    def _nobody(self, read_out: ReadOut) -> Refused:
        """Why nobody is left, unit by unit."""
        did = [f"unit {unit}, which holds it, {text}" for unit, text in read_out.tried.items()]
        if read_out.search is not None:
            did.append(read_out.search.result(named=bool(did)))
        elif not did:
            did.append("no unit holds it" if read_out.content is not None else "it was never taken here")
        can = "try again later: what a unit holds is not lost while it is silent" if read_out.tried else ""
        return Refused("; ".join(did), can=can)

    # ------------------------------------------------------------ messages

    def on_at(self, source: int, at: m.At) -> None:
        """These have it. The first word on length and digest counts, the origin's over all others."""
        read_out = self._searching(source, at.asker, at.query, at.id, knows=True)
        if read_out is None or not at.size_bytes:
            return
        if not read_out.preview:
            content = read_out.content
            if content is None or (source == at.id.unit and not read_out.tried):
                read_out.content = content = Picture(at.id, at.size_bytes, at.sha256)
            if (content.size_bytes, content.sha256) != (at.size_bytes, at.sha256):
                return
        for unit in at.holders:
            read_out.holders.setdefault(unit, False)
        self._go_on(read_out)

    def on_unknown(self, source: int, unknown: m.Unknown) -> None:
        """It does not know."""
        read_out = self._searching(source, unknown.asker, unknown.query, unknown.id, knows=False)
        if read_out is not None:
            self._go_on(read_out)

    def on_copy(self, source: int, copy: m.Copy) -> None:
        """What GET asked for will come."""
        for read_out in self._all:
            if read_out.query == copy.query and (collecting := _from(read_out, source)) is not None:
                collecting.on_copy(copy)
                self._look_at(read_out)
                return

    def on_refuse_get(self, source: int, refused: m.RefuseGet) -> None:
        """It will not."""
        for read_out in self._all:
            same = read_out.query == refused.query and read_out.id == refused.id
            if same and (collecting := _from(read_out, source)) is not None:
                collecting.on_refused(refused)
                self._look_at(read_out)
                return

    def on_part(self, source: int, part: m.Part) -> None:
        """Bytes under a handle of COPY. Raises DamagedPacket."""
        read_out = self._under(source, part.handle)
        if read_out is not None and read_out.collecting is not None:
            read_out.collecting.on_part(part)
            self._look_at(read_out)

    def on_end(self, source: int, end: m.End) -> None:
        """Everything was sent once."""
        read_out = self._under(source, end.handle)
        if read_out is not None and read_out.collecting is not None:
            read_out.collecting.on_end()
            self._look_at(read_out)

    def new_boot(self, unit: int) -> None:
        """The unit has restarted and knows nothing of what it was sending."""
        for read_out in list(self._all):
            if (collecting := _from(read_out, unit)) is not None:
                collecting.ask_again()
                collecting.tick()

    def _searching(self, source: int, asker: int, query: int, picture: PictureId, *, knows: bool) -> ReadOut | None:
        """The read-out that asked this unit this question."""
        for read_out in self._all:
            if (asker, query, picture) == (self._core.unit, read_out.query, read_out.id):
                asked = read_out.search is not None and read_out.search.on_answer(source, knows=knows)
                return read_out if asked else None
        return None

    def _under(self, source: int, handle: int) -> ReadOut | None:
        """The read-out that this handle belongs to; None: EXPIRED was said, unless COPY may still be under way."""
        waiting = False
        for read_out in self._all:
            if (collecting := _from(read_out, source)) is not None:
                if collecting.handle == handle:
                    return read_out
                waiting = waiting or collecting.handle is None
        now = self._core.now
        if not waiting and now - self._expired_said.get(source, float("-inf")) >= EXPIRED_EVERY_S:
            self._expired_said.pop(source, None)
            if len(self._expired_said) >= MAX_EXPIRED:
                del self._expired_said[next(iter(self._expired_said))]
            self._expired_said[source] = now
            self._core.say(source, m.Expired(handle))
        return None

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Questions that are due, holders and searches that take too long."""
        for read_out in list(self._all):
            if read_out.search is not None and read_out.state is State.COLLECT:
                read_out.search.tick()
            if read_out.collecting is not None:
                read_out.collecting.tick()
                self._look_at(read_out)
            self._go_on(read_out)
            if read_out.state is not State.IDLE and self._core.now - read_out.progress_at >= read_out.patience_s:
                text = f"nothing came for {read_out.patience_s:.0f} s"
                said = [text, *(f"unit {unit}, which holds it, {did}" for unit, did in read_out.tried.items())]
                self._give_up(read_out, Refused("; ".join(said), can="try again later"))

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        times: list[float] = []
        for read_out in self._all:
            times.append(read_out.progress_at + read_out.patience_s)
            for part in (read_out.search, read_out.collecting):
                at = None if part is None else part.deadline()
                if at is not None:
                    times.append(at)
        return min(times, default=None)


def _from(read_out: ReadOut, unit: int) -> Collecting | None:
    """What it collects, if from this unit."""
    collecting = read_out.collecting
    return collecting if collecting is not None and collecting.holder == unit else None


def _what(read_out: ReadOut) -> str:
    return f"preview of picture {read_out.id}" if read_out.preview else f"picture {read_out.id}"
