"""Attackers on the air: who hears every packet of a rig's units, and says whatever bytes at whatever time.

Eavesdropper, forger, replayer, and a man in the middle, each with what HANDOVER §5 lets them know: the protocol, all
public keys, all that was ever said. What a stolen unit has is given to them by whoever steals it: see Thief.

Not simulated: what an attacker says takes no time on the air and collides with nothing, and all units hear it; what
the man in the middle takes off the air nobody hears. Timing, traffic patterns and jamming are not looked at.

`python -m sim.attackers --frames 10000000 --seed 1` has whole units hear so many forged and repeated frames while they
go about their business, and prints what became of these; exit status 1 if one was accepted. Of those 10^7: none, in 20
minutes beside other work.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TextIO

from firmware import commands as c
from firmware import messages as m
from firmware.link import Link
from firmware.messages import KINDS, Message
from firmware.pictures import EVERYONE, PictureId
from firmware.sessions import Keys, SessionSeal
from hal.interfaces import Arrival, TimeQuality
from sim.credentials import AdminFolder
from sim.machine import Machine, Options
from sim.rig import OnRig, Rig, Said

MOST_HEARD = 100_000
"""Packets that an attacker remembers; the oldest go."""
HEADER_BYTES = 6
"""Version and flags, kind, source, destination: what every packet begins with."""


class Heard(NamedTuple):
    """A packet as it was on the air."""

    at: float
    packet: bytes


class Attacker:
    """Hears all that is said, and says what it likes. Its subclasses say what they do with that."""

    def __init__(self, rig: Rig, most_heard: int = MOST_HEARD) -> None:
        self.rig = rig
        self.heard: deque[Heard] = deque(maxlen=most_heard)
        self._others = rig.loses
        rig.loses = self._hear

    def _hear(self, said: Said) -> bool:
        """As Rig.loses. Of what was said an attacker knows the packet alone."""
        self.heard.append(Heard(said.at, said.packet))
        taken = self.takes(said.packet)
        return (self._others is not None and self._others(said)) or taken

    def takes(self, packet: bytes) -> bool:  # noqa: ARG002 - whoever stands in the middle looks at it
        """Whether it takes this packet off the air."""
        return False

    def say(self, packet: bytes, units: Iterable[int] | None = None) -> None:
        """These bytes, to these units or to all, now."""
        self.rig.arrives(packet, units)


class Replayer(Attacker):
    """Says again what was said, in the order in which it was, to everyone, also to whoever said it."""

    def say_all(self, since: float = -math.inf, until: float = math.inf) -> int:
        """All of this time, at once; how many."""
        packets = [heard.packet for heard in self.heard if since <= heard.at <= until]
        for packet in packets:
            self.say(packet)
        return len(packets)


class ManInTheMiddle(Attacker):
    """Nothing reaches anybody but by its hand: each packet is lost, late or doubled by chance, while it is at it.

    late_s: most; how late is drawn so that ten times as late is as likely again.
    """

    def __init__(self, rig: Rig, chance: random.Random, *, lost: float, late: float, doubled: float, late_s: float):
        super().__init__(rig)
        self._chance = chance
        self._lost = lost
        self._late = late
        self._doubled = doubled
        self._late_s = late_s
        self.at_it = True
        self.counts: Counter[str] = Counter()

    def takes(self, packet: bytes) -> bool:
        if not self.at_it:
            return False
        drawn = self._chance.random()
        if drawn < self._lost:
            self.counts["lost"] += 1
            return True
        late = drawn < self._lost + self._late
        if late or self._chance.random() < self._doubled:
            self.counts["late" if late else "doubled"] += 1
            after_s = math.exp(self._chance.uniform(math.log(0.005), math.log(self._late_s)))
            self.rig.at(self.rig.now + after_s, lambda: self.say(packet))
        return late


class Thief:
    """Has stolen a unit with all that is on its card, and speaks with what is its: its number, its key, the network's
    secret, and sessions of its own with the others, once they answer.

    It can say what is said to everyone, and begin handshakes, under any unit's name; see as_another().
    """

    def __init__(self, stolen: Machine) -> None:
        """It is off from now on; the thief speaks in its place."""
        seal = stolen.on.link.seal
        assert isinstance(seal, SessionSeal)
        self.unit = stolen.unit
        self.keys = seal._keys
        self._card, self._boot = stolen.on.core.card, stolen.on.core.boot
        stolen.kill()

    def seal_of(self, unit: int, card: int, boot: int, chance: random.Random) -> SessionSeal:
        """The seal of another member as far as it can make that: without the member's own key."""
        return SessionSeal(unit, card, boot, self.keys, chance.randbytes)

    def as_another(self, unit: int, card: int, boot: int, message: Message, *, skip: int = 0) -> bytes:
        """What this member would say to everyone with that start; skip: counters that it leaves out."""
        seal = self.seal_of(unit, card, boot, random.Random(unit))
        seal._sealer.frames = skip
        (packet,) = Link(unit, seal, 4128).encode(EVERYONE, message)
        return packet


