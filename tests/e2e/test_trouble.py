"""Noise, bad configs, ports that come and go, cameras without pictures, a full file system: said clearly, survived."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeUnit
from harness import FAST_BAUD, UnitProcess, check_clean, check_read_out, run_command, two_units, wait_settled

from firmware import credential
from firmware.link import Link
from firmware.messages import Beacon
from firmware.pictures import EVERYONE
from firmware.rosters import Membership
from hal.framing import DELIMITER, frame
from hal.interfaces import TimeQuality
from hal.serial_radio import MTU_BYTES
from sim.line import LineProcess

NOISE_BYTES, NOISE_AT_ONCE = 200_000, 2_000


def stored_by(one: UnitProcess, two: UnitProcess, mark: int) -> str:
    """A shot of unit 1 is stored at unit 2; its picture's id."""
    shot = one.shoot()
    one.wait_event("stored", picture=shot["picture"], after=mark)
    assert any(shot["picture"] in path for path in two.files("held"))
    return str(shot["picture"])


# --- noise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [0, 1])
def test_random_bytes_are_counted_and_the_next_transfer_works(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, port: int
) -> None:
    one, two = two_units(make_unit, line.ports, middling_pictures, capacity="50 MB", policy="always")
    shots = [one.shoot()]
    chance = random.Random(1)
    for _ in range(NOISE_BYTES // NOISE_AT_ONCE):
        line.inject(port, chance.randbytes(NOISE_AT_ONCE))
    noisy = (one, two)[port]
    noisy.wait_until(lambda: noisy.status()["radio"]["frames_damaged"] > 0, "damaged frames")
    mark = one.mark()
    shots.append(one.shoot())
    one.wait_event("stored", picture=shots[-1]["picture"], after=mark)
    wait_settled(one, two, [shot["picture"] for shot in shots])


def test_another_unit_under_the_same_number_is_a_problem(
    make_unit: MakeUnit, line: LineProcess, tiny_pictures: Path, tmp_path: Path
) -> None:
    one, _two = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="always")
    one.wait_event("heard", text="unit 2 is heard")  # so that it goes by the newest roster
    made, newest = (credential.read(tmp_path / f"unit{unit}.credential") for unit in (1, 2))
    copied = Membership(1, made.private, made.admin_public, made.roster, newest.roster)
    boot = one.status()["boot"] + 1
    clone = Link(1, copied.seal(7, boot, random.Random(1).randbytes), MTU_BYTES)
    told = Beacon(7, boot, newest.roster.epoch, 0, 0, 0, 60, False, False, None, TimeQuality.UNSET)
    (packet,) = clone.encode(EVERYONE, told)
    line.inject(0, DELIMITER + frame(packet))
    one.wait_event("alarm")
    assert any("another unit sends under the number of this one" in problem for problem in one.status()["problems"])


def test_a_command_with_the_runtime_dir_of_another_unit_is_refused(
    make_unit: MakeUnit, line: LineProcess, tiny_pictures: Path
) -> None:
    one, two = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="never")
    two.configure({"unit": {"runtime_dir": str(one.runtime)}})
    for verb in (["shoot"], ["status"], ["list"]):
        result = run_command(*verb, "--config", two.config)
        assert result.code == 1
        assert "unit 1 runs here, and this is meant for unit 2" in result.err
        assert "runtime_dir of its own" in result.err
    assert not one.rows("list")


def test_a_unit_that_was_shut_out_tells_whoever_asks_for_something(
    make_unit: MakeUnit, line: LineProcess, tiny_pictures: Path, tmp_path: Path
) -> None:
    one, two = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="never")
    one.wait_event("heard", text="unit 2 is heard")
    shot = one.shoot()["picture"]
    folder = tmp_path / "network"
    assert run_command("net", "revoke", folder, "--unit", "2", "--config", one.config).code == 0
    two.wait_event("alarm", text="does not name unit 2")
    got = two.command("get", shot, "-o", tmp_path / "out", "--timeout", "2")
    assert got.code == 1
    assert "does not name unit 2 any more" in got.err
    assert "nothing is sent any more" in got.err


# --- configs ---------------------------------------------------------------------------------------------------

GOOD = {
    "unit": "id = 1",
    "camera": 'driver = "none"',
    "radio": 'driver = "none"',
    "security": "insecure = true",
}


