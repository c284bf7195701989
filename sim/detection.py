"""How soon a host that lies is found out (HANDOVER R9): `python -m sim.detection --share 0.1 --seeds 500`.

One origin, one host, on virtual time. The origin's pictures are all stored there; then the host throws a share of them
away, goes on saying that it has them, and answers proofs with made-up digests. How long until the first fails?

* With their own files at the origin, twenty a day are asked for at random: within a day 1 − (1 − share)^20.
* Without, by the next pair that is due: at one, two, four … days of operating time (firmware/pairs.py).

Each seed is a world of its own, so that shares and times are independent of one another. Not simulated here: loss, and
what else the channel has to do; sim/world.py has both.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence

from firmware import commands as c
from firmware.audits import A_DAY
from firmware.pairs import DAY_S, PAIR_DAYS
from firmware.pictures import Picture
from firmware.store import Store
from sim.machine import Machine, Options
from sim.members import Liar
from sim.rig import Rig

PICTURES = 40  # a share of a tenth is four of them
SIZE_BYTES = (2_000, 2_000)  # what is asked for and answered does not depend on it
BEACON_S = 600.0
PATIENCE_S = 600.0  # until all are placed
LOOK_S = 300.0  # how exactly the time is told


def expected(share: float) -> float:
    """Found out within a day, with own files."""
    return 1 - (1 - share) ** A_DAY


def hours_until_noticed(seed: int, share: float, *, own_files: bool, days: float) -> float | None:
    """Hours after the lie began at which the first copy was found missing; None: not within so many days."""
    rig = Rig(seed)
    options = Options(size_bytes=SIZE_BYTES, beacon_s=BEACON_S)
    origin, host = Machine(rig, 1, options), Machine(rig, 2, options)
    rig.run_for(10)
    pictures = [_shoot(origin) for _ in range(PICTURES)]
    rig.run_until(lambda: all(_is_placed(origin, picture) for picture in pictures), PATIENCE_S)
    if not own_files:
        for picture in pictures:
            _drop_own(origin, picture)
    _begin_to_lie(host, pictures, share, random.Random(f"which {seed}"))
    began = rig.now
    while rig.now < began + days * DAY_S:
        rig.run_for(LOOK_S)
        if origin.on.proofs.tally.sums(rig.now)["failed"]:
            return (rig.now - began) / 3600
    return None


def _shoot(origin: Machine) -> Picture:
    ticket = origin.command(lambda t: c.Shoot(t, False))
    origin.rig.run_until(lambda: origin.outcome(ticket) is not None, PATIENCE_S)
    outcome = origin.outcome(ticket)
    assert isinstance(outcome, c.Done)
    assert isinstance(outcome.value, Picture)
    return outcome.value


def _is_placed(origin: Machine, picture: Picture) -> bool:
    entry = origin.entry(picture.id)
    return entry is not None and bool(entry.verified)


def _drop_own(origin: Machine, picture: Picture) -> None:
    """The own file goes; pairs are made then."""
    ticket = origin.command(lambda t: c.DropOwn(t, picture.id))
    origin.rig.run_until(lambda: origin.outcome(ticket) is not None, PATIENCE_S)
    assert isinstance(origin.outcome(ticket), c.Done)


def _begin_to_lie(host: Machine, pictures: Sequence[Picture], share: float, chance: random.Random) -> None:
    """Exactly this share of them, rounded up."""
    liar = host.liar = Liar(0.0, chance, lambda _: None)
    assert isinstance(host.store, Store)
    for picture in chance.sample(pictures, max(1, round(share * len(pictures)))):
        liar.throw_away(host.store, picture)


def main(argv: Sequence[str]) -> int:
    """Run many and tell the measured share beside the expected one. 0: whatever came of it."""
    parser = argparse.ArgumentParser(prog="python -m sim.detection", description=main.__doc__)
    parser.add_argument("--share", type=float, default=0.1, help="of the pictures that the host throws away")
    parser.add_argument("--seeds", type=int, default=200, help="how many worlds")
    parser.add_argument("--seed", type=int, default=1, help="the first of them")
    parser.add_argument("--no-own-files", action="store_true", help="the origin has dropped its own")
    arguments = parser.parse_args(argv)
    own_files, days = not arguments.no_own_files, 1.0 if not arguments.no_own_files else 2.0 * PAIR_DAYS[0]
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    times = [hours_until_noticed(seed, arguments.share, own_files=own_files, days=days) for seed in seeds]
    noticed = [hours for hours in times if hours is not None]
    print(f"a share of {arguments.share} thrown away, own files {'here' if own_files else 'dropped'}: ", end="")
    print(f"noticed within {24 * days:g} h in {len(noticed)} of {len(times)} worlds", end="")
    if own_files:
        print(f" ({len(noticed) / len(times):.3f}; expected {expected(arguments.share):.3f})", end="")
    median = f"{statistics.median(noticed):.1f} h, latest {max(noticed):.1f} h" if noticed else "never"
    print(f"; median {median}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
