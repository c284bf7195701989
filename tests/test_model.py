"""The model check in forms short enough for every run: all states of small models, and of larger ones the first."""

from dataclasses import replace

import pytest

import sim.model.__main__ as command
from firmware import handover
from firmware.pictures import File
from sim.model.options import CONFIGURATIONS, Configuration, Options
from sim.model.search import Search
from sim.model.settle import settle_all
from sim.model.values import Says

COMPLETE = {
    "one host, settling": Options(attempts=2, handles=True),
    "two hosts, settling": Options(hosts=2, attempts=1, handles=True),
    "deleted": Options(attempts=2, deletes=1, handles=True),
    "own file rots": Options(attempts=2, own_rots=1),
    "the origin's card is lost": Options(attempts=2, sessions=True, handles=True, origin_cards=1),
    "the origin's catalogue is lost": Options(attempts=2, sessions=True, handles=True, origin_catalogues=1),
    "a host's card is lost": Options(attempts=2, sessions=True, handles=True, host_cards=1),
    "a host's catalogue is lost": Options(attempts=2, sessions=True, handles=True, host_catalogues=1),
    "a host's copy rots": Options(attempts=1, held_rots=1),
    "a host lies": Options(attempts=1, lies=1),
    "other content under the id": Options(hosts=2, attempts=1, conflict=True),
    "a third unit keeps records": Options(attempts=1, sessions=True, handles=True, keeper="third", versions=2),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_in_every_state_all_rules_hold_and_all_come_to_rest(name):
    search = Search(COMPLETE[name])
    result = search.run()
    assert result.complete, (result.broken, result.trace)
    if not search.options.lies:  # with a liar nothing comes to rest: its copy is asked for again and again
        result = settle_all(search, result)
    assert not result.broken, result.trace


def test_the_model_goes_everywhere():
    """What is above would prove nothing if pictures were never stored, dropped, recalled, refused as stale, let go."""
    search = Search(Options(attempts=2))
    search.run()
    reached = set()
    for _, at, (host,) in search.reached():
        copy = at.entry.copy_at(host.unit)
        reached.add((at.entry.file, bool(copy.listed), copy.suspect, copy.owed, host.held is not None))
    assert search.said == {*Says} - {Says.RECORD, Says.LOST}
    rots = Search(Options(attempts=1, held_rots=1))
    rots.run()
    assert Says.LOST in rots.said
    assert reached >= {
        (File.GONE, True, True, False, True),  # away and in doubt
        (File.UNCHECKED, True, False, False, True),  # found by start-up
        (File.WHOLE, False, False, False, True),  # a copy that the list does not know
        (File.WHOLE, False, False, True, False),  # let go, and dropped
    }


shipped_owner = handover.owner


def dropped_when_placed(state, event):
    """The own file goes when somebody is asked to take it."""
    return (handover.Unlink(),) if isinstance(event, handover.Place) else shipped_owner(state, event)


def test_a_search_that_is_not_complete_says_so():
    result = Search(Options(attempts=2), limit=100).run()
    assert (result.complete, result.broken, result.states >= 100) == (False, "", True)


def test_the_command_fails_where_a_configuration_that_should_be_whole_is_not(monkeypatch, capsys):
    row = {"small": Configuration(Options(attempts=1), limit=50)}
    monkeypatch.setattr(command, "CONFIGURATIONS", row)
    assert command.main(["--all"]) == 1
    assert "raise the limit" in capsys.readouterr().out
    monkeypatch.setitem(row, "small", replace(row["small"], whole=False))
    assert command.main(["--all"]) == 0


def test_the_way_to_a_broken_rule_is_the_shortest_and_begins_with_the_first_step(monkeypatch):
    monkeypatch.setattr("firmware.handover.owner", dropped_when_placed)
    result = Search(Options(attempts=1)).run()
    assert result.broken == "I1: nobody has the picture"
    assert result.trace == ("origin: asks unit 2 to take it",)


def test_each_configuration_of_the_table_can_be_searched():
    for name, configuration in CONFIGURATIONS.items():
        assert Search(configuration.options, limit=50).run().broken == "", name


@pytest.mark.parametrize("lost", [{"origin_cards": 1}, {"host_catalogues": 1}])
def test_without_sessions_what_is_old_makes_a_lost_card_or_catalogue_a_lost_picture(lost):
    """HANDOVER §5: safe only because nothing from before a restart is obeyed. With sessions: above."""
    assert Search(Options(attempts=2, **lost)).run().broken.split(":")[0] in ("I1", "I2")
