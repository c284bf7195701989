"""Measurements of transfers: whole `dandelion copy` and `dandelion get` commands between two real units on one line."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from firmware.errors import Refused
from hal.light_dataclass import dataclass
from sim.bench_figures import Figure, Setting
from sim.bench_units import BenchUnit, Pair, Ran

GOODPUT = 0.90  # DESIGN §11, of the line's byte rate, clean, from the start
CPU_PERCENT = 8.0  # of a core of a machine ten times as fast as the board, so that the board is not busy with it
CLEAN_COPIES = 3  # the median of them is told
LOSS = 0.10  # of chunks
BIT_ERRORS = 1e-4  # per bit
SAMPLE_S = 0.01  # between two looks at the line's counts
LAST_BYTES = 100  # END, and what little comes after the last part
PHASES = ("command", "accept", "parts", "receipt", "rest")
_AGAIN = re.compile(r"\((\d+) bytes of it were sent again\)")


@dataclass(frozen=True, slots=True)
class Copied:
    """One copy. Seconds, but wire_bytes: what the origin's port sent meanwhile; cpu: of origin and host.

    command: start of the process until the unit requests. accept: until the host's acceptance is noted. parts: until
    the last part has arrived. receipt: until the proof is in the list. rest: until the command's process has ended.
    """

    seconds: float
    command: float
    accept: float
    parts: float
    receipt: float
    rest: float
    wire_bytes: int
    resent_bytes: int
    cpu: tuple[float, float]


class Arrivals(threading.Thread):
    """Samples how many bytes the line has handed to a port. Nobody else may ask the line meanwhile."""

    def __init__(self, pair: Pair, port: int) -> None:
        super().__init__(name="arrivals", daemon=True)
        self._pair = pair
        self._port = port
        self._over = threading.Event()
        self._samples: list[tuple[float, int]] = []

    def run(self) -> None:
        """The thread."""
        while not self._over.wait(SAMPLE_S):
            self._samples.append((time.monotonic(), self._pair.counts(self._port)["arrived_bytes"]))

    def end(self, until: float) -> float:
        """Stop; when all but LAST_BYTES of what came until then were there."""
        self._over.set()
        self.join()
        upto = [(at, count) for at, count in self._samples if at <= until]
        return next((at for at, count in upto if count >= upto[-1][1] - LAST_BYTES), until)


def copy_clean(setting: Setting) -> Iterator[Figure]:
    """200 kB over a clean line."""
    with Pair(setting) as pair:
        copies = [copy_once(pair) for _ in range(1 if setting.quick else CLEAN_COPIES)]
    size, line = _size(setting), pair.line_bytes_per_s
    rates = [size / (copied.seconds * line) for copied in copies]
    yield Figure("copy-clean", median(rates), "of line rate", setting.goal(GOODPUT, at_least=True))
    middle = min(copies, key=lambda copied: abs(size / (copied.seconds * line) - median(rates)))
    for phase in PHASES:
        yield Figure(f"copy-clean.{phase}", getattr(middle, phase), "s")
    yield Figure("copy-clean.resent", middle.resent_bytes, "B", setting.goal(0))
    yield Figure("copy-clean.overhead", 100 * (middle.wire_bytes / size - 1), "% of picture")
    for who, seconds in zip(("origin", "host"), middle.cpu, strict=True):
        goal = setting.goal(CPU_PERCENT)
        yield Figure(f"copy-clean.cpu-{who}", 100 * seconds / middle.seconds, "% of a core", goal)


def copy_loss(setting: Setting) -> Iterator[Figure]:
    """200 kB while a tenth of all chunks of 64 bytes is lost."""
    return _damaged("copy-loss", setting, "--loss", f"{LOSS}", "--chunk-bytes", "64")


def copy_loss_512(setting: Setting) -> Iterator[Figure]:
    """200 kB while a tenth of all chunks of 512 bytes is lost."""
    return _damaged("copy-loss-512", setting, "--loss", f"{LOSS}", "--chunk-bytes", "512")


def copy_ber(setting: Setting) -> Iterator[Figure]:
    """200 kB while one bit in 10,000 is wrong."""
    return _damaged("copy-ber", setting, "--bit-errors", f"{BIT_ERRORS}")


def _damaged(name: str, setting: Setting, *faults: str) -> Iterator[Figure]:
    with Pair(setting, faults=faults) as pair:
        copied = copy_once(pair)
        size = _size(setting)
        yield Figure(name, size / (copied.seconds * pair.line_bytes_per_s), "of line rate")
        for phase in PHASES:
            yield Figure(f"{name}.{phase}", getattr(copied, phase), "s")
        yield Figure(f"{name}.resent", copied.resent_bytes, "B")
        yield Figure(f"{name}.overhead", 100 * (copied.wire_bytes / size - 1), "% of picture")


def copy_both(setting: Setting) -> Iterator[Figure]:
    """200 kB each way at once."""
    with Pair(setting, cameras=2) as pair, ThreadPoolExecutor(2) as both:
        one, other = pair.units
        pictures = [unit.shoot() for unit in pair.units]
        runs = [
            both.submit(one.command, "copy", pictures[0], "--to", "2"),
            both.submit(other.command, "copy", pictures[1], "--to", "1"),
        ]
        for way, run in zip(("1-to-2", "2-to-1"), runs, strict=True):
            rate = _size(setting) / (run.result().seconds * pair.line_bytes_per_s)
            yield Figure(f"copy-both.{way}", rate, "of line rate")


def get_remote(setting: Setting) -> Iterator[Figure]:
    """Read out a picture at its origin, whose own file is gone, from the unit that holds it."""
    with Pair(setting) as pair:
        origin = pair.units[0]
        picture = origin.shoot()
        origin.command("copy", picture, "--to", "2")
        origin.command("drop", picture)
        run = origin.command("get", picture, "-o", str(setting.directory))
        if (setting.directory / f"{picture}.jpg").read_bytes() != _jpeg(setting).read_bytes():
            raise Refused(f"the read-out of {picture} gave other bytes than were taken")
        yield Figure("get-remote", _size(setting) / (run.seconds * pair.line_bytes_per_s), "of line rate")


def copy_once(pair: Pair) -> Copied:
    """Take a picture at unit 1 and copy it to unit 2."""
    origin, host = pair.units
    picture = origin.shoot()
    before, cpu = pair.counts(0)["sent_bytes"], _cpu_s(origin, host)
    arrivals = Arrivals(pair, 1)
    arrivals.start()
    try:
        run = origin.command("copy", picture, "--to", "2")
        stored = origin.log.wait_for("stored", picture)
    finally:
        there = arrivals.end(time.monotonic())
    return _phases(picture, origin, run, min(there, stored), pair.counts(0)["sent_bytes"] - before, cpu, host)


def _phases(
    picture: str, origin: BenchUnit, run: Ran, there: float, wire_bytes: int, cpu: tuple[float, float], host: BenchUnit
) -> Copied:
    """there: when the last part had arrived. cpu: of both before."""
    requested, sending, stored = (origin.log.wait_for(event, picture) for event in ("requested", "sending", "stored"))
    after = _cpu_s(origin, host)
    again = _AGAIN.search(next(text for text in origin.log.texts("stored") if picture in text))
    return Copied(
        seconds=run.seconds,
        command=requested - run.begun,
        accept=sending - requested,
        parts=there - sending,
        receipt=stored - there,
        rest=run.ended - stored,
        wire_bytes=wire_bytes,
        resent_bytes=int(again[1]) if again else 0,
        cpu=(after[0] - cpu[0], after[1] - cpu[1]),
    )


def _cpu_s(origin: BenchUnit, host: BenchUnit) -> tuple[float, float]:
    return origin.cpu_s(), host.cpu_s()


def _jpeg(setting: Setting) -> Path:
    return next(setting.folder.glob("*.jpg"))


def _size(setting: Setting) -> int:
    return _jpeg(setting).stat().st_size
