"""What the parts of a unit share: time, chance, the card's room, neighbours, the outbox, the log, and durable steps."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any

from firmware import messages as m
from firmware.commands import Done, Failed, Told
from firmware.determine import CardView, Rules, relieving
from firmware.errors import Refused
from firmware.events import (
    ClosePart,
    LookUp,
    Memory,
    OldestPartials,
    Quarantine,
    RemoveFile,
    Request,
    Save,
    SavePartial,
)
from firmware.handover import Alarm, Commit, Effects, PutAside, Say, Stamp, Unlink, Word
from firmware.journal import Journal
from firmware.neighbours import Neighbours
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.record_rows import Row, row_of
from firmware.room import Room
from firmware.steps import Step, Steps
from hal.errors import DandelionError
from hal.interfaces import TimeQuality
from hal.light_dataclass import dataclass

MOST_PARTS_IN_USE = 8
"""Partial rows of reservations that live (store.MAX_OPEN_PARTS); they tell size 0: reservations are counted apart."""
MAX_DAMAGED = 64
"""Pictures whose own file was found damaged and that are wanted back; beyond it the others still have their copies."""
MAX_OUTBOX = 256
"""Messages waiting for the radio; beyond it the oldest goes: every message of the protocol is said again if needed."""
MAX_TO_ONE = 64
"""Of these to one unit; beyond it the oldest to it goes, so that who asks without end takes nothing from others."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the config says to the core. temporary: up for one command only, hosts nothing. beacon_s: between beacons;
    where many share a slow channel they must come more seldom. without_card: why pictures are in memory only, "" if
    they are on a card. goes_on_without_card: whether the shell looks at Core.card_failed. safe_mode: no picture is
    sent (firmware/bad_starts.py)."""

    unit: int
    name: str
    rules: Rules
    capacity_bytes: int
    hosting_share: float
    patience_s: float
    temporary: bool = False
    beacon_s: float = 60.0  # 40 bytes a minute cost no link of a few units anything
    without_card: str = ""
    goes_on_without_card: bool = False
    safe_mode: bool = False


RECORD_WAIT_S = 60.0
"""What the record of a picture says is told to a keeper so long after a change: a picture of 200 kB takes 20 s of a
115200 line to its first holder, so that one page tells what became of several shots."""


class Core:
    """Shared by the parts of one unit; `now` is set by the unit before anything is handled."""

    def __init__(
        self, settings: Settings, memory: Memory, rng: random.Random, line_bytes_per_s: float, now: float
    ) -> None:
        self.settings = settings
        self.unit = settings.unit
        self.boot = memory.boot
        self.card = memory.card
        self.epoch = 0  # of the roster, told in beacons
        self.tag: Callable[[bytes], bytes] = lambda _: m.NO_TAG  # what only this unit can make (firmware/seal.py)
        self.mute = ""  # why nothing is sent any more: no member, or somebody else speaks under this number (R11)
        self.acts_for = memory.acts_for  # units gone for good whose pictures are this one's now (R10)
        self.acting: Mapping[int, int] = {}  # who acts for those that are gone, 0: nobody; by the newest roster
        self.start_anew = ""  # why the shell should end this unit, and start it again
        self.sequence = memory.sequence
        self.next_attempt = memory.next_attempt
        self.rng = rng
        self.now = now
        self.started = now
        self._age_before_s = memory.age_s
        self.calendar = {  # durable numbers that go by operating time; kept now and then, and at a clean end
            "scrub_due": memory.scrub_due_s,
            "scrub_after": 0 if memory.scrub_after is None else int.from_bytes(memory.scrub_after.encode()),
            "surplus_due": memory.surplus_due_s,
        }
        self.damaged: deque[PictureId] = deque(maxlen=MAX_DAMAGED)  # own pictures whose file was put aside
        self.hosted_bytes = Counter(dict(memory.held_by))  # held for each owner
        self.line_bytes_per_s = line_bytes_per_s
        self.wall_offset_s: float | None = None
        self.wall_quality = TimeQuality.UNSET
        self.steps = Steps()
        self.neighbours = Neighbours(line_bytes_per_s)
        self.outbox: deque[tuple[int, m.Message]] = deque(maxlen=MAX_OUTBOX)
        self.told: deque[Told] = deque()
        self.journal = Journal()
        self.burst_bytes: int | None = None  # on a half-duplex radio: pictures go in bursts of at most so much
        self.round_s: Callable[[], float] = lambda: 0.0  # there, what one burst each of all others that contend takes
        self.answer_at: float | None = None  # when the sender of the message at hand expects an answer; None: any time
        self.asked_for_bytes: dict[tuple[int, int], int] = {}  # unit, handle -> what may follow our report at once
        self._query = rng.randrange(2**16)
        self._page = rng.randrange(1, 2**16)
        self.records_due: dict[bool, float] = {}  # when own tombstones (True), other records, are looked for that lag
        self.relieving = False
        self.unlinking = 0  # files whose rows are gone and that are being removed
        self.unkept = False  # a held row waits for its KEEP that was not asked for yet
        self.owing = False  # a DROP is owed that was not said again yet
        self.changed = True  # something that a decision looks at has changed since the last look
        self.card_failed = ""  # why a shot could not be put on the card, again and again
        self.first_copy: Callable[[Picture], None] = lambda _: None  # told of an own picture whose list names somebody
        self.room = Room(
            settings.capacity_bytes,
            settings.hosting_share,
            own_bytes=memory.own_bytes,
            cache_bytes=memory.cache_bytes,
            held_bytes=memory.held_bytes,
            partial_bytes=memory.partial_bytes,
            largest_bytes=memory.largest_bytes,
        )

    # ------------------------------------------------------------ time, people, radio

    def wall_s(self) -> float | None:
        """Unix time now, None while nobody has said it."""
        return None if self.wall_offset_s is None else self.now + self.wall_offset_s

    @property
    def age_s(self) -> int:
        """Operating time: seconds that the unit has run since its catalogue was made. It stands still while it is off,
        and loses what was not kept before a power cut (firmware/operating_time.py)."""
        return self._age_before_s + int(self.now - self.started)

    def stamp(self) -> Stamp:
        """When a proof was found right: now."""
        return Stamp(self.wall_s(), self.boot, self.now)

    def log(self, event: str, text: str, picture: PictureId | None = None, unit: int | None = None) -> None:
        """One line of the memory ring that `log` prints."""
        self.journal.add(self.wall_s(), event, text, picture, unit)

    def done(self, ticket: int | None, value: object = None) -> None:
        """The command with this ticket is done; None: nobody asked."""
        if ticket is not None:
            self.told.append(Told(ticket, Done(value)))

    def failed(self, ticket: int | None, error: Refused) -> None:
        """The command with this ticket could not be done."""
        if ticket is not None:
            self.told.append(Told(ticket, Failed(error)))

    def say(self, unit: int, message: m.Message) -> None:
        """Put a message into the outbox, once while it waits there; it may be lost like everything on the air.

        Without a card what others would rely on for ever is not said (firmware/without_card.py). unit 0: nobody (R10).
        """
        if not unit or self.mute or (self.settings.without_card and _outlasts_memory(message)):
            return
        if (unit, message) in self.outbox:
            return
        waiting = [index for index, (to, _) in enumerate(self.outbox) if to == unit]
        if len(waiting) >= MAX_TO_ONE:
            del self.outbox[waiting[0]]
        self.outbox.append((unit, message))

    def record_of(self, entry: Entry) -> Row:
        """What is told to other units of an own picture; a tombstone with the tag by which it is known again."""
        row = row_of(entry)
        return replace(row, tag=self.tag_of(row)) if isinstance(row, m.Tombstone) else row

    def tag_of(self, tombstone: m.Tombstone) -> bytes:
        """The one that this unit has given to it, if it has."""
        return self.tag(tombstone.id.encode() + tombstone.sha256)

    @property
    def origins(self) -> tuple[int, ...]:
        """Whose pictures this unit decides about: its own, and of those that it acts for (R10)."""
        return (self.unit, *sorted(self.acts_for))

    def origin_after(self, origin: int) -> int | None:
        """The next of these, when all is asked about this one."""
        rest = self.origins[self.origins.index(origin) + 1 :]
        return rest[0] if rest else None

    def is_ours(self, picture: PictureId) -> bool:
        """Whether this unit decides about the copies of this picture."""
        return picture.unit == self.unit or picture.unit in self.acts_for

    def owner_of(self, origin: int) -> int:
        """Who decides about the pictures that this unit took: itself, or who acts for it (R10). 0: nobody; nor do we
        before the start at which our catalogue says so."""
        owner = self.acting.get(origin, origin)
        return 0 if owner == self.unit and origin not in (self.unit, *self.acts_for) else owner

    def is_released(self, origin: int) -> bool:
        """Whether nobody will decide any more about the pictures that this unit took."""
        return self.acting.get(origin) == 0

    def refuse_released(self, picture: PictureId) -> Refused:
        """Why nothing is done with it."""
        return Refused(
            f"unit {picture.unit}, which took picture {picture}, is gone for good, and nobody decides about it",
            did="nothing was changed",
            can="leave it: whoever holds it gives it up for room; or see `dandelion net adopt`",
        )

    def counts_elsewhere(self, picture: PictureId) -> bool:
        """Whether the attempts of this own picture are counted on a card that has failed: no number of this life's may
        be given to a copy of it, unless its holder has named the one that it has (firmware/without_card.py)."""
        return bool(self.settings.without_card) and (picture.unit, picture.card) != (self.unit, self.card)

    def hears(self, unit: int) -> bool:
        """Whether this unit may be asked for something now."""
        return self.neighbours.is_heard(unit, self.now)

    def new_query(self) -> int:
        """Number of a question to others, and so of its answers; 65536 different ones."""
        self._query = (self._query + 1) % 2**16
        return self._query

    def new_page(self) -> int:
        """Number of a page of records, or of a question for some: 1 to 65535."""
        self._page = self._page % 65_535 + 1
        return self._page

    def record_due(self, within_s: float, *, deleted: bool) -> None:
        """Own tombstones (deleted), or other records, lag behind or may: they are looked for within so many seconds."""
        due = self.now + within_s
        self.records_due[deleted] = min(due, self.records_due.get(deleted, due))

    # ------------------------------------------------------------ durable steps

    def run(
        self,
        step: Step,
        picture: PictureId | None = None,
        on_error: Callable[[DandelionError], None] | None = None,
    ) -> None:
        """Start a step; an error that it does not catch is an alarm in the log unless on_error takes it."""
        self.steps.start(step, picture, on_error or self._alarm)

    def _alarm(self, error: DandelionError) -> None:
        self.log("alarm", str(error))

    def fetch(self, request: Request) -> Step:
        """One request as a step of its own, whose result nobody waits for."""
        yield request

    def look_up(self, picture: PictureId) -> Generator[Request, Any, Entry | None]:
        """What the catalogue knows."""
        entry = yield LookUp(picture)
        assert entry is None or isinstance(entry, Entry)
        return entry

    def carry_out(
        self, picture: Picture, entry: Entry | None, effects: Effects
    ) -> Generator[Request, Any, tuple[Say, ...]]:
        """Carry the effects of one hand-over step out, in order; entry: as it is before them.

        KEEP, DROP, LOST and refusals are said here; what only the caller can say comes back to it.
        """
        rest: list[Say] = []
        for effect in effects:
            match effect:
                case Commit(new, next_attempt):
                    yield from self.save(picture, entry, new, next_attempt)
                    entry = new
                case Unlink():
                    away = self.is_ours(picture.id) and entry is not None and not entry.deleted
                    yield from self.unlink(picture, keep_preview=away)
                case PutAside():
                    yield Quarantine(picture)
                    self.room.stranded.pop(picture.id, None)
                    self.changed = True
                case Say():
                    if not self._say_word(picture, entry, effect):
                        rest.append(effect)
                case Alarm(text):
                    self.log("alarm", text, picture.id)
                case _:
                    raise AssertionError(f"{effect} is carried out by its own part")
        return tuple(rest)

    def save(
        self,
        picture: Picture,
        old: Entry | None,
        new: Entry | None,
        next_attempt: int | None = None,
        *,
        sequence: int | None = None,
        age_s: int | None = None,
    ) -> Generator[Request, Any, None]:
        """Commit one entry (None: its row goes) and keep the sums of room in step; with what is there now, where the
        COMMIT has failed: it may be done all the same. sequence, age_s: as in Save; else operating time is now."""
        if next_attempt is not None:
            self.next_attempt = max(self.next_attempt, next_attempt)
        raised = None if next_attempt is None else self.next_attempt
        # one that is held from now on counts from now on, however long a record told of it
        anew = old is not None and old.attempt is None and new is not None and new.attempt is not None
        out = (picture.id,) if new is None or anew else ()
        try:
            yield Save(() if new is None else (new,), out, raised, sequence, self.age_s if age_s is None else age_s)
        except DandelionError as error:
            try:
                found = yield from self.look_up(picture.id)
            except DandelionError:
                raise error from None
            self.account(picture, old, found)
            raise
        self.account(picture, old, new)

    def unlink(self, picture: Picture, *, keep_preview: bool) -> Generator[Request, Any, None]:
        """Remove the file of a row that is committed as gone; its bytes count as taken until it really is."""
        self.unlinking += 1
        try:
            yield RemoveFile(picture, keep_preview)
        finally:
            self.unlinking -= 1
            self.changed = True
        self.room.stranded.pop(picture.id, None)

    def account(self, picture: Picture, old: Entry | None, new: Entry | None) -> None:
        """Keep the sums of room in step with a row that was committed."""
        self.changed = self.changed or _decisive(old) != _decisive(new)
        self.unkept = self.unkept or (new is not None and new.attempt is not None and not new.kept)
        self.owing = self.owing or (new is not None and any(copy.owed for copy in new.copies))
        ours = self.is_ours(picture.id)
        if ours and new is not None and new.verified and not (old and old.verified):
            self.first_copy(picture)
        size = picture.size_bytes
        was, will = _has_file(old), _has_file(new)
        if ours and new is not None and (old is None or old.version != new.version):
            self.record_due(0.0 if new.deleted else RECORD_WAIT_S, deleted=new.deleted)
        if ours:
            self.room.own_bytes += size * (will - was)
            self.room.cache_bytes += size * (self.is_cache(new) - self.is_cache(old))
        else:
            self.room.held_bytes += size * (will - was)
            self.hosted_bytes[picture.id.unit] += size * (will - was)
        if was and not will:
            self.room.stranded[picture.id] = size
        elif will:
            self.room.stranded.pop(picture.id, None)

    def make_way(self) -> Generator[Request, Any, None]:
        """Kept .part files are no reservations: the oldest go when room is wanted (HANDOVER §1)."""
        while self.room.used_bytes > self.room.limit_bytes and self.room.partial_bytes > 0:
            oldest = yield OldestPartials(MOST_PARTS_IN_USE + 1)
            kept = next((partial for partial in oldest if partial.size_bytes), None)
            if kept is None:
                return
            yield ClosePart(kept.picture, keep=False)
            yield SavePartial(kept.picture, 0, b"", 0)
            self.room.partial_bytes = max(0, self.room.partial_bytes - kept.size_bytes)

    def is_cache(self, entry: Entry | None) -> bool:
        """Whether this own picture's file may be dropped once proofs are fresh."""
        return (
            entry is not None
            and entry.file is not File.GONE
            and len(entry.verified) >= self.settings.rules.wanted(entry.picture.priority)
        )

    def _say_word(self, picture: Picture, entry: Entry | None, say: Say) -> bool:
        pid, digest4 = picture.id, picture.digest4
        match say.word:
            case Word.KEEP:
                self.say(say.unit, m.Keep(pid, say.attempt, digest4))
            case Word.DROP:
                self.say(say.unit, m.Drop(pid, say.attempt, digest4))
            case Word.LOST | Word.DROPPED:
                self.say(say.unit, m.Lost(pid, say.attempt, say.word is Word.DROPPED))
            case Word.REFUSE_CONFLICT:
                self.say(say.unit, m.Refuse(pid, say.attempt, m.RefuseWhy.CONFLICT, 0, 0, 0))
            case Word.REFUSE_STALE:
                assert entry is not None
                assert entry.attempt is not None
                self.say(say.unit, m.Refuse(pid, say.attempt, m.RefuseWhy.STALE, 0, 0, entry.attempt))
            case _:
                return False
        return True

    # ------------------------------------------------------------ views for decisions

    def card_view(self) -> CardView:
        """The card as the determining section sees it; remembers whether it is being relieved."""
        view = CardView(self.room.limit_bytes, self.room.fixed_bytes, self.room.recent_bytes, self.relieving)
        self.relieving = relieving(view, self.settings.rules)
        return CardView(view.capacity_bytes, view.fixed_bytes, view.recent_bytes, self.relieving)


def _outlasts_memory(message: m.Message) -> bool:
    """What must be said only by who knows what is on its card."""
    return isinstance(message, m.Keep | m.Drop | m.Inventory) or (isinstance(message, m.Lost) and message.dropped)


def _decisive(entry: Entry | None) -> object:
    """Whatever the determining section, the look for pictures that lack copies and the sums of room read of it; the
    stamp of a proof is none of it."""
    if entry is None:
        return None
    copies = tuple((copy.unit, copy.open, copy.listed, copy.suspect) for copy in entry.copies)
    return entry.file, entry.attempt is None, entry.deleted, entry.picture.priority, copies


def _has_file(entry: Entry | None) -> bool:
    return entry is not None and entry.file is not File.GONE
