"""Records: what the own list says of each picture is kept by at least one other unit too (HANDOVER R6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from firmware import messages as m
from firmware.core import Core
from firmware.events import SaveRecorded, StaleRecords, Unkept, Unrecorded
from firmware.neighbours import Neighbour
from firmware.pictures import Entry, PictureId
from firmware.record_rows import id_of, page_of, rows_of
from firmware.steps import Step
from hal.light_dataclass import dataclass

FIRST_LOOK_S = 30.0
"""After the start, for what lagged when the unit went off; by then neighbours have been heard. Guess."""
BOOT_LOOK_S = 2.0
"""A unit is there (again): what it may keep is told so soon, once its beacon was heard."""
AGAIN_FIRST_S, AGAIN_LONGEST_S = 15.0, 24 * 3600.0
"""What no unit has taken is tried again so late, ever more seldom, up to daily. Guesses."""
MAX_TRIES = 5
"""A page without answer is said so often; then its keeper is left alone for AGAIN_FIRST_S and longer."""
MAX_PAGES = 4
"""Pages under way at once, one a keeper: two kB on the air."""
LOOK_AT = 32
"""Records that no unit keeps, looked at in one request."""
MAX_LOOKS = 4
"""Such requests in one turn; what lies behind those has its turn when their pages are answered."""
MAX_REFUSED = 256
"""Records that a unit would not keep, remembered so that others are asked; beyond it all are asked anew."""


@dataclass(slots=True)
class Page:
    """A RECORDS on its way to a keeper."""

    keeper: int
    message: m.Records
    versions: tuple[tuple[PictureId, int], ...]
    tries: int = 0
    again_at: float = 0.0


class Records:
    """Pages of own records to keepers, and what they confirm. The other side is firmware/keeping.py."""

    def __init__(self, core: Core, keepers: dict[int, int], rows: int) -> None:
        """keepers: units that confirmed records before this start, with their card numbers then; rows: of one page."""
        self.core = core
        self.sure: Callable[[PictureId], None] = lambda _picture: None  # told of tombstones that another unit has
        self._rows = rows
        self._keepers = keepers
        self._pages: dict[int, Page] = {}  # by keeper
        self._quiet_until: dict[int, float] = {}  # units that did not answer; of neighbours only
        self._refused: set[tuple[PictureId, int, int]] = set()  # id, version, unit
        self._more: set[bool] = set()  # kinds of records that wait until the pages under way are answered
        self._every_s = AGAIN_FIRST_S
        self._looking = False
        self._due(FIRST_LOOK_S)

    # ------------------------------------------------------------ the origin: what lags, and who shall keep it

    def _due(self, within_s: float) -> None:
        for deleted in (True, False):
            self.core.record_due(within_s, deleted=deleted)

    def _look(self, due: list[bool]) -> Step:
        """Send what keepers have in an older version, then what nobody keeps. due: tombstones (True), other records."""
        now = self.core.now
        self._quiet_until = {unit: until for unit, until in self._quiet_until.items() if now < until}
        heard = tuple(neighbour.unit for neighbour in self._heard())
        stale = (yield StaleRecords(heard, self._rows)) if heard else {}
        for unit, entries in stale.items():
            fit = [entry for entry in entries if self._would_keep(entry, unit)]
            if len(entries) == self._rows:
                self._more |= {True, False}
            if fit and unit not in self._pages and len(self._pages) < MAX_PAGES:
                self._send(unit, fit)
        lags = False
        for deleted in due:
            lags |= yield from self._look_for_keepers(deleted=deleted)
        self._looking = False
        if lags and not self._pages:
            self._later()
            self._due(self._every_s)
        if self._quiet_until:
            self._due(max(0.0, min(self._quiet_until.values()) - self.core.now))

    def _later(self) -> None:
        """Ever more seldom, until something changes."""
        self._every_s = min(2 * self._every_s, AGAIN_LONGEST_S)

    def _look_for_keepers(self, *, deleted: bool) -> Step:
        """True: there is something that no unit keeps in its newest version."""
        after: PictureId | None = None
        lags = False
        for _ in range(MAX_LOOKS):
            found = yield Unrecorded(deleted, after, LOOK_AT)
            lags = lags or bool(found)
            chosen = self._chosen(found)
            for unit, entries in chosen.items():
                if len(self._pages) < MAX_PAGES:
                    self._send(unit, entries)
            if len(found) > sum(map(len, chosen.values())):
                self._more.add(deleted)
            if len(found) < LOOK_AT or len(self._pages) >= MAX_PAGES:
                break
            after = found[-1].entry.picture.id
        return lags

    def _chosen(self, found: list[Unkept]) -> dict[int, list[Entry]]:
        """A page for each unit that is to keep some of them and has none on its way."""
        under_way = {picture for page in self._pages.values() for picture, _ in page.versions}
        units = self._heard()
        chosen: dict[int, list[Entry]] = {}
        for unkept in found:
            told_soon = any(keeper in self._pages for keeper in unkept.keepers)
            unit = self._choose(unkept.entry, units)
            if unit is None or unit in self._pages or told_soon or unkept.entry.picture.id in under_way:
                continue
            if len(chosen.get(unit, ())) < self._rows:
                chosen.setdefault(unit, []).append(unkept.entry)
        return chosen

    def _heard(self) -> list[Neighbour]:
        """Units that may be told something. One that takes no pictures may be gone for ever with its next command."""
        now = self.core.now
        heard = [n for n in self.core.neighbours if n.hosting and not n.silent(now)]
        return [n for n in heard if now >= self._quiet_until.get(n.unit, now)]

    def _would_keep(self, entry: Entry, unit: int) -> bool:
        return (entry.picture.id, entry.version, unit) not in self._refused

    def _choose(self, entry: Entry, units: list[Neighbour]) -> int | None:
        """One that holds no copy, so that a card's death takes one of the two; the best link; another one an origin."""
        holders = {copy.unit for copy in entry.copies}
        fit = [n for n in units if self._would_keep(entry, n.unit)]
        best = min(
            fit,
            key=lambda n: (n.unit in holders, round(n.estimate.loss, 1), (n.unit - self.core.unit) % 65_536),
            default=None,
        )
        return None if best is None else best.unit

    def _send(self, unit: int, entries: Iterable[Entry]) -> None:
        told = list(entries)
        message = page_of(self.core.new_page(), map(self.core.record_of, told))
        by_id = {entry.picture.id: entry.version for entry in told}
        versions = tuple((id_of(row), by_id[id_of(row)]) for row in rows_of(message))
        page = self._pages[unit] = Page(unit, message, versions)
        self._say(page)

    def _say(self, page: Page) -> None:
        self.core.say(page.keeper, page.message)
        estimate = self.core.neighbours.heard_before(page.keeper).estimate
        page.again_at = self.core.now + estimate.timeout_s(page.tries, len(page.message.encode()))
        page.tries += 1

    def on_kept(self, source: int, kept: m.RecordsKept) -> None:
        """A keeper has our page on its card; what it did not keep goes to another one."""
        page = self._pages.get(source)
        if page is None or page.message.page != kept.page:
            return
        del self._pages[source]
        confirmed = tuple(row for number, row in enumerate(page.versions) if kept.kept >> number & 1)
        if len(self._refused) >= MAX_REFUSED:
            self._refused.clear()
        self._refused |= {(picture, version, source) for picture, version in {*page.versions} - {*confirmed}}
        if confirmed or self._keepers.get(source) != kept.card:
            if self._keepers.get(source, kept.card) != kept.card:
                self._due(0.0)
            self._keepers[source] = kept.card
            self.core.run(self._confirmed(source, kept.card, confirmed, page), on_error=self._failed)
        if confirmed != page.versions:
            self._due(0.0)

    def _confirmed(self, unit: int, card: int, versions: tuple[tuple[PictureId, int], ...], page: Page) -> Step:
        yield SaveRecorded(unit, card, versions)
        self._every_s = AGAIN_FIRST_S
        for deleted in self._more:
            self.core.record_due(0.0, deleted=deleted)
        self._more.clear()
        for picture in {row.id for row in page.message.tombstones} & {picture for picture, _ in versions}:
            self.sure(picture)

    def _failed(self, error: Exception) -> None:
        self._looking = False
        self._later()
        self._due(self._every_s)
        self.core.log("card", f"could not look up which records other units keep: {error}")

    def on_beacon(self, neighbour: Neighbour, card: int) -> None:
        """A keeper with another card number has lost what it kept: an empty page asks it in a session of two. The first
        beacon tells whether the unit takes pictures, and so may keep something."""
        unit = neighbour.unit
        if neighbour.card is None:
            self._due(BOOT_LOOK_S)
        free = unit not in self._pages and len(self._pages) < MAX_PAGES
        if self._keepers.get(unit, card) != card and free and self.core.now >= self._quiet_until.get(unit, 0.0):
            self._send(unit, ())

    def new_boot(self, unit: int) -> None:
        """A unit is there (again): its answer to the last page never comes, and it may have lost what it kept."""
        self._pages.pop(unit, None)
        self._quiet_until.pop(unit, None)
        self._every_s = AGAIN_FIRST_S
        self._due(BOOT_LOOK_S)

    # ------------------------------------------------------------ time

    def tick(self) -> None:
        """Say again what was not answered; look for what lags."""
        now = self.core.now
        for unit, page in list(self._pages.items()):
            if now < page.again_at:
                continue
            if page.tries < MAX_TRIES:
                self._say(page)
            else:
                del self._pages[unit]
                self._quiet_until[unit] = now + self._every_s
                self._later()
                self._due(0.0)
        if not self.core.records_due or self._looking:
            return
        due = [deleted for deleted in (True, False) if now >= self.core.records_due.get(deleted, math.inf)]
        if due:
            self._looking = True
            for deleted in due:
                del self.core.records_due[deleted]
            self.core.run(self._look(due), on_error=self._failed)

    def deadline(self) -> float | None:
        """When tick has something to do."""
        if not self._pages and not self.core.records_due:
            return None
        times = [page.again_at for page in self._pages.values()]
        if not self._looking:
            times += self.core.records_due.values()
        return min(times, default=None)
