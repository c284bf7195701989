"""Pictures: their ids, what is known of each, and where its copies are. Values only; no I/O, no decisions."""

from __future__ import annotations

import enum
import re
import struct
from dataclasses import replace

from firmware.errors import WrongArgument
from firmware.wording import shown
from hal.interfaces import TimeQuality
from hal.light_dataclass import dataclass

ID_BYTES = 8
MAX_UNIT = 65_534  # 65535 is everyone, 0 is nobody
EVERYONE = 65_535
MAX_CARD = 0xFFFF
MAX_SEQUENCE = 0xFFFF_FFFF
NONCE_BYTES = PROOF_BYTES = 16  # a proof is BLAKE2b-128 keyed with a nonce (HANDOVER H6)
MAX_PICTURE_BYTES = 64_000_000  # guess: four times the largest JPEG of a Pi camera; longer ones are a peer's error
MAX_PREVIEW_BYTES = 4096  # DESIGN §8
_ID_TEXT = re.compile(r"([0-9]{5})-([0-9a-f]{4})-([0-9]{8}|[1-9][0-9]{8,9})")
_ID_WIRE = struct.Struct(">HHI")


@dataclass(frozen=True, slots=True, order=True)
class PictureId:
    """Names one picture for ever: unit that took it, random number of its card, sequence (DESIGN §8)."""

    unit: int
    card: int
    sequence: int

    def __str__(self) -> str:
        return "%05d-%04x-%08d" % (self.unit, self.card, self.sequence)  # noqa: UP031 - half the time, for each file

    def encode(self) -> bytes:
        """8 bytes, big-endian; sorts as the id does."""
        return _ID_WIRE.pack(self.unit, self.card, self.sequence)

    @classmethod
    def decode(cls, data: bytes) -> PictureId:
        """From exactly 8 bytes."""
        return cls(*_ID_WIRE.unpack(data))

    @classmethod
    def parse(cls, text: str) -> PictureId:
        """From text as str() gives it; raises WrongArgument."""
        found = _ID_TEXT.fullmatch(text)
        if found is not None:
            made = cls(int(found[1]), int(found[2], 16), int(found[3]))
            if 1 <= made.unit <= MAX_UNIT and made.sequence <= MAX_SEQUENCE:
                return made
        raise WrongArgument(f"{shown(text)} is not a picture id", can="ids look like 00001-3fa7-00000042")


def picture_name(picture: PictureId, sha256: bytes) -> str:
    """`<picture id>-<first 16 hex digits of its sha256>.jpg` (DESIGN §8)."""
    return f"{picture}-{sha256[:8].hex()}.jpg"


def looks_like_jpeg(data: bytes) -> bool:
    """Whether it begins and ends as a JPEG does (SOI and EOI markers, ITU T.81 table B.1). Nothing is decoded."""
    return data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")


@dataclass(frozen=True, slots=True)
class Picture:
    """What is the same about a picture wherever it is. taken_at: Unix seconds, None where unknown."""

    id: PictureId
    size_bytes: int
    sha256: bytes
    priority: bool = False
    taken_at: float | None = None
    taken_quality: TimeQuality = TimeQuality.UNSET

    @property
    def digest4(self) -> bytes:
        """The four digest bytes that HOLD, KEEP and DROP carry."""
        return self.sha256[:4]

    @property
    def file_name(self) -> str:
        """`<picture id>-<first 16 hex digits of its sha256>.jpg`, of own and held pictures alike."""
        return picture_name(self.id, self.sha256)


class File(enum.IntEnum):
    """Whether the picture's file is on this unit's card."""

    GONE = 0
    UNCHECKED = 1  # there by name; counts as no copy until its digest was checked (HANDOVER §1)
    WHOLE = 2


@dataclass(frozen=True, slots=True)
class Copy:
    """What the origin knows of one holder. open, listed: attempt numbers, 0 = none.

    verified_at is wall time for people; a proof is fresh only by verified_boot and verified_monotonic.
    owed: this holder has not yet answered LOST to the DROP of a copy that is deleted, or was let go. doubted: it has
    been suspect, so it is the first to be let go where there are more copies than wanted.
    """

    unit: int
    open: int = 0
    listed: int = 0
    suspect: bool = False
    owed: bool = False
    doubted: bool = False
    proof: bytes = b""
    verified_at: float | None = None
    verified_boot: int = 0
    verified_monotonic: float = 0.0


UNKNOWN_ATTEMPT = 0  # a held row adopted while rebuilding: obeys no DROP until its owner's REQUEST gives a number


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue: a picture that is own, held here, or known from others.

    file: the own file at the origin, the held file at a host. attempt: None unless held here. kept: the origin
    has confirmed this held copy. version, deleted: of the record (R6); version 0: no record of it was heard. copies:
    sorted by unit; only at the origin (elsewhere: empty). named: at other units, whom the origin's record names as
    holders, the proved ones first, the last `doubted` of them suspect; of a tombstone, whom a DROP was owed. tag: of
    such a tombstone, by which its origin knows it for its own; empty if there is none.
    """

    picture: Picture
    file: File
    attempt: int | None = None
    kept: bool = False
    version: int = 0
    deleted: bool = False
    copies: tuple[Copy, ...] = ()
    named: tuple[int, ...] = ()
    doubted: int = 0
    tag: bytes = b""

    @property
    def without_file(self) -> Entry | None:
        """What stays of a held row whose file goes: what the origin's record said, None if none was heard."""
        return replace(self, file=File.GONE, attempt=None, kept=False) if self.version else None

    def copy_at(self, unit: int) -> Copy:
        """What is known of this holder; a blank Copy if nothing."""
        return next((c for c in self.copies if c.unit == unit), Copy(unit))

    @property
    def listed(self) -> tuple[Copy, ...]:
        """Holders that the dispersal list names, suspects included."""
        return tuple(c for c in self.copies if c.listed)

    @property
    def verified(self) -> tuple[Copy, ...]:
        """Listed holders that are not suspect."""
        return tuple(c for c in self.copies if c.listed and not c.suspect)
