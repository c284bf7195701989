"""API frames: what a program and an XBee module say to one another (Digi, "XBee/XBee-PRO S2C DigiMesh 2.4 User Guide"
90001506, chapter "API frames", as all others of the family). Numbers are big-endian.

Both ends use this file: hal's driver and the simulated module. A frame is a dataclass with `encode` and `decode`
between itself and its body: kind (1 byte) and what follows it. How bodies go over the serial line: xbee_framing.py.
"""

from __future__ import annotations

import enum
import struct
from typing import ClassVar, Final, Self

from hal.light_dataclass import dataclass

LONGEST_DATA_BYTES: Final = 2048
"""Of one packet over the air: the largest that a unit works with (largest real one: 1500, XBee cellular and Wi-Fi)."""
LONGEST_BODY_BYTES: Final = LONGEST_DATA_BYTES + 14
"""What the length field may say: the longest data in a transmit request, whose header is the longest."""
BROADCAST: Final = 0xFFFF
"""64-bit destination: all modules that hear it."""
COORDINATOR: Final = 0
"""64-bit destination: the coordinator, where a network has one (Zigbee)."""
UNKNOWN_16: Final = 0xFFFE
"""16-bit address where there is none, or none is known."""
NO_ANSWER: Final = 0
"""Frame id of a frame that is not to be answered; others, 1 to 255, come back in the answer."""


class AtStatus(enum.IntEnum):
    """What became of an AT command. A module may say other numbers."""

    OK = 0
    ERROR = 1
    INVALID_COMMAND = 2
    INVALID_PARAMETER = 3


class Delivery(enum.IntEnum):
    """What became of a packet, in TransmitStatus and TxStatus. A module may say other numbers."""

    SUCCESS = 0x00  # the other module has acknowledged it; told of every broadcast, too
    NO_ACK = 0x01  # all retries of one hop went unanswered
    CHANNEL_BUSY = 0x02  # listening before talking never found the channel free
    PURGED = 0x03  # dropped before it was sent
    NETWORK_ACK_FAILURE = 0x21  # the last module of a route did not answer
    NOT_JOINED = 0x22  # this module is in no network
    ADDRESS_NOT_FOUND = 0x24
    ROUTE_NOT_FOUND = 0x25
    NO_RESOURCES = 0x32  # no buffer, or no airtime left by law
    TOO_LARGE = 0x74  # more data than NP


class Modem(enum.IntEnum):
    """What a module says of itself, in ModemStatus. It may say other numbers."""

    HARDWARE_RESET = 0x00  # power came, or came back
    WATCHDOG_RESET = 0x01  # or the command FR
    JOINED = 0x02  # it is in a network now
    LEFT = 0x03
    COORDINATOR_STARTED = 0x06
    WOKE = 0x0B
    SLEPT = 0x0C


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    KIND: ClassVar[int]
    frame_id: int
    command: str  # two ASCII characters
    value: bytes = b""

    def encode(self) -> bytes:
        return bytes([self.KIND, self.frame_id]) + _name(self.command) + self.value

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < 4 or (command := _command(body[2:4])) is None:
            return None
        return cls(frame_id=body[1], command=command, value=body[4:])


@dataclass(frozen=True, slots=True, kw_only=True)
class AtCommand(_At):
    """To the module: read a parameter (value empty), set it, or do something; at once. Answered by AtResponse."""

    KIND: ClassVar[int] = 0x08


@dataclass(frozen=True, slots=True, kw_only=True)
class AtQueued(_At):
    """To the module: as AtCommand, but a parameter set takes effect only with the next AtCommand or command AC."""

    KIND: ClassVar[int] = 0x09


