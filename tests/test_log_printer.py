"""Events on a stream: in order, and never in the way of whoever prints them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TextIO

import pytest

from firmware.log_printer import MAX_WAITING, LogPrinter

PATIENCE_S = 60.0  # for what must happen
PIPE_BYTES = 65_536  # what a pipe holds


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Its reading end, and a stream into it."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    yield reading, stream
    os.close(reading)
    LogPrinter(stream).close(0)  # whoever still writes there has an error to pass over


def test_lines_come_in_order_and_all_of_them_before_the_end(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    printer = LogPrinter(stream)
    for number in range(200):
        printer.print(f"line {number}")
    printer.close(PATIENCE_S)
    assert os.read(reading, PIPE_BYTES).decode().splitlines() == [f"line {number}" for number in range(200)]


def test_a_reader_that_has_stopped_keeps_nobody_waiting_and_hears_how_much_was_left_out(
    pipe: tuple[int, TextIO],
) -> None:
    reading, stream = pipe
    printer = LogPrinter(stream)
    for _ in range(MAX_WAITING + 10):
        printer.print("x" * PIPE_BYTES)
    printer.close(0.01)  # does not wait for a reader that may never come
    heard = ""
    while "left out" not in heard:
        heard = heard[-100:] + os.read(reading, PIPE_BYTES).decode()
        printer.print("more")  # as soon as there is room, what was left out is told first
    assert "lines were left out: nobody was reading" in heard


def test_a_reader_that_has_gone_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8", closefd=False) as stream:
        printer = LogPrinter(stream)
        printer.print("nobody reads this")
        printer.print("nor this")
        printer.close(PATIENCE_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)  # for what is left in the stream's buffer
    os.close(writing)
