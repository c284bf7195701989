"""Taking in, once, a config and a credential that somebody has put on the boot partition of a board without a screen.

`dandelion.toml` becomes /etc/dandelion/config.toml and is called `dandelion.toml.taken` then; `dandelion.credential`
becomes /etc/dandelion/unit.credential, which only the unit's user can read, and is gone from the boot partition. What
they replace stays beside them. One of them alone makes the board no other unit. What is wrong with them stands in
`dandelion-errors.txt` beside them, and they stay, to be put right.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from deploy.files import remove, sync_directory, write
from firmware import config, credential
from hal.errors import DandelionError
from hal.probes.boot import BOOT_FOLDERS
from hal.probes.mounts import is_in_memory, mount_of, mounts
from hal.probes.reading import text_of

CONFIG, CREDENTIAL, ERRORS = "dandelion.toml", "dandelion.credential", "dandelion-errors.txt"
TAKEN_SUFFIX = ".taken"
BEFORE_SUFFIX = ".before"  # of what was there until now
PLACE = "etc/dandelion"
USER = "dandelion"


def take_in(root: Path) -> list[str]:
    """Take in what is on the boot partition below root.

    What was done or is wrong, a sentence each. Raises OSError where a file system does not take it; what was not taken
    in then is still where it was.
    """
    boot = next(
        (at for name in BOOT_FOLDERS if any((at := root / name).joinpath(one).is_file() for one in _NAMES)), None
    )
    if boot is None:
        return []
    errors: list[str] = []
    if _may_forget(root):
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
    ours, made, key = place / "config.toml", place / "config.toml.new", place / "unit.credential"
    loaded: config.Config | None = None
    if (boot / CONFIG).is_file():
        write(made, (boot / CONFIG).read_bytes(), mode=0o644)
        try:
            loaded = config.load(made)
        except DandelionError as error:
            errors.append(str(error).replace(str(made), CONFIG))
    keys = (boot / CREDENTIAL).read_bytes() if (boot / CREDENTIAL).is_file() else None
    unit: int | None = None
    if keys is not None:
        try:
            unit = credential.Credential.decode(keys).unit
        except DandelionError as error:
            errors.append(f"{CREDENTIAL}: {error}")
    if not errors:
        errors += _other_unit(loaded, unit, ours, key)
    if errors:
        made.unlink(missing_ok=True)
        return errors
    if keys is not None:
        _keep(key, keys, mode=0o600)
        write(key, keys, mode=0o600, owner=_owner())
        remove(boot / CREDENTIAL)
    if loaded is not None:
        _keep(ours, made.read_bytes(), mode=0o644)
        made.rename(ours)
        sync_directory(place)
        (boot / CONFIG).rename(boot / (CONFIG + TAKEN_SUFFIX))
        sync_directory(boot)
    return []


def _other_unit(loaded: config.Config | None, unit: int | None, ours: Path, key: Path) -> Iterator[str]:
    """What is wrong where config and credential, as they would be together then, are not of one unit.

    loaded, unit: of the boot partition, None where it has no such file. ours, key: what was taken in before.
    """
    if loaded is not None and unit is not None and loaded.unit.id != unit:
        yield f"{CREDENTIAL} is that of unit {unit}, and {CONFIG} has unit.id = {loaded.unit.id}"
    if loaded is None and unit is not None:
        with suppress(DandelionError):  # a config that cannot be read makes it no unit
            mine = config.load(ours).unit.id
            if mine != unit:
                put = f"to make it unit {unit}, put a {CONFIG} with unit.id = {unit} beside it"
                yield f"{CREDENTIAL} is that of unit {unit}, and this board is unit {mine}: {put}"
    if loaded is not None and unit is None and not loaded.security.insecure:
        with suppress(DandelionError, FileNotFoundError):
            mine, wanted = credential.Credential.decode(key.read_bytes()).unit, loaded.unit.id
            if mine != wanted:
                put = f"to make it unit {wanted}, put the {CREDENTIAL} of unit {wanted} beside it"
                yield f"{CONFIG} has unit.id = {wanted}, and this board has the credential of unit {mine}: {put}"


def _keep(path: Path, coming: bytes, *, mode: int) -> None:
    """What is there until now stays beside it, its owner's. After a cut in the midst the same comes once more, and what
    was before that is there already."""
    try:
        data, status = path.read_bytes(), path.stat()
    except FileNotFoundError:
        return
    if data != coming:
        owner = status.st_uid, status.st_gid
        write(path.with_name(path.name + BEFORE_SUFFIX), data, mode=mode, owner=owner)


def _owner() -> tuple[int, int] | None:
    """The unit's user, if there is one."""
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        return None
    return found.pw_uid, found.pw_gid


def _may_forget(root: Path) -> bool:
    """Whether a credential that is taken in, and removed from the boot partition, may be lost with the power."""
    known = mounts(root)
    mount = mount_of(root / PLACE, known)
    words = (text_of(root / "proc/cmdline") or "").split()
    return mount is not None and is_in_memory(mount, known, words) is not False
