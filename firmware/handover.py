"""The hand-over of one picture between its origin and one host: HANDOVER §2 as pure functions.

`owner(state, event)` and `host(state, event)` give the effects of one step, in the order in which they must be carried
out: a Commit is durable before anything behind it is begun, and a power cut may fall between any two. The caller does
nothing to copies, attempts and held rows but what these functions say, and runs the steps on one picture one at a
time (R13). Rule names (O1…, H1…, R1…) are those of HANDOVER §2.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import assert_never

from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File, Picture
from hal.light_dataclass import dataclass

FARTHEST_JUMP = 2**32
"""A heard attempt this far above `next` is not followed (R4): a liar must not use up the counter. HANDOVER §2."""


class Word(enum.Enum):
    """The messages that a step may say; the unit puts the picture and its digest into them."""

    REQUEST = "REQUEST"
    ACCEPT = "ACCEPT"  # nothing missing
    REFUSE_CONFLICT = "REFUSE_CONFLICT"
    REFUSE_STALE = "REFUSE_STALE"
    STORED = "STORED"
    KEEP = "KEEP"
    DROP = "DROP"
    LOST = "LOST"  # by itself, or asked for a proof
    DROPPED = "LOST, dropped"  # the answer to DROP
    PARTS = "PARTS"  # PARTs of what is missing, then END with a fresh nonce (O3)


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a proof was found right: wall time for people, boot and monotonic time for freshness."""

    wall_s: float | None
    boot: int
    monotonic_s: float


# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Commit:
    """One durable transaction: this entry as it now is (None: the row goes), and `next` where it was raised."""

    entry: Entry | None
    next_attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Send this message about the picture to a unit."""

    word: Word
    unit: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Unlink:
    """Remove the file; only ever behind the Commit that says it is not there."""


@dataclass(frozen=True, slots=True)
class PutAside:
    """Move a damaged file into quarantine/; only ever behind the Commit that says it is not there."""


@dataclass(frozen=True, slots=True)
class PutFile:
    """Recipe 1-4 of HANDOVER §1 for the bytes received; the proof over the bytes read back goes into STORED."""


@dataclass(frozen=True, slots=True)
class CheckRoom:
    """Nothing is known of this picture here: reserve really, then ACCEPT with what is missing, or REFUSE."""


@dataclass(frozen=True, slots=True)
class TellTombstone:
    """A person deleted what this unit asks room for: it has forgotten that, and is told its own tombstone (R6)."""

    unit: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End the reservation of this attempt, if there is one; the .part stays to resume from."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell people; nothing is changed."""

    text: str


Effect = Commit | Say | Unlink | PutAside | PutFile | CheckRoom | TellTombstone | Withdraw | Alarm
Effects = tuple[Effect, ...]


# ---------------------------------------------------------------- the owner's events


@dataclass(frozen=True, slots=True)
class Owner:
    """What the origin knows durably of one picture; next_attempt is the unit's one counter."""

    entry: Entry
    next_attempt: int


@dataclass(frozen=True, slots=True)
class Place:
    """Put a copy at this unit (O1), or find out the number of the one it says it has (R4)."""

    unit: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """ACCEPT came (O3, R4)."""

    unit: int
    attempt: int
    nothing_missing: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """STORED came; proof_right was reckoned over the own file with a nonce that we sent (O4)."""

    unit: int
    attempt: int
    proof_right: bool
    proof: bytes
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Stale:
    """REFUSE(stale, row_attempt) came (H1)."""

    unit: int
    attempt: int
    row_attempt: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up the attempt that is open there (O6)."""

    unit: int


@dataclass(frozen=True, slots=True)
class Named:
    """HOLD or INVENTORY names a copy of this content with this attempt; wanted: copies asked for (R4)."""

    unit: int
    attempt: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Gone:
    """LOST came: the holder's copy of this attempt is no more. dropped: it answers a DROP."""

    unit: int
    attempt: int
    dropped: bool


@dataclass(frozen=True, slots=True)
class Audited:
    """A proof asked for came, or did not; right: over bytes that are known to be good."""

    unit: int
    attempt: int
    right: bool
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Evict:
    """Free the own file (O5); needed: holders with a fresh proof that there must be; fresh: units that have one."""

    needed: int
    fresh: frozenset[int]


