"""The store keeps, receives and removes pictures by the recipes of HANDOVER §1, whatever call fails."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from card_scene import CARD, PREVIEW, UNIT, bytes_of, content, files, picture, put, put_picture, shot

from firmware.events import (
    BeginPart,
    ClosePart,
    DigestFile,
    FinishPart,
    Quarantine,
    ReadFile,
    ReadPreview,
    RemoveFile,
    SyncPart,
    WritePart,
)
from firmware.pictures import Entry, File, Picture
from firmware.store import FLOOR_LARGE_BYTES, FLOOR_SMALL_BYTES, MAX_OPEN_PARTS, Store
from hal.directory_card import DirectoryCard
from hal.errors import CardError, CardFull
from hal.interfaces import CardFile
from sim.camera import MemoryShot
from sim.card import CardOptions, Fault, SimCard

NONCE = b"0123456789abcdef"


def proof_of(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=NONCE).digest()


def receive(store: Store, of: Picture, data: bytes) -> bytes | None:
    store.carry_out(BeginPart(of, 0))
    for offset in range(0, len(data), 50_000):
        store.carry_out(WritePart(of.id, offset, data[offset : offset + 50_000]))
    proof = store.carry_out(FinishPart(of, NONCE))
    assert proof is None or isinstance(proof, bytes)
    return proof


@pytest.mark.parametrize("kind", ["directory", "sim"])
def test_an_own_picture_is_a_plain_file_under_its_name(kind: str, tmp_path: Path) -> None:
    card = DirectoryCard(str(tmp_path / "card")) if kind == "directory" else SimCard()
    store = Store(card, UNIT)
    store.carry_out(shot(42))
    digits = hashlib.sha256(content(42)).hexdigest()[:16]
    assert files(card) == {
        f"own/00001-3fa7/00001-3fa7-00000042-{digits}.jpg": content(42),
        "preview/00001-3fa7-00000042.jpg": PREVIEW,
    }
    assert store.carry_out(ReadFile(picture(42), 100, 50)) == content(42)[100:150]
    assert store.carry_out(ReadFile(picture(42), 149_990, 50)) == content(42)[149_990:]
    assert store.carry_out(ReadPreview(picture(42).id)) == PREVIEW


def test_a_received_picture_is_proved_over_what_was_read_back() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    of = picture(7, unit=2)
    assert receive(store, of, content(7)) == proof_of(content(7))
    assert files(card) == {f"held/00002/{of.file_name}": content(7)}


def test_what_is_not_the_picture_is_thrown_away() -> None:
    card = SimCard()
    wrong = content(7)[:-1] + b"?"
    assert receive(Store(card, UNIT), picture(7, unit=2), wrong) is None
    assert files(card) == {}


def test_a_medium_that_lies_is_found_before_the_proof_is_given() -> None:
    card = SimCard(CardOptions(below={"tmp/": Fault.ROT}))
    assert receive(Store(card, UNIT), picture(7, unit=2), content(7)) is None
    assert files(card) == {}


def test_a_part_is_taken_up_where_it_was_synced() -> None:
    card = SimCard()
    of, data = picture(7, unit=2), content(7)
    store = Store(card, UNIT)
    store.carry_out(BeginPart(of, 0))
    store.carry_out(WritePart(of.id, 0, data[:64_000]))
    store.carry_out(SyncPart(of.id))
    store.carry_out(WritePart(of.id, 64_000, data[64_000:70_000]))
    card.power_cut()
    again = Store(card, UNIT)
    assert again.carry_out(BeginPart(of, 64_000)) == 64_000
    again.carry_out(WritePart(of.id, 64_000, data[64_000:]))
    assert again.carry_out(FinishPart(of, NONCE)) == proof_of(data)


def test_a_part_of_unknown_content_or_another_length_is_begun_anew() -> None:
    card = SimCard()
    of = picture(7, unit=2)
    store = Store(card, UNIT)
    for leftover, kept_bytes in ((of.size_bytes, 0), (1000, 64_000)):
        put(card, f"tmp/{of.id}.part", b"x" * leftover)
        assert store.carry_out(BeginPart(of, kept_bytes)) == 0
        assert bytes_of(card, f"tmp/{of.id}.part") == bytes(of.size_bytes)
        store.carry_out(ClosePart(of.id, keep=False))
    assert store.carry_out(BeginPart(of, 64_000)) == 0


def test_closing_a_part_keeps_or_removes_it_and_may_be_said_twice() -> None:
    card = SimCard()
    of = picture(7, unit=2)
    store = Store(card, UNIT)
    store.carry_out(BeginPart(of, 0))
    store.carry_out(ClosePart(of.id, keep=True))
    assert list(files(card)) == [f"tmp/{of.id}.part"]
    for _ in range(2):
        store.carry_out(ClosePart(of.id, keep=False))
    assert files(card) == {}
    with pytest.raises(CardError, match="not being received"):
        store.carry_out(WritePart(of.id, 0, b"x"))


def test_more_parts_than_the_table_holds_are_our_own_bug() -> None:
    store = Store(SimCard(), UNIT)
    for sequence in range(MAX_OPEN_PARTS):
        store.carry_out(BeginPart(picture(sequence, b"data", unit=2), 0))
    with pytest.raises(AssertionError):
        store.carry_out(BeginPart(picture(99, b"data", unit=2), 0))


def test_after_a_failed_fsync_the_part_is_gone_and_its_descriptor_never_synced_again() -> None:
    card = SimCard()
    of = picture(7, unit=2)
    store = Store(card, UNIT)
    store.carry_out(BeginPart(of, 0))
    store.carry_out(WritePart(of.id, 0, content(7)))
    card.options.at[card.calls + 1] = Fault.IO
    with pytest.raises(CardError):
        store.carry_out(SyncPart(of.id))
    assert files(card) == {}


def test_an_own_shot_survives_one_failed_write_or_fsync_by_a_new_file_from_memory() -> None:
    tried = 0
    for call in range(1, 100):
        card = SimCard()
        store = Store(card, UNIT, read_back_own=1)
        store.carry_out(shot(1))
        first = card.calls
        card.options.at[first + call] = Fault.IO
        try:
            store.carry_out(shot(2))
        except CardError:
            continue
        if card.calls < first + call:
            break
        card.options.at.clear()
        assert bytes_of(card, store.path(picture(2))) == content(2)
        tried += 1
    assert tried >= 8


def test_a_second_failed_fsync_raises_and_leaves_the_card_as_before() -> None:
    card = SimCard(CardOptions(below={"tmp/": Fault.IO}))
    card.make_directory("own")
    before = files(card, "own")
    with pytest.raises(CardError):
        Store(card, UNIT).carry_out(shot(1))
    card.options.below.clear()
    assert files(card, "own") == before
    assert files(card, "tmp") == {}


@pytest.mark.parametrize("fault", [Fault.FULL, Fault.IO])
def test_a_fault_at_any_call_leaves_the_picture_whole_or_the_card_as_before(fault: Fault) -> None:
    """Own pictures and received ones; the fault may hit the preview, which no picture waits for."""
    of = picture(7, unit=2)
    for call in range(1, 200):
        card = SimCard()
        store = Store(card, UNIT, read_back_own=1)
        store.carry_out(shot(1))
        before, first = files(card), card.calls
        card.options.at[first + call] = fault
        told = []
        try:
            store.carry_out(shot(2))
            told.append(picture(2))
            receive(store, of, content(7))
            told.append(of)
        except CardError:
            store.carry_out(ClosePart(of.id, keep=False))
        at_end = card.calls < first + call
        card.options.at.clear()
        found = files(card)
        assert {store.path(p): content(p.id.sequence) for p in told}.items() <= found.items()
        rest = found.keys() - before.keys() - {store.path(p) for p in told}
        assert rest <= {f"preview/{picture(2).id}.jpg"}
        assert before.items() <= found.items()
        if at_end:
            return
    pytest.fail("the recipes never came to an end")


def test_a_medium_that_lies_about_an_own_shot_is_found_where_it_is_read_back() -> None:
    options = CardOptions(below={"tmp/": Fault.ROT})
    with pytest.raises(CardError, match="read back wrong"):
        Store(SimCard(options), UNIT, read_back_own=1).carry_out(shot(1))
    store = Store(SimCard(options), UNIT)
    with pytest.raises(CardError):
        store.carry_out(shot(1))
    for sequence in range(2, 9):
        store.carry_out(shot(sequence))
    with pytest.raises(CardError):
        store.carry_out(shot(9))


def test_a_preview_that_cannot_be_kept_does_not_cost_the_picture() -> None:
    card = SimCard(CardOptions(below={"preview": Fault.IO}))
    store = Store(card, UNIT)
    store.carry_out(shot(1))
    card.options.below.clear()
    assert files(card) == {store.path(picture(1)): content(1)}
    assert store.carry_out(ReadPreview(picture(1).id)) == b""


def test_a_preview_left_by_a_shot_that_never_was_is_replaced() -> None:
    card = SimCard()
    put(card, f"preview/{picture(1).id}.jpg", b"\xff\xd8 of another shot \xff\xd9")
    store = Store(card, UNIT)
    store.carry_out(shot(1))
    assert store.carry_out(ReadPreview(picture(1).id)) == PREVIEW


def test_a_torn_preview_is_none() -> None:
    card = SimCard()
    put(card, f"preview/{picture(1).id}.jpg", PREVIEW[:-4] + bytes(4))
    assert Store(card, UNIT).carry_out(ReadPreview(picture(1).id)) == b""


def test_removing_is_durable_and_may_be_said_twice() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    store.carry_out(shot(1))
    store.carry_out(shot(2))
    for _ in range(2):
        store.carry_out(RemoveFile(picture(1), keep_preview=True))
        store.carry_out(RemoveFile(picture(2), keep_preview=False))
    store.carry_out(RemoveFile(picture(3, unit=9), keep_preview=False))
    card.power_cut()
    assert files(card, "own") == {}
    assert list(files(card, "preview")) == [f"preview/{picture(1).id}.jpg"]


def test_one_bit_that_is_read_wrong_once_is_no_damage() -> None:
    """It cost the own file: put aside as rotten, before any copy of it was in the list."""
    card = SimCard()
    store = Store(card, UNIT)
    put_picture(card, picture(1))
    before = card.calls
    store.digest_file(DigestFile(picture(1), (NONCE,)))
    for call in range(1, card.calls - before + 1):
        card.options.at[card.calls + call] = Fault.ROT
        found = store.digest_file(DigestFile(picture(1), (NONCE,)))
        assert found.whole
        assert found.proofs == (proof_of(content(1)),)


def test_the_digest_is_of_the_whole_file_on_the_medium() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    path = put_picture(card, picture(1))
    nonces = (NONCE, b"another nonce")
    found = store.digest_file(DigestFile(picture(1), nonces))
    assert found.whole
    assert found.proofs == tuple(hashlib.blake2b(content(1), digest_size=16, key=n).digest() for n in nonces)
    card.rot(path, 149_999)
    assert not store.digest_file(DigestFile(picture(1), nonces)).whole
    with pytest.raises(CardError, match="not on the card"):
        store.digest_file(DigestFile(picture(2)))


def written_and_not_synced(store: Store) -> tuple[str, CardFile]:
    """The path and the open file of picture 1, which its reader sees whole."""
    path = store.path(picture(1))
    store.card.make_directory(f"own/00001-{CARD:04x}")
    file = store.card.create(path, 150_000)
    file.write(0, content(1))
    return path, file


def test_a_digest_is_not_fooled_by_pages_that_never_reached_the_medium() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    path, file = written_and_not_synced(store)
    card.options.at[card.calls + 1] = Fault.IO
    with pytest.raises(CardError):
        file.sync()
    assert bytes_of(card, path) == content(1)
    assert not store.digest_file(DigestFile(picture(1))).whole


def test_what_a_row_says_is_whole_was_synced_before_that() -> None:
    of = picture(1)
    assert DigestFile.of(Entry(of, File.WHOLE), b"nonce") == DigestFile(of, (b"nonce",), durable=True)
    assert DigestFile.of(Entry(of, File.UNCHECKED)) == DigestFile(of)


def test_a_file_that_is_durable_is_not_synced_for_its_digest_and_one_that_may_not_be_is() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    path, _ = written_and_not_synced(store)
    assert store.digest_file(DigestFile(picture(1), durable=True)).whole
    assert card.durable(path) is None
    assert store.digest_file(DigestFile(picture(1))).whole
    assert card.durable(path) == content(1)


@pytest.mark.parametrize("extra", [b"", b"x"])
def test_a_file_of_another_length_is_not_whole(extra: bytes) -> None:
    card = SimCard()
    data = content(1)[:-1] if not extra else content(1) + extra
    put(card, Store(card, UNIT).path(picture(1)), data)
    assert not Store(card, UNIT).digest_file(DigestFile(picture(1))).whole


def test_a_checked_file_survives_a_cut_even_if_the_process_before_never_synced_it() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    path = put_picture(card, picture(1))
    card.rename(path, path + "x")
    card.sync_directory(f"own/00001-{CARD:04x}")
    card.rename(path + "x", path)
    assert store.digest_file(DigestFile(picture(1))).whole
    card.power_cut()
    assert bytes_of(card, path) == content(1)


def test_quarantine_never_overwrites_and_is_durable() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    for _ in range(3):
        put_picture(card, picture(1))
        store.carry_out(Quarantine(picture(1)))
    store.carry_out(Quarantine(picture(1)))
    card.power_cut()
    name = f"quarantine/{picture(1).file_name}"
    assert files(card) == {name: content(1), f"{name}.1": content(1), f"{name}.2": content(1)}


def test_the_floor_of_the_file_system_stays_free() -> None:
    card = SimCard(CardOptions(size_bytes=FLOOR_SMALL_BYTES + 400_000))
    store = Store(card, UNIT)
    store.carry_out(shot(1))
    store.carry_out(shot(2))
    before = files(card)
    with pytest.raises(CardFull, match="needed"):
        store.carry_out(shot(3))
    with pytest.raises(CardFull):
        store.carry_out(BeginPart(picture(3, unit=2), 0))
    assert files(card) == before
    assert card.free_bytes() >= FLOOR_SMALL_BYTES


def test_the_floor_grows_with_the_card_and_with_the_pictures() -> None:
    assert Store(SimCard(CardOptions(size_bytes=1_000_000_000)), UNIT).floor_bytes() == 50_000_000
    assert Store(SimCard(CardOptions(size_bytes=10**12)), UNIT).floor_bytes() == FLOOR_LARGE_BYTES
    store = Store(SimCard(), UNIT)
    assert store.floor_bytes() == FLOOR_SMALL_BYTES
    store.saw(30_000_000)
    assert store.floor_bytes() == 60_000_000


def test_a_peer_that_reserves_a_giant_does_not_raise_the_floor() -> None:
    store = Store(SimCard(), UNIT)
    giant = Picture(picture(1, unit=2).id, 40_000_000, bytes(32))
    store.carry_out(BeginPart(giant, 0))
    store.carry_out(ClosePart(giant.id, keep=False))
    assert store.floor_bytes() == FLOOR_SMALL_BYTES


def test_a_shot_without_preview_removes_one_that_was_left() -> None:
    card = SimCard()
    put(card, f"preview/{picture(1).id}.jpg", PREVIEW)
    request = shot(1)
    Store(card, UNIT).keep_shot(type(request)(request.picture, MemoryShot(content(1), b"")))
    assert files(card, "preview") == {}


@pytest.mark.parametrize("kind", ["directory", "sim"])
def test_a_directory_in_place_of_the_preview_does_not_cost_the_picture(kind: str, tmp_path: Path) -> None:
    card = DirectoryCard(str(tmp_path / "card")) if kind == "directory" else SimCard()
    card.make_directory(f"preview/{picture(1).id}.jpg")
    store = Store(card, UNIT)
    store.carry_out(shot(1))
    assert files(card) == {store.path(picture(1)): content(1)}
    with pytest.raises(CardError):
        store.carry_out(ReadPreview(picture(1).id))


@pytest.mark.parametrize("place", ["tmp", "held/00002"])
def test_a_directory_where_a_picture_is_to_be_written_is_a_card_error(place: str) -> None:
    card = SimCard()
    of = picture(7, unit=2)
    name = f"{of.id}.part" if place == "tmp" else of.file_name
    put(card, f"{place}/{name}/x", b"x")
    with pytest.raises(CardError):
        receive(Store(card, UNIT), of, content(7))
    assert files(card) == {f"{place}/{name}/x": b"x"}


def test_directories_that_somebody_took_away_are_a_card_error_and_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    store = Store(DirectoryCard(str(folder)), UNIT)
    store.carry_out(shot(1))
    store.carry_out(BeginPart(picture(7, unit=2), 0))
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(CardError, match="not as this unit left them"):
        store.carry_out(SyncPart(picture(7, unit=2).id))
    store.carry_out(shot(2))
    assert bytes_of(store.card, store.path(picture(2))) == content(2)


def test_a_directory_in_place_of_a_file_is_read_as_a_card_error(tmp_path: Path) -> None:
    for card in (SimCard(), DirectoryCard(str(tmp_path / "card"))):
        store = Store(card, UNIT)
        card.make_directory(store.path(picture(1)))
        for request in (ReadFile(picture(1), 0, 5), DigestFile(picture(1)), RemoveFile(picture(1), keep_preview=True)):
            with pytest.raises(CardError):
                store.carry_out(request)
