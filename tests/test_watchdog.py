"""What the watchdog is patted by: each part of the machine gets on, or it is the camera and was declared failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware.watchdog import (
    CAMERA_PATIENCE_S,
    CARD_PATIENCE_S,
    RADIO_PATIENCE_S,
    RadioLook,
    Waiting,
    is_camera_lost,
    stands_still,
)

IDLE = Waiting(card=None, catalogue=None, radio=None, camera=None, camera_failed=False)
NOW = 10_000.0
PATIENCE_S = {
    "card": CARD_PATIENCE_S,
    "catalogue": CARD_PATIENCE_S,
    "radio": RADIO_PATIENCE_S,
    "camera": 2 * CAMERA_PATIENCE_S,
}


def test_a_unit_with_nothing_to_do_gets_on():
    assert stands_still(IDLE, NOW) == ""


@pytest.mark.parametrize("part", PATIENCE_S)
def test_a_part_that_does_not_answer_is_named_once_its_patience_has_ended_and_not_before(part):
    assert stands_still(replace(IDLE, **{part: NOW - PATIENCE_S[part] + 1}), NOW) == ""
    assert f"its {part} has" in stands_still(replace(IDLE, **{part: NOW - PATIENCE_S[part]}), NOW)


def test_all_that_stand_still_are_named():
    told = stands_still(replace(IDLE, card=0.0, camera=0.0), NOW)
    assert told == "its card has not answered for 10000 s, its camera has not answered for 10000 s"


def test_a_camera_that_hangs_is_declared_failed_before_the_watchdog_asks_and_keeps_nobody_from_patting_then():
    hangs = replace(IDLE, camera=NOW - CAMERA_PATIENCE_S)
    assert is_camera_lost(hangs, NOW)
    assert not is_camera_lost(replace(hangs, camera=NOW - CAMERA_PATIENCE_S + 1), NOW)
    assert not is_camera_lost(IDLE, NOW)
    failed = replace(IDLE, camera=0.0, camera_failed=True)
    assert not is_camera_lost(failed, NOW)
    assert stands_still(failed, NOW) == ""


def test_a_radio_stands_still_from_when_it_was_first_seen_so():
    look = RadioLook()
    assert look.look(takes=False, waits_until=None, bytes_out=5, now=10.0) is None  # it may just have sent these
    assert look.look(takes=False, waits_until=None, bytes_out=5, now=20.0) == 20.0
    assert look.look(takes=False, waits_until=25.0, bytes_out=5, now=30.0) == 20.0  # its own time is over


@pytest.mark.parametrize(
    "then",
    [
        {"takes": True, "waits_until": None, "bytes_out": 5},
        {"takes": False, "waits_until": 31.0, "bytes_out": 5},
        {"takes": False, "waits_until": None, "bytes_out": 6},
    ],
)
def test_a_radio_that_takes_sends_or_says_when_it_will_gets_on(then):
    look = RadioLook()
    for now in (10.0, 20.0):
        look.look(takes=False, waits_until=None, bytes_out=5, now=now)
    assert look.look(**then, now=30.0) is None
