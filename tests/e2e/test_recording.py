"""Whoever has recorded a line, and says again what went over it, raises counters and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import MakeUnit, Pump
from harness import Fields, UnitProcess, two_units, wait_settled

BAUD = 115_200


def refused(unit: UnitProcess) -> dict[str, int]:
    """Packets that it has thrown away since its start, by cause."""
    counts: dict[str, int] = unit.status()["packets_refused"]
    return counts


def what_it_has(unit: UnitProcess) -> tuple[list[Fields], set[str], set[str], dict[str, Any]]:
    """All that others could have had a say in."""
    status = unit.status()
    kept = {key: status[key] for key in ("boot", "card_number", "network", "pictures", "transfers")}
    return unit.ask("list"), unit.files("own"), unit.files("held"), kept


@pytest.mark.parametrize("restarts", [False, True], ids=["at-once", "after-a-restart"])
def test_a_recorded_transfer_that_is_said_again_byte_by_byte_raises_counters_and_nothing_else(
    make_unit: MakeUnit, pump: Pump, tiny_pictures: Path, restarts: bool
) -> None:
    one, two = two_units(make_unit, pump.ports, tiny_pictures, capacity="50 MB", policy="always", baud=BAUD)
    mark = one.mark()
    picture = one.shoot()["picture"]
    one.wait_event("stored", picture=picture, after=mark)
    assert one.command("whereis", picture, "--verify").code == 0
    wait_settled(one, two, [picture])
    one.kill()  # and carried off: nobody answers any more
    if restarts:
        two.end()
        two.start()
    before, counted, said = what_it_has(two), sum(refused(two).values()), two.mark()
    neighbours = len(two.ask("units"))
    assert neighbours == (0 if restarts else 1)
    assert pump.say_again() > 20_000  # the picture is among them
    two.wait_until(lambda: sum(refused(two).values()) >= counted + 10, "packets thrown away")
    if restarts:
        two.wait_until(lambda: refused(two).get("Unproved"), "a handshake given up")
    assert what_it_has(two) == before
    assert len(two.ask("units")) == neighbours
    assert {event["event"] for event in two.events[said:]} <= {"radio", "alarm"}
