"""What happens to the units of a world: load, people, restarts and every other fault, each from a chance of its own.

Every kind of event draws from its own seeded source, so that more of one kind leaves the times of the others alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from firmware import commands as c
from firmware.events import TakePicture
from firmware.layout import picture_path
from firmware.pictures import File
from hal.errors import CardError
from sim.attackers import Attacker, Forger
from sim.camera import CameraFaults
from sim.card import Fault
from sim.card_faults import CardFaults
from sim.credentials import everybody
from sim.hurts import all_rows
from sim.machine import LATENCY_S, Machine
from sim.members import Flood
from sim.people import People

if TYPE_CHECKING:
    from sim.world import World

DAY_S = 86_400.0
HANG_S = 20.0  # the camera's time-out (firmware/service.py)
CALLS_AHEAD = 30  # a fault or cut hits one of the next so many calls of the card; a picture takes about fifteen
TRY_AGAIN_S = 60.0  # a unit whose start-up failed is started again after this
YEAR_S = 365 * DAY_S
HEARD = 512  # packets that whoever forges remembers


class Faults:
    """Plans everything at once; stop() ends all of it, and mends what is broken."""

    def __init__(self, world: World) -> None:
        self.counts: Counter[str] = Counter()
        self._world = world
        self._rig = world.rig
        self._air = world.air
        self._options = options = world.options
        self._units = list(world.machines)
        self._stopped = False
        people = People(world, self.counts)
        self._cards = cards = CardFaults(world, self)
        per_unit: dict[str, tuple[float, Callable[[random.Random], None]]] = {
            "replay": (options.replays, lambda _: self._air.bring_back()),
            "forgery": (options.forgeries, self._forge),
            "outage": (options.outages, self._outage),
            "catalogue lost": (options.catalogue_losses, self._lose_catalogue),
            "card lost": (options.card_losses, self._lose_card),
            "rot": (options.rot, self._rot),
            "card error": (options.card_errors, lambda chance: self._card_fails(chance, Fault.IO)),
            "card full": (options.card_full, lambda chance: self._card_fails(chance, Fault.FULL)),
            "card death": (options.card_deaths, cards.die),
            "card read-only": (options.cards_read_only, cards.stop_writing),
            "cloned card": (options.cloned_cards, cards.clone),
            "card lie": (options.card_lies, cards.lie),
            "flood": (options.floods, self._flood),
            "slow card": (options.slow_cards, self._slow_card),
            "clock jump": (options.clock_jumps, self._clock_jump),
            "get": (options.gets, people.get),
            "delete": (options.deletes, people.delete),
            "copy by hand": (options.copies_by_hand, people.copy),
            "drop by hand": (options.drops_by_hand, people.drop),
        }
        self._attacker = Attacker(self._rig, HEARD) if options.forgeries > 0 else None
        self._forger = Forger(self._chance("forger"), self._units, everybody())
        for kind, (rate, happen) in per_unit.items():
            self._now_and_then(kind, rate * options.units / DAY_S, happen)
        self._now_and_then("partition", options.partitions / DAY_S, self._partition)
        for unit in self._units:
            self._load(world.machines[unit])
            if options.restart_every_s > 0:
                self._restarts(world.machines[unit])

    def stop(self) -> None:
        """No more of anything, and all units on; what they have begun goes on."""
        self._stopped = True
        self._air.mend_all()
        for machine in self._world.machines.values():
            machine.slowness = 1.0
            machine.card.options.at.clear()
            self._cards.mend(machine)
            if machine.memory is not None:
                machine.kill()
            self.switch_on(machine)

    # ------------------------------------------------------------ when

    def _chance(self, kind: str, unit: int = 0) -> random.Random:
        return random.Random(f"{kind} {unit} {self._options.seed}")

    def _now_and_then(self, kind: str, rate: float, happen: Callable[[random.Random], None]) -> None:
        """rate: per second."""
        if rate <= 0:
            return
        chance = self._chance(kind)

        def plan() -> None:
            self._rig.at(self._rig.now + chance.expovariate(rate), now)

        def now() -> None:
            if not self._stopped:
                happen(chance)
                plan()

        plan()

    def later(self, seconds: float, end: Callable[[], None]) -> None:
        """The end of a fault; stop() has mended it if it comes later."""
        self._rig.at(self._rig.now + seconds, lambda: None if self._stopped else end())

    def happened(self, kind: str, unit: int, what: str = "") -> None:
        """Count and trace it."""
        self.counts[kind] += 1
        self._world.trace.add(self._rig.now, unit, f"{kind} {what}".rstrip())

    def one(self, chance: random.Random) -> Machine:
        """Any."""
        return self._world.machines[chance.choice(self._units)]

    # ------------------------------------------------------------ load

    def _load(self, machine: Machine) -> None:
        """The interval timer of the service: a picture each so many seconds while the unit is on."""
        chance, options = self._chance("shot", machine.unit), self._options
        if options.pictures_per_hour <= 0:
            return
        every_s = 3600.0 / options.pictures_per_hour

        def press() -> None:
            if self._stopped:
                return
            self._rig.at(self._rig.now + every_s, press)
            if machine.running is not None:
                self._aim(machine, chance)
                machine.on.command(c.Shoot(None, chance.random() < options.priority), self._rig.now)
                machine.turn()

        self._rig.at(self._rig.now + every_s * chance.random(), press)

    def _aim(self, machine: Machine, chance: random.Random) -> None:
        """Whether the camera hangs or fails at its next picture."""
        drawn, following = chance.random(), frozenset({machine.camera.captures + 1})
        hangs = drawn < self._options.camera_hangs
        fails = not hangs and drawn < self._options.camera_hangs + self._options.camera_fails
        machine.camera.faults = CameraFaults(following if hangs else frozenset(), following if fails else frozenset())
        machine.latency_s[TakePicture] = HANG_S if hangs else LATENCY_S[TakePicture]
        if hangs or fails:
            self.happened("camera hang" if hangs else "camera failure", machine.unit)

    # ------------------------------------------------------------ the air

    def _outage(self, chance: random.Random) -> None:
        source, listener = chance.choice(self._air.links())
        self._air.cut_link(source, listener)
        self.happened("outage", source, f"to {listener}")
        self.later(chance.expovariate(1 / self._options.outage_s), lambda: self._air.mend_link(source, listener))

    def _forge(self, chance: random.Random) -> None:
        """Somebody without a key says what it has made of what it has heard, at all that are in range."""
        attacker = self._attacker
        if attacker is None or not attacker.heard:
            return
        heard = [chance.choice(attacker.heard).packet for _ in range(2)]
        attacker.say(next(self._forger.packets(heard)))
        self.happened("forgery", 0)

    def _partition(self, chance: random.Random) -> None:
        """Units beside one another on the ring, so that both groups can go on."""
        first, number = chance.randrange(len(self._units)), len(self._units) // 2
        island = frozenset((self._units * 2)[first : first + number])
        self._air.part(island)
        self.happened("partition", 0, " ".join(map(str, sorted(island))))
        self.later(chance.expovariate(1 / self._options.partition_s), lambda: self._air.part(frozenset()))

    def _flood(self, chance: random.Random) -> None:
        machine, world = self.one(chance), self._world
        if machine.running is None:
            return
        pictures = [picture for picture, truth in world.checks.truths.items() if not truth.deleted]
        flood = machine.flood = Flood(chance, pictures, self._options.picture_bytes)
        machine.turn()

        def end() -> None:
            machine.flood = None
            self.happened("flood", machine.unit, f"of {flood.packets} packets")
            self.counts["flood packets"] += flood.packets

        self.later(chance.expovariate(1 / self._options.flood_s), end)

    # ------------------------------------------------------------ restarts

    def _restarts(self, machine: Machine) -> None:
        chance, every_s = self._chance("restart", machine.unit), self._options.restart_every_s

        def now() -> None:
            if self._stopped:
                return
            self._rig.at(self._rig.now + every_s * (0.5 + chance.random()), now)
            if machine.running is not None:
                self._end(machine, chance)
                self._switch_on_later(machine, chance)

        self._rig.at(self._rig.now + every_s * chance.random(), now)

    def _end(self, machine: Machine, chance: random.Random) -> None:
        """One of four ends: the process is killed, or the power goes: now, with all or any part of what was not synced,
        or in the middle of what the card does next."""
        if chance.random() >= self._options.power_cuts:
            self.happened("kill", machine.unit)
            machine.kill()
            return
        self.happened("power cut", machine.unit)
        how = chance.randrange(3)
        if how == 2:
            machine.card.options.cut_after = machine.card.calls + chance.randrange(CALLS_AHEAD)
        else:
            machine.power_cut(chance if how else None)

    def _switch_on_later(self, machine: Machine, chance: random.Random) -> None:
        start, off_s = machine.starts, chance.expovariate(1 / self._options.off_s)
        self.later(off_s, lambda: self.switch_on(machine) if machine.starts == start else None)

    def switch_on(self, machine: Machine) -> None:
        """Start it, now or as soon as its card lets it."""
        if machine.card.options.cut_after is not None and machine.running is not None:
            machine.power_cut()  # the card did nothing meanwhile
        if machine.running is not None:
            return
        try:
            machine.restart()
        except CardError as error:
            self.happened("start-up failed", machine.unit, str(error))
            self._rig.at(self._rig.now + TRY_AGAIN_S, lambda: self.switch_on(machine))
            return
        self.happened("start", machine.unit)
        self._world.checks.after(machine)

    def _lose_catalogue(self, chance: random.Random) -> None:
        machine = self.one(chance)
        if machine.running is None:
            return
        machine.kill()
        machine.card.options.cut_after = None  # the process has gone before its card came to that
        self._world.checks.hurts.catalogue_lost(machine.unit)
        machine.lose_catalogue()
        self.happened("catalogue lost", machine.unit)
        self.switch_on(machine)

    def _lose_card(self, chance: random.Random) -> None:
        machine = self.one(chance)
        if machine.running is None:
            return
        machine.kill()
        self._world.checks.hurts.card_lost(machine.unit)
        machine.lose_card()
        self.happened("card lost", machine.unit)
        self.switch_on(machine)

    def without_card(self, machine: Machine) -> None:
        """It goes on without a card; a person who finds that the card works again starts the unit anew."""
        self.happened("without a card", machine.unit)
        start, options = machine.starts, machine.card.options
        if options.dead or options.read_only:
            return  # whoever mends that starts it
        mean_s = TRY_AGAIN_S if self._stopped else self._options.read_only_s
        after_s = self._chance(f"looks {start}", machine.unit).expovariate(1 / mean_s)

        def look() -> None:
            if machine.starts == start and machine.memory is not None:
                machine.kill()
                self.switch_on(machine)

        self._rig.at(self._rig.now + after_s, look)

    # ------------------------------------------------------------ cards and clocks

    def _rot(self, chance: random.Random) -> None:
        machine = self.one(chance)
        files = [entry.picture for entry in all_rows(machine) if entry.file is not File.GONE]
        if not files:
            return
        picture = chance.choice(files)
        path = picture_path(picture, machine.unit)
        if machine.card.durable(path) is None:
            return
        machine.card.rot(path, chance.randrange(picture.size_bytes))
        self.happened("rot", machine.unit, str(picture.id))
        self._world.checks.hurts.rotted(machine.unit, picture.id)

    def _card_fails(self, chance: random.Random, fault: Fault) -> None:
        machine = self.one(chance)
        machine.card.options.at[machine.card.calls + 1 + chance.randrange(CALLS_AHEAD)] = fault
        self.happened("card full" if fault is Fault.FULL else "card error", machine.unit)

    def _slow_card(self, chance: random.Random) -> None:
        machine = self.one(chance)
        machine.slowness = self._options.slowness
        self.happened("slow card", machine.unit)

        def end() -> None:
            machine.slowness = 1.0

        self.later(chance.expovariate(1 / self._options.slow_s), end)

    def _clock_jump(self, chance: random.Random) -> None:
        machine = self.one(chance)
        farthest_s = self._options.clock_jump_years * YEAR_S
        machine.set_wall_error(chance.uniform(-farthest_s, farthest_s))
        self.happened("clock jump", machine.unit)
