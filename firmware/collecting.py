"""Getting one picture, or its preview, from one holder: GET, COPY, parts in order to a sink, digest (HANDOVER §3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from firmware import messages as m
from firmware.commands import Collected, Found
from firmware.core import Core
from firmware.pictures import Picture, PictureId
from firmware.ranges import RangeSet
from firmware.reporting import say_report
from firmware.sinks import Taker
from firmware.transfer import Receiver

PATIENCE_S = 20.0
"""A holder that brings nothing new for so long is given up. Guess: twice the longest part of a slow radio."""
HELD_BYTES = 262_144
"""Bytes taken beyond what the sink has written; parts above are left to be sent again. 20 s at 115200."""
QUIET_S = 1.0
"""GET is repeated after at least this long without a word; what was lost of the parts is the holder's to repair."""
MAX_PREVIEW_BYTES = 4096
"""DESIGN §8."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. content: the length and digest that the bytes must have; None where not known: a preview."""

    id: PictureId
    query: int
    preview: bool
    content: Picture | None


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended. why: the row of READ_OUT to take from COLLECT. text: what the holder did, for a person."""

    why: str
    text: str


class Collecting:
    """One GET of one holder. After each call look at `result`; None: it goes on. tick() at deadline()."""

    def __init__(self, core: Core, wanted: Wanted, holder: int, sink: Taker, overhead_bytes: int) -> None:
        self.holder = holder
        self.handle: int | None = None  # of COPY; parts come under it
        self.result: Result | None = None
        self.came_at = float("-inf")  # when something new came from it
        self.air_bytes = 0
        self.picture: Picture | None = None  # what comes, as COPY says
        self._core = core
        self._wanted = wanted
        self.sink = sink
        self._overhead_bytes = overhead_bytes
        self._receiver: Receiver | None = None
        self._sha256 = hashlib.sha256()
        self._ahead: dict[int, bytes] = {}  # parts above the first gap, by offset; they never overlap
        self._written_bytes = 0
        self._full_at = float("-inf")  # when a part last came that the sink had no room for: no fault of the holder's
        self._tries = 0
        self._get_at = core.now
        self._began = core.now

    @property
    def done_bytes(self) -> int:
        """How much of the picture is here."""
        return 0 if self._receiver is None else self._receiver.have.size_bytes

    @property
    def collected(self) -> Collected:
        """What to tell once the result is "collected"."""
        assert self.picture is not None
        return Collected(self.picture, self.holder, self.air_bytes)

    def tick(self) -> None:
        """Ask, report, or give up."""
        now = self._core.now
        if self.result is not None:
            return
        if now >= self._gives_up_at:
            self.result = Result("timed_out", SILENT[0] if self._receiver is None else SILENT[1])
            return
        if now >= self._get_at:
            self._get()
        if self._receiver is not None and self.handle is not None and self._receiver.report_due(now):
            self._report(self._receiver)

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        if self.result is not None:
            return None
        times = [self._gives_up_at, self._get_at]
        report_at = None if self._receiver is None or self.handle is None else self._receiver.deadline()
        return min(times if report_at is None else [*times, report_at])

    def ask_again(self) -> None:
        """The holder has restarted: what it knew of this is gone, what has come from it is not."""
        self.handle = None
        self._tries = 0
        self._get_at = self._core.now

    # ------------------------------------------------------------ what the holder says

    def on_copy(self, copy: m.Copy) -> None:
        """The parts follow; the same COPY again, after a GET that was repeated, changes nothing but the handle."""
        picture = Picture(
            self._wanted.id, copy.size_bytes, copy.sha256, taken_at=copy.taken_at, taken_quality=copy.quality
        )
        if not self._fits(picture):
            self.result = Result("damaged", "has another picture under this id")
            return
        self.handle = copy.handle
        self._heard()
        if self._receiver is None:
            self.picture = self._wanted.content or picture
            self._receiver = Receiver(copy.size_bytes, RangeSet())
            self.sink.begin(Found(self.picture, copy.size_bytes, self.holder))

    def on_refused(self, refused: m.RefuseGet) -> None:
        """It does not serve this."""
        self.result = Result("refused", _REFUSED[refused.why] if not self._wanted.preview else _NO_PREVIEW[refused.why])

    def on_part(self, part: m.Part) -> None:
        """Bytes; those that have come in order go on to the sink. Raises DamagedPacket."""
        receiver, now = self._receiver, self._core.now
        assert receiver is not None
        self._heard()
        self.air_bytes += len(part.data) + m.Part.FIXED_BYTES + self._overhead_bytes
        room_bytes = HELD_BYTES - self.sink.waiting_bytes
        if part.offset + len(part.data) > self._written_bytes + room_bytes:
            self._full_at = now
            return
        for offset, data in receiver.on_part(part.offset, part.data, now, self._core.answer_at):
            self._ahead[offset] = data
            self.came_at = now
        while (data := self._ahead.pop(self._written_bytes, b"")) != b"":
            self._sha256.update(data)
            self.sink.write(self._written_bytes, data)
            self._written_bytes += len(data)
        if receiver.complete:
            self._finish(receiver)
        elif receiver.report_due(now):
            self._report(receiver)

    def on_end(self) -> None:
        """Everything was sent once: say what is missing."""
        assert self._receiver is not None
        self._heard()
        self._receiver.want_report(self._core.now)
        self._report(self._receiver)

    # ------------------------------------------------------------ work

    @property
    def _gives_up_at(self) -> float:
        return max(self._began, self.came_at, self._full_at) + PATIENCE_S

    def _fits(self, picture: Picture) -> bool:
        """Whether COPY tells of what is wanted, and of the same as the COPY before."""
        wanted = self._wanted.content or self.picture
        if wanted is not None:
            return (wanted.size_bytes, wanted.sha256) == (picture.size_bytes, picture.sha256)
        return 0 < picture.size_bytes <= MAX_PREVIEW_BYTES

    def _heard(self) -> None:
        self._tries = 0
        self._get_at = self._core.now + self._quiet_s()

    def _quiet_s(self) -> float:
        """Before COPY an answer is waited for, after it the holder must have been quiet for much longer."""
        estimate = self._core.neighbours.heard_before(self.holder).estimate
        answer_s = estimate.timeout_s(self._tries)
        return answer_s if self.handle is None else max(QUIET_S, 2 * answer_s)

    def _get(self) -> None:
        missing: m.Ranges = ()
        if self._receiver is not None:
            missing = tuple(self._receiver.have.missing(self._receiver.size_bytes))[: m.MAX_RANGES]
        wanted, core = self._wanted, self._core
        core.say(self.holder, m.Get(core.unit, wanted.query, self.holder, wanted.id, wanted.preview, missing, hops=0))
        self._get_at = core.now + self._quiet_s()
        self._tries += 1

    def _report(self, receiver: Receiver) -> None:
        assert self.handle is not None
        say_report(self._core, self.holder, self.handle, receiver)

    def _finish(self, receiver: Receiver) -> None:
        """All is here. The holder is told so even where the digest is wrong: what it has will not get better."""
        self._report(receiver)
        assert self.picture is not None
        right = self._sha256.digest() == self.picture.sha256
        self.result = Result("collected", "gave it") if right else Result("damaged", "gave it with a wrong digest")


SILENT = ("did not answer", "stopped in the middle")
_REFUSED = {
    m.GetWhy.NOT_HERE: "does not have it any more",
    m.GetWhy.BUSY: "is busy with other read-outs",
    m.GetWhy.FAILED: "cannot read it from its card",
    m.GetWhy.DELETED: "knows that it was deleted",
}
_NO_PREVIEW = _REFUSED | {m.GetWhy.NOT_HERE: "has no preview of it"}
