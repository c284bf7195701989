"""The JSON rows that commands print, and the times in them. Pure; the fields are DESIGN §9's."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from firmware.errors import Refused, WrongArgument
from firmware.pictures import Copy, Entry, File, Picture, PictureId

_AGO = re.compile(r"(\d{1,6}) ?(s|min|h|d)(?: ago)?", re.ASCII)
_AGO_S = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}


def list_row(entry: Entry, unit: int) -> dict[str, object]:
    """One picture as this unit knows it; unit is the unit that tells."""
    picture = entry.picture
    return {
        "picture": str(picture.id),
        "origin": picture.id.unit,
        "taken_at": rfc3339(picture.taken_at),
        "taken_at_quality": picture.taken_quality.name.lower(),
        "size_bytes": picture.size_bytes,
        "sha256": picture.sha256.hex(),
        "local": entry.file is File.WHOLE,
        "copies": _copies(entry, unit),
        "priority": picture.priority,
    }


def whereis_row(entry: Entry, unit: int) -> dict[str, object]:
    """Who holds a picture and when each last proved it; unit is the unit that tells."""
    row = list_row(entry, unit)
    return {key: row[key] for key in ("picture", "origin", "size_bytes", "sha256", "local", "copies")}


def not_known(picture: PictureId, entry: Entry | None, unit: int) -> Refused:
    """Why there is no row of it."""
    if entry is not None and entry.deleted:
        return Refused(f"picture {picture} was deleted")
    if picture.unit == unit:
        return Refused(f"picture {picture} is not known here", can="see `list` for those that there are")
    return Refused(f"picture {picture} is not known here", can=f"ask unit {picture.unit}, which took it")


def nothing_decided(picture: PictureId, unit: int) -> Refused:
    """Only the unit that took a picture decides about it."""
    can = f"ask unit {picture.unit}, which took it" if picture.unit != unit else "see `list` for those that there are"
    return Refused(f"nothing was decided here about picture {picture}", can=can)


def shoot_row(picture: Picture, seconds: float) -> dict[str, object]:
    """A picture that is durable now, so many seconds after the shutter."""
    told = {"picture": str(picture.id), "size_bytes": picture.size_bytes, "sha256": picture.sha256.hex()}
    return {**told, "seconds": round(seconds, 3)}


def explain_row(picture: PictureId, text: str, inputs: dict[str, object]) -> dict[str, object]:
    """One decision on a picture, with what it was made from."""
    return {"picture": str(picture), "text": text, "inputs": inputs}


def fsck_row(
    path: str, *, kind: str, picture: PictureId | None, text: str, repaired: bool, harmless: bool
) -> dict[str, object]:
    """Something on the card that is not as it should be; path is relative to the card's."""
    name = None if picture is None else str(picture)
    told = {"path": path, "kind": kind, "picture": name, "text": text}
    return {**told, "repaired": repaired, "harmless": harmless}


def unit_row(
    unit: int,
    *,
    name: str | None,
    room_bytes: int | None,
    last_heard_s: float | None,
    loss: float | None,
    rate_bps: float | None,
    rssi_dbm: int | None,
) -> dict[str, object]:
    """A neighbour as heard. last_heard_s: seconds ago. loss: share of 0..1. rssi_dbm: of what came last. None where not
    known."""
    return {
        "unit": unit,
        "name": name,
        "room_bytes": room_bytes,
        "last_heard_s": None if last_heard_s is None else round(last_heard_s, 1),
        "loss": None if loss is None else round(loss, 4),
        "rate_bps": None if rate_bps is None else round(rate_bps),
        "rssi_dbm": rssi_dbm,
    }


def _copies(entry: Entry, unit: int) -> list[dict[str, object]]:
    """Every holder but the origin, by number: at the origin as the list has it, anywhere else by the origin's word
    when its record was heard last, which tells no times. Of its own copy a unit knows best."""
    if entry.copies:
        return [
            {"unit": copy.unit, "state": _state(copy), "verified_at": rfc3339(copy.verified_at)}
            for copy in entry.copies
            if copy.listed or copy.open
        ]
    proved = len(entry.named) - entry.doubted
    states = {named: "verified" if number < proved else "suspect" for number, named in enumerate(entry.named)}
    states.pop(unit, None)
    if entry.attempt is not None:
        states[unit] = "verified" if entry.kept else "pending"
    return [{"unit": holder, "state": state, "verified_at": None} for holder, state in sorted(states.items())]


def _state(copy: Copy) -> str:
    if not copy.listed:
        return "pending"
    return "suspect" if copy.suspect else "verified"


def rfc3339(unix_s: float | None) -> str | None:
    """UTC, to the second; None for None and for times that no calendar has (a peer may send any number)."""
    if unix_s is None:
        return None
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def parse_time(text: str, now_s: float) -> float:
    """Unix seconds of an RFC 3339 time, a date (its first moment, UTC), or how long ago ("2 h"); now_s: Unix seconds.

    Raises WrongArgument.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now_s - int(ago[1]) * _AGO_S[ago[2]]
    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise WrongArgument(
            f"{text!r} is not a time", can='allowed: "2026-07-14T10:00:00Z", "2026-07-14", or how long ago: "2 h"'
        ) from error
    return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
