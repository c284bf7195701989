"""Inside the virtual board: carries out the commands that come over a serial port, one after the other.

    python3 agent.py /dev/ttyS1

Lines of JSON. At its start it says {"ready": true}; asked {"argv": [...], "env": {...}, "within_s": seconds} it says
{"out": base64} for what the command writes, while it writes it, and {"status": exit status} at its end; a command
that takes longer is killed, and its status is null. Each `out` is to be answered by an empty line before the next
comes: what a user-mode kernel writes to a pty that nobody reads in time stays there for good. Runs on the board's own
Python, alone: it imports nothing of ours.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import tty
from typing import BinaryIO

READ_BYTES = 2048  # of what a command writes, at once: in base64 less than the 4 kB that the port takes
NOT_STARTED = 127  # the shell's status for a command that there is not


def main(path: str) -> None:
    """Serve until the power is off."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    with os.fdopen(fd, "r+b", buffering=0) as port:
        _say(port, ready=True)
        with os.fdopen(os.dup(port.fileno()), "rb") as lines:
            for line in lines:
                asked = json.loads(line)
                _carry_out(port, lines, asked["argv"], asked["env"], asked["within_s"])


def _say(port: BinaryIO, **answer: object) -> None:
    left = memoryview(json.dumps(answer).encode() + b"\n")
    while left:
        left = left[port.write(left) :]


def _show(port: BinaryIO, lines: BinaryIO, data: bytes) -> None:
    _say(port, out=base64.b64encode(data).decode())
    lines.readline()


def _carry_out(port: BinaryIO, lines: BinaryIO, argv: list[str], env: dict[str, str], within_s: float) -> None:
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | env,
            cwd="/root",
            start_new_session=True,
        )
    except OSError as error:
        _show(port, lines, f"{argv[0]}: {error.strerror}\n".encode())
        _say(port, status=NOT_STARTED)
        return
    late = threading.Event()

    def kill() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(within_s, kill)
    timer.start()
    with process:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), READ_BYTES):
            _show(port, lines, data)
    timer.cancel()
    _say(port, status=None if late.is_set() else process.returncode)


if __name__ == "__main__":
    main(sys.argv[1])
