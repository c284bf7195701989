"""The unit's side of the control socket: takes commands from the command line and answers them, on asyncio's loop."""

from __future__ import annotations

import asyncio
import fcntl
import grp
import os
import pwd
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from firmware.client import address
from firmware.control_lines import (
    MAX_DATA_BYTES,
    MAX_REQUEST_BYTES,
    NOT_BEGUN,
    Coming,
    Data,
    End,
    Line,
    Note,
    Progress,
    Row,
    decode_request,
    encode,
)
from firmware.errors import MisuseError, Refused, UnitRuns, WrongArgument
from hal.errors import DandelionError

MAX_CLIENTS = 32  # guess: a person, a page and some scripts; each costs a task and at most two buffers
MAX_CONNECTIONS = 2 * MAX_CLIENTS  # as many that are told that there are too many; more are closed without a word
MAX_BACKLOG = 16  # connections that may wait for accept
REQUEST_TIMEOUT_S = 10.0  # guess: a client that connects and says nothing would hold a place for ever
GROUP = "dandelion"  # may give commands, beside the user that runs the unit (HANDOVER §5)
SOCKET_MODE = 0o660
RUNTIME_DIR_MODE = 0o750  # the group comes to the socket; nobody else does, or puts another one in its place
LOCK_NAME = "lock"
LOCK_MODE = 0o600  # whoever can open it can hold it, and then no unit starts


class Reply:
    """What one command is told. Every method waits while the client has not read 64 kB, and raises
    ConnectionError when the client has gone."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.begun = False  # the request was read
        self._writer = writer
        self._ended = False

    async def row(self, fields: Mapping[str, object]) -> None:
        """A result, as `--json` prints it."""
        await self._say(Row(dict(fields)))

    async def note(self, text: str) -> None:
        """Something for the person to read while the command goes on."""
        await self._say(Note(text))

    async def progress(self, *, picture: str, done_bytes: int, total_bytes: int) -> None:
        """How far the transfer is."""
        await self._say(Progress(picture, done_bytes, total_bytes))

    async def picture(
        self, *, picture: str, size_bytes: int, sha256: bytes | None, from_unit: int, offset: int = 0
    ) -> None:
        """The file that data() is about to send from offset on. sha256 of the whole file, if known."""
        await self._say(Coming(picture, size_bytes, None if sha256 is None else sha256.hex(), from_unit, offset))

    async def data(self, offset: int, data: bytes) -> None:
        """The next bytes of the file announced by picture(), cut to what one line carries."""
        for start in range(0, len(data), MAX_DATA_BYTES):
            await self._say(Data(offset + start, data[start : start + MAX_DATA_BYTES]))

    async def end(self, code: int = 0, what: str = "", did: str = "", can: str = "") -> None:
        """The last line; after it nothing may be said. A handler that returns without it has ended with 0."""
        if not self._ended:
            await self._say(End(code, what, did, can))
            self._ended = True

    async def _say(self, line: Line) -> None:
        assert not self._ended, line
        self._writer.write(encode(line))
        await self._writer.drain()


Handler = Callable[[dict[str, object], Reply], Awaitable[None]]


class Server:
    """Commands that are being answered; made by serve()."""

    def __init__(self, handler: Handler, path: Path) -> None:
        self._handler = handler
        self._path = path
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._open = ExitStack()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Put the socket in its place, whatever stale one is there; once the file is there, it answers. Refused where
        there can be none."""
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            fresh.unlink(missing_ok=True)
            listener.bind(self._open.enter_context(address(fresh)))
            _share(fresh, SOCKET_MODE)
            listener.listen(MAX_BACKLOG)
            self._server = await asyncio.start_unix_server(
                self._accept, sock=listener, limit=MAX_REQUEST_BYTES, backlog=MAX_BACKLOG
            )
            self._inode = fresh.stat().st_ino
            fresh.rename(self._path)
        except OSError as error:
            why = f"the control socket {self._path} cannot be made: {error.strerror}"
            raise Refused(why, can="look at what is there, or set unit.runtime_dir") from error

    async def idle(self) -> None:
        """Wait until no command is being answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Take the socket away, tell every client that the unit ends, and wait until all have been left."""
        assert self._server is not None
        self._closing = True
        self._server.close()
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        for task in self._tasks:
            task.cancel()
        await self.idle()
        self._open.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:  # each is a descriptor, and the camera and the card need some
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # a bug: whoever runs the loop decides (STYLE 18)
            task.get_loop().call_exception_handler({"message": "a command failed", "exception": error})

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = Reply(writer)
        try:
            await self._answer(reader, reply)
            await reply.end()
        except asyncio.CancelledError:
            if self._closing and not writer.is_closing():
                code = 1 if reply.begun else NOT_BEGUN
                writer.write(encode(End(code, "the unit was told to end", "the command was given up")))
            raise
        except ConnectionError:
            pass  # the client has gone; nobody is left to tell
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, reply: Reply) -> None:
        """Read the request and let the handler answer it; its DandelionErrors become the End."""
        watcher = None
        try:
            request = await _request(reader)
            reply.begun = True
            if len(self._tasks) > MAX_CLIENTS:
                raise Refused(f"more than {MAX_CLIENTS} commands at once", can="try again when some have ended")
            watcher = asyncio.get_running_loop().create_task(_cancel_at_end(reader, asyncio.current_task()))
            await self._handler(request, reply)
        except DandelionError as error:
            code = 2 if isinstance(error, MisuseError) else 1
            await reply.end(code, error.what, error.did, error.can)
        finally:
            if watcher is not None:
                watcher.cancel()


