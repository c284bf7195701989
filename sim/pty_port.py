"""One pty of a simulated line or module: raw at both ends, under a name of its own, and never blocking."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import tty
from pathlib import Path
from typing import Final

UNREAD_BYTES: Final = 4095
"""What the kernel's line discipline keeps for a reader: 4 KiB less one, as FIONREAD counts."""
READ_BYTES: Final = 65_536
"""Per read of a pty, which holds 20 kB."""


class PtyPort:
    """What a unit opens under `name`; fd is the other end. link: a symbolic link that names it.

    One slave descriptor stays open, so that a unit may close and open its port again. ValueError if the link is there
    and leads somewhere.
    """

    def __init__(self, link: Path | None = None) -> None:
        if link is not None and (link.exists() or (not link.is_symlink() and os.path.lexists(link))):
            raise ValueError(f"{link} leads to {link.resolve()}: something else runs here; end it, or remove the link")
        self.fd, self._slave = os.openpty()
        tty.setraw(self.fd)  # a fresh pty echoes
        tty.setraw(self._slave)
        os.set_blocking(self.fd, False)
        self._path = os.ttyname(self._slave)
        self._link = link
        if link is not None:
            link.unlink(missing_ok=True)  # left by a kill -9
            link.symlink_to(self._path)
        self.name = self._path if link is None else str(link)

    def read(self, size_bytes: int) -> bytes:
        """What the unit has written, at most so much; only when fd is readable."""
        return os.read(self.fd, min(size_bytes, READ_BYTES))

    def write(self, data: bytes) -> int:
        """Hand bytes to the unit; how many its kernel took."""
        try:
            return os.write(self.fd, data) if data else 0
        except BlockingIOError:
            return 0

    def unread_bytes(self) -> int:
        """What the unit has not read yet."""
        size: int = struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, bytes(4)))[0]
        return size

    def has_flow_control(self) -> bool:
        """Whether the unit has asked for RTS/CTS on its port; a pty remembers that, and does nothing about it."""
        flags: int = termios.tcgetattr(self.fd)[2]
        return bool(flags & termios.CRTSCTS)

    def close(self) -> None:
        """Give the pty back, and take the link away before somebody else gets what it leads to."""
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == self._path:
            self._link.unlink()
        os.close(self.fd)
        os.close(self._slave)
