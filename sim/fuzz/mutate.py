"""Inputs that are nearly right: valid ones with a few things wrong.

The chance may be hypothesis' own (`st.randoms`), which then finds the fewest and smallest changes that still fail.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

MAX_CHANGES = 4
"""Of one input. Guess: more wrongs in one input are refused at the first."""
MAX_REPEATS = 40
"""Of one stretch: more than any list of the protocol may hold."""
_NUMBERS = (b"\x00", b"\xff", b"\x7f", b"\x80")  # first bytes of the least and greatest, and of signed ones
_WRITTEN = (b"0", b"-1", b"1e999", b"0x" + b"f" * 400, *(b"9" * digits for digits in (1, 4, 5, 10, 20, 400)))
_DIGITS = re.compile(rb"[0-9]+")


def mutated(chance: random.Random, valid: Sequence[bytes], longest_bytes: int) -> bytes:
    """One of `valid` after one to MAX_CHANGES changes."""
    data = chance.choice(valid)
    for _ in range(chance.randint(1, MAX_CHANGES)):
        data = chance.choice(_CHANGES)(chance, data, valid)[:longest_bytes]
    return data


def _stretch(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, chance.randint(start, min(len(data), start + 64))


def _flip(chance: random.Random, data: bytes, _valid: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _truncate(chance: random.Random, data: bytes, _valid: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def _cut_out(chance: random.Random, data: bytes, _valid: Sequence[bytes]) -> bytes:
    start, stop = _stretch(chance, data)
    return data[:start] + data[stop:]


def _splice(chance: random.Random, data: bytes, valid: Sequence[bytes]) -> bytes:
    other = chance.choice(valid)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _repeat(chance: random.Random, data: bytes, _valid: Sequence[bytes]) -> bytes:
    start, stop = _stretch(chance, data)
    return data[:start] + data[start:stop] * chance.randint(2, MAX_REPEATS) + data[stop:]


def _insert(chance: random.Random, data: bytes, _valid: Sequence[bytes]) -> bytes:
    """Chance bytes, or one that means more than others in most forms."""
    at = chance.randint(0, len(data))
    more = chance.choice((b"\x00", b"\x80", b"\xff", chance.randbytes(chance.randint(1, 16))))
    return data[:at] + more + data[at:]


def _extreme(chance: random.Random, data: bytes, _valid: Sequence[bytes]) -> bytes:
    """The least or greatest number of 1, 2, 4 or 8 bytes in the place of what is there."""
    size_bytes, first = chance.choice((1, 2, 4, 8)), chance.choice(_NUMBERS)
    at = chance.randint(0, len(data))
    rest = b"\xff" if first in b"\xff\x7f" else b"\x00"
    return data[:at] + first + rest * (size_bytes - 1) + data[at + size_bytes :]


def _extreme_digits(chance: random.Random, data: bytes, _valid: Sequence[bytes]) -> bytes:
    """A number written in digits becomes a longer, a negative, an endless one, or none."""
    found = list(_DIGITS.finditer(data))
    if not found:
        return data
    where = chance.choice(found)
    return data[: where.start()] + chance.choice(_WRITTEN) + data[where.end() :]


_CHANGES = (_flip, _truncate, _cut_out, _splice, _repeat, _insert, _extreme, _extreme_digits)
