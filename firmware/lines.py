"""The plain lines that people read instead of JSON: one function per kind of row. Pure.

A field that is missing or null shows as "-": the unit may be older or newer than the command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from firmware.wording import so_many, units

Fields = Mapping[str, Any]

_PREFIXES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))
_TIMES = ((86_400, "days"), (3_600, "h"), (60, "min"))


def size(size_bytes: int | None) -> str:
    """Bytes in powers of 1000, three or four digits."""
    if size_bytes is None:
        return "-"
    for scale, unit in _PREFIXES:
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} B"


def _text(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


_NOT_KNOWN = "holders not known here"


def picture(row: Fields, *, unit: int) -> str:
    """A picture of list with its holders; unit: the one that tells. A time with "?" is of a clock nobody had set."""
    place = "here" if row.get("local") else "away"
    taken_at = _text(row.get("taken_at"))
    if row.get("taken_at") and row.get("taken_at_quality") == "unset":
        taken_at += "?"
    columns = f"{_text(row.get('picture')):<20}  {taken_at:<21} {size(row.get('size_bytes')):>8}  {place}"
    copies = ", ".join(map(_copy, row.get("copies") or ())) or (_NOT_KNOWN if _is_hearsay(row, unit) else "")
    return f"{columns}  {copies}".rstrip()


def _is_hearsay(row: Fields, unit: int) -> bool:
    """Another unit's picture that this one has no file of and nobody told it who has: that need not be nobody."""
    return row.get("origin") not in (None, unit) and not row.get("local") and not row.get("copies")


def holders(row: Fields, *, unit: int) -> str:
    """A picture of whereis, a line per holder; unit: the one that tells."""
    place = "has its file" if row.get("local") else "has no file of it"
    head = f"{_text(row.get('picture'))} of unit {_text(row.get('origin'))}, {size(row.get('size_bytes'))}"
    lines = [f"{head}; this unit {place}"]
    for copy in row.get("copies") or ():
        verified_at = copy.get("verified_at")
        when = f", last proved {verified_at}" if verified_at else ""
        lines.append(f"  unit {_copy(copy)}{when}")
    if _is_hearsay(row, unit):
        lines.append(f"  {_NOT_KNOWN}: ask unit {row['origin']}, which took it")
    return "\n".join(lines)


def _copy(copy: Fields) -> str:
    return f"{_text(copy.get('unit'))} {_text(copy.get('state'))}"


def shot(row: Fields) -> str:
    """A picture just taken."""
    return f"{_text(row.get('picture'))}  {size(row.get('size_bytes'))}"


def got(row: Fields) -> str:
    """A picture just written, or found to be there."""
    head = f"{_text(row.get('path'))}  {size(row.get('size_bytes'))}"
    if row.get("already_there"):
        return f"{head}, already there"
    return f"{head} from unit {_text(row.get('from_unit'))} in {_text(row.get('seconds'))} s"


def neighbour(row: Fields) -> str:
    """A unit as heard."""
    loss, rate_bps, heard_s, rssi_dbm = (row.get(key) for key in ("loss", "rate_bps", "last_heard_s", "rssi_dbm"))
    return (
        f"{_text(row.get('unit')):>5}  {_text(row.get('name')):<12}  room {size(row.get('room_bytes')):>8}"
        f"  heard {'-' if heard_s is None else f'{heard_s:.0f} s ago':>9}"
        f"  loss {'-' if loss is None else f'{loss:.1%}':>6}"
        f"  {'-' if rate_bps is None else f'{rate_bps / 1000:.1f} kbit/s':>12}"
        f"{'' if rssi_dbm is None else f'  {rssi_dbm} dBm'}"
    )


def event(row: Fields) -> str:
    """A line of the log."""
    return f"{_text(row.get('at')):<20}  {_text(row.get('text'))}"


def decision(row: Fields) -> str:
    """A decision of explain, with what it was made from."""
    lines = [_text(row.get("text"))]
    for name, told in (row.get("inputs") or {}).items():
        for one in told if isinstance(told, list) else [told]:
            values = ", ".join(f"{key} {_plain(value)}" for key, value in one.items())
            lines.append(f"    {name.removesuffix('s') if isinstance(told, list) else name}: {values}")
    return "\n".join(lines)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " and ".join(map(str, value)) or "none"
    return _text(value)


def finding(row: Fields) -> str:
    """Something that fsck found."""
    note = " (mended)" if row.get("repaired") else " (harmless)" if row.get("harmless") else ""
    return f"{_text(row.get('path'))}: {_text(row.get('text'))}{note}"


