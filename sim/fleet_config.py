"""What a simulated fleet is made of: the options of `dandelion sim`, and the places and configs of its units."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from firmware import network
from firmware.values import NotAllowed, size_bytes
from hal.light_dataclass import dataclass

MAX_UNITS = 16  # each is a process of 45 MB with a camera's child; more do not fit one screen
DEFAULT_BAUD = 460_800  # a picture of 220 kB takes 5 s: slow enough to watch, yet each unit can send one each 8 s
DEFAULT_INTERVAL_S = 8.0  # each unit sends 60 % of the time; the rest is for read-outs and repeats. On a half-duplex
# channel, which all of them share, it is so much for each unit that there is
DEFAULT_CAPACITY = "3 MB"  # 13 pictures: full after two minutes, so that dropping and refusing can be watched
SPREAD = 0.1  # each unit's interval is so much longer than the one before, else all would shoot in step


@dataclass(frozen=True, slots=True)
class Place:
    """Where one unit of the fleet has its things."""

    number: int
    directory: Path

    @property
    def name(self) -> str:
        """unit-<number>, as the unit calls itself."""
        return f"unit-{self.number}"

    @property
    def config(self) -> Path:
        """Its config file, for `--config`."""
        return self.directory / f"{self.name}.toml"

    @property
    def runtime(self) -> Path:
        """Its runtime_dir."""
        return self.directory / self.name / "run"

    @property
    def socket(self) -> Path:
        """Where it listens for commands."""
        return self.runtime / "control.sock"

    @property
    def card(self) -> Path:
        """Its card."""
        return self.directory / self.name / "card"

    @property
    def credential(self) -> Path:
        """What makes it a unit of the fleet's network."""
        return self.directory / self.name / "unit.credential"

    @property
    def said(self) -> Path:
        """What it writes to its standard output and error."""
        return self.directory / self.name / "output"


def config_text(place: Place, options: argparse.Namespace, *, port: str, folder: Path) -> str:
    """The config of one unit, as TOML."""
    interval_s = options.interval * (1 + SPREAD * (place.number - 1))
    tables: dict[str, dict[str, object]] = {
        "unit": {"id": place.number, "name": place.name, "runtime_dir": str(place.runtime)},
        "card": {"path": str(place.card), "capacity": options.capacity},
        "camera": {"driver": "folder", "folder": str(folder)},
        "shutter": {"interval": f"{interval_s:.3f} s"},
        "radio": {"driver": "serial", "port": port, "baud": options.baud, "duplex": _duplex(options)},
        "dispersal": {"policy": options.policy},
        "security": {"credential": str(place.credential)},
    }
    return as_toml(tables)


def enrol(directory: Path, number: int, name: str, credential: Path) -> None:
    """Make this unit one of the network whose admin folder is in the directory, as a person would; once each."""
    folder = directory / "network"
    if not folder.exists():
        network.create(folder, "fleet")
    if not credential.exists():
        network.enrol(folder, unit=number, name=name, file=credential)


def _duplex(options: argparse.Namespace) -> str:
    return "half" if options.half_duplex else "full"


def as_toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Tables of texts, numbers, booleans and lists of them; a JSON text or number is one of TOML, too."""
    return "\n".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items())
        for table, keys in tables.items()
    )


def read_options(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; leaves by SystemExit 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="dandelion sim",
        description="Units as separate processes on one emulated serial line, shown live until Ctrl-C.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--units", type=_between(2, MAX_UNITS, int), default=3, metavar="N", help="how many; default 3")
    add("--loss", type=_between(0, 1, float), default=0.0, metavar="P", help="probability that 64 bytes are lost")
    add("--bit-errors", type=_between(0, 0.5, float), default=0.0, metavar="P", help="probability per bit")
    add("--half-duplex", action="store_true", help="one channel for all: units take turns, who overlaps is garbled")
    add("--baud", type=_between(300, 4_000_000, int), default=DEFAULT_BAUD, help=f"default {DEFAULT_BAUD}")
    add(
        "--interval",
        type=_between(0.1, 86_400, float),
        metavar="S",
        help=f"seconds between the shots of unit 1, each further unit's {SPREAD:.0%}% longer; "
        f"default {DEFAULT_INTERVAL_S:.0f}, times the number of units with --half-duplex",
    )
    add("--capacity", type=_size, default=DEFAULT_CAPACITY, help=f'of each card; default "{DEFAULT_CAPACITY}"')
    add("--policy", choices=("always", "when-full", "never"), default="always", help="when copies are placed")
    add("--folder", type=Path, metavar="DIR", help="JPEGs that the cameras take; default: some are drawn")
    add(
        "--dir",
        type=Path,
        metavar="DIR",
        help="configs, cards and sockets; default: a temporary one, removed at the end",
    )
    add("--for", type=_between(0, 1e9, float), dest="seconds", metavar="S", help="end by itself after so many seconds")
    add("--plain", action="store_true", help="one line per event, as without a terminal")
    add("--svg", type=Path, metavar="FILE", help="write the view's last state as a picture")
    options = parser.parse_args(argv)
    if options.interval is None:
        options.interval = DEFAULT_INTERVAL_S * (options.units if options.half_duplex else 1)
    return options


def _between(lowest: float, highest: float, kind: type[int] | type[float]) -> Callable[[str], float]:
    """An argument's type: a number within these bounds."""

    def read(text: str) -> float:
        try:
            found = kind(text)
        except ValueError:
            found = highest + 1
        if not lowest <= found <= highest:
            raise argparse.ArgumentTypeError(f"{text!r}; allowed: {lowest:g} to {highest:g}")
        return found

    return read


def _size(text: str) -> str:
    """A size as the config has it, checked here so that the message names the option."""
    try:
        size_bytes(text)
    except NotAllowed as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}; allowed: {error.allowed}") from error
    return text
