"""Room on the card: sums that never promise a byte twice (DESIGN §5)."""

import random

import pytest

from firmware.room import RECENT_PICTURES, Room

CAPACITY = 1_000_000


def a_room(**fields):
    return Room(CAPACITY, 0.5, **fields)


def test_everything_kept_or_promised_counts_against_capacity():
    room = a_room(own_bytes=100_000, held_bytes=200_000, partial_bytes=30_000)
    room.reserved_own["shot"] = 40_000
    room.reserved_held["picture"] = 50_000
    assert room.used_bytes == 420_000
    assert room.free_bytes == 580_000


def test_free_room_is_never_less_than_nothing():
    assert a_room(own_bytes=CAPACITY + 1).free_bytes == 0


def test_cache_may_be_dropped_and_everything_else_is_fixed():
    room = a_room(own_bytes=300_000, cache_bytes=100_000, held_bytes=50_000)
    room.reserved_held["picture"] = 10_000
    assert room.fixed_bytes == 260_000


def test_others_may_use_their_share_and_no_more():
    room = a_room(held_bytes=300_000)
    room.reserved_held["picture"] = 150_000
    assert room.hosting_left_bytes == 50_000
    room.reserved_held["more"] = 60_000
    assert room.hosting_left_bytes == 0


def test_what_is_offered_leaves_room_for_two_more_own_pictures():
    room = a_room(own_bytes=700_000, largest_bytes=100_000)
    assert room.offered_bytes == 100_000  # 300 kB free, 200 kB of it for two more
    room.own_bytes = 900_000
    assert room.offered_bytes == 0


def test_what_is_offered_counts_cache_and_kept_parts_as_room():
    room = a_room(own_bytes=900_000, cache_bytes=500_000, partial_bytes=100_000)
    assert room.offered_bytes == 500_000  # the share; 600 kB could be freed


def test_recent_pictures_are_the_last_few_and_their_largest_counts():
    room = a_room(largest_bytes=70_000)
    assert room.recent_bytes == 70_000  # what the catalogue says, until the first shot
    room.saw_picture(50_000)
    room.saw_picture(60_000)
    assert room.recent_bytes == 60_000
    for _ in range(RECENT_PICTURES):
        room.saw_picture(10_000)
    assert room.recent_bytes == 10_000


@pytest.mark.parametrize("seed", range(20))
def test_promises_within_what_is_offered_and_free_never_pass_capacity(seed):
    """Shots and hostings that only take what the sums allow fill the card, and no more than the card."""
    chance, room = random.Random(seed), a_room()
    for n in range(200):
        size = chance.randint(10_000, 90_000)
        if chance.random() < 0.5 and size <= room.free_bytes:
            room.reserved_own[n] = size
        elif size <= min(room.hosting_left_bytes, room.free_bytes):
            room.reserved_held[n] = size
        assert room.used_bytes <= CAPACITY
        assert sum(room.reserved_held.values()) <= CAPACITY // 2
        assert room.offered_bytes <= room.hosting_left_bytes
    assert room.free_bytes < 90_000
