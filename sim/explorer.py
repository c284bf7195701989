"""Every cut of a scene: at each step of any unit the run forks, and in one of the two the power goes there.

A step is a call of the card, a COMMIT, or a packet that is sent (beacons are none: they change nothing); the power goes
before it, and so after the one before. The first cut is at each step of the story until all is settled. Each run with
it goes on, and forks again at each step that *another* unit does from then on (Choice.second: or the same one, its
start-up included), so that every pair k₁, k₂ of steps is met, in the order in which they happen. What came before a
fork is shared by both and costs nothing twice. A cut is named UNIT.STEP, the step counted since the cut before it, or
since the story began; a list of them (a path) runs the same again without any fork.

In place of a cut, a call may fail (Choice.fault), or the catalogue be gone after the cut (Choice.catalogue).
"""

from __future__ import annotations

import enum
import gc
import mmap
import os
import random
import struct
import sys
import traceback
from collections.abc import Sequence

from hal.light_dataclass import dataclass
from sim.card import Fault, PowerCut, ProcessKilled
from sim.machine import Machine
from sim.scene import Scene
from sim.stories import STORIES

OFF_S = (0.1, 2.0, 15.0, 90.0)
"""How long a unit is off after a cut; short and long against the time-outs of its peers."""
FAULTS = {"io": Fault.IO, "full": Fault.FULL, "mismatch": Fault.ROT, "lie": Fault.LIE, "done": Fault.DONE}
"""EIO, ENOSPC, one bit wrong in what is read, one that a sync has left wrong on the medium, EIO of what was done."""
_FIELDS = struct.Struct("qqqqqqd")  # as in Tally


class Second(enum.Enum):
    """Whose steps are cut after the first cut."""

    NONE = "none"
    OTHER = "other"  # every other unit
    SAME = "same"  # the one that was cut
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is tried. share, first_share: of the second and first cuts, drawn for each; 1: all. path: this run only.

    fault: at the first step there is no cut, but a call that fails so. catalogue: after the first cut it is gone.
    kill: it is no cut, but the end of the process; what was not synced stays.
    """

    second: Second = Second.OTHER
    share: float = 1.0
    first_share: float = 1.0
    fault: Fault | None = None
    catalogue: bool = False
    kill: bool = False
    path: tuple[tuple[int, int], ...] | None = None

    @property
    def name(self) -> str:
        """For the command that runs one again."""
        words = ["--fault", next(name for name, fault in FAULTS.items() if fault is self.fault)] if self.fault else []
        return " ".join(words + ["--catalogue"] * self.catalogue + ["--kill"] * self.kill)


@dataclass(slots=True)
class Tally:
    """Runs to their ends: without a cut, with one, with two; calls that failed; catalogues lost; failed runs; and how
    long after the story everything was settled, at most, in seconds."""

    whole: int = 0
    once: int = 0
    twice: int = 0
    faults: int = 0
    catalogues: int = 0
    failed: int = 0
    settled_s: float = 0.0

    @property
    def cuts(self) -> int:
        """Runs with a cut."""
        return self.once + self.twice

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.whole + other.whole,
            self.once + other.once,
            self.twice + other.twice,
            self.faults + other.faults,
            self.catalogues + other.catalogues,
            self.failed + other.failed,
            max(self.settled_s, other.settled_s),
        )


class _Shared:
    """A Tally and the first failure's words, in memory that parents and children share."""

    MOST_BYTES = 1 << 16

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.MOST_BYTES)

    @property
    def tally(self) -> Tally:
        return Tally(*_FIELDS.unpack_from(self._memory))

    @tally.setter
    def tally(self, tally: Tally) -> None:
        counts = (tally.whole, tally.once, tally.twice, tally.faults, tally.catalogues, tally.failed)
        _FIELDS.pack_into(self._memory, 0, *counts, tally.settled_s)

    @property
    def text(self) -> str:
        return self._memory[_FIELDS.size :].rstrip(b"\0").decode("utf-8", "replace")

    @text.setter
    def text(self, text: str) -> None:
        data = text.encode()[: self.MOST_BYTES - _FIELDS.size]
        self._memory[_FIELDS.size : _FIELDS.size + len(data)] = data


