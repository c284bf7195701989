"""fsck: every file's digest, and the catalogue against the card. Repairs only by adopting, marking or moving aside."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import replace

from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.errors import Refused
from firmware.events import DigestFile, LookUp, OldestPartials, Save
from firmware.layout import CATALOGUE, TMP, part_of, part_path, picture_of, printable
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.reconcile import MAX_PARTIALS
from firmware.store import Store
from firmware.survey import Directory, directories, measured, strangers, survey
from hal.errors import CardError
from hal.interfaces import Card, CardEntry
from hal.light_dataclass import dataclass


class Kind(enum.Enum):
    """What fsck found. Only LEFTOVER is harmless: a power cut leaves it, and the next start tidies it up."""

    CATALOGUE = "catalogue"  # the catalogue file is not sound or not complete
    MISSING = "missing"  # a row without its file
    DAMAGED = "damaged"  # a file with another digest or length than its row or name says
    UNEXPLAINED = "unexplained"  # nothing of this unit's
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: the path on the card and, in text, what is wrong with it."""

    kind: Kind
    picture: PictureId | None
    path: str
    text: str
    repaired: bool = False

    @property
    def harmless(self) -> bool:
        """Whether the card counts as clean although this was found."""
        return self.kind is Kind.LEFTOVER


def check(card: Card, catalogue: Catalogue, unit: int, *, repair: bool) -> Iterator[Finding]:
    """Look at everything; clean = nothing comes that is neither harmless nor repaired. Raises CardError, and Refused
    where the catalogue is another unit's: all that is own to that one would seem lost.

    repair: what is whole is taken in, what is not goes to quarantine/, rows say what is true. No picture is deleted.
    Nobody else may use card and catalogue meanwhile if repair is set.
    """
    assert catalogue.unit == unit
    return _Check(Store(card, unit), catalogue, repair=repair).run()


