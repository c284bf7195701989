"""Exposure: how long pictures have only one card, from the shutter to the first verified copy (HANDOVER R12)."""

from pathlib import Path

import pytest
from rig_scene import a_pair, copies, held, settled, shoot

from firmware.determine import Policy, Rules
from firmware.events import Counts
from firmware.exposure import exposure_row, percentile
from firmware.lines import duration, status
from sim.machine import Machine, Options
from sim.rig import Rig


def exposure(machine):
    """What `status` would say."""
    core = machine.on.core
    counted = machine.catalogue.counts(Counts(core.settings.rules.copies, core.settings.rules.wanted(True)))
    return exposure_row(counted, core.age_s, core.wall_s(), core.settings.rules.policy)


@pytest.mark.parametrize(
    ("values", "p50", "p99"),
    [((), None, None), ((7,), 7, 7), ((9, 1), 1, 9), (range(1, 101), 50, 99), (range(1, 1001), 500, 990)],
)
def test_percentiles_are_values_that_occur(values, p50, p99):
    assert (percentile(tuple(values), 50), percentile(tuple(values), 99)) == (p50, p99)


def test_pictures_that_nobody_takes_are_exposed_and_the_oldest_is_named():
    rig = Rig(1)
    origin = Machine(rig, 1)
    first = shoot(origin)
    rig.run_for(500)
    shoot(origin)
    rig.run_for(100)
    told = exposure(origin)
    assert told["pictures"] == 2
    assert told["oldest"] == str(first.id)
    assert 600 <= told["oldest_s"] <= 602
    assert (told["p50_s"], told["of"]) == (None, 0)


def test_it_ends_with_the_first_verified_copy_and_is_remembered():
    rig, origin, host = a_pair()
    host.power_cut()
    pictures = [shoot(origin) for _ in range(3)]
    rig.run_for(1000)
    host.restart()
    rig.run_until(settled(origin, host), 200)
    told = exposure(origin)
    assert (told["pictures"], told["oldest"], told["of"]) == (0, None, 3)
    assert 1000 <= told["p50_s"] <= told["p99_s"] < 1200
    assert all(copies(origin, picture) == [2] for picture in pictures)


def test_it_is_counted_in_operating_time_over_restarts_while_the_clock_is_wrong():
    rig = Rig(1)
    origin = Machine(rig, 1)
    shoot(origin)
    for _ in range(3):
        rig.run_for(4000)
        origin.power_cut()
        rig.run_for(100_000)
        origin.restart()
    told = exposure(origin)
    assert 3 * 2000 <= told["oldest_s"] <= 3 * 4000


def test_after_a_power_cut_time_goes_on_from_the_latest_shot():
    """It is kept each 300 s and more: a shot before a cut within that would be of the future, and told as no time."""
    rig, origin, host = a_pair()
    host.power_cut()
    rig.run_for(250)
    shoot(origin)
    origin.power_cut()
    origin.restart()
    rig.run_for(100)
    assert 50 <= exposure(origin)["oldest_s"] <= 102  # as of its last turn
    host.restart()
    rig.run_until(settled(origin, host), 200)
    assert exposure(origin)["p50_s"] >= 100


@pytest.mark.parametrize("policy", [Policy.NEVER, Policy.WHEN_FULL])
def test_pictures_that_the_policy_leaves_alone_are_exposed_and_it_is_said(policy):
    rig, origin, host = a_pair(origin=Options(rules=Rules(policy=policy)))
    shoot(origin)
    rig.run_for(300)
    assert not held(host)
    told = exposure(origin)
    assert told["pictures"] == 1
    assert policy.value in told["why"]


# ---------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 days"), (None, "?")]
)
def test_times_are_told_in_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text


def test_status_says_what_is_exposed_why_and_how_long_it_took():
    told = {"pictures": 3, "why": "the policy is never", "oldest": "00001-3fa7-00000042", "oldest_s": 7200}
    told |= {"one_holder": 4, "unproved": 1, "p50_s": 90, "p99_s": 400_000, "of": 1000}
    lines = status({"exposure": told}).splitlines()
    assert (
        "exposed   3 pictures are on this card only, the oldest is 00001-3fa7-00000042, for 2 h (the policy is never); "
        "4 on one other card only; 1 of which no unit has proved a copy; "
        "of the last 1000 that got a copy half had it within 90 s, 99 % within 5 days"
    ) in lines


@pytest.mark.parametrize(
    ("half_s", "most_s", "text"),
    [(117, 125, "117 s, 99 % within 125 s"), (125, 7300, "2 min, 99 % within 122 min"), (0, 0, "0 s, 99 % within 0 s")],
)
def test_two_times_in_one_sentence_have_one_unit_where_that_can_be_read(half_s, most_s, text):
    told = status({"exposure": {"pictures": 1, "p50_s": half_s, "p99_s": most_s, "of": 9}})
    assert f"1 picture is on this card only; of the last 9 that got a copy half had it within {text}" in told


def test_one_of_something_is_no_plural():
    row = {"waiting_shots": 1, "deletes_pending": 1, "radio": {"frames_damaged": 1}, "exposure": {"pictures": 1}}
    row |= {"audits": {"asked": 1}, "scrub": {"checked": 1}, "pictures": {"suspect_copies": 1}}
    told = status(row)
    for words in (
        "1 shot waiting",
        "1 delete pending",
        "1 frame damaged",
        "1 picture is",
        "1 proof asked",
        "1 copy susp",
    ):
        assert words in told
    assert "1 file read again" in told


def test_status_says_what_was_checked():
    row = {"exposure": {"pictures": 0}, "audits": {"asked": 20, "right": 18, "failed": 1}}
    row |= {"scrub": {"checked": 7, "damaged": 1}, "pictures": {"suspect_copies": 5}}
    told = "20 proofs asked for within a day, 18 right, 1 failed; 5 copies suspect; 7 files read again, 1 damaged"
    assert f"checks    {told}" in status(row).splitlines()


def test_the_line_that_is_explained_in_the_docs_is_that_of_status():
    told = {"pictures": 3, "oldest": "00001-3fa7-00000042", "oldest_s": 2400, "one_holder": 12}
    told |= {"p50_s": 30, "p99_s": 245, "of": 1000}
    (line,) = [line for line in status({"exposure": told}).splitlines() if line.startswith("exposed")]
    explained = (Path(__file__).parent.parent / "docs" / "reliability.md").read_text().splitlines()
    assert f"    {line}" in explained
