"""A unit that is gone for good, and another one that decides about its pictures, by real commands and processes."""

from __future__ import annotations

from pathlib import Path

from conftest import MakeUnit
from harness import check_read_out, run_command, two_units

from sim.line import LineProcess


def test_a_holder_that_is_to_decide_for_a_unit_starts_anew_in_its_process_and_has_the_pictures_as_its_own(
    make_unit: MakeUnit, line: LineProcess, tiny_pictures: Path, tmp_path: Path
) -> None:
    one, two = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="always")
    shots = [one.shoot() for _ in range(2)]
    for shot in shots:
        two.wait_event("holding", picture=shot["picture"])
    one.wait_until(lambda: all(row["copies"] for row in one.rows("list")), "both copies in the list")
    one.kill()
    folder, pid = tmp_path / "network", two.pid
    assert run_command("net", "revoke", folder, "--unit", "1").code == 0
    assert run_command("net", "adopt", folder, "--unit", "1", "--by", "2", "--config", two.config).code == 0
    two.wait_until(lambda: two.said.count("ready: unit 2") == 2, "second start")
    assert two.pid == pid
    status = two.status()
    assert status["network"]["acts_for"] == [1]
    assert (status["pictures"]["own"], status["pictures"]["held"]) == (2, 0)
    check_read_out(two, shots, tiny_pictures, tmp_path / "read-out")
    dropped = two.command("drop", shots[0]["picture"])
    assert dropped.code == 1
    assert "0 other units hold it" in dropped.err
    assert two.command("delete", shots[0]["picture"]).code == 0
    assert [row["picture"] for row in two.rows("list")] == [shots[1]["picture"]]
    two.end()
    assert run_command("fsck", "--config", two.config).code == 0
    two.start()
    assert [row["picture"] for row in two.rows("list")] == [shots[1]["picture"]]
