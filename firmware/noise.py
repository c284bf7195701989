"""The handshake of two units: Noise_KKpsk0_25519_ChaChaPoly_BLAKE2s (noiseprotocol.org, revision 34).

Both know one another's static key beforehand, and share a secret:

    KKpsk0:  -> s    <- s    …    -> psk, e, es, ss    <- e, ee, se
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from firmware.errors import WrongSeal
from firmware.raw_keys import raw_bytes

NAME = b"Noise_KKpsk0_25519_ChaChaPoly_BLAKE2s"
KEY_BYTES = 32
TAG_BYTES = 16
MESSAGE_BYTES = KEY_BYTES + TAG_BYTES
"""Of each of the two messages, without a payload: an ephemeral key, and the tag of nothing."""

_FIRST = ("psk", "e", "es", "ss")
_SECOND = ("e", "ee", "se")


def private_key(raw: bytes) -> X25519PrivateKey:
    """Of 32 bytes by chance."""
    return X25519PrivateKey.from_private_bytes(raw)


def public_bytes(key: X25519PrivateKey) -> bytes:
    """The 32 bytes that others know of it."""
    return raw_bytes(key.public_key())


class Handshake:
    """One side: the initiator calls write(), then read(); the other one read(), then write(); then both keys().

    static, psk: our own key; the network's secret, 32 bytes. remote: the other's static public key. ephemeral: 32 bytes
    by chance, for this handshake alone. prologue: what both must agree on.
    """

    def __init__(
        self,
        *,
        initiator: bool,
        prologue: bytes,
        psk: bytes,
        static: X25519PrivateKey,
        remote: bytes,
        ephemeral: bytes,
    ) -> None:
        self._initiator = initiator
        self._psk = psk
        self._own = {"s": static, "e": private_key(ephemeral)}
        self._others = {"s": X25519PublicKey.from_public_bytes(remote)}
        self._left = [_FIRST, _SECOND]
        self._chain = self._hash = hashlib.blake2s(NAME).digest()  # the name is longer than a hash
        self._key = b""
        self._nonce = 0
        self._mix_hash(prologue)
        own = public_bytes(static)
        for static_key in (own, remote) if initiator else (remote, own):
            self._mix_hash(static_key)

    def write(self, payload: bytes = b"") -> bytes:
        """The message that is ours now."""
        out = b""
        for token in self._left.pop(0):
            if token == "e":  # nosec B105 # a letter of the pattern
                out = public_bytes(self._own["e"])
                self._mix_ephemeral(out)
            else:
                self._mix(token)
        return out + self._encrypt(payload)

    def read(self, message: bytes) -> bytes:
        """The payload of the other's message. Raises WrongSeal, and then nothing has changed."""
        if len(message) < MESSAGE_BYTES:
            raise WrongSeal("a handshake that is too short")
        before = self._chain, self._hash, self._key, self._nonce
        try:
            for token in self._left[0]:
                if token == "e":  # nosec B105 # a letter of the pattern
                    self._others["e"] = X25519PublicKey.from_public_bytes(message[:KEY_BYTES])
                    self._mix_ephemeral(message[:KEY_BYTES])
                else:
                    self._mix(token)
            payload = self._decrypt(message[KEY_BYTES:])
        except (InvalidTag, ValueError):  # ValueError: a point that gives the secret away (RFC 7748 §6.1)
            self._chain, self._hash, self._key, self._nonce = before
            raise WrongSeal("a handshake of somebody who has not the right keys, or who means another one") from None
        del self._left[0]
        return payload

    def keys(self) -> tuple[bytes, bytes]:
        """After both messages: 32 bytes to send with, 32 to receive with."""
        assert not self._left
        first, second = self._hkdf(b"", 2)
        return (first, second) if self._initiator else (second, first)

    @property
    def hash(self) -> bytes:
        """Of all that was said."""
        return self._hash

    def _mix(self, token: str) -> None:
        """A secret: psk, or of two keys, the initiator's named first."""
        if token == "psk":  # nosec B105 # a letter of the pattern
            self._chain, mixed, self._key = self._hkdf(self._psk, 3)
            self._mix_hash(mixed)
            self._nonce = 0
            return
        own, other = (0, 1) if self._initiator else (1, 0)
        self._mix_key(self._own[token[own]].exchange(self._others[token[other]]))

    def _mix_ephemeral(self, public: bytes) -> None:
        """With a psk, ephemeral keys go into the chain as well."""
        self._mix_hash(public)
        self._mix_key(public)

    def _mix_key(self, secret: bytes) -> None:
        self._chain, self._key = self._hkdf(secret, 2)
        self._nonce = 0

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.blake2s(self._hash + data).digest()

    def _hkdf(self, secret: bytes, count: int) -> list[bytes]:
        temporary = hmac.digest(self._chain, secret, "blake2s")
        outputs = [b""]
        for index in range(count):
            outputs.append(hmac.digest(temporary, outputs[-1] + bytes([index + 1]), "blake2s"))
        return outputs[1:]

    def _encrypt(self, payload: bytes) -> bytes:
        sealed = ChaCha20Poly1305(self._key).encrypt(self._take_nonce(), payload, self._hash)
        self._mix_hash(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        payload = ChaCha20Poly1305(self._key).decrypt(self._take_nonce(), sealed, self._hash)
        self._mix_hash(sealed)
        return payload

    def _take_nonce(self) -> bytes:
        nonce = bytes(4) + self._nonce.to_bytes(8, "little")
        self._nonce += 1
        return nonce
