"""What the catalogue keeps for upkeep: pairs for audits, exposure, copies at a unit, operating time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from card_scene import UNIT, held, known, wall

from firmware.catalogue import Catalogue
from firmware.catalogue_exposure import LATEST
from firmware.catalogue_upkeep import MAX_HEARD
from firmware.events import (
    Away,
    Counted,
    Counts,
    Doubted,
    DrawnAt,
    DuePairs,
    FirstPair,
    ListedAt,
    NextFile,
    OldestHeld,
    Owed,
    Pair,
    Save,
    SaveCalendar,
    SavePairs,
    UsePair,
)
from firmware.pictures import Copy, Entry, File

AT_2, AT_3 = Copy(2, listed=5), Copy(3, listed=6)


@pytest.fixture
def catalogue() -> Iterator[Catalogue]:
    with closing(Catalogue(":memory:", UNIT, wall=wall)) as made:
        yield made


def away(sequence: int, *copies: Copy) -> Entry:
    return known(sequence, *copies, file=File.GONE)


def save(catalogue: Catalogue, *entries: Entry, age_s: int | None = None) -> None:
    for entry in entries:
        catalogue.carry_out(Save(entries=(entry,), age_s=age_s))


def sequences(found: object) -> list[int]:
    assert isinstance(found, list)
    return [entry.picture.id.sequence for entry in found]


def counted(catalogue: Catalogue) -> Counted:
    found = catalogue.carry_out(Counts(1, 2))
    assert isinstance(found, Counted)
    return found


# ------------------------------------------------------------ pairs


def pair(sequence: int, unit: int, due_s: int) -> Pair:
    return Pair(known(sequence).picture.id, unit, due_s, bytes([unit]) * 16, bytes([due_s]) * 16)


def due(catalogue: Catalogue, unit: int, age_s: int) -> object:
    return catalogue.carry_out(DuePairs(unit, age_s, 20))


def test_a_holder_of_a_picture_without_own_file_never_lacks_a_pair(catalogue: Catalogue) -> None:
    save(catalogue, away(1, AT_2))
    empty = Pair(known(1).picture.id, 2, 0)
    assert due(catalogue, 2, 0) == (empty,)
    save(catalogue, away(1, AT_2, AT_3))
    assert catalogue.carry_out(FirstPair(empty.picture, 3)) == replace(empty, unit=3)


@pytest.mark.parametrize(
    "after", [known(1, AT_2), replace(away(1), deleted=True), away(1, AT_3), away(1, Copy(2, owed=True))]
)
def test_pairs_go_with_the_copy_and_when_the_file_is_here_again(catalogue: Catalogue, after: Entry) -> None:
    save(catalogue, away(1, AT_2))
    catalogue.carry_out(SavePairs((pair(1, 2, 10), pair(1, 2, 20))))
    save(catalogue, after)
    assert due(catalogue, 2, 99) == ()


def test_pairs_go_with_their_row(catalogue: Catalogue) -> None:
    save(catalogue, away(1, AT_2))
    catalogue.carry_out(Save(removed=(known(1).picture.id,)))
    assert due(catalogue, 2, 99) == ()


def test_the_pair_due_longest_comes_first_and_is_used_once(catalogue: Catalogue) -> None:
    save(catalogue, away(1, AT_2, AT_3), away(2, AT_2))
    made = (pair(1, 2, 30), pair(2, 2, 20), pair(2, 2, 40), pair(1, 3, 10))
    catalogue.carry_out(SavePairs(made))
    assert due(catalogue, 2, 19) == ()
    assert due(catalogue, 2, 50) == (made[1], made[0], made[2])
    assert catalogue.carry_out(DuePairs(2, 50, 2)) == (made[1], made[0])
    for one in (made[1], made[0], made[2]):
        assert due(catalogue, 2, 50)[0] == one
        catalogue.carry_out(UsePair(one))
    assert due(catalogue, 2, 50) == ()
    assert catalogue.carry_out(FirstPair(made[3].picture, 3)) == made[3]
    assert catalogue.carry_out(FirstPair(made[3].picture, 9)) is None


def test_new_pairs_take_the_place_of_those_for_the_same_unit(catalogue: Catalogue) -> None:
    save(catalogue, away(1, AT_2, AT_3))
    catalogue.carry_out(SavePairs((pair(1, 2, 10), pair(1, 3, 10))))
    catalogue.carry_out(SavePairs((pair(1, 2, 20),)))
    assert due(catalogue, 2, 15) == ()
    assert due(catalogue, 3, 15) == (pair(1, 3, 10),)


# ------------------------------------------------------------ exposure


def test_exposure_lasts_from_the_shutter_to_the_first_verified_copy(catalogue: Catalogue) -> None:
    save(catalogue, known(1), age_s=100)
    save(catalogue, known(2), age_s=150)
    save(catalogue, known(1, Copy(2, open=3)), known(1, replace(AT_2, suspect=True)), age_s=170)
    now = counted(catalogue)
    assert (now.exposed, now.oldest, now.oldest_since_s) == (2, known(1).picture, 100)
    save(catalogue, known(1, AT_2), age_s=175)
    save(catalogue, known(1, replace(AT_2, suspect=True)), known(1, AT_2), age_s=900)  # only the first one counts
    now = counted(catalogue)
    assert (now.exposed, now.oldest, now.covered_s) == (1, known(2).picture, (75,))


def test_a_copy_within_a_second_took_none(catalogue: Catalogue) -> None:
    save(catalogue, known(1), known(1, AT_2), age_s=100)
    assert counted(catalogue).covered_s == (0,)


def test_a_picture_deleted_or_forgotten_before_it_had_a_copy_counts_nowhere(catalogue: Catalogue) -> None:
    save(catalogue, known(1), known(2), age_s=100)
    save(catalogue, replace(away(1), deleted=True), age_s=200)
    catalogue.carry_out(Save(removed=(known(2).picture.id,), age_s=200))
    save(catalogue, known(1, AT_2), known(2, AT_2), age_s=300)
    assert counted(catalogue).covered_s == ()


def test_what_a_new_catalogue_finds_is_not_timed(catalogue: Catalogue) -> None:
    save(catalogue, known(1))
    assert counted(catalogue).oldest_since_s is None
    save(catalogue, known(1, AT_2), age_s=300)
    assert counted(catalogue).covered_s == ()


def test_the_latest_are_kept(catalogue: Catalogue) -> None:
    for n in range(LATEST + 5):
        entries = (known(n, AT_2),)
        catalogue.carry_out(Save(entries=(known(n),), age_s=0))
        catalogue.carry_out(Save(entries=entries, age_s=n))
    assert counted(catalogue).covered_s == tuple(range(5, LATEST + 5))


# ------------------------------------------------------------ copies


def test_copies_of_a_unit_are_those_listed_and_not_suspect(catalogue: Catalogue) -> None:
    doubtful = replace(AT_2, suspect=True, doubted=True)
    save(catalogue, known(1, AT_2), known(2, AT_3), known(3, doubtful), known(4, Copy(2, open=9)), away(5, AT_2))
    found = catalogue.carry_out(ListedAt(2, 10))
    assert sorted(sequences(found)) == [1, 5]
    save(catalogue, known(6, doubtful))
    assert sequences(catalogue.carry_out(Doubted(None, 10))) == [3, 6]
    assert sequences(catalogue.carry_out(Doubted(known(3).picture.id, 10))) == [6]


def drawn_at(catalogue: Catalogue, start: int, limit: int, *, here: bool = True) -> list[int]:
    found = catalogue.carry_out(DrawnAt(2, start, limit, here))
    assert isinstance(found, list)
    return [picture.sequence for picture in found]


@pytest.mark.parametrize("start", [0, 2**31, 2**32 - 1])
def test_copies_are_drawn_round_and_round_with_the_file_here(catalogue: Catalogue, start: int) -> None:
    save(catalogue, *[known(n, AT_2) for n in range(50)], away(77, AT_2))
    drawn = drawn_at(catalogue, start, 50)
    assert sorted(drawn) == list(range(50))
    assert drawn != sorted(drawn)
    assert drawn_at(catalogue, start, 30) == drawn[:30]
    assert drawn_at(catalogue, start, 30, here=False) == [77]


def test_every_copy_is_drawn_sooner_or_later(catalogue: Catalogue) -> None:
    save(catalogue, *[known(n, AT_2) for n in range(10)])
    drawn = {drawn_at(catalogue, start, 1)[0] for start in range(0, 2**32, 2**24)}
    assert drawn == set(range(10))


def test_pictures_away_that_lack_copies_have_a_holder_that_counts(catalogue: Catalogue) -> None:
    suspect = replace(AT_3, suspect=True)
    urgent = replace(away(4, AT_2), picture=replace(known(4).picture, priority=True))
    save(catalogue, away(1, AT_2), away(2, AT_2, AT_3), away(3, suspect), urgent, known(5, AT_2))
    assert sequences(catalogue.carry_out(Away(2, 3, 10))) == [4, 1]
    assert sequences(catalogue.carry_out(Away(2, 3, 10, frozenset({known(4).picture.id})))) == [1]
    assert sequences(catalogue.carry_out(Away(3, 3, 2, frozenset({known(4).picture.id})))) == [1, 2]
    assert sequences(catalogue.carry_out(Away(2, 3, 1, frozenset({known(4).picture.id})))) == [1]
    assert sequences(catalogue.carry_out(Away(1, 2, 10))) == [4]
    assert counted(catalogue).away == 2


def test_held_oldest_first_confirmed_and_whole(catalogue: Catalogue) -> None:
    kept = [replace(held(n), kept=True) for n in (9, 3, 5)]
    save(catalogue, *kept, held(4), replace(held(6, file=File.UNCHECKED), kept=True))
    assert sequences(catalogue.carry_out(OldestHeld(10))) == [9, 3, 5]
    assert sequences(catalogue.carry_out(OldestHeld(10, kept[0].picture.id))) == [3, 5]


def test_files_come_in_the_order_of_ids_own_and_held(catalogue: Catalogue) -> None:
    save(catalogue, known(2), held(1), away(3, AT_2), known(1))
    after, found = None, []
    while (entry := catalogue.carry_out(NextFile(after))) is not None:
        assert isinstance(entry, Entry)
        after = entry.picture.id
        found.append((after.unit, after.sequence))
    assert found == [(1, 1), (1, 2), (2, 1)]


def test_a_drop_is_owed_for_living_pictures_too(catalogue: Catalogue) -> None:
    save(catalogue, known(1, Copy(2, owed=True)), known(2, AT_2))
    assert sequences(catalogue.carry_out(Owed(None, 10))) == [1]


# ------------------------------------------------------------ operating time


def test_it_is_taken_up_from_what_stands_with_a_picture_where_that_is_later(catalogue: Catalogue) -> None:
    """A power cut soon after it was kept; what ran since counts for no unit's silence."""
    assert catalogue.take_up_time() == 0
    catalogue.carry_out(SaveCalendar((("age", 500),), ((2, 400), (9, 300))))
    save(catalogue, known(1), age_s=450)
    assert catalogue.take_up_time() == 500
    save(catalogue, known(2), age_s=790)
    save(catalogue, known(3), age_s=730)
    assert [catalogue.take_up_time() for _ in range(2)] == [790, 790]
    assert catalogue.counter("age", 0) == 790
    assert catalogue.heard(790) == ((2, 690), (9, 590))
    save(catalogue, known(1, AT_2), known(2, AT_2), age_s=800)
    assert catalogue.take_up_time() == 790  # the third is exposed still, and earlier than what is kept
    save(catalogue, known(4), age_s=2**62)  # a card that has changed bits
    save(catalogue, known(5), age_s=1000)
    assert catalogue.take_up_time() == 1000


def test_operating_time_is_kept(catalogue: Catalogue) -> None:
    save(catalogue, known(1, AT_2), known(2, AT_3))
    assert catalogue.scrub_after() is None
    catalogue.carry_out(SaveCalendar((("age", 500), ("scrub_after", 2**64 - 1)), ((2, 400), (9, 300))))
    catalogue.carry_out(SaveCalendar((("age", 700),), ((2, 600),)))
    catalogue.carry_out(SaveCalendar((("scrub_due", 900),), ()))
    assert (catalogue.counter("age", 0), catalogue.counter("scrub_due", 0)) == (700, 900)
    assert catalogue.heard(700) == ((2, 600), (3, 700), (9, 300))  # of 3 nothing is known but that it holds a copy
    many = tuple((unit, 1000 + unit) for unit in range(100, 100 + MAX_HEARD))
    catalogue.carry_out(SaveCalendar((), many))
    assert [unit for unit, _ in catalogue.heard(5)] == [2, 3, *range(100, 100 + MAX_HEARD)]  # 2 and 3 hold copies
    after = catalogue.scrub_after()
    assert after is not None
    assert after.encode() == b"\xff" * 8
