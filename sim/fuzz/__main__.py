"""`python -m sim.fuzz`: hostile input for every decoder, led by coverage; ends with 1 at the first that one does not
survive, and tells the command that repeats it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hal.light_dataclass import dataclass
from sim.fuzz.guided import REPORT, Report
from sim.fuzz.measure import Most, greatest, slowest
from sim.fuzz.target import Target, feed
from sim.fuzz.targets import TARGETS

DEFAULT_S = 60.0
MEASURED = 500
"""Inputs of the corpus that are measured, beside the slowest; each reaches code that none before it has."""
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """What one target gets of a run."""

    seconds: float
    input_bytes: float
    seed: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options, feed one target after the other, tell figures."""
    parser = argparse.ArgumentParser(prog="python -m sim.fuzz", description=__doc__, allow_abbrev=False)
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be given again")
    much = parser.add_mutually_exclusive_group()
    much.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help=f"in all; default {DEFAULT_S:.0f}")
    much.add_argument("--bytes", type=float, dest="input_bytes", metavar="N", help="in all, however long it takes")
    much.add_argument("--input", type=bytes.fromhex, metavar="HEX", help="only this one, of the one --target")
    parser.add_argument("--seed", type=int, metavar="N", help="of all chance; default: another one each time")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="for inputs and sums; default: in the user's cache")
    told = parser.parse_args(arguments)
    targets = [TARGETS[name] for name in told.target or TARGETS]
    if told.input is not None:
        if len(targets) != 1:
            parser.error("--input is for one --target")
        return _repeat(targets[0], told.input)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed, so nothing was fed: `make fuzz` installs it", file=sys.stderr)
        return 2
    seconds = (told.seconds or DEFAULT_S) if told.input_bytes is None else float("inf")
    folder = told.dir or _cache()
    sums = Sums(folder)
    share = Share(seconds / len(targets), (told.input_bytes or float("inf")) / len(targets), told.seed or sums.runs + 1)
    return _run(targets, folder, share, sums)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dandelion-fuzz"


class Sums:
    """Of all runs that had this folder, by target: inputs and their bytes."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "sums.json"
        told: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.runs: int = told.get("runs", 0)
        self._targets: dict[str, list[int]] = told.get("targets", {})

    def add(self, name: str, report: Report) -> None:
        """One more target of a run. Kept at once, and whole: the run may be broken off."""
        before = self._targets.get(name, [0, 0])
        self._targets[name] = [before[0] + report.inputs, before[1] + report.input_bytes]
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({"runs": self.runs, "targets": self._targets}, indent=1))
        fresh.rename(self._file)

    def __str__(self) -> str:
        inputs, input_bytes = (sum(each[index] for each in self._targets.values()) for index in (0, 1))
        return f"{self.runs} runs so far: {inputs:,} inputs, {input_bytes:,} bytes"


def _run(targets: Sequence[Target[Any]], folder: Path, share: Share, sums: Sums) -> int:
    survived = True
    sums.runs += 1
    for target in targets:
        place = folder / target.name.replace(" ", "-")
        began = time.monotonic()
        report = _guide(target, place, share)
        sums.add(target.name, report)
        print(_line(target, report, time.monotonic() - began, _inputs(target, place)), flush=True)
        if report.says:
            survived = False
            print(report.says)
            print(f"{target.name} does not survive {report.found or 'something that nobody knows'}", flush=True)
        if report.found is not None:
            print(f"this repeats it: python -m sim.fuzz --target {target.name!r} --input {report.found}", flush=True)
    print(f"{sums}, in {folder}")
    return 0 if survived else 1


def _guide(target: Target[Any], place: Path, share: Share) -> Report:
    """Let a process of its own feed the target."""
    shutil.rmtree(place / "valid", ignore_errors=True)
    for each in ("corpus", "valid"):
        (place / each).mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.valid()):
        (place / "valid" / str(number)).write_bytes(data)
    for left in [place / REPORT, *_artifacts(place)]:
        left.unlink(missing_ok=True)
    words = [target.name, str(place), str(share.seconds), str(share.input_bytes), str(share.seed)]
    with (place / "log").open("wb") as log:
        command = [sys.executable, "-m", "sim.fuzz.guided", *words]
        status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    try:
        return Report(**json.loads((place / REPORT).read_text()))
    except FileNotFoundError:
        said = (place / "log").read_text(errors="replace")[-2000:]
        found = [path.read_bytes().hex() for path in _artifacts(place)]
        return Report(found=found[0] if found else None, says=f"{said}\nits process has ended with {status}")


def _artifacts(place: Path) -> list[Path]:
    """What libFuzzer leaves of an input that has ended its process."""
    return [path for kind in ("crash", "timeout", "oom", "leak") for path in sorted(place.glob(f"{kind}-*"))]


def _inputs(target: Target[Any], place: Path) -> list[bytes]:
    """What is worth to be measured, what was slowest with coverage first."""
    slow, corpus = (sorted((place / each).glob("*")) for each in ("slow", "corpus"))
    return [*(path.read_bytes() for path in [*slow, *corpus[:MEASURED]]), *target.valid()]


def _line(target: Target[Any], report: Report, spent_s: float, inputs: Sequence[bytes]) -> str:
    fed = (
        f"{target.name}: {report.inputs:,} inputs, {report.input_bytes:,} bytes, {report.input_bytes / spent_s:,.0f}/s"
    )
    if report.says:
        return fed
    time_taken, memory = slowest(target, inputs), greatest(target, inputs)
    return (
        f"{fed}; slowest {_told(time_taken, target.limit_s, 1000, 'ms')}"
        f"; most memory {_told(memory, target.limit_bytes, 0.001, 'kB')}"
    )


def _told(most: Most, limit: float, scale: float, unit: str) -> str:
    verdict = "MISSED" if most.amount > limit else "goal"
    amount = most.amount * scale
    told = f"{amount:,.0f}" if amount >= 10 else f"{amount:.2g}"
    return f"{told} {unit} for {len(most.data)} bytes ({verdict}: {limit * scale:g} {unit})"


def _repeat(target: Target[Any], data: bytes) -> int:
    """One input again, in this process, with what it raises."""
    taken = feed(target, data)
    print(f"{target.name}: {'taken' if taken else 'refused'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
