"""What a check comes to, and what belongs to one: a row of the table that the docs have too."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from firmware.doctor.facts import Facts


class State(enum.Enum):
    """Of what was looked at. UNKNOWN: it could not be looked at, which is not the same as being well."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """what: what was found. fix: what a person can do, empty where all is well. Clauses without a full stop."""

    state: State
    what: str
    fix: str = ""


class Check(NamedTuple):
    """A row of the table. finds and fix: in general, for the docs. look: None where there is nothing to look at, or
    where another finding has the cause."""

    name: str
    finds: str
    fix: str
    look: Callable[[Facts], Verdict | None]


class Finding(NamedTuple):
    """What a check has come to on this machine."""

    name: str
    verdict: Verdict


def ok(what: str) -> Verdict:
    """All is well with this."""
    return Verdict(State.OK, what)


def warning(what: str, fix: str) -> Verdict:
    """It works, and will cost something sooner or later."""
    return Verdict(State.WARNING, what, fix)


def fault(what: str, fix: str) -> Verdict:
    """It does not work, or pictures are in danger."""
    return Verdict(State.FAULT, what, fix)


def unknown(what: str, fix: str = "") -> Verdict:
    """It cannot be told here; what: why."""
    return Verdict(State.UNKNOWN, what, fix)
