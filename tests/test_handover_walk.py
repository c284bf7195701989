"""Random walks of one origin and one host over the shipped hand-over rules, on the worst network there is.

As in handover.pml: the network is the set of all messages ever said, each of which may arrive now, later, never, or
many times; the power of either unit may go between any two effects. After every step the invariants I1 to I4 of
HANDOVER §2 must hold, and must fail with each of the ways to lose a picture that handover.pml names. The walks are
seeded; all states are visited by a model check of its own, not here.
"""

import random
from dataclasses import replace

import pytest

from firmware import handover as h
from firmware.handover import Commit, Owner, Say, Stamp, Unlink, Word
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, Entry, File, Picture, PictureId

ORIGIN, HOST = 1, 2
PICTURE = Picture(PictureId(ORIGIN, 1, 1), 1000, bytes(32))
STAMP = Stamp(None, 1, 0.0)
ATTEMPTS = 3  # numbers that the origin may give out in one walk
STEPS = 120  # of one walk; then nothing new happens
WALKS = 2000


class Broken(AssertionError):
    """An invariant does not hold."""


class Walk:
    """Origin and host of one picture. Durable: entry, next, row, the two files. todo: effects not carried out yet."""

    def __init__(self, rng):
        self.rng = rng
        self.entry, self.next, self.own_file = Entry(PICTURE, File.WHOLE, version=1), 1, True
        self.row, self.held_file, self.reserved = None, False, 0
        self.own_todo, self.host_todo = [], []
        self.to_host, self.to_origin = {}, {}  # every message ever said, in order; as sets
        self.said = {}  # what the record has said, by version

    @property
    def copy(self):
        return self.entry.copy_at(HOST)

    def step(self):
        """One thing happens, at either unit or between them."""
        at_origin = self.rng.random() < 0.5
        chance = self.rng.random()
        if chance < 0.05:
            self.cut_origin() if at_origin else self.cut_host()
        elif at_origin:
            self.carry_out_own() if self.own_todo else self.begin_own(chance)
        else:
            self.carry_out_host() if self.host_todo else self.begin_host(chance)
        self.check()

    # ------------------------------------------------------------ origin

    def begin_own(self, chance):
        if chance < 0.6 and self.to_origin:
            self.decide(self.arrived(*self.rng.choice(list(self.to_origin))))
        elif chance < 0.7 and self.entry.file is File.WHOLE and (self.copy.suspect or not self.copy.listed):
            self.decide(h.Place(HOST))
        elif chance < 0.8:
            self.decide(h.Evict(1, frozenset(copy.unit for copy in self.entry.verified)))
        elif chance < 0.85:
            self.decide(h.Abandon(HOST))
        elif chance < 0.9:
            self.decide(h.Audited(HOST, self.copy.listed, self.row is not None and self.held_file, STAMP))
        elif chance < 0.92:
            self.decide(h.Audited(HOST, self.copy.listed, False, STAMP))
        elif chance < 0.95:
            self.decide(h.Recorded(self.entry.version + self.rng.randint(-1, 2), self.any_record()))
        else:
            self.say_drop()

    def any_record(self):
        """What a keeper may have of an older list of ours."""
        return h.Said(False, self.rng.choice([(), ((HOST, False),), ((HOST, True),), ((9, False),)]))

    def arrived(self, word, attempt, more):
        if word is Word.ACCEPT:
            return h.Accepted(HOST, attempt, nothing_missing=bool(more))
        if word is Word.STORED:
            return h.Receipt(HOST, attempt, self.entry.file is File.WHOLE, b"", STAMP)
        if word is Word.REFUSE_STALE:
            return h.Stale(HOST, attempt, more)
        if word is Word.LOST:
            return h.Gone(HOST, attempt)
        if word == "COPY":
            return h.Recalled() if self.entry.file is File.GONE else None
        return h.Named(HOST, attempt, wanted=1)

    def decide(self, event):
        if event is None:
            return
        effects = h.owner(Owner(self.entry, self.next), event)
        if any(isinstance(effect, Commit) and (effect.next_attempt or 0) > ATTEMPTS + 1 for effect in effects):
            return
        self.own_todo = list(effects)
        if isinstance(event, h.Recalled):
            self.own_todo.insert(0, h.PutFile())

    def carry_out_own(self):
        match self.own_todo.pop(0):
            case Commit(entry, number):
                if entry.version < self.entry.version:
                    raise Broken("R6: the version of the record has gone down")
                self.entry, self.next = entry, max(self.next, number or 0)
            case Say(word, _, attempt):
                self.to_host[word, attempt] = None
            case Unlink():
                self.own_file = False
            case h.PutFile():
                self.own_file = True

    def say_drop(self):
        number = h.drop_number(Owner(self.entry, self.next), HOST)
        if h.may_drop(Owner(self.entry, self.next), HOST, number, 1):
            self.to_host[Word.DROP, number] = None

    def cut_origin(self):
        self.own_todo = []
        if self.own_file and self.entry.file is File.GONE:  # start-up takes it back as cache
            self.entry = replace(self.entry, file=File.WHOLE)

    # ------------------------------------------------------------ host

    def begin_host(self, chance):
        if chance < 0.7 and self.to_host:
            self.heard(*self.rng.choice(list(self.to_host)))
        elif chance < 0.75:
            self.reserved = 0
        elif self.row is None:
            self.to_origin[Word.LOST, self.rng.randint(1, ATTEMPTS), 0] = None  # the answer to a PROVE
        elif chance < 0.88:
            self.to_origin["HOLD", self.row.attempt, 0] = None
        elif self.held_file:
            self.to_origin["COPY", 0, 0] = None

    def heard(self, word, attempt):
        if word is Word.REQUEST:
            self.answer(h.Asked(ORIGIN, attempt, same_content=True))
        elif word is Word.KEEP:
            self.answer(h.KeepHeard(attempt))
        elif word is Word.DROP:
            self.answer(h.DropHeard(ORIGIN, attempt))
        elif word is Word.PARTS and self.row is None:
            if self.reserved == attempt:
                self.answer(h.AllHere(PICTURE, attempt))
                self.reserved = 0
        elif word is Word.PARTS:
            self.answer(h.EndHeard(attempt))

    def answer(self, event):
        self.host_todo = [(effect, event) for effect in h.host(self.row, event)]

    def carry_out_host(self):
        effect, event = self.host_todo.pop(0)
        match effect:
            case Commit(entry):
                self.row = entry
            case Say(word, _, attempt):
                stale = word is Word.REFUSE_STALE
                self.to_origin[word, attempt, self.row.attempt if stale else int(word is Word.ACCEPT)] = None
            case Unlink():
                self.held_file = False
            case h.PutFile():
                self.held_file = True
            case h.CheckRoom():
                self.reserved = event.attempt
                self.to_origin[Word.ACCEPT, event.attempt, 0] = None
            case h.Withdraw(attempt):
                self.reserved = 0 if self.reserved <= attempt else self.reserved

    def cut_host(self):
        self.host_todo, self.reserved = [], 0
        if self.row is None:
            self.held_file = False  # start-up: a held file without row was never STORED

    # ------------------------------------------------------------ what must hold

    def check(self):
        listed, row = self.copy.listed, self.row
        there = row is not None and self.held_file
        if not (self.own_file or there):
            raise Broken("I1: nobody has the picture")
        if listed and not (there and (row.attempt >= listed or row.attempt == UNKNOWN_ATTEMPT)):
            raise Broken("I2: the list names a holder that has it not, or an older one")
        if (row is not None and not self.held_file) or (self.entry.file is File.WHOLE and not self.own_file):
            raise Broken("I3: a row without its file")
        if self.entry.file is File.GONE and not listed:
            raise Broken("I4: no file here, and the list names nobody")
        if self.said.setdefault(self.entry.version, h.said_by(self.entry)) != h.said_by(self.entry):
            raise Broken("R6: the record says two things under one version")


