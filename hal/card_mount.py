"""Whether the card is still the file system of its own that it was, or the bare directory below a mount that failed.

That it was one stands in a file beside the card's directory, so outside of that file system: `card.mounted`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hal.errors import CardError

SUFFIX = ".mounted"
_TEXT = b"A unit has run here on a card that was mounted. Where none is to be mounted any more, remove this file.\n"


def why_gone(path: Path) -> tuple[str, str] | None:
    """What is wrong, and what a person can do, where the card is a link that leads nowhere, to what is not mounted; or
    where a unit has run on it when it was a file system of its own, and it is none now."""
    if _is_dangling(path):
        can = "mount what the link leads to, or make that directory, or set card.path to another one"
        return f"{path}, the card's directory, is a link that leads nowhere, or behind one", can
    if os.path.lexists(_mark(path)) and not _is_mount(path):
        can = f"look at the card, then: sudo mount {path}; if none is to be mounted any more, remove {_mark(path)}"
        return f"{path} is not mounted, and the card that a unit has run on here was", can
    return None


def require(path: Path) -> None:
    """CardError where it is gone: what is written there would be hidden by the next mount, or is another user's."""
    if (why := why_gone(path)) is not None:
        what, can = why
        raise CardError(what, can=can)


def remember(path: Path) -> None:
    """Note, durably, that the card is a file system of its own, if it is. Raises OSError where its parent takes no
    file: then nothing is noted, and the card is as any directory."""
    if not _is_mount(path) or os.path.lexists(_mark(path)):
        return
    descriptor = os.open(_mark(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, _TEXT)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(above)
    finally:
        os.close(above)


def _is_dangling(path: Path) -> bool:
    """Whether it, or a directory on the way to it, is a link that leads nowhere, or in a circle."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return any(os.path.islink(part) and not os.path.exists(part) for part in (path, *path.parents))
    return False


def _mark(path: Path) -> Path:
    return path.parent / (path.name + SUFFIX)


def _is_mount(path: Path) -> bool:
    """Whether it is on another file system than its parent. One that does not even tell is one, and broken."""
    try:
        return os.stat(path).st_dev != os.stat(path.parent).st_dev
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
