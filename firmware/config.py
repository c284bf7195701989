"""The config file: what may stand in it and the defaults; errors name the key, its value and what is allowed.

Keys and defaults are DESIGN §9's. Attributes carry their unit (`card.capacity` is read into `capacity_bytes`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from firmware import values
from firmware.errors import ConfigError
from firmware.pictures import MAX_UNIT
from firmware.values import NotAllowed
from firmware.wording import cut, shown
from hal.interfaces import Duplex
from hal.light_dataclass import dataclass
from hal.ptys import is_pty

MAX_CONFIG_BYTES = 16_000  # a full example has 2 kB; whatever is longer is another file given by mistake
# Of one line, so of one key and of one number. tomllib needs the square of the dots of a key, 260 MB where 16 kB are
# one key (measured); and Python reads numbers in hexadecimal digits that it then refuses to show, above 4300 digits.
MAX_LINE_BYTES = 500
SOCKET_NAME = "control.sock"
MIN_QUALITY, MAX_QUALITY = 1, 95  # JPEG quality; above 95 files grow and nothing is gained (Pillow)
MIN_SIDE_PX, MAX_SIDE_PX = 16, 16_384  # guess: four times the longest side of the cameras that a Pi takes
MAX_COPIES = 16  # guess: more copies of one picture than a network of 50 units has a use for
MAX_XBEE_NETWORK = 2**63 - 1  # ID; 64 bits with Zigbee, of which TOML can say 63
MAX_XBEE_CHANNEL = 26  # CH of 802.15.4, 11 to 26; HP of those that hop is 0 to 7
MAX_BAUD = 4_000_000  # fastest rate of the PL011 and of USB serial adapters
MAX_PIN = 27  # of those on a Pi's header, by BCM numbers
UART_PINS = (14, 15)  # TXD and RXD of the header's UART, on every Pi; where the console is by default, too
FLOW_PINS = (16, 17)  # its CTS and RTS
HEADER_UARTS = ("serial", "ttyAMA", "ttyS")  # names in /dev of what can be the header's UART; USB radios have others
MAX_BURST = 8  # as many as may wait for the camera (firmware/shutter.py): none of a burst is refused for want of that


@dataclass(frozen=True, slots=True)
class Unit:
    """[unit]. runtime_dir holds the control socket and the lock of the running unit."""

    id: int
    name: str
    runtime_dir: Path = Path("/run/dandelion")

    @property
    def socket_path(self) -> Path:
        """Where the running unit listens for commands."""
        return self.runtime_dir / SOCKET_NAME


@dataclass(frozen=True, slots=True)
class Card:
    """[card]. high_water and low_water are shares of the capacity."""

    path: Path = Path("/var/lib/dandelion/card")
    capacity_bytes: int = 24_000_000_000
    high_water: float = 0.85
    low_water: float = 0.70

    @property
    def catalogue_path(self) -> Path:
        """The catalogue's file on the card (DESIGN §8)."""
        return self.path / "catalogue.sqlite3"


@dataclass(frozen=True, slots=True)
class Camera:
    """[camera]. size: width and height in pixels. folder: set where the driver is "folder"."""

    driver: str = "picamera2"
    folder: Path | None = None
    size: tuple[int, int] = (1920, 1080)
    quality: int = 85


@dataclass(frozen=True, slots=True)
class Shutter:
    """[shutter]. *_pin: BCM number, None = nothing is there. interval_s: None = no shots by time. burst: pictures of
    each press or movement."""

    button_pin: int | None = None
    led_pin: int | None = None
    motion_pin: int | None = None
    tamper_pin: int | None = None
    interval_s: float | None = None
    patience_s: float = 120.0
    burst: int = 1
    burst_spacing_s: float = 1.0
    motion_rest_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Radio:
    """[radio]. network, channel: of an XBee module; None: whatever is set in it."""

    driver: str = "serial"
    port: str = "/dev/serial0"
    baud: int = 115_200
    duplex: Duplex = Duplex.FULL
    rtscts: bool = False
    network: int | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Dispersal:
    """[dispersal]. policy: "always", "when-full" or "never". hosting: share of the capacity for others."""

    policy: str = "always"
    copies: int = 1
    copies_min: int = 1
    priority_copies: int = 2
    hosting: float = 0.5


HOSTING_WITHOUT_CAMERA = 0.95  # share; nothing of its own needs the room (DESIGN §5)


@dataclass(frozen=True, slots=True)
class Security:
    """[security]. credential: the file that makes this a unit of its network. insecure: run without, on a pty only."""

    credential: Path = Path("/etc/dandelion/unit.credential")
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """A whole, checked config file. file: where it was read from."""

    file: Path
    unit: Unit
    card: Card
    camera: Camera
    shutter: Shutter
    radio: Radio
    dispersal: Dispersal
    security: Security


