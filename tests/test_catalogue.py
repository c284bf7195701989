"""The catalogue keeps entries whole and durable, and answers each question from an index."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from card_scene import UNIT, held, known, picture, wall

from firmware.catalogue import Catalogue
from firmware.catalogue_notes import MAX_DECISIONS
from firmware.catalogue_pictures import FileHere
from firmware.events import (
    Away,
    Cached,
    CatalogueRequest,
    Counted,
    Counts,
    Decisions,
    Doubted,
    DrawnAt,
    DuePairs,
    FirstPair,
    Held,
    KeptRecords,
    Lacking,
    ListedAt,
    LookUp,
    LookUpPartial,
    Names,
    NextFile,
    OldestHeld,
    OldestPartials,
    Orders,
    Owed,
    OwnInDoubt,
    Page,
    Partial,
    RecordCount,
    Save,
    SaveDecision,
    SaveInventoried,
    SaveName,
    SaveOrder,
    SavePartial,
    SaveRecollected,
    SaveRecorded,
    SaveRoster,
    StaleRecords,
    ThinRecords,
    Unchecked,
    Unkept,
    Unrecorded,
)
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from hal.interfaces import TimeQuality

BIGGEST = 2**64 - 1  # an attempt


@pytest.fixture
def catalogue() -> Iterator[Catalogue]:
    with closing(Catalogue(":memory:", UNIT, wall=wall)) as made:
        yield made


def verified(*units: int) -> tuple[Copy, ...]:
    return tuple(Copy(unit, listed=unit) for unit in units)


def sequences(entries: object) -> list[int]:
    assert isinstance(entries, list)
    return [entry.picture.id.sequence for entry in entries]


# ------------------------------------------------------------ entries


def test_an_entry_comes_back_as_it_was_saved(catalogue: Catalogue) -> None:
    full = Entry(
        Picture(PictureId(UNIT, 0xFFFF, 0xFFFF_FFFF), 64_000_000, bytes(range(32)), True, 1.5e9, TimeQuality.PEER),
        File.UNCHECKED,
        version=BIGGEST,
        deleted=True,
        copies=(
            Copy(2, open=BIGGEST, listed=2**63, suspect=True, owed=True, proof=b"p" * 16),
            Copy(65_534, listed=1, verified_at=1.7e9, verified_boot=2**32 - 1, verified_monotonic=0.25),
        ),
    )
    other = replace(held(9, attempt=BIGGEST, unit=65_534), version=3, deleted=True, named=(1, 65_534, 2), doubted=3)
    for entry in (full, other, replace(other, attempt=0, kept=True), replace(full, copies=())):
        catalogue.carry_out(Save(entries=(entry,)))
        assert catalogue.carry_out(LookUp(entry.picture.id)) == entry


def test_save_is_all_or_nothing(catalogue: Catalogue) -> None:
    catalogue.save(Save(entries=(known(1),), sequence=1))
    bad = known(2, Copy(2, listed=2**64))
    with pytest.raises(AssertionError):
        catalogue.save(Save(entries=(known(3), bad), removed=(known(1).picture.id,), sequence=3))
    assert catalogue.look_up(LookUp(known(1).picture.id)) == known(1)
    assert catalogue.look_up(LookUp(known(3).picture.id)) is None
    assert catalogue.counter("sequence", 0) == 1


def test_removed_rows_take_copies_and_decisions_along(catalogue: Catalogue) -> None:
    of = known(1, *verified(2)).picture.id
    catalogue.save(Save(entries=(known(1, *verified(2)),)))
    catalogue.save_decision(SaveDecision(of, "Keep", {}))
    catalogue.save(Save(removed=(of,)))
    assert catalogue.look_up(LookUp(of)) is None
    catalogue.save(Save(entries=(known(1),)))
    assert catalogue.look_up(LookUp(of)) == known(1)
    assert catalogue.decisions(Decisions(of)) == []


# ------------------------------------------------------------ questions


def test_lacking_is_priority_first_then_oldest_and_never_what_is_gone_deleted_held_or_proved(
    catalogue: Catalogue,
) -> None:
    entries = (
        known(5),
        known(4, *verified(2)),
        known(3, Copy(2, listed=3, suspect=True)),
        known(9, *verified(2), priority=True),
        known(8, *verified(2, 3), priority=True),
        known(7, file=File.GONE),
        replace(known(6), deleted=True),
        known(2, unit=2, file=File.GONE),
        known(1, file=File.UNCHECKED),
        held(10),
    )
    for entry in entries:
        catalogue.save(Save(entries=(entry,)))
    assert sequences(catalogue.carry_out(Lacking(1, 2, 10))) == [9, 5, 3, 1]
    assert sequences(catalogue.carry_out(Lacking(2, 3, 10))) == [9, 8, 5, 4, 3, 1]
    assert sequences(catalogue.carry_out(Lacking(2, 3, 4))) == [9, 8, 5, 4]
    skip = frozenset({known(9).picture.id, known(5).picture.id})
    assert sequences(catalogue.carry_out(Lacking(1, 2, 2, skip))) == [3, 1]
    assert sequences(catalogue.carry_out(Cached(1, 2, 10))) == [4, 8]
    assert sequences(catalogue.carry_out(Cached(1, 1, 2))) == [4, 9]
    assert sequences(catalogue.carry_out(Cached(1, 1, 2, known(4).picture.id))) == [9, 8]
    assert sequences(catalogue.carry_out(Cached(1, 1, 2, known(8).picture.id))) == []
    assert sequences(catalogue.carry_out(Cached(1, 1, 2, known(77).picture.id))) == [4, 9]
    counted = catalogue.carry_out(Counts(1, 2))
    assert isinstance(counted, Counted)
    assert (counted.own, counted.held, counted.lacking, counted.away) == (6, 1, 5, 1)
    assert (counted.exposed, counted.suspect) == (3, 1)
    assert counted.oldest is not None
    assert counted.oldest.id.sequence == 5
    assert counted.deletes_pending == 1


def test_oldest_is_by_first_knowledge_not_by_the_number_of_the_card(catalogue: Catalogue) -> None:
    first = Entry(picture(1, b"1", card=0xFFFF), File.WHOLE)
    second = Entry(picture(1, b"2", card=0x0001), File.WHOLE)
    catalogue.save(Save(entries=(first, second)))
    catalogue.save(Save(entries=(replace(first, copies=(Copy(2, open=4),)),)))
    found = catalogue.lacking(Lacking(1, 1, 10))
    assert [entry.picture.id.card for entry in found] == [0xFFFF, 0x0001]


def test_own_in_doubt_and_owed(catalogue: Catalogue) -> None:
    entries = (
        known(1, *verified(2)),
        known(2, Copy(2, open=4)),
        known(3, Copy(2, listed=4, suspect=True)),
        known(4, file=File.GONE),
        known(5, *verified(2), file=File.GONE),
        replace(known(6, Copy(2, owed=True), file=File.GONE), deleted=True),
        replace(known(7, file=File.GONE), deleted=True),
        known(8, unit=2, file=File.GONE),
    )
    catalogue.save(Save(entries=entries))
    assert sequences(catalogue.carry_out(OwnInDoubt(None, 10))) == [2, 3, 4]
    assert sequences(catalogue.carry_out(OwnInDoubt(known(2).picture.id, 1))) == [3]
    assert sequences(catalogue.carry_out(Owed(None, 10))) == [6]
    assert sequences(catalogue.carry_out(Owed(known(6).picture.id, 10))) == []


def test_held_by_owner_and_without_keep(catalogue: Catalogue) -> None:
    rows = (held(1), replace(held(2), kept=True), held(3, unit=3), held(4, unit=65_534))
    catalogue.save(Save(entries=(*rows, known(9), known(8, unit=2, file=File.GONE))))
    assert sequences(catalogue.carry_out(Held(None, None, 10))) == [1, 2, 3, 4]
    assert sequences(catalogue.carry_out(Held(2, None, 10))) == [1, 2]
    assert sequences(catalogue.carry_out(Held(2, rows[0].picture.id, 10))) == [2]
    assert sequences(catalogue.carry_out(Held(65_534, None, 10, unkept_only=True))) == [4]
    assert sequences(catalogue.carry_out(Held(None, rows[0].picture.id, 1, unkept_only=True))) == [3]


def test_unchecked_files_of_any_kind(catalogue: Catalogue) -> None:
    entries = (known(2, file=File.UNCHECKED), known(1), held(1, file=File.UNCHECKED))
    catalogue.save(Save(entries=entries))
    assert catalogue.carry_out(Unchecked(10)) == [entries[0], entries[2]]
    assert catalogue.carry_out(Unchecked(1)) == [entries[0]]
    assert catalogue.carry_out(Unchecked(10, entries[0].picture.id)) == [entries[2]]


def test_pages_go_through_everything_that_is_not_deleted_once(catalogue: Catalogue) -> None:
    chance = random.Random(4)
    entries = [
        replace(
            entry,
            picture=replace(entry.picture, taken_at=chance.choice([None, 100.0, 200.0, 300.5, 300.5, 400.0])),
            deleted=chance.random() < 0.2,
        )
        for entry in (known(n, unit=chance.choice([1, 2, 5]), file=File.GONE) for n in range(60))
    ]
    catalogue.save(Save(entries=tuple(entries)))
    for origin in (None, 1, 2, 4):
        for since in (None, 200.0, 300.5, 1e12):
            wanted = {
                e.picture.id
                for e in entries
                if not e.deleted
                and origin in (None, e.picture.id.unit)
                and (since is None or (e.picture.taken_at or 0.0) >= since)
            }
            found: list[PictureId] = []
            after = None
            while page := catalogue.page(Page(origin, since, after, 7)):
                assert len(page) <= 7
                found += [entry.picture.id for entry in page]
                after = found[-1]
            assert len(found) == len(wanted)
            assert set(found) == wanted
            if since is None:
                assert found == sorted(found)


def test_pages_since_a_time_go_on_behind_a_picture_that_has_gone_meanwhile(catalogue: Catalogue) -> None:
    dated = [
        replace(entry, picture=replace(entry.picture, taken_at=100.0 + n))
        for n, entry in enumerate(known(n, unit=unit, file=File.GONE) for unit in (2, 3) for n in range(3))
    ]
    catalogue.save(Save(entries=tuple(dated)))
    gone = dated[4].picture.id
    catalogue.save(Save(removed=(gone,)))
    assert catalogue.page(Page(None, 100.0, gone, 9)) == [dated[3], dated[5]]
    undated = replace(dated[1], picture=replace(dated[1].picture, taken_at=None))
    catalogue.save(Save(entries=(undated,)))
    assert catalogue.page(Page(2, 100.0, undated.picture.id, 9)) == [dated[0], dated[2]]
    assert catalogue.page(Page(2, 102.0, dated[0].picture.id, 9)) == [dated[2]]
    assert catalogue.page(Page(2, 100.0, dated[0].picture.id, 1)) == [dated[2]]


def test_status_counts_priority_pictures_orders_and_the_oldest_without_a_copy(catalogue: Catalogue) -> None:
    urgent = [known(n, *verified(*range(2, 2 + n % 3)), priority=True) for n in range(1, 7)]
    catalogue.save(Save(entries=(*urgent, known(7), known(8, file=File.GONE), known(9, *verified(2)))))
    for n in (1, 2, 3):
        catalogue.carry_out(SaveOrder(picture(n, unit=2).id, bytes(32)))
    catalogue.save(Save(entries=(replace(known(10, file=File.GONE), deleted=True),)))
    counted = catalogue.carry_out(Counts(1, 2))
    assert isinstance(counted, Counted)
    assert (counted.own, counted.urgent, counted.exposed, counted.away, counted.lacking) == (8, 4, 3, 1, 6)
    assert (counted.one_holder, counted.unproved) == (0, 1)
    assert counted.deletes_pending == 4
    assert counted.oldest == urgent[2].picture
    catalogue.save(Save(entries=(replace(urgent[2], copies=verified(2)), replace(urgent[5], copies=verified(2)))))
    counted = catalogue.carry_out(Counts(1, 2))
    assert isinstance(counted, Counted)
    assert (counted.urgent, counted.exposed, counted.oldest) == (4, 1, known(7).picture)
    catalogue.save(Save(entries=(known(7, *verified(2)),)))
    counted = catalogue.carry_out(Counts(1, 2))
    assert isinstance(counted, Counted)
    assert (counted.exposed, counted.oldest, counted.oldest_since_s) == (0, None, None)
    away = [known(n, *verified(*range(2, 2 + n % 3)), file=File.GONE, priority=n % 2 == 0) for n in range(11, 17)]
    catalogue.save(Save(entries=tuple(away)))
    counted = catalogue.carry_out(Counts(1, 2))
    assert isinstance(counted, Counted)
    assert (counted.one_holder, counted.unproved) == (2, 1 + 2)


@pytest.mark.parametrize("priority", [True, False])
def test_the_first_picture_of_all_is_the_oldest_without_a_copy(catalogue: Catalogue, priority: bool) -> None:
    catalogue.save(Save(entries=(known(1, priority=priority), known(2, priority=priority))))
    counted = catalogue.carry_out(Counts(1, 2))
    assert isinstance(counted, Counted)
    assert counted.oldest == known(1, priority=priority).picture


def test_an_empty_catalogue_counts_nothing(catalogue: Catalogue) -> None:
    assert catalogue.carry_out(Counts(1, 2)) == Counted(0, 0, 0)
    assert catalogue.own_bytes(1, 2) == (0, 0)
    assert (catalogue.held_bytes(), catalogue.largest_bytes(), catalogue.held_by()) == (0, 0, ())


def test_files_that_should_be_here_are_told_with_name_and_size(catalogue: Catalogue) -> None:
    buried = replace(known(3), deleted=True)
    entries = (known(1), known(2, file=File.GONE), buried, replace(held(4), deleted=True))
    catalogue.save(Save(entries=entries))
    every = list(catalogue.files_here(PictureId(0, 0, 0), PictureId(0xFFFF, 0xFFFF, 0xFFFF_FFFF)))
    of = [entry.picture for entry in entries]
    assert every == [
        FileHere(of[0].id, of[0].file_name, of[0].size_bytes, buried=False),
        FileHere(of[2].id, of[2].file_name, of[2].size_bytes, buried=True),
        FileHere(of[3].id, of[3].file_name, of[3].size_bytes, buried=False),
    ]
    assert list(catalogue.files_here(of[2].id, of[2].id)) == every[1:2]
    assert catalogue.first_here(of[0].id) == of[0].id
    assert catalogue.first_here(of[1].id) == of[2].id
    assert catalogue.first_here(PictureId(3, 0, 0)) is None


def test_previews_belong_to_own_and_held_pictures_that_are_not_deleted(catalogue: Catalogue) -> None:
    entries = [known(n) for n in range(60)] + [known(60, file=File.GONE), held(61)]
    others = [replace(known(70), deleted=True), replace(held(71), deleted=True), known(72, unit=2, file=File.GONE)]
    catalogue.save(Save(entries=(*entries, *others)))
    asked = [entry.picture.id.encode() for entry in (*entries, *others, known(99))]
    assert catalogue.with_previews(asked) == {entry.picture.id.encode() for entry in entries}
    assert catalogue.with_previews(asked[-4:]) == catalogue.with_previews([]) == set()
    assert catalogue.with_previews(asked[:1]) == {asked[0]}


def test_held_pictures_whose_file_is_lost_are_told_apart(catalogue: Catalogue) -> None:
    lost = held(2, file=File.GONE)
    catalogue.save(Save(entries=(held(1), lost, held(3, file=File.UNCHECKED), known(4, file=File.GONE))))
    assert catalogue.held_without_file() == [lost]
    sizes = [held(n).picture.size_bytes for n in (1, 3)]
    assert catalogue.held_by() == ((2, sum(sizes)),)


def test_sums_for_the_room_reckoning(catalogue: Catalogue) -> None:
    entries = (known(1), known(2, *verified(2)), known(3, *verified(2), priority=True), known(4, file=File.GONE))
    catalogue.save(Save(entries=(*entries, held(1), held(2, file=File.GONE))))
    size_bytes = known(1).picture.size_bytes
    assert catalogue.own_bytes(1, 2) == (3 * size_bytes, size_bytes)
    assert catalogue.held_bytes() == held(1).picture.size_bytes
    assert catalogue.largest_bytes() == size_bytes
    assert catalogue.highest_sequence(entries[0].picture.id.card) == 4
    assert catalogue.highest_sequence(0x0002) == 0


def test_the_largest_is_of_the_latest_pictures_of_this_card(catalogue: Catalogue) -> None:
    catalogue.set_counters(card=0x0002)
    old = Entry(picture(1, b"x" * 900, card=0xFFF0), File.WHOLE)
    catalogue.save(Save(entries=(old,)))
    assert catalogue.largest_bytes() == 900
    giant = Entry(picture(1, b"x" * 800, card=0x0002), File.WHOLE)
    later = tuple(Entry(picture(n, b"x" * n, card=0x0002), File.WHOLE) for n in range(2, 60))
    catalogue.save(Save(entries=(giant, *later)))
    assert catalogue.largest_bytes() == 900  # ids of a higher card number still count among the latest


# ------------------------------------------------------------ records


def test_the_largest_is_not_of_an_earlier_card_unless_this_one_has_no_picture(catalogue: Catalogue) -> None:
    giant = Entry(picture(1, b"x" * 900, card=0x0001), File.WHOLE)
    catalogue.save(Save(entries=(giant,)))
    catalogue.set_counters(card=0x0003)
    assert catalogue.largest_bytes() == 900
    catalogue.save(Save(entries=(Entry(picture(1, b"x" * 10, card=0x0003), File.WHOLE),)))
    assert catalogue.largest_bytes() == 10


def unrecorded(catalogue: Catalogue, *, deleted: bool = False, after: PictureId | None = None) -> list[int]:
    found = catalogue.carry_out(Unrecorded(deleted, after, 10))
    assert isinstance(found, list)
    return sequences([unkept.entry for unkept in found])


def stale(catalogue: Catalogue, limit: int) -> list[int]:
    found = catalogue.carry_out(StaleRecords((4, 5), limit))
    assert isinstance(found, dict)
    assert list(found) == [5]
    return sequences(found[5])


def record(sequence: int, version: int = 1) -> Entry:
    return replace(known(sequence), version=version)


def test_own_records_lag_until_a_unit_has_confirmed_the_version_of_now(catalogue: Catalogue) -> None:
    buried = replace(record(3), deleted=True)
    catalogue.save(Save(entries=(record(1), record(2), buried, replace(held(4), version=7))))
    assert unrecorded(catalogue) == [1, 2]
    assert unrecorded(catalogue, after=record(1).picture.id) == [2]
    assert unrecorded(catalogue, deleted=True) == [3]
    one, two = record(1).picture.id, record(2).picture.id
    catalogue.carry_out(SaveRecorded(5, 77, ((one, 1), (two, 9))))
    assert unrecorded(catalogue) == [2]  # another version of it was confirmed
    assert catalogue.carry_out(Unrecorded(False, None, 1)) == [Unkept(record(2), (5,))]
    assert stale(catalogue, 10) == [2]
    catalogue.save(Save(entries=(replace(record(1), file=File.GONE),)))
    assert unrecorded(catalogue) == [2]
    catalogue.save(Save(entries=(record(1, version=2),)))
    assert unrecorded(catalogue) == [1, 2]
    catalogue.carry_out(SaveRecorded(6, 3, ((one, 2),)))
    assert unrecorded(catalogue) == [2]
    assert stale(catalogue, 10) == [1, 2]
    assert stale(catalogue, 1) == [1]
    catalogue.carry_out(SaveRecorded(5, 77, ((one, 2), (two, 1))))
    assert catalogue.carry_out(StaleRecords((5, 6), 10)) == {}


def test_versions_beyond_what_sqlite_counts_are_compared_right(catalogue: Catalogue) -> None:
    catalogue.save(Save(entries=(record(1, version=BIGGEST),)))
    catalogue.carry_out(SaveRecorded(5, 77, ((record(1).picture.id, BIGGEST),)))
    assert unrecorded(catalogue) == []


def test_under_another_card_number_a_unit_keeps_nothing_of_what_it_had_confirmed(catalogue: Catalogue) -> None:
    catalogue.save(Save(entries=(record(1), record(2), record(3))))
    one, two, three = (record(n).picture.id for n in (1, 2, 3))
    catalogue.carry_out(SaveRecorded(5, 77, ((one, 1), (two, 1))))
    catalogue.carry_out(SaveRecorded(6, 88, ((two, 1), (three, 1))))
    assert unrecorded(catalogue) == []
    catalogue.carry_out(SaveRecorded(5, 77, ()))
    assert unrecorded(catalogue) == []
    catalogue.carry_out(SaveRecorded(5, 78, ()))
    assert catalogue.carry_out(Unrecorded(False, None, 9)) == [Unkept(record(1), ())]
    assert catalogue.keepers() == {5: 78, 6: 88}


def test_a_removed_picture_is_kept_by_nobody(catalogue: Catalogue) -> None:
    catalogue.save(Save(entries=(record(1),)))
    catalogue.carry_out(SaveRecorded(5, 77, ((record(1).picture.id, 1),)))
    catalogue.save(Save(removed=(record(1).picture.id,)))
    catalogue.save(Save(entries=(record(1),)))
    assert catalogue.carry_out(Unrecorded(False, None, 9)) == [Unkept(record(1), ())]


def of_unit(unit: int, sequence: int, *, deleted: bool = False) -> Entry:
    return replace(known(sequence, unit=unit, file=File.GONE), version=1, deleted=deleted, named=(9,))


def test_kept_records_are_those_with_a_version_held_or_not(catalogue: Catalogue) -> None:
    entries = (of_unit(2, 1), of_unit(2, 2, deleted=True), replace(held(3), version=4), held(4), of_unit(3, 5))
    catalogue.save(Save(entries=(*entries, record(6))))
    assert sequences(catalogue.carry_out(KeptRecords(2, None, 10))) == [1, 2, 3]
    assert sequences(catalogue.carry_out(KeptRecords(2, entries[0].picture.id, 1))) == [2]
    assert catalogue.carry_out(KeptRecords(9, None, 10)) == []


def test_too_many_records_thin_out_from_the_oldest_of_who_has_most_and_tombstones_stay(catalogue: Catalogue) -> None:
    for n in range(10, 0, -1):
        catalogue.save(Save(entries=(of_unit(2, n),)))
    living = (of_unit(3, 1), of_unit(3, 2), of_unit(4, 1))
    spared = (of_unit(2, 90, deleted=True), replace(held(91), version=1), record(92))
    catalogue.save(Save(entries=(*living, *spared)))
    assert catalogue.carry_out(ThinRecords(13, 10)) == RecordCount(13, 1)
    assert catalogue.carry_out(ThinRecords(12, 8)) == RecordCount(11, 1)
    assert sequences(catalogue.carry_out(KeptRecords(2, None, 99))) == [1, 2, 3, 4, 5, 6, 7, 8, 90, 91]
    assert catalogue.carry_out(ThinRecords(5, 8)) == RecordCount(5, 1)
    assert sequences(catalogue.carry_out(KeptRecords(2, None, 99))) == [1, 2, 90, 91]
    assert sequences(catalogue.carry_out(KeptRecords(3, None, 99))) == [1, 2]
    assert catalogue.look_up(LookUp(record(92).picture.id)) == record(92)
    assert catalogue.carry_out(ThinRecords(0, 0)) == RecordCount(0, 1)


def test_units_whose_records_were_taken_in_are_remembered(catalogue: Catalogue) -> None:
    for unit in (7, 3, 7):
        catalogue.carry_out(SaveRecollected(unit))
    assert catalogue.recollected() == frozenset({3, 7})


# ------------------------------------------------------------ notes


def test_partial_rows_are_replaced_ordered_and_removed() -> None:
    now = iter([30.0, 10.0, 20.0, 40.0])
    one, two = picture(1, unit=2).id, picture(2, unit=2).id
    with closing(Catalogue(":memory:", UNIT, wall=lambda: next(now))) as catalogue:
        catalogue.carry_out(SavePartial(one, BIGGEST, b"s" * 32, 64_000, 150_000))
        catalogue.carry_out(SavePartial(two, 4, b"s" * 32, 64_000, 150_000))
        assert catalogue.carry_out(LookUpPartial(one)) == Partial(one, BIGGEST, b"s" * 32, 64_000, 150_000, 30.0)
        assert [p.picture for p in catalogue.oldest_partials(OldestPartials(9))] == [two, one]
        catalogue.carry_out(SavePartial(one, 5, b"t" * 32, 128_000, 150_000))
        assert catalogue.carry_out(LookUpPartial(one)) == Partial(one, 5, b"t" * 32, 128_000, 150_000, 20.0)
        catalogue.carry_out(SavePartial(one, 5, b"t" * 32, 0))
        assert catalogue.carry_out(LookUpPartial(one)) is None
        assert catalogue.carry_out(OldestPartials(1)) == [Partial(two, 4, b"s" * 32, 64_000, 150_000, 10.0)]


def test_delete_orders_stay_until_they_are_done(catalogue: Catalogue) -> None:
    one, two = picture(1, unit=2).id, picture(2, unit=2).id
    for order in (SaveOrder(two, b"2" * 32), SaveOrder(one, b"1" * 32), SaveOrder(two, b"2" * 32, done=True)):
        catalogue.carry_out(order)
    assert catalogue.carry_out(Orders(None, 10)) == [(one, b"1" * 32)]
    catalogue.carry_out(SaveOrder(two, b"3" * 32))
    assert catalogue.carry_out(Orders(one, 10)) == [(two, b"3" * 32)]
    assert catalogue.carry_out(Orders(None, 1)) == [(one, b"1" * 32)]


def test_the_newest_decisions_of_a_picture_stay(catalogue: Catalogue) -> None:
    of = picture(1).id
    made = [SaveDecision(of, f"Keep {n}", {"room_bytes": n, "units": [1, 2]}) for n in range(MAX_DECISIONS + 5)]
    catalogue.carry_out(SaveDecision(picture(2).id, "another", {}))
    for decision in made:
        catalogue.carry_out(decision)
    assert catalogue.carry_out(Decisions(of)) == made[5:]


def test_units_whose_inventory_was_taken_in_are_remembered(catalogue: Catalogue) -> None:
    for unit in (7, 3, 7):
        catalogue.carry_out(SaveInventoried(unit))
    assert catalogue.inventoried() == frozenset({3, 7})


def test_the_newest_roster_is_remembered(catalogue: Catalogue) -> None:
    assert catalogue.roster() == b""
    for epoch in (2, 3):
        catalogue.carry_out(SaveRoster(epoch, f"of epoch {epoch}".encode()))
    assert catalogue.roster() == b"of epoch 3"


def test_names_are_remembered(catalogue: Catalogue) -> None:
    for unit, name in ((2, "barn"), (3, "gate"), (2, "north-barn")):
        catalogue.carry_out(SaveName(unit, name))
    assert catalogue.carry_out(Names()) == {2: "north-barn", 3: "gate"}


# ------------------------------------------------------------ indexes


class Watched:
    """Says of every question that a catalogue asked how SQLite would look for the answer."""

    def __init__(self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: list[str] = []
        ask = catalogue._database.all

        def planned(sql: str, *values: object) -> list[tuple[object, ...]]:
            self.plans += [f"{row[3]}  <- {sql}" for row in ask(f"EXPLAIN QUERY PLAN {sql}", *values)]
            return ask(sql, *values)

        monkeypatch.setattr(catalogue._database, "all", planned)


def test_no_request_reads_a_whole_table(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = []
    for n in range(20_000):
        of = PictureId(UNIT if n % 2 else 2 + n % 5, n % 7, n)
        made = Picture(of, 1000 + n, struct.pack(">32s", b"%d" % n), n % 11 == 0, 1e9 + n)
        copies = verified(2)[: n % 3] if of.unit == UNIT else ()
        attempt = None if of.unit == UNIT else n
        entries.append(Entry(made, File(n % 3), attempt, version=n % 4, deleted=n % 13 == 0, copies=copies))
    catalogue.save(Save(entries=tuple(entries)))
    catalogue.save(Save(entries=tuple(of_unit(2 + n % 5, n + 50_000, deleted=n % 3 == 0) for n in range(1000))))
    confirmed = tuple((entry.picture.id, entry.version + n % 2) for n, entry in enumerate(entries[1::2]))
    catalogue.carry_out(SaveRecorded(5, 7, confirmed))
    watched = Watched(catalogue, monkeypatch)
    after = PictureId(UNIT, 3, 5000)
    requests: tuple[CatalogueRequest, ...] = (
        LookUp(entries[77].picture.id),
        Lacking(1, 2, 20, frozenset({entries[5].picture.id})),
        Cached(1, 2, 20),
        Cached(1, 2, 20, entries[35].picture.id),
        OwnInDoubt(after, 20),
        Owed(after, 20),
        Held(3, None, 20),
        Held(None, after, 20, unkept_only=True),
        Unchecked(20),
        Page(None, None, after, 50),
        Page(2, None, None, 50),
        Page(None, 1e9 + 15_000, None, 50),
        Page(3, 1e9 + 100, PictureId(3, 1, 1), 50),
        Decisions(after),
        LookUpPartial(after),
        Unrecorded(False, after, 20),
        Unrecorded(True, None, 20),
        StaleRecords((5,), 20),
        KeptRecords(3, after, 20),
        KeptRecords(3, None, 20),
        ThinRecords(900, 200),
        SaveRecorded(5, 7, ((after, 3),)),
        OldestHeld(20),
        Away(2, 3, 20),
        ListedAt(2, 20),
        DrawnAt(2, 2**31, 20, True),
        Doubted(after, 20),
        NextFile(after),
        DuePairs(2, 10**9, 20),
        FirstPair(entries[5].picture.id, 2),
    )
    for request in requests:
        catalogue.carry_out(request)
    catalogue.largest_bytes()
    assert catalogue.heard(7) == ((2, 7),)
    catalogue.highest_sequence(3)
    list(catalogue.files_here(PictureId(2, 0, 0), PictureId(2, 6, 99_999)))
    assert len(watched.plans) > 30
    small = ("SEARCH", "SCAN picture USING INDEX unchecked", "SCAN heard")  # these have nothing but the answer
    assert [plan for plan in watched.plans if not plan.startswith(small)] == []
    assert [plan for plan in watched.plans if "TEMP B-TREE" in plan] == []
