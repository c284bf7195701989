"""Two or three whole units in which a short story of a hand-over is cut at every step (sim/cuts.py, sim/stories.py).

A Scene is drawn from one seed: sizes, latencies, the line with its loss, doubles and delays. Its first part, prepare(),
is left in peace; what may be cut is tell() and settle(). Whoever gives the commands tries again where a unit was off.
After every durable step sim/checks.py looks on; after_all() looks at the cards, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from firmware import commands as c
from firmware import events as e
from firmware.layout import HELD, IDENTITY, OWN, QUARANTINE, TMP, part_of, picture_path
from firmware.pictures import File, Picture, PictureId
from hal.errors import CardError
from hal.interfaces import Duplex
from sim.camera import LEAST_BYTES
from sim.checks import Checks, held_rows, whole
from sim.hurts import all_rows
from sim.machine import Machine, Options
from sim.radio import LineOptions
from sim.rig import OnRig, Rig, Said
from sim.truth import Violation

SIZE_BYTES = (2_000, 12_000)
"""Of the pictures: one part, or several on a slow line."""
SETTLE_S = 3600.0
"""A unit that is off for longer than this stays off."""
LOOKS_S = (5.0, 15.0, 30.0, 15.0, *[30.0] * 4, *[60.0] * 60)
"""From look to look whether all is settled: records take a minute (firmware/core.py RECORD_WAIT_S), and an attempt that
a person's `copy` left open when it failed is closed after an hour (firmware/doubts.py LONGEST_S)."""
ANSWER_S = 400.0
"""A person waits so long for a command; longer than any time-out of one that has no progress."""
TRIES = 3
"""So often a person gives a command that a restart took away."""
TRY_AGAIN_S = 60.0
"""A unit whose start-up failed is started again after this, as by systemd."""
LATEST_S = 3600.0
"""A late frame comes after this at the latest."""
_CHANGING = (
    *(e.KeepShot, e.BeginPart, e.FinishPart, e.ClosePart, e.RemoveFile, e.Quarantine, e.DigestFile),
    *(e.Save, e.SavePartial, e.SaveOrder),
)


class Line:
    """What a line does to packets beside losing some: says them twice, late, or very late; drawn per packet."""

    def __init__(self, rig: Rig, chance: random.Random, *, doubled: float, late: float, very_late: float) -> None:
        """Shares of packets."""
        self.under_way = 0  # late ones that have not come yet
        self.is_calm = False  # no more of this; what is late still comes
        self._rig, self._chance = rig, chance
        self._doubled, self._late, self._very_late = doubled, late, very_late

    def loses(self, said: Said) -> bool:
        """For rig.loses: a late packet is lost now and comes later."""
        if self.is_calm:
            return False
        drawn = self._chance.random()
        if drawn < self._very_late:
            self._again(said, LATEST_S)
        elif drawn < self._very_late + self._late:
            self._again(said, 3.0)
        elif drawn < self._very_late + self._late + self._doubled:
            self._again(said, 3.0)
            return False
        else:
            return False
        return True

    def _again(self, said: Said, within_s: float) -> None:
        def come() -> None:
            self.under_way -= 1
            self._rig.replay(said)

        self.under_way += 1
        self._rig.at(self._rig.now + within_s * self._chance.random(), come)


class Story:
    """The origin takes a picture, and it gets its copy."""

    units = 2

    def options(self, size_bytes: int) -> Options:
        """Of every unit."""
        return Options(size_bytes=(size_bytes, size_bytes))

    def prepare(self, scene: Scene) -> None:
        """In peace."""

    def tell(self, scene: Scene) -> None:
        """To be cut."""
        scene.shoot()

    def missing(self, scene: Scene) -> str:
        """What has not come about at the end of a run in which nothing was cut, "" where all has: a story in which
        nothing happens would prove nothing."""
        failed = [outcome for outcome in scene.outcomes if not isinstance(outcome, c.Done)]
        return f"a command has ended with {failed[0]}" if failed else ""


