"""Which other process holds the camera: libcamera locks the media devices of the one that it uses."""

from __future__ import annotations

import fcntl
import glob
import os
import struct
from collections.abc import Iterable

MEDIA_DEVICES = "/dev/media*"
_FLOCK = struct.Struct("@hhqqi")  # l_type, l_whence, l_start, l_len, l_pid: where off_t has 64 bits (fcntl(2))


def holder(devices: Iterable[str] = ()) -> str:
    """Its name and process id in words, "" where none is found: nobody, or a device that this user cannot open.

    devices: those of the machine, if none are given. Locks of this process itself do not count.
    """
    for device in devices or sorted(glob.glob(MEDIA_DEVICES)):
        try:
            descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        except OSError:
            continue
        finally:
            os.close(descriptor)
        if kind != fcntl.F_UNLCK:
            return f"{_name(pid)} (process {pid})"
    return ""


def _name(pid: int) -> str:
    """As `ps` gives it."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip() or "a process without a name"
    except OSError:
        return "a process of another name space"
