"""Finding out who holds a picture: WHERE to the origin, then to everyone who hears it (HANDOVER §3).

The asker does so, and whoever passes its question on: see questions.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from firmware import messages as m
from firmware.core import Core
from firmware.neighbours import FIRST_NEIGHBOUR_S
from firmware.pictures import EVERYONE
from firmware.wording import units
from hal.light_dataclass import dataclass

ANSWER_WITHIN_S = 18.0
"""A first search never takes longer, whatever it waits for: an unknown id is answered within 20 s (DESIGN §9)."""
SEARCH_S = 15.0
"""How long answers are waited for once anybody is heard: a unit that passes a question on takes up to 12 s of it."""
OWNER_ALONE_S = 3.0
"""The origin, or who acts for it, is asked alone for so long, for it knows best; then everyone else is asked too."""
OWNER_ALONE_SHARE = 1 / 3
"""And never for longer than this share of the time there is."""
MOST_DOUBLINGS = 1
"""Of the time between two questions to the origin: they are short, and there is little time (DESIGN §9)."""
AGAIN_S, LONGEST_AGAIN_S, LONGER_BY = 1.0, 2.0, 1.25
"""A question to everyone, which nobody acknowledges, is said again after this long (±25 %), then after so much longer
each time, up to the longest: eight times in 12 s. With 30 % of packets lost a hop then fails once in 200 times."""
AGAIN_BYTES = 300
"""And on a slow line after the time for so many bytes more: the question, an answer, and what stood before them."""
ENOUGH_PASSES = 4
"""A question that so many others were heard to pass on is not passed on too: those near have heard it. Guess, from
what is known of broadcasts that are suppressed by counting: with 3 or 4 nearly everyone is reached."""
MOST_WIDENINGS = 2
"""Times that everyone is asked again because those that were named have failed."""
MOST_ASKED = 256
"""Units whose answers are waited for: as many as are remembered at all (neighbours.py)."""


@dataclass(slots=True)
class _Asked:
    """One unit. answered: AT or UNKNOWN came; asking: it was heard to ask the same, and tells whom it has it from."""

    answered: bool = False
    asking: bool = False


class Search:
    """One question to every unit that may know. tick() at deadline() until it is `over`.

    without: units that are not asked: those that want to know. delay_s: before the first question to everyone.
    final: the origin itself has said that nobody has the picture. known: somebody has said who has it: no question is
    said any more, but later answers count.
    """

    def __init__(
        self,
        core: Core,
        where: m.Where,
        within_s: float,
        *,
        without: frozenset[int] = frozenset(),
        delay_s: float = 0.0,
    ) -> None:
        self.final = False
        self.known = False
        self._core = core
        self._where = where
        self._owner = core.owner_of(where.id.unit)  # who knows best: the origin, or who acts for it
        self._without = without
        self._within_s = within_s
        self._begun = core.now
        self._delay_s = delay_s
        self._asked: dict[int, _Asked] = {}
        self._ends = core.now + min(within_s, FIRST_NEIGHBOUR_S)
        self._owner_alone = False
        self._everyone_at = core.now  # when everyone is asked, while the origin is asked alone
        self._left_to_others = False
        self._widened = 0
        self._again_at = core.now  # when the question is due
        self._tries = 0

    @property
    def over(self) -> bool:
        """Nobody is left who may answer, or time is over."""
        return self.settled or self._core.now >= self._ends

    @property
    def settled(self) -> bool:
        """Whoever may know has answered, or tells others."""
        if self.final or self._left_to_others:
            return True
        if self._owner_alone:
            return self.known
        return bool(self._asked) and all(asked.answered or asked.asking for asked in self._asked.values())

    def tick(self) -> None:
        """Say the question if it is due."""
        now = self._core.now
        if not self._asked:
            self._begin()
        if self._owner_alone and not self.known and now >= self._everyone_at:
            self._ask_everyone(now + self._delay_s)
        if not self._asked or self.known or self.over or now < self._again_at:
            return
        self._core.say(self._owner if self._owner_alone else EVERYONE, self._where)
        self._again_at = now + (self._owner_again_s() if self._owner_alone else self._everyone_again_s())
        self._tries += 1

    def deadline(self) -> float | None:
        """When tick() or `over` may have something new; None once it is over. New neighbours are no deadline."""
        if self.over:
            return None
        times = [self._ends]
        if self._asked and not self.known:
            times.append(self._again_at)
        if self._owner_alone:
            times.append(self._everyone_at)
        return min(times)

    def on_answer(self, source: int, *, knows: bool) -> bool:
        """AT (knows) or UNKNOWN came; True if it was asked for. What the origin says itself is final."""
        if not self._asked or source in self._without or (self._owner_alone and source not in self._asked):
            return False
        if len(self._asked) < MOST_ASKED:
            self._asked.setdefault(source, _Asked()).answered = True
        self.known = self.known or knows
        if source == self._where.id.unit:
            self.final = not knows
        return True

    def heard_asking(self, unit: int, hops: int) -> None:
        """It asks the same, and so often passed on the question is not from us: it tells others what it finds out."""
        if hops > self._where.hops:
            return
        if self._asked and (unit in self._asked or len(self._asked) < MOST_ASKED):
            self._asked.setdefault(unit, _Asked()).asking = True
        if self._tries == 0 and sum(asked.asking for asked in self._asked.values()) >= ENOUGH_PASSES:
            self._left_to_others = True

    def widen(self, failed: Iterable[int]) -> bool:
        """Whoever was named has failed: ask everyone (again), for there may be others, or other ways. failed: those
        that no other way would help. False: that was done often enough, or nobody was named."""
        if not self.known or self._widened >= MOST_WIDENINGS:
            return False
        self._widened += 1
        self._ends = self._core.now + min(SEARCH_S, self._within_s)
        self._asked = {}
        self.known = False
        self._where = replace(self._where, without=tuple(sorted(failed))[: m.MAX_HOLDERS])
        self._ask_everyone(self._core.now)
        return bool(self._asked)

    def result(self, *, named: bool) -> str:
        """What came of it, for a person. named: somebody was named, and has failed."""
        if not self._asked:
            return "no other unit is heard"
        told = [unit for unit, asked in sorted(self._asked.items()) if asked.answered]
        silent = [unit for unit, asked in sorted(self._asked.items()) if not asked.answered]
        parts = []
        if told:
            parts.append(f"{units(told)} named nobody else" if named else f"{units(told)} knew of nobody who has it")
        if silent:
            parts.append(f"{units(silent)}, asked who has it, did not answer")
        return "; ".join(parts)

    def _begin(self) -> None:
        """As soon as anybody is heard."""
        now, owner = self._core.now, self._owner
        heard = self._heard()
        if not heard:
            return
        self._ends = min(now + SEARCH_S, self._begun + self._within_s)
        if owner in heard:
            self._owner_alone = True
            self._asked[owner] = _Asked()
            self._everyone_at = now + min(OWNER_ALONE_S, OWNER_ALONE_SHARE * self._within_s)
        else:
            self._ask_everyone(now + self._delay_s)

    def _ask_everyone(self, at: float) -> None:
        self._owner_alone = False
        for unit in self._heard():
            self._asked.setdefault(unit, _Asked())
        self._tries, self._again_at = 0, at

    def _heard(self) -> list[int]:
        """Units that are heard now and may know."""
        return [n.unit for n in self._core.neighbours if n.unit not in self._without and not n.silent(self._core.now)]

    def _owner_again_s(self) -> float:
        estimate = self._core.neighbours.heard_before(self._owner).estimate
        return estimate.timeout_s(min(self._tries, MOST_DOUBLINGS))

    def _everyone_again_s(self) -> float:
        again_s = min(LONGEST_AGAIN_S, AGAIN_S * LONGER_BY**self._tries) * (0.75 + 0.5 * self._core.rng.random())
        return again_s + AGAIN_BYTES / self._core.line_bytes_per_s
