"""The camera's child process: takes shots as its parent (hal.child_camera) asks, and may hang or die doing so.

    python -m hal.camera_child SOCKET folder DIR
    python -m hal.camera_child SOCKET pattern WIDTH HEIGHT QUALITY SEED
    python -m hal.camera_child SOCKET picamera2 WIDTH HEIGHT QUALITY

SOCKET is the number of an inherited descriptor, the child's end of hal.camera_line. The child ends at its end of
file, so also when the parent dies; in the middle of a hanging capture an alarm ends it. Pictures of the folder are made
by others, and their previews in a process of its own each, which may hang or die: the picture is there without.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import resource
import signal
import socket
import stat
import sys
from contextlib import closing
from typing import IO, NoReturn, Protocol

from hal.camera_line import (
    MESSAGE_MAX_BYTES,
    NO_FIELD,
    PICTURE_MAX_BYTES,
    PREVIEW_MAX_BYTES,
    SEALS,
    Chosen,
    Failed,
    Message,
    Ready,
    Request,
    Taken,
    decode,
    encode,
    occasion_of,
    request_of,
)
from hal.errors import CameraError
from hal.exif import Details, with_exif
from hal.interfaces import Occasion, TimeQuality
from hal.jpeg import draw_pattern, make_preview

# Memory that is a process's own (RLIMIT_DATA); of address space libcamera and numpy take 500 MB that cost nothing.
MEMORY_MAX_BYTES = 1_000_000_000  # drawing the largest pattern takes most of it
# picamera2 takes 80 MB (measured: 1920 x 1080), a JPEG of 64 megapixels 200 more; the frames are not counted, but CMA.
CAMERA_MAX_BYTES = 350_000_000
# A board has 512 MB. A progressive picture of 48 megapixels takes 150 to 300 MB, others 60 MB.
DECODER_MAX_BYTES = 400_000_000
PREVIEW_MAX_S = 5.0  # guess: a board takes 2 s for its camera's largest; the whole shot has 20 s
START_MAX_S = 30.0  # longer than the parent waits for a start: it should long have killed us
GIVE_BACK_MAX_S = 10.0  # for the source to be closed; guess: four times what a busy machine needs (hal.child_camera)
ALARM_AFTER_S = 1.0  # past the parent's own time-out, when it should long have killed us
COPY_BYTES = 1 << 20  # at a time from a file to the memfd
START_OF_JPEG = b"\xff\xd8\xff"  # SOI and the first byte of the next marker (ITU T.81 B.1.1.3)


class Source(Protocol):
    """Where pictures come from. choose and take raise CameraError.

    note: what a person should know of it, once it has been chosen from; empty if there is nothing.
    """

    note: str

    def choose(self, request: Request) -> str:
        """The name of the next picture; quick."""

    def take(self, name: str, request: Request, into: IO[bytes]) -> int:
        """Write its bytes, and tell where the field of their Exif block for the picture's id is; NO_FIELD: they are of
        others, and are not altered. May hang."""

    def close(self) -> None:
        """Give back what is held."""


class FolderSource:
    """The folder's `*.jpg` in name order, round and round, bytes unaltered; read anew at each shot.

    Hidden files and what is no regular file (a directory, a FIFO) do not count. The folder may be of any size:
    only two names are held.
    """

    note = ""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def choose(self, request: Request) -> str:
        """The first name after the last one, or the first of all."""
        first, following = "", ""
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    name = entry.name
                    if not name.endswith(".jpg") or name.startswith(".") or not _is_file(entry):
                        continue
                    first = min(first or name, name)
                    if name > request.after:
                        following = min(following or name, name)
        except OSError as error:
            raise self._fault(f"cannot be read: {error.strerror}") from error
        if not first:
            raise self._fault("has no *.jpg file")
        return following or first

    def _fault(self, fault: str) -> CameraError:
        return CameraError(
            f"the camera's folder {self._folder} {fault}",
            did="no picture was taken",
            can="put JPEGs in it that this user can read; the next shot looks again",
        )

    def close(self) -> None:
        """Nothing is held between two shots."""

    def take(self, name: str, request: Request, into: IO[bytes]) -> int:
        """A copy of the file; refuses what does not begin as a JPEG does."""
        del request  # the name says it all
        try:
            fault = self._copy(name, into)
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
        if fault:
            raise CameraError(
                f"{os.path.join(self._folder, name)} {fault}",
                did="no picture was taken, the next shot goes on with the file after it",
                can="repair it or take it out of the folder",
            )
        return NO_FIELD

    def _copy(self, name: str, into: IO[bytes]) -> str:
        """What is wrong with the file, empty if nothing; OSError where reading fails."""
        descriptor = os.open(os.path.join(self._folder, name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return "is no longer a regular file"
            data = file.read(COPY_BYTES)
            if not data.startswith(START_OF_JPEG):
                return "is not a JPEG"
            while data:
                into.write(data)
                if into.tell() > PICTURE_MAX_BYTES:
                    return f"is longer than {PICTURE_MAX_BYTES // 1_000_000} MB"
                data = file.read(COPY_BYTES)
        return ""


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Links are followed; one that leads nowhere, or in a circle, is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


class PatternSource:
    """A drawn picture for each shot, made of chance: the same seed and number give the same one."""

    note = ""

    def __init__(self, size: tuple[int, int], quality: int, seed: int) -> None:
        self._size, self._quality, self._seed = size, quality, seed

    def choose(self, request: Request) -> str:
        """Its number."""
        return str(request.number)

    def take(self, name: str, request: Request, into: IO[bytes]) -> int:
        """Drawn now, with an Exif block."""
        chance = random.Random(f"{self._seed} {name}")
        jpeg = draw_pattern(request.number, self._size, self._quality, chance)
        details = Details(make="Dandelion", model="pattern", width=self._size[0], height=self._size[1])
        made, id_at = with_exif(jpeg, details, occasion_of(request))
        into.write(made)
        return id_at

    def close(self) -> None:
        """Nothing is held."""


def serve(line: socket.socket, source: Source) -> None:
    """Answer requests until the parent closes its end."""
    signal.setitimer(signal.ITIMER_REAL, START_MAX_S)
    _say(line, _readiness(source))
    signal.setitimer(signal.ITIMER_REAL, 0)
    while packet := line.recv(MESSAGE_MAX_BYTES):
        request = decode(packet)
        assert isinstance(request, Request), request
        # The default action of SIGALRM ends the process, whatever Python or a library is doing at that moment.
        signal.setitimer(signal.ITIMER_REAL, request.timeout_s + ALARM_AFTER_S)
        _shoot(line, source, request)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _readiness(source: Source) -> Message:
    try:
        source.choose(request_of(1, "", 0.0, Occasion(1, None, TimeQuality.UNSET)))
    except CameraError as error:
        return Failed.of(error)
    return Ready(source.note)


def _shoot(line: socket.socket, source: Source, request: Request) -> None:
    memory = os.memfd_create("picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(memory, "w+b") as picture:
        try:
            name = source.choose(request)
            _say(line, Chosen(name))
            id_at = source.take(name, request, picture)
        except CameraError as error:
            _say(line, Failed.of(error))
            return
        picture.flush()
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
        picture.seek(0)
        digest = hashlib.file_digest(picture, "sha256").hexdigest()
        size_bytes = picture.tell()
        picture.seek(0)
        preview = preview_of(picture) if id_at == NO_FIELD else make_preview(picture)
        answer = Taken(size_bytes=size_bytes, sha256=digest, id_at=id_at, preview=preview)
        socket.send_fds(line, [encode(answer)], [memory])


def preview_of(picture: IO[bytes], max_s: float = PREVIEW_MAX_S) -> bytes:
    """Its preview; empty where that takes longer, or ends the process that makes it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb", buffering=0) as made:
        try:
            maker = os.fork()
        except OSError:  # no process or no memory is left
            os.close(writing)
            return b""
        if not maker:
            _make(picture, writing, max_s)
        os.close(writing)
        preview = made.read(PREVIEW_MAX_BYTES)
        os.waitpid(maker, 0)
        return preview


