"""Frames: a packet's bytes on a serial line, frame = COBS(packet + CRC-16) + 0x00.

Consistent overhead byte stuffing (Cheshire and Baker, 1999) takes every 0x00 out of packet and CRC, so that 0x00
only ever delimits: whatever noise came before, the next delimiter starts afresh. The coding is our own, on
slices of bytes, and not the package `cobs`, whose wheel for aarch64 is pure Python that walks byte by byte:
ours does 200 MB/s on a PC with the bytes of a picture, 5 MB/s with nothing but zeros (measured).

The CRC is crcmod's CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF, big-endian at the packet's end), which equals
binascii.crc_hqx(data, 0xFFFF). crcmod quietly falls back to pure Python where it could not be compiled (10 instead
of 194 MB/s, measured): crc_engine() says which one runs.
"""

from __future__ import annotations

import sys

import crcmod

DELIMITER = b"\x00"

CRC_BYTES = 2

# Silence on the line, in seconds, after which a sender puts one delimiter before its frame: noise that the receiver
# took for bytes meanwhile then ends in a damaged frame of its own. Guess: 1 byte in 1150 at 115200 baud.
IDLE_S = 0.1

# COBS: bytes without a zero that one code byte can announce, and the code that says so (no zero follows them).
_RUN_BYTES = 254
_FULL_RUN = 0xFF

_SHORTEST_BYTES = 1 + 1 + CRC_BYTES  # of a coded packet: code, one byte, CRC

_crc = crcmod.mkCrcFun(0x11021, initCrc=0xFFFF, rev=False, xorOut=0)


def crc_engine() -> str:
    """ "C" or "pure Python": what computes the CRC here; said at start and by `doctor`."""
    return "C" if "crcmod._crcfunext" in sys.modules else "pure Python"


def crc16(data: bytes) -> int:
    """The CRC that ends a packet on the line."""
    crc: int = _crc(data)
    return crc


def longest_frame_bytes(packet_bytes: int) -> int:
    """The length of the longest frame of any packet of this many bytes, its delimiter included."""
    coded = packet_bytes + CRC_BYTES
    return coded + -(-coded // _RUN_BYTES) + len(DELIMITER)


def frame(packet: bytes) -> bytes:
    """The bytes on the line for a packet of at least one byte, its delimiter included."""
    assert packet
    return _stuff(packet + crc16(packet).to_bytes(CRC_BYTES, "big")) + DELIMITER


def _stuff(data: bytes) -> bytes:
    """COBS: data (not empty) without its zeros. No bytes.join here or below: it takes 80 bytes more for each piece."""
    coded = bytearray()
    for run in data.split(DELIMITER):
        ends_full = bool(run) and len(run) % _RUN_BYTES == 0
        while len(run) >= _RUN_BYTES:
            coded.append(_FULL_RUN)
            coded += run[:_RUN_BYTES]
            run = run[_RUN_BYTES:]
        coded.append(len(run) + 1)
        coded += run
    if ends_full:
        coded.pop()  # no zero to announce
    return bytes(coded)


def _unstuff(data: bytes) -> bytes | None:
    """The opposite of _stuff for data without zeros; None if a code points past the end."""
    plain = bytearray()
    start = code = 0
    while start < len(data):
        code = data[start]
        if code > 1:
            plain += data[start + 1 : start + code]
        start += code
        if code != _FULL_RUN:
            plain.append(0)
    if start != len(data):
        return None
    if plain and code != _FULL_RUN:
        plain.pop()  # the zero after the last run is not part of the data
    return bytes(plain)


def _unframe(coded: bytes) -> bytes | None:
    """The packet in a frame without its delimiter; None if it is damaged."""
    if len(coded) < _SHORTEST_BYTES:
        return None
    data = _unstuff(coded)
    if data is None or len(data) <= CRC_BYTES or crc16(data) != 0:  # CRC over data and its own CRC is 0
        return None
    return data[:-CRC_BYTES]


class FrameReader:
    """Takes whatever comes from a line and gives the whole packets in it.

    Any bytes are fine. Damaged frames (bad coding or CRC, too short, too long) are counted and dropped; nothing
    between two delimiters is not damage. It never keeps more than the longest frame.
    """

    def __init__(self, longest_packet_bytes: int) -> None:
        self.frames_damaged = 0
        self._longest_packet_bytes = longest_packet_bytes
        self._limit_bytes = longest_frame_bytes(longest_packet_bytes) - len(DELIMITER)
        self._begun = bytearray()  # of a frame whose delimiter has not come; at most _limit_bytes
        self._skipping = False  # the frame is too long, counted already: drop up to the next delimiter

    @property
    def is_between_frames(self) -> bool:
        """Whether nothing of a frame is waiting for more."""
        return not self._begun and not self._skipping

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that end within data, in order. How data is cut into calls makes no difference."""
        packets: list[bytes] = []
        start = 0
        while (stop := data.find(DELIMITER, start)) >= 0:
            if self._begun or self._skipping:
                self._go_on(data[start:stop])
                packet = self._end()
            elif stop > start:
                packet = self._packet(data[start:stop])
            else:
                packet = None  # nothing between two delimiters
            if packet is not None:
                packets.append(packet)
            start = stop + 1
        self._go_on(data[start:])
        return packets

    def _go_on(self, piece: bytes) -> None:
        """More of the frame that has begun."""
        if self._skipping:
            return
        if len(self._begun) + len(piece) > self._limit_bytes:
            self._skipping = True
            self._begun.clear()
            self.frames_damaged += 1
            return
        self._begun += piece

    def _end(self) -> bytes | None:
        """A delimiter has come: the packet before it, if there is one."""
        coded = bytes(self._begun)
        self._begun.clear()
        if self._skipping:
            self._skipping = False
            return None
        return self._packet(coded)

    def _packet(self, coded: bytes) -> bytes | None:
        """What is in a whole frame; None, and counted, where that is nothing."""
        packet = _unframe(coded) if len(coded) <= self._limit_bytes else None
        if packet is None or len(packet) > self._longest_packet_bytes:
            self.frames_damaged += 1
            return None
        return packet
