"""Who may use a device file: by its mode and owner, and the users and groups of the machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hal.light_dataclass import dataclass
from hal.probes.reading import text_of


@dataclass(frozen=True, slots=True)
class Person:
    """A user, with all groups that a process of theirs has."""

    name: str
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Device:
    """A file by which a part of the machine is used. group: its group's name, or number as text."""

    path: str
    mode: int
    uid: int
    gid: int
    group: str


def may_use(person: Person, device: Device) -> bool:
    """Whether they may read and write it. Access lists (ACL), which give more, are not looked at."""
    if person.uid == 0:
        return True
    if person.uid == device.uid:
        wanted = stat.S_IRUSR | stat.S_IWUSR
    elif device.gid in person.groups:
        wanted = stat.S_IRGRP | stat.S_IWGRP
    else:
        wanted = stat.S_IROTH | stat.S_IWOTH
    return device.mode & wanted == wanted


def device(path: Path, root: Path) -> Device | None:
    """What a path leads to; None where there is nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    groups = {number: name for name, number, _ in _groups(root)}
    group = groups.get(status.st_gid, str(status.st_gid))
    return Device(str(path), status.st_mode, status.st_uid, status.st_gid, group)


def devices(pattern: str, root: Path) -> tuple[Device, ...]:
    """Those below dev/ whose names fit, by name."""
    found = (device(path, root) for path in sorted((root / "dev").glob(pattern)))
    return tuple(one for one in found if one is not None)


def myself(root: Path) -> Person:
    """Whoever runs this process, with the groups that it really has."""
    uid = os.geteuid()
    return Person(_name(uid, root), uid, frozenset((os.getegid(), *os.getgroups())))


def person(name: str, extra_groups: tuple[str, ...], root: Path) -> Person | None:
    """A user by name, with groups that only a service of theirs has; None where there is no such user."""
    for known, uid, gid in _users(root):
        if known == name:
            groups = {number for group, number, members in _groups(root) if name in members or group in extra_groups}
            return Person(name, uid, frozenset((gid, *groups)))
    return None


def _name(uid: int, root: Path) -> str:
    return next((name for name, number, _ in _users(root) if number == uid), f"#{uid}")


def _users(root: Path) -> list[tuple[str, int, int]]:
    """Name, number and group of each user (passwd(5))."""
    lines = (line.split(":") for line in (text_of(root / "etc/passwd") or "").split("\n"))
    return [(f[0], int(f[2]), int(f[3])) for f in lines if len(f) >= 4 and f[2].isdigit() and f[3].isdigit()]


def _groups(root: Path) -> list[tuple[str, int, tuple[str, ...]]]:
    """Name, number and members of each group (group(5))."""
    lines = (line.split(":") for line in (text_of(root / "etc/group") or "").split("\n"))
    return [(f[0], int(f[2]), tuple(f[3].split(","))) for f in lines if len(f) >= 4 and f[2].isdigit()]
