"""A file system that the kernel asks this process about: its side of /dev/fuse, over the files of forgetful.py.

Spoken without libfuse, which would hide removed files under names of its own and needs to be installed: two dozen
messages of <linux/fuse.h>, version 7.31. One request at a time. The kernel keeps pages of what was read and hands every
write on at once (no write-back cache), so that the log has each write of a program as its own; stores into mapped
memory (SQLite's -shm) come when the kernel writes them back. Locks are the kernel's.

Requests that change or sync something are counted: a fault or the power cut comes at one of these.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import field

from hal.light_dataclass import dataclass
from sim.forgetful import Files

READ_BYTES = 256 * 1024  # longest request: a write of 128 kB (32 pages, the kernel's usual limit) and its header
MAX_WRITE_BYTES = 128 * 1024
_VERSION = (7, 31)
_BIG_WRITES = 1 << 5  # FUSE_BIG_WRITES: more than a page at a time
_KEEP_CACHE = 1 << 1  # FOPEN_KEEP_CACHE: nobody changes files behind the kernel's back
_DIRECT = 1 << 0  # FOPEN_DIRECT_IO
_SIZE_GIVEN = 1 << 3  # FATTR_SIZE
_NO_REPLACE = 1  # RENAME_NOREPLACE
_VALID_S = 3600  # names and attributes: as above
_TIME_S = 1_700_000_000  # of every file: times are not simulated
_BLOCK_BYTES = 4096
_NAME_BYTES = 255
_STAT_BLOCK_BYTES = 512  # what st_blocks counts in
MARK = "user.mark"
"""The extended attribute of the top directory that a program sets to say how far it is: Marked in the log."""

_HEADER = struct.Struct("<IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, extension, padding
_REPLY = struct.Struct("<IiQ")  # length, -errno, unique
_INIT = struct.Struct("<IIIIHHIIHHI28x")
_ENTRY = struct.Struct("<QQQQII")
_ATTRIBUTES_VALID = struct.Struct("<QII")
_ATTRIBUTES = struct.Struct("<6Q10I")
_OPENED = struct.Struct("<QII")
_READ = struct.Struct("<QQIIQII")
_WRITE = struct.Struct("<QQIIQII")
_WRITTEN = struct.Struct("<II")
_SET = struct.Struct("<IIQQ")
_ALLOCATE = struct.Struct("<QQQII")
_SPACE = struct.Struct("<5Q4I24x")
_DIRENT = struct.Struct("<QQII")

LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME = 1, 2, 3, 4, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, SETXATTR, FLUSH, INIT = 14, 15, 16, 17, 18, 20, 21, 25, 26
OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, CREATE, INTERRUPT, DESTROY = 27, 28, 29, 30, 35, 36, 38
BATCH_FORGET, FALLOCATE, RENAME2 = 42, 43, 45
_NO_REPLY = frozenset({FORGET, BATCH_FORGET, INTERRUPT})
_TAKES_ROOM = frozenset({MKDIR, CREATE, WRITE, FALLOCATE})
_CHANGES = _TAKES_ROOM | {SETATTR, UNLINK, RMDIR, RENAME, RENAME2}
_COUNTED = _CHANGES | {FSYNC, FSYNCDIR}


class PowerGone(Exception):
    """The call after the last one came; it is not done, and nothing is answered any more."""


@dataclass(slots=True)
class Faults:
    """What goes wrong. at: errno by number of the counted call (the first is 1); ENOSPC passes by calls that take no
    room, EROFS those that change nothing. lasting: the errno is the answer to all later ones, too. cut_after: number
    of the last call that is done. unmapped: files cannot be mapped into shared memory, and nothing of them is kept by
    the kernel, as on some FUSE file systems."""

    at: dict[int, int] = field(default_factory=dict)
    lasting: bool = False
    cut_after: int | None = None
    unmapped: bool = False


class Kernel:
    """Answers the kernel's requests. calls: how many of those that count there were."""

    def __init__(self, files: Files, faults: Faults) -> None:
        self.calls = 0
        self._files = files
        self._faults = faults
        self._opened = _DIRECT if faults.unmapped else _KEEP_CACHE
        self._methods: dict[int, Callable[[int, bytes], bytes]] = {
            INIT: self._init,
            LOOKUP: lambda node, body: self._entry(files.find(node, _text(body))),
            GETATTR: lambda node, _body: self._attributes(node),
            SETATTR: self._set_attributes,
            MKDIR: lambda node, body: self._entry(files.make(node, _text(body[8:]), is_directory=True)),
            CREATE: self._create,
            UNLINK: lambda node, body: self._remove(node, body, is_directory=False),
            RMDIR: lambda node, body: self._remove(node, body, is_directory=True),
            RENAME: lambda node, body: self._move(node, body[:8], 0, body[8:]),
            RENAME2: lambda node, body: self._move(node, body[:8], int.from_bytes(body[8:12], "little"), body[16:]),
            OPEN: lambda node, _body: _OPENED.pack(node, self._opened, 0),
            OPENDIR: lambda node, _body: _OPENED.pack(node, 0, 0),
            READ: self._read,
            READDIR: self._list,
            WRITE: self._write,
            FALLOCATE: self._allocate,
            FSYNC: self._sync,
            FSYNCDIR: self._sync_names,
            SETXATTR: self._mark,
            STATFS: lambda _node, _body: self._space(),
            **dict.fromkeys((RELEASE, RELEASEDIR, FLUSH, DESTROY), lambda _node, _body: b""),
        }

    def serve(self, descriptor: int) -> None:
        """Read one request from /dev/fuse and answer it. Raises PowerGone; OSError (ENODEV) at the end of the mount."""
        try:
            request = os.read(descriptor, READ_BYTES)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):  # it was given up before we took it
                return
            raise
        length, opcode, unique, node, *_ = _HEADER.unpack_from(request)
        number, answer = 0, b""
        try:
            answer = self._answer(opcode, node, request[_HEADER.size : length])
        except OSError as error:
            number = error.errno or errno.EIO
        if opcode not in _NO_REPLY:
            try:
                os.write(descriptor, _REPLY.pack(_REPLY.size + len(answer), -number, unique) + answer)
            except OSError as error:
                if error.errno != errno.ENOENT:  # nobody waits for it any more
                    raise

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode in _NO_REPLY:
            return b""
        method = self._methods.get(opcode)
        if method is None:
            raise OSError(errno.ENOSYS, "not simulated")
        if opcode in _COUNTED:
            self._count(opcode, node)
        return method(node, body)

    def _count(self, opcode: int, node: int) -> None:
        if self.calls == self._faults.cut_after:
            raise PowerGone
        self.calls += 1
        first = min(self._faults.at, default=self.calls + 1)
        here = min(self.calls, first) if self._faults.lasting and first <= self.calls else self.calls
        number = self._faults.at.get(here)
        if number is None:
            return
        if (number == errno.ENOSPC and opcode not in _TAKES_ROOM) or (number == errno.EROFS and opcode not in _CHANGES):
            return
        if opcode == FSYNC:
            self._files.drop(node)
        raise OSError(number, os.strerror(number))

    # ------------------------------------------------------------ answers

    def _init(self, _node: int, body: bytes) -> bytes:
        major, minor, read_ahead, _flags = struct.unpack_from("<IIII", body)
        assert major == _VERSION[0]
        least = min(minor, _VERSION[1])
        return _INIT.pack(major, least, read_ahead, _BIG_WRITES, 0, 0, MAX_WRITE_BYTES, 1, 0, 0, 0)

    def _attributes_of(self, node: int) -> bytes:
        size, directory = self._files.length(node), self._files.is_directory(node)
        mode = stat.S_IFDIR | 0o700 if directory else stat.S_IFREG | 0o600
        blocks = -(-size // _STAT_BLOCK_BYTES)
        times = (_TIME_S, _TIME_S, _TIME_S)
        return _ATTRIBUTES.pack(
            node, size, blocks, *times, 0, 0, 0, mode, 1, os.getuid(), os.getgid(), 0, _BLOCK_BYTES, 0
        )

    def _attributes(self, node: int) -> bytes:
        return _ATTRIBUTES_VALID.pack(_VALID_S, 0, 0) + self._attributes_of(node)

    def _entry(self, node: int) -> bytes:
        return _ENTRY.pack(node, 0, _VALID_S, _VALID_S, 0, 0) + self._attributes_of(node)

    def _set_attributes(self, node: int, body: bytes) -> bytes:
        given, _, _, size_bytes = _SET.unpack_from(body)
        if given & _SIZE_GIVEN:
            self._files.resize(node, size_bytes)
        return self._attributes(node)

    def _create(self, node: int, body: bytes) -> bytes:
        made = self._files.make(node, _text(body[16:]), is_directory=False)
        return self._entry(made) + _OPENED.pack(made, self._opened, 0)

    def _move(self, node: int, to: bytes, flags: int, names: bytes) -> bytes:
        old, new = (name.decode() for name in names.split(b"\0")[:2])
        to_directory = int.from_bytes(to, "little")
        if flags & ~_NO_REPLACE:
            raise OSError(errno.EINVAL, "not simulated")
        if flags and new in self._files.names(to_directory):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._files.move(node, old, to_directory, new)
        return b""

    def _remove(self, node: int, body: bytes, *, is_directory: bool) -> bytes:
        self._files.remove(node, _text(body), is_directory=is_directory)
        return b""

    def _sync(self, node: int, _body: bytes) -> bytes:
        self._files.sync(node)
        return b""

    def _sync_names(self, node: int, _body: bytes) -> bytes:
        self._files.sync_names(node)
        return b""

    def _read(self, node: int, body: bytes) -> bytes:
        _, offset, size_bytes, *_ = _READ.unpack_from(body)
        return self._files.read(node, offset, size_bytes)

    def _list(self, node: int, body: bytes) -> bytes:
        _, offset, size_bytes, *_ = _READ.unpack_from(body)
        listed = b""
        for number, (name, there) in enumerate(sorted(self._files.names(node).items()), 1):
            kind = (stat.S_IFDIR if self._files.is_directory(there) else stat.S_IFREG) >> 12
            text = name.encode()
            record = _DIRENT.pack(there, number, len(text), kind) + text
            record += bytes(-len(record) % 8)
            if number > offset:
                if len(listed) + len(record) > size_bytes:
                    break
                listed += record
        return listed

    def _write(self, node: int, body: bytes) -> bytes:
        _, offset, size_bytes, *_ = _WRITE.unpack_from(body)
        data = body[_WRITE.size : _WRITE.size + size_bytes]
        self._files.write(node, offset, data)
        return _WRITTEN.pack(len(data), 0)

    def _allocate(self, node: int, body: bytes) -> bytes:
        _, offset, length, mode, _ = _ALLOCATE.unpack_from(body)
        if mode:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        if offset + length > self._files.length(node):
            self._files.resize(node, offset + length)
        return b""

    def _mark(self, _node: int, body: bytes) -> bytes:
        name, _, value = body[8:].partition(b"\0")
        if name != MARK.encode():
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._files.mark(value)
        return b""

    def _space(self) -> bytes:
        blocks, free = (max(0, n) // _BLOCK_BYTES for n in (self._files.size_bytes, self._files.free_bytes()))
        return _SPACE.pack(blocks, free, free, blocks, blocks, _BLOCK_BYTES, _NAME_BYTES, _BLOCK_BYTES, 0)


def _text(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode()
