"""`make soak`: worlds for hours, with figures: unit-hours, speed, pictures, faults, what is lost or wrong, memory.

Two ways. `--days 30 --units 50` runs one world of DESIGN §11's load with loss, partitions and restarts, and tells how
fast it goes and how memory grows with each simulated day. `--for 1800` runs small worlds with every fault, one seed
after the other, for so many seconds. Either stops at the first rule that is broken, with the command that shows it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from hal.light_dataclass import dataclass
from sim.truth import Loss
from sim.world import Failed, Report, World
from sim.world_options import ALL_FAULTS, WORST, WorldOptions, add_arguments, options_of

MONTH = WorldOptions(
    units=50,
    hours=720.0,
    loss=0.3,
    partitions=1.0,
    restart_every_s=6 * 3600.0,
    power_cuts=0.5,
    settle_hours=48.0,
    sweep_hours=96.0,  # what no step has touched; each takes as long as there are pictures
)
"""The goal of the network's issue: fifty units for thirty days, one 8 kB picture per unit and hour."""
DAY = dataclasses.replace(ALL_FAULTS, units=8, hours=24.0)
"""One of many small ones; every other one is the next."""
WORST_DAY = dataclasses.replace(WORST, units=8, hours=24.0)
"""The world at its worst."""
TWO_COPIES = WorldOptions(
    hours=240.0,
    pictures_per_hour=0.05,
    beacon_s=7200.0,
    card_deaths=0.1,
    deletes=0.6,
    drops_by_hand=1.0,
    copies=2,
    copies_min=2,
)
"""What HANDOVER R14 promises: cards die one at a time, own files are dropped, and little else happens."""
ONE_COPY = dataclasses.replace(TWO_COPIES, copies=1, copies_min=1)
FIRST_DAYS = 2  # until every unit has met its neighbours and all code has run; left out of the slope
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """Memory at the end of a simulated day. held_bytes: of rss_bytes what cards and catalogues hold."""

    day: int
    rss_bytes: int
    held_bytes: int


def slope_percent(marks: Sequence[Mark]) -> float:
    """Growth per day of what is neither pictures nor catalogues, in percent of all memory; 0.0 for too few days."""
    later = [mark for mark in marks if mark.day > FIRST_DAYS]
    if len(later) < 2:
        return 0.0
    days = [mark.day for mark in later]
    rest = [mark.rss_bytes - mark.held_bytes for mark in later]
    mean_day, mean_rest = sum(days) / len(days), sum(rest) / len(rest)
    above = sum((day - mean_day) * (size - mean_rest) for day, size in zip(days, rest, strict=True))
    per_day = above / sum((day - mean_day) ** 2 for day in days)
    return 100 * per_day / later[-1].rss_bytes


def rss_bytes() -> int:
    """Of this process, from Linux."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Stopwatch:
    """Wall and processor time since it was made; the latter is what counts where others use the machine too."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def rates(self, unit_hours: float) -> str:
        """How fast it went."""
        wall_s, cpu_s = time.monotonic() - self._wall, time.process_time() - self._cpu
        return f"{unit_hours / wall_s:.1f} unit-hours/s ({unit_hours / cpu_s:.1f} per s of processor time)"

    @property
    def wall_s(self) -> float:
        """Seconds."""
        return time.monotonic() - self._wall


def month(options: WorldOptions) -> Report:
    """One world, with a line for each of its days."""
    watch, world, marks = Stopwatch(), World(options), []
    try:
        for day in range(1, max(1, round(options.hours / 24)) + 1):
            lap = Stopwatch()
            hours = min(24.0, options.hours - world.hours)
            world.run_hours(hours)
            held = sum(machine.stored_bytes for machine in world.machines.values())
            marks.append(Mark(day, rss_bytes(), held))
            print(
                f"day {day}: {lap.rates(options.units * hours)}, {len(world.checks.truths)} pictures, "
                f"memory {marks[-1].rss_bytes / MB:.0f} MB, of this cards and catalogues {held / MB:.0f} MB",
                flush=True,
            )
        report = world.settle()
    except AssertionError as error:
        raise Failed(world.epitaph(error)) from error
    print(f"{watch.rates(report.unit_hours)} in all, {watch.wall_s:.0f} s")
    print(f"memory beside pictures and catalogues: {slope_percent(marks):+.2f} % a day")
    return report


def days(kinds: Sequence[WorldOptions], seconds: float) -> None:
    """World after world, of one kind after the other, each with the next seed, until the time is up; one at least."""
    watch, faults = Stopwatch(), Counter[str]()
    unit_hours, pictures, copies, worlds = 0.0, 0, 0, 0
    excused = Counter[Loss]()
    while not worlds or watch.wall_s < seconds:
        options = dataclasses.replace(kinds[worlds % len(kinds)], seed=kinds[0].seed + worlds)
        report = World(options).run()
        worlds += 1
        unit_hours += report.unit_hours
        pictures += report.pictures
        copies += report.copies
        excused += report.excused
        faults += report.faults
        print(
            f"seed {options.seed}: {report.pictures} pictures, {options.copies} copies wanted, "
            f"settled after {report.settled_after_h:.1f} h; {watch.rates(unit_hours)}, "
            f"memory {rss_bytes() / MB:.0f} MB",
            flush=True,
        )
    print(f"{worlds} worlds, {unit_hours:.0f} unit-hours, {watch.rates(unit_hours)}")
    print(f"pictures {pictures}, copies {copies}, lost and excused {excused.total()}; 0 lost, 0 wrong, all settled")
    print("lost and excused: " + (", ".join(f"{number} {why.value}" for why, number in excused.items()) or "none"))
    print("faults: " + ", ".join(f"{kind} {number}" for kind, number in sorted(faults.items())))


def main(argv: Sequence[str]) -> int:
    """Run worlds and tell figures. 0: nothing was lost or wrong; 1: a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m sim.soak", description=main.__doc__, allow_abbrev=False)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="small worlds, for so long")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--worst", action="store_true", help="of the small worlds, only those at their worst")
    which.add_argument("--one-death", action="store_true", help="others, in which cards die one at a time (R14)")
    how.add_argument("--days", type=float, metavar="DAYS", help="one world for so many simulated days")
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.days is not None and (arguments.worst or arguments.one_death):
        parser.error("--worst and --one-death are kinds of small worlds: give --for")
    try:
        if arguments.seconds is not None:
            kinds = (WORST_DAY,) if arguments.worst else (DAY, WORST_DAY)
            if arguments.one_death:
                kinds = (TWO_COPIES, ONE_COPY)
            days([options_of(arguments, kind) for kind in kinds], arguments.seconds)
        else:
            options = dataclasses.replace(options_of(arguments, MONTH), hours=24 * arguments.days)
            print("\n".join(month(options).lines()))
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
