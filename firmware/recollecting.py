"""Recollecting: what others keep of this unit's own records, after its card or list was lost (HANDOVER R6, R7)."""

from __future__ import annotations

from dataclasses import replace

from firmware import handover
from firmware import messages as m
from firmware.adoption import INVENTORY_AGAIN_S, MAX_INVENTORIED, Adoptions
from firmware.core import Core
from firmware.deletion import Deletions
from firmware.events import SaveRecollected
from firmware.handover import Owner
from firmware.pictures import UNKNOWN_ATTEMPT, Entry, File, PictureId
from firmware.record_rows import Row, id_of, page_of, picture_of, rows_of, said_of, told_better
from firmware.steps import Step
from hal.light_dataclass import dataclass


@dataclass(slots=True)
class Ask:
    """A question under way: its number, whose pictures, the last id of the page before, when it is said again."""

    page: int
    origin: int
    after: PictureId | None
    again_at: float


class Recollections:
    """Each unit that is heard is asked once a catalogue; what it tells never writes the list (R7)."""

    def __init__(self, core: Core, adoptions: Adoptions, deletions: Deletions, *, recollected: frozenset[int]) -> None:
        self.core = core
        self._adoptions = adoptions
        self._deletions = deletions
        self._recollected = set(recollected)
        self._asks: dict[int, Ask] = {}

    def heard(self, unit: int) -> None:
        """A unit that this catalogue has not asked yet."""
        if unit in self._recollected or unit in self._asks or len(self._recollected) >= MAX_INVENTORIED:
            return
        self._ask(unit, self.core.unit)

    def _ask(self, unit: int, origin: int, after: PictureId | None = None) -> None:
        page = self.core.new_page()
        self._asks[unit] = Ask(page, origin, after, self.core.now + INVENTORY_AGAIN_S)
        self.core.say(unit, m.RecordsAsk(page, origin, after))

    def on_records(self, source: int, page: m.Records) -> bool:
        """True: about our own pictures, or an answer to our question. The next page is asked for once it is durable.

        A page of other pictures is no answer: it bears a number of its sender's, which may be the same.
        """
        ask = self._asks.get(source)
        rows = [row for row in rows_of(page) if self.core.is_ours(id_of(row))]
        awaited = ask is not None and ask.page == page.page and len(rows) == len(rows_of(page))
        if not awaited and not rows:
            return False
        left = {id_of(row) for row in rows}

        def take(row: Row) -> Step:
            yield from self._take(source, row)
            left.discard(id_of(row))
            if awaited and not left:
                self._page_taken(source, page)

        for row in rows:
            self.core.run(take(row), id_of(row))
        if awaited and not rows:
            self._page_taken(source, page)
        return True

    def _page_taken(self, source: int, page: m.Records) -> None:
        ask = self._asks.get(source)
        if ask is None or ask.page != page.page:
            return
        rows, following = rows_of(page), self.core.origin_after(ask.origin)
        if not page.last and rows:
            self._ask(source, ask.origin, max(map(id_of, rows)))
        elif following is not None:
            self._ask(source, following)
        else:
            del self._asks[source]
            self._recollected.add(source)
            self.core.run(self.core.fetch(SaveRecollected(source)))

    def _take(self, source: int, row: Row) -> Step:
        core, told = self.core, picture_of(row)
        if not self._adoptions.counts_up_to(told.id, source):
            return
        entry = yield from core.look_up(told.id)
        if entry is not None and entry.picture.sha256 != told.sha256:
            text = f"unit {source} keeps a record of another content under the id {told.id}"
            core.log("alarm", text, told.id, source)
        elif isinstance(row, m.Tombstone) and row.tag != core.tag_of(row) and told.id.unit != core.unit:
            text = f"unit {source} tells that {told.id} was deleted, which nobody can prove any more"
            core.log("network", text, told.id, source)
        elif isinstance(row, m.Tombstone) and row.tag != core.tag_of(row):
            text = f"unit {source} tells that {told.id} was deleted, which this unit has not said"
            core.log("alarm", text, told.id, source)
        elif isinstance(row, m.Tombstone):
            owed = tuple(unit for unit in row.owed if unit != core.unit)
            yield from self._deletions.bury(entry or Entry(told, File.GONE), handover.Buried(owed))
        elif entry is not None and entry.deleted:  # it does not know that yet
            core.say(source, page_of(0, [core.record_of(entry)]))
        else:
            yield from self._record(source, row, entry)

    def _record(self, source: int, record: m.Record, known: Entry | None) -> Step:
        """The picture is known from now on, our version is above it, and holders that the list lacks are asked (R4)."""
        core, told = self.core, record.picture
        entry = known or Entry(told, File.GONE)
        entry = replace(entry, picture=told_better(entry.picture, told))
        effects = handover.owner(Owner(entry, core.next_attempt), handover.Recorded(record.version, said_of(record)))
        yield from core.carry_out(told, known, effects)
        if not effects and known is not None and known.picture != entry.picture:
            yield from core.save(told, known, entry)
        if known is None:
            text = f"unit {source} keeps a record of picture {told.id}, which was not known"
            core.log("adopted", text, told.id, source)
        for unit in record.holders:
            now_known = yield from core.look_up(told.id)
            if now_known is not None and self._is_wanted(now_known, unit):
                yield from self._adoptions.named(now_known, unit, UNKNOWN_ATTEMPT)

    def _is_wanted(self, entry: Entry, unit: int) -> bool:
        """A copy that the list lacks and does not name enough others for; one too many its holder names itself (R4)."""
        wanted = self.core.settings.rules.wanted(entry.picture.priority)
        return unit != self.core.unit and not entry.copy_at(unit).listed and len(entry.verified) < wanted

    def tick(self) -> None:
        """Say again what was not answered; a unit that is silent is asked anew from the beginning when it is back."""
        if not self._asks:
            return
        for unit, ask in list(self._asks.items()):
            if self.core.now < ask.again_at:
                continue
            if self.core.neighbours.is_heard(unit, self.core.now):
                ask.again_at = self.core.now + INVENTORY_AGAIN_S
                self.core.say(unit, m.RecordsAsk(ask.page, ask.origin, ask.after))
            else:
                del self._asks[unit]

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not self._asks:
            return None
        return min(ask.again_at for ask in self._asks.values())
