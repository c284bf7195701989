"""Start-up: whose card it is, counters, and every row of the table of HANDOVER §1."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from card_scene import (
    CARD,
    NOW_UNIX_S,
    UNIT,
    Unit,
    bytes_of,
    content,
    files,
    held,
    own,
    picture,
    pictures_on,
    put,
    put_picture,
    shot,
)

from firmware.events import (
    LookUpPartial,
    Save,
    SavePartial,
    Unchecked,
)
from firmware.layout import PREVIEW, preview_path
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from firmware.reconcile import MAX_NOTICES, PART_KEPT_S
from firmware.startup import free_number
from firmware.store import Store
from hal.errors import CardError
from sim.camera import GREY_JPEG
from sim.card import Fault, SimCard

# ------------------------------------------------------------ identity and counters


def test_a_new_card_gets_a_number_at_random_and_keeps_it(unit: Unit) -> None:
    assert unit.started is not None
    first = unit.started.memory
    assert 1 <= first.card <= 0xFFFF
    assert first.new_catalogue
    assert (first.sequence, first.next_attempt, first.own_bytes) == (0, 1, 0)
    assert bytes_of(unit.card, "identity") == f"card {first.card:04x}\nunit 1\n".encode()
    again = unit.again(seed=2).memory
    assert again == replace(first, boot=first.boot + 1, new_catalogue=False)
    unit.stop()
    other = Unit(SimCard(), unit.path.with_name("other.sqlite3"))
    assert other.start(seed=2).memory.card != first.card
    other.stop()


@pytest.mark.parametrize("free", [{1}, {0xFFFF}, {1, 2, 0x3FA7, 0xFFFF}])
def test_each_card_number_that_is_free_may_be_drawn_and_no_other(free: set[int]) -> None:
    taken = set(range(0x10000)) - free  # 0 is none that a card ever has
    assert {free_number(taken, random.Random(seed)) for seed in range(100)} == free


def test_a_card_that_has_seen_all_numbers_is_refused() -> None:
    with pytest.raises(CardError, match="every card number is used up"):
        free_number(set(range(1, 0x10000)), random.Random(1))


def test_the_identity_is_durable_and_its_number_is_not_drawn_again_for_a_new_catalogue(tmp_path: Path) -> None:
    card = SimCard()
    unit = Unit(card, tmp_path / "c")
    first = unit.start(seed=1).memory
    unit.stop()
    card.power_cut()
    assert bytes_of(card, "identity") == f"card {first.card:04x}\nunit 1\n".encode()
    unit.path.unlink()
    assert unit.start(seed=1).memory.card != first.card
    unit.stop()


def test_counters_go_on_over_restarts(unit: Unit) -> None:
    assert unit.started is not None
    unit.started.catalogue.save(Save(sequence=17, next_attempt=2**63 + 5))
    memory = unit.again().memory
    assert (memory.sequence, memory.next_attempt) == (17, 2**63 + 5)


def test_the_sequence_is_above_every_own_picture_even_if_its_counter_was_not_saved(unit: Unit) -> None:
    assert unit.started is not None
    number = unit.started.memory.card
    of = picture(23, card=number)
    unit.started.store.keep_shot(replace(shot(23), picture=of))
    memory = unit.again().memory
    assert memory.sequence == 23
    assert unit.entry(of.id) == Entry(of, File.WHOLE, version=1)


def test_a_card_of_another_unit_keeps_its_own_pictures_untouched_and_gets_a_new_number(unit: Unit) -> None:
    assert unit.started is not None
    before = unit.started.memory
    path = put_picture(unit.card, picture(1, card=before.card))
    unit.again()
    unit.stop()
    other = Unit(unit.card, unit.path, number=5)
    started = other.start(seed=9)
    assert started.memory.card != before.card
    assert started.memory.new_catalogue
    assert bytes_of(unit.card, "identity") == f"card {started.memory.card:04x}\nunit 5\n".encode()
    assert bytes_of(unit.card, path) == content(1)
    assert any("was unit 1's" in notice for notice in started.notices)
    assert started.memory.own_bytes == 0
    other.stop()


def test_a_damaged_identity_is_put_aside_and_written_anew(unit: Unit) -> None:
    assert unit.started is not None
    before = unit.started.memory
    unit.card.unlink("identity")
    put(unit.card, "identity", b"card 3f")
    started = unit.again()
    assert started.memory.card == before.card
    assert bytes_of(unit.card, "identity").startswith(b"card ")
    assert bytes_of(unit.card, "quarantine/identity") == b"card 3f"


def test_room_is_reckoned_from_what_is_there(unit: Unit) -> None:
    entries = (own(1), own(2, Copy(2, listed=1)), own(3, Copy(2, listed=1), file=File.GONE), held(4))
    for entry in entries:
        if entry.file is File.WHOLE:
            put_picture(unit.card, entry.picture)
    unit.save(*entries)
    memory = unit.again().memory
    size_bytes = entries[0].picture.size_bytes
    assert (memory.own_bytes, memory.cache_bytes, memory.held_bytes) == (2 * size_bytes, size_bytes, size_bytes)
    assert memory.largest_bytes == size_bytes


# ------------------------------------------------------------ the table


def test_own_file_under_its_tombstone_is_unlinked(unit: Unit) -> None:
    path = put_picture(unit.card, picture(1))
    unit.save(replace(own(1), deleted=True), replace(own(2, file=File.GONE), deleted=True))
    put_picture(unit.card, picture(2))
    unit.again()
    assert path not in files(unit.card)
    assert pictures_on(unit.card) == {}
    entry = unit.entry(picture(1).id)
    assert entry is not None
    assert (entry.deleted, entry.file) == (True, File.GONE)


def test_own_file_under_a_tombstone_of_other_content_goes_to_quarantine(unit: Unit) -> None:
    path = put_picture(unit.card, picture(1))
    unit.save(Entry(picture(1, b"other content"), File.GONE, deleted=True))
    unit.again()
    assert files(unit.card, "quarantine") == {f"quarantine/{path.split('/')[-1]}": content(1)}


def test_own_file_without_row_is_adopted_if_its_digest_is_right(unit: Unit) -> None:
    put_picture(unit.card, picture(1))
    started = unit.again()
    assert unit.entry(picture(1).id) == own(1)
    assert started.memory.own_bytes == picture(1).size_bytes
    assert not any(notice.startswith("LOST") for notice in started.notices)


def test_own_file_without_row_and_with_a_wrong_digest_goes_to_quarantine(unit: Unit) -> None:
    path = Store(unit.card, UNIT).path(picture(1))
    put(unit.card, path, content(1)[:-1] + b"?")
    unit.again()
    assert unit.entry(picture(1).id) is None
    assert list(files(unit.card, "quarantine")) == [f"quarantine/{picture(1).file_name}"]


def test_held_file_without_row_is_unlinked(unit: Unit) -> None:
    put_picture(unit.card, picture(1, unit=2))
    unit.save(Entry(picture(2, unit=2), File.GONE))  # known from others, but not held here
    put_picture(unit.card, picture(2, unit=2))
    started = unit.again()
    assert files(unit.card) == {"identity": bytes_of(unit.card, "identity")}
    assert started.memory.lost_held == ()


def test_a_dropped_file_that_is_there_is_taken_back_unchecked(unit: Unit) -> None:
    put_picture(unit.card, picture(1))
    unit.save(own(1, Copy(2, listed=4), file=File.GONE))
    started = unit.again()
    assert unit.entry(picture(1).id) == own(1, Copy(2, listed=4), file=File.UNCHECKED)
    assert started.catalogue.unchecked(Unchecked(9)) == [own(1, Copy(2, listed=4), file=File.UNCHECKED)]
    assert started.memory.cache_bytes == picture(1).size_bytes


def test_an_own_row_without_file_is_lost_and_keeps_its_copies(unit: Unit) -> None:
    unit.save(own(1, Copy(2, listed=4)), own(2))
    notices = unit.again().notices
    assert unit.entry(picture(1).id) == own(1, Copy(2, listed=4), file=File.GONE)
    assert unit.entry(picture(2).id) == own(2, file=File.GONE)
    assert len([n for n in notices if n.startswith("LOST")]) == 2
    assert "copies: 2" in notices[0]
    assert not any(notice.startswith("LOST") for notice in unit.again().notices)


def test_a_lost_held_file_leaves_what_the_origins_record_said(unit: Unit) -> None:
    told = replace(held(1), version=4, named=(1, 3))
    unit.save(told)
    started = unit.again()
    assert started.memory.lost_held == (told,)
    assert unit.entry(told.picture.id) == told.without_file
    assert unit.again().memory.lost_held == ()


def test_a_dropped_held_file_that_is_still_there_is_unlinked_and_the_record_stays(unit: Unit) -> None:
    """The power went between H7's commit and its unlink."""
    dropped = replace(held(1), version=4, deleted=True).without_file
    assert dropped is not None
    put_picture(unit.card, dropped.picture)
    unit.save(dropped)
    unit.again()
    assert not pictures_on(unit.card)
    assert unit.entry(dropped.picture.id) == dropped


