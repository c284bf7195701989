"""Where the catalogue lives between two runs: found, opened and checked, or moved aside when it is damaged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.catalogue_schema import DAMAGE_MARK
from firmware.layout import QUARANTINE
from hal.errors import CardError

MAX_SET_ASIDE = 1_000  # damaged catalogues that quarantine/ takes


class CatalogueHome(Protocol):
    """What start-up needs of it; a simulation may keep the catalogue elsewhere."""

    def open(self) -> Catalogue:
        """The catalogue as it is, an empty one where there is none. Raises CatalogueDamaged."""

    def set_aside(self) -> str:
        """Take the damaged one away, durably and without losing it; open() then makes a new one. Where it is now."""


class CatalogueFile:
    """The catalogue as a file of the real file system, damaged ones in quarantine/ beside it."""

    def __init__(self, path: str, unit: int, *, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._unit = unit
        self._wall = wall

    def open(self) -> Catalogue:
        """Open and check. Raises CatalogueDamaged, also when damage was found while the unit ran last time.

        The check is the whole one, 30 ms for 10,000 pictures: one flipped bit in the id of a row makes its file look as
        if it never had one, and only the indexes know better.
        """
        if os.path.exists(self._path + DAMAGE_MARK):
            raise CatalogueDamaged(f"{self._path} was found damaged while the unit ran")
        for path in (self._path, self._path + "-wal", self._path + "-shm"):
            if os.path.lexists(path) and not os.path.isfile(path):
                raise CatalogueDamaged(f"{path} is not a file")
        with ExitStack() as unless_sound:
            catalogue = unless_sound.enter_context(closing(Catalogue(self._path, self._unit, wall=self._wall)))
            flaws = catalogue.flaws()
            if flaws:
                raise CatalogueDamaged(f"{self._path} is damaged: {flaws[0]}")
            _sync_directory(os.path.dirname(self._path) or ".")  # SQLite syncs the file, not its new name
            unless_sound.pop_all()
        return catalogue

    def set_aside(self) -> str:
        """Move the file, its WAL and the rest into quarantine/. The mark is made before and goes last: a file that lost
        its WAL on the way looks sound and is not, so a cut in between must end in another rebuild."""
        folder = Path(self._path).absolute().parent
        quarantine = folder / QUARANTINE
        try:
            quarantine.mkdir(mode=0o700, exist_ok=True)
            aside = quarantine / self._free_name(quarantine)
            Path(self._path + DAMAGE_MARK).touch(mode=0o600)
            _sync_directory(str(folder))
            for suffix in ("", "-wal", "-shm"):
                if os.path.lexists(self._path + suffix):
                    os.rename(self._path + suffix, str(aside) + suffix)
            _sync_directory(str(quarantine))
            _sync_directory(str(folder))
            os.unlink(self._path + DAMAGE_MARK)
            _sync_directory(str(folder))
        except OSError as error:
            raise CardError(f"the damaged catalogue {self._path} cannot be moved aside: {error}") from error
        return str(aside)

    def _free_name(self, quarantine: Path) -> str:
        name, taken = os.path.basename(self._path), set(os.listdir(quarantine))
        free = next((f"{name}.{n}" for n in range(1, MAX_SET_ASIDE) if f"{name}.{n}" not in taken), None)
        if free is None:
            raise CardError(f"{quarantine} is full of damaged catalogues", can="remove the old ones")
        return free


def _sync_directory(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CardError(f"{path} could not be synced: {error}") from error