Read = Callable[[object], object]


_CAMERAS = ("picamera2", "folder", "pattern", "none")
_RADIOS = partial(values.choice, ("serial", "xbee", "none"))
_PIN = partial(values.whole, 0, MAX_PIN)
_COPIES = partial(values.whole, 1, MAX_COPIES)

# table -> key -> (attribute, how its value is read)
_KEYS: Mapping[str, Mapping[str, tuple[str, Read]]] = {
    "unit": {
        "id": ("id", partial(values.whole, 1, MAX_UNIT)),
        "name": ("name", values.name),
        "runtime_dir": ("runtime_dir", values.path),
    },
    "card": {
        "path": ("path", values.path),
        "capacity": ("capacity_bytes", values.size_bytes),
        "high_water": ("high_water", values.share),
        "low_water": ("low_water", values.share),
    },
    "camera": {
        "driver": ("driver", partial(values.choice, _CAMERAS)),
        "folder": ("folder", values.path),
        "size": ("size", partial(values.pixels, MIN_SIDE_PX, MAX_SIDE_PX)),
        "quality": ("quality", partial(values.whole, MIN_QUALITY, MAX_QUALITY)),
    },
    "shutter": {
        "button_pin": ("button_pin", _PIN),
        "led_pin": ("led_pin", _PIN),
        "motion_pin": ("motion_pin", _PIN),
        "tamper_pin": ("tamper_pin", _PIN),
        "interval": ("interval_s", values.duration_s),
        "patience": ("patience_s", values.duration_s),
        "burst": ("burst", partial(values.whole, 1, MAX_BURST)),
        "burst_spacing": ("burst_spacing_s", values.duration_s),
        "motion_rest": ("motion_rest_s", values.duration_s),
    },
    "radio": {
        "driver": ("driver", _RADIOS),
        "port": ("port", values.text),
        "baud": ("baud", partial(values.whole, 1, MAX_BAUD)),
        "duplex": ("duplex", values.duplex),
        "rtscts": ("rtscts", values.yes_no),
        "network": ("network", partial(values.whole, 0, MAX_XBEE_NETWORK)),
        "channel": ("channel", partial(values.whole, 0, MAX_XBEE_CHANNEL)),
    },
    "dispersal": {
        "policy": ("policy", partial(values.choice, ("always", "when-full", "never"))),
        "copies": ("copies", _COPIES),
        "copies_min": ("copies_min", _COPIES),
        "priority_copies": ("priority_copies", _COPIES),
        "hosting": ("hosting", values.share),
    },
    "security": {
        "credential": ("credential", values.path),
        "insecure": ("insecure", values.yes_no),
    },
}


def load(path: Path) -> Config:
    """Read and check the file. ConfigError for whatever is wrong with it; its text begins with the path."""
    try:
        return _build(path, _parse(path))
    except ConfigError as error:
        raise _in_file(path, error) from error


def _in_file(path: Path, error: ConfigError) -> ConfigError:
    return ConfigError(f"{path}: {error.what}", did=error.did, can=error.can)


