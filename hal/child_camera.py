"""A camera that lives in a child process of its own: what hangs or crashes there leaves the unit standing.

The child is hal.camera_child, their language hal.camera_line. A capture that hangs can be in uninterruptible
sleep, where even SIGKILL does nothing for a while: such a child is left behind and reaped later.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import F_GET_SEALS, fcntl
from pathlib import Path

from hal.camera_line import (
    MESSAGE_MAX_BYTES,
    NO_FIELD,
    SEALS,
    Chosen,
    Failed,
    Message,
    Ready,
    Request,
    Taken,
    decode,
    encode,
    request_of,
)
from hal.errors import CameraError, CameraHung
from hal.exif import ID_FIELD_BYTES, with_id
from hal.interfaces import Occasion

START_TIMEOUT_S = 20.0  # until the child has imported Pillow; guess: a Pi Zero with a slow card takes 4 s
END_PATIENCE_S = 1.0  # for a child to end by itself once the line is closed: longer than any drawing takes
GIVING_BACK_S = 2.5  # the same for one that gives a device back first: 0.4 s here, 1.2 s where all processors are busy
KILL_PATIENCE_S = 0.5  # for a killed child to be gone; after that it is reaped whenever it goes
UNREAPED_MAX = 8  # killed children that the kernel does not let go; with so many no further one is started
LAST_WORDS_MAX_BYTES = 2000  # of the child's stderr, kept to tell why it ended
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0)  # between two starts of a camera that fails; a shot meanwhile fails as the last did
_BLOCK_BYTES = 262_144  # that are digested at a time
_PIPE_BYTES = 65_536  # what a pipe holds unless told otherwise (pipe(7))
_ABOVE_HAL = Path(__file__).resolve().parent.parent


class MemfdShot:
    """A picture in a sealed memfd: its bytes are in no process's own memory, and nobody can change them."""

    def __init__(self, file: io.FileIO, taken: Taken, field: bytes = b"") -> None:
        """field: what stands at taken.id_at in place of the bytes in the memfd."""
        self._file, self._taken, self._field = file, taken, field
        self.size_bytes = taken.size_bytes
        self.sha256 = bytes.fromhex(taken.sha256)
        self.preview = taken.preview

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Exactly these bytes, less only at the end; ValueError once closed. From any thread."""
        data = os.pread(self._file.fileno(), size_bytes, offset)
        at = self._taken.id_at - offset  # of the field in data
        if not self._field or at >= len(data) or at + len(self._field) <= 0:
            return data
        before, behind = data[: max(0, at)], data[at + len(self._field) :]
        return before + self._field[max(0, -at) : len(data) - at] + behind

    def named(self, picture: str) -> MemfdShot:
        """With this id in its Exif block; itself where it is a picture of others. Nobody alters the memfd."""
        at = self._taken.id_at
        if at == NO_FIELD:
            return self
        field = with_id(os.pread(self._file.fileno(), ID_FIELD_BYTES, at), picture)
        made = MemfdShot(self._file, self._taken, field)
        made.sha256 = made._digest()
        return made

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for offset in range(0, self.size_bytes, _BLOCK_BYTES):
            digest.update(self.read(offset, _BLOCK_BYTES))
        return digest.digest()

    def close(self) -> None:
        """Forget the bytes; safe to call twice."""
        self._file.close()


class ChildCamera:
    """The cameras of DESIGN §9, each in its child process. Implements hal.interfaces.Camera.

    driver: "picamera2" is the board's camera; "folder" takes the *.jpg of `folder` in name order, round and round, from
    the first on (by name also when the child had to be started anew); "pattern" draws JPEGs. size (width, height in
    pixels) and quality are of those of picamera2, which may give others and says so in `note`, and of "pattern".
    One thread captures at a time; close() may come from another thread and ends a capture that is under way.
    """

    def __init__(
        self,
        driver: str,
        *,
        folder: Path | None,
        size: tuple[int, int],
        quality: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: the monotonic time by which a camera that fails is left alone for a while (BACK_OFF_S)."""
        match driver:
            case "folder" if folder is not None:
                self._words = ["folder", str(folder.absolute())]
            case "pattern":
                seed = int.from_bytes(os.urandom(8))
                self._words = ["pattern", *map(str, (*size, quality, seed))]
            case "picamera2":
                self._words = ["picamera2", *map(str, (*size, quality))]
            case _:
                raise ValueError(f"no camera driver {driver!r} with folder {folder}")
        self.note = ""
        self._clock = clock
        self._is_device = driver == "picamera2"  # held by a child; one that has failed is of no more use
        self._failures = 0  # starts in a row that came to nothing
        self._not_before = -math.inf  # by clock: the device is left alone until then,
        self._last_failure: CameraError | None = None  # for which this is the reason
        self._lock = threading.Lock()  # held by whoever talks to the child
        self._child: _Child | None = None
        self._closed = False
        self._doubtful = False  # the child runs, but said that no shot would work
        self._unreaped: list[subprocess.Popen[bytes]] = []
        self._number = 0
        self._after = ""

    @property
    def child_pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        child = self._child
        return None if child is None else child.process.pid

    def open(self) -> None:
        """Start the child and wait until it is ready. Raises CameraError, also where the folder has no picture;
        after that capture() may be called all the same, and looks again."""
        with self._lock:
            self._closed = False
            if self._doubtful and self._child is not None:
                self._drop(self._child)
            problem = self._running(time.monotonic() + START_TIMEOUT_S)
            if problem is not None:
                raise problem.error()

    def capture(self, timeout_s: float, occasion: Occasion) -> MemfdShot:
        """Take one picture. Raises CameraError, or CameraHung after timeout_s; may be called again then."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._closed:
                raise _closed_error()
            problem = self._running(deadline)
            if problem is not None and self._is_device:
                raise problem.error()
            child = self._child
            assert child is not None
            self._number += 1
            with self._watched(child):
                child.ask(request_of(self._number, self._after, timeout_s, occasion))
                return self._answer(child, deadline)

    def _answer(self, child: _Child, deadline: float) -> MemfdShot:
        """The shot, once the child has answered; the name it chose is kept whatever comes after."""
        message, file = child.hear(deadline)
        if isinstance(message, Chosen):
            self._after = message.name
            message, file = child.hear(deadline)
        match message:
            case Failed():
                if self._is_device:
                    self._drop(child)
                raise message.error()
            case Taken() if file is not None and _is_whole(file, message):
                self._doubtful = False
                return MemfdShot(file, message)
        _forget(file)
        raise ValueError(f"{message.word!r} is no answer")

    def _running(self, deadline: float) -> Failed | None:
        """See to it that a child runs. What it said stands in the way of a shot, if it was started just now."""
        if self._child is not None and self._child.process.poll() is not None:
            self._drop(self._child)  # it died while nobody asked it for anything
        if self._child is not None:
            return None
        self._reap()
        if self._last_failure is not None and self._clock() < self._not_before:
            raise self._last_failure
        child = self._child = _Child(self._words)
        with self._watched(child):
            if self._closed:
                raise EOFError
            message, _file = child.hear(deadline)
            if not isinstance(message, Ready | Failed):
                raise ValueError(f"{message.word!r} is no greeting")
        self._doubtful = isinstance(message, Failed)
        self.note = message.note if isinstance(message, Ready) else ""
        if self._is_device:
            self._count(message, child)
        return message if isinstance(message, Failed) else None

    def _count(self, message: Ready | Failed, child: _Child) -> None:
        """A device that has failed is left alone for a while, by a child that is let go."""
        if isinstance(message, Ready):
            self._failures, self._last_failure = 0, None
            return
        self._drop(child)
        self._not_before = self._clock() + BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        self._failures += 1
        self._last_failure = message.error()

    @contextmanager
    def _watched(self, child: _Child) -> Iterator[None]:
        """Around talking to the child: what goes wrong ends the child and becomes an error of ours."""
        asked_at = time.monotonic()
        try:
            yield
        except CameraError:
            raise  # the child's own, it goes on; first because CameraError is an OSError too
        except TimeoutError:
            self._kill(child)
            raise CameraHung(
                f"the camera did not answer within {time.monotonic() - asked_at:.1f} s",
                did="its process was killed and is started anew",
                can="if this happens again and again, check the camera's cable and power",
            ) from None
        except (EOFError, ConnectionError):
            self._drop(child)
            raise (_closed_error() if self._closed else _ended_error(child.epitaph())) from None
        except ValueError as error:
            self._kill(child)
            raise _ended_error(f"it gave a wrong answer, {error}, and was killed") from error

    def _kill(self, child: _Child) -> None:
        child.process.kill()
        self._drop(child)

    def _drop(self, child: _Child) -> None:
        """Part with a child, well or not."""
        self._child = None
        if not child.end(GIVING_BACK_S if self._is_device else END_PATIENCE_S):
            self._unreaped.append(child.process)

    def _reap(self) -> None:
        """Look after killed children that would not go. Raises CameraError if there are too many."""
        self._unreaped = [process for process in self._unreaped if process.poll() is None]
        if len(self._unreaped) >= UNREAPED_MAX:
            raise CameraError(
                f"{len(self._unreaped)} processes of the camera hang in the kernel and cannot be ended",
                did="no further one was started",
                can="switch the unit off and on",
            )

    def close(self) -> None:
        """End the child, also in the middle of a capture. capture() raises CameraError until open() is called."""
        self._closed = True
        child = self._child
        if child is not None:
            child.hang_up()
        with self._lock:
            if self._child is not None:
                self._drop(self._child)


class _Child:
    """One child process, our end of the line to it, and what it writes to stderr."""

    def __init__(self, words: list[str]) -> None:
        self._last_words = b""
        path = os.pathsep.join(filter(None, (str(_ABOVE_HAL), os.environ.get("PYTHONPATH"))))
        with ExitStack() as theirs_to_close, ExitStack() as ours_to_close, _starting():
            self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours_to_close.callback(self._line.close)
            theirs_to_close.callback(theirs.close)
            # Nobody waits for stderr: non-blocking at both ends, what does not fit is lost and the child goes on.
            reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._stderr = io.FileIO(reading, "r")
            ours_to_close.callback(self._stderr.close)
            theirs_to_close.callback(os.close, writing)
            self.process = subprocess.Popen(
                # -P: what lies in the directory the daemon was started from is not imported by chance.
                [sys.executable, "-P", "-m", "hal.camera_child", str(theirs.fileno()), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=writing,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C in a terminal is for the daemon, which ends the child
            )
            ours_to_close.pop_all()

    def ask(self, request: Request) -> None:
        """Send it. ConnectionError if the child is gone."""
        self._line.send(encode(request))

    def hear(self, deadline: float) -> tuple[Message, io.FileIO | None]:
        """Its next message and the memfd beside it.

        Raises TimeoutError, EOFError or ConnectionError if the child has ended, ValueError for no message of ours.
        """
        self._note_stderr()
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        self._line.settimeout(remaining_s)
        packet, files, _, _ = socket.recv_fds(self._line, MESSAGE_MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        file = io.FileIO(files[0], "r") if files else None
        if not packet:
            raise EOFError
        try:
            return decode(packet), file
        except ValueError:
            _forget(file)
            raise

    def _note_stderr(self) -> None:
        """Keep the end of what the child has written, and make room for more."""
        words = self._stderr.read(_PIPE_BYTES) or b""
        self._last_words = (self._last_words + words)[-LAST_WORDS_MAX_BYTES:]

    def epitaph(self) -> str:
        """How the child ended, in words."""
        code = self.process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        lines = self._last_words.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}: {last}" if last else how

    def hang_up(self) -> None:
        """Wake whoever hears this child, in whatever thread: it is told of the end."""
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed in this very moment by the thread that used it

    def end(self, patience_s: float) -> bool:
        """Close the line, which ends a child that is well, and use force where it does not. True once it is gone."""
        self._line.close()
        for within_s in (patience_s, KILL_PATIENCE_S):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(within_s)
                break
            self.process.kill()
        self._note_stderr()
        self._stderr.close()
        return self.process.returncode is not None


@contextmanager
def _starting() -> Iterator[None]:
    """What the system refuses becomes an error of the camera's."""
    try:
        yield
    except OSError as error:
        raise CameraError(
            f"the camera's process cannot be started: {error.strerror}",
            did="no picture was taken",
            can="free memory, processes or descriptors; the next shot tries again",
        ) from error


def _forget(file: io.FileIO | None) -> None:
    if file is not None:
        file.close()


def _is_whole(file: io.FileIO, taken: Taken) -> bool:
    """Whether the bytes are there and cannot go away; what they are the digest says, to whoever copies them.
    ValueError where the field for the picture's id is none."""
    whole = os.fstat(file.fileno()).st_size == taken.size_bytes and fcntl(file, F_GET_SEALS) == SEALS
    if whole and taken.id_at != NO_FIELD:
        with_id(os.pread(file.fileno(), ID_FIELD_BYTES, taken.id_at), "any")
    return whole


def _closed_error() -> CameraError:
    return CameraError("the camera was closed", did="no picture was taken", can="start the unit again")


def _ended_error(how: str) -> CameraError:
    return CameraError(
        f"the camera's process ended: {how}",
        did="no picture was taken; the process is started anew at the next shot",
        can="if this goes on, look for too little memory or a damaged installation",
    )
