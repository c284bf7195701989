"""Keeping what other origins' lists say of their pictures: merged, durable, bounded, told to who asks (HANDOVER R6)."""

from __future__ import annotations

from firmware import messages as m
from firmware.core import Core
from firmware.events import KeptRecords, RecordCount, Save, SaveOrder, ThinRecords
from firmware.record_rows import Row, contradicts, id_of, merged, page_of, picture_of, row_of, rows_of
from firmware.steps import Step
from firmware.wording import units
from hal.light_dataclass import dataclass

MAX_RECORDS, MAX_RECORDS_PER_ORIGIN = 50_000, 20_000
"""Living records of others' pictures kept here, 8 MB of the card at 165 bytes each (measured): 50 units × 720 pictures
a month come to 36,000, of which one unit keeps its share only."""
MAX_TOMBSTONES = 50_000
"""Tombstones of others' pictures kept here, 6 MB at 125 bytes each (measured): they never go, so beyond it none is
taken."""
MAX_TAKING = 16
"""Pages being taken in at once; more of them come again."""
THIN_EVERY = 64
"""Records newly kept between two looks at the limits."""


@dataclass(slots=True, eq=False)
class _Taking:
    """A page being taken in. left: rows that are not durable yet; kept: bits of those that are."""

    source: int
    page: int
    left: set[int]
    kept: int = 0


class Keeping:
    """The records of others that are on this card, and the pages that bring them."""

    def __init__(self, core: Core, rows: int) -> None:
        """rows: of one page."""
        self.core = core
        self._rows = rows
        self._taking: list[_Taking] = []
        self._since_thinned = THIN_EVERY
        self._full = False

    def on_records(self, source: int, page: m.Records) -> None:
        """Durable before it is confirmed; where the card fails nothing is, and the page comes again.

        A unit without a card keeps none of it, which has others asked. Only who decides about a picture is believed:
        its origin, or who acts for it.
        """
        core = self.core
        others = {id_of(row).unit for row in rows_of(page) if core.owner_of(id_of(row).unit) != source}
        if wronged := sorted(others - core.acting.keys()):  # of those that are gone the two may have other rosters
            core.log("alarm", f"unit {source} tells what only {units(wronged)} may", unit=source)
        if self.core.settings.without_card or others:
            if page.page:
                self.core.say(source, m.RecordsKept(page.page, 0, self.core.card))
            return
        taking = _Taking(source, page.page, set(range(len(rows_of(page)))))
        if len(self._taking) >= MAX_TAKING or any((t.source, t.page) == (source, page.page) for t in self._taking):
            return  # it comes again
        self._taking.append(taking)
        for number, row in enumerate(rows_of(page)):
            self.core.run(self._take(taking, number, row), id_of(row), lambda error: self._not_taken(taking, error))
        if not taking.left:
            self._taken(taking)

    def _take(self, taking: _Taking, number: int, row: Row) -> Step:
        if (yield from self._keep(taking.source, row)):
            taking.kept |= 1 << number
        taking.left.discard(number)
        if not taking.left:
            self._taken(taking)

    def _taken(self, taking: _Taking) -> None:
        self._taking.remove(taking)
        if taking.page:
            self.core.say(taking.source, m.RecordsKept(taking.page, taking.kept, self.core.card))

    def _not_taken(self, taking: _Taking, error: Exception) -> None:
        if taking in self._taking:
            self._taking.remove(taking)
        taking.left.add(-1)  # so that it is never confirmed
        self.core.log("card", f"records of unit {taking.source} could not be kept: {error}", unit=taking.source)

    def _keep(self, source: int, row: Row) -> Step:
        """True: the row, or what says the same or more, is on this card."""
        core, told = self.core, picture_of(row)
        entry = yield from core.look_up(told.id)
        if entry is not None and entry.picture.sha256 != told.sha256:
            text = f"unit {source} has a record of another content under the id {told.id}; it was not kept"
            core.log("alarm", text, told.id, source)
            return False
        if entry is None:
            yield from self._thin()
            if self._full and isinstance(row, m.Tombstone):
                return False
        known = merged(entry, row)
        if known is not entry:
            yield Save(entries=(known,))
            core.changed = True
        if isinstance(row, m.Tombstone):
            yield SaveOrder(told.id, told.sha256, done=True)
        if not contradicts(known, row):
            return True
        core.say(source, page_of(0, [row_of(known)]))  # it has lost its list, or that it was deleted
        return False

    def _thin(self) -> Step:
        self._since_thinned += 1
        if self._since_thinned >= THIN_EVERY:
            self._since_thinned = 0
            count = yield ThinRecords(MAX_RECORDS, MAX_RECORDS_PER_ORIGIN)
            assert isinstance(count, RecordCount)
            self._full = count.tombstones >= MAX_TOMBSTONES

    def on_ask(self, source: int, ask: m.RecordsAsk) -> None:
        """R7: a page of what is kept of its asker's pictures; only owners are answered."""
        if self.core.owner_of(ask.owner) == source and not self.core.settings.without_card:
            self.core.run(self._answer(source, ask))

    def _answer(self, source: int, ask: m.RecordsAsk) -> Step:
        found = yield KeptRecords(ask.owner, ask.after, self._rows)
        self.core.say(source, page_of(ask.page, map(row_of, found), last=len(found) < self._rows))
