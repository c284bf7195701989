"""Small files, and the words of other programs, with limits; what cannot be read is None, or a problem in words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

MAX_BYTES = 65_536  # of a file below /proc, /sys or /boot, or of what a program says; the longest here has 8 kB
COMMAND_TIMEOUT_S = 5.0  # guess: vcgencmd and systemctl answer in 0.1 s on a Pi Zero


class Said(NamedTuple):
    """text: what a program wrote. problem: why there is nothing, in words; empty if all is well."""

    text: str
    problem: str = ""


def text_of(path: Path) -> str | None:
    """What is in a file, its beginning where it is long; None where it is not there, or not for us."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return (file.read(MAX_BYTES) or b"").decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return None


def number_in(path: Path, base: int = 10) -> int | None:
    """The number that a file has; None where there is none."""
    try:
        return int(text_of(path) or "", base)
    except ValueError:
        return None


def run(*words: str) -> Said:
    """What a program of PATH says on its standard output; one that hangs is killed and not waited for."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
    except FileNotFoundError:
        return Said("", f"{words[0]} is not installed")
    except OSError as error:
        return Said("", f"{words[0]} cannot be started: {error.strerror}")
    try:
        out, err = process.communicate(timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return Said("", f"{words[0]} did not answer within {COMMAND_TIMEOUT_S:.0f} s")
    if process.returncode != 0:
        last = (err or out).decode(errors="replace").strip().split("\n")[-1][:MAX_BYTES]
        return Said("", f"{words[0]}: {last or f'exit status {process.returncode}'}")
    return Said(out[:MAX_BYTES].decode(errors="replace").strip())
