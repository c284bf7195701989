"""Events on a stream, where the journal takes them, by a thread: whoever reads there may stop reading."""

from __future__ import annotations

import queue
import threading
from typing import TextIO

from firmware.wording import so_many

MAX_WAITING = 1000
"""Lines that wait for a reader; beyond it they are counted and left out: `log` has them still."""


class LogPrinter:
    """Prints lines in order, and never keeps its caller waiting."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._work, name="log printer", daemon=True)
        self._thread.start()

    def print(self, line: str) -> None:
        """Print it soon."""
        try:
            if self._left_out:
                self._lines.put_nowait(
                    f"log: {so_many(self._left_out, 'line was', 'lines were')} left out: nobody was reading"
                )
                self._left_out = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    def close(self, patience_s: float) -> None:
        """Wait until what was given is printed, but no longer."""
        try:
            self._lines.put(None, timeout=patience_s)
        except queue.Full:
            return
        self._thread.join(patience_s)

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                print(line, file=self._stream, flush=True)
            except (OSError, ValueError):  # the reader has gone, or the stream was closed: the unit goes on
                continue