def diagnosis(row: Fields) -> str:
    """Something that doctor looked at: its state and name, what was found, and below it what can be done."""
    lines = [f"{_text(row.get('state')):<7}  {_text(row.get('name')):<17}  {_text(row.get('what'))}"]
    lines += [f"{'':<7}  {'':<17}  mended: {row['fixed']}"] if row.get("fixed") else []
    lines += [f"{'':<7}  {'':<17}  to do: {row['fix']}"] if row.get("fix") else []
    return "\n".join(lines)


def change(row: Fields) -> str:
    """What drop or delete did."""
    rest = (f"{key} {_text(value)}" for key, value in row.items() if key != "picture")
    return "  ".join((_text(row.get("picture")), *rest))


def status(row: Fields) -> str:
    """This unit, some lines."""
    radio, pictures = row.get("radio") or {}, row.get("pictures") or {}
    known = ", ".join(f"{_text(pictures.get(kind))} {kind}" for kind in ("own", "held", "lacking"))
    unsure = row.get("deletes_pending")
    lines = [
        f"unit      {_text(row.get('unit'))} {_text(row.get('name'))}, boot {_text(row.get('boot'))}"
        + (", up for the time of a command" if row.get("temporary") else ""),
        f"card      {_card(row)}",
        f"pictures  {known}; {so_many(row.get('waiting_shots'), 'shot')} waiting"
        + (f", {so_many(unsure, 'delete')} pending" if unsure else ""),
        f"camera    {_camera(row)}",
        f"radio     {_radio(radio)}",
    ]
    if row.get("priority"):
        lines.append("priority  every picture is a priority picture, until the button is held for 5 s again")
    if row.get("network"):
        lines.append(f"network   {_network(row)}")
    if row.get("exposure"):
        lines += [f"exposed   {_exposure(row['exposure'])}", f"checks    {_checks(row)}"]
    if row.get("promise"):
        lines.append(f"promise   {row['promise']}")
    if row.get("why"):
        lines.append(f"{'full' if row.get('full') else 'waiting':<10}{row['why']}")
    lines += [f"transfer  {_transfer(transfer)}" for transfer in row.get("transfers") or ()]
    full = f"the card is full: {row.get('why')}"  # stands above
    lines += [f"problem   {problem}" for problem in row.get("problems") or () if problem != full]
    return "\n".join(lines)


def _camera(row: Fields) -> str:
    """Its driver, how long its shots take, and what it makes a day; where that is too much it is a problem, below."""
    text, shots, load = _text(row.get("camera")), row.get("shots") or {}, row.get("load") or {}
    if shots.get("last_s") is not None:
        last, half, most = (f"{shots[key]:.3g} s" for key in ("last_s", "p50_s", "p99_s"))
        text += f"; the last picture was durable {last} after the shutter, half within {half}, 99 % within {most}"
    if row.get("camera_note"):
        text += f"; {row['camera_note']}"
    return text if not load or load.get("too_much") else f"{text}; {load['text']}"


def _network(row: Fields) -> str:
    """The words are those of `net show`, to be compared."""
    from firmware.roster import words_of  # the list of words is a file

    told = row["network"]
    words = words_of(row["unit"], bytes.fromhex(told["key"]))
    members = so_many(told.get("members"), "member")
    acts = f", decides for {units(told['acts_for'])}" if told.get("acts_for") else ""
    return f"{_text(told.get('name'))}, epoch {_text(told.get('epoch'))}, {members}{acts}; this unit: {words}"


def _exposure(told: Fields) -> str:
    """Own pictures that only one card has, and how long the others were on this one only."""
    text = f"{so_many(told.get('pictures'), 'picture is', 'pictures are')} on this card only"
    if told.get("oldest"):
        text += f", the oldest is {told['oldest']}"
        if told.get("oldest_s") is not None:
            text += f", for {duration(told['oldest_s'])}"
    if told.get("why"):
        text += f" ({told['why']})"
    if told.get("one_holder"):
        text += f"; {told['one_holder']} on one other card only"
    if told.get("unproved"):
        text += f"; {told['unproved']} of which no unit has proved a copy"
    if told.get("of"):
        half_s, most_s = told.get("p50_s"), told.get("p99_s")
        half, most = duration(half_s), duration(most_s, beside=half_s)
        text += f"; of the last {told['of']} that got a copy half had it within {half}, 99 % within {most}"
    return text


