"""How a simulated XBee module gets a packet over the air: listening, back-off, acknowledgement, retries, budget.

One packet at a time, as the modules do it. A unicast is sent until its acknowledgement comes, or all tries have failed;
a broadcast so often as the product repeats it, whoever hears it, and it is told as delivered even where the air was
busy each time (90002277, "Extended Transmit Status - 0x8B"). Who gets a packet twice, since its acknowledgement was
lost, takes it once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from hal.light_dataclass import dataclass
from hal.xbee_frames import BROADCAST, UNKNOWN_16, Delivery
from sim.xbee_air import Air
from sim.xbee_products import AFA_CHANNELS, AIRTIME_S, FIRST_SLOTS, LISTENINGS, MOST_SLOTS, OFF_S, Product
from sim.xbee_settings import Settings

NO_64: Final = (1 << 64) - 1
"""64-bit address of a packet that names its receiver by 16 bits."""
ALL_16: Final = 0xFFFF
"""16-bit address of everybody."""

_WINDOW_S: Final = 3600.0  # of the airtime budget
_BUCKET_S: Final = 360.0  # the module counts in such steps (90001538, "Listen Before Talk")
_ACK_GUARD_S: Final = 0.001  # an acknowledgement is waited for so much longer than it takes. Guess
_REMEMBERED: Final = 64  # senders whose last packet a module knows again


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Data on the air. `to` is NO_64 where to_16 says who."""

    network: int
    source: int
    source_16: int
    to: int
    to_16: int
    sequence: int
    data: bytes

    @property
    def is_broadcast(self) -> bool:
        """For everybody of the network."""
        return self.to == BROADCAST or (self.to == NO_64 and self.to_16 == ALL_16)


