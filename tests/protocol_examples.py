"""The examples of docs/protocol.md §11, made by the shipped code: title there -> the bytes."""

from __future__ import annotations

import binascii

from firmware.link import Link
from firmware.messages import Accept, Beacon, Hold, NameAsk, Part, Report
from firmware.pictures import EVERYONE, PictureId
from firmware.seal import InsecureSeal
from hal.framing import frame
from hal.interfaces import TimeQuality

PICTURE = PictureId(1, 0x3FA7, 42)
BEACON = Beacon(
    card=0x3FA7,
    boot=0x11223344,
    epoch=0,
    room_bytes=12_000_000_000,
    queue=3,
    link=200,
    interval_s=600,
    answer_wanted=True,
    hosting=True,
    unix_s=1_760_000_000.0,
    quality=TimeQuality.SYNCED,
)
HOLD = Hold(PICTURE, 7, b"\x00\x01\x02\x03")


def link_of(unit: int, boot: int, peer: int, peer_boot: int, mtu_bytes: int = 4128) -> Link:
    """A link of `unit` that has heard its peer."""
    link = Link(unit, InsecureSeal(unit, boot), mtu_bytes)
    link.decode(Link(peer, InsecureSeal(peer, peer_boot), mtu_bytes).encode(EVERYONE, NameAsk())[0], 0.0)
    return link


def _examples() -> dict[str, bytes]:
    one = link_of(1, 0x11223344, 2, 0x55667788)
    two = link_of(2, 0x55667788, 1, 0x11223344)
    small = link_of(2, 0x55667788, 1, 0x11223344, mtu_bytes=40)
    accept = two.encode(1, Accept(PICTURE, 7, 5, 60, ((0, 203_114),)), airtime_ms=1_234)[0]
    report = small.encode(1, Report(5, tuple((at, at + 10_000) for at in range(0, 140_000, 20_000)), 140_000))
    hold = one.encode(2, HOLD)[0]
    return {
        "BEACON of unit 1 to everyone, a packet": one.encode(EVERYONE, BEACON)[0],
        "HOLD of unit 1 to unit 2, a packet": hold,
        "Its CRC": binascii.crc_hqx(hold, 0xFFFF).to_bytes(2, "big"),
        "Its frame, as it goes over the line": frame(hold),
        "PART of unit 1 to unit 2, a packet": one.encode(2, Part(5, 4096, b"\xff\xd8\x00\x00\xff"))[0],
        "ACCEPT of unit 2 to unit 1 with an airtime of 1234 ms, a packet": accept,
        "REPORT of unit 2 to unit 1 with an MTU of 40 bytes, first piece": report[0],
        "REPORT of unit 2 to unit 1 with an MTU of 40 bytes, second piece": report[1],
    }


EXAMPLES = _examples()
