"""The client's side of the control socket: asks the running unit one command and yields its answer. Blocks."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from firmware.control_lines import NOT_BEGUN, Coming, Data, End, NotALine, Note, Progress, Row, encode_request, read
from firmware.errors import NobodyRuns, Refused, WrongArgument

CONNECT_AGAIN_S = 0.02  # between two tries while too many wait to be accepted
CONNECT_TIMEOUT_S = 5.0  # guess: a unit whose loop has not accepted for so long hangs
MAX_ADDRESS_BYTES = 107  # sun_path of a Unix socket is 108 bytes with its closing zero (unix(7))

Answer = Row | Note | Progress | Coming | Data


class Client:
    """Asks the unit that listens at a socket path. unit: its number, if another one is to refuse."""

    def __init__(self, socket_path: Path, unit: int | None = None) -> None:
        self._path = socket_path
        self._meant = {} if unit is None else {"for_unit": unit}

    def runs(self) -> bool:
        """Whether a unit listens there; a stale socket file counts as none."""
        try:
            self._connect(None).close()
        except NobodyRuns:
            return False
        return True

    def ask(self, verb: str, *, silence_s: float | None = None, **arguments: object) -> Generator[Answer, None, None]:
        """Everything the unit says up to its End(0).

        Raises NobodyRuns, also where the unit ends before it has begun the command; Refused and WrongArgument for
        what the unit's End tells, and Refused when the unit breaks off or says nothing for silence_s (None: waits for
        ever). Closing the iterator early cancels the command at the unit; a copy on its way arrives.
        """
        with self._connect(silence_s) as connection, connection.makefile("rb") as stream:
            try:
                yield from _answers(_asked(connection, stream, encode_request(verb, arguments | self._meant)))
            except NobodyRuns:
                raise  # an OSError too
            except TimeoutError as error:
                raise Refused(
                    f"the unit has said nothing for {silence_s:.0f} s",
                    did="the command was given up",
                    can="the unit may hang: look at its journal, restart it",
                ) from error
            except (OSError, EOFError, NotALine) as error:
                raise Refused(
                    "the unit broke off in the middle of the command",
                    did=str(error),
                    can="ask `dandelion status` whether it still runs, and try again",
                ) from error

    def _connect(self, silence_s: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            with address(self._path) as where:
                _connect(connection, where)
            connection.settimeout(silence_s)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            connection.close()
            raise NobodyRuns(
                f"no unit runs here: nobody listens at {self._path}", can="start it with `dandelion run`"
            ) from error
        except OSError as error:
            connection.close()
            raise Refused(
                f"the unit at {self._path} cannot be asked: {error.strerror or error}",
                can="you may need to be in the group of that socket, or to restart the unit",
            ) from error
        return connection


def _connect(connection: socket.socket, where: str) -> None:
    """Waits while too many others wait: a Unix socket with a time-out does not do so by itself (connect(2), EAGAIN)."""
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while True:
        try:
            connection.connect(where)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(CONNECT_AGAIN_S)
        else:
            return


_ERRORS = {2: WrongArgument, NOT_BEGUN: NobodyRuns}


def _answers(stream: BinaryIO) -> Iterator[Answer]:
    while True:
        match read(stream):
            case End(0):
                return
            case End(code, what, did, can):
                raise _ERRORS.get(code, Refused)(what, did=did, can=can)
            case said:
                yield said


def _asked(connection: socket.socket, stream: BinaryIO, request: bytes) -> BinaryIO:
    """The stream, once an answer begins. The kernel resets a connection whose request was never read (unix(7))."""
    try:
        connection.sendall(request)
        connection.recv(1, socket.MSG_PEEK)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise NobodyRuns("the unit ended before it began with the command", can="try again") from error
    return stream


@contextmanager
def address(path: Path) -> Iterator[str]:
    """The path as a socket address: where it is too long for one, by way of its open directory."""
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
