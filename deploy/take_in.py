"""Taking in, once, a config and a credential that somebody has put on the boot partition of a board without a screen.

`dandelion.toml` becomes /etc/dandelion/config.toml and is called `dandelion.toml.taken` then; `dandelion.credential`
becomes /etc/dandelion/unit.credential, which only the unit's user can read, and is gone from the boot partition. What
is wrong with them stands in `dandelion-errors.txt` beside them, and they stay, to be put right.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterable
from pathlib import Path

from deploy.board import BOOTS
from deploy.files import remove, sync_directory, write
from firmware import config, credential
from hal.errors import DandelionError

CONFIG, CREDENTIAL, ERRORS = "dandelion.toml", "dandelion.credential", "dandelion-errors.txt"
TAKEN_SUFFIX = ".taken"
BEFORE_SUFFIX = ".before"  # of the config that was there until now
PLACE = "etc/dandelion"
USER = "dandelion"
VOLATILE = frozenset({"overlay", "tmpfs", "ramfs"})
"""File systems that forget: a credential that is taken in there, and removed from the boot partition, would be lost."""


def take_in(root: Path, mounts: Iterable[str]) -> list[str]:
    """Take in what is on the boot partition below root. mounts: lines as of /proc/self/mounts.

    What was done or is wrong, a sentence each. Raises OSError where a file system does not take it; what was not taken
    in then is still where it was.
    """
    boot = next((at for name in BOOTS if any((at := root / name).joinpath(one).is_file() for one in _NAMES)), None)
    if boot is None:
        return []
    errors: list[str] = []
    if _is_volatile(root / PLACE, mounts):
        errors.append("the root file system forgets what is written to it (an overlay): switch that off, start once")
    else:
        (root / PLACE).mkdir(parents=True, exist_ok=True)
        errors += _take(boot, root / PLACE)
    if errors:
        text = "Nothing was taken in, as:\n" + "".join(f"* {error}\n" for error in errors)
        write(boot / ERRORS, text.replace("\n", "\r\n").encode())
        return errors
    remove(boot / ERRORS)
    return [f"config and credential were taken in from {boot}"]


_NAMES = (CONFIG, CREDENTIAL)


def _take(boot: Path, place: Path) -> list[str]:
    """Both or none. What is wrong; empty: they are taken in."""
    errors: list[str] = []
    ours, made = place / "config.toml", place / "config.toml.new"
    loaded: config.Config | None = None
    if (boot / CONFIG).is_file():
        write(made, (boot / CONFIG).read_bytes(), mode=0o644)
        try:
            loaded = config.load(made)
        except DandelionError as error:
            errors.append(str(error).replace(str(made), CONFIG))
    keys = (boot / CREDENTIAL).read_bytes() if (boot / CREDENTIAL).is_file() else None
    if keys is not None:
        try:
            unit = credential.Credential.decode(keys).unit
        except DandelionError as error:
            errors.append(f"{CREDENTIAL}: {error}")
        else:
            if loaded is not None and loaded.unit.id != unit:
                errors.append(f"{CREDENTIAL} is that of unit {unit}, and {CONFIG} has unit.id = {loaded.unit.id}")
    if errors:
        made.unlink(missing_ok=True)
        return errors
    if keys is not None:
        write(place / "unit.credential", keys, mode=0o600, owner=_owner())
        remove(boot / CREDENTIAL)
    if loaded is not None:
        if ours.exists():
            write(ours.with_name(ours.name + BEFORE_SUFFIX), ours.read_bytes(), mode=0o644)
        made.rename(ours)
        sync_directory(place)
        (boot / CONFIG).rename(boot / (CONFIG + TAKEN_SUFFIX))
        sync_directory(boot)
    return []


def _owner() -> tuple[int, int] | None:
    """The unit's user, if there is one."""
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        return None
    return found.pw_uid, found.pw_gid


def _is_volatile(path: Path, mounts: Iterable[str]) -> bool:
    """By the deepest mount above the path."""
    fields = [line.split() for line in mounts]
    above = [(len(at), kind) for _what, at, kind, *_ in fields if path.is_relative_to(at)]
    return max(above, default=(0, ""))[1] in VOLATILE
