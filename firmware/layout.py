"""Where each file is on the card (DESIGN §8), and which picture a file's name tells of.

own/<unit>-<card>/<picture id>-<16 hex digits of its sha256>.jpg      own pictures
held/<origin>/<picture id>-<16>.jpg                                   held for others
preview/<picture id>.jpg   tmp/<picture id>.part   quarantine/   identity   catalogue.sqlite3
"""

from __future__ import annotations

import re

from firmware.errors import WrongArgument
from firmware.pictures import MAX_UNIT, Picture, PictureId

OWN, HELD, PREVIEW, TMP, QUARANTINE = "own", "held", "preview", "tmp", "quarantine"
IDENTITY = "identity"
CATALOGUE = "catalogue.sqlite3"
PART_SUFFIX = ".part"

_PICTURE_NAME = re.compile(r"(.+)-([0-9a-f]{16})\.jpg")
_OWN_NAME = re.compile(r"([0-9]{5})-([0-9a-f]{4})")
_HELD_NAME = re.compile(r"[0-9]{5}")


def own_directory(unit: int, card: int) -> str:
    """Where own pictures of this card number are."""
    return f"{OWN}/{unit:05d}-{card:04x}"


def held_directory(origin: int) -> str:
    """Where pictures held for this origin are."""
    return f"{HELD}/{origin:05d}"


def picture_directory(picture: PictureId, unit: int) -> str:
    """Where the file of this picture is on the card of this unit."""
    return own_directory(unit, picture.card) if picture.unit == unit else held_directory(picture.unit)


def picture_path(picture: Picture, unit: int) -> str:
    """Place of an own or held file on the card of this unit."""
    return f"{picture_directory(picture.id, unit)}/{picture.file_name}"


def part_path(picture: PictureId) -> str:
    """Where a picture is written before it has its place."""
    return f"{TMP}/{picture}{PART_SUFFIX}"


def preview_path(picture: PictureId) -> str:
    """Where its preview is."""
    return f"{PREVIEW}/{picture}.jpg"


def preview_of(name: str) -> PictureId | None:
    """The picture whose preview has this name; None where it is not one."""
    try:
        return PictureId.parse(name.removesuffix(".jpg")) if name.endswith(".jpg") else None
    except WrongArgument:
        return None


def printable(text: str) -> str:
    """The same text where every character can be shown; names on a card are any bytes that somebody put there."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def parent_of(path: str) -> str:
    """The directory that a path is in; `` is the top."""
    return path.rpartition("/")[0]


def picture_of(name: str) -> tuple[PictureId, str] | None:
    """Id and 16 digest digits of the name of a picture's file; None where it is not one."""
    found = _PICTURE_NAME.fullmatch(name)
    try:
        return (PictureId.parse(found[1]), found[2]) if found else None
    except WrongArgument:
        return None


def part_of(name: str) -> PictureId | None:
    """The picture whose .part has this name; None where it is not one."""
    try:
        return PictureId.parse(name.removesuffix(PART_SUFFIX)) if name.endswith(PART_SUFFIX) else None
    except WrongArgument:
        return None


def own_directory_of(name: str) -> tuple[int, int] | None:
    """Unit and card number of a directory in own/; None where it is not one."""
    found = _OWN_NAME.fullmatch(name)
    return (int(found[1]), int(found[2], 16)) if found else None


def origin_of(name: str) -> int | None:
    """The origin of a directory in held/; None where it is not one."""
    return int(name) if _HELD_NAME.fullmatch(name) and 1 <= int(name) <= MAX_UNIT else None