@dataclass(frozen=True, slots=True, kw_only=True)
class AtResponse:
    """From the module: what became of an AT command, and the value where one was read."""

    KIND: ClassVar[int] = 0x88
    frame_id: int
    command: str
    status: int  # AtStatus
    value: bytes = b""

    def encode(self) -> bytes:
        return bytes([self.KIND, self.frame_id]) + _name(self.command) + bytes([self.status]) + self.value

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < 5 or (command := _command(body[2:4])) is None:
            return None
        return cls(frame_id=body[1], command=command, status=body[4], value=body[5:])


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitRequest:
    """To the module (Zigbee, DigiMesh, 900HP, SX): send data. Answered by TransmitStatus."""

    KIND: ClassVar[int] = 0x10
    _HEAD: ClassVar[struct.Struct] = struct.Struct(">BBQHBB")
    frame_id: int
    to: int  # 64-bit address, BROADCAST or COORDINATOR
    to_16: int = UNKNOWN_16
    radius: int = 0  # most hops of a broadcast; 0: as many as the module is set to (BH, NH)
    options: int = 0  # 0: as the module is set to (TO)
    data: bytes

    def encode(self) -> bytes:
        head = self._HEAD.pack(self.KIND, self.frame_id, self.to, self.to_16, self.radius, self.options)
        return head + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < cls._HEAD.size:
            return None
        _, frame_id, to, to_16, radius, options = cls._HEAD.unpack_from(body)
        data = body[cls._HEAD.size :]
        return cls(frame_id=frame_id, to=to, to_16=to_16, radius=radius, options=options, data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitStatus:
    """From the module: what became of a TransmitRequest. It has done with it, and can take another one."""

    KIND: ClassVar[int] = 0x8B
    _WHOLE: ClassVar[struct.Struct] = struct.Struct(">BBHBBB")
    frame_id: int
    to_16: int = UNKNOWN_16
    retries: int  # how often it was sent again
    status: int  # Delivery
    discovery: int = 0  # 0: no address or route had to be found first

    def encode(self) -> bytes:
        return self._WHOLE.pack(self.KIND, self.frame_id, self.to_16, self.retries, self.status, self.discovery)

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) != cls._WHOLE.size:
            return None
        _, frame_id, to_16, retries, status, discovery = cls._WHOLE.unpack(body)
        return cls(frame_id=frame_id, to_16=to_16, retries=retries, status=status, discovery=discovery)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivePacket:
    """From the module (Zigbee, DigiMesh, 900HP, SX; AO = 0): data has come."""

    KIND: ClassVar[int] = 0x90
    ACKNOWLEDGED: ClassVar[int] = 0x01  # in options: the module has acknowledged it
    BROADCAST: ClassVar[int] = 0x02  # in options: it was for all
    _HEAD: ClassVar[struct.Struct] = struct.Struct(">BQHB")
    source: int  # 64-bit address
    source_16: int = UNKNOWN_16
    options: int
    data: bytes

    def encode(self) -> bytes:
        return self._HEAD.pack(self.KIND, self.source, self.source_16, self.options) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < cls._HEAD.size:
            return None
        _, source, source_16, options = cls._HEAD.unpack_from(body)
        return cls(source=source, source_16=source_16, options=options, data=body[cls._HEAD.size :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tx64:
    """To the module (802.15.4): send data to a 64-bit address or to BROADCAST. Answered by TxStatus."""

    KIND: ClassVar[int] = 0x00
    _HEAD: ClassVar[struct.Struct] = struct.Struct(">BBQB")
    frame_id: int
    to: int
    options: int = 0
    data: bytes

    def encode(self) -> bytes:
        return self._HEAD.pack(self.KIND, self.frame_id, self.to, self.options) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < cls._HEAD.size:
            return None
        _, frame_id, to, options = cls._HEAD.unpack_from(body)
        return cls(frame_id=frame_id, to=to, options=options, data=body[cls._HEAD.size :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tx16:
    """To the module (802.15.4): send data to a 16-bit address; 0xFFFF is all. Answered by TxStatus."""

    KIND: ClassVar[int] = 0x01
    _HEAD: ClassVar[struct.Struct] = struct.Struct(">BBHB")
    frame_id: int
    to_16: int
    options: int = 0
    data: bytes

    def encode(self) -> bytes:
        return self._HEAD.pack(self.KIND, self.frame_id, self.to_16, self.options) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < cls._HEAD.size:
            return None
        _, frame_id, to_16, options = cls._HEAD.unpack_from(body)
        return cls(frame_id=frame_id, to_16=to_16, options=options, data=body[cls._HEAD.size :])


@dataclass(frozen=True, slots=True, kw_only=True)
class TxStatus:
    """From the module (802.15.4): what became of a Tx64 or Tx16."""

    KIND: ClassVar[int] = 0x89
    frame_id: int
    status: int  # Delivery

    def encode(self) -> bytes:
        return bytes([self.KIND, self.frame_id, self.status])

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        return cls(frame_id=body[1], status=body[2]) if len(body) == 3 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rx64:
    """From the module (802.15.4): data has come from a module that has no 16-bit address (MY = 0xFFFE or 0xFFFF)."""

    KIND: ClassVar[int] = 0x80
    BROADCAST: ClassVar[int] = 0x02  # in options: it was for all of this network
    _HEAD: ClassVar[struct.Struct] = struct.Struct(">BQBB")
    source: int
    rssi_dbm: int  # strength of the signal, -255 to 0
    options: int
    data: bytes

    def encode(self) -> bytes:
        return self._HEAD.pack(self.KIND, self.source, -self.rssi_dbm, self.options) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < cls._HEAD.size:
            return None
        _, source, rssi, options = cls._HEAD.unpack_from(body)
        return cls(source=source, rssi_dbm=-rssi, options=options, data=body[cls._HEAD.size :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rx16:
    """From the module (802.15.4): data has come from a module with a 16-bit address."""

    KIND: ClassVar[int] = 0x81
    BROADCAST: ClassVar[int] = 0x02
    _HEAD: ClassVar[struct.Struct] = struct.Struct(">BHBB")
    source_16: int
    rssi_dbm: int
    options: int
    data: bytes

    def encode(self) -> bytes:
        return self._HEAD.pack(self.KIND, self.source_16, -self.rssi_dbm, self.options) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < cls._HEAD.size:
            return None
        _, source_16, rssi, options = cls._HEAD.unpack_from(body)
        return cls(source_16=source_16, rssi_dbm=-rssi, options=options, data=body[cls._HEAD.size :])


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemStatus:
    """From the module: it has started, joined, slept …; nobody asked."""

    KIND: ClassVar[int] = 0x8A
    status: int  # Modem

    def encode(self) -> bytes:
        return bytes([self.KIND, self.status])

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        return cls(status=body[1]) if len(body) == 2 else None


Frame = (
    AtCommand
    | AtQueued
    | AtResponse
    | TransmitRequest
    | TransmitStatus
    | ReceivePacket
    | Tx64
    | Tx16
    | TxStatus
    | Rx64
    | Rx16
    | ModemStatus
)

KINDS: Final[dict[int, type[Frame]]] = {
    kind.KIND: kind
    for kind in (
        *(AtCommand, AtQueued, AtResponse, TransmitRequest, TransmitStatus, ReceivePacket),
        *(Tx64, Tx16, TxStatus, Rx64, Rx16, ModemStatus),
    )
}


def _name(command: str) -> bytes:
    name = command.encode("ascii")
    assert len(name) == 2, command
    return name


def _command(name: bytes) -> str | None:
    """The command of these two bytes; None if it cannot be one."""
    return name.decode("ascii") if name.isascii() and name.decode("ascii").isprintable() else None
