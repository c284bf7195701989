"""The one seal point: what a frame carries so that nothing from before a restart, or from elsewhere, is obeyed.

InsecureSeal is how units run without credentials (HANDOVER §5): every frame carries both units' boot numbers. It keeps
out what is old, not what is forged.
"""

from __future__ import annotations

import struct
from dataclasses import field
from typing import Protocol

from firmware.errors import ClonedUnit, DamagedPacket, ForeignSession
from firmware.pictures import EVERYONE
from hal.light_dataclass import dataclass

TAG_BYTES = 16
"""Of a tag that a unit makes for itself (HANDOVER R6)."""
MAX_PEERS = 256
"""Peers remembered; beyond it the one not heard for longest is forgotten. Five times the largest network."""
MAX_LEFT_BOOTS = 64
"""Boot numbers remembered per peer as left; beyond it the oldest is forgotten. Restarts within any frame's life."""
EARLIER_BOOTS = 1024
"""A boot number at most this far below another is of an earlier start: they count up by one (DESIGN §8). A number
drawn anew at random, after the loss of a catalogue, falls there once in four million times."""

_BOOTS = 1 << 32
_SEAL = struct.Struct(">II")


class Seal(Protocol):
    """Wraps bodies for a destination and unwraps them, and knows which peers it can speak to."""

    overhead_bytes: int

    @property
    def epoch(self) -> int:
        """Of the roster that it goes by; 0: none."""

    def tag(self, told: bytes) -> bytes:
        """16 bytes that nobody but this unit can make for what it tells; zeros where there are no credentials."""

    def knows(self, unit: int) -> bool:
        """Whether seal() can be called for this destination; always for EVERYONE."""

    def session(self, unit: int) -> int | None:
        """A number that changes when the peer restarts, or None where it is not known."""

    def is_there(self, unit: int) -> bool:
        """Whether what the unit has said to everyone last is of the start that it speaks to us in. Else somebody may
        be saying again what was recorded."""

    def seal(self, header: bytes, destination: int, body: bytes) -> bytes:
        """The whole packet, header first. LookupError for a peer that is not known: ask it for a beacon."""

    def open(self, header: bytes, source: int, destination: int, rest: bytes) -> bytes | None:
        """The body of a packet to us or to EVERYONE, or None for the echo of one of our own.

        Raises DamagedPacket, ForeignSession, ClonedUnit. May change session(source).
        """


@dataclass(slots=True)
class _Peer:
    """boot: heard last. proved: the last one that came with our own boot number, so that it is no older than we are."""

    boot: int
    proved: int | None = None
    left: dict[int, None] = field(default_factory=dict)  # proved ones, in the order in which they were left


class InsecureSeal:
    """Both boot numbers before the body: the sender's, and the receiver's (0 in a frame to everyone).

    A frame to us is taken if it names our boot and either the peer's current number or one that is new: the peer has
    heard us, so its old number is left for ever. A frame to everyone may be older than it looks: another number in it
    becomes the current one, but leaves none for ever, and the next beacon puts right what a late one has put wrong. A
    number just below a known one is of an earlier start and not new: without this, a frame that comes late would make
    us leave the peer's true number.
    """

    overhead_bytes = _SEAL.size
    epoch = 0

    def __init__(self, unit: int, boot: int) -> None:
        assert 0 <= boot < _BOOTS, boot
        self._unit = unit
        self._boot = boot
        self._peers: dict[int, _Peer] = {}  # the one heard last stands last

    def tag(self, told: bytes) -> bytes:  # noqa: ARG002 - anybody could make one
        return bytes(TAG_BYTES)

    def knows(self, unit: int) -> bool:
        return unit == EVERYONE or unit in self._peers

    def session(self, unit: int) -> int | None:
        peer = self._peers.get(unit)
        return None if peer is None else peer.boot

    def is_there(self, unit: int) -> bool:
        """Without credentials there is nothing better than a beacon."""
        return unit in self._peers

    def seal(self, header: bytes, destination: int, body: bytes) -> bytes:
        if destination == EVERYONE:
            return header + _SEAL.pack(self._boot, 0) + body
        peer = self._peers.get(destination)
        if peer is None:
            raise LookupError(f"the boot number of unit {destination} is not known yet")
        return header + _SEAL.pack(self._boot, peer.boot) + body

    def open(self, header: bytes, source: int, destination: int, rest: bytes) -> bytes | None:  # noqa: ARG002
        if len(rest) < _SEAL.size:
            raise DamagedPacket("the packet ends within its seal")
        theirs, ours = _SEAL.unpack_from(rest)
        if source == self._unit:
            self._check_echo(theirs)
            return None
        if destination == EVERYONE and ours != 0:
            raise DamagedPacket("a frame to everyone names a receiver's boot number")
        if destination != EVERYONE and ours != self._boot:
            raise ForeignSession(f"unit {source} speaks to an earlier start of this unit", source=source)
        self._hear(source, theirs, named_us=destination != EVERYONE)
        return rest[_SEAL.size :]

    def _check_echo(self, boot: int) -> None:
        """R11: what an earlier start of ours sent may still be under way; a later one than this cannot be ours."""
        if 0 < (boot - self._boot) % _BOOTS < _BOOTS // 2:
            raise ClonedUnit(
                f"another unit sends as unit {self._unit} (its boot number is {boot}, ours {self._boot})",
                did="the frame was thrown away",
                can="give one of the two another unit.id",
            )

    def _hear(self, source: int, boot: int, *, named_us: bool) -> None:
        """Take `boot` for the current number of source, or raise ForeignSession."""
        peer = self._peers.pop(source, None)
        if peer is None:
            if len(self._peers) >= MAX_PEERS:
                del self._peers[next(iter(self._peers))]
            peer = _Peer(boot)
        self._peers[source] = peer
        if boot in peer.left or is_earlier(boot, peer.boot) or is_earlier(boot, peer.proved):
            raise ForeignSession(f"unit {source} sent this before its last restart", source=source)
        if named_us and boot == peer.proved != peer.boot:
            raise ForeignSession(f"unit {source} was heard under another boot number since", source=source)
        if named_us and boot != peer.proved:
            _leave(peer)
            peer.proved = boot
        peer.boot = boot


def is_earlier(boot: int, known: int | None) -> bool:
    return known is not None and 0 < (known - boot) % _BOOTS <= EARLIER_BOOTS


def _leave(peer: _Peer) -> None:
    """The number proved until now is not taken again."""
    if peer.proved is not None:
        if len(peer.left) >= MAX_LEFT_BOOTS:
            del peer.left[next(iter(peer.left))]
        peer.left[peer.proved] = None
