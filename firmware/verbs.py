"""What each verb of the command line does. Live ones ask the running unit; some can do without it."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Mapping

from firmware.client import Client
from firmware.config import Config
from firmware.errors import NobodyRuns, Refused, UnitRuns
from firmware.output import Output
from firmware.rows import fsck_row, parse_time

WATCH_INTERVAL_S = 2.0  # DESIGN §9 names the verb, not the rate; a person reads one page in about that
PROMPT_S = 30.0  # guess: a unit that has not answered a question about itself by then hangs
BESIDE_TIMEOUT_S = 30.0  # what the unit may take to end a transfer cleanly after --timeout itself
STARTING_S = 30.0  # a unit that holds the lock and does not answer by then hangs, or reads a large card
LOOK_AGAIN_S = 0.05  # between two looks for a unit that starts or ends
CLEAR = "\x1b[H\x1b[J"  # ECMA-48: cursor home, erase below

UNNEEDED = ("ssl", "_hashlib")
"""Modules that a unit does without, and so without the system's OpenSSL: `cryptography` has one of its own. asyncio has
no TLS then, and hashlib its own SHA-256, at a sixth of the speed here (260 MB/s): a card reads less than 100. 1.4 and
3.5 MB less, measured."""

Options = argparse.Namespace
Verb = Callable[[Options, Config, Output], int]


def run(_options: Options, config: Config, _output: Output) -> int:
    """The unit in the foreground."""
    for unneeded in UNNEEDED:
        sys.modules.setdefault(unneeded, None)  # type: ignore[arg-type]  # an import of it fails
    from firmware import running
    from hal.memory import keep_to_itself, use_one_heap

    keep_to_itself()
    use_one_heap()
    return running.run(config)


def shoot(options: Options, config: Config, output: Output) -> int:
    """Press the shutter."""
    arguments = {"priority": options.priority, "count": options.count}
    return with_unit(config, output, lambda client: tell(client, output, "shoot", **arguments))


def list_(options: Options, config: Config, output: Output) -> int:
    """Pictures that are own, held here, or known from others."""
    since_s = None if options.since is None else parse_time(options.since, time.time())
    client = Client(config.unit.socket_path, config.unit.id)
    if client.runs():
        tell(client, output, "list", silence_s=PROMPT_S, unit=options.unit, since_s=since_s)
    else:
        from firmware import offline

        for row in offline.list_rows(config, options.unit, since_s):
            output.row(row)
    if not output.rows:
        output.note("no such picture is known here (yet)")
    return 0


def whereis(options: Options, config: Config, output: Output) -> int:
    """Who holds a picture."""
    arguments = {"picture": str(options.picture), "verify": options.verify}
    if options.verify:
        return with_unit(config, output, lambda client: tell(client, output, "whereis", **arguments))
    client = Client(config.unit.socket_path, config.unit.id)
    if client.runs():
        return tell(client, output, "whereis", silence_s=PROMPT_S, **arguments)
    from firmware import offline

    output.row(offline.whereis_row(config, options.picture))
    return 0


def get(options: Options, config: Config, output: Output) -> int:
    """Read pictures out into files; one that fails does not keep the others back."""
    from firmware.fetch import fetch

    suffix = ".preview.jpg" if options.preview else ".jpg"
    waiting = [str(picture) for picture in options.pictures]
    failed: list[str] = []

    def get_them(client: Client) -> int:
        while waiting:
            picture = waiting[0]
            arguments = {"picture": picture, "preview": options.preview, "timeout_s": options.timeout}
            ask = functools.partial(client.ask, "get", silence_s=options.timeout + BESIDE_TIMEOUT_S, **arguments)
            try:
                output.row(fetch(ask, picture, options.directory / f"{picture}{suffix}", output))
            except NobodyRuns:
                raise
            except Refused as error:
                output.error(error)
                failed.append(picture)
            del waiting[0]
        return 1 if failed else 0

    return with_unit(config, output, get_them)


def copy(options: Options, config: Config, output: Output) -> int:
    """Place a copy at a unit."""
    arguments = {"picture": str(options.picture), "to": str(options.to), "timeout_s": options.timeout}
    silence_s = options.timeout + BESIDE_TIMEOUT_S
    return with_unit(config, output, lambda client: tell(client, output, "copy", silence_s=silence_s, **arguments))


def drop(options: Options, config: Config, output: Output) -> int:
    """Free the own file."""
    return with_unit(config, output, lambda client: tell(client, output, "drop", picture=str(options.picture)))


def delete(options: Options, config: Config, output: Output) -> int:
    """Delete everywhere."""
    return with_unit(config, output, lambda client: tell(client, output, "delete", picture=str(options.picture)))


def units(_options: Options, config: Config, output: Output) -> int:
    """Neighbours as heard."""
    return with_unit(config, output, lambda client: tell(client, output, "units"))


def status(options: Options, config: Config, output: Output) -> int:
    """This unit; with --watch until Ctrl-C."""
    client = Client(config.unit.socket_path, config.unit.id)
    if not options.watch:
        return tell(client, output, "status", silence_s=PROMPT_S)
    try:
        while True:
            answers = list(client.ask("status", silence_s=PROMPT_S))
            if sys.stdout.isatty():
                print(CLEAR, end="")
            for answer in answers:
                output.show(answer)
            time.sleep(WATCH_INTERVAL_S)
    except KeyboardInterrupt:
        return 0


def explain(options: Options, config: Config, output: Output) -> int:
    """Why each decision about a picture was made."""
    client = Client(config.unit.socket_path, config.unit.id)
    if client.runs():
        return tell(client, output, "explain", silence_s=PROMPT_S, picture=str(options.picture))
    from firmware import offline

    for row in offline.explain_rows(config, options.picture):
        output.row(row)
    return 0


def log(options: Options, config: Config, output: Output) -> int:
    """The unit's latest events; with --follow as they come, until Ctrl-C."""
    client = Client(config.unit.socket_path, config.unit.id)
    silence_s = None if options.follow else PROMPT_S
    try:
        return tell(client, output, "log", silence_s=silence_s, follow=options.follow)
    except KeyboardInterrupt:
        if options.follow:
            return 0
        raise


