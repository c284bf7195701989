"""One picture that was asked for: what of it, where its bytes go, who is said to have it, and what each of them did."""

from __future__ import annotations

from dataclasses import field

from firmware.collecting import SILENT, Collecting
from firmware.core import Core
from firmware.errors import Refused
from firmware.incoming import Incoming
from firmware.own_copy import Delivery
from firmware.pairs import PairMaking
from firmware.pictures import Entry, Picture, PictureId
from firmware.searching import Search
from firmware.sinks import Sink
from firmware.states import State
from hal.light_dataclass import dataclass

MAX_HOLDERS = 64
"""Units named for one read-out, whoever names them: more than any policy has copies."""
MAX_WAYS = 4
"""Neighbours remembered that a GET for one holder can go by. Guess: when as many have failed, so will the fifth."""


@dataclass(slots=True, eq=False)
class ReadOut:
    """What the READ_OUT chain moves. content: the length and digest that its bytes must have, once known.

    holders: units that are said to have it, and whether they are suspect; ways: to each of them, the neighbours that
    named it, who pass a GET on; tried: what each one asked did; tried_ways: (holder, neighbour) that were asked;
    failed: holders that no other way would help; busy_until: ways that are to be tried again then. known: the own
    catalogue has it; others_may_know: more than it says; one_only: nobody is asked but the holder it was begun with.
    looking: the own catalogue and card are being asked. progress_at: when bytes came last. have_bytes: of the
    beginning, with the sink before this began; have_sha256: of a whole file that is where the sink leads. incoming:
    what has come, kept from one holder to the next.
    """

    id: PictureId
    query: int
    sink: Sink
    patience_s: float
    progress_at: float
    preview: bool = False
    have_bytes: int = 0
    have_sha256: bytes | None = None
    state: State = State.IDLE
    looking: bool = False
    known: bool = False
    away: Entry | None = None  # an own picture whose file is gone: audit pairs are made of what comes
    pair_making: PairMaking | None = None  # of what has come since the beginning of the picture
    others_may_know: bool = False
    one_only: bool = False
    content: Picture | None = None
    holders: dict[int, bool] = field(default_factory=dict)
    ways: dict[int, list[int]] = field(default_factory=dict)
    tried: dict[int, str] = field(default_factory=dict)
    tried_ways: set[tuple[int, int]] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    busy_until: dict[tuple[int, int], float] = field(default_factory=dict)
    incoming: Incoming | None = None
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
        """What it collects now, if by way of this unit."""
        return self.collecting if self.collecting is not None and self.collecting.via == unit else None

    def is_named(self, holder: int, by: int) -> None:
        """This neighbour says that the unit has it."""
        if holder not in self.holders and len(self.holders) >= MAX_HOLDERS:
            return
        self.holders.setdefault(holder, False)
        ways = self.ways.setdefault(holder, [])
        if by not in (holder, *ways) and len(ways) < MAX_WAYS:
            ways.append(by)

    def forget_ways(self) -> None:
        """Everyone is asked again: whoever names a holder now may know another way to it than before."""
        self.ways.clear()
        self.tried_ways = {(holder, via) for holder, via in self.tried_ways if via == holder}

    def free_again(self, now: float) -> None:
        """Ways that were busy may be asked again."""
        for way in [way for way, until in self.busy_until.items() if now >= until]:
            del self.busy_until[way]
            self.tried_ways.discard(way)

    @property
    def may_search(self) -> bool:
        """Whether others may know of a holder, or of a way to one that has not failed itself."""
        return not self.one_only and (self.others_may_know or any(holder not in self.failed for holder in self.holders))

    def next_way(self, core: Core, *, heard_only: bool) -> tuple[int, int] | None:
        """Holder and neighbour to ask it by, the best not tried yet: heard, not suspect, direct, the origin itself.

        No holder is asked twice by one way unless that was busy, nor at all once it has failed itself. heard_only:
        leave neighbours out that are silent.
        """

        def rank(way: tuple[int, int]) -> tuple[bool, bool, bool, bool, int, int]:
            holder, via = way
            silent = not core.hears(via)
            return silent, self.holders[holder], via != holder, holder != self.id.unit, holder, via

        left = [holder for holder in self.holders if holder not in self.failed and holder != core.unit]
        ways = [(holder, via) for holder in left for via in (holder, *self.ways.get(holder, ()))]
        fresh = [way for way in ways if way not in self.tried_ways]
        if heard_only:
            fresh = [way for way in fresh if core.hears(way[1])]
        return min(fresh, key=rank, default=None)

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