class _Check:
    def __init__(self, store: Store, catalogue: Catalogue, *, repair: bool) -> None:
        self._store = store
        self._catalogue = catalogue
        self._repair = repair
        self._corrected: set[PictureId] = set()  # in the directory at hand: their rows are wrong, not their files

    def run(self) -> Iterator[Finding]:
        for found in self._all():
            yield replace(found, path=printable(found.path), text=printable(found.text))

    def _all(self) -> Iterator[Finding]:
        try:
            self._owner()
            yield from self._catalogue_file()
            yield from self._files()
        except CatalogueDamaged as error:
            yield Finding(Kind.CATALOGUE, None, CATALOGUE, f"is damaged: {error.what}; the next start rebuilds it")

    def _owner(self) -> None:
        unit = self._store.unit
        owner = self._catalogue.counter("unit", unit)
        if owner != unit:
            text = f"the card's catalogue is unit {owner}'s, and this config says unit.id = {unit}"
            can = f"set unit.id to {owner}, or start this unit with the card once: it makes a catalogue of its own"
            raise Refused(text, did="nothing was looked at", can=can)

    def _catalogue_file(self) -> Iterator[Finding]:
        for flaw in self._catalogue.flaws():
            if self._repair:
                self._catalogue.condemn()
            then = "the next start rebuilds it" if self._repair else "--repair has the next start rebuild it"
            yield Finding(Kind.CATALOGUE, None, CATALOGUE, f"is damaged: {flaw}; {then}")
        if not self._catalogue.counter("complete", 0):
            yield Finding(Kind.CATALOGUE, None, CATALOGUE, "is still to be rebuilt; start the unit once")

    def _files(self) -> Iterator[Finding]:
        card = self._store.card
        for path, stranger in strangers(card, self._store.unit):
            if stranger.is_unreadable:
                yield _left(None, path)
            else:
                yield self._aside(Kind.UNEXPLAINED, None, path, "is nothing of this unit's")
        for directory in directories(card, self._catalogue):
            yield from self._directory(directory)
        yield from self._parts()

    # ------------------------------------------------------------ files and rows

    def _directory(self, directory: Directory) -> Iterator[Finding]:
        found = survey(self._store.card, self._catalogue, directory)
        looked_at, missing = set(found.missing), frozenset(found.missing)
        self._corrected.clear()
        for file in found.unmatched:
            named = None if file.is_directory else picture_of(file.name)
            if named is not None:
                looked_at.add(named[0])
            yield from self._unmatched(directory, file, missing=missing)
        for picture in found.missing:
            if picture not in self._corrected:
                yield from self._missing(directory, picture)
        for row in self._catalogue.files_here(directory.low, directory.high):
            if row.picture not in looked_at:
                yield from self._content(directory, row.picture)

    def _content(self, directory: Directory, picture: PictureId) -> Iterator[Finding]:
        """A file whose name and size fit its row."""
        entry = self._catalogue.look_up(LookUp(picture))
        if entry is None:
            return
        path = f"{directory.path}/{entry.picture.file_name}"
        flaw = self._flaw(entry.picture)
        if flaw is not None:
            yield from self._damaged(entry, path, flaw)
        elif entry.file is File.UNCHECKED:
            self._mark(entry, File.WHOLE)

    def _damaged(self, entry: Entry, path: str, flaw: str) -> Iterator[Finding]:
        """A file that does not fit its row: which of the two is it? Nothing where a unit has changed them meanwhile."""
        correction = self._correction(entry, path)
        if not self._still(entry, entry.picture.id, path):
            return
        if correction is None:
            self._mark(entry, File.GONE)
            yield self._aside(Kind.DAMAGED, entry.picture.id, path, flaw)
            return
        self._corrected.add(entry.picture.id)
        if self._repair:
            self._store.sync_place(path)
            self._catalogue.save(Save(entries=(correction,)))
        text = "is whole, but the catalogue has another length or digest for it"
        yield Finding(Kind.CATALOGUE, entry.picture.id, path, text, self._repair)

    def _correction(self, entry: Entry, path: str) -> Entry | None:
        """What the row should say of a file that is whole by its own name; None if it is not."""
        named = picture_of(path.rpartition("/")[2])
        try:
            found = named and measured(self._store, path, named[1])
        except (CardError, FileNotFoundError):
            return None
        if not found:
            return None
        return replace(entry, picture=replace(entry.picture, size_bytes=found[0], sha256=found[1]), file=File.WHOLE)

    def _flaw(self, picture: Picture) -> str | None:
        try:
            digests = self._store.digest_file(DigestFile(picture))
        except CardError as error:
            return f"cannot be read ({error.what})"
        return None if digests.whole else "has another digest than the catalogue says"

    def _missing(self, directory: Directory, picture: PictureId) -> Iterator[Finding]:
        entry = self._catalogue.look_up(LookUp(picture))
        if entry is None or entry.file is File.GONE:
            return
        path = f"{directory.path}/{entry.picture.file_name}"
        if self._flaw(entry.picture) is not None and self._catalogue.look_up(LookUp(picture)) == entry:
            self._mark(entry, File.GONE)
            yield Finding(Kind.MISSING, picture, path, "LOST: the file is not on the card", self._repair)

    def _still(self, entry: Entry | None, picture: PictureId, path: str) -> bool:
        """A unit that runs meanwhile may have stored or dropped the picture between our two looks."""
        return self._catalogue.look_up(LookUp(picture)) == entry and self._store.is_there(path)

    def _unmatched(self, directory: Directory, file: CardEntry, *, missing: frozenset[PictureId]) -> Iterator[Finding]:
        """A file that no row of its name and size wants there."""
        path = f"{directory.path}/{file.name}"
        named = None if file.is_directory else picture_of(file.name)
        if file.is_unreadable:
            yield _left(None if named is None else named[0], path)
            return
        if named is None or not directory.low <= named[0] <= directory.high:
            yield self._aside(Kind.UNEXPLAINED, None, path, "does not belong there")
            return
        picture, digits = named
        entry = self._catalogue.look_up(LookUp(picture))
        if entry is None or (entry.attempt is None and not directory.own):
            yield from self._without_row(directory, path, picture, entry)
        elif entry.picture.sha256.hex()[:16] == digits:
            yield from self._of_row(directory, entry, path)
        elif picture in missing and not entry.deleted and self._correction(entry, path) is not None:
            yield from self._damaged(entry, path, "does not fit its row")
        elif self._still(entry, picture, path):
            yield self._aside(Kind.UNEXPLAINED, picture, path, "has a name of other content than its picture")

    def _of_row(self, directory: Directory, entry: Entry, path: str) -> Iterator[Finding]:
        """A file of another size than its row says, or one that its row says is dropped or deleted."""
        picture = entry.picture.id
        if directory.own and entry.deleted:
            yield Finding(Kind.LEFTOVER, picture, path, "was deleted; the next start removes it")
            return
        flaw = self._flaw(entry.picture)
        if flaw is not None:
            yield from self._damaged(entry, path, flaw)
        elif self._still(entry, picture, path):
            self._mark(entry, File.WHOLE)
            text = "is there and whole, though the catalogue says it was dropped"
            yield Finding(Kind.LEFTOVER, picture, path, text, self._repair)

    def _without_row(
        self, directory: Directory, path: str, picture: PictureId, entry: Entry | None
    ) -> Iterator[Finding]:
        """entry: of a picture that is only known from others, so that no file of it belongs here."""
        found, flaw = self._measured(path)
        if not self._still(entry, picture, path):
            return
        if found is None:
            yield self._aside(Kind.DAMAGED, picture, path, flaw)
        elif directory.low.unit != self._store.unit:
            text = "was never said to be stored; the next start takes care of it"
            yield Finding(Kind.LEFTOVER, picture, path, text)
        else:
            if self._repair:
                self._store.sync_place(path)
                self._catalogue.save(Save(entries=(Entry(Picture(picture, *found), File.WHOLE, version=1),)))
            yield Finding(Kind.LEFTOVER, picture, path, "is whole, but not in the catalogue", self._repair)

    def _measured(self, path: str) -> tuple[tuple[int, bytes] | None, str]:
        """Length and digest of a file that is whole by its name, or None and what is wrong."""
        named = picture_of(path.rpartition("/")[2])
        assert named is not None
        try:
            return measured(self._store, path, named[1]), "has another digest than its name says"
        except CardError as error:
            return None, f"cannot be read ({error.what})"
        except FileNotFoundError:
            return None, "is gone"

    # ------------------------------------------------------------ parts

    def _parts(self) -> Iterator[Finding]:
        rows = {row.picture for row in self._catalogue.oldest_partials(OldestPartials(MAX_PARTIALS))}
        for file in self._store.card.entries(TMP):
            path = f"{TMP}/{file.name}"
            picture = None if file.is_directory else part_of(file.name)
            if file.is_unreadable:
                yield _left(picture, path)
                rows.discard(picture)
            elif picture is None:
                yield self._aside(Kind.UNEXPLAINED, None, path, "does not belong there")
            elif picture in rows:
                rows.remove(picture)
            else:
                text = "is being received, or was left over: then the next start removes it"
                yield Finding(Kind.LEFTOVER, picture, path, text)
        for picture in sorted(rows):
            text = "is remembered in the catalogue, but gone; the next start forgets it"
            yield Finding(Kind.LEFTOVER, picture, part_path(picture), text)

    # ------------------------------------------------------------ repairs

    def _aside(self, kind: Kind, picture: PictureId | None, path: str, text: str) -> Finding:
        if not self._repair:
            return Finding(kind, picture, path, text)
        try:
            aside = self._store.put_aside(path)
        except CardError as error:
            return Finding(kind, picture, path, f"{text}; it cannot be moved and was left alone ({error.what})")
        return Finding(kind, picture, path, f"{text}; it was moved to {aside}", repaired=True)

    def _mark(self, entry: Entry, file: File) -> None:
        """A held row stays when its file is gone: the next start tells its origin LOST and takes it out."""
        if self._repair and entry.file is not file:
            self._catalogue.save(Save(entries=(replace(entry, file=file),)))


def _left(picture: PictureId | None, path: str) -> Finding:
    """It may be a sound file that the card gives back another time."""
    return Finding(Kind.DAMAGED, picture, path, "cannot be looked at: the card gives only its name; it was left alone")
