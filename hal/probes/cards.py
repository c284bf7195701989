"""The card's file system: room, whether it takes writes and keeps them, speed; errors and wear, where told."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from pathlib import Path

from hal.card_mount import why_gone
from hal.light_dataclass import dataclass
from hal.probes.access import Device, device
from hal.probes.mounts import Mount, is_in_memory, mount_of, mounts
from hal.probes.reading import number_in, text_of

PIECE_BYTES = 256_000  # written and synced at a time: a camera's picture has a few of them
PIECES = 16  # 4 MB: enough to leave the cache of a card behind, and 1/6000 of one pass over a 24 GB card
TEST_NAME = ".doctor"  # of the file in tmp/; its name is gone before its first byte is written
_PARTITION = re.compile(r"(mmcblk\d+)(p\d+)?")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """directory: None where card.path is not there. gone: why it is not there, and what can be done, where it
    was mounted or is behind a link that leads nowhere.

    mount: of it, or of the nearest parent; None: not known, or gone.

    in_memory: what is written is gone after a power cut; None: not known. errors: that the file system has counted,
    None where it does not count. medium: "SD", "MMC" (eMMC), or empty. life: tenths of its life that an eMMC says are
    used up, the worse of its two figures, 11 for more than all; end_of_life: 1 normal, 2 warning, 3 urgent. None: the
    card does not tell (SD cards do not).
    """

    path: str
    directory: Device | None
    gone: tuple[str, str] | None
    mount: Mount | None
    in_memory: bool | None
    total_bytes: int
    free_bytes: int
    read_only: bool
    errors: int | None
    medium: str
    life: int | None
    end_of_life: int | None


@dataclass(frozen=True, slots=True)
class SpeedFacts:
    """bytes_per_s: of synced writing. longest_s: of one piece. error: errno of the call that failed, else 0."""

    bytes_per_s: float
    longest_s: float
    error: int


def look(path: Path, words: tuple[str, ...], root: Path) -> CardFacts:
    """words: the kernel's command line, which tells of a root that is in memory."""
    known, gone = mounts(root), why_gone(path)
    mount = None if gone else mount_of(path, known)
    total_bytes, free_bytes = (0, 0) if gone else _room(path)
    disk = _disk(mount, root)
    health = root / "sys/block" / disk / "device"
    return CardFacts(
        path=str(path),
        directory=device(path, root),
        gone=gone,
        mount=mount,
        in_memory=None if mount is None else is_in_memory(mount, known, words),
        total_bytes=total_bytes,
        free_bytes=free_bytes,
        read_only=mount is not None and mount.read_only,
        errors=None if mount is None else number_in(root / "sys/fs/ext4" / _name(mount, root) / "errors_count"),
        medium=(text_of(health / "type") or "") if disk else "",
        life=_life(health) if disk else None,
        end_of_life=number_in(health / "pre_eol_info", 16) if disk else None,
    )


def _room(path: Path) -> tuple[int, int]:
    """Size of the file system, and what is free there for a user; of the nearest parent that is there."""
    for folder in (path, *path.parents):
        try:
            status = os.statvfs(folder)
        except OSError:
            continue
        return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    return 0, 0


def _name(mount: Mount, root: Path) -> str:
    """The kernel's name of the partition: the source may be /dev/root."""
    link = root / "sys/dev/block" / mount.device
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return os.path.basename(mount.source)


def _disk(mount: Mount | None, root: Path) -> str:
    """mmcblk0 of its partition mmcblk0p2; empty where it is no card."""
    found = None if mount is None else _PARTITION.fullmatch(_name(mount, root))
    return "" if found is None else found[1]


def _life(health: Path) -> int | None:
    """`0x02 0x01` (JEDEC eMMC 5.0, DEVICE_LIFE_TIME_EST A and B): the worse one."""
    try:
        return max((int(word, 16) for word in (text_of(health / "life_time") or "").split()), default=None)
    except ValueError:
        return None


def measure(folder: int) -> SpeedFacts:
    """Write PIECES × PIECE_BYTES into a nameless file there, each synced; nothing stays, whatever happens.

    folder: a descriptor of the directory.
    """
    data, longest_s = os.urandom(PIECE_BYTES), 0.0
    try:
        descriptor = _nameless(folder)
    except OSError as error:
        return SpeedFacts(0.0, 0.0, error.errno or errno.EIO)
    began = time.monotonic()
    try:
        for piece in range(PIECES):
            before = time.monotonic()
            if os.pwrite(descriptor, data, piece * PIECE_BYTES) < PIECE_BYTES:
                return SpeedFacts(0.0, longest_s, errno.ENOSPC)
            os.fdatasync(descriptor)
            longest_s = max(longest_s, time.monotonic() - before)
    except OSError as error:
        return SpeedFacts(0.0, longest_s, error.errno or errno.EIO)
    finally:
        os.close(descriptor)
    return SpeedFacts(PIECES * PIECE_BYTES / max(time.monotonic() - began, 1e-9), longest_s, 0)


def _nameless(folder: int) -> int:
    """A new file whose name is gone at once: a power cut leaves an empty one at most, which the unit's start tidies."""
    name = f"{TEST_NAME}.part"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
