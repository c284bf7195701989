"""Getting one picture, or its preview, from one holder: GET, COPY, parts in order to a sink, digest (HANDOVER §3)."""

from __future__ import annotations

from firmware import messages as m
from firmware.commands import Collected, Found
from firmware.core import Core
from firmware.incoming import Incoming
from firmware.pictures import MAX_PICTURE_BYTES, MAX_PREVIEW_BYTES, Picture, PictureId
from firmware.ranges import RangeSet
from firmware.reporting import say_report
from firmware.sinks import Taker
from hal.light_dataclass import dataclass

PATIENCE_S = 20.0
"""A holder that brings nothing new for so long is given up; on a channel that others use, for so much longer as two
rounds of their bursts take (core.round_s). Guess: twice the longest part of a slow radio."""
LESS_PATIENCE_S = 2.0
"""Each unit that a GET was passed on to waits so much less: the one next to where it has stopped says so first."""
HELD_BYTES = 262_144
"""An asker takes so many bytes beyond what the sink has written; parts above are left to be sent again. 20 s at
115200."""
ACKNOWLEDGED_SHARE = 3 / 8
"""Of the bytes that may be held, those acknowledged before the sink has written them. The rest takes what is in flight
when a sink stops: REPORTs then say nothing of it, so that the holder neither goes on nor sends it again."""
STEP_SHARE = 1 / 16
"""And each time the sink has written so many more of them, the holder is told that it may go on."""
QUIET_S = 1.0
"""GET is repeated after at least this long without a word, and after a round of others' bursts: the holder has not had
its turn before, and GETs and COPYs would only take it away. What was lost of the parts is the holder's to repair."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, and whose read-out it is. hops: how often the GET was passed on until now.

    content: the length and digest that the bytes must have; None where not known: a preview, or another's read-out.
    missing: what of it, empty = all; for the first GET.
    """

    id: PictureId
    asker: int
    query: int
    preview: bool
    content: Picture | None
    hops: int = 0
    missing: m.Ranges = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended. why: the row of READ_OUT to take from COLLECT. text: what the holder did, for a person.

    refused: the reason that came with a refusal.
    """

    why: str
    text: str
    refused: m.GetWhy | None = None

    @property
    def holder_failed(self) -> bool:
        """Whether another way to the same holder would not help."""
        return self.why != "timed_out" and self.refused not in (m.GetWhy.BUSY, m.GetWhy.NO_WAY)


class Collecting:
    """One GET of one holder, by way of the neighbour `via`. After each call look at `result`; None: it goes on.

    incoming: what has come before from elsewhere, to go on with. Owner's duty: tick() at deadline(), and when the sink
    has written something.
    """

    def __init__(
        self,
        core: Core,
        wanted: Wanted,
        holder: int,
        via: int,
        sink: Taker,
        *,
        overhead_bytes: int,
        held_bytes: int = HELD_BYTES,
        incoming: Incoming | None = None,
    ) -> None:
        self.wanted = wanted
        self.holder = holder
        self.via = via
        self.handle: int | None = None  # of COPY; parts come under it
        self.result: Result | None = None
        self.came_at = float("-inf")  # when something new came from it
        self.incoming = incoming
        self.picture: Picture | None = None  # what comes, as COPY says
        self._core = core
        self.sink = sink
        self._overhead_bytes = overhead_bytes
        self._held_bytes = held_bytes
        self._told_below = 0  # the REPORTs have spoken of the bytes below
        self._full_at = float("-inf")  # when the sink last had no room: no fault of the holder's
        self._tries = 0
        self._get_at = core.now
        self._began = core.now

    @property
    def done_bytes(self) -> int:
        """How much of the picture is here, or was before."""
        return 0 if self.incoming is None else self.incoming.receiver.have.size_bytes

    @property
    def collected(self) -> Collected:
        """What to tell once the result is "collected"."""
        assert self.picture is not None
        assert self.incoming is not None
        return Collected(self.picture, self.holder, self.incoming.air_bytes)

    def tick(self) -> None:
        """Ask, report, or give up."""
        now = self._core.now
        if self.result is not None:
            return
        incoming = self.incoming if self.handle is not None else None
        if incoming is not None and self._is_full(incoming):
            self._full_at = now
            self._get_at = max(self._get_at, now + self._quiet_s())
        if now >= self._gives_up_at:
            self.result = Result("timed_out", SILENT[0] if self.picture is None else SILENT[1])
            return
        if now >= self._get_at:
            self._get()
        if incoming is not None and (incoming.receiver.report_due(now) or self._has_room_again(incoming)):
            self._report(incoming)

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        if self.result is not None:
            return None
        times = [self._gives_up_at, self._get_at]
        report_at = None if self.incoming is None or self.handle is None else self.incoming.receiver.deadline()
        return min(times if report_at is None else [*times, report_at])

    def ask_again(self) -> None:
        """The neighbour has restarted: what it knew of this is gone, what has come from it is not."""
        self.handle = None
        self._tries = 0
        self._get_at = self._core.now

    # ------------------------------------------------------------ what the neighbour says

    def is_about(self, message: m.Copy | m.RefuseGet) -> bool:
        """Whether it answers this GET."""
        asked = (self.wanted.asker, self.wanted.query, self.holder)
        return asked == (message.asker, message.query, message.holder)

    def on_copy(self, copy: m.Copy) -> None:
        """The parts follow; the same COPY again, after a GET that was repeated, changes nothing but the handle."""
        wanted = self.wanted
        picture = Picture(wanted.id, copy.size_bytes, copy.sha256, taken_at=copy.taken_at, taken_quality=copy.quality)
        if not self._fits(picture):
            self.result = Result("damaged", "has another picture under this id")
            return
        self.handle = copy.handle
        self._heard()
        if self.picture is None:
            self.picture = wanted.content or picture
            incoming = self.incoming = self.incoming or _incoming(picture, wanted.missing)
            self.sink.begin(Found(self.picture, copy.size_bytes, self.holder, incoming.position))

    def on_refused(self, refused: m.RefuseGet) -> None:
        """It does not serve this."""
        texts = _NO_PREVIEW if self.wanted.preview else _REFUSED
        self.result = Result("refused", texts[refused.why], refused.why)

    def on_part(self, part: m.Part) -> None:
        """Bytes; those that have come in order go on to the sink. Raises DamagedPacket."""
        incoming, now = self.incoming, self._core.now
        assert incoming is not None
        self._heard()
        incoming.air_bytes += len(part.data) + m.Part.FIXED_BYTES + self._overhead_bytes
        room_bytes = self._held_bytes - self.sink.waiting_bytes
        if part.offset + len(part.data) > incoming.position + room_bytes:
            self._full_at = now
            return
        if incoming.on_part(self.holder, part, self.sink, now, self._core.answer_at):
            self.came_at = now
        if incoming.complete:
            self._finish(incoming)
        elif incoming.receiver.report_due(now):
            self._report(incoming)

    def on_end(self) -> None:
        """Everything was sent once: say what is missing."""
        assert self.incoming is not None
        self._heard()
        self.incoming.receiver.want_report(self._core.now)
        self._report(self.incoming)

    # ------------------------------------------------------------ work

    @property
    def _gives_up_at(self) -> float:
        heard_at = max(self._began, self.came_at, self._full_at)
        return heard_at + PATIENCE_S + 2 * self._core.round_s() - LESS_PATIENCE_S * self.wanted.hops

    def _fits(self, picture: Picture) -> bool:
        """Whether COPY tells of what is wanted, and of the same as the COPY before."""
        known = self.wanted.content or self.picture
        if known is not None:
            return (known.size_bytes, known.sha256) == (picture.size_bytes, picture.sha256)
        return picture.size_bytes <= (MAX_PREVIEW_BYTES if self.wanted.preview else MAX_PICTURE_BYTES)

    def _heard(self) -> None:
        self._tries = 0
        self._get_at = self._core.now + self._quiet_s()

    def _quiet_s(self) -> float:
        """Before COPY an answer is waited for, after it the holder must have been quiet for much longer."""
        estimate = self._core.neighbours.heard_before(self.via).estimate
        answer_s = estimate.timeout_s(self._tries)
        return answer_s if self.handle is None else max(QUIET_S, 2 * answer_s, self._core.round_s())

    def _get(self) -> None:
        w, core = self.wanted, self._core
        missing = w.missing if self.incoming is None else tuple(self.incoming.missing())[: m.MAX_RANGES]
        core.say(self.via, m.Get(w.asker, w.query, self.holder, w.id, w.preview, missing, w.hops))
        self._get_at = core.now + self._quiet_s()
        self._tries += 1

    def _acknowledged_below(self, incoming: Incoming) -> int:
        waiting_bytes = self.sink.waiting_bytes
        return incoming.position - waiting_bytes + int(ACKNOWLEDGED_SHARE * self._held_bytes)

    def _is_full(self, incoming: Incoming) -> bool:
        """Whether all is here that the holder was told it may send."""
        first, _ = next(iter(incoming.missing()), (incoming.size_bytes, 0))
        return first >= self._acknowledged_below(incoming)

    def _has_room_again(self, incoming: Incoming) -> bool:
        held_back = self._told_below < min(incoming.size_bytes, incoming.receiver.have.stop)
        step_bytes = STEP_SHARE * self._held_bytes
        return held_back and self._acknowledged_below(incoming) >= self._told_below + step_bytes

    def _report(self, incoming: Incoming) -> None:
        """What is here of the bytes that the sink has room for; once all is here, all of it."""
        assert self.handle is not None
        most = incoming.size_bytes if incoming.complete else max(0, self._acknowledged_below(incoming))
        self._told_below = say_report(self._core, self.via, self.handle, incoming.receiver, most)

    def _finish(self, incoming: Incoming) -> None:
        """All is here. The holder is told so even where the digest is wrong: what it has will not get better."""
        self._report(incoming)
        wrong = incoming.is_right is False
        self.result = Result("damaged", "gave it with a wrong digest") if wrong else Result("collected", "gave it")


def _incoming(picture: Picture, missing: m.Ranges) -> Incoming:
    """For what COPY has told, where only some of it was asked for; a list of MAX_RANGES leaves the rest open."""
    size_bytes = picture.size_bytes
    asked = RangeSet((start, min(stop, size_bytes)) for start, stop in missing if start < size_bytes)
    if len(missing) >= m.MAX_RANGES:
        asked.add(min(asked.stop, size_bytes), size_bytes)
    return Incoming(picture, size_bytes, asked.missing(size_bytes) if asked.size_bytes else RangeSet())


SILENT = ("did not answer", "stopped in the middle")
_REFUSED = {
    m.GetWhy.NOT_HERE: "does not have it any more",
    m.GetWhy.BUSY: "is busy with other read-outs",
    m.GetWhy.FAILED: "cannot read it from its card",
    m.GetWhy.DELETED: "knows that it was deleted",
    m.GetWhy.NO_WAY: "cannot be reached",
}
_NO_PREVIEW = _REFUSED | {m.GetWhy.NOT_HERE: "has no preview of it"}
