"""Follows the units of a fleet over their control sockets and keeps what the live view shows: values and threads."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from firmware.client import Client
from firmware.control_lines import Row
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

POLL_S = 0.5  # a picture of 200 kB takes 4 s of the default line: its bar moves eight times
SILENCE_S = 5.0  # a unit that has not answered `status` for so long is shown as not answering
MAX_ROWS = 2000  # of `list`, each time; a card of the fleet has room for some dozens
MAX_EVENTS = 1000  # not yet shown; a reader of a unit's log waits beyond, and its unit's ring forgets

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A picture on its way. outwards: from this unit to `unit`."""

    picture: str
    unit: int
    outwards: bool
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class UnitState:
    """What is shown of one unit; the numbers are its last ones where it does not answer.

    own_bytes contain cache_bytes. sent_bps, heard_bps: bytes per second, not bits.
    """

    number: int
    name: str
    answering: bool = False
    capacity_bytes: int = 0
    own_bytes: int = 0
    cache_bytes: int = 0
    held_bytes: int = 0
    reserved_bytes: int = 0
    own: int = 0
    held: int = 0
    lacking: int = 0
    full: bool = False
    why: str | None = None
    problems: tuple[str, ...] = ()
    sent_bytes: int = 0
    heard_bytes: int = 0
    sent_bps: float = 0.0
    heard_bps: float = 0.0
    transfers: tuple[Transfer, ...] = ()


@dataclass(frozen=True, slots=True)
class PictureState:
    """One picture and who has it: unit -> "own", "verified", "pending" or "suspect"."""

    picture: str
    origin: int
    size_bytes: int
    holders: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class FleetEvent:
    """Something that happened at_s seconds after the fleet's start; unit: None where the fleet itself tells."""

    at_s: float
    unit: int | None
    event: str
    text: str


@dataclass(frozen=True, slots=True)
class FleetState:
    """All that the view shows. pictures: newest first. events: oldest first. footer: lines as they are."""

    title: str
    at_s: float
    line_bytes_per_s: float
    units: tuple[UnitState, ...]
    pictures: tuple[PictureState, ...] = ()
    events: tuple[FleetEvent, ...] = ()
    footer: tuple[str, ...] = ()


def whole(fields: Fields, key: str) -> int:
    """A whole number of a row; 0 where it is missing or none."""
    found = fields.get(key)
    return found if isinstance(found, int) else 0


def part(fields: Fields, key: str) -> Fields:
    """An object within a row; an empty one where it is missing or none."""
    found = fields.get(key)
    return found if isinstance(found, dict) else {}


def parts(fields: Fields, key: str) -> list[Fields]:
    """The objects of a list within a row."""
    found = fields.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def read_status(before: UnitState, status: Fields, elapsed_s: float) -> UnitState:
    """The unit after this answer to `status`, elapsed_s after the one before; rates come from the difference."""
    radio, counts = part(status, "radio"), part(status, "pictures")
    sent, heard = whole(radio, "bytes_out"), whole(radio, "bytes_in")
    steady = before.sent_bytes <= sent and before.heard_bytes <= heard and elapsed_s > 0
    why, problems = status.get("why"), status.get("problems")
    return UnitState(
        number=before.number,
        name=before.name,
        answering=True,
        capacity_bytes=whole(status, "capacity_bytes"),
        own_bytes=whole(status, "own_bytes"),
        cache_bytes=whole(status, "cache_bytes"),
        held_bytes=whole(status, "held_bytes"),
        reserved_bytes=whole(status, "reserved_bytes"),
        own=whole(counts, "own"),
        held=whole(counts, "held"),
        lacking=whole(counts, "lacking"),
        full=status.get("full") is True,
        why=why if isinstance(why, str) else None,
        problems=tuple(str(one) for one in problems) if isinstance(problems, list) else (),
        sent_bytes=sent,
        heard_bytes=heard,
        sent_bps=(sent - before.sent_bytes) / elapsed_s if steady else 0.0,
        heard_bps=(heard - before.heard_bytes) / elapsed_s if steady else 0.0,
        transfers=tuple(_transfer(one) for one in parts(status, "transfers")),
    )


def _transfer(fields: Fields) -> Transfer:
    return Transfer(
        picture=str(fields.get("picture")),
        unit=whole(fields, "unit"),
        outwards=fields.get("direction") == "out",
        done_bytes=whole(fields, "done_bytes"),
        total_bytes=whole(fields, "total_bytes"),
    )


