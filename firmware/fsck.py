"""fsck: every file's digest, and the catalogue against the card. Repairs only by adopting, marking or moving aside."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace

from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.events import DigestFile, LookUp, OldestPartials, Save
from firmware.layout import CATALOGUE, TMP, part_of, part_path, picture_of
from firmware.pictures import MAX_PICTURE_BYTES, Entry, File, Picture, PictureId
from firmware.reconcile import MAX_PARTIALS
from firmware.store import Store
from firmware.survey import Directory, directories, strangers, survey
from hal.errors import CardError
from hal.interfaces import Card, CardEntry


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
    """Look at everything; clean = nothing comes that is neither harmless nor repaired. Raises CardError.

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

    def run(self) -> Iterator[Finding]:
        try:
            yield from self._catalogue_file()
            yield from self._files()
        except CatalogueDamaged as error:
            yield Finding(Kind.CATALOGUE, None, CATALOGUE, f"is damaged: {error.what}; the next start rebuilds it")

    def _catalogue_file(self) -> Iterator[Finding]:
        for flaw in self._catalogue.flaws(quick=False):
            if self._repair:
                self._catalogue.condemn()
            then = "the next start rebuilds it" if self._repair else "--repair has the next start rebuild it"
            yield Finding(Kind.CATALOGUE, None, CATALOGUE, f"is damaged: {flaw}; {then}")
        if not self._catalogue.counter("complete", 0):
            yield Finding(Kind.CATALOGUE, None, CATALOGUE, "is still to be rebuilt; start the unit once")

    def _files(self) -> Iterator[Finding]:
        card = self._store.card
        for path in strangers(card, self._store.unit):
            yield self._aside(Kind.UNEXPLAINED, None, path, "is nothing of this unit's")
        for directory in directories(card, self._catalogue):
            yield from self._directory(directory)
        yield from self._parts()

    # ------------------------------------------------------------ files and rows

    def _directory(self, directory: Directory) -> Iterator[Finding]:
        found = survey(self._store.card, self._catalogue, directory)
        looked_at = set(found.missing)
        for picture in found.missing:
            yield from self._missing(directory, picture)
        for file in found.unmatched:
            named = None if file.is_directory else picture_of(file.name)
            if named is not None:
                looked_at.add(named[0])
            yield self._unmatched(directory, file)
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
        if flaw is not None and self._still(entry):
            self._mark(entry, File.GONE)
            yield self._aside(Kind.DAMAGED, picture, path, flaw)
        elif flaw is None and entry.file is File.UNCHECKED:
            self._mark(entry, File.WHOLE)

    def _flaw(self, picture: Picture) -> str | None:
        try:
            digests = self._store.digest_file(DigestFile(picture))
        except CardError as error:
            return f"cannot be read ({error.what})"
        return None if digests.whole else "has another digest than the catalogue says"

    def _missing(self, directory: Directory, picture: PictureId) -> Iterator[Finding]:
        entry = self._catalogue.look_up(LookUp(picture))
        if entry is None:
            return
        path = f"{directory.path}/{entry.picture.file_name}"
        if entry.file is not File.GONE and self._flaw(entry.picture) is not None and self._still(entry):
            self._mark(entry, File.GONE)
            yield Finding(Kind.MISSING, picture, path, "LOST: the file is not on the card", self._repair)

    def _still(self, entry: Entry) -> bool:
        """A unit that runs meanwhile may have dropped the picture between our two looks."""
        return self._catalogue.look_up(LookUp(entry.picture.id)) == entry

    def _unmatched(self, directory: Directory, file: CardEntry) -> Finding:
        """A file that no row of its name and size wants there."""
        path = f"{directory.path}/{file.name}"
        named = None if file.is_directory else picture_of(file.name)
        if named is None or not directory.low <= named[0] <= directory.high:
            return self._aside(Kind.UNEXPLAINED, None, path, "does not belong there")
        picture, digits = named
        entry = self._catalogue.look_up(LookUp(picture))
        if entry is not None and entry.attempt is None and not directory.own:
            entry = None
        if entry is None:
            return self._without_row(directory, path, picture, digits)
        if entry.picture.sha256.hex()[:16] != digits:
            return self._aside(Kind.UNEXPLAINED, picture, path, "has a name of other content than its picture")
        if directory.own and entry.deleted:
            return Finding(Kind.LEFTOVER, picture, path, "was deleted; the next start removes it")
        flaw = self._flaw(entry.picture)
        if flaw is not None:
            self._mark(entry, File.GONE)
            return self._aside(Kind.DAMAGED, picture, path, flaw)
        self._mark(entry, File.WHOLE)
        text = "is there and whole, though the catalogue says it was dropped"
        return Finding(Kind.LEFTOVER, picture, path, text, self._repair)

    def _without_row(self, directory: Directory, path: str, picture: PictureId, digits: str) -> Finding:
        try:
            size_bytes, sha256 = self._store.measure(path)
        except CardError as error:
            return self._aside(Kind.DAMAGED, picture, path, f"cannot be read ({error.what})")
        if sha256.hex()[:16] != digits or not 0 < size_bytes <= MAX_PICTURE_BYTES:
            return self._aside(Kind.DAMAGED, picture, path, "has another digest than its name says")
        if not directory.own:
            text = "was never said to be stored; the next start takes care of it"
            return Finding(Kind.LEFTOVER, picture, path, text)
        if self._repair:
            self._store.sync_place(path)
            self._catalogue.save(Save(entries=(Entry(Picture(picture, size_bytes, sha256), File.WHOLE),)))
        text = "is whole, but not in the catalogue"
        return Finding(Kind.LEFTOVER, picture, path, text, self._repair)

    # ------------------------------------------------------------ parts

    def _parts(self) -> Iterator[Finding]:
        rows = {row.picture for row in self._catalogue.oldest_partials(OldestPartials(MAX_PARTIALS))}
        for file in self._store.card.entries(TMP):
            path = f"{TMP}/{file.name}"
            picture = None if file.is_directory else part_of(file.name)
            if picture is None:
                yield self._aside(Kind.UNEXPLAINED, None, path, "does not belong there")
            elif picture in rows:
                rows.remove(picture)
            else:
                yield Finding(Kind.LEFTOVER, picture, path, "cannot be resumed; the next start removes it")
        for picture in sorted(rows):
            text = "is remembered in the catalogue, but gone; the next start forgets it"
            yield Finding(Kind.LEFTOVER, picture, part_path(picture), text)

    # ------------------------------------------------------------ repairs

    def _aside(self, kind: Kind, picture: PictureId | None, path: str, text: str) -> Finding:
        if not self._repair:
            return Finding(kind, picture, path, text)
        aside = self._store.put_aside(path)
        return Finding(kind, picture, path, f"{text}; it was moved to {aside}", repaired=True)

    def _mark(self, entry: Entry, file: File) -> None:
        """A held row stays when its file is gone: the next start tells its origin LOST and takes it out."""
        if self._repair and entry.file is not file:
            self._catalogue.save(Save(entries=(replace(entry, file=file),)))
