"""Stories told on a real card with a real catalogue, which say at each step what they have done (power_left.py checks).

The units of the long one are whole and as shipped, on virtual time (sim/machine.py); only card and catalogue differ.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import card_scene as scene
from rig_scene import carry_out, copies, settled, shoot

from firmware import commands as c
from firmware import events as e
from firmware.catalogue import Catalogue
from firmware.catalogue_home import CatalogueFile
from firmware.layout import CATALOGUE
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.startup import Started, start_up
from firmware.store import Store
from hal.directory_card import DirectoryCard
from hal.errors import CardError
from sim.machine import Machine, Options
from sim.power import mark
from sim.rig import Rig

UNITS = (1, 2)
PICTURE_BYTES = (5_000, 9_000)  # of the long story; small, as the log has every byte
NOW_UNIX_S = 1_700_000_000.0
SYNCED_BYTES = 64_000  # of the short story's pictures, when they are noted for the first time

Tell = Callable[..., None]


class RealCard(DirectoryCard):
    """A DirectoryCard that shows what is on it as the simulated one does."""

    def durable(self, path: str) -> bytes | None:
        """What is in this file; None: no such file."""
        try:
            file = self.open(path)
        except FileNotFoundError:
            return None
        with contextlib.closing(file):
            return file.read(0, 1_000_000)


def entries_of(catalogue: Catalogue, request: e.Page | e.Held) -> list[Entry]:
    """What it has in order."""
    return catalogue.page(request) if isinstance(request, e.Page) else catalogue.held(request)


class RealHome(CatalogueFile):
    """A catalogue file that is opened once in each life of its unit, as the service does."""

    def __init__(self, path: Path, unit: int) -> None:
        super().__init__(str(path), unit, wall=lambda: NOW_UNIX_S)
        self._file = path
        self._opened: Catalogue | None = None
        self.changed: dict[PictureId, None] = {}  # sim.machine looks there; nothing of these stories does

    def open(self) -> Catalogue:
        if self._opened is None:
            self._opened = super().open()
        return self._opened

    def entry(self, picture: PictureId) -> Entry | None:
        """What the catalogue knows."""
        return self.open().look_up(e.LookUp(picture))

    def entries(self, request: e.Page | e.Held) -> list[Entry]:
        """What the catalogue knows."""
        return entries_of(self.open(), request)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def remove(self) -> None:
        """As a person does who wants it rebuilt, and then pulls the card properly."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        descriptor = os.open(self._file.parent, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def start(top: Path, unit: int) -> tuple[RealCard, Started]:
    """The shipped start-up on the card and the catalogue of this unit below `top`."""
    card = RealCard(str(top / str(unit)))
    home = CatalogueFile(str(top / str(unit) / CATALOGUE), unit, wall=lambda: NOW_UNIX_S)
    rng = random.Random(unit)
    return card, start_up(card, home, unit, rng, copies=1, priority_copies=2, wall=lambda: NOW_UNIX_S)


def start_both(top: Path) -> None:
    """The start-up of both units, and their end."""
    for unit in UNITS:
        start(top, unit)[1].catalogue.close()


def telling(top: Path) -> Tell:
    """Says things into the log of the card at `top`."""
    return lambda *what: mark(top, pickle.dumps(what))


# ---------------------------------------------------------------- two whole units


class RealMachine(Machine):
    """A machine whose card is a directory below `top`. tell: is told before and after each commit."""

    def __init__(self, rig: Rig, unit: int, top: Path, tell: Tell) -> None:
        self._top = top / str(unit)
        self._tell = tell
        self._made = False
        super().__init__(rig, unit, Options(size_bytes=PICTURE_BYTES))

    def restart(self) -> None:
        if not self._made:
            self._made = True
            self.card = RealCard(str(self._top))
            self._home = RealHome(self._top / CATALOGUE, self.unit)
        super().restart()

    def end(self) -> None:
        """SIGTERM: the catalogue is closed, which folds its WAL in."""
        self.kill()
        self._home.close()

    def lose_catalogue(self) -> None:
        self._tell("catalogue goes", self.unit)
        self._home.remove()
        self._tell("catalogue is gone", self.unit)

    def reach_catalogue(self, request: e.Request) -> None:
        """The file is on the card, and fails by itself."""

    def _result(self, request: e.Request, store: Store) -> object:
        if isinstance(request, e.KeepShot):
            shot = request.shot.named(str(request.picture.id))
            picture = replace(request.picture, sha256=shot.sha256)
            self._tell("picture", picture, shot.read(0, picture.size_bytes))
        if not isinstance(request, e.Save):
            return super()._result(request, store)
        self._tell("saving", self.unit, request)
        result = super()._result(request, store)
        self._tell("saved", self.unit, request)
        return result


