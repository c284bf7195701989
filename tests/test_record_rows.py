"""What a heard record makes of what is known: the merge of HANDOVER R6 as a table, and rows as messages tell them."""

from dataclasses import replace

import pytest

from firmware import messages as m
from firmware.handover import said_by
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from firmware.record_rows import contradicts, merged, page_of, row_of, rows_of, said_of
from hal.interfaces import TimeQuality

PICTURE = Picture(PictureId(1, 0x3FA7, 42), 1000, bytes(range(32)), True, 1e9, TimeQuality.SYNCED)
BARE = replace(PICTURE, taken_at=None, taken_quality=TimeQuality.UNSET, priority=False)


def told(version, *holders, suspect=0, picture=PICTURE):
    return m.Record(picture, version, holders, suspect)


def tombstone(*owed):
    return m.Tombstone(PICTURE.id, PICTURE.size_bytes, PICTURE.sha256, owed)


def known(version, *named, **fields):
    return Entry(PICTURE, File.GONE, version=version, named=named, **fields)


HELD = Entry(PICTURE, File.WHOLE, attempt=7, kept=True)
BURIED = known(4, 9, deleted=True)


@pytest.mark.parametrize(
    ("entry", "row", "after"),
    [
        (None, told(4, 2, 3, suspect=1), known(4, 2, 3, doubted=1)),
        (None, tombstone(2), replace(known(1, 2, deleted=True), picture=Picture(PICTURE.id, 1000, PICTURE.sha256))),
        (known(3, 2), told(4, 3), known(4, 3)),
        (known(4, 2), told(4, 3), known(4, 2)),
        (known(5, 2), told(4, 3), known(5, 2)),
        (known(5, 2, doubted=1), tombstone(2, 3), known(5, 2, 3, deleted=True)),
        (BURIED, told(2**64 - 1, 3), BURIED),
        (BURIED, tombstone(2), BURIED),
        (HELD, told(4, 2), replace(HELD, version=4, named=(2,))),
        (HELD, tombstone(), replace(HELD, version=1, deleted=True)),
    ],
)
def test_r6_deleted_wins_over_every_version_else_the_higher_version(entry, row, after):
    assert merged(entry, row) == after
    assert merged(after, row) == after


def test_r6_the_order_in_which_records_are_heard_makes_no_difference():
    rows = [told(1), told(3, 2), tombstone(2), told(9, 4)]
    for first in rows:
        entry = None
        for row in [first, *rows, first]:
            entry = merged(entry, row)
        assert entry.deleted
        assert merged(merged(merged(None, first), rows[3]), rows[1]).deleted == (first is rows[2])


@pytest.mark.parametrize(
    ("entry", "row", "wrong"),
    [
        (known(4, 2), told(4, 2), False),
        (known(4, 2), told(5, 3), False),
        (known(4, 2), told(3, 2), True),
        (known(4, 2), told(4, 3), True),
        (known(4, 2), told(4, 2, suspect=1), True),
        (known(4, 3, 2), told(4, 2, 3), False),
        (known(4, 2), tombstone(), False),
        (BURIED, told(9, 2), True),
        (BURIED, tombstone(), False),
    ],
)
def test_who_tells_what_is_known_otherwise_is_contradicted(entry, row, wrong):
    assert contradicts(entry, row) is wrong


def test_a_time_that_is_not_told_any_more_stays_known():
    assert merged(known(3), told(4, 2, picture=BARE)).picture == replace(
        BARE, taken_at=1e9, taken_quality=TimeQuality.SYNCED
    )


def test_more_suspects_than_holders_do_not_reach_the_catalogue():
    assert merged(None, told(4, 2, suspect=8)).doubted == 1


def test_the_row_of_a_list_names_proved_holders_first_and_no_more_than_fit():
    copies = (Copy(2, listed=1, suspect=True), *(Copy(unit, listed=1) for unit in range(3, 9)), Copy(20, open=4))
    own = Entry(PICTURE, File.WHOLE, version=3, copies=copies)
    assert row_of(own) == told(3, 3, 4, 5, 6, 7, 8, 2, suspect=1)
    assert said_of(row_of(own)) == said_by(own)
    many = replace(own, copies=(*copies[:-1], Copy(9, listed=1), Copy(10, listed=1, suspect=True)))
    assert row_of(many) == told(3, 3, 4, 5, 6, 7, 8, 9, 2, suspect=1)


def test_the_row_of_a_tombstone_names_who_is_owed_a_drop():
    own = Entry(PICTURE, File.GONE, version=3, deleted=True, copies=(Copy(2, owed=True),))
    assert row_of(own) == tombstone(2)
    assert row_of(BURIED) == tombstone(9)


def test_what_is_known_is_told_on_as_it_was_heard():
    for row in (told(4, 2, 3, suspect=1), tombstone(2, 3)):
        assert row_of(merged(None, row)) == row


def test_a_page_has_tombstones_first_and_costs_what_the_document_says():
    page = page_of(5, [told(2, 2, 3), tombstone(2, 3)])
    assert rows_of(page) == (tombstone(2, 3), told(2, 2, 3))
    empty = len(page_of(5, []).encode())
    assert (
        len(page_of(5, [replace(told(2, 2, 3), picture=replace(PICTURE, size_bytes=200_000))]).encode()) - empty == 58
    )
    large = m.Tombstone(PICTURE.id, 200_000, PICTURE.sha256, (2, 3))
    assert len(page_of(5, [large]).encode()) - empty == 64