def fsck(options: Options, config: Config, output: Output) -> int:
    """Every file's digest, and the catalogue against the card: 0 clean, 1 not."""
    from firmware import offline

    clean = True
    for found in offline.fsck_findings(config, repair=options.repair):
        output.row(
            fsck_row(
                found.path,
                kind=found.kind.value,
                picture=found.picture,
                text=found.text,
                repaired=found.repaired,
                harmless=found.harmless,
            )
        )
        clean = clean and (found.harmless or found.repaired)
    return 0 if clean else 1


def with_unit(config: Config, output: Output, command: Callable[[Client], int]) -> int:
    """Do it at the running unit, or at one that is up for the time of this command.

    Waits for a unit that is about to start or to end, its own or another command's. What raises NobodyRuns has not
    begun, and is done again.
    """
    client, told = Client(config.unit.socket_path, config.unit.id), False
    deadline = time.monotonic() + STARTING_S
    while True:
        try:
            if client.runs():
                return command(client)
            from firmware import running
            from hal.memory import keep_to_itself

            keep_to_itself()
            with running.temporary(config):
                if not told:
                    output.note("no unit runs here: one is up for the time of this command")
                    told = True
                return command(client)
        except (NobodyRuns, UnitRuns):
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOOK_AGAIN_S)


def tell(client: Client, output: Output, verb: str, *, silence_s: float | None = None, **arguments: object) -> int:
    """Ask and print all that comes."""
    for answer in client.ask(verb, silence_s=silence_s, **arguments):
        output.show(answer)
    return 0


VERBS: Mapping[str, Verb] = {
    "run": run,
    "shoot": shoot,
    "list": list_,
    "whereis": whereis,
    "get": get,
    "copy": copy,
    "drop": drop,
    "delete": delete,
    "units": units,
    "status": status,
    "explain": explain,
    "log": log,
    "fsck": fsck,
}
