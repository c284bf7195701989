"""`python -m sim.model`: search one configuration, or --all; ends with 1 at the first rule that does not hold."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

from sim.model.options import CONFIGURATIONS, Options
from sim.model.search import Search
from sim.model.settle import settle_all

LIMIT = 10_000_000
"""States at most: 2 GB."""


def main(arguments: list[str] | None = None) -> int:
    """Read the options, search, print."""
    parser = argparse.ArgumentParser(prog="python -m sim.model", description=__doc__)
    parser.add_argument("--all", action="store_true", help="each configuration of docs/reliability.md, one a line")
    parser.add_argument("--rows", metavar="TEXT", default="", help="of these only those with this in their names")
    parser.add_argument("--limit", type=int, default=LIMIT, help="states to visit at most")
    parser.add_argument("--settle", action="store_true", help="I6, too, from every state that was visited")
    for option in dataclasses.fields(Options):
        flag, says, default = "--" + option.name.replace("_", "-"), option.metadata["says"], option.default
        if option.type == "bool":
            parser.add_argument(flag, action="store_true", help=says)
        elif among := option.metadata["among"]:
            parser.add_argument(flag, choices=among, default=default, help=f"{says} (default: nobody)")
        else:
            parser.add_argument(flag, type=int, metavar="N", default=default, help=f"{says} (default: {default})")
    told = vars(parser.parse_args(arguments))
    every, rows, limit, settles = told.pop("all"), told.pop("rows"), told.pop("limit"), told.pop("settle")
    if not every and not rows:
        return _one("", Options(**told), limit, settles=settles)
    asked = {name: configuration for name, configuration in CONFIGURATIONS.items() if rows in name}
    if not asked:
        parser.error(f"no configuration has {rows!r} in its name")
    for name, configuration in asked.items():
        most = min(limit, configuration.limit)
        whole = configuration.whole and most == configuration.limit
        if _one(f"{name}: ", configuration.options, most, settles=configuration.settles, must_be_whole=whole):
            return 1
    return 0


def _one(name: str, options: Options, limit: int, *, settles: bool, must_be_whole: bool = False) -> int:
    began = time.monotonic()
    search = Search(options, limit)
    result = search.run()
    if settles and not result.broken:
        result = settle_all(search, result)
    spent_s = time.monotonic() - began
    whole = "complete" if result.complete else "not complete"
    rounds = f", settles within {result.rounds} rounds" if settles and not result.broken else ""
    print(f"{name}{result.states} states, {whole}, {result.depth} steps deep{rounds}, {spent_s:.0f} s", flush=True)
    if must_be_whole and not result.broken and not result.complete:
        print("no state should have been left out here: raise the limit of this configuration")
        return 1
    if not result.broken:
        return 0
    print(result.broken)
    for number, step in enumerate(result.trace, 1):
        print(f"{number:4}  {step}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
