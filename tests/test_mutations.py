"""Each rule of the recipes and of the hand-over, taken out, is seen: by a cut story, or by the test of a crash point.

The same stories and cuts pass with the rules in: tests/test_cuts.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mutations import MUTATIONS
from test_crash_points import (
    test_an_own_picture_that_is_adopted_after_a_process_ended_is_on_the_medium_before_its_row as adopted_after_a_kill,
)
from test_crash_points import test_h7_a_late_drop_of_an_older_attempt_is_refused as late_drop
from test_crash_points import test_r13_a_keep_that_comes_with_a_drop_brings_no_row_back as no_row_comes_back

from sim.card import Fault
from sim.explorer import Choice, Second, explore

ONE_CUT = Choice(second=Second.NONE)


def cut(story: str, seed: int, choice: Choice = ONE_CUT) -> Callable[[], None]:
    """Explore it; the first failure is raised."""

    def explored() -> None:
        tally, text = explore(seed, story, choice)
        assert not tally.failed, text

    return explored


SEEN_BY: dict[str, tuple[str, Callable[[], None]]] = {
    "adoption_without_fsync": ("I[13]", adopted_after_a_kill),
    "steps_not_serial": ("I3", no_row_comes_back),
    "stored_before_fsync": ("I3", cut("copied", 1)),
    "row_before_file": ("I3", cut("copied", 1)),
    "unlink_before_commit_at_the_origin": ("I3", cut("dropped", 2)),
    "unlink_before_commit_at_the_host": ("I3", cut("deleted", 4)),
    "no_directory_fsync": ("I3", cut("copied", 1)),
    "no_read_back": ("I3", cut("copied", 1, Choice(second=Second.NONE, fault=Fault.LIE))),
    "digest_not_compared": ("I3", cut("copied", 1, Choice(second=Second.NONE, fault=Fault.ROT))),
    "no_attempt_check_at_drop": ("I[12]", late_drop),
    "drop_without_fresh_proof": ("I5", cut("dropped", 2)),
    "attempts_in_memory_only": ("O1", cut("by-hand", 3)),
    "dropped_before_stored": ("I1", cut("copied", 1)),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_that_is_taken_out_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, look = SEEN_BY[name]
    MUTATIONS[name](monkeypatch)
    with pytest.raises(AssertionError, match=rule):
        look()
