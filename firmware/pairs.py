"""Questions for audits without own file: nonces and keyed digests, made while the bytes are here (HANDOVER R9)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from firmware.commands import Found
from firmware.core import Core
from firmware.events import Pair
from firmware.pictures import NONCE_BYTES, PROOF_BYTES, Entry, PictureId
from firmware.sinks import Taker

DAY_S = 24 * 3600
PAIR_DAYS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Pairs of each holder are asked so many days of operating time after they were made, each once (R9)."""
RENEW_DAYS = 256
"""After the last pair; then new ones are needed."""
MAX_HOLDERS = 4
"""Holders that get pairs of their own while bytes pass through: 32 digests are as fast as 40 MB/s on a small board, and
more copies than that are nobody's policy. Others get theirs by a read-out. Guess."""


def nonces_for(core: Core, units: Sequence[int]) -> list[bytes]:
    """Fresh ones, PAIR_DAYS of them for each unit, in that order."""
    return [core.rng.randbytes(NONCE_BYTES) for _ in range(len(PAIR_DAYS) * len(units))]


def pairs_of(
    picture: PictureId, units: Sequence[int], age_s: int, nonces: Sequence[bytes], digests: Sequence[bytes]
) -> tuple[Pair, ...]:
    """One for each unit and day, and an empty one that has them renewed. nonces, digests: as nonces_for() orders."""
    made: list[Pair] = []
    for number, unit in enumerate(units):
        for place, days in enumerate(PAIR_DAYS, number * len(PAIR_DAYS)):
            made.append(Pair(picture, unit, age_s + days * DAY_S, nonces[place], digests[place]))
        made.append(Pair(picture, unit, age_s + RENEW_DAYS * DAY_S))
    return tuple(made)


class PairMaking:
    """A taker between whoever collects an own picture and where its bytes go: makes pairs of what passes."""

    def __init__(self, core: Core, entry: Entry, sink: Taker) -> None:
        self._core = core
        self._picture = entry.picture
        self._sink = sink
        self._units = [copy.unit for copy in entry.listed][:MAX_HOLDERS]
        self._nonces = nonces_for(core, self._units)
        self._digests = self._fresh()
        self._position = 0  # all up to here has passed

    def _fresh(self) -> list[hashlib.blake2b]:
        return [hashlib.blake2b(key=nonce, digest_size=PROOF_BYTES) for nonce in self._nonces]

    @property
    def waiting_bytes(self) -> int:
        """Of the sink behind."""
        return self._sink.waiting_bytes

    def begin(self, found: Found) -> None:
        """It comes anew, or goes on. What goes on elsewhere than where it stopped was begun by another read-out."""
        if not found.offset:
            self._digests, self._position = self._fresh(), 0
        elif found.offset != self._position:
            self._units, self._nonces, self._digests = [], [], []
        self._sink.begin(found)

    def write(self, offset: int, data: bytes) -> None:
        """The next bytes."""
        for digest in self._digests:
            digest.update(data)
        self._position += len(data)
        self._sink.write(offset, data)

    def pairs(self) -> tuple[Pair, ...]:
        """Once all has passed and its digest was right; none where the beginning has passed elsewhere."""
        digests = [digest.digest() for digest in self._digests]
        return pairs_of(self._picture.id, self._units, self._core.age_s, self._nonces, digests)
