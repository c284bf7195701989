"""kill -9 of either unit at each word of a hand-over, and of both behind a drop and a delete; either ended by a bug of
ours, or stopped in a transfer for longer than the other is patient: nothing is lost, nothing is there twice, the list
is right."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import MakeUnit, making_units
from harness import Fields, UnitProcess, check_clean, check_read_out, run_command, two_units, wait_settled
from test_kills import transfer, wait_transfer

from firmware.errors import Refused
from sim.line import LineProcess

BAUD = 460_800  # a picture of 20 kB in half a second
MOMENTS = [(1, "shot"), (1, "requested"), (2, "accepted"), (1, "sending"), (2, "holding"), (1, "stored")]
"""The words of a hand-over in their order, with the unit that says each."""
COMMAND_PATIENCE_S = 8  # of `copy`
QUIET_LOOKS = 12  # that the line is looked at, half a second apart: longer than the host repeats a REPORT
PATIENCE_S = 60.0  # both of a transfer that stands still (firmware/dispersal.py) and of its reservation (HANDOVER R3)


@pytest.mark.parametrize("line", [BAUD], indirect=True)
@pytest.mark.parametrize("victim", [1, 2], ids=["origin", "host"])
def test_a_kill_at_any_word_of_a_hand_over(
    make_unit: MakeUnit, line: LineProcess, tiny_pictures: Path, tmp_path: Path, victim: int
) -> None:
    units = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="always", baud=BAUD)
    one, two = units
    shots: list[Fields] = []
    for sayer, word in MOMENTS:
        mark = units[sayer - 1].mark()
        shots.append(one.shoot())
        units[sayer - 1].wait_event(word, picture=shots[-1]["picture"], after=mark)
        restart(units[victim - 1])
    ids = [shot["picture"] for shot in shots]
    assert len(set(ids)) == len(MOMENTS)
    wait_placed(one, ids)
    wait_settled(one, two, ids)

    assert one.command("drop", ids[0]).code == 0
    one.wait_event("dropped", picture=ids[0])
    restart(*units)
    assert one.command("delete", ids[1]).code == 0
    restart(*units)
    left = [ids[0], *ids[2:]]
    wait_settled(one, two, left)
    check_read_out(one, [shots[0], shots[-1]], tiny_pictures, tmp_path / "at-1")
    check_read_out(two, [shots[0], shots[-1]], tiny_pictures, tmp_path / "at-2")
    for unit in units:
        unit.end()
        check_clean(unit)
        assert not any(ids[1] in path for path in unit.files("own") | unit.files("held"))


def restart(*victims: UnitProcess) -> None:
    """kill -9 of all of them, then they start again."""
    for victim in victims:
        victim.kill()
    for victim in victims:
        victim.start()


def wait_placed(one: UnitProcess, pictures: list[str]) -> None:
    """Every picture has its copy."""

    def placed() -> bool:
        rows = {row["picture"]: row for row in one.ask("list")}
        return all(any(copy["state"] == "verified" for copy in rows[picture]["copies"]) for picture in pictures)

    one.wait_until(placed, "a copy of each picture")


BUG = """
from firmware import states
from firmware.states import Chain, IllegalMove

move = Chain.move

def broken(chain, obj, why):
    if why == {why!r}:
        raise IllegalMove(f"{{chain.name}}: {{why}} is not legal in {{obj.state}}")
    move(chain, obj, why)

