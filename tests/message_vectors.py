"""Reads tests/vectors/messages.json, the golden vectors of every message, and makes messages by chance."""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from firmware.fields import LATEST_UNIX_S
from firmware.messages import KINDS, MAX_PART_BYTES, Accept, Copy, Message
from firmware.messages_network import NOISE_BYTES
from firmware.pictures import MAX_PICTURE_BYTES, MAX_UNIT, PictureId


@dataclasses.dataclass(frozen=True)
class Vector:
    """One message and its body."""

    name: str
    message: Message
    body: bytes


def _from_told(kind: Any, told: Any) -> Any:
    """The value of a field of this annotated type from how the file tells it."""
    arguments = typing.get_args(kind)
    if told is None or kind in (int, float, bool, str):
        return told
    if isinstance(kind, types.UnionType):
        return _from_told(arguments[0], told)
    if typing.get_origin(kind) is tuple:
        kinds = arguments if arguments[-1] is not Ellipsis else arguments[:1] * len(told)
        return tuple(_from_told(one, value) for one, value in zip(kinds, told, strict=True))
    if kind is bytes:
        return bytes.fromhex(told)
    if kind is PictureId:
        return PictureId.parse(told)
    if issubclass(kind, enum.Enum):
        return kind[told]
    fields = typing.get_type_hints(kind)
    return kind(**{name: _from_told(fields[name], value) for name, value in told.items()})


def read_vectors() -> list[Vector]:
    """All of them, in the file's order."""
    names = {message.__name__: message for message in KINDS.values()}
    rows = json.loads((Path(__file__).parent / "vectors" / "messages.json").read_text())
    made = []
    for row in rows:
        kind = names[row["message"]]
        assert row["kind"] == kind.KIND
        made.append(Vector(row["name"], _from_told(kind, row["fields"]), bytes.fromhex(row["hex"])))
    return made


VECTORS = read_vectors()

_U8, _U16 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
_UNITS = st.integers(1, MAX_UNIT)
_OFFSETS = st.integers(0, MAX_PICTURE_BYTES)
_U64 = st.integers(0, 2**64 - 1)


@st.composite
def _ranges(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    edges = sorted(draw(st.sets(_OFFSETS, max_size=64)))
    return tuple(zip(edges[0::2], edges[1::2], strict=False))


_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("card", "epoch", "interval_s", "ttl_s", "retry_after_s", "query", "page", "kept"), _U16),
    **dict.fromkeys(("at", "whole_bytes"), _U16),
    **dict.fromkeys(("link", "queue", "handle"), _U8),
    "hops": st.integers(0, 4),
    **dict.fromkeys(("asker", "holder", "owner", "unit"), _UNITS),
    **dict.fromkeys(("attempt", "row_attempt", "version"), _U64),
    "below": _OFFSETS,
    "size_bytes": st.integers(1, MAX_PICTURE_BYTES),
    **dict.fromkeys(("boot", "peer_boot", "needed_bytes"), st.integers(0, 2**32 - 1)),
    "noise": st.binary(min_size=NOISE_BYTES, max_size=NOISE_BYTES),
    **dict.fromkeys(("nonce", "proof"), st.binary(min_size=16, max_size=16)),
    **dict.fromkeys(("missing", "have"), _ranges()),
    "room_bytes": st.integers(0, 2**32 - 1).map(lambda kilobytes: kilobytes * 1000),
    "name": st.from_regex(r"[a-z-][a-z0-9-]{0,11}", fullmatch=True),
    "data": st.binary(min_size=1, max_size=300),
    "offset": st.integers(0, MAX_PICTURE_BYTES - MAX_PART_BYTES),
    "sha256": st.binary(min_size=32, max_size=32),
    "tag": st.binary(min_size=16, max_size=16),
    "digest4": st.binary(min_size=4, max_size=4),
    **dict.fromkeys(("holders", "owed", "without"), st.lists(_UNITS, max_size=8).map(tuple)),
    "suspect": st.integers(0, 8),
    "unix_s": st.none() | st.integers(0, LATEST_UNIX_S).map(float),
    "taken_at": st.none() | st.integers(0, 1000 * LATEST_UNIX_S).map(lambda ms: ms / 1000),
}


def _values(owner: type[object], name: str, kind: Any) -> st.SearchStrategy[Any]:
    if name == "handle" and owner is Accept:
        return st.integers(0, 127)
    if name == "handle" and owner is Copy:
        return st.integers(128, 255)
    if name in ("rows", "tombstones", "records"):
        return st.lists(_instances(typing.get_args(kind)[0]), max_size=8).map(tuple)
    if name in _BY_NAME:
        return _BY_NAME[name]
    if kind is PictureId:
        return st.builds(PictureId, _UNITS, _U16, st.integers(0, 2**32 - 1))
    if kind == PictureId | None:
        return st.none() | _values(owner, name, PictureId)
    if kind is bool or issubclass(kind, enum.Enum):
        return st.sampled_from([False, True] if kind is bool else list(kind))
    return _instances(kind)


def _instances(kind: Any) -> st.SearchStrategy[Any]:
    fields = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return st.builds(kind, **{name: _values(kind, name, fields[name]) for name in names})


def messages() -> st.SearchStrategy[Any]:
    """Any message that may be said."""
    return st.one_of([_instances(kind) for kind in KINDS.values()])