@pytest.mark.parametrize(
    ("table", "keys", "named"),
    [
        ("unit", "id = 0", ["unit.id", "0", "1 to 65534"]),
        ("unit", "", ["unit.id"]),
        ("unit", 'id = 1\nname = "North Gate"', ["unit.name", "North Gate", "a-z"]),
        ("card", 'capacity = "24 GiB"', ["card.capacity", "24 GiB", "GB"]),
        ("card", "high_water = 1.5", ["card.high_water", "1.5"]),
        ("card", "low_water = 0.9\nhigh_water = 0.5", ["card.low_water", "0.9"]),
        ("camera", 'driver = "webcam"', ["camera.driver", "webcam", "folder"]),
        ("camera", 'driver = "folder"', ["camera.folder"]),
        ("camera", 'driver = "pattern"\nsize = [1920]', ["camera.size", "1920"]),
        ("shutter", 'interval = "soon"', ["shutter.interval", "soon", "min"]),
        ("radio", 'driver = "none"\nbaud = "fast"', ["radio.baud", "fast"]),
        ("radio", 'port = "/dev/null"', ["radio.port", "/dev/null", "pty"]),
        ("dispersal", 'policy = "sometimes"', ["dispersal.policy", "sometimes", "when-full"]),
        ("dispersal", "copies_min = 2", ["dispersal.copies_min", "2"]),
        ("dispersal", "hosting = true", ["dispersal.hosting", "True"]),
        ("security", 'insecure = true\ncredential = "x"', ["security.insecure", "security.credential"]),
        ("card", 'capasity = "1 MB"', ["card.capasity", "nearest", "capacity"]),
        ("radios", "baud = 9600", ["radios", "nearest", "radio"]),
        ("unit", "id = ", ["not TOML"]),
    ],
)
def test_a_bad_config_ends_with_2_and_names_the_key(tmp_path: Path, table: str, keys: str, named: list[str]) -> None:
    config = tmp_path / "unit.toml"
    config.write_text("".join(f"[{name}]\n{text}\n" for name, text in (GOOD | {table: keys}).items()))
    refused = run_command("run", "--config", config, within_s=20)
    assert refused.code == 2
    assert refused.out == ""
    for words in (*named, str(config)):
        assert words in refused.err


def test_a_config_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    refused = run_command("status", "--config", tmp_path / "none.toml", within_s=20)
    assert refused.code == 2
    assert "none.toml" in refused.err


# --- ports -----------------------------------------------------------------------------------------------------


def linked_line(directory: Path) -> LineProcess:
    """A line whose ports are found by the same names each time: directory/port-1, port-2."""
    return LineProcess(["--units", "2", "--baud", str(FAST_BAUD), "--links", str(directory)])


def test_a_port_may_be_missing_at_the_start_and_vanish_later(
    make_unit: MakeUnit, middling_pictures: Path, tmp_path: Path
) -> None:
    ports = [str(tmp_path / "port-1"), str(tmp_path / "port-2")]
    one, two = two_units(make_unit, ports, middling_pictures, capacity="50 MB", policy="always")
    (status,) = one.rows("status")
    assert ports[0] in status["radio"]["problem"]
    assert status["radio"]["problem"] in status["problems"]
    assert f"radio: {status['radio']['problem']}" in one.said
    assert f"problem   {status['radio']['problem']}" in one.command("status").out
    shots = [one.shoot()]
    for _ in range(2):
        mark = one.mark()
        with linked_line(tmp_path):
            shots.append(one.shoot())
            one.wait_event("stored", picture=shots[-1]["picture"], after=mark)
            wait_settled(one, two, [shot["picture"] for shot in shots])
            assert one.status()["radio"]["problem"] is None
            one.wait_event("radio", text="works again", after=mark)
        one.wait_until(lambda: one.status()["radio"]["problem"], "word that the port went away")
        assert "port-1" in one.status()["radio"]["problem"]
    remote = one.command("get", shots[0]["picture"], "-o", tmp_path / "out")
    assert remote.code == 0


