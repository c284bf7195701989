"""I6: from every state that is reached, the units come to an end by themselves once nothing befalls them any more.

Whatever was on the way is lost (a network may do that), and from then on everything arrives, once and in order, while
each unit does what it does by itself, in the order below: so each state needs one run, and the network's part of it
none. What the units do is taken from the same steps as in the search, without power cuts; what they are then is looked
at by `flaws`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from firmware import handover as h
from firmware import messages as m
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File
from firmware.record_rows import row_of, said_of
from hal.light_dataclass import dataclass
from sim.model.host import Host, HostSteps
from sim.model.options import Options
from sim.model.origin import Origin, OriginSteps
from sim.model.search import Result, Search
from sim.model.troubles import History, is_there
from sim.model.values import FIRST_HOST, ORIGIN, PICTURE, STAMP, Broken, Disk, Message, Outcome, Says

FAR = 1_000_000
"""Numbers and versions are not bounded here: each run needs a few."""
MOST_ROUNDS = 40
"""Turns of all timers; more would be a unit that never comes to rest. Configurations need some ten at most."""


@dataclass(frozen=True, slots=True)
class Ended:
    """All units at rest, and in how many rounds."""

    at: Origin
    hosts: tuple[Host, ...]
    rounds: int


class Settling:
    """The fair run of one model."""

    def __init__(self, options: Options) -> None:
        self._options = options
        unbounded = replace(options, attempts=FAR, versions=FAR if options.versions else 0)
        self._origin, self._hosts = OriginSteps(unbounded), HostSteps(unbounded)
        self._placed = range(FIRST_HOST, FIRST_HOST + options.hosts)

    def run(self, history: History, at: Origin, units: tuple[Host, ...]) -> Ended:
        """From a state, all power on, to the end. Broken where there is none, or it is not as it should be."""
        now = _Now(at, dict(zip((unit.unit for unit in units), units, strict=True)))
        for rounds in range(MOST_ROUNDS):
            before = (now.at, dict(now.hosts))
            for act in self._timers(history, now):
                act()
                self._deliver(now)
            if (now.at, now.hosts) == before:
                ended = Ended(now.at, tuple(now.hosts.values()), rounds)
                wrong = flaws(self._options, history, ended)
                if wrong:
                    raise Broken(f"I6: at rest, and {wrong[0]}")
                return ended
        raise Broken(f"I6: no rest after {MOST_ROUNDS} rounds")

    def _deliver(self, now: _Now) -> None:
        while now.queue:
            message = now.queue.popleft()
            if message.to == ORIGIN:
                found = list(self._origin.heard(now.at, message))
                keeps = [o for o in found if o.label.endswith("keeps them")]
                self._at_origin(now, found if message.says is not Says.SHOWS or not keeps else self._shown(now, found))
            else:
                self._at_host(now, message.to, self._hosts.heard(now.hosts[message.to], message))

    def _shown(self, now: _Now, found: list[Outcome[Origin]]) -> list[Outcome[Origin]]:
        """Bytes that come are kept where the picture lacks copies, else only looked at."""
        assert now.at.entry is not None
        enough = len(now.at.entry.verified) >= self._wanted(now)
        return [o for o in found if o.label.endswith("keeps them") is not enough]

    def _wanted(self, now: _Now) -> int:
        able = [u for u in self._placed if now.hosts[u].row is None or now.hosts[u].row.picture == PICTURE]  # type: ignore[union-attr]
        return min(self._options.wanted, len(able))

    def _at_origin(self, now: _Now, found: Iterable[Outcome[Origin]]) -> None:
        ends = [o for o in found if not (o.passing or o.restarted)]
        if ends:
            now.at = ends[-1].local
            now.queue.extend(ends[-1].said)

    def _at_host(self, now: _Now, unit: int, found: Iterable[Outcome[Host]]) -> None:
        ends = [o for o in found if not (o.passing or o.restarted)]
        if ends:
            now.hosts[unit] = ends[-1].local
            now.queue.extend(ends[-1].said)

    # ------------------------------------------------------------ what each does by itself

    def _timers(self, history: History, now: _Now) -> Iterator[Callable[[], None]]:
        for unit in list(now.hosts):
            yield lambda unit=unit: self._host_turn(now, unit, asked=history.began_anew)  # type: ignore[misc]
        yield lambda: self._own_file(now)
        for unit in self._placed:
            yield lambda unit=unit: self._about(now, unit)  # type: ignore[misc]
        yield lambda: self._place(now)
        yield lambda: self._records(now)

    def _host_turn(self, now: _Now, unit: int, *, asked: bool) -> None:
        """Scrub, the end of a reservation, HOLD; INVENTORY and RECORDS where the origin has lost its list."""
        host = now.hosts[unit]
        if host.held is not None and host.disk is Disk.ROTTEN:
            self._at_host(now, unit, self._hosts.run(host, h.host(host.held, h.FileLost(ORIGIN)), ""))
            return
        now.hosts[unit] = host = replace(host, reserved=0)
        if host.held is not None and host.held.picture == PICTURE and (asked or not host.held.kept):
            now.queue.append(Message(ORIGIN, unit, Says.NAMES, host.held.attempt or UNKNOWN_ATTEMPT))
        if asked and self._options.keeper and host.row is not None and host.row.version:
            now.queue.append(Message(ORIGIN, unit, Says.RECORD, more=row_of(host.row)))

    def _own_file(self, now: _Now) -> None:
        entry = now.at.entry
        if entry is not None and entry.file is not File.GONE and not entry.deleted:
            if now.at.disk is not Disk.WHOLE:
                self._event(now, h.Rotten())
            elif entry.file is File.UNCHECKED:
                self._event(now, h.Recalled())

    def _about(self, now: _Now, unit: int) -> None:
        """DROPs that are owed, attempts nobody works on, copies in doubt."""
        entry = now.at.entry
        if entry is None:
            return
        copy = entry.copy_at(unit)
        if copy.owed:
            number = h.drop_number(now.at.owner, unit)
            if h.may_drop(now.at.owner, unit, number, self._options.wanted):
                now.queue.append(Message(unit, ORIGIN, Says.DROP, number))
        elif entry.deleted:
            return
        elif copy.open and entry.file is File.GONE:
            self._event(now, h.Place(unit))
        elif copy.open and len(entry.verified) >= self._options.wanted:
            self._event(now, h.Abandon(unit))
        elif copy.listed and (copy.suspect or unit in now.at.stale):
            self._doubt(now, entry, copy)

    def _doubt(self, now: _Now, entry: Entry, copy: Copy) -> None:
        """PROVE, or one read-out where the own file is gone; what is not proved goes once others are enough."""
        host = now.hosts[copy.unit]
        held = host.held
        proves = held is not None and (entry.file is File.GONE or held.attempt in (0, *range(copy.listed, FAR)))
        if is_there(host) and proves:
            event = h.Audited(copy.unit, copy.listed, True, STAMP)
            self._at_origin(now, self._origin.run(now.at, [_owner(event)], "", (copy.unit, True)))
            return
        self._event(now, h.Audited(copy.unit, copy.listed, False, STAMP))
        others = frozenset(c.unit for c in entry.verified if c.unit != copy.unit and c.unit not in now.at.stale)
        if len(others) >= self._options.wanted:
            self._event(now, h.LetGo(copy.unit, copy.listed, self._options.wanted, others))

    def _place(self, now: _Now) -> None:
        """One copy at a time, at the host of the open attempt, else at one that has none, else at one in doubt."""
        entry = now.at.entry
        if entry is None or entry.deleted or len(entry.verified) >= self._wanted(now):
            return
        if entry.file is File.GONE:
            for unit in [copy.unit for copy in entry.verified if is_there(now.hosts[copy.unit])][:1]:
                now.queue.append(Message(ORIGIN, unit, Says.SHOWS))
            return
        proved = {copy.unit for copy in entry.verified}
        able = [unit for unit in self._placed if unit not in proved and _takes(now.hosts[unit])]
        able.sort(key=lambda unit: (not entry.copy_at(unit).open, bool(entry.copy_at(unit).listed)))
        for unit in able[:1]:
            self._event(now, h.Place(unit))

    def _records(self, now: _Now) -> None:
        """firmware/records.py: a keeper is told what it does not have yet."""
        if not self._options.keeper or now.at.entry is None:
            return
        unit = FIRST_HOST if self._options.keeper == "host" else FIRST_HOST + self._options.hosts
        kept = now.hosts[unit].row
        entry = now.at.entry
        if kept is None or (kept.version, kept.deleted) != (entry.version, entry.deleted):
            now.queue.append(Message(unit, ORIGIN, Says.RECORD, more=row_of(entry)))

    def _event(self, now: _Now, event: h.OwnerEvent) -> None:
        self._at_origin(now, self._origin.run(now.at, [_owner(event)], ""))


def settle_all(search: Search, result: Result) -> Result:
    """After a search that broke nothing: the fair run from each combination of states that it reached."""
    settling, rounds = Settling(search.options), 0
    for history, at, units in search.reached():
        try:
            rounds = max(rounds, settling.run(history, at, units).rounds)
        except Broken as broken:
            return replace(result, broken=str(broken), trace=search.way_to(history, at, units))
    return replace(result, rounds=rounds)


class _Now:
    """A state on its way to the end. queue: messages in the order in which they arrive."""

    def __init__(self, at: Origin, hosts: dict[int, Host]) -> None:
        self.at = at
        self.hosts = hosts
        self.queue: deque[Message] = deque()


def _owner(event: h.OwnerEvent) -> Callable[[Origin], h.Effects]:
    return lambda now: h.owner(now.owner, event)


def _takes(host: Host) -> bool:
    return host.row is None or host.row.picture == PICTURE


def flaws(options: Options, history: History, ended: Ended) -> list[str]:
    """What is left undone. A liar's copy is none, whatever it says."""
    at, found = ended.at, list[str]()
    entry = at.entry
    holders = [host for host in ended.hosts if host.held is not None and host.held.picture == PICTURE]
    if entry is None:
        return ["the origin does not know the picture"] if holders else []
    for copy in entry.copies:
        if copy.open:
            found.append(f"an attempt is open at unit {copy.unit}")
        if copy.owed:
            found.append(f"unit {copy.unit} is owed a DROP")
    if entry.deleted:
        found += [f"unit {host.unit} holds what was deleted" for host in holders]
    elif holders or at.disk is Disk.WHOLE or not history.unsure:
        found += _living(options, entry, at, ended.hosts)
    if history.deleted and not history.unsure and not entry.deleted:
        found.append("what was deleted is there")
    if options.keeper:
        found += [flaw for host in ended.hosts if host.row is not None for flaw in _kept(entry, host.unit, host.row)]
    return found


