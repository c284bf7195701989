"""The air between simulated XBee modules: virtual time, who disturbs whom, who hears what.

Simulated: one medium for all; two that are on the air at once on one channel spoil each other for everybody; a frame
(an acknowledgement, too) is lost for each receiver by itself with probability `loss`; a signal strength for each pair
of modules, drawn once. Nothing moves but in service(): bytes and the time come in from outside, so that a test needs no
sleep, and a pump on ptys (sim/xbee.py) no thread.

Not simulated: range (everybody hears everybody; routes over several hops are not there), strength that decides who gets
through, bit errors that a check would not find, other users of the band, more than one channel at once of those that
hop.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from hal.light_dataclass import dataclass

MAX_EVENTS_AT_ONCE = 100_000
"""Events of one service() with the same time; more means that a deadline never passes."""
STRONGEST_DBM, WEAKEST_DBM = -35, -85
"""Signal strengths that are drawn: from one table to another, to a bit above the least that a module hears. Guess."""

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Station(Protocol[T_contra]):
    """A module, seen from the air."""

    @property
    def channel(self) -> int:
        """Those on another one neither hear nor disturb it."""

    @property
    def is_listening(self) -> bool:
        """Whether it can hear at all: it has power, is awake, does not send."""

    def hear(self, frame: T_contra, rssi_dbm: int) -> None:
        """A whole frame has come. Not told: whom it is for, of which network it is."""


@dataclass(slots=True)
class _OnAir(Generic[T]):
    source: Station[T]
    channel: int
    frame: T
    ends: float
    is_spoilt: bool


class Air(Generic[T]):
    """Virtual time and the medium. T: what is on the air. Same seed, same calls: same events."""

    def __init__(self, rng: random.Random, *, loss: float = 0.0, now: float = 0.0) -> None:
        if not 0 <= loss <= 1:
            raise ValueError(f"the loss is a probability from 0 to 1, not {loss}")
        self.now = now
        self.loss = loss
        self.rng = rng
        self._stations: list[Station[T]] = []
        self._on_air: list[_OnAir[T]] = []
        self._strengths: dict[tuple[int, int], int] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    def join(self, station: Station[T]) -> None:
        """One more module."""
        for number in range(len(self._stations)):
            self._strengths[number, len(self._stations)] = self.rng.randint(WEAKEST_DBM, STRONGEST_DBM)
        self._stations.append(station)

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Let this happen then, or now where that is past; what is due at one time happens in order of asking."""
        self._order += 1
        heapq.heappush(self._heap, (max(when, self.now), self._order, event))

    def deadline(self) -> float | None:
        """When service() is wanted; None while nothing is to happen."""
        return self._heap[0][0] if self._heap else None

    def service(self, now: float) -> None:
        """Let everything happen that is due by now."""
        at_once = 0
        while self._heap and self._heap[0][0] <= now:
            when, _, event = heapq.heappop(self._heap)
            at_once = at_once + 1 if when == self.now else 0
            assert at_once < MAX_EVENTS_AT_ONCE, "a deadline never passes"
            self.now = when
            event()
        self.now = max(self.now, now)

    def is_busy(self, channel: int) -> bool:
        """Whether somebody is on the air there."""
        return any(each.channel == channel for each in self._on_air)

    def send(self, source: Station[T], frame: T, seconds: float) -> None:
        """Put a frame on the air, from now on; whatever else is there meanwhile, both are spoilt."""
        sent = _OnAir(source, source.channel, frame, self.now + seconds, is_spoilt=False)
        for other in self._on_air:
            if other.channel == sent.channel:
                other.is_spoilt = sent.is_spoilt = True
        self._on_air.append(sent)
        self.at(sent.ends, lambda: self._end(sent))

    def _end(self, sent: _OnAir[T]) -> None:
        self._on_air.remove(sent)
        if sent.is_spoilt:
            return
        for station in self._stations:
            if station is sent.source or station.channel != sent.channel or not station.is_listening:
                continue
            if self.loss == 0 or self.rng.random() >= self.loss:
                station.hear(sent.frame, self._strength(sent.source, station))

    def _strength(self, source: Station[T], station: Station[T]) -> int:
        first, second = sorted((self._stations.index(source), self._stations.index(station)))
        return self._strengths[first, second]
