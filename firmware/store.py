"""The card's files: keeps, receives, reads and removes pictures by the recipes of HANDOVER §1.

Everything here may block for seconds; one thread at a time. Where files are: layout.py.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from firmware.events import (
    BeginPart,
    CardRequest,
    ClosePart,
    DigestFile,
    Digests,
    FinishPart,
    FreeSpace,
    KeepShot,
    Quarantine,
    ReadFile,
    ReadPreview,
    RemoveFile,
    SavePreview,
    SyncPart,
    WritePart,
)
from firmware.layout import PREVIEW, QUARANTINE, TMP, parent_of, part_path, picture_path, preview_path
from firmware.pictures import MAX_PREVIEW_BYTES, Picture, PictureId, looks_like_jpeg
from hal.errors import CardError, CardFull, CardReadOnly
from hal.interfaces import Card, CardFile, Shot
from hal.light_dataclass import dataclass

BLOCK_BYTES = 64_000  # read and written at a time: bounds memory whatever a picture's size
PROOF_BYTES = 16  # BLAKE2b-128 (HANDOVER H6)
READ_BACK_OWN = 8  # every so many-th own shot is read back (HANDOVER §1 recipe 3: sampled; guess)
MAX_OPEN_PARTS = 8  # twice the four reservations of HANDOVER R3
FLOOR_SHARE = 0.05  # of the file system, HANDOVER §1
FLOOR_LARGE_BYTES = 512_000_000  # and no more than this, HANDOVER §1
FLOOR_SMALL_BYTES = 16 * 1024 * 1024  # and never less than this, HANDOVER §1
MAX_QUARANTINE_NAMES = 10_000  # files of one name that quarantine/ takes; more is a bug or an attack


def floor_bytes(total_bytes: int, largest_bytes: int) -> int:
    """Of a file system of total_bytes; largest_bytes: of the largest picture."""
    share = min(int(total_bytes * FLOOR_SHARE), FLOOR_LARGE_BYTES)
    return max(share, 2 * largest_bytes, FLOOR_SMALL_BYTES)


@dataclass(slots=True)
class _Part:
    """An open .part; named: its directory entry is durable."""

    file: CardFile
    size_bytes: int
    named: bool


class Store:
    """Carries out the card requests of firmware/events.py; each method's result is its request's."""

    def __init__(self, card: Card, unit: int, *, read_back_own: int = READ_BACK_OWN) -> None:
        """read_back_own: every so many-th own shot is read back before its rename, 1 = all."""
        assert read_back_own >= 1
        self.card = card
        self.unit = unit
        self.largest_bytes = 0  # of the pictures seen so far; the floor keeps room for two of them
        self._read_back_own = read_back_own
        self._shots = 0
        self._parts: dict[PictureId, _Part] = {}
        self._made: set[str] = set()  # directories that this process knows to be durable
        self._aside: dict[str, int] | None = None  # names in quarantine/, each with the next number to try for it
        self._methods: dict[type, Callable[..., object]] = {
            KeepShot: self.keep_shot,
            BeginPart: self.begin_part,
            WritePart: self.write_part,
            SyncPart: self.sync_part,
            FinishPart: self.finish_part,
            ClosePart: self.close_part,
            ReadFile: self.read_file,
            DigestFile: self.digest_file,
            RemoveFile: self.remove_file,
            ReadPreview: self.read_preview,
            SavePreview: self.save_preview,
            Quarantine: self.quarantine,
            FreeSpace: self.free_space,
        }

    def carry_out(self, request: CardRequest) -> object:
        """Do what the request says; its docstring names result and errors."""
        with self._in_words():
            return self._methods[type(request)](request)

    def path(self, picture: Picture) -> str:
        """Place of an own or held file."""
        return picture_path(picture, self.unit)

    def floor_bytes(self) -> int:
        """Room of the file system that pictures never take, so that SQLite and deletion work on a full card."""
        return floor_bytes(self.card.total_bytes(), self.largest_bytes)

    def free_space(self, _request: FreeSpace) -> int:
        """What is above the floor."""
        return max(0, self.card.free_bytes() - self.floor_bytes())

    def saw(self, size_bytes: int) -> None:
        """A picture of this size exists."""
        self.largest_bytes = max(self.largest_bytes, size_bytes)

    # ------------------------------------------------------------ own pictures

    def keep_shot(self, request: KeepShot) -> Picture:
        """Recipe 1-4; a failed write or fsync is tried once more with a new file from the shot's memory."""
        shot = request.shot.named(str(request.picture.id))
        picture = replace(request.picture, sha256=shot.sha256)
        assert picture.id.unit == self.unit
        assert picture.size_bytes == shot.size_bytes
        read_back = self._shots % self._read_back_own == 0
        self._shots += 1
        try:
            self._write_shot(picture, shot, read_back=read_back)
        except (CardFull, CardReadOnly):
            raise
        except CardError:
            self._write_shot(picture, shot, read_back=True)
        self._keep_preview(picture.id, shot.preview)
        try:
            self._put_in_place(picture)
        except CardError:
            self._discard(preview_path(picture.id))
            raise
        self.saw(picture.size_bytes)
        return picture

    def _write_shot(self, picture: Picture, shot: Shot, *, read_back: bool) -> None:
        """tmp/<id>.part with the shot's bytes on the medium; nothing is left of it after an error."""
        part = part_path(picture.id)
        file = self._new_file(part, picture.size_bytes)
        try:
            for offset in range(0, picture.size_bytes, BLOCK_BYTES):
                file.write(offset, shot.read(offset, BLOCK_BYTES))
            file.sync()
            if read_back and not _digests(file, picture, ()).whole:
                raise CardError(f"picture {picture.id} was read back wrong", can="the card is worn out, replace it")
        except CardError:
            file.close()
            self._discard(part)
            raise
        file.close()

    def _keep_preview(self, picture: PictureId, preview: bytes) -> None:
        """Best effort: without it the picture is as good. A leftover of the same id is of a shot that never was."""
        path = preview_path(picture)
        if not preview:
            self._discard(path)
            return
        assert len(preview) <= MAX_PREVIEW_BYTES
        with contextlib.suppress(CardError), self._in_words():
            file = self._new_file(path, len(preview))
            try:
                file.write(0, preview)
                file.sync()
                self.card.sync_directory(PREVIEW)
            except CardError:
                self._discard(path)
            finally:
                file.close()

    def save_preview(self, request: SavePreview) -> None:
        """That of a held picture."""
        self._keep_preview(request.picture, request.preview)

    # ------------------------------------------------------------ pictures of others, in parts

    def begin_part(self, request: BeginPart) -> int:
        """Reserve room, or take up the .part kept from before: bytes at its beginning that are there."""
        picture = request.picture
        part = part_path(picture.id)
        self.close_part(ClosePart(picture.id, keep=True))
        assert len(self._parts) < MAX_OPEN_PARTS
        kept_bytes = min(request.kept_bytes, picture.size_bytes)
        if kept_bytes and self._size_of(part) == picture.size_bytes:
            self._parts[picture.id] = _Part(self.card.open(part, writable=True), picture.size_bytes, named=True)
            return kept_bytes
        self._parts[picture.id] = _Part(self._new_file(part, picture.size_bytes), picture.size_bytes, named=False)
        return 0

    def write_part(self, request: WritePart) -> None:
        """Bytes into the reserved room."""
        part = self._part(request.picture)
        assert 0 <= request.offset <= part.size_bytes - len(request.data)
        part.file.write(request.offset, request.data)

    def sync_part(self, request: SyncPart) -> None:
        """fsync; after a failure the .part is gone: its bytes are nowhere in memory to write them anew."""
        part = self._part(request.picture)
        try:
            part.file.sync()
            if not part.named:
                self.card.sync_directory(TMP)
                part.named = True
        except CardError:
            self.close_part(ClosePart(request.picture, keep=False))
            raise

    def finish_part(self, request: FinishPart) -> bytes | None:
        """Recipe 2-4: the proof over what was read back, or None if that is not the picture. The .part is gone."""
        picture = request.picture
        part = self._part(picture.id)
        assert part.size_bytes == picture.size_bytes
        try:
            part.file.sync()
            digests = _digests(part.file, picture, (request.nonce,))
        except CardError:
            self.close_part(ClosePart(picture.id, keep=False))
            raise
        self.close_part(ClosePart(picture.id, keep=digests.whole))
        if not digests.whole:
            return None
        self._put_in_place(picture)
        self.saw(picture.size_bytes)
        return digests.proofs[0]

    def close_part(self, request: ClosePart) -> None:
        """Let go of the descriptor, and of the file unless it is kept."""
        part = self._parts.pop(request.picture, None)
        if part is not None:
            part.file.close()
        if not request.keep:
            self._discard(part_path(request.picture))

    def _part(self, picture: PictureId) -> _Part:
        part = self._parts.get(picture)
        if part is None:
            raise CardError(f"picture {picture} is not being received", did="its parts were thrown away")
        return part

    # ------------------------------------------------------------ what is there

    def read_file(self, request: ReadFile) -> bytes:
        """Bytes of the own or held file."""
        file = self._open(request.picture)
        try:
            return file.read(request.offset, request.size_bytes)
        finally:
            file.close()

    def digest_file(self, request: DigestFile) -> Digests:
        """Adoption: file, its directory and that one's parent synced unless they were; the whole file from the medium.

        What is wrong is read once more: rows are removed and files put aside for it, and one bit that was read wrong
        is no rot.
        """
        file = self._open(request.picture)
        try:
            if not request.durable:
                file.sync()
                self.sync_place(self.path(request.picture))
            digests = _digests(file, request.picture, request.nonces)
            return digests if digests.whole else _digests(file, request.picture, request.nonces)
        finally:
            file.close()

    def measure(self, path: str) -> tuple[int, bytes]:
        """Length and sha256 of a file that no row tells of, synced; its name is durable after sync_place()."""
        file = self.card.open(path)
        try:
            file.sync()
            file.forget_cache()
            whole, offset = hashlib.sha256(), 0
            while block := file.read(offset, BLOCK_BYTES):
                offset += len(block)
                whole.update(block)
            return offset, whole.digest()
        finally:
            file.close()

    def remove_file(self, request: RemoveFile) -> None:
        """Unlink and make it durable, also when an earlier try was cut between the two."""
        path = self.path(request.picture)
        with contextlib.suppress(FileNotFoundError):
            self.card.unlink(path)
        with contextlib.suppress(FileNotFoundError):
            self.card.sync_directory(parent_of(path))
        if not request.keep_preview:
            self._discard(preview_path(request.picture.id))
            with contextlib.suppress(FileNotFoundError):
                self.card.sync_directory(PREVIEW)

    def read_preview(self, request: ReadPreview) -> bytes:
        """The preview, empty if there is none or a power cut spoilt it."""
        try:
            file = self.card.open(preview_path(request.picture))
        except FileNotFoundError:
            return b""
        try:
            data = file.read(0, MAX_PREVIEW_BYTES)
        finally:
            file.close()
        return data if looks_like_jpeg(data) else b""

    def quarantine(self, request: Quarantine) -> None:
        """Put a picture's file aside."""
        with contextlib.suppress(FileNotFoundError):
            self.put_aside(self.path(request.picture))

    def put_aside(self, path: str) -> str:
        """Move any file or directory into quarantine/, durably, under a name that is free there: its new path."""
        self._make(QUARANTINE)
        name = path.rpartition("/")[2]
        free = self._free_aside(name)
        if self.is_there(free):  # a person has put it there, or the catalogue was moved there
            self._aside = None
            free = self._free_aside(name)
        self.card.rename(path, free)
        self.card.sync_directory(QUARANTINE)
        self.card.sync_directory(parent_of(path))
        return free

    def _free_aside(self, name: str) -> str:
        """A path in quarantine/, which is listed once only: a spoilt card has thousands of files to put there."""
        if self._aside is None:
            self._aside = dict.fromkeys((entry.name for entry in self.card.entries(QUARANTINE)), 1)
        for number in range(self._aside.get(name, 0), MAX_QUARANTINE_NAMES):
            free = f"{name}.{number}" if number else name
            if free not in self._aside:
                self._aside[name] = number + 1
                self._aside.setdefault(free, 1)
                return f"{QUARANTINE}/{free}"
        raise CardError(f"quarantine/ is full of {name}", can="look at the files there and remove them")

    def is_there(self, path: str) -> bool:
        """Whether anything has this path."""
        try:
            self.card.open(path).close()
        except FileNotFoundError:
            return False
        except CardError:  # a directory, or a file that cannot be read
            return True
        return True

    def sync_place(self, path: str) -> None:
        """Make the name of a file durable, up to the top: it may stand in a directory that was never synced."""
        while path:
            path = parent_of(path)
            self.card.sync_directory(path)

    # ------------------------------------------------------------ steps of the recipes

    def _new_file(self, path: str, size_bytes: int) -> CardFile:
        """An empty file in place of a leftover; CardFull where the floor would be passed."""
        self._discard(path)
        free, floor = self.card.free_bytes(), self.floor_bytes()
        if free - size_bytes < floor:
            text = f"the card's file system has {free} bytes left; {floor} stay free and {size_bytes} are needed"
            raise CardFull(text, did="nothing was written", can="make room on the card")
        with self._in_words():
            self._make(parent_of(path))
            return self.card.create(path, size_bytes)

    def _put_in_place(self, picture: Picture) -> None:
        """Rename the .part and sync the directory; after an error neither name is left."""
        part, path = part_path(picture.id), self.path(picture)
        try:
            with self._in_words():
                self._make(parent_of(path))
                self.card.rename(part, path)
        except CardError:
            self._discard(part)
            raise
        try:
            with self._in_words():
                self.card.sync_directory(parent_of(path))
        except CardError:
            self._discard(path)
            raise

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """A name that is gone, or there already, says here that somebody else has a hand in the card."""
        try:
            yield
        except (FileNotFoundError, FileExistsError) as error:
            self._made.clear()
            can = "look who else changes files on the card; the next start puts aside what is in the way"
            raise CardError(f"the card's files are not as this unit left them: {error}", can=can) from error

    def _make(self, directory: str) -> None:
        if directory not in self._made:
            self.card.make_directory(directory)
            self._made.add(directory)

    def _discard(self, path: str) -> None:
        """Unlink what nobody was told of; what a broken card keeps of it, the next start finds."""
        with contextlib.suppress(FileNotFoundError, CardError):
            self.card.unlink(path)

    def _size_of(self, path: str) -> int | None:
        entries = self.card.entries(parent_of(path))
        return next((entry.size_bytes for entry in entries if entry.name == path.rpartition("/")[2]), None)

    def _open(self, picture: Picture) -> CardFile:
        try:
            return self.card.open(self.path(picture))
        except FileNotFoundError as error:
            raise CardError(f"the file of picture {picture.id} is not on the card") from error


def _digests(file: CardFile, picture: Picture, nonces: tuple[bytes, ...]) -> Digests:
    """One pass over the bytes from the medium: do length and sha256 fit, and a proof for each nonce."""
    file.forget_cache()
    whole = hashlib.sha256()
    proofs = [hashlib.blake2b(digest_size=PROOF_BYTES, key=nonce) for nonce in nonces]
    offset = 0
    while offset <= picture.size_bytes:
        block = file.read(offset, min(BLOCK_BYTES, picture.size_bytes + 1 - offset))
        if not block:
            break
        offset += len(block)
        whole.update(block)
        for proof in proofs:
            proof.update(block)
    right = offset == picture.size_bytes and whole.digest() == picture.sha256
    return Digests(right, tuple(proof.digest() for proof in proofs))
