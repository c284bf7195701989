"""Units with credentials on a line of a test's own: links that make sessions by the messages that it delivers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from firmware.link import Link, Received
from firmware.messages import Beacon, Message, Ready
from firmware.noise import private_key, public_bytes
from firmware.pictures import EVERYONE
from firmware.sessions import Keys, SessionSeal
from hal.interfaces import TimeQuality

NOW = 1000.0
MTU_BYTES = 4128
RNG = random.Random(2026)
PRIVATE = {unit: RNG.randbytes(32) for unit in range(1, 10)}
PUBLIC = {unit: public_bytes(private_key(private)) for unit, private in PRIVATE.items()}
SECRET = RNG.randbytes(32)


def keys_of(
    unit: int, *, epoch: int = 1, secret: bytes = SECRET, public: Mapping[int, bytes] = PUBLIC, private: bytes = b""
) -> Keys:
    """Of a member of the network of units 1 to 9."""
    return Keys(epoch=epoch, secret=secret, private=private or PRIVATE[unit], public=public)


@dataclass
class Side:
    """One start of a unit."""

    unit: int
    boot: int
    card: int
    seal: SessionSeal
    link: Link

    def beacon(self) -> bytes:
        """A beacon of it."""
        return self.says(EVERYONE, beacon_of(self))

    def says(self, unit: int, message: Message) -> bytes:
        """The one packet of a message."""
        (packet,) = self.link.encode(unit, message)
        return packet

    def hears(self, packet: bytes) -> Message | None:
        """What a packet says to it; raises what the link raises."""
        received = self.link.decode(packet, NOW)
        return received.message if isinstance(received, Received) else None


def side(unit: int, boot: int = 7, *, card: int = 0x3FA7, keys: Keys | None = None, mtu_bytes: int = MTU_BYTES) -> Side:
    """A unit that has started; each start has ephemeral keys of its own."""
    chance = random.Random(f"{unit} {boot} {card}")
    seal = SessionSeal(unit, card, boot, keys or keys_of(unit), chance.randbytes)
    return Side(unit, boot, card, seal, Link(unit, seal, mtu_bytes))


def beacon_of(who: Side, **changed: object) -> Beacon:
    """As the unit would say it."""
    told = Beacon(who.card, who.boot, who.seal.epoch, 10**9, 0, 255, 60, False, True, None, TimeQuality.UNSET)
    return replace(told, **changed)  # type: ignore[arg-type]


def introduce(*sides: Side) -> None:
    """Each hears a beacon of each other one."""
    for one in sides:
        packet = one.beacon()
        for other in sides:
            if other is not one:
                assert other.hears(packet) is not None


def greet(one: Side, two: Side) -> list[bytes]:
    """The handshake that `one` begins, and its first word; both have introduced themselves. All packets of it."""
    packets = [one.says(two.unit, one.seal.begin(two.unit))]
    hello = two.hears(packets[0])
    welcome = two.seal.on_hello(one.unit, hello, NOW)  # type: ignore[arg-type]
    assert welcome is not None
    packets.append(two.says(one.unit, welcome))
    one.seal.on_welcome(two.unit, one.hears(packets[1]), NOW)  # type: ignore[arg-type]
    packets.append(one.says(two.unit, Ready()))
    assert two.hears(packets[2]) == Ready()
    return packets


def pair(boot: int = 7, other_boot: int = 9) -> tuple[Side, Side]:
    """Units 1 and 2 with a session."""
    one, two = side(1, boot), side(2, other_boot)
    introduce(one, two)
    greet(one, two)
    return one, two


def flipped(packet: bytes) -> Iterator[bytes]:
    """The packet with each of its bits turned over."""
    for index in range(8 * len(packet)):
        changed = bytearray(packet)
        changed[index // 8] ^= 1 << index % 8
        yield bytes(changed)
