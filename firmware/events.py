"""What the core asks of the shell (requests) and what it is told (events). Values only.

Every request is answered once, later, by Answer with the request's token: `result` as the request's docstring says,
or `error` (a DandelionError). The core never waits: between a request and its answer it goes on with everything else,
but for steps on the same picture (HANDOVER R13).
"""

from __future__ import annotations

from dataclasses import field

from firmware.pictures import Entry, File, Picture, PictureId
from hal.errors import DandelionError
from hal.interfaces import Occasion, Shot, TimeQuality
from hal.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the request that was given out with this token."""

    token: int
    result: object = None
    error: DandelionError | None = None


# ---------------------------------------------------------------- requests: camera


@dataclass(frozen=True, slots=True)
class TakePicture:
    """Result: Shot. Errors: CameraError, CameraHung."""

    occasion: Occasion


# ---------------------------------------------------------------- requests: card (recipes of HANDOVER §1, store.py)


@dataclass(frozen=True, slots=True)
class KeepShot:
    """Recipe 1-4 for an own picture, its preview too. On any error the card is as before.

    Result: Picture, as it is on the card: with its id in it (Shot.named), and the digest of that.
    """

    picture: Picture
    shot: Shot


@dataclass(frozen=True, slots=True)
class BeginPart:
    """Reserve tmp/<id>.part for a picture to be received, or take up the one kept from an earlier try.

    Result: int, the length of the beginning that is there already (0 for a new one). Errors: CardFull.
    kept_bytes: synced length of the partial row of the same digest, 0 if there is none.
    """

    picture: Picture
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class WritePart:
    """Write received bytes into the .part. Result: None."""

    picture: PictureId
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SyncPart:
    """fsync the .part. Result: None."""

    picture: PictureId


@dataclass(frozen=True, slots=True)
class FinishPart:
    """Recipe 2-4 for a .part with all its bytes: fsync, read back, compare, rename, fsync the directory.

    Result: bytes, the proof: BLAKE2b-128 keyed with nonce over the bytes read back; or None: the digest was
    wrong and the .part is gone.
    """

    picture: Picture
    nonce: bytes


@dataclass(frozen=True, slots=True)
class ClosePart:
    """Let go of the .part; keep=True leaves the file to resume from. Result: None; fine if there is none."""

    picture: PictureId
    keep: bool


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Result: bytes of the own or held file, fewer only at its end."""

    picture: Picture
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DigestFile:
    """Read the whole file back from the medium. It and its directory are synced before (adoption, HANDOVER §1), unless
    durable: the row says WHOLE, and was committed after such a sync.

    Result: Digests(whole, proofs): whole = length and sha256 are right; one proof per nonce, in order.
    Errors: CardError, also when the file is not there.
    """

    picture: Picture
    nonces: tuple[bytes, ...] = field(default=(), repr=False)
    durable: bool = False

    @classmethod
    def of(cls, entry: Entry, *nonces: bytes) -> DigestFile:
        """Of the file of this row: synced first unless the row says WHOLE."""
        return cls(entry.picture, nonces, durable=entry.file is File.WHOLE)


@dataclass(frozen=True, slots=True)
class Digests:
    """Result of DigestFile."""

    whole: bool
    proofs: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Unlink the own or held file and sync its directory; its preview goes too unless kept. Result: None; fine if
    it is gone already."""

    picture: Picture
    keep_preview: bool


@dataclass(frozen=True, slots=True)
class ReadPreview:
    """Result: bytes of the preview, empty if there is none."""

    picture: PictureId


@dataclass(frozen=True, slots=True)
class SavePreview:
    """Keep the preview of a held picture; best effort, as that of an own one. Result: None."""

    picture: PictureId
    preview: bytes


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Move the own or held file into quarantine/, durably, never over another one. Result: None; fine if it is gone."""

    picture: Picture


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """Result: int, bytes that pictures may still take on the file system; what stays free of it is left out."""


# ---------------------------------------------------------------- requests: catalogue


@dataclass(frozen=True, slots=True)
class LookUp:
    """Result: Entry or None."""

    picture: PictureId


