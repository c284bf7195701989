"""The examples of docs/protocol.md §11, made by the shipped code: title there -> the bytes."""

from __future__ import annotations

import binascii
from dataclasses import replace

from firmware.link import Link
from firmware.messages import Accept, Beacon, Hello, Hold, Part, Ready, Report, RosterAsk, RosterPart, Welcome, Where
from firmware.noise import private_key, public_bytes
from firmware.pictures import EVERYONE, PictureId
from firmware.roster import make_roster
from firmware.seal import InsecureSeal
from firmware.sealing import derive
from firmware.sessions import Keys, SessionSeal
from hal.framing import frame
from hal.interfaces import TimeQuality

PICTURE = PictureId(1, 0x3FA7, 42)
CARD = {1: 0x3FA7, 2: 0x5AB0}
BOOT = {1: 0x11223344, 2: 0x55667788}
EPOCH = 3
MTU_BYTES = 64
BEACON = Beacon(
    card=CARD[1],
    boot=BOOT[1],
    epoch=EPOCH,
    room_bytes=12_000_000_000,
    queue=3,
    link=200,
    interval_s=600,
    answer_wanted=True,
    hosting=True,
    unix_s=1_760_000_000.0,
    quality=TimeQuality.SYNCED,
)
WHERE = Where(1, 9, PictureId(2, 0x5AB0, 7), 0)
HOLD = Hold(PICTURE, 7, b"\x00\x01\x02\x03")
PRIVATE = {1: b"\x01" * 32, 2: b"\x02" * 32}
PUBLIC = {unit: public_bytes(private_key(key)) for unit, key in PRIVATE.items()}
SECRET = b"\x03" * 32
EPHEMERAL = {1: b"\x04" * 32, 2: b"\x05" * 32}
ADMIN, WRAPPING = b"\x06" * 32, b"\x07" * 32


def _link(unit: int) -> tuple[SessionSeal, Link]:
    keys = Keys(epoch=EPOCH, secret=SECRET, private=PRIVATE[unit], public=PUBLIC)
    seal = SessionSeal(unit, CARD[unit], BOOT[unit], keys, lambda size: EPHEMERAL[unit][:size])
    return seal, Link(unit, seal, MTU_BYTES)


def _with_credentials() -> dict[str, bytes]:
    (one, first), (two, second) = _link(1), _link(2)
    beacon = first.encode(EVERYONE, BEACON)[0]
    second.decode(beacon, 0.0)
    hello = two.begin(1)
    (begun,) = [peer.begun for peer in two._peers.values()]
    assert begun is not None
    handshake = begun[0]
    hellos = second.encode(1, hello)
    first.decode(hellos[0], 0.0)
    first.decode(hellos[1], 0.0)
    assert isinstance(hello, Hello)
    welcome = one.on_hello(2, hello, 0.0)
    assert isinstance(welcome, Welcome)
    welcomes = first.encode(2, welcome)
    two.on_welcome(1, welcome, 0.0)
    from_two, from_one = handshake.keys()
    ready = second.encode(1, Ready())[0]
    first.decode(ready, 0.0)
    hold = first.encode(2, HOLD)[0]
    accept = second.encode(1, Accept(PICTURE, 7, 5, 60, ((0, 203_114),)), airtime_ms=1_234)[0]
    report = second.encode(1, Report(5, tuple((at, at + 10_000) for at in range(0, 260_000, 20_000)), 260_000))
    prologue = two._meant(2, CARD[2], BOOT[2], 1, BOOT[1])
    return {
        "Public key of unit 1": PUBLIC[1],
        "Public key of unit 2": PUBLIC[2],
        "Broadcast key of unit 1": one._broadcast_key(1, CARD[1], BOOT[1]),
        "Broadcast key of unit 2": two._broadcast_key(2, CARD[2], BOOT[2]),
        "BEACON of unit 1 to everyone, a packet": beacon,
        "WHERE of unit 1 to everyone, a packet": first.encode(EVERYONE, WHERE)[0],
        "Prologue of the handshake": prologue,
        "HELLO of unit 2 to unit 1, first piece": hellos[0],
        "HELLO of unit 2 to unit 1, second piece": hellos[1],
        "WELCOME of unit 1 to unit 2, first piece": welcomes[0],
        "WELCOME of unit 1 to unit 2, second piece": welcomes[1],
        "Noise's hash after WELCOME": handshake.hash,
        "Noise's first key, from unit 2 to unit 1": from_two,
        "Noise's second key, from unit 1 to unit 2": from_one,
        "Key from unit 2 to unit 1, all but PART": derive(from_two, b"dandelion"),
        "Key from unit 2 to unit 1, PART": derive(from_two, b"dandelion part"),
        "Key from unit 1 to unit 2, all but PART": derive(from_one, b"dandelion"),
        "Key from unit 1 to unit 2, PART": derive(from_one, b"dandelion part"),
        "READY of unit 2 to unit 1, a packet": ready,
        "HOLD of unit 1 to unit 2, a packet": hold,
        "Its CRC": binascii.crc_hqx(hold, 0xFFFF).to_bytes(2, "big"),
        "Its frame, as it goes over the line": frame(hold),
        "PART of unit 1 to unit 2, a packet": first.encode(2, Part(5, 4096, b"\xff\xd8\x00\x00\xff"))[0],
        "ACCEPT of unit 2 to unit 1 with an airtime of 1234 ms, a packet": accept,
        "REPORT of unit 2 to unit 1, first piece": report[0],
        "REPORT of unit 2 to unit 1, second piece": report[1],
    }


def _roster() -> dict[str, bytes]:
    roster = make_roster(
        admin_private=ADMIN, epoch=EPOCH, members=PUBLIC, secret=SECRET, ephemeral_private=WRAPPING
    ).encoded
    (_, first), (_, second) = _link(1), _link(2)
    asks = second.encode(1, RosterAsk(EPOCH - 1, 0))
    parts = first.encode(2, RosterPart(EPOCH, len(roster), 0, roster[: first.roster_room_bytes]))
    return {
        "The roster": roster,
        "ROSTER_ASK of unit 2 to unit 1, a packet": asks[0],
        "ROSTER_PART of unit 1 to unit 2, first of four pieces": parts[0],
    }


def _insecure() -> dict[str, bytes]:
    seal = InsecureSeal(1, BOOT[1])
    link = Link(1, seal, MTU_BYTES)
    other = Link(2, InsecureSeal(2, BOOT[2]), MTU_BYTES)
    link.decode(other.encode(EVERYONE, WHERE)[0], 0.0)
    return {
        "BEACON of unit 1 to everyone, insecure, a packet": link.encode(EVERYONE, replace(BEACON, epoch=0))[0],
        "HOLD of unit 1 to unit 2, insecure, a packet": link.encode(2, HOLD)[0],
    }


EXAMPLES = _with_credentials() | _roster() | _insecure()


def blocks() -> str:
    """All of them as they stand in the document: `python tests/protocol_examples.py` prints them."""
    lines = []
    for title, data in EXAMPLES.items():
        rows = [data[at : at + 32].hex(" ") for at in range(0, len(data), 32)]
        lines += [f"{title}:", "", "```hex", *rows, "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(blocks())
