"""Finding out what an id stands for, for orders about pictures that are not known here (HANDOVER §3, WHERE)."""

from __future__ import annotations

from collections.abc import Callable

from firmware import messages as m
from firmware.core import Core
from firmware.pictures import Picture, PictureId
from firmware.searching import ANSWER_WITHIN_S, Search
from hal.light_dataclass import dataclass

MAX_FINDINGS = 16
"""At once: orders of people."""

Told = Callable[[Picture | None, str], None]


@dataclass(slots=True, eq=False)
class _Finding:
    picture: PictureId
    query: int
    search: Search
    told: Told


class Findings:
    """All questions under way. told(the picture, ""), or told(None, why)."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._all: list[_Finding] = []

    def find(self, picture: PictureId, told: Told) -> None:
        """Ask the origin, then everyone heard."""
        if len(self._all) >= MAX_FINDINGS:
            told(None, "too many are being looked for at once")
            return
        query = self.core.new_query()
        search = Search(self.core, m.Where(self.core.unit, query, picture, 0), ANSWER_WITHIN_S)
        self._all.append(_Finding(picture, query, search, told))
        self.tick()

    def on_at(self, source: int, at: m.At) -> None:
        """The first word on length and digest counts; whatever is made of it, the origin compares."""
        for finding in self._asked(at.asker, at.query, at.id):
            if finding.search.on_answer(source, knows=True):
                self._end(finding, Picture(at.id, at.size_bytes, at.sha256), "")

    def on_unknown(self, source: int, unknown: m.Unknown) -> None:
        """It does not know, or knows that it is no more."""
        for finding in self._asked(unknown.asker, unknown.query, unknown.id):
            finding.search.on_answer(source, knows=False)
            if unknown.deleted:
                self._end(finding, None, "it was deleted already")
        self.tick()

    def _asked(self, asker: int, query: int, picture: PictureId) -> list[_Finding]:
        own = asker == self.core.unit
        return [f for f in self._all if own and (f.query, f.picture) == (query, picture)]

    def _end(self, finding: _Finding, found: Picture | None, why: str) -> None:
        self._all.remove(finding)
        finding.told(found, why)

    def tick(self) -> None:
        """Questions that are due; those that nobody could answer."""
        for finding in list(self._all):
            finding.search.tick()
            if finding.search.over:
                self._end(finding, None, finding.search.result(named=False))

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not self._all:
            return None
        times = [finding.search.deadline() for finding in self._all]
        return min((at for at in times if at is not None), default=None)
