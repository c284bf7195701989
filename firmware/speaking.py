"""What the radio sends next: short messages first, then parts in turn; on a half-duplex radio when the channel is ours.

Both kinds give one packet at a time, whenever the radio has room: what has become urgent overtakes a running picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from firmware import messages as m
from firmware.channel import Channel, Said, Turn, Wish
from firmware.core import Core
from firmware.link import Link, Overheard, Received
from firmware.onward import Onward
from firmware.outgoing import Outgoing
from firmware.pictures import EVERYONE
from hal.interfaces import Address
from hal.light_dataclass import dataclass

_SAID = {m.Accept.KIND: Said.ANSWER, m.Report.KIND: Said.ANSWER, m.Part.KIND: Said.PART}
"""What the kinds of messages are to the channel."""
_QUESTIONS = (
    *(m.Request, m.End, m.Stored, m.Hold, m.Drop, m.Delete, m.Get, m.Where, m.InventoryAsk, m.NameAsk),
    *(m.Records, m.RecordsAsk, m.Hello, m.Welcome, m.RosterAsk),
)
"""Answered at once, as a rule; to one unit."""

OnItsWay = Outgoing | Onward
"""A picture on its way out, from the own card or passed on."""
Outgoings = Callable[[], list[OnItsWay]]


class Parcel(NamedTuple):
    """A packet for the radio to send. to: the radio that it is for, None: all in range."""

    packet: bytes
    to: Address | None


class Sessions(Protocol):
    """Whoever makes sessions with other units."""

    def want(self, unit: int, message: m.Message) -> None:
        """Something could not be said, as the seal does not know this unit yet."""

    def said(self, unit: int, message: m.Message) -> None:
        """Something was said."""


READ_OUTS_BEFORE_COPY = 3
"""So many parts or bursts of read-outs go before one of a copy: somebody waits for them, but copies go on. Guess."""


SHORT_BEFORE_PART = 4
"""So many short messages go before a part that waits: who asks without end has its answers, and pictures go on. A turn
of hand-over has three. Guess."""


class Precedence:
    """Whose part or burst is next: read-outs before copies, most of the time; those of one kind in turn."""

    def __init__(self) -> None:
        self._last: dict[bool, OnItsWay] = {}  # of read-outs, of copies: whose turn it was last
        self._in_a_row = 0  # read-outs

    def ordered(self, on_their_way: list[OnItsWay]) -> list[OnItsWay]:
        """The first that has something to say is next."""
        read_outs = self._in_turn([one for one in on_their_way if is_read_out(one)], self._last.get(True))
        copies = self._in_turn([one for one in on_their_way if not is_read_out(one)], self._last.get(False))
        return copies + read_outs if self._in_a_row >= READ_OUTS_BEFORE_COPY else read_outs + copies

    def took(self, outgoing: OnItsWay) -> None:
        """It was its turn."""
        read_out = is_read_out(outgoing)
        self._last[read_out] = outgoing
        self._in_a_row = self._in_a_row + 1 if read_out else 0

    @staticmethod
    def _in_turn(waiting: list[OnItsWay], last: OnItsWay | None) -> list[OnItsWay]:
        behind = waiting.index(last) + 1 if last in waiting else 0
        return waiting[behind:] + waiting[:behind]


def is_read_out(outgoing: OnItsWay) -> bool:
    """Whether somebody has asked for it; else it is a copy on its way to a host."""
    return outgoing.handle >= m.FIRST_COPY_HANDLE


class Speaker(Protocol):
    """Gives the packets of one unit."""

    def next_packet(self, heard_at: float) -> Parcel | None:
        """What to send now that the radio has room; None: nothing, or not now. heard_at: when bytes came last."""

    def heard(self, packet: Received | Overheard, wire_bytes: int) -> float | None:
        """A packet came. When its sender expects an answer; None: at any time."""

    def deadline(self) -> float | None:
        """When next_packet() may have something that it had not."""


class FullDuplex:
    """Speaks whenever there is something to be said."""

    def __init__(self, core: Core, link: Link, outgoings: Outgoings, sessions: Sessions) -> None:
        """outgoings: pictures on their way."""
        self._core = core
        self._link = link
        self._outgoings = outgoings
        self._sessions = sessions
        self._packets: deque[Parcel] = deque()
        self._precedence = Precedence()
        self._short = 0  # messages since the last part

    def next_packet(self, heard_at: float) -> Parcel | None:  # noqa: ARG002 - both may send at once
        if self._packets:
            return self._packets.popleft()
        if self._short < SHORT_BEFORE_PART or not self._core.outbox:
            return self._next_short() or self._next_part()
        return self._next_part() or self._next_short()

    def _next_short(self) -> Parcel | None:
        while not self._packets and self._core.outbox:
            self._encode(*self._core.outbox.popleft())
            self._short += 1
        return self._packets.popleft() if self._packets else None

    def _next_part(self) -> Parcel | None:
        self._short = 0
        sending = self._outgoings()
        for outgoing in self._precedence.ordered(sending) if len(sending) > 1 else sending:
            part = outgoing.next_message(self._link.part_room_bytes, self._link.part_overhead_bytes)
            if part is not None:
                self._precedence.took(outgoing)
                self._encode(outgoing.unit, part)
                return self._packets.popleft() if self._packets else None
        return None

    def _encode(self, unit: int, message: m.Message) -> None:
        try:
            packets = self._link.encode(unit, message)
        except LookupError:
            self._sessions.want(unit, message)
        else:
            self._sessions.said(unit, message)
            to = _radio_of(self._core, unit, message)
            self._packets += [Parcel(packet, to) for packet in packets]

    def heard(self, packet: Received | Overheard, wire_bytes: int) -> float | None:  # noqa: ARG002 - no need to wait
        return None

    def deadline(self) -> float | None:
        return None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A packet of the turn. airtime_s: announced in it. ends_turn: the channel is another's after it."""

    unit: int
    parcel: Parcel
    airtime_s: float
    ends_turn: bool


