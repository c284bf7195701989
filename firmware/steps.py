"""Runs what takes several requests: generators that yield a Request and are resumed with its answer.

Steps on one picture run one after the other (HANDOVER R13): a step that is started while another of the same picture
is under way waits for it. A DandelionError in an answer is raised at the yield; what a step does not catch goes to
`on_error`. Nothing here waits or reads a clock: the shell carries the requests out and brings the answers back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from firmware.events import Answer, Request
from firmware.pictures import PictureId
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

Step = Generator[Request, Any, Any]

MAX_WAITING_PER_PICTURE = 32
"""Steps that may wait behind one of the same picture before it is `crowded`: its messages are thrown away then, for
they come again. What the unit itself begins goes on top, a few steps for each message taken."""


@dataclass(slots=True)
class _Run:
    step: Step
    picture: PictureId | None
    on_error: Callable[[DandelionError], None]


class Steps:
    """All steps under way in one unit."""

    def __init__(self) -> None:
        self.requests: deque[tuple[int, Request]] = deque()
        self._token = 0
        self._under_way: dict[int, _Run] = {}
        self._waiting: dict[PictureId, deque[_Run]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def busy(self, picture: PictureId) -> bool:
        """Whether a step on this picture is under way."""
        return picture in self._waiting

    def crowded(self, picture: PictureId) -> bool:
        """Whether so many steps wait for this picture that no message may add one."""
        return len(self._waiting.get(picture, ())) >= MAX_WAITING_PER_PICTURE

    def start(self, step: Step, picture: PictureId | None, on_error: Callable[[DandelionError], None]) -> None:
        """Begin a step, or queue it behind the one on the same picture."""
        run = _Run(step, picture, on_error)
        if picture is not None:
            if picture in self._waiting:
                self._waiting[picture].append(run)
                return
            self._waiting[picture] = deque()
        self._resume(run, None, None)

    def answer(self, answer: Answer) -> bool:
        """Bring the answer of one request back to the step that asked; True when that has ended."""
        run = self._under_way.pop(answer.token)
        return self._resume(run, answer.result, answer.error)

    def _resume(self, run: _Run, result: object, error: DandelionError | None) -> bool:
        """Go on with it, and with those that wait for its end; True when it has ended."""
        current: _Run | None = run
        ended = False
        while current is not None and self._advance(current, result, error):
            ended = True
            result = error = None
            current = self._next_after(current)
        return ended

    def _advance(self, run: _Run, result: object, error: DandelionError | None) -> bool:
        """Go on until the next request; True when the step has ended."""
        try:
            request = run.step.send(result) if error is None else run.step.throw(error)
        except StopIteration:
            return True
        except DandelionError as failed:
            run.on_error(failed)
            return True
        self._token += 1
        self._under_way[self._token] = run
        self.requests.append((self._token, request))
        return False

    def _next_after(self, run: _Run) -> _Run | None:
        if run.picture is None:
            return None
        waiting = self._waiting[run.picture]
        if waiting:
            return waiting.popleft()
        del self._waiting[run.picture]
        return None
