"""What `--fix` does: only what is safe and has one answer. All else is told as a command for a person."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from firmware.doctor.facts import Facts
from firmware.private_files import FILE_MODE
from hal.errors import HardwareError

Mend = Callable[[Facts], tuple[str, Facts]]
"""From the facts to what was done, in words, and the facts as they are now. Raises DandelionError."""


def credential_mode(facts: Facts) -> tuple[str, Facts]:
    """Nobody but its owner reads it from now on."""
    found = facts.credential
    assert found is not None
    assert found.device is not None
    try:
        os.chmod(found.path, FILE_MODE)
    except OSError as error:
        raise HardwareError(
            f"{found.path} was left as it is: {error.strerror}", can="give the command with sudo"
        ) from error
    before = found.device.mode & 0o7777
    device = replace(found.device, mode=os.stat(found.path).st_mode)
    done = f"{found.path} has mode {FILE_MODE:04o} now, before {before:04o}"
    return done, replace(facts, credential=replace(found, device=device))


MENDS: Mapping[str, Mend] = {"credential-mode": credential_mode}
"""By the name of the finding."""
