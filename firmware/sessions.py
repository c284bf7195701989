"""The seal with credentials: sessions of two units, and the key under which each speaks to everyone (HANDOVER §5).

What is said to everyone, and the handshakes, are sealed with a key that is made of the network's secret and of what
the sender's introduction says in the clear: any member can make it. So nothing durable comes of these. All else is
sealed with keys of a session, which a handshake of the two units has made for their present starts.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field

from firmware.errors import (
    ClonedUnit,
    ForeignSession,
    NewerEpoch,
    OlderEpoch,
    Replayed,
    WrongSeal,
)
from firmware.messages import KINDS, Hello, Part, Welcome
from firmware.noise import KEY_BYTES, Handshake, private_key
from firmware.pictures import EVERYONE
from firmware.seal import TAG_BYTES as OWN_TAG_BYTES
from firmware.seal import is_earlier
from firmware.sealing import COUNTER_BYTES, MOST_FRAMES, OVERHEAD_BYTES, TAG_BYTES, WINDOW, Opener, Sealer, derive
from hal.light_dataclass import dataclass

REKEY_AFTER_FRAMES = 1 << 23
"""Sent under one session; then a new one is made (HANDOVER §5)."""
REKEY_AFTER_S = 24 * 3600.0
"""After so long a new session is made (HANDOVER §5)."""
MAX_STARTS = 4
"""Starts of one unit that are remembered, so that what was said in them is not taken twice. Guess."""

_INTRODUCING = frozenset(kind for kind, message in KINDS.items() if message.CLEAR_BYTES)
_INTRODUCTION = struct.Struct(">HIH")
_NAMED = struct.Struct(">HHI")
_MEANT = struct.Struct(">HHIHIH")


@dataclass(frozen=True, slots=True)
class Keys:
    """What a unit needs of its credential and of the newest roster. public: by unit, also its own."""

    epoch: int
    secret: bytes = field(repr=False)
    private: bytes = field(repr=False)
    public: Mapping[int, bytes]


_Start = tuple[int, int]
"""Card and boot number."""


class _Session:
    """Keys of two units' present starts: one for parts, one for all else, in each direction."""

    __slots__ = ("began", "boot", "openers", "sealers")

    def __init__(self, boot: int, keys: tuple[bytes, bytes], now: float) -> None:
        self.boot = boot
        self.began = now
        sending, receiving = keys
        self.sealers = tuple(Sealer(derive(sending, purpose)) for purpose in (b"dandelion", b"dandelion part"))
        self.openers = tuple(Opener(derive(receiving, purpose)) for purpose in (b"dandelion", b"dandelion part"))

    @property
    def frames(self) -> int:
        """Sent under the key that was used most."""
        return max(sealer.frames for sealer in self.sealers)


@dataclass(slots=True)
class _Peer:
    """starts: those that it has introduced itself with, the last one last. current: the session that is spoken in.
    offered: by our WELCOME, until the first frame under it shows that it has come. last: the one before, until the
    first frame under the current one. begun: our HELLO, and whose start it is for. answered: the HELLO that was
    answered last, and how."""

    starts: dict[_Start, Opener] = field(default_factory=dict)
    current: _Session | None = None
    offered: _Session | None = None
    last: _Session | None = None
    begun: tuple[Handshake, int] | None = None
    answered: tuple[bytes, Welcome] | None = None


