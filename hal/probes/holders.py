"""Which processes hold a device: by their open files, and by the kernel's list of locks, which everybody may read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hal.probes.reading import text_of
from hal.ptys import is_pty

MAX_PROCESSES = 10_000  # looked at; a board has a hundred
MAX_FILES = 4_096  # of one process that are looked at


_FAR_END = re.compile(r"^tty-index:\t(\d+)$", re.MULTILINE)
"""In fdinfo of an open /dev/ptmx: the number of the pty whose far end it is (proc_pid_fdinfo(5), Linux 4.14)."""


class Holder(NamedTuple):
    """A process. name: as the kernel has it, at most 15 characters."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def holders(paths: Sequence[str], proc: Path = Path("/proc")) -> tuple[Holder, ...]:
    """Processes that have one of these devices open, or locked, but this one; by pid.

    Only root sees what the processes of others have open; locks everybody sees.
    """
    devices = [status for path in paths if (status := _status(path)) is not None]
    wanted = {_device(status) for status in devices if stat.S_ISCHR(status.st_mode)}
    pids = {pid for pid in _pids(proc) if _has_open(proc / str(pid), wanted)} | _lockers(devices, proc)
    return tuple(Holder(pid, text_of(proc / str(pid) / "comm") or "?") for pid in sorted(pids - {os.getpid()}))


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _device(status: os.stat_result) -> tuple[int, int]:
    """What it is, by whatever name it was opened. Numbers of ptys count anew in each container (devpts)."""
    return status.st_rdev, status.st_dev if is_pty(status) else 0


def _pids(proc: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(proc) if name.isdigit()][:MAX_PROCESSES]
    except OSError:
        return []


def _has_open(process: Path, wanted: set[tuple[int, int]]) -> bool:
    """Whoever has the far end of a pty may keep its near end open, too: that is the line, and no other user of it."""
    try:
        names = os.listdir(process / "fd")[:MAX_FILES]
    except OSError:  # another user's, or gone
        return False
    statuses = [(_status(process / "fd" / name)) for name in names]
    found = [s for s in statuses if s is not None and stat.S_ISCHR(s.st_mode) and _device(s) in wanted]
    if not found or not all(map(is_pty, found)):
        return bool(found)
    infos = [text_of(process / "fdinfo" / name) or "" for name in names]
    far_ends = {int(number) for info in infos for number in _FAR_END.findall(info)}
    return any(os.minor(s.st_rdev) not in far_ends for s in found)


def _lockers(devices: Sequence[os.stat_result], proc: Path) -> set[int]:
    """`3: FLOCK  ADVISORY  WRITE 23610 00:1a:3 0 EOF` (proc_locks(5))."""
    wanted = {f"{os.major(s.st_dev):02x}:{os.minor(s.st_dev):02x}:{s.st_ino}" for s in devices}
    fields = (line.split() for line in (text_of(proc / "locks") or "").split("\n"))
    return {int(f[4]) for f in fields if len(f) >= 6 and f[5] in wanted and f[4].isdigit()}
