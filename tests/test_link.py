"""Link: messages come back whole through packets of any size, in any order; nothing but PeerError for other bytes."""

from __future__ import annotations

import contextlib
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from message_vectors import VECTORS, Vector, messages
from protocol_examples import BEACON, HOLD, PICTURE

from firmware.errors import ClonedUnit, DamagedPacket, ForeignSession, PeerError, UnknownVersion
from firmware.link import (
    ASSEMBLY_AGE_S,
    MAX_ASSEMBLIES,
    MAX_ASSEMBLIES_PER_PEER,
    MAX_PIECES,
    MIN_MTU_BYTES,
    Link,
    Overheard,
    Received,
)
from firmware.messages import (
    KINDS,
    Accept,
    Get,
    Inventory,
    InventoryRow,
    Keep,
    Message,
    Part,
    Record,
    Records,
    Report,
    Request,
    RosterPart,
    Tombstone,
    Where,
)
from firmware.pictures import EVERYONE, MAX_PICTURE_BYTES, Picture, PictureId
from firmware.seal import MAX_PEERS, InsecureSeal
from hal.framing import longest_frame_bytes
from hal.interfaces import TimeQuality

NOW = 1000.0
WHERE = Where(1, 9, PICTURE, 0)
LAST = PictureId(65_534, 0xFFFF, 2**32 - 1)
WIDE_ROW = InventoryRow(Picture(LAST, MAX_PICTURE_BYTES, bytes(32), True, 2.0**31, TimeQuality.SYNCED), 2**64 - 1)
WIDE_RECORD = Record(WIDE_ROW.picture, 2**64 - 1, (65_534,) * 8, 8)
WIDE_TOMBSTONE = Tombstone(LAST, MAX_PICTURE_BYTES, bytes(32), (65_534,) * 8)
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def link_of(unit: int, boot: int, peer: int, peer_boot: int, mtu_bytes: int = 4128) -> Link:
    """A link of `unit` that has heard its peer."""
    link = Link(unit, InsecureSeal(unit, boot), mtu_bytes)
    link.decode(Link(peer, InsecureSeal(peer, peer_boot), mtu_bytes).encode(EVERYONE, WHERE)[0], 0.0)
    return link


def pair(mtu_bytes: int = 4128) -> tuple[Link, Link]:
    """Unit 1 (boot 7) and unit 2 (boot 9), who have heard one another and told so."""
    one, two = link_of(1, 7, 2, 9, mtu_bytes), link_of(2, 9, 1, 7, mtu_bytes)
    return one, two


def only(packets: list[bytes]) -> bytes:
    assert len(packets) == 1
    return packets[0]


def deliver(packets: list[bytes], link: Link, now: float = NOW) -> Received:
    """The message of these packets, which the last one completes."""
    *others, last = packets
    for packet in others:
        assert link.decode(packet, now) is None
    received = link.decode(last, now)
    assert isinstance(received, Received)
    return received


def inventory(rows: int) -> Inventory:
    return Inventory(1, (WIDE_ROW,) * rows, True)


# ---------------------------------------------------------------- whole messages


@given(messages(), st.integers(400, 4128), st.none() | st.integers(0, 10**7))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_message_arrives_as_it_was_said(message: Message, mtu_bytes: int, airtime_ms: int | None) -> None:
    one, two = pair(mtu_bytes)
    packets = one.encode(2, message, airtime_ms=airtime_ms)
    assert all(len(packet) <= mtu_bytes for packet in packets)
    received = deliver(packets, two)
    assert received.message == message
    assert (received.source, received.destination, received.new_boot) == (1, 2, False)


def test_the_first_message_after_a_start_of_the_peer_says_so_once() -> None:
    two = Link(2, InsecureSeal(2, 9), 4128)
    heard = [deliver(Link(1, InsecureSeal(1, boot), 4128).encode(EVERYONE, BEACON), two) for boot in (7, 7, 8, 8)]
    assert [received.new_boot for received in heard] == [True, False, True, False]


