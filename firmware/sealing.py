"""One direction of sealed frames under one key: AES-CCM with a tag of 8 bytes, a counter, and a window against replays.

header (in the clear, authenticated)   counter, 3 bytes   body, encrypted   tag, 8 bytes
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from firmware.errors import DamagedPacket, Replayed, WrongSeal

KEY_BYTES = 16
"""AES-128, as in the cipher suites for small devices (RFC 7251)."""
COUNTER_BYTES = 3
TAG_BYTES = 8
OVERHEAD_BYTES = COUNTER_BYTES + TAG_BYTES
MOST_FRAMES = 1 << 8 * COUNTER_BYTES
"""Under one key; a new one must be made before."""
WINDOW = 128
"""Frames that may come late and be taken still, behind the last one (HANDOVER §5)."""

_NONCE_BYTES = 13  # the longest that leaves CCM lengths up to 65535 bytes
_NONCE_ZEROS = bytes(_NONCE_BYTES - COUNTER_BYTES)
_SEEN = (1 << WINDOW) - 1


def derive(secret: bytes, what_for: bytes) -> bytes:
    """A key for one purpose: HKDF-Expand with SHA-256 (RFC 5869); nothing is extracted, for the secret is a key."""
    return hmac.digest(secret, what_for + b"\x01", "sha256")[:KEY_BYTES]


class ReplayWindow:
    """Which counters have been taken: all below the window count as taken."""

    __slots__ = ("_next", "_seen")

    def __init__(self) -> None:
        self._next = 0  # one above the highest
        self._seen = 0  # bit n: next - 1 - n was taken

    def is_new(self, counter: int) -> bool:
        """Whether a frame of this counter may be taken."""
        behind = self._next - 1 - counter
        return behind < 0 or (behind < WINDOW and not self._seen >> behind & 1)

    def take(self, counter: int) -> None:
        """Its tag was right."""
        ahead = counter + 1 - self._next
        if ahead <= 0:
            self._seen |= 1 << -ahead
            return
        self._seen = (self._seen << ahead | 1) & _SEEN if ahead < WINDOW else 1
        self._next = counter + 1


class Sealer:
    """Seals the frames of one direction. frames: so many until now."""

    __slots__ = ("_cipher", "frames")

    def __init__(self, key: bytes) -> None:
        self._cipher = AESCCM(key, tag_length=TAG_BYTES)
        self.frames = 0

    def seal(self, header: bytes, body: bytes) -> bytes:
        """The whole packet. OverflowError after MOST_FRAMES."""
        counter = self.frames.to_bytes(COUNTER_BYTES, "big")
        self.frames += 1
        return header + counter + self._cipher.encrypt(_NONCE_ZEROS + counter, body, header)


class Opener:
    """Opens the frames of one direction."""

    __slots__ = ("_cipher", "window")

    def __init__(self, key: bytes) -> None:
        self._cipher = AESCCM(key, tag_length=TAG_BYTES)
        self.window = ReplayWindow()

    def open(self, header: bytes, rest: bytes) -> bytes:
        """The body; its counter is taken. Raises DamagedPacket, WrongSeal, Replayed: then nothing has changed."""
        if len(rest) < OVERHEAD_BYTES:
            raise DamagedPacket("the packet ends within its seal")
        counter = rest[:COUNTER_BYTES]
        try:
            body = self._cipher.decrypt(_NONCE_ZEROS + counter, rest[COUNTER_BYTES:], header)
        except InvalidTag:
            raise WrongSeal("a frame whose seal is not right") from None
        number = int.from_bytes(counter, "big")
        if not self.window.is_new(number):
            raise Replayed("a frame that has been heard before")
        self.window.take(number)
        return body