def merge_lists(lists: Mapping[int, list[Fields]]) -> dict[str, PictureState]:
    """What the `list` rows of all units say together: each unit of its own card, the origin of the other holders."""
    merged: dict[str, PictureState] = {}
    for teller, rows in lists.items():
        for row in rows:
            name, origin = str(row.get("picture")), whole(row, "origin")
            states = {whole(copy, "unit"): str(copy.get("state")) for copy in parts(row, "copies")}
            holders = dict(merged[name].holders) if name in merged else {}
            if teller == origin:
                holders.update(states)
            if row.get("local") is True:
                told = "own" if teller == origin else states.get(teller, "pending")
                holders.setdefault(teller, told)
            merged[name] = PictureState(name, origin, whole(row, "size_bytes"), dict(sorted(holders.items())))
    return merged


class Watch:
    """Two threads per unit keep state() and events() up to date from start() to stop()."""

    def __init__(self, sockets: Mapping[int, tuple[str, Path]], *, title: str, line_bytes_per_s: float) -> None:
        self._clients = {number: Client(path) for number, (_, path) in sockets.items()}
        self._title = title
        self._line_bytes_per_s = line_bytes_per_s
        self._begin = time.monotonic()
        self._events: queue.Queue[FleetEvent] = queue.Queue(MAX_EVENTS)
        self._ended = threading.Event()
        self._lock = threading.Lock()  # over what follows
        self._units = {number: UnitState(number, name) for number, (name, _) in sockets.items()}
        self._polled_at: dict[int, float] = {}
        self._lists: dict[int, list[Fields]] = {}
        self._first_seen: dict[str, int] = {}
        self._seen = 0

    def start(self) -> None:
        """Begin to ask; the threads end with stop() or with the process."""
        for number in self._clients:
            threading.Thread(target=self._poll, args=(number,), daemon=True).start()
            threading.Thread(target=self._follow, args=(number,), daemon=True).start()

    def stop(self) -> None:
        """Ask no more; readers of logs end with their units."""
        self._ended.set()

    def say(self, text: str, event: str = "fleet", unit: int | None = None) -> None:
        """An event that the fleet itself tells."""
        self._events.put(FleetEvent(time.monotonic() - self._begin, unit, event, text))

    def events(self) -> list[FleetEvent]:
        """What has happened since the last call, at most MAX_EVENTS."""
        taken: list[FleetEvent] = []
        while len(taken) < MAX_EVENTS and not self._events.empty():
            taken.append(self._events.get())
        return taken

    def state(self) -> FleetState:
        """What is known now, without events and footer."""
        with self._lock:
            merged = merge_lists(self._lists)
            for name in sorted(merged):
                if name not in self._first_seen:
                    self._seen += 1
                    self._first_seen[name] = self._seen
            self._first_seen = {name: order for name, order in self._first_seen.items() if name in merged}
            newest = sorted(merged.values(), key=lambda shown: -self._first_seen[shown.picture])
            units = tuple(self._units.values())
        at_s = time.monotonic() - self._begin
        return FleetState(self._title, at_s, self._line_bytes_per_s, units, tuple(newest))

    def _poll(self, number: int) -> None:
        while not self._ended.wait(POLL_S):
            try:
                status = self._rows(number, "status", 1)
                now = time.monotonic()
                rows = self._rows(number, "list", MAX_ROWS, unit=None, since_s=None)
            except DandelionError:
                with self._lock:
                    self._units[number] = replace(
                        self._units[number], answering=False, transfers=(), sent_bps=0.0, heard_bps=0.0
                    )
                continue
            with self._lock:
                elapsed_s = now - self._polled_at.get(number, now)
                self._polled_at[number] = now
                if status:
                    self._units[number] = read_status(self._units[number], status[0], elapsed_s)
                self._lists[number] = rows

    def _rows(self, number: int, verb: str, most: int, **arguments: object) -> list[Fields]:
        answers = self._clients[number].ask(verb, silence_s=SILENCE_S, **arguments)
        return list(deque((answer.fields for answer in answers if isinstance(answer, Row)), maxlen=most))

    def _follow(self, number: int) -> None:
        """Its log, from the first line of the ring, and again after the unit was restarted."""
        while not self._ended.is_set():
            try:
                for answer in self._clients[number].ask("log", follow=True):
                    if isinstance(answer, Row):
                        self.say(str(answer.fields.get("text")), str(answer.fields.get("event")), number)
            except DandelionError:  # nobody runs there, or no longer
                self._ended.wait(POLL_S)
