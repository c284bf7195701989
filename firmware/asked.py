"""One picture that was asked for: what of it, where its bytes go, who is said to have it, and what each of them did."""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware.collecting import SILENT, Collecting
from firmware.core import Core
from firmware.errors import Refused
from firmware.own_copy import Delivery
from firmware.pictures import Entry, Picture, PictureId
from firmware.searching import Search
from firmware.sinks import Sink
from firmware.states import State


@dataclass(slots=True, eq=False)
class ReadOut:
    """What the READ_OUT chain moves. content: the length and digest that its bytes must have, once known.

    holders: units that are said to have it, and whether they are suspect; tried: what each one asked did. known: the
    own catalogue has it. looking: the own catalogue and card are being asked. progress_at: when bytes came last.
    """

    id: PictureId
    query: int
    sink: Sink
    patience_s: float
    progress_at: float
    preview: bool = False
    state: State = State.IDLE
    looking: bool = False
    known: bool = False
    away: Entry | None = None  # an own picture whose file is gone: audit pairs are made of what comes
    content: Picture | None = None
    holders: dict[int, bool] = field(default_factory=dict)
    tried: dict[int, str] = field(default_factory=dict)
    search: Search | None = None
    collecting: Collecting | None = None
    delivery: Delivery | None = None  # of the own file

    @property
    def what(self) -> str:
        """For a person."""
        return f"preview of picture {self.id}" if self.preview else f"picture {self.id}"

    @property
    def gives_up_at(self) -> float:
        """When it has been without progress for too long."""
        return self.progress_at + self.patience_s

    def collecting_from(self, unit: int) -> Collecting | None:
        """What it collects now, if from this unit."""
        return self.collecting if self.collecting is not None and self.collecting.holder == unit else None

    def next_holder(self, core: Core) -> int | None:
        """The best of those not tried yet: heard, not suspect, the origin itself. Nobody is asked twice."""

        def rank(unit: int) -> tuple[bool, bool, bool, int]:
            neighbour = core.neighbours.find(unit)
            silent = neighbour is None or neighbour.silent(core.now)
            return silent, self.holders[unit], unit != self.id.unit, unit

        return min((u for u in self.holders if u not in self.tried and u != core.unit), key=rank, default=None)

    def nobody_left(self) -> Refused:
        """Why it ends without the picture, unit by unit."""
        did = self._did()
        if self.search is not None:
            if not did:
                did.append("it is not whole here" if self.known else "it is not known here")
            did.append(self.search.result(named=bool(self.tried)))
        elif not did:
            did.append("no unit holds it" if self.known else "it was never taken here")
        silent = any(text in SILENT for text in self.tried.values())
        can = "try again later: what a unit holds is not lost while it is silent" if silent else ""
        return Refused("; ".join(did), can=can)

    def out_of_time(self) -> Refused:
        """No progress for patience_s."""
        if self.state is State.DELIVER:
            return Refused(f"nothing of it was taken for {self.patience_s:.0f} s", can="write it somewhere faster")
        return Refused("; ".join([f"nothing came for {self.patience_s:.0f} s", *self._did()]), can="try again later")

    def _did(self) -> list[str]:
        return [f"unit {unit}, which holds it, {text}" for unit, text in self.tried.items()]
