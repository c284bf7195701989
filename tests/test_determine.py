"""The determining section: keep or disperse, to whom, and why (DESIGN §5)."""

from dataclasses import replace

import pytest

from firmware.determine import (
    CardView,
    Disperse,
    Keep,
    NeighbourView,
    PictureView,
    Policy,
    Rules,
    determine,
    relieving,
)

NOW = 500.0
PICTURE = PictureView(size_bytes=40_000, priority=False, verified=(), holders=(), open_at=())
CARD = CardView(capacity_bytes=1_000_000, fixed_bytes=100_000, recent_bytes=50_000, relieving=False)
UNIT = NeighbourView(
    unit=2, room_bytes=500_000, hosting=True, silent=False, idle=True, refused_until=0.0, link=0.9, last_used=0.0
)


def decide(picture=PICTURE, *neighbours, card=CARD, rules=None):
    return determine(picture, card, neighbours or (UNIT,), rules or Rules(), NOW)


def unit(number, **fields):
    return replace(UNIT, unit=number, **fields)


# ---------------------------------------------------------------- whether


def test_a_picture_without_a_copy_is_dispersed():
    assert decide() == Disperse(2, "it has most room, 500 kB")


def test_enough_copies_are_enough():
    assert isinstance(decide(replace(PICTURE, verified=(3,), holders=(3,))), Keep)
    assert decide(replace(PICTURE, verified=(3,), holders=(3,)), rules=Rules(copies=2)).unit == 2


def test_a_priority_picture_gets_its_own_number_of_copies():
    assert isinstance(decide(replace(PICTURE, priority=True, verified=(3,), holders=(3,))), Disperse)
    assert isinstance(decide(replace(PICTURE, priority=True, verified=(3, 4), holders=(3, 4))), Keep)


@pytest.mark.parametrize(
    ("rules", "priority", "wanted"),
    [(Rules(), False, 1), (Rules(), True, 2), (Rules(copies=3), True, 3), (Rules(copies=3), False, 3)],
)
def test_priority_never_means_fewer_copies(rules, priority, wanted):
    assert rules.wanted(priority) == wanted


def test_policy_never_copies_by_hand_only():
    rules = Rules(policy=Policy.NEVER)
    assert isinstance(decide(rules=rules), Keep)
    assert decide(replace(PICTURE, by_hand=2), rules=rules) == Disperse(2, "a person asked for it")


def test_policy_when_full_waits_for_the_card_but_not_with_priority():
    rules = Rules(policy=Policy.WHEN_FULL)
    assert isinstance(decide(rules=rules), Keep)
    assert isinstance(decide(rules=rules, card=replace(CARD, relieving=True)), Disperse)
    assert isinstance(decide(replace(PICTURE, priority=True), rules=rules), Disperse)


@pytest.mark.parametrize(
    ("fixed_bytes", "was", "now"),
    [
        (850_000, False, False),  # high water is 0.85
        (850_001, False, True),
        (700_001, True, True),  # low water is 0.70
        (700_000, True, False),
    ],
)
def test_relief_begins_above_high_water_and_ends_below_low_water(fixed_bytes, was, now):
    card = replace(CARD, fixed_bytes=fixed_bytes, relieving=was)
    assert relieving(card, Rules()) is now


def test_relief_begins_when_fewer_than_two_more_pictures_fit():
    assert not relieving(replace(CARD, recent_bytes=450_000), Rules())
    assert relieving(replace(CARD, recent_bytes=450_001), Rules())


# ---------------------------------------------------------------- to whom


def test_most_room_then_the_best_link_then_the_least_recently_used():
    assert decide(PICTURE, UNIT, unit(3, room_bytes=600_000, link=0.1)).unit == 3
    assert decide(PICTURE, UNIT, unit(3, link=0.95)).unit == 3
    assert decide(PICTURE, unit(2, last_used=90.0), unit(3, last_used=80.0)).unit == 3


def test_the_host_of_an_open_attempt_is_asked_again_before_all_others():
    picture = replace(PICTURE, open_at=(2,))
    assert decide(picture, UNIT, unit(3, room_bytes=900_000)) == Disperse(2, "its attempt there is still open")
    assert decide(picture, unit(2, room_bytes=0)).unit == 2  # its room may be reserved for this very picture


@pytest.mark.parametrize(
    "no_good",
    [unit(2, silent=True), unit(2, hosting=False), unit(2, idle=False), unit(2, refused_until=NOW + 1)],
)
def test_who_cannot_take_it_now_is_not_asked(no_good):
    assert isinstance(decide(PICTURE, no_good), Keep)
    assert decide(PICTURE, no_good, unit(3, room_bytes=100_000)).unit == 3


def test_a_holder_gets_no_second_copy():
    picture = replace(PICTURE, holders=(2,))
    assert isinstance(decide(picture), Keep)
    assert decide(picture, UNIT, unit(3)).unit == 3


def test_a_holder_whose_copy_is_suspect_comes_last_but_is_asked():
    picture = replace(PICTURE, suspect_at=(2,))
    assert decide(picture, UNIT, unit(3, room_bytes=50_000)).unit == 3
    assert decide(picture) == Disperse(2, "its copy is suspect, and no other unit can take one")


def test_who_is_short_of_room_is_asked_only_where_nobody_has_any():
    assert decide(PICTURE, unit(2, room_bytes=39_999), unit(3, room_bytes=40_000, link=0.1)).unit == 3
    assert decide(PICTURE, unit(2, room_bytes=39_999)).unit == 2


def test_by_hand_nobody_else_is_asked():
    by_hand = replace(PICTURE, by_hand=3, verified=(4,), holders=(4,))
    assert decide(by_hand, UNIT, unit(3, room_bytes=50_000)) == Disperse(3, "a person asked for it")
    assert isinstance(decide(by_hand, UNIT), Keep)


def test_after_refusals_it_is_told_when_who_is_asked_again():
    kept = decide(PICTURE, unit(2, refused_until=NOW + 60), unit(3, refused_until=NOW + 20))
    assert (kept.again_at, "unit 3 is asked again" in kept.why) == (NOW + 20, True)


def test_a_refusal_that_is_over_does_not_count():
    assert decide(PICTURE, unit(2, refused_until=NOW)).unit == 2


# ---------------------------------------------------------------- what holds one back need not hold all


@pytest.mark.parametrize(
    "neighbours",
    [
        (UNIT,),
        (UNIT, unit(3, hosting=False)),
        (UNIT, unit(3, refused_until=NOW + 9)),
        (UNIT, unit(3, idle=False)),
    ],
)
def test_a_picture_that_the_willing_unit_holds_already_keeps_no_other_from_going_there(neighbours):
    kept = decide(replace(PICTURE, holders=(2,)), *neighbours)
    assert isinstance(kept, Keep)
    assert not kept.others_too


@pytest.mark.parametrize("no_good", [unit(2, silent=True), unit(2, refused_until=NOW + 1), unit(2, idle=False)])
def test_where_nobody_can_take_any_picture_the_others_are_not_looked_at(no_good):
    assert decide(PICTURE, no_good).others_too
