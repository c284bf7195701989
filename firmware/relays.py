"""Read-outs of others that pass through this unit: parts as they come, 64 kB of memory each and no card (HANDOVER §3).

A record with a deadline, not a chain (DESIGN §3): towards the holder it is an asker (collecting.py), towards the asker
it sends what has come (onward.py). What goes wrong ends it with a refusal; the asker goes on by another way.
"""

from __future__ import annotations

from collections.abc import Iterator

from firmware import messages as m
from firmware.collecting import Collecting, Wanted
from firmware.core import Core
from firmware.handles import CopyHandles
from firmware.onward import Onward
from firmware.questions import Questions
from hal.light_dataclass import dataclass

MAX_RELAYS = 4
"""At once: 256 kB of memory, and a share of the air for each."""
MAX_RELAYS_PER_NEIGHBOUR = 2
"""Of these for askers beyond one neighbour, so that none keeps the others out."""
HELD_BYTES = 65_536 - m.MAX_PART_BYTES
"""Of one read-out that may wait here (DESIGN §5: 64 kB), less the beginning of a part whose rest is not confirmed."""
NO_WAY_S = 12.0
"""A way to the holder is looked for so long: as long as the question that asks for it is passed on."""
SILENT_S = 30.0
"""An asker that confirms nothing of what was sent for so long is given up, as in serving.py."""


@dataclass(slots=True, eq=False)
class Relay:
    """One GET that is passed on. source: where it came from. collecting: None while there is no way yet."""

    source: int
    get: m.Get
    begun: float
    onward: Onward
    collecting: Collecting | None = None

    @property
    def key(self) -> tuple[int, int, int]:
        """There is one of a source, asker and query."""
        return self.source, self.get.asker, self.get.query

    def collecting_from(self, unit: int) -> Collecting | None:
        """What it collects now, if from this neighbour."""
        collecting = self.collecting
        return collecting if collecting is not None and collecting.via == unit and collecting.result is None else None