def test_a_new_start_is_told_with_the_first_whole_message_though_a_piece_showed_it() -> None:
    one, two = pair(48)
    restarted = link_of(1, 8, 2, 9, 48)
    first, *others = restarted.encode(2, inventory(1))
    assert two.decode(first, NOW) is None
    assert deliver(restarted.encode(2, HOLD), two).new_boot
    assert not deliver(others, two).new_boot
    with pytest.raises(ForeignSession):
        two.decode(only(one.encode(2, HOLD)), NOW)


def test_a_peer_not_heard_cannot_be_spoken_to() -> None:
    link = Link(1, InsecureSeal(1, 7), 4128)
    with pytest.raises(LookupError):
        link.encode(2, HOLD)
    link.encode(EVERYONE, BEACON)


def test_foreign_session_names_the_source() -> None:
    one, _ = pair()
    restarted = Link(2, InsecureSeal(2, 10), 4128)
    with pytest.raises(ForeignSession) as caught:
        restarted.decode(only(one.encode(2, HOLD)), NOW)
    assert caught.value.source == 1


def test_a_beacon_takes_at_most_40_bytes() -> None:
    assert len(only(Link(1, InsecureSeal(1, 7), MIN_MTU_BYTES).encode(EVERYONE, BEACON))) <= 40


@pytest.mark.parametrize(("asked_ms", "told_ms"), [(0, 0), (1, 10), (10, 10), (1234, 1240), (10**9, 655_350)])
def test_airtime_is_rounded_up_and_bounded(asked_ms: int, told_ms: int) -> None:
    one, two = pair()
    assert deliver(one.encode(2, HOLD, airtime_ms=asked_ms), two).airtime_ms == told_ms


def test_airtime_stands_in_the_last_piece_only() -> None:
    one, two = pair(48)
    third = Link(3, InsecureSeal(3, 1), 48)
    packets = one.encode(2, inventory(1), airtime_ms=500)
    heard = [third.decode(packet, NOW) for packet in packets]
    assert heard == [Overheard(1, 2, Inventory.KIND, ms) for ms in (None, None, 500)]
    assert deliver(packets, two).message == inventory(1)


def test_third_units_hear_the_header_only() -> None:
    one, _ = pair()
    third = Link(3, InsecureSeal(3, 1), 4128)
    packet = only(one.encode(2, HOLD, airtime_ms=70))
    assert third.decode(packet, NOW) == Overheard(1, 2, HOLD.KIND, 70)
    assert third.decode(packet[:8], NOW) == Overheard(1, 2, HOLD.KIND, 70)
    assert not third.seal.knows(1)


def test_where_all_may_send_at_once_what_is_between_others_is_nothing_and_all_else_as_ever() -> None:
    one, _ = pair()
    third = Link(3, InsecureSeal(3, 1), 4128, overhears=False)
    packet = only(one.encode(2, HOLD, airtime_ms=70))
    assert third.decode(packet, NOW) is None
    received = third.decode(only(one.encode(EVERYONE, BEACON)), NOW)
    assert isinstance(received, Received)
    assert received.message == BEACON
    with pytest.raises(UnknownVersion):
        third.decode(bytes([packet[0] ^ 0x60]) + packet[1:], NOW)
    with pytest.raises(DamagedPacket):
        third.decode(packet[:3], NOW)
    clone = link_of(3, 8, 2, 9)
    with pytest.raises(ClonedUnit):
        third.decode(only(clone.encode(2, HOLD)), NOW)


def test_our_own_echo_is_nothing_and_a_later_start_of_us_is_a_clone() -> None:
    one, _ = pair()
    clone = link_of(1, 8, 2, 9)
    for destination, message in ((EVERYONE, BEACON), (2, HOLD)):
        assert one.decode(only(one.encode(destination, message)), NOW) is None
        with pytest.raises(ClonedUnit):
            one.decode(only(clone.encode(destination, message)), NOW)


