"""A unit's process: alone in its runtime_dir, in the foreground with signals, or beside one command for its time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from firmware.client import Client
from firmware.config import Config
from firmware.control import hold, hold_card, require_own
from firmware.errors import NobodyRuns, UnitRuns
from firmware.log_printer import LogPrinter
from firmware.service import END_TIMEOUT_S, Service
from firmware.supervised import Supervised
from firmware.without_card import is_dead
from hal import card_mount
from hal.directory_card import DirectoryCard
from hal.errors import CardError
from hal.interfaces import Card
from hal.service_manager import ServiceManager

LAST_LINES_S = 0.5
"""The last lines of the log may take so long to be read at the end."""
GIVE_WAY_S = 20.0
"""How long `run` waits for a temporary unit to end."""


def run(config: Config, *, card: Card | None = None) -> int:
    """`dandelion run`: the unit in the foreground, until SIGTERM or SIGINT. Exit status. card: as for Service."""
    manager = ServiceManager(os.environ)
    with _sole(config):
        printer = LogPrinter(sys.stderr)
        if config.security.insecure:
            printer.print("warning: this unit runs without credentials (security.insecure = true)")
        try:
            asyncio.run(_run(config, printer, card, manager))
            printer.print(f"ended: unit {config.unit.id} ({config.unit.name}), as it was told")
        finally:
            printer.close(LAST_LINES_S)
    return 0


async def _run(config: Config, printer: LogPrinter, card: Card | None, manager: ServiceManager) -> None:
    loop, told_to_end = asyncio.get_running_loop(), False
    supervised, name = Supervised(manager, printer.print), f"unit {config.unit.id} ({config.unit.name})"
    service: Service

    def end() -> None:
        nonlocal told_to_end
        told_to_end = True
        supervised.ends()
        service.stop.set()

    def ready() -> None:
        printer.print(f"ready: {name}")
        supervised.ready(f"{name}, in safe mode" if service.beginning.in_safe_mode else name)

    watching = loop.create_task(supervised.watch(lambda: service.look_after()))
    try:
        while not told_to_end:
            with _sole_card(config):  # each life's own: another one may be mounted there meanwhile
                service = Service(config, temporary=False, supervised=manager.listens, printer=printer, card=card)
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, end)
                await service.main(ready)
            if not service.starts_anew:
                return
    finally:
        watching.cancel()


@contextmanager
def _sole(config: Config) -> Iterator[None]:
    """Be the only unit of the runtime_dir; a temporary one is asked to end, and waited for."""
    require_own(config.unit.runtime_dir, config.card.path)
    with ExitStack() as held:
        try:
            held.enter_context(hold(config.unit.runtime_dir))
        except UnitRuns:
            _ask_to_end(config)
            _hold_soon(config, held)
        yield


def _sole_card(config: Config) -> AbstractContextManager[None]:
    """The card, made durably where it is not there yet, for this process alone."""
    try:
        card_mount.require(config.card.path)
        DirectoryCard(str(config.card.path))
    except CardError as error:
        if not is_dead(error):
            raise  # else the service goes on without it, or says so
    return hold_card(config.card.path)


def _ask_to_end(config: Config) -> None:
    """A temporary unit ends when asked; one that runs for good refuses (Refused). Where nobody listens, somebody is
    about to start or to end, or mends the card."""
    with suppress(NobodyRuns):
        for _answer in Client(config.unit.socket_path, config.unit.id).ask("end", silence_s=GIVE_WAY_S):
            pass


def _hold_soon(config: Config, held: ExitStack) -> None:
    deadline = time.monotonic() + GIVE_WAY_S
    while True:
        try:
            held.enter_context(hold(config.unit.runtime_dir))
        except UnitRuns:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def temporary(config: Config) -> Iterator[None]:
    """A unit for the time of one command: hosts nothing, takes no shots by itself. Yields once its socket answers.

    Other commands that have come meanwhile are answered before it ends.
    """
    require_own(config.unit.runtime_dir, config.card.path)
    with hold(config.unit.runtime_dir), _sole_card(config):
        thread = _Temporary(config)
        thread.start()
        try:
            thread.ready.wait()
            if thread.error is not None:
                raise thread.error
            yield
            thread.end_when_idle()
        finally:
            thread.end()
        if thread.error is not None:
            raise thread.error


class _Temporary(threading.Thread):
    """The loop of a temporary unit, beside the command that needs it."""

    def __init__(self, config: Config) -> None:
        super().__init__(name="temporary unit", daemon=True)
        self._config = config
        self._service: Service | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ready = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """The thread."""
        try:
            asyncio.run(self._main())
        except Exception as error:  # noqa: BLE001 - the command raises it again, and tells it without a traceback
            self.error = error
        finally:
            self.ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._service = Service(self._config, temporary=True)
        await self._service.main(ready=self.ready.set)

    def end_when_idle(self) -> None:
        """Wait until other commands have been answered."""
        if self._loop is not None and self._service is not None and self.is_alive():
            with suppress(RuntimeError):  # it has ended by itself
                asyncio.run_coroutine_threadsafe(self._service.end_when_idle(), self._loop)
                self.join()

    def end(self) -> None:
        """Stop the unit and wait until it has."""
        if self._loop is not None and self._service is not None and self.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._service.stop.set)
        self.join(END_TIMEOUT_S + 2.0)
