"""The main scenario: unit 1 with a card for two pictures, unit 2 with much room and no camera; nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import MakeUnit
from harness import FAST_BAUD, UnitProcess, check_read_out, wait_settled

from sim.line import LineProcess

SHOTS = 6


class CardWatch(threading.Thread):
    """Looks at a card over and over; most_bytes: the most that pictures ever took at one instant.

    A scan of three directories is no instant: what is in two scans, one after the other, was there between them.
    """

    def __init__(self, card: Path) -> None:
        super().__init__(daemon=True)
        self._card = card
        self._over = threading.Event()
        self.most_bytes = 0
        self.scans = 0

    def run(self) -> None:
        before: dict[int, int] = {}
        while not self._over.is_set():
            found = self._scan()
            both = sum(min(size, before[inode]) for inode, size in found.items() if inode in before)
            self.most_bytes = max(self.most_bytes, both)
            before = found
            self.scans += 1

    def _scan(self) -> dict[int, int]:
        """Bytes of each file that capacity bounds, by inode: one that is renamed meanwhile counts once."""
        found = {}
        for path in (*self._card.glob("tmp/*"), *self._card.glob("own/*/*"), *self._card.glob("held/*/*")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found[stat.st_ino] = stat.st_size
        return found

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


@contextmanager
def watched(card: Path) -> Iterator[CardWatch]:
    """A card that is looked at meanwhile."""
    watch = CardWatch(card)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def two_units(
    make_unit: MakeUnit, ports: list[str], folder: Path, capacity_bytes: int, baud: int = FAST_BAUD
) -> list[UnitProcess]:
    one = make_unit(
        1,
        ports[0],
        {
            "card": {"capacity": f"{capacity_bytes // 1000} kB"},
            "camera": {"driver": "folder", "folder": str(folder)},
            "dispersal": {"policy": "when-full"},
            "radio": {"baud": baud},
        },
    )
    two = make_unit(2, ports[1], {"card": {"capacity": "50 MB"}, "radio": {"baud": baud}})
    return [one.start(), two.start()]


def test_six_shots_on_a_card_for_two(make_unit: MakeUnit, line: LineProcess, pictures: Path, tmp_path: Path) -> None:
    one, two = two_units(make_unit, line.ports, pictures, capacity_bytes=500_000)
    with watched(one.card) as watch:
        shots = [one.shoot() for _ in range(SHOTS)]
        ids = [shot["picture"] for shot in shots]
        wait_settled(one, two, ids)
    assert len(set(ids)) == SHOTS
    assert watch.scans > 100
    assert 190_000 < watch.most_bytes <= 500_000
    check_read_out(one, shots, pictures, tmp_path / "at-1")
    check_read_out(two, shots, pictures, tmp_path / "at-2")
    check_line_cut(one, line, ids, tmp_path / "cut")


def check_line_cut(one: UnitProcess, line: LineProcess, ids: list[str], into: Path) -> None:
    """What is here can be read; what is not fails, and says that unit 2 is the one that does not answer."""
    line.stop()
    rows = {row["picture"]: row for row in one.rows("list")}
    remote = next(picture for picture in ids if not rows[picture]["local"])
    failed = one.command("get", remote, "-o", into, "--timeout", "3", within_s=30)
    assert failed.code == 1
    assert "unit 2" in failed.err
    assert not list(into.glob("*.jpg"))
    for picture in (picture for picture in ids if rows[picture]["local"]):
        assert one.rows("get", picture, "-o", into)[0]["from_unit"] == 1
    line.start()
    assert one.rows("get", remote, "-o", into)[0]["from_unit"] == 2


def test_six_shots_over_another_line_emulator(
    make_unit: MakeUnit, pumped: list[str], small_pictures: Path, tmp_path: Path
) -> None:
    one, two = two_units(make_unit, pumped, small_pictures, capacity_bytes=150_000, baud=115_200)
    with watched(one.card) as watch:
        shots = [one.shoot() for _ in range(SHOTS)]
        ids = [shot["picture"] for shot in shots]
        wait_settled(one, two, ids)
    assert len(set(ids)) == SHOTS
    assert watch.most_bytes <= 150_000
    check_read_out(one, shots, small_pictures, tmp_path / "at-1")
    check_read_out(two, shots, small_pictures, tmp_path / "at-2")
