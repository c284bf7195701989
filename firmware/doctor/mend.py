"""What `--fix` does: only what is safe and has one answer. All else is told as a command for a person."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from firmware.doctor.facts import Facts
from firmware.doctor.gather import wanted_of, xbee_facts
from firmware.private_files import FILE_MODE
from hal.clock import SystemClock
from hal.errors import HardwareError
from hal.xbee_repair import repair

Mend = Callable[[Facts], tuple[str, Facts]]
"""From the facts to what was done, in words, and the facts as they are now. Raises DandelionError."""


def credential_mode(facts: Facts) -> tuple[str, Facts]:
    """Nobody but its owner reads it from now on."""
    found = facts.credential
    assert found is not None
    assert found.device is not None
    try:
        status = _closed(found.path)
    except HardwareError:
        raise  # ours, and an OSError too
    except OSError as error:
        raise HardwareError(
            f"{found.path} was left as it is: {error.strerror}", can="give the command with sudo"
        ) from error
    before = found.device.mode & 0o7777
    device = replace(found.device, mode=status.st_mode)
    done = f"{found.path} has mode {FILE_MODE:04o} now, before {before:04o}"
    return done, replace(facts, credential=replace(found, device=device))


def _closed(path: str) -> os.stat_result:
    """The file, after it was closed to others: never what a link leads to, which may be anybody's. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            can = f"chmod {FILE_MODE:03o} what it leads to, if that is the unit's"
            raise HardwareError(f"{path} was left as it is: it is a link", can=can) from error
        raise
    try:
        os.fchmod(descriptor, FILE_MODE)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def xbee(facts: Facts) -> tuple[str, Facts]:
    """The module is set as the config needs it, and keeps that without power."""
    config, before, port = facts.config, facts.xbee, facts.port
    assert config is not None
    assert port is not None
    assert before is not None
    assert before.found is not None
    name, baud = config.radio.port, config.radio.baud
    done, _ = repair(name, before.found, wanted_of(config), baud, SystemClock())
    told = ", ".join(f"{need.setting} = {need.value:X}" for need in done)
    return f"set in the XBee module at {name}: {told}", replace(facts, xbee=xbee_facts(config, port))


MENDS: Mapping[str, Mend] = {"credential-mode": credential_mode, "xbee-mode": xbee, "xbee-channel": xbee}
"""By the name of the finding."""
