"""Measurement of radio input while the card stalls: one sync of the host's card does not return for 5 s.

    python -m sim.bench_stall --config FILE

is `dandelion run` with such a card.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from firmware import config
from firmware.errors import Refused
from firmware.layout import TMP, part_of
from firmware.running import run
from hal.directory_card import DirectoryCard, DirectoryFile
from sim.bench_copies import copy_once
from sim.bench_figures import Figure, Goal, Setting
from sim.bench_units import Pair

STALL_S = 5.0  # DESIGN §11
STALLED = "the card has stalled"
"""What the unit writes when that is over."""


class StallingFile(DirectoryFile):
    """A file whose sync() takes longer where something was written and stall() says so."""

    def __init__(self, descriptor: int, path: str, stall: Callable[[], None]) -> None:
        super().__init__(descriptor, path)
        self._stall = stall
        self._written = False

    def write(self, offset: int, data: bytes) -> None:
        """As ever."""
        self._written = True
        super().write(offset, data)

    def sync(self) -> None:
        """As ever, but late."""
        if self._written:
            self._stall()
        super().sync()


class StallingCard(DirectoryCard):
    """A directory as card: the first sync of received bytes takes STALL_S longer, so in the middle of a transfer.

    As an fsync does that waits for the medium: the card's thread stands still in it, and it succeeds in the end.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._over = threading.Event()

    def create(self, path: str, size_bytes: int) -> DirectoryFile:
        """The .part of a picture can stall."""
        made = super().create(path, size_bytes)
        if part_of(path.removeprefix(f"{TMP}/")) is None:
            return made
        made.close()
        return StallingFile(os.open(self._real(path), os.O_RDWR | os.O_CLOEXEC), path, self._stall)

    def _stall(self) -> None:
        """Once, and nobody cuts the wait short."""
        if not self._over.is_set():
            self._over.wait(STALL_S)
            self._over.set()
            print(STALLED, file=sys.stderr, flush=True)


def stall(setting: Setting) -> Iterator[Figure]:
    """200 kB to a unit whose card stalls in the middle: what its port and its radio lost, and what was sent again."""
    runner = (sys.executable, "-m", "sim.bench_stall")
    with Pair(setting, host_runner=runner) as pair:
        host = pair.units[1]
        damaged = host.radio["frames_damaged"]
        copied = copy_once(pair)
        if STALLED not in host.output:
            raise Refused("the card did not stall: nothing was measured")
        yield Figure("stall.lost", pair.counts(1)["overflowed_bytes"], "B", Goal(0))
        yield Figure("stall.damaged", host.radio["frames_damaged"] - damaged, "frames", Goal(0))
        yield Figure("stall.resent", copied.resent_bytes, "B", Goal(0))
        yield Figure("stall.seconds", copied.seconds, "s")


def main() -> int:
    """The unit of which `stall` needs one."""
    parser = argparse.ArgumentParser(prog="python -m sim.bench_stall", description="a unit whose card stalls once")
    parser.add_argument("--config", type=Path, required=True)
    loaded = config.load(parser.parse_args().config)
    return run(loaded, card=StallingCard(str(loaded.card.path)))


if __name__ == "__main__":
    sys.exit(main())
