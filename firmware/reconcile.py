"""The start-up table of HANDOVER §1: what is done with each file and row that do not fit each other.

Names and sizes only; a digest is reckoned just for files without a row, because only the whole file gives it. While
the catalogue is being rebuilt (not complete) the same table holds, but nothing is unlinked and every file with the
right digest is adopted. What goes wrong with one file only is told, and the file left alone: a start must not hang on
it.
"""

from __future__ import annotations

from dataclasses import field, replace

from firmware.catalogue import Catalogue
from firmware.events import LookUp, OldestPartials, Partial, Save, SavePartial
from firmware.layout import HELD, PART_SUFFIX, PREVIEW, TMP, part_of, picture_of, preview_of, printable
from firmware.pictures import UNKNOWN_ATTEMPT, Entry, File, Picture, PictureId
from firmware.store import Store
from firmware.survey import Directory, directories, measured, strangers, survey
from hal.errors import CardError, CardFull, CardReadOnly
from hal.interfaces import CardEntry
from hal.light_dataclass import dataclass

MAX_NOTICES = 100  # sentences kept for a person; the rest is counted
MAX_PARTIALS = 1_000  # partial rows looked at; four reservations a day leave far fewer
PART_KEPT_S = 24 * 3600  # a .part waits so long to be resumed (HANDOVER §1)
SAVE_ENTRIES = 200  # rows in one transaction: bounds what a cut makes us do again


@dataclass(slots=True)
class Notices:
    """What a person is told of a start."""

    texts: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, text: str) -> None:
        """One whole sentence."""
        text = printable(text)
        if len(self.texts) < MAX_NOTICES:
            self.texts.append(text)
        else:
            self.more += 1

    def all(self) -> list[str]:
        """The sentences, the last of which counts those that did not fit."""
        return self.texts + ([f"and {self.more} more such notices"] if self.more else [])


class _Hands:
    """Moves and removes single files. What fails for one file is told, and the file left alone; a card that takes no
    writes at all (CardReadOnly, CardFull) is raised."""

    def __init__(self, store: Store, notices: Notices) -> None:
        self._store = store
        self._notices = notices
        self._left: list[str] = []

    def left_in(self, directory: str) -> bool:
        """Whether anything below it was left alone."""
        return any(path.startswith(f"{directory}/") for path in self._left)

    def put_aside(self, path: str, why: str) -> None:
        """Into quarantine/."""
        try:
            self._notices.add(f"{path} {why}; it was moved to {self._store.put_aside(path)}")
        except (CardFull, CardReadOnly):
            raise
        except CardError as error:
            self._left.append(path)
            self._notices.add(f"{path} {why}; it cannot be moved and was left alone ({error.what})")

    def unlink(self, path: str) -> bool:
        """True: it is gone, durably once its directory is synced."""
        try:
            self._store.card.unlink(path)
        except (CardFull, CardReadOnly):
            raise
        except CardError as error:
            self._notices.add(f"{path} is not needed any more; it cannot be removed and was left alone ({error.what})")
            return False
        return True

    def leave(self, path: str) -> None:
        """It may be a sound file that the card gives back another time."""
        self._left.append(path)
        self._notices.add(f"{path} cannot be looked at: it was left alone, and its picture may not be readable")


