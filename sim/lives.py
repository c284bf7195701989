"""Lives without a card in a world (firmware/without_card.py): what they may say, and when they announce a picture.

What such a life has is gone with it, and it has promised nothing of that: a picture is announced when people are told
of it, which must not be before a host has stored it (DESIGN §5), or when a later life has it in the list on its card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware import messages as m
from firmware.pictures import PictureId
from sim.truth import Violation

if TYPE_CHECKING:
    from sim.checks import Checks
    from sim.faults import Faults
    from sim.machine import Machine


class Lives:
    """Told by the machines of a world; counts what happens among its faults."""

    def __init__(self, checks: Checks, faults: Faults) -> None:
        self._checks = checks
        self._faults = faults

    def began(self, machine: Machine) -> None:
        """It goes on without its card."""
        self._faults.without_card(machine)

    def told(self, machine: Machine, picture: PictureId) -> None:
        """Only what a host has stored is announced; whatever has become of that host's copy since."""
        self._faults.happened("announced without a card", machine.unit, str(picture))
        self._checks.announced_without_card(machine, picture)

    def ends(self, machine: Machine) -> None:
        """What it has told nobody of is nobody's loss."""
        assert machine.memory is not None
        waiting = [
            picture
            for picture, truth in self._checks.truths.items()
            if not truth.announced and machine.storage_of(picture) is machine.memory
        ]
        for picture in waiting:
            self._faults.happened("gone with the memory", machine.unit, str(picture))
        self._checks.hurts.memory_lost(machine.unit)


def forbid(machine: Machine, message: m.Message) -> None:
    """What no life without a card may say: KEEP, as what it knows ends with it; ACCEPT, as it hosts nothing."""
    if machine.memory is not None and isinstance(message, m.Keep | m.Accept):
        kind = type(message).__name__.upper()
        raise Violation(f"{kind}: unit {machine.unit} has said {kind} of {message.id} and has no card")
