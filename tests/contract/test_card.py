"""What every Card must do, run on a real directory and on the simulated card."""

from __future__ import annotations

import ctypes
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from unprivileged import nobody

from hal.directory_card import DirectoryCard, DirectoryFile
from hal.errors import CardError, CardFull, CardReadOnly
from hal.interfaces import Card, CardEntry
from sim import power
from sim.card import CardOptions, Fault, PowerCut, SimCard


@pytest.fixture(params=["directory", "sim"])
def card(request: pytest.FixtureRequest, tmp_path: Path) -> Card:
    if request.param == "directory":
        return DirectoryCard(str(tmp_path / "card"))
    return SimCard()


def put(card: Card, path: str, data: bytes) -> None:
    file = card.create(path, len(data))
    file.write(0, data)
    file.sync()
    file.close()


def bytes_of(card: Card, path: str) -> bytes:
    file = card.open(path)
    try:
        return file.read(0, 1_000_000)
    finally:
        file.close()


def test_a_new_file_has_its_whole_size_at_once(card: Card) -> None:
    card.create("a", 100_000).close()
    assert card.entries("") == [CardEntry("a", 100_000, False)]
    assert card.total_bytes() >= card.free_bytes() > 0


def test_a_card_that_takes_no_writes_has_no_room_for_us() -> None:
    with pytest.raises(CardReadOnly):
        SimCard(CardOptions(read_only=True)).free_bytes()


@pytest.mark.skipif(bool(power.why_not()), reason=power.why_not())
def test_a_directory_whose_file_system_was_mounted_anew_to_be_read_only_has_no_room_for_us() -> None:
    remount, read_only = 32, 1  # MS_REMOUNT, MS_RDONLY of <linux/mount.h>

    def look(top: Path) -> None:
        card = DirectoryCard(str(top))
        assert card.free_bytes() > 0
        flags = ctypes.c_ulong(remount | read_only)
        assert ctypes.CDLL(None).mount(b"card", bytes(top), b"fuse", flags, None) == 0
        with pytest.raises(CardReadOnly, match="takes no more writes"):
            card.free_bytes()

    assert power.run(look).error == ""


def test_the_room_of_a_new_file_is_taken_at_once(tmp_path: Path) -> None:
    DirectoryCard(str(tmp_path)).create("a", 100_000).close()
    assert (tmp_path / "a").stat().st_blocks * 512 >= 100_000


def test_an_empty_file_can_be_made(card: Card) -> None:
    card.create("a", 0).close()
    assert bytes_of(card, "a") == b""


def test_create_refuses_a_name_that_exists_and_leaves_it_alone(card: Card) -> None:
    put(card, "a", b"first")
    with pytest.raises(FileExistsError):
        card.create("a", 3)
    assert bytes_of(card, "a") == b"first"


def test_create_and_open_need_their_directory(card: Card) -> None:
    for call in (lambda: card.create("x/a", 3), lambda: card.open("x/a"), lambda: card.open("a")):
        with pytest.raises(FileNotFoundError):
            call()


def test_bytes_are_written_and_read_at_offsets(card: Card) -> None:
    file = card.create("a", 10)
    file.write(4, b"xyz")
    file.write(9, b"!+")
    file.sync()
    file.forget_cache()
    assert file.read(0, 100) == b"\0\0\0\0xyz\0\0!+"
    assert file.read(5, 2) == b"yz"
    assert file.read(11, 4) == b""
    file.close()
    file.close()


def test_a_file_can_be_opened_again_for_writing(card: Card) -> None:
    put(card, "a", b"abcdef")
    file = card.open("a", writable=True)
    file.write(2, b"-")
    file.sync()
    file.close()
    assert bytes_of(card, "a") == b"ab-def"


def test_directories_are_made_with_their_parents_and_again_without_harm(card: Card) -> None:
    card.make_directory("own/00001-3fa7")
    put(card, "own/00001-3fa7/a", b"1")
    card.make_directory("own/00001-3fa7")
    assert [(e.name, e.is_directory) for e in card.entries("own")] == [("00001-3fa7", True)]
    assert [(e.name, e.size_bytes, e.is_directory) for e in card.entries("own/00001-3fa7")] == [("a", 1, False)]


def test_entries_are_sorted_and_empty_where_nothing_is(card: Card) -> None:
    for name in ("b", "c", "a"):
        put(card, name, b"")
    assert [e.name for e in card.entries("")] == ["a", "b", "c"]
    assert card.entries("nowhere/at/all") == []


