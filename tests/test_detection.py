"""A host that lies is found out as soon as HANDOVER R9 says; `python -m sim.detection` measures it for longer."""

import pytest

from firmware.audits import A_DAY
from sim.detection import expected, hours_until_noticed, main

SEEDS = range(1, 11)


def noticed(share, seeds=SEEDS, **how):
    return [hours for seed in seeds if (hours := hours_until_noticed(seed, share, **how)) is not None]


def test_one_that_drops_everything_is_noticed_within_a_day():
    assert len(noticed(1.0, range(1, 5), own_files=True, days=1.0)) == 4


@pytest.mark.parametrize(("share", "least", "most"), [(0.1, 6, 10), (0.025, 1, 8)])
def test_one_that_drops_a_share_is_noticed_within_a_day_as_often_as_twenty_questions_find_it(share, least, most):
    """Some three standard deviations to each side of 8.8 and 4.0 of ten."""
    assert least <= len(noticed(share, own_files=True, days=1.0)) <= most


def test_without_own_files_the_first_pair_that_is_due_finds_it():
    assert len(noticed(0.1, range(1, 4), own_files=False, days=2.0)) == 3


def test_what_is_expected():
    assert A_DAY == 20
    assert expected(0.1) == pytest.approx(0.878, abs=0.001)


def test_the_command_tells_the_measured_share_beside_the_expected_one(capsys):
    assert main(["--seeds", "2", "--share", "1"]) == 0
    assert "noticed within 24 h in 2 of 2 worlds (1.000; expected 1.000)" in capsys.readouterr().out