@pytest.mark.parametrize("kind", [kind for kind, message in KINDS.items() if not message.BROADCAST])
def test_what_is_for_one_unit_is_neither_said_to_everyone_nor_obeyed_from_there(kind: int) -> None:
    vector = next(vector for vector in VECTORS if kind == vector.message.KIND)
    one, two = pair()
    with pytest.raises(ValueError, match="cannot be sent"):
        one.encode(EVERYONE, vector.message)
    beacon = only(one.encode(EVERYONE, BEACON))
    with pytest.raises(DamagedPacket):
        two.decode(beacon[:1] + bytes([kind]) + beacon[2:14] + vector.body, NOW)


def test_a_unit_does_not_speak_to_itself() -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        pair()[0].encode(1, HOLD)


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("airtime_ms", [None, 1000])
def test_at_every_mtu_the_longest_messages_fit_and_arrive(airtime_ms: int | None) -> None:
    for mtu_bytes in [*range(MIN_MTU_BYTES, 420), *range(420, 4129, 97), 4128]:
        one, two = pair(mtu_bytes)
        ranges = tuple((at * 1_999_999 + 1, (at + 1) * 1_999_999) for at in range(one.most_ranges))
        for message in (
            inventory(one.most_inventory_rows),
            Records(65_535, (), (WIDE_RECORD,) * one.most_records, True),
            Records(65_535, (WIDE_TOMBSTONE,) * one.most_records, (), True),
            Accept(LAST, 2**64 - 1, 1, 60, ranges),
            Report(1, ranges, 1),
            Get(1, 1, 2, LAST, True, ranges, 4),
            Request(WIDE_ROW.picture, 2**64 - 1),
            Part(255, 0, bytes(one.part_room_bytes)),
        ):
            packets = one.encode(2, message, airtime_ms=airtime_ms)
            assert len(packets) <= MAX_PIECES
            assert max(len(packet) for packet in packets) <= mtu_bytes
            assert deliver(packets, two).message == message


def longest(kind: type[Message]) -> int:
    return sum(codec.max_bytes for _, codec in kind.LAYOUT)


def test_at_the_least_mtu_every_message_without_ranges_or_rows_fits() -> None:
    link = Link(1, InsecureSeal(1, 7), MIN_MTU_BYTES)
    for kind in set(KINDS.values()) - {Accept, Report, Get, Inventory, Records, Part, RosterPart}:
        assert longest(kind) <= link.message_room_bytes
    assert link.most_inventory_rows >= 1
    assert link.most_records >= 1
    assert link.most_ranges >= 1


def test_a_smaller_mtu_is_not_taken() -> None:
    with pytest.raises(ValueError, match="packets of 47 bytes"):
        Link(1, InsecureSeal(1, 7), MIN_MTU_BYTES - 1)


def test_too_long_a_message_is_not_sent() -> None:
    one, _ = pair(48)
    with pytest.raises(ValueError, match="does not fit"):
        one.encode(2, inventory(one.most_inventory_rows + 1))
    with pytest.raises(ValueError, match="does not fit"):
        one.encode(2, Part(1, 0, bytes(one.part_room_bytes + 3)))


def test_a_part_has_a_header_of_six_bytes() -> None:
    one, _ = pair()
    assert len(only(one.encode(2, Part(1, 0, b"d" * 100)))) == 6 + one.seal.overhead_bytes + Part.FIXED_BYTES + 100


@pytest.mark.parametrize("mtu_bytes", [48, 100, 255, 256, 1000, 4128, 9000])
def test_part_overhead_is_what_the_longest_part_takes_on_the_line_besides_its_data(mtu_bytes: int) -> None:
    one, _ = pair(mtu_bytes)
    packet = only(one.encode(2, Part(1, 0, bytes(one.part_room_bytes))))
    assert one.part_overhead_bytes == longest_frame_bytes(len(packet)) - one.part_room_bytes


# ---------------------------------------------------------------- pieces


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_pieces_arrive_in_any_order_and_twice(order: tuple[int, ...]) -> None:
    one, two = pair(136)
    packets = one.encode(2, inventory(7))
    assert len(packets) == 4
    turned = [packets[index] for index in order]
    assert deliver([turned[0], *turned], two).message == inventory(7)