def _parse(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(
            "there is no such config file",
            can="name one with --config FILE or in $DANDELION_CONFIG; "
            "those of a simulated fleet are gone once it has ended, unless it was started with --dir",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"the config file cannot be read: {error.strerror or error}",
            can="name one with --config FILE or in $DANDELION_CONFIG",
        ) from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(f"longer than {MAX_CONFIG_BYTES} bytes; this is not a config file")
    for number, line in enumerate(raw.split(b"\n"), 1):
        if len(line) > MAX_LINE_BYTES:
            raise ConfigError(f"line {number} is longer than {MAX_LINE_BYTES} bytes", can="break long comments")
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, too deep
        raise ConfigError(f"not TOML: {error}", can="deploy/config.example.toml shows the form") from error


def _build(path: Path, tables: Mapping[str, object]) -> Config:
    for table in tables:
        if table not in _KEYS:
            raise _unknown(f"[{cut(table)}]", table, _KEYS, "table")
    found = {table: _read_table(table, tables.get(table, {})) for table in _KEYS}
    if "id" not in found["unit"]:
        raise ConfigError("unit.id is missing", can=f"allowed: 1 to {MAX_UNIT}, another one for each unit")
    found["unit"].setdefault("name", f"unit-{found['unit']['id']}")
    if found["radio"].get("driver") == "xbee":
        found["radio"].setdefault("rtscts", True)
    if found["camera"].get("driver") == "none":
        found["dispersal"].setdefault("hosting", HOSTING_WITHOUT_CAMERA)
    if found["security"].get("insecure") and "credential" in found["security"]:
        raise ConfigError("security.insecure = true: and there is security.credential", can="allowed: one of the two")
    _resolve(found, path.absolute().parent)
    config = Config(
        file=path,
        unit=Unit(**found["unit"]),
        card=Card(**found["card"]),
        camera=Camera(**found["camera"]),
        shutter=Shutter(**found["shutter"]),
        radio=Radio(**found["radio"]),
        dispersal=Dispersal(**found["dispersal"]),
        security=Security(**found["security"]),
    )
    _check_together(config)
    return config


_PATHS = (("unit", "runtime_dir"), ("card", "path"), ("camera", "folder"), ("security", "credential"))


def _resolve(found: dict[str, dict[str, Any]], folder: Path) -> None:
    """Relative paths are relative to the config file: the same unit wherever a command is given."""
    for table, attribute in _PATHS:
        if attribute in found[table]:
            found[table][attribute] = folder / found[table][attribute]
    if "port" in found["radio"]:
        found["radio"]["port"] = str(folder / found["radio"]["port"])


def _read_table(table: str, given: object) -> dict[str, Any]:
    """Attributes of the keys that are given, read and checked one by one."""
    if not isinstance(given, dict):
        raise ConfigError(f"{table} = {shown(given)}: not a table", can=f"allowed: [{table}] with keys below it")
    keys = _KEYS[table]
    attributes: dict[str, Any] = {}
    for key, value in given.items():
        if key not in keys:
            raise _unknown(f"{table}.{cut(key)}", key, keys, "key")
        attribute, read = keys[key]
        try:
            attributes[attribute] = read(value)
        except NotAllowed as error:
            raise _wrong(f"{table}.{key}", value, error.why, error.allowed) from error
    return attributes


def _wrong(key: str, value: object, why: str, allowed: str) -> ConfigError:
    return ConfigError(f"{key} = {shown(value)}: {why}", can=f"allowed: {allowed}")


def _unknown(where: str, name: str, known: Collection[str], kind: str) -> ConfigError:
    import difflib  # not before it is needed: commands should start fast

    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    what = f"{where}: unknown {kind}, the nearest known one is {nearest}"
    return ConfigError(what, can=f"allowed: {', '.join(known)}")


def _check_together(config: Config) -> None:
    """The rules that join two keys."""
    card, camera, dispersal = config.card, config.camera, config.dispersal
    if card.low_water > card.high_water:
        raise _wrong("card.low_water", card.low_water, "above card.high_water", f"0 to {card.high_water}")
    if camera.driver == "folder" and camera.folder is None:
        raise ConfigError("camera.folder is missing", can="allowed: a directory with *.jpg files")
    if config.radio.driver == "xbee" and config.radio.duplex is Duplex.HALF:
        raise _wrong("radio.duplex", "half", "an XBee module takes turns with others by itself", "full")
    for key in ("network", "channel"):
        if config.radio.driver != "xbee" and (value := getattr(config.radio, key)) is not None:
            raise _wrong("radio.driver", config.radio.driver, f"radio.{key} = {value} is of an XBee module", "xbee")
    if dispersal.copies_min > dispersal.copies:
        allowed = f"1 to {dispersal.copies} (dispersal.copies)"
        raise _wrong("dispersal.copies_min", dispersal.copies_min, "more than dispersal.copies", allowed)
    _check_pins(config.shutter, config.radio)


def _check_pins(shutter: Shutter, radio: Radio) -> None:
    """Each pin has one use."""
    uses = dict.fromkeys(UART_PINS, "the pins of the UART")
    if radio.driver != "none" and radio.rtscts and Path(radio.port).name.startswith(HEADER_UARTS):
        uses |= dict.fromkeys(FLOW_PINS, "CTS and RTS of the UART (radio.rtscts = true)")
    for key in (key for key in _KEYS["shutter"] if key.endswith("_pin")):
        pin = getattr(shutter, key)
        if pin in uses:
            free = sorted(set(range(MAX_PIN + 1)) - uses.keys())
            raise _wrong(f"shutter.{key}", pin, f"this is {uses[pin]}", ", ".join(map(str, free)))
        if pin is not None:
            uses[pin] = f"shutter.{key}"


def check_port(config: Config) -> None:
    """For whoever is about to open the port: ConfigError where it is no pty, and there is no credential.

    A port that is not there yet is no error: the unit waits for it and looks again when it opens it.
    """
    if config.radio.driver == "none" or not config.security.insecure:
        return
    try:
        status = os.stat(config.radio.port)
    except OSError:
        return
    if not is_pty(status):
        error = _wrong(
            "radio.port",
            config.radio.port,
            "not a pty, and security.insecure is true",
            "a virtual line (pty); on a radio, a credential (dandelion net enrol) in place of security.insecure",
        )
        raise _in_file(config.file, error)
