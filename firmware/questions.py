"""WHERE as it comes by: answered from what is known here, else passed on once; answers are handed back (HANDOVER §3).

Nothing here is durable, and nothing that is said here changes anything durable.
"""

from __future__ import annotations

from dataclasses import field, replace

from firmware import messages as m
from firmware.core import Core
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import Entry, File
from firmware.searching import Search
from firmware.steps import Step
from hal.light_dataclass import dataclass

MAX_QUESTIONS = 64
"""Questions remembered; beyond it the one unused for longest goes. Twice what a fleet of 50 asks in a minute; guess."""
MAX_PASSED_ON = 8
"""Of these, asked of others at once, so that no flood of questions fills the air: the others wait until they are heard
again. Guess: as many as one unit asks for (MAX_READ_OUTS)."""
REMEMBERED_S = 300.0
"""So long after it was last used the way to its holders is forgotten. Guess: an asker that has lost its way for longer
has given up."""
ANSWER_AFTER_S = 0.3
"""A question to everyone is answered, or passed on, after a random wait up to this, so that many do not speak at once:
six answers of 90 bytes at 115200."""
LAST_HOP_S = 3.0
"""How long the last unit that passes a question on waits for answers, each before it so much longer. Then nobody is
asked any more until the question is heard again: whoever has asked knows how long it makes sense. Guess."""


@dataclass(slots=True, eq=False)
class Question:
    """One (asker, query). source: the neighbour that gets the answers. ways: holder -> the neighbour that named it.

    answer: what is known by now; over: nobody is left to be asked; deleted: a person has deleted it. answer_at: when it
    is said; None: nothing is due.
    search: None while nobody is asked, also after one that had no answer in time.
    """

    where: m.Where
    source: int
    used_at: float
    search: Search | None = None
    answer: m.At | None = None
    ways: dict[int, int] = field(default_factory=dict)
    over: bool = False
    deleted: bool = False
    answer_at: float | None = None


