"""The origin in the model: which events of firmware/handover.py it begins, and what start-up makes of its card.

Told again from firmware/dispersal.py, adoption.py, proofs.py, evictions.py, letting_go.py, repair.py, deletion.py,
recollecting.py and reconcile.py. Where those wait, ask first or choose, any time and any choice is allowed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from firmware import handover as h
from firmware import messages as m
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File
from firmware.record_rows import row_of, said_of
from hal.light_dataclass import dataclass
from sim.model.options import Options
from sim.model.values import FIRST_HOST, ORIGIN, PICTURE, STAMP, Broken, Disk, Message, Outcome, Says

COPIES_MIN = 1
SAYS = {h.Word.REQUEST: Says.REQUEST, h.Word.PARTS: Says.PARTS, h.Word.KEEP: Says.KEEP, h.Word.DROP: Says.DROP}

Stage = tuple["Origin", tuple[Message, ...]]
Proof = tuple[int, bool]
"""Whose; whether it shows that the copy is there now, or was asked for before its holder threw it away."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Durable but for `nonces`. entry: None where a lost catalogue has not been told of the picture yet.

    stale: listed holders that have lost their copy since they proved it last, which only a fresh proof can show.
    liars: hosts that have thrown their copy away. nonces: (host, drawn after its lie) of this life, where hosts lie.
    """

    entry: Entry | None
    next: int
    disk: Disk
    stale: tuple[int, ...] = ()
    liars: tuple[int, ...] = ()
    nonces: tuple[tuple[int, bool], ...] = ()

    @property
    def owner(self) -> h.Owner:
        """As the rules see it."""
        assert self.entry is not None
        return h.Owner(self.entry, self.next)


FIRST = Origin(Entry(PICTURE, File.WHOLE, version=1), 1, Disk.WHOLE)
"""A picture that has just been announced."""

Script = Sequence[Callable[[Origin], h.Effects]]


class OriginSteps:
    """Every step that the origin may take, with power cuts after each effect."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._hosts = range(FIRST_HOST, FIRST_HOST + options.hosts)
        self._keepers = [FIRST_HOST] if options.keeper == "host" else [FIRST_HOST + options.hosts]
        if not options.keeper:
            self._keepers = []

    # ------------------------------------------------------------ what it begins by itself

    def own(self, at: Origin) -> Iterator[Outcome[Origin]]:
        """Without a message: decisions, time-outs, audits that fail, room that is wanted; and the power goes."""
        yield Outcome(restart(at), (), "origin: power cut", restarted=True)
        entry = at.entry
        if entry is None:
            return
        for unit in self._keepers:
            told = Message(unit, ORIGIN, Says.RECORD, more=row_of(entry))
            yield Outcome(at, (told,), f"origin: tells unit {unit} its record")
        for unit in self._hosts:
            yield from self._drop_again(at, unit)
        if entry.deleted:
            return
        if entry.file is not File.GONE:
            yield from self._own_file(at, entry)
        for unit in self._hosts:
            yield from self._about(at, entry, unit)

    def _drop_again(self, at: Origin, unit: int) -> Iterator[Outcome[Origin]]:
        """firmware/deletion.py `_say_drop`, dispersal.py `_abandon`: whatever O7 allows may be said at any time."""
        number = h.drop_number(at.owner, unit)
        if number and h.may_drop(at.owner, unit, number, self._options.wanted):
            yield Outcome(at, (Message(unit, ORIGIN, Says.DROP, number),), f"origin: DROP {number} to unit {unit}")

    def _own_file(self, at: Origin, entry: Entry) -> Iterator[Outcome[Origin]]:
        if at.disk is not Disk.WHOLE:
            yield from self.run(at, [_event(h.Rotten())], "origin: finds its file damaged")
        elif entry.file is File.UNCHECKED:
            yield from self.run(at, [_event(h.Recalled())], "origin: has checked the file that start-up found")
        else:
            yield from self._evict(at, entry)

    def _evict(self, at: Origin, entry: Entry) -> Iterator[Outcome[Origin]]:
        """O5: with proofs of today; of a holder that has lost its copy since, there is none."""
        fresh = frozenset(copy.unit for copy in entry.verified if copy.unit not in at.stale)
        effects = h.owner(at.owner, h.Evict(COPIES_MIN, fresh))
        holders = [c for c in entry.copies if c.listed and not c.suspect and c.unit not in at.stale]
        if effects and len(holders) < COPIES_MIN:
            raise Broken("I5: the own file is dropped, and too few holders have proved their copies")
        yield from self.run(at, [lambda _: effects], "origin: drops its own file")

    def _about(self, at: Origin, entry: Entry, unit: int) -> Iterator[Outcome[Origin]]:
        copy = entry.copy_at(unit)
        proved = copy.listed and not copy.suspect
        if copy.open or (entry.file is File.WHOLE and not proved):
            yield from self.run(at, [_event(h.Place(unit))], f"origin: asks unit {unit} to take it")
        if copy.open:
            yield from self.run(at, [_event(h.Abandon(unit))], f"origin: gives the attempt at unit {unit} up")
        if proved:
            audited = h.Audited(unit, copy.listed, False, STAMP)
            yield from self.run(at, [_event(audited)], f"origin: doubts the copy at unit {unit}")
        if copy.listed:
            yield from self._let_go(at, entry, copy)

    def _let_go(self, at: Origin, entry: Entry, copy: Copy) -> Iterator[Outcome[Origin]]:
        """RELIEVE or surplus: the others have proved theirs, or the own file was just read and is whole."""
        others = {c.unit for c in entry.verified if c.unit != copy.unit and c.unit not in at.stale}
        enough = len(others) >= self._options.wanted
        if enough or (entry.file is File.WHOLE and at.disk is Disk.WHOLE):
            fresh = frozenset(others) if enough else frozenset()
            event = h.LetGo(copy.unit, copy.listed, self._options.wanted, fresh)
            yield from self.run(at, [_event(event)], f"origin: lets the copy at unit {copy.unit} go")

    def delete(self, at: Origin) -> Iterator[Outcome[Origin]]:
        """A person's order."""
        if at.entry is not None and not at.entry.deleted:
            yield from self.run(at, [_event(h.Delete())], "a person deletes the picture")

    # ------------------------------------------------------------ what it hears

    def heard(self, at: Origin, message: Message) -> Iterator[Outcome[Origin]]:
        """One message; nothing where it changes nothing."""
        label = f"origin: hears {message} of unit {message.source}"
        if message.says is Says.RECORD:
            yield from self._record(at, message.more, label)
        elif message.says is Says.NAMES:
            yield from self._named(at, message, label)
        elif at.entry is None:
            return
        elif message.says is Says.SHOWS:
            yield from self._shown(at, at.entry, message, label)
        elif message.says is Says.STORED:
            yield from self._stored(at, message, label)
        else:
            yield from self.run(at, [_event(answer(message))], label)

    def _named(self, at: Origin, message: Message, label: str) -> Iterator[Outcome[Origin]]:
        event = h.Named(message.source, message.number, self._options.wanted)
        if at.entry is None:  # adoption.py `_inventory_row`: known from now on, then asked under a number of now
            known = (h.Commit(Entry(PICTURE, File.GONE, version=1)),)
            yield from self.run(at, [lambda _: known, _event(event)], label)
        else:
            yield from self.run(at, [_event(event)], label)

    def _shown(self, at: Origin, entry: Entry, message: Message, label: str) -> Iterator[Outcome[Origin]]:
        """What a holder gave back had the right digest: kept here again, or looked at alone; or it was a right proof.

        A holder does not prove what is listed with a row that is older (firmware/held.py `_read_back`).
        """
        unit = message.source
        copy = entry.copy_at(unit)
        if entry.file is File.GONE and not entry.deleted:
            yield from self.run(at, [lambda _: (h.PutFile(),), _event(h.Recalled())], f"{label}, and keeps them")
        proves = message.number in (UNKNOWN_ATTEMPT, *range(copy.listed, message.number + 1))
        if copy.listed and (copy.suspect or unit in at.stale) and (proves or entry.file is File.GONE):
            audited = h.Audited(unit, copy.listed, True, STAMP)
            yield from self.run(at, [_event(audited)], f"{label}, which proves the copy", proof=(unit, True))

    def _stored(self, at: Origin, message: Message, label: str) -> Iterator[Outcome[Origin]]:
        """The proof is compared with the own file, under the nonces of this life (where hosts lie, else all are right:
        whoever says STORED has read the bytes back, and that an older proof does is allowed here)."""
        assert at.entry is not None
        unit = message.source
        if at.entry.file is File.GONE:
            return
        if at.disk is not Disk.WHOLE:
            yield from self.run(at, [_event(h.Rotten())], label)
            return
        drawn = (unit, bool(message.more))
        right = drawn in at.nonces if self._options.lies else True
        excused = drawn == (unit, False) and drawn in at.nonces and unit in at.liars
        event = h.Receipt(unit, message.number, right, b"", STAMP)
        yield from self.run(at, [_event(event)], label, proof=(unit, not excused))

    def _record(self, at: Origin, row: object, label: str) -> Iterator[Outcome[Origin]]:
        """firmware/recollecting.py `_take`."""
        known = at if at.entry is not None else replace(at, entry=Entry(PICTURE, File.GONE))
        assert known.entry is not None
        if isinstance(row, m.Tombstone):
            effects = h.owner(known.owner, h.Buried(row.owed))
            yield from self.run(at, [lambda _: effects], label)
            return
        assert isinstance(row, m.Record)
        if known.entry.deleted:
            yield Outcome(at, (Message(_keeper(self._keepers), ORIGIN, Says.RECORD, more=row_of(known.entry)),), label)
            return
        recorded = h.owner(known.owner, h.Recorded(row.version, said_of(row)))
        script: list[Callable[[Origin], h.Effects]] = [lambda _: recorded]
        for unit in row.holders:
            script.append(lambda now, unit=unit: self._ask_named(now, unit))  # type: ignore[misc]
        yield from self.run(at, script, label)

    def _ask_named(self, now: Origin, unit: int) -> h.Effects:
        entry = now.entry
        if entry is None or entry.copy_at(unit).listed or len(entry.verified) >= self._options.wanted:
            return ()
        return h.owner(now.owner, h.Named(unit, UNKNOWN_ATTEMPT, self._options.wanted))

    # ------------------------------------------------------------ carrying out

    def run(self, at: Origin, script: Script, label: str, proof: Proof | None = None) -> Iterator[Outcome[Origin]]:
        """The effects of one step one after the other; after each but the last also what a cut leaves.

        proof: what it brings, if it brings one.
        """
        stages: list[Stage] = [(at, ())]
        torn: list[Stage] = []  # the power goes while a file is being put: it may be there
        for decide in script:
            for effect in decide(stages[-1][0]):
                if isinstance(effect, h.PutFile):
                    torn.append((replace(stages[-1][0], disk=Disk.WHOLE), stages[-1][1]))
                after = self._after(stages[-1], effect, proof)
                if after is None:
                    return
                stages.append(after)
        if len(stages) == 1:
            return
        for now, said in stages[1:-1]:
            yield Outcome(now, said, label, passing=True)
            yield Outcome(restart(now), said, f"{label}; power cut on the way", restarted=True)
        for now, said in torn:
            yield Outcome(restart(now), said, f"{label}; power cut, the file is there", restarted=True)
        now, said = stages[-1]
        yield Outcome(now, said, label)

    def _after(self, stage: Stage, effect: h.Effect, proof: Proof | None) -> Stage | None:
        """One effect. None: more numbers are needed than this model gives out."""
        at, said = stage
        match effect:
            case h.Commit(entry, number):
                assert entry is not None
                if number is not None and number > self._options.attempts + 1:
                    return None
                if self._options.versions and entry.version > self._options.versions:
                    return None
                return self._committed(at, entry, number, proof), said
            case h.Unlink() | h.PutAside():
                return replace(at, disk=Disk.NONE), said
            case h.PutFile():
                return replace(at, disk=Disk.WHOLE), said
            case h.Say(word, unit, attempt):
                return self._said(at, said, word, unit, attempt)
            case h.Alarm():
                return at, said
            case _:
                raise AssertionError(f"{effect} is none of the origin's")

    def _committed(self, at: Origin, entry: Entry, number: int | None, proof: Proof | None) -> Origin:
        if at.entry is not None and at.entry.deleted and not entry.deleted:
            raise Broken("R6: a deleted picture came back at its origin")
        if at.entry is not None and entry.version < at.entry.version:
            raise Broken("R6: the version of the record has gone down")
        entry = self._plain(entry)
        stale = {unit for unit in at.stale if entry.copy_at(unit).listed}
        if proof is not None:
            stale = stale - {proof[0]} if proof[1] else stale | {proof[0]}
        return replace(at, entry=entry, next=max(at.next, number or 0), stale=tuple(sorted(stale)))

    def _plain(self, entry: Entry) -> Entry:
        """Without what no rule looks at: stamps and proofs, which copy was doubted; the version where none hears it."""
        copies = tuple(Copy(c.unit, c.open, c.listed, c.suspect, c.owed) for c in entry.copies)
        return replace(entry, copies=copies, version=entry.version if self._options.versions else 1)

    def _said(self, at: Origin, said: tuple[Message, ...], word: h.Word, unit: int, attempt: int) -> Stage | None:
        if word is h.Word.PARTS and at.disk is not Disk.WHOLE:
            return at, said  # they arrive with a wrong digest, and are thrown away
        if word is not h.Word.PARTS or not self._options.lies:
            return at, (*said, Message(unit, ORIGIN, SAYS[word], attempt))
        drawn = (unit, unit in at.liars)
        nonces = tuple(sorted({*at.nonces, drawn}))
        return replace(at, nonces=nonces), (*said, Message(unit, ORIGIN, Says.PARTS, attempt, drawn[1]))


