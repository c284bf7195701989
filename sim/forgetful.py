"""What is left of files after a power cut: a log of every change, and the medium that forgets what was not synced.

`Files` is what programs see; each change of it goes into a log. `Medium` follows such a log and tells, after any number
of its changes, what a power cut would leave: all that was asked for by fsync of a file or of its directory, and of the
rest each piece by chance: sectors of what was written, a new length, a name. An fsync that failed takes the written
pages with it (Linux marks them clean; TRAPS.md of the design says how that has cost others their data).

Not simulated: a rename that is cut in the middle (every journal keeps it whole: at worst both names are there), media
that lie about a sync or tear within a sector, file modes, times, links, and room held by files removed while open.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import field
from pathlib import Path

from hal.light_dataclass import dataclass

SECTOR_BYTES = 512  # the least that a card writes whole; SQLite counts on no more
ROOT = 1  # the top directory
Image = dict[str, bytes | None]
"""Path -> content of every file, None for a directory; a directory stands before what is in it."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """Bytes into a file."""

    node: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    """A file was cut off or made longer by zeros (truncate, fallocate)."""

    node: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Named:
    """A new file or directory."""

    directory: int
    name: str
    node: int
    is_directory: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """A rename; what was at the new place is gone."""

    directory: int
    name: str
    to_directory: int
    to_name: str
    node: int


@dataclass(frozen=True, slots=True)
class Removed:
    """unlink or rmdir."""

    directory: int
    name: str


@dataclass(frozen=True, slots=True)
class Synced:
    """fsync or fdatasync of a file."""

    node: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """An fsync of a file failed: what was written since the last one never gets to the medium."""

    node: int


@dataclass(frozen=True, slots=True)
class SyncedNames:
    """fsync of a directory."""

    directory: int


@dataclass(frozen=True, slots=True)
class Marked:
    """No change: the program says how far it is."""

    data: bytes


Change = Wrote | Resized | Named | Moved | Removed | Synced | Dropped | SyncedNames | Marked


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _put(content: bytearray, change: Wrote | Resized) -> None:
    """Change a file's bytes; what lies between its end and the new bytes is zeros."""
    if isinstance(change, Resized):
        del content[change.size_bytes :]
        content.extend(bytes(change.size_bytes - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


# ---------------------------------------------------------------- what programs see


class Files:
    """A tree of files. Every method takes node numbers, raises OSError, and logs what it changes."""

    def __init__(self, size_bytes: int, log: Callable[[Change], None]) -> None:
        self.size_bytes = size_bytes
        self._log = log
        self._contents: dict[int, bytearray] = {}
        self._names: dict[int, dict[str, int]] = {ROOT: {}}
        self._last = ROOT

    @classmethod
    def of(cls, image: Image, size_bytes: int, log: Callable[[Change], None]) -> Files:
        """With what a power cut has left; that much is in the log, all of it synced."""
        files = cls(size_bytes, log)
        nodes = {"": ROOT}
        for path, content in image.items():
            parent, _, name = path.rpartition("/")
            node = nodes[path] = files.make(nodes[parent], name, is_directory=content is None)
            if content is not None:
                files.write(node, 0, content)
                files.sync(node)
        for node in sorted(files._names):
            files.sync_names(node)
        return files

    def is_directory(self, node: int) -> bool:
        """Whether it is one."""
        return node in self._names

    def length(self, node: int) -> int:
        """Of a file; 0 of a directory."""
        return len(self._contents.get(node, b""))

    def names(self, directory: int) -> dict[str, int]:
        """What is in it."""
        if directory not in self._names:
            raise _error(errno.ENOTDIR)
        return self._names[directory]

    def find(self, directory: int, name: str) -> int:
        """The node of this name."""
        node = self.names(directory).get(name)
        if node is None:
            raise _error(errno.ENOENT)
        return node

    def free_bytes(self) -> int:
        """Room that is left."""
        named = {node for names in self._names.values() for node in names.values()}
        return self.size_bytes - sum(self.length(node) for node in named)

    def _take(self, node: int, end: int) -> None:
        if end - self.length(node) > max(0, self.free_bytes()):
            raise _error(errno.ENOSPC)

    def make(self, directory: int, name: str, *, is_directory: bool) -> int:
        """A new file or directory; its node."""
        if name in self.names(directory):
            raise _error(errno.EEXIST)
        self._last += 1
        if is_directory:
            self._names[self._last] = {}
        else:
            self._contents[self._last] = bytearray()
        self._names[directory][name] = self._last
        self._log(Named(directory, name, self._last, is_directory))
        return self._last

    def read(self, node: int, offset: int, size_bytes: int) -> bytes:
        """These bytes, fewer at the end."""
        return bytes(self._contents[node][offset : offset + size_bytes])

    def write(self, node: int, offset: int, data: bytes) -> None:
        """All of them."""
        self._take(node, offset + len(data))
        self._change(Wrote(node, offset, data))

    def resize(self, node: int, size_bytes: int) -> None:
        """truncate, and fallocate where it makes the file longer."""
        self._take(node, size_bytes)
        self._change(Resized(node, size_bytes))

    def _change(self, change: Wrote | Resized) -> None:
        _put(self._contents[change.node], change)
        self._log(change)

    def move(self, directory: int, name: str, to_directory: int, to_name: str) -> None:
        """rename."""
        node = self.find(directory, name)
        there = self.names(to_directory).get(to_name)
        if there is not None and self._names.get(there):
            raise _error(errno.ENOTEMPTY)
        del self._names[directory][name]
        self._names[to_directory][to_name] = node
        self._log(Moved(directory, name, to_directory, to_name, node))

    def remove(self, directory: int, name: str, *, is_directory: bool) -> None:
        """unlink or rmdir. A removed file that is open stays readable and writable."""
        node = self.find(directory, name)
        if self.is_directory(node) != is_directory:
            raise _error(errno.ENOTDIR if is_directory else errno.EISDIR)
        if self._names.get(node):
            raise _error(errno.ENOTEMPTY)
        del self._names[directory][name]
        self._log(Removed(directory, name))

    def sync(self, node: int) -> None:
        """fsync of a file."""
        self._log(Synced(node))

    def drop(self, node: int) -> None:
        """An fsync that fails."""
        self._log(Dropped(node))

    def sync_names(self, directory: int) -> None:
        """fsync of a directory."""
        self._log(SyncedNames(directory))

    def mark(self, data: bytes) -> None:
        """What the program says."""
        self._log(Marked(data))


# ---------------------------------------------------------------- what the medium holds


@dataclass(slots=True, eq=False)
class _Name:
    """A name that is to be given (node), or taken away (None); the latter never without the move that it is part of."""

    directory: int
    name: str
    node: int | None
    move: _Name | None = None


@dataclass(slots=True)
class _Content:
    """A file: bytes on the medium, and what was done to it since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Wrote | Resized] = field(default_factory=list)


class Medium:
    """Follows a log of changes; cut() tells at any time what a power cut would leave."""

    def __init__(self) -> None:
        self._contents: dict[int, _Content] = {}
        self._names: dict[int, dict[str, int]] = {ROOT: {}}
        self._pending: list[_Name] = []

    def follow(self, change: Change) -> None:
        """The next change of the log."""
        match change:
            case Wrote() | Resized():
                self._contents[change.node].pending.append(change)
            case Named():
                if change.is_directory:
                    self._names[change.node] = {}
                else:
                    self._contents[change.node] = _Content()
                self._pending.append(_Name(change.directory, change.name, change.node))
            case Moved():
                there = _Name(change.to_directory, change.to_name, change.node)
                self._pending += [there, _Name(change.directory, change.name, None, there)]
            case Removed():
                self._pending.append(_Name(change.directory, change.name, None))
            case Synced():
                content = self._contents[change.node]
                for piece in content.pending:
                    _put(content.durable, piece)
                content.pending.clear()
            case Dropped():
                content = self._contents[change.node]
                content.pending = [piece for piece in content.pending if isinstance(piece, Resized)]
            case SyncedNames():
                self._sync_names(change.directory)
            case Marked():
                pass

    def _sync_names(self, directory: int) -> None:
        """All names of this directory, and the new names elsewhere of what was moved away from it."""
        due = [name for name in self._pending if name.directory == directory]
        moves = [name.move for name in due if name.move is not None and name.move in self._pending]
        for move in moves:  # with what was done before under the same name
            if move.directory != directory:
                earlier = self._pending[: self._pending.index(move) + 1]
                due += [name for name in earlier if (name.directory, name.name) == (move.directory, move.name)]
        for name in self._pending:
            if name in due:
                _give(self._names, name)
        self._pending = [name for name in self._pending if name not in due]

    def cut(self, chance: random.Random | None = None, *, share: float = 0.0) -> Image:
        """What is left: all that was synced, and each piece of the rest with this chance."""
        assert share in (0.0, 1.0) or chance is not None

        def stays() -> bool:
            return share == 1.0 or (share > 0.0 and chance is not None and chance.random() < share)

        names = {directory: dict(there) for directory, there in self._names.items()}
        gone: set[_Name] = set()
        for name in self._pending:
            if (name.move is None or name.move not in gone) and stays():
                _give(names, name)
            else:
                gone.add(name)
        image: Image = {}
        self._walk(ROOT, "", names, image, stays)
        return image

    def _walk(
        self, directory: int, prefix: str, names: dict[int, dict[str, int]], image: Image, stays: Callable[[], bool]
    ) -> None:
        for name, node in sorted(names[directory].items()):
            path = f"{prefix}{name}"
            if node in self._names:
                image[path] = None
                self._walk(node, f"{path}/", names, image, stays)
            else:
                image[path] = _torn(self._contents[node], stays)


def _give(names: dict[int, dict[str, int]], name: _Name) -> None:
    if name.node is None:
        names[name.directory].pop(name.name, None)
    else:
        names[name.directory][name.name] = name.node


def _torn(content: _Content, stays: Callable[[], bool]) -> bytes:
    """Each new length and each sector of what was written stays or goes by itself."""
    left = bytearray(content.durable)
    for piece in content.pending:
        if isinstance(piece, Resized):
            if stays():
                _put(left, piece)
            continue
        start, end = piece.offset, piece.offset + len(piece.data)
        while start < end:
            stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
            if stays():
                _put(left, Wrote(piece.node, start, piece.data[start - piece.offset : stop - piece.offset]))
            start = stop
    return bytes(left)


def followed(changes: Iterable[Change]) -> Medium:
    """The medium after all of these."""
    medium = Medium()
    for change in changes:
        medium.follow(change)
    return medium


def lay_out(image: Image, where: Path) -> None:
    """Make the files of an image in a directory of a real file system."""
    for path, content in image.items():
        if content is None:
            (where / path).mkdir(mode=0o700)
        else:
            (where / path).write_bytes(content)
