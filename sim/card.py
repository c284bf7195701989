"""A simulated SD card: the whole Card Protocol in memory, with power cuts, faults at chosen calls, and a size.

What reaches the medium: nothing until it is asked for. A power cut takes un-synced data, and names whose directory
was not synced (new ones vanish, removed ones come back); with a random.Random each such change is kept or lost by
chance, and files keep any mix of their old and new blocks. Not simulated: time, wear, journals (a rename that was cut
may leave both names or neither, which is worse than ext4), and room held by files that were removed while open.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import field

from hal.errors import CardError, CardFull, CardReadOnly
from hal.interfaces import CardEntry
from hal.light_dataclass import dataclass

BLOCK_BYTES = 4096  # files take whole blocks, and a cut tears between them; ext4's usual block


class Fault(enum.Enum):
    """What goes wrong at a call."""

    FULL = "the file system is full"
    IO = "Input/output error"
    READ_ONLY = "the card takes no more writes"
    ROT = "one bit of what is read is wrong"
    LIE = "one bit that a sync has put on the medium is wrong, and it says that all went well"
    DONE = "Input/output error of what is done all the same"


class PowerCut(Exception):
    """The power went after a call; everything raises it until power_cut(). No DandelionError: nothing handles it."""


class ProcessKilled(PowerCut):
    """The process has ended, and the power is there: what was not synced stays."""


@dataclass(slots=True)
class CardOptions:
    """Size and faults; tests and the world change it while the card is in use.

    at: fault by number of the call (the first is 1, see SimCard.calls). below: fault for every call on a path that
    begins so. unreadable: paths of which the card gives nothing but the name. cut_after: the number of the last call
    that still works. FULL hits calls that take room, READ_ONLY those that change something, IO all, ROT reads; at other
    calls a fault passes unused. LIE hits syncs of files that were changed, DONE these and what
    changes or syncs names. dead: every call fails. lies: syncs
    do nothing, and the card says that they did.
    """

    size_bytes: int = 64_000_000
    at: dict[int, Fault] = field(default_factory=dict)
    below: dict[str, Fault] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    read_only: bool = False
    dead: bool = False
    lies: bool = False
    cut_after: int | None = None


class _Node:
    """A file: what a reader sees, and what the medium holds (None: never synced); one object where they are equal.

    really: where the card has lied about the medium, one element: what that holds.
    """

    __slots__ = ("live", "lost", "medium", "really")

    def __init__(self, size_bytes: int) -> None:
        self.live: bytes | bytearray = bytearray(size_bytes)
        self.medium: bytes | None = None
        self.really: tuple[bytes | None, ...] = ()
        self.lost = False  # an fsync failed: the pages are marked clean though the medium never got them

    @property
    def is_safe(self) -> bool:
        """Whether a power cut leaves it as it is."""
        return self.live is self.medium and not self.really and not self.lost

    def to_change(self) -> bytearray:
        """What a reader sees, to be changed in place."""
        if not isinstance(self.live, bytearray):
            self.live = bytearray(self.live)
        return self.live

    def reach_medium(self, *, lies: bool = False) -> None:
        """All of it, or so the card says."""
        self.really = (self.really or (self.medium,)) if lies else ()
        self.live = self.medium = bytes(self.live)

    def own_up(self) -> None:
        """The power went: the medium is what it really is."""
        if self.really:
            (self.medium,), self.really = self.really, ()


class _Directory:
    """Names as they are seen, and as the medium holds them. really: as in _Node. touched: the two may differ."""

    __slots__ = ("live", "medium", "really", "touched")

    def __init__(self) -> None:
        self.live: dict[str, _Node | _Directory] = {}
        self.medium: dict[str, _Node | _Directory] = {}
        self.really: dict[str, _Node | _Directory] | None = None
        self.touched = False

    def names(self) -> dict[str, _Node | _Directory]:
        """Those that are seen, to be changed in place."""
        self.touched = True
        return self.live

    @property
    def is_on_medium(self) -> bool:
        """Whether the medium has the names that are seen."""
        return not self.touched or self.live == self.medium

    def reach_medium(self, *, lies: bool = False) -> None:
        """All names, or so the card says."""
        if not lies:
            self.really = None
        elif self.really is None:
            self.really = self.medium
        if self.touched:
            self.medium, self.touched = dict(self.live), False

    def own_up(self) -> None:
        """As in _Node."""
        if self.really is not None:
            self.medium, self.really, self.touched = self.really, None, True


class SimFile:
    """An open file of a SimCard; of no use after a power cut."""

    def __init__(self, card: SimCard, node: _Node, path: str) -> None:
        self._card = card
        self._node: _Node | None = node
        self._path = path
        self._boot = card.power_cuts
        self._sync_failed = False

    def _open(self) -> _Node:
        assert self._node is not None, f"{self._path} is closed"
        assert self._boot == self._card.power_cuts, f"{self._path} was opened before the power cut"
        return self._node

    def write(self, offset: int, data: bytes) -> None:
        """Write all of data at offset; a file grows with zeros as POSIX says."""
        node = self._open()
        self._card.step(self._path, Fault.IO, Fault.READ_ONLY, Fault.FULL)
        grown = offset + len(data) - len(node.live)
        if grown > 0:
            self._card.take_room(_blocks(offset + len(data)) - _blocks(len(node.live)), self._path)
            node.to_change().extend(bytes(grown))
        node.to_change()[offset : offset + len(data)] = data

    def read(self, offset: int, size_bytes: int) -> bytes:
        """These bytes, fewer only at the end of the file."""
        node = self._open()
        fault = self._card.step(self._path, Fault.IO, Fault.ROT)
        data = bytearray(node.live[offset : offset + size_bytes])
        if fault is Fault.ROT and data:
            data[len(data) // 2] ^= 0x10
        return bytes(data)

    def sync(self) -> None:
        """Put the file on the medium; after a failed one the medium keeps the old bytes, whatever is called next."""
        node = self._open()
        assert not self._sync_failed, f"{self._path}: a second fsync after a failed one would lie"
        changed = node.live != node.medium
        kinds = (Fault.IO, Fault.READ_ONLY, Fault.LIE, Fault.DONE) if changed else (Fault.IO,)
        try:
            fault = self._card.step(self._path, *kinds)
        except CardError:
            self._sync_failed = node.lost = True
            raise
        if not node.lost:
            if fault is Fault.LIE and node.live:
                node.to_change()[len(node.live) // 2] ^= 0x10
            node.reach_medium(lies=self._card.options.lies)
        self._sync_failed = fault is Fault.DONE
        _fail_if_done(fault, self._path)

    def forget_cache(self) -> None:
        """Read from the medium from now on: what a failed sync lost shows here."""
        node = self._open()
        if node.lost:
            node.live = node.medium or bytes(len(node.live))

    def close(self) -> None:
        """Safe to call twice, and after a power cut."""
        self._node = None


class SimCard:
    """Card in memory. calls counts every step that touches the medium or its names; make_directory is several.

    before: called before each of them with its path and the faults that may hit it; it may raise PowerCut, or return
    one of these faults, which then happens.
    """

    def __init__(self, options: CardOptions | None = None) -> None:
        self.options = options or CardOptions()
        self.before: Callable[[str, tuple[Fault, ...]], Fault | None] | None = None
        self.calls = 0
        self.power_cuts = 0
        self._top = _Directory()
        self._used_bytes = 0

    # ------------------------------------------------------------ Card

    def create(self, path: str, size_bytes: int) -> SimFile:
        """A new file with size_bytes reserved."""
        directory, name = self._parent(path)
        self.step(path, Fault.IO, Fault.READ_ONLY, Fault.FULL)
        if name in directory.live:
            raise FileExistsError(path)
        self.take_room(_blocks(size_bytes), path)
        node = directory.names()[name] = _Node(size_bytes)
        return SimFile(self, node, path)

    def open(self, path: str, *, writable: bool = False) -> SimFile:
        """An existing file."""
        kinds = (Fault.IO, Fault.READ_ONLY) if writable else (Fault.IO,)
        self.step(path, *kinds)
        return SimFile(self, self._file(path), path)

    def rename(self, old: str, new: str) -> None:
        """Move a file or a directory; un-synced, a cut may undo either end of it."""
        source, old_name = self._parent(old)
        target, new_name = self._parent(new)
        fault = self.step(old, Fault.IO, Fault.READ_ONLY, Fault.DONE)
        if old_name not in source.live:
            raise FileNotFoundError(old)
        if isinstance(target.live.get(new_name), _Directory):
            raise CardError(f"{new}: Is a directory")
        replaced = target.live.get(new_name)
        target.names()[new_name] = source.names().pop(old_name)
        self._used_bytes -= _used(replaced)
        _fail_if_done(fault, old)

    def unlink(self, path: str) -> None:
        """Remove a file."""
        directory, name = self._parent(path)
        fault = self.step(path, Fault.IO, Fault.READ_ONLY, Fault.DONE)
        self._used_bytes -= _used(self._file(path))
        del directory.names()[name]
        _fail_if_done(fault, path)

    def make_directory(self, path: str) -> None:
        """Make a directory and its missing parents, each durable in its parent: two calls per level."""
        parts = _parts(path)
        for depth, name in enumerate(parts, 1):
            parent = self._directory(parts[: depth - 1])
            self.step(path, Fault.IO, Fault.READ_ONLY)
            if isinstance(parent.names().setdefault(name, _Directory()), _Node):
                raise CardError(f"{path}: Not a directory")
            self.sync_directory("/".join(parts[: depth - 1]))

    def sync_directory(self, path: str) -> None:
        """Make the names in this directory durable."""
        directory = self._directory(_parts(path))
        kinds = (Fault.IO,) if directory.is_on_medium else (Fault.IO, Fault.READ_ONLY, Fault.DONE)
        fault = self.step(path, *kinds)
        directory.reach_medium(lies=self.options.lies)
        _fail_if_done(fault, path)

    def entries(self, path: str) -> list[CardEntry]:
        """What is in a directory, by name; empty if the directory is not there."""
        self.step(path, Fault.IO)
        try:
            directory = self._directory(_parts(path))
        except FileNotFoundError:
            return []
        start, unreadable = f"{path}/" if path else "", self.options.unreadable
        found = []
        for name, node in sorted(directory.live.items()):
            size_bytes = BLOCK_BYTES if isinstance(node, _Directory) else len(node.live)
            if unreadable and start + name in unreadable:
                size_bytes = -1
            found.append(CardEntry(name, size_bytes, isinstance(node, _Directory)))
        return found

    def free_bytes(self) -> int:
        """What whole blocks leave free; no call that counts."""
        if self.options.read_only:
            raise CardReadOnly(Fault.READ_ONLY.value)
        return self._left_bytes()

    def _left_bytes(self) -> int:
        return max(0, self.options.size_bytes - self._used_bytes)

    def total_bytes(self) -> int:
        """The size given."""
        return self.options.size_bytes

    # ------------------------------------------------------------ the simulation's side

    def power_cut(self, chance: random.Random | None = None) -> None:
        """Lose what is not on the medium, all of it, or with chance: any part of it. Open files end."""
        self.power_cuts += 1
        self.options.cut_after = None
        _cut_names(self._top, chance, set())
        self._used_bytes = _used(self._top)

    def durable(self, path: str) -> bytes | None:
        """What the medium holds of a file: what is there after a cut that loses all it can; None: no such file."""
        here: _Node | _Directory | None = self._top
        for name in _parts(path):
            here = here.medium.get(name) if isinstance(here, _Directory) else None
        return here.medium if isinstance(here, _Node) else None

    def content_bytes(self) -> int:
        """Of all files, not rounded up to blocks."""
        return _content(self._top)

    def tell_the_truth(self) -> None:
        """Lies no more: what it said was on the medium is there by now."""
        self.options.lies = False
        for node in _all_below(self._top):
            node.really = () if isinstance(node, _Node) else None

    def overwrite(self, path: str, data: bytes) -> None:
        """Other content on the medium, of the same length, behind everybody's back."""
        node = self._file(path)
        assert len(data) == len(node.live)
        node.live = data
        node.reach_medium()

    def rot(self, path: str, offset: int) -> None:
        """Flip one bit of a file on the medium, behind everybody's back."""
        node = self._file(path)
        node.to_change()[offset] ^= 0x01
        node.reach_medium()

    def step(self, path: str, *may: Fault) -> Fault | None:
        """Count a call and let happen what the options say, of the faults that may hit this kind of call."""
        if self.options.cut_after is not None and self.calls >= self.options.cut_after:
            raise PowerCut(f"the power went after call {self.calls}")
        ordered = None if self.before is None else self.before(path, may)
        self.calls += 1
        if self.options.dead:
            raise CardError(f"call {self.calls} on {path or 'the top directory'}: the card does not answer")
        fault = Fault.IO if path in self.options.unreadable else ordered or self.options.at.get(self.calls)
        if fault is None:
            fault = next((f for start, f in self.options.below.items() if path.startswith(start)), None)
        if self.options.read_only and Fault.READ_ONLY in may:
            fault = Fault.READ_ONLY
        if fault is None or fault not in may:
            return None
        if fault not in _AT_ITS_END:
            raise ERRORS[fault](f"call {self.calls} on {path or 'the top directory'}: {fault.value}")
        return fault

    def take_room(self, size_bytes: int, path: str) -> None:
        """CardFull unless so much is free, else it is taken."""
        if size_bytes > self._left_bytes():
            raise CardFull(f"{path}: {Fault.FULL.value}")
        self._used_bytes += size_bytes

    def _directory(self, parts: list[str]) -> _Directory:
        here: _Node | _Directory = self._top
        for name in parts:
            found = here.live.get(name) if isinstance(here, _Directory) else None
            if found is None:
                raise FileNotFoundError("/".join(parts))
            here = found
        if isinstance(here, _Node):
            raise CardError(f"{'/'.join(parts)}: Not a directory")
        return here

    def _parent(self, path: str) -> tuple[_Directory, str]:
        *parents, name = _parts(path)
        return self._directory(parents), name

    def _file(self, path: str) -> _Node:
        directory, name = self._parent(path)
        node = directory.live.get(name)
        if node is None:
            raise FileNotFoundError(path)
        if isinstance(node, _Directory):
            raise CardError(f"{path}: Is a directory")
        return node


