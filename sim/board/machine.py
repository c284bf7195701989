"""One virtual board, from outside: booted, asked to run commands, cut from power; its card looked through.

Real: systemd as the first process, the ext4 file systems and their journals, the kernel's serial, GPIO and device
mapper code, a card of which only what reached it survives a power cut. Not: the processor, time (it runs as fast as the
host lets it), the SD card's own wear and inner state, electrical behaviour of pins and wires.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import signal
import threading
import time
import tty
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from sim.board import recipe
from sim.board.any_board import BOOT_S, COMMAND_S, OFF_S, AnyBoard, Result
from sim.board.kernel import kernel
from sim.children import Child

MEMORY_MB = 320  # of a board; what a Zero 2 W leaves to programs, about
READ_BYTES = 65_536
# The kernel's processes inherit what its C library has registered for restartable sequences, in memory that they no
# longer have: without this, the host's kernel ends them.
NO_RSEQ = "GLIBC_TUNABLES=glibc.pthread.rseq=0"
LOOK_S = 1.0  # between two looks whether the board still runs
DISK_LOOK_S = 0.01  # the same of its disks, which are let go within moments


class Board(AnyBoard):
    """As AnyBoard says; with the kernel's own pins, clock and device mapper. clock_1970: of its next boot."""

    has_pins = True

    def __init__(self, directory: Path, *, radio: str | None = None, clock_1970: bool = False) -> None:
        super().__init__(directory, radio=radio)
        self.clock_1970 = clock_1970
        self._port = -1
        self._pending = b""
        self._kernel = kernel()
        self._root = self.directory / "root.cow"

    # --- power ---------------------------------------------------------------------------------------------

    def on(self) -> Self:
        assert self._child is None
        self._port, slave = os.openpty()
        try:
            tty.setraw(slave)
            self._child = Child(self._command(os.ttyname(slave)), said=self._console)
            deadline = time.monotonic() + BOOT_S
            self._answer("ready", deadline)
        finally:
            os.close(slave)
        self.run("mount", "-t", "hostfs", "-o", f"hostfs={self.shared}", "none", "/mnt/host")
        self._require_running(self.ask("systemctl", "is-system-running", "--wait", within_s=BOOT_S).out.strip())
        return self

    def cut(self) -> None:
        """Power cut: what has not reached the card is gone."""
        self._kill()
        self._gone(time.monotonic() + OFF_S)

    def off(self) -> None:
        assert self._child is not None
        self._say(["systemctl", "poweroff"], {}, OFF_S)
        self._gone(time.monotonic() + OFF_S)

    def _gone(self, deadline: float) -> None:
        """Wait for the kernel's end, reading what it still says."""
        assert self._child is not None
        while self._child.status() is None and time.monotonic() < deadline:
            self._read(LOOK_S)
        late = self._child.status() is None
        if late:
            self._kill()
        self._child.end(time.monotonic() + OFF_S)
        self._child = None
        self._wait_for_disks(time.monotonic() + OFF_S)
        os.close(self._port)
        self._pending = b""
        if late:
            raise self._failed("the board did not end in time, and was killed")

    def _kill(self) -> None:
        assert self._child is not None
        with suppress(ProcessLookupError):  # the kernel has ended by itself
            os.killpg(self._child.pid, signal.SIGKILL)

    def _wait_for_disks(self, deadline: float) -> None:
        """The kernel's thread that writes them may outlive its process, and holds their locks: a boot meanwhile would
        find none."""
        for disk in filter(Path.exists, (self._root, self.card)):
            with disk.open("r+b") as file:
                while not _is_free(file):
                    if time.monotonic() > deadline:
                        raise self._failed(f"{disk} is still written, though the board has ended")
                    threading.Event().wait(DISK_LOOK_S)

    def _command(self, port: str) -> list[str]:
        state = self.directory / "uml"
        state.mkdir(exist_ok=True)
        words = [
            "/usr/bin/env",
            NO_RSEQ,
            str(self._kernel),
            f"mem={MEMORY_MB}M",
            f"ubd0={self._root},{self._image}",
        ]
        words += [f"ubd1={self.card}", "root=/dev/ubda", "rw", "quiet", "con0=null,fd:1", "con=null"]
        words += ["ssl0=null" if self.radio is None else f"ssl0=tty:{self.radio}", f"ssl1=tty:{port}", "ssl=null"]
        words += [f"uml_dir={state}/", "umid=board", f"CHECKOUT={recipe.ROOT}"]
        return [*words, "CLOCK=1970"] if self.clock_1970 else words

    # --- commands ------------------------------------------------------------------------------------------

    def ask(
        self,
        *argv: str,
        within_s: float = COMMAND_S,
        env: Mapping[str, str] | None = None,
        show: Callable[[bytes], None] | None = None,
    ) -> Result:
        self._say(argv, env or {}, within_s)
        deadline = time.monotonic() + within_s + COMMAND_S
        out = bytearray()
        while True:
            answer = self._line(deadline)
            if "out" in answer:
                data = base64.b64decode(str(answer["out"]))
                os.write(self._port, b"\n")
                out += data
                if show is not None:
                    show(data)
            elif answer["status"] is None:
                raise self._failed(
                    f"{' '.join(argv)} took longer than {within_s:.0f} s:\n{out.decode(errors='replace')}"
                )
            else:
                return Result(int(str(answer["status"])), out.decode(errors="replace"))

    def _say(self, argv: Sequence[str], env: Mapping[str, str], within_s: float) -> None:
        assert self._child is not None
        line = json.dumps({"argv": list(argv), "env": dict(env), "within_s": within_s}).encode() + b"\n"
        os.write(self._port, line)

    def _answer(self, key: str, deadline: float) -> object:
        answer = self._line(deadline)
        if key not in answer:
            raise self._failed(f"not {key} but {answer}")
        return answer[key]

    def _line(self, deadline: float) -> dict[str, object]:
        while b"\n" not in self._pending:
            if time.monotonic() > deadline:
                raise self._failed("the board says nothing")
            if not self._read(LOOK_S) and not self.is_on:
                raise self._failed("the board has ended")
        line, _, self._pending = self._pending.partition(b"\n")
        found = json.loads(line)
        assert isinstance(found, dict)
        return found

    def _read(self, patience_s: float) -> bool:
        """More of what the board says; whether there was any."""
        ready, _, _ = select.select([self._port], [], [], patience_s)
        if not ready:
            return False
        try:
            data = os.read(self._port, READ_BYTES)
        except OSError:  # EIO: nobody has the other end open
            assert self._child is not None
            self._child.end(time.monotonic() + LOOK_S)
            return False
        self._pending += data
        return bool(data)


def _is_free(file: BinaryIO) -> bool:
    """Whether nobody has it locked (fcntl(2), as the kernel's block driver does)."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
