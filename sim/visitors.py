"""People at the simulated fleet: somebody reads a picture out now and then, and comes by where a card is full."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sim.children import DANDELION, Child
from sim.fleet_config import Place
from sim.watch import FleetState

READ_OUT_EVERY_S = 15.0  # so that collecting and delivering are seen, too; each takes 5 to 10 s of the default line
VISIT_AFTER_S = 8.0  # a card is full for so long before somebody comes by: an interval, so that a shot is refused
VISIT_PICTURES = 16  # taken home in one visit: about all of one unit's, of which the line has to bring half


@dataclass(slots=True)
class Errand:
    """What somebody does at one unit: `dandelion` with these arguments, one after the other, until one fails."""

    place: Place
    said: str
    commands: deque[list[str]] = field(default_factory=deque)


class Visitors:
    """One errand at a time, each command a process of its own; the units' logs tell how it goes."""

    def __init__(self, places: Iterable[Place], directory: Path, say: Callable[[str, str], None]) -> None:
        self._places = {place.number: place for place in places}
        self._bag = directory / "taken-home"
        self._output = directory / "visitors.output"
        self._say = say  # text, event word
        self._child: Child | None = None
        self._read_outs = 0
        self._next_read_out = time.monotonic()
        self._full_since: float | None = None
        first = self._places[min(self._places)]
        said = f"somebody presses the shutter of {first.name}; later ones are pressed by time"
        self._errand: Errand | None = Errand(first, said, deque([["shoot"]]))
        self._say(said, "fleet")

    def turn(self, state: FleetState) -> None:
        """Go on with the errand, or begin one that is due. Call it several times a second."""
        if self._errand is not None:
            self._go_on(self._errand)
            return
        now = time.monotonic()
        visit = choose_visit(state)
        if visit is None:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        read_out = choose_read_out(state, self._read_outs)
        if visit is not None and self._full_since is not None and now >= self._full_since + VISIT_AFTER_S:
            self._begin(self._visit(*visit))
        elif read_out is not None and now >= self._next_read_out:
            self._read_outs += 1
            self._begin(self._read_out(*read_out))

    def _begin(self, errand: Errand) -> None:
        self._errand = errand
        self._say(errand.said, "fleet")

    def _go_on(self, errand: Errand) -> None:
        if self._child is not None:
            status = self._child.status()
            if status is None:
                return
            if status != 0:
                self._say(f"that could not be done: {self._child.last_words()}", "alarm")
                errand.commands.clear()
            self._child = None
        if errand.commands:
            arguments = [*errand.commands.popleft(), "--config", str(errand.place.config)]
            self._child = Child([*DANDELION, *arguments], said=self._output)
            return
        self._errand = self._full_since = None
        self._next_read_out = time.monotonic() + READ_OUT_EVERY_S
        shutil.rmtree(self._bag, ignore_errors=True)

    def _read_out(self, asker: int, picture: str) -> Errand:
        place = self._places[asker]
        return Errand(place, f"somebody at {place.name} asks for picture {picture}", deque([self._get(picture)]))

    def _visit(self, unit: int, pictures: tuple[str, ...]) -> Errand:
        """Nothing is deleted unless all of it was read out."""
        place = self._places[unit]
        said = f"{place.name} is full; somebody comes by, reads its {len(pictures)} oldest out and deletes them"
        return Errand(place, said, deque([self._get(*pictures), *(["delete", picture] for picture in pictures)]))

    def _get(self, *pictures: str) -> list[str]:
        return ["get", *pictures, "-o", str(self._bag)]


def choose_read_out(state: FleetState, turn: int) -> tuple[int, str] | None:
    """Who could ask for which picture, to show a read-out: the newest that is verified elsewhere, asked for by a unit
    that does not have it (where there is none, not its origin). turn counts read-outs: the asker changes.
    """
    up = [unit.number for unit in state.units if unit.answering]
    for shown in state.pictures:
        others = [unit for unit in up if unit != shown.origin]
        without = [unit for unit in others if unit not in shown.holders] or others
        if "verified" in shown.holders.values() and without:
            return without[turn % len(without)], shown.picture
    return None


def choose_visit(state: FleetState) -> tuple[int, tuple[str, ...]] | None:
    """The first unit whose card is full, and its oldest pictures, oldest first."""
    for unit in state.units:
        own = [shown.picture for shown in reversed(state.pictures) if shown.origin == unit.number]
        if unit.answering and unit.full and own:
            return unit.number, tuple(own[:VISIT_PICTURES])
    return None
