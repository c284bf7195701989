"""What a command prints: results on stdout (JSON lines or plain ones), notes, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from firmware import lines
from firmware.client import Answer
from firmware.control_lines import Note, Progress, Row
from firmware.errors import Refused
from hal.errors import DandelionError

PLAIN_STEPS = 10  # plain lines of progress of one transfer: more tell nothing more


class Bar(Protocol):
    """Shows how far one transfer is."""

    def show(self, done_bytes: int) -> None:
        """So many bytes are there."""

    def close(self) -> None:
        """Leave the terminal to others."""


class PlainBar:
    """One line per tenth, for logs and pipes."""

    def __init__(self, picture: str, total_bytes: int) -> None:
        self._picture = picture
        self._total_bytes = max(1, total_bytes)
        self._steps = 0

    def show(self, done_bytes: int) -> None:
        steps = done_bytes * PLAIN_STEPS // self._total_bytes
        if steps > self._steps:
            self._steps = steps
            told = f"{self._picture} {steps / PLAIN_STEPS:.0%} of {lines.size(self._total_bytes)}"
            print(told, file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


class TerminalBar:
    """A moving bar with rate and time left. rich is loaded only here: it takes longer than a whole `list`."""

    def __init__(self, picture: str, total_bytes: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as RichProgress

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._shown = RichProgress(TextColumn("{task.description}"), *columns, console=Console(stderr=True))
        self._task = self._shown.add_task(picture, total=total_bytes)
        self._shown.start()

    def show(self, done_bytes: int) -> None:
        self._shown.update(self._task, completed=done_bytes)

    def close(self) -> None:
        self._shown.stop()


class NoBar:
    """For scripts that read --json and have no terminal."""

    def __init__(self, picture: str, total_bytes: int) -> None:
        pass

    def show(self, done_bytes: int) -> None:
        pass

    def close(self) -> None:
        pass


class Output:
    """Of one command. as_json: rows as JSON lines; otherwise as `human` makes them."""

    def __init__(self, *, as_json: bool, human: Callable[[lines.Fields], str]) -> None:
        self.rows = 0  # results printed
        self._line: Callable[[lines.Fields], str] = json.dumps if as_json else human
        self._make_bar: Callable[[str, int], Bar]
        if sys.stderr.isatty():
            self._make_bar = TerminalBar
        else:
            self._make_bar = NoBar if as_json else PlainBar
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._close_bar()

    def show(self, answer: Answer) -> None:
        """Whatever the unit says, in its place; a file's data are the business of fetch.py."""
        match answer:
            case Row(fields):
                self.row(fields)
            case Note(text):
                self.note(text)
            case Progress(picture, done_bytes, total_bytes):
                self.progress(picture, done_bytes, total_bytes)

    def row(self, fields: lines.Fields) -> None:
        """A result."""
        self.rows += 1
        self._close_bar()
        try:
            print(self._line(fields), flush=True)
        except BrokenPipeError:
            raise  # who reads has had enough: no error
        except OSError as error:
            can = "make room where the output goes, or send it elsewhere"
            raise Refused(f"the output cannot be written: {error.strerror}", can=can) from error

    def note(self, text: str) -> None:
        """Something to read meanwhile."""
        self._close_bar()
        print(text, file=sys.stderr, flush=True)

    def error(self, error: DandelionError) -> None:
        """What happened, what the unit did about it, what the reader can do."""
        self._close_bar()
        print_error(error)

    def progress(self, picture: str, done_bytes: int, total_bytes: int) -> None:
        """A transfer goes on; anything else that is printed ends its bar."""
        if self._bar is None:
            self._bar = self._make_bar(picture, total_bytes)
        self._bar.show(done_bytes)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_error(error: DandelionError) -> None:
    """On stderr, one clause a line."""
    print(f"dandelion: {error.what}", file=sys.stderr)
    for clause in (error.did, error.can):
        if clause:
            print(f"  {clause}", file=sys.stderr)
