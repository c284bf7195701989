"""Reading pictures out: the READ_OUT chain from the question to the last byte handed over (DESIGN §4, HANDOVER §3)."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from typing import Any

from firmware import messages as m
from firmware import own_copy, states
from firmware.asked import ReadOut
from firmware.collecting import Collecting, Result, Wanted
from firmware.commands import Collected, Found, Get
from firmware.core import Core
from firmware.errors import Refused
from firmware.events import Request, SavePairs
from firmware.handover import Audited, Owner, owner
from firmware.incoming import Incoming
from firmware.pairs import PairMaking
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.ranges import RangeSet
from firmware.searching import ANSWER_WITHIN_S, Search
from firmware.sinks import DigestOnly, Done, Sink, Taker, ToOwnCard, ToPerson
from firmware.spacing import EXPIRED_EVERY_S, AtMostEvery
from firmware.states import State
from firmware.steps import Step
from hal.errors import DandelionError

MAX_READ_OUTS = 8
"""At once; each takes up to 256 kB of memory. Guess: a person and a page ask for a few, the unit for one or two."""
MAX_RECALLS = 2
"""Of these, onto the own card: with four hostings they stay within the card's open .part files."""
BUSY_AGAIN_S = 5.0
"""A holder, or a unit on the way to it, that is busy with other read-outs is asked again after so long. Guess."""
PATIENCE_S = 60.0
"""A read-out of the unit itself is given up after so long without progress; a person's command says its own."""


