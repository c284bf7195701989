"""The units heard on the radio: room they offer, how good the link is, until when they have refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from firmware.determine import NeighbourView
from firmware.estimate import LinkEstimate
from firmware.messages import Beacon
from firmware.pictures import PictureId
from hal.interfaces import Address
from hal.light_dataclass import dataclass

MAX_NEIGHBOURS = 256
"""Units remembered; five times the largest fleet this is for (DESIGN, "for whom")."""
SILENT_AFTER_S = 120.0
"""A unit is silent once nothing was heard of it for this long and for three of its beacon intervals (DESIGN §1)."""
FIRST_NEIGHBOUR_S = 15.0
"""How long whatever needs another unit waits for one to be heard (DESIGN §5, §9)."""
FIRST_INTERVAL_S = 60.0
"""Beacon interval assumed of a unit whose beacon has not come yet; guess, our own usual interval."""


@dataclass(slots=True)
class Neighbour:
    """One unit as it was last heard; times are monotonic seconds. proved: it has spoken to this start of ours; until
    then all that is known is a beacon, which somebody may have recorded, and it counts as silent."""

    unit: int
    estimate: LinkEstimate
    name: str | None = None
    card: int | None = None  # None: no beacon has come yet
    room_bytes: int = 0
    hosting: bool = False
    interval_s: float = FIRST_INTERVAL_S
    last_heard: float = 0.0
    proved: bool = False
    last_used: float = 0.0
    refused_until: float = 0.0
    refused_why: str = ""
    refused_needing_bytes: float = 0  # a beacon that offers so much room ends the wait
    unanswered: int = 0  # REQUESTs, each said for a while, since it was heard last
    sent_in_vain: int = 0  # transfers in a row that it accepted and did not store
    cut_at: tuple[PictureId, int] | None = None  # of the last one that stood still: its picture, and the bytes it had
    address: Address | None = None  # of its radio; None: not known, or the medium has none
    rssi_dbm: int | None = None  # of what was heard last, where the radio tells

    @property
    def out_of_reach(self) -> bool:
        """Whether nothing was heard of it while it was asked more than once: whatever is heard of it ends the waiting.
        Once may be an answer that was lost, and then the wait is short."""
        return self.unanswered > 1

    def arrived(self, sender: Address | None, rssi_dbm: int | None, *, in_session: bool) -> None:
        """A packet of this unit came from that radio. in_session: of that with us, so that nobody else can have
        made it. What any member can say does not lead what is for this unit elsewhere: it goes to all for a while."""
        self.rssi_dbm = rssi_dbm
        if in_session:
            self.address = sender
        elif sender != self.address:
            self.address = None

    def silent(self, now: float) -> bool:
        """Whether it is not asked for anything now."""
        return not self.proved or now - self.last_heard > max(SILENT_AFTER_S, 3 * self.interval_s)


@dataclass(slots=True)
class Neighbours:
    """All of them, by unit number; at the limit the one heard longest ago is forgotten."""

    line_bytes_per_s: float
    _by_unit: dict[int, Neighbour] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(self._by_unit.values())

    def __len__(self) -> int:
        return len(self._by_unit)

    def forget(self, unit: int) -> None:
        """It is no member of the network any more, or was never there."""
        self._by_unit.pop(unit, None)

    def that_offer(self) -> list[Neighbour]:
        """Those that are there and whose beacon has come, so that it is known what they would take."""
        return [neighbour for neighbour in self if neighbour.proved and neighbour.card is not None]

    def find(self, unit: int) -> Neighbour | None:
        """The unit, if it was ever heard."""
        return self._by_unit.get(unit)

    def is_heard(self, unit: int, now: float) -> bool:
        """Whether it may be asked for something now."""
        neighbour = self.find(unit)
        return neighbour is not None and not neighbour.silent(now)

    def address_of(self, unit: int) -> Address | None:
        """Of its radio, None where it is not known."""
        neighbour = self.find(unit)
        return None if neighbour is None else neighbour.address

    def heard_before(self, unit: int) -> Neighbour:
        """A unit that is known to have been heard, or a blank one: its estimate serves until it is heard again."""
        return self._by_unit.get(unit) or Neighbour(unit, LinkEstimate(self.line_bytes_per_s))

    def heard(self, unit: int, now: float, *, new_boot: bool, proved: bool) -> Neighbour:
        """An authentic packet of this unit came (proved: see Neighbour); a new boot ends what it refused before and
        what it was asked, and so does any packet of one that was out of reach."""
        neighbour = self._by_unit.get(unit)
        if neighbour is None:
            if len(self._by_unit) >= MAX_NEIGHBOURS:
                oldest = min(self._by_unit.values(), key=lambda n: n.last_heard)
                del self._by_unit[oldest.unit]
            neighbour = Neighbour(unit, LinkEstimate(self.line_bytes_per_s))
            self._by_unit[unit] = neighbour
        if new_boot:
            neighbour.sent_in_vain = 0
        if new_boot or neighbour.out_of_reach:
            neighbour.refused_until = 0.0
        neighbour.unanswered = 0
        neighbour.last_heard = now
        neighbour.proved = neighbour.proved or proved
        return neighbour

    def ask_anew(self, unit: int) -> None:
        """A person wants something of it: that it did not answer, or store, is no reason to wait."""
        neighbour = self._by_unit.get(unit)
        if neighbour is not None and (neighbour.unanswered or neighbour.sent_in_vain):
            neighbour.refused_until = 0.0
            neighbour.unanswered = neighbour.sent_in_vain = 0

    def beacon(self, neighbour: Neighbour, beacon: Beacon, now: float) -> bool:
        """Take in what a beacon says; True when it now offers something that it did not before. It ends the waiting
        after a refusal if there is the room that was lacking."""
        more = beacon.hosting and (not neighbour.hosting or beacon.room_bytes > neighbour.room_bytes)
        there_is_room = beacon.hosting and beacon.room_bytes >= neighbour.refused_needing_bytes
        if neighbour.refused_until > now and there_is_room:
            neighbour.refused_until = 0.0
            more = True
        neighbour.room_bytes = beacon.room_bytes
        neighbour.hosting = beacon.hosting
        neighbour.interval_s = float(beacon.interval_s)
        return more

    def views(self, now: float, busy: set[int]) -> list[NeighbourView]:
        """What the determining section sees, by unit number; busy: units that a picture of ours is on its way to."""
        return [
            NeighbourView(
                unit=n.unit,
                room_bytes=n.room_bytes,
                hosting=n.hosting,
                silent=n.silent(now),
                idle=n.unit not in busy,
                refused_until=n.refused_until,
                link=1.0 - n.estimate.loss,
                last_used=n.last_used,
            )
            for _, n in sorted(self._by_unit.items())
        ]
