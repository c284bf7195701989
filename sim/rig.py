"""Virtual time for simulated machines on one line: a heap of (time, order, event), run until a condition holds.

What machines say goes through here, so that a check can look at it, take it off the line, or say it again later. Times
are monotonic seconds. What is simulated, and what is not, stands in sim/machine.py.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from firmware.events import Request
from firmware.messages import Message
from hal.framing import frame
from sim.clock import SimClock
from sim.radio import LineOptions, Medium, SimLine, SimRadio

MAX_SAID = 100_000
"""Messages remembered for replays and for looking at afterwards; more than any check says."""
MAX_TURNS_AT_ONCE = 10_000
"""Events at one moment of time; more means that a deadline never passes."""
MAX_EVENTS = 2_000_000
"""Events of one run; more means that something goes round and round."""


class Said(NamedTuple):
    """One packet that went to the radio. source: unit; lost: the rig took it off the line."""

    at: float
    source: int
    destination: int
    message: Message
    packet: bytes
    lost: bool


class OnRig(Protocol):
    """What the rig needs of a machine. radio: None while it is off."""

    unit: int
    radio: SimRadio | None

    def receive(self) -> None:
        """The line has delivered something, perhaps to this machine."""

    def sealed_anew(self, said: Said) -> list[bytes]:
        """The packets of a message that it has said, in the sessions of now."""

    def last_words(self, lines: int) -> list[str]:
        """The end of its log."""


class Rig:
    """Machines on one medium, and the time that they share. loses: which messages it swallows, None: as it is.

    watch: called after each request that was carried out, for checks of what must hold at every instant.
    opened: called for each sealed packet whose seal a unit has found right, with the unit.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        baud: int = 115200,
        line: LineOptions | None = None,
        medium: Callable[[SimClock], Medium] | None = None,
        most_said: int = MAX_SAID,
    ) -> None:
        """medium: made in place of a line. most_said: messages remembered."""
        self.seed = seed
        self.clock = SimClock()
        self.now = self.clock.monotonic()  # the same for all
        self.line: Medium
        if medium is None:
            self.line = SimLine(self.clock, random.Random(f"line {seed}"), baud=baud, options=line)
        else:
            self.line = medium(self.clock)
        self.loses: Callable[[Said], bool] | None = None
        self.watch: Callable[[OnRig, Request], None] | None = None
        self.opened: Callable[[OnRig, bytes], None] | None = None
        self.said: deque[Said] = deque(maxlen=most_said)
        self.events = 0
        self._machines: dict[int, OnRig] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._line_at: list[float] = []  # when the line is looked at; each is earlier than the one before

    def join(self, machine: OnRig) -> None:
        """Called by the machine."""
        assert machine.unit not in self._machines
        self._machines[machine.unit] = machine

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Let this happen then, or now where that is past; what is due at the same time happens in order of asking."""
        self._order += 1
        heapq.heappush(self._heap, (max(when, self.now), self._order, event))

    def run_until(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Go on until the condition holds; AssertionError with the ends of all logs after limit_s."""
        if not self.run(condition, limit_s):
            raise AssertionError(f"not within {limit_s} s\n{self.story()}")

    def run_for(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run(lambda: False, seconds)

    def run_events(self, number: int, limit_s: float) -> bool:
        """Let so many events happen; False when time is up before."""
        end = self.events + number
        return self.run(lambda: self.events >= end, limit_s)

    def run(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Go on until the condition holds; False where it does not within limit_s."""
        end, first, at_once = self.now + limit_s, self.events, 0
        while not condition():
            if not self._heap or self._heap[0][0] > end:
                self.clock.advance_to(end)
                self.now = end
                return False
            when, _, event = heapq.heappop(self._heap)
            at_once = at_once + 1 if when == self.now else 0
            assert at_once < MAX_TURNS_AT_ONCE, f"a deadline never passes\n{self.story()}"
            assert self.events - first < MAX_EVENTS, f"this does not end\n{self.story()}"
            self.clock.advance_to(when)
            self.now = when
            self.events += 1
            event()
        return True

    def carried(self) -> None:
        """Something was put on the line: be there when it arrives."""
        when = self.line.deadline()
        if when is not None and (not self._line_at or when < self._line_at[-1]):
            self._line_at.append(when)
            self.at(when, self._arrived)

    def _arrived(self) -> None:
        self._line_at.pop()
        for radio in self.line.service():
            self._machines[radio.unit].receive()
        self.carried()

    def loses_it(self, said: Said) -> bool:
        """Whether the line swallows this one."""
        return self.loses is not None and self.loses(said)

    def replay(self, said: Said) -> None:
        """The packet arrives again now, at everyone but its sender; loses is not asked."""
        self.arrives(said.packet, [unit for unit in self._machines if unit != said.source])

    def arrives(self, packet: bytes, units: Iterable[int] | None = None) -> None:
        """Somebody says this packet, and it arrives now at these units, None: at all; loses is not asked."""
        for unit in sorted(self._machines if units is None else units):
            radio = self._machines[unit].radio
            if radio is not None:
                self.line.noise(radio, frame(packet))
        self.carried()

    def say_again(self, said: Said) -> None:
        """Its sender says the same once more, in the session of now; it arrives at once, and loses is not asked."""
        for packet in self._machines[said.source].sealed_anew(said):
            self.replay(said._replace(packet=packet))

    def story(self, lines: int = 25) -> str:
        """The ends of all logs, in words, for whoever reads a failed run."""
        told = [f"seed {self.seed}, {self.events} events, now {self.now:.3f}"]
        for _, machine in sorted(self._machines.items()):
            told += [f"unit {machine.unit}: {text}" for text in machine.last_words(lines)]
        return "\n".join(told)