def test_a_message_with_a_lost_piece_is_never_made() -> None:
    one, two = pair(136)
    for lost in range(4):
        packets = one.encode(2, inventory(7))
        assert [two.decode(packet, NOW) for index, packet in enumerate(packets) if index != lost] == [None] * 3


def test_pieces_of_two_messages_are_not_mixed() -> None:
    one, two = pair(136)
    first, second = one.encode(2, inventory(6)), one.encode(2, inventory(7))
    mixed = [packet for both in itertools.zip_longest(first, second) for packet in both if packet is not None]
    heard = [two.decode(packet, NOW) for packet in mixed]
    assert [one.message for one in heard if isinstance(one, Received)] == [inventory(6), inventory(7)]


def test_a_message_number_used_again_begins_anew() -> None:
    one, two = pair(136)
    old = one.encode(2, inventory(7))
    for _ in range(255):
        one.encode(2, inventory(7))
    new = one.encode(2, Inventory(2, (WIDE_ROW,) * 7, False))
    assert new[0][6] == old[0][6]
    first, lost, *others = new
    assert [two.decode(packet, NOW) for packet in (*old[:2], first, *others)] == [None] * 5
    assert deliver([lost], two).message == Inventory(2, (WIDE_ROW,) * 7, False)


def test_pieces_from_before_a_restart_are_not_joined_with_later_ones() -> None:
    one, two = pair(136)
    old = one.encode(2, inventory(7))
    new = link_of(1, 8, 2, 9, 136).encode(2, inventory(7))
    assert two.decode(old[0], NOW) is None
    assert [two.decode(packet, NOW) for packet in new[1:]] == [None] * 3


def test_pieces_are_forgotten_when_they_are_old() -> None:
    one, two = pair(136)
    first, *others = one.encode(2, inventory(7))
    assert two.decode(first, NOW) is None
    assert [two.decode(packet, NOW + ASSEMBLY_AGE_S + 0.1) for packet in others] == [None] * 3
    first, *others = one.encode(2, inventory(7))
    assert two.decode(first, NOW) is None
    assert deliver(others, two, NOW + ASSEMBLY_AGE_S).message == inventory(7)


def test_of_too_many_messages_of_one_peer_the_oldest_is_forgotten() -> None:
    one, two = pair(136)
    begun = [one.encode(2, inventory(7)) for _ in range(MAX_ASSEMBLIES_PER_PEER + 1)]
    for packets in begun:
        assert two.decode(packets[0], NOW) is None
    assert [two.decode(packet, NOW) for packet in begun[-1][1:3]] == [None] * 2
    assert isinstance(two.decode(begun[-1][3], NOW), Received)
    assert isinstance([two.decode(packet, NOW) for packet in begun[1][1:]][-1], Received)
    assert [two.decode(packet, NOW) for packet in begun[0][1:]] == [None] * 3


def test_of_too_many_messages_in_all_the_oldest_is_forgotten() -> None:
    two = Link(2, InsecureSeal(2, 9), 136)
    begun = [link_of(unit, 7, 2, 9, 136).encode(2, inventory(7)) for unit in range(10, 11 + MAX_ASSEMBLIES)]
    for packets in begun:
        assert two.decode(packets[0], NOW) is None
    assert isinstance([two.decode(packet, NOW) for packet in begun[1][1:]][-1], Received)
    assert [two.decode(packet, NOW) for packet in begun[0][1:]] == [None] * 3


def test_what_was_told_of_peers_is_bounded() -> None:
    two = Link(2, InsecureSeal(2, 9), 136)
    for unit in range(10, 11 + MAX_PEERS):
        assert deliver(Link(unit, InsecureSeal(unit, 7), 136).encode(EVERYONE, WHERE), two).new_boot
    assert deliver(Link(10, InsecureSeal(10, 7), 136).encode(EVERYONE, WHERE), two).new_boot


