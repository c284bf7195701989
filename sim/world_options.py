"""Everything that a world is made of, and each fault with its rate: one frozen object, also as a command line."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import field
from typing import Any

from hal.interfaces import Duplex
from hal.light_dataclass import dataclass

PER_DAY = "per unit and day"


def _option(default: Any, says: str) -> Any:
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """Probabilities are from 0 to 1. What is said to happen "per unit and day" does so at random times, that often in
    the mean. The defaults are the quiet world of DESIGN §11: the load, and no fault at all."""

    seed: int = _option(1, "of all chance; same options, same trace")
    # ---- load
    units: int = _option(8, "how many, numbered from 1 on")
    in_range: int = _option(8, "whom each hears: the nearest so many on a ring, half of them to each side")
    hours: float = _option(24.0, "how long there are pictures and faults")
    settle_hours: float = _option(48.0, "how long the units have to settle after the last fault")
    picture_bytes: int = _option(8_000, "length of each picture, give or take a tenth")
    pictures_per_hour: float = _option(1.0, "per unit, evenly spaced")
    priority: float = _option(0.0, "share of pictures that are urgent and get two copies")
    copies: int = _option(1, "verified copies that each picture shall have at other units")
    copies_min: int = _option(1, "proofs asked for now with which an own file may go when its card is full (R14)")
    beacon_s: float = _option(600.0, "seconds between two beacons of a unit")
    capacity_bytes: int = _option(100_000_000, "what pictures may take on each card")
    hosting: float = _option(0.5, "share of it that others may use")
    # ---- the air
    baud: int = _option(115_200, "ten of them a byte")
    duplex: Duplex = field(default=Duplex.FULL, metadata={"says": "half: transmissions that overlap are spoilt"})
    one_way: float = _option(0.0, "share of links that only ever work in one direction")
    loss: float = _option(0.0, "of frames, for each receiver by itself")
    burst_every_s: float = _option(0.0, "mean time between bursts of loss on one direction of a link; 0: none")
    burst_s: float = _option(5.0, "mean length of a burst")
    burst_loss: float = _option(0.9, "loss of frames within one")
    doubled: float = _option(0.0, "frames that arrive a second time, late")
    late: float = _option(0.0, "frames that arrive late, and so behind others that were sent after them")
    late_least_s: float = _option(0.005, "how late, at least")
    late_most_s: float = _option(3600.0, "how late, at most; ten times as late is as likely again")
    replays: float = _option(0.0, "frames from long ago, also from before restarts, " + PER_DAY)
    forgeries: float = _option(0.0, "frames that somebody without a key has made of what was heard, " + PER_DAY)
    outages: float = _option(0.0, "one direction of one link that is cut, " + PER_DAY)
    outage_s: float = _option(3600.0, "mean length of these")
    partitions: float = _option(0.0, "times a day that two halves of the units hear nothing of each other")
    partition_s: float = _option(7200.0, "mean length of these")
    # ---- machines
    restart_every_s: float = _option(0.0, "each unit restarts about so often; 0: never")
    power_cuts: float = _option(0.5, "share of restarts that are power cuts; the others are a killed process")
    off_s: float = _option(60.0, "mean time that a unit is off then")
    catalogue_losses: float = _option(0.0, "restarts without the catalogue, " + PER_DAY)
    card_losses: float = _option(0.0, "restarts with a new, empty card, " + PER_DAY)
    card_deaths: float = _option(0.0, "cards that fail at every call from then on, one at a time, " + PER_DAY)
    card_dead_s: float = _option(4 * 3600.0, "mean time until a person puts a new card in")
    deaths_apart_hours: float = _option(24.0, "time between such a new card and the next death, for repair")
    cards_read_only: float = _option(0.0, "cards that take no more writes, until the unit is started anew, " + PER_DAY)
    read_only_s: float = _option(3600.0, "mean time until then")
    without_card: bool = _option(False, "units go on without a card that has failed, as the service has them do")
    cloned_cards: float = _option(0.0, "units that start with a copy of another unit's card, " + PER_DAY)
    card_lies: float = _option(0.0, "times that a card begins to say synced of what is not, " + PER_DAY)
    lie_s: float = _option(600.0, "mean time that it does so; half of the times the power goes then")
    rot: float = _option(0.0, "files on a card of which one bit turns over, " + PER_DAY)
    card_errors: float = _option(0.0, "calls of the card that fail with an I/O error, " + PER_DAY)
    card_full: float = _option(0.0, "calls of the card that find its file system full, " + PER_DAY)
    slow_cards: float = _option(0.0, "a card and catalogue that become slow, " + PER_DAY)
    slow_s: float = _option(600.0, "mean time that they stay so")
    slowness: float = _option(100.0, "how many times as long as usual everything takes there meanwhile")
    camera_hangs: float = _option(0.0, "share of shots at which the camera hangs for 20 s")
    camera_fails: float = _option(0.0, "share of shots that fail at once")
    clock_jumps: float = _option(0.0, "jumps of the wall clock, " + PER_DAY)
    clock_jump_years: float = _option(1.0, "by how much at most, forwards or back")
    # ---- members that do harm, the units with the highest numbers
    liars: int = _option(0, "hosts that say stored, throw pictures away and make proofs up")
    liar_share: float = _option(1.0, "share of the pictures that they throw away")
    swallowers: int = _option(0, "hosts that accept, never store and never answer")
    floods: float = _option(0.0, "times that a unit asks for anything as fast as its line takes, " + PER_DAY)
    flood_s: float = _option(10.0, "mean length of these")
    # ---- people
    gets: float = _option(0.0, "read-outs of a picture of any unit, " + PER_DAY)
    deletes: float = _option(0.0, "pictures deleted, half of them at another unit than the origin, " + PER_DAY)
    copies_by_hand: float = _option(0.0, "copies to a unit that a person chooses, " + PER_DAY)
    drops_by_hand: float = _option(0.0, "own files that a person frees, " + PER_DAY)
    # ---- checks
    sweep_hours: float = _option(24.0, "how often every picture is checked, beside those that a step touches")
    most_sent: float = _option(8.0, "PART bytes on the air per byte placed; more is an error")

    def command(self, module: str = "sim.world") -> str:
        """What runs this again."""
        changed = (f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default or f.name == "seed")
        words = [word for f in changed for word in _words(f.name, getattr(self, f.name))]
        return shlex.join(["python", "-m", module, *words])


QUIET = WorldOptions()
ALL_FAULTS = WorldOptions(
    duplex=Duplex.HALF,
    priority=0.1,
    loss=0.1,
    burst_every_s=600.0,
    doubled=0.02,
    late=0.02,
    replays=100.0,
    outages=2.0,
    partitions=2.0,
    partition_s=3600.0,
    restart_every_s=6 * 3600.0,
    catalogue_losses=1.0,
    rot=0.3,
    card_losses=0.3,
    card_errors=4.0,
    card_full=2.0,
    slow_cards=2.0,
    camera_hangs=0.02,
    camera_fails=0.02,
    clock_jumps=1.0,
    gets=2.0,
    deletes=1.0,
    copies_by_hand=1.0,
    drops_by_hand=1.0,
)
"""Every fault at once, each so often that a world of a few units and a day meets it."""
WORST = dataclasses.replace(
    ALL_FAULTS,
    copies=2,
    copies_min=2,
    card_deaths=0.3,
    card_dead_s=3600.0,
    deaths_apart_hours=2.0,
    cards_read_only=0.5,
    read_only_s=2 * 3600.0,
    without_card=True,
    cloned_cards=0.2,
    card_lies=1.0,
    clock_jump_years=10.0,
    liars=1,
    liar_share=0.5,
    swallowers=1,
    floods=0.5,
    forgeries=100.0,
)
"""The world at its worst: all of that and cards that die, lie, are cloned or take no writes, units that go on without
one, members that do harm, and somebody who forges frames.

Within bounds: one liar and one swallower among the units, each card lies for minutes, two copies of each picture."""


def _words(name: str, value: object) -> list[str]:
    """An option as the command line has it."""
    argument = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{argument}" if value else f"--no-{argument}"]
    return [f"--{argument}", _text(value)]


def _text(value: object) -> str:
    return value.value if isinstance(value, Duplex) else str(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One argument for each option."""
    for option in dataclasses.fields(WorldOptions):
        default: Any = option.default
        name = f"--{option.name.replace('_', '-')}"
        says = f"{option.metadata['says']} (default: {_text(default)})".replace("%", "%%")
        if isinstance(default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=None, help=says)
        else:
            parser.add_argument(name, type=type(default), metavar=type(default).__name__.upper(), help=says)


def options_of(arguments: argparse.Namespace, base: WorldOptions = QUIET) -> WorldOptions:
    """What the command line says, the rest as in base."""
    names = [option.name for option in dataclasses.fields(WorldOptions)]
    said = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    return dataclasses.replace(base, **said)


def parse(argv: Sequence[str]) -> WorldOptions:
    """For tests of the command line, and for whoever replays a printed command."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return options_of(parser.parse_args(argv))
