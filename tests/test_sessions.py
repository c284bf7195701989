"""SessionSeal: who has no key is not understood; nothing is taken twice, or from before a restart (HANDOVER §5)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from message_vectors import messages
from session_scene import NOW, PRIVATE, PUBLIC, Side, beacon_of, flipped, greet, introduce, keys_of, pair, side

from firmware.errors import (
    ClonedUnit,
    DamagedPacket,
    ForeignSession,
    NewerEpoch,
    OlderEpoch,
    PeerError,
    Replayed,
    WrongSeal,
)
from firmware.link import MIN_MTU_BYTES, Overheard, Received
from firmware.messages import Hello, Keep, Message, Part, Ready, Welcome, Where
from firmware.pictures import EVERYONE, PictureId
from firmware.sealing import MOST_FRAMES, OVERHEAD_BYTES, WINDOW, ReplayWindow
from firmware.sessions import MAX_STARTS, REKEY_AFTER_FRAMES, REKEY_AFTER_S

KEEP = Keep(PictureId(1, 7, 1), 3, b"4444")
WHERE = Where(1, 9, PictureId(2, 7, 1), 0)
PART = Part(5, 4096, b"bytes of a picture")
BOTH = pytest.mark.parametrize("message", [KEEP, PART], ids=["keep", "part"])


def refused(who: Side, packet: bytes) -> PeerError | None:
    """Why it takes nothing from a packet; None: it was nothing to it."""
    try:
        received = who.link.decode(packet, NOW)
    except PeerError as error:
        return error
    assert not isinstance(received, Received) or not received.message.SEALED, received
    return None


# ---------------------------------------------------------------- sessions


@given(
    messages().filter(lambda message: not message.CLEAR_BYTES),
    st.integers(400, 4128),
    st.none() | st.integers(0, 10**6),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_whatever_is_said_in_a_session_arrives_as_it_was_said(message: Message, mtu_bytes: int, airtime_ms: int | None):
    one, two = side(1, mtu_bytes=mtu_bytes), side(2, mtu_bytes=mtu_bytes)
    introduce(one, two)
    greet(one, two)
    packets = one.link.encode(2, message, airtime_ms=airtime_ms)
    assert all(len(packet) <= mtu_bytes for packet in packets)
    heard = [two.link.decode(packet, NOW) for packet in packets]
    assert heard[:-1] == [None] * (len(packets) - 1)
    assert isinstance(heard[-1], Received)
    assert heard[-1].message == message


def test_a_frame_has_11_bytes_of_security():
    one, two = pair()
    assert len(one.says(2, KEEP)) == 6 + 11 + len(KEEP.encode())
    assert two.seal.overhead_bytes == OVERHEAD_BYTES == 11


def test_a_handshake_has_96_bytes_of_noise_and_fits_the_smallest_packets():
    one, two = side(1), side(2)
    introduce(one, two)
    hello, welcome, _ = greet(one, two)
    assert len(hello) + len(welcome) == 2 * (6 + 8 + 11) + 4 + 96
    one, two = side(1, 8, mtu_bytes=MIN_MTU_BYTES), side(2, 10, mtu_bytes=MIN_MTU_BYTES)
    introduce(one, two)
    pieces = one.link.encode(2, one.seal.begin(2))
    assert max(map(len, pieces)) <= MIN_MTU_BYTES
    *others, last = [two.link.decode(piece, NOW) for piece in pieces]
    assert others == [None] * len(others)
    assert isinstance(last, Received)
    assert isinstance(last.message, Hello)
    welcome = two.seal.on_hello(1, last.message, NOW)
    last = [one.link.decode(piece, NOW) for piece in two.link.encode(1, welcome)][-1]
    one.seal.on_welcome(2, last.message, NOW)
    assert two.hears(one.says(2, KEEP)) == KEEP


def test_a_beacon_takes_40_bytes():
    assert len(side(1).beacon()) == 40


def test_nothing_can_be_said_to_a_unit_without_a_session_but_what_makes_one():
    one, two = side(1), side(2)
    assert not one.seal.knows(2)
    with pytest.raises(LookupError):
        one.link.encode(2, KEEP)
    with pytest.raises(LookupError):
        one.seal.begin(2)
    introduce(one, two)
    with pytest.raises(LookupError):
        one.link.encode(2, KEEP)
    greet(one, two)
    assert one.seal.knows(2)
    assert two.seal.knows(1)
    assert (one.seal.session(2), two.seal.session(1)) == (two.boot, one.boot)


@BOTH
def test_no_changed_bit_of_a_frame_passes(message: Message):
    one, two = pair()
    packet = one.link.encode(2, message, airtime_ms=500)[0]
    for changed in flipped(packet):
        error = refused(two, changed)
        assert error is None or isinstance(error, PeerError)
    assert two.hears(packet) == message


@BOTH
def test_no_shortened_frame_passes(message: Message):
    one, two = pair()
    packet = one.says(2, message)
    for size in range(6, len(packet)):
        assert isinstance(refused(two, packet[:size]), DamagedPacket | WrongSeal)
    assert two.hears(packet) == message


@BOTH
def test_a_frame_is_taken_once(message: Message):
    one, two = pair()
    packet = one.says(2, message)
    assert two.hears(packet) == message
    assert isinstance(refused(two, packet), Replayed)


def test_frames_may_come_late_but_not_later_than_the_window():
    one, two = pair()
    packets = [one.says(2, KEEP) for _ in range(WINDOW + 1)]
    assert two.hears(packets[-1]) == KEEP
    assert isinstance(refused(two, packets[0]), Replayed)
    for packet in packets[-2:0:-1]:
        assert two.hears(packet) == KEEP
    assert all(isinstance(refused(two, packet), Replayed) for packet in packets)


@given(st.lists(st.integers(0, 400) | st.sampled_from([0, MOST_FRAMES, MOST_FRAMES - 1]), max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_window_takes_each_counter_once_and_none_below_it(counters: list[int]):
    window, taken = ReplayWindow(), set()
    for counter in counters:
        highest = max(taken, default=-1)
        assert window.is_new(counter) == (counter not in taken and counter > highest - WINDOW)
        if window.is_new(counter):
            window.take(counter)
            taken.add(counter)


def test_a_wrong_frame_does_not_move_the_window():
    one, two = pair()
    packet = one.says(2, KEEP)
    far = packet[:6] + (MOST_FRAMES - 1).to_bytes(3, "big") + packet[9:]
    assert isinstance(refused(two, far), WrongSeal)
    assert two.hears(packet) == KEEP


def test_parts_and_all_else_have_keys_and_counters_of_their_own():
    one, two = pair()
    for _ in range(2 * WINDOW):
        one.says(2, PART)
    packet, part = one.says(2, KEEP), one.says(2, PART)
    assert two.hears(part) == PART
    assert two.hears(packet) == KEEP
    as_part = packet[:1] + bytes([Part.KIND]) + packet[2:]
    assert isinstance(refused(two, as_part), WrongSeal)


def test_what_one_says_is_not_taken_as_the_others_word():
    one, _ = pair()
    packet = one.says(2, KEEP)
    turned = packet[:2] + packet[4:6] + packet[2:4] + packet[6:]
    assert isinstance(refused(one, turned), WrongSeal)


def test_a_member_can_neither_read_nor_forge_what_two_others_say():
    one, two = pair()
    three = side(3)
    introduce(one, three)
    introduce(two, three)
    greet(three, two)
    packet = one.says(2, KEEP)
    assert three.link.decode(packet, NOW) == Overheard(1, 2, Keep.KIND, None)
    to_three = packet[:4] + (3).to_bytes(2, "big") + packet[6:]
    assert isinstance(refused(three, to_three), ForeignSession)
    forged = three.says(2, KEEP)
    as_one = forged[:2] + (1).to_bytes(2, "big") + forged[4:]
    assert isinstance(refused(two, as_one), WrongSeal)
    assert KEEP.encode() not in packet


# ---------------------------------------------------------------- restarts


def test_nothing_from_before_a_restart_of_either_is_taken():
    one, _ = pair()
    before = [one.says(2, KEEP), one.says(2, PART)]
    restarted = side(2, 10)
    introduce(one, restarted)
    for packet in before:
        assert isinstance(refused(restarted, packet), ForeignSession)
    greet(one, restarted)
    for packet in before:
        assert isinstance(refused(restarted, packet), WrongSeal)
    again = side(1, 8)
    introduce(again, restarted)
    greet(again, restarted)
    late = one.says(2, KEEP)
    assert isinstance(refused(restarted, late), WrongSeal)


def test_a_recorded_conversation_is_nothing_to_a_unit_that_has_restarted():
    one, two = side(1), side(2)
    recorded = [one.beacon(), two.beacon()]
    introduce(one, two)
    recorded += greet(one, two)
    recorded += [one.says(2, KEEP), two.says(1, PART), one.says(2, PART)]
    restarted = side(2, 10)
    heard = []
    for packet in recorded:
        try:
            heard.append(restarted.hears(packet))
        except PeerError as error:
            heard.append(error)
    told = [one for one in heard if one is not None and not isinstance(one, PeerError)]
    assert [type(message).__name__ for message in told] == ["Beacon", "Hello"]
    with pytest.raises(Replayed):
        restarted.seal.on_hello(1, told[1], NOW)
    assert not restarted.seal.knows(1)


def test_a_restart_is_news_once_and_only_when_the_handshake_shows_it():
    one, two = pair()
    restarted = side(2, 10)
    assert not one.link.decode(restarted.beacon(), NOW).new_boot  # any member can say it
    assert one.seal.session(2) == two.boot
    assert one.seal.introduced(2) == restarted.boot
    restarted.hears(one.beacon())
    hello = restarted.says(1, restarted.seal.begin(1))
    welcome = one.says(2, one.seal.on_hello(2, one.hears(hello), NOW))
    assert one.seal.session(2) == two.boot
    restarted.seal.on_welcome(1, restarted.hears(welcome), NOW)
    assert [one.link.decode(restarted.says(1, Ready()), NOW).new_boot for _ in range(2)] == [True, False]
    assert one.seal.session(2) == restarted.boot


# ---------------------------------------------------------------- handshakes


def test_the_old_session_goes_on_until_the_first_frame_under_the_new_one():
    one, two = pair()
    hello = two.hears(one.says(2, one.seal.begin(2)))
    welcome = two.seal.on_hello(1, hello, NOW)
    assert two.hears(one.says(2, KEEP)) == KEEP  # one has not heard WELCOME: the old one
    under_the_old = two.says(1, PART)
    one.seal.on_welcome(2, one.hears(two.says(1, welcome)), NOW)
    assert one.hears(under_the_old) == PART
    assert two.hears(one.says(2, PART)) == PART
    assert one.hears(two.says(1, KEEP)) == KEEP
    assert isinstance(refused(one, under_the_old), WrongSeal)


def test_a_lost_welcome_is_said_again_the_same():
    one, two = side(1), side(2)
    introduce(one, two)
    begun = one.seal.begin(2)
    first, second = two.hears(one.says(2, begun)), two.hears(one.says(2, begun))
    welcomes = [two.seal.on_hello(1, first, NOW), two.seal.on_hello(1, second, NOW)]
    assert welcomes[0] == welcomes[1]
    one.seal.on_welcome(2, one.hears(two.says(1, welcomes[0])), NOW)
    assert two.hears(one.says(2, KEEP)) == KEEP
    with pytest.raises(Replayed):
        one.seal.on_welcome(2, one.hears(two.says(1, welcomes[1])), NOW)
    assert one.hears(two.says(1, KEEP)) == KEEP


def test_of_two_handshakes_that_cross_that_of_the_lower_number_goes_on():
    one, two = side(1), side(2)
    introduce(one, two)
    by_one, by_two = one.says(2, one.seal.begin(2)), two.says(1, two.seal.begin(1))
    assert one.seal.on_hello(2, one.hears(by_two), NOW) is None
    welcome = two.seal.on_hello(1, two.hears(by_one), NOW)
    one.seal.on_welcome(2, one.hears(two.says(1, welcome)), NOW)
    assert two.hears(one.says(2, KEEP)) == KEEP
    assert one.hears(two.says(1, KEEP)) == KEEP


def test_a_handshake_that_was_given_up_ends_nothing():
    one, two = pair()
    begun = one.seal.begin(2)
    welcome = two.seal.on_hello(1, two.hears(one.says(2, begun)), NOW)
    one.seal.give_up(2)
    with pytest.raises(Replayed):
        one.seal.on_welcome(2, one.hears(two.says(1, welcome)), NOW)
    assert two.hears(one.says(2, KEEP)) == KEEP
    assert one.hears(two.says(1, KEEP)) == KEEP


def test_a_handshake_for_another_start_is_not_answered():
    one, two = side(1), side(2)
    introduce(one, two)
    hello = one.seal.begin(2)
    restarted = side(2, 10)
    with pytest.raises(Replayed):
        restarted.seal.on_hello(1, restarted.hears(one.says(2, hello)), NOW)


def test_a_new_session_is_due_after_a_day_or_2_to_the_23_frames():
    one, _ = pair()
    assert one.seal.due(NOW + REKEY_AFTER_S - 1) == []
    assert one.seal.due(NOW + REKEY_AFTER_S) == [2]
    assert REKEY_AFTER_FRAMES == 2**23
    one.seal._peers[2].current.sealers[1].frames = REKEY_AFTER_FRAMES
    assert one.seal.due(NOW) == [2]


def test_a_counter_is_never_used_twice_and_a_used_up_session_counts_as_none():
    one, two = pair()
    one.seal._peers[2].current.sealers[0].frames = MOST_FRAMES - 1
    assert two.hears(one.says(2, KEEP)) == KEEP
    assert not one.seal.knows(2)
    for message in (KEEP, PART):
        with pytest.raises(LookupError):  # so that a handshake makes another one, and the unit goes on
            one.says(2, message)
    greet(one, two)
    assert two.hears(one.says(2, KEEP)) == KEEP


def test_a_broadcast_key_is_never_used_with_a_counter_twice():
    one, _ = pair()
    one.seal._sealer.frames = MOST_FRAMES
    with pytest.raises(OverflowError):
        one.beacon()


@pytest.mark.parametrize("noise", [bytes(48), b"\x01" * 48], ids=["zeros", "ones"])
def test_a_handshake_of_a_member_with_another_key_makes_no_session(noise: bytes):
    one, two = side(1), side(2)
    introduce(one, two)
    with pytest.raises(WrongSeal):
        two.seal.on_hello(1, Hello(one.card, one.boot, 1, two.boot, noise), NOW)
    one.seal.begin(2)
    with pytest.raises(WrongSeal):
        one.seal.on_welcome(2, Welcome(two.card, two.boot, 1, noise), NOW)
    greet(one, two)


# ---------------------------------------------------------------- to everyone


def test_what_is_said_to_everyone_is_sealed_and_taken_once():
    one, two = side(1), side(2)
    ask = one.says(EVERYONE, WHERE)
    assert isinstance(refused(two, ask), ForeignSession)  # it has not introduced itself
    beacon = one.beacon()
    assert two.hears(beacon) == beacon_of(one)
    assert beacon[6:14] == beacon_of(one).encode()[:8]  # the introduction, in the clear
    assert beacon_of(one).encode()[8:] not in beacon
    assert isinstance(refused(two, beacon), Replayed)
    assert isinstance(refused(two, one.says(EVERYONE, WHERE)), ForeignSession)  # it may be a recording
    one.hears(two.beacon())
    greet(one, two)
    assert two.hears(one.says(EVERYONE, WHERE)) == WHERE


def test_no_changed_bit_of_a_beacon_passes():
    one, two = side(1), side(2)
    packet = one.beacon()
    for changed in flipped(packet):
        assert isinstance(refused(two, changed), PeerError | None)
        assert two.seal.introduced(1) is None


def test_what_was_said_before_the_start_of_a_session_is_not_taken():
    before, after, two = side(1, 7), side(1, 8), side(2)
    introduce(after, two)
    greet(after, two)
    assert isinstance(refused(two, before.beacon()), Replayed)
    assert two.seal.introduced(1) == 8


def test_without_a_session_each_start_that_was_heard_gets_its_turn():
    """One may be said again by anybody, or made up by a member; the unit itself must not be shut out by it."""
    before, after, two = side(1, 7), side(1, 8), side(2)
    assert two.hears(after.beacon()) is not None
    assert two.hears(before.beacon()) is not None
    assert [two.seal.begin(1, tried).peer_boot for tried in range(3)] == [7, 8, 7]
    assert two.seal.heard_of_others(1, 7)
    assert two.hears(after.beacon()) is not None
    greet(two, after)


def test_a_start_that_was_heard_is_remembered_while_others_come():
    """Otherwise whoever has recorded two starts could say all of the last one again."""
    starts, two = [side(1, 7 + 10_000 * number) for number in range(MAX_STARTS)], side(2)
    recorded = [one.beacon() for one in starts]
    assert all(two.hears(packet) is not None for packet in recorded)
    for packet in recorded:
        assert isinstance(refused(two, packet), Replayed)


def test_an_echo_of_our_own_is_nothing_and_a_clone_is_an_alarm():
    one, clone, other = side(1), side(1), side(1, 8)
    assert one.hears(one.beacon()) is None
    with pytest.raises(ClonedUnit):
        one.hears(clone.says(EVERYONE, WHERE))  # a counter that was used, for something else
    with pytest.raises(ClonedUnit):
        one.hears(clone.beacon())  # a counter that was not used yet
    with pytest.raises(ClonedUnit):
        one.hears(other.beacon())
    with pytest.raises(ClonedUnit):
        one.hears(side(1, card=0x1234).beacon())
    assert isinstance(refused(other, one.beacon()), Replayed)  # its own, of before
    echo = one.beacon()
    for _ in range(WINDOW):
        one.beacon()
    assert isinstance(refused(one, echo), Replayed)


def test_a_clone_shows_by_a_handshake_with_ourselves_that_it_runs_now():
    one, clone = side(1), side(1, 8, card=0x1234)
    with pytest.raises(ClonedUnit):
        one.hears(clone.beacon())
    hello = one.says(1, one.seal.begin(1))
    assert one.hears(hello) is None  # its echo
    welcome = clone.says(1, clone.seal.on_hello(1, clone.hears(hello), NOW))
    one.seal.on_welcome(1, one.hears(welcome), NOW)
    restarted = side(1, 9)  # the recording shows nothing to the next start
    with pytest.raises(Replayed):
        restarted.seal.on_hello(1, restarted.hears(hello), NOW)
    with pytest.raises(Replayed):
        restarted.seal.on_welcome(1, restarted.hears(welcome), NOW)


def test_of_two_that_run_from_copies_of_one_card_the_one_that_started_first_finds_out():
    """The other one may have said all of it in its past; but it answers, or nobody would fall silent."""
    one, clone = side(1, 8), side(1, 9)
    assert isinstance(refused(clone, one.beacon()), Replayed)
    with pytest.raises(ClonedUnit):
        one.hears(clone.beacon())
    hello = clone.hears(one.says(1, one.seal.begin(1)))
    assert clone.seal.is_past(hello.card, hello.boot)
    welcome = one.hears(clone.says(1, clone.seal.on_hello(1, hello, NOW)))
    assert not one.seal.is_past(welcome.card, welcome.boot)
    one.seal.on_welcome(1, welcome, NOW)


def test_who_is_no_member_hears_noise_and_is_not_heard():
    one, two = pair()
    private = random.Random(5).randbytes(32)
    other = side(3, keys=keys_of(3, secret=bytes(32), private=private))
    assert isinstance(refused(one, other.beacon()), WrongSeal)
    assert isinstance(refused(other, one.beacon()), WrongSeal)
    stranger = side(77, keys=keys_of(77, private=private, public={**PUBLIC, 77: PUBLIC[1]}))
    assert isinstance(refused(one, stranger.beacon()), WrongSeal)
    assert two.seal.is_member(1)
    assert not two.seal.is_member(77)


# ---------------------------------------------------------------- epochs


def test_another_epoch_is_told_apart_before_anything_is_believed():
    old, new = side(1), side(2, keys=keys_of(2, epoch=2, secret=b"n" * 32))
    error = refused(old, new.beacon())
    assert isinstance(error, NewerEpoch)
    assert (error.source, error.epoch) == (2, 2)
    assert isinstance(refused(new, old.beacon()), OlderEpoch)


def test_a_new_roster_ends_the_sessions_with_those_that_it_does_not_name_and_no_others():
    one, two, three = side(1), side(2), side(3)
    introduce(one, two, three)
    greet(one, two)
    greet(one, three)
    members = {unit: key for unit, key in PUBLIC.items() if unit != 3}
    for who in (one, two):
        who.seal.use(keys_of(who.unit, epoch=2, secret=b"n" * 32, public=members))
    assert not one.seal.knows(3)
    assert isinstance(refused(one, three.says(1, KEEP)), WrongSeal)
    assert isinstance(refused(one, three.beacon()), OlderEpoch)
    assert two.hears(one.says(2, KEEP)) == KEEP
    introduce(one, two)
    greet(two, one)


def test_a_unit_with_a_new_key_under_the_old_number_needs_a_new_session():
    one, two = pair()
    members = {**PUBLIC, 2: PUBLIC[9]}
    one.seal.use(keys_of(1, epoch=2, secret=b"n" * 32, public=members))
    assert isinstance(refused(one, two.says(1, KEEP)), ForeignSession)
    enrolled = side(2, 1, keys=keys_of(2, epoch=2, secret=b"n" * 32, public=members, private=PRIVATE[9]))
    introduce(one, enrolled)
    greet(one, enrolled)


# ---------------------------------------------------------------- by chance


def test_a_hundred_thousand_changed_or_repeated_frames_are_all_refused():
    one, two = pair()
    chance, taken = random.Random(1), []
    for _ in range(300):
        packet = one.says(2, chance.choice([KEEP, PART, Ready()]))
        two.hears(packet)
        taken.append(packet)
    for _ in range(100_000):
        packet = bytearray(chance.choice(taken))
        for _ in range(chance.choice([0, 1, 1, 2, 8])):
            packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
        refused(two, bytes(packet[: len(packet) if chance.random() < 0.8 else chance.randrange(len(packet) + 1)]))
    assert two.hears(one.says(2, KEEP)) == KEEP