@dataclass(frozen=True, slots=True)
class Save:
    """One durable transaction: whole entries put in place of what was known of them, rows removed, counters set.

    Result: None, after COMMIT. next_attempt, sequence: None leaves them. age_s: operating time now, of a new picture at
    its shutter; with it the time is kept that own pictures are without a verified copy (R12).
    """

    entries: tuple[Entry, ...] = ()
    removed: tuple[PictureId, ...] = ()
    next_attempt: int | None = None
    sequence: int | None = None
    age_s: int | None = None


@dataclass(frozen=True, slots=True)
class SavePartial:
    """Durable partial row of a .part: synced_bytes of its beginning are on the medium. 0 removes the row. Result: None.

    size_bytes: what the .part takes on the card, which is the whole picture's size.
    """

    picture: PictureId
    attempt: int
    sha256: bytes
    synced_bytes: int
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LookUpPartial:
    """Result: Partial or None."""

    picture: PictureId


@dataclass(frozen=True, slots=True)
class Partial:
    """A partial row. kept_since: Unix seconds when it was last written."""

    picture: PictureId
    attempt: int
    sha256: bytes
    synced_bytes: int
    size_bytes: int  # what the .part takes on the card
    kept_since: float = 0.0


@dataclass(frozen=True, slots=True)
class OldestPartials:
    """Result: list[Partial], oldest first, at most limit."""

    limit: int


@dataclass(frozen=True, slots=True)
class Lacking:
    """Own pictures with the file here and fewer verified holders than wanted, priority first, then oldest.

    Result: list[Entry], without those in skip. Oldest = first known to this catalogue.
    """

    copies: int
    priority_copies: int
    limit: int
    skip: frozenset[PictureId] = frozenset()


@dataclass(frozen=True, slots=True)
class Cached:
    """Own pictures with the file here and at least `copies` (priority_copies) verified holders, oldest first.

    after: only those known later than this one; None: from the oldest on. Result: list[Entry].
    """

    copies: int
    priority_copies: int
    limit: int
    after: PictureId | None = None


@dataclass(frozen=True, slots=True)
class OwnInDoubt:
    """Own pictures, not deleted, that need a look: an attempt open, a suspect holder, or no file and no holder.

    Result: list[Entry] with ids above `after`, ascending.
    """

    after: PictureId | None
    limit: int


@dataclass(frozen=True, slots=True)
class Owed:
    """Own pictures with a holder that is still owed a DROP. Result: list[Entry], ids above `after`."""

    after: PictureId | None
    limit: int


@dataclass(frozen=True, slots=True)
class Held:
    """Pictures held here of one owner (None: of all), ids above `after`, ascending; unkept_only: those without KEEP.

    Result: list[Entry].
    """

    owner: int | None
    after: PictureId | None
    limit: int
    unkept_only: bool = False


@dataclass(frozen=True, slots=True)
class OldestHeld:
    """Pictures held here, confirmed by their owners and whole, oldest first; after: held later than this one.

    Result: list[Entry].
    """

    limit: int
    after: PictureId | None = None


@dataclass(frozen=True, slots=True)
class Away:
    """Own pictures whose file is gone, with a verified holder but fewer than wanted: priority first, then oldest.

    Result: list[Entry], without those in skip.
    """

    copies: int
    priority_copies: int
    limit: int
    skip: frozenset[PictureId] = frozenset()


@dataclass(frozen=True, slots=True)
class ListedAt:
    """Own pictures that this unit is listed for, not suspect. Result: list[Entry] in no order that means anything."""

    unit: int
    limit: int


@dataclass(frozen=True, slots=True)
class DrawnAt:
    """Own pictures that a unit holds, none of them suspect, in an order by chance from this point on, round and round.

    start: 0 to 2**32 - 1. here: those with the file here, else those without. Result: list[PictureId].
    """

    unit: int
    start: int
    limit: int
    here: bool


@dataclass(frozen=True, slots=True)
class Doubted:
    """Own pictures with a holder that has been suspect. Result: list[Entry] with ids above `after`, ascending."""

    after: PictureId | None
    limit: int