class Scene:
    """Units 1 (the origin), 2 and, where the story has one, 3; in peace until prepare() has returned."""

    def __init__(self, seed: int, name: str, story: Story) -> None:
        """name: of the story."""
        self.seed, self.name = seed, name
        self.story = story
        self.chance = chance = random.Random(f"scene {seed} {name}")
        line = LineOptions(
            duplex=chance.choice((Duplex.FULL, Duplex.FULL, Duplex.HALF)),
            delay_s=chance.choice((0.0, 0.0, 0.05)),
            frame_loss=chance.choice((0.0, 0.0, 0.05, 0.15)),
        )
        self.rig = Rig(seed, baud=chance.choice((115_200, 115_200, 38_400)), line=line, most_said=0)
        size_bytes = chance.randint(max(SIZE_BYTES[0], LEAST_BYTES), SIZE_BYTES[1])
        options = self.story.options(size_bytes)
        self.machines = {unit: Machine(self.rig, unit, options) for unit in range(1, self.story.units + 1)}
        self.origin, self.host = self.machines[1], self.machines[2]
        has_previews = chance.random() < 0.25
        for machine in self.machines.values():
            machine.camera.has_previews = has_previews
            for kind in machine.latency_s:
                machine.latency_s[kind] *= chance.choice((0.3, 1.0, 1.0, 4.0))
        self.checks = Checks(self.machines, options.rules.copies_min)
        self.rig.watch = self._carried_out
        self.line = Line(
            self.rig,
            random.Random(f"line's tricks {seed}"),
            doubled=chance.choice((0.0, 0.0, 0.1)),
            late=chance.choice((0.0, 0.0, 0.1)),
            very_late=chance.choice((*[0.0] * 9, 0.03)),
        )
        self.rig.loses = self.line.loses
        self.outcomes: list[c.Done | c.Failed | None] = []  # of all commands; None: restarts took it away each time

    def _carried_out(self, machine: OnRig, request: e.Request) -> None:
        if isinstance(request, _CHANGING):
            assert isinstance(machine, Machine)
            self.checks.after(machine, request)

    # ------------------------------------------------------------ the story

    def prepare(self) -> None:
        """What comes before it, without faults of any kind but the line's."""
        heard = [(a, b.unit) for a in self.machines.values() for b in self.machines.values() if a is not b]
        self.rig.run_until(lambda: all(a.on.core.neighbours.find(unit) for a, unit in heard), 300)
        self.story.prepare(self)

    def tell(self) -> None:
        """What may be cut anywhere."""
        self.story.tell(self)

    def switch_on(self, machine: Machine, *, loses_catalogue: bool = False) -> None:
        """If it is off; again and again where its start-up fails."""
        if machine.running is not None:
            return
        if loses_catalogue:
            self.checks.hurts.catalogue_lost(machine.unit)
            machine.lose_catalogue()
        try:
            machine.restart()
        except CardError:
            self.rig.at(self.rig.now + TRY_AGAIN_S, lambda: self.switch_on(machine))
            return
        self.checks.after(machine)

    def ask(self, machine: Machine, make: Callable[[int], c.Command]) -> object:
        """Give a command until it was answered; its value, None where it failed or restarts took it away each time."""
        outcome = self._outcome(machine, make)
        self.outcomes.append(outcome)
        return outcome.value if isinstance(outcome, c.Done) else None

    def _outcome(self, machine: Machine, make: Callable[[int], c.Command]) -> c.Done | c.Failed | None:
        for _ in range(TRIES):
            if not self.rig.run(lambda: machine.running is not None, SETTLE_S):
                return None
            start = machine.starts
            ticket = machine.command(make)
            self.rig.run(lambda: not self._waits_for(machine, start, ticket), ANSWER_S)  # noqa: B023 - run at once
            outcome = machine.outcome(ticket)
            if outcome is not None:
                return outcome
        return None

    def _waits_for(self, machine: Machine, start: int, ticket: int) -> bool:
        return machine.running is not None and machine.starts == start and machine.outcome(ticket) is None

    def shoot(self, *, priority: bool = False) -> Picture | None:
        """A picture of the origin."""
        value = self.ask(self.origin, lambda ticket: c.Shoot(ticket, priority))
        return value if isinstance(value, Picture) else None

    def settled_shot(self) -> Picture:
        """For what comes before."""
        picture = self.shoot()
        assert picture is not None, f"no picture in peace\n{self.rig.story()}"
        self.settle()
        return picture

    # ------------------------------------------------------------ the end

    def settle(self) -> float:
        """Until nothing is left to be done, also after the last late frame has come; how long the former took."""
        took_s = self._settle()
        self.line.is_calm = True
        if self.line.under_way:
            self.rig.run_until(lambda: not self.line.under_way, LATEST_S + 1.0)
            self._settle()
        self.line.is_calm = False
        return took_s

    def _settle(self) -> float:
        began, waiting = self.rig.now, ["not looked at yet"]
        for pause_s in LOOKS_S:
            self.rig.run_for(pause_s)
            waiting = self._unheard() + self.checks.unsettled()
            if not waiting:
                return self.rig.now - began
        listed = "\n".join(waiting)
        raise Violation(f"I6: not settled after {self.rig.now - began:.0f} s:\n{listed}\n{self.rig.story(15)}")

    def _unheard(self) -> list[str]:
        """Who does not hear whom: a unit that hears nobody lacks nothing that it could do something about."""
        on = [machine for machine in self.machines.values() if machine.running is not None]
        return [
            f"unit {one.unit} does not hear unit {other.unit}"
            for one in on
            for other in on
            if one is not other and not one.on.core.neighbours.is_heard(other.unit, self.rig.now)
        ]

    def after_all(self) -> None:
        """Every picture and row, and nothing on the cards that nobody needs."""
        self.checks.sweep()
        for picture, truth in self.checks.truths.items():
            entry = self.machines[picture.unit].entry(picture)
            if not truth.deleted and not truth.lost:
                if entry is None:
                    raise Violation(f"{picture} is not in its origin's list")
                if not entry.listed and not whole(self.machines[picture.unit], entry.picture):
                    raise Violation(f"{picture}: its origin has no file and names no holder")
        for machine in self.machines.values():
            _nothing_left(machine)