Chain.move = broken
"""
"""A sitecustomize.py, which Python runs before the program."""


@pytest.mark.parametrize("line", [BAUD], indirect=True)
@pytest.mark.parametrize(
    ("victim", "why"),
    [(1, "captured"), (1, "accepted"), (1, "stored_there"), (2, "read"), (2, "received"), (2, "stored")],
)
def test_a_unit_that_a_bug_has_ended_goes_on_when_it_is_started_again(
    make_unit: MakeUnit, line: LineProcess, tiny_pictures: Path, tmp_path: Path, victim: int, why: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BUG.format(why=why))
    units = two_units(make_unit, line.ports, tiny_pictures, capacity="50 MB", policy="always", baud=BAUD)
    one, two = units
    broken = units[victim - 1]
    broken.end()
    broken.environment["PYTHONPATH"] = str(tmp_path)
    broken.start()
    shot = run_command("shoot", "--config", one.config)
    broken.wait_broken("IllegalMove")
    assert shot.code == 0 or (victim, why) == (1, "captured"), shot.err

    broken.environment.clear()
    broken.start()
    ids = [row["picture"] for row in one.ask("list")]
    assert len(ids) == 1
    wait_placed(one, ids)
    wait_settled(one, two, ids)
    for unit in units:
        unit.end()
        check_clean(unit)


@pytest.mark.parametrize("line", [115_200], indirect=True)
def test_a_host_that_stands_still_for_longer_than_a_command_has_patience(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    """SIGSTOP is a hung kernel, or a card that takes its time: the command gives up, and a later one goes on."""
    one, two = two_units(make_unit, line.ports, middling_pictures, capacity="50 MB", policy="never", baud=115_200)
    shot = one.shoot()
    copy = ("copy", shot["picture"], "--to", "2", "--timeout", str(COMMAND_PATIENCE_S))
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(one.command, *copy)
        one.wait_until(lambda: transfer(one, shot["picture"], shot["size_bytes"] // 4), "a quarter of the picture")
        with stopped(two):
            gave_up = first.result()
    assert gave_up.code == 1
    one.wait_until(lambda: goes_on(one, shot), "copy, once the origin asks the host again")
    end_and_check(one, two, [shot], middling_pictures, tmp_path)


def goes_on(one: UnitProcess, shot: Fields) -> bool:
    """A copy by hand is refused until its time has come."""
    try:
        one.ask("copy", picture=shot["picture"], to="2", timeout_s=COMMAND_PATIENCE_S)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("line", [115_200], indirect=True)
def test_an_origin_that_stands_still_until_its_host_asks_for_nothing_more(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path
) -> None:
    """Its reservation waits for it, and what has come is not sent again."""
    one, two = two_units(make_unit, line.ports, middling_pictures, capacity="50 MB", policy="always", baud=115_200)
    shot = one.shoot()
    wait_transfer(one, shot, 0.2)
    quiet: list[int] = []

    def is_quiet() -> bool:
        ports = line.stats()["ports"]
        assert isinstance(ports, list)
        quiet.append(ports[1]["sent_bytes"])
        return len(quiet) > QUIET_LOOKS and quiet[-1] == quiet[-QUIET_LOOKS]

    with stopped(one):
        two.wait_until(is_quiet, "silence of the host")
    one.wait_event("stored", picture=shot["picture"])
    end_and_check(one, two, [shot], middling_pictures, tmp_path)


@contextmanager
def stopped(unit: UnitProcess) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    os.kill(unit.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(unit.pid, signal.SIGCONT)


def end_and_check(one: UnitProcess, two: UnitProcess, shots: list[Fields], folder: Path, into: Path) -> None:
    """Everything is right between the two, at the end of both."""
    wait_settled(one, two, [shot["picture"] for shot in shots])
    check_read_out(two, shots, folder, into / "read-out")
    for unit in (one, two):
        unit.end()
        check_clean(unit)


@pytest.mark.parametrize("line", [115_200], indirect=True)
def test_a_unit_that_stands_still_for_longer_than_any_patience(
    make_unit: MakeUnit, line: LineProcess, middling_pictures: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The origin gives the host up, and takes it up again. At the same time, on another line, an origin stands still
    until its host has given the reservation up."""
    if not request.config.getoption("--every-cut"):
        pytest.skip("two minutes, of which one is waiting: `make power` has it")
    (tmp_path / "other").mkdir()
    with LineProcess(["--units", "2", "--baud", "115200"]) as other, making_units(tmp_path / "other") as make_other:
        pairs = [
            two_units(make, ports, middling_pictures, capacity="50 MB", policy="always", baud=115_200)
            for make, ports in ((make_unit, line.ports), (make_other, other.ports))
        ]
        shots = [one.shoot() for one, _ in pairs]
        for (one, _), shot in zip(pairs, shots, strict=True):
            wait_transfer(one, shot, 0.2)
        (first, hung_host), (hung_origin, second) = pairs
        mark = first.mark()
        with stopped(hung_host), stopped(hung_origin):
            first.wait_event("timed_out", picture=shots[0]["picture"], within_s=PATIENCE_S + 30)
            second.wait_until(lambda: not second.status()["transfers"], "a reservation's end", within_s=PATIENCE_S + 30)
        for (one, two), shot in zip(pairs, shots, strict=True):
            one.wait_event("stored", picture=shot["picture"], after=mark if one is first else 0)
            end_and_check(one, two, [shot], middling_pictures, one.card.parent)