@dataclass(frozen=True, slots=True)
class Recalled:
    """The file is whole on the own card again (O8, O9), or was found whole there."""


@dataclass(frozen=True, slots=True)
class Rotten:
    """The own file's digest is wrong, or the file is missing; it counts as no copy from now on."""


@dataclass(frozen=True, slots=True)
class Delete:
    """A person's order, at the origin (R6)."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """A listed copy is not needed (RELIEVE, surplus); fresh: units whose proof may be used now; wanted: copies."""

    unit: int
    attempt: int
    wanted: int
    fresh: frozenset[int]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record of ours was heard from a unit that keeps it: a version of what our own list said (R6, R7)."""

    version: int
    said: Said


@dataclass(frozen=True, slots=True)
class Buried:
    """A tombstone of ours was heard from a unit that keeps it; owed: holders that had not dropped it then (R6)."""

    owed: tuple[int, ...]


OwnerEvent = (
    Place
    | Accepted
    | Receipt
    | Stale
    | Abandon
    | Named
    | Gone
    | Audited
    | Evict
    | Recalled
    | Rotten
    | Delete
    | Recorded
    | Buried
    | LetGo
)


@dataclass(frozen=True, slots=True)
class Said:
    """What an origin's record says, but for its version: whether it is deleted, else holders with their suspicion."""

    deleted: bool
    holders: tuple[tuple[int, bool], ...]


def said_by(entry: Entry) -> Said:
    """What the record of an own picture says now. A tombstone says no more than that it is one."""
    listed = () if entry.deleted else tuple((copy.unit, copy.suspect) for copy in entry.listed)
    return Said(entry.deleted, listed)


def owner(state: Owner, event: OwnerEvent) -> Effects:
    """The effects of one event at the origin; () where the event changes nothing and asks for nothing.

    The version goes up with each change of what the record says, and with nothing else (R6).
    """
    return tuple(_versioned(state.entry, effect) for effect in _owner(state, event))


def _versioned(before: Entry, effect: Effect) -> Effect:
    if not isinstance(effect, Commit) or effect.entry is None or said_by(effect.entry) == said_by(before):
        return effect
    return replace(effect, entry=replace(effect.entry, version=before.version + 1))


def _owner(state: Owner, event: OwnerEvent) -> Effects:
    match event:
        case Place(unit):
            return _place(state, unit)
        case Accepted():
            return _accepted(state, event)
        case Receipt():
            return _receipt(state, event)
        case Stale(unit, attempt, row_attempt):
            if state.entry.copy_at(unit).open != attempt:
                return ()
            closed = _with_copy(state.entry, replace(state.entry.copy_at(unit), open=0))
            return _commit_with_next(closed, state, row_attempt)
        case Abandon(unit):
            if not state.entry.copy_at(unit).open:
                return ()
            return (Commit(_with_copy(state.entry, replace(state.entry.copy_at(unit), open=0))),)
        case Named():
            return _named(state, event)
        case Gone():
            return _gone(state, event)
        case Audited():
            return _audited(state, event)
        case Evict():
            return _evict(state, event)
        case Recalled():
            return () if state.entry.deleted else (Commit(replace(state.entry, file=File.WHOLE)),)
        case Rotten():
            return (Commit(replace(state.entry, file=File.GONE)), PutAside())
        case Delete():
            return _delete(state, ())
        case Recorded(version, said):
            return _recorded(state.entry, version, said)
        case Buried(owed):
            return _delete(state, owed)
        case LetGo():
            return _let_go(state, event)
        case _:
            assert_never(event)


def may_drop(state: Owner, unit: int, attempt: int, wanted: int) -> bool:
    """O7: whether DROP(unit, attempt) may be said; wanted: copies asked for of this picture."""
    copy, entry = state.entry.copy_at(unit), state.entry
    others = sum(1 for c in entry.verified if c.unit != unit)
    return (
        attempt < state.next_attempt
        and (not copy.open or copy.open > attempt)
        and (not copy.listed or copy.listed > attempt)
        and (entry.deleted or entry.file is File.WHOLE or others >= wanted)
    )


