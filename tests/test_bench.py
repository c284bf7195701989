"""`dandelion bench`: figures and goals, and quick runs of it with real units; how fast they are is not tested here."""

from __future__ import annotations

import json
import signal
import struct
import sys
import tempfile
from pathlib import Path

import pytest

from firmware import cli
from firmware.errors import Refused
from firmware.layout import TMP
from sim import bench, bench_stall
from sim.bench_copies import PHASES
from sim.bench_daemon import Opens, files_in
from sim.bench_figures import QUICK_BAUD, Figure, Goal, Setting, number
from sim.bench_stall import STALLED, StallingCard
from sim.bench_units import Pair
from sim.line_model import BITS_PER_BYTE_ON_LINE

# --- figures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [
        (0.9, Goal(0.9, at_least=True), True),
        (0.899, Goal(0.9, at_least=True), False),
        (20.0, Goal(20.0), True),
        (20.1, Goal(20.0), False),
        (5.0, None, None),
    ],
)
def test_a_goal_is_met_at_its_bound_and_not_beyond(value: float, goal: Goal | None, met: bool | None) -> None:
    figure = Figure("x", value, "s", goal)
    assert figure.met is met
    assert figure.row() == {"name": "x", "value": value, "unit": "s", "goal": goal and str(goal), "met": met}


def test_a_line_tells_name_value_unit_and_goal() -> None:
    assert Figure("ready", 0.6123, "s", Goal(0.6)).line().split() == [
        "ready",
        "0.612",
        "s",
        "goal",
        "<=",
        "0.6",
        "MISSED",
    ]
    assert Figure("copy", 0.95, "of line", Goal(0.9, at_least=True)).line().split()[-4:] == ["goal", ">=", "0.9", "met"]
    assert Figure("files", 3, "files").line().split() == ["files", "3", "files"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (1_000_000, "1000000"), (0.97777, "0.978"), (1234.5, "1234"), (0.000123, "0.000123")],
)
def test_numbers_have_the_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


def test_a_quick_run_has_no_goals_of_the_slow_line(tmp_path: Path) -> None:
    assert Setting(tmp_path, tmp_path, quick=True).goal(1.0) is None
    assert Setting(tmp_path, tmp_path, quick=False).goal(1.0) == Goal(1.0)


# --- the command -----------------------------------------------------------------------------------------------


def test_an_unknown_measurement_is_2_and_names_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "copy-dirty"]) == 2
    told = capsys.readouterr().err
    assert "copy-dirty" in told
    assert all(name in told for name in bench.MEASUREMENTS)


def test_quick_runs_give_figures_whose_parts_fit_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["bench", "copy-clean", "catalogue", "start-up", "--quick", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {row["name"]: row["value"] for row in rows}
    assert {row["name"].partition(".")[0] for row in rows} == {"copy-clean", "catalogue", "start-up"}
    assert 0 < found["copy-clean"] < 1
    whole_s = bench.PICTURE_BYTES / (found["copy-clean"] * QUICK_BAUD / BITS_PER_BYTE_ON_LINE)
    assert sum(found[f"copy-clean.{phase}"] for phase in PHASES) == pytest.approx(whole_s)
    assert found["copy-clean.overhead"] > 0
    assert found["catalogue.whereis"] >= found["catalogue.whereis-median"] > 0
    assert found["start-up"] > 0
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_unit_that_does_not_come_up_is_told_and_the_other_is_ended(tmp_path: Path) -> None:
    pair = Pair(
        Setting(tmp_path, tmp_path, quick=True), host_runner=(sys.executable, "-c", "raise SystemExit('no card')")
    )
    with pytest.raises(Refused, match="unit 2 did not come up: no card"), pair:
        pass
    assert [unit.process.status() is not None for unit in pair.units] == [True, True]
    assert not pair.line.alive()


# --- what measurements are made of -----------------------------------------------------------------------------


def test_the_opening_of_a_file_is_noted_each_time(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(b"x")
    with Opens(tmp_path) as opens:
        (tmp_path / "one.jpg").read_bytes()
        first = opens.first()
        opens.forget()
        (tmp_path / "one.jpg").read_bytes()
        assert opens.first() > first


def test_the_opening_of_the_directory_itself_is_not_one_of_a_file() -> None:
    directory = struct.pack("iIII", 1, 0x4000_0020, 0, 0)
    file = struct.pack("iIII", 1, 0x20, 0, 16) + b"one.jpg".ljust(16, b"\0")
    assert files_in(directory + file + directory) == [b"one.jpg"]


def test_the_card_stalls_once_and_only_for_a_picture_that_is_received(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_stall, "STALL_S", 0.0)
    card = StallingCard(str(tmp_path))
    card.make_directory(TMP)
    for name, told in (("identity", ""), ("00001-3fa7-00000042", f"{STALLED}\n"), ("00001-3fa7-00000043", "")):
        file = card.create(f"{TMP}/{name}.part", 10)
        file.sync()
        assert capsys.readouterr().err == "", "nothing was written to it"
        file.write(0, b"1234")
        file.sync()
        assert capsys.readouterr().err == told
        assert file.read(0, 4) == b"1234"
        file.close()
