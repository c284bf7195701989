"""Machines of which not everybody hears everybody: a line for sim/rig.py that carries only between those linked."""

import itertools
import random

from firmware import commands as c
from firmware.determine import Rules
from sim.machine import Machine, Options
from sim.radio import LineOptions, SimLine, damaged
from sim.rig import Rig

HEARD_WITHIN_S = 60.0


class RangedLine(SimLine):
    """What a unit sends arrives at those that it is linked with. links: pairs of unit numbers; may be changed."""

    def __init__(self, rig, links, options):
        super().__init__(rig.clock, random.Random(f"line {rig.seed}"), options=options)
        self.links = {frozenset(link) for link in links}
        self.machines = {}

    def carry(self, sender, data, sent_at):
        units = {machine.radio: unit for unit, machine in self.machines.items()}
        for radio in self._radios:
            if radio is not sender and frozenset((units.get(sender), units.get(radio))) in self.links:
                self._deliver(radio, damaged(data, self.options, self._rng), sent_at + self.options.delay_s)


class Field:
    """Units 1, 2, … and the pairs of them that hear one another. hosts: units that take others' pictures."""

    def __init__(self, *links, hosts=(), seed=1, copies=1, size_bytes=(20_000, 30_000)):
        self.rig = Rig(seed)
        self.rig.line = self.line = RangedLine(self.rig, links, LineOptions())
        for unit in sorted({unit for link in links for unit in link}):
            options = Options(Rules(copies=copies), hosting_share=0.5 if unit in hosts else 0.0, size_bytes=size_bytes)
            self.line.machines[unit] = Machine(self.rig, unit, options)
        self.rig.run_until(self.all_heard, HEARD_WITHIN_S)
        self.rig.run_for(1)

    def __getitem__(self, unit):
        return self.line.machines[unit]

    def all_heard(self):
        """Whether all that are linked have heard one another."""
        pairs = [tuple(link) for link in self.line.links]
        return all(self[a].on.core.neighbours.find(b) and self[b].on.core.neighbours.find(a) for a, b in pairs)

    def lose(self, share):
        """From now on this share of packets, at each receiver."""
        self.line.options = LineOptions(frame_loss=share)

    def get(self, unit, picture, *, preview=False, timeout_s=60.0, have_bytes=0):
        """The command is given; its ticket."""
        return self[unit].command(lambda ticket: c.Get(ticket, picture.id, preview, timeout_s, have_bytes))

    def wait(self, unit, ticket, within_s=120.0):
        """To the end of the command; how it ended."""
        self.rig.run_until(lambda: self[unit].outcome(ticket) is not None, within_s)
        return self[unit].outcome(ticket)

    def came_bytes(self, unit):
        """How far the first read-out under way there has come, in order."""
        return next((r.incoming.position for r in self[unit].on.read_outs if r.incoming is not None), 0)

    def read(self, unit, ticket):
        """The bytes that the command was told."""
        data = b""
        for what in self[unit].told[ticket]:
            if isinstance(what, c.Found):
                data = data[: what.offset]
            elif isinstance(what, c.Data):
                assert what.offset == len(data)
                data += what.data
        return data


def row(units):
    """Links of units in a row."""
    return list(itertools.pairwise(units))
