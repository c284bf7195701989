"""What each unit may do next, in numbers: asked of the rules once for each local state and message, and kept."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from firmware import handover
from hal.light_dataclass import dataclass
from sim.model.host import Host, HostSteps
from sim.model.options import Options
from sim.model.origin import Origin, OriginSteps, answer
from sim.model.values import ORIGIN, Broken, Message, Network, Outcome, Says

MOST_NUMBERS = 1 << 20
"""Local states of one kind; some thousands are the most that any model has had."""
NOTHING = frozenset[Says]()
UNDER_HANDLE = frozenset({Says.PARTS, Says.ACCEPT, Says.KNOWN})

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
            assert number < MOST_NUMBERS
            self.values.append(value)
        return number


@dataclass(frozen=True, slots=True)
class Move:
    """One outcome of a step. add: bits of what is said; ends: messages of these kinds come too late from then on."""

    local: int
    add: int
    label: str
    restarted: bool
    passing: bool
    ends: frozenset[Says]


class Moves:
    """Of all units of one model."""

    def __init__(self, options: Options) -> None:
        self.network = Network()
        self.origins: Numbers[Origin] = Numbers()
        self.hosts: Numbers[Host] = Numbers()
        self._handles = options.handles
        self._origin_steps, self._host_steps = OriginSteps(options), HostSteps(options)
        self._origin_moves: dict[tuple[int, int], list[Move]] = {}
        self._host_moves: dict[tuple[int, int], list[Move]] = {}
        self._begun: dict[int, list[Move]] = {}
        self._host_begun: dict[int, list[Move]] = {}
        self._heard: dict[tuple[int, Message], list[Move]] = {}
        self._host_heard: dict[tuple[int, Message], list[Move]] = {}
        self._alive: dict[tuple[int, int], int] = {}
        self._over: dict[tuple[int, int], bool] = {}
        self._kinds: dict[tuple[int, frozenset[Says], int], int] = {}

    # ------------------------------------------------------------ moves

    def of_origin(self, at: int, inbox: int) -> list[Move]:
        """What it begins, and what each of these messages leads to."""
        moves = self._origin_moves.get((at, inbox))
        if moves is None:
            moves = list(self._begun_by_origin(at))
            for message in self.network.inbox(inbox):
                moves += self._heard_by_origin(at, message)
            self._origin_moves[at, inbox] = moves
        return moves

    def of_host(self, local: int, inbox: int) -> list[Move]:
        """What it begins, and what each of these messages leads to."""
        moves = self._host_moves.get((local, inbox))
        if moves is None:
            moves = list(self._begun_by_host(local))
            for message in self.network.inbox(inbox):
                moves += self._heard_by_host(local, message)
            self._host_moves[local, inbox] = moves
        return moves

    def _begun_by_origin(self, at: int) -> list[Move]:
        if at not in self._begun:
            self._begun[at] = self._numbered_at_origin(self._origin_steps.own(self.origins.values[at]), at)
        return self._begun[at]

    def _begun_by_host(self, local: int) -> list[Move]:
        if local not in self._host_begun:
            self._host_begun[local] = self._numbered_at_host(self._host_steps.own(self.hosts.values[local]), local)
        return self._host_begun[local]

    def _heard_by_origin(self, at: int, message: Message) -> list[Move]:
        if (at, message) not in self._heard:
            found = self._origin_steps.heard(self.origins.values[at], message)
            self._heard[at, message] = self._numbered_at_origin(found, at)
        return self._heard[at, message]

    def _heard_by_host(self, local: int, message: Message) -> list[Move]:
        if (local, message) not in self._host_heard:
            found = self._host_steps.heard(self.hosts.values[local], message)
            self._host_heard[local, message] = self._numbered_at_host(found, local)
        return self._host_heard[local, message]

    def of_delete(self, at: int) -> list[Move]:
        """A person orders it."""
        return self._numbered_at_origin(self._origin_steps.delete(self.origins.values[at]), at)

    def _numbered_at_origin(self, found: Iterable[Outcome[Origin]], at: int) -> list[Move]:
        outcomes = list(found)
        if any(outcome.local.next < self.origins.values[at].next for outcome in outcomes):
            raise Broken("O1: the counter of attempts has gone down, so that numbers are used twice")
        return _without_nothing((self._numbered(o, self.origins.of(o.local), NOTHING) for o in outcomes), at)

    def _numbered_at_host(self, found: Iterable[Outcome[Host]], local: int) -> list[Move]:
        return _without_nothing((self._numbered(o, self.hosts.of(o.local), self._ended(o)) for o in found), local)

    def _ended(self, outcome: Outcome[Host]) -> frozenset[Says]:
        """A new reservation has a new handle."""
        anew = self._handles and any(message.says is Says.ACCEPT for message in outcome.said)
        return UNDER_HANDLE if anew else NOTHING

    def _numbered(self, outcome: Outcome[Origin] | Outcome[Host], local: int, ends: frozenset[Says]) -> Move:
        add = self.network.bits(outcome.said)
        return Move(local, add, outcome.label, outcome.restarted, outcome.passing, ends)

    # ------------------------------------------------------------ masks of the network

    def alive(self, at: int) -> int:
        """What can still do something at this origin: an attempt that is over never comes again. Broken where a message
        that is left out for this would do something, for the search would not see what."""
        known = len(self.network.messages)
        mask = self._alive.get((at, known))
        if mask is None:
            mask = self._alive[at, known] = sum(1 << n for n in range(known) if not self._left_out(at, n))
        return mask

    def _left_out(self, at: int, number: int) -> bool:
        over = self._over.get((at, number))
        if over is None:
            local, message = self.origins.values[at], self.network.messages[number]
            over = self._over[at, number] = _is_over(local, message)
            if over and local.entry is not None and handover.owner(local.owner, answer(message)):
                raise Broken(f"left out: {message} of unit {message.source} is obeyed, though its attempt is over")
        return over

    def to_origin(self, unit: int) -> int:
        """What this unit has told the origin."""
        return self.network.link(ORIGIN, unit)

    def to_host(self, unit: int) -> int:
        """What the origin has told this unit."""
        return self.network.link(unit, ORIGIN)

    def between(self, unit: int) -> int:
        """Both; of the origin everything."""
        return -1 if unit == ORIGIN else self.to_origin(unit) | self.to_host(unit)

    def of_kinds(self, kinds: frozenset[Says], unit: int) -> int:
        """Messages of these kinds from this unit or to it."""
        key = (len(self.network.messages), kinds, unit)
        mask = self._kinds.get(key)
        if mask is None:
            messages = enumerate(self.network.messages)
            mask = sum(1 << n for n, m in messages if unit in (m.source, m.to) and m.says in kinds)
            self._kinds[key] = mask
        return mask


def _without_nothing(moves: Iterable[Move], local: int) -> list[Move]:
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
    if message.says not in (Says.LOST, Says.DROPPED):
        return False
    return at.entry is not None and message.number < handover.drop_number(at.owner, message.source)
