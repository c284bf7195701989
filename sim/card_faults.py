"""Cards at their worst: one that dies, takes no more writes, says synced of what is not, or is a copy of another's."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from firmware.pictures import File
from sim.checks import whole
from sim.hurts import all_rows
from sim.machine import Machine

if TYPE_CHECKING:
    from sim.faults import Faults
    from sim.world import World

POWER_GOES = 0.5  # share of the times that a card lies which end with a power cut


class CardFaults:
    """Each method that takes chance lets one happen now, to a unit that is on; faults: what else happens."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._options = world.options
        self._next_death_at = -math.inf
        for machine in world.machines.values():
            machine.cut = lambda machine=machine: self._power_gone(machine)  # type: ignore[misc]

    def mend(self, machine: Machine) -> None:
        """At the end of all faults: whatever is wrong with its card is so no longer."""
        if machine.card.options.dead:
            self._new_card(machine)
        if machine.card.options.read_only:
            self._writes_again(machine)
        machine.card.tell_the_truth()

    # ------------------------------------------------------------ dead, read-only

    def die(self, chance: random.Random) -> None:
        """All calls of card and catalogue fail; later a person puts a new card in. One at a time, and apart."""
        machine, now = self._faults.one(chance), self._world.rig.now
        if machine.running is None or now < self._next_death_at or machine.card.options.read_only:
            return
        self._next_death_at = math.inf
        self._world.checks.hurts.card_lost(machine.unit)
        machine.kill_card()
        self._faults.happened("card death", machine.unit)
        self._faults.later(chance.expovariate(1 / self._options.card_dead_s), lambda: self._new_card(machine))

    def _new_card(self, machine: Machine) -> None:
        self._next_death_at = self._world.rig.now + 3600 * self._options.deaths_apart_hours
        if not machine.card.options.dead:
            return  # it has got another one meanwhile
        if machine.running is not None:
            machine.kill()
        machine.lose_card()
        self._faults.happened("new card", machine.unit)
        self._faults.switch_on(machine)

    def stop_writing(self, chance: random.Random) -> None:
        """As if the kernel had mounted it anew after an error: it can be read, and not written."""
        machine = self._faults.one(chance)
        if machine.running is None or machine.card.options.dead or machine.card.options.read_only:
            return
        machine.card.options.read_only = True
        self._faults.happened("card read-only", machine.unit)
        self._faults.later(chance.expovariate(1 / self._options.read_only_s), lambda: self._writes_again(machine))

    def _writes_again(self, machine: Machine) -> None:
        if not machine.card.options.read_only:
            return
        machine.card.options.read_only = False
        if machine.running is not None:
            machine.kill()
        machine.card.options.cut_after = None  # the process has gone before its card came to that
        self._faults.switch_on(machine)

    # ------------------------------------------------------------ cloned

    def clone(self, chance: random.Random) -> None:
        """A person has put a copy of another unit's card into this one."""
        machine, other = self._faults.one(chance), self._faults.one(chance)
        options = machine.card.options, other.card.options
        if machine is other or machine.running is None or any(o.dead or o.read_only or o.lies for o in options):
            return
        machine.kill()
        self._world.checks.hurts.card_lost(machine.unit)
        machine.clone_card(other)
        self._faults.happened("cloned card", machine.unit, f"of {other.unit}")
        self._faults.switch_on(machine)

    # ------------------------------------------------------------ lies

    def lie(self, chance: random.Random) -> None:
        """For a while syncs do nothing. Later what was said to be written is, or the power goes before."""
        machine = self._faults.one(chance)
        if machine.running is None or machine.card.options.dead or machine.card.options.lies:
            return
        card = machine.card
        card.options.lies = True
        self._faults.happened("card lie", machine.unit)

        def end() -> None:
            if machine.card is not card or not card.options.lies:
                return
            if machine.running is not None and chance.random() < POWER_GOES:
                self._faults.happened("power cut", machine.unit, "of a card that lies")
                machine.power_cut(chance)
                self._faults.switch_on(machine)
            else:
                card.tell_the_truth()

        self._faults.later(chance.expovariate(1 / self._options.lie_s), end)

    def _power_gone(self, machine: Machine) -> None:
        """What is not there any more, though its row is, the card had only said to be there."""
        if not machine.card.options.lies:
            return
        machine.card.options.lies = False
        hurts = self._world.checks.hurts
        for entry in all_rows(machine):
            picture = entry.picture
            gone = entry.file is not File.GONE and not whole(machine, picture)
            if gone and not hurts.is_hurt(machine.unit, picture.id):
                self._faults.happened("unsynced", machine.unit, str(picture.id))
                hurts.unsynced(machine.unit, picture.id)