@dataclass(frozen=True, slots=True)
class Ack:
    """It has arrived."""

    source: int  # of the packet
    sequence: int
    by_16: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a packet, retries counted."""

    status: Delivery
    retries: int
    by_16: int


@dataclass(slots=True)
class Identity:
    """Who a module is on the air; what of it is a setting follows the settings."""

    address: int
    short: int


class Mac:
    """Of one module. deliver: a packet for it has come, with its strength. It belongs to the air from the start."""

    def __init__(
        self,
        air: Air[Packet | Ack],
        product: Product,
        settings: Settings,
        identity: Identity,
        deliver: Callable[[Packet, int], None],
    ) -> None:
        self.is_on = True  # it has power and is awake
        self.airtime_s = 0.0
        self._air = air
        self._product = product
        self._settings = settings
        self._identity = identity
        self._deliver = deliver
        self._budget = Budget(settings) if product.has_budget else None
        self._is_sending = False
        self._sending: _Sending | None = None
        self._sequence = 0
        self._heard: dict[int, int] = {}  # by source, oldest first
        air.join(self)

    @property
    def channel(self) -> int:
        """CH, or HP where the product hops."""
        return self._settings.get("CH", 0) << 8 | self._settings.get("HP", 0)

    @property
    def is_listening(self) -> bool:
        """Not while it sends."""
        return self.is_on and not self._is_sending

    def send(self, *, to: int, to_16: int, data: bytes, done: Callable[[Outcome], None]) -> None:
        """Begin with a packet; only when there is none under way."""
        assert self._sending is None
        self._sequence += 1
        packet = Packet(
            network=self._settings["ID"],
            source=self._identity.address,
            source_16=self._identity.short,
            to=to,
            to_16=to_16,
            sequence=self._sequence,
            data=data,
        )
        tries = (1 + self._product.mac_retries) * (1 + self._settings.get("RR", self._product.retries))
        if packet.is_broadcast:
            tries = 1 + self._settings.get("MT", self._product.repeats)
        self._sending = _Sending(packet, tries, done)
        self._back_off(self._sending)

    def stop(self) -> None:
        """Power is gone, or the module sleeps: what was under way is given up, and nobody is told."""
        self._sending = None
        self.is_on = False

    def _back_off(self, sending: _Sending) -> None:
        slots = min((FIRST_SLOTS + 1 << sending.listened) - 1, MOST_SLOTS)
        wait_s = self._air.rng.randint(0, slots) * self._product.slot_s + self._product.listen_s
        self._then(wait_s, sending, self._listen)

    def _listen(self, sending: _Sending) -> None:
        if not self._air.is_busy(self.channel):
            sending.listened = 0
            self._then(self._product.turnaround_s, sending, self._talk)
            return
        sending.listened += 1
        if sending.listened < LISTENINGS:
            self._back_off(sending)
        else:
            sending.listened = 0
            self._missed(sending, Delivery.CHANNEL_BUSY)

    def _talk(self, sending: _Sending) -> None:
        seconds = self._air_s(self._product.overhead_bytes + len(sending.packet.data))
        if self._budget is not None:
            starts_at = self._budget.next_start(self._air.now)
            if starts_at is None:
                self._finish(sending, Delivery.NO_RESOURCES)
                return
            if starts_at > self._air.now:
                self._then(starts_at - self._air.now, sending, self._back_off)
                return
        self._put(sending.packet, seconds)
        sending.tried += 1
        if sending.packet.is_broadcast:
            self._then(seconds, sending, self._said)
        else:
            wait_s = self._product.turnaround_s + self._air_s(self._product.ack_bytes) + _ACK_GUARD_S
            self._then(seconds + wait_s, sending, self._unanswered)

    def _said(self, sending: _Sending) -> None:
        """A broadcast was said once more."""
        if sending.tried < sending.tries:
            self._back_off(sending)
        else:
            self._finish(sending, Delivery.SUCCESS)

    def _unanswered(self, sending: _Sending) -> None:
        self._missed(sending, self._product.no_ack)

    def _missed(self, sending: _Sending, why: Delivery) -> None:
        if why is Delivery.CHANNEL_BUSY:
            sending.tried += 1
        if sending.tried < sending.tries:
            self._back_off(sending)
        else:
            self._finish(sending, Delivery.SUCCESS if sending.packet.is_broadcast else why)

    def _finish(self, sending: _Sending, status: Delivery, by_16: int = UNKNOWN_16) -> None:
        """Tell, once the module is done with all around it; it can take the next one then."""
        self._sending = None
        retries = max(0, min(sending.tried - 1, 0xFF))
        outcome = Outcome(status, 0 if sending.packet.is_broadcast else retries, by_16)
        self._air.at(self._air.now + self._product.handling_s, lambda: sending.done(outcome))

    def hear(self, frame: Packet | Ack, rssi_dbm: int) -> None:
        """Called by the air."""
        sending = self._sending
        if isinstance(frame, Ack):
            if sending is not None and (frame.source, frame.sequence) == (
                self._identity.address,
                sending.packet.sequence,
            ):
                self._finish(sending, Delivery.SUCCESS, frame.by_16)
            return
        if frame.network != self._settings["ID"]:
            return
        if not frame.is_broadcast:
            if not self._is_mine(frame):
                return
            ack = Ack(frame.source, frame.sequence, self._identity.short)
            self._air.at(self._air.now + self._product.turnaround_s, lambda: self._answer(ack))
        if self._heard.pop(frame.source, None) != frame.sequence:
            self._deliver(frame, rssi_dbm)
        self._heard[frame.source] = frame.sequence
        if len(self._heard) > _REMEMBERED:
            del self._heard[next(iter(self._heard))]

    def _is_mine(self, packet: Packet) -> bool:
        if packet.to == NO_64:
            return packet.to_16 == self._identity.short
        return packet.to == self._identity.address

    def _answer(self, ack: Ack) -> None:
        if self.is_listening:
            self._put(ack, self._air_s(self._product.ack_bytes))

    def _put(self, frame: Packet | Ack, seconds: float) -> None:
        self._is_sending = True
        self.airtime_s += seconds
        if self._budget is not None:
            self._budget.spend(seconds, self._air.now)
        self._air.at(self._air.now + seconds, self._sent)
        self._air.send(self, frame, seconds)

    def _sent(self) -> None:
        self._is_sending = False

    def _air_s(self, size_bytes: int) -> float:
        rates = self._product.rates_bps
        return self._product.air_s(size_bytes, rates[min(self._settings.get("BR", 0), len(rates) - 1)])

    def _then(self, seconds: float, sending: _Sending, step: Callable[[_Sending], None]) -> None:
        """Go on later, unless this packet is no more the one that is under way then, or another step has been taken."""
        sending.steps += 1
        expected = sending.steps

        def go_on() -> None:
            if self._sending is sending and sending.steps == expected:
                step(sending)

        self._air.at(self._air.now + seconds, go_on)


@dataclass(slots=True, eq=False)
class _Sending:
    packet: Packet
    tries: int
    done: Callable[[Outcome], None]
    tried: int = 0
    listened: int = 0  # in vain, one after the other
    steps: int = 0


class Budget:
    """The airtime that the law leaves a module on EU 868: AIRTIME_S an hour and channel, OFF_S between two uses of one.

    The channels let by CM are taken in turns, so that what one may, all may; counted in buckets, as the module does it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buckets: deque[tuple[int, float]] = deque()  # (number, seconds), of the last hour
        self._free_at = [0.0] * AFA_CHANNELS

    @property
    def channels(self) -> list[int]:
        """Those that CM lets."""
        return [channel for channel in range(AFA_CHANNELS) if self._settings["CM"] >> channel & 1]

    def next_start(self, now: float) -> float | None:
        """When a channel may be used next; None where the hour's airtime is used up."""
        number = int(now // _BUCKET_S)
        while self._buckets and self._buckets[0][0] <= number - _WINDOW_S / _BUCKET_S:
            self._buckets.popleft()
        if sum(seconds for _, seconds in self._buckets) >= AIRTIME_S * len(self.channels):
            return None
        return max(now, min(self._free_at[channel] for channel in self.channels))

    def spend(self, seconds: float, now: float) -> None:
        """Something goes on the air."""
        number = int(now // _BUCKET_S)
        if self._buckets and self._buckets[-1][0] == number:
            _, spent = self._buckets.pop()
            seconds_in_bucket = spent + seconds
        else:
            seconds_in_bucket = seconds
        self._buckets.append((number, seconds_in_bucket))
        channel = min(self.channels, key=lambda each: self._free_at[each])
        self._free_at[channel] = now + seconds + OFF_S
