"""Storing pictures for other units: the HOSTING chain, its reservations, and DROP (HANDOVER H1–H7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import field
from typing import Any

from firmware import handover, states
from firmware import messages as m
from firmware.core import Core
from firmware.determine import PICTURES_AHEAD
from firmware.events import (
    BeginPart,
    ClosePart,
    DigestFile,
    Digests,
    FinishPart,
    LookUpPartial,
    Partial,
    Request,
    SavePartial,
    SyncPart,
    WritePart,
)
from firmware.file_system import FileSystem
from firmware.handles import Handles
from firmware.held import HeldCopies
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.ranges import RangeSet
from firmware.record_rows import page_of, row_of
from firmware.reporting import say_report
from firmware.shares import Demand, may_take
from firmware.spacing import EXPIRED_EVERY_S, AtMostEvery
from firmware.states import State
from firmware.steps import Step
from firmware.transfer import Receiver
from hal.errors import CardError, CardFull, DandelionError
from hal.light_dataclass import dataclass

RESERVATIONS = 4
"""Pictures received at once, from as many units (R3)."""
MAX_ALIVE = 64
"""Hostings remembered, those that are over and may be asked about again included; half of the handles there are."""
MAX_PER_UNIT = 24
"""Of these under way for one unit; all but one have nothing missing and reserve nothing: copies that it adopts (R4)."""
KNOWN_TTL_S = 20.0
"""A handle lives this long where nothing is missing: END follows at once, or not at all."""
SHORTEST_TTL_S = 60.0
"""A reservation lives this long, or four times the expected transfer, after its last part (R3);
on a busy channel for two rounds of others' bursts more."""
PARTIAL_STEP_BYTES = 65_536
"""The .part is synced and its partial row written each time so many more bytes are there (HANDOVER §1)."""
WRITES_WAITING_BYTES = 262_144
"""Received bytes that may wait for the card, 20 s of a 115200 line; parts beyond are left to be sent again."""
IDLE_TAKEN_OVER_S = 10.0
"""A reservation without a part for so long gives way to the same unit's next request; guess."""
BUSY_RETRY_S = 5
FULL_RETRY_S = 60
HOSTED_FULL_RETRY_S = 1800
SHARE_RETRY_S = 300
FAILED_RETRY_S = 300
NOT_HOSTING_RETRY_S = 3600
"""When a refused unit may ask again (±25 % there); a beacon with more room ends the wait. Guesses."""


@dataclass(slots=True, eq=False)
class Hosting:
    """One picture on its way in. receiver: None where nothing was missing. ended: END has come, with these nonces."""

    owner: int
    picture: Picture
    attempt: int
    state: State = State.IDLE
    handle: int = 0
    receiver: Receiver | None = None
    expires: float = 0.0
    last_part: float = 0.0
    nonce: bytes = b""
    waiting_bytes: int = 0
    writing: int = 0
    synced_bytes: int = 0
    part_open: bool = False
    broken: DandelionError | None = None  # some of its bytes could not be written
    state_before_end: State = State.IDLE

    @property
    def key(self) -> tuple[str, int, PictureId]:
        """Names its reservation of room."""
        return ("hosting", self.owner, self.picture.id)


