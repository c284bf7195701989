"""python -m sim.board: makes the virtual board's parts, or runs a command in a board."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from firmware.errors import Refused
from sim.board import recipe
from sim.board.container import Container
from sim.board.image import image
from sim.board.kernel import kernel
from sim.board.machine import Board


def main() -> int:
    """The command line; the exit status of `run` is the command's."""
    options = _arguments()
    try:
        if options.verb == "build":
            print(kernel(), image(), sep="\n")
            return 0
        return _run(options)
    except Refused as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    env = {"PATH": f"{recipe.VENV}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "dumb"}
    with (
        tempfile.TemporaryDirectory(prefix="dandelion-board-") as directory,
        (Container if options.container else Board)(Path(directory) / "board", radio=options.radio) as board,
    ):
        board.on()
        return board.ask(*options.command, within_s=options.within, env=env, show=_show).code


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sim.board", description="The virtual board.", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="make kernel and card image, if they are not there, and print where they are")
    run = verbs.add_parser("run", help="boot a board, run a command in it as root, with the checkout at /mnt/dandelion")
    run.add_argument("--container", action="store_true", help="in a container on this machine's kernel; needs root")
    run.add_argument("--radio", metavar="PTY", help="what its /dev/ttyS0 is")
    run.add_argument(
        "--within", type=float, default=600.0, metavar="S", help="longest time of the command; default 600"
    )
    run.add_argument(
        "command",
        nargs="+",
        metavar="COMMAND",
        help="after --; the Python with all that a unit needs is first in its path",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
