"""What `get` does with the bytes that come: a .part beside the target, gone on with, checked, and then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware.client import Answer
from firmware.control_lines import Coming, Data, Progress, Row
from firmware.errors import NobodyRuns, Refused
from firmware.output import Output
from firmware.pictures import MAX_PICTURE_BYTES
from hal.errors import DandelionError

Ask = Callable[..., Generator[Answer, None, None]]
_REMOVED = "what had come was removed"


def fetch(ask: Ask, picture: str, target: Path, output: Output) -> dict[str, object]:
    """Write what the unit sends to target and return the row to print. The directory is made if missing.

    ask(have_bytes=…, have_sha256=…) asks the unit for what a .part from an earlier try lacks; where that beginning is
    found to be wrong in the end, all of it is fetched once more. Where target is there already with the same bytes,
    nothing is transferred; the unit is told its digest, so that it asks no other one for it. Raises Refused when it is
    there with other bytes, when what came is not what was announced, and for what the unit or the file system say;
    what is not known to be wrong stays in the .part.
    """
    began = time.monotonic()
    with PartFile(target) as part:
        coming, told = _receive(ask, picture, part, output)
        if not part.is_needless and part.is_resumed and not part.is_right(coming):
            output.note(f"what an earlier try had left in {target.name}.part was not right: all of it is fetched again")
            part.forget()
            coming, told = _receive(ask, picture, part, output)
        if not part.is_needless:
            part.check(coming)
            part.place()
    return {
        "picture": picture,
        "path": str(target),
        "size_bytes": coming.size_bytes,
        "sha256": part.sha256,
        "from_unit": coming.from_unit,
        "seconds": round(time.monotonic() - began, 3),
        "air_bytes": 0 if part.is_needless else told.get("air_bytes"),
        "already_there": part.is_needless,
    }


def _receive(ask: Ask, picture: str, part: PartFile, output: Output) -> tuple[Coming, dict[str, object]]:
    """Write the data as they come; what was announced last, and the unit's own row about it."""
    coming, told = None, {}
    asked = ask(have_bytes=part.came_bytes, have_sha256=part.sha256_there())
    with contextlib.closing(asked) as answers, part.kept_words():
        for answer in answers:
            match answer:
                case Coming():
                    coming = answer
                    part.begin(coming)
                    if part.is_needless:
                        break
                case Data(offset, data):
                    part.write(offset, data)
                    output.progress(picture, part.came_bytes, part.size_bytes)
                case Row(fields):
                    told = fields
                case Progress():
                    pass  # the data themselves tell
                case _:
                    output.show(answer)
    if coming is None:
        raise Refused("the unit sent no file", can="this command and the unit may be of different versions")
    return coming, told


