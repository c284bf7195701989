"""The card as a directory of a real file system."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hal.errors import CardError, CardFull, CardReadOnly
from hal.interfaces import CardEntry

FILE_MODE = 0o600  # pictures are nobody else's business; the group reads them through the control socket
DIRECTORY_MODE = 0o700
_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})  # what file systems without it say
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def _in_words(doing: str, path: str) -> Iterator[None]:
    """Turn OSError into CardError, CardFull or CardReadOnly; missing and existing files pass through."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        where = f"could not {doing} {path or 'the top directory'} on the card"
        if error.errno in _FULL:
            raise CardFull(f"{where}: the file system is full", can="make room on the card") from error
        if error.errno == errno.EROFS:
            can = "look at the kernel log, then replace the card"
            raise CardReadOnly(f"{where}: the card takes no more writes", can=can) from error
        can = "look at the kernel log; the card may be worn out"
        if error.errno in (errno.EACCES, errno.EPERM):
            can = "look whose it is: the unit needs to run as the user whom the card's files belong to"
        raise CardError(f"{where}: {os.strerror(error.errno or errno.EIO)}", can=can) from error


class DirectoryFile:
    """An open file of a DirectoryCard; one thread at a time."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor: int | None = descriptor
        self._path = path
        self._sync_failed = False

    def _open(self) -> int:
        assert self._descriptor is not None, f"{self._path} is closed"
        return self._descriptor

    def write(self, offset: int, data: bytes) -> None:
        """Write all of data at offset; raises CardError. Durable only after sync()."""
        descriptor = self._open()
        rest = memoryview(data)
        with _in_words("write", self._path):
            while rest:
                written = os.pwrite(descriptor, rest, offset)
                offset += written
                rest = rest[written:]

    def read(self, offset: int, size_bytes: int) -> bytes:
        """These bytes, fewer only at the end of the file."""
        descriptor = self._open()
        pieces = []
        with _in_words("read", self._path):
            while size_bytes > 0:
                piece = os.pread(descriptor, size_bytes, offset)
                if not piece:
                    break
                pieces.append(piece)
                offset += len(piece)
                size_bytes -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def sync(self) -> None:
        """fsync; after a CardError the file can no longer be trusted and sync() must not be called again."""
        assert not self._sync_failed, f"{self._path}: a second fsync after a failed one would lie"
        try:
            with _in_words("sync", self._path):
                os.fsync(self._open())
        except CardError:
            self._sync_failed = True
            raise

    def forget_cache(self) -> None:
        """Ask the kernel to drop its clean pages of this file, so that the next read comes from the medium."""
        descriptor = self._open()
        with contextlib.suppress(OSError):  # advice only: a file system may refuse it
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Release the descriptor; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # what matters was synced before; Linux has released it anyway
                os.close(descriptor)


class DirectoryCard:
    """The card below a directory, which is made if need be; never follows a symbolic link at the end of a path."""

    def __init__(self, path: str) -> None:
        self._root = Path(path).absolute()
        try:
            with _in_words("open", path):
                missing = [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
                for folder in reversed(missing):
                    folder.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
                    _sync(str(folder))
                    _sync(str(folder.parent))
                is_directory = self._root.is_dir()
        except FileExistsError:  # of what is not there: a link
            is_directory = False
        if not is_directory:
            can = "set card.path to a directory, or mount what the link leads to"
            raise CardError(f"{path}, the card's directory, is a file or a link that leads nowhere", can=can)

    def _real(self, path: str) -> str:
        """Absolute path; what comes from the air or from config can never leave the card."""
        parts = path.split("/") if path else []
        assert all(part not in ("", ".", "..") for part in parts), f"not a path within the card: {path!r}"
        return os.path.join(self._root, *parts)

    def create(self, path: str, size_bytes: int) -> DirectoryFile:
        """A new file (O_CREAT|O_EXCL, 0600) with size_bytes really reserved; on any error nothing is left behind. What
        cannot fit is refused before: until it fails, reserving takes the last free byte from whoever else writes."""
        if size_bytes > self.free_bytes():
            raise CardFull(f"could not create {path} on the card: the file system is full", can="make room on the card")
        real = self._real(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with _in_words("create", path):
            descriptor = os.open(real, flags, FILE_MODE)
            try:
                _reserve(descriptor, size_bytes)
            except OSError:
                os.close(descriptor)
                os.unlink(real)
                raise
        return DirectoryFile(descriptor, path)

    def open(self, path: str, *, writable: bool = False) -> DirectoryFile:
        """An existing file. O_NONBLOCK: opening a FIFO would wait for its other end; it is nothing to files."""
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with _in_words("open", path):
            descriptor = os.open(self._real(path), flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise CardError(f"{path} on the card is not a file")
        return DirectoryFile(descriptor, path)

    def rename(self, old: str, new: str) -> None:
        """Move within the card; the caller has checked that nothing else stands at the new place."""
        with _in_words("rename", old):
            os.rename(self._real(old), self._real(new))

    def unlink(self, path: str) -> None:
        """Remove a file; durable only after sync_directory() of its parent."""
        with _in_words("remove", path):
            os.unlink(self._real(path))

    def make_directory(self, path: str) -> None:
        """Make a directory and its missing parents. Syncs each and its name even when nothing was missing: the process
        before this one may have been killed between its mkdir and its fsync."""
        parts = path.split("/")
        for depth, _ in enumerate(parts, 1):
            step = "/".join(parts[:depth])
            with _in_words("make", step), contextlib.suppress(FileExistsError):
                os.mkdir(self._real(step), DIRECTORY_MODE)
            try:
                self.sync_directory(step)
            except FileNotFoundError as error:
                raise CardError(f"{step} on the card is a link that leads nowhere") from error
            self.sync_directory("/".join(parts[: depth - 1]))

    def sync_directory(self, path: str) -> None:
        """Make the names in this directory durable; `` is the top."""
        with _in_words("sync", path):
            _sync(self._real(path))

    def entries(self, path: str) -> list[CardEntry]:
        """What is in a directory, by name; empty if the directory is not there."""
        found = []
        with _in_words("list", path):
            try:
                names = os.scandir(self._real(path))
            except FileNotFoundError:
                return []
            with names:
                for name in names:
                    with contextlib.suppress(FileNotFoundError):  # removed while we looked
                        found.append(_entry(name))
        return sorted(found, key=lambda entry: entry.name)

    def free_bytes(self) -> int:
        """Room of the file system for us (statvfs f_bavail)."""
        with _in_words("measure", ""):
            status = os.statvfs(self._root)
            if status.f_flag & os.ST_RDONLY:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return status.f_bavail * status.f_frsize

    def total_bytes(self) -> int:
        """Size of the file system."""
        with _in_words("measure", ""):
            status = os.statvfs(self._root)
        return status.f_blocks * status.f_frsize


def _entry(name: os.DirEntry[str]) -> CardEntry:
    try:
        status = name.stat(follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # one spoilt inode (EIO, EUCLEAN) must not hide all that is beside it
        return CardEntry(name.name, -1, _is_directory(name))
    return CardEntry(name.name, status.st_size, stat.S_ISDIR(status.st_mode))


def _is_directory(name: os.DirEntry[str]) -> bool:
    """Most file systems say it beside the name."""
    try:
        return name.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size_bytes: int) -> None:
    """Take size_bytes of the file system now, so that ENOSPC shows here; only the length where it cannot be done."""
    if size_bytes == 0:
        return
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        os.ftruncate(descriptor, size_bytes)
