"""Checks of the way to the radio: UART, console, port and its lines."""

from __future__ import annotations

import errno
import os

from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok, unknown, warning
from hal.probes.access import may_use
from hal.probes.boot import BootFacts
from hal.probes.ports import PortFacts, Uart

_DEBUG = "ttyAMA10"
_HEADER = ("serial0", "ttyAMA0", "ttyS0", "ttyAMA10")
"""What cmdline.txt may call the UART of the pin header; the firmware puts the right one in for serial0."""
_ON_BOARD = (Uart.PL011, Uart.MINI, Uart.OTHER)
_NO_CONSOLE = "sudo raspi-config nonint do_serial_cons 1 (before bookworm: do_serial 2), then restart the board"


def console(facts: Facts) -> Verdict | None:
    """Neither kernel nor login uses the radio's UART."""
    port, boot = facts.port, facts.boot
    if port is None or port.device is None:
        return None
    if not port.name and port.uart is Uart.OTHER:
        return unknown(f"which UART {port.path} is, is not known here", "")
    now, next_start = _consoles(boot.words, port), _consoles(boot.next_words, port)
    if port.name in boot.consoles or now:
        also = "" if next_start or not boot.next_words else "; at the next start it is gone"
        return fault(
            f"the board has a console on the radio's UART ({port.name}): it talks into the radio{also}", _NO_CONSOLE
        )
    if next_start:
        return fault(
            f"{boot.folder}/cmdline.txt has {next_start[0]}: a console on the radio's UART from the next start on",
            _NO_CONSOLE,
        )
    if any(holder.name.startswith(("agetty", "getty")) for holder in port.holders):
        can = f"sudo systemctl disable --now serial-getty@{port.name}.service"
        return fault(f"a login waits on the radio's UART ({port.name})", can)
    return ok("no console is on the radio's port")


def _consoles(words: tuple[str, ...], port: PortFacts) -> list[str]:
    """The words that put one there; serial0 is the UART of the pin header."""
    named = {port.name} | ({"serial0"} if port.name in _HEADER and port.uart in _ON_BOARD else set())
    return [word for word in words if word.startswith("console=") and word[8:].partition(",")[0] in named]


def mini_uart(facts: Facts) -> Verdict | None:
    """Its baud rate goes with the clock of the core."""
    port, boot = facts.port, facts.boot
    if port is None or port.device is None:
        return None
    if port.uart is Uart.MINI:
        if _has_fixed_core_clock(boot):
            return ok(f"{port.name} is the mini-UART, at a fixed core clock")
        what = f"{port.name} is the mini-UART: its baud rate changes with the core's clock, and frames are lost"
        can = f"dtoverlay=disable-bt in {boot.folder}/config.txt, sudo systemctl disable hciuart, restart the board"
        return fault(what, f"{can}; with Bluetooth: dtoverlay=miniuart-bt and core_freq=250 instead")
    if port.uart is Uart.OTHER and facts.boot.is_pi:
        return unknown(f"what kind of UART {port.path} is, is not known here")
    return ok(f"the port is {port.uart.value}")


def _has_fixed_core_clock(boot: BootFacts) -> bool:
    return any(line.startswith(("core_freq=", "core_freq_min=")) for line in boot.config_lines)


def port(facts: Facts) -> Verdict | None:
    """There is a serial port at radio.port."""
    found = facts.port
    if found is None:
        return None
    if found.device is None:
        can = "check the radio's plug and radio.port; ls /dev/serial/by-id shows the names of USB radios"
        if facts.boot.is_pi and os.path.basename(found.path) in _HEADER:
            can = (
                f"sudo raspi-config nonint do_serial_hw 0 (enable_uart=1 in {facts.boot.folder}/config.txt), restart it"
            )
        return fault(f"the radio's port {found.path} is not there", can)
    if found.open_error in (errno.EACCES, errno.EPERM):
        return None  # port-permission has it, or only the user of this command may not
    if found.open_error == errno.EBUSY:
        return None  # port-held
    if found.open_error:
        why = os.strerror(found.open_error)
        return fault(f"the radio's port {found.path} cannot be opened: {why}", "check its plug, cable and power")
    if not found.is_serial:
        return fault(f"{found.path} is no serial port", "name the radio's in radio.port, as /dev/serial0")
    where = "; on a Pi 5 this is the debug connector, and the pin header is ttyAMA0" if found.name == _DEBUG else ""
    return ok(f"{found.path} is there: {found.uart.value}{f' ({found.name})' if found.name else ''}{where}")


def port_permission(facts: Facts) -> Verdict | None:
    """The unit's user may use it."""
    found = facts.port
    if found is None or found.device is None:
        return None
    if not may_use(facts.person, found.device):
        group = found.device.group
        return fault(
            f"{facts.person.name}, as whom the unit runs, may not use the radio's port {found.path}",
            f"sudo adduser {facts.person.name} {'dialout' if group == 'root' else group}, then restart the unit",
        )
    return ok(f"{facts.person.name} may use {found.path}")


