"""`dandelion sim`: units as real processes on one emulated line, shown live until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from firmware.client import Client
from firmware.control import hold
from firmware.errors import Refused, UnitRuns, WrongArgument
from firmware.wording import so_many
from sim.children import DANDELION, Child, Ending, end_all
from sim.fleet_config import Place, config_text, enrol, read_options
from sim.line import LineProcess
from sim.line_model import BITS_PER_BYTE_ON_LINE
from sim.show import LiveShow, PlainShow, Show
from sim.view import EVENTS, save_svg
from sim.visitors import BACKLOG, Visitors, choose_read_out
from sim.watch import FleetEvent, FleetState, Watch

TICK_S = 0.25  # the view is drawn so often
READY_S = 30.0  # a unit is ready in 0.6 s (DESIGN §11); a busy machine may need longer
READY_TICK_S = 0.05


def main(argv: Sequence[str]) -> int:
    """Run a fleet until a signal or --for. Raises DandelionError for what the command line tells a person."""
    options = read_options(argv)
    with Ending() as ending, _work_directory(options.dir) as directory, _only_fleet(directory):
        folder = options.folder or _pictures(directory, ending)
        if ending.asked:
            return 0
        if not any(folder.glob("*.jpg")):
            raise WrongArgument(f"--folder {folder}: no *.jpg there", can="name a directory with JPEG files")
        with _line(options) as line, _units(options, directory, line.ports, folder) as units:
            fleet = Fleet(units, options, directory)
            if fleet.wait_ready(ending):
                fleet.run(ending, PlainShow() if options.plain or not sys.stdout.isatty() else LiveShow())
    return 0


class Fleet:
    """Units that were started: waits for them, and shows what they and their visitors do."""

    def __init__(self, units: dict[Place, Child], options: argparse.Namespace, directory: Path) -> None:
        self._units = units
        self._options = options
        self._directory = directory
        self._dead: set[Place] = set()
        self._recent: deque[FleetEvent] = deque(maxlen=EVENTS)
        medium = "half-duplex channel" if options.half_duplex else "line"
        self._watch = Watch(
            {place.number: (place.name, place.socket) for place in units},
            title=f"{len(units)} units on one shared {medium}, {options.baud} baud, {options.loss:.0%} loss; "
            f"cards of {options.capacity}, half of each for others",
            line_bytes_per_s=options.baud / BITS_PER_BYTE_ON_LINE,
        )

    def wait_ready(self, ending: Ending) -> bool:
        """Until every unit answers; False if asked to end before. Refused if one ends or does not come up."""
        deadline = time.monotonic() + READY_S
        waiting = list(self._units)
        while waiting and not ending.wait(READY_TICK_S):
            place = waiting[0]
            if self._units[place].status() is not None:
                raise Refused(f"at its start {place.name} {self._units[place].ending()}")
            if Client(place.socket).runs():
                waiting.pop(0)
            elif time.monotonic() > deadline:
                raise Refused(f"{place.name} was not ready within {READY_S:.0f} s: {self._units[place].last_words()}")
        return not waiting

    def run(self, ending: Ending, show: Show) -> None:
        """Show it until asked to end or until --for is over."""
        over = None if self._options.seconds is None else time.monotonic() + self._options.seconds
        state = self._state([])
        self._watch.start()
        backlog = (
            BACKLOG if self._options.policy == "always" else sys.maxsize
        )  # others leave them waiting though there is room
        visitors = Visitors(self._units, self._directory, self._watch.say, backlog=backlog)
        with show:
            show.begin(state)
            while not ending.wait(TICK_S) and (over is None or time.monotonic() < over):
                self._report_dead()
                visitors.turn(state)
                events = self._watch.events()
                state = self._state(events)
                show.show(state, events)
        self._watch.stop()
        if self._options.svg is not None:
            save_svg(state, self._options.svg)
        elsewhere = sum("verified" in shown.holders.values() for shown in state.pictures)
        pictures, copied = (so_many(count, "picture") for count in (len(state.pictures), elsewhere))
        print(f"The fleet ends: {pictures} taken, {copied} with a verified copy elsewhere.")

    def _state(self, events: list[FleetEvent]) -> FleetState:
        self._recent.extend(events)
        state = self._watch.state()
        return replace(state, events=tuple(self._recent), footer=self._hints(state))

    def _hints(self, state: FleetState) -> tuple[str, ...]:
        """The commands for another terminal; of the oldest picture that can show something, so that they stay."""
        chosen = choose_read_out(replace(state, pictures=state.pictures[::-1]), 0)
        asker, picture = chosen or (state.units[-1].number, "PICTURE")
        config = shlex.quote(_shown(next(place.config for place in self._units if place.number == asker)))
        command = shlex.quote(_shown(Path(sys.executable).with_name("dandelion")))
        return (
            f"To read a picture out at unit-{asker}, in another terminal, in this directory:",
            f"  export DANDELION_CONFIG={config}",
            f"  {command} list",
            f"  {command} get {picture} -o /tmp",
        )

    def _report_dead(self) -> None:
        for place, child in self._units.items():
            if child.status() is not None and place not in self._dead:
                self._dead.add(place)
                self._watch.say(f"{place.name} {child.ending()}", "alarm")


def _shown(path: Path) -> str:
    """The path as short as it can be typed here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@contextmanager
def _work_directory(wanted: Path | None) -> Iterator[Path]:
    """The directory asked for, which stays, or a temporary one."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.absolute()
        return
    made = Path(tempfile.mkdtemp(prefix="dandelion-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _only_fleet(directory: Path) -> Iterator[None]:
    """Nobody else's fleet lives there: its units would be taken for ours."""
    with ExitStack() as held:
        try:
            held.enter_context(hold(directory))
        except UnitRuns as error:
            raise WrongArgument(f"--dir {directory}: another fleet runs there", can="use another directory") from error
        yield


def _pictures(directory: Path, ending: Ending) -> Path:
    """A folder of JPEGs, made in a process of its own if it is not there yet."""
    folder = directory / "pictures"
    if not any(folder.glob("*.jpg")):
        print("Drawing the pictures that the cameras will take …", flush=True)
        child = Child([sys.executable, "-m", "sim.pictures", str(folder)], said=directory / "pictures.output")
        while child.status() is None and not ending.wait(READY_TICK_S):
            pass
        end_all([child])
        if child.status() != 0 and not ending.asked:
            raise Refused(f"the pictures could not be made: {child.last_words()}", can="name some with --folder DIR")
    return folder


def _line(options: argparse.Namespace) -> LineProcess:
    arguments = ["--units", options.units, "--baud", options.baud]
    arguments += ["--loss", options.loss, "--bit-errors", options.bit_errors]
    arguments += ["--half-duplex"] * options.half_duplex
    try:
        return LineProcess([str(argument) for argument in arguments])
    except ValueError as error:
        raise WrongArgument(f"the line cannot be made: {error}") from error


@contextmanager
def _units(
    options: argparse.Namespace, directory: Path, ports: Sequence[str], folder: Path
) -> Iterator[dict[Place, Child]]:
    """Every unit started; ended at the end of the context."""
    units: dict[Place, Child] = {}
    try:
        places = [Place(number, directory) for number in range(1, len(ports) + 1)]
        for place in places:
            place.card.mkdir(parents=True, exist_ok=True)
            enrol(directory, place.number, place.name, place.credential)
        for place, port in zip(places, ports, strict=True):
            place.config.write_text(config_text(place, options, port=port, folder=folder.absolute()))
            units[place] = Child([*DANDELION, "run", "--config", str(place.config)], said=place.said)
        yield units
    finally:
        end_all(list(units.values()))
