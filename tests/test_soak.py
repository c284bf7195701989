"""`make soak`: what it prints, how it ends, and how it reckons the growth of memory."""

import pytest

from sim.soak import FIRST_DAYS, MB, Mark, main, slope_percent


def marks(*rest_mb, per_day_mb=30):
    """Memory of days from 1 on: so much beside what cards and catalogues hold, which grows, too."""
    sizes = [(rest, per_day_mb * day) for day, rest in enumerate(rest_mb, 1)]
    return [Mark(day, (rest + held) * MB, held * MB) for day, (rest, held) in enumerate(sizes, 1)]


def test_pictures_and_catalogues_are_no_growth():
    assert slope_percent(marks(*[50] * 10)) == pytest.approx(0.0)


def test_what_grows_beside_them_is():
    assert slope_percent(marks(*(40 + day for day in range(1, 11)), per_day_mb=5)) == pytest.approx(1.0)


def test_the_first_days_do_not_count():
    assert slope_percent(marks(10, 20, *[50] * 5)) == pytest.approx(0.0)
    assert slope_percent(marks(*range(1, FIRST_DAYS + 2))) == 0.0


def test_a_month_tells_each_day_and_what_came_of_it(capsys):
    assert main(["--days", "0.1", "--units", "3", "--pictures-per-hour", "2"]) == 0
    told = capsys.readouterr().out
    for words in ("day 1: ", "unit-hours/s", "memory", "pictures 14", "0 lost, 0 wrong list entries", "faults: "):
        assert words in told


@pytest.mark.parametrize("kind", ["--worst", "--one-death"])
def test_a_month_is_not_of_the_kinds_of_small_worlds(kind, capsys):
    with pytest.raises(SystemExit):
        main(["--days", "0.1", kind])
    assert "give --for" in capsys.readouterr().err


def test_worlds_for_a_time_go_on_with_the_next_seed(capsys):
    assert main(["--for", "0.01", "--units", "3", "--hours", "2", "--seed", "5"]) == 0
    told = capsys.readouterr().out
    assert "seed 5: " in told
    assert "1 worlds" in told


def test_worlds_in_which_one_card_dies_at_a_time_tell_what_was_lost_and_why(capsys):
    assert main(["--for", "0.01", "--one-death", "--units", "3", "--hours", "48", "--card-deaths", "2"]) == 0
    told = capsys.readouterr().out
    assert "card death" in told
    assert "lost and excused: " in told


@pytest.mark.parametrize("how", [["--days", "0.1"], ["--for", "0.01", "--hours", "2"]])
def test_a_broken_rule_ends_it_with_the_command_that_shows_it(how, capsys):
    assert main([*how, "--units", "3", "--most-sent", "0.5", "--seed", "2"]) == 1
    told = capsys.readouterr()
    assert "bytes: " in told.err
    assert "python -m sim.world --seed 2" in told.err
