"""API frames: what a program and an XBee module say to one another over the serial line, and how they are delimited.

    0x7E   length (2 bytes, big-endian)   kind (1 byte) and what follows it   checksum (1 byte)

length counts kind and what follows; the checksum is 0xFF less the low byte of their sum. In API mode 2 each 0x7E, 0x7D,
0x11 and 0x13 after the start byte is sent as 0x7D and itself XOR 0x20; length and checksum are of the bytes before that
(Digi, "XBee/XBee-PRO S2C DigiMesh 2.4 User Guide" 90001506, chapter "API mode", as all others of the family). Numbers
are big-endian.

Mode 2 is the better one: a start byte is one wherever it stands, so that damage costs the frames that it hits and no
time. In mode 1 it may be data. There a frame whose start byte or length was damaged is found out at its checksum, or
after HALF_FRAME_S of silence; then reading goes on behind its start byte, and whatever good frames it seemed to hold
come out. (So whoever can both damage our line and choose what is sent over the air could make up a frame of the module
in mode 1. What comes over the air is sealed, whatever the frame.)

Both ends use this file: hal's driver and the simulated module. A frame is a dataclass with `encode` and `decode`
between itself and the bytes from kind to before the checksum; `pack` makes the whole frame of them, ApiReader takes
frames apart again.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar, Final, Self

START: Final = 0x7E
ESCAPE: Final = 0x7D
ESCAPED: Final = frozenset({START, ESCAPE, 0x11, 0x13})
"""Sent as ESCAPE and themselves XOR _FLIP in mode 2; the last two are XON and XOFF."""
_FLIP: Final = 0x20
_START: Final = bytes([START])
_ESCAPE: Final = bytes([ESCAPE])

LONGEST_DATA_BYTES: Final = 2048
"""Of one packet over the air: the largest that a unit works with (largest real one: 1500, XBee cellular and Wi-Fi)."""
LONGEST_BODY_BYTES: Final = LONGEST_DATA_BYTES + 14
"""What the length field may say: the longest data in a transmit request, whose header is the longest."""
_BEFORE_BYTES: Final = 3  # start byte and length

HALF_FRAME_S: Final = 0.1
"""Silence within a frame, in seconds, after which its rest is not waited for: the module sends a frame without pauses,
a USB adapter holds bytes back for up to 16 ms (FTDI's latency timer). Guess, with room for a busy machine."""

BROADCAST: Final = 0xFFFF
"""64-bit destination: all modules that hear it."""
COORDINATOR: Final = 0
"""64-bit destination: the coordinator, where a network has one (Zigbee)."""
UNKNOWN_16: Final = 0xFFFE
"""16-bit address where there is none, or none is known."""
NO_ANSWER: Final = 0
"""Frame id of a frame that is not to be answered; others, 1 to 255, come back in the answer."""


class ApiMode(enum.IntEnum):
    """How frames are sent, as the module's AP says; 0 there is transparent mode, without frames."""

    PLAIN = 1
    ESCAPED = 2


class AtStatus(enum.IntEnum):
    """What became of an AT command. A module may say other numbers."""

    OK = 0
    ERROR = 1
    INVALID_COMMAND = 2
    INVALID_PARAMETER = 3


class Delivery(enum.IntEnum):
    """What became of a packet, in TransmitStatus and TxStatus. A module may say other numbers."""

    SUCCESS = 0x00  # the other module has acknowledged it; of a broadcast: it was sent
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
class AtCommand:
    """To the module: read a parameter (value empty), set it, or do something; at once. Answered by AtResponse."""

    KIND: ClassVar[int] = 0x08
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
class AtQueued:
    """To the module: as AtCommand, but a parameter set takes effect only with the next AtCommand or command AC."""

    KIND: ClassVar[int] = 0x09
    frame_id: int
    command: str
    value: bytes = b""

    def encode(self) -> bytes:
        return bytes([self.KIND, self.frame_id]) + _name(self.command) + self.value

    @classmethod
    def decode(cls, body: bytes) -> Self | None:
        if len(body) < 4 or (command := _command(body[2:4])) is None:
            return None
        return cls(frame_id=body[1], command=command, value=body[4:])


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

_KINDS: Final[dict[int, type[Frame]]] = {
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


def checksum(body: bytes) -> int:
    """What follows a frame's body, of the bytes before escaping."""
    return (0xFF - sum(body)) & 0xFF


def pack(frame: Frame, mode: ApiMode) -> bytes:
    """The bytes of a frame on the line."""
    body = frame.encode()
    assert len(body) <= LONGEST_BODY_BYTES
    plain = len(body).to_bytes(2, "big") + body + bytes([checksum(body)])
    return _START + (plain if mode is ApiMode.PLAIN else _escape(plain))


def _escape(plain: bytes) -> bytes:
    for byte in (ESCAPE, *sorted(ESCAPED - {ESCAPE})):  # ESCAPE first: the others put new ones in
        plain = plain.replace(bytes([byte]), bytes([ESCAPE, byte ^ _FLIP]))
    return plain


class ApiReader:
    """Takes whatever comes from a line and gives the frames in it.

    Any bytes are fine. Damage is counted and skipped: wrong checksum or length, a frame broken off by the next start
    byte (mode 2) or by silence, bytes outside any frame (each stretch once), a known kind of frame that is too short or
    too long for it. Whole frames of other kinds are counted as unknown. After feed() call expire() when `deadline` has
    passed; feed first what has come. It never keeps more than the longest frame.
    """

    def __init__(self, mode: ApiMode) -> None:
        self.mode = mode
        self.frames_damaged = 0
        self.frames_unknown = 0
        self.deadline: float | None = None  # when the rest of a frame begun is not waited for any more
        self._begun = bytearray()  # from a start byte on, unescaped
        self._escape = False  # mode 2: the last byte was ESCAPE
        self._noise = False  # outside frames, and counted

    @property
    def begun_bytes(self) -> int:
        """Bytes of a frame that waits for more, before escaping; 0 between frames."""
        return len(self._begun)

    def feed(self, data: bytes, now: float) -> list[Frame]:
        """The frames that end within data, in order. How data is cut into calls makes no difference."""
        frames: list[Frame] = []
        if self.mode is ApiMode.PLAIN:
            self._begun += data
            self._scan(frames)
        else:
            start = 0
            while (stop := data.find(_START, start)) >= 0:
                self._go_on(data[start:stop], frames)
                self._restart()
                start = stop + 1
            self._go_on(data[start:], frames)
        self.deadline = now + HALF_FRAME_S if self._begun else None
        return frames

    def expire(self, now: float) -> list[Frame]:
        """Give up the frame that waits for more, if its deadline has passed; in mode 1 the frames behind its start."""
        frames: list[Frame] = []
        if self.deadline is not None and now >= self.deadline:
            while self._begun:
                self._fail()
                self._scan(frames)
            self._escape = False
            self.deadline = None
        return frames

    def _restart(self) -> None:
        """Mode 2: a start byte. It is one, whatever had begun."""
        if self._begun:
            self._fail()
        self._begun += _START
        self._escape = self._noise = False

    def _go_on(self, piece: bytes, frames: list[Frame]) -> None:
        """Mode 2: bytes without a start byte."""
        if not piece:
            return
        if not self._begun:
            self._skip()
            return
        start = 0
        if self._escape:
            self._begun.append(piece[0] ^ _FLIP)
            start = 1
        while (stop := piece.find(_ESCAPE, start, -1)) >= 0:
            self._begun += piece[start:stop]
            self._begun.append(piece[stop + 1] ^ _FLIP)
            start = stop + 2
        self._escape = piece.endswith(_ESCAPE, start)
        self._begun += piece[start : len(piece) - self._escape]
        self._scan(frames)
        if self._escape and not self._begun:
            self._skip()  # it stands behind a frame

    def _scan(self, frames: list[Frame]) -> None:
        """Take the whole frames off what has begun."""
        while self._begun:
            if self._begun[0] != START:
                self._skip()
                start = self._begun.find(_START)
                del self._begun[: start if start >= 0 else len(self._begun)]
                continue
            if len(self._begun) < _BEFORE_BYTES:
                return
            length = int.from_bytes(self._begun[1:_BEFORE_BYTES], "big")
            end = _BEFORE_BYTES + length
            if not 1 <= length <= LONGEST_BODY_BYTES:
                self._fail()
            elif len(self._begun) > end:
                body = bytes(self._begun[_BEFORE_BYTES:end])
                if checksum(body) == self._begun[end]:
                    self._noise = False
                    del self._begun[: end + 1]
                    self._take(body, frames)
                    if self._begun and self.mode is ApiMode.ESCAPED:
                        self._skip()
                        self._begun.clear()  # no start byte among them: it would have come by _restart()
                else:
                    self._fail()
            else:
                return

    def _take(self, body: bytes, frames: list[Frame]) -> None:
        kind = _KINDS.get(body[0])
        frame = None if kind is None else kind.decode(body)
        if frame is not None:
            frames.append(frame)
        elif kind is None:
            self.frames_unknown += 1
        else:
            self.frames_damaged += 1

    def _fail(self) -> None:
        """What begins here is no frame: go on behind its start byte (mode 1), at the next one to come (mode 2)."""
        self.frames_damaged += 1
        self._noise = True
        self._escape = False
        if self.mode is ApiMode.PLAIN:
            del self._begun[0]
        else:
            self._begun.clear()

    def _skip(self) -> None:
        """There are bytes that belong to no frame."""
        self.frames_damaged += not self._noise
        self._noise = True
