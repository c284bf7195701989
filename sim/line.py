"""The link emulator: ptys joined by a LineModel, and the process that pumps bytes between them at the line's pace.

    python -m sim.line --units 2 --baud 115200 --loss 0.1

prints {"ports": [path, ...]} and ends on SIGTERM or at the end of its standard input. Commands are lines of
standard input, each answered by one JSON line: `stats` {"stats": {...}}; `stop` and `start` (the line is cut, is
joined again); `inject PORT HEX` (noise arrives at that port, counted from 0). SIGUSR1 prints the stats too.
A process of its own, because a busy Python program cannot keep a line's pace on a thread. LineProcess runs one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType, TracebackType

from sim.line_model import LineModel, LineOptions
from sim.pty_port import READ_BYTES, UNREAD_BYTES, PtyPort

REFILL_BYTES = 1024  # a lane with less room than this is not filled up yet, so that a busy line is no busy loop
IDLE_S = 60.0  # longest wait of a quiet line; nothing depends on it
MAX_COMMAND_BYTES = 1 << 17  # one command line; 64 kB of noise in hex
LINE_END_S = 5.0  # a line that has not ended by then after its input closed is killed


class Line:
    """Ptys on one line. `ports[i]` is what unit i+1 opens; with `links`, links in that directory that name them.
    clock: monotonic seconds.

    Nothing moves but inside step(), which one thread calls. What a unit does not read in time is dropped and counted,
    as a UART does: beyond UNREAD_BYTES, or on a hub, which hands over whole frames, beyond what the pty holds (20 kB).
    """

    def __init__(
        self,
        count: int,
        *,
        baud: int = 115_200,
        options: LineOptions,
        rng: random.Random,
        links: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.model = LineModel(count, baud=baud, options=options, rng=rng)
        if links is not None:
            links.mkdir(parents=True, exist_ok=True)
        self._ptys = [PtyPort(None if links is None else links / f"port-{index + 1}") for index in range(count)]
        self.ports = [pty.name for pty in self._ptys]

    def step(self, *, patience_s: float, watch: tuple[int, ...] = ()) -> list[int]:
        """Wait until there is something to do, at most patience_s, and do it; returns which of `watch` can be read."""
        senders = [pty.fd for port, pty in enumerate(self._ptys) if self.model.room(port) >= REFILL_BYTES]
        deadline = self.model.deadline()
        if deadline is not None:
            patience_s = min(patience_s, max(0.0, deadline - self._clock()))
        ready, _, _ = select.select([*senders, *watch], [], [], patience_s)
        now = self._clock()
        for port, pty in enumerate(self._ptys):
            if pty.fd in ready:
                self.model.send(port, pty.read(self.model.room(port)), now)
        for port, data in self.model.take(now):
            self._hand_over(port, data)
        return [fd for fd in watch if fd in ready]

    def _hand_over(self, port: int, data: bytes) -> None:
        pty = self._ptys[port]
        room = len(data) if self.model.is_hub else max(0, UNREAD_BYTES - pty.unread_bytes())
        written = pty.write(data[:room])
        self.model.counts[port].arrived_bytes -= len(data) - written
        self.model.counts[port].overflowed_bytes += len(data) - written

    def stop(self) -> None:
        """Cut the line."""
        self.model.stop(self._clock())

    def start(self) -> None:
        """Join it again."""
        self.model.start(self._clock())

    def inject(self, port: int, data: bytes) -> None:
        """Let noise arrive at a port, counted from 0."""
        self.model.inject(port, data, self._clock())

    def stats(self) -> dict[str, object]:
        """What the command `stats` prints: whether the line is cut, and the counts of each port."""
        return {"cut": self.model.cut, "ports": [asdict(counts) for counts in self.model.counts]}

    def close(self) -> None:
        """Give the ptys and their links back."""
        for pty in self._ptys:
            pty.close()
        self._ptys.clear()


class LineProcess:
    """A line in a process of its own; `ports` can be opened once it is made. Ends with us, however we end."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sim.line", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C at the terminal is for the fleet, which ends its parts in order
        )
        self.ports: list[str] = []
        self.ports = [str(port) for port in self._answer("ports")]

    def _answer(self, key: str) -> list[object]:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        answer = json.loads(text) if text else {"error": "the link emulator ended by itself"}
        if key not in answer:
            self.close()
            raise ValueError(str(answer.get("error", answer)))
        found = answer[key]
        return found if isinstance(found, list) else [found]

    def _ask(self, command: str, key: str) -> object:
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        return self._answer(key)[0]

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Cut the line."""
        self._ask("stop", "done")

    def start(self) -> None:
        """Join it again."""
        self._ask("start", "done")

    def inject(self, port: int, data: bytes) -> None:
        """Let noise arrive at a port, counted from 0."""
        self._ask(f"inject {port} {data.hex()}", "done")

    def stats(self) -> dict[str, object]:
        """As Line.stats()."""
        found = self._ask("stats", "stats")
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        """End it; safe to call twice."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self._process.stdin.close()
        try:
            self._process.wait(LINE_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> LineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server:
    """The pump with its standard input, output and signals."""

    def __init__(self, line: Line, *, commands_fd: int, wake_fd: int) -> None:
        self._line = line
        self._commands_fd = commands_fd
        self._wake_fd = wake_fd
        self._pending = b""
        self._ending = False
        self._stats_wanted = False

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """SIGUSR1 asks for the stats, any other to end; the wake descriptor ends the wait."""
        if number == signal.SIGUSR1:
            self._stats_wanted = True
        else:
            self._ending = True

    def serve(self) -> None:
        """Pump until told to end."""
        while not self._ending:
            ready = self._line.step(patience_s=IDLE_S, watch=(self._commands_fd, self._wake_fd))
            if self._wake_fd in ready:
                os.read(self._wake_fd, READ_BYTES)
            if self._stats_wanted:
                self._stats_wanted = False
                _say(stats=self._line.stats())
            if self._commands_fd in ready:
                self._read_commands()

    def _read_commands(self) -> None:
        data = os.read(self._commands_fd, READ_BYTES)
        *lines, self._pending = (self._pending + data).split(b"\n")
        if not data or len(self._pending) > MAX_COMMAND_BYTES:
            self._ending = True
        for line in lines:
            self._obey(line.decode("ascii", "replace").split())

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["stats"]:
                _say(stats=self._line.stats())
            case ["stop"]:
                self._line.stop()
                _say(done="stop")
            case ["start"]:
                self._line.start()
                _say(done="start")
            case ["inject", port, noise] if port.isdecimal() and int(port) < len(self._line.ports):
                try:
                    self._line.inject(int(port), bytes.fromhex(noise))
                except ValueError as error:
                    _say(error=str(error))
                else:
                    _say(done="inject")
            case _:
                _say(error=f"not a command: {' '.join(words)[:80]!r}; stats, stop, start, inject PORT HEX are")


def _say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sim.line",
        description="join ptys to one serial line, until SIGTERM, Ctrl-C or the end of standard input",
    )
    parser.add_argument("--units", type=int, default=2, metavar="N")
    parser.add_argument("--baud", type=int, default=115_200)
    parser.add_argument("--loss", type=float, default=0.0, metavar="P", help="probability to lose a chunk")
    parser.add_argument("--chunk-bytes", type=int, default=64, metavar="N")
    parser.add_argument("--bit-errors", type=float, default=0.0, metavar="P", help="per bit")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S")
    parser.add_argument("--half-duplex", action="store_true", help="one medium: who overlaps is garbled")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--links", type=Path, metavar="DIR", help="name the ports DIR/port-1, DIR/port-2, …")
    return parser.parse_args(argv)


def _line(options: argparse.Namespace) -> Line:
    faults = LineOptions(
        half_duplex=options.half_duplex,
        delay_s=options.delay,
        bit_error_rate=options.bit_errors,
        chunk_loss=options.loss,
        chunk_bytes=options.chunk_bytes,
    )
    rng = random.Random(options.seed)
    return Line(options.units, baud=options.baud, options=faults, rng=rng, links=options.links)


def main(argv: list[str] | None = None) -> int:
    """Run one line until SIGTERM or the end of standard input."""
    options = _arguments(argv)
    try:
        line = _line(options)
    except (ValueError, OSError) as error:
        _say(error=str(error))
        return 2
    wake_fd, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    server = _Server(line, commands_fd=sys.stdin.fileno(), wake_fd=wake_fd)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, server.on_signal)
    _say(ports=line.ports)
    server.serve()
    line.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