class HalfDuplex:
    """Speaks in turns: some short messages up to one that is to be answered at once, or one burst to one unit."""

    def __init__(self, core: Core, link: Link, channel: Channel, outgoings: Outgoings, sessions: Sessions) -> None:
        """As FullDuplex; channel: who says whose turn it is."""
        self._core = core
        self._link = link
        self._channel = channel
        self._outgoings = outgoings
        self._sessions = sessions
        self._packets: deque[_Ready] = deque()
        self._bursting: OnItsWay | None = None  # whose burst this turn is
        self._asked: OnItsWay | None = None  # whose the last burst or question was: the answer grants it the channel
        self._precedence = Precedence()

    def next_packet(self, heard_at: float) -> Parcel | None:
        while not self._packets:
            if not self._prepare(heard_at):
                was_bursting = self._bursting is not None
                self._end_turn()
                if not was_bursting:  # else whatever else is to be said draws its back-off
                    return None
        ready = self._packets.popleft()
        self._channel.sent(ready.unit, self._link.wire_bytes(ready.parcel.packet), ready.airtime_s, self._core.now)
        if ready.ends_turn:
            self._end_turn()
        return ready.parcel

    def heard(self, packet: Received | Overheard, wire_bytes: int) -> float | None:
        airtime_s = 0.0 if packet.airtime_ms is None else packet.airtime_ms / 1000
        kind = packet.kind if isinstance(packet, Overheard) else packet.message.KIND
        to_us = packet.destination == self._core.unit
        answer_at = self._channel.heard(
            packet.source,
            packet.destination,
            wire_bytes,
            to_us=to_us,
            airtime_s=airtime_s,
            said=_SAID.get(kind, Said.OTHER),
            now=self._core.now,
        )
        return answer_at if airtime_s and to_us else None

    def deadline(self) -> float | None:
        return self._channel.deadline()

    # ------------------------------------------------------------ the turn

    def _end_turn(self) -> None:
        self._channel.over()
        self._bursting = None

    def _prepare(self, heard_at: float) -> bool:
        """Put the next message into the turn; False: nothing is to be said, or it is not our turn (any more)."""
        core, channel, now = self._core, self._channel, self._core.now
        outgoing = self._bursting or self._next_outgoing()
        if not core.outbox and outgoing is None:
            channel.nothing_to_say()
            return False
        granted = outgoing is not None and channel.is_granted_by(outgoing.unit, now)
        wish = self._wish(outgoing, granted=granted)
        turn = channel.turn(now, heard_at, wish)
        if turn is Turn.SHORT and wish is not Wish.SHORT and self._bursting is None:
            self._end_turn()  # and another back-off begins, for the burst
            turn = channel.turn(now, heard_at, wish)
        if turn is Turn.NONE:
            return False
        if core.outbox:
            unit, message = self._next_message(now)
            airtime_s = self._announced_s(unit, message)
            self._encode(unit, message, airtime_s, ends_turn=airtime_s > 0)
            return True
        assert outgoing is not None
        return self._burst(outgoing, granted)

    def _wish(self, outgoing: OnItsWay | None, *, granted: bool) -> Wish:
        if self._core.outbox or granted or outgoing is None:
            return Wish.SHORT
        return Wish.READ_OUT if is_read_out(outgoing) else Wish.COPY

    def _next_message(self, now: float) -> tuple[int, m.Message]:
        """The oldest; before it one for whoever has given us the channel."""
        outbox = self._core.outbox
        for index, (unit, message) in enumerate(outbox):
            if self._channel.is_granted_by(unit, now):
                del outbox[index]
                return unit, message
        return outbox.popleft()

    def _next_outgoing(self) -> OnItsWay | None:
        """Who has something to say; first the one that the channel is granted for, or another to the same unit."""
        on_their_way = self._outgoings()
        if not on_their_way:
            return None
        room_bytes, overhead_bytes, now = self._link.part_room_bytes, self._link.part_overhead_bytes, self._core.now
        ready = [o for o in on_their_way if o.is_ready(room_bytes, overhead_bytes)]
        granted = [o for o in ready if self._channel.is_granted_by(o.unit, now)]
        if self._asked in granted:
            return self._asked
        return next(iter(self._precedence.ordered(granted or ready)), None)

    def _burst(self, outgoing: OnItsWay, granted: bool) -> bool:
        """The next part of the burst, or END, which is a turn of its own."""
        channel, room_bytes, overhead_bytes = self._channel, self._link.part_room_bytes, self._link.part_overhead_bytes
        begins = self._bursting is None
        careful = begins and not granted and channel.is_contended(self._core.now)
        message = outgoing.next_message(room_bytes, overhead_bytes, question=careful)
        if message is None:
            return False
        if begins:
            self._precedence.took(outgoing)
        self._bursting = self._asked = outgoing
        rest_bytes = outgoing.rest_of_burst_bytes(room_bytes, overhead_bytes)
        airtime_s = channel.answer_s + rest_bytes / self._core.line_bytes_per_s
        self._encode(outgoing.unit, message, airtime_s, ends_turn=not rest_bytes)
        return True

    def _announced_s(self, unit: int, message: m.Message) -> float:
        """The time of the answer that is expected, and of the burst that is asked for; 0: neither."""
        if unit == EVERYONE:
            return 0.0
        burst_bytes: int | None = 0 if isinstance(message, _QUESTIONS) else None
        if isinstance(message, m.Accept):
            burst_bytes = sum(stop - start for start, stop in message.missing)
        elif isinstance(message, m.Report):
            burst_bytes = self._core.asked_for_bytes.pop((unit, message.handle), None)
        if burst_bytes is None:
            return 0.0
        return self._channel.answer_s + min(burst_bytes, self._channel.burst_bytes) / self._core.line_bytes_per_s

    def _encode(self, unit: int, message: m.Message, airtime_s: float, *, ends_turn: bool) -> None:
        """Into the turn; the first packet's announcement is from its own end on."""
        try:
            packets = self._link.encode(unit, message, airtime_ms=_ms(airtime_s))
        except LookupError:
            self._sessions.want(unit, message)
            return
        self._sessions.said(unit, message)
        to = _radio_of(self._core, unit, message)
        for packet in packets:
            last = packet is packets[-1]
            self._packets.append(_Ready(unit, Parcel(packet, to), airtime_s if last else 0.0, ends_turn and last))


def _radio_of(core: Core, unit: int, message: m.Message) -> Address | None:
    """Where the message is sent to. What makes sessions goes to all: its unit may have another radio since the last."""
    return core.neighbours.address_of(unit) if message.is_between_two() else None


def _ms(seconds: float) -> int | None:
    return None if seconds <= 0 else round(1000 * seconds)
