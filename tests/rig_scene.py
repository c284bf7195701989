"""Scenes of whole units on a rig, and what must hold of them at every instant: I1 to I4 of HANDOVER §2."""

import hashlib

from firmware import commands as c
from firmware import events as e
from firmware import messages as m
from firmware.handover import UNKNOWN_ATTEMPT
from firmware.layout import picture_path
from firmware.pictures import File
from sim.machine import Machine
from sim.rig import Rig

MOST_ROWS = 1000  # pictures in any of these scenes


def a_pair(seed=1, *, origin=None, host=None, **rig):
    """Units 1 and 2, who have heard each other."""
    made = Rig(seed, **rig)
    first, second = Machine(made, 1, origin), Machine(made, 2, host)
    made.run_until(lambda: first.on.core.neighbours.find(2) and second.on.core.neighbours.find(1), 10)
    made.run_for(1)
    return made, first, second


def press(machine, *, priority=False):
    """The shutter is pressed; the command's ticket."""
    return machine.command(lambda ticket: c.Shoot(ticket, priority))


def shoot(machine, *, priority=False):
    """A picture, once it is durable."""
    ticket = press(machine, priority=priority)
    machine.rig.run_until(lambda: machine.outcome(ticket) is not None, 150)
    outcome = machine.outcome(ticket)
    assert isinstance(outcome, c.Done), outcome
    return outcome.value


def place(machine, picture, unit, timeout_s=60.0):
    """`copy`, to its end: Done or Failed."""
    return carry_out(machine, lambda ticket: c.PlaceCopy(ticket, picture.id, unit, timeout_s))


def carry_out(machine, make, within_s=150.0):
    """Any command, to its end."""
    ticket = machine.command(make)
    machine.rig.run_until(lambda: machine.outcome(ticket) is not None, within_s)
    return machine.outcome(ticket)


def part_bytes(machine):
    """Bytes of pictures that it has sent to hosts, repeated ones too."""
    parts = [said.message for said in machine.said(m.Part)]
    return sum(len(part.data) for part in parts if part.handle < m.FIRST_COPY_HANDLE)


def rows(machine):
    """Everything that the catalogue knows, tombstones excepted."""
    return machine.entries(e.Page(None, None, None, MOST_ROWS))


def own(machine):
    """Of those that it took, or that it acts for."""
    return [entry for entry in rows(machine) if machine.catalogue.is_own(entry.picture.id.unit)]


def held(machine):
    """What it holds for others, under a tombstone too."""
    return machine.entries(e.Held(None, None, MOST_ROWS))


def copies(machine, picture):
    """Units that the list names without suspicion."""
    entry = machine.entry(picture.id)
    return [copy.unit for copy in entry.verified] if entry else []


def on_card(machine, picture):
    """The picture's durable bytes there are whole."""
    data = machine.card.durable(picture_path(picture, machine.unit))
    return data is not None and hashlib.sha256(data).digest() == picture.sha256


def settled(*machines, wanted=1):
    """Every own picture has its copies, every held one its KEEP, and nothing is under way."""

    def is_so():
        return all(
            machine.running is not None
            and not len(machine.running.core.steps)
            and all(
                len(entry.verified) >= wanted and not any(copy.open for copy in entry.copies) for entry in own(machine)
            )
            and all(entry.kept for entry in held(machine))
            for machine in machines
        )

    return is_so


def check(*machines):
    """I1 to I4, on what would be left if every power went now. All origins and all hosts are among the machines."""
    by_unit = {machine.unit: machine for machine in machines}
    for machine in machines:
        for row in held(machine):
            assert on_card(machine, row.picture), f"I3: unit {machine.unit} has a row and no file of {row.picture.id}"
        for entry in own(machine):
            _check_own(machine, entry, by_unit)


def _check_own(machine, entry, by_unit):
    picture = entry.picture
    holders = [unit for unit, other in by_unit.items() if _holds(other, picture)]
    here = entry.file is not File.GONE and on_card(machine, picture)
    assert here or entry.file is File.GONE, f"I3: unit {machine.unit} has an own row and no file of {picture.id}"
    assert here or holders, f"I1: nobody has picture {picture.id} any more"
    assert entry.file is not File.GONE or entry.listed, f"I4: {picture.id} is gone here and the list names nobody"
    for copy in entry.listed:
        assert copy.unit in holders, f"I2: unit {copy.unit} is listed for {picture.id} and has it not"
        row = by_unit[copy.unit].entry(picture.id)
        assert row.attempt == UNKNOWN_ATTEMPT or row.attempt >= copy.listed, f"I2: {row} is older than {copy}"


def _holds(machine, picture):
    row = machine.entry(picture.id)
    return row is not None and row.attempt is not None and on_card(machine, picture)


def check_always(rig, *machines):
    """check() after every request that changes something durable."""
    changing = (e.Save, e.RemoveFile, e.FinishPart, e.KeepShot, e.ClosePart, e.Quarantine)

    def watch(_machine, request):
        if isinstance(request, changing):
            check(*machines)

    rig.watch = watch
