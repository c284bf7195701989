"""Recalls onto the own card (O8) and checks of suspect copies (R4)."""

import dataclasses

import pytest
from boards import CAPACITY_BYTES, World, a_picture

from firmware.events import ReadFile, Save
from firmware.pictures import File
from sim.card import Fault

PICTURE, DATA = a_picture()
BAD_DATA = bytes([DATA[0] ^ 1]) + DATA[1:]


class Told:
    """What done() was told."""

    def __init__(self):
        self.came = None
        self.why = None

    def __call__(self, came, why):
        assert self.came is None
        self.came, self.why = came, why


def recalled(world, entry, within_s=60):
    told, board = Told(), world.boards[1]
    board.core.now = world.now
    board.read_outs.recall(entry, told)
    world.run(lambda: told.came is not None, within_s)
    world.run_for(0.1)
    return told


def away(loss=0.0):
    """A picture of unit 1 that only unit 2 has."""
    world = World(1, 2, loss=loss)
    entry = world.boards[1].put(PICTURE, None, copies=(2,))
    world.boards[2].put(PICTURE, DATA)
    return world, entry


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_a_recalled_picture_is_on_the_card_and_counted(loss):
    world, entry = away(loss)
    told, board = recalled(world, entry), world.boards[1]
    assert told.came is True
    assert board.entry(PICTURE).file is File.WHOLE
    assert board.core.room.own_bytes == len(DATA)
    assert board.core.room.reserved_bytes == 0
    board.get(PICTURE, 5)
    board.work(world.now)
    assert board.data(5) == DATA
    assert board.ended(5).value.from_unit == 1
    assert board.logged("delivered") == [f"picture {PICTURE.id} delivered from unit 1"]


def test_the_room_of_a_recall_is_reserved_while_it_lasts():
    world, entry = away()
    told, board = Told(), world.boards[1]
    board.read_outs.recall(entry, told)
    world.run_for(1)
    assert told.came is None
    assert board.core.room.reserved_own == {("recall", PICTURE.id): len(DATA)}
    again = Told()
    board.read_outs.recall(entry, again)
    assert again.came is False


def test_without_room_nothing_is_recalled():
    world, entry = away()
    world.boards[1].core.room.own_bytes = CAPACITY_BYTES - len(DATA) + 1
    told = recalled(world, entry, 1)
    assert told.came is False
    assert "room" in told.why
    assert world.boards[1].said == []


def test_a_recall_that_finds_nobody_gives_its_room_back():
    world, entry = away()
    world.dead = {*world.boards}
    told = recalled(world, entry)
    assert told.came is False
    assert "unit 2, which holds it, did not answer" in told.why
    assert world.boards[1].core.room.reserved_bytes == 0
    assert world.boards[1].store.card.entries("tmp") == []


def test_a_recall_survives_wrong_bytes_from_the_first_holder():
    world = World(1, 2, 3)
    entry = world.boards[1].put(PICTURE, None, copies=(2, 3))
    world.boards[2].put(PICTURE, BAD_DATA)
    world.boards[3].put(PICTURE, DATA)
    assert recalled(world, entry).came is True
    assert world.boards[1].store.read_file(ReadFile(PICTURE, 0, len(DATA))) == DATA


def test_a_card_that_fails_ends_a_recall_at_once_and_leaves_nothing():
    world, entry = away()
    told, board = Told(), world.boards[1]
    board.read_outs.recall(entry, told)
    world.run_for(1)
    board.store.card.options.below["tmp"] = Fault.IO
    world.run(lambda: told.came is not None, 1)
    assert told.came is False
    assert board.core.room.reserved_bytes == 0
    assert board.entry(PICTURE).file is File.GONE


def test_a_delete_during_a_recall_wins():
    world, entry = away()
    told, board = Told(), world.boards[1]
    board.read_outs.recall(entry, told)
    world.run_for(1)
    board.catalogue.save(Save(entries=(dataclasses.replace(entry, deleted=True, copies=()),)))
    world.run(lambda: told.came is not None, 20)
    assert told.came is False
    assert "deleted" in told.why
    assert board.entry(PICTURE).file is File.GONE
    assert board.store.card.entries("tmp") == []


@pytest.mark.parametrize(("data", "right"), [(DATA, True), (BAD_DATA, False)])
def test_a_check_reads_the_copy_out_and_keeps_nothing(data, right):
    world = World(1, 2, 3)
    entry = world.boards[1].put(PICTURE, None, copies=(2, 3))
    world.boards[2].put(PICTURE, data)
    world.boards[3].put(PICTURE, DATA)
    told = Told()
    world.boards[1].read_outs.check(entry, 2, told)
    world.run(lambda: told.came is not None, 30)
    assert told.came is right
    assert {unit for unit, _ in world.boards[1].said} == {2}
    assert world.boards[1].entry(PICTURE).file is File.GONE
    assert right or "wrong digest" in told.why
