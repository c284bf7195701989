"""The power goes at any call of real cards and real catalogues: whole units, the shipped start-up, and a file system
that forgets what was not synced. `make power` tries every call, and chance more often."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass

import pytest
from power_left import Leave, Promised, check_left, cuts, laid_out
from power_scene import UNITS, real_pair, short_story, start_both, story
from rig_scene import check, settled

from sim import power
from sim.forgetful import Image, Marked, Medium, followed
from sim.fuse import Faults

WHY_NOT = power.why_not()
STARTS = 5  # every so many-th start is cut at each of its calls: there are 2400, of 130 calls in the mean
SHARES = (0.1, 0.5, 0.9)  # of the pieces that were not synced and stay all the same


@dataclass(frozen=True)
class Often:
    """How often is cut: at every so many-th change, and with so many seeds."""

    thorough: bool

    def every(self, changes: int, *, thoroughly: int = 1) -> int:
        """thoroughly: where everything is tried."""
        return thoroughly if self.thorough else changes

    @property
    def seeds(self) -> int:
        return 5 if self.thorough else 1


@pytest.fixture(scope="module", autouse=True)
def _mounts(request: pytest.FixtureRequest) -> None:
    """Where no card of our own can be mounted nothing can be tried; whoever wants every cut must know."""
    if WHY_NOT:
        outcome = pytest.fail if request.config.getoption("--every-cut") else pytest.skip
        outcome(f"no card of our own can be mounted: {WHY_NOT}")


@pytest.fixture
def often(request: pytest.FixtureRequest) -> Often:
    return Often(bool(request.config.getoption("--every-cut")))


@pytest.fixture(scope="module")
def told() -> power.Recording:
    """Two whole units' story, told once; it is cut afterwards."""
    return _told(story)


@pytest.fixture(scope="module")
def shortly_told() -> power.Recording:
    return _told(short_story)


def _told(what: power.Program) -> power.Recording:
    recording = power.run(what)
    assert not recording.error, recording.error
    return recording


def nothing(medium: Medium, _chance: random.Random) -> Image:
    """Nothing but what was asked for is on the medium."""
    return medium.cut()


def torn(medium: Medium, chance: random.Random) -> Image:
    """Some of the rest is, sector by sector and name by name."""
    return medium.cut(chance, share=chance.choice(SHARES))


def only(unit: int) -> Leave:
    """One unit's power goes and takes all that it can; the other one lives and has all that it wrote."""

    def leave(medium: Medium, _chance: random.Random) -> Image:
        cut, alive = medium.cut(), medium.cut(share=1.0)
        ours = {path: content for path, content in cut.items() if path.split("/")[0] == str(unit)}
        return {path: content for path, content in alive.items() if path.split("/")[0] != str(unit)} | ours

    return leave


def test_what_was_synced_is_enough(told: power.Recording) -> None:
    tried = 0
    for cut in cuts(told.log, nothing):
        check_left(cut.image, cut.promised)
        tried += 1
    assert tried > 200


@pytest.mark.parametrize("unit", UNITS)
def test_what_one_unit_has_synced_is_enough_for_the_other(told: power.Recording, unit: int, often: Often) -> None:
    for cut in cuts(told.log, only(unit), every=often.every(41)):
        check_left(cut.image, cut.promised)


def test_what_is_there_by_chance_besides_does_no_harm(told: power.Recording, often: Often) -> None:
    for seed in range(often.seeds):
        for cut in cuts(told.log, torn, every=often.every(17), seed=seed):
            check_left(cut.image, cut.promised)


def test_what_is_noted_of_a_part_is_there(shortly_told: power.Recording, often: Often) -> None:
    """Pictures long enough that a power cut falls between what is noted of them."""
    for leave in (nothing, torn):
        for cut in cuts(shortly_told.log, leave, every=1 if leave is nothing else often.every(5)):
            check_left(cut.image, cut.promised, (1,))


def test_a_cut_in_the_start_after_a_cut_does_no_harm(told: power.Recording, often: Often) -> None:
    tried = 0
    for cut in cuts(told.log, torn, begin=100, every=often.every(331, thoroughly=STARTS), seed=1):
        again = power.run(start_both, image=cut.image)
        assert not again.error, again.error
        for second in cuts(again.log, torn, begin=again.start - 1, every=often.every(13), seed=2):
            check_left(second.image, cut.promised)
            tried += 1
    assert tried > 20


def test_units_go_on_from_what_is_left(told: power.Recording, often: Often) -> None:
    """I6: every picture gets its copy, and no list is wrong."""
    for cut in cuts(told.log, torn, begin=100, every=often.every(211), seed=3):
        with laid_out(cut.image) as top:
            rig, one, two = real_pair(top, lambda *_: None)
            rig.run_until(settled(one, two), 900)
            check(one, two)
            one.end()
            two.end()


def test_a_process_ends_in_the_middle_of_a_call_as_its_log_says(told: power.Recording) -> None:
    """The power goes while the units run, not only in the log: the same changes have been made until then."""
    for calls in range(200, told.calls, 800):
        cut = power.run(story, faults=Faults(cut_after=calls))
        assert cut.cut
        assert cut.calls == calls
        promised = Promised()
        for change in cut.log:
            if isinstance(change, Marked):
                promised.follow(change)
        check_left(followed(cut.log).cut(), promised)
        assert [type(change) for change in cut.log] == [type(change) for change in told.log[: len(cut.log)]]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
def test_a_call_that_fails_takes_nothing_along(
    shortly_told: power.Recording, often: Often, number: int, lasting: bool
) -> None:
    for call in range(1, shortly_told.calls + 1, often.every(31)):
        failed = power.run(short_story, faults=Faults({call: number}, lasting=lasting))
        assert not failed.error, failed.error
        *_, end = cuts(failed.log, nothing)
        check_left(end.image, end.promised, (1,))
        check_left(followed(failed.log).cut(share=1.0), end.promised, (1,))
