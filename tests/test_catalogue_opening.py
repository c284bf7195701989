"""A card that fails while the catalogue is opened: it cannot be used, or what it commits survives a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest
from card_scene import UNIT, known

from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.catalogue_home import CatalogueFile
from firmware.events import LookUp, Save
from hal.errors import CardError
from sim import power
from sim.forgetful import Marked, followed, lay_out
from sim.fuse import Faults

WHY_NOT = power.why_not()
CALLS = 90  # of making a catalogue, and some of its first commit
SET_ASIDE_CALLS = 14  # of moving one away, and some of making the next


def commit_two(top: Path) -> None:
    """In two transactions, each marked once it is said to be durable."""
    with contextlib.suppress(CardError), contextlib.closing(CatalogueFile(str(top / "c"), UNIT).open()) as catalogue:
        for number in (1, 2):
            catalogue.save(Save(entries=(known(number),)))
            power.mark(top, str(number).encode())


pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no card of our own can be mounted: {WHY_NOT}")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_an_error_while_it_is_made_leaves_no_catalogue_without_wal(number: int, tmp_path: Path) -> None:
    """SQLite's answer to journal_mode comes before the file is changed: an error in between went unseen, and the unit
    ran with a rollback journal, whose last commit a power cut takes back. An error when it syncs the name of its WAL
    SQLite passes over: CatalogueFile syncs it again."""
    for call in range(1, CALLS):
        log = power.run(commit_two, faults=Faults({call: number})).log
        committed = [int(change.data) for change in log if isinstance(change, Marked)]
        left = tmp_path / str(call)
        left.mkdir()
        lay_out(followed(log).cut(), left)
        assert has(left, committed), call


def has(folder: Path, committed: list[int]) -> bool:
    """The catalogue there has these rows."""
    if not committed:
        return True
    with contextlib.closing(Catalogue(str(folder / "c"), UNIT)) as catalogue:
        return all(catalogue.look_up(LookUp(known(number).picture.id)) == known(number) for number in committed)


def read_them(top: Path) -> None:
    """As a command does, beside nobody."""
    with contextlib.closing(Catalogue.read_only(str(top / "c"), UNIT)) as catalogue:
        assert catalogue.look_up(LookUp(known(2).picture.id)) == known(2)


def test_where_files_cannot_be_mapped_the_catalogue_is_held_for_one_and_still_survives(tmp_path: Path) -> None:
    """WAL wants shared memory; without it SQLite takes the file for itself alone."""
    made = power.run(commit_two, faults=Faults(unmapped=True))
    assert not made.error, made.error
    assert [change.data for change in made.log if isinstance(change, Marked)] == [b"1", b"2"]
    lay_out(followed(made.log).cut(), tmp_path)
    assert has(tmp_path, [1, 2])
    read_them(tmp_path)
    read = power.run(read_them, image=followed(made.log).cut(), faults=Faults(unmapped=True))
    assert not read.error, read.error


def read_them_where_nothing_can_be_written(top: Path) -> None:
    """As a command does on a card that is mounted read-only."""
    subprocess.run(["mount", "-o", "remount,bind,ro", top], check=True)
    read_them(top)


def commit_two_and_end(top: Path) -> None:
    """The process is killed: nothing is copied back from the WAL."""
    catalogue = CatalogueFile(str(top / "c"), UNIT).open()
    catalogue.save(Save(entries=(known(1), known(2))))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_card_that_takes_no_writes_is_read_without_any(tmp_path: Path) -> None:
    """SQLite writes -shm even to read; it is told that nothing changes, unless a WAL has what the file lacks."""
    closed = {"c": followed(power.run(commit_two).log).cut()["c"]}
    killed = followed(power.run(commit_two_and_end).log).cut()
    assert killed["c-wal"]
    lay_out(killed, tmp_path)
    read_them(tmp_path)
    for image in (closed, {**closed, "c-wal": b""}, killed):
        read = power.run(read_them_where_nothing_can_be_written, image=image)
        assert not read.error, read.error


JUNK = b"no database" * 900


def set_aside(top: Path) -> None:
    """The damaged catalogue goes to quarantine/, and a new one is made."""
    home = CatalogueFile(str(top / "c"), UNIT)
    try:
        home.open().close()
    except CatalogueDamaged:
        with contextlib.suppress(CardError):
            home.set_aside()
            home.open().close()
    except CardError:
        pass  # the next start


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_damaged_catalogue_is_set_aside_whole_whatever_fails(number: int) -> None:
    for call in range(1, SET_ASIDE_CALLS):
        failed = power.run(set_aside, image={"c": JUNK}, faults=Faults({call: number}))
        assert not failed.error, failed.error
        for share in (0.0, 1.0):
            again = power.run(set_aside, image=followed(failed.log).cut(share=share))
            assert not again.error, again.error
            image = followed(again.log).cut()
            assert JUNK in image.values(), call
            assert image["c"] != JUNK, call