class Reconciliation:
    """One pass over card and catalogue."""

    def __init__(self, store: Store, catalogue: Catalogue, notices: Notices) -> None:
        self._store = store
        self._catalogue = catalogue
        self._notices = notices
        self._hands = _Hands(store, notices)
        self._complete = bool(catalogue.counter("complete", 0))
        self._corrected: set[PictureId] = set()  # in the directory at hand: their files are there
        self._changed: dict[PictureId, Entry] = {}
        self._removed: dict[PictureId, Entry] = {}
        self._lost: list[Entry] = []
        self._adopted = 0

    def run(self) -> tuple[Entry, ...]:
        """Make files and rows fit; the held entries that are lost. Afterwards the catalogue is complete, unless a
        held file had to be left alone while it was rebuilt: no start must take that one for never stored.
        """
        for path, stranger in strangers(self._store.card, self._store.unit):
            if stranger.is_unreadable:
                self._hands.leave(path)
            else:
                self._hands.put_aside(path, "is nothing of this unit's")
        for directory in directories(self._store.card, self._catalogue):
            self._directory(directory)
            self._save()
        for entry in self._catalogue.held_without_file():
            self._lose(entry)
        self._save()
        if not self._complete and not self._hands.left_in(HELD):
            self._catalogue.set_counters(complete=1)
        if self._adopted:
            self._notices.add(f"pictures on the card that the catalogue did not know, taken into it: {self._adopted}")
        return tuple(self._lost)

    # ------------------------------------------------------------ one directory

    def _directory(self, directory: Directory) -> None:
        found = survey(self._store.card, self._catalogue, directory)
        if found.unmatched:
            self._store.sync_place(f"{directory.path}/{found.unmatched[0].name}")  # names before rows
        self._corrected.clear()
        unlinked, missing = False, frozenset(found.missing)
        for file in found.unmatched:
            unlinked |= self._file(directory, file, missing=missing)
            if len(self._changed) >= SAVE_ENTRIES:
                self._save()
        if unlinked:
            self._store.card.sync_directory(directory.path)
        for picture in found.missing:
            if picture not in self._corrected:
                self._missing(picture)

    def _file(self, directory: Directory, file: CardEntry, *, missing: frozenset[PictureId]) -> bool:
        """A file that no row explains by itself: the first line that fits counts. True: it was unlinked."""
        path = f"{directory.path}/{file.name}"
        named = None if file.is_directory else picture_of(file.name)
        if file.is_unreadable:
            self._hands.leave(path)
            return False
        if named is None or not directory.low <= named[0] <= directory.high:
            self._hands.put_aside(path, "does not belong there")
            return False
        picture, digits = named
        entry = self._catalogue.look_up(LookUp(picture))
        if entry is None or (entry.attempt is None and not directory.own):
            return self._without_row(directory, path, picture, digits)
        if entry.picture.sha256.hex()[:16] != digits:
            wanted = picture in missing and not entry.deleted  # a tombstone is of its content only
            if not wanted or not self._correct(entry, path, digits):
                self._hands.put_aside(path, "has a name of other content than its picture")
        elif directory.own and entry.deleted:
            return self._buried(entry, path)
        elif entry.picture.size_bytes == file.size_bytes:
            self._changed[picture] = replace(entry, file=File.UNCHECKED)
        elif not self._correct(entry, path, digits):
            self._hands.put_aside(path, f"has {file.size_bytes} bytes instead of {entry.picture.size_bytes}")
            self._missing(picture)
        return False

    def _buried(self, entry: Entry, path: str) -> bool:
        if not self._hands.unlink(path):
            return False
        self._changed[entry.picture.id] = replace(entry, file=File.GONE)
        return True

    def _correct(self, entry: Entry, path: str, digits: str) -> bool:
        """False unless the file is whole by its own name: then its row is what is damaged, and is put right."""
        try:
            found = measured(self._store, path, digits)
        except CardError:
            found = None
        if found is None:
            return False
        picture = replace(entry.picture, size_bytes=found[0], sha256=found[1])
        self._changed[picture.id] = replace(entry, picture=picture, file=File.WHOLE)
        self._corrected.add(picture.id)
        self._notices.add(f"{path} is whole, but the catalogue had another length or digest for it: put right there")
        return True

    def _without_row(self, directory: Directory, path: str, picture: PictureId, digits: str) -> bool:
        if directory.low.unit != self._store.unit and self._complete:
            return self._hands.unlink(path)  # STORED is only said after the row; or a DROP was cut
        try:
            found = self._measured_twice(path, digits)
        except CardError as error:
            self._hands.put_aside(path, f"cannot be read ({error.what})")
            return False
        if found is None:
            self._hands.put_aside(path, "is torn or damaged: its digest is not the one in its name")
            return False
        self._adopted += 1
        self._changed[picture] = self._adopted_entry(directory, Picture(picture, *found))
        return False

    def _adopted_entry(self, directory: Directory, picture: Picture) -> Entry:
        """With what a record says of it, if one of this content is there."""
        if directory.own:
            return Entry(picture, File.WHOLE, version=1)
        known = self._catalogue.look_up(LookUp(picture.id))
        if known is None or known.picture.sha256 != picture.sha256:
            return Entry(picture, File.WHOLE, attempt=UNKNOWN_ATTEMPT)
        return replace(known, file=File.WHOLE, attempt=UNKNOWN_ATTEMPT)

    def _measured_twice(self, path: str, digits: str) -> tuple[int, bytes] | None:
        """One read error, or one bit that was read wrong, is no reason to take a picture out of sight."""
        try:
            found = measured(self._store, path, digits)
        except CardError:
            found = None
        return measured(self._store, path, digits) if found is None else found

    # ------------------------------------------------------------ rows without files

    def _missing(self, picture: PictureId) -> None:
        entry = self._catalogue.look_up(LookUp(picture))
        assert entry is not None
        if entry.file is File.GONE:
            return
        if entry.attempt is not None:
            self._lose(entry)
            return
        self._changed[picture] = replace(entry, file=File.GONE)
        if entry.deleted:
            return
        holders = ", ".join(str(copy.unit) for copy in entry.listed)
        left = f"units that hold copies: {holders}" if holders else "no unit is known to hold a copy"
        self._notices.add(f"LOST the own file of picture {picture} is gone from the card; {left}")

    def _lose(self, entry: Entry) -> None:
        picture, left = entry.picture.id, entry.without_file
        if left is None:
            self._removed[picture] = entry
        else:
            self._changed[picture] = left
        self._lost.append(entry)
        text = f"LOST the file of picture {picture}, held for unit {picture.unit}, is gone from the card"
        self._notices.add(f"{text}; that unit will be told")

    def _save(self) -> None:
        if self._changed or self._removed:
            self._catalogue.save(Save(entries=tuple(self._changed.values()), removed=tuple(self._removed)))
        self._changed.clear()
        self._removed.clear()


