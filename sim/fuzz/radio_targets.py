"""Targets: what comes over the radio. Bytes of the line, packets, messages."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

from firmware.errors import PeerError
from firmware.link import MAX_ASSEMBLIES, MIN_MTU_BYTES, Link, Overheard, Received
from firmware.messages import Beacon, Message, Part, Ready, decode
from firmware.pictures import EVERYONE
from firmware.seal import InsecureSeal
from hal.framing import DELIMITER, FrameReader, frame, longest_frame_bytes
from hal.interfaces import TimeQuality
from hal.serial_radio import MTU_BYTES
from sim.credentials import seal_of
from sim.fuzz.target import Target

LINE_BYTES = longest_frame_bytes(MTU_BYTES) + 50
"""More than the reader may keep, and than the kernel keeps for one that is late: 4096 (TRAPS)."""
SLOWLY_BYTES = 300
"""Up to here an input is read byte by byte, too; longer ones seven bytes at a time, or it would take all the time."""
MAX_PACKETS = 8
"""In one input of several: enough for a message in pieces, other pieces between them, and another message."""
PACKET_HEAD_BYTES = 2
"""Before each packet of such an input: 4 bits of seconds since the one before, 12 bits of its length."""
SEALED_LIMIT_S = 0.01
"""The two links greet one another anew for each input, which takes 2 ms."""
US, PEER, OTHER = 1, 2, 3  # units
OUR_BOOT, PEER_BOOT = 7, 9
_VECTORS = Path(__file__).parents[2] / "tests" / "vectors" / "messages.json"


@functools.cache
def vectors() -> tuple[tuple[int, bytes], ...]:
    """Kind and body of every golden vector."""
    rows = json.loads(_VECTORS.read_text())
    return tuple((row["kind"], bytes.fromhex(row["hex"])) for row in rows)


# ---------------------------------------------------------------- frames


def _read(data: bytes) -> tuple[FrameReader, list[bytes]]:
    reader = FrameReader(MTU_BYTES)
    return reader, reader.feed(data)


def _check_read(data: bytes, read: tuple[FrameReader, list[bytes]]) -> None:
    """Byte by byte makes no difference, nothing long is kept, and one delimiter later all is well."""
    reader, packets = read
    slow = FrameReader(MTU_BYTES)
    step = 1 if len(data) <= SLOWLY_BYTES else 7
    assert [p for at in range(0, len(data), step) for p in slow.feed(data[at : at + step])] == packets
    assert slow.frames_damaged == reader.frames_damaged
    assert all(1 <= len(packet) <= MTU_BYTES for packet in packets)
    for each in (reader, slow):
        each.feed(b"without an end" * (len(data) // 8))
        assert len(each._begun) < longest_frame_bytes(MTU_BYTES)
        assert each.feed(DELIMITER + frame(b"next"))[-1:] == [b"next"]


def _frames() -> list[bytes]:
    too_long = bytes(MTU_BYTES + 1)
    return [b"".join(frame(packet) for packet in packets) for packets in [*_packet_sequences(), [too_long]]]


# ---------------------------------------------------------------- packets


def _link(unit: int, boot: int, mtu_bytes: int = MTU_BYTES) -> Link:
    return Link(unit, InsecureSeal(unit, boot), mtu_bytes)


@functools.cache
def _beacons() -> tuple[bytes, bytes]:
    """Ours and the peer's."""
    kind, body = next(vector for vector in vectors() if vector[0] == 1)
    ours = _link(US, OUR_BOOT).encode(EVERYONE, decode(kind, body))
    peers = _link(PEER, PEER_BOOT).encode(EVERYONE, decode(kind, body))
    return ours[0], peers[0]


def _packet_sequences() -> list[list[bytes]]:
    """What the peer says: each message, whole and in pieces, to us and to everyone, with airtime and without."""
    said = []
    for mtu_bytes, airtime_ms in ((MTU_BYTES, None), (MTU_BYTES, 1230), (MIN_MTU_BYTES, None)):
        peer = _link(PEER, PEER_BOOT, mtu_bytes)
        peer.decode(_beacons()[0], 0.0)
        for kind, body in vectors():
            message = decode(kind, body)
            if mtu_bytes == MIN_MTU_BYTES and len(body) > peer.message_room_bytes:
                continue
            said.append(peer.encode(US, message, airtime_ms=airtime_ms))
            if message.BROADCAST:
                said.append(peer.encode(EVERYONE, message, airtime_ms=airtime_ms))
        said.append(peer.encode(US, Part(5, 1000, b"x" * peer.part_room_bytes)))
    return said


