"""`make cuts` in small: stories cut at every step, second cuts drawn; calls that fail; catalogues that are gone."""

from __future__ import annotations

import os
import signal

import pytest

from firmware import commands as c
from firmware import handover
from firmware.pictures import PictureId
from sim.card import Fault
from sim.cuts import main
from sim.explorer import Choice, Second, explore, path_of
from sim.machine import Machine
from sim.scene import Scene, Story
from sim.stories import STORIES, Deleted, ReadOut, Relieved, story_of

NO_PICTURE = PictureId(9, 9, 9)
SEEDS = {story_of(seed): seed for seed in range(1, len(STORIES) + 1)}


@pytest.mark.parametrize("story", STORIES)
def test_cuts_of_every_story_lose_nothing_and_settle(story: str) -> None:
    first_share = 1.0 if story in ("dropped", "deleted", "deleted-elsewhere", "unconfirmed", "read-out") else 0.25
    tally, text = explore(SEEDS[story], story, Choice(second=Second.ANY, first_share=first_share, share=0.005))
    assert not tally.failed, text
    assert tally.whole == 1
    assert tally.once > 10
    assert tally.settled_s < 3600


def test_a_cut_at_every_step_of_a_first_copy_loses_nothing_and_settles() -> None:
    tally, text = explore(13, "copied", Choice(second=Second.NONE))
    assert not tally.failed, text
    assert tally.once > 60


@pytest.mark.parametrize("fault", [Fault.IO, Fault.FULL, Fault.ROT, Fault.LIE, Fault.DONE])
def test_a_call_that_fails_once_wherever_it_is_loses_nothing(fault: Fault) -> None:
    tally, text = explore(1, "copied", Choice(second=Second.NONE, fault=fault))
    assert not tally.failed, text
    assert tally.faults > 1


@pytest.mark.parametrize(("seed", "story"), [(3, "by-hand"), (10, "two-ways")])
def test_a_commit_that_fails_and_is_done_leaves_sums_and_records_as_the_rows_are(seed: int, story: str) -> None:
    tally, text = explore(seed, story, Choice(second=Second.NONE, fault=Fault.DONE))
    assert not tally.failed, text
    assert tally.faults > 10


@pytest.mark.parametrize("story", ["copied", "deleted", "dropped"])
def test_a_catalogue_that_is_gone_after_any_step_costs_no_picture(story: str) -> None:
    choice = Choice(second=Second.NONE, first_share=0.3 if story == "copied" else 1.0, catalogue=True)
    tally, text = explore(SEEDS[story], story, choice)
    assert not tally.failed, text
    assert tally.catalogues == tally.once > 10


def test_both_units_are_cut_within_one_read_out() -> None:
    """It is short enough that every step of the other unit after a first cut can be a second one."""
    tally, text = explore(SEEDS["read-out"], "read-out", Choice(second=Second.OTHER, first_share=0.4))
    assert not tally.failed, text
    assert tally.twice > 3 * tally.once


def test_a_path_is_one_run_and_the_same_each_time() -> None:
    one, text = explore(1, "copied", Choice(path=path_of("2.9,1.3")))
    assert not one.failed, text
    assert (one.whole, one.once, one.twice) == (0, 0, 1)
    assert explore(1, "copied", Choice(path=path_of("2.9,1.3")))[0] == one


def test_a_path_that_is_not_there_is_an_error_with_its_command() -> None:
    tally, text = explore(1, "copied", Choice(path=path_of("2.9,1.30000")))
    assert tally.failed == 1
    assert "python -m sim.cuts --story copied --seed 1 --path 2.9" in text


def test_the_command_tells_figures_and_where_it_fails_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--story", "deleted", "--seed", "4", "--second", "none"]) == 0
    assert "1 schedules, 18 cut hand-overs (18 with one cut, 0 with two)" in capsys.readouterr().out
    monkeypatch.setattr("firmware.store.Store._discard", lambda _self, _path: None)
    assert main(["--story", "copied", "--second", "none"]) == 1
    assert "to run it again:\npython -m sim.cuts --story copied --seed 1 --path" in capsys.readouterr().err


def test_a_run_that_ends_without_a_word_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the kernel has no memory left for it."""
    monkeypatch.setattr("sim.scene.Scene.switch_on", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    tally, text = explore(SEEDS["deleted"], "deleted", Choice(second=Second.NONE))
    assert tally.failed == 1
    assert "has ended with -9" in text


# ---------------------------------------------------------------- what is looked at beside I1 to I6


def test_a_unit_that_hears_nobody_after_a_cut_has_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Machine.receive
    monkeypatch.setattr(Machine, "receive", lambda self: receive(self) if self.starts == 1 else None)
    tally, text = explore(1, "copied", Choice(path=path_of("1.9")))
    assert tally.failed == 1
    assert "unit 1 does not hear unit 2" in text


def test_a_picture_that_is_deleted_though_nobody_has_ordered_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = handover.owner

    def hasty(state: handover.Owner, event: handover.OwnerEvent) -> handover.Effects:
        return owner(state, handover.Delete() if isinstance(event, handover.Receipt) else event)

    monkeypatch.setattr(handover, "owner", hasty)
    tally, text = explore(1, "copied", Choice(path=()))
    assert tally.failed == 1
    assert "is deleted, and nobody has ordered that" in text


def test_a_command_that_fails_though_nothing_was_cut_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(_story: Story, scene: Scene) -> None:
        scene.ask(scene.origin, lambda ticket: c.Verify(ticket, NO_PICTURE))

    monkeypatch.setattr(ReadOut, "tell", tell)
    tally, text = explore(SEEDS["read-out"], "read-out", Choice(path=()))
    assert tally.failed == 1
    assert "nothing was cut, and a command has ended with Failed" in text


@pytest.mark.parametrize("story", [Deleted, Relieved])
def test_a_story_in_which_nothing_happens_is_seen(story: type[Story], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "tell", lambda *_: None)
    name = story.__name__.lower()
    tally, text = explore(SEEDS[name], name, Choice(path=()))
    assert tally.failed == 1
    assert "nothing was cut, and" in text
