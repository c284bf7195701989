"""kill -9 in the middle of transfers, and a line that is cut: nothing is lost, nothing is there twice, little is sent
again (HANDOVER R8)."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pytest
from conftest import MakeUnit
from harness import Fields, UnitProcess, check_clean, check_read_out, two_units, wait_settled

from sim.line import LineProcess

KILLS = 10
at_baud = functools.partial(pytest.mark.parametrize, "line", indirect=True)
OVERHEAD = 0.03  # of a picture's bytes: headers, seals, CRC, delimiters
ASIDE_BYTES = 1_000  # beacons, requests, questions meanwhile
AFTER_REBOOT_BYTES = 128_000  # HANDOVER R8; 2 % of a picture is less here
AFTER_CUT_BYTES = 16_000


def transfer(unit: UnitProcess, picture: str, at_least: int) -> Fields | None:
    """The row of the transfer out of this unit, once so many bytes are confirmed."""
    for row in unit.status()["transfers"]:
        if row["picture"] == picture and row["direction"] == "out" and row["done_bytes"] >= at_least:
            return dict(row)
    return None


def wait_transfer(unit: UnitProcess, shot: Fields, share: float) -> int:
    """Bytes confirmed, once they are that share of the picture."""
    at_least = max(1, int(share * shot["size_bytes"]))
    row = None
    while row is None:  # bounded: either it gets so far, or it is stored and this test is wrong
        row = transfer(unit, shot["picture"], at_least)
        assert row or not any(e["event"] == "stored" and e["picture"] == shot["picture"] for e in unit.events)
    return int(row["done_bytes"])


def counts(line: LineProcess, port: int) -> dict[str, int]:
    """PortCounts of the unit at this port."""
    ports = line.stats()["ports"]
    assert isinstance(ports, list)
    return dict(ports[port])


def sent_again(line: LineProcess, before: int, shot: Fields) -> float:
    """Bytes that unit 1 has put on the line beyond one whole picture, headers and small talk aside."""
    needed = shot["size_bytes"] * (1 + OVERHEAD) + ASIDE_BYTES
    return counts(line, 0)["sent_bytes"] - before - needed


def test_ten_kills_lose_nothing(make_unit: MakeUnit, line: LineProcess, pictures: Path, tmp_path: Path) -> None:
    one, two = two_units(make_unit, line.ports, pictures)
    chance = random.Random(2)
    shots: list[Fields] = []
    for number in range(KILLS):
        victim = (one, two)[number % 2]
        shots.append(one.shoot())
        wait_transfer(one, shots[-1], chance.uniform(0.02, 0.9))
        victim.kill()
        victim.start()
        wait_settled(one, two, [shot["picture"] for shot in shots])
    shots += [one.shoot() for _ in range(3)]
    ids = [shot["picture"] for shot in shots]
    assert len(set(ids)) == KILLS + 3
    wait_settled(one, two, ids)
    check_read_out(one, shots[-4:], pictures, tmp_path / "at-1")
    check_read_out(two, shots, pictures, tmp_path / "at-2")
    for unit in (one, two):
        unit.end()
        check_clean(unit)


@pytest.mark.parametrize("killed", [1, 2])
@at_baud([921_600])
def test_little_is_sent_again_after_a_kill(
    make_unit: MakeUnit, line: LineProcess, large_pictures: Path, killed: int
) -> None:
    one, two = two_units(make_unit, line.ports, large_pictures, capacity="50 MB", policy="always", baud=921_600)
    before = counts(line, 0)["sent_bytes"]
    shot = one.shoot()
    done = wait_transfer(one, shot, 0.85)
    victim = (one, two)[killed - 1]
    victim.kill()
    victim.start()
    one.wait_event("stored", picture=shot["picture"])
    assert done > 0.85 * shot["size_bytes"]
    assert sent_again(line, before, shot) <= AFTER_REBOOT_BYTES


@pytest.mark.parametrize(
    ("line", "baud", "folder"),
    [(115_200, 115_200, "middling_pictures"), (460_800, 460_800, "large_pictures")],
    indirect=["line"],
)
def test_little_is_sent_again_after_the_line_was_cut(
    make_unit: MakeUnit, line: LineProcess, baud: int, folder: str, request: pytest.FixtureRequest
) -> None:
    pictures: Path = request.getfixturevalue(folder)
    one, _two = two_units(make_unit, line.ports, pictures, capacity="50 MB", policy="always", baud=baud)
    before = counts(line, 0)["sent_bytes"]
    shot = one.shoot()
    wait_transfer(one, shot, 0.5)
    line.stop()
    lost = [0, 0]

    def quiet() -> bool:
        lost.append(counts(line, 1)["lost_bytes"])
        return lost[-1] == lost[-2] > 0

    one.wait_until(quiet, "end of what was in flight")
    line.start()
    one.wait_event("stored", picture=shot["picture"])
    assert sent_again(line, before, shot) <= AFTER_CUT_BYTES