def test_rename_moves_between_directories(card: Card) -> None:
    card.make_directory("one")
    card.make_directory("two")
    put(card, "one/a", b"data")
    card.rename("one/a", "two/b")
    card.sync_directory("two")
    assert card.entries("one") == []
    assert bytes_of(card, "two/b") == b"data"
    with pytest.raises(FileNotFoundError):
        card.rename("one/a", "two/c")


def test_unlink_removes_and_gives_room_back(card: Card) -> None:
    put(card, "a", b"data")
    card.unlink("a")
    card.sync_directory("")
    assert card.entries("") == []
    with pytest.raises(FileNotFoundError):
        card.unlink("a")


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "own/../../a", "own//a", "./a", "own/"])
def test_no_path_leaves_the_card(card: Card, path: str) -> None:
    with pytest.raises(AssertionError):
        card.open(path)
    with pytest.raises(AssertionError):
        card.entries(path)


def test_too_large_a_file_is_refused_and_leaves_nothing(card: Card) -> None:
    with pytest.raises(CardFull):
        card.create("a", card.total_bytes() * 2)
    assert card.entries("") == []


def test_a_file_does_not_take_the_place_of_a_directory(card: Card) -> None:
    put(card, "a", b"data")
    card.make_directory("b")
    with pytest.raises(CardError):
        card.rename("a", "b")
    assert bytes_of(card, "a") == b"data"


def test_a_file_where_a_directory_should_be_is_a_card_error(card: Card) -> None:
    put(card, "own", b"")
    with pytest.raises(CardError):
        card.create("own/a", 1)


def test_what_is_no_file_is_not_opened_and_what_is_no_directory_not_made(card: Card) -> None:
    card.make_directory("own")
    put(card, "tmp", b"")
    with pytest.raises(CardError):
        card.open("own")
    with pytest.raises(CardError):
        card.make_directory("tmp")
    with pytest.raises(CardError):
        card.make_directory("tmp/below")


# ------------------------------------------------------------ the real one


def test_what_cannot_fit_takes_no_room_from_others_while_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = DirectoryCard(str(tmp_path / "card"))
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: pytest.fail("was reserved"))
    with pytest.raises(CardFull, match=r"create a on the card.*full; make room"):
        card.create("a", card.total_bytes() + 1)
    assert card.entries("") == []


def test_real_fifos_are_not_waited_for_and_links_to_nothing_are_no_directories(tmp_path: Path) -> None:
    card = DirectoryCard(str(tmp_path / "card"))
    os.mkfifo(tmp_path / "card" / "fifo")
    os.symlink("/nowhere/at/all", tmp_path / "card" / "own")
    for writable in (False, True):
        with pytest.raises(CardError, match="not a file"):
            card.open("fifo", writable=writable)
    with pytest.raises(CardError, match="leads nowhere"):
        card.make_directory("own")


def test_a_card_whose_directory_is_a_file_or_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.symlink("/nowhere/at/all", tmp_path / "link")
    for path in ("file", "link", "link/below", "file/below"):
        with pytest.raises(CardError):
            DirectoryCard(str(tmp_path / path))
    assert not Path("/nowhere").exists()


def test_names_that_the_card_says_nothing_of_do_not_hide_the_others(public: Path) -> None:
    """A directory that may be listed and not searched: lstat of what is in it fails, as it does on a spoilt inode."""
    with nobody():
        card = DirectoryCard(str(public))
        card.make_directory("held/below")
        put(card, "held/a", b"data")
        (public / "held").chmod(0o400)
        found = card.entries("held")
        (public / "held").chmod(0o700)
    assert [(e.name, e.is_unreadable, e.is_directory) for e in found] == [("a", True, False), ("below", True, True)]
    assert card.entries("held")[0] == CardEntry("a", 4, False)


def test_real_files_are_private_and_links_are_not_followed(tmp_path: Path) -> None:
    card = DirectoryCard(str(tmp_path / "card"))
    put(card, "a", b"x")
    assert stat.S_IMODE((tmp_path / "card" / "a").stat().st_mode) == 0o600
    os.symlink("/etc/hostname", tmp_path / "card" / "link")
    with pytest.raises(CardError):
        card.open("link")


