"""Breadth-first search through every state of a model; the shortest way to a state that breaks a rule.

A state is one int: numbers of the history, of the origin's and each host's local state, and the bits of the network.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace

from hal.light_dataclass import dataclass
from sim.model import host
from sim.model.host import Host
from sim.model.moves import MOST_NUMBERS, Move, Moves, Numbers
from sim.model.options import Options
from sim.model.origin import FIRST, Origin
from sim.model.rules import check
from sim.model.troubles import DELETES, History, Hurt, hurts, none_yet
from sim.model.values import FIRST_HOST, Broken, Says

FIELD_BITS = (MOST_NUMBERS - 1).bit_length()
FIELD = MOST_NUMBERS - 1
PROOFS = frozenset({Says.SHOWS, Says.STORED})
"""What a host says that shows its bytes."""
AGELESS_PROOFS = frozenset({Says.SHOWS})
"""The same where hosts lie: there STORED tells when its proof was reckoned."""

Step = tuple[int, str]
"""A state, and what led to it."""


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


class Search:
    """One model. limit: states to visit at most."""

    def __init__(self, options: Options, limit: int = 10_000_000) -> None:
        self.options = options
        self._limit = limit
        self._units = [FIRST_HOST + number for number in range(options.units)]
        self._moves = Moves(options)
        self._histories: Numbers[History] = Numbers()
        self._hurts: dict[tuple[int, int, tuple[int, ...]], list[Hurt]] = {}
        self._checked: set[tuple[int, int, tuple[int, ...]]] = set()
        self._net_shift = FIELD_BITS * (2 + options.units)
        self._order: list[int] = []  # states as they were found
        self._parents = array("I")  # by which of them each was found first
        self._broken_by = "a step that the rule's own text names"

    # ------------------------------------------------------------ states

    def _first(self) -> int:
        """A picture that has just been announced."""
        units = [Host(unit) for unit in self._units]
        if self.options.conflict:
            units[0] = host.holder_of_other_content(FIRST_HOST)
        history, at = self._histories.of(none_yet(self.options)), self._moves.origins.of(FIRST)
        return self._packed(history, at, self._numbers(units), 0)

    def _numbers(self, units: Iterable[Host]) -> tuple[int, ...]:
        return tuple(self._moves.hosts.of(unit) for unit in units)

    def _hosts(self, units: Iterable[int]) -> tuple[Host, ...]:
        return tuple(self._moves.hosts.values[unit] for unit in units)

    def _packed(self, history: int, at: int, units: tuple[int, ...], net: int) -> int:
        state = net
        for number in reversed(units):
            state = state << FIELD_BITS | number
        return (state << FIELD_BITS | at) << FIELD_BITS | history

    def _unpacked(self, state: int) -> tuple[int, int, tuple[int, ...], int]:
        """History, origin, hosts, network."""
        units = tuple(state >> FIELD_BITS * (2 + n) & FIELD for n in range(len(self._units)))
        return state & FIELD, state >> FIELD_BITS & FIELD, units, state >> self._net_shift

    # ------------------------------------------------------------ what comes next

    def _after(self, state: int) -> Iterator[Step]:
        """Every state that one step leads to; what the step passes through is checked on the way."""
        history, at, units, net = self._unpacked(state)
        inbox = 0
        for number, unit in enumerate(self._units):
            inbox |= net & self._moves.to_origin(unit)
            yield from self._host_moves(history, at, units, net, number)
        yield from self._origin_moves(self._moves.of_origin(at, inbox), history, units, net)
        if any(self._histories.values[history].left):
            yield from self._troubles(history, at, units, net)

    def _origin_moves(self, moves: Iterable[Move], history: int, units: tuple[int, ...], net: int) -> Iterator[Step]:
        for move in moves:
            if move.passing:
                self._check(history, move.local, units, move.label)
                continue
            kept = 0 if move.restarted and self.options.sessions else net
            alive = self._moves.alive(move.local)
            yield self._packed(history, move.local, units, (kept | move.add) & alive), move.label

    def _host_moves(self, history: int, at: int, units: tuple[int, ...], net: int, number: int) -> Iterator[Step]:
        unit = self._units[number]
        for move in self._moves.of_host(units[number], net & self._moves.to_host(unit)):
            now = (*units[:number], move.local, *units[number + 1 :])
            if move.passing:
                self._check(history, at, now, move.label)
                continue
            kept = net
            if move.restarted and self.options.sessions:
                kept &= ~self._moves.between(unit)
            if move.ends:
                kept &= ~self._moves.of_kinds(move.ends, unit)
            later = self._told(history, move.local) if self.options.keeper and self.options.deletes else history
            yield self._packed(later, at, now, (kept | move.add) & self._moves.alive(at)), move.label

    def _told(self, history: int, local: int) -> int:
        """The history in which this host knows what it knows: a delete is sure once somebody has the tombstone."""
        happened, row = self._histories.values[history], self._moves.hosts.values[local].row
        if happened.sure or row is None or not row.deleted:
            return history
        return self._histories.of(replace(happened, sure=True))

    def _troubles(self, history: int, at: int, units: tuple[int, ...], net: int) -> Iterator[Step]:
        happened = self._histories.values[history]
        if happened.left[DELETES]:
            ordered = self._histories.of(happened.less("deletes", deleted=True))
            yield from self._origin_moves(self._moves.of_delete(at), ordered, units, net)
        found = self._hurts.get((history, at, units))
        if found is None:
            found = list(hurts(self.options, happened, self._moves.origins.values[at], self._hosts(units)))
            self._hurts[history, at, units] = found
        for hurt in found:
            kept = net
            if hurt.restarted is not None and self.options.sessions:
                kept &= ~self._moves.between(hurt.restarted)
            if hurt.forgotten is not None:
                kept &= ~self._moves.of_kinds(AGELESS_PROOFS if self.options.lies else PROOFS, hurt.forgotten)
            now, kept = self._moves.origins.of(hurt.at), kept | self._moves.network.bits(hurt.said)
            numbers, later = self._numbers(hurt.hosts), self._histories.of(hurt.history)
            yield self._packed(later, now, numbers, kept & self._moves.alive(now)), hurt.label

    # ------------------------------------------------------------ the search

    def _check(self, history: int, at: int, units: tuple[int, ...], label: str) -> None:
        """What must hold, once for each combination of local states; label: the step that led to it."""
        key = (history, at, units)
        if key in self._checked:
            return
        self._checked.add(key)
        try:
            check(self.options, self._histories.values[history], self._moves.origins.values[at], self._hosts(units))
        except Broken:
            self._broken_by = label
            raise

    def run(self) -> Result:
        """Through all states, those that the fewest steps lead to first, or up to the limit."""
        first = self._first()
        seen, order, parents = {first}, [first], array("I", [0])
        self._order, self._parents = order, parents
        number, depth, level_ends = 0, 0, 1
        while number < len(order):
            if len(order) >= self._limit:
                return Result(len(order), False, depth, len(self._checked))
            if number == level_ends:
                depth, level_ends = depth + 1, len(order)
            try:
                for after, label in self._after(order[number]):
                    if after not in seen:
                        self._check(*self._unpacked(after)[:3], label)
                        seen.add(after)
                        order.append(after)
                        parents.append(number)
            except Broken as broken:
                trace = (*self._way(number), self._broken_by)
                return Result(len(order), False, depth + 1, len(self._checked), str(broken), trace)
            number += 1
        return Result(len(order), True, depth, len(self._checked))

    def _way(self, number: int) -> list[str]:
        """The steps that lead to a state first."""
        labels: list[str] = []
        while number:
            before, after = self._order[self._parents[number]], self._order[number]
            labels.append(next(label for state, label in self._after(before) if state == after))
            number = self._parents[number]
        return labels[::-1]

    # ------------------------------------------------------------ after a search

    @property
    def said(self) -> frozenset[Says]:
        """Every kind of message that was ever sent."""
        return frozenset(message.says for message in self._moves.network.messages)

    def reached(self) -> Iterator[tuple[History, Origin, tuple[Host, ...]]]:
        """The local states that were reached together, whatever was on the way."""
        mask = (1 << self._net_shift) - 1
        for state in dict.fromkeys(state & mask for state in self._order):
            history, at, units, _ = self._unpacked(state)
            yield self._histories.values[history], self._moves.origins.values[at], self._hosts(units)

    def way_to(self, history: History, at: Origin, units: tuple[Host, ...]) -> tuple[str, ...]:
        """The steps that lead to such a state first."""
        numbers = self._histories.of(history), self._moves.origins.of(at), self._numbers(units)
        wanted, mask = self._packed(*numbers, 0), (1 << self._net_shift) - 1
        return tuple(self._way(next(n for n, state in enumerate(self._order) if state & mask == wanted)))