# ---------------------------------------------------------------- damaged and hostile packets


def check(link: Link, packet: bytes) -> None:
    with contextlib.suppress(PeerError):
        link.decode(packet, NOW)


@each_vector
@pytest.mark.parametrize("mtu_bytes", [100, 4128])
def test_no_single_bit_error_and_no_truncation_does_more_than_raise_a_peer_error(
    vector: Vector, mtu_bytes: int
) -> None:
    one, two = pair(mtu_bytes)
    for packet in one.encode(2, vector.message, airtime_ms=20):
        for bit in range(8 * len(packet)):
            damaged = bytearray(packet)
            damaged[bit // 8] ^= 1 << bit % 8
            check(two, bytes(damaged))
        for size in range(len(packet)):
            check(two, packet[:size])


@given(st.binary(max_size=80))
@settings(max_examples=1000, deadline=None, derandomize=True)
def test_random_bytes_do_no_more_than_raise_a_peer_error(packet: bytes) -> None:
    check(pair()[1], packet)


@given(
    st.integers(0x20, 0x3F),
    st.sampled_from([*sorted(KINDS), 0, 255]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2, EVERYONE]),
    st.sampled_from([b"", b"\0\0\0\7\0\0\0\t", b"\0\0\0\7\0\0\0\0", b"\1\0\0\0\7\0\0\0\t", b"\0\1\1\0\0\0\7\0\0\0\t"]),
    st.binary(max_size=80),
)
@settings(max_examples=2000, deadline=None, derandomize=True)
def test_random_bodies_behind_good_headers_do_no_more_either(
    flags: int, kind: int, source: int, destination: int, boots: bytes, body: bytes
) -> None:
    header = bytes([flags, kind]) + source.to_bytes(2, "big") + destination.to_bytes(2, "big")
    check(pair()[1], header + boots + body)


def test_a_storm_of_pieces_keeps_memory_bounded_and_the_next_message_works() -> None:
    rng = random.Random(5)
    one, two = pair(48)
    for number in range(3000):
        source = rng.randrange(1, 60).to_bytes(2, "big")
        header = bytes([0x20 | 3 << 2 | rng.randrange(4), Report.KIND]) + source + b"\0\2" + bytes([number % 256])
        check(two, header + b"\0\0\0\7\0\0\0\t" + rng.randbytes(20))
    assert len(two._assemblies) <= MAX_ASSEMBLIES
    assert deliver(one.encode(2, inventory(1)), two).message == inventory(1)


@pytest.mark.parametrize("version", [0, 2, 3, 4, 5, 6, 7])
def test_another_version_is_of_the_future(version: int) -> None:
    one, two = pair()
    with pytest.raises(UnknownVersion):
        two.decode(bytes([version << 5]) + only(one.encode(2, HOLD))[1:], NOW)


@pytest.mark.parametrize("flags", [0x20, 0x20 | 3 << 2])
def test_an_unknown_kind_is_of_the_future_whole_or_in_pieces(flags: int) -> None:
    _, two = pair()
    with pytest.raises(UnknownVersion):
        two.decode(bytes([flags, 200, 0, 1, 0, 2]) + b"\1" * (flags > 0x20) + b"\0\0\0\7\0\0\0\t", NOW)


@pytest.mark.parametrize("header", ["202000000002", "2020ffff0002", "202000010000", "212000010002", "262000010002"])
def test_a_header_that_cannot_be_is_damaged(header: str) -> None:
    with pytest.raises(DamagedPacket):
        pair()[1].decode(bytes.fromhex(header) + bytes(30), NOW)


def test_a_damaged_message_does_not_hide_the_next() -> None:
    one, two = pair()
    packet = only(one.encode(2, HOLD))
    with pytest.raises(DamagedPacket):
        two.decode(packet[:-1], NOW)
    assert deliver([packet], two).message == HOLD
    assert deliver(one.encode(2, Keep(PICTURE, 7, HOLD.digest4)), two).message == Keep(PICTURE, 7, HOLD.digest4)
