"""What one input takes: time and memory of the decoder alone, without coverage and without what is checked afterwards.

Time is processor time, the least of three runs, so that a busy machine makes little difference. Memory is what Python
has allocated at most at once while it decoded (tracemalloc), the result included, the input not; what C libraries take
for themselves is not in it, which matters for the target `pictures` only.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hal.light_dataclass import dataclass
from sim.fuzz.target import Target

RUNS = 3
PATIENCE_S = 2.0
"""For each measure of a target, beside its first input; those that come first are measured for certain."""


@dataclass(frozen=True, slots=True)
class Most:
    """The greatest of a measure, and the input that it was measured of."""

    amount: float
    data: bytes


def slowest(target: Target[Any], inputs: Sequence[bytes]) -> Most:
    """Seconds."""
    return _most(lambda data: min(_seconds(target, data) for _ in range(RUNS)), inputs)


def greatest(target: Target[Any], inputs: Sequence[bytes]) -> Most:
    """Bytes."""
    _seconds(target, inputs[0])  # what is made once and kept
    return _most(lambda data: _bytes(target, data), inputs)


def _most(measure: Callable[[bytes], float], inputs: Sequence[bytes]) -> Most:
    end = time.monotonic() + PATIENCE_S
    measured = [Most(measure(data), data) for data in inputs if data is inputs[0] or time.monotonic() < end]
    return max(measured, key=lambda most: most.amount)


def _seconds(target: Target[Any], data: bytes) -> float:
    began = time.thread_time()
    with suppress(*target.refuses):
        target.decode(data)
    return time.thread_time() - began


def _bytes(target: Target[Any], data: bytes) -> float:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with suppress(*target.refuses):
            made = target.decode(data)  # noqa: F841 - kept until it is measured
        _, peak = tracemalloc.get_traced_memory()
        return peak - before
    finally:
        tracemalloc.stop()
