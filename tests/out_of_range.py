"""Machines of which not everybody hears everybody, in the simulated air."""

import dataclasses
import itertools
import random

from firmware import commands as c
from firmware.determine import Rules
from hal.interfaces import Duplex
from sim.air import Air, AirOptions
from sim.machine import Machine, Options
from sim.rig import Rig

HEARD_WITHIN_S = 60.0


class Field:
    """Units 1, 2, … and the pairs of them that hear one another. hosts: units that take others' pictures."""

    def __init__(
        self, *links, hosts=(), seed=1, copies=1, size_bytes=(20_000, 30_000), duplex=Duplex.FULL, beacon_s=60.0
    ):
        units = sorted({unit for link in links for unit in link})
        hears = {unit: frozenset(u for link in links if unit in link for u in link if u != unit) for unit in units}
        options = AirOptions(duplex=duplex)
        self.rig = Rig(seed, medium=lambda clock: Air(clock, random.Random(f"air {seed}"), hears, options=options))
        self.air = self.rig.line
        self.links = links
        self._machines = {}
        for unit in units:
            options = Options(
                Rules(copies=copies),
                hosting_share=0.5 if unit in hosts else 0.0,
                size_bytes=size_bytes,
                beacon_s=beacon_s,
            )
            self._machines[unit] = Machine(self.rig, unit, options)
        self.rig.run_until(self.all_heard, HEARD_WITHIN_S)
        self.rig.run_for(1)

    def units(self):
        """Number and machine of each."""
        return self._machines.items()

    def part(self, one, other):
        """They hear one another no more."""
        self.air.cut_link(one, other)
        self.air.cut_link(other, one)

    def __getitem__(self, unit):
        return self._machines[unit]

    def all_heard(self):
        """Whether all that are linked have heard one another."""
        return all(self[a].on.core.neighbours.find(b) and self[b].on.core.neighbours.find(a) for a, b in self.links)

    def lose(self, share):
        """From now on this share of packets, at each receiver."""
        self.air.options = dataclasses.replace(self.air.options, frame_loss=share)

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
