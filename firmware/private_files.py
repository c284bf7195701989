"""Files that nobody but their owner may read: read with care; written whole and durable, or not at all."""

from __future__ import annotations

import contextlib
import filecmp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from firmware.errors import ConfigError, Refused

FILE_MODE = 0o600
FOLDER_MODE = 0o700
OTHERS = 0o077  # what group and others may do


def read(path: Path, max_bytes: int) -> bytes:
    """All of it. ConfigError where it is missing, not readable, no file, open to others, or longer than max_bytes."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{path} is not a file")
            require_private(path, status)
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path} is not there") from None
    except OSError as error:
        can = "give the command as the user whom it belongs to" if isinstance(error, PermissionError) else ""
        raise ConfigError(f"{path} cannot be read: {error.strerror}", can=can) from error
    if len(data) > max_bytes:
        raise ConfigError(f"{path} is longer than {max_bytes} bytes: it is another file")
    return data


def _open_at_once(path: str, flags: int) -> int:
    """Without waiting for the other end of a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK)


def require_private(path: Path, status: os.stat_result) -> None:
    """ConfigError where others than its owner may do anything with it."""
    if status.st_mode & OTHERS:
        mode = FOLDER_MODE if stat.S_ISDIR(status.st_mode) else FILE_MODE
        raise ConfigError(
            f"{path} is open to others than its owner (mode {stat.S_IMODE(status.st_mode):04o})",
            did="it was not used",
            can=f"chmod {mode:03o} {path}; if somebody may have read it, its keys are not secret: make new ones",
        )


def prepare(part: Path, data: bytes) -> None:
    """A new file of mode 0600, durable with its name; raises Refused, and leaves nothing then.

    What was there by that name goes: it is to be one that nobody else uses.
    """
    with in_words(part):
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            sync_folder(part.parent)
        except BaseException:
            part.unlink()
            raise


def replace(part: Path, path: Path) -> None:
    """Give what prepare() has written its name, in place of what had it; raises Refused."""
    with in_words(path):
        part.rename(path)
        sync_folder(path.parent)


def place(part: Path, path: Path) -> None:
    """Give what prepare() has written a name that nothing else has; Refused otherwise, and the part stays.

    An empty file first takes the name: not every file system has links, by which it could be taken at once. A cut may
    leave it empty, so an empty file there, or one with the same bytes, is no other.
    """
    with in_words(path):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        except FileExistsError:
            if not path.is_file() or (path.stat().st_size > 0 and not filecmp.cmp(part, path, shallow=False)):
                raise is_there(path) from None
    replace(part, path)


def is_there(path: Path) -> Refused:
    """The error for a name that is to be new."""
    return Refused(f"{path} is there already", did="it was left as it is", can="move it away, or name another file")


def sync_folder(folder: Path) -> None:
    """Make the names in it durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """What the file system says, as Refused."""
    try:
        yield
    except OSError as error:
        name = error.filename or path
        can = f"make the folder {path.parent} first" if isinstance(error, FileNotFoundError) else ""
        raise Refused(f"{name} cannot be written: {error.strerror}", can=can) from error