def port_held(facts: Facts) -> Verdict | None:
    """Nobody but the unit has it open: a second reader steals bytes."""
    found = facts.port
    if found is None or found.device is None:
        return None
    others = [holder for holder in found.holders if holder.pid != _pid_of_unit(facts)]
    if others:
        named = ", ".join(map(str, others))
        can = f"end it: sudo kill {others[0].pid}; if it comes back, find what starts it (ModemManager, a terminal)"
        if facts.unit.runs and _pid_of_unit(facts) is None:
            return unknown(f"the radio's port is open in {named}; which of these is the unit is not known")
        return fault(f"the radio's port {found.path} is held by {named}", can)
    if (found.locked or found.open_error == errno.EBUSY) and not facts.unit.runs:
        can = f"sudo fuser -v {found.path} names it"
        return fault(f"the radio's port {found.path} is held by a process that {facts.asking.name} cannot see", can)
    if facts.asking.uid != 0:
        return ok(
            "no process that can be seen holds it but the unit"
            if facts.unit.runs
            else "no process that can be seen holds it"
        )
    return ok("the unit holds it, and nobody else" if facts.unit.runs else "nobody holds it")


def _pid_of_unit(facts: Facts) -> int | None:
    pid = None if facts.unit.status is None else facts.unit.status.get("pid")
    return pid if isinstance(pid, int) else None


def rts_cts(facts: Facts) -> Verdict | None:
    """With flow control, the other end's CTS is there."""
    found, config = facts.port, facts.config
    if found is None or config is None or not config.radio.rtscts or found.device is None:
        return None
    if found.uart is Uart.VIRTUAL:
        return unknown("a virtual line has no RTS and CTS: radio.rtscts means nothing there", "radio.rtscts = false")
    if found.cts is None:
        return unknown("the port does not tell what its CTS line says", "give the command with sudo")
    if not found.cts:
        header = (
            ""
            if found.uart is Uart.USB
            else (
                "; on the pin header CTS is GPIO 16 (pin 36) and RTS is GPIO 17 (pin 11), and "
                f"`sudo dandelion-setup --flow-control` makes them so, in {facts.boot.folder}/config.txt"
            )
        )
        return fault(
            "radio.rtscts is on, and the radio's CTS line is not there: nothing can be sent",
            f"wire the radio's CTS to the board's CTS and RTS to RTS{header}; without the wires: radio.rtscts = false",
        )
    return ok("the radio's CTS line says that it takes bytes")


def link(facts: Facts) -> Verdict | None:
    """The unit that runs has its port open."""
    status, config = facts.unit.status, facts.config
    if status is None or config is None or config.radio.driver == "none":
        return None
    radio = status.get("radio") or {}
    if problem := radio.get("problem"):
        return fault(f"the unit says: {problem}", "see the findings of the port")
    if not radio.get("bytes_in"):
        can = "look at antenna, wires (TX to RX, RX to TX) and radio.baud, here and at another unit"
        return warning("the unit has heard nothing by radio since its start", can)
    damaged, good = int(radio.get("frames_damaged") or 0), int(radio.get("frames_in") or 0)
    if damaged > max(MIN_DAMAGED, good):
        can = "compare radio.baud of all units; look at the wires, and at what else sends on this channel"
        return warning(f"more frames are damaged ({damaged}) than whole ({good})", can)
    return ok(f"the unit has its radio, {good} frames were heard")


MIN_DAMAGED = 100
"""Damaged frames below which nothing is said of them: noise before the first unit is heard. Guess."""

CHECKS = (
    Check(
        "console",
        "a console (kernel messages, login) is on the radio's UART, now or from the next start on",
        "`sudo raspi-config nonint do_serial_cons 1`, restart the board",
        console,
    ),
    Check(
        "mini-uart",
        "the port is the mini-UART, whose baud rate goes with the core's clock",
        "`dtoverlay=disable-bt` in `config.txt`, restart the board",
        mini_uart,
    ),
    Check(
        "port",
        "the port is missing, does not open, or is no serial port",
        "plug, cable, power, `radio.port`; on the pin header `enable_uart=1` in `config.txt`",
        port,
    ),
    Check(
        "port-permission",
        "the unit's user may not use the port",
        "`sudo adduser USER dialout`, restart the unit",
        port_permission,
    ),
    Check(
        "port-held",
        "another process has the port open; it is named, with its pid",
        "end that process, and what starts it",
        port_held,
    ),
    Check(
        "rts-cts",
        "`radio.rtscts` is on and the radio's CTS line is not wired",
        "wire RTS and CTS and switch the pins, or `radio.rtscts = false`",
        rts_cts,
    ),
    Check(
        "link",
        "the running unit has no radio, hears nothing, or mostly damaged frames",
        "wires, antenna, the same `radio.baud` everywhere",
        link,
    ),
)
