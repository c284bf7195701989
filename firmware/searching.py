"""Finding out who holds a picture: WHERE to the origin, then to everyone heard (HANDOVER §3)."""

from __future__ import annotations

from dataclasses import dataclass

from firmware import messages as m
from firmware.core import Core
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import PictureId

SEARCH_S = 8.0
"""How long answers are waited for. Guess: five questions of a link that loses every second packet."""
ORIGIN_ALONE_S = 3.0
"""The origin is asked alone for so long, for it knows best; then it may be gone, and everyone else is asked too."""
ANSWER_WITHIN_S = 18.0
"""A first search never takes longer, whatever it waits for: an unknown id is answered within 20 s (DESIGN §9)."""
MOST_DOUBLINGS = 1
"""Of the time between two questions to one unit: they are short, and there is little time (DESIGN §9)."""
MAX_ASKED = 32
"""Units asked at most, those heard last: most hosts of one picture are among them."""


@dataclass(slots=True)
class _Question:
    tries: int = 0
    again_at: float = 0.0
    answered: bool = False


class Search:
    """One question, (own unit, query), to every unit that may know. tick() at deadline() until it is `over`.

    final: the origin itself has said that nobody has the picture.
    """

    def __init__(self, core: Core, picture: PictureId, query: int) -> None:
        self.final = False
        self._core = core
        self._picture = picture
        self._query = query
        self._begun = core.now
        self._asked: dict[int, _Question] = {}
        self._everyone_at: float | None = None  # when the others are asked too; None: they have been, or nobody was
        self._ends = core.now + FIRST_NEIGHBOUR_S

    @property
    def over(self) -> bool:
        """Nobody is left who may answer."""
        if self.final or self._core.now >= self._ends:
            return True
        answered = bool(self._asked) and all(question.answered for question in self._asked.values())
        return answered and self._everyone_at is None

    def tick(self) -> None:
        """Say the questions that are due."""
        now = self._core.now
        if not self._asked:
            self._begin()
        if self._everyone_at is not None and now >= self._everyone_at:
            self._ask_everyone()
        for unit, question in sorted(self._asked.items()):
            if not question.answered and now >= question.again_at and not self.over:
                self._core.say(unit, m.Where(self._core.unit, self._query, self._picture, 0))
                estimate = self._core.neighbours.heard_before(unit).estimate
                question.again_at = now + estimate.timeout_s(min(question.tries, MOST_DOUBLINGS))
                question.tries += 1

    def deadline(self) -> float | None:
        """When tick() or `over` may have something new; None once it is over. New neighbours are no deadline."""
        if self.over:
            return None
        times = [question.again_at for question in self._asked.values() if not question.answered]
        if self._everyone_at is not None:
            times.append(self._everyone_at)
        return min([self._ends, *times])

    def on_answer(self, source: int, *, knows: bool) -> bool:
        """AT (knows) or UNKNOWN came; True if it was asked for. What the origin says is final."""
        question = self._asked.get(source)
        if question is None:
            return False
        question.answered = True
        if source == self._picture.unit:
            self._everyone_at = None
            self.final = not knows
        return True

    def widen(self) -> bool:
        """Whoever was named has failed: ask those who were not asked yet. False: there are none."""
        if self.final or not self._asked:
            return False
        self._ends = max(self._ends, self._core.now + SEARCH_S)
        before = len(self._asked)
        self._ask_everyone()
        return len(self._asked) > before

    def result(self, *, named: bool) -> str:
        """What came of it, for a person. named: somebody was named, and has failed."""
        if not self._asked:
            return "no other unit is heard"
        told = [unit for unit, question in sorted(self._asked.items()) if question.answered]
        silent = [unit for unit, question in sorted(self._asked.items()) if not question.answered]
        parts = []
        if told:
            parts.append(f"{units(told)} named nobody else" if named else f"{units(told)} knew of nobody who has it")
        if silent:
            parts.append(f"{units(silent)}, asked who has it, did not answer")
        return "; ".join(parts)

    def _begin(self) -> None:
        """As soon as anybody is heard."""
        now, origin = self._core.now, self._picture.unit
        heard = self._heard()
        if not heard:
            return
        self._ends = min(now + SEARCH_S, self._begun + ANSWER_WITHIN_S)
        if origin in heard:
            self._asked[origin] = _Question()
            self._everyone_at = now + ORIGIN_ALONE_S
        else:
            self._ask_everyone()

    def _ask_everyone(self) -> None:
        self._everyone_at = None
        for unit in self._heard():
            if len(self._asked) < MAX_ASKED:
                self._asked.setdefault(unit, _Question())

    def _heard(self) -> list[int]:
        """Units that are heard now, the one heard last first."""
        heard = [n for n in self._core.neighbours if not n.silent(self._core.now)]
        return [n.unit for n in sorted(heard, key=lambda n: (-n.last_heard, n.unit))]


def units(numbers: list[int]) -> str:
    """For a person."""
    return f"unit {numbers[0]}" if len(numbers) == 1 else f"units {', '.join(map(str, numbers))}"
