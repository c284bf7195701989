"""People at the simulated fleet: somebody reads a picture out now and then, and comes by where no room is left."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import field
from pathlib import Path

from firmware.wording import so_many
from hal.light_dataclass import dataclass
from sim.children import DANDELION, Child
from sim.fleet_config import Place
from sim.watch import FleetState

READ_OUT_EVERY_S = 20.0  # so that collecting and delivering are seen, too; each takes 5 to 10 s of the default line
VISIT_AFTER_S = 12.0  # a unit is in need for so long before somebody comes by: longer than an interval, to be seen
BACKLOG = 4  # pictures that wait for a copy, so that one may say that no card has room for them (policy "always")
VISIT_PICTURES = 16  # taken home in one visit: about all of one unit's, of which the line has to bring half


@dataclass(slots=True)
class Errand:
    """What somebody does at one unit: `dandelion` with these arguments, one after the other, until one fails."""

    place: Place
    said: str
    commands: deque[list[str]] = field(default_factory=deque)


class Visitors:
    """One errand at a time, each command a process of its own; the units' logs tell how it goes."""

    def __init__(
        self, places: Iterable[Place], directory: Path, say: Callable[[str, str], None], *, backlog: int
    ) -> None:
        self._places = {place.number: place for place in places}
        self._bag = directory / "taken-home"
        self._output = directory / "visitors.output"
        self._say = say  # text, event word
        self._backlog = backlog
        self._child: Child | None = None
        self._read_outs = 0
        self._next_read_out = time.monotonic()
        self._needed_since: float | None = None
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
        visit = choose_visit(state, self._backlog)
        if visit is None:
            self._needed_since = None
        elif self._needed_since is None:
            self._needed_since = now
        read_out = choose_read_out(state, self._read_outs)
        if visit is not None and self._needed_since is not None and now >= self._needed_since + VISIT_AFTER_S:
            self._begin(self._visit(*visit))
        elif read_out is not None and now >= self._next_read_out:
            self._read_outs += 1
            self._next_read_out = now + READ_OUT_EVERY_S
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
        self._errand = self._needed_since = None
        shutil.rmtree(self._bag, ignore_errors=True)

    def _read_out(self, asker: int, picture: str) -> Errand:
        place = self._places[asker]
        return Errand(place, f"somebody at {place.name} asks for picture {picture}", deque([self._get(picture)]))

    def _visit(self, unit: int, pictures: tuple[str, ...]) -> Errand:
        """Nothing is deleted unless all of it was read out."""
        place = self._places[unit]
        many = so_many(len(pictures), "picture")
        said = f"no room is left for {place.name}: somebody comes by, reads {many} out and deletes what was read"
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


def choose_visit(state: FleetState, backlog: int) -> tuple[int, tuple[str, ...]] | None:
    """A unit whose card is full, or else the one where most pictures wait, so many at least; its oldest pictures."""
    needy = [unit for unit in state.units if unit.answering and (unit.full or unit.lacking >= backlog)]
    for unit in sorted(needy, key=lambda unit: (not unit.full, -unit.lacking)):
        own = [shown.picture for shown in reversed(state.pictures) if shown.origin == unit.number]
        if own:
            return unit.number, tuple(own[:VISIT_PICTURES])
    return None
