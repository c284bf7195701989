"""A host in the model: which events of firmware/handover.py it begins, what start-up makes of its card, and records.

Told again from firmware/hosting.py, held.py, holding.py, keeping.py and reconcile.py. Where those wait, ask first or
choose, any time and any choice is allowed here. A unit that only keeps records is a host that is asked for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from firmware import handover as h
from firmware import messages as m
from firmware import record_rows
from firmware.pictures import UNKNOWN_ATTEMPT, Entry, File
from hal.light_dataclass import dataclass
from sim.model import values
from sim.model.options import Options
from sim.model.values import ORIGIN, OTHER_CONTENT, PICTURE, Disk, Message, Outcome, Says

SAYS = {
    h.Word.ACCEPT: Says.KNOWN,
    h.Word.REFUSE_STALE: Says.STALE,
    h.Word.STORED: Says.STORED,
    h.Word.LOST: Says.LOST,
    h.Word.DROPPED: Says.DROPPED,
}
KEEPS = "keeps records"

Stage = tuple["Host", tuple[Message, ...]]


@dataclass(frozen=True, slots=True)
class Host:
    """Durable but for `reserved`, the attempt that room is reserved for. complete: its catalogue is not being rebuilt.

    lied: the copy was thrown away, and the row still says it is there.
    """

    unit: int
    row: Entry | None = None
    disk: Disk = Disk.NONE
    reserved: int = 0
    complete: bool = True
    lied: bool = False

    @property
    def held(self) -> Entry | None:
        """The row if the picture is held here by it, not only known."""
        return self.row if self.row is not None and self.row.attempt is not None else None


def holder_of_other_content(unit: int) -> Host:
    """Another picture of the same origin under the same id."""
    return Host(unit, Entry(OTHER_CONTENT, File.WHOLE, attempt=1, kept=True), Disk.WHOLE)


class HostSteps:
    """Every step that a host may take, with power cuts after each effect."""

    def __init__(self, options: Options) -> None:
        self._options = options

    # ------------------------------------------------------------ what it begins by itself

    def own(self, at: Host) -> Iterator[Outcome[Host]]:
        """HOLD, INVENTORY, read-outs, the end of a reservation, scrub; and the power goes."""
        name = f"unit {at.unit}"
        after, lost = restart(at)
        yield Outcome(after, lost, f"{name}: power cut", restarted=True)
        if at.reserved:
            yield Outcome(replace(at, reserved=0), (), f"{name}: its reservation ends")
        row = at.held
        if at.row is not None and self._keeps(at.unit):
            yield Outcome(at, (self._record(at.row, at.unit),), f"{name}: tells the record it keeps")
        if row is None or row.picture != PICTURE:
            return
        assert row.attempt is not None
        if not row.kept or self._options.origin_forgets:
            yield Outcome(at, (Message(ORIGIN, at.unit, Says.NAMES, row.attempt),), f"{name}: names its copy")
        if at.disk is Disk.WHOLE:
            yield Outcome(at, (Message(ORIGIN, at.unit, Says.SHOWS, row.attempt),), f"{name}: reads its copy out")
        elif at.disk is Disk.ROTTEN:
            yield from self.run(at, h.host(row, h.FileLost(ORIGIN)), f"{name}: finds its copy damaged")

    def _keeps(self, unit: int) -> bool:
        third = values.FIRST_HOST + self._options.hosts
        return {"": False, "host": unit == values.FIRST_HOST, "third": unit == third}[self._options.keeper]

    def _record(self, row: Entry, unit: int) -> Message:
        return Message(ORIGIN, unit, Says.RECORD, more=record_rows.row_of(row))

    # ------------------------------------------------------------ what it hears

    def heard(self, at: Host, message: Message) -> Iterator[Outcome[Host]]:
        """One message of the origin; nothing where it changes nothing."""
        label = f"unit {at.unit}: hears {message}"
        match message.says:
            case Says.REQUEST:
                same = at.row is None or values.same_content(at.row, PICTURE)
                effects = h.host(at.row, h.Asked(ORIGIN, message.number, same))
                yield from self.run(at, effects, label, asked=message.number)
            case Says.PARTS:
                yield from self._parts(at, message, label)
            case Says.KEEP:
                if at.row is not None and values.same_content(at.row, PICTURE):
                    yield from self.run(at, h.host(at.row, h.KeepHeard(message.number)), label)
            case Says.DROP:
                if at.held is None or values.same_content(at.held, PICTURE):
                    yield from self.run(at, h.host(at.held, h.DropHeard(ORIGIN, message.number)), label)
            case Says.RECORD:
                yield from self._keep(at, message, label)
            case _:
                raise AssertionError(f"{message} is not for a host")

    def _parts(self, at: Host, message: Message, label: str) -> Iterator[Outcome[Host]]:
        """PARTs and END under a living handle: of this reservation, or where nothing was missing."""
        if at.held is None:
            if at.reserved == message.number:
                effects = h.host(at.row, h.AllHere(PICTURE, message.number))
                yield from self.run(replace(at, reserved=0), effects, label, nonce=message.more)
            return
        if at.disk is Disk.ROTTEN:
            yield from self.run(at, h.host(at.held, h.FileLost(ORIGIN)), label)
            return
        nonce = False if at.lied else message.more  # without the bytes, an old proof is all there is
        yield from self.run(at, h.host(at.held, h.EndHeard(message.number)), label, nonce=nonce)

    def _keep(self, at: Host, message: Message, label: str) -> Iterator[Outcome[Host]]:
        """firmware/keeping.py `_keep`."""
        row = message.more
        assert isinstance(row, m.Record | m.Tombstone)
        known = record_rows.merged(at.row, row)
        said = (self._record(known, at.unit),) if record_rows.contradicts(known, row) else ()
        if known is not at.row or said:
            yield Outcome(replace(at, row=known), said, label)

    # ------------------------------------------------------------ carrying out

    def run(
        self, at: Host, effects: h.Effects, label: str, *, asked: int = 0, nonce: object = None
    ) -> Iterator[Outcome[Host]]:
        """The effects of one step one after the other; after each but the last also what a cut leaves.

        asked: the number of the REQUEST that is answered; nonce: what STORED's proof was reckoned under.
        """
        if not effects:
            return
        stages: list[Stage] = [(at, ())]
        for effect in effects:
            if isinstance(effect, h.PutFile):
                after, lost = restart(replace(stages[-1][0], disk=Disk.WHOLE))
                yield Outcome(after, (*stages[-1][1], *lost), f"{label}; power cut, the file is there", restarted=True)
            stages.append(self._after(stages[-1], effect, asked, nonce))
        for now, said in stages[1:-1]:
            yield Outcome(now, said, label, passing=True)
            after, lost = restart(now)
            yield Outcome(after, (*said, *lost), f"{label}; power cut on the way", restarted=True)
        now, said = stages[-1]
        yield Outcome(now, said, label)

    def _after(self, stage: Stage, effect: h.Effect, asked: int, nonce: object) -> Stage:
        at, said = stage
        match effect:
            case h.Commit(row):
                return replace(at, row=row), said
            case h.Unlink() | h.PutAside():
                return replace(at, disk=Disk.NONE, lied=False), said
            case h.PutFile():
                return replace(at, disk=Disk.WHOLE, lied=False), said
            case h.CheckRoom():
                return replace(at, reserved=asked), (*said, Message(ORIGIN, at.unit, Says.ACCEPT, asked))
            case h.Withdraw(attempt):
                return replace(at, reserved=0 if at.reserved <= attempt else at.reserved), said
            case h.TellTombstone():
                assert at.row is not None
                return at, (*said, self._record(at.row, at.unit))
            case h.Say(h.Word.REFUSE_CONFLICT) | h.Alarm():
                return at, said
            case h.Say(word, _, attempt):
                return at, (*said, self._said(at, word, attempt, nonce))
        raise AssertionError(f"{effect} is none of a host's")

    def _said(self, at: Host, word: h.Word, attempt: int, nonce: object) -> Message:
        more: object = None
        if word is h.Word.REFUSE_STALE:
            assert at.row is not None
            more = at.row.attempt
        elif word is h.Word.STORED:
            more = nonce
        return Message(ORIGIN, at.unit, SAYS[word], attempt, more)


def restart(at: Host) -> tuple[Host, tuple[Message, ...]]:
    """The start-up table of HANDOVER §1 for a held picture (firmware/reconcile.py); what it says then."""
    at = replace(at, reserved=0)
    row = at.row
    if at.held is None:
        if at.disk is Disk.NONE or at.complete:  # a held file without row was never STORED
            return replace(at, disk=Disk.NONE, complete=True), ()
        if at.disk is Disk.ROTTEN:
            return replace(at, disk=Disk.NONE, complete=True), ()
        known = row if row is not None else Entry(PICTURE, File.WHOLE)
        return replace(at, row=replace(known, file=File.WHOLE, attempt=UNKNOWN_ATTEMPT), complete=True), ()
    assert row is not None
    if at.disk is Disk.NONE and not at.lied:
        return replace(at, row=row.without_file, complete=True), (
            Message(ORIGIN, at.unit, Says.LOST, row.attempt or UNKNOWN_ATTEMPT),
        )
    return replace(at, complete=True), ()