def _make(picture: IO[bytes], into: int, max_s: float) -> NoReturn:
    """The whole life of the process that makes a preview. One write of less than PIPE_BUF: all of it, or nothing."""
    try:
        signal.setitimer(signal.ITIMER_REAL, max_s)
        resource.setrlimit(resource.RLIMIT_DATA, (DECODER_MAX_BYTES, DECODER_MAX_BYTES))
        os.write(into, make_preview(picture))
    finally:
        os._exit(0)  # whatever was raised: nothing of the camera's process may go on here


def _say(line: socket.socket, message: Message) -> None:
    line.send(encode(message))


def _source(words: list[str]) -> Source:
    match words:
        case ["folder", folder]:
            return FolderSource(folder)
        case ["pattern", width, height, quality, seed]:
            return PatternSource((int(width), int(height)), int(quality), int(seed))
        case ["picamera2", width, height, quality]:
            from hal.picamera_source import PicameraSource

            return PicameraSource((int(width), int(height)), int(quality))
    raise SystemExit(f"usage: {__doc__}")


def main(words: list[str]) -> None:
    """The whole life of the child; words as in the module's docstring."""
    most_bytes = CAMERA_MAX_BYTES if words[1] == "picamera2" else MEMORY_MAX_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # an ignored one would have been inherited
    with socket.socket(fileno=int(words[0])) as line, closing(_source(words[1:])) as source:
        try:
            serve(line, source)
        except (BrokenPipeError, ConnectionResetError):
            return  # the parent went away before our answer: nobody is left to tell
        finally:
            # Where the parent has ended, nobody else ends a child that hangs while it gives its camera back.
            signal.setitimer(signal.ITIMER_REAL, GIVE_BACK_MAX_S)


if __name__ == "__main__":
    main(sys.argv[1:])