class Explorer:
    """One scene, in every way that the choice asks for; explore() once."""

    def __init__(self, scene: Scene, choice: Choice) -> None:
        self._scene, self._choice = scene, choice
        self._shared = _Shared()
        self._path: list[tuple[int, int]] = []  # cuts and faults made in this process
        self._what: list[str] = []  # before what
        self._steps: dict[int, int] = {}  # since the last of them, for each unit
        self._is_child = False

    def explore(self) -> tuple[Tally, str]:
        """What came of all runs, and the words of the first that failed, empty if none did."""
        gc.collect()
        gc.disable()  # a collection would have each child copy the pages of every object
        try:
            self._run()
        finally:
            gc.enable()
        return self._shared.tally, self._shared.text

    def _run(self) -> None:
        """To the end; a child ends here, too."""
        try:
            self._to_the_end()
        except Exception as error:  # noqa: BLE001 - whatever breaks a unit is told with the command that shows it again
            self._fail(error)
        finally:
            if self._is_child:  # never back into what its parent was called from
                os._exit(0)

    def _fail(self, error: Exception) -> None:
        tally = self._shared.tally
        tally.failed += 1
        self._shared.tally = tally
        if tally.failed == 1:
            broken = "" if isinstance(error, AssertionError) else f"{traceback.format_exc()}\n"
            self._shared.text = broken + self._epitaph(error)

    def _to_the_end(self) -> None:
        scene, choice = self._scene, self._choice
        for machine in scene.machines.values():
            machine.watch_steps(self._about_to)
        scene.tell()
        settled_s = scene.settle()
        for machine in scene.machines.values():
            machine.watch_steps(None)
        missing = "" if self._path else scene.story.missing(scene)  # while the logs are there
        if choice.fault is not None:
            self._restart_all()  # what a failed call has left on the card is taken in by the next start
        scene.after_all()
        if missing:
            raise AssertionError(f"nothing was cut, and {missing}")
        if choice.path is not None and len(self._path) < len(choice.path):
            raise AssertionError(f"the path ends before {choice.path[len(self._path)]}")
        self._count(settled_s)

    def _restart_all(self) -> None:
        for machine in self._scene.machines.values():
            if machine.running is not None:
                machine.kill()
            self._scene.switch_on(machine)
        self._scene.settle()

    def _count(self, settled_s: float) -> None:
        tally, cuts = self._shared.tally, len(self._path) - (self._choice.fault is not None)
        tally.whole += not self._path
        tally.once += cuts == 1
        tally.twice += cuts == 2
        tally.faults += bool(self._path) and self._choice.fault is not None
        tally.catalogues += bool(self._path) and self._choice.catalogue
        tally.settled_s = max(tally.settled_s, settled_s)
        self._shared.tally = tally

    def _epitaph(self, error: Exception) -> str:
        scene, path = self._scene, ",".join(f"{unit}.{step}" for unit, step in self._path)
        command = f"python -m sim.cuts --story {scene.name} --seed {scene.seed} --path {path or 'none'}"
        told = [str(error) or repr(error), f"story {scene.name}, cut before: {'; '.join(self._what) or 'nothing'}"]
        return "\n".join([*told, "to run it again:", f"{command} {self._choice.name}".rstrip()])

    # ------------------------------------------------------------ at each step

    def _about_to(self, machine: Machine, what: str, may: tuple[Fault, ...]) -> Fault | None:
        if what == "say Beacon":
            return None
        step = self._steps[machine.unit] = self._steps.get(machine.unit, 0) + 1
        fault = self._choice.fault if not self._path else None
        if fault is not None and fault not in may:
            return None
        if not self._happens(machine.unit, step):
            return None
        self._path.append((machine.unit, step))
        self._what.append(f"unit {machine.unit}: {what}")
        self._steps.clear()
        if fault is not None:
            return fault
        self._cut(machine)
        raise ProcessKilled if self._choice.kill and len(self._path) == 1 else PowerCut(f"before {what}")

    def _happens(self, unit: int, step: int) -> bool:
        """Whether here; where both are to be tried, in a child of its own it does, and it does not here."""
        choice = self._choice
        if choice.path is not None:
            done = len(self._path)
            return done < len(choice.path) and choice.path[done] == (unit, step)
        if not self._may_happen(unit, step):
            return False
        sys.stdout.flush()
        child = os.fork()
        if child:
            self._ended(unit, step, os.waitpid(child, 0)[1])
            return False
        self._is_child = True
        return True

    def _ended(self, unit: int, step: int, status: int) -> None:
        """A child that was killed, by a lack of memory as like as not, has told nothing: that is no run that passed."""
        if status and not self._shared.tally.failed:
            what = f"the run behind {self._path} and {unit}.{step} has ended with {os.waitstatus_to_exitcode(status)}"
            self._fail(AssertionError(what))

    def _may_happen(self, unit: int, step: int) -> bool:
        choice = self._choice
        if self._shared.tally.failed:  # one is enough
            return False
        if not self._path:
            return choice.first_share >= 1 or self._drawn("first", step, unit).random() < choice.first_share
        if len(self._path) > 1 or choice.second is Second.NONE:
            return False
        same = self._path[0][0] == unit
        if same is not (choice.second is Second.SAME) and choice.second is not Second.ANY:
            return False
        return choice.share >= 1 or self._drawn("second", step, unit).random() < choice.share

    def _drawn(self, what: str, *more: int) -> random.Random:
        """Of the seed and of what has happened so far only."""
        return random.Random(f"{what} {self._scene.seed} {self._scene.name} {self._path} {more}")

    # ------------------------------------------------------------ a cut

    def _cut(self, machine: Machine) -> None:
        """Plan what comes after it: half of all cuts take all that is not synced, half any part of it."""
        chance = self._drawn("cut")
        machine.tear = chance if chance.random() < 0.5 else None
        loses = self._choice.catalogue and len(self._path) == 1
        rig = self._scene.rig
        rig.at(rig.now + chance.choice(OFF_S), lambda: self._scene.switch_on(machine, loses_catalogue=loses))


def explore(seed: int, story: str, choice: Choice) -> tuple[Tally, str]:
    """One schedule."""
    scene = Scene(seed, story, STORIES[story])
    scene.prepare()
    return Explorer(scene, choice).explore()


def path_of(text: str) -> tuple[tuple[int, int], ...]:
    """What a path looks like on a command line."""
    if text == "none":
        return ()
    cuts: Sequence[list[str]] = [cut.split(".") for cut in text.split(",")]
    return tuple((int(unit), int(step)) for unit, step in cuts)