def test_a_held_row_without_file_is_lost_and_its_origin_is_to_be_told(unit: Unit) -> None:
    unit.save(held(1), held(2))
    put_picture(unit.card, held(2).picture)
    started = unit.again()
    assert started.memory.lost_held == (held(1),)
    assert unit.entry(held(1).picture.id) is None
    assert unit.entry(held(2).picture.id) == held(2)
    assert any(notice.startswith("LOST") for notice in started.notices)
    assert unit.again().memory.lost_held == ()


def test_a_file_of_another_length_than_its_row_says_is_no_copy(unit: Unit) -> None:
    for entry in (own(1), held(2)):
        put(unit.card, Store(unit.card, UNIT).path(entry.picture), b"short")
    unit.save(own(1), held(2))
    started = unit.again()
    assert sorted(files(unit.card, "quarantine").values()) == [b"short", b"short"]
    assert unit.entry(picture(1).id) == own(1, file=File.GONE)
    assert started.memory.lost_held == (held(2),)


def test_a_held_file_is_never_unlinked_for_a_tombstone_alone(unit: Unit) -> None:
    path = put_picture(unit.card, held(1).picture)
    unit.save(replace(held(1), deleted=True))
    unit.again()
    assert bytes_of(unit.card, path) == content(1)


def part_row(sequence: int, synced_bytes: int = 64_000) -> SavePartial:
    of = picture(sequence, unit=2)
    return SavePartial(of.id, 7, of.sha256, synced_bytes, of.size_bytes)


