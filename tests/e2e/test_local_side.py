"""The side of a unit that is no radio: whose its files are, and who may give it commands.

Real processes, whatever the umask they were started under.
"""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

import pytest
from conftest import MakeUnit
from harness import UnitProcess, two_units

from sim.line import LineProcess

BAUD = 230_400  # the small picture takes a second; of the large one parts can be seen
UMASKS = (0o000, 0o022, 0o077)  # nothing is taken away, what is usual, what careful people have
ALONE, ALONE_IN = 0o600, 0o700


# --- owners and modes --------------------------------------------------------------------------------------------


def modes(top: Path) -> dict[str, int]:
    """Of all that is below a directory, and of itself, as ""."""
    found = {"": top, **{str(path.relative_to(top)): path for path in top.rglob("*")}}
    return {name: stat.S_IMODE(path.lstat().st_mode) for name, path in found.items()}


def check_card(unit: UnitProcess, *kinds: str) -> None:
    """All on the card is its owner's alone; there is something of each of these kinds."""
    found = modes(unit.card)
    del found[""]
    wrong = {name: oct(mode) for name, mode in found.items() if mode != is_alone(unit.card / name)}
    assert not wrong
    for kind in kinds:
        assert any((unit.card / name).match(kind) for name in found), f"no {kind} in {sorted(found)}"


def is_alone(path: Path) -> int:
    return ALONE_IN if path.is_dir() else ALONE


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
@pytest.mark.parametrize("line", [BAUD], indirect=True)
def test_files_are_their_owners_and_the_socket_its_groups(
    make_unit: MakeUnit, line: LineProcess, tmp_path: Path, tiny_pictures: Path, pictures: Path, umask: int
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, source in (("1.jpg", tiny_pictures), ("2.jpg", pictures)):
        (folder / name).write_bytes(min(source.glob("*.jpg")).read_bytes())
    two_cards = [tmp_path / f"card{number}" for number in (1, 2)]
    two_cards[1].mkdir(mode=0o755)  # as one that is mounted: what is in it must be closed by itself
    before = os.umask(umask)
    try:
        one, two = two_units(make_unit, line.ports, folder, capacity="50 MB", policy="always", baud=BAUD)
        shot = one.shoot()["picture"]
        one.wait_event("stored", picture=shot)
        got = two.command("get", shot, "-o", tmp_path / "out")
    finally:
        os.umask(before)
    assert got.code == 0, got.err
    one.shoot()
    two.wait_until(lambda: list(two.card.glob("tmp/*.part")), "part of a picture")
    everywhere = ("identity", "catalogue.sqlite3", "catalogue.sqlite3-wal", "catalogue.sqlite3-shm")
    check_card(one, *everywhere, "own/*/*.jpg", "preview/*.jpg")
    check_card(two, *everywhere, "held/*/*.jpg", "tmp/*.part")
    assert [modes(card)[""] for card in two_cards] == [ALONE_IN, 0o755]
    for unit in (one, two):
        assert modes(unit.runtime) == {"": 0o750, "control.sock": 0o660, "lock": ALONE}
    assert modes(tmp_path / "network") == {"": ALONE_IN, "admin.key": ALONE, "network.json": ALONE}
    assert {modes(path)[""] for path in tmp_path.glob("*.credential")} == {ALONE}
    # what a person asked for is as wide as that person wants
    assert modes(tmp_path / "out") == {"": 0o777 & ~umask, f"{shot}.jpg": 0o666 & ~umask}


GROUP_THERE = """
import grp
there = grp.getgrgid({group})
grp.getgrnam = {{"dandelion": there}}.__getitem__
"""


def test_the_socket_and_the_way_to_it_are_given_to_the_group(
    make_unit: MakeUnit, line: LineProcess, tmp_path: Path
) -> None:
    """Where there is one of that name, and the unit's user may."""
    groups = [each.gr_gid for each in grp.getgrall()] if os.geteuid() == 0 else [*os.getgroups(), os.getegid()]
    group = max(groups)
    (tmp_path / "sitecustomize.py").write_text(GROUP_THERE.format(group=group))
    unit = make_unit(1, line.ports[0])
    unit.environment["PYTHONPATH"] = str(tmp_path)
    unit.start()
    for path in (unit.runtime, unit.runtime / "control.sock"):
        assert path.stat().st_gid == group
    assert modes(unit.runtime) == {"": 0o750, "control.sock": 0o660, "lock": ALONE}
    own = unit.config.stat().st_gid
    assert {path.stat().st_gid for path in (unit.runtime / "lock", unit.card, *unit.card.iterdir())} == {own}