# --- cameras ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["empty", "missing", "a-file", "no-picture"])
def test_a_camera_without_pictures_says_so_and_its_unit_goes_on_hosting(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a-file").write_text("not a directory")
    (tmp_path / "no-picture").mkdir()
    (tmp_path / "no-picture" / "001.jpg").write_text("not a picture")
    one, blind = two_units(make_unit, line.ports, middling_pictures, capacity="50 MB", policy="always")
    blind.end()
    blind.configure({"camera": {"driver": "folder", "folder": str(tmp_path / folder)}})
    blind.start()
    refused = blind.command("shoot", within_s=30)
    assert refused.code == 1
    assert str(tmp_path / folder) in refused.err
    assert any(str(tmp_path / folder) in problem for problem in blind.status()["problems"])
    stored_by(one, blind, one.mark())


def test_a_camera_works_again_once_there_are_pictures(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    one, two = two_units(make_unit, line.ports, folder, capacity="50 MB", policy="always")
    assert one.command("shoot").code == 1
    for path in middling_pictures.glob("*.jpg"):
        (folder / path.name).write_bytes(path.read_bytes())
    stored_by(one, two, one.mark())
    assert one.status()["problems"] == []


def test_a_card_that_vanishes_costs_no_picture_and_the_next_start_takes_it_back(
    make_unit: MakeUnit, line: LineProcess, tiny_pictures: Path
) -> None:
    one, two = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="always")
    before = stored_by(one, two, one.mark())
    away = one.card.with_name("away")
    one.card.rename(away)
    shot = one.command("shoot")
    assert shot.code == 0, shot.err
    assert any("without its card" in problem for problem in one.status()["problems"])
    after = stored_by(one, two, one.mark())
    assert before.split("-")[1] != after.split("-")[1]  # the card's number
    one.end()
    shutil.rmtree(one.card, ignore_errors=True)
    away.rename(one.card)
    one.start()
    stored_by(one, two, one.mark())
    assert one.status()["problems"] == []


# --- file system -----------------------------------------------------------------------------------------------

FLOOR_BYTES = 1 << 24  # stay free for the catalogue (HANDOVER §1, Floor)


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """A file system of 22 MB, of which no unit uses the last FLOOR_BYTES."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=22m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def on_file_system(make_unit: MakeUnit, port: str, folder: Path, place: Path) -> UnitProcess:
    """Unit 1 with its card there, started."""
    tables = {
        "card": {"path": str(place / "card"), "capacity": "50 MB"},
        "camera": {"driver": "folder", "folder": str(folder)},
        "dispersal": {"policy": "when-full"},
    }
    one = make_unit(1, port, tables)
    one.card = place / "card"
    return one.start()


def fill(place: Path, left_bytes: int) -> None:
    """Somebody else fills the file system."""
    free = os.statvfs(place)
    (place / "filler").write_bytes(bytes(free.f_bavail * free.f_bsize - left_bytes))


def test_a_full_file_system_refuses_shots_and_loses_nothing(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, small_file_system: Path, tmp_path: Path
) -> None:
    one = on_file_system(make_unit, line.ports[0], middling_pictures, small_file_system)
    make_unit(2, line.ports[1], {"card": {"capacity": "10 kB"}}).start()
    shots = [one.shoot()]
    fill(small_file_system, 40_960)
    before, mark = one.files("own"), one.mark()
    refused = one.command("shoot", within_s=30)
    assert refused.code == 1
    assert "file system" in refused.err
    assert len(one.events) < mark + 20
    assert one.files("own") == before
    status = one.status()
    assert status["full"] is True
    assert "file system" in status["why"]
    check_read_out(one, shots, middling_pictures, tmp_path / "meanwhile")
    (small_file_system / "filler").unlink()
    shots.append(one.shoot())
    assert one.status()["full"] is False
    check_read_out(one, shots, middling_pictures, tmp_path / "after")
    one.end()
    check_clean(one)


def test_a_full_file_system_is_relieved_by_a_host(
    make_unit: MakeUnit, line: LineProcess, large_pictures: Path, small_file_system: Path, tmp_path: Path
) -> None:
    one = on_file_system(make_unit, line.ports[0], large_pictures, small_file_system)
    two = make_unit(2, line.ports[1]).start()
    shots = [one.shoot(), one.shoot()]
    fill(small_file_system, FLOOR_BYTES + 200_000)
    shots += [one.shoot(), one.shoot()]
    wait_settled(one, two, [shot["picture"] for shot in shots])
    assert two.files("held")
    check_read_out(one, shots, large_pictures, tmp_path / "out")