def _kept(entry: Entry, unit: int, row: Entry) -> list[str]:
    """What is wrong with the record that a unit keeps."""
    told = row_of(row)
    if row.version == 0 or (row.deleted and entry.deleted):
        return []
    if isinstance(told, m.Tombstone):
        return [f"unit {unit} has the tombstone, and the origin has the picture"]
    if row.version != entry.version or said_of(told) != h.said_by(entry):
        return [f"unit {unit} keeps what the origin does not say"]
    return []


def _living(options: Options, entry: Entry, at: Origin, hosts: tuple[Host, ...]) -> list[str]:
    found = []
    takers = [host for host in hosts if _takes(host) and host.unit < FIRST_HOST + options.hosts and not host.lied]
    proved = {copy.unit for copy in entry.verified if copy.unit not in at.stale}
    if at.disk is not Disk.WHOLE and not proved:
        found.append("nobody has proved a copy")
    if len(proved) < min(options.wanted, len(takers)):
        found.append("it lacks copies")
    for host in hosts:
        copy = entry.copy_at(host.unit)
        there = host.held is not None and host.held.picture == PICTURE and not host.lied
        if there and not copy.listed:
            found.append(f"unit {host.unit} has a copy that the list does not know")
        if there and copy.listed and host.held is not None and not host.held.kept:
            found.append(f"unit {host.unit} was never told that its copy is listed")
    return found