def drop_number(state: Owner, unit: int) -> int:
    """The highest attempt whose DROP cannot reach a copy that still counts (O7); 0: nothing may be dropped."""
    copy = state.entry.copy_at(unit)
    return min(n for n in (state.next_attempt, copy.open, copy.listed) if n) - 1


def _place(state: Owner, unit: int) -> Effects:
    """O1. The same number again while the attempt is open; a new one is durable before it is said."""
    copy = state.entry.copy_at(unit)
    if copy.open:
        return (Say(Word.REQUEST, unit, copy.open),)
    attempt = state.next_attempt
    entry = _with_copy(state.entry, replace(copy, open=attempt))
    return (Commit(entry, attempt + 1), Say(Word.REQUEST, unit, attempt))


def _accepted(state: Owner, event: Accepted) -> Effects:
    copy, entry = state.entry.copy_at(event.unit), state.entry
    if not copy.open or copy.open != event.attempt:
        return ()
    if entry.deleted:  # asked for only to learn the number of a copy that nobody wants
        closed = _with_copy(entry, replace(copy, open=0, owed=True))
        return (Commit(closed), Say(Word.DROP, event.unit, state.next_attempt - 1))
    if entry.file is File.WHOLE:
        return (Say(Word.PARTS, event.unit, event.attempt),)
    if event.nothing_missing:  # R4: no bytes here to check a proof with
        listed = _suspect(replace(copy, open=0, listed=event.attempt, owed=False, proof=b"", verified_at=None))
        return (Commit(_with_copy(entry, listed)), Say(Word.KEEP, event.unit, event.attempt))
    return (Commit(_with_copy(entry, replace(copy, open=0))),)


def _receipt(state: Owner, event: Receipt) -> Effects:
    """O4: only for the open attempt, only with a right proof; the list is durable before KEEP."""
    copy = state.entry.copy_at(event.unit)
    if not copy.open or copy.open != event.attempt or not event.proof_right or state.entry.deleted:
        return ()
    listed = replace(copy, open=0, listed=event.attempt, owed=False, doubted=False, proof=event.proof)
    proved = _proved(listed, event.stamp)
    return (Commit(_with_copy(state.entry, proved)), Say(Word.KEEP, event.unit, event.attempt))


def _named(state: Owner, event: Named) -> Effects:
    """R4 and R7: what becomes of a copy that its holder names."""
    entry, copy = state.entry, state.entry.copy_at(event.unit)
    if event.attempt >= state.next_attempt + FARTHEST_JUMP:
        return (
            Alarm(f"unit {event.unit} names attempt {event.attempt} of picture {entry.picture.id}, far above our own"),
        )
    raised: Effects = ()
    if event.attempt >= state.next_attempt:
        state = replace(state, next_attempt=event.attempt + 1)
        raised = (Commit(entry, state.next_attempt),)
    if copy.open:  # under its number again, which commits nothing
        return (*raised, *_place(state, event.unit))
    if copy.listed and copy.listed == event.attempt:
        return (*raised, Say(Word.KEEP, event.unit, event.attempt))
    others = sum(1 for c in entry.verified if c.unit != event.unit)
    surplus = not copy.listed and others >= event.wanted
    if event.attempt == UNKNOWN_ATTEMPT or not (entry.deleted or surplus):
        return _place(state, event.unit)  # raised in its commit, or another picture could take the number in between
    number = drop_number(state, event.unit)
    assert may_drop(state, event.unit, number, event.wanted)
    if entry.deleted and not copy.owed:
        raised = (Commit(_with_copy(entry, replace(copy, owed=True)), state.next_attempt),)
    return (*raised, Say(Word.DROP, event.unit, number))


def _gone(state: Owner, event: Gone) -> Effects:
    """LOST. Only the answer to a DROP that reaches every attempt there was settles what is owed: an older one, or one
    that was said without DROP, may come after the copy that the DROP is for was stored, which would then stay."""
    copy = state.entry.copy_at(event.unit)
    if copy.listed and copy.listed == event.attempt:
        return () if copy.suspect else (Commit(_with_copy(state.entry, _suspect(copy))),)
    if copy.owed and event.dropped and event.attempt >= drop_number(state, event.unit):
        return (Commit(_with_copy(state.entry, replace(copy, owed=False))),)
    return ()


