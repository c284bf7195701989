"""A card that was a file system of its own, and is not mounted at a start: nothing is written in its place."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from unprivileged import nobody

from firmware import config, offline
from firmware.beginning import Beginning
from firmware.errors import Refused
from firmware.running import run, temporary
from firmware.service import Service
from firmware.status import faults
from hal import card_mount
from hal.errors import CardError
from sim import power

WHY_NO_MOUNT = power.why_not()
PATIENCE_S = 60.0  # for what must happen
ELSEWHERE = Path("/proc")  # a file system of its own on every machine

TOML = """
[unit]
id = 1
runtime_dir = "{run}"
[card]
path = "{card}"
[camera]
driver = "none"
[radio]
driver = "none"
"""


def loaded(card: Path, place: Path) -> config.Config:
    file = place / "unit.toml"
    file.write_text(TOML.format(run=place / "run", card=card))
    return config.load(file)


@pytest.fixture
def place() -> Iterator[Path]:
    """That everybody may use, with a card that was mounted, and is not."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made)
        path.chmod(0o777)
        (path / "card").symlink_to(ELSEWHERE)
        card_mount.remember(path / "card")
        (path / "card").unlink()
        (path / "card").mkdir()
        yield path


@asynccontextmanager
async def starting_anew(there: config.Config) -> AsyncIterator[Service]:
    """A unit that is ready, and starts anew by what is done to it meanwhile."""
    service, ready = Service(there, temporary=False), asyncio.Event()
    unit = asyncio.create_task(service.main(ready.set))
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    yield service
    await asyncio.wait_for(unit, PATIENCE_S)
    assert service.starts_anew


