"""The legal moves of a picture's three chains: tables of (from, why, to), and nothing that is not in them.

A chain object is anything with a `state`; `move(chain, obj, why)` is the only thing that changes it. No callbacks, no
conditions, no queue (the library's own would lose events of all objects at one exception): a different answer is a
different `why`, and the handler that made the move acts after it. Source of the rows: DESIGN §4.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Protocol

from transitions import Machine, MachineError


class State(enum.StrEnum):
    """Phases of a dispersal, a hosting or a read-out; every chain starts and ends in IDLE."""

    IDLE = "IDLE"
    CAPTURE = "CAPTURE"
    DECIDE = "DECIDE"
    REQUEST = "REQUEST"
    AWAIT_ACCEPT = "AWAIT_ACCEPT"
    SEND = "SEND"
    RECEIVE = "RECEIVE"
    CHECK_SPACE = "CHECK_SPACE"
    ACCEPT = "ACCEPT"
    STORE = "STORE"
    LOOK_UP = "LOOK_UP"
    COLLECT = "COLLECT"
    DELIVER = "DELIVER"


Row = tuple[State, str, State]
S = State

DISPERSAL: tuple[Row, ...] = (
    (S.IDLE, "shutter", S.CAPTURE),
    (S.IDLE, "reconsider", S.DECIDE),
    (S.CAPTURE, "captured", S.DECIDE),
    (S.CAPTURE, "failed", S.IDLE),
    (S.DECIDE, "keep", S.IDLE),
    (S.DECIDE, "disperse", S.REQUEST),
    (S.REQUEST, "requested", S.AWAIT_ACCEPT),
    (S.REQUEST, "failed", S.DECIDE),
    (S.AWAIT_ACCEPT, "accepted", S.SEND),
    (S.AWAIT_ACCEPT, "refused", S.DECIDE),
    (S.AWAIT_ACCEPT, "timed_out", S.DECIDE),
    (S.SEND, "stored_there", S.IDLE),
    (S.SEND, "expired", S.REQUEST),
    (S.SEND, "refused", S.DECIDE),
    (S.SEND, "timed_out", S.DECIDE),
)
HOSTING: tuple[Row, ...] = (
    (S.IDLE, "requested", S.RECEIVE),
    (S.RECEIVE, "read", S.CHECK_SPACE),
    (S.RECEIVE, "known", S.ACCEPT),
    (S.RECEIVE, "refused", S.IDLE),
    (S.CHECK_SPACE, "room", S.ACCEPT),
    (S.CHECK_SPACE, "no_room", S.IDLE),
    (S.CHECK_SPACE, "failed", S.IDLE),
    (S.ACCEPT, "received", S.STORE),
    (S.ACCEPT, "timed_out", S.IDLE),
    (S.ACCEPT, "withdrawn", S.IDLE),
    (S.ACCEPT, "failed", S.IDLE),
    (S.STORE, "stored", S.IDLE),
    (S.STORE, "failed", S.IDLE),
)
READ_OUT: tuple[Row, ...] = (
    (S.IDLE, "asked", S.LOOK_UP),
    (S.LOOK_UP, "here", S.DELIVER),
    (S.LOOK_UP, "elsewhere", S.COLLECT),
    (S.LOOK_UP, "nobody_left", S.IDLE),
    (S.LOOK_UP, "timed_out", S.IDLE),
    (S.COLLECT, "collected", S.DELIVER),
    (S.COLLECT, "refused", S.LOOK_UP),
    (S.COLLECT, "damaged", S.LOOK_UP),
    (S.COLLECT, "timed_out", S.LOOK_UP),
    (S.DELIVER, "delivered", S.IDLE),
    (S.DELIVER, "timed_out", S.IDLE),
    (S.DELIVER, "failed", S.IDLE),
)
CHAINS = {"DISPERSAL": DISPERSAL, "HOSTING": HOSTING, "READ_OUT": READ_OUT}


class HasState(Protocol):
    """What a chain moves: one dispersal, hosting or read-out."""

    state: State


class IllegalMove(AssertionError):
    """A move that no table has: a bug of ours, which no step takes for trouble of the card; the object's state is as
    before."""


class Chain:
    """One table as a `transitions` machine without models: objects are handed in at each move."""

    def __init__(self, name: str, rows: Iterable[Row]) -> None:
        self.name = name
        self.rows = tuple(rows)
        self._machine = Machine(
            model=None, states=[s.value for s in State], initial=S.IDLE.value, auto_transitions=False
        )
        for source, why, target in self.rows:
            self._machine.add_transition(why, source.value, target.value)

    def move(self, obj: HasState, why: str) -> None:
        """Move obj along the row (obj.state, why, …); raises IllegalMove and changes nothing where there is none."""
        event = self._machine.events.get(why)
        before = obj.state
        try:
            if event is None:
                raise MachineError(f"no row is called {why}")
            event.trigger(obj)
        except MachineError as error:
            raise IllegalMove(f"{self.name}: {why} is not legal in {before}") from error
        obj.state = State(obj.state)


dispersal = Chain("DISPERSAL", DISPERSAL)
hosting = Chain("HOSTING", HOSTING)
read_out = Chain("READ_OUT", READ_OUT)
