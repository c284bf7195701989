"""The control socket served on a loop of its own thread, for tests that need both of its sides."""

import asyncio
import queue
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firmware import control
from firmware.client import Client

WAIT_S = 20.0  # of a test that hangs instead of failing


class RunningServer:
    """serve() as the service has it. bugs: what escaped from a handler and is no DandelionError."""

    def __init__(self, path: Path, handler: control.Handler) -> None:
        self.path = path
        self.loop = asyncio.new_event_loop()
        self.bugs: queue.Queue[BaseException] = queue.Queue()
        self.loop.set_exception_handler(lambda _loop, context: self.bugs.put(context["exception"]))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.server = self.do(control.serve(path, handler))
        self.client = Client(path)

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it on the server's loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    def stop(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.close()


@contextmanager
def serving(path: Path, handler: control.Handler) -> Iterator[RunningServer]:
    """A server while the context lasts; no bug may have escaped from its handler."""
    running = RunningServer(path, handler)
    try:
        yield running
        running.do(running.server.close())
        assert running.bugs.empty()
    finally:
        running.stop()