def test_a_part_with_a_partial_row_is_kept_for_a_day(unit: Unit) -> None:
    assert unit.started is not None
    of = picture(1, unit=2)
    put(unit.card, f"tmp/{of.id}.part", bytes(of.size_bytes))
    unit.started.catalogue.save_partial(part_row(1))
    started = unit.again(now_unix_s=NOW_UNIX_S + PART_KEPT_S)
    assert started.memory.partial_bytes == of.size_bytes
    assert started.catalogue.look_up_partial(LookUpPartial(of.id)) is not None
    started = unit.again(now_unix_s=NOW_UNIX_S - 1e6)
    assert started.memory.partial_bytes == of.size_bytes
    started = unit.again(now_unix_s=NOW_UNIX_S + PART_KEPT_S + 1)
    assert started.memory.partial_bytes == 0
    assert started.catalogue.look_up_partial(LookUpPartial(of.id)) is None
    assert files(unit.card, "tmp") == {}


def test_a_part_of_unknown_length_gets_it_from_the_card(unit: Unit) -> None:
    assert unit.started is not None
    of = picture(1, unit=2)
    put(unit.card, f"tmp/{of.id}.part", bytes(of.size_bytes))
    unit.started.catalogue.save_partial(replace(part_row(1), size_bytes=0))
    partial = unit.again().catalogue.look_up_partial(LookUpPartial(of.id))
    assert partial is not None
    assert partial.size_bytes == of.size_bytes


def test_other_parts_are_unlinked_and_rows_without_part_forgotten(unit: Unit) -> None:
    assert unit.started is not None
    torn, done = picture(2, unit=2), held(3)
    put(unit.card, f"tmp/{picture(1, unit=2).id}.part", b"no row")
    put(unit.card, f"tmp/{torn.id}.part", b"shorter than was synced")
    put(unit.card, f"tmp/{done.picture.id}.part", bytes(done.picture.size_bytes))
    put_picture(unit.card, done.picture)
    unit.save(done)
    for sequence in (2, 3, 4):
        unit.started.catalogue.save_partial(part_row(sequence))
    started = unit.again()
    assert files(unit.card, "tmp") == {}
    assert started.memory.partial_bytes == 0
    for sequence in (2, 3, 4):
        assert started.catalogue.look_up_partial(LookUpPartial(picture(sequence, unit=2).id)) is None
    assert unit.entry(done.picture.id) == done


