"""Breadth-first search through every state of a model; the shortest way to a state that breaks a rule.

A state is one int: numbers of the origin's and of each host's local state, of the history, and the bits of the network.
What a unit does depends on its local state and on what one link brings, so it is asked of the rules once and kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from firmware import handover
from sim.model import host as hosts
from sim.model.host import Host, HostSteps
from sim.model.options import Options
from sim.model.origin import FIRST, Origin, OriginSteps
from sim.model.rules import check
from sim.model.troubles import KINDS, History, hurts, none_yet
from sim.model.values import FIRST_HOST, ORIGIN, Broken, Message, Network, Outcome, Says

FIELD_BITS = 20  # of one local state's number: a million of each
FIELD = (1 << FIELD_BITS) - 1
DELETES = KINDS.index("deletes")
NOTHING = frozenset[Says]()
UNDER_HANDLE = frozenset({Says.PARTS, Says.ACCEPT, Says.KNOWN})
PROOFS = frozenset({Says.SHOWS, Says.STORED})
"""What a host says that shows its bytes; a liar's STORED tells when its proof was reckoned."""
AGELESS_PROOFS = frozenset({Says.SHOWS})

Value = TypeVar("Value", bound=Hashable)


class Numbers(Generic[Value]):
    """Numbers values in the order in which they come."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self._numbers: dict[Value, int] = {}

    def of(self, value: Value) -> int:
        """Its number, given at the first time."""
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            assert number <= FIELD
            self.values.append(value)
        return number


@dataclass(frozen=True, slots=True)
class Move:
    """One outcome of a step, in numbers. ends: messages of these kinds come too late from then on."""

    local: int
    add: int
    label: str
    restarted: bool
    passing: bool
    ends: frozenset[Says] = frozenset()


@dataclass(frozen=True, slots=True)
class Result:
    """What a search has found. complete: no state is left out. broken: the rule, "" if none; trace: the way there.

    locals: combinations of units' states, whatever is on the way. rounds: the most that one needed to come to rest.
    """

    states: int
    complete: bool
    depth: int
    locals: int
    broken: str = ""
    trace: tuple[str, ...] = ()
    rounds: int = 0


@dataclass(eq=False)
class Search:
    """All that is known of one model while it is searched."""

    options: Options
    limit: int = 10_000_000
    network: Network = field(default_factory=Network)
    origins: Numbers[Origin] = field(default_factory=Numbers)
    histories: Numbers[History] = field(default_factory=Numbers)
    hosts: Numbers[Host] = field(default_factory=Numbers)
    checked: set[tuple[int, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        options = self.options
        self.units = [FIRST_HOST + number for number in range(options.units)]
        self._origin_steps, self._host_steps = OriginSteps(options), HostSteps(options)
        self._own: dict[int, list[Move]] = {}
        self._host_own: dict[int, list[Move]] = {}
        self._heard: dict[tuple[int, int, int], list[Move]] = {}
        self._host_heard: dict[tuple[int, int], list[Move]] = {}
        self._live: dict[tuple[int, int], int] = {}
        self._step = ""  # the one that is being looked at
        self._net_shift = FIELD_BITS * (2 + options.units)

    # ------------------------------------------------------------ states

    def first(self) -> int:
        """A picture that has just been announced."""
        units: list[Host] = [Host(unit) for unit in self.units]
        if self.options.conflict:
            units[0] = hosts.holder_of_other_content(self.units[0])
        return self.packed(self.histories.of(none_yet(self.options)), self.origins.of(FIRST), self.numbers(units), 0)

    def numbers(self, units: Iterable[Host]) -> tuple[int, ...]:
        """Of the hosts' local states."""
        return tuple(self.hosts.of(unit) for unit in units)

    def packed(self, history: int, at: int, units: tuple[int, ...], net: int) -> int:
        """A state as one int."""
        state = net
        for number in reversed(units):
            state = state << FIELD_BITS | number
        return (state << FIELD_BITS | at) << FIELD_BITS | history

    def unpacked(self, state: int) -> tuple[int, int, tuple[int, ...], int]:
        """History, origin, hosts, network."""
        units = tuple(state >> FIELD_BITS * (2 + n) & FIELD for n in range(len(self.units)))
        return state & FIELD, state >> FIELD_BITS & FIELD, units, state >> self._net_shift

    # ------------------------------------------------------------ what comes next

    def after(self, state: int) -> Iterator[tuple[int, str]]:
        """Every state that one step leads to, with what the step is; what it passes through is checked on the way."""
        history, at, units, net = self.unpacked(state)
        yield from self._origin_moves(history, at, units, net)
        for number, unit in enumerate(self.units):
            yield from self._host_moves(history, at, units, net, number, unit)
        if any(self.histories.values[history].left):
            yield from self._troubles(history, at, units, net)

    def _origin_moves(self, history: int, at: int, units: tuple[int, ...], net: int) -> Iterator[tuple[int, str]]:
        moves = self._own.get(at)
        if moves is None:
            moves = self._own[at] = self._origin_numbered(self._origin_steps.own(self.origins.values[at]), at)
        yield from self._origin_moved(moves, history, units, net)
        for unit in self.units:
            inbox = net & self.network.link(ORIGIN, unit)
            if not inbox:
                continue
            moves = self._heard.get((at, unit, inbox))
            if moves is None:
                local = self.origins.values[at]
                found = [o for message in self.network.inbox(inbox) for o in self._origin_steps.heard(local, message)]
                moves = self._heard[at, unit, inbox] = self._origin_numbered(found, at)
            yield from self._origin_moved(moves, history, units, net)

    def _origin_moved(
        self, moves: list[Move], history: int, units: tuple[int, ...], net: int
    ) -> Iterator[tuple[int, str]]:
        for move in moves:
            if move.passing:
                self._step = move.label
                self.check(history, move.local, units)
                continue
            kept = 0 if move.restarted and self.options.sessions else net
            yield self.packed(history, move.local, units, (kept | move.add) & self._alive(move.local)), move.label

    def _host_moves(
        self, history: int, at: int, units: tuple[int, ...], net: int, number: int, unit: int
    ) -> Iterator[tuple[int, str]]:
        local = units[number]
        moves = self._host_own.get(local)
        if moves is None:
            moves = self._host_own[local] = self._host_numbered(self._host_steps.own(self.hosts.values[local]), local)
        inbox = net & self.network.link(unit, ORIGIN)
        if inbox:
            heard = self._host_heard.get((local, inbox))
            if heard is None:
                value = self.hosts.values[local]
                found = [o for message in self.network.inbox(inbox) for o in self._host_steps.heard(value, message)]
                heard = self._host_heard[local, inbox] = self._host_numbered(found, local)
            moves = moves + heard
        alive = self._alive(at)
        for move in moves:
            now = (*units[:number], move.local, *units[number + 1 :])
            if move.passing:
                self._step = move.label
                self.check(history, at, now)
                continue
            kept = net
            if move.restarted and self.options.sessions:
                kept &= ~(self.network.link(unit, ORIGIN) | self.network.link(ORIGIN, unit))
            if move.ends:
                kept &= ~self._of_kinds(move.ends, unit)
            yield self.packed(history, at, now, (kept | move.add) & alive), move.label

    def _origin_numbered(self, found: Iterable[Outcome[Origin]], at: int) -> list[Move]:
        return _without_nothing([self._numbered(o, self.origins.of(o.local), NOTHING) for o in found], at)

    def _host_numbered(self, found: Iterable[Outcome[Host]], local: int) -> list[Move]:
        late = UNDER_HANDLE if self.options.handles else NOTHING
        moves = [
            self._numbered(o, self.hosts.of(o.local), late if any(m.says is Says.ACCEPT for m in o.said) else NOTHING)
            for o in found
        ]
        return _without_nothing(moves, local)

    def _numbered(self, outcome: Outcome[Origin] | Outcome[Host], local: int, ends: frozenset[Says]) -> Move:
        add = self.network.bits(outcome.said)
        return Move(local, add, outcome.label, outcome.restarted, outcome.passing, ends)

    def _troubles(self, history: int, at: int, units: tuple[int, ...], net: int) -> Iterator[tuple[int, str]]:
        happened, origin = self.histories.values[history], self.origins.values[at]
        if happened.left[DELETES]:
            ordered = self.histories.of(happened.less("deletes", deleted=True))
            moves = self._origin_numbered(self._origin_steps.delete(origin), at)
            yield from self._origin_moved(moves, ordered, units, net)
        for hurt in hurts(self.options, happened, origin, [self.hosts.values[unit] for unit in units]):
            kept = net
            if hurt.restarted == ORIGIN and self.options.sessions:
                kept = 0
            elif hurt.restarted is not None and self.options.sessions:
                kept &= ~(self.network.link(hurt.restarted, ORIGIN) | self.network.link(ORIGIN, hurt.restarted))
            if hurt.forgotten is not None:
                kept &= ~self._of_kinds(PROOFS if not self.options.lies else AGELESS_PROOFS, hurt.forgotten)
            now = self.origins.of(hurt.at)
            add = self.network.bits(hurt.said)
            numbers = self.numbers(hurt.hosts)
            yield (
                self.packed(self.histories.of(hurt.history), now, numbers, (kept | add) & self._alive(now)),
                hurt.label,
            )

    def _of_kinds(self, kinds: frozenset[Says], unit: int) -> int:
        """Mask of messages of these kinds from this unit or to it."""
        messages = enumerate(self.network.messages)
        return sum(1 << n for n, m in messages if unit in (m.source, m.to) and m.says in kinds)

    def _alive(self, at: int) -> int:
        """Mask of messages that can still do something at this origin: an attempt that is over never comes again."""
        known = len(self.network.messages)
        mask = self._live.get((at, known))
        if mask is None:
            local = self.origins.values[at]
            bits = sum(1 << n for n, message in enumerate(self.network.messages) if not _is_over(local, message))
            mask = self._live[at, known] = bits
        return mask

    # ------------------------------------------------------------ the search

    def check(self, history: int, at: int, units: tuple[int, ...]) -> None:
        """What must hold, once for each combination of local states."""
        key = (history, at, *units)
        if key not in self.checked:
            check(
                self.options,
                self.histories.values[history],
                self.origins.values[at],
                [self.hosts.values[unit] for unit in units],
            )
            self.checked.add(key)

    def reached(self) -> Iterator[tuple[History, Origin, tuple[Host, ...]]]:
        """After a search: the local states that were reached together, whatever was on the way."""
        mask = (1 << self._net_shift) - 1
        for state in dict.fromkeys(state & mask for state in self._order):
            history, at, units, _ = self.unpacked(state)
            hosts_there = tuple(self.hosts.values[unit] for unit in units)
            yield self.histories.values[history], self.origins.values[at], hosts_there

    def way_to(self, history: History, at: Origin, units: tuple[Host, ...]) -> list[str]:
        """After a search: the steps that lead to such a state first."""
        wanted = self.packed(self.histories.of(history), self.origins.of(at), self.numbers(units), 0)
        mask = (1 << self._net_shift) - 1
        number = next(n for n, state in enumerate(self._order) if state & mask == wanted)
        return self._way(self._order, self._parents, number)

    def run(self, progress: Callable[[int, int], None] | None = None) -> Result:
        """Through all states, those that the fewest steps lead to first, or up to the limit."""
        first = self.first()
        seen, order, parents = {first}, [first], array("I", [0])
        self._order, self._parents = order, parents
        number, depth, level_ends = 0, 0, 1
        while number < len(order):
            if number == level_ends:
                depth, level_ends = depth + 1, len(order)
                if progress is not None:
                    progress(depth, len(order))
            state = order[number]
            try:
                for after, label in self.after(state):
                    if after not in seen:
                        self._step = label
                        history, at, units, _net = self.unpacked(after)
                        self.check(history, at, units)
                        seen.add(after)
                        order.append(after)
                        parents.append(number)
            except Broken as broken:
                trace = (*self._way(order, parents, number), self._step)
                return Result(len(order), False, depth + 1, len(self.checked), str(broken), trace)
            number += 1
            if len(order) >= self.limit:
                return Result(len(order), False, depth, len(self.checked))
        return Result(len(order), True, depth, len(self.checked))

    def _way(self, order: list[int], parents: array[int], number: int) -> list[str]:
        labels: list[str] = []
        while number:
            before, after = order[parents[number]], order[number]
            labels.append(next(label for state, label in self.after(before) if state == after))
            number = parents[number]
        return labels[::-1]


def _without_nothing(moves: list[Move], local: int) -> list[Move]:
    """Each once, and none that changes nothing."""
    found: dict[tuple[object, ...], Move] = {}
    for move in moves:
        if (move.local, move.add) != (local, 0) or move.restarted:
            found.setdefault((move.local, move.add, move.restarted, move.passing, move.ends), move)
    return list(found.values())


def _is_over(at: Origin, message: Message) -> bool:
    if message.to != ORIGIN or message.number == 0 or message.number >= at.next:
        return False
    if message.says in (Says.ACCEPT, Says.KNOWN, Says.STALE, Says.STORED):
        return at.entry is None or message.number != at.entry.copy_at(message.source).open
    if message.says is not Says.LOST:
        return False
    return at.entry is not None and message.number < handover.drop_number(at.owner, message.source)
