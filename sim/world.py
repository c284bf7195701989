"""A world: many shipped units on virtual time and one seed, with every fault, checked after every durable step.

Unit, messages, seal, frames, Store, Catalogue (SQLite in memory) and start-up are the shipped ones; card, camera,
clocks and the air are simulated. What of them is and is not simulated stands in sim/machine.py, sim/air.py, sim/card.py
and sim/camera.py; the service, the control socket, real ports and real files are not here (`dandelion sim` has them).
Same options, same trace, under any PYTHONHASHSEED. `python -m sim.world --seed N …` runs one.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import field
from functools import partial
from typing import TextIO, get_args

from firmware import events as e
from firmware import messages as m
from firmware.determine import Rules
from hal.light_dataclass import dataclass
from sim.air import Air, AirOptions
from sim.checks import Checks
from sim.faults import Faults
from sim.lives import Lives, forbid
from sim.machine import Machine, Options
from sim.members import Liar, is_swallowed
from sim.rig import OnRig, Rig, Said
from sim.trace import Trace
from sim.truth import Loss, Violation
from sim.world_options import ALL_FAULTS, QUIET, WORST, WorldOptions, add_arguments, options_of

SLICE_S = 600.0  # between two looks at bounds and at whether all is settled
SIZE_SPREAD = 0.1  # pictures are so much shorter or longer than the options say, at most
_CHANGING = (
    *(e.TakePicture, e.KeepShot, e.BeginPart, e.FinishPart, e.ClosePart, e.RemoveFile, e.Quarantine),
    *(e.Save, e.SavePartial, e.SaveOrder, e.SaveName, e.SaveInventoried),
)
assert set(_CHANGING) <= set(get_args(e.Request))


class Failed(AssertionError):
    """A world has failed; the text ends with the command that runs it again."""


@dataclass(slots=True)
class Report:
    """What came of a world. excused: pictures that nobody has any more, as R14 and the faults excuse."""

    options: WorldOptions
    unit_hours: float = 0.0
    pictures: int = 0
    deleted: int = 0
    excused: Counter[Loss] = field(default_factory=Counter)
    copies: int = 0
    settled_after_h: float = math.nan
    part_bytes: int = 0
    placed_bytes: int = 0
    packets: int = 0
    checked: int = 0
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    trace: str = ""

    def lines(self) -> list[str]:
        """For people."""
        told = [
            f"seed {self.options.seed}: {self.options.units} units, {self.unit_hours:.0f} unit-hours, "
            f"{self.events} events, {self.packets} packets, {self.checked} checks of a picture",
            f"pictures {self.pictures}, copies {self.copies}, deleted {self.deleted}, "
            f"lost and excused {self.excused.total()}; PART bytes per byte placed "
            f"{self.part_bytes / max(1, self.placed_bytes):.2f}",
            *(f"lost and excused: {number} {why.value}" for why, number in sorted(self.excused.items(), key=str)),
            f"all settled {self.settled_after_h:.1f} h after the last fault; 0 lost, 0 wrong list entries",
            "faults: " + (", ".join(f"{kind} {number}" for kind, number in sorted(self.faults.items())) or "none"),
            f"trace {self.trace}",
        ]
        return told


class World:
    """Made ready to run. trace_file: every event goes there as a line."""

    def __init__(self, options: WorldOptions = QUIET, trace_file: TextIO | None = None) -> None:
        self.options = options
        self.trace = Trace(trace_file)
        seed = options.seed
        hears = who_hears_whom(options)
        self.rig = Rig(
            seed,
            medium=lambda clock: Air(
                clock, random.Random(f"air {seed}"), hears, baud=options.baud, options=air_options(options)
            ),
            most_said=0,
        )
        assert isinstance(self.rig.line, Air)
        self.air = self.rig.line
        self.machines: dict[int, Machine] = {}
        self.checks = Checks(self.machines, options.copies_min, excused_losses(options))
        self.packets = self._part_bytes = 0
        for unit in range(1, options.units + 1):
            self.machines[unit] = Machine(self.rig, unit, machine_options(options))
        self._swallowers = frozenset[int]()
        self._invite_members(options)
        self.rig.loses = self._said
        self.rig.watch = self._carried_out
        self.faults = Faults(self)
        for machine in self.machines.values():
            machine.lives = Lives(self.checks, self.faults)
        self._next_sweep_at = self.rig.now + 3600 * options.sweep_hours

    # ------------------------------------------------------------ seeing everything

    def _said(self, said: Said) -> bool:
        """Each packet that goes on the air; True: a swallowing host takes care that it comes to nothing."""
        self.packets += 1
        message = said.message
        about = getattr(message, "id", None) or getattr(getattr(message, "picture", None), "id", "")
        what = f"says {type(message).__name__} to {said.destination}, {len(said.packet)} bytes {about}"
        self.trace.add(said.at, said.source, what)
        forbid(self.machines[said.source], message)
        if isinstance(message, m.Part):
            self._part_bytes += len(message.data)
        swallow = self._swallowers
        return bool(swallow) and is_swallowed(said.source in swallow, said.destination in swallow, message)

    def _carried_out(self, machine: OnRig, request: e.Request) -> None:
        if not isinstance(request, _CHANGING):
            return
        assert isinstance(machine, Machine)
        self.trace.add(self.rig.now, machine.unit, _words(request))
        self.checks.after(machine, request)

    # ------------------------------------------------------------ members that do harm

    def _invite_members(self, options: WorldOptions) -> None:
        """The last units are liars, those before them swallow."""
        first = options.units - options.liars
        assert first - options.swallowers > 0, "somebody must do as they should"
        for unit in range(first + 1, options.units + 1):
            chance = random.Random(f"liar {unit} {options.seed}")
            told = partial(self.checks.hurts.thrown_away, unit)
            self.machines[unit].liar = Liar(options.liar_share, chance, told)
        self._swallowers = frozenset(range(first - options.swallowers + 1, first + 1))

    def dismiss_members(self) -> None:
        """From now on all do as they should; what a liar has thrown away is found as any rotten file is."""
        self._swallowers = frozenset()
        for machine in self.machines.values():
            machine.liar = machine.flood = None

    # ------------------------------------------------------------ running

    def run(self) -> Report:
        """All of it: the hours with load and faults, then peace until everything is settled.

        Raises Failed where a rule is broken, a unit breaks down, or something does not settle.
        """
        try:
            self.run_hours(self.options.hours)
            return self.settle()
        except AssertionError as error:
            raise Failed(self.epitaph(error)) from error

    def epitaph(self, error: AssertionError) -> str:
        """What was broken, when, and how to see it again."""
        return f"{error}\nat {self.hours:.3f} h; to run it again:\n{self.options.command()}"

    @property
    def hours(self) -> float:
        """Since the beginning."""
        return (self.rig.now - 1000.0) / 3600

    def run_hours(self, hours: float) -> None:
        """Let so much time pass."""
        end = self.rig.now + 3600 * hours
        while self.rig.now < end:
            self.rig.run_for(min(SLICE_S, end - self.rig.now))
            for machine in self.machines.values():
                self.checks.bounds(machine)
            if self.rig.now >= self._next_sweep_at:
                self._next_sweep_at += 3600 * self.options.sweep_hours
                self.checks.sweep()

    def settle(self) -> Report:
        """Faults stop; within settle_hours nothing is left to be done."""
        self.faults.stop()
        self.dismiss_members()
        self.air.options = AirOptions(duplex=self.options.duplex)
        began = self.rig.now
        waiting = ["not looked at yet"]
        while waiting and self.rig.now < began + 3600 * self.options.settle_hours:
            self.run_hours(SLICE_S / 3600)
            waiting = self.checks.unsettled()
        if waiting:
            more = f"\n… and {len(waiting) - 20} more" if len(waiting) > 20 else ""
            listed = "\n".join(waiting[:20])
            raise Violation(f"I6: not settled {self.options.settle_hours} h after the last fault:\n{listed}{more}")
        self.checks.sweep()
        return self._report((self.rig.now - began) / 3600)

    def _report(self, settled_after_h: float) -> Report:
        truths = self.checks.truths
        placed = sum(truth.size_bytes * len(truth.holders) for truth in truths.values())
        report = Report(
            self.options,
            unit_hours=self.options.units * self.hours,
            pictures=sum(truth.announced for truth in truths.values()),
            deleted=sum(truth.deleted for truth in truths.values()),
            excused=Counter(truth.why for truth in truths.values() if truth.why is not None),
            copies=sum(len(truth.holders) for truth in truths.values()),
            settled_after_h=settled_after_h,
            part_bytes=self._part_bytes,
            placed_bytes=placed,
            packets=self.packets,
            checked=self.checks.looked,
            events=self.rig.events,
            faults=self.faults.counts + Counter({f"frame {k}": n for k, n in self.air.counts.items() if n}),
            trace=self.trace.digest(),
        )
        if placed and self._part_bytes > self.options.most_sent * placed:
            raise Violation(f"bytes: {self._part_bytes} of parts were sent to place {placed}")
        return report


def who_hears_whom(options: WorldOptions) -> dict[int, frozenset[int]]:
    """Units on a ring, each in range of the nearest; of some pairs only one hears the other."""
    units, chance = options.units, random.Random(f"range {options.seed}")
    hears: dict[int, set[int]] = {unit: set() for unit in range(1, units + 1)}
    for distance in range(1, min(options.in_range // 2, units // 2) + 1):
        for unit in range(1, units + 1):
            other = (unit - 1 + distance) % units + 1
            deaf = chance.choice((unit, other)) if chance.random() < options.one_way else 0
            if deaf != unit:
                hears[unit].add(other)
            if deaf != other:
                hears[other].add(unit)
    return {unit: frozenset(heard) for unit, heard in hears.items()}


def excused_losses(options: WorldOptions) -> frozenset[Loss]:
    """What HANDOVER R14 and the faults of this world excuse.

    With one kind of misfortune that takes one copy at a time (cards that die apart from one another; one liar) there is
    a promise: what never had a copy may be lost with its card, and with `copies = 1` or `copies_min = 1` what had only
    one copy when its own file went; with 2 and 2 nothing else, but that what was taken without a card has no other copy
    than the first until there is a second. Several kinds at once may take several copies before
    anybody can know of the first, so that any of them is excused then: of what it has really hurt (sim/hurts.py).
    """
    careful = min(options.copies, options.copies_min) >= 2
    unbounded = (options.card_losses, options.rot, options.card_lies, options.cloned_cards, options.catalogue_losses)
    if any(unbounded) or (options.liars and options.card_deaths) or options.liars > 1:
        return frozenset(Loss)
    between = frozenset({Loss.WITHOUT_CARD}) if options.without_card else frozenset[Loss]()
    if options.liars:
        return between if careful else between | {Loss.LIAR}
    apart = between | {Loss.NEVER_COPIED} if options.card_deaths else frozenset[Loss]()
    return apart if careful else apart | {Loss.ONLY_HOLDER, Loss.AFTER_ORIGIN}


def air_options(options: WorldOptions) -> AirOptions:
    """What of them is about the air."""
    return AirOptions(
        duplex=options.duplex,
        frame_loss=options.loss,
        burst_every_s=options.burst_every_s or math.inf,
        burst_s=options.burst_s,
        burst_loss=options.burst_loss,
        doubled=options.doubled,
        late=options.late,
        late_s=(options.late_least_s, options.late_most_s),
    )


def machine_options(options: WorldOptions) -> Options:
    """What of them is about each machine. The file system is larger than the card's share for pictures."""
    size = options.picture_bytes
    return Options(
        rules=Rules(copies=options.copies, copies_min=options.copies_min),
        capacity_bytes=options.capacity_bytes,
        hosting_share=options.hosting,
        beacon_s=options.beacon_s,
        size_bytes=(round(size * (1 - SIZE_SPREAD)), round(size * (1 + SIZE_SPREAD))),
        file_system_bytes=2 * options.capacity_bytes + 64_000_000,
        without_card=options.without_card,
    )