ERRORS: dict[Fault, type[CardError]] = {
    Fault.FULL: CardFull,
    Fault.IO: CardError,
    Fault.READ_ONLY: CardReadOnly,
    Fault.DONE: CardError,
}
_AT_ITS_END = (Fault.ROT, Fault.LIE, Fault.DONE)  # of the call that it hits


def _fail_if_done(fault: Fault | None, path: str) -> None:
    if fault is Fault.DONE:
        raise ERRORS[fault](f"{path}: {fault.value}")


def _parts(path: str) -> list[str]:
    parts = path.split("/") if path else []
    assert all(part not in ("", ".", "..") for part in parts), f"not a path within the card: {path!r}"
    return parts


def _blocks(size_bytes: int) -> int:
    """Bytes of the whole blocks that a file of this size takes."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def _all_below(directory: _Directory) -> list[_Node | _Directory]:
    """With the directory itself; whatever any of its three views of names leads to, each once."""
    found: dict[int, _Node | _Directory] = {id(directory): directory}
    todo = [directory]
    while todo:
        here = todo.pop()
        for names in (here.live, here.medium, here.really or {}):
            for node in names.values():
                if id(node) not in found:
                    found[id(node)] = node
                    if isinstance(node, _Directory):
                        todo.append(node)
    return list(found.values())


def _content(directory: _Directory) -> int:
    below = directory.live.values()
    return sum(_content(node) if isinstance(node, _Directory) else len(node.live) for node in below)


def _used(node: _Node | _Directory | None) -> int:
    if isinstance(node, _Directory):
        return sum(_used(below) for below in node.live.values())
    return 0 if node is None else _blocks(len(node.live))


def _cut_names(directory: _Directory, chance: random.Random | None, seen: set[int]) -> None:
    """Names first, then what is behind those that are left; a node with two names is cut once."""
    directory.own_up()
    if directory.touched:
        after = dict(directory.medium)
        for name in sorted(directory.live.keys() | directory.medium.keys()):
            was, now = directory.medium.get(name), directory.live.get(name)
            if was is not now and chance is not None and chance.random() < 0.5:
                after.pop(name, None)
                if now is not None:
                    after[name] = now
        directory.live, directory.medium, directory.touched = after, dict(after), False
    unsafe = [name for name, node in directory.live.items() if isinstance(node, _Directory) or not node.is_safe]
    for name in sorted(unsafe):
        node = directory.live[name]
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, _Directory):
            _cut_names(node, chance, seen)
        else:
            node.own_up()
            _cut_data(node, chance)


def _cut_data(node: _Node, chance: random.Random | None) -> None:
    old = node.medium or b""
    if chance is None or node.lost or node.live == old:
        kept = old
    else:
        size_bytes = chance.choice((len(old), len(node.live)))
        sources = (old.ljust(size_bytes, b"\0"), bytes(node.live).ljust(size_bytes, b"\0"))
        starts = range(0, size_bytes, BLOCK_BYTES)
        mixed = b"".join(chance.choice(sources)[start : start + BLOCK_BYTES] for start in starts)
        kept = mixed[:size_bytes]
    node.live, node.medium, node.lost = kept, kept, False
