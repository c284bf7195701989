"""Radio waves made of memory: who hears whom, two at once that spoil each other, and a channel that loses frames, holds
them up, doubles them and brings old ones back, every fault chosen by a seeded source of chance.

Simulated: range as a directed graph (one-way links, hidden terminals); the time a frame takes; with half duplex,
collisions at each receiver by itself, and units that hear nothing while they send; loss of single frames and in bursts
(Gilbert-Elliott, each direction of each link by itself); late frames, which also reorders; doubled frames; frames from
long ago; links and whole groups of units that are cut off for a time. The frames are the real ones of hal.framing.

Not simulated: signal strength, so that the stronger of two never gets through (no capture) and a frame is either in
range or not; propagation delay, 3 us per kilometre; wrong bits outside collisions (for these use SimLine); several
channels. With full duplex each direction of each pair has a channel of its own: nothing collides.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Mapping

from hal.interfaces import Duplex
from hal.light_dataclass import dataclass
from sim.clock import SimClock
from sim.radio import BITS_PER_BYTE, SimRadio

SENSE_S = 0.003
"""A transmission is noticed by others once it has been on the air for so long: 35 bytes at 115200 baud. A guess at what
a serial module takes from its antenna to the first byte on its port."""
OLD_FRAMES = 512
"""Frames kept to be brought back, up to 2 MB; which one a new one replaces is drawn, so that some stay long."""


@dataclass(frozen=True, slots=True)
class AirOptions:
    """The air and its faults; probabilities from 0 to 1, drawn per frame and receiver. Replaced as a whole while the
    air is in use: Air.options."""

    duplex: Duplex = Duplex.FULL  # HALF: what overlaps at a receiver is spoilt there
    frame_loss: float = 0.0
    burst_every_s: float = math.inf  # mean time between bursts of loss, for each direction of each link
    burst_s: float = 1.0  # mean length of a burst
    burst_loss: float = 1.0  # loss within one
    doubled: float = 0.0  # a frame arrives twice, the second time late
    late: float = 0.0  # a frame arrives later than others that were sent after it
    late_s: tuple[float, float] = (0.005, 1.0)  # by how much, least and most; the logarithm is drawn evenly


class _Transmission:
    """A frame on the air from `starts` to `ends`."""

    __slots__ = ("data", "done", "ends", "packet", "source", "starts")

    def __init__(self, source: int, data: bytes, starts: float, ends: float, packet: bytes) -> None:
        self.source = source
        self.data = data
        self.starts = starts
        self.ends = ends
        self.done = False
        self.packet = packet


class _Weather:
    """Gilbert-Elliott in time: good and bad by turns, each for an exponential time; looked at only when needed."""

    __slots__ = ("_chance", "_until", "bad")

    def __init__(self, chance: random.Random, now: float, good_s: float) -> None:
        self._chance = chance
        self.bad = False
        self._until = now + chance.expovariate(1 / good_s)

    def is_bad(self, now: float, options: AirOptions) -> bool:
        while self._until <= now:
            self.bad = not self.bad
            mean_s = options.burst_s if self.bad else options.burst_every_s
            self._until += self._chance.expovariate(1 / mean_s)
        return self.bad


class Air:
    """The medium of SimRadios whose units are in `hears`: who hears (key) whom (values). Implements sim.radio.Medium.

    Same options, seed and calls: same faults. What has happened is counted by kind in `counts`.
    """

    def __init__(
        self,
        clock: SimClock,
        chance: random.Random,
        hears: Mapping[int, frozenset[int]],
        *,
        baud: int = 115200,
        options: AirOptions | None = None,
    ) -> None:
        self.clock = clock
        self.line_bytes_per_s = baud / BITS_PER_BYTE
        self.counts = dict.fromkeys(
            ("lost", "burst", "collided", "deaf", "cut off", "doubled", "late", "replayed", "delivered"), 0
        )
        self._options = options or AirOptions()
        self._chance = chance
        self._reach = {unit: tuple(sorted(u for u, heard in hears.items() if unit in heard)) for unit in sorted(hears)}
        self._radios: dict[int, SimRadio] = {}
        self._on_air: list[_Transmission] = []
        self._heap: list[tuple[float, int, _Transmission | None, int, bytes]] = []  # by time, then order
        self._order = 0
        self._energy_at: dict[int, float] = {}  # unit -> end of the last transmission that reached its antenna
        self._weather: dict[tuple[int, int], _Weather] = {}
        self._cut_links: set[tuple[int, int]] = set()
        self._island: frozenset[int] = frozenset()
        self._old: list[tuple[int, bytes]] = []

    # ------------------------------------------------------------ the hand that disturbs it

    @property
    def options(self) -> AirOptions:
        """May be replaced while the air is in use; bursts under way end at once."""
        return self._options

    @options.setter
    def options(self, options: AirOptions) -> None:
        self._options = options
        self._weather.clear()

    def links(self) -> list[tuple[int, int]]:
        """Every (source, listener) in range."""
        return [(source, listener) for source, reached in self._reach.items() for listener in reached]

    def in_range(self, source: int) -> tuple[int, ...]:
        """Units that hear this one."""
        return self._reach[source]

    def cut_link(self, source: int, listener: int) -> None:
        """From now on the listener hears nothing of the source; the other direction stays."""
        self._cut_links.add((source, listener))

    def mend_link(self, source: int, listener: int) -> None:
        """As before; fine if it was not cut."""
        self._cut_links.discard((source, listener))

    def part(self, island: frozenset[int]) -> None:
        """These hear only one another, and all others only one another; an empty set ends it."""
        self._island = island

    def mend_all(self) -> None:
        """No link and no group is cut off any more."""
        self._cut_links.clear()
        self._island = frozenset()

    def bring_back(self) -> None:
        """A frame from the past, perhaps from before restarts, arrives now at all in range of where it was sent."""
        if not self._old:
            return
        source, data = self._old[self._chance.randrange(len(self._old))]
        self.counts["replayed"] += 1
        for unit in self._reach[source]:
            self._push(self.clock.monotonic(), None, unit, data)

    # ------------------------------------------------------------ Medium

    @property
    def duplex(self) -> Duplex:
        """As the options say."""
        return self._options.duplex

    def join(self, radio: SimRadio) -> None:
        """Called by the radio."""
        assert radio.unit in self._reach, f"nothing says whom unit {radio.unit} hears"
        assert radio.unit not in self._radios
        self._radios[radio.unit] = radio

    def leave(self, radio: SimRadio) -> None:
        """Called by the radio when it is closed. What it has begun to send ends all the same."""
        del self._radios[radio.unit]

    def carry(self, sender: SimRadio, packet: bytes, data: bytes, sent_at: float) -> None:
        """A packet of the sender, and its frame, whose last byte leaves at sent_at."""
        sent = _Transmission(sender.unit, data, sent_at - len(data) / self.line_bytes_per_s, sent_at, packet)
        self._on_air.append(sent)
        self._push(sent_at, sent, 0, b"")
        self._remember(sender.unit, data)

    def noise(self, radio: SimRadio, data: bytes) -> None:
        """Bytes that this radio hears now and nobody sent."""
        self._push(self.clock.monotonic(), None, radio.unit, data)

    def heard_at(self, radio: SimRadio) -> float:
        """Now while another in range has been sending for longer than SENSE_S, else the end of the last one heard."""
        now, unit = self.clock.monotonic(), radio.unit
        for sent in self._on_air:
            if sent.starts + SENSE_S <= now < sent.ends and self._reaches(sent.source, unit):
                return now
        return self._energy_at.get(unit, -math.inf)

    def deadline(self) -> float | None:
        """When the next bytes arrive; None if none are under way."""
        return self._heap[0][0] if self._heap else None

    def service(self) -> list[SimRadio]:
        """Hand out what has arrived by now."""
        now = self.clock.monotonic()
        if not self._heap or self._heap[0][0] > now:
            return []
        heard: dict[int, SimRadio] = {}
        while self._heap and self._heap[0][0] <= now:
            _, _, sent, unit, data = heapq.heappop(self._heap)
            if sent is not None:
                self._end(sent, heard)
            elif unit in self._radios:
                self._radios[unit].hear(data)
                heard[unit] = self._radios[unit]
        return [heard[unit] for unit in sorted(heard)]

    # ------------------------------------------------------------ what becomes of a frame

    def _push(self, at: float, sent: _Transmission | None, unit: int, data: bytes) -> None:
        """At its end a transmission, else bytes for one unit."""
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, sent, unit, data))

    def _reaches(self, source: int, listener: int) -> bool:
        if (source, listener) in self._cut_links or listener not in self._reach[source]:
            return False
        return (source in self._island) is (listener in self._island)

    def _end(self, sent: _Transmission, heard: dict[int, SimRadio]) -> None:
        """The last byte has left: what each of those in range makes of it."""
        source, radios, counts = sent.source, self._radios, self.counts
        for unit in self._reach[source]:
            radio = radios.get(unit)
            if radio is None:
                continue
            if not self._reaches(source, unit):
                counts["cut off"] += 1
                continue
            self._energy_at[unit] = sent.ends
            data = self._through(sent, unit)
            if data:
                radio.hear_packet(data, sent.packet if data is sent.data else None)
                heard[unit] = radio
        sent.done = True
        self._forget_past()

    def _through(self, sent: _Transmission, unit: int) -> bytes:
        """What this unit hears of it now; copies that come later are on their way."""
        options, chance, counts = self._options, self._chance, self.counts
        data = sent.data
        if options.duplex is Duplex.HALF:
            data = self._after_collisions(sent, unit)
        if options.frame_loss > 0 and chance.random() < options.frame_loss:
            counts["lost"] += 1
            return b""
        in_burst = options.burst_every_s < math.inf and self._in_burst(sent.source, unit)
        if in_burst and chance.random() < options.burst_loss:
            counts["burst"] += 1
            return b""
        if options.doubled > 0 and chance.random() < options.doubled:
            counts["doubled"] += 1
            self._push(self.clock.monotonic() + self._lateness(), None, unit, data)
        if options.late > 0 and chance.random() < options.late:
            counts["late"] += 1
            self._push(self.clock.monotonic() + self._lateness(), None, unit, data)
            return b""
        counts["delivered"] += 1
        return data

    def _lateness(self) -> float:
        least_s, most_s = self._options.late_s
        return math.exp(self._chance.uniform(math.log(least_s), math.log(most_s)))

    def _in_burst(self, source: int, unit: int) -> bool:
        now, link = self.clock.monotonic(), (source, unit)
        weather = self._weather.get(link)
        if weather is None:
            weather = self._weather[link] = _Weather(self._chance, now, self._options.burst_every_s)
        return weather.is_bad(now, self._options)

    def _after_collisions(self, sent: _Transmission, unit: int) -> bytes:
        """Nothing while the unit itself sends; noise where another transmission reached it at the same time."""
        data = sent.data
        for other in self._on_air:
            if other is sent or other.starts >= sent.ends or other.ends <= sent.starts:
                continue
            if other.source == unit:
                self.counts["deaf"] += 1
                return b""
            if self._reaches(other.source, unit):
                self.counts["collided"] += 1
                data = self._spoilt(data, sent, other)
        return data

    def _spoilt(self, data: bytes, sent: _Transmission, other: _Transmission) -> bytes:
        """Where the two overlap, chance has taken the place of its bytes."""
        rate = self.line_bytes_per_s
        first = min(len(data) - 1, max(0, int((other.starts - sent.starts) * rate)))
        last = max(first + 1, min(len(data), math.ceil((other.ends - sent.starts) * rate)))
        return data[:first] + self._chance.randbytes(last - first) + data[last:]

    def _forget_past(self) -> None:
        """Transmissions that nothing under way can overlap any more."""
        begun = min((sent.starts for sent in self._on_air if not sent.done), default=math.inf)
        self._on_air = [sent for sent in self._on_air if not sent.done or sent.ends > begun]

    def _remember(self, source: int, data: bytes) -> None:
        """The newest do not push all old ones out: a few stay for days."""
        if len(self._old) < OLD_FRAMES:
            self._old.append((source, data))
        else:
            self._old[self._chance.randrange(OLD_FRAMES)] = (source, data)