def _words(request: e.Request) -> str:
    """A request as the trace has it: its name and pictures."""
    match request:
        case e.Save(entries, removed):
            saved = (
                f"{entry.picture.id}/{entry.file.name}/{entry.attempt}/"
                + ",".join(f"{copy.unit}:{copy.open}:{copy.listed}:{copy.suspect:d}" for copy in entry.copies)
                for entry in entries
            )
            return " ".join(["Save", *saved, *(f"-{picture}" for picture in removed)])
        case e.TakePicture():
            return "TakePicture"
    picture = getattr(request, "picture", None)
    return f"{type(request).__name__} {getattr(picture, 'id', picture)}"


def main(argv: Sequence[str]) -> int:
    """Run one world. 0: all went well; 1: a rule was broken, and the text says which and how to see it again."""
    parser = argparse.ArgumentParser(prog="python -m sim.world", description=main.__doc__, allow_abbrev=False)
    base = parser.add_mutually_exclusive_group()
    base.add_argument("--all-faults", action="store_true", help="every usual fault at once, but for those given")
    base.add_argument("--worst", action="store_true", help="and cards and members at their worst, but for those given")
    parser.add_argument("--trace", metavar="FILE", help="write every event there, one a line")
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    options = options_of(arguments, WORST if arguments.worst else ALL_FAULTS if arguments.all_faults else QUIET)
    file = open(arguments.trace, "w") if arguments.trace else None  # noqa: SIM115 - closed below
    try:
        report = World(options, file).run()
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        if file is not None:
            file.close()
    print("\n".join(report.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
