"""What the model tells again of start-up is what the shipped start-up does, for each row and file that may meet."""

from dataclasses import replace

import pytest
from card_scene import Unit, content, own, picture, put

from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File
from firmware.store import Store
from sim.model import host, origin
from sim.model.host import Host
from sim.model.origin import Origin
from sim.model.values import FIRST_HOST, PICTURE, Disk

ORIGIN_OF_HELD = 2
NUMBER = 7  # of the picture in the scene


def place(unit: Unit, of, disk: Disk) -> str:
    """The file as the medium has it; a rotten one has its length."""
    path = Store(unit.card, 1).path(of)
    if disk is not Disk.NONE:
        put(unit.card, path, content(of.id.sequence if disk is Disk.WHOLE else 99, of.size_bytes))
    return path


def on(unit: Unit, of, path: str) -> Disk:
    directory, name = path.rsplit("/", 1)
    if name not in {entry.name for entry in unit.card.entries(directory)}:
        return Disk.NONE
    file = unit.card.open(path)
    try:
        whole = file.read(0, of.size_bytes) == content(of.id.sequence, of.size_bytes)
    finally:
        file.close()
    return Disk.WHOLE if whole else Disk.ROTTEN


def start_anew(unit: Unit, *, forgotten: bool) -> None:
    unit.stop()
    if forgotten:
        for suffix in ("", "-wal", "-shm"):
            unit.path.with_name(unit.path.name + suffix).unlink(missing_ok=True)
    unit.start()


def said(entry: Entry | None) -> object:
    """What the model has of an entry."""
    if entry is None:
        return None
    held = entry.attempt, entry.kept, entry.file, entry.deleted
    return held, entry.version, tuple((c.unit, c.open, c.listed, c.suspect, c.owed) for c in entry.copies)


HELD = Entry(PICTURE, File.WHOLE, attempt=3, kept=True)
ROWS = {
    "no row": None,
    "held": HELD,
    "held, not kept": replace(HELD, kept=False),
    "held, its number unknown": replace(HELD, attempt=UNKNOWN_ATTEMPT, kept=False),
    "held, with a record": replace(HELD, version=4),
    "held, deleted": replace(HELD, version=4, deleted=True),
    "a record": Entry(PICTURE, File.GONE, version=4),
    "a tombstone": Entry(PICTURE, File.GONE, version=4, deleted=True),
}


@pytest.mark.parametrize("disk", Disk)
@pytest.mark.parametrize("row", ROWS)
def test_a_host_starts_as_in_the_model(unit: Unit, row: str, disk: Disk) -> None:
    of = picture(NUMBER, unit=ORIGIN_OF_HELD)
    entry = ROWS[row]
    path = place(unit, of, disk)
    if entry is not None:
        unit.save(replace(entry, picture=of))
    start_anew(unit, forgotten=False)
    after, lost = host.restart(Host(FIRST_HOST, entry, disk))
    assert said(unit.entry(of.id)) == said(after.row)
    assert on(unit, of, path) is after.disk
    assert unit.started is not None
    assert [e.attempt for e in unit.started.memory.lost_held] == [message.number for message in lost]


@pytest.mark.parametrize("disk", Disk)
def test_a_host_whose_catalogue_is_lost_starts_as_in_the_model(unit: Unit, disk: Disk) -> None:
    of = picture(NUMBER, unit=ORIGIN_OF_HELD)
    path = place(unit, of, disk)
    start_anew(unit, forgotten=True)
    after, _ = host.restart(Host(FIRST_HOST, None, disk, complete=False))
    assert said(unit.entry(of.id)) == said(after.row)
    assert on(unit, of, path) is after.disk


LISTED = (Copy(FIRST_HOST, listed=2),)
IN_DOUBT = (Copy(FIRST_HOST, open=4, listed=2, suspect=True),)
OWN = {
    "here": Entry(PICTURE, File.WHOLE, version=1),
    "here and listed": Entry(PICTURE, File.WHOLE, version=1, copies=LISTED),
    "elsewhere": Entry(PICTURE, File.GONE, version=1, copies=LISTED),
    "here, in doubt, and asked for": Entry(PICTURE, File.WHOLE, version=1, copies=IN_DOUBT),
    "elsewhere, in doubt, and asked for": Entry(PICTURE, File.GONE, version=1, copies=IN_DOUBT),
    "not checked": Entry(PICTURE, File.UNCHECKED, version=1, copies=LISTED),
    "deleted": Entry(PICTURE, File.GONE, version=2, deleted=True, copies=(Copy(FIRST_HOST, owed=True),)),
}


@pytest.mark.parametrize("disk", Disk)
@pytest.mark.parametrize("row", OWN)
def test_an_origin_starts_as_in_the_model(unit: Unit, row: str, disk: Disk) -> None:
    assert unit.started is not None
    of = own(NUMBER, card=unit.started.memory.card).picture
    entry = OWN[row]
    path = place(unit, of, disk)
    unit.save(replace(entry, picture=of))
    start_anew(unit, forgotten=False)
    after = origin.restart(Origin(entry, 5, disk))
    assert said(unit.entry(of.id)) == said(after.entry)
    assert on(unit, of, path) is after.disk


@pytest.mark.parametrize("disk", Disk)
def test_an_origin_whose_catalogue_is_lost_starts_as_in_the_model(unit: Unit, disk: Disk) -> None:
    assert unit.started is not None
    of = own(NUMBER, card=unit.started.memory.card).picture
    path = place(unit, of, disk)
    start_anew(unit, forgotten=True)
    after = origin.restart(Origin(None, 1, disk))
    assert said(unit.entry(of.id)) == said(after.entry)
    assert on(unit, of, path) is after.disk
    assert unit.started.memory.next_attempt == after.next
