"""Measurements of the daemon itself: time until it answers, memory, processor time while idle, shutter under load."""

from __future__ import annotations

import ctypes
import os
import select
import statistics
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from firmware.client import Client
from firmware.errors import Refused
from hal.errors import DandelionError
from hal.light_dataclass import dataclass
from sim.bench_figures import Figure, Goal, Setting
from sim.bench_units import PATIENCE_S, POLL_S, BenchUnit, Pair, cpu_s, rss_mb
from sim.children import END_S
from sim.line import LineProcess

READY_S = 0.6  # DESIGN §11, as the next four
RSS_MB = 45.0
IDLE_PERCENT = 0.5
CAPTURE_MS = 20.0
STARTS, QUICK_STARTS = 7, 2
TRANSFERS, QUICK_TRANSFERS = 50, 3
FAST_BAUD = 3_000_000  # memory is measured after many transfers, whatever their pace
IDLE_S, QUICK_IDLE_S = 20.0, 1.0
PRESSES, QUICK_PRESSES = 20, 3

IN_OPEN = 0x20  # inotify(7)
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, bytes of the name behind it
_EVENT_BYTES = 4096  # room for the events of one read


def ready(setting: Setting) -> Iterator[Figure]:
    """From the start of `dandelion run` to the first answer of `status`; first with a new card, then with the same."""
    starts = []
    with LineProcess(["--units", "2", "--baud", str(setting.baud)]) as line:
        made = BenchUnit(1, setting.directory, port=line.ports[0], baud=setting.baud, folder=setting.folder)
        for _ in range(1 + (QUICK_STARTS if setting.quick else STARTS)):
            starts.append(start_and_end(made))
    first, *later = starts
    yield Figure("ready", statistics.median(start.seconds for start in later), "s", Goal(READY_S))
    yield Figure("ready.slowest", max(start.seconds for start in later), "s", Goal(READY_S))
    yield Figure("ready.first", first.seconds, "s")
    yield Figure("ready.cpu", statistics.median(start.cpu_s for start in later), "s of a core")


@dataclass(frozen=True, slots=True)
class Start:
    """Until the first answer: time, and processor time, which a busy machine changes less."""

    seconds: float
    cpu_s: float


def start_and_end(unit: BenchUnit) -> Start:
    """Start the unit with its config, wait for its first answer, and end it."""
    begun = time.monotonic()
    process = subprocess.Popen(unit.start_words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(unit.socket):
            if time.monotonic() - begun > PATIENCE_S or process.poll() is not None:
                raise Refused("the unit did not come up")
            time.sleep(POLL_S)
        return Start(time.monotonic() - begun, cpu_s(process.pid))
    finally:
        process.terminate()
        process.wait(END_S)


def _answers(socket: Path) -> bool:
    try:
        return bool(list(Client(socket).ask("status", silence_s=PATIENCE_S)))
    except DandelionError:
        return False


def rss(setting: Setting) -> Iterator[Figure]:
    """Memory of two idle units that have heard one another, then after many transfers."""
    goal = Goal(RSS_MB)
    with Pair(setting, policy="always", baud=FAST_BAUD) as pair:
        origin, host = pair.units
        yield Figure("rss", max(unit.rss_mb() for unit in pair.units), "MB", goal)
        yield Figure("rss.camera-child", sum(map(rss_mb, _children(origin.process.pid))), "MB")
        count = QUICK_TRANSFERS if setting.quick else TRANSFERS
        for taken in range(1, count + 1):
            origin.shoot()
            origin.log.wait_for("stored", count=taken)
            if taken == max(1, count // 5):
                early_mb = max(unit.rss_mb() for unit in pair.units)
        yield Figure(f"rss.after-{count}-origin", origin.rss_mb(), "MB", goal)
        yield Figure(f"rss.after-{count}-host", host.rss_mb(), "MB", goal)
        yield Figure("rss.growth", max(unit.rss_mb() for unit in pair.units) - early_mb, "MB, last 80 %")


def _children(pid: int) -> list[int]:
    """Of whichever thread."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def idle(setting: Setting) -> Iterator[Figure]:
    """Processor time of two units that only send beacons."""
    with Pair(setting) as pair:
        seconds = QUICK_IDLE_S if setting.quick else IDLE_S
        before = [cpu_s(unit.process.pid) for unit in pair.units]
        time.sleep(seconds)
        used = [unit.cpu_s() - at for unit, at in zip(pair.units, before, strict=True)]
        yield Figure("idle", 100 * max(used) / seconds, "% of a core", setting.goal(IDLE_PERCENT))


def shutter(setting: Setting) -> Iterator[Figure]:
    """From writing `shoot` to the control socket to the camera's child opening the picture, while a copy is sent.

    The folder camera's capture begins with open() of the next JPEG; inotify tells of it. So all is in it but the
    button's debouncing and the command's own start.
    """
    with Pair(setting) as pair, Opens(setting.folder) as opens:
        origin = pair.units[0]
        picture = origin.shoot()
        copying = threading.Thread(target=lambda: origin.command("copy", picture, "--to", "2"))
        copying.start()
        origin.log.wait_for("sending", picture)
        delays_ms = []
        for _ in range(QUICK_PRESSES if setting.quick else PRESSES):
            opens.forget()
            pressed = time.monotonic()
            origin.shoot()
            delays_ms.append(1000 * (opens.first() - pressed))
        still = not origin.log.times("stored", picture)
        copying.join()
    if not still:
        raise Refused("the copy was over before the last press")
    yield Figure("shutter", max(delays_ms), "ms", Goal(CAPTURE_MS))
    yield Figure("shutter.median", statistics.median(delays_ms), "ms")


class Opens(threading.Thread):
    """Notes when files of a directory are opened."""

    def __init__(self, directory: Path) -> None:
        super().__init__(name=f"opens in {directory}", daemon=True)
        library = ctypes.CDLL(None, use_errno=True)
        self._inotify = library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._inotify < 0 or library.inotify_add_watch(self._inotify, os.fsencode(directory), IN_OPEN) < 0:
            raise Refused(f"{directory} cannot be watched: {os.strerror(ctypes.get_errno())}")
        self._over, self._end = os.pipe()
        self._news = threading.Condition()
        self._at: float | None = None

    def run(self) -> None:
        """The thread."""
        while True:
            ready, _, _ = select.select([self._inotify, self._over], [], [])
            now = time.monotonic()
            if self._over in ready:
                return
            if files_in(os.read(self._inotify, _EVENT_BYTES)):
                with self._news:
                    self._at = self._at or now
                    self._news.notify_all()

    def forget(self) -> None:
        """Only what comes from now on counts."""
        with self._news:
            self._at = None

    def first(self) -> float:
        """When a file was first opened since forget(), in monotonic seconds; waits for it."""
        with self._news:
            if not self._news.wait_for(lambda: self._at is not None, PATIENCE_S):
                raise Refused("the camera opened no file")
            assert self._at is not None
            return self._at

    def __enter__(self) -> Opens:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._end, b"x")
        self.join()
        for descriptor in (self._inotify, self._over, self._end):
            os.close(descriptor)


def files_in(events: bytes) -> list[bytes]:
    """The names in what inotify gives; an event of the directory itself has none."""
    names, at = [], 0
    while at < len(events):
        *_, size_bytes = _EVENT.unpack_from(events, at)
        at += _EVENT.size
        names.append(events[at : at + size_bytes].rstrip(b"\0"))
        at += size_bytes
    return [name for name in names if name]