class Questions:
    """All questions of others that came by lately."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._all: dict[tuple[int, int], Question] = {}  # by asker and query

    def __len__(self) -> int:
        return len(self._all)

    # ------------------------------------------------------------ WHERE

    def on_where(self, source: int, where: m.Where, answer_after_s: float) -> None:
        """A question; where it went to everyone the answer waits for up to answer_after_s."""
        core, key = self._core, (where.asker, where.query)
        if where.asker == core.unit or (where.hops == 0) != (where.asker == source):
            return  # our own echo, or what cannot be
        question = self._all.get(key)
        if question is not None and not _is_anew(question, where):
            question.used_at = core.now
            self._again(question, source, where)
            return
        self._make_room(key)
        question = self._all[key] = Question(where, source, core.now)
        answer_at = core.now + answer_after_s * core.rng.random()
        core.run(self._look(question, answer_at), where.id)

    def _again(self, question: Question, source: int, where: m.Where) -> None:
        """Heard again: repeated, for the answer was lost, or by another way."""
        if source != question.source:
            if question.search is not None:
                question.search.heard_asking(source, where.hops)
        elif question.search is None and question.answer is None and not question.over:
            self._pass_on(question, ANSWER_AFTER_S * self._core.rng.random())
        if question.answer is not None:
            self._core.say(source, question.answer)
        elif question.over:
            self._say_unknown(question, source)

    def _make_room(self, key: tuple[int, int]) -> None:
        self._all.pop(key, None)
        if len(self._all) >= MAX_QUESTIONS:
            del self._all[min(self._all, key=lambda key: self._all[key].used_at)]

    def _look(self, question: Question, answer_at: float) -> Step:
        """What the own catalogue says; whoever is named and not heard is looked for, so that a GET finds its way."""
        core, where = self._core, question.where
        entry = yield from core.look_up(where.id)
        holders = tuple(unit for unit in holders_of(entry, core.unit) if unit not in (where.asker, *where.without))
        if entry is not None and holders:
            picture = entry.picture
            question.answer = m.At(where.asker, where.query, where.id, holders, picture.size_bytes, picture.sha256)
        question.answer_at = answer_at
        question.deleted = entry is not None and entry.deleted
        reached = any(unit == core.unit or core.hears(unit) for unit in holders)
        if reached or _is_final(entry, where, core) or where.hops >= m.MAX_HOPS:
            question.over = True
            return
        others = [neighbour.unit for neighbour in core.neighbours if core.hears(neighbour.unit)]
        if not set(others) - {where.asker, question.source} and core.now >= core.started + FIRST_NEIGHBOUR_S:
            question.over = True  # before that others may yet be heard
        else:
            self._pass_on(question, answer_at - core.now)

    def _pass_on(self, question: Question, delay_s: float) -> None:
        """The same question to those who may know, with one more hop."""
        if sum(1 for other in self._all.values() if other.search is not None and not other.over) >= MAX_PASSED_ON:
            return
        where, unit = question.where, self._core.unit
        without = frozenset((unit, where.asker, question.source))
        within_s = LAST_HOP_S * (m.MAX_HOPS - where.hops)
        onward = replace(where, hops=where.hops + 1)
        question.search = Search(self._core, onward, within_s, without=without, delay_s=delay_s)

    # ------------------------------------------------------------ answers

    def on_at(self, source: int, at: m.At) -> None:
        """Somebody that was asked knows: remember the way, and hand it back. The first word on length and digest
        counts, the origin's own over all others."""
        question = self._asked(source, at, knows=True)
        if question is None:
            return
        known = question.answer
        if known is not None and (known.size_bytes, known.sha256) != (at.size_bytes, at.sha256):
            if source != at.id.unit:
                return
            known = None
            question.ways.clear()
        known_by_now = {*question.ways, *question.where.without, self._core.unit}
        new = [unit for unit in at.holders if unit not in known_by_now]
        question.ways.update(dict.fromkeys(new[: m.MAX_HOLDERS - len(question.ways)], source))
        holders = () if known is None else known.holders
        told = (*holders, *(unit for unit in new if unit not in holders))[: m.MAX_HOLDERS]
        if known is None or told != holders:
            question.answer = replace(at, holders=told)
            self._core.say(question.source, question.answer)
            question.answer_at = None

    def on_unknown(self, source: int, unknown: m.Unknown) -> None:
        """Somebody that was asked does not know; tick() says so, once nobody is left. That it was deleted counts at
        once, whatever others have (R6)."""
        question = self._asked(source, unknown, knows=False)
        if question is not None and unknown.deleted:
            question.deleted, question.answer, question.over = True, None, True
            self._say_unknown(question, question.source)

    def _asked(self, source: int, answer: m.At | m.Unknown, *, knows: bool) -> Question | None:
        """The question that was passed on to this unit."""
        question = self._all.get((answer.asker, answer.query))
        if question is None or question.search is None or question.where.id != answer.id:
            return None
        return question if question.search.on_answer(source, knows=knows) else None

    def _say_unknown(self, question: Question, source: int) -> None:
        where = question.where
        self._core.say(source, m.Unknown(where.asker, where.query, where.id, question.deleted))

    # ------------------------------------------------------------ ways

    def way(self, get: m.Get) -> int | None:
        """The neighbour to pass this GET to; None: not known (yet)."""
        if self._core.hears(get.holder):
            return get.holder
        question = self._all.get((get.asker, get.query))
        if question is None or question.where.id != get.id:
            return None
        question.used_at = self._core.now
        return question.ways.get(get.holder)

    def is_looking(self, get: m.Get) -> bool:
        """Whether a way may yet be found."""
        question = self._all.get((get.asker, get.query))
        return question is not None and not question.over

    def has_no_way(self, get: m.Get, by: int) -> None:
        """The neighbour by which the holder was reached has failed. Once nobody is left the question is forgotten:
        heard again, it is asked anew."""
        question = self._all.get((get.asker, get.query))
        if question is None or question.ways.get(get.holder) != by:
            return
        del question.ways[get.holder]
        if question.answer is not None:
            left = tuple(holder for holder in question.answer.holders if holder != get.holder)
            question.answer = replace(question.answer, holders=left)
        if question.answer is None or not question.answer.holders:
            del self._all[get.asker, get.query]

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Answers that are due, questions to be passed on, those that nobody could answer, those that are old."""
        if not self._all:
            return
        now = self._core.now
        for key, question in list(self._all.items()):
            if question.search is not None and not question.over:
                question.search.tick()
                answered = question.answer is not None
                question.over = question.search.settled or (question.search.over and answered)
                if question.search.over and not question.over:
                    question.search = None  # whoever asks goes on asking while there is time
            if question.answer_at is not None and now >= question.answer_at:
                self._answer(question)
            if now >= question.used_at + REMEMBERED_S:
                del self._all[key]

    def _answer(self, question: Question) -> None:
        """Once: what is known here, or that nothing is."""
        if question.answer is not None:
            self._core.say(question.source, question.answer)
        elif question.over:
            self._say_unknown(question, question.source)
        else:
            return
        question.answer_at = None

    def deadline(self) -> float | None:
        """When tick() is wanted."""
        if not self._all:
            return None
        times: list[float] = []
        for question in self._all.values():
            times.append(question.used_at + REMEMBERED_S)
            if question.answer_at is not None and (question.answer is not None or question.over):
                times.append(question.answer_at)
            if question.search is not None and not question.over:
                at = question.search.deadline()
                times.append(self._core.now if at is None else at)
        return min(times, default=None)


def holders_of(entry: Entry | None, unit: int) -> tuple[int, ...]:
    """This unit if it has the file; then those that the origin's list names, suspect ones last, or its record."""
    if entry is None or entry.deleted:
        return ()
    here = () if entry.file is File.GONE else (unit,)
    listed = (copy.unit for copy in sorted(entry.listed, key=lambda copy: (copy.suspect, copy.unit)))
    return tuple(dict.fromkeys((*here, *listed, *entry.named)))[: m.MAX_HOLDERS]


def _is_anew(question: Question, where: m.Where) -> bool:
    """The number stands for another question now; or more holders have failed the asker; or this one went no farther,
    and has come by a shorter way."""
    ended_here = question.where.hops >= m.MAX_HOPS > where.hops and question.answer is None
    more_failed = not set(where.without) <= set(question.where.without)
    return question.where.id != where.id or more_failed or ended_here


def _is_final(entry: Entry | None, where: m.Where, core: Core) -> bool:
    """Whether nobody else can know better: deleted, or never taken or held by nobody, as its origin knows."""
    if entry is None:
        return (where.id.unit, where.id.card) == (core.unit, core.card)
    return entry.deleted or (where.id.unit == core.unit and not holders_of(entry, core.unit))
