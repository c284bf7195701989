"""One thread looks at all contacts, and is there only while there are any."""

import itertools
import threading

import pytest

from hal import sampling
from hal.clock import SystemClock
from hal.sampling import Sampler, SamplingThread
from sim.clock import SimClock

PATIENCE_S = 60.0  # real time, for what must happen


class Seen:
    """A look that says when it was called, and in which thread."""

    def __init__(self):
        self.times, self.threads, self.twice, self.unsure = [], set(), threading.Event(), False

    def __call__(self, now):
        self.times.append(now)
        self.threads.add(threading.current_thread())
        if len(self.times) == 2:
            self.twice.set()
        return self.unsure


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "contacts"]


def test_each_look_is_told_the_time_of_the_clock_until_it_is_removed():
    clock, one, other = SimClock(monotonic_s=5.0), Seen(), Seen()
    sampler = Sampler(clock)
    sampler.add(one)
    sampler.look()
    sampler.add(other)
    clock.advance(2.0)
    sampler.look()
    sampler.remove(one)
    clock.advance(2.0)
    sampler.look()
    assert (one.times, other.times) == ([5.0, 7.0], [7.0, 9.0])


def test_the_next_look_comes_sooner_while_any_contact_is_unsure():
    sampler, one, other = Sampler(SimClock()), Seen(), Seen()
    for look in (one, other):
        sampler.add(look)
    assert sampler.look() == sampling.PERIOD_S
    one.unsure = True
    assert sampler.look() == sampling.AGAIN_S


def test_the_thread_goes_by_what_a_look_has_said(monkeypatch):
    monkeypatch.setattr(sampling, "AGAIN_S", 3600.0)
    sampler, look = SamplingThread(SystemClock()), Seen()
    look.unsure = True
    sampler.add(look)
    while not look.times:
        assert not look.twice.wait(sampling.PERIOD_S)
    assert not look.twice.wait(5 * sampling.PERIOD_S)
    sampler.remove(look)


def test_one_thread_looks_at_all_each_period_from_the_first_to_the_last_and_then_there_is_none():
    sampler, one, other = SamplingThread(SystemClock()), Seen(), Seen()
    assert threads() == []
    for look in (one, other):
        sampler.add(look)
    assert one.twice.wait(PATIENCE_S)
    assert other.twice.wait(PATIENCE_S)
    (thread,) = threads()
    assert thread.daemon
    assert one.threads == other.threads == {thread}
    sampler.remove(one)
    assert thread.is_alive()
    sampler.remove(other)
    assert not thread.is_alive()
    for seen in (one, other):
        assert all(after - before >= sampling.PERIOD_S for before, after in itertools.pairwise(seen.times))


@pytest.mark.timeout(PATIENCE_S)
def test_the_end_does_not_wait_for_the_next_look(monkeypatch):
    monkeypatch.setattr(sampling, "PERIOD_S", 3600.0)
    sampler, look = SamplingThread(SystemClock()), Seen()
    for _ in range(2):  # the second time with a thread anew
        sampler.add(look)
        (thread,) = threads()
        sampler.remove(look)
        assert not thread.is_alive()
    assert look.times == []


@pytest.mark.timeout(PATIENCE_S)
def test_what_was_removed_is_not_being_looked_at_any_more():
    """It may be given back and closed at once."""
    entered, may_end, ended, other = threading.Event(), threading.Event(), threading.Event(), Seen()

    def slow(_now):
        entered.set()
        assert may_end.wait(PATIENCE_S)
        ended.set()
        return False

    sampler = SamplingThread(SystemClock())
    for look in (slow, other):
        sampler.add(look)
    assert entered.wait(PATIENCE_S)
    threading.Timer(0.1, may_end.set).start()
    sampler.remove(slow)
    assert ended.is_set()
    sampler.remove(other)
