"""A card that fails while the catalogue is opened: it cannot be used, or what it commits survives a power cut."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

import pytest
from card_scene import UNIT, known

from firmware.catalogue import Catalogue
from firmware.catalogue_home import CatalogueFile
from firmware.events import LookUp, Save
from hal.errors import CardError
from sim import power
from sim.forgetful import Marked, followed, lay_out
from sim.fuse import Faults

WHY_NOT = power.why_not()
CALLS = 90  # of making a catalogue, and some of its first commit


def commit_two(top: Path) -> None:
    """In two transactions, each marked once it is said to be durable."""
    with contextlib.suppress(CardError), contextlib.closing(CatalogueFile(str(top / "c"), UNIT).open()) as catalogue:
        for number in (1, 2):
            catalogue.save(Save(entries=(known(number),)))
            power.mark(top, str(number).encode())


@pytest.mark.skipif(bool(WHY_NOT), reason=f"no card of our own can be mounted: {WHY_NOT}")
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
        if committed:
            with contextlib.closing(Catalogue(str(left / "c"), UNIT)) as catalogue:
                for sequence in committed:
                    assert catalogue.look_up(LookUp(known(sequence).picture.id)) == known(sequence), call
