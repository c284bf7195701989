"""Credentials for simulated units: every unit number is a member of one network, with keys made of its number.

Not simulated: rosters, and so units that come, are revoked or have another epoch; tests/ has these with real ones.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from functools import cache

from firmware.noise import private_key, public_bytes
from firmware.pictures import MAX_UNIT
from firmware.sessions import Keys, SessionSeal


@cache
def _private(unit: int) -> bytes:
    return hashlib.sha256(f"unit {unit}".encode()).digest()


@cache
def _public(unit: int) -> bytes:
    return public_bytes(private_key(_private(unit)))


class _Everybody(Mapping[int, bytes]):
    """Public keys, made when they are asked for."""

    def __getitem__(self, unit: int) -> bytes:
        if not 1 <= unit <= MAX_UNIT:
            raise KeyError(unit)
        return _public(unit)

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, MAX_UNIT + 1))

    def __len__(self) -> int:
        return MAX_UNIT


def seal_of(unit: int, card: int, boot: int, rng: random.Random) -> SessionSeal:
    """The seal of a simulated unit at one of its starts; rng: for its ephemeral keys."""
    keys = Keys(epoch=1, secret=hashlib.sha256(b"network").digest(), private=_private(unit), public=_Everybody())
    return SessionSeal(unit, card, boot, keys, rng.randbytes)
