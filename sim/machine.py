"""Whole units, as shipped, on simulated machines in virtual time.

A Machine is what the service is around a Unit: it carries requests out, hands packets over and answers back, and calls
tick() at deadline(). Card, camera, radio and clock are the simulated ones; Store, Catalogue and start-up are real. Same
seed, same commands: same events, under any PYTHONHASHSEED.

Simulated: latency per kind of request (card, catalogue and camera each do one thing after the other, as their threads
do), a slow card, power cuts between any two events and between any two calls of the card, a process that is killed,
loss of chosen messages, replays of anything ever said, restarts with or without the catalogue, wall time that jumps;
cards that die, or take no more writes, and the catalogue with them, and units that go on without; members that do harm
(sim/members.py).

Not simulated: cuts within a transaction of SQLite (each is done or not, whatever it then says), work that a thread
does while its request is under way (all of it is done at its end), the time that a start-up takes, monotonic clocks
that differ or drift, several cores, real time of any kind.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import Protocol, cast, get_args

from firmware import commands as c
from firmware import events as e
from firmware import without_card
from firmware.core import Settings
from firmware.determine import Rules
from firmware.link import Link
from firmware.messages import Message
from firmware.pictures import Entry, PictureId
from firmware.rosters import Membership
from firmware.startup import Started, start_up
from firmware.store import Store
from firmware.unit import Unit
from hal.errors import CardError, CardReadOnly, DandelionError
from hal.interfaces import Protection, TimeQuality
from hal.light_dataclass import dataclass
from sim.camera import SimCamera
from sim.card import ERRORS, CardOptions, Fault, PowerCut, ProcessKilled, SimCard
from sim.credentials import seal_of
from sim.members import Flood, Liar
from sim.radio import MTU_BYTES, SimRadio
from sim.rig import Rig, Said
from sim.watched import MemoryHome, Storage, TappedLink, WatchedCatalogue

SYNC_S = 0.010
"""Latency of what ends with a sync of the card; a good SD card. Guess."""
READ_S = 0.001
"""Latency of everything else."""
LATENCY_S: Mapping[type, float] = {
    e.TakePicture: 0.3,
    e.KeepShot: 3 * SYNC_S,
    e.FinishPart: 3 * SYNC_S,
    e.SyncPart: SYNC_S,
    e.RemoveFile: SYNC_S,
    e.SavePreview: SYNC_S,
    e.Quarantine: SYNC_S,
    e.Save: SYNC_S,
    e.SavePartial: SYNC_S,
    e.SaveOrder: SYNC_S,
    e.SaveDecision: SYNC_S,
    e.SaveName: SYNC_S,
}
_CARD = get_args(e.CardRequest)
_CATALOGUE_WRITES = (
    *(e.Save, e.SavePartial, e.SaveOrder, e.SaveDecision, e.SaveName, e.SaveInventoried, e.SaveRecollected),
    *(e.SaveRecorded, e.SaveCalendar, e.SavePairs, e.UsePair, e.ThinRecords),
)

AboutTo = Callable[["Machine", str, tuple[Fault, ...]], Fault | None]
"""What comes next at a machine, in words ("card PATH", "commit", "say MESSAGE"), and the faults that may hit it. It may
raise PowerCut, or return one of these faults, which then happens."""


class WatchesLives(Protocol):
    """Who is told of the lives that a machine leads without a card."""

    def began(self, machine: Machine) -> None:
        """It goes on without; machine.memory is what it has."""

    def told(self, machine: Machine, picture: PictureId) -> None:
        """It has just told people that it has taken this picture."""

    def ends(self, machine: Machine) -> None:
        """Its memory goes now."""


@dataclass(slots=True)
class Options:
    """One machine; what is here may be changed while it is off. size_bytes: least and most of its pictures."""

    rules: Rules = field(default_factory=Rules)
    capacity_bytes: int = 10_000_000
    hosting_share: float = 0.5
    beacon_s: float = 60.0
    patience_s: float = 120.0
    temporary: bool = False
    size_bytes: tuple[int, int] = (20_000, 60_000)
    file_system_bytes: int = 64_000_000
    without_card: bool = False  # whether it starts without a card that has failed, as the service does
    credential: Membership | None = None  # None: of the network that everybody is in
    mtu_bytes: int = MTU_BYTES
    safe_mode: bool = False


class Machine:
    """One unit's machine, on when it is made; off between power_cut() or kill() and restart(). Card and catalogue stay.

    card: the one in its slot. memory: what it uses in place of that while it goes on without, gone at the end of that
    life; None: it uses its card. in_use says which it is now.
    slowness: how many times longer than usual card and catalogue take. wall_error_s: how far its wall clock is wrong.
    tear: what of un-synced data survives when the power goes within a step; None: nothing.
    liar, flood: what a member that does harm has in place of the shipped card thread, and beside what its unit says.
    cut: told of each power cut. lives: told of those without a card.
    """

    def __init__(self, rig: Rig, unit: int, options: Options | None = None) -> None:
        self.rig = rig
        self.unit = unit
        self.options = options = options or Options()
        self.card = SimCard(CardOptions(size_bytes=options.file_system_bytes))
        self.camera = SimCamera(random.Random(f"camera {unit} {rig.seed}"), size_bytes=options.size_bytes)
        self.latency_s: dict[type, float] = dict(LATENCY_S)
        self.told: dict[int, list[object]] = {}  # what each ticket was told
        self.delete_orders: set[PictureId] = set()  # what people have ever told this one to delete
        self.radio: SimRadio | None = None
        self.running: Unit | None = None
        self.store: Store | None = None
        self.starts = 0
        self.slowness = 1.0
        self.wall_error_s = 0.0
        self.tear: random.Random | None = None
        self._about_to: AboutTo | None = None
        self.liar: Liar | None = None
        self.flood: Flood | None = None
        self.cut: Callable[[], None] = lambda: None
        self.lives: WatchesLives | None = None
        self.memory: Storage | None = None
        self._home = self._new_home()
        self._read = 0  # lines of the log that people have read, in a life without a card
        self._link: TappedLink | None = None
        self._free_at: dict[str, float] = {}
        self._due_at = self._wakes_at = math.inf  # when it wants a turn next; when it wakes, if not later
        self._in_turn = False
        self._ticket = 0
        rig.join(self)
        self.restart()

    # ------------------------------------------------------------ power

    def restart(self) -> None:
        """Switch it on: start-up, then the first turn. Off again where the power goes meanwhile."""
        assert self.running is None, "it is on already"
        rig, options = self.rig, self.options
        self.starts += 1
        rng = random.Random(f"unit {self.unit} {self.starts} {rig.seed}")
        try:
            self._begin(self._start_up(self.card, self._home, rng), rng)
        except ProcessKilled:
            return
        except PowerCut:
            self.card.power_cut(self.tear)
            self.cut()
            return
        except CardError as error:
            if not options.without_card or not without_card.is_dead(error):
                raise
            self._begin_without_card(error.what, rng)
        self.turn()

    def _begin_without_card(self, why: str, rng: random.Random) -> None:
        self.memory = memory = Storage(SimCard(), self._new_home())
        self._read = 0
        started = self._start_up(memory.card, memory.home, rng)
        self._begin(started._replace(notices=[without_card.notice(why), *started.notices]), rng, why)
        if self.lives is not None:
            self.lives.began(self)

    def _new_home(self) -> MemoryHome:
        return MemoryHome(self.unit, lambda: self.wall()[0], self._before_commit)

    def _begin(self, started: Started, rng: random.Random, why: str = "") -> None:
        """The unit, after its start-up. why: why it is without a card, if it is."""
        rig, options = self.rig, self.options
        self.store, _, memory, notices = started
        self.radio = SimRadio(rig.line, unit=self.unit, mtu_bytes=options.mtu_bytes)
        membership = None if options.credential is None else options.credential.knowing(memory.roster)
        if membership is None:
            seal = seal_of(self.unit, memory.card, memory.boot, rng)
        else:
            seal = membership.seal(memory.card, memory.boot, rng.randbytes)
        self._link = TappedLink(self.unit, seal, self.radio, self._opened)
        settings = Settings(
            unit=self.unit,
            name=f"unit-{self.unit}",
            rules=options.rules,
            capacity_bytes=options.capacity_bytes,
            hosting_share=options.hosting_share,
            patience_s=options.patience_s,
            temporary=options.temporary,
            beacon_s=options.beacon_s,
            goes_on_without_card=options.without_card,
            safe_mode=options.safe_mode,
        )
        if why:
            settings = without_card.settings_without_card(settings, why)
        self.running = Unit(
            settings, memory, self._link, rng, self.radio.line_bytes_per_s, self.radio.duplex, rig.now, membership
        )
        for notice in notices:
            self.running.core.log("card", notice)
        self._free_at = {"card": rig.now, "catalogue": rig.now, "camera": rig.now}
        self._wakes_at = math.inf
        self.running.handle(e.WallClock(*self.wall()), rig.now)

    def _opened(self, packet: bytes) -> None:
        if self.rig.opened is not None:
            self.rig.opened(self, packet)

    def _leave_card(self) -> None:
        """The card has failed: a new unit goes on without, with the pictures that wait in memory."""
        why, presses = self.on.core.card_failed, self.on.shutter.leave()
        self.kill()
        self.starts += 1
        self._begin_without_card(why, random.Random(f"unit {self.unit} {self.starts} {self.rig.seed}"))
        self.on.shutter.take_over(presses)
        self.turn()

    def _start_up(self, card: SimCard, home: MemoryHome, rng: random.Random) -> Started:
        rules = self.options.rules
        copies, priority_copies = rules.copies, rules.wanted(True)
        return start_up(
            card,
            home,
            self.unit,
            rng,
            copies=copies,
            priority_copies=priority_copies,
            acts_for=self._acts_for,
            wall=lambda: self.wall()[0],
        )

    def _acts_for(self, kept: bytes) -> frozenset[int] | None:
        credential = self.options.credential
        return None if credential is None else credential.knowing(kept).acts_for

    def power_cut(self, chance: random.Random | None = None) -> None:
        """Off at once: memory and what the card has not synced are gone (with chance: any part of the latter)."""
        self.kill()
        self.card.power_cut(chance)
        self.cut()

    def watch_steps(self, about_to: AboutTo | None) -> None:
        """Have this called before each call of the card, each COMMIT and each packet that is sent, in start-ups too."""
        self._about_to = about_to
        self.card.before = None if about_to is None else self._before_call

    def _before_call(self, path: str, may: tuple[Fault, ...]) -> Fault | None:
        assert self._about_to is not None
        return self._about_to(self, f"card {path}", may)

    def _before_commit(self) -> CardError | None:
        if self._about_to is None:
            return None
        fault = self._about_to(self, "commit", (Fault.IO, Fault.FULL, Fault.DONE))
        if fault is None:
            return None
        error = ERRORS[fault](f"the catalogue: {fault.value}")
        if fault is not Fault.DONE:
            raise error
        return error

    def _go_off(self, cut: PowerCut) -> None:
        if isinstance(cut, ProcessKilled):
            self.kill()
        else:
            self.power_cut(self.tear)

    def kill(self) -> None:
        """The process ends at once: its memory is gone, what it has written is not."""
        assert self.radio is not None, "it is off already"
        if self.memory is not None and self.lives is not None:
            self.lives.ends(self)
        self.running = self.store = self._link = self.memory = None
        self.radio.close()
        self.radio = None

    def lose_catalogue(self) -> None:
        """As if catalogue.sqlite3 had been removed; only while it is off."""
        assert self.running is None
        self._home.catalogue = None

    def lose_card(self) -> None:
        """A new card, empty; only while it is off."""
        self.lose_catalogue()
        self.card = SimCard(CardOptions(size_bytes=self.options.file_system_bytes))
        self.watch_steps(self._about_to)

    def kill_card(self) -> None:
        """Every call of card and catalogue fails from now on, and what was there is gone, until lose_card()."""
        self.card.options.dead = True  # the store has this one
        self._home.catalogue = None
        self.card = SimCard(CardOptions(dead=True))

    def clone_card(self, other: Machine) -> None:
        """A copy of the other's card in place of its own, the other's catalogue too; only while it is off."""
        assert self.running is None
        self.card = copy.deepcopy(other.card)
        self.card.power_cut()
        self.card.options = CardOptions(size_bytes=self.options.file_system_bytes)
        self._home.catalogue = None
        other.kept.catalogue.copy_into(self._home.open())

    # ------------------------------------------------------------ clock

    def wall(self) -> tuple[float, TimeQuality]:
        """What its wall clock says."""
        unix_s, quality = self.rig.clock.wall()
        return unix_s + self.wall_error_s, quality

    def set_wall_error(self, error_s: float) -> None:
        """Its wall clock jumps; the unit is told, as the service does within a minute."""
        self.wall_error_s = error_s
        if self.running is not None:
            self.running.handle(e.WallClock(*self.wall()), self.rig.now)
            self.turn()

    # ------------------------------------------------------------ people

    def command(self, make: Callable[[int], c.Command]) -> int:
        """Give a command, made with its ticket; its ticket."""
        self._ticket += 1
        self.told[self._ticket] = []
        command = make(self._ticket)
        if isinstance(command, c.DeletePicture):
            self.delete_orders.add(command.picture)
        self.on.command(command, self.rig.now)
        self.turn()
        return self._ticket

    def outcome(self, ticket: int) -> c.Done | c.Failed | None:
        """How the command ended; None while it has not."""
        last = self.told[ticket][-1] if self.told[ticket] else None
        return last if isinstance(last, c.Done | c.Failed) else None

    def forget(self, ticket: int) -> None:
        """Nobody asks any more what this ticket was told."""
        del self.told[ticket]

    # ------------------------------------------------------------ looking

    @property
    def on(self) -> Unit:
        """The unit; an error while the machine is off."""
        assert self.running is not None, f"unit {self.unit} is off"
        return self.running

    @property
    def kept(self) -> Storage:
        """The card in its slot, and the catalogue on it: what is left when the power goes."""
        return Storage(self.card, self._home)

    @property
    def in_use(self) -> Storage:
        """What the unit works with now."""
        return self.memory or self.kept

    def storage_of(self, picture: PictureId) -> Storage:
        """Whose word on this picture counts: that of the card, but for pictures taken in this life without it."""
        memory = self.memory
        if memory is None or picture.unit != self.unit or picture.card != memory.catalogue.counter("card", 0):
            return self.kept
        return memory

    @property
    def storages(self) -> list[Storage]:
        """All that there are now."""
        return [self.kept] if self.memory is None else [self.kept, self.memory]

    @property
    def catalogue(self) -> WatchedCatalogue:
        """The one in use."""
        return self.in_use.catalogue

    @property
    def stored_bytes(self) -> int:
        """What cards and catalogues hold, which a simulation has in memory."""
        return sum(storage.card.content_bytes() + storage.catalogue.size_bytes() for storage in self.storages)

    def changed(self) -> list[PictureId]:
        """Pictures whose rows were saved or removed since the last call, in that order."""
        changed = [picture for storage in self.storages for picture in storage.home.changed]
        for storage in self.storages:
            storage.home.changed.clear()
        return changed

    def entry(self, picture: PictureId) -> Entry | None:
        """What the catalogue in use knows."""
        return self.in_use.entry(picture)

    def entries(self, request: e.Page | e.Held) -> list[Entry]:
        """What the catalogue in use knows."""
        return self.in_use.entries(request)

    def sealed_anew(self, said: Said) -> list[bytes]:
        """See OnRig."""
        return Link.encode(self.on.link, said.destination, said.message)  # not tapped: it is not what the radio sends

    def last_words(self, lines: int) -> list[str]:
        """The end of its log."""
        if self.running is None:
            return ["off"]
        journal = self.running.core.journal
        return [f"{line.event}: {line.text}" for line in journal.after(journal.count - lines)]

    def logged(self, event: str) -> list[str]:
        """The log's lines of this event since the start."""
        return [line.text for line in self.on.core.journal.after(0) if line.event == event]

    def said(self, kind: type[Message]) -> list[Said]:
        """Packets of this kind that the unit has ever sent, lost ones too."""
        return [said for said in self.rig.said if said.source == self.unit and isinstance(said.message, kind)]

    # ------------------------------------------------------------ the turn, as in the service

    def turn(self) -> None:
        """Let the unit act on what has happened."""
        if self._in_turn or self.running is None or self.radio is None:
            return
        self._in_turn = True
        self.radio.service()
        self.running.tick(self.rig.now)
        try:
            while self._hand_out(self.running, self.radio):
                pass
        except PowerCut as cut:
            self._go_off(cut)
            return
        finally:
            self._in_turn = False
        self.running.radio_is(self.radio.problem, self.rig.now)
        self._have_read(self.running)
        if self.running.core.card_failed and self.running.shutter.may_be_left:
            self._leave_card()
            return
        if self.running.core.start_anew and not self.options.temporary and self.running.shutter.is_idle:
            self.kill()
            self.restart()
            return
        self._arm(self.running, self.radio)

    def _have_read(self, unit: Unit) -> None:
        """In a life without a card people read the log: what it says there is all that they know of new pictures."""
        journal = unit.core.journal
        if self.memory is None or self.lives is None or journal.count == self._read:
            return
        lines, self._read = journal.after(self._read), journal.count
        for line in lines:
            if line.event == "shot" and line.picture is not None:
                self.lives.told(self, line.picture)

    def _hand_out(self, unit: Unit, radio: SimRadio) -> bool:
        for token, request in unit.requests():
            self._dispatch(token, request)
        for told in unit.told():
            if told.ticket in self.told:
                self.told[told.ticket].append(told.what)
            if isinstance(told.what, c.Data):  # whoever asked takes it at once
                unit.command(c.Took(told.ticket, len(told.what.data)), self.rig.now)
        while radio.room > 0:
            parcel = unit.next_packet(self.rig.now, radio.heard_at)
            packet = None if parcel is None else parcel.packet
            if packet is None and self.flood is not None and self._link is not None:
                packet = self.flood.next_packet(unit, self._link)
            if packet is None:
                break
            self._send(packet, radio)
        return unit.has_more

    def _send(self, packet: bytes, radio: SimRadio) -> None:
        assert self._link is not None
        destination, message, tapped = self._link.tapped.popleft()
        assert tapped is packet
        rig = self.rig
        if self._about_to is not None:
            self._about_to(self, f"say {type(message).__name__}", ())
        said = Said(rig.now, self.unit, destination, message, packet, False)
        if rig.loses_it(said):
            said = Said(rig.now, self.unit, destination, message, packet, True)
        rig.said.append(said)
        radio.muted = said.lost
        radio.send(packet, Protection.NONE)
        rig.carried()

    def _dispatch(self, token: int, request: e.Request) -> None:
        """To the thread that does such things; it answers when it has done what came before."""
        camera = isinstance(request, e.TakePicture)
        thread = "camera" if camera else "card" if isinstance(request, _CARD) else "catalogue"
        latency_s = self.latency_s.get(type(request), READ_S) * (1.0 if camera else self.slowness)
        done_at = max(self.rig.now, self._free_at[thread]) + latency_s
        self._free_at[thread] = done_at
        start = self.starts
        self.rig.at(done_at, lambda: self._carry_out(start, token, request))

    def _carry_out(self, start: int, token: int, request: e.Request) -> None:
        if start != self.starts or self.running is None or self.store is None:
            return
        try:
            answer = e.Answer(token, self._result(request, self.store))
        except DandelionError as error:
            answer = e.Answer(token, error=error)
        except PowerCut as cut:
            self._go_off(cut)
            return
        if self.rig.watch is not None:
            self.rig.watch(self, request)
        if self.running is None:  # whoever watches has cut its power
            return
        self.running.handle(answer, self.rig.now)
        self.turn()

    def _result(self, request: e.Request, store: Store) -> object:
        if isinstance(request, e.TakePicture):
            return self.camera.capture(20.0, request.occasion)
        if isinstance(request, _CARD):
            carry_out = store.carry_out if self.liar is None else partial(self.liar.carry_out, store)
            return carry_out(cast(e.CardRequest, request))
        if self.memory is None:
            self.reach_catalogue(request)
        return self.catalogue.carry_out(cast(e.CatalogueRequest, request))

    def reach_catalogue(self, request: e.Request) -> None:
        """What the card that it would be on makes of this; it is in memory."""
        if self.card.options.dead:
            raise CardError("the catalogue is on a card that does not answer")
        if self.card.options.read_only and isinstance(request, _CATALOGUE_WRITES):
            raise CardReadOnly("the catalogue is on a card that takes no more writes")

    def receive(self) -> None:
        """The line has delivered something, perhaps to this machine."""
        if self.running is None or self.radio is None:
            return
        wanted = [self.running.packet(arrival, self.rig.now) for arrival in self.radio.receive()]
        if any(wanted):
            self.turn()

    def _arm(self, unit: Unit, radio: SimRadio) -> None:
        """Wake it at its next deadline. While the radio has no room, one that has passed waits for the radio."""
        times = [unit.deadline()]
        radio_at = radio.deadline()
        if radio_at is not None:
            times = [t for t in times if radio.room or t > self.rig.now] + [radio_at]
        self._due_at = min(times)
        if self._due_at < self._wakes_at:
            self._wake()

    def _wake(self) -> None:
        self._wakes_at = at = self._due_at
        start = self.starts
        self.rig.at(at, lambda: self._woken(start, at))

    def _woken(self, start: int, at: float) -> None:
        if start != self.starts or at != self._wakes_at:  # another life, or woken before
            return
        self._wakes_at = math.inf
        if self.rig.now < self._due_at:
            self._wake()
        else:
            self.turn()
