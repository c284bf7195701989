"""On which file system a path lies, and whether what is written there outlives a power cut."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hal.light_dataclass import dataclass
from hal.probes.reading import text_of

IN_MEMORY = frozenset({"tmpfs", "ramfs", "zram"})
OVERLAYS = frozenset({"overlay", "overlayfs", "aufs"})
_OVERLAY_WORDS = ("boot=overlay", "overlayroot=")
"""Of the kernel's command line: raspi-config's and overlayroot's read-only root. What is above it is in memory then."""
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo. device: major:minor. upper: of an overlay, where its changes go; empty elsewhere."""

    point: str
    kind: str
    source: str
    device: str
    read_only: bool
    upper: str


def mounts(root: Path) -> list[Mount]:
    """All that this process sees; empty where /proc is not there."""
    lines = (text_of(root / "proc/self/mountinfo") or "").split("\n")
    return [mount for line in lines if (mount := _mount(line)) is not None]


def mount_of(path: Path, known: Sequence[Mount]) -> Mount | None:
    """The file system that the path, or the nearest of its parents that is there, lies on. Of two at one point the
    later one is above."""
    real = os.path.realpath(path)
    over = [m for m in known if real == m.point or real.startswith(m.point.rstrip("/") + "/")]
    return max(enumerate(over), key=lambda one: (len(one[1].point), one[0]))[1] if over else None


def is_in_memory(mount: Mount, known: Sequence[Mount], words: Sequence[str]) -> bool | None:
    """Whether what is written there is gone after a power cut; None where an overlay does not show that.

    words: the kernel's command line.
    """
    if mount.kind not in OVERLAYS:
        return mount.kind in IN_MEMORY
    if any(word.startswith(_OVERLAY_WORDS) and not word.endswith("=disabled") for word in words):
        return True
    below = mount_of(Path(mount.upper), known) if mount.upper else None
    return None if below is None or below.kind in OVERLAYS else below.kind in IN_MEMORY


def in_memory(path: Path, root: Path) -> Mount | None:
    """The file system of the path, if what is written there goes with the power."""
    known = mounts(root)
    mount, words = mount_of(path, known), (text_of(root / "proc/cmdline") or "").split()
    return mount if mount is not None and is_in_memory(mount, known, words) else None


def _mount(line: str) -> Mount | None:
    """`36 35 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw,errors=remount-ro` (proc_pid_mountinfo(5))."""
    before, _, after = line.partition(" - ")
    mine, its = before.split(" "), after.split(" ")
    if len(mine) < 6 or len(its) < 3:
        return None
    options = its[2].split(",")
    upper = next((_plain(each[9:]) for each in options if each.startswith("upperdir=")), "")
    read_only = "ro" in mine[5].split(",") or "ro" in options
    return Mount(_plain(mine[4]), its[0], _plain(its[1]), mine[2], read_only, upper)


def _plain(escaped: str) -> str:
    """Blanks and the like are written as octal numbers."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), escaped)
