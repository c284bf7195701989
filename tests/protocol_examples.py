"""The examples of docs/protocol.md §11, made by the shipped code: title there -> the bytes."""

from __future__ import annotations

import binascii

from firmware.link import Link
from firmware.messages import Accept, Beacon, Hello, Hold, Part, Ready, Report, Welcome
from firmware.noise import private_key, public_bytes
from firmware.pictures import EVERYONE, PictureId
from firmware.sessions import Keys, SessionSeal
from hal.framing import frame
from hal.interfaces import TimeQuality

PICTURE = PictureId(1, 0x3FA7, 42)
BEACON = Beacon(
    card=0x3FA7,
    boot=0x11223344,
    epoch=3,
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
PRIVATE = {1: b"\x01" * 32, 2: b"\x02" * 32}
PUBLIC = {unit: public_bytes(private_key(key)) for unit, key in PRIVATE.items()}
SECRET = b"\x03" * 32
EPHEMERAL = {1: b"\x04" * 32, 2: b"\x05" * 32}


def _link(unit: int, card: int, boot: int) -> tuple[SessionSeal, Link]:
    keys = Keys(epoch=3, secret=SECRET, private=PRIVATE[unit], public=PUBLIC)
    seal = SessionSeal(unit, card, boot, keys, lambda size: EPHEMERAL[unit][:size])
    return seal, Link(unit, seal, 64)


def _examples() -> dict[str, bytes]:
    (one, first), (two, second) = _link(1, 0x3FA7, 0x11223344), _link(2, 0x5AB0, 0x55667788)
    beacon = first.encode(EVERYONE, BEACON)[0]
    second.decode(beacon, 0.0)
    hello = two.begin(1)
    hellos = second.encode(1, hello)
    first.decode(hellos[0], 0.0)
    first.decode(hellos[1], 0.0)
    assert isinstance(hello, Hello)
    welcome = one.on_hello(2, hello, 0.0)
    assert isinstance(welcome, Welcome)
    welcomes = first.encode(2, welcome)
    two.on_welcome(1, welcome, 0.0)
    ready = second.encode(1, Ready())[0]
    first.decode(ready, 0.0)
    hold = first.encode(2, HOLD)[0]
    accept = second.encode(1, Accept(PICTURE, 7, 5, 60, ((0, 203_114),)), airtime_ms=1_234)[0]
    report = second.encode(1, Report(5, tuple((at, at + 10_000) for at in range(0, 260_000, 20_000)), 260_000))
    return {
        "BEACON of unit 1 to everyone, a packet": beacon,
        "HELLO of unit 2 to unit 1, first piece": hellos[0],
        "HELLO of unit 2 to unit 1, second piece": hellos[1],
        "WELCOME of unit 1 to unit 2, first piece": welcomes[0],
        "WELCOME of unit 1 to unit 2, second piece": welcomes[1],
        "READY of unit 2 to unit 1, a packet": ready,
        "HOLD of unit 1 to unit 2, a packet": hold,
        "Its CRC": binascii.crc_hqx(hold, 0xFFFF).to_bytes(2, "big"),
        "Its frame, as it goes over the line": frame(hold),
        "PART of unit 1 to unit 2, a packet": first.encode(2, Part(5, 4096, b"\xff\xd8\x00\x00\xff"))[0],
        "ACCEPT of unit 2 to unit 1 with an airtime of 1234 ms, a packet": accept,
        "REPORT of unit 2 to unit 1, first piece": report[0],
        "REPORT of unit 2 to unit 1, second piece": report[1],
    }


EXAMPLES = _examples()