async def _request(reader: asyncio.StreamReader) -> dict[str, object]:
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):  # wait_for of 3.11 may swallow a cancel
            line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the client closed before its request was whole") from error
    except asyncio.LimitOverrunError as error:
        raise WrongArgument(f"the request is longer than {MAX_REQUEST_BYTES} bytes") from error
    except TimeoutError as error:
        raise WrongArgument(f"no request came within {REQUEST_TIMEOUT_S:.0f} s") from error
    return decode_request(line)


async def _cancel_at_end(reader: asyncio.StreamReader, task: asyncio.Task[None] | None) -> None:
    """Cancel the task once the client closes; whatever else it says is thrown away."""
    with suppress(ConnectionError):
        while await reader.read(MAX_REQUEST_BYTES):
            pass
    if task is not None:
        task.cancel()


async def serve(path: Path, handler: Handler) -> Server:
    """Answer commands at this path until close(). The caller holds the lock of the directory: see hold()."""
    server = Server(handler, path)
    await server.listen()
    return server


@contextmanager
def hold(runtime_dir: Path) -> Iterator[None]:
    """Be the only unit of this runtime_dir (made if missing, as it was left if not) while the context lasts; UnitRuns
    or Refused if that cannot be.

    flock: the kernel gives it back however the holder ends.
    """
    path = runtime_dir / LOCK_NAME
    try:
        _make_runtime_dir(runtime_dir)
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, LOCK_MODE)
    except OSError as error:
        why = f"{path} cannot be opened: {error.strerror}"
        raise Refused(why, can="make that directory writable, or set unit.runtime_dir") from error
    with _locked(lock, UnitRuns(f"a unit runs here already: it holds {path}", can="stop that one first")):
        yield


def _make_runtime_dir(path: Path) -> None:
    """With its missing parents. Never wider than it is in the end, whatever the umask."""
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        with suppress(FileExistsError):  # another start was quicker, or it is no directory, which open() tells
            missing.mkdir(mode=0o700)
            _share(missing, RUNTIME_DIR_MODE)


def _share(path: Path, mode: int) -> None:
    """Give what this process has made to GROUP, and then the mode. Where there is no such group, or this user is not
    in it, it stays with the user's own."""
    with suppress(KeyError, PermissionError):
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    path.chmod(mode)


def require_own(*places: Path) -> None:
    """Refused where root is about to leave files among another user's: a unit of that user could not open them."""
    if os.geteuid() != 0:
        return  # what others may not do the system says
    for place in places:
        try:
            owner = place.stat().st_uid
        except OSError:
            continue  # it is still to be made, or broken: whoever uses it says so
        if owner != 0:
            what = f"{place} belongs to user {_user(owner)}, whose unit could not open what root leaves there"
            can = f"give the command as that user: sudo -u {_user(owner)} dandelion …"
            raise Refused(what, did="nothing was done", can=can)


def _user(number: int) -> str:
    """As sudo takes it."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"


@contextmanager
def hold_card(path: Path) -> Iterator[None]:
    """Be the only unit on this card while the context lasts: another runtime_dir makes no other card.

    A card that is not there, or cannot be opened, is nobody's: whoever reads it says what is wrong with it.
    """
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    can = "give each unit a card.path of its own, or stop that one first"
    with _locked(lock, Refused(f"another unit works on the card {path}", can=can)):
        yield


@contextmanager
def _locked(descriptor: int, refused: Refused) -> Iterator[None]:
    try:
        if not _lock(descriptor):
            raise refused
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
