"""Holders that are silent for 48 hours of operating time: their copies are suspect, others are made (DESIGN §1, R2)."""

import pytest
from rig_scene import a_pair, check, copies, held, on_card, own, settled, shoot

from firmware import messages as m
from firmware.events import SaveCalendar
from firmware.pictures import File
from firmware.silence import GRACE_S, SUSPECT_AFTER_S
from sim.machine import Machine, Options

HOUR_S = 3600


def suspects(machine):
    return [copy.unit for entry in own(machine) for copy in entry.listed if copy.suspect]


def with_copies(number=3, *, seed=1, host=None):
    rig, origin, host = a_pair(seed, host=host)
    pictures = [shoot(origin) for _ in range(number)]
    rig.run_until(settled(origin, host), 400)
    return rig, origin, host, pictures


def test_copies_at_a_unit_that_is_not_heard_for_48_hours_are_suspect_and_no_sooner():
    rig, origin, host, pictures = with_copies()
    host.power_cut()
    rig.run_for(SUSPECT_AFTER_S - 120)
    assert suspects(origin) == []
    rig.run_for(240)
    assert suspects(origin) == [2] * len(pictures)
    assert len([text for text in origin.logged("suspect") if "48 h" in text]) == 1
    assert all(entry.file is File.WHOLE for entry in own(origin))


def test_other_copies_are_made_elsewhere_and_the_old_ones_are_kept():
    rig, origin, host, pictures = with_copies()
    host.power_cut()
    rig.run_for(SUSPECT_AFTER_S / 2)
    other = Machine(rig, 3)
    rig.run_for(SUSPECT_AFTER_S / 2 + 600)
    assert [copies(origin, picture) for picture in pictures] == [[3]] * len(pictures)
    host.restart()
    rig.run_for(60)
    assert len(held(host)) == len(held(other)) == len(pictures)


def test_a_holder_that_is_heard_again_proves_its_copies_and_they_count_again():
    rig, origin, host, pictures = with_copies()
    host.power_cut()
    rig.run_for(SUSPECT_AFTER_S + 600)
    assert suspects(origin)
    host.restart()
    rig.run_until(lambda: all(copies(origin, picture) == [2] for picture in pictures), 120)
    check(origin, host)


def test_r1_r4_what_is_held_stays_however_long_its_origin_is_silent():
    rig, origin, host, pictures = with_copies(host=Options(beacon_s=3600))
    rig.run_for(60)  # previews are here, too
    rig.loses = lambda said: isinstance(said.message, m.Keep)
    pictures.append(shoot(origin))
    rig.run_until(lambda: len(held(host)) == len(pictures), 60)
    origin.power_cut()
    rig.run_for(60 * 24 * HOUR_S)
    host.power_cut()
    host.restart()
    rig.run_for(HOUR_S)
    assert sorted(entry.kept for entry in held(host)) == [False, True, True, True]
    assert all(on_card(host, picture) for picture in pictures)


def test_time_stands_still_while_the_power_is_off():
    rig, origin, host, _ = with_copies()
    host.power_cut()
    for _ in range(10):
        rig.run_for(3 * HOUR_S)
        origin.power_cut()
        rig.run_for(24 * HOUR_S)
        origin.restart()
    assert suspects(origin) == []
    assert origin.on.core.age_s <= 31 * HOUR_S


@pytest.mark.parametrize("every_s", [6 * HOUR_S, 900])
def test_it_is_counted_over_restarts(every_s):
    """A unit that is restarted again and again loses at most half of its time, and still comes to an end."""
    rig, origin, host, pictures = with_copies()
    host.power_cut()
    hours = 0.0
    while not suspects(origin):
        rig.run_for(every_s)
        hours += every_s / HOUR_S
        origin.power_cut()
        origin.restart()
        assert hours <= 2 * SUSPECT_AFTER_S / HOUR_S + 12
    assert hours >= SUSPECT_AFTER_S / HOUR_S
    assert len(suspects(origin)) == len(pictures)


def test_after_a_start_others_get_time_to_be_heard():
    """The origin was alone for long and is cut off; both come back, and nobody is judged for what was before."""
    rig, origin, host, _ = with_copies()
    host.power_cut()
    rig.run_for(2 * HOUR_S)
    origin.power_cut()
    age_s = origin.catalogue.counter("age", 0) + SUSPECT_AFTER_S
    origin.catalogue.save_calendar(SaveCalendar((("age", age_s),)))
    origin.restart()
    rig.run_for(GRACE_S - 60)
    host.restart()
    rig.run_for(2 * HOUR_S)
    assert not origin.logged("suspect")


def test_a_holder_known_only_from_the_list_is_judged_too():
    """It was heard by no start of this unit that lived long enough to note it."""
    rig, origin, host, pictures = with_copies()
    origin.power_cut()
    host.power_cut()
    origin.restart()
    assert 2 in origin.on.operating_time.units
    rig.run_for(SUSPECT_AFTER_S + 600)
    assert len(suspects(origin)) == len(pictures)


def test_an_idle_pair_costs_little():
    """Deadlines, not polling: two days of two idle units are few events."""
    rig, *_ = a_pair(origin=Options(), host=Options())
    before = rig.events
    rig.run_for(2 * 24 * HOUR_S)
    beacons = 2 * 2 * 24 * 60
    assert rig.events - before < 8 * beacons
