"""The command `dandelion`: reads its arguments and the config, does the verb, and turns every error into words.

Exit status: 0 done; 1 could not be done; 2 wrong usage or config; 130 ended by Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from firmware import VERSION
from firmware.errors import MisuseError, WrongArgument
from firmware.pictures import MAX_UNIT, PictureId
from hal.errors import DandelionError

DEFAULT_CONFIG = "/etc/dandelion/config.toml"
DEFAULT_TIMEOUT_S = 60.0  # without progress (DESIGN §9)
MAX_TIMEOUT_S = 86_400.0  # guess: whoever waits for more than a day has mistaken the unit
MAX_SHOTS = 1_000  # guess: of one command
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
DEBUG = "DANDELION_DEBUG"  # environment: "1" shows the traceback of an error that nobody expected


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say (sys.argv without them) and return the exit status. Raises nothing."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _prepare_streams()
        status = _do(arguments)
        sys.stdout.flush()
        return status
    except DandelionError as error:
        from firmware.output import print_error

        print_error(error)
        return 2 if isinstance(error, MisuseError) else 1
    except SystemExit as leaving:  # argparse: 0 after --help, 2 after a wrong usage
        return leaving.code if isinstance(leaving.code, int) else 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has read enough
        _silence_stdout()
        return 1
    except Exception as error:  # noqa: BLE001  the one place: a person at a prompt is told in one line
        _tell_bug(error)
        return 1


def _prepare_streams() -> None:
    """A stream that was closed before we began goes nowhere; names that are no text are printed with escapes."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - for the whole process
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    """What is left in its buffer goes nowhere, so that nothing fails at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _do(arguments: list[str]) -> int:
    """The verbs that are programs of their own read their own arguments."""
    match arguments:
        case ["sim", *rest]:
            from sim import fleet

            return fleet.main(rest)
        case ["bench", *rest]:
            from sim import bench

            return bench.main(rest)
    options = _parser().parse_args(arguments)
    match options.verb:
        case "net":
            return _do_net(options)
        case "doctor":
            return _do_doctor(options)
    return _do_at_unit(options)


def _do_net(options: argparse.Namespace) -> int:
    from firmware import lines
    from firmware.net_verbs import NET_VERBS
    from firmware.output import Output
    from hal.memory import keep_to_itself

    keep_to_itself()
    with Output(as_json=options.json, human=lines.net) as output:
        return NET_VERBS[options.net_verb](options, output)


def _do_doctor(options: argparse.Namespace) -> int:
    from firmware import lines
    from firmware.doctor.command import doctor
    from firmware.output import Output
    from hal.memory import keep_to_itself

    keep_to_itself()
    with Output(as_json=options.json, human=lines.diagnosis) as output:
        return doctor(_config_file(options), output, fix=options.fix)


def _config_file(options: argparse.Namespace) -> Path:
    return options.config or Path(os.environ.get("DANDELION_CONFIG") or DEFAULT_CONFIG)


def _do_at_unit(options: argparse.Namespace) -> int:
    from firmware import config, lines
    from firmware.client import Client
    from firmware.output import Output
    from firmware.verbs import VERBS

    loaded = config.load(_config_file(options))
    if options.verb == "run" or not Client(loaded.unit.socket_path).runs():  # a unit that runs has its port open
        config.check_port(loaded)
    with Output(as_json=options.json, human=lines.of_verb(options.verb, loaded.unit.id)) as output:
        return VERBS[options.verb](options, loaded, output)


def _tell_bug(error: Exception) -> None:
    if os.environ.get(DEBUG) == "1":
        import traceback

        traceback.print_exception(error)
    name = type(error).__name__
    print(f"dandelion: unexpected {name}: {error} ({DEBUG}=1 shows where); please report this", file=sys.stderr)


# ---------------------------------------------------------------- arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dandelion", description="Camera units that disperse their pictures to one another.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, does: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=does, description=does, allow_abbrev=False)
        made.add_argument("--config", type=Path, metavar="FILE", help=f"default: $DANDELION_CONFIG, {DEFAULT_CONFIG}")
        _add_json(made)
        return made

    verb("run", "the unit in the foreground, until SIGTERM or Ctrl-C")
    made = verb("shoot", "press the shutter; prints each picture id once it is durable")
    made.add_argument("--priority", action="store_true", help="more copies, before all else")
    made.add_argument("-n", dest="count", type=_count, default=1, metavar="N", help="so many pictures")
    made = verb("list", "pictures that are own, held here, or known from others")
    made.add_argument("--unit", type=_unit, metavar="ORIGIN", help="only those that this unit took")
    made.add_argument(
        "--since", metavar="T", help='only those taken since: "2026-07-14T10:00:00Z", "2026-07-14", "2 h"'
    )
    made = verb("whereis", "who holds a picture, and when each last proved it")
    _add_picture(made)
    made.add_argument("--verify", action="store_true", help="ask the holders for a proof now")
    _add_transfers(verb)
    _add_picture(verb("drop", "free the own file of a picture that has proved copies elsewhere"))
    _add_picture(verb("delete", "delete a picture everywhere"))
    verb("units", "neighbours as heard")
    made = verb("status", "this unit")
    made.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    _add_picture(verb("explain", "why each decision about a picture was made"))
    made = verb("log", "the unit's latest events")
    made.add_argument("--follow", action="store_true", help="and the ones to come, until Ctrl-C")
    made = verb("fsck", "check every file's digest, and the catalogue against the card")
    made.add_argument("--repair", action="store_true", help="mend what can be mended; the unit must not be running")
    made = verb("doctor", "what is wrong with this board, its radio, camera, card and config, and how to mend it")
    made.add_argument("--fix", action="store_true", help="mend what is safe to mend, and say what was changed")
    _add_net(verbs.add_parser("net", help="who is in the network: its admin's commands", allow_abbrev=False))
    verbs.add_parser("sim", help="a simulated fleet on this machine; see `dandelion sim --help`")
    verbs.add_parser("bench", help="measurements; see `dandelion bench --help`")
    return parser


def _add_net(net: argparse.ArgumentParser) -> None:
    net.description = "Who is in the network. DIR is its admin's folder; only what names a config asks a unit."
    verbs = net.add_subparsers(dest="net_verb", metavar="VERB", required=True)

    def verb(name: str, does: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=does, description=does, allow_abbrev=False)
        made.add_argument("folder", type=Path, metavar="DIR", help="with the admin's key")
        _add_json(made)
        return made

    made = verb("create", "a new network, in a folder that is not there yet, or empty")
    made.add_argument("--name", metavar="N", help="for people; default: the folder's")
    made = verb("enrol", "take a unit into the network; writes its credential, the only place of its key")
    _add_unit_number(made)
    made.add_argument("--name", type=_name, required=True, metavar="NAME", help="the unit's")
    made.add_argument("-o", dest="file", type=Path, required=True, metavar="FILE", help="the credential; a new file")
    made = verb("revoke", "shut a unit out")
    _add_unit_number(made)
    _add_push(made, required=False)
    made = verb("adopt", "have a unit decide about the pictures of one that was revoked and is gone for good")
    _add_unit_number(made)
    made.add_argument("--by", type=_unit_number, required=True, metavar="ID", help="the unit that decides")
    _add_push(made, required=False)
    made = verb("release", "let hosts give up, when they need room, the pictures of a unit that is gone for good")
    _add_unit_number(made)
    _add_push(made, required=False)
    _add_push(verb("rotate", "a new secret for the same units"), required=False)
    _add_push(verb("push", "hand the newest roster to a unit, which hands it on"), required=True)
    verb("show", "the network and its units, with six words of each one's key, and who acts for which")


def _add_push(parser: argparse.ArgumentParser, *, required: bool) -> None:
    does = "of the unit that it is handed to" + ("" if required else ", at once")
    parser.add_argument("--config", type=Path, required=required, metavar="FILE", help=does)


def _add_unit_number(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--unit", type=_unit_number, required=True, metavar="ID", help=f"a number of 1 to {MAX_UNIT}")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="results as one JSON object per line on stdout")


def _add_transfers(verb: Callable[[str, str], argparse.ArgumentParser]) -> None:
    made = verb("get", "read pictures out, bit-exact, wherever they are, into DIR/PICTURE.jpg")
    made.add_argument("pictures", nargs="+", type=_picture, metavar="PICTURE")
    made.add_argument("-o", dest="directory", type=Path, required=True, metavar="DIR", help="made if missing")
    made.add_argument("--preview", action="store_true", help="only the preview, into DIR/PICTURE.preview.jpg")
    _add_timeout(made)
    made = verb("copy", "place a copy of an own picture at a unit; ends when it is proved")
    _add_picture(made)
    made.add_argument("--to", type=_unit, required=True, metavar="UNIT", help="number or name")
    _add_timeout(made)


def _add_picture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("picture", type=_picture, metavar="PICTURE", help="an id, as 00001-3fa7-00000042")


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help=f"give up after so many seconds without progress; default {DEFAULT_TIMEOUT_S:.0f}",
    )


def _picture(text: str) -> PictureId:
    try:
        return PictureId.parse(text)
    except WrongArgument as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _unit(text: str) -> int | str:
    """A unit's number, or its name as it is."""
    from firmware.values import NAME_RULE, is_name

    if _is_unit_number(text):
        return int(text)
    if is_name(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no unit; allowed: a number of 1 to {MAX_UNIT}, a name ({NAME_RULE})")


def _is_unit_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_UNIT


def _unit_number(text: str) -> int:
    if _is_unit_number(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no unit's number; allowed: 1 to {MAX_UNIT}")


def _name(text: str) -> str:
    from firmware.values import NAME_RULE, is_name

    if is_name(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no name of a unit; allowed: {NAME_RULE}")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_SHOTS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no count; allowed: 1 to {MAX_SHOTS}")


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= MAX_TIMEOUT_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; allowed: seconds above 0, at most {MAX_TIMEOUT_S:.0f}")
    return found
