"""What systemd is told, and what it asks for: sd_notify(3), by datagrams to the socket that the environment names."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

_SOCKET, _PERIOD, _WATCHED_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceManager:
    """The manager that has started this process; where none has, nothing happens.

    watchdog_s: a process of which it hears no WATCHDOG=1 for so long is ended and started anew; None: it does not look.
    """

    def __init__(self, environment: MutableMapping[str, str], pid: int | None = None) -> None:
        """Takes its variables out of the environment: what this process starts is not to speak in its name.

        pid: of this process.
        """
        address = environment.pop(_SOCKET, "")
        period_us, watched = environment.pop(_PERIOD, ""), environment.pop(_WATCHED_PID, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address  # "@": an abstract one (unix(7))
        meant = watched in ("", str(os.getpid() if pid is None else pid))
        asked = bool(address) and meant and period_us.isascii() and period_us.isdigit() and int(period_us) > 0
        self.watchdog_s: float | None = int(period_us) / 1e6 if asked else None

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    def tell(self, **states: str) -> None:
        """Assignments of sd_notify(3), as READY="1", in one datagram. What cannot be said at once is not said: neither
        the unit nor its watchdog may wait for the manager."""
        if not self._address:
            return
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in states.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(text.encode(errors="replace"), self._address)
