"""`make cuts`: the power cut at every step of the origin and of the host, schedule after schedule, with figures.

    python -m sim.cuts --schedules 60                 each pair of steps of two units
    python -m sim.cuts --schedules 60 --second same   two cuts of one unit, the second in its start-up, too
    python -m sim.cuts --schedules 60 --fault io      EIO once at every call of the card and every COMMIT
    python -m sim.cuts --schedules 60 --catalogue     at every step a cut, and the catalogue gone

Schedules are numbered from --seed on, and take the stories of sim/stories.py in turn. What a step is, and how a run is
named, stands in sim/explorer.py. The first run that fails ends it all, with the command that shows it again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sim.explorer import FAULTS, Choice, Second, Tally, explore, path_of
from sim.soak import Stopwatch
from sim.stories import STORIES, story_of


def lines_of(tally: Tally, schedules: int) -> list[str]:
    """For people."""
    return [
        f"{schedules} schedules, {tally.cuts} cut hand-overs ({tally.once} with one cut, {tally.twice} with two), "
        f"{tally.faults} with a call that failed, {tally.catalogues} with a catalogue lost, {tally.whole} left alone",
        f"0 lost, 0 wrong list entries, all settled {tally.settled_s:.0f} s after the story at the latest",
    ]


def _path(text: str) -> tuple[tuple[int, int], ...]:
    try:
        return path_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no path like 2.9,1.3: unit.step, or none") from None


def main(argv: Sequence[str]) -> int:
    """Cut hand-overs. 0: nothing was lost or wrong; 1: a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m sim.cuts", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--schedules", type=int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first one (default: 1)")
    parser.add_argument("--story", choices=sorted(STORIES), help="this one only; else one after the other")
    parser.add_argument("--second", choices=[s.value for s in Second], help="whose steps are cut after the first cut")
    parser.add_argument("--share", type=float, default=1.0, metavar="P", help="of the second cuts (default: all)")
    parser.add_argument("--first-share", type=float, default=1.0, metavar="P", help="of the first cuts (default: all)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--fault", choices=sorted(FAULTS), help="no first cut, but one call that fails so")
    how.add_argument("--catalogue", action="store_true", help="after the first cut the catalogue is gone")
    parser.add_argument("--kill", action="store_true", help="the first cut is none: only the process ends")
    parser.add_argument("--path", type=_path, metavar="U.N,…", help="one run: cut before these steps")
    arguments = parser.parse_args(argv)
    alone = arguments.fault is not None or arguments.catalogue
    choice = Choice(
        second=Second(arguments.second or ("none" if alone else "other")),
        share=arguments.share,
        first_share=arguments.first_share,
        fault=FAULTS.get(arguments.fault),
        catalogue=arguments.catalogue,
        kill=arguments.kill,
        path=arguments.path,
    )
    total, watch = Tally(), Stopwatch()
    for seed in range(arguments.seed, arguments.seed + arguments.schedules):
        story = arguments.story or story_of(seed)
        tally, text = explore(seed, story, choice)
        total += tally
        if tally.failed:
            print(f"{text}\n{tally.failed} runs of this schedule have failed", file=sys.stderr)
            return 1
        runs = f"{tally.cuts + tally.faults} runs, settled within {tally.settled_s:.0f} s"
        print(f"seed {seed}, {story}: {runs}; in all {total.cuts + total.faults}, {watch.wall_s:.0f} s", flush=True)
    print("\n".join(lines_of(total, arguments.schedules)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
