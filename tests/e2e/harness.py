"""Units as real processes: started, waited on through their logs, killed, and asked by the real command.

Nothing here sleeps: a test waits for an event that a unit says (`log --follow` over its control socket), or for the
end of a process, both bounded, and what fails shows what every process has said.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from firmware.client import Client
from firmware.control_lines import Row
from hal.errors import DandelionError
from sim.children import DANDELION
from sim.fleet_config import as_toml, enrol

READY_S = 30.0  # a unit is ready in 0.6 s (DESIGN §11); a busy machine may need longer
END_S = 5.0  # after SIGTERM (DESIGN §9)
COMMAND_S = 90.0  # longest any command of these tests may take; those that should be quick say so
EVENT_S = 60.0  # longest wait for an event, unless a test says otherwise
LOOK_AGAIN_S = 0.5  # what changes without an event is looked at so often
FAST_BAUD = 2_000_000  # a picture of 200 kB in a second
ID_LENGTH = 19  # 00001-3fa7-00000042

Found = TypeVar("Found")
Fields = dict[str, Any]
Tables = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left: its exit status, and what it said."""

    code: int
    out: str
    err: str


def run_command(*arguments: str | Path, within_s: float = COMMAND_S) -> Result:
    """`dandelion` with these arguments, in a process of its own."""
    words = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(
            [*DANDELION, *words],
            capture_output=True,
            text=True,
            timeout=within_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"`dandelion {' '.join(words)}` took more than {within_s:.0f} s") from error
    sane(f"`dandelion {' '.join(words)}`", done.stderr)
    assert done.returncode in (0, 1, 2), f"`dandelion {' '.join(words)}` ended with {done.returncode}: {done.stderr}"
    return Result(done.returncode, done.stdout, done.stderr)


def sane(who: str, said: str) -> None:
    """No process ever shows a traceback, or an error that nobody expected."""
    assert "Traceback" not in said, f"{who} said:\n{said}"
    assert "unexpected" not in said, f"{who} said:\n{said}"


