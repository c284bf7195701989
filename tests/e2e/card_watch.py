"""Watches how much pictures take on a card, hundreds of times a second."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY_S = 0.004
"""From scan to scan. What is over capacity stays so until a picture has gone to the other unit, a second: 200 scans."""


class CardWatch(threading.Thread):
    """Looks at a card over and over; most_bytes: the most that pictures ever took.

    A scan of three directories is no instant: what is in two scans, one after the other, was there between them.
    """

    def __init__(self, card: Path) -> None:
        super().__init__(daemon=True)
        self._card = card
        self._over = threading.Event()
        self.most_bytes = 0
        self.scans = 0

    def run(self) -> None:
        before: dict[int, int] = {}
        while not self._over.wait(EVERY_S):
            found = self._scan()
            both = sum(min(size, before[inode]) for inode, size in found.items() if inode in before)
            self.most_bytes = max(self.most_bytes, both)
            before = found
            self.scans += 1

    def _scan(self) -> dict[int, int]:
        """Bytes of each file that capacity bounds, by inode: one that is renamed meanwhile counts once."""
        found = {}
        for path in (*self._card.glob("tmp/*"), *self._card.glob("own/*/*"), *self._card.glob("held/*/*")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found[stat.st_ino] = stat.st_size
        return found

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


@contextmanager
def watched(card: Path) -> Iterator[CardWatch]:
    """A card that is looked at meanwhile."""
    watch = CardWatch(card)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