def real_pair(top: Path, tell: Tell, seed: int = 1) -> tuple[Rig, RealMachine, RealMachine]:
    """Units 1 and 2 with their cards below `top`, who have heard each other."""
    rig = Rig(seed)
    one, two = RealMachine(rig, 1, top, tell), RealMachine(rig, 2, top, tell)
    rig.run_until(lambda: one.on.core.neighbours.find(2) and two.on.core.neighbours.find(1), 30)
    return rig, one, two


def story(top: Path) -> None:
    """Pictures are taken by both units and copied to the other; one is dropped and read out, one deleted; then both
    restart, one of them without its catalogue, and take one more."""
    rig, one, two = real_pair(top, telling(top))
    taken = [shoot(one), shoot(two), shoot(one, priority=True), shoot(one)]
    rig.run_until(settled(one, two), 120)
    _must(carry_out(one, lambda ticket: c.DropOwn(ticket, taken[0].id)))
    _must(carry_out(one, lambda ticket: c.Get(ticket, taken[0].id, False, 60.0)))
    _must(carry_out(one, lambda ticket: c.DeletePicture(ticket, taken[3].id)))
    rig.run_until(lambda: _is_let_go(two, taken[3]), 120)
    rig.run_for(60)  # records go to their keepers
    one.end()
    two.end()
    two.lose_catalogue()
    two.restart()
    one.restart()
    shoot(two)
    rig.run_until(settled(one, two), 300)
    assert copies(one, taken[0]) == [2]
    one.end()
    two.end()


def _must(outcome: object) -> None:
    assert isinstance(outcome, c.Done), outcome


def _is_let_go(machine: Machine, picture: Picture) -> bool:
    entry = machine.entry(picture.id)
    return entry is None or entry.attempt is None


# ---------------------------------------------------------------- one unit without its core


def short_story(top: Path) -> None:
    """A shot is kept, two pictures are received in two pieces each, one is let go. What fails is given up, as the core
    does; a start that fails ends it."""
    with contextlib.suppress(CardError):
        _, unit = start(top, 1)
        with contextlib.closing(unit.catalogue):
            Short(telling(top), unit.store, unit.catalogue).all()


class Short:
    """Its steps."""

    def __init__(self, tell: Tell, store: Store, catalogue: Catalogue) -> None:
        self._tell = tell
        self._store = store
        self._catalogue = catalogue

    def all(self) -> None:
        mine, theirs, old = scene.picture(1), scene.picture(7, unit=2), scene.picture(8, unit=2)
        for step in (
            lambda: self._keep(mine),
            lambda: self._receive(old),
            lambda: self._receive(theirs),
            lambda: self._let_go(old),
        ):
            with contextlib.suppress(CardError):
                step()

    def _keep(self, picture: Picture) -> None:
        self._tell("picture of card_scene", picture)
        self._store.keep_shot(scene.shot(picture.id.sequence))
        self._save(e.Save(entries=(Entry(picture, File.WHOLE, version=1),), sequence=picture.id.sequence))

    def _receive(self, picture: Picture) -> None:
        data, store = scene.content(picture.id.sequence), self._store
        self._tell("picture of card_scene", picture)
        store.begin_part(e.BeginPart(picture, 0))
        store.write_part(e.WritePart(picture.id, 0, data[:SYNCED_BYTES]))
        store.sync_part(e.SyncPart(picture.id))
        partial = e.SavePartial(picture.id, 7, picture.sha256, SYNCED_BYTES, picture.size_bytes)
        self._catalogue.save_partial(partial)
        self._tell("part", partial)
        try:
            self._finish(picture, data)
        except CardError:
            self._tell("part given up", partial)
            raise

    def _finish(self, picture: Picture, data: bytes) -> None:
        store = self._store
        store.write_part(e.WritePart(picture.id, SYNCED_BYTES, data[SYNCED_BYTES:]))
        self._tell("finishing", picture)
        assert store.finish_part(e.FinishPart(picture, bytes(16))) is not None
        self._save(e.Save(entries=(Entry(picture, File.WHOLE, attempt=7),)))

    def _let_go(self, picture: Picture) -> None:
        if self._catalogue.look_up(e.LookUp(picture.id)) is not None:
            self._save(e.Save(removed=(picture.id,)))
            self._store.remove_file(e.RemoveFile(picture, False))

    def _save(self, request: e.Save) -> None:
        self._tell("saving", 1, request)
        self._catalogue.save(request)
        self._tell("saved", 1, request)
