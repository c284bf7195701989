"""The unit: takes events and the time in, gives requests, packets and answers to people out (DESIGN §3).

Owns no file, port, thread or clock. The shell calls `handle`, `packet`, `command` and `tick`, carries out what
`requests()` gives, sends what `next_packet()` gives while the radio has room, says by `radio_is` what is wrong with
it, and tells people what `told()` gives.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from firmware import commands as c
from firmware import messages as m
from firmware.adoption import Adoptions
from firmware.audits import Audits
from firmware.bad_packets import BadPackets
from firmware.beacons import Beacons
from firmware.channel import Channel
from firmware.copying import Copies
from firmware.core import Core, Settings
from firmware.deletion import Deletions
from firmware.dispersal import Dispersals
from firmware.doubts import Doubts
from firmware.drop_by_hand import DropByHand
from firmware.drops import Drops
from firmware.errors import ClonedUnit, ForeignSession, NewerEpoch, OlderEpoch, PeerError, Unproved, WrongSeal
from firmware.events import Answer, Memory, Request, WallClock
from firmware.evictions import Evictions
from firmware.file_system import FileSystem
from firmware.finding import Findings
from firmware.giving_up import GivingUp
from firmware.handles import CopyHandles
from firmware.handshakes import Handshakes, SessionHandshakes, WithoutHandshakes
from firmware.held import HeldCopies
from firmware.holding import Holding
from firmware.hosting import Hostings
from firmware.keeping import Keeping
from firmware.letting_go import LettingGo
from firmware.link import Link, Received
from firmware.neighbours import Neighbour
from firmware.operating_time import OperatingTime
from firmware.pictures import EVERYONE, PictureId
from firmware.planner import Planner
from firmware.previews import Previews
from firmware.proofs import Proofs
from firmware.questions import ANSWER_AFTER_S, Questions
from firmware.quotas import Quotas
from firmware.readout import ReadOuts
from firmware.recollecting import Recollections
from firmware.record_rows import id_of, rows_of
from firmware.records import Records
from firmware.relays import Relays
from firmware.relief import Relief
from firmware.repair import Repairs
from firmware.rosters import Membership, Rosters, SpreadingRosters, WithoutRosters
from firmware.scrub import Scrub
from firmware.serving import Serving
from firmware.sessions import SessionSeal
from firmware.shutter import Shutter
from firmware.silence import Silence
from firmware.speaking import FullDuplex, HalfDuplex, OnItsWay, Parcel, Speaker
from firmware.states import State
from firmware.verifying import Verifying
from hal.interfaces import Arrival, Duplex


class Part(Protocol):
    """One subject of a unit."""

    def tick(self) -> None:
        """Time has passed, or something has happened."""

    def deadline(self) -> float | None:
        """When tick() is wanted."""


class ToldOfBoots(Protocol):
    """A part that waits for answers of other units."""

    def new_boot(self, unit: int) -> None:
        """The unit has restarted, or is heard (again)."""


class Unit:
    """One unit on one radio."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        link: Link,
        rng: random.Random,
        line_bytes_per_s: float,
        duplex: Duplex,
        now: float,
        membership: Membership | None = None,
    ) -> None:
        """membership: of whoever has a credential; the link's seal goes by it."""
        self.core = core = Core(settings, memory, rng, line_bytes_per_s, now)
        self.link = link
        core.epoch, core.tag = link.seal.epoch, link.seal.tag
        self.dispersals = Dispersals(core)
        self.held = HeldCopies(core)
        self.file_system = FileSystem(core)
        self.hostings = Hostings(core, self.held, self.file_system)
        self.shutter = Shutter(core, self.dispersals, self.file_system)
        self.proofs = Proofs(core)
        self.read_outs = ReadOuts(core)
        self.read_outs.overhead_bytes = link.part_overhead_bytes
        copy_handles = CopyHandles()
        self.serving = Serving(core, copy_handles)
        self.questions = Questions(core)
        self.relays = Relays(core, self.questions, copy_handles)
        self.relays.overhead_bytes = link.part_overhead_bytes
        self.previews = Previews(core, self.read_outs, lambda: not self._transfers())
        self.copies = Copies(core, self.dispersals, self.read_outs)
        self.planner = Planner(core, self.dispersals)
        evictions = Evictions(core, self._in_use)
        self.drops = Drops(core, self.proofs, self.shutter, self.hostings, evictions)
        self.drop_by_hand = DropByHand(core, self.proofs, evictions)
        self.audits = Audits(core, self.proofs, self.read_outs, self._transfers)
        self.adoptions = Adoptions(core, self.dispersals, inventoried=memory.inventoried)
        self.doubts = Doubts(core, self.proofs, self.audits, self.read_outs, self.adoptions)
        self.operating_time = OperatingTime(core, memory.heard)
        self.silence = Silence(core, self.operating_time)
        self.repairs = Repairs(core, self.dispersals, self.read_outs, self.hostings)
        self.letting_go = LettingGo(core, self.proofs, self.dispersals, self.repairs)
        self.proofs.disproved = self.letting_go.disproved
        self.relief = Relief(core, self.drops, self.hostings)
        self.giving_up = GivingUp(core, self.hostings, self._in_use)
        self.scrub = Scrub(core, self.held, lambda: bool(self.shutter.waiting) or self._transfers())
        self.holding = Holding(core, self.held)
        self.verifying = Verifying(core, self.proofs, self.audits, self.held)
        self.findings = Findings(core)
        self.deletions = Deletions(core, self.dispersals, self.findings)
        self.records = Records(core, dict(memory.keepers), link.most_records)
        self.records.sure = self.deletions.sure
        self.keeping = Keeping(core, link.most_records)
        self.recollections = Recollections(core, self.adoptions, self.deletions, recollected=memory.recollected)
        self.bad_packets = BadPackets(core)
        self.beacons = Beacons(core, self.hostings)
        self.handshakes = self._make_handshakes(link)
        self.rosters = self._make_rosters(link, membership)
        self._speaker = self._make_speaker(duplex, link)
        self._touched = True  # something has happened since the last tick
        self._due, self._due_known = now, False  # when a part wants the next one
        self._due_besides = now  # and when one that is not the beacons
        self._radio_problem: str | None = None
        self._quotas = Quotas(core.line_bytes_per_s)
        parts = self._parts_in_safe_mode() if settings.safe_mode else self._parts_in_order()
        self._ticks = tuple(part.tick for part in parts)
        self._deadlines = tuple(part.deadline for part in parts if part is not self.beacons)
        self._told_of_boots = self._parts_told_of_boots()
        self._handlers = self._message_handlers()
        for entry in memory.lost_held:
            core.say(core.owner_of(entry.picture.id.unit), m.Lost(entry.picture.id, entry.attempt or 0, False))
        core.log("started", f"unit {core.unit} has started; boot {core.boot}, card {core.card:04x}")
        if memory.new_catalogue:
            core.log("card", "the catalogue is new: every unit that is heard is asked what it holds for this one")

    def _parts_in_order(self) -> tuple[Part, ...]:
        """Whatever has deadlines, in the order of its ticks."""
        return (
            self.file_system,
            self.shutter,
            self.dispersals,
            self.copies,
            self.planner,
            self.hostings,
            self.proofs,
            self.drops,
            self.read_outs,
            self.serving,
            self.questions,
            self.relays,
            self.previews,
            self.adoptions,
            self.doubts,
            self.holding,
            self.findings,
            self.deletions,
            self.records,
            self.recollections,
            self.beacons,
            self.handshakes,
            self.rosters,
            self.operating_time,
            self.silence,
            self.audits,
            self.repairs,
            self.letting_go,
            self.relief,
            self.giving_up,
            self.scrub,
        )

    def _parts_in_safe_mode(self) -> tuple[Part, ...]:
        """Without what the unit does by itself about the pictures that it has."""
        left_out = (self.previews, self.audits, self.repairs, self.letting_go, self.relief, self.giving_up, self.scrub)
        return tuple(part for part in self._parts_in_order() if part not in left_out)

    def _parts_told_of_boots(self) -> tuple[ToldOfBoots, ...]:
        """Whatever has asked other units for something."""
        return (
            self.dispersals,
            self.hostings,
            self.proofs,
            self.drops,
            self.read_outs,
            self.serving,
            self.relays,
            self.adoptions,
            self.doubts,
            self.records,
            self.audits,
            self.repairs,
        )

    def _make_speaker(self, duplex: Duplex, link: Link) -> Speaker:
        core = self.core
        if duplex is Duplex.FULL:
            return FullDuplex(core, link, self._outgoing, self.handshakes)
        channel = Channel(core.rng, core.line_bytes_per_s)
        core.burst_bytes = channel.burst_bytes
        core.round_s = lambda: channel.round_s(core.now)
        return HalfDuplex(core, link, channel, self._outgoing, self.handshakes)

    def _make_rosters(self, link: Link, membership: Membership | None) -> Rosters:
        if membership is None:
            return WithoutRosters(self.core)
        assert isinstance(link.seal, SessionSeal)
        rosters = SpreadingRosters(self.core, link.seal, membership, link.roster_room_bytes, self.beacons.say_soon)
        rosters.changed = self._left
        return rosters

    def _left(self, units: list[int]) -> None:
        """These are members no more: what was heard of them counts no longer, and their copies are doubted at once."""
        for unit in units:
            self.core.neighbours.forget(unit)
            self.hostings.demand.forget(unit)
        self.silence.left(units)
        self.handshakes.new_epoch()

    def _make_handshakes(self, link: Link) -> Handshakes:
        if isinstance(link.seal, SessionSeal):
            return SessionHandshakes(self.core, link.seal, self.beacons.ask, self._unproved)
        return WithoutHandshakes(self.beacons.ask)

    def _unproved(self, unit: int, why: str) -> None:
        """Its beacon counts for nothing any more."""
        neighbour = self.core.neighbours.find(unit)
        if neighbour is not None and not neighbour.proved:
            self.core.neighbours.forget(unit)
        self.bad_packets.add(Unproved(why))

    def _in_use(self, picture: PictureId) -> bool:
        return any(part.busy_with(picture) for part in (self.dispersals, self.serving, self.read_outs))

    def _transfers(self) -> bool:
        """Whether pictures are on their way from or to this unit."""
        out = any(True for _ in self._outgoing()) or any(True for _ in self.read_outs)
        return out or any(hosting.state is not State.IDLE for hosting in self.hostings)

    # ------------------------------------------------------------ in

    def handle(self, event: Answer | WallClock, now: float) -> None:
        """The answer to a request, or news from the clock."""
        self.core.now = now
        match event:
            case Answer():  # in the midst of a step nothing else has become possible
                ended = self.core.steps.answer(event)
                self._touched = self._touched or ended or self.core.changed
                self._due_known = False
            case WallClock(unix_s, quality):
                self._touched = True
                self.core.wall_offset_s = unix_s - now
                self.core.wall_quality = quality

    def radio_is(self, problem: str | None, now: float) -> None:
        """What is wrong with the radio, None where nothing is; say it as often as you like: a change is logged once."""
        if problem != self._radio_problem:
            self.core.now, self._radio_problem = now, problem
            self.core.log("radio", "the radio works again" if problem is None else problem)

    def packet(self, arrival: Arrival, now: float) -> bool:
        """A whole packet from the radio. False: it brought nothing for this unit, so that no tick is wanted."""
        self.core.now = now
        if self.core.mute:
            return False
        try:
            received = self.link.decode(arrival.packet, now)
            if received is None:
                return False
            self.core.answer_at = self._speaker.heard(received, self.link.wire_bytes(arrival.packet))
            if not isinstance(received, Received):
                return self._speaker.deadline() is not None
            self._received(received, arrival)
            if not self._is_news(received):
                return self._speaker.deadline() is not None
        except PeerError as error:
            self._peer_error(error)
        self._touched, self._due_known = True, False
        return True

    def _is_news(self, received: Received) -> bool:
        """Not a beacon that says what the one before it said: each unit in range hears one every few seconds. That of a
        start that has not shown yet that it is there begins a handshake."""
        core, message = self.core, received.message
        quiet = isinstance(message, m.Beacon) and not message.answer_wanted and self.link.seal.is_there(received.source)
        return not quiet or core.changed or bool(core.outbox or core.steps.requests)

    def _peer_error(self, error: PeerError) -> None:
        self.bad_packets.add(error)
        match error:
            case ForeignSession(source=source):
                self.handshakes.foreign(source)
            case WrongSeal(source=int(source)):
                self.handshakes.wrong(source)
            case ClonedUnit():
                self.handshakes.want(self.core.unit)
            case OlderEpoch():
                self.beacons.say_soon()
            case NewerEpoch(source=source, epoch=epoch):
                self.rosters.newer(source, epoch)

    def _received(self, received: Received, arrival: Arrival) -> None:
        """What another unit says: what makes sessions first, then whatever they carry."""
        source, message, new_boot = received.source, received.message, received.new_boot
        match message:
            case m.RosterAsk():
                self.rosters.on_ask(source, message)
                return
            case m.RosterPart():
                self.rosters.on_part(source, message)
                return
            case m.Hello():
                self.handshakes.on_introduced(source)
                self.handshakes.on_hello(source, message)
                return
            case m.Welcome():
                self.handshakes.on_introduced(source)
                self.handshakes.on_welcome(source, message)
                if source == self.core.unit:
                    return
                new_boot = self.link.is_news(source)
            case m.Beacon():
                self.handshakes.on_introduced(source)
                if self.link.seal.session(source) not in (None, message.boot):
                    self.rosters.heard(source)
                    self.beacons.answer(message)
                    return  # of another start than the one that speaks to us: the handshake will tell
            case _ if received.destination == self.core.unit:
                self.handshakes.heard(source)
        neighbour = self._heard(source, new_boot=new_boot)
        in_session = message.is_between_two() and received.destination == self.core.unit
        neighbour.arrived(arrival.sender, arrival.rssi_dbm, in_session=in_session)
        self._handle(received, neighbour)
        if neighbour.proved:
            self.adoptions.heard(source)
            self.recollections.heard(source)

    def _heard(self, source: int, *, new_boot: bool) -> Neighbour:
        core = self.core
        known = core.neighbours.find(source)
        was_there = known is not None and not known.silent(core.now)
        core.changed = core.changed or (known is not None and known.out_of_reach)
        proved = self.link.seal.knows(source)
        neighbour = core.neighbours.heard(source, core.now, new_boot=new_boot, proved=proved)
        if neighbour.proved and (new_boot or not was_there):
            core.log("heard", f"unit {source} is heard", unit=source)
            core.changed = True
            for part in self._told_of_boots:
                part.new_boot(source)
            self.holding.stored()
            self.deletions.new_boot()
        return neighbour

    def _handle(self, received: Received, neighbour: Neighbour) -> None:
        core, source = self.core, received.source
        match received.message:
            case m.Beacon():
                self.rosters.heard(source)
                self.beacons.on_beacon(neighbour, received.message)
                self.records.on_beacon(neighbour, received.message.card)
                self.audits.on_beacon(neighbour, received.message.card)
            case m.Name():
                if received.destination == core.unit:  # to everyone any member can say it under any number
                    self.beacons.on_name(neighbour, received.message)
            case m.NameAsk():
                self.beacons.on_name_ask(source)
            case m.Welcome() | m.Ready():
                pass
            case m.Where() if received.destination == EVERYONE and not core.steps.crowded(received.message.id):
                self.questions.on_where(source, received.message, ANSWER_AFTER_S)
            case _:
                self._quotas.take(source, received.message, core.now)
                if received.destination == core.unit and not any(map(core.steps.crowded, _pictures(received.message))):
                    self._handlers[type(received.message)](source, received.message)

    def _message_handlers(self) -> dict[type, Callable[[int, Any], None]]:
        """Which part takes which message; handles from 128 on are those of read-outs."""
        return {
            m.Request: self.hostings.on_request,
            m.Accept: _each(self.dispersals.on_accept, self.adoptions.on_accept),
            m.Refuse: _each(self.dispersals.on_refuse, self.adoptions.on_refuse),
            m.Part: _by_handle(self.hostings.on_part, _or(self.relays.on_part, self.read_outs.on_part)),
            m.End: _by_handle(self.hostings.on_end, _or(self.relays.on_end, self.read_outs.on_end)),
            m.Report: _by_handle(self.dispersals.on_report, _each(self.serving.on_report, self.relays.on_report)),
            m.Expired: _by_handle(
                _each(self.dispersals.on_expired, self.adoptions.on_expired),
                _each(self.serving.on_expired, self.relays.on_expired),
            ),
            m.Stored: _each(self.dispersals.on_stored, self.adoptions.on_stored),
            m.Hold: self.adoptions.on_hold,
            m.Keep: _each(self.held.on_keep, self.previews.on_keep),
            m.Drop: self.hostings.on_drop,
            m.Lost: self.proofs.on_lost,
            m.Prove: self.held.on_prove,
            m.Relieve: self.letting_go.on_relieve,
            m.Proof: self.proofs.on_proof,
            m.Delete: self.deletions.on_delete,
            m.Damaged: lambda _, x: self.proofs.suspect(x.id, x.unit),
            m.Records: self._on_records,
            m.RecordsKept: self.records.on_kept,
            m.RecordsAsk: self.keeping.on_ask,
            m.Where: lambda s, x: self.questions.on_where(s, x, 0.0),
            m.At: _each(self.read_outs.on_at, self.findings.on_at, self.questions.on_at),
            m.Unknown: _each(self.read_outs.on_unknown, self.findings.on_unknown, self.questions.on_unknown),
            m.Get: _each(self.serving.on_get, self.relays.on_get),
            m.Copy: _each(self.read_outs.on_copy, self.relays.on_copy),
            m.RefuseGet: _each(self.read_outs.on_refuse_get, self.relays.on_refuse_get),
            m.InventoryAsk: lambda s, x: self.holding.on_inventory_ask(s, x, self.link.most_inventory_rows),
            m.Inventory: self.adoptions.on_inventory,
        }

    def _on_records(self, source: int, page: m.Records) -> None:
        """Of our own pictures, or of others'."""
        if not self.recollections.on_records(source, page):
            self.keeping.on_records(source, page)

    # ------------------------------------------------------------ people

    def command(self, command: c.Command, now: float) -> None:
        """What a person, the button or the interval timer wants."""
        self.core.now = now
        self._touched, self._due_known = True, False
        match command:
            case c.Shoot(ticket, priority):
                self.shutter.press(ticket, priority)
            case c.TurnPriority():
                self.shutter.turn_priority()
            case c.Get():
                self.read_outs.get(command)
            case c.Took(ticket, size_bytes):
                self.read_outs.took(ticket, size_bytes)
            case c.PlaceCopy():
                self.copies.copy(command)
            case c.DropOwn():
                self.drop_by_hand.drop(command)
            case c.DeletePicture(ticket, picture):
                self.deletions.delete(ticket, picture)
            case c.Verify():
                self.verifying.verify(command)
            case c.PushRoster():
                self.rosters.push(command)
            case c.Cancel(ticket):
                self.read_outs.cancel(ticket)
                self.copies.cancel(ticket)

    # ------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Call at deadline(), and after events: repeats, time-outs, and work that has become possible."""
        self.core.now = now
        if not self._touched and now < self._due:
            return
        self.beacons.queue = len(self.dispersals) + self.shutter.waiting
        if self._is_beacon_alone():
            self.beacons.tick()
        else:
            for tick in self._ticks:
                tick()
            for outgoing in self._outgoing():
                outgoing.tick()
            self._touched = self.core.changed
        self._due_known = False

    def _is_beacon_alone(self) -> bool:
        """Whether nothing has happened, and it is no part's time but the beacons': so it is mostly. The others are
        looked at together, for what one of them ends by its time another may wait for."""
        return not (self._touched or self.core.changed) and self._due_known and self.core.now < self._due_besides

    def deadline(self) -> float:
        """Monotonic time at which tick or next_packet is wanted next."""
        if not self._due_known:
            self._due, self._due_known = self._next_due(), True
        speaks_at = self._speaker.deadline()
        return self._due if speaks_at is None else min(self._due, speaks_at)

    def _next_due(self) -> float:
        times = [due for deadline in self._deadlines if (due := deadline()) is not None]
        times += [due for outgoing in self._outgoing() if (due := outgoing.deadline()) is not None]
        self._due_besides = min(times, default=math.inf)
        return min(self._due_besides, self.beacons.deadline())

    # ------------------------------------------------------------ out

    def requests(self) -> Iterator[tuple[int, Request]]:
        """What is to be carried out, with the token that its Answer must bear."""
        while self.core.steps.requests:
            yield self.core.steps.requests.popleft()

    def told(self) -> Iterator[c.Told]:
        """What people are to be told."""
        while self.core.told:
            yield self.core.told.popleft()

    @property
    def has_more(self) -> bool:
        """Whether requests() or told() have something."""
        return bool(self.core.steps.requests or self.core.told)

    def next_packet(self, now: float, heard_at: float) -> Parcel | None:
        """What to send now that the radio has room. heard_at: when its line last carried bytes, as far as it knows."""
        self.core.now = now
        if self.handshakes.cloned and not self.core.mute and not self.core.outbox:
            self._fall_silent()
        if self.core.mute:
            return None
        parcel = self._speaker.next_packet(heard_at)
        if parcel is not None:
            self._due_known = False  # what was sent is waited for
        return parcel

    def _fall_silent(self) -> None:
        """R11, once the other one has its answer: of two that speak under one number each undoes what the other did."""
        core = self.core
        core.mute = f"another unit runs with the credential of unit {core.unit}"
        core.log("alarm", f"{core.mute}; nothing is sent any more, pictures stay here: revoke it and enrol one anew")

    def _outgoing(self) -> list[OnItsWay]:
        """Pictures on their way."""
        return [*self.dispersals.outgoing(), *self.serving.outgoing(), *self.relays.outgoing()]


def _pictures(message: m.Message) -> list[PictureId]:
    """Those that handling it begins a step on."""
    match message:
        case m.Request(picture):
            return [picture.id]
        case m.Inventory(_, rows):
            return [row.picture.id for row in rows]
        case m.Records():
            return [id_of(row) for row in rows_of(message)]
    found = getattr(message, "id", None)
    return [found] if isinstance(found, PictureId) else []


Handler = Callable[[int, Any], None]


def _by_handle(host: Handler, copy: Handler) -> Handler:
    """Handles of ACCEPT go to one, those of COPY to the other."""

    def handle(source: int, message: Any) -> None:
        (host if message.handle < m.FIRST_COPY_HANDLE else copy)(source, message)

    return handle


def _each(*handlers: Handler) -> Handler:
    """Each of several parts takes what is its own and leaves the rest."""

    def handle(source: int, message: Any) -> None:
        for one in handlers:
            one(source, message)

    return handle


def _or(first: Callable[[int, Any], bool], second: Handler) -> Handler:
    """The second gets what the first does not take."""

    def handle(source: int, message: Any) -> None:
        if not first(source, message):
            second(source, message)

    return handle