def walk(rules, walks=WALKS):
    """Seeded walks with these rules; Broken at the first that breaks an invariant."""
    for seed in range(walks):
        walking = rules(random.Random(seed))
        for _ in range(STEPS):
            walking.step()


def test_the_invariants_hold_at_every_step():
    walk(Walk)


def test_the_walks_go_everywhere():
    """What follows would prove nothing if pictures were never stored, dropped, recalled, refused as stale."""
    reached = set()
    for seed in range(200):
        walking = Walk(random.Random(seed))
        for _ in range(STEPS):
            walking.step()
            reached.add((walking.entry.file, bool(walking.copy.listed), walking.copy.suspect, walking.row is not None))
        reached |= {word for word, *_ in walking.to_origin} | {word for word, *_ in walking.to_host}
    assert {*Word} - {Word.REFUSE_CONFLICT} <= reached
    assert (File.GONE, True, True, True) in reached
    assert (File.WHOLE, False, False, True) in reached


# ---------------------------------------------------------------- the ways to lose a picture, by their numbers there


class EvictedAtAccept(Walk):
    """1: the origin's file goes when the parts were sent."""

    def carry_out_own(self):
        if self.own_todo[0] == Say(Word.PARTS, HOST, self.copy.open):
            self.entry = replace(self.entry, file=File.GONE, copies=(Copy(HOST, listed=self.copy.open),))
            self.own_file = False
        super().carry_out_own()


