"""The table of all targets. Whoever adds a decoder of what others have made adds a row to one of these files."""

from __future__ import annotations

from typing import Any

from sim.fuzz import command_targets, file_targets, network_targets, radio_targets, unit_targets, xbee_targets
from sim.fuzz.target import Target

TARGETS: dict[str, Target[Any]] = {
    target.name: target
    for each in (radio_targets, xbee_targets, network_targets, file_targets, command_targets, unit_targets)
    for target in each.TARGETS
}
"""By name, in the order in which the fuzzer takes them."""
