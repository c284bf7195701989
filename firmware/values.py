"""Values of config files and credentials: sizes, times, shares, names. Pure readers; each raises NotAllowed."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hal.interfaces import Duplex

_SIZES = {"B": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}
MAX_SIZE_BYTES = 1_000 * _SIZES["TB"]  # guess: a thousand times the largest SD card
_TIMES = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
MAX_DURATION_S = 366 * _TIMES["d"]  # guess: a camera that waits longer than a year is a typing error
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?([A-Za-z]+)", re.ASCII)
_NAME = re.compile(r"(?=.*[a-z-])[a-z0-9-]{1,12}", re.ASCII)
NAME_RULE = "1 to 12 of a-z 0-9 -, not only digits"
_NETWORK_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
NETWORK_NAME_RULE = "1 to 32 of A-Z a-z 0-9 . _ -"


class NotAllowed(ValueError):
    """why: what is wrong with the value. allowed: what would be right."""

    def __init__(self, why: str, *, allowed: str) -> None:
        super().__init__(why)
        self.why = why
        self.allowed = allowed


def is_name(value: str) -> bool:
    """Whether this can be the name of a unit (DESIGN §9)."""
    return _NAME.fullmatch(value) is not None


def name(value: object) -> str:
    """A unit's name."""
    if not isinstance(value, str) or not is_name(value):
        raise NotAllowed("not a name", allowed=NAME_RULE)
    return value


def network_name(value: object) -> str:
    """A network's name: for people only, it is never sent."""
    if not isinstance(value, str) or _NETWORK_NAME.fullmatch(value) is None:
        raise NotAllowed("not a name of a network", allowed=NETWORK_NAME_RULE)
    return value


Read = Callable[[object], Any]


def fields(readers: Mapping[str, Read], value: object) -> dict[str, Any]:
    """Of exactly these keys, each read by its reader; no error of this shows a value."""
    if not isinstance(value, dict) or value.keys() != readers.keys():
        raise NotAllowed("not the keys that belong there", allowed=", ".join(readers))
    found = {}
    for key, read in readers.items():
        try:
            found[key] = read(value[key])
        except NotAllowed as error:
            raise NotAllowed(f"{key}: {error.why}", allowed=error.allowed) from error
    return found


def base64_bytes(value: object, *, size_bytes: int | None = None) -> bytes:
    """Bytes from base64; size_bytes: how many they must be."""
    what = "bytes in base64" if size_bytes is None else f"{size_bytes} bytes in base64"
    try:
        found = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or size_bytes not in (None, len(found)):
        raise NotAllowed(f"not {what}", allowed=what)
    return found


def text(value: object) -> str:
    """Any text but an empty one, or one that no path can have."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise NotAllowed("not a text", allowed="a text in quotation marks")
    return value


def path(value: object) -> Path:
    """A path."""
    try:
        return Path(text(value))
    except NotAllowed as error:
        raise NotAllowed("not a path", allowed="a path in quotation marks") from error


def yes_no(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise NotAllowed("neither true nor false", allowed="true, false")
    return value


def whole(lowest: int, highest: int, value: object) -> int:
    """A whole number of lowest..highest."""
    allowed = f"a whole number of {lowest} to {highest}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotAllowed("not a whole number", allowed=allowed)
    if not lowest <= value <= highest:
        raise NotAllowed("out of range", allowed=allowed)
    return value


def share(value: object) -> float:
    """A share of 0..1; NaN is none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise NotAllowed("not a share", allowed="a number of 0.0 to 1.0")
    return float(value)


def choice(known: tuple[str, ...], value: object) -> str:
    """One of the known words."""
    if isinstance(value, str) and value in known:
        return value
    raise NotAllowed("unknown", allowed=", ".join(known))


def duplex(value: object) -> Duplex:
    """full or half."""
    return Duplex(choice((Duplex.FULL.value, Duplex.HALF.value), value))


def pixels(lowest: int, highest: int, value: object) -> tuple[int, int]:
    """[width, height] in pixels, each lowest..highest."""
    allowed = f"[width, height], each a whole number of {lowest} to {highest}"
    if not isinstance(value, list) or len(value) != 2:
        raise NotAllowed("not a size in pixels", allowed=allowed)
    try:
        return whole(lowest, highest, value[0]), whole(lowest, highest, value[1])
    except NotAllowed as error:
        raise NotAllowed(error.why, allowed=allowed) from error


def size_bytes(value: object) -> int:
    """Bytes, above 0: a number, or text as "24 GB"; kB, MB, GB, TB are powers of 1000."""
    allowed = f'a size as "24 GB" ({", ".join(_SIZES)}; powers of 1000), or a number of bytes'
    found = _quantity(value, _SIZES) if isinstance(value, str) else value
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise NotAllowed("not a size", allowed=allowed)
    if not 1 <= found <= MAX_SIZE_BYTES:
        raise NotAllowed("out of range", allowed=allowed)
    if found != int(found):
        raise NotAllowed("not a whole number of bytes", allowed=allowed)
    return int(found)


def duration_s(value: object) -> float:
    """Seconds, above 0, from text as "10 min"."""
    allowed = f'a time as "10 min" ({", ".join(_TIMES)}), above 0 and at most a year'
    found = _quantity(value, _TIMES) if isinstance(value, str) else None
    if found is None:
        raise NotAllowed("not a time", allowed=allowed)
    if not 0 < found <= MAX_DURATION_S:
        raise NotAllowed("out of range", allowed=allowed)
    return float(found)


def _quantity(value: str, units: dict[str, int]) -> float | None:
    """A number and one of the units; None if it is anything else."""
    found = _QUANTITY.fullmatch(value.strip())
    if found is None or found[2] not in units:
        return None
    scale = units[found[2]]
    return round(float(found[1]) * scale, 6) if "." in found[1] else int(found[1]) * scale
