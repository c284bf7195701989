"""The camera on a thread of its own: made ready, asked for one shot after the other, and given up where it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from firmware.events import Answer, TakePicture
from firmware.worker import Worker
from hal.errors import CameraError, CameraHung
from hal.interfaces import Camera, Shot

CAPTURE_TIMEOUT_S = 20.0
"""A camera that has not answered by then is killed (TRAPS: the next attempt within 20 s)."""
_MAKE_READY = -1  # token of what no unit has asked for


class CameraThread:
    """All but the driver's own work is done in the loop. problem: what is wrong with the camera; None: nothing that is
    known. is_lost: it was declared failed, and has not answered since.

    A thread that hangs in a driver can be ended by nothing. Such a camera is asked for nothing until it has answered.
    """

    def __init__(
        self,
        driver: Camera,
        loop: asyncio.AbstractEventLoop,
        *,
        answered: Callable[[Answer], None],
        news: Callable[[str, str], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        """answered: to each ask(), once. news: an event and its text, for the log."""
        self.driver = driver
        self.problem: str | None = None
        self._loop = loop
        self._answered = answered
        self._news = news
        self._lost: CameraHung | None = None
        self._asked: set[int] = set()  # tokens of pictures that it is to take
        self._note = ""  # what was told of the driver's
        self._ending = False
        self._worker = Worker("camera", self._use, loop, self._came, broken)
        self._worker.submit(_MAKE_READY, None)

    @property
    def note(self) -> str:
        """What a person should know of the camera though it works; empty: nothing."""
        return self.driver.note

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    @property
    def busy_since(self) -> float | None:
        """Monotonic time since when it is at one thing; None: it waits for the next."""
        return self._worker.busy_since

    def ask(self, token: int, request: TakePicture) -> None:
        """Have it take a picture."""
        self._asked.add(token)
        if self._lost is None:
            self._worker.submit(token, request)
        else:
            self._loop.call_soon(self._settle, Answer(token, error=self._lost))

    def declare_lost(self) -> None:
        """It hangs: nobody waits for it any more."""
        self._lost = error = CameraHung(
            "the camera does not answer, and what hangs cannot be ended",
            did="it is asked for no picture until it has answered; the unit goes on as a host",
            can="check the camera's cable and power; switch the unit off and on",
        )
        self.problem = str(error)
        self._news("alarm", self.problem)
        for token in list(self._asked):
            self._settle(Answer(token, error=error))

    def end_soon(self) -> None:
        """Nothing is asked any more. What the thread is at may be ended by close()."""
        self._ending = True
        self._worker.end_soon()

    def close(self) -> None:
        """Give the camera back."""
        self.driver.close()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the thread has ended; False if that takes longer."""
        ended = self._worker.wait(timeout_s)
        if ended:
            self.driver.close()  # it may have made the camera ready in the moment before
        return ended

    # ------------------------------------------------------------ in the thread

    def _use(self, request: TakePicture | None) -> Shot | None:
        """Take a picture, or make ready (None)."""
        if request is not None:
            try:
                shot = self.driver.capture(CAPTURE_TIMEOUT_S, request.occasion)
            except CameraHung:
                self._worker.submit(_MAKE_READY, None)  # before the next press
                raise
            self.problem = None
            return shot
        if self._ending:
            return None
        try:
            self.driver.open()
            self.problem = None
        except CameraError as error:
            self.problem = str(error)
        else:
            self._loop.call_soon_threadsafe(self._tell_note)
        return None

    # ------------------------------------------------------------ in the loop

    def _tell_note(self) -> None:
        """Once for each thing that there is to know."""
        if self.note != self._note:
            self._note = self.note
            if self._note:
                self._news("camera", self._note)

    def _came(self, answer: Answer) -> None:
        """From the thread: also what nobody waits for any more."""
        lost, self._lost = self._lost, None
        if lost is not None:
            if answer.error is not None:
                self.problem = str(answer.error)
            elif self.problem == str(lost):  # making it ready may have found something else
                self.problem = None
            self._news("camera", f"the camera answers again{f': {self.problem}' if self.problem else ''}")
        self._settle(answer)

    def _settle(self, answer: Answer) -> None:
        if answer.token in self._asked:
            self._asked.discard(answer.token)
            self._answered(answer)
        elif answer.result is not None:  # too late: whoever pressed was told that there is no picture
            cast(Shot, answer.result).close()
