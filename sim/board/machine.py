"""One virtual board, from outside: booted, asked to run commands, cut from power; its card looked through.

Real: systemd as the first process, the ext4 file systems and their journals, the kernel's serial, GPIO and device
mapper code, a card of which only what reached it survives a power cut. Not: the processor, time (it runs as fast as the
host lets it), the SD card's own wear and inner state, electrical behaviour of pins and wires.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import time
import tty
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from firmware.errors import Refused
from sim.board import recipe
from sim.board.image import call, image
from sim.board.kernel import kernel
from sim.children import Child

MEMORY_MB = 320  # of a board; what a Zero 2 W leaves to programs, about
CARD_BYTES = 256_000_000  # the card's file system, a file with holes on the host
CONSOLE_BYTES = 4000  # of the console's end, shown where a board fails
BOOT_S = 180.0  # a boot takes 5 s on an idle host, and this is no test of its speed
COMMAND_S = 120.0  # unless a command is given another time
OFF_S = 60.0  # an ordered shutdown
READ_BYTES = 65_536
# The kernel's processes inherit what its C library has registered for restartable sequences, in memory that they no
# longer have: without this, the host's kernel ends them.
NO_RSEQ = "GLIBC_TUNABLES=glibc.pthread.rseq=0"
LOOK_S = 1.0  # between two looks whether the board still runs


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in a board left: its exit status, and what it wrote to its two outputs."""

    code: int
    out: str


class Board:
    """A board with a card of its own in a directory, which outlives its boots. Not started when it is made.

    radio: the pty that is its /dev/ttyS0. In it, the checkout is at /mnt/dandelion and the directory's `host` at
    /mnt/host, the one place that both sides write to; /var/lib/dandelion is the card.
    """

    def __init__(self, directory: Path, *, radio: str | None = None, clock_1970: bool = False) -> None:
        self.directory = directory.absolute()
        self.radio = radio
        self.clock_1970 = clock_1970
        self.shared = self.directory / "host"
        self.shared.mkdir(parents=True, exist_ok=True)
        self.card = self.directory / "card.ext4"
        self._console = self.directory / "console"
        self._child: Child | None = None
        self._port = -1
        self._pending = b""
        self._kernel, self._image = kernel(), image()
        if not self.card.exists():
            make_card(self.card)

    # --- power ---------------------------------------------------------------------------------------------

    def on(self) -> Board:
        """Boot it, until systemd says that all is up. Refused, with the names, if a service has failed."""
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
        state = self.ask("systemctl", "is-system-running", "--wait", within_s=BOOT_S).out.strip()
        if state != "running":
            raise self._failed(f"systemd is {state}:\n{self.ask('systemctl', '--failed', '--no-pager').out}")
        return self

    def cut(self) -> None:
        """Power cut: what has not reached the card is gone."""
        assert self._child is not None
        os.killpg(self._child.pid, signal.SIGKILL)
        self._gone(time.monotonic() + OFF_S)

    def off(self) -> None:
        """An ordered shutdown."""
        assert self._child is not None
        self._say(["systemctl", "poweroff"], {}, OFF_S)
        self._gone(time.monotonic() + OFF_S)

    @property
    def is_on(self) -> bool:
        """Whether its kernel runs."""
        return self._child is not None and self._child.status() is None

    def _gone(self, deadline: float) -> None:
        """Wait for the kernel's end, reading what it still says."""
        assert self._child is not None
        while self._child.status() is None and time.monotonic() < deadline:
            self._read(LOOK_S)
        late = self._child.status() is None
        if late:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.end(time.monotonic() + OFF_S)
        self._child = None
        os.close(self._port)
        self._pending = b""
        if late:
            raise self._failed("the board did not end in time, and was killed")

    def _command(self, port: str) -> list[str]:
        state = self.directory / "uml"
        state.mkdir(exist_ok=True)
        words = [
            "/usr/bin/env",
            NO_RSEQ,
            str(self._kernel),
            f"mem={MEMORY_MB}M",
            f"ubd0={self.directory}/root.cow,{self._image}",
        ]
        words += [f"ubd1={self.card}", "root=/dev/ubda", "rw", "quiet", "con0=null,fd:1", "con=null"]
        words += ["ssl0=null" if self.radio is None else f"ssl0=tty:{self.radio}", f"ssl1=tty:{port}", "ssl=null"]
        words += [f"uml_dir={state}/", "umid=board", f"CHECKOUT={recipe.ROOT}"]
        return [*words, "CLOCK=1970"] if self.clock_1970 else words

    # --- commands ------------------------------------------------------------------------------------------

    def run(self, *argv: str, within_s: float = COMMAND_S, env: Mapping[str, str] | None = None) -> str:
        """As root, in the board: what it wrote. Refused if it fails or takes longer."""
        done = self.ask(*argv, within_s=within_s, env=env)
        if done.code:
            raise self._failed(f"{' '.join(argv)} ended with {done.code}:\n{done.out}")
        return done.out

    def ask(
        self,
        *argv: str,
        within_s: float = COMMAND_S,
        env: Mapping[str, str] | None = None,
        show: Callable[[bytes], None] | None = None,
    ) -> Result:
        """Like run(), whatever its exit status. show: is given what it writes while it runs."""
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

    def _failed(self, what: str) -> Refused:
        console = self._console.read_bytes()[-CONSOLE_BYTES:].decode(errors="replace")
        return Refused(f"{self.directory.name}: {what}\nThe console's end:\n{console}")

    # --- the card, while the board is off --------------------------------------------------------------------

    def check_card(self) -> None:
        """What a boot's fsck does, the journal first; then Refused if anything is still wrong with the file system."""
        log = self.directory / "fsck"
        call(["e2fsck", "-p", "-E", "journal_only", str(self.card)], log)
        call(["e2fsck", "-f", "-n", str(self.card)], log)

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self.cut()


def make_card(path: Path) -> None:
    """An empty card: ext4 in a file with holes."""
    with path.open("wb") as file:
        file.truncate(CARD_BYTES)
    call(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "card", str(path)], path.with_suffix(".log"))
