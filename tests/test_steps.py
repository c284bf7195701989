"""Steps: requests in order, answers to whom they belong, and one step after the other on one picture (R13)."""

import pytest

from firmware.events import Answer, LookUp
from firmware.pictures import PictureId
from firmware.steps import MAX_WAITING_PER_PICTURE, Steps
from hal.errors import CardError

ONE, TWO = PictureId(1, 1, 1), PictureId(1, 1, 2)


class Log:
    """Steps, and what they did."""

    def __init__(self):
        self.steps = Steps()
        self.done = []
        self.errors = []

    def start(self, step, picture=None):
        return self.steps.start(step, picture, self.errors.append)

    def ask(self, name, *requests):
        """A step that makes these requests and notes each answer."""
        for request in requests:
            answer = yield request
            self.done.append((name, answer))
        self.done.append(name)

    def requested(self):
        """What has been asked since the last call, as (token, request)."""
        taken = list(self.steps.requests)
        self.steps.requests.clear()
        return taken


def look(sequence):
    return LookUp(PictureId(9, 9, sequence))


def test_a_step_makes_one_request_at_a_time_and_gets_its_own_answer():
    log = Log()
    log.start(log.ask("a", look(1), look(2)))
    log.start(log.ask("b", look(3)))
    (a1, request_a), (b1, request_b) = log.requested()
    assert (request_a, request_b) == (look(1), look(3))
    assert log.steps.answer(Answer(b1, "three")) is True
    assert log.steps.answer(Answer(a1, "one")) is False
    ((a2, request),) = log.requested()
    assert request == look(2)
    assert log.steps.answer(Answer(a2, "two")) is True
    assert log.done == [("b", "three"), "b", ("a", "one"), ("a", "two"), "a"]
    assert len(log.steps) == 0


def test_steps_on_one_picture_run_one_after_the_other_and_others_beside_them():
    log = Log()
    log.start(log.ask("a", look(1)), ONE)
    log.start(log.ask("b", look(2)), ONE)
    log.start(log.ask("c", look(3)), TWO)
    (a, _), (c, _) = log.requested()
    assert log.steps.busy(ONE)
    log.steps.answer(Answer(c))
    assert log.steps.answer(Answer(a)) is True
    ((b, request),) = log.requested()
    assert request == look(2)
    assert log.done == [("c", None), "c", ("a", None), "a"]
    log.steps.answer(Answer(b))
    assert not log.steps.busy(ONE)
    assert not log.steps.busy(TWO)


def test_a_step_without_a_request_ends_at_once_and_frees_its_picture():
    log = Log()
    log.start(log.ask("a"), ONE)
    assert log.done == ["a"]
    assert not log.steps.busy(ONE)


def test_steps_that_wait_and_need_nothing_all_run_when_their_turn_comes():
    log = Log()
    log.start(log.ask("a", look(1)), ONE)
    log.start(log.ask("b"), ONE)
    log.start(log.ask("c"), ONE)
    ((a, _),) = log.requested()
    log.steps.answer(Answer(a))
    assert log.done == [("a", None), "a", "b", "c"]
    assert not log.steps.busy(ONE)


def test_an_error_is_raised_where_the_step_waits():
    log = Log()

    def careful():
        try:
            yield look(1)
        except CardError as error:
            log.done.append(str(error))

    log.start(careful(), ONE)
    ((token, _),) = log.requested()
    log.steps.answer(Answer(token, error=CardError("worn out")))
    assert log.done == ["worn out"]
    assert log.errors == []


def test_an_error_that_a_step_does_not_catch_ends_it_alone_and_is_told_once():
    log = Log()
    error = CardError("worn out")
    log.start(log.ask("a", look(1)), ONE)
    log.start(log.ask("b", look(2)), ONE)
    ((token, _),) = log.requested()
    log.steps.answer(Answer(token, error=error))
    assert log.errors == [error]
    ((token, request),) = log.requested()
    assert request == look(2)
    log.steps.answer(Answer(token))
    assert log.done == [("b", None), "b"]


def test_a_bug_of_ours_is_not_swallowed():
    log = Log()

    def wrong():
        yield look(1)
        raise ZeroDivisionError

    log.start(wrong())
    ((token, _),) = log.requested()
    with pytest.raises(ZeroDivisionError):
        log.steps.answer(Answer(token))


def test_a_picture_for_which_many_steps_wait_is_crowded_until_they_have_run():
    log = Log()
    log.start(log.ask("first", look(1)), ONE)
    for n in range(MAX_WAITING_PER_PICTURE):
        assert not log.steps.crowded(ONE)
        log.start(log.ask(n), ONE)
    assert log.steps.crowded(ONE)
    assert not log.steps.crowded(TWO)
    log.start(log.ask("own"), ONE)  # what the unit itself begins is never refused
    ((token, _),) = log.requested()
    log.steps.answer(Answer(token))
    assert log.done == [("first", None), "first", *range(MAX_WAITING_PER_PICTURE), "own"]
    assert not log.steps.crowded(ONE)


def test_an_answer_nobody_waits_for_is_a_bug():
    with pytest.raises(KeyError):
        Steps().answer(Answer(1))
