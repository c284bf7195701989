"""Commands where no unit runs: what the catalogue tells, what a unit does that is up for one command, and `run`."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from conftest import MakeUnit
from harness import END_S, Fields, UnitProcess, sane, two_units, wait_settled

from sim.children import DANDELION
from sim.line import LineProcess

PATIENCE_S = 40.0  # a unit is brought up and waits up to 15 s for a neighbour (DESIGN §9)


def stopped_one(
    make_unit: MakeUnit, line: LineProcess, folder: Path, *, kill: bool = False
) -> tuple[UnitProcess, UnitProcess, list[Fields]]:
    """Unit 1 has ended; it has two pictures, and unit 2, which runs, holds both."""
    one, two = two_units(make_unit, line.ports, folder, capacity="50 MB", policy="always")
    shots = one.rows("shoot", "-n", "2")
    one.wait_event("stored", picture=shots[-1]["picture"])
    wait_settled(one, two, [shot["picture"] for shot in shots])
    if kill:
        one.kill()
    else:
        one.end()
    return one, two, shots


def test_the_catalogue_is_read_without_the_radio(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path
) -> None:
    one, _, shots = stopped_one(make_unit, line, middling_pictures, kill=True)  # its socket is still there, stale
    for verb in ("status", "log"):
        failed = one.command(verb, within_s=10)
        assert failed.code == 1
        assert "no unit runs" in failed.err
    rows = one.rows("list", within_s=10)
    assert {row["picture"] for row in rows} == {shot["picture"] for shot in shots}
    assert all(row["local"] and row["copies"][0]["state"] == "verified" for row in rows)
    picture = shots[0]["picture"]
    assert one.rows("whereis", picture, within_s=10)[0]["copies"][0]["unit"] == 2
    assert one.rows("explain", picture, within_s=10)
    assert one.command("fsck", within_s=10).code == 0
    for verb in ("whereis", "explain"):
        assert one.command(verb, "00001-ffff-00000077", within_s=10).code == 1


def test_fsck_finds_a_damaged_picture_and_repairs(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    one, two, shots = stopped_one(make_unit, line, middling_pictures)
    damaged = one.card / sorted(one.files("own"))[0]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    found = one.command("fsck")
    assert found.code == 1
    assert shots[0]["picture"] in found.out
    assert one.command("fsck", "--repair").code == 0
    assert one.command("fsck").code == 0
    assert bytes(data) in [path.read_bytes() for path in one.card.glob("quarantine/**/*") if path.is_file()]
    one.start()
    assert one.rows("get", shots[0]["picture"], "-o", tmp_path)[0]["sha256"] == shots[0]["sha256"]
    wait_settled(one, two, [shot["picture"] for shot in shots])


def test_commands_bring_a_unit_up_for_their_time(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    one, two, shots = stopped_one(make_unit, line, middling_pictures)
    first, second = (shot["picture"] for shot in shots)
    assert [row["unit"] for row in one.rows("units", within_s=PATIENCE_S)] == [2]
    assert one.command("drop", first, within_s=PATIENCE_S).code == 0
    (row,) = one.rows("get", first, "-o", tmp_path, within_s=PATIENCE_S)
    assert (row["from_unit"], row["sha256"]) == (2, hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest())
    (shot,) = one.rows("shoot", within_s=PATIENCE_S)
    assert one.command("copy", shot["picture"], "--to", "2", within_s=PATIENCE_S).code == 0
    assert any(shot["picture"] in path for path in two.files("held"))
    assert one.command("whereis", "--verify", second, within_s=PATIENCE_S).code == 0
    assert one.rows("delete", second, within_s=PATIENCE_S)[0]["state"] == "deleted"
    one.start()
    two.wait_until(lambda: second not in str(two.ask("list")), "word of the deleted picture")
    wait_settled(one, two, [first, shot["picture"]])


def test_a_temporary_unit_reads_out_from_a_laptop_and_hosts_nothing(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    camera = {"driver": "folder", "folder": str(middling_pictures)}
    one = make_unit(1, line.ports[0], {"camera": camera}).start()
    shot = one.shoot()
    laptop = make_unit(2, line.ports[1])
    (row,) = laptop.rows("get", shot["picture"], "-o", tmp_path, within_s=PATIENCE_S)
    assert (row["from_unit"], row["sha256"]) == (1, shot["sha256"])
    assert hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest() == shot["sha256"]
    assert laptop.files("held") == set()
    unknown = laptop.command("get", "00001-ffff-00000077", "-o", tmp_path, within_s=20.0)
    assert unknown.code == 1


def test_a_temporary_unit_that_hears_nobody_gives_up_within_20_s(
    make_unit: MakeUnit, line: LineProcess, tmp_path: Path
) -> None:
    laptop = make_unit(2, line.ports[1])
    unknown = laptop.command("get", "00001-ffff-00000077", "-o", tmp_path, within_s=20.0)
    assert unknown.code == 1
    assert "00001-ffff-00000077" in unknown.err


def test_run_takes_over_from_a_temporary_unit(make_unit: MakeUnit, line: LineProcess, middling_pictures: Path) -> None:
    one, two, shots = stopped_one(make_unit, line, middling_pictures)
    line.stop()
    with subprocess.Popen(
        [*DANDELION, "units", "--config", str(one.config)], stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        assert "one is up for the time" in waiting.stderr.readline()
        one.wait_until((one.runtime / "control.sock").exists, "control socket of the temporary unit")
        one.start()
        said = waiting.communicate(timeout=END_S)[1]
    sane("`units`", said)
    assert waiting.returncode in (0, 1)
    line.start()
    assert one.status()["temporary"] is False
    wait_settled(one, two, [shot["picture"] for shot in shots])