def tidy_parts(store: Store, catalogue: Catalogue, now_unix_s: float, notices: Notices) -> int:
    """Keep each .part that can be resumed, for a day; unlink the others. Returns the bytes kept.

    Nothing is done until the catalogue is complete. A clock that was set back keeps a .part longer, never shorter.
    """
    if not catalogue.counter("complete", 0):
        return 0
    rows = {row.picture: row for row in catalogue.oldest_partials(OldestPartials(MAX_PARTIALS))}
    kept_bytes, hands = 0, _Hands(store, notices)
    for file in store.card.entries(TMP):
        path = f"{TMP}/{file.name}"
        picture = None if file.is_directory else part_of(file.name)
        row = None if picture is None else rows.get(picture)
        if row is not None and _can_resume(catalogue, row, file, now_unix_s):
            del rows[row.picture]
            kept_bytes += file.size_bytes
            if row.size_bytes != file.size_bytes:
                catalogue.save_partial(_partial_row(row, row.synced_bytes, file.size_bytes))
        elif file.is_unreadable:
            hands.leave(path)
        elif not file.is_directory and file.name.endswith(PART_SUFFIX):
            hands.unlink(path)
        else:
            hands.put_aside(path, "does not belong there")
    for row in rows.values():
        catalogue.save_partial(_partial_row(row, 0, 0))
    return kept_bytes


def tidy_previews(store: Store, catalogue: Catalogue, notices: Notices) -> None:
    """Unlink previews of pictures that are deleted, or not held here any more: the power may have gone between."""
    if not catalogue.counter("complete", 0):
        return
    names = [file.name for file in store.card.entries(PREVIEW) if not file.is_directory]
    known = {picture.encode(): name for name in names if (picture := preview_of(name)) is not None}
    hands, wanted = _Hands(store, notices), catalogue.with_previews(sorted(known))
    for key in sorted(known.keys() - wanted):
        hands.unlink(f"{PREVIEW}/{known[key]}")


def _can_resume(catalogue: Catalogue, row: Partial, file: CardEntry, now_unix_s: float) -> bool:
    """Fresh enough, as long as was synced, and not of a picture whose file has its place already."""
    entry = catalogue.look_up(LookUp(row.picture))
    there = entry is not None and entry.file is not File.GONE
    return not there and now_unix_s - row.kept_since <= PART_KEPT_S and _long_enough(row, file)


def _long_enough(row: Partial, file: CardEntry) -> bool:
    return row.synced_bytes <= file.size_bytes and row.size_bytes in (0, file.size_bytes)


def _partial_row(row: Partial, synced_bytes: int, size_bytes: int) -> SavePartial:
    return SavePartial(row.picture, row.attempt, row.sha256, synced_bytes, size_bytes)
