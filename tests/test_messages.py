"""Messages: golden vectors both ways, one encoding for each value, and nothing but PeerError for damaged bytes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from message_vectors import VECTORS, Vector, messages

from firmware.errors import DamagedPacket, PeerError, UnknownVersion
from firmware.fields import LATEST_UNIX_S
from firmware.messages import (
    KINDS,
    MAX_PART_BYTES,
    MAX_RANGES,
    Accept,
    Beacon,
    Copy,
    Delete,
    Get,
    Inventory,
    InventoryRow,
    Lost,
    Message,
    Name,
    Part,
    Records,
    Report,
    RosterPart,
    Tombstone,
    Where,
    decode,
    inventory_rows_that_fit,
    ranges_that_fit,
)
from firmware.pictures import MAX_PICTURE_BYTES, Picture, PictureId
from hal.interfaces import TimeQuality

PICTURE = PictureId(1, 0x3FA7, 42)
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def check(kind: int, body: bytes) -> None:
    """Damaged bytes are refused; those that are taken are the one encoding of what they say."""
    try:
        message = decode(kind, body)
    except PeerError:
        return
    assert message.encode() == body


@each_vector
def test_encodes_to_its_golden_vector(vector: Vector) -> None:
    assert vector.message.encode() == vector.body


@each_vector
def test_golden_vector_decodes_to_its_message(vector: Vector) -> None:
    assert decode(vector.message.KIND, vector.body) == vector.message


def test_every_kind_has_a_golden_vector() -> None:
    assert {type(vector.message) for vector in VECTORS} == set(KINDS.values())


@pytest.mark.parametrize("message", KINDS.values(), ids=lambda message: message.__name__)
def test_layout_names_the_fields_in_their_order(message: Any) -> None:
    assert [name for name, _ in message.LAYOUT] == [field.name for field in dataclasses.fields(message)]


@given(messages())
@settings(max_examples=600, deadline=None, derandomize=True)
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(message.KIND, message.encode()) == message


@given(messages())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_message_is_longer_than_its_fields_say(message: Message) -> None:
    assert len(message.encode()) <= sum(codec.max_bytes for _, codec in message.LAYOUT)


@each_vector
def test_every_single_bit_error_is_refused_or_another_message(vector: Vector) -> None:
    for bit in range(8 * len(vector.body)):
        damaged = bytearray(vector.body)
        damaged[bit // 8] ^= 1 << bit % 8
        check(vector.message.KIND, bytes(damaged))


@each_vector
def test_every_truncation_is_damage(vector: Vector) -> None:
    for size in range(len(vector.body)):
        if isinstance(vector.message, Part | RosterPart) and size > vector.message.FIXED_BYTES:
            continue  # a part with less data is a part
        with pytest.raises(DamagedPacket):
            decode(vector.message.KIND, vector.body[:size])


@each_vector
def test_trailing_bytes_are_damage_but_in_a_part_which_ends_with_its_packet(vector: Vector) -> None:
    if isinstance(vector.message, Part | RosterPart):
        check(vector.message.KIND, vector.body + b"\x00")
    else:
        with pytest.raises(DamagedPacket):
            decode(vector.message.KIND, vector.body + b"\x00")


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=200))
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_random_bytes_are_refused_or_a_message(kind: int, body: bytes) -> None:
    check(kind, body)


@given(st.sampled_from(VECTORS), st.integers(0, 500), st.binary(max_size=12))
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_a_message_with_a_random_stretch_is_refused_or_a_message(vector: Vector, at: int, stretch: bytes) -> None:
    check(vector.message.KIND, vector.body[:at] + stretch + vector.body[at + len(stretch) :])


@pytest.mark.parametrize("kind", sorted(set(range(256)) - set(KINDS)))
def test_unknown_kind_is_of_the_future(kind: int) -> None:
    with pytest.raises(UnknownVersion):
        decode(kind, b"")


@given(st.integers(0, 255), st.integers(0, MAX_PICTURE_BYTES - 400), st.binary(min_size=1, max_size=400))
@settings(deadline=None, derandomize=True)
def test_the_fast_way_of_part_gives_the_bytes_of_its_layout(handle: int, offset: int, data: bytes) -> None:
    part = Part(handle, offset, data)
    assert part.encode() == Message.encode(part)
    assert super(Part, Part).decode(part.encode()) == part


@pytest.mark.parametrize(
    "message",
    [
        Part(0, MAX_PICTURE_BYTES - 1, b"ab"),
        Part(0, -1, b"ab"),
        Part(0, 0, b""),
        Part(0, 0, bytes(MAX_PART_BYTES + 1)),
        Accept(PICTURE, 1, 128, 60, ()),
        Accept(PICTURE, 2**64, 0, 60, ()),
        Accept(PICTURE, -1, 0, 60, ()),
        Copy(3, 1, 2, 127, 10, bytes(32), None, TimeQuality.UNSET),
        Copy(3, 1, 2, 128, 0, bytes(32), None, TimeQuality.UNSET),
        Copy(3, 1, 2, 128, MAX_PICTURE_BYTES + 1, bytes(32), None, TimeQuality.UNSET),
        Where(3, 1, PICTURE, 5),
        Report(1, ((0, 0),), 10),
        Report(1, ((5, 10), (10, 20)), 20),
        Report(1, ((5, 10), (7, 20)), 20),
        Report(1, tuple((10 * at, 10 * at + 5) for at in range(MAX_RANGES + 1)), 330),
        Report(1, ((0, MAX_PICTURE_BYTES + 1),), 20),
        Delete(PICTURE, bytes(31)),
        Lost(PictureId(0, 1, 1), 1, False),
        Lost(PictureId(65_535, 1, 1), 1, True),
        Where(0, 1, PICTURE, 0),
        Name("", None, TimeQuality.UNSET),
        Name("Gate", None, TimeQuality.UNSET),
        Name("12345", None, TimeQuality.UNSET),
        Name("thirteen-long", None, TimeQuality.UNSET),
        Name("gäte", None, TimeQuality.UNSET),
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_is_not_encoded(message: Message) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        message.encode()


IMPOSSIBLE_RANGES = {
    "empty": "010500",
    "touching": "0205050005",
    "beyond any picture": "01 9ec2a000 01",
    "the second beyond any picture": "02 00 9ec29f7f 01 01",
    "too many": "21" + "0101" * 33,
    "a number without an end": "01 ffffffff 7f01",
    "too large a number": "01 00 ffffff7f",
}


@pytest.mark.parametrize("ranges", IMPOSSIBLE_RANGES.values(), ids=IMPOSSIBLE_RANGES.keys())
def test_ranges_that_cannot_be_are_damage(ranges: str) -> None:
    with pytest.raises(DamagedPacket):
        decode(Report.KIND, b"\x05" + bytes.fromhex(ranges) + bytes(4))


def test_too_many_holders_or_rows_are_damage() -> None:
    tombstone = Records(1, (Tombstone(PICTURE, 1, bytes(32), ()),), (), True).encode()
    rest = b"\x00" * 16 + b"\x00\x01"
    assert tombstone.endswith(b"\x00" + rest)
    before, most = tombstone[: -len(rest) - 1], Tombstone(PICTURE, 1, bytes(32), (2,) * 8)
    assert decode(50, before + b"\x08" + b"\x00\x02" * 8 + rest) == Records(1, (most,), (), True)
    with pytest.raises(DamagedPacket):
        decode(50, before + b"\x09" + b"\x00\x02" * 9 + rest)
    row = Inventory(1, (InventoryRow(Picture(PICTURE, 1, bytes(32)), 1),), True).encode()[3:-1]
    with pytest.raises(DamagedPacket):
        decode(Inventory.KIND, b"\x00\x01\x09" + row * 9 + b"\x01")


def test_names_are_those_of_config_only() -> None:
    for name in (b"Gate", b"12345", b"thirteen-long", b"", b"a b", b"g\xe4te"):
        with pytest.raises(DamagedPacket):
            decode(Name.KIND, bytes([len(name)]) + name + b"\xff\xff\xff\xff\x00")


def beacon(**changes: Any) -> Beacon:
    known = Beacon(1, 2, 0, 5000, 0, 0, 60, False, True, None, TimeQuality.UNSET)
    return dataclasses.replace(known, **changes)


def test_beacon_rounds_room_down_and_time_to_seconds() -> None:
    heard = decode(Beacon.KIND, beacon(room_bytes=12_999, unix_s=1000.4).encode())
    assert heard == beacon(room_bytes=12_000, unix_s=1000.0)


@pytest.mark.parametrize("unix_s", [-1.0, LATEST_UNIX_S + 1.0, 2.0**60])
def test_a_time_that_cannot_be_is_not_passed_on(unix_s: float) -> None:
    assert decode(Beacon.KIND, beacon(unix_s=unix_s).encode()) == beacon(unix_s=None)


@pytest.mark.parametrize("unix_s", [LATEST_UNIX_S + 1, 2**32 - 2])
def test_a_time_that_cannot_be_is_not_taken(unix_s: int) -> None:
    body = beacon(unix_s=float(LATEST_UNIX_S)).encode()
    told = LATEST_UNIX_S.to_bytes(4, "big")
    assert body.count(told) == 1
    with pytest.raises(DamagedPacket):
        decode(Beacon.KIND, body.replace(told, unix_s.to_bytes(4, "big")))


def test_beacon_tells_what_is_too_much_as_its_most() -> None:
    heard = decode(Beacon.KIND, beacon(queue=1_000_000, interval_s=90_000, room_bytes=10**16).encode())
    assert heard == beacon(queue=255, interval_s=65_535, room_bytes=(2**32 - 1) * 1000)


WIDEST = tuple((at * 1_999_999 + 1, (at + 1) * 1_999_999) for at in range(MAX_RANGES))
LAST = PictureId(65_534, 0xFFFF, 2**32 - 1)


@pytest.mark.parametrize("room_bytes", [60, 92, 200, 257, 285, 300, 700])
def test_as_many_ranges_as_are_said_to_fit_do_fit(room_bytes: int) -> None:
    most = WIDEST[: ranges_that_fit(room_bytes)]
    for message in (Accept(LAST, 2**64 - 1, 1, 60, most), Report(1, most, 1), Get(1, 1, 1, LAST, False, most, 0)):
        assert len(message.encode()) <= room_bytes


@pytest.mark.parametrize("room_bytes", [70, 92, 127, 128, 200, 499, 500, 501, 700])
def test_as_many_rows_as_are_said_to_fit_do_fit_and_no_more(room_bytes: int) -> None:
    picture = Picture(LAST, MAX_PICTURE_BYTES, bytes(32), True, 2.0**31, TimeQuality.SYNCED)
    row = InventoryRow(picture, 2**64 - 1)
    fitting = inventory_rows_that_fit(room_bytes)
    assert len(Inventory(1, (row,) * fitting, True).encode()) <= room_bytes
    assert fitting == 8 or len(Inventory(1, (row,) * (fitting + 1), True).encode()) > room_bytes
