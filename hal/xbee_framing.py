"""How API frames go over the serial line between a program and an XBee module.

    0x7E   length (2 bytes, big-endian)   kind (1 byte) and what follows it   checksum (1 byte)

length counts kind and what follows, the body; the checksum is 0xFF less the low byte of their sum. In API mode 2 each
0x7E, 0x7D, 0x11 and 0x13 after the start byte is sent as 0x7D and itself XOR 0x20; length and checksum are of the bytes
before that (Digi 90001506, chapter "API mode").

Mode 2 is the better one: a start byte is one wherever it stands, so that damage costs the frames that it hits and no
time. In mode 1 it may be data. There a frame whose start byte or length was damaged is found out at its checksum, or
after HALF_FRAME_S of silence; then reading goes on behind its start byte, and whatever good frames it seemed to hold
come out. (So whoever can both damage our line and choose what is sent over the air could make up a frame of the module
in mode 1. What comes over the air is sealed, whatever the frame.)
"""

from __future__ import annotations

import enum
from typing import Final

from hal.xbee_frames import KINDS, LONGEST_BODY_BYTES, Frame

START: Final = 0x7E
ESCAPE: Final = 0x7D
ESCAPED: Final = frozenset({START, ESCAPE, 0x11, 0x13})
"""Sent as ESCAPE and themselves XOR _FLIP in mode 2; the last two are XON and XOFF."""
_FLIP: Final = 0x20
_START: Final = bytes([START])
_ESCAPE: Final = bytes([ESCAPE])
_BEFORE_BYTES: Final = 3  # start byte and length

HALF_FRAME_S: Final = 0.1
"""Silence within a frame, in seconds, after which its rest is not waited for: the module sends a frame without pauses,
a USB adapter holds bytes back for up to 16 ms (FTDI's latency timer). Guess, with room for a busy machine."""


class ApiMode(enum.IntEnum):
    """How frames are sent, as the module's AP says; 0 there is transparent mode, without frames."""

    PLAIN = 1
    ESCAPED = 2


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
        if data:
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
        kind = KINDS.get(body[0])
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
