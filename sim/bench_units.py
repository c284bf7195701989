"""Units as real processes on an emulated line, for measurements: started, asked, watched, weighed and ended."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firmware.client import Client
from firmware.control_lines import Row
from firmware.errors import Refused
from hal.errors import DandelionError
from hal.light_dataclass import dataclass
from sim.bench_figures import Setting
from sim.children import DANDELION, Child, end_all
from sim.fleet_config import as_toml, enrol
from sim.line import LineProcess
from sim.line_model import BITS_PER_BYTE_ON_LINE

PATIENCE_S = 60.0  # whatever takes longer than this without a word is broken, not slow
COMMAND_S = 600.0  # the longest command: 200 kB at 115200 baud with half of the chunks lost
POLL_S = 0.002  # between two looks whether a socket answers
MAX_EVENTS = 10_000  # of one unit's log; the longest measurement makes 400
RUN = (*DANDELION, "run")

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """A whole command, the start of its process included. Times are monotonic seconds."""

    begun: float
    ended: float
    rows: list[Fields]

    @property
    def seconds(self) -> float:
        """From before its start to after its end."""
        return self.ended - self.begun


class EventLog(threading.Thread):
    """Follows `log` of one unit and notes when each event came."""

    def __init__(self, socket: Path) -> None:
        super().__init__(name=f"log of {socket}", daemon=True)
        self._socket = socket
        self._news = threading.Condition()
        self._events: list[tuple[float, Fields]] = []

    def run(self) -> None:
        """The thread; ends with the unit."""
        with suppress(DandelionError):
            for answer in Client(self._socket).ask("log", follow=True):
                if isinstance(answer, Row):
                    with self._news:
                        assert len(self._events) < MAX_EVENTS
                        self._events.append((time.monotonic(), answer.fields))
                        self._news.notify_all()

    def times(self, event: str, picture: str | None = None) -> list[float]:
        """When such events came, of this picture or of any."""
        return [at for at, row in self._all(event) if picture in (None, row["picture"])]

    def texts(self, event: str) -> list[str]:
        """What such events say."""
        return [row["text"] for _, row in self._all(event)]

    def _all(self, event: str) -> list[tuple[float, Fields]]:
        return [(at, row) for at, row in list(self._events) if row["event"] == event]

    def wait_for(self, event: str, picture: str | None = None, count: int = 1) -> float:
        """When the count-th such event came; waits PATIENCE_S since the last event of any kind, then Refused."""
        with self._news:
            while len(found := self.times(event, picture)) < count:
                if not self._news.wait(PATIENCE_S):
                    last = self._events[-1][1]["text"] if self._events else "nothing"
                    raise Refused(f"no event {event!r} came within {PATIENCE_S:.0f} s; the last was: {last}")
        return found[count - 1]


class BenchUnit:
    """One unit: start() its process, then wait until it is ready(). folder: of its camera, None without one."""

    def __init__(
        self,
        number: int,
        directory: Path,
        *,
        port: str,
        baud: int,
        folder: Path | None,
        policy: str = "never",
        runner: Sequence[str] = RUN,
    ) -> None:
        self.number = number
        self.directory = directory / f"unit-{number}"
        self.card = self.directory / "card"
        self.card.mkdir(parents=True, exist_ok=True)
        self.config = self.directory / "config.toml"
        self.socket = self.directory / "run" / "control.sock"
        camera = {"driver": "none"} if folder is None else {"driver": "folder", "folder": str(folder)}
        tables: dict[str, dict[str, object]] = {
            "unit": {"id": number, "runtime_dir": str(self.socket.parent)},
            "card": {"path": str(self.card), "capacity": "1 GB"},
            "camera": dict(camera),
            "radio": {"driver": "serial", "port": port, "baud": baud},
            "dispersal": {"policy": policy},
            "security": {"credential": str(self.directory / "unit.credential")},
        }
        enrol(directory, number, f"unit-{number}", self.directory / "unit.credential")
        self.config.write_text(as_toml(tables))
        self.log = EventLog(self.socket)
        self.start_words = (*runner, "--config", str(self.config))
        self._process: Child | None = None

    def start(self) -> None:
        """Begin its process; whoever does ends it."""
        self._process = Child(self.start_words, said=self.directory / "output")

    @property
    def process(self) -> Child:
        """The one that was started."""
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        """All that the process has written."""
        return (self.directory / "output").read_text(errors="replace")

    def ready(self) -> None:
        """Wait until it answers, and follow its log from then on."""
        deadline = time.monotonic() + PATIENCE_S
        while not Client(self.socket).runs():
            if self.process.status() is not None or time.monotonic() > deadline:
                raise Refused(f"unit {self.number} did not come up: {self.process.last_words()}")
            time.sleep(POLL_S)
        self.log.start()

    def meet(self) -> None:
        """Wait until another unit's beacon has told what room it has."""
        self.log.wait_for("heard")
        deadline = time.monotonic() + PATIENCE_S
        while not any(row["room_bytes"] for row in self.ask("units")):
            if time.monotonic() > deadline:
                raise Refused(f"unit {self.number} has heard of no room: {self.process.last_words()}")
            time.sleep(POLL_S)

    def ask(self, verb: str, **arguments: object) -> list[Fields]:
        """The rows that it answers with, without a command's process."""
        answers = Client(self.socket).ask(verb, silence_s=PATIENCE_S, **arguments)
        return [answer.fields for answer in answers if isinstance(answer, Row)]

    def shoot(self) -> str:
        """The id of one picture more."""
        return str(self.ask("shoot", count=1)[0]["picture"])

    def command(self, *words: str) -> Ran:
        """Run the whole command as a person would; Refused if it fails."""
        begun = time.monotonic()
        done = subprocess.run(
            [*DANDELION, *words, "--json", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        ended = time.monotonic()
        if done.returncode != 0:
            raise Refused(f"`dandelion {' '.join(words)}` ended with status {done.returncode}: {done.stderr.strip()}")
        return Ran(begun, ended, [json.loads(line) for line in done.stdout.splitlines()])

    @property
    def radio(self) -> Fields:
        """The radio's counts in `status`."""
        found: Fields = self.ask("status")[0]["radio"]
        return found

    def cpu_s(self) -> float:
        """Processor time that its threads have used so far."""
        return cpu_s(self.process.pid)

    def rss_mb(self) -> float:
        """Memory of its process, without its camera's child."""
        return rss_mb(self.process.pid)


class Pair:
    """Units 1 (with a camera) and 2 on one line that have heard one another; ended at the end of the context."""

    def __init__(
        self,
        setting: Setting,
        *,
        faults: Sequence[str] = (),
        cameras: int = 1,
        policy: str = "never",
        baud: int | None = None,
        host_runner: Sequence[str] = RUN,
    ) -> None:
        """faults: arguments of sim.line. cameras: how many of the units have one. baud: None for the setting's.
        host_runner: the command that is unit 2, without its --config."""
        self._setting = setting
        self._baud = setting.baud if baud is None else baud
        self._faults = faults
        self._cameras = cameras
        self._policy = policy
        self._runners = (RUN, host_runner)
        self.units: list[BenchUnit] = []
        self.line_bytes_per_s = self._baud / BITS_PER_BYTE_ON_LINE

    def __enter__(self) -> Self:
        self.line = LineProcess(["--units", "2", "--baud", str(self._baud), *self._faults])
        try:
            for number, port in enumerate(self.line.ports, start=1):
                self.units.append(self._make(number, port))
                self.units[-1].start()
            for unit in self.units:
                unit.ready()
            for unit in self.units:
                unit.meet()
        except BaseException:
            self._end()
            raise
        return self

    def _make(self, number: int, port: str) -> BenchUnit:
        folder = self._setting.folder if number <= self._cameras else None
        return BenchUnit(
            number,
            self._setting.directory,
            port=port,
            baud=self._baud,
            folder=folder,
            policy=self._policy,
            runner=self._runners[number - 1],
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        end_all([unit.process for unit in self.units])
        self.line.close()

    def counts(self, port: int) -> dict[str, int]:
        """What the line has counted at a port, from 0."""
        ports: Any = self.line.stats()["ports"]
        found: dict[str, int] = ports[port]
        return found


def cpu_s(pid: int) -> float:
    """Processor time of a process's living threads, from the scheduler's own books (ns, where ticks have 10 ms)."""
    total_ns = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            total_ns += int((task / "schedstat").read_text().split()[0])
    return total_ns / 1e9


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise Refused(f"process {pid} has no memory: it has ended")
