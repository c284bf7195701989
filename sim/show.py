"""Where a fleet is shown: live in a terminal, or one plain line per event."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live

from sim.view import plain_line, render
from sim.watch import FleetEvent, FleetState

MAX_FOOTERS = 2  # how often plain lines tell the commands for another terminal: without and with a picture


class Show(Protocol):
    """begin() once, then show() several times a second."""

    def __enter__(self) -> Show:
        """Take the terminal."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""

    def begin(self, state: FleetState) -> None:
        """The fleet is ready."""

    def show(self, state: FleetState, events: list[FleetEvent]) -> None:
        """What is now, and what has happened since the last call."""


class LiveShow:
    """The whole view, drawn again and again on the terminal's other screen."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> LiveShow:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def begin(self, state: FleetState) -> None:
        self.show(state, [])

    def show(self, state: FleetState, events: list[FleetEvent]) -> None:  # noqa: ARG002  they are in the state, too
        self._live.update(render(state, lines=self._console.height, columns=self._console.width), refresh=True)


class PlainShow:
    """One line per event; the commands for another terminal first, and again once there is a picture to ask for."""

    def __init__(self) -> None:
        self._footer: tuple[str, ...] = ()
        self._footers = 0

    def __enter__(self) -> PlainShow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def begin(self, state: FleetState) -> None:
        print(f"Dandelion: {state.title}", flush=True)
        self._tell_footer(state)

    def show(self, state: FleetState, events: list[FleetEvent]) -> None:
        names = {unit.number: unit.name for unit in state.units}
        for event in events:
            print(plain_line(event, names), flush=True)
        if state.footer != self._footer and self._footers < MAX_FOOTERS:
            self._tell_footer(state)

    def _tell_footer(self, state: FleetState) -> None:
        print(*state.footer, sep="\n", flush=True)
        self._footer = state.footer
        self._footers += 1
