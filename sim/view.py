"""The live view of a fleet: a FleetState in, something that rich can print out. Pure, but for save_svg()."""

from __future__ import annotations

import io
import re
from itertools import islice
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sim.watch import FleetEvent, FleetState, PictureState, Transfer, UnitState

CARD_CELLS = 20  # width of a card's bar
WIDE_COLUMNS = 106  # below, a bar and the id of each picture under way do not fit beside the rest
TRANSFER_CELLS = 12  # width of a transfer's bar
MAX_TRANSFERS = 3  # shown of one unit
PICTURES = 10  # shown where the terminal is high enough
EVENTS = 8
FIXED_LINES = 7  # title, head of the table, legend, three rules, and one that a terminal scrolls by
MIN_PICTURES, MIN_EVENTS = 3, 3
SVG_COLUMNS = 112  # fits a README's column and the longest event
SVG_LINES = 40
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # rich's would be loaded over the network

# what fills a card: (sign, style, word)
KEPT = ("█", "green", "own")
CACHE = ("▓", "cyan", "own, may be dropped")
HELD = ("▒", "magenta", "held for others")
RESERVED = ("+", "yellow", "reserved")
FREE = ("·", "bright_black", "free")
EVENT_STYLES = {
    "requested": "cyan",
    "accepted": "cyan",
    "stored": "bold green",
    "delivered": "bold magenta",
    "refused": "yellow",
    "timed_out": "yellow",
    "expired": "yellow",
    "captured_failed": "yellow",
    "lost": "bold red",
    "suspect": "bold red",
    "alarm": "bold red",
}
HOLDER_STYLES = {"own": "green", "verified": "magenta", "pending": "yellow", "suspect": "bold red"}


