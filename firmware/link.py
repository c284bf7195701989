"""Packets: messages with a clear header and a seal, cut into pieces where they do not fit the radio.

Header (docs/protocol.md): version and flags, kind, source, destination; then airtime and message number where the flags
say so. It stands in the clear, so that third units can hold off; the seal gets it to authenticate.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from firmware.errors import DamagedPacket, UnknownVersion
from firmware.messages import (
    MAX_PART_BYTES,
    MAX_ROSTER_PART_BYTES,
    Hello,
    Message,
    Part,
    RosterPart,
    Welcome,
    inventory_rows_that_fit,
    kind_of,
    ranges_that_fit,
    records_that_fit,
)
from firmware.pictures import EVERYONE, MAX_UNIT
from firmware.seal import MAX_PEERS, Seal
from hal.light_dataclass import dataclass

VERSION = 1
"""Of the wire format, in the header's upper three bits."""
MIN_MTU_BYTES = 48
"""The smallest packet with which every message fits MAX_PIECES; radios that carry less than 66 are not known (Digi)."""
MAX_PIECES = 4
"""Pieces of one message (DESIGN §7)."""
ASSEMBLY_AGE_S = 10.0
"""Messages whose pieces have not all come in this time are forgotten. Guess: ten bursts of a slow radio."""
MAX_ASSEMBLIES_PER_PEER = 4
"""Messages of one peer under assembly; beyond it the oldest is forgotten. Guess: no unit sends two at once."""
MAX_ASSEMBLIES = 32
"""Messages under assembly in all: at most 32 × 4 packets of memory."""
AIRTIME_TICK_MS = 10
"""Unit of the header's airtime; its most, 65535, tells 655 s or more."""

_HEADER = struct.Struct(">BBHH")
_AIRTIME = struct.Struct(">H")
_NUMBER_BYTES = 1
_MAX_AIRTIME = 0xFFFF
_HAS_AIRTIME = 0x10
_CRC_BYTES = 2  # of a frame on a serial line (docs/protocol.md), as are the two below
_DELIMITER_BYTES = 1
_COBS_RUN_BYTES = 254  # COBS adds a byte for each begun run of so many


@dataclass(frozen=True, slots=True)
class Received:
    """A whole message for this unit. new_boot: the source has restarted, or is new, since its last message."""

    source: int
    destination: int
    message: Message
    new_boot: bool
    airtime_ms: int | None


@dataclass(frozen=True, slots=True)
class Overheard:
    """A packet between others: its header only, not authenticated. airtime_ms: for how long to hold off."""

    source: int
    destination: int
    kind: int
    airtime_ms: int | None


class _Header(NamedTuple):  # made of every packet that is heard, most of them between others
    size_bytes: int
    kind: int
    source: int
    destination: int
    airtime_ms: int | None
    pieces: int
    piece: int  # which one, from 0
    number: int  # of the message that it is a piece of, 0 where it is whole


@dataclass(slots=True)
class _Assembly:
    source: int
    begun: float
    pieces: dict[int, bytes]


def _read_header(packet: bytes) -> _Header:
    """Raises DamagedPacket, UnknownVersion."""
    if len(packet) < _HEADER.size:
        raise DamagedPacket("the packet ends within its header")
    flags, kind, source, destination = _HEADER.unpack_from(packet)
    if flags >> 5 != VERSION:
        raise UnknownVersion(f"a packet of version {flags >> 5}; this software speaks version {VERSION}")
    count, index = (flags >> 2 & 3) + 1, flags & 3
    if index >= count or not 1 <= source <= MAX_UNIT or destination == 0:
        raise DamagedPacket("the packet has a header that cannot be")
    at, airtime_ms, number = _HEADER.size, None, 0
    if len(packet) < at + (_AIRTIME.size if flags & _HAS_AIRTIME else 0) + (_NUMBER_BYTES if count > 1 else 0):
        raise DamagedPacket("the packet ends within its header")
    if flags & _HAS_AIRTIME:
        airtime_ms = _AIRTIME.unpack_from(packet, at)[0] * AIRTIME_TICK_MS
        at += _AIRTIME.size
    if count > 1:
        number = packet[at]
        at += _NUMBER_BYTES
    return _Header(at, kind, source, destination, airtime_ms, count, index, number)