class Forger:
    """Makes packets of what was heard, and of nothing: it knows the protocol and all public keys, and no secret."""

    def __init__(self, chance: random.Random, units: Sequence[int], public: Mapping[int, bytes]) -> None:
        self._chance = chance
        self._units = units
        own = {unit: chance.randbytes(32) for unit in units}
        self._seals = {
            unit: SessionSeal(unit, 1, 1, Keys(1, chance.randbytes(32), own[unit], public), chance.randbytes)
            for unit in units
        }
        self._ways: tuple[Callable[[bytes, bytes], bytes], ...] = (
            self._flip,
            self._shorten,
            self._lengthen,
            self._swap_ends,
            self._readdress,
            self._change_kind,
            self._change_flags,
            self._change_counter,
            self._splice,
            self._header_of_another,
            self._invent,
            self._begin,
        )

    def packets(self, heard: Sequence[bytes]) -> Iterator[bytes]:
        """Without end; none of them is one that was heard. heard: at least two."""
        while True:
            one, other = self._chance.choice(heard), self._chance.choice(heard)
            packet = self._chance.choice(self._ways)(one, other)
            if packet != one and packet != other:
                yield packet

    # ------------------------------------------------------------ what it does to a packet; other: another one

    def _flip(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        changed = bytearray(packet)
        for _ in range(self._chance.choice((1, 1, 1, 2, 8))):
            changed[self._chance.randrange(len(changed))] ^= 1 << self._chance.randrange(8)
        return bytes(changed)

    def _shorten(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        return packet[: self._chance.randrange(1, len(packet))]

    def _lengthen(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        return packet + self._chance.randbytes(self._chance.randrange(1, 20))

    def _swap_ends(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        return packet[:2] + packet[4:6] + packet[2:4] + packet[6:]

    def _readdress(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        source, destination = self._chance.choice(self._units), self._chance.choice((*self._units, EVERYONE))
        return packet[:2] + source.to_bytes(2, "big") + destination.to_bytes(2, "big") + packet[6:]

    def _change_kind(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        return packet[:1] + bytes([self._chance.choice(list(KINDS))]) + packet[2:]

    def _change_flags(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        return bytes([0x20 | self._chance.randrange(32)]) + packet[1:]

    def _change_counter(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        return packet[:HEADER_BYTES] + self._chance.randbytes(3) + packet[HEADER_BYTES + 3 :]

    def _splice(self, packet: bytes, other: bytes) -> bytes:
        return packet[: self._chance.randrange(1, len(packet))] + other[self._chance.randrange(len(other)) :]

    def _header_of_another(self, packet: bytes, other: bytes) -> bytes:
        return other[:HEADER_BYTES] + packet[HEADER_BYTES:]

    def _invent(self, packet: bytes, other: bytes) -> bytes:  # noqa: ARG002
        kind, source = self._chance.choice(list(KINDS)), self._chance.choice(self._units)
        to = self._chance.choice((*self._units, EVERYONE)).to_bytes(2, "big")
        return bytes([0x20, kind]) + source.to_bytes(2, "big") + to + self._chance.randbytes(self._chance.randrange(80))

    def _begin(self, packet: bytes, other: bytes) -> bytes:
        """What a unit would say to begin, sealed with a secret that is made up; what of it is in the clear is right
        where what was heard tells it."""
        source = self._chance.choice(self._units)
        clear = next((p[6:14] for p in (packet, other) if p[1] == m.Beacon.KIND and len(p) > 14), bytes(8))
        card, boot, epoch = (int.from_bytes(clear[a:b], "big") for a, b in ((0, 2), (2, 6), (6, 8)))
        message: Message = self._chance.choice(
            (
                m.Beacon(card, boot, epoch, 10**9, 0, 255, 60, True, True, None, TimeQuality.UNSET),
                m.Hello(card, boot, epoch, boot, self._chance.randbytes(48)),
                m.Welcome(card, boot, epoch, self._chance.randbytes(48)),
            )
        )
        to = EVERYONE if isinstance(message, m.Beacon) else self._chance.choice(self._units)
        if to == source:
            to = EVERYONE
            message = m.Where(source, 9, PictureId(source, 1, 1), 0)
        return Link(source, self._seals[source], 4128).encode(to, message)[0]


class Accepted(AssertionError):
    """A unit has taken what no member said, or has taken something twice."""


class Judge:
    """Watches what units take: no frame but those that members said, each frame of a session once in all the lives of
    a unit, what is said to everyone or begins a session once in each start. Else Accepted."""

    def __init__(self, rig: Rig) -> None:
        self._said: set[bytes] = set()
        self._taken: set[tuple[int, int, bytes]] = set()
        self.taken: Counter[int] = Counter()  # by unit
        self._others = rig.loses
        rig.loses = self._hear
        rig.opened = self._opened

    def said(self, packet: bytes) -> None:
        """By a member, who is not a machine of the rig."""
        self._said.add(packet)

    def _hear(self, said: Said) -> bool:
        self._said.add(said.packet)
        return self._others is not None and self._others(said)

    def _opened(self, machine: OnRig, packet: bytes) -> None:
        assert isinstance(machine, Machine)
        if packet not in self._said:
            raise Accepted(f"unit {machine.unit} has taken what nobody has said: {packet.hex()}")
        to_everyone = packet[4:6] == EVERYONE.to_bytes(2, "big") or KINDS[packet[1]].CLEAR_BYTES > 0
        taken = machine.unit, machine.starts if to_everyone else 0, packet
        if taken in self._taken:
            raise Accepted(f"unit {machine.unit} has taken twice: {packet.hex()}")
        self._taken.add(taken)
        self.taken[machine.unit] += 1


# ---------------------------------------------------------------- many frames

UNITS = (1, 2, 3)
SIZE_BYTES = (4_000, 8_000)
AT_ONCE = 500
"""Frames between two looks at what else is to be done."""
BETWEEN_S = 0.5
"""Virtual time for the units' own business then."""


def attack(frames: int, seed: int, out: TextIO | None = None) -> Counter[str]:
    """Three units that take pictures, restart now and then, and hear so many forged and repeated frames meanwhile.

    What became of the frames, by the name of the error that threw them away. Raises Accepted.
    """
    rig, chance = Rig(seed, most_said=0), random.Random(f"attack {seed}")
    judge, listener = Judge(rig), Attacker(rig, 2000)
    admin = AdminFolder(UNITS)
    machines = {
        unit: Machine(rig, unit, Options(size_bytes=SIZE_BYTES, beacon_s=20.0, credential=admin.credential(unit)))
        for unit in UNITS
    }
    forger = Forger(chance, UNITS, {row.unit: row.public for row in admin.newest.rows})
    counts: Counter[str] = Counter()
    rig.run_for(10)
    said, turns = 0, 0
    while said < frames:
        turns += 1
        business(machines[chance.choice(UNITS)], chance, turns)
        rig.run_for(BETWEEN_S)
        recorded = [heard.packet for heard in listener.heard]
        forged = forger.packets(recorded)
        for _ in range(min(AT_ONCE, frames - said)):
            again = chance.random() < 0.3
            packet = chance.choice(recorded) if again else next(forged)
            to = int.from_bytes(packet[4:6], "big")
            counts[hear(machines.get(to) or machines[chance.choice(UNITS)], packet)] += 1
            said += 1
        if out is not None and turns % 200 == 0:
            print(f"{said} frames, {sum(judge.taken.values())} of members taken", file=out, flush=True)
    counts["of members, taken"] = sum(judge.taken.values())
    return counts


def business(machine: Machine, chance: random.Random, turn: int) -> None:
    """A picture now and then, or a restart."""
    if turn % 20 == 0:
        machine.power_cut()
        machine.restart()
    elif turn % 5 == 0:
        machine.on.command(c.Shoot(None, chance.random() < 0.1), machine.rig.now)
        machine.turn()


def hear(machine: Machine, packet: bytes) -> str:
    """The machine hears it at once; what became of it."""
    counts = machine.on.bad_packets.counts
    before = counts.copy()
    machine.on.packet(Arrival(packet), machine.rig.now)
    return next(iter(counts - before), "between others, an echo, or not sealed")


def main(argv: Sequence[str]) -> int:
    """Forged and repeated frames without end. 0: none was accepted."""
    parser = argparse.ArgumentParser(prog="python -m sim.attackers", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--frames", type=int, default=1_000_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        counts = attack(arguments.frames, arguments.seed, sys.stderr)
    except Accepted as accepted:
        print(
            f"{accepted}\nto run it again: python -m sim.attackers --frames {arguments.frames} --seed {arguments.seed}"
        )
        return 1
    print(f"{arguments.frames} forged and repeated frames, 0 accepted")
    for what, number in sorted(counts.items()):
        print(f"{number:>12} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
