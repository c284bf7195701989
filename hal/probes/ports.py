"""The radio's serial port: which UART it is, who holds it, whether it opens, and what its CTS line says."""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import stat
import struct
import termios
from pathlib import Path

from hal.light_dataclass import dataclass
from hal.probes.access import Device, device
from hal.probes.holders import Holder, holders
from hal.probes.reading import text_of
from hal.ptys import is_pty

MAX_LINKS = 8  # from the name in the config to the device: /dev/serial0 has one, /dev/serial/by-id two


class Uart(enum.Enum):
    """What is behind a serial port."""

    PL011 = "the PL011 UART"
    MINI = "the mini-UART"
    USB = "a USB adapter"
    VIRTUAL = "a virtual line (pty)"
    OTHER = "an unknown UART"


@dataclass(frozen=True, slots=True)
class PortFacts:
    """name: the kernel's, as ttyAMA0, empty where it is not known. device: None where nothing is there.

    open_error: errno of a try to open it, 0 where it opened. locked: another process has its lock. cts: whether the
    other end says that it takes bytes; None: this port has no such line, or it was not opened.
    """

    path: str
    name: str
    uart: Uart
    device: Device | None
    is_serial: bool
    open_error: int
    locked: bool
    holders: tuple[Holder, ...]
    cts: bool | None


def look(path: str, root: Path) -> PortFacts:
    """Opens the port for a moment without reading from it or changing its settings: a unit that uses it notices
    nothing."""
    found = device(Path(path), root)
    name = _name(path, root)
    opened = _Opened(path)
    uart = _uart(path, name, root)
    return PortFacts(
        path=path,
        name=name,
        uart=uart,
        device=found,
        is_serial=opened.is_serial,
        open_error=opened.error,
        locked=opened.locked,
        holders=holders([path]) if found is not None else (),
        cts=opened.cts,
    )


class _Opened:
    """What opening it shows."""

    def __init__(self, path: str) -> None:
        self.error, self.locked, self.is_serial = 0, False, False
        self.cts: bool | None = None
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.error = error.errno or errno.EIO
            return
        try:
            self.is_serial = os.isatty(descriptor)
            self.cts = _cts(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.locked = True
        except OSError:
            pass  # nothing that can be locked: is_serial says so
        finally:
            os.close(descriptor)


def _cts(descriptor: int) -> bool | None:
    """tty_ioctl(4), TIOCMGET; a pty has no modem lines."""
    try:
        (lines,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCMGET, struct.pack("i", 0)))
    except OSError:
        return None
    return bool(lines & termios.TIOCM_CTS)


def _name(path: str, root: Path) -> str:
    """The first name on the way to the device that the kernel has a tty of."""
    for _ in range(MAX_LINKS):
        name = os.path.basename(path)
        if (root / "sys/class/tty" / name).exists():
            return name
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:
            break
    return ""


def _uart(path: str, name: str, root: Path) -> Uart:
    """By the device tree's word for it, and where it is plugged in."""
    tty = root / "sys/class/tty" / name / "device"
    kind = text_of(tty / "of_node/compatible") or "" if name else ""
    if "bcm2835-aux-uart" in kind:
        return Uart.MINI
    if "pl011" in kind:
        return Uart.PL011
    if name and any(part.startswith("usb") for part in os.path.realpath(tty).split("/")):
        return Uart.USB
    try:
        status = os.stat(path)
    except OSError:
        return Uart.OTHER
    return Uart.VIRTUAL if stat.S_ISCHR(status.st_mode) and is_pty(status) else Uart.OTHER