def _nothing_left(machine: Machine) -> None:
    """Each file has its row, each .part a partial row of a picture that is not there, quarantine/ is empty."""
    card, who = machine.card, f"unit {machine.unit}"
    rows = [entry for entry in all_rows(machine) if entry.file is not File.GONE]
    rows += [row for row in held_rows(machine) if row.file is not File.GONE]
    wanted = {picture_path(entry.picture, machine.unit) for entry in rows}
    found = {
        f"{top}/{below.name}/{file.name}"
        for top in (OWN, HELD)
        for below in card.entries(top)
        for file in card.entries(f"{top}/{below.name}")
    }
    if found != wanted:
        raise Violation(
            f"files: {who} has {sorted(found - wanted)} without row and rows without {sorted(wanted - found)}"
        )
    for part in card.entries(TMP):
        _needed_part(machine, part_of(part.name), part.name)
    aside = [entry.name for entry in card.entries(QUARANTINE) if entry.name != IDENTITY]
    if aside:  # but for what is written anew by itself
        raise Violation(f"files: {who} has put {aside} aside")


def _needed_part(machine: Machine, picture: PictureId | None, name: str) -> None:
    partial = None if picture is None else machine.catalogue.look_up_partial(e.LookUpPartial(picture))
    if partial is None:
        raise Violation(f"files: unit {machine.unit} keeps tmp/{name}, which nobody can resume from")
    entry = machine.entry(partial.picture)
    if entry is not None and entry.file is not File.GONE:
        raise Violation(f"files: unit {machine.unit} keeps tmp/{name} of a picture that is here")
