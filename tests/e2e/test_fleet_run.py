"""`dandelion sim` as `make run` starts it, without a terminal: its plain lines, its end, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import run_command, sane

from sim.children import DANDELION

WORDS = {"requested", "accepted", "stored", "delivered"}
FIRST_STORED_S = 30.0  # from the first shot (the project's own promise of `make run`)
END_S = 15.0  # the fleet's parts end in order, each within 5 s


def processes_in(directory: Path) -> list[str]:
    """Command lines of the processes that have a path below this directory as an argument."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                words = Path(entry.path, "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # it has ended
            if any(word.startswith(str(directory)) for word in words):
                found.append(" ".join(words))
    return found


@contextmanager
def fleet(folder: Path, directory: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A fleet of three whose shots leave the channel air for a read-out; killed in the end if it has not ended."""
    arguments = ["sim", "--units", "3", "--plain", "--baud", "921600", "--interval", "5", "--folder", str(folder)]
    with subprocess.Popen(
        [*DANDELION, *arguments, "--dir", str(directory), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("medium", [[], ["--half-duplex"]])
def test_a_fleet_tells_of_every_step_and_ends_by_itself(tiny_pictures: Path, tmp_path: Path, medium: list[str]) -> None:
    with fleet(tiny_pictures, tmp_path / "fleet", "--for", "12", *medium) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    sane("the fleet", out + err)
    assert set(out.replace(":", " ").split()) >= WORDS, out
    assert processes_in(tmp_path) == []


def says(line: str, word: str) -> bool:
    """Whether a plain line is about this event: its word may stand before the text, or in it."""
    return word in line.replace(":", " ").split()


@pytest.mark.timeout(60)
def test_ctrl_c_ends_a_fleet_and_all_its_processes(tiny_pictures: Path, tmp_path: Path) -> None:
    with fleet(tiny_pictures, tmp_path / "fleet") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if says(line, "stored"):
                break
        shots = [float(line.split()[0]) for line in lines if says(line, "shot")]
        assert float(lines[-1].split()[0]) - shots[0] < FIRST_STORED_S
        assert len(processes_in(tmp_path)) >= 3
        config = tmp_path / "fleet" / "unit-1.toml"
        listed = run_command("list", "--json", "--config", config)
        assert listed.code == 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=END_S)
    assert process.returncode in (0, 130)
    sane("the fleet", "".join(lines) + out + err)
    assert processes_in(tmp_path) == []


def test_wrong_options_are_2() -> None:
    for options in (["--units", "1"], ["--loss", "2"], ["--folder", "/nowhere"]):
        assert run_command("sim", *options, within_s=20).code == 2