class UnitProcess:
    """One unit: its config, card and runtime_dir in a directory, and `dandelion run` on them while it is started."""

    def __init__(self, number: int, directory: Path, tables: Tables) -> None:
        self.number = number
        self.card = directory / f"card{number}"
        self.config = directory / f"unit{number}.toml"
        self.runtime = directory / f"run{number}"
        self.tables: dict[str, dict[str, object]] = {
            "unit": {"id": number, "runtime_dir": str(self.runtime)},
            "card": {"path": str(self.card), "capacity": "50 MB"},
            "camera": {"driver": "none"},
            "radio": {"baud": FAST_BAUD},
            "security": {"credential": str(directory / f"unit{number}.credential")},
        }
        enrol(directory, number, f"unit-{number}", directory / f"unit{number}.credential")
        self.configure(tables)
        self.events: list[Fields] = []
        self._said: list[str] = []
        self._news = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []
        self.environment: dict[str, str] = {}  # more of it, for the next start

    def configure(self, tables: Tables) -> None:
        """Change keys of the config; the unit reads it when it starts."""
        for table, keys in tables.items():
            self.tables.setdefault(table, {}).update(keys)
        self.config.write_text(as_toml(self.tables))

    # --- the process ---------------------------------------------------------------------------------------

    @property
    def said(self) -> str:
        """All that it has written to stderr, in every life."""
        with self._news:
            return "".join(self._said)

    def start(self) -> UnitProcess:
        """`dandelion run`, until it is ready."""
        assert self._process is None
        lines = len(self._said)
        self._process = subprocess.Popen(
            [*DANDELION, "run", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | self.environment,
        )
        self._spawn(self._read_said, self._process)
        with self._news:
            self._news.wait_for(lambda: self._ready(lines), READY_S)
            ready = self._ready(lines) and self.is_running
        assert ready, f"unit {self.number} did not get ready; it said:\n{self.said}"
        self._spawn(self._follow)
        return self

    def _ready(self, lines: int) -> bool:
        return not self.is_running or any(line.startswith("ready") for line in self._said[lines:])

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self._end(signal.SIGKILL)

    def end(self) -> None:
        """SIGTERM: it ends within 5 s, with exit 0."""
        if self._process is not None:
            status = self._end(signal.SIGTERM)
            assert status == 0, f"unit {self.number} ended with {status}; it said:\n{self.said}"

    def wait_broken(self, name: str) -> None:
        """It ends by itself, with the one line that this error, which nobody expected, leaves."""
        status = self._wait_end(EVENT_S)
        (line,) = [line for line in self._said if "unexpected" in line]
        assert f"unexpected {name}" in line
        assert status == 1
        self._said.remove(line)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._wait_end(END_S)

    def _wait_end(self, within_s: float) -> int:
        process = self._process
        assert process is not None
        try:
            status = process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"unit {self.number} did not end within {within_s:.0f} s:\n{self.said}") from None
        finally:
            for thread in self._threads:
                thread.join(END_S)
            self._threads.clear()
            self._process = None
        return status

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read_said(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as stderr:
            for line in stderr:
                self._tell(self._said, line)
        process.wait()
        with self._news:
            self._news.notify_all()

    def _follow(self) -> None:
        try:
            for answer in Client(self.runtime / "control.sock").ask("log", follow=True):
                if isinstance(answer, Row):
                    self._tell(self.events, dict(answer.fields))
        except DandelionError:
            pass  # the unit has ended

    def _tell(self, where: list[Any], what: object) -> None:
        with self._news:
            where.append(what)
            self._news.notify_all()

    # --- waiting -------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """For `after`: events from now on."""
        with self._news:
            return len(self.events)

    def wait_event(
        self, *words: str, picture: str | None = None, text: str = "", after: int = 0, within_s: float = EVENT_S
    ) -> Fields:
        """The first event after that mark with one of these words, about that picture, with that text in it."""

        def find() -> Fields | None:
            for event in self.events[after:]:
                about = picture is None or event["picture"] == picture
                if event["event"] in words and about and text in event["text"]:
                    return event
            return None

        return self.wait_until(find, f"event {' or '.join(words)} {picture or ''} {text}", within_s=within_s)

    def wait_until(self, look: Callable[[], Found | None], what: str, *, within_s: float = EVENT_S) -> Found:
        """What `look` finds; it looks after every event, and now and then."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with self._news:
                heard = len(self.events)
            found = look()
            if found:
                return found
            with self._news:
                self._news.wait_for(lambda heard=heard: len(self.events) > heard, LOOK_AGAIN_S)  # type: ignore[misc]
            assert self._process is None or self.is_running, f"unit {self.number} has ended:\n{self.said}"
        raise AssertionError(f"unit {self.number}: no {what} within {within_s:.0f} s; it said:\n{self.said}")

    # --- asking --------------------------------------------------------------------------------------------

    def ask(self, verb: str, **arguments: object) -> list[Fields]:
        """The rows that the running unit answers over its control socket; quicker than command()."""
        answers = Client(self.runtime / "control.sock").ask(verb, silence_s=COMMAND_S, **arguments)
        return [dict(answer.fields) for answer in answers if isinstance(answer, Row)]

    def status(self) -> Fields:
        """The row of `status`."""
        return self.ask("status")[0]

    def command(self, verb: str, *arguments: str | Path, within_s: float = COMMAND_S) -> Result:
        """`dandelion VERB … --config …`."""
        try:
            return run_command(verb, *arguments, "--config", self.config, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\nunit {self.number} said:\n{self.said}") from error

    def rows(self, verb: str, *arguments: str | Path, within_s: float = COMMAND_S) -> list[Fields]:
        """The rows of a command with --json that must be done."""
        done = self.command(verb, "--json", *arguments, within_s=within_s)
        assert done.code == 0, f"{verb} ended with {done.code}: {done.err}\nunit {self.number} said:\n{self.said}"
        return [json.loads(line) for line in done.out.splitlines()]

    def shoot(self, within_s: float = COMMAND_S) -> Fields:
        """Press the shutter, by the command; the row of the picture."""
        (row,) = self.rows("shoot", within_s=within_s)
        return row

    # --- the card ------------------------------------------------------------------------------------------

    def files(self, place: str) -> set[str]:
        """Paths below the card of the pictures in own/ or held/."""
        return {str(path.relative_to(self.card)) for path in (self.card / place).glob("*/*.jpg")}

    def forget_catalogue(self) -> None:
        """Remove the catalogue's files, as a broken card would."""
        for suffix in ("", "-wal", "-shm"):
            (self.card / f"catalogue.sqlite3{suffix}").unlink(missing_ok=True)
        assert not (self.card / "catalogue.sqlite3").exists()


def two_units(
    make_unit: Callable[..., UnitProcess],
    ports: Sequence[str],
    folder: Path,
    *,
    capacity: str = "500 kB",
    capacity_2: str = "50 MB",
    policy: str = "when-full",
    baud: int = FAST_BAUD,
) -> list[UnitProcess]:
    """The two of most tests, started: unit 1 with a camera, unit 2 with none."""
    one = {
        "card": {"capacity": capacity},
        "camera": {"driver": "folder", "folder": str(folder)},
        "dispersal": {"policy": policy},
        "radio": {"baud": baud},
    }
    two = {"card": {"capacity": capacity_2}, "radio": {"baud": baud}}
    return [make_unit(1, ports[0], one).start(), make_unit(2, ports[1], two).start()]


def is_safe(row: Fields) -> bool:
    """A row of `list` at the origin: the picture is here, or a unit has proved that it holds it."""
    return bool(row["local"]) or any(copy["state"] == "verified" for copy in row["copies"])


def holds(row: Fields, unit: int) -> bool:
    """Whether that unit has proved that it holds the picture of a row of `list`."""
    return any(copy["unit"] == unit and copy["state"] == "verified" for copy in row["copies"])


def ids_of(paths: set[str]) -> list[str]:
    """The picture ids of file names, sorted."""
    return sorted(os.path.basename(path)[:ID_LENGTH] for path in paths)


def mismatch(one: UnitProcess, two: UnitProcess, pictures: Sequence[str]) -> str:
    """What is not as it should be between unit 1's list and the files of both cards; empty if all is well.

    Every picture is where the list of its origin says, once at each place, and nowhere else.
    """
    rows = {row["picture"]: row for row in one.ask("list")}
    if sorted(rows) != sorted(pictures):
        return f"list has {sorted(rows)}, not {sorted(pictures)}"
    unsafe = [picture for picture, row in rows.items() if not is_safe(row)]
    local = sorted(picture for picture, row in rows.items() if row["local"])
    remote = sorted(picture for picture, row in rows.items() if holds(row, two.number))
    own, held = ids_of(one.files("own")), ids_of(two.files("held"))
    if unsafe or own != local or held != remote:
        return f"unsafe {unsafe}; list local {local}, files {own}; list remote {remote}, files {held}"
    return ""


def wait_settled(one: UnitProcess, two: UnitProcess, pictures: Sequence[str], *, within_s: float = EVENT_S) -> None:
    """Wait until nothing is under way and nothing is wrong."""
    last = [""]

    def look() -> bool:
        last[0] = "transfers are under way" * bool(one.status()["transfers"]) or mismatch(one, two, pictures)
        return not last[0]

    try:
        one.wait_until(look, "settled cards", within_s=within_s)
    except AssertionError as error:
        raise AssertionError(f"{last[0]}\n{error}\nunit {two.number} said:\n{two.said}") from error


def check_read_out(unit: UnitProcess, shots: Sequence[Fields], folder: Path, into: Path) -> None:
    """`get` gives each shot back as a file of the camera's folder, byte for byte; shots: rows of `shoot`."""
    sources = {hashlib.sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in folder.glob("*.jpg")}
    rows = unit.rows("get", *(shot["picture"] for shot in shots), "-o", into)
    assert [row["picture"] for row in rows] == [shot["picture"] for shot in shots]
    for row, shot in zip(rows, shots, strict=True):
        assert Path(row["path"]).read_bytes() == sources[shot["sha256"]]


def check_clean(unit: UnitProcess) -> None:
    """fsck finds nothing wrong on the card of a unit that has ended."""
    checked = unit.command("fsck", "--json")
    assert checked.code == 0, checked.out + checked.err
