"""People of a world: they read pictures out, delete them, place and drop copies, and look at what they are told."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from firmware import commands as c
from firmware.pictures import PictureId
from sim.machine import Machine
from sim.truth import Violation

if TYPE_CHECKING:
    from sim.world import World

TIMEOUT_S = 60.0  # of `get` and `copy`, without progress (DESIGN §9)
LOOK_S = 0.25  # how often a person's program looks for more data; a socket tells it at once
LONGEST_S = 4 * 3600.0  # a command that has said nothing for so long is an error: it must end by itself


class People:
    """Each method is one person's command at a unit drawn by chance."""

    def __init__(self, world: World, counts: Counter[str]) -> None:
        self._world = world
        self._counts = counts

    def get(self, chance: random.Random) -> None:
        """A read-out; what comes is compared byte by byte with what was taken."""
        machine, picture = self._one(chance), self._picture(chance)
        if machine is None or picture is None:
            return
        digest = hashlib.sha256()

        def take(machine: Machine, ticket: int, what: object) -> None:
            nonlocal digest
            match what:
                case c.Data(offset, data):
                    if offset == 0:
                        digest = hashlib.sha256()
                    digest.update(data)
                    machine.on.command(c.Took(ticket, len(data)), machine.rig.now)
                    machine.turn()
                case c.Done():
                    if digest.digest() != self._world.checks.truths[picture].sha256:
                        raise Violation(f"a wrong picture was delivered for {picture} at unit {machine.unit}")

        self._command("get", machine, lambda ticket: c.Get(ticket, picture, False, TIMEOUT_S), take)

    def delete(self, chance: random.Random) -> None:
        """At the origin or elsewhere."""
        picture = self._picture(chance)
        machine = self._one(chance)
        if picture is not None and chance.random() < 0.5:
            machine = self._world.machines[picture.unit]
        if machine is not None and picture is not None:
            self._command("delete", machine, lambda ticket: c.DeletePicture(ticket, picture))

    def copy(self, chance: random.Random) -> None:
        """To any unit that the origin can hear."""
        picture = self._picture(chance)
        if picture is None:
            return
        unit = chance.choice(self._world.air.in_range(picture.unit))
        machine = self._world.machines[picture.unit]
        self._command("copy by hand", machine, lambda ticket: c.PlaceCopy(ticket, picture, unit, TIMEOUT_S))

    def drop(self, chance: random.Random) -> None:
        """At the origin."""
        picture = self._picture(chance)
        if picture is not None:
            machine = self._world.machines[picture.unit]
            self._command("drop by hand", machine, lambda ticket: c.DropOwn(ticket, picture))

    def _one(self, chance: random.Random) -> Machine | None:
        return self._world.machines[chance.choice(list(self._world.machines))]

    def _picture(self, chance: random.Random) -> PictureId | None:
        """Any that they were told of and that is not deleted."""
        truths = self._world.checks.truths
        living = [picture for picture, truth in truths.items() if truth.announced and not truth.deleted]
        return chance.choice(living) if living else None

    def _command(
        self,
        kind: str,
        machine: Machine,
        make: Callable[[int], c.Command],
        take: Callable[[Machine, int, object], None] = lambda *_: None,
    ) -> None:
        if machine.running is None:
            return
        rig, start = self._world.rig, machine.starts
        ticket = machine.command(make)
        self._world.trace.add(rig.now, machine.unit, f"{kind} {machine.running and make(ticket)}")
        told, last = machine.told[ticket], [rig.now]

        def look() -> None:
            if machine.starts != start or machine.running is None:
                machine.forget(ticket)
                self._counts[f"{kind}: cut off"] += 1
                return
            while told:
                what, last[0] = told.pop(0), rig.now
                take(machine, ticket, what)
                if isinstance(what, c.Done | c.Failed):
                    machine.forget(ticket)
                    self._counts[f"{kind}: {type(what).__name__.lower()}"] += 1
                    return
            if rig.now > last[0] + LONGEST_S:
                raise Violation(f"command: {kind} at unit {machine.unit} has not ended in {LONGEST_S:.0f} s")
            rig.at(rig.now + LOOK_S, look)

        look()