class StoredBeforeSync(Walk):
    """2: STORED is said before file and row are durable."""

    def answer(self, event):
        super().answer(event)
        if isinstance(event, h.AllHere):
            self.host_todo.reverse()


class UnlinkedBeforeCommit(Walk):
    """3: the origin's file goes before it is durable that a holder is all there is."""

    def decide(self, event):
        super().decide(event)
        if isinstance(event, h.Evict):
            self.own_todo.reverse()


class AnyDropObeyed(Walk):
    """4: the host obeys DROP whatever its number."""

    def answer(self, event):
        if isinstance(event, h.DropHeard) and self.row is not None:
            event = replace(event, attempt=max(event.attempt, self.row.attempt))
        super().answer(event)


class CopiesExpire(Walk):
    """5: the host lets a copy go that nobody has asked about."""

    def begin_host(self, chance):
        if chance > 0.95 and self.row is not None:
            self.row, self.held_file = None, False
        else:
            super().begin_host(chance)


class DropOfTheOpenAttempt(Walk):
    """6: DROP is said for an attempt that is still listened to."""

    def say_drop(self):
        if self.copy.open:
            self.to_host[Word.DROP, self.copy.open] = None


class DropBeforeRecalled(Walk):
    """7: a recalled picture leaves the list, and DROP is said, before its file is durable."""

    def decide(self, event):
        super().decide(event)
        if isinstance(event, h.Recalled) and self.copy.listed:
            self.to_host[Word.DROP, self.copy.listed] = None


class StoredBeforeRow(Walk):
    """8: STORED is said for a raised attempt before it is durable."""

    def answer(self, event):
        super().answer(event)
        if isinstance(event, h.Asked) and self.row is not None and event.attempt > self.row.attempt:
            self.host_todo.insert(0, (Say(Word.STORED, ORIGIN, event.attempt), event))


class AnyReceiptTaken(Walk):
    """9: the origin takes any STORED, not only that of the open attempt."""

    def decide(self, event):
        if isinstance(event, h.Receipt) and not self.copy.listed:
            self.entry = replace(self.entry, copies=(Copy(HOST, open=event.attempt),))
        super().decide(event)


class RowBeforeFile(Walk):
    """10: the row is durable before the file."""

    def answer(self, event):
        super().answer(event)
        if isinstance(event, h.AllHere):
            self.host_todo[:2] = self.host_todo[1::-1]


class CounterInMemory(Walk):
    """11: the counter of attempts starts anew after a cut."""

    def cut_origin(self):
        super().cut_origin()
        self.next = 1


class VersionForgotten(Walk):
    """12: the list changes, and its version does not: a keeper would go on with the old record."""

    def decide(self, event):
        super().decide(event)
        if not isinstance(event, h.Recorded):
            self.own_todo = [self.unversioned(effect) for effect in self.own_todo]

    def unversioned(self, effect):
        if isinstance(effect, Commit) and effect.entry is not None:
            return replace(effect, entry=replace(effect.entry, version=self.entry.version))
        return effect


class RecordWritesList(Walk):
    """13: a record that is heard puts its holders into the list."""

    def decide(self, event):
        if isinstance(event, h.Recorded) and (HOST, False) in event.said.holders and not self.copy.open:
            self.entry = replace(self.entry, copies=(Copy(HOST, listed=max(1, self.next - 1)),))
        else:
            super().decide(event)


@pytest.mark.parametrize(
    "mutation",
    [
        EvictedAtAccept,
        StoredBeforeSync,
        UnlinkedBeforeCommit,
        AnyDropObeyed,
        CopiesExpire,
        DropOfTheOpenAttempt,
        DropBeforeRecalled,
        StoredBeforeRow,
        AnyReceiptTaken,
        RowBeforeFile,
        CounterInMemory,
        VersionForgotten,
        RecordWritesList,
    ],
)
def test_each_known_way_to_lose_a_picture_is_seen(mutation):
    with pytest.raises(Broken):
        walk(mutation)