def _hear(data: bytes) -> tuple[Link, list[Received | Overheard]]:
    """Several packets, one after the other, to a link that knows a peer."""
    link = _link(US, OUR_BOOT)
    link.decode(_beacons()[1], 0.0)
    return _hear_at(link, data)


def _hear_at(link: Link, data: bytes) -> tuple[Link, list[Received | Overheard]]:
    now, heard = 0.0, []
    for _ in range(MAX_PACKETS):
        if not data:
            break
        head = int.from_bytes(data[:PACKET_HEAD_BYTES])
        now += head >> 12
        packet, data = data[PACKET_HEAD_BYTES:][: head & 0xFFF], data[PACKET_HEAD_BYTES:][head & 0xFFF :]
        try:
            received = link.decode(packet, now)
        except PeerError:
            continue
        if received is not None:
            heard.append(received)
    return link, heard


def _check_heard(_data: bytes, result: tuple[Link, list[Received | Overheard]]) -> None:
    link, heard = result
    assert len(link._assemblies) <= MAX_ASSEMBLIES
    for one in heard:
        if isinstance(one, Received):
            assert one.source != US
            assert one.destination in (US, EVERYONE)
            assert decode(one.message.KIND, one.message.encode()) == one.message


def _packets() -> list[bytes]:
    return [
        b"".join(len(packet).to_bytes(PACKET_HEAD_BYTES) + packet for packet in packets)
        for packets in _packet_sequences()
    ]


# ---------------------------------------------------------------- packets of sessions


def _with_session() -> tuple[Link, Link]:
    """Ours and the peer's, which have greeted one another; the same each time."""
    seals = {unit: seal_of(unit, unit, boot, random.Random(unit)) for unit, boot in ((US, OUR_BOOT), (PEER, PEER_BOOT))}
    ours, peers = (Link(unit, seal, MTU_BYTES) for unit, seal in seals.items())
    for one, other, boot in ((ours, peers, OUR_BOOT), (peers, ours, PEER_BOOT)):
        told = Beacon(one.unit, boot, 1, 0, 0, 255, 60, False, True, None, TimeQuality.UNSET)
        other.decode(one.encode(EVERYONE, told)[0], 0.0)
    hello = seals[PEER].begin(US)
    ours.decode(peers.encode(US, hello)[0], 0.0)
    welcome = seals[US].on_hello(PEER, hello, 0.0)
    assert welcome is not None
    peers.decode(ours.encode(PEER, welcome)[0], 0.0)
    seals[PEER].on_welcome(US, welcome, 0.0)
    ours.decode(peers.encode(US, Ready())[0], 0.0)
    return ours, peers


def _hear_sealed(data: bytes) -> tuple[Link, list[Received | Overheard]]:
    return _hear_at(_with_session()[0], data)


def _sealed() -> list[bytes]:
    """Each message once, to us and to everyone."""
    said = []
    for kind, body in vectors():
        message, peer = decode(kind, body), _with_session()[1]
        packets = peer.encode(US, message)
        packets += peer.encode(EVERYONE, message) if message.BROADCAST else []
        said.append(b"".join(len(packet).to_bytes(PACKET_HEAD_BYTES) + packet for packet in packets))
    return said


# ---------------------------------------------------------------- messages


def _decode(data: bytes) -> Message:
    return decode(data[0] if data else 0, data[1:])


def _check_message(data: bytes, message: Message) -> None:
    """A message has one encoding."""
    assert bytes([message.KIND]) + message.encode() == data


TARGETS = (
    Target("frames", _read, (), _check_read, _frames, LINE_BYTES),
    Target("packets", _hear, (), _check_heard, _packets, LINE_BYTES),
    Target("sealed packets", _hear_sealed, (), _check_heard, _sealed, LINE_BYTES, SEALED_LIMIT_S),
    Target(
        "messages",
        _decode,
        (PeerError,),
        _check_message,
        lambda: [bytes([kind]) + body for kind, body in vectors()],
        MTU_BYTES,
    ),
)