def _wire_bytes(packet_bytes: int) -> int:
    coded_bytes = packet_bytes + _CRC_BYTES
    return coded_bytes + -(-coded_bytes // _COBS_RUN_BYTES) + _DELIMITER_BYTES


class Link:
    """Makes packets of messages and messages of packets, for one unit on one radio.

    overhears: whether decode() tells of packets between others; where all may send at once nobody needs that.
    """

    def __init__(self, unit: int, seal: Seal, mtu_bytes: int, *, overhears: bool = True) -> None:
        if mtu_bytes < MIN_MTU_BYTES:
            raise ValueError(f"a radio with packets of {mtu_bytes} bytes; {MIN_MTU_BYTES} are needed")
        self.unit = unit
        self._overhears = overhears
        self.seal = seal
        self._whole_room_bytes = mtu_bytes - _HEADER.size - seal.overhead_bytes
        self._piece_room_bytes = self._whole_room_bytes - _AIRTIME.size - _NUMBER_BYTES
        self._last_number = 0
        self._assemblies: dict[tuple[object, ...], _Assembly] = {}  # the oldest first
        self._told: dict[int, int] = {}  # peer -> session that a Received has told of; the oldest first

    @property
    def part_room_bytes(self) -> int:
        """Data bytes that fit a Part, with or without airtime in its header."""
        return min(MAX_PART_BYTES, self._whole_room_bytes - _AIRTIME.size - Part.FIXED_BYTES)

    @property
    def part_overhead_bytes(self) -> int:
        """Bytes that the line carries besides the data of the longest Part, without airtime."""
        packet_bytes = _HEADER.size + self.seal.overhead_bytes + Part.FIXED_BYTES + self.part_room_bytes
        return _wire_bytes(packet_bytes) - self.part_room_bytes

    def wire_bytes(self, packet: bytes) -> int:
        """What a packet takes on a serial line."""
        return _wire_bytes(len(packet))

    @property
    def message_room_bytes(self) -> int:
        """The longest body of a message other than Part."""
        return MAX_PIECES * self._piece_room_bytes

    @property
    def roster_room_bytes(self) -> int:
        """Data bytes that fit a ROSTER_PART."""
        return min(MAX_ROSTER_PART_BYTES, self.message_room_bytes - RosterPart.FIXED_BYTES)

    @property
    def most_ranges(self) -> int:
        """Ranges that fit an ACCEPT, REPORT or GET."""
        return ranges_that_fit(self.message_room_bytes)

    @property
    def most_inventory_rows(self) -> int:
        """Rows that fit an INVENTORY."""
        return inventory_rows_that_fit(self.message_room_bytes)

    @property
    def most_records(self) -> int:
        """Rows that fit a RECORDS."""
        return records_that_fit(self.message_room_bytes)

    def encode(self, destination: int, message: Message, *, airtime_ms: int | None = None) -> list[bytes]:
        """The packets of a message, in order: one, or up to MAX_PIECES. airtime_ms is told in the last, rounded up.

        LookupError: seal.knows(destination) is False. ValueError: a value does not fit its field, the message does
        not fit (see part_room_bytes, most_ranges, most_inventory_rows, most_records), or may not be said to everyone.
        """
        to_ourselves = destination == self.unit and not isinstance(message, Hello | Welcome)  # R11: is it another one?
        if to_ourselves or (destination == EVERYONE and not message.BROADCAST):
            raise ValueError(f"{type(message).__name__} cannot be sent to {destination}")
        encoded = message.encode()
        clear, body = encoded[: message.CLEAR_BYTES], encoded[message.CLEAR_BYTES :]
        if len(encoded) <= self._whole_room_bytes - (0 if airtime_ms is None else _AIRTIME.size):
            return [self._packet(destination, message, clear, body, airtime_ms)]
        room_bytes = self._piece_room_bytes - len(clear)
        count = -(-len(body) // room_bytes)
        if count > MAX_PIECES or isinstance(message, Part):
            raise ValueError(f"{type(message).__name__} of {len(encoded)} bytes does not fit the radio's packets")
        self._last_number = (self._last_number + 1) % 256
        number = bytes([self._last_number])
        return [
            self._packet(
                destination,
                message,
                number + clear,
                body[index * room_bytes : (index + 1) * room_bytes],
                airtime_ms if index == count - 1 else None,
                (count - 1) << 2 | index,
            )
            for index in range(count)
        ]

    def _packet(
        self, destination: int, message: Message, clear: bytes, body: bytes, airtime_ms: int | None, piece: int = 0
    ) -> bytes:
        """clear: what of the header, or in the clear behind it, is not said otherwise."""
        flags = VERSION << 5 | piece
        airtime = b""
        if airtime_ms is not None:
            flags |= _HAS_AIRTIME
            airtime = _AIRTIME.pack(min(_MAX_AIRTIME, -(-airtime_ms // AIRTIME_TICK_MS)))
        header = _HEADER.pack(flags, message.KIND, self.unit, destination) + airtime + clear
        return self.seal.seal(header, destination, body) if message.SEALED else header + body

    def decode(self, packet: bytes, now: float) -> Received | Overheard | None:
        """What a packet from the radio says. None: pieces are still missing, or it is an echo of our own or
        between others, and the link does not overhear.

        Raises PeerError of every kind, and nothing else, whatever the bytes are. ForeignSession is to be answered by
        a beacon that asks for one, at most one a second (HANDOVER §5).
        """
        if not self._overhears and self._is_between_others(packet):
            return None
        header = _read_header(packet)
        source, destination = header.source, header.destination
        if source != self.unit and destination not in (self.unit, EVERYONE):
            return Overheard(source, destination, header.kind, header.airtime_ms)
        kind = kind_of(header.kind)
        if destination == EVERYONE and not kind.BROADCAST:
            raise DamagedPacket(f"a message of kind {header.kind} to everyone, which is for one unit only")
        at = header.size_bytes + kind.CLEAR_BYTES
        if len(packet) < at:
            raise DamagedPacket("the packet ends within what stands in the clear")
        clear, body = packet[header.size_bytes : at], self._open(kind, header, packet[:at], packet[at:])
        if body is not None and header.pieces > 1:
            body = self._assemble(header, clear, body, now)
        if body is None:
            return None
        message = kind.decode(clear + body)
        is_news = kind.SEALED and kind not in (Hello, Welcome) and self.is_news(source)  # else nobody would be told
        return Received(source, destination, message, is_news, header.airtime_ms)

    def _open(self, kind: type[Message], header: _Header, in_the_clear: bytes, rest: bytes) -> bytes | None:
        """What was sealed; None: an echo."""
        if kind.SEALED:
            return self.seal.open(in_the_clear, header.source, header.destination, rest)
        return None if header.source == self.unit else rest

    def _is_between_others(self, packet: bytes) -> bool:
        """Of our version, from and to other units; most of what is heard where many are in range is."""
        if len(packet) < _HEADER.size or packet[0] >> 5 != VERSION:
            return False
        _, _, source, destination = _HEADER.unpack_from(packet)
        return source != self.unit and destination not in (self.unit, EVERYONE)

    def is_news(self, source: int) -> bool:
        """Whether nobody was told of this session of the peer yet; from now on somebody was."""
        session = self.seal.session(source)
        if session is None or self._told.get(source) == session:
            return False
        if source not in self._told and len(self._told) >= MAX_PEERS:
            del self._told[next(iter(self._told))]
        self._told[source] = session
        return True

    def _assemble(self, header: _Header, clear: bytes, piece: bytes, now: float) -> bytes | None:
        """The whole body once the last of its pieces has come; until then None."""
        session = self.seal.session(header.source) or 0
        key = (header.source, session, header.destination, header.kind, header.number, header.pieces, clear)
        self._forget_aged(now)
        assembly = self._assemblies.get(key)
        if assembly is None or assembly.pieces.get(header.piece, piece) != piece:
            self._assemblies.pop(key, None)
            self._make_room(header.source)
            assembly = self._assemblies[key] = _Assembly(header.source, now, {})
        assembly.pieces[header.piece] = piece
        if len(assembly.pieces) < header.pieces:
            return None
        del self._assemblies[key]
        return b"".join(assembly.pieces[index] for index in range(header.pieces))

    def _forget_aged(self, now: float) -> None:
        for key in [key for key, one in self._assemblies.items() if now - one.begun > ASSEMBLY_AGE_S]:
            del self._assemblies[key]

    def _make_room(self, source: int) -> None:
        """Forget the peer's oldest assembly, or else the oldest of all, where there are too many for one more."""
        of_source = [key for key, one in self._assemblies.items() if one.source == source]
        if len(of_source) >= MAX_ASSEMBLIES_PER_PEER:
            del self._assemblies[of_source[0]]
        elif len(self._assemblies) >= MAX_ASSEMBLIES:
            del self._assemblies[next(iter(self._assemblies))]
