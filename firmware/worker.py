"""Threads beside the loop: one that carries requests out one after the other, and one for a single long job."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from firmware.events import Answer
from hal.errors import DandelionError

T = TypeVar("T")


def in_thread(name: str, work: Callable[[], T]) -> asyncio.Future[T]:
    """What work gives or raises, done once on a daemon thread: the process may end without waiting for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            tell(done.set_exception, error)
        else:
            tell(done.set_result, result)

    def tell(settle: Callable[..., None], value: object) -> None:
        with suppress(RuntimeError):  # the loop has ended without us
            loop.call_soon_threadsafe(lambda: None if done.done() else settle(value))

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


class Worker:
    """One daemon thread: a card or camera that hangs in the kernel must not keep the process from ending.

    answered(answer) is called in the loop; broken(error) too, for an error that is none of ours: a bug.
    """

    def __init__(
        self,
        name: str,
        carry_out: Callable[[Any], object],
        loop: asyncio.AbstractEventLoop,
        answered: Callable[[Answer], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._carry_out = carry_out
        self._loop = loop
        self._answered = answered
        self._broken = broken
        self._todo: queue.SimpleQueue[tuple[int, object] | None] = queue.SimpleQueue()
        self.busy_since: float | None = None  # monotonic, with the request that it is at; None: it waits for the next
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, token: int, request: object) -> None:
        """Carry this out when its turn comes."""
        self._todo.put((token, request))

    def end_soon(self) -> None:
        """Finish what was submitted, then end."""
        self._todo.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended; False if that takes longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (work := self._todo.get()) is not None:
            token, request = work
            self.busy_since = time.monotonic()
            try:
                answer = Answer(token, self._carry_out(request))
            except DandelionError as error:
                answer = Answer(token, error=error)
            except BaseException as error:  # noqa: BLE001 - a bug: the loop ends the unit with it
                self._tell(self._broken, error)
                return
            self.busy_since = None
            self._tell(self._answered, answer)

    def _tell(self, what: Callable[..., None], value: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, value)
