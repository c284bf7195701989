"""The process's own memory, kept small: one heap for all threads, and what a start needed is given back. And to itself.

What the C library has not is not done: it is glibc's, and Linux's.
"""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8  # mallopt(3); by default each thread gets a heap of its own, some 0.1 MB each that stay
_PR_SET_DUMPABLE = 4  # prctl(2)

_libc = ctypes.CDLL(None)


def use_one_heap() -> None:
    """Before threads are started. Measured: 0.4 MB less for a unit."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Once a start is over. Measured: 0.4 MB of a unit's."""
    gc.collect()
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def keep_to_itself() -> None:
    """Before keys are read: no core dump of this process, and its memory is closed to others of its user.

    A dump on a card would outlast the keys of sessions, and with them what was recorded of the air could be read.
    """
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
