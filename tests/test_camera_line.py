"""The line between the camera's child and its parent: what is encoded comes back, and nothing else is believed."""

from __future__ import annotations

import json
import random

import pytest

from hal.camera_line import (
    MESSAGE_MAX_BYTES,
    Chosen,
    Failed,
    Message,
    Ready,
    Taken,
    decode,
    encode,
    occasion_of,
    request_of,
)
from hal.errors import CameraError
from hal.interfaces import Occasion, TimeQuality

OCCASION = Occasion(65_534, 1.79e9, TimeQuality.PEER)
TAKEN = Taken(size_bytes=99, sha256="ab" * 32, id_at=20, preview=b"\xff\xd8\n\x00\n")
MESSAGES: tuple[Message, ...] = (
    request_of(3, "a\udcff.jpg", 2.5, OCCASION),
    Ready("another size"),
    Chosen("ü.jpg"),
    TAKEN,
    Failed(what="no", did="nothing", can="wait"),
)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", MESSAGES)
def test_no_truncated_or_bent_message_gives_anything_but_a_message_or_value_error(message: Message) -> None:
    packet = encode(message)
    bent = [packet[:length] for length in range(len(packet))]
    bent += [flip(packet, bit) for bit in range(len(packet) * 8)]
    for candidate in bent:
        try:
            decode(candidate)
        except ValueError:
            continue


def flip(packet: bytes, bit: int) -> bytes:
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"[]",
        b"[" * MESSAGE_MAX_BYTES,
        b'{"word": ["taken"]}',
        b'{"word": "photo"}',
        b'{"word": "chosen"}',
        b'{"word": "chosen", "name": 3}',
        b'{"word": "ready", "more": 3}',
        random.Random(3).randbytes(300),
    ],
)
def test_what_is_no_message_is_a_value_error(packet: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        decode(packet)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size_bytes", 0),
        ("id_at", -2),
        ("id_at", 50),
        ("size_bytes", 10**12),
        ("sha256", "ab" * 31),
        ("sha256", "xy" * 32),
    ],
)
def test_a_picture_beyond_the_bounds_is_not_believed(field: str, value: object) -> None:
    line, _, preview = encode(TAKEN).partition(b"\n")
    packet = json.dumps({**json.loads(line), field: value}).encode() + b"\n" + preview
    with pytest.raises(ValueError):  # noqa: PT011
        decode(packet)


def test_a_preview_that_is_too_long_is_not_believed() -> None:
    with pytest.raises(ValueError, match="preview"):
        decode(encode(TAKEN) + bytes(4000))


@pytest.mark.parametrize(
    ("packet", "says"),
    [
        (b'{"word": "failed", "what": "x\\udcff", "did": "", "can": ""}', "surrogates not allowed"),
        (b'{"word": "failed", "what": "", "did": "%s", "can": ""}' % (b"x" * 601), "a clause of 601 characters"),
        (
            b'{"word": "taken", "size_bytes": %s, "sha256": "", "id_at": -1}' % (b"9" * 4000),
            "no length that a picture has",
        ),
    ],
)
def test_nothing_is_believed_that_cannot_be_printed(packet: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode(packet)


@pytest.mark.parametrize("letter", ["x", "\u4e00", "\U0001f332", "\udcff"])
def test_a_name_that_is_believed_fits_into_the_next_request(letter: str) -> None:
    """The parent says it back: the next shot goes on after it."""
    told = json.dumps({"word": "chosen", "name": letter * 255}).encode()
    chosen = decode(told)
    assert isinstance(chosen, Chosen)
    encode(request_of(2, chosen.name, 1.0, OCCASION))
    raw = b'{"word": "chosen", "name": "%s"}' % ("\u4e00" * 5000).encode()
    assert len(raw) < MESSAGE_MAX_BYTES
    with pytest.raises(ValueError, match="a name of 5000 characters"):
        decode(raw)


def test_an_error_of_any_length_and_any_file_name_fits_and_can_be_printed() -> None:
    failed = Failed.of(CameraError("\udcff" * 5000, did="ü" * 5000, can="\U0001f332" * 5000))
    told = decode(encode(failed))
    assert told == failed
    assert isinstance(told, Failed)
    assert str(told.error()).encode().startswith(b"\\udcff")


@pytest.mark.parametrize("occasion", [OCCASION, Occasion(1, None, TimeQuality.UNSET)])
def test_the_occasion_comes_through(occasion: Occasion) -> None:
    assert occasion_of(request_of(1, "", 1.0, occasion)) == occasion


@pytest.mark.parametrize(("unix_s", "quality"), [(12.0, TimeQuality.UNSET), (None, TimeQuality.SYNCED)])
def test_no_time_is_claimed_where_the_clock_is_unset(unix_s: float | None, quality: TimeQuality) -> None:
    assert occasion_of(request_of(1, "", 1.0, Occasion(1, unix_s, quality))) == Occasion(1, None, TimeQuality.UNSET)


def test_a_quality_of_time_that_there_is_not_is_not_believed() -> None:
    line = encode(request_of(1, "", 1.0, OCCASION))
    with pytest.raises(ValueError, match="no quality of time"):
        decode(line.replace(b'"quality": 1', b'"quality": 9'))