def _checks(row: Fields) -> str:
    """What was proved and read again, and what is in doubt."""
    audits, scrub, pictures = row.get("audits") or {}, row.get("scrub") or {}, row.get("pictures") or {}
    asked = f"{so_many(audits.get('asked'), 'proof')} asked for within a day, {_text(audits.get('right'))} right"
    failed = (
        f"{_text(audits.get('failed'))} failed; {so_many(pictures.get('suspect_copies'), 'copy', 'copies')} suspect"
    )
    again = f"{so_many(scrub.get('checked'), 'file')} read again, {_text(scrub.get('damaged'))} damaged"
    return f"{asked}, {failed}; {again}"


def duration(seconds: object, *, beside: object = None) -> str:
    """How long, roughly, in the largest unit that gives at least two; in that of a shorter time that stands beside it
    where that gives three digits at most."""
    if not isinstance(seconds, int | float):
        return "?"
    unit_s, unit = _unit_of_time(seconds)
    if isinstance(beside, int | float) and seconds < 1000 * _unit_of_time(beside)[0]:
        unit_s, unit = _unit_of_time(beside)
    return f"{seconds / unit_s:.0f} {unit}"


def _unit_of_time(seconds: float) -> tuple[int, str]:
    return next((unit for unit in _TIMES if seconds >= 2 * unit[0]), (1, "s"))


def net(row: Fields) -> str:
    """A network; a unit of one, with its words and where its credential was written; who acts for one that is gone for
    good; or who has a roster pushed."""
    if "units" in row:
        others = tuple(row["units"])
        have = f"; {units(others)} {'has' if len(others) == 1 else 'have'} it, too" if others else ""
        return f"the roster of epoch {_text(row.get('epoch'))} is handed over{have}"
    if "by" in row:
        decides = "released: nobody decides" if row["by"] is None else f"unit {row['by']} decides"
        return f"{_text(row.get('unit')):>5}  gone for good; {decides} about its pictures"
    epochs = f"since epoch {_text(row.get('since_epoch'))}"
    if "unit" not in row:
        head = f"network {_text(row.get('name'))} ({_text(row.get('network'))})"
        return f"{head}, epoch {_text(row.get('epoch'))}"
    if row.get("revoked"):
        epochs = f"revoked; was in from epoch {_text(row.get('since_epoch'))} to {_text(row.get('until_epoch'))}"
    lines = [f"{_text(row.get('unit')):>5}  {_text(row.get('name')):<12}  {_text(row.get('words'))}  {epochs}"]
    if row.get("path"):
        lines.append(f"credential  {row['path']}")
    return "\n".join(lines)


def _card(row: Fields) -> str:
    parts = ", ".join(f"{kind} {size(row.get(f'{kind}_bytes'))}" for kind in ("own", "cache", "held", "reserved"))
    room = f"{size(row.get('room_bytes'))} free of {size(row.get('capacity_bytes'))}"
    return f"{_text(row.get('card_number'))}: {room}; {parts}"


def _radio(radio: Fields) -> str:
    head = f"{_text(radio.get('driver'))} {_text(radio.get('port'))}"
    damaged = f"{so_many(radio.get('frames_damaged'), 'frame')} damaged"
    if undelivered := radio.get("frames_undelivered"):
        damaged += f", {undelivered} undelivered"
    return f"{head}, {size(radio.get('bytes_in'))} in, {size(radio.get('bytes_out'))} out, {damaged}"


def _transfer(transfer: Fields) -> str:
    arrow = "from" if transfer.get("direction") == "in" else "to"
    done = f"{size(transfer.get('done_bytes'))} of {size(transfer.get('total_bytes'))}"
    what = f"{'preview of ' if transfer.get('preview') else ''}{_text(transfer.get('picture'))}"
    return f"{what} {arrow} unit {_text(transfer.get('unit'))}, {done}"


def of_verb(verb: str, unit: int) -> Callable[[Fields], str]:
    """How rows of this verb read at this unit."""
    at_unit = _AT_UNIT.get(verb)
    return _BY_VERB.get(verb, change) if at_unit is None else partial(at_unit, unit=unit)


_AT_UNIT = {"list": picture, "whereis": holders, "copy": holders}
_BY_VERB: Mapping[str, Callable[[Fields], str]] = {
    "shoot": shot,
    "get": got,
    "units": neighbour,
    "status": status,
    "explain": decision,
    "log": event,
    "fsck": finding,
}
