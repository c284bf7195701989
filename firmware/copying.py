"""`copy`: a copy at a unit that a person named, begun as soon as that unit is there and free (DESIGN §9)."""

from __future__ import annotations

from firmware.commands import PlaceCopy
from firmware.core import Core
from firmware.dispersal import ByHand, Dispersals
from firmware.errors import Refused
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import Entry, File, PictureId
from firmware.readout import ReadOuts
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

MAX_ORDERS = 16
"""Copies asked for by people at once."""
AGAIN_S = 0.5
"""An order that could not begin is looked at again after this long."""


@dataclass(slots=True, eq=False)
class Order:
    """A copy that was asked for. since: when its dispersal was last seen under way."""

    entry: Entry
    by_hand: ByHand
    since: float
    again_at: float


class Copies:
    """All copies that people have asked for."""

    def __init__(self, core: Core, dispersals: Dispersals, read_outs: ReadOuts) -> None:
        self.core = core
        self._dispersals = dispersals
        self._read_outs = read_outs
        self._orders: list[Order] = []
        self._unheard: list[tuple[PlaceCopy, float]] = []  # for units that are not heard (yet), and until when

    def copy(self, command: PlaceCopy) -> None:
        """Done once it is proved there; an own file that is gone is collected first."""
        self.core.run(self._copy(command), command.picture, lambda error: self._failed(command, error))

    def _copy(self, command: PlaceCopy) -> Step:
        core, picture, unit = self.core, command.picture, command.unit
        entry = yield from core.look_up(picture)
        if not core.is_ours(picture):
            owner = core.owner_of(picture.unit)
            other = Refused(f"unit {owner} decides about picture {picture}", can=f"ask for the copy at unit {owner}")
            core.failed(command.ticket, other if owner else core.refuse_released(picture))
        elif entry is None or entry.deleted:
            told = Refused(f"picture {picture} is not known here", can="see `dandelion list` for those that there are")
            core.failed(command.ticket, told)
        elif unit == core.unit:
            core.failed(command.ticket, Refused(f"unit {unit} is this unit", can="name another one"))
        elif any(copy.unit == unit for copy in entry.verified):
            core.done(command.ticket)
        elif len(self._orders) + len(self._unheard) >= MAX_ORDERS:
            core.failed(command.ticket, Refused("too many copies are asked for at once", can="try again later"))
        elif not core.neighbours.is_heard(unit, core.now):
            self._unheard.append((command, core.now + _listen_s(command)))
        elif entry.file is File.GONE:
            self._read_outs.recall(entry, lambda right, why: self._recalled(command, right, why))
        else:
            core.neighbours.ask_anew(unit)
            self._orders.append(Order(entry, ByHand(unit, command.ticket, command.timeout_s), core.now, core.now))
            self.tick()

    def _recalled(self, command: PlaceCopy, right: bool, why: str) -> None:
        if right:
            self.copy(command)
        else:
            text = f"picture {command.picture} could not be collected to be copied: {why}"
            self.core.failed(command.ticket, Refused(text, can="`dandelion whereis PICTURE --verify` asks its holders"))

    def _failed(self, command: PlaceCopy, error: DandelionError) -> None:
        self.core.failed(command.ticket, Refused(error.what, did=error.did, can=error.can))

    def cancel(self, ticket: int) -> None:
        """The person has gone: what has not begun is forgotten; a copy on its way arrives."""
        self._unheard = [(command, until) for command, until in self._unheard if command.ticket != ticket]
        self._orders = [o for o in self._orders if o.by_hand.ticket != ticket or self._dispersals.runs(o.by_hand)]

    def tick(self) -> None:
        """Begin what can be begun; give up what cannot."""
        if not self._unheard and not self._orders:
            return
        waiting, self._unheard = self._unheard, []
        for command, until in waiting:
            if self.core.neighbours.is_heard(command.unit, self.core.now):
                self.copy(command)
            elif self.core.now < until:
                self._unheard.append((command, until))
            else:
                why = f"unit {command.unit} is not heard, though this unit listened for it for {_listen_s(command):g} s"
                self._not_copied(command.picture, command.ticket, why)
        for order in list(self._orders):
            self._go_on(order)

    def _go_on(self, order: Order) -> None:
        now, by_hand, running = self.core.now, order.by_hand, self._dispersals.find(order.entry.picture.id)
        if by_hand.told:
            self._orders.remove(order)
            return
        if running is not None and running.by_hand is None and running.host == by_hand.unit:
            running.by_hand = by_hand  # it is on its way there already
        refused = by_hand.kept is not None and by_hand.kept.again_at is not None
        if running is not None and running.by_hand is by_hand:
            order.since = now
        elif refused or now >= order.since + by_hand.timeout_s:
            self._orders.remove(order)
            self._give_up(order)
        elif running is None and now >= order.again_at and not self._dispersals.full:
            self._dispersals.consider(order.entry, by_hand)
        if now >= order.again_at:
            order.again_at = now + AGAIN_S

    def why_it_waits(self, picture: PictureId, unit: int) -> str | None:
        """Why this copy is not on its way; None: it is, or nobody has asked for it."""
        if any((command.picture, command.unit) == (picture, unit) for command, _ in self._unheard):
            return f"unit {unit} is not heard yet"
        for order in self._orders:
            by_hand = order.by_hand
            if (order.entry.picture.id, by_hand.unit) == (picture, unit) and not self._dispersals.runs(by_hand):
                return "other copies of it are being made" if by_hand.kept is None else by_hand.kept.why
        return None

    def _give_up(self, order: Order) -> None:
        unit, kept = order.by_hand.unit, order.by_hand.kept
        neighbour = self.core.neighbours.find(unit)
        why = "other copies of it are being made" if kept is None else kept.why
        if neighbour is not None and neighbour.refused_until > self.core.now:
            why = f"unit {unit} does not take it: {neighbour.refused_why}"
        self._not_copied(order.entry.picture.id, order.by_hand.ticket, why)

    def _not_copied(self, picture: PictureId, ticket: int, why: str) -> None:
        what = f"picture {picture} was not copied: {why}"
        self.core.failed(ticket, Refused(what, did="it stays where it is", can="see `units` for who is heard"))

    def deadline(self) -> float | None:
        """When an order is looked at again; that a unit is heard is no deadline."""
        if not self._orders and not self._unheard:
            return None
        times = [order.again_at for order in self._orders] + [until for _, until in self._unheard]
        return min(times, default=None)


def _listen_s(command: PlaceCopy) -> float:
    """How long a unit that is not heard is waited for."""
    return min(command.timeout_s, FIRST_NEIGHBOUR_S)
