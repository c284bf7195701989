"""Measurement of radio input while the card stalls: one sync of the host's card does not return for 5 s.

    python -m sim.bench_stall --config FILE

is `dandelion run` with such a card.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from firmware import config
from firmware.errors import Refused
from firmware.layout import PART_SUFFIX, TMP
from firmware.service import run
from hal.directory_card import DirectoryCard, DirectoryFile
from sim.bench_copies import copy_once
from sim.bench_figures import Figure, Goal, Setting
from sim.bench_units import Pair

STALL_S = 5.0  # DESIGN §11
STALLED = "the card has stalled"
"""What the unit writes when that is over."""


class StallingCard(DirectoryCard):
    """A directory as card whose first sync for a picture that is being received takes STALL_S longer.

    As of an fsync that waits for the medium: the card's thread stands still in it, and it succeeds in the end.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._armed = False
        self._over = threading.Event()  # nobody sets it: only waited for

    def create(self, path: str, size_bytes: int) -> DirectoryFile:
        """The first .part arms it."""
        self._armed = self._armed or path.endswith(PART_SUFFIX)
        return super().create(path, size_bytes)

    def sync_directory(self, path: str) -> None:
        """The sync of tmp/ that follows the first one of a .part is the one that stalls."""
        if self._armed and path == TMP and not self._over.is_set():
            self._over.wait(STALL_S)
            self._over.set()
            print(STALLED, file=sys.stderr, flush=True)
        super().sync_directory(path)


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
