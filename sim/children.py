"""Child processes that end with their parent, however it ends, and a way to wait that a signal cuts short."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType

END_S = 5.0  # a unit ends within 5 s of SIGTERM (DESIGN §9)
MAX_TAIL_BYTES = 4096  # read of what a child that ended has said
CLAUSE = "  "  # what a command did about an error and what can be done stands below it, indented
DANDELION = (sys.executable, "-c", "import sys; from firmware.cli import main; sys.exit(main())")
"""The command, without relying on where its script is installed."""

# Binds the process to its parent's life and becomes the command. Run in the new process, not between fork and exec:
# there, with threads about, Python code may hang.
_BOUND = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1  # prctl(2); outlives execv
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):  # else the parent was gone before prctl
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """A process of its own session (a Ctrl-C at the terminal is for the parent) that writes into `said`.

    arguments[0] is a path. Start it from the main thread: the kernel ends it with the thread that made it.
    """

    def __init__(self, arguments: Sequence[str], *, said: Path) -> None:
        self._said = said
        with said.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, the command's too."""
        return self._process.pid

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The last line that it wrote, or the clauses of the error; empty if none."""
        with self._said.open("rb") as out:
            out.seek(max(0, self._said.stat().st_size - MAX_TAIL_BYTES))
            lines = out.read(MAX_TAIL_BYTES).decode(errors="replace").split("\n")
        words: list[str] = []
        for line in filter(str.strip, reversed(lines)):
            words.insert(0, line.strip())
            if not line.startswith(CLAUSE):
                break
        return "; ".join(words)

    def ending(self) -> str:
        """How it has ended, with its last words; where somebody else has ended it, these tell nothing of why."""
        status, words = self.status() or 0, self.last_words()
        how = f"with status {status}" if status >= 0 else f"by a signal ({signal.strsignal(-status)})"
        if -status in (signal.SIGKILL, signal.SIGTERM):
            words = ""
        return f"has ended {how}" + f": {words}" * bool(words)

    def ask_to_end(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for its end until this monotonic time, then kill it."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def end_all(children: Sequence[Child]) -> None:
    """SIGTERM to all, and after END_S SIGKILL to those that are left."""
    for child in children:
        child.ask_to_end()
    deadline = time.monotonic() + END_S
    for child in children:
        child.end(deadline)


class Ending:
    """While it lasts SIGINT, SIGTERM and SIGHUP only set `asked` and cut wait() short. Main thread only."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Ending:
        self._wake, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_wake = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._on_signal) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wake)
        os.close(self._wake)
        os.close(self._wake_write)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until a signal asks to end; whether one has."""
        if not self.asked:
            ready, _, _ = select.select([self._wake], [], [], max(0.0, seconds))
            if ready:
                os.read(self._wake, MAX_TAIL_BYTES)
        return self.asked
