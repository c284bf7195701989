"""Values in rows that nobody writes are refused one by one, and those at the limits are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from card_scene import UNIT, held, known

from firmware import catalogue_rows as rows
from firmware.events import Pair, Partial
from firmware.pictures import Copy, Entry, File, PictureId
from hal.interfaces import TimeQuality

OF = known(1).picture.id
KEY = OF.encode()
COUNT = 2**63 - 1  # the largest integer that SQLite has
NONCE = b"n" * 16
PICTURE: rows.Row = (9, bytes(32), 0, 1e9, 0, 2, None, 0, 0, 0, b"\0\2\0\3", 1, b"t" * 16)
COPY: rows.Row = (2, 0, 5, 0, 0, 0, b"p", 1e9, 7, 0.5)
PAIR: rows.Row = (KEY, 2, 5, NONCE, NONCE)
PARTIAL: rows.Row = (KEY, 5, bytes(32), 64_000, 150_000, 1e9)


def entry_of(row: rows.Row) -> Entry:
    return rows.entry_of(KEY, row, [])


def copy_of(row: rows.Row) -> Copy:
    (copy,) = rows.entry_of(KEY, PICTURE, [row]).copies
    return copy


def with_value(row: rows.Row, place: int, value: object) -> rows.Row:
    return (*row[:place], value, *row[place + 1 :])


@pytest.mark.parametrize(
    ("make", "row", "place", "values"),
    [
        (entry_of, PICTURE, 0, [0, 2**32 - 1]),
        (entry_of, PICTURE, 3, [None, 0.0, -1e9]),
        (entry_of, PICTURE, 4, list(TimeQuality)),
        (entry_of, PICTURE, 5, list(File)),
        (entry_of, PICTURE, 6, [None, 0, COUNT, -COUNT - 1]),
        (entry_of, PICTURE, 8, [0, COUNT, -COUNT - 1]),
        (entry_of, PICTURE, 11, [0, 2]),
        (entry_of, PICTURE, 12, [b"", bytes(16)]),
        (copy_of, COPY, 0, [0, 65_535]),
        (copy_of, COPY, 1, [COUNT, -COUNT - 1]),
        (copy_of, COPY, 2, [COUNT, -COUNT - 1]),
        (copy_of, COPY, 7, [None, 0.0]),
        (copy_of, COPY, 8, [0, 2**32 - 1]),
        (rows.pair_of, PAIR, 1, [0, 65_535]),
        (rows.pair_of, PAIR, 2, [0, COUNT]),
        (rows.partial_of, PARTIAL, 1, [COUNT, -COUNT - 1]),
        (rows.partial_of, PARTIAL, 3, [0, 2**32 - 1]),
        (rows.partial_of, PARTIAL, 4, [0, 2**32 - 1]),
    ],
)
def test_values_at_the_limits_are_read(
    make: Callable[[rows.Row], object], row: rows.Row, place: int, values: list[object]
) -> None:
    made = [make(with_value(row, place, value)) for value in values]
    assert len(set(made)) == len(values)


@pytest.mark.parametrize(
    ("make", "row", "place", "values", "text"),
    [
        (entry_of, PICTURE, 0, [-1, 2**32, 1.0, "9", None], "where 0 to 4294967295 is allowed"),
        (entry_of, PICTURE, 1, [bytes(31), bytes(33), "x" * 32, None], "where a digest belongs"),
        (entry_of, PICTURE, 2, [-1, 2, 1.0, None], "where 0 to 1 is allowed"),
        (entry_of, PICTURE, 3, [1, "1.0"], "where seconds belong"),
        (entry_of, PICTURE, 4, [3, -1, "0"], "is not a valid TimeQuality"),
        (entry_of, PICTURE, 5, [3, -1, "0"], "is not a valid File"),
        (entry_of, PICTURE, 6, [1.0, "1", COUNT + 1], f"where {-COUNT - 1} to {COUNT} is allowed"),
        (entry_of, PICTURE, 7, [-1, 2, None], "where 0 to 1 is allowed"),
        (entry_of, PICTURE, 8, [None, COUNT + 1, -COUNT - 2], f"where {-COUNT - 1} to {COUNT} is allowed"),
        (entry_of, PICTURE, 9, [-1, 2, None], "where 0 to 1 is allowed"),
        (entry_of, PICTURE, 10, [b"\0\2\0", "ab", None], "where units belong"),
        (entry_of, PICTURE, 11, [-1, 3, None], "where 0 to 2 is allowed"),
        (entry_of, PICTURE, 12, [b"t", bytes(17), "t" * 16, None], "where a tag belongs"),
        (copy_of, COPY, 0, [-1, 65_536, None], "where 0 to 65535 is allowed"),
        (copy_of, COPY, 1, [None, 1.0], f"where {-COUNT - 1} to {COUNT} is allowed"),
        (copy_of, COPY, 2, [None, 1.0], f"where {-COUNT - 1} to {COUNT} is allowed"),
        (copy_of, COPY, 3, [-1, 2], "where 0 to 1 is allowed"),
        (copy_of, COPY, 4, [-1, 2], "where 0 to 1 is allowed"),
        (copy_of, COPY, 5, [-1, 2], "where 0 to 1 is allowed"),
        (copy_of, COPY, 6, ["p", None, 3], "where a proof belongs"),
        (copy_of, COPY, 7, [1, "x"], "where seconds belong"),
        (copy_of, COPY, 8, [-1, 2**32], "where 0 to 4294967295 is allowed"),
        (copy_of, COPY, 9, [1, None], "where seconds belong"),
        (rows.pair_of, PAIR, 1, [-1, 65_536], "where 0 to 65535 is allowed"),
        (rows.pair_of, PAIR, 2, [-1, COUNT + 1], f"where 0 to {COUNT} is allowed"),
        (rows.partial_of, PARTIAL, 1, [None, 1.0], f"where {-COUNT - 1} to {COUNT} is allowed"),
        (rows.partial_of, PARTIAL, 2, [bytes(31), None], "where a digest belongs"),
        (rows.partial_of, PARTIAL, 3, [-1, 2**32], "where 0 to 4294967295 is allowed"),
        (rows.partial_of, PARTIAL, 4, [-1, 2**32], "where 0 to 4294967295 is allowed"),
        (rows.partial_of, PARTIAL, 5, [1, None], "where seconds belong"),
    ],
)
def test_values_that_cannot_be_are_told(
    make: Callable[[rows.Row], object], row: rows.Row, place: int, values: list[object], text: str
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=text) as raised:
            make(with_value(row, place, value))
        assert repr(value) in str(raised.value)


@pytest.mark.parametrize("damaged", [b"", b"n" * 15, b"n" * 17, "n" * 16, None])
def test_a_nonce_and_its_digest_are_both_there_or_neither_is_and_not_told(damaged: object) -> None:
    assert rows.pair_of((KEY, 2, 5, b"", b"")) == Pair(OF, 2, 5)
    for nonce, digest in ((damaged, NONCE), (NONCE, damaged), (damaged, damaged or None)):
        with pytest.raises(ValueError, match="where a nonce and its digest belong") as raised:
            rows.pair_of((KEY, 2, 5, nonce, digest))
        assert "nnn" not in str(raised.value)


def test_rows_are_read_into_their_own_fields() -> None:
    row = (9, bytes(32), 1, 1e9, 2, 1, -1, 0, -2, 1, b"\0\2\1\3", 1, b"t" * 16)
    entry = rows.entry_of(KEY, row, [(2, -1, 5, 1, 0, 1, b"p", 1e9, 7, 0.5), (3, 0, 0, 0, 1, 0, b"", None, 0, 0.0)])
    assert entry.picture.priority
    assert (entry.attempt, entry.kept, entry.version, entry.deleted) == (2**64 - 1, False, 2**64 - 2, True)
    assert (entry.named, entry.doubted, entry.tag, entry.file) == ((2, 259), 1, b"t" * 16, File.UNCHECKED)
    assert entry.copies == (
        Copy(2, 2**64 - 1, 5, suspect=True, doubted=True, proof=b"p", verified_at=1e9, verified_boot=7,
             verified_monotonic=0.5),
        Copy(3, owed=True),
    )  # fmt: skip
    assert rows.pair_of((KEY, 2, 5, NONCE, b"d" * 16)) == Pair(OF, 2, 5, NONCE, b"d" * 16)
    assert rows.partial_of(PARTIAL) == Partial(OF, 5, bytes(32), 64_000, 150_000, 1e9)


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_unsigned_numbers_come_back_through_sqlite(number: int) -> None:
    assert rows.unsigned(rows.signed(number)) == number
    assert -COUNT - 1 <= rows.signed(number) <= COUNT


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_of_more_than_64_bits_are_our_own_bug(number: int) -> None:
    with pytest.raises(AssertionError):
        rows.signed(number)


@pytest.mark.parametrize(
    ("key", "least", "most"), [("card", 1, 65_535), ("sequence", 0, 2**32 - 1), ("nth", 0, COUNT), ("complete", 0, 1)]
)
def test_counters_have_limits(key: str, least: int, most: int) -> None:
    assert (rows.counter_of(key, least), rows.counter_of(key, most)) == (least, most)
    for value in (least - 1, most + 1, 1.0, None):
        with pytest.raises(ValueError, match="is allowed"):
            rows.counter_of(key, value)


@pytest.mark.parametrize("value", [-1, COUNT + 1, 1.0, None])
def test_operating_time_is_whole_seconds(value: object) -> None:
    assert (rows.seconds_of(0), rows.seconds_of(COUNT)) == (0, COUNT)
    with pytest.raises(ValueError, match=f"where 0 to {COUNT} is allowed"):
        rows.seconds_of(value)


@pytest.mark.parametrize(
    ("entry", "own", "text"),
    [
        (known(1, Copy(2, listed=3), unit=2), False, "only the origin knows copies"),
        (Entry(known(1).picture, File.GONE, named=(2,)), True, "the origin has a list of its own"),
        (held(1, unit=UNIT), True, "an own picture is not held"),
    ],
)
def test_entries_that_cannot_be_are_our_own_bug(entry: Entry, own: bool, text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        rows.row_of(entry, own=own)


def test_the_order_of_audits_is_the_one_that_catalogues_in_use_have() -> None:
    assert rows.draw_of(bytes(8), 2) == 1_725_113_303
    assert rows.draw_of(PictureId(1, 0x3FA7, 42).encode(), 259) == 3_004_334_728
