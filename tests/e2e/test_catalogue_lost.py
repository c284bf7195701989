"""A catalogue that is gone when its unit starts is rebuilt from the card's files and the other unit; no file goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import MakeUnit
from harness import UnitProcess, check_clean, check_read_out, holds, two_units, wait_settled

from sim.line import LineProcess


def kept_at(two: UnitProcess, pictures: list[str]) -> bool:
    """Whether the host lists all of them as its own business, each with its owner's word that it is to be kept."""
    rows = {row["picture"]: row for row in two.ask("list")}
    return all(picture in rows and rows[picture]["local"] and holds(rows[picture], 2) for picture in pictures)


def names(files: Iterable[str]) -> set[str]:
    """Of files, wherever they are."""
    return {Path(file).name for file in files}


@pytest.mark.parametrize(
    ("capacity", "victims"),
    [("200 kB", (1,)), ("200 kB", (2,)), ("200 kB", (1, 2)), ("50 MB", (1, 2))],
    ids=["of-the-origin", "of-the-host", "of-both", "of-both-with-own-files"],
)
def test_a_lost_catalogue_costs_no_picture(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path, capacity: str, victims: list[int]
) -> None:
    one, two = units = two_units(make_unit, line.ports, middling_pictures, capacity=capacity, policy="always")
    shots = [one.shoot() for _ in range(4)]
    ids = [shot["picture"] for shot in shots]
    one.wait_until(lambda: len(two.files("held")) == 4, "four pictures at unit 2")
    wait_settled(one, two, ids)
    for unit in units:
        if unit.number in victims:
            unit.end()
    before = one.files("own") | two.files("held")
    for number in victims:
        units[number - 1].forget_catalogue()
    for number in victims:
        units[number - 1].start()
    wait_settled(one, two, ids)
    two.wait_until(lambda: kept_at(two, ids), "list of all four at unit 2")
    assert names(before) <= names(one.files("own") | two.files("held"))  # an own file that is proved may be dropped
    shots.append(one.shoot())
    assert shots[-1]["picture"] not in ids
    wait_settled(one, two, [shot["picture"] for shot in shots])
    check_read_out(one, shots, middling_pictures, tmp_path / "at-1")
    check_read_out(two, shots, middling_pictures, tmp_path / "at-2")
    for unit in units:
        unit.end()
        check_clean(unit)
