"""Targets: a whole unit that hears what a member of its network says, in whatever order, and must go on.

What it hears is always right in form: the targets of the radio have the rest. The unit has a picture of its own and a
peer that is heard; ids and digest of the golden vectors are made that picture's, so that much of what is said is about
it. Not simulated: a peer that answers sensibly; the worlds (sim/world.py) have these.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from firmware import commands as c
from firmware.errors import PeerError
from firmware.link import Link, Received
from firmware.messages import Beacon, Message, Ready, Welcome, decode
from firmware.pictures import EVERYONE, Picture, PictureId
from hal.framing import frame
from hal.interfaces import TimeQuality
from sim.credentials import seal_of
from sim.fuzz.radio_targets import vectors
from sim.fuzz.target import Target
from sim.machine import Machine, Options
from sim.radio import MTU_BYTES
from sim.rig import Rig

US = 1
NEWCOMER = 5
SPEAKERS = (2, 2, 3, 4)  # one of them says more
CARD, BOOT = 1, 9
WAITS_S = (0.0, 0.01, 0.2, 1.0, 5.0, 61.0, 700.0, 90_000.0)
"""After a message: turnarounds, repeats, time-outs, reservations, beacons, and more than a day."""
MAX_WAITS_S = 200_000.0
"""Of one input in all: two days, as each costs as much as a hundred messages."""
HEAD_BYTES = 4
"""Before each message: 3 bits of its wait, 2 of its speaker, 1 whether to everyone; its kind; the body's length."""
INPUT_BYTES = 8000
"""A hundred messages, as the start of a unit takes as long."""
ANSWER_S = 10.0
"""A beacon that asks for one has its answer by then: 2 s, and what the unit says before (DESIGN §7)."""
STORY = 8
"""Messages of a short valid input."""
LIMIT_S, LIMIT_BYTES = 5.0, 30_000_000
"""A whole unit with its card, started anew for each input, and days of its life."""
VECTOR_ID = PictureId(1, 0x3FA7, 42)
VECTOR_SHA256 = bytes(range(32))


class Said(NamedTuple):
    """One message of an input."""

    wait_s: float
    speaker: int
    to: int
    message: Message


def _messages_in(data: bytes) -> Iterator[Said]:
    """Those that are right in form."""
    while len(data) >= HEAD_BYTES:
        head, kind, size_bytes = data[0], data[1], int.from_bytes(data[2:HEAD_BYTES])
        body, data = data[HEAD_BYTES:][:size_bytes], data[HEAD_BYTES:][size_bytes:]
        try:
            message = decode(kind, body)
        except PeerError:
            continue
        to = EVERYONE if head & 1 and message.BROADCAST else US
        yield Said(WAITS_S[head >> 5], SPEAKERS[head >> 3 & 3], to, message)


def _live(data: bytes) -> Machine:
    """A unit that has heard all that, and then a minute more."""
    rig = Rig(most_said=1000)
    machine = Machine(rig, US, Options(size_bytes=(2000, 2000), beacon_s=600.0))
    own = _shoot(machine)
    data = data.replace(VECTOR_ID.encode(), own.id.encode()).replace(VECTOR_SHA256, own.sha256)
    speakers = {unit: _greeted(machine, unit) for unit in sorted(set(SPEAKERS))}
    rig.run_for(1.0)
    left_s = MAX_WAITS_S
    for wait_s, speaker, to, message in _messages_in(data):
        link = speakers[speaker]
        if to == EVERYONE or link.seal.knows(to):
            _hear(machine, link.encode(to, message))
        rig.run_for(min(wait_s, left_s))
        left_s = max(0.01, left_s - wait_s)
    rig.run_for(60.0)
    return machine


def _greeted(machine: Machine, unit: int) -> Link:
    """A member that has a session with it."""
    rig, seal = machine.rig, seal_of(unit, CARD, BOOT, random.Random(unit))
    link = Link(unit, seal, MTU_BYTES)
    _hear(machine, link.encode(EVERYONE, BEACON))
    link.decode(next(said.packet for said in rig.said if isinstance(said.message, Beacon)), rig.now)
    _hear(machine, link.encode(US, seal.begin(US)))

    def answers() -> list[bytes]:
        return [s.packet for s in rig.said if isinstance(s.message, Welcome) and s.destination == unit]

    rig.run_until(lambda: bool(answers()), ANSWER_S)
    heard = link.decode(answers()[0], rig.now)
    assert isinstance(heard, Received)
    assert isinstance(heard.message, Welcome)
    seal.on_welcome(US, heard.message, rig.now)
    _hear(machine, link.encode(US, Ready()))
    return link


def _shoot(machine: Machine) -> Picture:
    ticket = machine.command(lambda ticket: c.Shoot(ticket, False))
    machine.rig.run_until(lambda: machine.outcome(ticket) is not None, ANSWER_S)
    outcome = machine.outcome(ticket)
    assert isinstance(outcome, c.Done)
    assert isinstance(outcome.value, Picture)
    return outcome.value


def _hear(machine: Machine, packets: list[bytes]) -> None:
    for packet in packets:
        assert machine.radio is not None
        machine.rig.line.noise(machine.radio, frame(packet))
    machine.rig.carried()


BEACON = Beacon(
    card=CARD,
    boot=BOOT,
    epoch=1,
    room_bytes=5_000_000,
    queue=0,
    link=200,
    interval_s=600,
    answer_wanted=True,
    hosting=True,
    unix_s=None,
    quality=TimeQuality.UNSET,
)


def _check_lives(_data: bytes, machine: Machine) -> None:
    """It answers somebody whom it has not heard yet."""
    rig = machine.rig
    began = rig.now
    newcomer = Link(NEWCOMER, seal_of(NEWCOMER, CARD, BOOT, random.Random(NEWCOMER)), MTU_BYTES)
    _hear(machine, newcomer.encode(EVERYONE, BEACON))
    rig.run_until(lambda: any(s.at >= began and isinstance(s.message, Beacon) for s in rig.said), ANSWER_S)


def _stories() -> list[bytes]:
    """All messages, with waits of each kind between: few at a time, one after the other, and the other way round."""
    said = []
    for number, (kind, body) in enumerate(vectors()):
        head = number % len(WAITS_S) << 5 | number % len(SPEAKERS) << 3 | number & 1
        said.append(bytes([head, kind]) + len(body).to_bytes(2) + body)
    few = [b"".join(said[start : start + STORY]) for start in range(0, len(said), STORY)]
    return [*few, b"".join(said), b"".join(reversed(said))]


TARGETS = (Target("unit", _live, (), _check_lives, _stories, INPUT_BYTES, LIMIT_S, LIMIT_BYTES),)