@dataclass(frozen=True, slots=True)
class NextFile:
    """Result: Entry or None, the first one with a file on this card and an id above `after` (None: of all)."""

    after: PictureId | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A question for a holder of a picture whose own file is gone, and its right answer (R9); used once.

    due_s: operating time at which it is to be asked. nonce, digest: empty: no question is left, they must be renewed.
    """

    picture: PictureId
    unit: int
    due_s: int
    nonce: bytes = field(default=b"", repr=False)  # a holder that knew them could do without the picture
    digest: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class SavePairs:
    """Put these in place of all that the same pictures have for the same units. Result: None, after COMMIT."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class DuePairs:
    """Result: tuple of Pair, those for this unit that are due, the one due longest first; at most limit."""

    unit: int
    age_s: int
    limit: int


@dataclass(frozen=True, slots=True)
class FirstPair:
    """Result: Pair or None, the next one of this picture for this unit, whether it is due or not."""

    picture: PictureId
    unit: int


@dataclass(frozen=True, slots=True)
class UsePair:
    """Take this pair away, so that it is never used again. Result: None, after COMMIT."""

    pair: Pair


@dataclass(frozen=True, slots=True)
class SaveCalendar:
    """Keep operating time and what goes by it. Result: None, after COMMIT.

    counters: durable numbers by name; heard: at which operating time units were heard last.
    """

    counters: tuple[tuple[str, int], ...]
    heard: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Entries whose file's digest has not been checked yet, oldest first; after: known later than this one.

    Result: list[Entry].
    """

    limit: int
    after: PictureId | None = None


@dataclass(frozen=True, slots=True)
class SaveOrder:
    """A person's order to delete a picture of another origin, kept until its tombstone comes; done=True removes it.

    Result: None, after COMMIT.
    """

    picture: PictureId
    sha256: bytes
    done: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """Result: list[(PictureId, sha256)], the delete orders not yet answered, ids above `after`, ascending."""

    after: PictureId | None
    limit: int


@dataclass(frozen=True, slots=True)
class SaveDecision:
    """Keep one decision with its inputs for `explain`: the newest 20 per picture stay. Result: None."""

    picture: PictureId
    text: str
    inputs: dict[str, object] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Result: list[SaveDecision], the kept decisions on this picture, oldest first."""

    picture: PictureId


@dataclass(frozen=True, slots=True)
class Page:
    """A page of `list`: entries that are not deleted, of one origin (None: of all), ids above `after`.

    since_unix_s: only pictures known to be taken then or later, ordered by origin, time and id; None: all, ordered
    by id. `after` is the last id of the page before. Result: list[Entry].
    """

    origin: int | None
    since_unix_s: float | None
    after: PictureId | None
    limit: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Result: Counted, for `status`."""

    copies: int
    priority_copies: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Result of Counts: own pictures with the file here, pictures held for others, own ones that lack copies.

    deletes_pending: deletes not sure yet: own tombstones that no other unit keeps, orders that origins have not
    answered. urgent: of those that lack copies, the priority ones with the file here; away: those whose file is gone.
    exposed: own ones with the file here and no verified copy; the oldest of them, and operating time at its shutter
    (None: not known). one_holder: own ones whose file is gone, with one verified copy; unproved: with none.
    suspect: copies. covered_s: how long the latest pictures were exposed that are not any more, the newest last.
    """

    own: int
    held: int
    lacking: int
    deletes_pending: int = 0
    urgent: int = 0
    away: int = 0
    exposed: int = 0
    one_holder: int = 0
    unproved: int = 0
    oldest: Picture | None = None
    oldest_since_s: int | None = None
    suspect: int = 0
    covered_s: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveName:
    """Remember a neighbour's name over restarts. Result: None."""

    unit: int
    name: str


@dataclass(frozen=True, slots=True)
class SaveInventoried:
    """This unit's INVENTORY has been taken in whole: it need not be asked again (R7). Result: None, after COMMIT."""

    unit: int


@dataclass(frozen=True, slots=True)
class SaveRoster:
    """The network's newest roster, in place of the one before; encoded: as its signer has made it. Result: None, after
    COMMIT."""

    epoch: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Own records whose newest version no other unit keeps; deleted: the tombstones among them, or the others.

    Result: list[Unkept] with ids above `after`, ascending.
    """

    deleted: bool
    after: PictureId | None
    limit: int


@dataclass(frozen=True, slots=True)
class Unkept:
    """One of them; keepers: units that keep an older version of it."""

    entry: Entry
    keepers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StaleRecords:
    """Own records of which these units keep an older version. Result: dict[int, list[Entry]], by those units that do;
    of each at most limit, ids ascending."""

    units: tuple[int, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class SaveRecorded:
    """This unit keeps our records of these versions, on the card of this number; under another one it has lost what it
    had confirmed before. Result: None, after COMMIT."""

    unit: int
    card: int
    versions: tuple[tuple[PictureId, int], ...]


@dataclass(frozen=True, slots=True)
class KeptRecords:
    """Records of this other unit's pictures that are kept here, ids above `after`, ascending. Result: list[Entry]."""

    owner: int
    after: PictureId | None
    limit: int


