"""InsecureSeal: nothing from before a restart is obeyed, and two units that live find one another (HANDOVER §5)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import ClonedUnit, DamagedPacket, ForeignSession, PeerError
from firmware.pictures import EVERYONE
from firmware.seal import EARLIER_BOOTS, MAX_LEFT_BOOTS, MAX_PEERS, InsecureSeal

HEADER = b"header"
FAR = 1_000_000  # between boot numbers that no counting up explains


def sealed(source_boot: int, destination_boot: int, body: bytes = b"body") -> bytes:
    """What follows the header, made without the code under test."""
    return source_boot.to_bytes(4, "big") + destination_boot.to_bytes(4, "big") + body


def hear_everyone(seal: InsecureSeal, source: int, boot: int) -> bytes | None:
    return seal.open(HEADER, source, EVERYONE, sealed(boot, 0))


def hear_to_us(seal: InsecureSeal, source: int, boot: int) -> bytes | None:
    return seal.open(HEADER, source, 1, sealed(boot, 7))


def met(boot: int = 7, peer_boot: int = 100) -> InsecureSeal:
    """The seal of unit 1 that has heard unit 2."""
    seal = InsecureSeal(1, boot)
    assert hear_everyone(seal, 2, peer_boot) == b"body"
    return seal


def test_a_body_goes_from_one_unit_to_another() -> None:
    one, two = met(7, 100), InsecureSeal(2, 100)
    packet = one.seal(HEADER, 2, b"for you")
    assert packet == HEADER + sealed(7, 100, b"for you")
    assert len(packet) == len(HEADER) + one.overhead_bytes + len(b"for you")
    assert two.open(HEADER, 1, 2, packet[len(HEADER) :]) == b"for you"
    assert two.session(1) == 7


def test_a_broadcast_names_no_receiver() -> None:
    packet = met().seal(HEADER, EVERYONE, b"")
    assert packet == HEADER + sealed(7, 0, b"")
    assert InsecureSeal(2, 100).open(HEADER, 1, EVERYONE, packet[len(HEADER) :]) == b""


def test_a_broadcast_that_names_a_receiver_is_damaged() -> None:
    with pytest.raises(DamagedPacket):
        InsecureSeal(1, 7).open(HEADER, 2, EVERYONE, sealed(100, 7))


def test_nothing_is_sealed_for_a_unit_not_heard_yet() -> None:
    seal = InsecureSeal(1, 7)
    assert not seal.knows(2)
    assert seal.knows(EVERYONE)
    assert seal.session(2) is None
    with pytest.raises(LookupError):
        seal.seal(HEADER, 2, b"")
    hear_everyone(seal, 2, 100)
    assert seal.knows(2)


def test_a_unit_that_names_our_boot_is_known_from_then_on() -> None:
    seal = InsecureSeal(1, 7)
    assert seal.open(HEADER, 2, 1, sealed(100, 7)) == b"body"
    assert seal.session(2) == 100


@pytest.mark.parametrize("ours", [0, 6, 8])
def test_a_frame_for_another_boot_of_ours_teaches_nothing(ours: int) -> None:
    seal = InsecureSeal(1, 7)
    with pytest.raises(ForeignSession) as caught:
        seal.open(HEADER, 2, 1, sealed(100, ours))
    assert caught.value.source == 2
    assert not seal.knows(2)


@pytest.mark.parametrize("later", [101, 100 + FAR, 100 - FAR, 100 - EARLIER_BOOTS - 1])
def test_a_restarted_peer_is_taken_by_broadcast_and_by_our_boot_number(later: int) -> None:
    by_broadcast, by_number = met(), met()
    assert hear_everyone(by_broadcast, 2, later % 2**32) == b"body"
    assert by_number.open(HEADER, 2, 1, sealed(later % 2**32, 7)) == b"body"
    assert by_broadcast.session(2) == by_number.session(2) == later % 2**32


@pytest.mark.parametrize("later", [101, 100 + FAR, 2**32 - FAR])
def test_a_number_once_left_is_not_taken_again(later: int) -> None:
    seal = met()
    hear_to_us(seal, 2, 100)
    hear_to_us(seal, 2, later)
    with pytest.raises(ForeignSession):
        hear_everyone(seal, 2, 100)
    with pytest.raises(ForeignSession) as caught:
        hear_to_us(seal, 2, 100)
    assert caught.value.source == 2
    assert seal.session(2) == later


@pytest.mark.parametrize("old", [100 + FAR, 100 - FAR])
def test_a_late_broadcast_from_before_a_lost_catalogue_is_put_right_by_the_next_true_one(old: int) -> None:
    seal = met()
    hear_to_us(seal, 2, 100)
    hear_everyone(seal, 2, old % 2**32)
    with pytest.raises(ForeignSession):  # it may be the true one that is late: who sent it is asked for a beacon
        hear_to_us(seal, 2, 100)
    assert hear_everyone(seal, 2, 100) == b"body"
    assert hear_to_us(seal, 2, 100) == b"body"


def test_nothing_from_before_a_lost_catalogue_is_obeyed_once_the_new_number_came_with_ours() -> None:
    seal = met()
    hear_to_us(seal, 2, 100)
    hear_everyone(seal, 2, FAR)
    hear_to_us(seal, 2, FAR)
    for late in (hear_everyone, hear_to_us):
        with pytest.raises(ForeignSession):
            late(seal, 2, 100)


@pytest.mark.parametrize("earlier", [1, 2, EARLIER_BOOTS])
def test_a_late_frame_of_a_start_never_heard_of_does_not_make_us_leave_the_true_number(earlier: int) -> None:
    seal = met()
    for frame in ((EVERYONE, 0), (1, 7)):
        with pytest.raises(ForeignSession):
            seal.open(HEADER, 2, frame[0], sealed((100 - earlier) % 2**32, frame[1]))
    assert seal.open(HEADER, 2, 1, sealed(100, 7)) == b"body"


def test_boot_numbers_count_on_past_their_end() -> None:
    seal = met(peer_boot=2**32 - 1)
    hear_everyone(seal, 2, 0)
    assert seal.session(2) == 0
    with pytest.raises(ForeignSession):
        hear_everyone(seal, 2, 2**32 - 2)


@pytest.mark.parametrize("boot", [7, 6, 1])
def test_our_own_echo_is_ignored_also_from_before_our_restart(boot: int) -> None:
    seal = InsecureSeal(1, 7)
    assert hear_everyone(seal, 1, boot) is None
    assert seal.open(HEADER, 1, 2, sealed(boot, 100)) is None
    assert not seal.knows(1)


@pytest.mark.parametrize("boot", [8, FAR])
def test_a_later_boot_of_our_own_number_is_a_clone(boot: int) -> None:
    seal = InsecureSeal(1, 7)
    with pytest.raises(ClonedUnit):
        hear_everyone(seal, 1, boot)
    with pytest.raises(ClonedUnit):
        seal.open(HEADER, 1, 2, sealed(boot, 100))


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
@settings(deadline=None, derandomize=True)
def test_of_two_clones_exactly_one_finds_out(boot: int, distance: int) -> None:
    other = (boot + distance) % 2**32
    with pytest.raises(ClonedUnit):
        hear_everyone(InsecureSeal(1, boot), 1, other)
    assert hear_everyone(InsecureSeal(1, other), 1, boot) is None


@pytest.mark.parametrize("size", range(8))
def test_a_packet_that_ends_within_the_seal_is_damaged(size: int) -> None:
    for source in (1, 2):
        with pytest.raises(DamagedPacket):
            InsecureSeal(1, 7).open(HEADER, source, 1, bytes(size))


def test_memory_for_peers_is_bounded_and_the_one_silent_for_longest_is_forgotten() -> None:
    seal = InsecureSeal(1, 7)
    for unit in range(2, 2 + MAX_PEERS):
        hear_everyone(seal, unit, 100)
    hear_everyone(seal, 2, 100)  # the oldest is heard again
    hear_everyone(seal, 1000, 100)
    assert seal.knows(2)
    assert seal.knows(1000)
    assert not seal.knows(3)
    assert sum(seal.knows(unit) for unit in range(1, 65_535)) == MAX_PEERS


def test_memory_for_left_numbers_is_bounded_and_the_newest_stay() -> None:
    seal = met(peer_boot=0)
    for restart in range(MAX_LEFT_BOOTS + 2):
        hear_to_us(seal, 2, restart * FAR)
    for restart in range(1, MAX_LEFT_BOOTS + 1):
        with pytest.raises(ForeignSession):
            hear_everyone(seal, 2, restart * FAR)
    assert hear_everyone(seal, 2, 0) == b"body"  # the oldest one left is forgotten


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_after_any_history_what_a_peer_left_stays_left_and_its_next_start_is_heard(data: st.DataObject) -> None:
    """A peer restarts now and then; frames of all its starts, to us and to everyone, come in any order and again."""
    seal, starts = InsecureSeal(1, 7), [1000]
    hear_everyone(seal, 2, 1000)
    for _ in range(data.draw(st.integers(1, 30))):
        if data.draw(st.booleans()):
            starts.append(starts[-1] + 1)
        boot = data.draw(st.sampled_from(starts))
        destination, ours = data.draw(st.sampled_from([(EVERYONE, 0), (1, 7), (1, 6)]))
        before = seal.session(2) or 0
        try:
            seal.open(HEADER, 2, destination, sealed(boot, ours))
        except PeerError:
            assert boot < before or ours == 6
            assert seal.session(2) == before
        else:
            assert seal.session(2) == boot >= before
    assert hear_everyone(seal, 2, starts[-1] + 1) == b"body"


@given(st.sampled_from([1, 2, 3]), st.sampled_from([1, EVERYONE]), st.binary(max_size=20))
@settings(deadline=None, derandomize=True)
def test_random_bytes_raise_only_what_a_peer_can_do_wrong(source: int, destination: int, rest: bytes) -> None:
    seal = met()
    with contextlib.suppress(PeerError):
        seal.open(HEADER, source, destination, rest)