def test_a_full_file_system_is_told_in_words() -> None:
    file = DirectoryFile(os.open("/dev/full", os.O_RDWR), "full")
    with pytest.raises(CardFull, match="could not write full on the card: the file system is full"):
        file.write(0, b"x")
    file.close()


# ------------------------------------------------------------ the simulated one: power cuts and faults


def test_a_name_of_which_the_card_gives_nothing_else() -> None:
    card = SimCard()
    card.make_directory("d/b")
    for path in ("d/a", "d/c"):
        put(card, path, b"data")
    card.options.unreadable |= {"d/a", "d/b"}
    found = card.entries("d")
    assert [(e.is_unreadable, e.is_directory) for e in found] == [(True, False), (True, True), (False, False)]
    with pytest.raises(CardError):
        card.open("d/a")
    with pytest.raises(CardError):
        card.rename("d/a", "d/e")


def test_a_cut_takes_what_was_not_synced() -> None:
    card = SimCard()
    card.make_directory("d")
    put(card, "d/unsynced-name", b"data")
    put(card, "d/kept", b"data")
    card.sync_directory("d")
    put(card, "d/later", b"data")
    card.unlink("d/kept")
    file = card.open("d/unsynced-name", writable=True)
    file.write(0, b"DATA")
    card.power_cut()
    assert [e.name for e in card.entries("d")] == ["kept", "unsynced-name"]
    assert bytes_of(card, "d/kept") == bytes_of(card, "d/unsynced-name") == b"data"
    with pytest.raises(AssertionError):
        file.write(0, b"x")


def test_a_name_may_outlive_its_data() -> None:
    card = SimCard()
    card.create("a", 5).write(0, b"12345")
    card.sync_directory("")
    card.power_cut()
    assert card.entries("") == [CardEntry("a", 0, False)]


def test_a_torn_cut_mixes_old_and_new_blocks_and_is_repeatable() -> None:
    def torn(seed: int) -> bytes:
        card = SimCard()
        put(card, "a", b"o" * 40_000)
        card.sync_directory("")
        card.open("a", writable=True).write(0, b"n" * 40_000)
        card.power_cut(random.Random(seed))
        return bytes_of(card, "a")

    assert torn(1) == torn(1)
    assert set(torn(1)) == {ord("o"), ord("n")}


def test_after_a_failed_sync_the_medium_has_the_old_bytes() -> None:
    card = SimCard()
    put(card, "a", b"old")
    file = card.open("a", writable=True)
    file.write(0, b"new")
    card.options.at[card.calls + 1] = Fault.IO
    with pytest.raises(CardError):
        file.sync()
    with pytest.raises(AssertionError):
        file.sync()
    assert file.read(0, 3) == b"new"
    file.forget_cache()
    assert file.read(0, 3) == b"old"


def test_a_call_that_says_it_has_failed_may_be_done() -> None:
    card = SimCard()
    put(card, "a", b"new")

    def fails(call: Callable[..., None], *paths: str) -> None:
        card.options.at[card.calls + 1] = Fault.DONE
        with pytest.raises(CardError, match="done all the same"):
            call(*paths)

    fails(card.rename, "a", "b")
    fails(card.sync_directory, "")
    card.power_cut()
    assert bytes_of(card, "b") == b"new"
    fails(card.unlink, "b")
    assert card.entries("") == []


def test_faults_hit_the_chosen_call_and_path() -> None:
    card = SimCard(CardOptions(size_bytes=100_000, below={"bad/": Fault.IO}))
    card.make_directory("bad")
    with pytest.raises(CardError):
        card.create("bad/a", 1)
    card.options.at[card.calls + 1] = Fault.FULL
    with pytest.raises(CardFull):
        card.create("a", 1)
    card.create("a", 8192).close()
    assert card.free_bytes() == 100_000 - 8192
    card.options.read_only = True
    with pytest.raises(CardReadOnly):
        card.unlink("a")
    card.options.at[card.calls + 2] = Fault.ROT
    assert bytes_of(card, "a") != bytes(8192)
    assert bytes_of(card, "a") == bytes(8192)


def test_after_the_cut_nothing_works_until_the_power_is_back() -> None:
    card = SimCard(CardOptions(cut_after=1))
    card.create("a", 1)
    with pytest.raises(PowerCut):
        card.sync_directory("")
    with pytest.raises(PowerCut):
        card.entries("")
    card.power_cut()
    assert card.entries("") == []