@dataclass(slots=True)
class Hostings:
    """All pictures that are being received, and the answers to KEEP, DROP, PROVE about those that are held."""

    core: Core
    held: HeldCopies
    file_system: FileSystem
    wanted_bytes: int = 0  # room that a refused unit asked for lately and that dropping cache can make
    _wanted_until: float = 0.0
    relieving: bool = False  # its own shots find no room because of what is held: nothing more is taken
    demand: Demand = field(default_factory=Demand)
    refused_bytes: int = 0  # the smallest picture refused for want of room since there was last enough
    _all: list[Hosting] = field(default_factory=list)
    _handles: Handles = field(default_factory=Handles)
    _expired: AtMostEvery = field(default_factory=lambda: AtMostEvery(EXPIRED_EVERY_S))

    def __iter__(self) -> Iterator[Hosting]:
        return iter(self._all)

    # ------------------------------------------------------------ REQUEST

    def on_request(self, source: int, request: m.Request) -> None:
        """H1: known, stale, in conflict, or room is looked for."""
        picture = request.picture
        if self.core.owner_of(picture.id.unit) != source:
            self._refuse(source, picture.id, request.attempt, m.RefuseWhy.NOT_YOURS, NOT_HOSTING_RETRY_S)
            return
        for old in [h for h in self._all if h.owner == source and h.picture.id == picture.id]:
            if old.attempt == request.attempt and old.state is not State.IDLE:
                self._again(old)
                return
            if old.state in (State.RECEIVE, State.CHECK_SPACE, State.STORE):
                self._refuse(source, picture.id, request.attempt, m.RefuseWhy.BUSY, BUSY_RETRY_S)
                return
            if old.state is State.ACCEPT:
                self._end(old, "withdrawn")
            self._forget(old)
        handle = self._new_handle(source)
        if not handle:
            self._refuse(source, picture.id, request.attempt, m.RefuseWhy.BUSY, BUSY_RETRY_S)
            return
        hosting = Hosting(source, picture, request.attempt, handle=handle, last_part=self.core.now)
        self._all.append(hosting)
        states.hosting.move(hosting, "requested")
        self.core.run(self._answer(hosting), picture.id, lambda error: self._failed(hosting, error))

    def _again(self, hosting: Hosting) -> None:
        """The same REQUEST once more: ACCEPT was lost, or its sender has restarted."""
        if hosting.state is State.ACCEPT or (hosting.state is State.STORE and hosting.handle):
            self._accept(hosting)

    def _answer(self, hosting: Hosting) -> Step:
        picture, source = hosting.picture, hosting.owner
        entry = yield from self.core.look_up(picture.id)
        if entry is not None and entry.attempt is not None and entry.file is File.UNCHECKED:
            entry = yield from self.held.check(entry)
        same = entry is None or entry.picture.sha256 == picture.sha256
        if entry is not None and entry.attempt is not None:
            same = same and entry.picture.size_bytes == picture.size_bytes
        effects = handover.host(entry, handover.Asked(source, hosting.attempt, same))
        if effects == (handover.CheckRoom(),):
            states.hosting.move(hosting, "read")
            yield from self._reserve(hosting)
            return
        if entry is not None and effects == (handover.TellTombstone(source),):
            self.core.say(source, page_of(0, [row_of(entry)]))
            self._refuse(source, picture.id, hosting.attempt, m.RefuseWhy.DELETED, 0)
            effects = ()
        said = yield from self.core.carry_out(picture, entry, effects)
        if said:
            states.hosting.move(hosting, "known")
            self._accept(hosting)
            return
        states.hosting.move(hosting, "refused")
        self._forget(hosting)

    def _reserve(self, hosting: Hosting) -> Generator[Request, Any, None]:
        """CHECK_SPACE: a real reservation, or a refusal with its reason."""
        core, picture = self.core, hosting.picture
        partial = yield LookUpPartial(picture.id)
        kept = partial if isinstance(partial, Partial) and partial.sha256 == picture.sha256 else None
        why, retry_s, needed = self._room_for(hosting)
        if why in (m.RefuseWhy.FULL, m.RefuseWhy.SHARE):
            self.demand.refused(hosting.owner, picture.size_bytes, core.now)
        if why is None:
            core.room.reserved_held[hosting.key] = picture.size_bytes
            try:
                if isinstance(partial, Partial) and partial.size_bytes:  # in use from now on: counted as reserved
                    core.room.partial_bytes = max(0, core.room.partial_bytes - partial.size_bytes)
                    beginning = kept.synced_bytes if kept else 0
                    yield SavePartial(picture.id, hosting.attempt, picture.sha256, beginning)
                yield from core.make_way()
                have = yield BeginPart(picture, kept.synced_bytes if kept else 0)
            except CardFull as error:
                why, retry_s, needed = m.RefuseWhy.FULL, FULL_RETRY_S, picture.size_bytes
                core.room.reserved_held.pop(hosting.key, None)
                self.file_system.full(error)
            except CardError as error:
                why, retry_s, needed = m.RefuseWhy.FAILED, FAILED_RETRY_S, 0
                core.log("card", f"cannot reserve room for picture {picture.id}: {error}", picture.id)
                self.file_system.failed(error)
                core.room.reserved_held.pop(hosting.key, None)
        if why is not None:
            states.hosting.move(hosting, "no_room")
            self._refuse(hosting.owner, picture.id, hosting.attempt, why, retry_s, needed)
            self._forget(hosting)
            return
        hosting.part_open = True
        hosting.synced_bytes = have
        hosting.receiver = Receiver(picture.size_bytes, RangeSet([(0, have)] if have else []))
        states.hosting.move(hosting, "room")
        self._accept(hosting)

    def _room_for(self, hosting: Hosting) -> tuple[m.RefuseWhy | None, int, int]:
        """Why it cannot be taken now (None: it can), when to ask again, and how many bytes are lacking."""
        room, size = self.core.room, hosting.picture.size_bytes
        if self.core.settings.temporary or self.core.settings.hosting_share == 0:
            return m.RefuseWhy.NOT_HOSTING, NOT_HOSTING_RETRY_S, 0
        if len(room.reserved_held) >= RESERVATIONS or not self._only_one(hosting):
            return m.RefuseWhy.BUSY, BUSY_RETRY_S, 0
        if room.hosting_left_bytes < size or self.relieving:
            return m.RefuseWhy.FULL, HOSTED_FULL_RETRY_S, size
        if not self._within_share(hosting):
            return m.RefuseWhy.SHARE, SHARE_RETRY_S, 0
        needed_bytes = size + PICTURES_AHEAD * room.recent_bytes  # own shots come first, as offered_bytes says
        if room.free_bytes + room.partial_bytes < needed_bytes:
            freeable = room.cache_bytes
            if room.free_bytes + room.partial_bytes + freeable >= needed_bytes:
                self.want(needed_bytes)
                return m.RefuseWhy.FULL, BUSY_RETRY_S, size
            return m.RefuseWhy.FULL, FULL_RETRY_S, size
        return None, 0, 0

    def _within_share(self, hosting: Hosting) -> bool:
        """Whether its owner may have so much, considering what others ask for. What nobody decides about makes room."""
        core, held = self.core, Counter[int]()
        for origin, size_bytes in core.hosted_bytes.items():
            owner = core.owner_of(origin)
            held[owner] += size_bytes if owner else 0
        for other in self._all:
            held[other.owner] += core.room.reserved_held.get(other.key, 0)
        room_bytes = core.room.hosting_bytes
        asked = self.demand.bytes_by_unit(core.now)
        return may_take(hosting.owner, hosting.picture.size_bytes, held, asked, room_bytes)

    def want(self, size_bytes: int) -> None:
        """A unit asked for room that dropping cache can make."""
        self.wanted_bytes = max(self.wanted_bytes, size_bytes)
        self._wanted_until = self.core.now + FULL_RETRY_S
        self.core.changed = True

    def _forget_wanted(self) -> None:
        """The room is there, or whoever asked for it has not asked again."""
        if self.core.room.free_bytes >= self.wanted_bytes or self.core.now >= self._wanted_until:
            self.wanted_bytes = 0
            self.core.changed = True

    def _only_one(self, hosting: Hosting) -> bool:
        """One reservation per unit (R3); one whose parts have stopped gives way."""
        for other in [h for h in self._all if h.owner == hosting.owner and h.key in self.core.room.reserved_held]:
            if other.state is not State.ACCEPT or self.core.now < other.last_part + IDLE_TAKEN_OVER_S:
                return False
            self._end(other, "withdrawn")
            self._forget(other)
        return True

    def _ttl_s(self, hosting: Hosting) -> float:
        if hosting.receiver is None:
            return KNOWN_TTL_S
        ttl_s = max(SHORTEST_TTL_S, 4 * hosting.picture.size_bytes / self.core.line_bytes_per_s)
        return ttl_s + 2 * self.core.round_s()

    def _accept(self, hosting: Hosting) -> None:
        core, ttl_s = self.core, self._ttl_s(hosting)
        hosting.expires = core.now + ttl_s
        missing: m.Ranges = ()
        if hosting.receiver is not None:
            size = hosting.picture.size_bytes
            gaps = hosting.receiver.have.missing(size)
            missing = tuple(gaps)[: m.MAX_RANGES] or ((size - 1, size),)  # "nothing missing" is said of a row only (H1)
        accept = m.Accept(hosting.picture.id, hosting.attempt, hosting.handle, min(65_535, int(ttl_s)), missing)
        core.say(hosting.owner, accept)
        core.log(
            "accepted",
            f"picture {hosting.picture.id} of unit {hosting.owner} accepted",
            hosting.picture.id,
            hosting.owner,
        )

    def _refuse(
        self, unit: int, picture: PictureId, attempt: int, why: m.RefuseWhy, retry_s: int, needed: int = 0
    ) -> None:
        self.core.say(unit, m.Refuse(picture, attempt, why, retry_s, needed, 0))
        if why is m.RefuseWhy.FULL:
            self.refused_bytes = min(self.refused_bytes or needed, needed)
        words = why.name.lower().replace("_", " ")
        self.core.log("refused", f"picture {picture} of unit {unit} refused: {words}", picture, unit)

    # ------------------------------------------------------------ PART, END

    def on_part(self, source: int, part: m.Part) -> None:
        """Bytes under one of our handles; of an unknown one: EXPIRED."""
        hosting = self._by_handle(source, part.handle)
        if hosting is None or hosting.state is State.IDLE:
            self._say_expired(source, part.handle)
            return
        receiver = hosting.receiver
        if hosting.state is not State.ACCEPT or receiver is None:
            return
        if hosting.waiting_bytes + len(part.data) > WRITES_WAITING_BYTES:
            return
        now = self.core.now
        for offset, data in receiver.on_part(part.offset, part.data, now, self.core.answer_at):
            hosting.waiting_bytes += len(data)
            hosting.writing += 1
            self.core.run(self._write(hosting, offset, data), on_error=lambda e: self._write_failed(hosting, e))
        hosting.last_part = now
        hosting.expires = now + self._ttl_s(hosting)
        self._go_on(hosting)

    def _write(self, hosting: Hosting, offset: int, data: bytes) -> Step:
        yield WritePart(hosting.picture.id, offset, data)
        hosting.waiting_bytes -= len(data)
        hosting.writing -= 1
        receiver = hosting.receiver
        if hosting.state is State.ACCEPT and receiver is not None and hosting.writing == 0:
            beginning = receiver.have.first_gap()
            if beginning - hosting.synced_bytes >= PARTIAL_STEP_BYTES and not receiver.complete:
                hosting.synced_bytes = beginning
                yield SyncPart(hosting.picture.id)
                if hosting.state is State.ACCEPT:
                    yield SavePartial(hosting.picture.id, hosting.attempt, hosting.picture.sha256, beginning)

    def on_end(self, source: int, end: m.End) -> None:
        """All was sent once: store it, or say what is missing; later ENDs under a living handle get STORED again."""
        hosting = self._by_handle(source, end.handle)
        if hosting is None:
            self._say_expired(source, end.handle)
            return
        hosting.nonce = end.nonce
        if hosting.state is State.IDLE:
            pid = hosting.picture.id
            if not self.core.steps.busy(pid):
                self.core.run(self._prove_again(hosting), pid)
        elif hosting.state is State.ACCEPT:
            receiver = hosting.receiver
            if receiver is not None and not receiver.complete:
                receiver.want_report(self.core.now)
            elif receiver is not None and self.core.answer_at is not None:  # at once; STORED takes time
                receiver.want_report(self.core.now)
                say_report(self.core, hosting.owner, hosting.handle, receiver, receiver.size_bytes)
            self._go_on(hosting)

    def _go_on(self, hosting: Hosting) -> None:
        """Store it once all is here and END has come; say REPORTs that are due."""
        receiver = hosting.receiver
        if hosting.nonce and (receiver is None or receiver.complete):
            states.hosting.move(hosting, "received")
            step = self._store(hosting) if receiver is not None else self._prove_known(hosting)
            self.core.run(step, hosting.picture.id, lambda error: self._failed(hosting, error))
        elif receiver is not None and receiver.report_due(self.core.now):
            say_report(self.core, hosting.owner, hosting.handle, receiver, receiver.size_bytes)

    def _store(self, hosting: Hosting) -> Step:
        """H4, H5, H6."""
        core, picture = self.core, hosting.picture
        proof = b""
        before = yield from core.look_up(picture.id)
        for effect in handover.host(before, handover.AllHere(picture, hosting.attempt)):
            match effect:
                case handover.PutFile():
                    found = yield FinishPart(picture, hosting.nonce)
                    hosting.part_open = False
                    if found is None:
                        self._digest_wrong(hosting)
                        return
                    proof = found
                case handover.Commit(entry):
                    yield from self._note(hosting, before, entry)
                case handover.Say():
                    states.hosting.move(hosting, "stored")
                    core.say(hosting.owner, m.Stored(picture.id, hosting.attempt, proof))
        self.file_system.works()
        core.log("holding", f"picture {picture.id} is stored here for unit {hosting.owner}", picture.id, hosting.owner)

    def _note(self, hosting: Hosting, before: Entry | None, entry: Entry | None) -> Generator[Request, Any, None]:
        """The row (H5); its room counts as stranded until it is counted as held, and where it cannot be committed, too:
        the file has its place, and the next start removes it."""
        core, picture = self.core, hosting.picture
        core.room.stranded[picture.id] = picture.size_bytes
        core.room.reserved_held.pop(hosting.key, None)
        self.demand.taken(hosting.owner, picture.size_bytes, core.now)
        yield SavePartial(picture.id, 0, b"", 0)
        yield from core.save(picture, before, entry)

    def _digest_wrong(self, hosting: Hosting) -> None:
        core, picture = self.core, hosting.picture
        if hosting.broken is not None:
            self._failed(hosting, hosting.broken)
            return
        core.log("alarm", f"picture {picture.id} arrived with a wrong digest; it was thrown away", picture.id)
        self._end(hosting, "failed")
        self._refuse(hosting.owner, picture.id, hosting.attempt, m.RefuseWhy.FAILED, BUSY_RETRY_S)
        self._forget(hosting)

    def _prove_known(self, hosting: Hosting) -> Step:
        """R5: nothing was missing, END fetches the proof."""
        proved = yield from self._stored_again(hosting)
        states.hosting.move(hosting, "stored" if proved else "failed")

    def _prove_again(self, hosting: Hosting) -> Step:
        yield from self._stored_again(hosting)

    def _stored_again(self, hosting: Hosting) -> Generator[Request, Any, bool]:
        row = yield from self.core.look_up(hosting.picture.id)
        effects = handover.host(row, handover.EndHeard(hosting.attempt))
        if not effects or row is None:
            self._say_expired(hosting.owner, hosting.handle)
            self._forget(hosting)
            return False
        digests = yield DigestFile.of(row, hosting.nonce)
        assert isinstance(digests, Digests)
        if not digests.whole:
            yield from self.held.lost(row)
            self._forget(hosting)
            return False
        self.core.say(hosting.owner, m.Stored(row.picture.id, hosting.attempt, digests.proofs[0]))
        return True

    # ------------------------------------------------------------ DROP

    def on_drop(self, source: int, drop: m.Drop) -> None:
        """H7."""
        if self.core.owner_of(drop.id.unit) == source:
            self.core.run(self._drop(source, drop), drop.id)

    def _drop(self, source: int, drop: m.Drop) -> Step:
        row = yield from self.core.look_up(drop.id)
        if row is not None and row.attempt is None:
            row = None
        if row is not None and row.picture.digest4 != drop.digest4:
            return
        effects = handover.host(row, handover.DropHeard(source, drop.attempt))
        if effects and isinstance(effects[0], handover.Withdraw):
            if any(h.state is State.STORE and (h.owner, h.picture.id) == (source, drop.id) for h in self._all):
                self.core.run(self._drop(source, drop), drop.id)  # it waits to be stored, and is dropped behind that
                return
            self._withdraw(source, drop.id, effects[0].attempt)
            self.core.say(source, m.Lost(drop.id, drop.attempt, True))
            return
        assert row is not None or not effects
        if row is not None:
            yield from self.core.carry_out(row.picture, row, effects)
            if effects:
                self.core.log(
                    "dropped",
                    f"picture {drop.id} of unit {source} is not wanted any more and was removed here",
                    drop.id,
                    source,
                )

    def _withdraw(self, source: int, picture: PictureId, attempt: int) -> None:
        for hosting in list(self._all):
            if hosting.owner == source and hosting.picture.id == picture and hosting.attempt <= attempt:
                if hosting.state is State.ACCEPT:
                    self._end(hosting, "withdrawn")
                if hosting.state is State.IDLE:
                    self._forget(hosting)

    # ------------------------------------------------------------ ends

    def tick(self) -> None:
        """Reservations past their time end; reports that are due are said."""
        if self.wanted_bytes:
            self._forget_wanted()
        for hosting in list(self._all):
            if self.core.now >= hosting.expires > 0 and hosting.state in (State.ACCEPT, State.IDLE):
                if hosting.state is State.ACCEPT:
                    self._end(hosting, "timed_out")
                self._forget(hosting)
            elif hosting.state is State.ACCEPT:
                self._go_on(hosting)

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not (self._all or self.wanted_bytes):
            return None
        times = [h.expires for h in self._all if h.expires and h.state in (State.ACCEPT, State.IDLE)]
        if self.wanted_bytes:
            times.append(self._wanted_until)
        for h in self._all:
            if h.state is State.ACCEPT and h.receiver is not None:
                due = h.receiver.deadline()
                if due is not None:
                    times.append(due)
        return min(times, default=None)

    def new_boot(self, unit: int) -> None:
        """The peer has restarted: its handles mean nothing any more; what was received stays to resume from."""
        for hosting in list(self._all):
            if hosting.owner == unit:
                if hosting.state is State.ACCEPT:
                    self._end(hosting, "withdrawn")
                if hosting.state is State.IDLE:
                    self._forget(hosting)

    def _failed(self, hosting: Hosting, error: DandelionError) -> None:
        """The own card failed: the reservation ends, its owner is told."""
        if hosting.state is not State.IDLE:
            self.core.log("card", f"picture {hosting.picture.id} could not be stored here: {error}", hosting.picture.id)
            self._refuse(hosting.owner, hosting.picture.id, hosting.attempt, m.RefuseWhy.FAILED, FAILED_RETRY_S)
            self._end(hosting, "refused" if hosting.state is State.RECEIVE else "failed")
            self.file_system.failed(error)
        self._forget(hosting)

    def _write_failed(self, hosting: Hosting, error: DandelionError) -> None:
        """A store that has begun finds by itself that the digest is wrong."""
        if hosting.state is State.STORE:
            hosting.broken = error
        else:
            self._failed(hosting, error)

    def _end(self, hosting: Hosting, why: str) -> None:
        """Free room and handle; what is synced of the .part stays to resume from."""
        hosting.state_before_end = hosting.state
        states.hosting.move(hosting, why)
        if hosting.part_open:
            hosting.part_open = False
            self.core.run(self._keep_part(hosting), hosting.picture.id)
        else:
            self.core.room.reserved_held.pop(hosting.key, None)
            self.core.changed = True

    def _keep_part(self, hosting: Hosting) -> Step:
        beginning = hosting.receiver.have.first_gap() if hosting.receiver is not None else 0
        picture, kept = hosting.picture, False
        try:
            if beginning > 0 and hosting.state_before_end is State.ACCEPT:
                yield SyncPart(picture.id)
                yield SavePartial(picture.id, hosting.attempt, picture.sha256, beginning, picture.size_bytes)
                kept = True
            yield ClosePart(hosting.picture.id, keep=kept)
        finally:
            self.core.room.reserved_held.pop(hosting.key, None)
            if kept:
                self.core.room.partial_bytes += hosting.picture.size_bytes
            self.core.changed = True

    def _forget(self, hosting: Hosting) -> None:
        if hosting in self._all:
            self._all.remove(hosting)
            self._handles.rest(hosting.owner, hosting.handle, hosting.expires, self.core.now)

    def _by_handle(self, source: int, handle: int) -> Hosting | None:
        return next((h for h in self._all if h.owner == source and h.handle == handle), None)

    def _new_handle(self, unit: int) -> int:
        """A handle for one more hosting; 0: none for now."""
        if sum(1 for h in self._all if h.owner == unit and h.state is not State.IDLE) >= MAX_PER_UNIT:
            return 0
        if len(self._all) >= MAX_ALIVE:
            over = next((h for h in self._all if h.state is State.IDLE), None)
            if over is None:
                return 0
            self._forget(over)
        return self._handles.give(unit, (h.handle for h in self._all if h.owner == unit), self.core.now)

    def _say_expired(self, unit: int, handle: int) -> None:
        if self._expired.may(unit, self.core.now):
            self.core.say(unit, m.Expired(handle))