def test_a_directory_that_never_was_a_mount_is_as_good_as_any(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    card_mount.remember(tmp_path / "card")
    assert os.listdir(tmp_path) == ["card"]
    card_mount.require(tmp_path / "card")


def test_what_was_a_mount_is_one_until_it_is_none_or_the_note_of_it_was_removed(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.symlink_to(ELSEWHERE)
    for _ in range(2):  # each start
        card_mount.remember(card)
        card_mount.require(card)
    note = tmp_path / "card.mounted"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    card.unlink()
    with pytest.raises(CardError, match="is not mounted") as missing:
        card_mount.require(card)
    card.mkdir()
    with pytest.raises(CardError, match="is not mounted") as bare:
        card_mount.require(card)
    for error in (missing, bare):
        assert f"sudo mount {card}" in error.value.can
        assert f"remove {note}" in error.value.can
    note.unlink()
    card_mount.require(card)


@pytest.mark.parametrize("mode", [0o700, 0])
def test_a_unit_goes_on_without_a_card_that_is_not_mounted_and_writes_nothing_there(place: Path, mode: int) -> None:
    """mode 0: as if it were root's, who made the mount point."""
    there, problems = loaded(place / "card", place), list[str]()
    (place / "card").chmod(mode)

    async def live() -> None:
        service, ready = Service(there, temporary=False), asyncio.Event()
        unit = asyncio.create_task(service.main(ready.set))
        await asyncio.wait_for(ready.wait(), PATIENCE_S)
        problems.extend(faults(service))
        service.stop.set()
        await unit

    with nobody():
        there.unit.runtime_dir.mkdir()
        asyncio.run(live())
    assert any("goes on without its card" in each and f"sudo mount {there.card.path}" in each for each in problems)
    (place / "card").chmod(0o700)
    assert os.listdir(place / "card") == []


def test_a_card_that_is_mounted_later_is_gone_on_with_within_a_minute(place: Path) -> None:
    there = loaded(place / "card", place)
    there.unit.runtime_dir.mkdir()

    async def live(elsewhere: str) -> None:
        async with starting_anew(there) as service:
            service._read_clock()  # as each minute
            assert not service.starts_anew
            (place / "card").rmdir()
            (place / "card").symlink_to(elsewhere)
            service._read_clock()

    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        asyncio.run(live(elsewhere))
        assert os.listdir(elsewhere) == []
        asyncio.run(live_once(there))
        assert "catalogue.sqlite3" in os.listdir(elsewhere)


def test_a_card_behind_a_link_that_leads_nowhere_is_gone_on_with_once_it_leads_somewhere(tmp_path: Path) -> None:
    """It, or a directory above."""
    there, card = loaded(tmp_path / "media" / "card", tmp_path), tmp_path / "stick" / "card"
    there.unit.runtime_dir.mkdir()
    (tmp_path / "media").symlink_to(card.parent)

    async def live() -> None:
        async with starting_anew(there) as service:
            assert any("a link that leads nowhere, or behind one; mount what" in text for text in faults(service))
            service._read_clock()  # as each minute
            assert not service.starts_anew
            card.mkdir(parents=True)
            service._read_clock()

    asyncio.run(live())
    assert os.listdir(card) == []
    asyncio.run(live_once(there))
    assert "catalogue.sqlite3" in os.listdir(card)


def test_what_a_shot_finds_gone_is_told_and_taken_again_as_what_the_look_of_each_minute_finds(tmp_path: Path) -> None:
    there, card = loaded(tmp_path / "card", tmp_path), tmp_path / "stick"
    there.unit.runtime_dir.mkdir()
    card.mkdir()
    there.card.path.symlink_to(card)

    async def live() -> None:
        async with starting_anew(there) as service:
            card.rename(tmp_path / "away")
            service.unit.core.card_failed = "No such file or directory"  # as after the tries of a shot
            service.turn()
            assert any("a link that leads nowhere, or behind one; mount what" in text for text in faults(service))
            (tmp_path / "away").rename(card)
            service._read_clock()  # as each minute

    asyncio.run(live())
    asyncio.run(live_once(there))


def test_another_file_system_in_the_cards_place_is_found_within_a_minute_and_taken(tmp_path: Path) -> None:
    there = loaded(tmp_path / "card", tmp_path)
    there.unit.runtime_dir.mkdir()
    (tmp_path / "one").mkdir()
    there.card.path.symlink_to(tmp_path / "one")

    async def live(other: str) -> None:
        async with starting_anew(there) as service:
            there.card.path.unlink()
            there.card.path.symlink_to(other)
            service._read_clock()  # as each minute
            assert any("is another file system than when the unit began" in text for text in faults(service))
            service._read_clock()

    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        asyncio.run(live(other))
        assert os.listdir(other) == []
        asyncio.run(live_once(there))
        assert "catalogue.sqlite3" in os.listdir(other)


def test_a_link_in_a_circle_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "card").symlink_to("circle")
    (tmp_path / "circle").symlink_to("card")
    with pytest.raises(CardError, match="leads nowhere"):
        card_mount.require(tmp_path / "card")


def test_a_link_to_where_the_unit_may_not_look_is_no_card_that_is_gone(place: Path) -> None:
    (place / "stick" / "pictures").mkdir(parents=True)
    (place / "link").symlink_to(place / "stick" / "pictures")
    (place / "stick").chmod(0)
    with nobody():
        assert card_mount.why_gone(place / "link") is None
    (place / "stick").chmod(0o700)


def test_a_card_that_is_mounted_no_more_while_the_unit_runs_is_left_within_a_minute(tmp_path: Path) -> None:
    there, card = loaded(tmp_path / "card", tmp_path), tmp_path / "card"
    there.unit.runtime_dir.mkdir()

    async def live() -> None:
        async with starting_anew(there) as service:
            service._read_clock()
            assert not service.unit.core.settings.without_card
            card.unlink()
            card.mkdir()
            service._read_clock()
            assert f"sudo mount {card}" in service.unit.core.settings.without_card
            assert any(
                line.event == "alarm" and "not mounted" in line.text for line in service.unit.core.journal.after(0)
            )
            card.rmdir()
            card.symlink_to(elsewhere)
            service._read_clock()

    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        card.symlink_to(elsewhere)
        asyncio.run(live())


async def live_once(there: config.Config) -> None:
    """A unit that is told to end as soon as it is ready."""
    service = Service(there, temporary=False)
    await service.main(service.stop.set)
    assert not any("without its card" in each for each in faults(service))


@pytest.mark.parametrize("missing", [False, True])
def test_run_goes_on_where_the_mount_point_may_not_be_entered_or_is_not_there(place: Path, missing: bool) -> None:
    """It makes the card's directory before anything else, and locks it."""
    there = loaded(place / "card", place)
    (place / "card").chmod(0)
    if missing:
        (place / "card").rmdir()
    here, child_s = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open(child_s, "w") as sys.stderr, nobody():
                os._exit(run(there))
        finally:
            os._exit(1)
    os.close(child_s)
    with open(here) as said:
        lines = [line for line in iter(said.readline, "") if end_if(child, "ready: " in line)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert any("goes on without" in line for line in lines)
    assert (place / "card").exists() is not missing


def end_if(process: int, ready: bool) -> bool:
    if ready:
        os.kill(process, signal.SIGTERM)
    return True


def test_commands_that_run_without_a_unit_say_so(place: Path) -> None:
    there = loaded(place / "card", place)
    asked: list[Callable[[], object]] = [
        lambda: list(offline.list_rows(there, None, None)),
        lambda: list(offline.fsck_findings(there, repair=False)),
        lambda: list(offline.fsck_findings(there, repair=True)),
    ]
    for ask in asked:
        with pytest.raises(Refused, match="is not mounted"):
            ask()
    with pytest.raises(CardError, match="is not mounted"), temporary(there):
        pass
    assert os.listdir(place / "card") == []


@pytest.mark.skipif(bool(WHY_NO_MOUNT), reason=WHY_NO_MOUNT)
def test_a_start_on_a_mount_remembers_it_and_the_next_one_without_it_writes_nothing_below(tmp_path: Path) -> None:
    told = tmp_path / "told"

    def start(top: Path) -> None:
        libc, card, began = ctypes.CDLL(None), top / "card", list[str]()
        card.mkdir()
        if libc.mount(b"tmpfs", bytes(card), b"tmpfs", ctypes.c_ulong(0), b""):
            return
        there = loaded(card, tmp_path)

        def begin(*, temporary: bool) -> None:
            started, why = Beginning(there, temporary=temporary, supervised=False, card=None).read_card()
            started.catalogue.close()
            began.append(why or f"noted: {(top / 'card.mounted').exists()}")

        begin(temporary=True)
        begin(temporary=False)
        assert libc.umount2(bytes(card), 0) == 0
        begin(temporary=False)
        told.write_text("\n".join((*began, f"below: {os.listdir(card)}")))

    done = power.run(start)
    assert not done.error, done.error
    if not told.exists():
        pytest.skip("this kernel does not let us mount a tmpfs")
    for_a_command, first, second, below = told.read_text().splitlines()
    assert (for_a_command, first, below) == ("noted: False", "noted: True", "below: []")
    assert "is not mounted" in second


@pytest.mark.skipif(bool(WHY_NO_MOUNT), reason=WHY_NO_MOUNT)
def test_a_unit_whose_card_is_in_memory_stores_nothing_of_others(tmp_path: Path) -> None:
    told = tmp_path / "told"

    def start(top: Path) -> None:
        libc, memory, root = ctypes.CDLL(None), top / "memory", top / "root"
        for directory in (memory, root):
            directory.mkdir()
        if libc.mount(b"tmpfs", bytes(memory), b"tmpfs", ctypes.c_ulong(0), b""):
            return
        for name in ("lower", "upper", "work"):
            (memory / name).mkdir()
        layers = ",".join(f"{name}dir={memory / name}" for name in ("lower", "upper", "work"))
        if libc.mount(b"overlay", bytes(root), b"overlay", ctypes.c_ulong(0), layers.encode()):
            return
        shares = list[str]()
        for card, supervised in ((root / "card", False), (memory / "card", False), (memory / "card", True)):
            beginning = Beginning(loaded(card, tmp_path), temporary=False, supervised=supervised, card=None)
            started, why = beginning.read_card()
            started.catalogue.close()
            said = beginning.in_memory.removeprefix(f"{card} is in memory")
            shares.append(f"{said!r} {beginning.settings(why).hosting_share > 0}")
        told.write_text("\n".join(shares))

    done = power.run(start)
    assert not done.error, done.error
    if not told.exists():
        pytest.skip("this kernel does not let us mount an overlay")
    by_hand = "'' True"  # to try it, with everything below a /tmp that is in memory
    assert told.read_text().splitlines() == ["', on a read-only (overlay) root' False", by_hand, "' (tmpfs)' False"]