def test_previews_of_pictures_that_are_gone_from_here_go_too(unit: Unit) -> None:
    unit.save(
        own(1),
        own(2, file=File.GONE),
        replace(own(3, file=File.GONE), deleted=True),
        held(4),
        replace(held(5), attempt=None, file=File.GONE, named=(3,)),
    )
    put_picture(unit.card, picture(1))
    put_picture(unit.card, picture(4, unit=2))
    kept = [preview_path(entry.picture.id) for entry in (own(1), own(2), held(4))]
    gone = [preview_path(entry.picture.id) for entry in (own(3), held(5), held(6))]
    for path in (*kept, *gone, f"{PREVIEW}/notes.txt"):
        put(unit.card, path, GREY_JPEG)
    unit.again()
    assert sorted(files(unit.card, PREVIEW)) == sorted([*kept, f"{PREVIEW}/notes.txt"])


def test_anything_unexplained_goes_to_quarantine_and_nothing_is_overwritten_there(unit: Unit) -> None:
    strange = (
        "own/notes.txt",
        "own/00001-3fa7/notes.txt",
        f"own/00001-3fa7/{picture(1, card=2).file_name}",
        f"own/00001-3fa7/{picture(1, unit=2).file_name}",
        "held/00002/notes.txt",
        f"held/00003/{picture(1, unit=2).file_name}",
        "tmp/notes.txt",
    )
    for path in strange:
        put(unit.card, path, path.encode())
    put_picture(unit.card, picture(5))
    started = unit.again()
    assert sorted(files(unit.card, "quarantine").values()) == sorted(path.encode() for path in strange)
    assert list(pictures_on(unit.card).values()) == [content(5)]
    assert len([n for n in started.notices if "moved to quarantine/" in n]) == len(strange)


def test_a_picture_that_is_held_for_ourselves_is_kept_aside(unit: Unit) -> None:
    """The card was another unit's: it held this picture for us."""
    put(unit.card, f"held/00001/{picture(1).file_name}", content(1))
    unit.save(own(2))
    put_picture(unit.card, picture(2))
    unit.again()
    assert files(unit.card, "quarantine") == {f"quarantine/00001/{picture(1).file_name}": content(1)}
    assert unit.entry(picture(2).id) == own(2)


def test_notices_are_bounded(unit: Unit) -> None:
    unit.save(*(Entry(Picture(PictureId(UNIT, CARD, n), 10, bytes(32)), File.WHOLE) for n in range(150)))
    notices = unit.again().notices
    assert len(notices) == MAX_NOTICES + 1
    assert notices[-1] == "and 50 more such notices"


def test_a_directory_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    card = SimCard()
    unit = Unit(card, tmp_path / "c")
    unit.start()
    put_picture(card, picture(1))
    unit.save(own(1))
    unit.stop()
    card.options.below["own/00001-3fa7"] = Fault.IO
    with pytest.raises(CardError):
        unit.start()
    card.options.below.clear()
    assert not any(notice.startswith("LOST") for notice in unit.start().notices)
    unit.stop()


def test_what_a_start_did_to_files_is_durable_before_the_rows_say_so(tmp_path: Path) -> None:
    """The process before was killed between rename and fsync; after this start the power goes."""
    card = SimCard()
    unit = Unit(card, tmp_path / "c")
    store = unit.start().store
    paths = [put_picture(card, p) for p in (picture(1), picture(2, card=5), picture(3, unit=2))]
    unit.save(replace(own(2, file=File.GONE, card=5), deleted=True))
    card.rename(paths[0], "moved")
    card.sync_directory("own/00001-3fa7")
    card.rename("moved", paths[0])
    unit.again()
    unit.stop()
    card.power_cut()
    assert pictures_on(card) == {store.path(picture(1)): content(1)}
    unit.start()
    assert unit.entry(picture(1).id) == own(1)
    unit.stop()