class SessionSeal:
    """A Seal (firmware/seal.py) for members of one network. random_bytes: for keys; it must not be guessed."""

    overhead_bytes = OVERHEAD_BYTES

    def __init__(self, unit: int, card: int, boot: int, keys: Keys, random_bytes: Callable[[int], bytes]) -> None:
        self._unit = unit
        self._card = card
        self._boot = boot
        self._random_bytes = random_bytes
        self._peers: dict[int, _Peer] = {}
        self._take(keys)

    def use(self, keys: Keys) -> None:
        """Of a newer roster. Sessions go on, but with units that are no members any more or have other keys."""
        for unit in [unit for unit in self._peers if keys.public.get(unit) != self._keys.public.get(unit)]:
            del self._peers[unit]
        for peer in self._peers.values():  # what was made with the secret of the old one
            peer.starts.clear()
            peer.begun = peer.answered = None
        self._take(keys)

    def _take(self, keys: Keys) -> None:
        self._keys = keys
        self._static = private_key(keys.private)
        self._sealer = Sealer(self._broadcast_key(self._unit, self._card, self._boot))
        self._said: dict[int, bytes] = {}  # counters of the last frames that it has sealed, and their tags

    @property
    def epoch(self) -> int:
        """Of the roster in use."""
        return self._keys.epoch

    def tag(self, told: bytes) -> bytes:
        """It goes by the unit's own key, and so outlasts its card and every epoch."""
        key = derive(self._keys.private, b"dandelion tombstone")
        return hashlib.blake2b(told, key=key, digest_size=OWN_TAG_BYTES).digest()

    def is_member(self, unit: int) -> bool:
        """Whether the roster names it."""
        return unit in self._keys.public

    def _check_member(self, unit: int) -> None:
        if unit not in self._keys.public:
            raise WrongSeal(f"unit {unit} is no member of this network")

    def knows(self, unit: int) -> bool:
        if unit == EVERYONE:
            return True
        peer = self._peers.get(unit)
        return peer is not None and peer.current is not None and peer.current.frames < MOST_FRAMES

    def session(self, unit: int) -> int | None:
        peer = self._peers.get(unit)
        return self.introduced(unit) if peer is None or peer.current is None else peer.current.boot

    def is_there(self, unit: int) -> bool:
        peer = self._peers.get(unit)
        return peer is not None and peer.current is not None and peer.current.boot == self.introduced(unit)

    # ------------------------------------------------------------ frames

    def seal(self, header: bytes, destination: int, body: bytes) -> bytes:
        kind = header[1]
        if destination == EVERYONE or kind in _INTRODUCING:
            if self._sealer.frames >= MOST_FRAMES:
                raise OverflowError("so much was said to everyone that the unit must start anew, under another number")
            counter, packet = self._sealer.frames, self._sealer.seal(header, body)
            self._said[counter] = packet[-TAG_BYTES:]
            self._said.pop(counter - WINDOW, None)
            return packet
        if not self.knows(destination):
            raise LookupError(f"there is no session with unit {destination} yet")
        peer = self._peers[destination]
        assert peer.current is not None
        return peer.current.sealers[kind == Part.KIND].seal(header, body)

    def open(self, header: bytes, source: int, destination: int, rest: bytes) -> bytes | None:
        kind = header[1]
        if kind in _INTRODUCING:
            return self._open_introduction(header, source, destination, rest)
        self._check_member(source)
        if destination == EVERYONE:
            return self._open_broadcast(header, source, rest)
        return None if source == self._unit else self._open_in_session(header, source, kind, rest)

    def _open_introduction(self, header: bytes, source: int, destination: int, rest: bytes) -> bytes | None:
        card, boot, epoch = _INTRODUCTION.unpack_from(header, len(header) - _INTRODUCTION.size)
        if epoch != self._keys.epoch and source != self._unit:
            other = NewerEpoch if epoch > self._keys.epoch else OlderEpoch
            raise other(f"unit {source} has the roster of epoch {epoch}", source=source, epoch=epoch)
        self._check_member(source)
        if source == self._unit:
            return self._open_own(header, destination, (card, boot), rest)
        peer = self._peers.get(source) or _Peer()
        start = card, boot
        opener = peer.starts.get(start) or Opener(self._broadcast_key(source, card, boot))
        body = opener.open(header, rest)
        if peer.current is not None and is_earlier(boot, peer.current.boot):
            raise Replayed(f"unit {source} said this before its last start")
        peer.starts.pop(start, None)
        peer.starts[start] = opener
        if len(peer.starts) > MAX_STARTS:
            del peer.starts[next(iter(peer.starts))]
        self._peers[source] = peer
        return body

    def _open_own(self, header: bytes, destination: int, start: _Start, rest: bytes) -> bytes | None:
        """R11: what comes under our own number, unless it is an echo of what this start has sent. Any member can have
        made it, at any time: only a handshake shows that there is another one now, so those for us are let through."""
        opener = Opener(self._broadcast_key(self._unit, *start))
        body = opener.open(header, rest)
        if destination != self._unit and self.is_past(*start):
            raise Replayed("this unit said this before its last start")
        if start == (self._card, self._boot):
            counter = int.from_bytes(rest[:COUNTER_BYTES], "big")
            if self._said.get(counter) == rest[-TAG_BYTES:]:
                return None
            if counter not in self._said and counter < self._sealer.frames:
                raise Replayed("this unit said this long ago")
        self._peers.setdefault(self._unit, _Peer()).starts = {start: opener}
        if destination == self._unit:
            return body
        raise ClonedUnit(
            f"another unit sends as unit {self._unit} (card {start[0]:04x}, start {start[1]})",
            did="the frame was thrown away",
            can="find the other one, revoke this number (dandelion net revoke) and enrol one unit anew",
        )

    def is_past(self, card: int, boot: int) -> bool:
        """Whether this was a start of ours, as far as one can tell: a copy of our card has it in its past, too."""
        return card == self._card and is_earlier(boot, self._boot)

    def _open_broadcast(self, header: bytes, source: int, rest: bytes) -> bytes | None:
        if source == self._unit:
            return self._open_own(header, EVERYONE, (self._card, self._boot), rest)
        start = self._last_start(source)
        if start is None:
            raise ForeignSession(f"unit {source} has not introduced itself yet", source=source)
        body = self._peers[source].starts[start].open(header, rest)
        if not self.is_there(source):
            raise ForeignSession(f"there is no session with this start of unit {source} yet", source=source)
        return body

    def _last_start(self, unit: int) -> _Start | None:
        peer = self._peers.get(unit)
        return next(reversed(peer.starts), None) if peer is not None else None

    def _open_in_session(self, header: bytes, source: int, kind: int, rest: bytes) -> bytes:
        peer = self._peers.get(source) or _Peer()
        for session in (peer.current, peer.offered, peer.last):
            if session is not None:
                with suppress(WrongSeal):
                    body = session.openers[kind == Part.KIND].open(header, rest)
                    self._is_spoken(peer, session)
                    return body
        if peer.current is None and peer.offered is None:
            raise ForeignSession(f"there is no session with unit {source}", source=source)
        raise WrongSeal(f"a frame of unit {source} whose seal is not right", source=source)

    @staticmethod
    def _is_spoken(peer: _Peer, session: _Session) -> None:
        """The other unit speaks in it, and so do we from now on."""
        if session is peer.offered:
            peer.current, peer.offered = session, None
        if session is peer.current:
            peer.last = None

    def _broadcast_key(self, unit: int, card: int, boot: int) -> bytes:
        return derive(self._keys.secret, b"dandelion broadcast" + _NAMED.pack(unit, card, boot))

    # ------------------------------------------------------------ handshakes

    def introduced(self, unit: int) -> int | None:
        """The start of a unit as its last introduction tells; None: it has not introduced itself to this start."""
        start = self._last_start(unit)
        return None if start is None else start[1]

    def heard_of_others(self, unit: int, boot: int) -> bool:
        """Whether it has introduced itself with another start, too."""
        peer = self._peers.get(unit)
        return peer is not None and any(other != boot for _, other in peer.starts)

    def due(self, now: float) -> list[int]:
        """Units with which a new session is to be made in time."""
        sessions = [(unit, peer.current) for unit, peer in self._peers.items() if peer.current is not None]
        return [
            unit
            for unit, session in sessions
            if session.frames >= REKEY_AFTER_FRAMES or now - session.began >= REKEY_AFTER_S
        ]

    def begin(self, unit: int, tried: int = 0) -> Hello:
        """The first message of a handshake; ends one that was begun before. tried: so often in vain; each start that
        was heard gets its turn, the last one first, for any member may have said the others, or said again what is
        over. LookupError: not introduced yet."""
        starts = [boot for _, boot in self._peers[unit].starts] if unit in self._peers else []
        if not starts:
            raise LookupError(f"unit {unit} has not introduced itself yet")
        boot = starts[-1 - tried % len(starts)]
        meant = self._meant(self._unit, self._card, self._boot, unit, boot)
        handshake = self._handshake(unit, meant, initiator=True)
        self._peers[unit].begun = handshake, boot
        return Hello(self._card, self._boot, self._keys.epoch, boot, handshake.write())

    def give_up(self, unit: int) -> None:
        """The handshake that was begun is not waited for any more."""
        if unit in self._peers:
            self._peers[unit].begun = None

    def on_hello(self, source: int, hello: Hello, now: float) -> Welcome | None:
        """The answer; None: the one that was begun here goes on, as this unit has the lower number. Raises Replayed,
        WrongSeal."""
        peer = self._peers[source]  # it has just introduced itself
        if hello.peer_boot != self._boot:
            raise Replayed(f"unit {source} greets an earlier start of this unit")
        if peer.answered is not None and peer.answered[0] == hello.noise:
            return peer.answered[1]
        if peer.begun is not None and self._unit < source:
            return None
        meant = self._meant(source, hello.card, hello.boot, self._unit, self._boot)
        handshake = self._handshake(source, meant, initiator=False)
        handshake.read(hello.noise)
        welcome = Welcome(self._card, self._boot, self._keys.epoch, handshake.write())
        peer.begun = None
        peer.offered = _Session(hello.boot, handshake.keys(), now)
        peer.answered = hello.noise, welcome
        return welcome

    def on_welcome(self, source: int, welcome: Welcome, now: float) -> None:
        """The session that was begun is there. Raises Replayed, WrongSeal."""
        peer = self._peers[source]
        if peer.begun is None or peer.begun[1] != welcome.boot:
            raise Replayed(f"unit {source} answers what is over")
        handshake, boot = peer.begun
        handshake.read(welcome.noise)
        peer.last, peer.current, peer.offered, peer.begun = (
            peer.current,
            _Session(boot, handshake.keys(), now),
            None,
            None,
        )

    def _meant(self, initiator: int, card: int, boot: int, responder: int, responder_boot: int) -> bytes:
        told = _MEANT.pack(initiator, card, boot, responder, responder_boot, self._keys.epoch)
        return b"dandelion 1" + told

    def _handshake(self, other: int, meant: bytes, *, initiator: bool) -> Handshake:
        return Handshake(
            initiator=initiator,
            prologue=meant,
            psk=self._keys.secret,
            static=self._static,
            remote=self._keys.public[other],
            ephemeral=self._random_bytes(KEY_BYTES),
        )
