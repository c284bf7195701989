"""`dandelion bench`: measures what DESIGN §11 asks for, with real processes and files in a temporary directory."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sim import bench_card, bench_copies, bench_daemon, bench_stall
from sim.bench_figures import Figure, Setting

PICTURE_BYTES = 200_000  # DESIGN §11: incompressible
DRAWN_BYTES = 150_000  # of these at most are a JPEG, which cameras and previews know; the rest is chance behind its end

Measurement = Callable[[Setting], Iterator[Figure]]

MEASUREMENTS: Mapping[str, Measurement] = {
    "copy-clean": bench_copies.copy_clean,
    "copy-loss": bench_copies.copy_loss,
    "copy-loss-512": bench_copies.copy_loss_512,
    "copy-ber": bench_copies.copy_ber,
    "copy-both": bench_copies.copy_both,
    "get-remote": bench_copies.get_remote,
    "ready": bench_daemon.ready,
    "rss": bench_daemon.rss,
    "idle": bench_daemon.idle,
    "shutter": bench_daemon.shutter,
    "catalogue": bench_card.catalogue,
    "start-up": bench_card.start_up,
    "stall": bench_stall.stall,
}


def main(argv: Sequence[str]) -> int:
    """Run the named measurements, or all. Raises DandelionError where one cannot be done; a missed goal is a result."""
    options = _options(argv)
    with _directory() as directory:
        folder = directory / "pictures"
        _draw(folder)
        for name in options.names or MEASUREMENTS:
            place = directory / name
            place.mkdir()
            for figure in MEASUREMENTS[name](Setting(place, folder, options.quick)):
                print(json.dumps(figure.row()) if options.json else figure.line(), flush=True)
            shutil.rmtree(place)
    return 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dandelion bench",
        description="Measure with real units on an emulated line, one line per figure; on an idle machine.",
        allow_abbrev=False,
    )
    known = ", ".join(MEASUREMENTS)
    parser.add_argument("names", nargs="*", type=_name, metavar="NAME", help=f"which; default: all. {known}")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object per line on stdout")
    parser.add_argument(
        "--quick", action="store_true", help="a fast line and small numbers: tries it all, meets no goal"
    )
    return parser.parse_args(argv)


def _name(text: str) -> str:
    if text not in MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no measurement; there are {', '.join(MEASUREMENTS)}")
    return text


@contextmanager
def _directory() -> Iterator[Path]:
    """A temporary one. Meanwhile SIGTERM is as Ctrl-C, so that units are ended and it is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = Path(tempfile.mkdtemp(prefix="dandelion-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def _draw(folder: Path) -> None:
    """One JPEG of PICTURE_BYTES, the same at each run."""
    command = [sys.executable, "-m", "sim.pictures", str(folder), "--count", "1", "--bytes", str(DRAWN_BYTES)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    drawn = next(folder.glob("*.jpg"))
    missing_bytes = PICTURE_BYTES - drawn.stat().st_size
    with drawn.open("ab") as file:
        file.write(random.Random(PICTURE_BYTES).randbytes(missing_bytes))