def restart(at: Origin) -> Origin:
    """The start-up table of HANDOVER §1 for an own picture (firmware/reconcile.py), by names and sizes alone."""
    at = replace(at, nonces=())
    entry = at.entry
    if entry is None:  # a file without row
        if at.disk is Disk.WHOLE:
            return replace(at, entry=Entry(PICTURE, File.WHOLE, version=1))
        return replace(at, disk=Disk.NONE)
    if entry.deleted:
        return replace(at, entry=replace(entry, file=File.GONE), disk=Disk.NONE)
    if entry.file is File.GONE and at.disk is not Disk.NONE:
        return replace(at, entry=replace(entry, file=File.UNCHECKED))
    if entry.file is not File.GONE and at.disk is Disk.NONE:
        return replace(at, entry=replace(entry, file=File.GONE))
    return at


def _event(event: h.OwnerEvent) -> Callable[[Origin], h.Effects]:
    return lambda now: h.owner(now.owner, event)


def answer(message: Message) -> h.OwnerEvent:
    """A host's answer as the rules see it; the proof of STORED is taken for a right one."""
    unit, number = message.source, message.number
    match message.says:
        case Says.STORED:
            return h.Receipt(unit, number, True, b"", STAMP)
        case Says.ACCEPT:
            return h.Accepted(unit, number, nothing_missing=False)
        case Says.KNOWN:
            return h.Accepted(unit, number, nothing_missing=True)
        case Says.STALE:
            assert isinstance(message.more, int)
            return h.Stale(unit, number, message.more)
        case Says.LOST | Says.DROPPED:
            return h.Gone(unit, number, message.says is Says.DROPPED)
    raise AssertionError(f"{message} is not for the origin")


def _keeper(keepers: Sequence[int]) -> int:
    return keepers[0]
