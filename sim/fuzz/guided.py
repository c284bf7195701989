"""One target under atheris, which prefers inputs that reach new code. A process for itself: libFuzzer does not return.

    python -m sim.fuzz.guided NAME FOLDER SECONDS BYTES SEED

It ends after so many seconds or bytes, or with the first input that it does not survive. It begins with the inputs in
FOLDER/corpus, where it puts those that reach new code, and in FOLDER/valid; the slowest go to FOLDER/slow. At the end
there is FOLDER/report.json; if not, an input has killed the process, which libFuzzer has left in FOLDER.
"""

from __future__ import annotations

import heapq
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from hal.light_dataclass import dataclass

REPORT = "report.json"
SLOW = 20
"""Of the slowest inputs so many are kept, to be measured without coverage."""
HANG_S = 60
"""libFuzzer gives an input up after so long."""
INSTRUMENTED = ["firmware", "hal", "PIL", "tomllib"]


@dataclass(slots=True)
class Report:
    """What a process has done. says: what ended it too early, empty if nothing; found: by which input, in hex."""

    inputs: int = 0
    input_bytes: int = 0
    found: str | None = None
    says: str = ""


class Run:
    """Feeds one target, counts, and ends the process."""

    def __init__(self, target: Any, folder: Path, seconds: float, most_bytes: float) -> None:
        from sim.fuzz.target import feed

        self._feed, self._target, self._folder = feed, target, folder
        self._deadline = time.monotonic() + seconds
        self._most_bytes = most_bytes
        self._report = Report()
        self._slow: list[tuple[int, bytes]] = [(0, b"")]

    def one(self, data: bytes) -> None:
        """What libFuzzer calls."""
        report, began = self._report, time.thread_time_ns()
        report.inputs += 1
        report.input_bytes += len(data)
        try:
            self._feed(self._target, data)
        except Exception:  # noqa: BLE001 - this is what is looked for
            report.found, report.says = data.hex(), traceback.format_exc()
            self._end()
        took = time.thread_time_ns() - began
        if took > self._slow[0][0]:
            (heapq.heapreplace if len(self._slow) >= SLOW else heapq.heappush)(self._slow, (took, data))
        if time.monotonic() >= self._deadline or report.input_bytes >= self._most_bytes:
            self._end()

    def _end(self) -> NoReturn:
        (self._folder / "slow").mkdir(exist_ok=True)
        for number, (took, data) in enumerate(self._slow):
            if took:
                (self._folder / "slow" / str(number)).write_bytes(data)
        (self._folder / REPORT).write_text(json.dumps(asdict(self._report)))
        os._exit(0)  # libFuzzer takes an exception for a crash of its own


def main(words: Sequence[str]) -> None:
    """Words as in the module's docstring."""
    import atheris  # an extra; where it is missing, sim.fuzz says so

    name, place, seconds, most_bytes, seed = words
    with atheris.instrument_imports(include=INSTRUMENTED):
        from sim.fuzz.targets import TARGETS
    target, folder = TARGETS[name], Path(place)
    options = {
        "max_len": target.longest_bytes,
        "len_control": 0,  # long inputs from the beginning
        "seed": seed,
        "timeout": HANG_S,
        "artifact_prefix": f"{folder}/",
        "verbosity": 0,
    }
    run = Run(target, folder, float(seconds), float(most_bytes))
    told = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([name, *told, str(folder / "corpus"), str(folder / "valid")], run.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
