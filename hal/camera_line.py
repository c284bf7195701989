"""What a camera's child process and its parent say to one another, one message per packet of a socket pair.

    parent → child   Request   take shot `number`; in a folder the first name after `after`
    child → parent   Ready     once, when a shot can start (Failed: when one could, but for this)
                     Chosen    which picture it will be: said before anything that may hang or crash
                     Taken     the picture, with a sealed memfd that holds its bytes
                     Failed    no picture this time; the child goes on

A message is one line of JSON, then the bytes of the preview (Taken only). End of file means "end" one way and
"ended" the other. Imported on both sides: nothing heavy here.
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, fields
from typing import ClassVar

from hal.errors import CameraError
from hal.exif import ID_FIELD_BYTES
from hal.interfaces import Occasion, TimeQuality
from hal.light_dataclass import dataclass

PREVIEW_MAX_BYTES = 4000  # DESIGN §8: JPEG of at most 4 kB
MESSAGE_MAX_BYTES = 16_384  # a preview, a name of 255 characters and three clauses fit, all escaped by JSON
NAME_MAX_CHARS = 255  # of a picture's name: no file system of ours has longer ones (NAME_MAX of Linux)
CLAUSE_MAX_CHARS = 600  # of each clause of an error; JSON makes at most 6 bytes of a character
PICTURE_MAX_BYTES = 64_000_000  # guess: four times the largest JPEG of a Pi camera
SHA256_BYTES = 32
NO_FIELD = -1
# What the child promises of the bytes it hands over: nobody can change them under the reader any more.
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Request:
    """Take a picture. number counts from 1; the child ends itself when it takes much longer than timeout_s.

    unit, unix_s, quality: of the Occasion; quality as the number of a TimeQuality, unix_s 0 where that is UNSET.
    """

    word: ClassVar[str] = "request"
    number: int
    after: str
    timeout_s: float
    unit: int
    unix_s: float
    quality: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Imports are done, and a shot would work as far as can be seen now. note: what a person should know of it."""

    word: ClassVar[str] = "ready"
    note: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The name of the picture that comes; the next shot goes on after it, whatever becomes of this one."""

    word: ClassVar[str] = "chosen"
    name: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The picture's length and digest (hex); its bytes are in the descriptor beside the message. id_at: where in them
    the field for its id is (hal.exif.with_id), NO_FIELD where the bytes are of others and stay as they are."""

    word: ClassVar[str] = "taken"
    size_bytes: int
    sha256: str
    id_at: int
    preview: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """No picture, and why: the clauses of a CameraError."""

    word: ClassVar[str] = "failed"
    what: str
    did: str
    can: str

    @classmethod
    def of(cls, error: CameraError) -> Failed:
        """To be told to the parent; bytes of file names that are no text become escapes."""
        clauses = (clause.encode("utf-8", "backslashreplace") for clause in (error.what, error.did, error.can))
        return cls(*(clause.decode()[:CLAUSE_MAX_CHARS] for clause in clauses))

    def error(self) -> CameraError:
        """To be raised in the parent."""
        return CameraError(self.what, did=self.did, can=self.can)


def request_of(number: int, after: str, timeout_s: float, occasion: Occasion) -> Request:
    """The request for this shot."""
    unix_s, quality = occasion.unix_s, occasion.quality
    if unix_s is None or quality is TimeQuality.UNSET:  # nothing is claimed then
        unix_s, quality = 0.0, TimeQuality.UNSET
    return Request(number, after, float(timeout_s), occasion.unit, float(unix_s), int(quality))


def occasion_of(request: Request) -> Occasion:
    """What it was made of."""
    quality = TimeQuality(request.quality)
    return Occasion(request.unit, None if quality is TimeQuality.UNSET else request.unix_s, quality)


Message = Request | Ready | Chosen | Taken | Failed
_KINDS: dict[str, type[Message]] = {kind.word: kind for kind in (Request, Ready, Chosen, Taken, Failed)}
_TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bytes": bytes}


def encode(message: Message) -> bytes:
    """One packet of at most MESSAGE_MAX_BYTES."""
    header = {"word": message.word, **asdict(message)}
    preview: bytes = header.pop("preview", b"")
    packet = json.dumps(header).encode() + b"\n" + preview
    assert len(packet) <= MESSAGE_MAX_BYTES, len(packet)
    return packet


def decode(packet: bytes) -> Message:
    """The message in a packet; ValueError if it is none, or has values that cannot be."""
    line, _, preview = packet.partition(b"\n")
    try:
        header = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    kind = _KINDS.get(str(header.pop("word", ""))) if isinstance(header, dict) else None
    if kind is None:
        raise ValueError("not a message of the camera's line")
    if kind is Taken:
        header["preview"] = preview
    wanted = {field.name: _TYPES[str(field.type)] for field in fields(kind)}
    if header.keys() != wanted.keys() or not all(isinstance(header[name], wanted[name]) for name in wanted):
        raise ValueError(f"wrong fields in {kind.word!r}")
    message = kind(**header)
    _check(message)
    return message


def _check(message: Message) -> None:
    """The child decodes files of others: believe nothing it says beyond these bounds."""
    match message:
        case Taken():
            if not 0 < message.size_bytes <= PICTURE_MAX_BYTES:
                raise ValueError("a picture of no length that a picture has")
            if len(bytes.fromhex(message.sha256)) != SHA256_BYTES:
                raise ValueError("not a SHA-256 digest")
            if not NO_FIELD <= message.id_at <= message.size_bytes - ID_FIELD_BYTES:
                raise ValueError("a field for its id outside of the picture")
            if len(message.preview) > PREVIEW_MAX_BYTES:
                raise ValueError(f"a preview of {len(message.preview)} bytes")
        case Request() if message.quality not in set(TimeQuality):
            raise ValueError(f"{message.quality} is no quality of time")
        case Ready(note):
            _check_text(note)
        case Chosen(name) if len(name) > NAME_MAX_CHARS:  # it is said back in the next Request, which must fit
            raise ValueError(f"a name of {len(name)} characters")
        case Failed(what, did, can):
            for clause in (what, did, can):
                _check_text(clause)


def _check_text(clause: str) -> None:
    """It is printed: UnicodeEncodeError, a ValueError, where it is no text."""
    clause.encode()
    if len(clause) > CLAUSE_MAX_CHARS:
        raise ValueError(f"a clause of {len(clause)} characters")