class PartFile:
    """`<target>.part`, locked while it is written. What has come of the file, from its beginning on; its length tells.

    One that an earlier command left behind is gone on with; one that another command writes is left alone (Refused).
    Leaving the context removes it if it is known to be wrong, or empty.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(target.name + ".part")
        self._fd = -1
        self._is_useless = False
        self._begun = False
        self.size_bytes = 0
        self.came_bytes = 0
        self.sha256 = ""  # of the bytes at target, once is_needless or placed
        self.is_needless = False
        self.is_resumed = False  # its beginning is of an earlier command, and was never compared with anything

    def __enter__(self) -> Self:
        with _plainly(self._path):
            if self._path.parent.exists() and not self._path.parent.is_dir():
                raise Refused(f"{self._path.parent} is not a directory", can="name one with -o; it is made if missing")
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o666)
            if not self._lock():
                os.close(self._fd)
                raise Refused(f"another command is writing {self._path}", can="let it end, or use another directory")
            size_bytes = os.fstat(self._fd).st_size
            self.came_bytes = size_bytes if size_bytes <= MAX_PICTURE_BYTES else 0
        return self

    def _lock(self) -> bool:
        """Whether this is now the only writer of the file that has the name."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except (BlockingIOError, FileNotFoundError):  # the other one has just renamed it
            return False

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._fd >= 0:
            if self._is_useless or self.is_needless or not self.came_bytes:
                with contextlib.suppress(OSError):  # gone with its directory, or the next command finds it wrong
                    self._path.unlink()
            self._close()

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1

    @contextlib.contextmanager
    def kept_words(self) -> Iterator[None]:
        """What the unit refuses, and that what has come until then stays."""
        try:
            yield
        except NobodyRuns:
            raise
        except Refused as error:
            if self._is_useless or not self.came_bytes:
                raise
            kept = f"the {self.came_bytes} bytes that have come stay in {self._path.name}"
            can = "; ".join(filter(None, [error.can, "the same command goes on from there"]))
            raise Refused(error.what, did="; ".join(filter(None, [error.did, kept])), can=can) from error

    def forget(self) -> None:
        """All of it comes anew."""
        self.came_bytes = 0
        self.is_resumed = self._begun = False

    def sha256_there(self) -> str | None:
        """Of the bytes at target; None where there are none."""
        with _plainly(self._target):
            try:
                return _digest(self._target)
            except FileNotFoundError:
                return None

    def begin(self, coming: Coming) -> None:
        """Make room for what is coming from its offset on, or find that the file is there already: is_needless."""
        if not 0 < coming.size_bytes <= MAX_PICTURE_BYTES:
            raise Refused(f"the unit announced {coming.size_bytes} bytes", did="nothing was written")
        if coming.offset > self.came_bytes:
            self._is_useless = True
            raise Refused("the unit left out bytes that are not here", did=_REMOVED, can="try again")
        if coming.sha256 is not None and self._is_there(coming.sha256):
            self.is_needless = True
            return
        self.is_resumed = coming.offset > 0 and (self.is_resumed or not self._begun)
        self._begun = True
        self.size_bytes, self.came_bytes = coming.size_bytes, coming.offset
        with _plainly(self._path):
            os.posix_fallocate(self._fd, 0, coming.size_bytes)  # a full file system shows here
            os.ftruncate(self._fd, coming.offset)

    def write(self, offset: int, data: bytes) -> None:
        """The next of the announced bytes."""
        if offset != self.came_bytes or offset + len(data) > self.size_bytes:
            self._is_useless = True
            why = "more than it announced" if offset == self.came_bytes else "its bytes out of order"
            raise Refused(f"the unit sent {why}", did=_REMOVED, can="try again")
        with _plainly(self._path):
            while data:
                written = os.pwrite(self._fd, data, self.came_bytes)
                data = data[written:]
                self.came_bytes += written

    def is_right(self, coming: Coming) -> bool:
        """Read back what was written: whether all of it came, with the announced digest."""
        with _plainly(self._path):
            os.fsync(self._fd)
            self.sha256 = _digest(self._path)
        return self.came_bytes == self.size_bytes and coming.sha256 in (None, self.sha256)

    def check(self, coming: Coming) -> None:
        """Refused unless it is right."""
        if not self.is_right(coming):
            self._is_useless = True
            whole = self.came_bytes == self.size_bytes
            raise Refused(
                f"what came is not {self._target.name}: " + ("its digest is wrong" if whole else "bytes are missing"),
                did=_REMOVED,
                can="try again; `dandelion whereis PICTURE --verify` asks the holders for proofs",
            )

    def place(self) -> None:
        """Give the file its name, unless the same bytes have it already."""
        if self._is_there(self.sha256):
            self._is_useless = True
            return
        with _plainly(self._target):
            self._path.rename(self._target)
            self._close()
            directory = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _is_there(self, sha256: str) -> bool:
        """Whether target has these bytes; Refused if it has others."""
        found = self.sha256_there()
        if found is None:
            return False
        self.sha256 = found
        if found != sha256:
            self._is_useless = True
            raise Refused(
                f"{self._target} is there already, with other bytes",
                did="it was left as it is",
                can="move it away, or use another directory",
            )
        return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """What the file system says, in words."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DandelionError):
            raise
        where = error.filename or path
        raise Refused(f"{where} cannot be used: {error.strerror}", can="use another directory") from error