def _audited(state: Owner, event: Audited) -> Effects:
    """R2: a failed audit makes the copy suspect, and never more than that."""
    copy = state.entry.copy_at(event.unit)
    if not copy.listed or copy.listed != event.attempt:
        return ()
    if not event.right:
        return () if copy.suspect else (Commit(_with_copy(state.entry, _suspect(copy))),)
    return (Commit(_with_copy(state.entry, _proved(copy, event.stamp))),)


def _evict(state: Owner, event: Evict) -> Effects:
    """O5: open attempts are abandoned in the same commit; then, and only then, the file goes."""
    entry = state.entry
    proved = [c for c in entry.verified if c.unit in event.fresh]
    if entry.file is File.GONE or entry.deleted or len(proved) < max(1, event.needed):
        return ()
    closed = tuple(replace(c, open=0) for c in entry.copies)
    return (Commit(replace(entry, file=File.GONE, copies=_without_blanks(closed))), Unlink())


def _delete(state: Owner, named: tuple[int, ...]) -> Effects:
    """R6: the tombstone, with every holder still owed a DROP, is durable before anything goes. named: by a record."""
    entry = state.entry
    if entry.deleted:
        return ()
    holders = {c.unit for c in entry.copies} | ({*named} - {entry.picture.id.unit})
    owed = tuple(Copy(unit, owed=True) for unit in sorted(holders))
    gone = replace(entry, deleted=True, file=File.GONE, copies=owed)
    drops = tuple(Say(Word.DROP, c.unit, state.next_attempt - 1) for c in owed)
    unlink: Effects = () if entry.file is File.GONE else (Unlink(),)
    return (Commit(gone), *unlink, *drops)


def _recorded(entry: Entry, version: int, said: Said) -> Effects:
    """R6: what was once said only raises our version above it: the list is ours, and no record writes it."""
    if version >= entry.version + FARTHEST_JUMP:
        return (Alarm(f"version {version} of the record of picture {entry.picture.id} was heard, far above our own"),)
    if entry.deleted or version < entry.version or (version, said) == (entry.version, said_by(entry)):
        return ()
    return (Commit(replace(entry, version=version + 1)),)


def _let_go(state: Owner, event: LetGo) -> Effects:
    """O8-10 without recall: O7's last clause holds, so the copy leaves the list, and only then DROP may be said."""
    entry, copy = state.entry, state.entry.copy_at(event.unit)
    if entry.deleted or not copy.listed or copy.listed != event.attempt:
        return ()
    others = sum(1 for c in entry.verified if c.unit != event.unit and c.unit in event.fresh)
    if entry.file is not File.WHOLE and others < max(1, event.wanted):
        return ()
    left = replace(state, entry=_with_copy(entry, Copy(event.unit, open=copy.open, owed=True)))
    number = drop_number(left, event.unit)
    assert may_drop(left, event.unit, number, event.wanted)
    return (Commit(left.entry), Say(Word.DROP, event.unit, number))


def _commit_with_next(entry: Entry, state: Owner, heard: int) -> Effects:
    if heard >= state.next_attempt + FARTHEST_JUMP:
        return (
            Commit(entry),
            Alarm(f"attempt {heard} of picture {entry.picture.id} was heard, far above our own"),
        )
    return (Commit(entry, max(state.next_attempt, heard + 1)),)


def _suspect(copy: Copy) -> Copy:
    return replace(copy, suspect=True, doubted=True)


def _proved(copy: Copy, stamp: Stamp) -> Copy:
    return replace(
        copy,
        suspect=False,
        verified_at=stamp.wall_s,
        verified_boot=stamp.boot,
        verified_monotonic=stamp.monotonic_s,
    )


def _with_copy(entry: Entry, copy: Copy) -> Entry:
    others = tuple(c for c in entry.copies if c.unit != copy.unit)
    return replace(entry, copies=_without_blanks((*others, copy)))