class Relays:
    """All read-outs that pass through. overhead_bytes: what a packet takes besides a message's body."""

    def __init__(self, core: Core, questions: Questions, handles: CopyHandles) -> None:
        self.overhead_bytes = 0
        self._core = core
        self._questions = questions
        self._handles = handles
        self._all: list[Relay] = []

    def __iter__(self) -> Iterator[Relay]:
        return iter(self._all)

    def outgoing(self) -> list[Onward]:
        """What has parts to say."""
        if not self._all:
            return []
        return [relay.onward for relay in self._all if relay.onward.sender is not None]

    # ------------------------------------------------------------ GET

    def on_get(self, source: int, get: m.Get) -> None:
        """One for another holder: passed on, or refused; asked again: COPY again, and what is missing now."""
        core = self._core
        if get.holder == core.unit or get.asker == core.unit or (get.hops == 0) != (get.asker == source):
            return
        for relay in [r for r in self._all if r.key == (source, get.asker, get.query)]:
            asked = relay.get
            if (asked.id, asked.preview, asked.holder) == (get.id, get.preview, get.holder) and self._again(relay, get):
                return
            self._end(relay)
        if get.hops >= m.MAX_HOPS or get.holder == source:
            self._refuse(source, get, m.GetWhy.NO_WAY)
        elif core.settings.safe_mode or self._is_full(source):
            self._refuse(source, get, m.GetWhy.BUSY)
        else:
            relay = Relay(source, get, core.now, Onward(core, source, self._handles.give()))
            self._all.append(relay)
            self._find_way(relay)

    def _again(self, relay: Relay, get: m.Get) -> bool:
        """COPY was lost, or parts were. False: it lacks what is here no more, so it begins anew."""
        collecting, onward = relay.collecting, relay.onward
        if collecting is None or collecting.picture is None:
            return True
        if get.missing and not onward.restart(get.missing):
            return False
        self._say_copy(relay, collecting)
        return True

    def _find_way(self, relay: Relay) -> None:
        """Pass it on as soon as a way is known."""
        core, get = self._core, relay.get
        via = self._questions.way(get)
        if via is None or via == relay.source:
            if not self._questions.is_looking(get) or core.now >= relay.begun + NO_WAY_S:
                self._end(relay)
                self._refuse(relay.source, get, m.GetWhy.NO_WAY)
            return
        wanted = Wanted(get.id, get.asker, get.query, get.preview, None, get.hops + 1, get.missing)
        relay.collecting = Collecting(
            core, wanted, get.holder, via, relay.onward, overhead_bytes=self.overhead_bytes, held_bytes=HELD_BYTES
        )
        what = "preview of picture" if get.preview else "picture"
        text = f"{what} {get.id} is passed on from unit {get.holder} to unit {get.asker}"
        core.log("relaying", text, get.id, get.asker)
        relay.collecting.tick()

    def _say_copy(self, relay: Relay, collecting: Collecting) -> None:
        picture, get = collecting.picture, relay.get
        assert picture is not None
        handle, taken = relay.onward.handle, (picture.taken_at, picture.taken_quality)
        asked = (get.asker, get.query, get.holder)
        self._core.say(relay.source, m.Copy(*asked, handle, picture.size_bytes, picture.sha256, *taken))

    def _refuse(self, source: int, get: m.Get, why: m.GetWhy) -> None:
        self._core.say(source, m.RefuseGet(get.asker, get.query, get.holder, get.id, why))

    # ------------------------------------------------------------ what the holder's side says

    def on_copy(self, source: int, copy: m.Copy) -> None:
        """It will come; the asker is told."""
        for relay in self._all:
            collecting = relay.collecting_from(source)
            if collecting is not None and collecting.is_about(copy):
                first = collecting.picture is None
                collecting.on_copy(copy)
                if first and collecting.picture is not None:
                    self._say_copy(relay, collecting)
                self._look_at(relay)
                return

    def on_refuse_get(self, source: int, refused: m.RefuseGet) -> None:
        """It will not."""
        for relay in self._all:
            collecting = relay.collecting_from(source)
            if collecting is not None and collecting.is_about(refused):
                collecting.on_refused(refused)
                self._look_at(relay)
                return

    def on_part(self, source: int, part: m.Part) -> bool:
        """Whether these bytes are for a read-out that passes through. Raises DamagedPacket."""
        for relay in self._all:
            collecting = relay.collecting_from(source)
            if collecting is not None and collecting.handle == part.handle:
                collecting.on_part(part)
                self._look_at(relay)
                return True
        return self._may_come(source)

    def on_end(self, source: int, end: m.End) -> bool:
        """Whether this END is for a read-out that passes through: everything was sent once."""
        for relay in self._all:
            collecting = relay.collecting_from(source)
            if collecting is not None and collecting.handle == end.handle:
                collecting.on_end()
                self._look_at(relay)
                return True
        return self._may_come(source)

    def _may_come(self, source: int) -> bool:
        """Whether COPY may be under way, behind its parts."""
        return any(c.handle is None for c in (relay.collecting_from(source) for relay in self._all) if c is not None)

    def _look_at(self, relay: Relay) -> None:
        """After the collecting has heard something: does it go on, and if not, what is the asker told?"""
        collecting = relay.collecting
        if collecting is None or collecting.result is None:
            return
        if collecting.incoming is not None and collecting.incoming.complete:
            relay.onward.whole = True  # the asker compares the digest
            return
        if not collecting.result.holder_failed:
            self._questions.has_no_way(relay.get, collecting.via)
        self._end(relay)
        refused = collecting.result.refused
        why = m.GetWhy.FAILED if collecting.result.why == "damaged" else m.GetWhy.NO_WAY
        self._refuse(relay.source, relay.get, why if refused is None else refused)

    # ------------------------------------------------------------ what the asker's side says

    def on_report(self, source: int, report: m.Report) -> None:
        """What has arrived there; once it is all, it is over. Raises DamagedPacket."""
        relay = self._under(source, report.handle)
        if relay is not None and relay.onward.sender is not None:
            relay.onward.on_report(report)
            if relay.onward.done:
                self._end(relay)

    def on_expired(self, source: int, expired: m.Expired) -> None:
        """The asker wants it no more; the holder is told so when its next part comes."""
        relay = self._under(source, expired.handle)
        if relay is not None:
            self._end(relay)

    def new_boot(self, unit: int) -> None:
        """The unit has restarted: towards the asker it is over, the holder's side is asked again."""
        for relay in list(self._all):
            if relay.source == unit:
                self._end(relay)
            elif (collecting := relay.collecting_from(unit)) is not None:
                collecting.ask_again()

    # ------------------------------------------------------------ time and ends

    def tick(self) -> None:
        """Ways that are found, questions that are due, units that are silent. The unit ticks what is outgoing()."""
        for relay in list(self._all):
            if relay.collecting is None:
                self._find_way(relay)
            else:
                relay.collecting.tick()
                self._look_at(relay)
            if relay in self._all and self._core.now >= self._silent_at(relay):
                self._end(relay)

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        if not self._all:
            return None
        times: list[float] = []
        for relay in self._all:
            times.append(self._silent_at(relay))
            if relay.collecting is None:
                times.append(relay.begun + NO_WAY_S)
            elif (at := relay.collecting.deadline()) is not None:
                times.append(at)
        return min(times, default=None)

    def _silent_at(self, relay: Relay) -> float:
        return relay.onward.silent_since + SILENT_S + 2 * self._core.round_s()

    def _end(self, relay: Relay) -> None:
        if relay in self._all:
            self._all.remove(relay)
            self._handles.free(relay.onward.handle)

    def _under(self, source: int, handle: int) -> Relay | None:
        return next((r for r in self._all if (r.source, r.onward.handle) == (source, handle)), None)

    def _is_full(self, source: int) -> bool:
        return len(self._all) >= MAX_RELAYS or self._count(source) >= MAX_RELAYS_PER_NEIGHBOUR

    def _count(self, source: int) -> int:
        return sum(1 for relay in self._all if relay.source == source)
