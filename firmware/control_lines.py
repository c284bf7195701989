"""The lines of the control socket: what the command line asks the running unit, and what comes back.

One command per connection. The client sends one request line; the unit answers with reply lines until End, and closes:

    {"verb": "get", "picture": "00001-3fa7-00000042", …}          request: a JSON object with "verb"; "for_unit", if
                                                                  there, is the number of the unit that it is meant for
    {"row": {…}}                                                  Row
    {"note": "…"}                                                 Note
    {"progress": {"picture", "done_bytes", "total_bytes"}}        Progress
    {"picture": {"picture", "size_bytes", "sha256", "from_unit", "offset"}} Coming
    {"data": {"offset", "size_bytes"}} and so many raw bytes      Data
    {"end": 0} or {"end": 1 | 2 | 75, "what", "did", "can"}       End

A client that closes its end early cancels what it asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import BinaryIO

from firmware.errors import WrongArgument
from hal.light_dataclass import dataclass

NOT_BEGUN = 75  # code of End where the unit ends before it has begun the command: EX_TEMPFAIL of sysexits.h
# A request has up to 300. JSON takes 45 times its length in memory at worst (lists in lists), and 64 kB is what one may
# take; and there is no room for a number of more than 4300 digits, which Python does not read.
MAX_REQUEST_BYTES = 1200
MAX_REPLY_LINE_BYTES = 1_000_000  # the longest row is a decision with the inputs of 50 neighbours, about 20 kB
MAX_DATA_BYTES = 64_000  # raw bytes behind one Data line: what a read-out that passes through may take (DESIGN §5)


@dataclass(frozen=True, slots=True)
class Row:
    """A result, as `--json` prints it."""

    fields: dict[str, object]


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the person to read while the command goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the transfer of a picture is."""

    picture: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Coming:
    """A file is about to come; again when a holder failed and another is tried.

    sha256: hex digits, of the whole file; None where the unit does not know it. offset: from here on; what is below it
    the client has: from an earlier try, as it said, or from the holder before.
    """

    picture: str
    size_bytes: int
    sha256: str | None
    from_unit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of the file that Coming announced, 1..MAX_DATA_BYTES of them."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The last line. code: the exit status, or NOT_BEGUN; the rest as in DandelionError."""

    code: int = 0
    what: str = ""
    did: str = ""
    can: str = ""


Line = Row | Note | Progress | Coming | Data | End


class NotALine(ValueError):
    """What came over the control socket is no line of this protocol."""

    def __init__(self, line: bytes) -> None:
        super().__init__(f"no line of the control protocol: {line[:80]!r}")


def encode_request(verb: str, arguments: Mapping[str, object]) -> bytes:
    """The request line."""
    return _line({"verb": verb, **arguments})


def decode_request(line: bytes) -> dict[str, object]:
    """The request of a line; WrongArgument if it is none."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WrongArgument("the request is not JSON") from error
    if not isinstance(request, dict) or not isinstance(request.get("verb"), str):
        raise WrongArgument('the request is not a JSON object with a "verb"')
    return request


def encode(line: Line) -> bytes:
    """The reply line; for Data its raw bytes, too."""
    match line:
        case Row(fields):
            return _line({"row": fields})
        case Note(text):
            return _line({"note": text})
        case Progress(picture, done_bytes, total_bytes):
            return _line({"progress": {"picture": picture, "done_bytes": done_bytes, "total_bytes": total_bytes}})
        case Coming(picture, size_bytes, sha256, from_unit, offset):
            told = {"picture": picture, "size_bytes": size_bytes, "sha256": sha256, "from_unit": from_unit}
            return _line({"picture": {**told, "offset": offset}})
        case Data(offset, data):
            assert 0 < len(data) <= MAX_DATA_BYTES, len(data)
            return _line({"data": {"offset": offset, "size_bytes": len(data)}}) + data
        case End(0):
            return _line({"end": 0})
        case End(code, what, did, can):
            return _line({"end": code, "what": what, "did": did, "can": can})


def read(stream: BinaryIO) -> Line:
    """The next line that the unit said, for Data with its raw bytes.

    Raises EOFError where the stream ends before the line does, NotALine for whatever else is none of the six
    forms with fields of the right types, and what the stream raises.
    """
    line = stream.readline(MAX_REPLY_LINE_BYTES)
    if not line.endswith(b"\n") and len(line) < MAX_REPLY_LINE_BYTES:
        raise EOFError("the answer has no end")
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotALine(line) from error
    match told:
        case {"row": dict(fields)}:
            return Row(fields)
        case {"note": str(text)}:
            return Note(text)
        case {"progress": {"picture": str(picture), "done_bytes": int(done), "total_bytes": int(total)}}:
            return Progress(picture, done, total)
        case {
            "picture": {
                "picture": str(picture),
                "size_bytes": int(size),
                "sha256": digest,
                "from_unit": int(unit),
                "offset": int(offset),
            }
        }:
            if digest is None or isinstance(digest, str):
                return Coming(picture, size, digest, unit, offset)
        case {"data": {"offset": int(offset), "size_bytes": int(size)}}:
            if offset >= 0 and 0 < size <= MAX_DATA_BYTES:
                return Data(offset, _exactly(stream, size))
        case {"end": int(code)}:
            return End(code, *(str(told.get(key, "")) for key in ("what", "did", "can")))
    raise NotALine(line)


def _exactly(stream: BinaryIO, size_bytes: int) -> bytes:
    data = stream.read(size_bytes)
    if len(data) < size_bytes:
        raise EOFError("the answer has no end")
    return data


def _line(told: Mapping[str, object]) -> bytes:
    return json.dumps(told).encode() + b"\n"
