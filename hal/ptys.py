"""Telling pseudo-terminals from real serial ports."""

from __future__ import annotations

import os
import stat

# Major numbers of unix98 pty slaves (Linux, Documentation/admin-guide/devices.txt).
_MAJORS = range(136, 144)


def is_pty(status: os.stat_result) -> bool:
    """Whether a port is a pseudo-terminal: no air, nobody but processes of this machine at its other end."""
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _MAJORS