def _without_blanks(copies: tuple[Copy, ...]) -> tuple[Copy, ...]:
    return tuple(sorted((c for c in copies if c.open or c.listed or c.owed), key=lambda c: c.unit))


# ---------------------------------------------------------------- the host's events


@dataclass(frozen=True, slots=True)
class Asked:
    """REQUEST came; same_content: its length and digest are those of the row (True where there is none)."""

    owner: int
    attempt: int
    same_content: bool


@dataclass(frozen=True, slots=True)
class AllHere:
    """Every byte of a reserved attempt is in its .part (H4)."""

    picture: Picture
    attempt: int


@dataclass(frozen=True, slots=True)
class EndHeard:
    """END came under a living handle of this attempt, and the row is there (H6, R5)."""

    attempt: int


@dataclass(frozen=True, slots=True)
class KeepHeard:
    """KEEP came for this content."""

    attempt: int


@dataclass(frozen=True, slots=True)
class DropHeard:
    """DROP came for this content, from the picture's owner."""

    owner: int
    attempt: int


@dataclass(frozen=True, slots=True)
class FileLost:
    """The held file is missing or rotten: the row goes, its owner is told."""

    owner: int


@dataclass(frozen=True, slots=True)
class Released:
    """Room is wanted, and nobody decides any more about the pictures of this one's origin (R10)."""


HostEvent = Asked | AllHere | EndHeard | KeepHeard | DropHeard | FileLost | Released


def host(row: Entry | None, event: HostEvent) -> Effects:
    """The effects of one event at a host; row: what is held, or known by a record (attempt None), of this picture."""
    match event:
        case Asked():
            return _asked(row, event)
        case AllHere(picture, attempt):
            held = Entry(picture, File.WHOLE, attempt=attempt)
            if row is not None and row.picture.sha256 == picture.sha256:
                held = replace(row, picture=picture, file=File.WHOLE, attempt=attempt)
            return (PutFile(), Commit(held), Say(Word.STORED, picture.id.unit, attempt))
        case EndHeard(attempt):
            if row is None or row.attempt != attempt:
                return ()
            return (Say(Word.STORED, row.picture.id.unit, attempt),)
        case KeepHeard(attempt):
            if row is None or row.attempt != attempt or attempt == UNKNOWN_ATTEMPT or row.kept:
                return ()
            return (Commit(replace(row, kept=True)),)
        case DropHeard():
            return _drop_heard(row, event)
        case FileLost(owner_unit):
            if row is None or row.attempt is None:
                return ()
            return (Commit(row.without_file), PutAside(), Say(Word.LOST, owner_unit, row.attempt))
        case Released():
            return () if row is None or row.attempt is None else (Commit(row.without_file), Unlink())
        case _:
            assert_never(event)


def _asked(row: Entry | None, event: Asked) -> Effects:
    """H1 and H2. A copy that is held obeys REQUEST even under a tombstone: so its origin learns its number."""
    if row is None:
        return (CheckRoom(),)
    if not event.same_content:
        return (
            Say(Word.REFUSE_CONFLICT, event.owner, event.attempt),
            Alarm(f"unit {event.owner} asks for room for another content of picture {row.picture.id}"),
        )
    if row.attempt is None:
        return (TellTombstone(event.owner),) if row.deleted else (CheckRoom(),)
    if event.attempt < row.attempt:
        return (Say(Word.REFUSE_STALE, event.owner, event.attempt),)
    if event.attempt == row.attempt:
        return (Say(Word.ACCEPT, event.owner, event.attempt),)
    raised = replace(row, attempt=event.attempt, kept=False)
    return (Commit(raised), Say(Word.ACCEPT, event.owner, event.attempt))


def _drop_heard(row: Entry | None, event: DropHeard) -> Effects:
    """H7; a DROP that comes again, or of an attempt without row, is answered all the same."""
    if row is None or row.attempt is None:
        return (Withdraw(event.attempt), Say(Word.DROPPED, event.owner, event.attempt))
    if row.attempt == UNKNOWN_ATTEMPT or event.attempt < row.attempt:
        return ()
    return (Commit(row.without_file), Unlink(), Say(Word.DROPPED, event.owner, event.attempt))