@dataclass(frozen=True, slots=True)
class ThinRecords:
    """Let the oldest living records of others' pictures go that are more than so many; not where a file is held.

    Result: RecordCount, of what is left.
    """

    most: int
    most_per_origin: int


@dataclass(frozen=True, slots=True)
class RecordCount:
    """Pictures of others known by a record alone: living ones, and tombstones."""

    records: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class SaveRecollected:
    """All records of ours that this unit keeps have been taken in (R7). Result: None, after COMMIT."""

    unit: int


@dataclass(frozen=True, slots=True)
class Names:
    """Result: dict[int, str], the names of units that were ever told."""


CardRequest = (
    KeepShot
    | BeginPart
    | WritePart
    | SyncPart
    | FinishPart
    | ClosePart
    | ReadFile
    | DigestFile
    | RemoveFile
    | ReadPreview
    | SavePreview
    | Quarantine
    | FreeSpace
)
CatalogueRequest = (
    LookUp
    | Save
    | SavePartial
    | LookUpPartial
    | OldestPartials
    | Lacking
    | Cached
    | OwnInDoubt
    | Owed
    | Held
    | OldestHeld
    | Away
    | ListedAt
    | DrawnAt
    | Doubted
    | NextFile
    | SavePairs
    | DuePairs
    | FirstPair
    | UsePair
    | SaveCalendar
    | Unchecked
    | SaveOrder
    | Orders
    | SaveDecision
    | Decisions
    | Page
    | Counts
    | SaveName
    | SaveInventoried
    | SaveRoster
    | Unrecorded
    | StaleRecords
    | SaveRecorded
    | KeptRecords
    | ThinRecords
    | SaveRecollected
    | Names
)
Request = TakePicture | CardRequest | CatalogueRequest


# ---------------------------------------------------------------- what the unit knows at start


@dataclass(frozen=True, slots=True)
class Memory:
    """What start-up found: the durable counters and the sums that room is reckoned from."""

    boot: int  # this process's boot number, committed already
    card: int  # card number of new pictures
    sequence: int  # of the last own picture; the next one is higher
    next_attempt: int
    own_bytes: int  # own files on the card
    cache_bytes: int  # of these, with enough verified holders
    held_bytes: int  # files held for others
    partial_bytes: int  # kept .part files
    largest_bytes: int  # the largest of the latest own pictures, 0 if none
    new_catalogue: bool  # made anew at this start
    age_s: int = 0  # operating time: seconds that the unit has run since this catalogue was made
    heard: tuple[tuple[int, int], ...] = ()  # units, and operating time when each was heard last
    scrub_due_s: int = 0  # operating time at which the next file is to be read again
    scrub_after: PictureId | None = None  # the last one that was
    surplus_due_s: int = 0  # operating time at which copies beyond those wanted are looked for
    held_by: tuple[tuple[int, int], ...] = ()  # owners, and bytes that are held for each
    inventoried: frozenset[int] = frozenset()  # units whose INVENTORY this catalogue has taken in (R7)
    recollected: frozenset[int] = frozenset()  # units whose records of our pictures it has taken in (R7)
    keepers: tuple[tuple[int, int], ...] = ()  # units that confirmed records of ours, with their card numbers then
    roster: bytes = b""  # the newest one that has come by radio, as it was signed
    acts_for: frozenset[int] = frozenset()  # units gone for good whose pictures are this one's now (R10)
    lost_held: tuple[Entry, ...] = ()  # held rows whose file was missing, removed: tell their origins LOST


@dataclass(frozen=True, slots=True)
class WallClock:
    """Event: wall time as of `now`, for people; sent at start and whenever it jumped or its quality changed."""

    unix_s: float
    quality: TimeQuality
