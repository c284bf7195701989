"""Parts of pictures that are being received, previews of held ones, and the room that the store tells."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from card_scene import PREVIEW, UNIT, content, files, picture, put, put_picture, shot

from firmware.events import (
    BeginPart,
    ClosePart,
    DigestFile,
    FinishPart,
    FreeSpace,
    ReadPreview,
    RemoveFile,
    SavePreview,
    SyncPart,
    WritePart,
)
from firmware.store import FLOOR_SMALL_BYTES, Store
from hal.directory_card import DirectoryCard
from hal.errors import CardError, CardFull
from sim.card import CardOptions, Fault, SimCard

NONCE = b"0123456789abcdef"
OF, DATA = picture(7, unit=2), content(7)
PART = f"tmp/{OF.id}.part"


def begun(card: SimCard | DirectoryCard, kept_bytes: int = 0) -> Store:
    """A store that receives the picture."""
    store = Store(card, UNIT)
    assert store.carry_out(BeginPart(OF, kept_bytes)) == kept_bytes
    return store


def calls_of(store: Store, request: SyncPart) -> int:
    assert isinstance(store.card, SimCard)
    before = store.card.calls
    store.carry_out(request)
    return store.card.calls - before


def test_a_part_that_is_taken_up_on_a_real_directory_can_be_written_to(tmp_path: Path) -> None:
    card = DirectoryCard(str(tmp_path / "card"))
    first = begun(card)
    first.carry_out(WritePart(OF.id, 0, DATA[:64_000]))
    first.carry_out(SyncPart(OF.id))
    first.carry_out(ClosePart(OF.id, keep=True))
    again = begun(card, 64_000)
    again.carry_out(WritePart(OF.id, 64_000, DATA[64_000:]))
    assert again.carry_out(FinishPart(OF, NONCE)) is not None
    assert files(card) == {again.path(OF): DATA}


def test_no_more_of_a_part_is_said_to_be_kept_than_there_can_be() -> None:
    card = SimCard()
    begun(card).carry_out(ClosePart(OF.id, keep=True))
    assert Store(card, UNIT).carry_out(BeginPart(OF, OF.size_bytes + 1)) == OF.size_bytes


def test_a_part_that_is_begun_again_under_way_goes_on_with_the_same_file(tmp_path: Path) -> None:
    card = DirectoryCard(str(tmp_path / "card"))
    before = os.listdir("/proc/self/fd")
    store = begun(card)
    store.carry_out(WritePart(OF.id, 0, DATA))
    assert store.carry_out(BeginPart(OF, 64_000)) == 64_000
    assert store.carry_out(FinishPart(OF, NONCE)) is not None
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_the_name_of_a_part_is_synced_once_and_not_at_all_where_it_was_before() -> None:
    store = begun(SimCard())
    assert [calls_of(store, SyncPart(OF.id)) for _ in range(3)] == [2, 1, 1]
    store.carry_out(ClosePart(OF.id, keep=True))
    assert calls_of(begun(store.card, 64_000), SyncPart(OF.id)) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("offset", [-1, OF.size_bytes, OF.size_bytes - 2])
def test_bytes_outside_of_the_reserved_room_are_our_own_bug(offset: int) -> None:
    store = begun(SimCard())
    store.carry_out(WritePart(OF.id, OF.size_bytes - 3, b"end"))
    with pytest.raises(AssertionError):
        store.carry_out(WritePart(OF.id, offset, b"end"))


def test_after_a_failed_fsync_at_its_end_the_part_is_gone_and_nothing_more_is_taken() -> None:
    card = SimCard()
    store = begun(card)
    store.carry_out(WritePart(OF.id, 0, DATA))
    card.options.at[card.calls + 1] = Fault.IO
    with pytest.raises(CardError):
        store.carry_out(FinishPart(OF, NONCE))
    assert files(card) == {}
    with pytest.raises(CardError) as raised:
        store.carry_out(WritePart(OF.id, 0, DATA))
    assert str(raised.value) == f"picture {OF.id} is not being received; its parts were thrown away"


@pytest.mark.parametrize("size_bytes", [64_000, 128_000, 150_000])
def test_a_file_that_goes_on_behind_the_picture_is_not_whole_wherever_blocks_end(size_bytes: int) -> None:
    card = SimCard()
    store = Store(card, UNIT)
    of = picture(8, DATA[:size_bytes])
    put(card, store.path(of), DATA[:size_bytes])
    assert store.digest_file(DigestFile(of)).whole
    card.unlink(store.path(of))
    put(card, store.path(of), DATA[:size_bytes] + b"x")
    assert not store.digest_file(DigestFile(of)).whole


def test_a_part_that_cannot_be_unlinked_is_left_to_the_next_start() -> None:
    card = SimCard()
    store = begun(card)
    card.options.at[card.calls + 1] = Fault.IO
    store.carry_out(ClosePart(OF.id, keep=False))
    assert list(files(card)) == [PART]


@pytest.mark.parametrize("size_bytes", [0, 1, 64_000, 150_000])
def test_a_file_without_a_row_is_measured_on_the_medium(size_bytes: int) -> None:
    card = SimCard()
    put(card, "own/x", DATA[:size_bytes])
    assert Store(card, UNIT).measure("own/x") == (size_bytes, hashlib.sha256(DATA[:size_bytes]).digest())


def test_a_picture_goes_where_no_preview_was_ever_kept(tmp_path: Path) -> None:
    for card in (SimCard(), DirectoryCard(str(tmp_path / "card"))):
        store = Store(card, UNIT)
        path = put_picture(card, picture(1))
        store.carry_out(RemoveFile(picture(1), keep_preview=False))
        assert path not in files(card)


def test_pictures_that_were_received_raise_the_floor_like_own_ones() -> None:
    store = Store(SimCard(CardOptions(size_bytes=200_000_000)), UNIT)
    giant = picture(8, bytes(12_000_000), unit=2)
    store.carry_out(BeginPart(giant, 0))
    assert store.carry_out(FinishPart(giant, NONCE)) is not None
    assert store.floor_bytes() == 24_000_000
    store.carry_out(shot(1))
    assert store.floor_bytes() == 24_000_000


# ------------------------------------------------------------ previews of held pictures


def test_the_preview_of_a_held_picture_is_kept_until_the_picture_goes() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    store.carry_out(SavePreview(OF.id, PREVIEW))
    card.power_cut()
    assert store.carry_out(ReadPreview(OF.id)) == PREVIEW
    store.carry_out(RemoveFile(OF, keep_preview=False))
    card.power_cut()
    assert store.carry_out(ReadPreview(OF.id)) == b""


def test_a_preview_may_have_4096_bytes_and_no_more() -> None:
    store = Store(SimCard(), UNIT)
    preview = PREVIEW[:-2] + bytes(4096 - len(PREVIEW)) + PREVIEW[-2:]
    store.carry_out(SavePreview(OF.id, preview))
    assert store.carry_out(ReadPreview(OF.id)) == preview
    with pytest.raises(AssertionError):
        store.carry_out(SavePreview(OF.id, preview + b" "))


def test_a_shot_that_finds_its_place_taken_leaves_no_preview() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    card.make_directory(store.path(picture(1)))
    with pytest.raises(CardError):
        store.carry_out(shot(1))
    assert files(card) == {}


def test_a_shot_that_is_read_back_wrong_twice_tells_what_a_person_can_do() -> None:
    card = SimCard(CardOptions(below={"tmp/": Fault.ROT}))
    with pytest.raises(CardError) as raised:
        Store(card, UNIT).carry_out(shot(1))
    assert str(raised.value) == f"picture {picture(1).id} was read back wrong; the card is worn out, replace it"


# ------------------------------------------------------------ room


def test_free_space_is_what_is_above_the_floor_and_never_below_nothing() -> None:
    card = SimCard(CardOptions(size_bytes=FLOOR_SMALL_BYTES + 409_600))
    store = Store(card, UNIT)
    assert store.carry_out(FreeSpace()) == 409_600
    store.saw(FLOOR_SMALL_BYTES)
    assert store.carry_out(FreeSpace()) == 0


def test_a_picture_may_take_all_that_is_above_the_floor() -> None:
    card = SimCard(CardOptions(size_bytes=FLOOR_SMALL_BYTES + OF.size_bytes))
    store = begun(card)
    store.carry_out(ClosePart(OF.id, keep=False))
    with pytest.raises(CardFull):
        store.carry_out(BeginPart(picture(8, DATA + b"x", unit=2), 0))


def test_where_the_floor_would_be_passed_the_numbers_are_told() -> None:
    card = SimCard(CardOptions(size_bytes=FLOOR_SMALL_BYTES + 100_000))
    free = card.free_bytes()
    with pytest.raises(CardFull) as raised:
        Store(card, UNIT).carry_out(BeginPart(OF, 0))
    assert str(raised.value) == (
        f"the card's file system has {free} bytes left; {FLOOR_SMALL_BYTES} stay free and 150000 are needed; "
        "nothing was written; make room on the card"
    )
