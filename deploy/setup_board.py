"""`dandelion-setup`: asks what of a board may be changed for a unit, explains it, changes it, and changes it back."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.board import GROUP, Board

UART = """\
The radio's serial port (GPIO 14 and 15): config.txt gets a block of lines that give it the PL011, a UART whose rate
does not follow the processor's clock; Bluetooth goes for that. The kernel's console is taken from it in cmdline.txt,
and no login is offered there: whoever sends to the radio could log in, and the console's lines would be sent."""
FLOW_CONTROL = """\
Flow control of an XBee module on the header (radio.rtscts): config.txt gets lines that make GPIO 16 and 17 its CTS and
RTS. Not for a radio on USB, nor for one without these two wires."""
CAMERA = """\
The camera: config.txt gets a line that has the camera on the ribbon cable looked for at the start."""
PERSON = """\
You, {person}, may give the unit commands: you come into the group {group}, and have to log in anew for that."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 not done, 2 wrong usage."""
    options = _parser().parse_args(argv)
    try:
        if options.take_in:
            return _take_in(options.root)
        board = Board(options.root)
        if options.undo:
            _say("the board's files are as they were before" if board.undo() else "nothing had been changed")
            return 0
        return _set_up(board, options)
    except OSError as error:
        _say(f"{error.filename or options.root} could not be changed: {error.strerror or error}")
        if isinstance(error, PermissionError):
            _say("give the command as root, with sudo")
        return 1


def _set_up(board: Board, options: argparse.Namespace) -> int:
    if not options.yes and not sys.stdin.isatty():
        _say("nobody can be asked here; nothing was changed. --yes changes all that --no-... does not leave out")
        return 2
    changed = False
    if board.boot is None:
        _say("no config.txt of a Raspberry Pi here: serial port and camera stay as they are")
    else:
        uart = not options.no_uart and _may(UART, options)
        flow_control = uart and (options.flow_control or _wants_flow_control(board, options))
        camera = not options.no_camera and _may(CAMERA, options)
        changed = board.configure(uart=uart, flow_control=flow_control, camera=camera)
    person = os.environ.get("SUDO_USER", "")
    may_be_asked = board.is_running and person not in ("", "root") and not options.no_group
    if may_be_asked and _may(PERSON.format(person=person, group=GROUP), options) and board.take_in(person):
        _say(f"{person} is in the group {GROUP} from the next login on")
    _say("restart the board, then all of it is in force" if changed else "nothing has to be restarted")
    return 0


def _take_in(root: Path) -> int:
    from deploy.take_in import take_in  # needs the unit's own packages

    for line in take_in(root):
        _say(line)
    return 0


def _wants_flow_control(board: Board, options: argparse.Namespace) -> bool:
    """Ask; few have it, so that the answer is what is there already unless it is another."""
    if options.yes:
        return board.has_flow_control
    print(FLOW_CONTROL)
    answer = input(f"Do that? [{'Y/n' if board.has_flow_control else 'y/N'}] ").strip().lower()
    return answer in ("y", "yes") if answer else board.has_flow_control


def _may(explained: str, options: argparse.Namespace) -> bool:
    """Ask; the answer is yes unless it is no."""
    print(explained)
    if options.yes:
        return True
    answer = input("Do that? [Y/n] ").strip().lower()
    return answer in ("", "y", "yes")


def _say(text: str) -> None:
    print(f"dandelion-setup: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dandelion-setup",
        description="Change what a Raspberry Pi needs changed for a unit: explains, asks first, and can undo it.",
        allow_abbrev=False,
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing, change all of it but flow control")
    parser.add_argument("--no-uart", action="store_true", help="leave serial port and console as they are")
    parser.add_argument("--flow-control", action="store_true", help="give an XBee on the header its RTS and CTS, too")
    parser.add_argument("--no-camera", action="store_true", help="leave the camera's line as it is")
    parser.add_argument("--no-group", action="store_true", help="take nobody into the group dandelion")
    parser.add_argument("--undo", action="store_true", help="change back what was changed")
    parser.add_argument("--take-in", action="store_true", help="take in config and credential from the boot partition")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="a board's file system; default /")
    return parser


if __name__ == "__main__":
    sys.exit(main())