def render(state: FleetState, *, lines: int, columns: int) -> RenderableType:
    """The whole view, for a terminal of this size; lists get shorter in a low one. The footer is never cut."""
    complaints = _complaints(state)
    time = (f"{state.at_s:.0f} s  ", "bright_black")
    head = Text.assemble(("Dandelion ", "bold"), time, state.title, no_wrap=True, overflow="ellipsis")
    footer = sum(-(-len(line) // columns) for line in state.footer)
    used = FIXED_LINES + footer + len(complaints) + sum(_height(unit) for unit in state.units)
    pictures, events = share_lines(lines - used)
    return Group(
        head,
        _units(state, wide=columns >= WIDE_COLUMNS),
        _legend(),
        *complaints,
        Rule(f"pictures: {len(state.pictures)}, newest first", style="bright_black", align="left"),
        *_pictures(state, pictures),
        Rule("events", style="bright_black", align="left"),
        *_events(state, events),
        Rule(style="bright_black"),
        *[Text(line, overflow="fold") for line in state.footer],
    )


def share_lines(lines: int) -> tuple[int, int]:
    """(pictures, events) that so many lines have room for; never fewer than three of each."""
    pictures = max(MIN_PICTURES, min(PICTURES, lines * PICTURES // (PICTURES + EVENTS)))
    return pictures, max(MIN_EVENTS, min(EVENTS, lines - pictures))


def card_bar(unit: UnitState, cells: int = CARD_CELLS) -> Text:
    """What fills the card, in `cells` signs; every kind that is there at all gets one if it can."""
    free_bytes = max(0, unit.capacity_bytes - unit.own_bytes - unit.held_bytes - unit.reserved_bytes)
    sizes = [unit.own_bytes - unit.cache_bytes, unit.cache_bytes, unit.held_bytes, unit.reserved_bytes, free_bytes]
    bar = Text()
    whole, done, begun = max(1, sum(sizes)), 0, 0
    for size_bytes, (sign, style, _) in zip(sizes, (KEPT, CACHE, HELD, RESERVED, FREE), strict=True):
        done += size_bytes
        end = round(done * cells / whole)
        bar.append(sign * (end - begun), style)
        begun = end
    return bar


def megabytes(size_bytes: int) -> str:
    """A size as people read it; powers of 1000."""
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1_000_000 else f"{size_bytes / 1e3:.0f} kB"


def _units(state: FleetState, *, wide: bool) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="bright_black")
    table.add_column("unit", no_wrap=True)
    table.add_column("card", no_wrap=True)
    table.add_column("own", justify="right")
    table.add_column("held", justify="right")
    table.add_column("waiting", justify="right")
    table.add_column("sends", no_wrap=True)
    table.add_column("under way", ratio=1, no_wrap=True, overflow="ellipsis")
    for unit in state.units:
        table.add_row(*_unit(unit, state), _under_way(unit, wide=wide))
    return table


def _unit(unit: UnitState, state: FleetState) -> list[RenderableType]:
    if not unit.answering:
        silent: list[RenderableType] = [Text(unit.name, "bold"), Text("not answering", "bold red")]
        return [*silent, "", "", "", ""]
    used_bytes = unit.own_bytes + unit.held_bytes + unit.reserved_bytes
    card = Text("\n").join(
        [card_bar(unit), Text(f"{megabytes(used_bytes)} of {megabytes(unit.capacity_bytes)}", "bright_black")]
    )
    share = min(1.0, unit.sent_bps / state.line_bytes_per_s)  # what the port has taken may run ahead of the line
    line = Text(f"{unit.sent_bps / 1e3:5.1f} kB/s\n{share:5.0%} of line", "bold" if share > 0.05 else "")
    waiting = Text(str(unit.lacking), "yellow" if unit.lacking else "")
    return [Text(unit.name, "bold"), card, str(unit.own), str(unit.held), waiting, line]


def _under_way(unit: UnitState, *, wide: bool) -> Text:
    rows = [_transfer(one, wide=wide) for one in islice(unit.transfers, MAX_TRANSFERS)]
    return Text("\n").join(rows + [Text()] * (_height(unit) - len(rows)))


def _height(unit: UnitState) -> int:
    """Lines of the unit's row; two at least, so that the view does not jump with each transfer."""
    return max(2, min(len(unit.transfers), MAX_TRANSFERS)) if unit.answering else 1


def _complaints(state: FleetState) -> list[Text]:
    """Of each unit its first problem, or else why pictures wait there although nothing is under way."""
    told: list[Text] = []
    for unit in state.units:
        waits = unit.why if unit.lacking and not unit.transfers else None
        if complaint := next(iter(unit.problems), waits):
            told.append(Text(f"{unit.name}: {complaint}", "yellow", no_wrap=True, overflow="ellipsis"))
    return told


def _transfer(transfer: Transfer, *, wide: bool) -> Text:
    """Where to or from, and how far; on a wide terminal a bar and which picture, too."""
    share = min(1.0, transfer.done_bytes / max(1, transfer.total_bytes))
    filled = round(share * TRANSFER_CELLS)
    style = "cyan" if transfer.outwards else "magenta"
    direction = Text.assemble(("→ " if transfer.outwards else "← ", style), f"unit {transfer.unit} ")
    if not wide:
        return direction.append(f"{share:4.0%}")
    return Text.assemble(
        direction,
        ("━" * filled, style),
        ("─" * (TRANSFER_CELLS - filled), "bright_black"),
        f" {share:4.0%} {transfer.picture}",
    )


def _legend() -> Text:
    told = Text()
    for sign, style, word in (KEPT, CACHE, HELD, RESERVED, FREE):
        told.append(sign, style).append(f" {word}   ", "bright_black")
    return told


def _pictures(state: FleetState, count: int) -> list[RenderableType]:
    names = {unit.number: unit.name for unit in state.units}
    rows = [_picture(shown, names) for shown in islice(state.pictures, count)]
    return [*rows, *[Text()] * (count - len(rows))]


def _picture(shown: PictureState, names: dict[int, str]) -> Text:
    row = Text(f"{shown.picture}  {megabytes(shown.size_bytes):>8}  ", no_wrap=True, overflow="ellipsis")
    if not shown.holders:
        row.append("nobody has it", "bold red")
    for number, holds in sorted(shown.holders.items(), key=lambda held: (held[0] != shown.origin, held[0])):
        row.append(f"{names.get(number, f'unit {number}')} ").append(holds, HOLDER_STYLES.get(holds, ""))
        row.append("   ")
    return row


def _events(state: FleetState, count: int) -> list[RenderableType]:
    names = {unit.number: unit.name for unit in state.units}
    rows = [_event(event, names) for event in state.events[-count:]]
    return [*rows, *[Text()] * (count - len(rows))]


def _event(event: FleetEvent, names: dict[int, str]) -> Text:
    told = Text(no_wrap=True, overflow="ellipsis")
    told.append(f"{event.at_s:6.1f} s  ", "bright_black")
    told.append(f"{'fleet' if event.unit is None else names.get(event.unit, str(event.unit))}  ", "bold")
    return told.append(event_words(event), EVENT_STYLES.get(event.event, ""))


def event_words(event: FleetEvent) -> str:
    """The event's sentence; its word goes before it where the sentence has it not."""
    word = event.event.replace("_", " ")
    return event.text if event.unit is None or word in event.text else f"{word}: {event.text}"


def plain_line(event: FleetEvent, names: dict[int, str]) -> str:
    """One event for an output that is no terminal."""
    return _event(event, names).plain


def save_svg(state: FleetState, path: Path) -> None:
    """The view as a picture for the README. OSError if it cannot be written."""
    console = Console(
        record=True,
        file=io.StringIO(),
        width=SVG_COLUMNS,
        height=SVG_LINES,
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(render(state, lines=SVG_LINES, columns=SVG_COLUMNS))
    drawn = console.export_svg(title="dandelion sim")
    path.write_text(FONT_FACE.sub("", drawn), encoding="utf-8")