class ReadOuts:
    """All read-outs asked for at this unit. overhead_bytes: what a packet takes besides a message's body."""

    def __init__(self, core: Core) -> None:
        self.overhead_bytes = 0
        self._core = core
        self._all: list[ReadOut] = []
        self._expired = AtMostEvery(EXPIRED_EVERY_S)

    def __iter__(self) -> Iterator[ReadOut]:
        return iter(self._all)

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
        if not command.preview:
            read_out.have_bytes, read_out.have_sha256 = command.have_bytes, command.have_sha256
        self._begin(read_out)

    def cancel(self, ticket: int) -> None:
        """The person has gone; fine if nothing was under way."""
        for read_out in list(self._all):
            if isinstance(read_out.sink, ToPerson) and read_out.sink.ticket == ticket:
                self._forget(read_out)
                read_out.sink.fail(Refused("the command was cancelled"))

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
        read_out.content = entry.picture
        read_out.away = entry
        read_out.one_only, read_out.holders[unit] = True, True
        self._all.append(read_out)
        states.read_out.move(read_out, "asked")
        self._go_on(read_out)

    def preview(self, picture: PictureId, holder: int, sink: Sink) -> bool:
        """Get a preview from this unit alone. False: other read-outs are under way, and nothing was begun."""
        if self._all:
            return False
        read_out = self._new(picture, sink, PATIENCE_S)
        read_out.preview = read_out.one_only = True
        read_out.holders[holder] = False
        self._all.append(read_out)
        states.read_out.move(read_out, "asked")
        self._go_on(read_out)
        return True

    def _new(self, picture: PictureId, sink: Sink, patience_s: float) -> ReadOut:
        return ReadOut(picture, self._core.new_query(), sink, patience_s, self._core.now)

    def _begin(self, read_out: ReadOut) -> None:
        self._all.append(read_out)
        states.read_out.move(read_out, "asked")
        read_out.looking = True
        self._core.run(self._look_up(read_out), read_out.id, lambda e: self._own_failed(read_out, e))

    # ------------------------------------------------------------ LOOK_UP: here?

    def _look_up(self, read_out: ReadOut) -> Step:
        """The own catalogue and card, then whoever is named there."""
        entry = yield from self._core.look_up(read_out.id)
        if read_out.state is not State.LOOK_UP:
            return
        if entry is not None and entry.deleted:
            self._give_up(read_out, Refused("it was deleted"))
            return
        if entry is not None and not read_out.preview:
            read_out.content = entry.picture
        read_out.known = entry is not None
        if self._is_needless(read_out):
            return
        if isinstance(read_out.sink, ToPerson):
            yield from self._deliver_here(read_out, entry)
            if read_out.state is not State.LOOK_UP:
                return
        read_out.looking = False
        self._name_holders(read_out, entry)
        self._go_on(read_out)

    def _is_needless(self, read_out: ReadOut) -> bool:
        """Whether the person has it already, by the digest that is known by now: then the command is done."""
        content = read_out.content
        if content is None or content.sha256 != read_out.have_sha256 or read_out.state is not State.LOOK_UP:
            return False
        read_out.sink.begin(Found(content, content.size_bytes, self._core.unit))
        read_out.sink.finish(Collected(content, self._core.unit, 0), lambda _: self._forget(read_out))
        return True

    def _deliver_here(self, read_out: ReadOut, entry: Entry | None) -> Generator[Request, Any, None]:
        """`here` and DELIVER, if the own card has it whole; else nothing."""
        unit = self._core.unit
        if read_out.preview:
            preview = yield from own_copy.preview(self._core, read_out.id)
            if preview and read_out.state is State.LOOK_UP:
                states.read_out.move(read_out, "here")
                picture = Picture(read_out.id, len(preview), hashlib.sha256(preview).digest())
                read_out.sink.begin(Found(picture, len(preview), unit))
                read_out.sink.write(0, preview)
                self._hand_over(read_out, Collected(picture, unit, 0))
            return
        whole = yield from own_copy.is_whole(self._core, entry)
        if whole and entry is not None and read_out.state is State.LOOK_UP:
            states.read_out.move(read_out, "here")
            have_bytes = _usable(read_out.have_bytes, entry.picture)
            read_out.sink.begin(Found(entry.picture, entry.picture.size_bytes, unit, have_bytes))
            read_out.delivery = own_copy.Delivery(entry.picture, read_out.sink, have_bytes)
            self._deliver_on(read_out)

    def _deliver_on(self, read_out: ReadOut) -> None:
        """The next block from the own card, if it is wanted now."""
        delivery = read_out.delivery
        if delivery is not None and read_out.state is State.DELIVER and delivery.wants_block:
            step = self._deliver_block(read_out, delivery)
            self._core.run(step, read_out.id, lambda error: self._own_failed(read_out, error))

    def _deliver_block(self, read_out: ReadOut, delivery: own_copy.Delivery) -> Step:
        if read_out.state is not State.DELIVER or not delivery.wants_block:
            return
        yield from delivery.block()
        if read_out.state is not State.DELIVER:
            return
        if delivery.whole:
            self._hand_over(read_out, Collected(delivery.picture, self._core.unit, 0))
        else:
            self._deliver_on(read_out)

    def took(self, ticket: int, size_bytes: int) -> None:
        """A person's program has taken these bytes: there is room for more."""
        for read_out in self._all:
            sink = read_out.sink
            if isinstance(sink, ToPerson) and sink.ticket == ticket:
                sink.waiting_bytes -= size_bytes
                read_out.progress_at = self._core.now
                self._deliver_on(read_out)

    def busy_with(self, picture: PictureId) -> bool:
        """Whether the own file of this picture is being delivered."""
        return any(r.id == picture and r.delivery is not None and r.state is State.DELIVER for r in self._all)

    def _name_holders(self, read_out: ReadOut, entry: Entry | None) -> None:
        """Whom the own list or the origin's record names; for a preview the origin, too, which keeps them all.

        WHERE tells who else has it, and the way to those that are not heard.
        """
        core, owner = self._core, self._core.owner_of(read_out.id.unit)
        if entry is not None:
            read_out.holders = {copy.unit: copy.suspect for copy in entry.listed} | _named(entry)
            mine = core.is_ours(read_out.id) and entry.file is File.GONE
            if mine and not read_out.preview and not isinstance(read_out.sink, ToOwnCard):
                read_out.away = entry
        if read_out.id.unit != core.unit:
            read_out.others_may_know = True
            if read_out.preview and core.hears(owner):
                read_out.holders[owner] = False
        elif entry is None:
            read_out.others_may_know = read_out.id.card != core.card  # else this catalogue knows all there is to know

    # ------------------------------------------------------------ LOOK_UP: elsewhere, COLLECT

    def _go_on(self, read_out: ReadOut) -> None:
        """In LOOK_UP: the next holder, or who else may know, or one that is silent, or nobody."""
        if read_out.state is not State.LOOK_UP or read_out.looking:
            return
        read_out.free_again(self._core.now)
        way = read_out.next_way(self._core, heard_only=True)
        if way is None and read_out.busy_until:
            return
        if way is None and read_out.may_search and not self._searched(read_out):
            return
        way = way or read_out.next_way(self._core, heard_only=False)
        if way is not None:
            self._collect(read_out, *way)
            return
        states.read_out.move(read_out, "nobody_left")
        self._end(read_out, read_out.nobody_left())

    def _searched(self, read_out: ReadOut) -> bool:
        """Ask others; True once nobody is left who may answer."""
        if read_out.search is None:
            where = m.Where(self._core.unit, read_out.query, read_out.id, 0)
            read_out.search = Search(self._core, where, ANSWER_WITHIN_S)
        read_out.search.tick()
        if read_out.search.over and read_out.tried and read_out.search.widen(read_out.failed):
            read_out.forget_ways()
            read_out.search.tick()
        return read_out.search.over

    def _collect(self, read_out: ReadOut, holder: int, via: int) -> None:
        content, unit = read_out.content, self._core.unit
        if read_out.incoming is None and content is not None:
            have_bytes = _usable(read_out.have_bytes, content)
            read_out.incoming = Incoming(content, content.size_bytes, RangeSet([(0, have_bytes)]))
        read_out.tried[holder] = "was asked"
        read_out.tried_ways.add((holder, via))
        states.read_out.move(read_out, "elsewhere")
        read_out.collecting = Collecting(
            self._core,
            Wanted(read_out.id, unit, read_out.query, read_out.preview, content),
            holder,
            via,
            self._taker(read_out),
            overhead_bytes=self.overhead_bytes,
            incoming=read_out.incoming,
        )
        read_out.collecting.tick()

    def _taker(self, read_out: ReadOut) -> Taker:
        """Where the bytes go; of an own picture without file by way of what makes pairs, one for all its holders."""
        if read_out.away is not None and read_out.pair_making is None:
            read_out.pair_making = PairMaking(self._core, read_out.away, read_out.sink)
        return read_out.sink if read_out.pair_making is None else read_out.pair_making

    def _look_at(self, read_out: ReadOut) -> None:
        """After the collecting has heard something: does it go on, and if not, what now?"""
        collecting, problem = read_out.collecting, read_out.sink.problem
        assert collecting is not None
        read_out.progress_at = max(read_out.progress_at, collecting.came_at)
        if problem is not None:
            self._give_up(read_out, problem)
        elif collecting.result is not None:
            self._settle(read_out, collecting, collecting.result)

    def _settle(self, read_out: ReadOut, collecting: Collecting, result: Result) -> None:
        what, unit, via = read_out.what, collecting.holder, collecting.via
        read_out.collecting = None
        read_out.tried[unit] = result.text if via == unit else f"{result.text} (asked through unit {via})"
        if result.holder_failed:
            read_out.failed.add(unit)
        if result.refused is m.GetWhy.BUSY:
            read_out.busy_until[unit, via] = self._core.now + BUSY_AGAIN_S
        states.read_out.move(read_out, result.why)
        if read_out.state is State.DELIVER:
            self._core.log("collected", f"{what} collected from unit {unit}", read_out.id, unit)
            pairs = () if read_out.pair_making is None else read_out.pair_making.pairs()
            if pairs:
                self._core.run(self._core.fetch(SavePairs(pairs)), read_out.id)
            self._hand_over(read_out, collecting.collected)
            return
        event = "alarm" if result.why == "damaged" else result.why
        self._core.log(event, f"{what} could not be collected: unit {unit} {read_out.tried[unit]}", read_out.id, unit)
        if result.why == "damaged":
            self._damaged(read_out, unit)
        self._go_on(read_out)

    def _damaged(self, read_out: ReadOut, unit: int) -> None:
        """Everything is fetched anew. Where bytes of several units are in it, nobody knows whose are wrong: the one
        asked last may give all of it."""
        incoming = read_out.incoming
        if incoming is not None and incoming.complete:
            read_out.incoming = None
            if incoming.units - {unit}:
                read_out.failed.discard(unit)
                read_out.tried_ways -= {way for way in read_out.tried_ways if way[0] == unit}
                return
        if not read_out.preview:
            self._tell_damaged(read_out.id, unit)

    def _tell_damaged(self, picture: PictureId, holder: int) -> None:
        """The origin makes the copy suspect (R2)."""
        if self._core.is_ours(picture):
            self._core.run(self._suspect(picture, holder), picture)
        else:
            self._core.say(self._core.owner_of(picture.unit), m.Damaged(picture, holder))

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
            text = f"{read_out.what} delivered from unit {collected.from_unit}"
            self._core.log("delivered", text, read_out.id, collected.from_unit)

    def _own_failed(self, read_out: ReadOut, error: DandelionError) -> None:
        """The own card or catalogue failed."""
        if read_out.state is State.DELIVER:
            states.read_out.move(read_out, "failed")
            self._end(read_out, error)
        else:
            self._give_up(read_out, error)

    def _give_up(self, read_out: ReadOut, error: DandelionError) -> None:
        """From any state to IDLE: no more time, deleted, or no way to take the bytes."""
        _leave(read_out)
        self._end(read_out, error)

    def _forget(self, read_out: ReadOut) -> None:
        """From any state to IDLE, without a word: nobody wants more of it."""
        _leave(read_out)
        self._all.remove(read_out)

    def _end(self, read_out: ReadOut, error: DandelionError) -> None:
        """In IDLE, without the picture."""
        if read_out in self._all:
            self._all.remove(read_out)
            self._core.log("refused", f"{read_out.what} was not read out: {error}", read_out.id)
            said = Refused(f"{read_out.what} could not be read out: {error.what}", did=error.did, can=error.can)
            read_out.sink.fail(said)

    # ------------------------------------------------------------ messages

    def on_at(self, source: int, at: m.At) -> None:
        """These have it. The first word on length and digest counts, the origin's over all others."""
        read_out = self._searching(source, at.asker, at.query, at.id, knows=True)
        if read_out is None:
            return
        if not read_out.preview:
            content = read_out.content
            if content is None or (source == at.id.unit and not read_out.tried):
                read_out.content = content = Picture(at.id, at.size_bytes, at.sha256)
            if (content.size_bytes, content.sha256) != (at.size_bytes, at.sha256):
                return
        for unit in (at.id.unit, *at.holders) if read_out.preview else at.holders:  # the origin keeps all previews
            read_out.is_named(unit, source)
        if not self._is_needless(read_out):
            self._go_on(read_out)

    def on_unknown(self, source: int, unknown: m.Unknown) -> None:
        """It does not know; or it knows that a person deleted the picture, which counts whatever others have (R6)."""
        if unknown.deleted and unknown.asker == self._core.unit:
            self._deleted(unknown.id, unknown.query)
        read_out = self._searching(source, unknown.asker, unknown.query, unknown.id, knows=False)
        if read_out is not None:
            self._go_on(read_out)

    def _deleted(self, picture: PictureId, query: int) -> None:
        for read_out in [r for r in self._all if (r.id, r.query) == (picture, query)]:
            if read_out.state in (State.LOOK_UP, State.COLLECT) and not isinstance(read_out.sink, ToOwnCard):
                self._give_up(read_out, Refused("it was deleted"))

    def on_copy(self, source: int, copy: m.Copy) -> None:
        """What GET asked for will come."""
        for read_out in self._all:
            if (collecting := read_out.collecting_from(source)) is not None and collecting.is_about(copy):
                collecting.on_copy(copy)
                self._look_at(read_out)
                return

    def on_refuse_get(self, source: int, refused: m.RefuseGet) -> None:
        """It will not."""
        if refused.why is m.GetWhy.DELETED and refused.asker == self._core.unit:
            self._deleted(refused.id, refused.query)
        for read_out in self._all:
            if (collecting := read_out.collecting_from(source)) is not None and collecting.is_about(refused):
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
        for read_out in self._all:
            if (collecting := read_out.collecting_from(unit)) is not None:
                collecting.ask_again()

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
            if (collecting := read_out.collecting_from(source)) is not None:
                if collecting.handle == handle:
                    return read_out
                waiting = waiting or collecting.handle is None
        if not waiting and self._expired.may(source, self._core.now):
            self._core.say(source, m.Expired(handle))
        return None

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Questions that are due, holders and searches that take too long."""
        for read_out in list(self._all):
            if read_out.search is not None:
                read_out.search.tick()
            if read_out.collecting is not None:
                read_out.collecting.tick()
                self._look_at(read_out)
            self._go_on(read_out)
            if read_out.state is not State.IDLE and self._core.now >= read_out.gives_up_at:
                self._give_up(read_out, read_out.out_of_time())

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        if not self._all:
            return None
        times: list[float] = []
        for read_out in self._all:
            times.append(read_out.gives_up_at)
            if read_out.state is State.LOOK_UP:
                times.extend(read_out.busy_until.values())
            searches = read_out.search is not None and read_out.state in (State.LOOK_UP, State.COLLECT)
            for part in (read_out.search if searches else None, read_out.collecting):
                at = None if part is None else part.deadline()
                if at is not None:
                    times.append(at)
        return min(times, default=None)


def _leave(read_out: ReadOut) -> None:
    """From any state to IDLE."""
    while read_out.state is not State.IDLE:
        states.read_out.move(read_out, "timed_out")


def _usable(have_bytes: int, content: Picture) -> int:
    """How much of a beginning can be gone on with; a byte at least is asked for, as no missing range means all."""
    return min(have_bytes, content.size_bytes - 1) if have_bytes <= content.size_bytes else 0


def _named(entry: Entry) -> dict[int, bool]:
    """Whom the origin's record names, and whether they are suspect."""
    proved = len(entry.named) - entry.doubted
    return {unit: place >= proved for place, unit in enumerate(entry.named)}
