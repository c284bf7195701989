"""Every verb at two running units: what it does, what it prints, and how it fails."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import MakeUnit, making_units
from harness import FAST_BAUD, Fields, UnitProcess, two_units, wait_settled

from firmware.errors import Refused, WrongArgument
from sim.children import DANDELION
from sim.line import LineProcess

UNKNOWN = "00001-ffff-00000077"  # no card has this number: it is the last one, and the sequence is far off
STRANGE = "00007-0001-00000001"  # of a unit that is not there
UNKNOWN_S = 20.0  # DESIGN §9
JPEG = b"\xff\xd8\xff"

SHOOT = {"picture": str, "size_bytes": int, "sha256": str}
GET = {**SHOOT, "path": str, "from_unit": int, "seconds": float, "air_bytes": int}
LIST = {**SHOOT, "origin": int, "taken_at": str, "taken_at_quality": str, "local": bool, "copies": list}
COPY = {"unit": int, "state": str}
UNITS = {"unit": int, "name": str, "room_bytes": int, "last_heard_s": float}


class Pair(NamedTuple):
    """Two units that know each other; unit 2 holds a copy of each of the shots of unit 1."""

    one: UnitProcess
    two: UnitProcess
    shots: list[Fields]
    folder: Path

    def new_shot(self) -> str:
        """One picture more, stored at unit 2; its id."""
        shot = self.one.shoot()
        self.one.wait_event("stored", picture=shot["picture"])
        return str(shot["picture"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, middling_pictures: Path) -> Iterator[Pair]:
    """Units for all tests of this file, each of which leaves them as they were, or with some pictures more."""
    with (
        LineProcess(["--units", "2", "--baud", str(FAST_BAUD)]) as line,
        making_units(tmp_path_factory.mktemp("pair")) as make,
    ):
        one, two = two_units(make, line.ports, middling_pictures, capacity="50 MB", policy="always")
        shots = one.rows("shoot", "-n", "2")
        wait_settled(one, two, [shot["picture"] for shot in shots])
        one.wait_event("stored", picture=shots[-1]["picture"])
        yield Pair(one, two, shots, middling_pictures)


def check_shape(row: Fields, shape: dict[str, type]) -> None:
    """All of these fields, of these types; more may follow."""
    assert {key: type(row.get(key)) for key in shape} == shape


# --- happy paths -----------------------------------------------------------------------------------------------


def test_shoot_prints_ids_that_count_up(pair: Pair) -> None:
    sources = [path.read_bytes() for path in sorted(pair.folder.glob("*.jpg"))]
    for shot, source in zip(pair.shots, sources, strict=True):
        check_shape(shot, SHOOT)
        assert (shot["size_bytes"], shot["sha256"]) == (len(source), hashlib.sha256(source).hexdigest())
    first, second = (shot["picture"] for shot in pair.shots)
    assert first.startswith("00001-")
    assert int(second[-8:]) == int(first[-8:]) + 1


def test_list_has_the_fields_of_the_design_at_both_units(pair: Pair) -> None:
    for unit, state in ((pair.one, "verified"), (pair.two, "verified")):
        rows = unit.rows("list")
        assert {shot["picture"] for shot in pair.shots} <= {row["picture"] for row in rows}
        for row in rows:
            check_shape(row, LIST)
            assert row["origin"] == 1
            assert row["local"] is True
            (copy,) = row["copies"]
            check_shape(copy, COPY)
            assert (copy["unit"], copy["state"]) == (2, state)
    assert all(copy["verified_at"].endswith("Z") for row in pair.one.rows("list") for copy in row["copies"])


@pytest.mark.parametrize(
    ("arguments", "some"),
    [
        (["--unit", "1"], True),
        (["--unit", "unit-1"], True),
        (["--unit", "2"], False),
        (["--since", "1 h"], True),
        (["--since", "2200-01-01"], False),
    ],
)
def test_list_can_be_narrowed(pair: Pair, arguments: list[str], some: bool) -> None:
    for unit in (pair.one, pair.two):
        assert bool(unit.rows("list", *arguments)) is some


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("list", {"unit": -5}),
        ("list", {"unit": 70_000}),
        ("list", {"unit": 2.5}),
        ("list", {"unit": [1]}),
        ("list", {"unit": True}),
        ("list", {"unit": "²"}),
        ("list", {"since_s": {}}),
        ("list", {"since_s": 10**30}),
        ("list", {"since_s": float("nan")}),
        ("copy", {"picture": "00001-3fa7-00000001", "to": "0"}),
        ("copy", {"picture": "00001-3fa7-00000001", "to": 10**14}),
        ("get", {"picture": 7}),
        ("get", {"picture": "00001-3fa7-00000001", "have_sha256": "abc"}),
        ("whereis", {}),
        ("nonsense", {}),
    ],
)
def test_a_request_that_no_command_makes_is_refused_and_the_unit_goes_on(
    pair: Pair, verb: str, arguments: dict[str, object]
) -> None:
    with pytest.raises((WrongArgument, Refused)):
        pair.one.ask(verb, **arguments)
    assert pair.one.status()["unit"] == 1


def test_units_tells_of_the_other_one_only(pair: Pair) -> None:
    for unit, other in ((pair.one, 2), (pair.two, 1)):
        (row,) = unit.rows("units")
        check_shape(row, UNITS)
        assert {"loss", "rate_bps"} <= set(row)
        assert (row["unit"], row["name"]) == (other, f"unit-{other}")


def test_status_is_one_object_about_this_unit(pair: Pair) -> None:
    (row,) = pair.one.rows("status")
    assert (row["unit"], row["name"], row["temporary"], row["full"]) == (1, "unit-1", False, False)
    assert row["radio"]["problem"] is None
    assert row["problems"] == []
    assert row["own_bytes"] == sum(path.stat().st_size for path in pair.one.card.glob("own/*/*"))
    (row,) = pair.two.rows("status")
    assert row["held_bytes"] == sum(path.stat().st_size for path in pair.two.card.glob("held/*/*"))


def test_doctor_asks_the_unit_that_runs_and_takes_nothing_from_it(pair: Pair) -> None:
    before = pair.one.status()["radio"]
    done = pair.one.command("doctor", "--json")
    states = {row["name"]: row["state"] for row in map(json.loads, done.out.splitlines())}
    own = ("config", "credential", "unit", "port", "port-held", "link", "camera", "card", "card-room", "card-capacity")
    assert {name: states[name] for name in own} == dict.fromkeys(own, "ok")
    assert done.code == (0 if set(states.values()) == {"ok"} else 1)  # what else there is depends on this machine
    after = pair.one.status()["radio"]
    assert (after["reopened"], after["frames_damaged"]) == (before["reopened"], before["frames_damaged"])


def test_get_writes_the_very_bytes_at_either_unit(pair: Pair, tmp_path: Path) -> None:
    for unit in (pair.one, pair.two):
        into = tmp_path / f"at-{unit.number}"
        rows = unit.rows("get", *(shot["picture"] for shot in pair.shots), "-o", into)
        for row, shot in zip(rows, pair.shots, strict=True):
            check_shape(row, GET)
            assert Path(row["path"]) == into / f"{shot['picture']}.jpg"
            assert hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest() == shot["sha256"] == row["sha256"]
            assert row["from_unit"] == unit.number
        assert len(list(into.iterdir())) == len(rows)


def test_get_of_what_is_there_is_done_and_other_bytes_are_left_alone(pair: Pair, tmp_path: Path) -> None:
    picture = pair.shots[0]["picture"]
    (row,) = pair.one.rows("get", picture, "-o", tmp_path)
    target = Path(row["path"])
    inode = target.stat().st_ino
    mark = pair.one.mark()
    (again,) = pair.one.rows("get", picture, "-o", tmp_path)
    assert (again["sha256"], again["already_there"]) == (row["sha256"], True)
    assert [event for event in pair.one.events[mark:] if event["event"] in ("refused", "delivered")] == []
    assert target.stat().st_ino == inode
    target.write_bytes(b"mine")
    refused = pair.one.command("get", picture, "-o", tmp_path)
    assert refused.code == 1
    assert str(target) in refused.err
    assert target.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [target]


def test_get_of_a_preview(pair: Pair, tmp_path: Path) -> None:
    picture = pair.shots[0]["picture"]
    for unit in (pair.one, pair.two):
        (row,) = unit.rows("get", "--preview", picture, "-o", tmp_path / str(unit.number))
        path = tmp_path / str(unit.number) / f"{picture}.preview.jpg"
        assert Path(row["path"]) == path
        assert path.read_bytes().startswith(JPEG)
        assert path.stat().st_size <= 4096


def test_whereis_verify_asks_for_a_proof_now(pair: Pair) -> None:
    picture = pair.shots[0]["picture"]
    asked = pair.one.command("whereis", "--verify", "--json", picture)
    assert asked.code == 0
    assert "2" in asked.err
    (row,) = pair.one.rows("whereis", picture)
    assert row["picture"] == picture
    assert [(copy["unit"], copy["state"]) for copy in row["copies"]] == [(2, "verified")]


def test_copy_to_a_unit_that_has_it_is_done(pair: Pair) -> None:
    picture = pair.shots[0]["picture"]
    for unit in ("2", "unit-2"):
        assert pair.one.command("copy", picture, "--to", unit).code == 0


def test_drop_frees_the_own_file_and_get_fetches_it_back(pair: Pair, tmp_path: Path) -> None:
    picture = pair.new_shot()
    assert pair.one.command("drop", picture).code == 0
    assert not any(picture in path for path in pair.one.files("own"))
    (row,) = (row for row in pair.one.rows("list") if row["picture"] == picture)
    assert row["local"] is False
    assert pair.one.rows("get", picture, "-o", tmp_path)[0]["from_unit"] == 2
    assert not any(picture in path for path in pair.one.files("own"))
    assert pair.one.command("drop", picture).code == 0


@pytest.mark.parametrize("at", [1, 2])
def test_delete_ends_a_picture_everywhere(pair: Pair, at: int) -> None:
    picture = pair.new_shot()
    (row,) = pair[at - 1].rows("delete", picture)
    assert (row["picture"], row["state"]) == (picture, "deleted" if at == 1 else "pending")
    for unit in (pair.one, pair.two):
        unit.wait_until(lambda unit=unit: picture not in str(unit.ask("list")), f"list without {picture}")  # type: ignore[misc]
        unit.wait_until(lambda unit=unit: not list(unit.card.glob(f"*/*/{picture}*")), f"card without {picture}")  # type: ignore[misc]
    gone = pair.one.command("whereis", picture)
    assert gone.code == 1
    assert pair.new_shot() > picture


def test_explain_tells_each_decision(pair: Pair) -> None:
    rows = pair.one.rows("explain", pair.shots[0]["picture"])
    assert any("unit 2" in row["text"] for row in rows)
    assert all(row["picture"] == pair.shots[0]["picture"] and row["inputs"] for row in rows)


def test_log_tells_the_events_and_follows_them(pair: Pair) -> None:
    rows = pair.one.rows("log")
    assert rows[0]["event"] == "started"
    assert {"shot", "requested", "stored"} <= {row["event"] for row in rows}
    arguments = [*DANDELION, "log", "--follow", "--config", str(pair.one.config)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert "started" in following.stdout.readline()
        picture = pair.new_shot()
        while picture not in following.stdout.readline():
            assert following.poll() is None
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=UNKNOWN_S)
    assert (following.returncode, said) == (0, "")


def test_fsck_beside_the_running_unit(pair: Pair) -> None:
    for unit in (pair.one, pair.two):
        assert unit.command("fsck").code == 0


# --- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["get", "whereis", "copy", "drop", "delete", "explain"])
@pytest.mark.parametrize("picture", [UNKNOWN, STRANGE])
@pytest.mark.parametrize("at", [1, 2])
def test_an_unknown_picture_is_1_within_20_s(pair: Pair, tmp_path: Path, verb: str, picture: str, at: int) -> None:
    more: list[str | Path] = {"get": ["-o", tmp_path], "copy": ["--to", "2" if at == 1 else "1"]}.get(verb, [])
    failed = pair[at - 1].command(verb, picture, *more, within_s=UNKNOWN_S)
    assert failed.code == 1
    assert failed.out == ""
    assert picture in failed.err or f"unit {int(picture[:5])}" in failed.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_picture_is_1_within_20_s_where_nobody_answers(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    one, _ = two_units(make_unit, line.ports, middling_pictures)
    one.wait_event("heard")
    line.stop()
    assert one.command("get", "00002-ffff-00000077", "-o", tmp_path, within_s=UNKNOWN_S).code == 1


@pytest.mark.parametrize("verb", ["get", "whereis", "copy", "drop", "delete", "explain"])
def test_what_is_no_picture_id_is_2(pair: Pair, tmp_path: Path, verb: str) -> None:
    more: list[str | Path] = {"get": ["-o", tmp_path], "copy": ["--to", "2"]}.get(verb, [])
    failed = pair.one.command(verb, "00001-3fa7-42", *more, within_s=UNKNOWN_S)
    assert failed.code == 2
    assert "00001-3fa7-42" in failed.err


def test_copy_elsewhere_than_at_the_origin_names_it(pair: Pair) -> None:
    failed = pair.two.command("copy", pair.shots[0]["picture"], "--to", "1", within_s=UNKNOWN_S)
    assert failed.code == 1
    assert "unit 1" in failed.err


@pytest.mark.parametrize(("to", "says"), [("9", "unit 9"), ("nobody", "nobody"), ("1", "unit 1"), ("unit-1", "unit 1")])
def test_copy_to_what_is_no_other_unit(pair: Pair, to: str, says: str) -> None:
    failed = pair.one.command("copy", pair.shots[0]["picture"], "--to", to, "--timeout", "2", within_s=UNKNOWN_S)
    assert failed.code == 1
    assert says in failed.err


def test_a_copy_that_cannot_begin_says_why_it_waits(pair: Pair) -> None:
    picture = pair.shots[0]["picture"]
    failed = pair.one.command("copy", picture, "--to", "9", "--timeout", "6", within_s=UNKNOWN_S)
    assert failed.code == 1
    assert failed.err.count(f"picture {picture} waits to be copied to unit 9: unit 9 is not heard yet") == 1


def test_a_second_run_is_1(pair: Pair) -> None:
    failed = pair.one.command("run", within_s=UNKNOWN_S)
    assert failed.code == 1
    assert "runs" in failed.err
    assert pair.one.status()["unit"] == 1


def test_shoot_without_a_camera_is_1(pair: Pair) -> None:
    failed = pair.two.command("shoot", within_s=UNKNOWN_S)
    assert failed.code == 1
    assert "camera" in failed.err


def test_get_into_a_place_that_cannot_be_written(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    failed = pair.one.command("get", pair.shots[0]["picture"], "-o", tmp_path / "file", within_s=UNKNOWN_S)
    assert failed.code == 1
    assert str(tmp_path / "file") in failed.err


def test_drop_below_copies_min_is_refused(make_unit: MakeUnit, line: LineProcess, middling_pictures: Path) -> None:
    one, _ = two_units(make_unit, line.ports, middling_pictures, capacity="50 MB", policy="never")
    picture = one.shoot()["picture"]
    failed = one.command("drop", picture, within_s=UNKNOWN_S)
    assert failed.code == 1
    assert "1" in failed.err
    assert any(picture in path for path in one.files("own"))
    (row,) = one.rows("copy", picture, "--to", "2")
    assert [(copy["unit"], copy["state"]) for copy in row["copies"]] == [(2, "verified")]
    line.stop()  # the proof of just now is fresh enough
    assert one.command("drop", picture, within_s=UNKNOWN_S).code == 0
    assert one.files("own") == set()
