"""Unit 2 has room for one picture: unit 1 keeps what it has, says that it is full and why, and goes on by itself."""

from __future__ import annotations

from pathlib import Path

from conftest import MakeUnit
from harness import Fields, UnitProcess, check_clean, check_read_out, two_units, wait_settled

from sim.line import LineProcess

FOR_TWO, FOR_ONE = "200 kB", "120 kB"  # capacities, for pictures of 80 kB
REFUSED_S = 20.0  # a shot that cannot be kept is refused at once, not after `shutter.patience`


def full_units(make_unit: MakeUnit, line: LineProcess, folder: Path) -> tuple[UnitProcess, UnitProcess, list[Fields]]:
    """Both units full: one picture at unit 2, two at unit 1, and a fourth shot that was refused."""
    one, two = two_units(make_unit, line.ports, folder, capacity=FOR_TWO, capacity_2=FOR_ONE)
    shots = [one.shoot() for _ in range(3)]
    wait_settled(one, two, [shot["picture"] for shot in shots])
    check_refused(one, two)
    return one, two, shots


def check_refused(one: UnitProcess, two: UnitProcess) -> None:
    """A further shot ends with 1, and both the command and `status` say why; nothing is lost by it."""
    before = one.files("own"), two.files("held")
    refused = one.command("shoot", within_s=REFUSED_S)
    assert refused.code == 1
    assert "full" in refused.err
    (status,) = one.rows("status")
    assert status["full"] is True
    assert "room" in status["why"] or "refused" in status["why"]
    assert "refused" in refused.err or "room" in refused.err
    assert (one.files("own"), two.files("held")) == before


def test_a_full_host_refuses_with_a_reason(make_unit: MakeUnit, line: LineProcess, middling_pictures: Path) -> None:
    one, two, shots = full_units(make_unit, line, middling_pictures)
    held = [row["picture"] for row in two.rows("list") if row["local"]]
    local = next(shot["picture"] for shot in shots if shot["picture"] not in held)
    refused = two.wait_event("refused")
    assert refused["picture"] != held[0]
    assert "full" in refused["text"]
    copied = one.command("copy", local, "--to", "2", within_s=REFUSED_S)
    assert copied.code == 1
    assert "full" in copied.err
    wait_settled(one, two, [shot["picture"] for shot in shots])


def test_it_goes_on_when_the_host_comes_back_with_more_room(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    one, two, shots = full_units(make_unit, line, middling_pictures)
    mark = one.mark()
    two.end()
    two.configure({"card": {"capacity": "50 MB"}})
    two.start()
    one.wait_event("stored", after=mark)
    shots += [one.shoot(), one.shoot()]
    wait_settled(one, two, [shot["picture"] for shot in shots])
    check_read_out(one, shots, middling_pictures, tmp_path / "at-1")
    for unit in (one, two):
        unit.end()
        check_clean(unit)


def test_it_goes_on_when_a_picture_at_the_host_is_deleted(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path
) -> None:
    one, two, shots = full_units(make_unit, line, middling_pictures)
    mark = one.mark()
    held = next(row["picture"] for row in two.rows("list") if row["local"])
    one.rows("delete", held)
    stored = one.wait_event("stored", after=mark)
    assert stored["picture"] != held
    shots = [shot for shot in shots if shot["picture"] != held] + [one.shoot()]
    wait_settled(one, two, [shot["picture"] for shot in shots])
    check_refused(one, two)
