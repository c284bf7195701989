"""The catalogue: what is durably known of every picture, in SQLite (DESIGN §3, HANDOVER §1 recipe 5).

Each catalogue request of firmware/events.py is a method; it returns the request's result, and what changes something
returns after COMMIT. One connection, used by one thread at a time. Errors: CardError, CardFull, CardReadOnly, and
CatalogueDamaged, after which the unit restarts and start-up rebuilds the catalogue from the card's files.

    catalogue_schema     the file: opening, pragmas, tables in numbered steps, errors
    catalogue_database   one connection: transactions and questions
    catalogue_rows       entries as rows and back
    catalogue_pictures   the requests about pictures         catalogue_notes   partials, orders, decisions, names
    catalogue_records    who keeps records of whose pictures
    catalogue_acting     whose pictures are own ones beside this unit's
    catalogue_upkeep     what is audited, scrubbed, let go or repaired next; operating time
    catalogue_pairs      questions kept for audits           catalogue_exposure   times without a verified copy
"""

from __future__ import annotations

import time
from collections.abc import Callable

from firmware.catalogue_acting import ActsFor
from firmware.catalogue_database import Database
from firmware.catalogue_notes import Notes
from firmware.catalogue_pairs import Pairs
from firmware.catalogue_records import Records
from firmware.catalogue_schema import CatalogueDamaged as CatalogueDamaged
from firmware.catalogue_schema import mark_damaged
from firmware.catalogue_upkeep import Upkeep
from firmware.events import (
    Away,
    Cached,
    CatalogueRequest,
    Counts,
    Decisions,
    Doubted,
    DrawnAt,
    DuePairs,
    FirstPair,
    Held,
    KeptRecords,
    Lacking,
    ListedAt,
    LookUp,
    LookUpPartial,
    Names,
    NextFile,
    OldestHeld,
    OldestPartials,
    Orders,
    Owed,
    OwnInDoubt,
    Page,
    Save,
    SaveCalendar,
    SaveDecision,
    SaveInventoried,
    SaveName,
    SaveOrder,
    SavePairs,
    SavePartial,
    SaveRecollected,
    SaveRecorded,
    SaveRoster,
    StaleRecords,
    ThinRecords,
    Unchecked,
    Unrecorded,
    UsePair,
)


class Catalogue(Records, Upkeep, ActsFor, Notes, Pairs):
    """The open catalogue of one unit."""

    def __init__(self, path: str, unit: int, *, wall: Callable[[], float] = time.time, read_only: bool = False) -> None:
        """path may be ":memory:". unit: own pictures are those it took. wall: Unix seconds, for partial rows."""
        self.path = path
        database = self.open_database(path, read_only=read_only)
        Upkeep.__init__(self, database, unit)
        Notes.__init__(self, database, wall)
        Pairs.__init__(self, database)
        self._methods: dict[type, Callable[..., object]] = {
            LookUp: self.look_up,
            Save: self.save,
            SavePartial: self.save_partial,
            LookUpPartial: self.look_up_partial,
            OldestPartials: self.oldest_partials,
            Lacking: self.lacking,
            Cached: self.cached,
            OwnInDoubt: self.own_in_doubt,
            Owed: self.owed,
            Held: self.held,
            OldestHeld: self.oldest_held,
            Away: self.away,
            ListedAt: self.listed_at,
            DrawnAt: self.drawn_at,
            Doubted: self.doubted,
            NextFile: self.next_file,
            SavePairs: self.save_pairs,
            DuePairs: self.due_pairs,
            FirstPair: self.first_pair,
            UsePair: self.use_pair,
            SaveCalendar: self.save_calendar,
            Unchecked: self.unchecked,
            SaveOrder: self.save_order,
            Orders: self.orders,
            SaveDecision: self.save_decision,
            Decisions: self.decisions,
            Page: self.page,
            Counts: self.counts,
            SaveName: self.save_name,
            SaveInventoried: self.save_inventoried,
            SaveRoster: self.save_roster,
            Unrecorded: self.unrecorded,
            StaleRecords: self.stale_records,
            SaveRecorded: self.save_recorded,
            KeptRecords: self.kept_records,
            ThinRecords: self.thin_records,
            SaveRecollected: self.save_recollected,
            Names: self.names,
        }

    def open_database(self, path: str, *, read_only: bool) -> Database:
        """The connection; a simulation watches its transactions."""
        return Database(path, read_only=read_only)

    @classmethod
    def read_only(cls, path: str, unit: int) -> Catalogue:
        """For commands while no unit runs; what would change a row raises CardReadOnly."""
        return cls(path, unit, read_only=True)

    def carry_out(self, request: CatalogueRequest) -> object:
        """Do what the request says; its docstring names the result."""
        return self._methods[type(request)](request)

    def counter(self, key: str, default: int) -> int:
        """A durable number: unit, card, boot, sequence, next_attempt; complete: 1 once every held file has a row or is
        in quarantine; fresh: 1 until the first start after the catalogue was made anew has ended; bad_starts
        (firmware/bad_starts.py); and SaveCalendar's.
        """
        return self._database.counter(key, default)

    def set_counters(self, **values: int) -> None:
        """Several durable numbers in one transaction."""
        with self._database.transaction():
            for key, value in values.items():
                self._database.set(key, value)

    def flaws(self) -> list[str]:
        """What SQLite finds wrong in the file, a sentence each."""
        return self._database.flaws()

    def condemn(self) -> None:
        """Have the next start move this file aside and rebuild it."""
        mark_damaged(self.path)

    def close(self) -> None:
        """Give the file back; safe to call twice."""
        self._database.close()
