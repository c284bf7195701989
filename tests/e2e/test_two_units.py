"""The main scenario: unit 1 with a card for two pictures, unit 2 with much room and no camera; nothing is lost."""

from __future__ import annotations

import hashlib
from pathlib import Path

from card_watch import watched
from conftest import MakeUnit, Pump
from harness import UnitProcess, check_read_out, two_units, wait_settled

from sim.line import LineProcess

SHOTS = 6


def test_six_shots_on_a_card_for_two(make_unit: MakeUnit, line: LineProcess, pictures: Path, tmp_path: Path) -> None:
    one, two = two_units(make_unit, line.ports, pictures, capacity="500 kB")
    with watched(one.card) as watch:
        shots = [one.shoot() for _ in range(SHOTS)]
        ids = [shot["picture"] for shot in shots]
        wait_settled(one, two, ids)
    assert len(set(ids)) == SHOTS
    in_order = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(pictures.glob("*.jpg"))]
    assert [shot["sha256"] for shot in shots] == in_order
    assert watch.scans > 100
    assert 190_000 < watch.most_bytes <= 500_000
    check_read_out(one, shots[::2], pictures, tmp_path / "at-1")
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
    make_unit: MakeUnit, pump: Pump, tiny_pictures: Path, tmp_path: Path
) -> None:
    one, two = two_units(make_unit, pump.ports, tiny_pictures, capacity="50 kB", baud=115_200)
    with watched(one.card) as watch:
        shots = [one.shoot() for _ in range(SHOTS)]
        ids = [shot["picture"] for shot in shots]
        wait_settled(one, two, ids)
    assert len(set(ids)) == SHOTS
    assert watch.most_bytes <= 50_000
    check_read_out(one, shots[:2], tiny_pictures, tmp_path / "at-1")
    check_read_out(two, shots, tiny_pictures, tmp_path / "at-2")
