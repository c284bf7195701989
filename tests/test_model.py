"""The model check in forms short enough for every run: all states of small models, and of larger ones the first."""

import pytest

from sim.model.options import Options
from sim.model.search import Search
from sim.model.settle import settle_all

COMPLETE = {
    "one host": Options(attempts=2),
    "one host, settling": Options(attempts=2, handles=True),
    "two hosts, settling": Options(hosts=2, attempts=1, handles=True),
    "deleted": Options(attempts=2, deletes=1, handles=True),
    "own file rots": Options(attempts=2, own_rots=1),
    "the origin's card is lost": Options(attempts=2, sessions=True, origin_cards=1),
    "the origin's catalogue is lost": Options(attempts=2, sessions=True, origin_catalogues=1),
    "a host's card is lost": Options(attempts=2, sessions=True, host_cards=1),
    "a host's catalogue is lost": Options(attempts=2, sessions=True, host_catalogues=1),
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
