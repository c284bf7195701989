"""What an LED shows of a unit: which blinks mean what, and whether it is lit now. Pure: states and times in.

docs/operations.md has the table for people; it is made from here (tests/light_table.py).
"""

from __future__ import annotations

import enum

from hal.light_dataclass import dataclass

CYCLE_S = 5.0
"""From the first blink of a state to its first blink again."""
SHORT_S, LONG_S = 0.15, 0.6
"""A blink: to be told apart at a glance by somebody who has seen neither before. Guess, as all below."""
GAP_S = 0.35
"""Between two blinks of a state."""
QUICK_S = 0.15
"""Lit and dark by turns where something is wrong: three times a second, which nobody counts."""
FLICKER_S, FLICKERS = 0.05, 10
"""A shot that was refused: one second."""
TAKEN_S = 1.0
"""Lit once a picture is durable."""
REST_S = 0.3
"""Dark before and after what is said once, so that it is not taken for a blink of the state."""
TURNED_BLINKS = 4
"""When priority is turned on (long ones) or off (short ones); no state has as many."""

Pattern = tuple[float, ...]
"""Seconds lit, dark, lit, dark …"""


class State(enum.Enum):
    """What a unit is at; of several that hold the last. The value: blinks in each cycle; 0: it blinks without end."""

    WELL = 1
    SENDING = 2  # pictures are on their way to other units
    FULL = 3  # no picture like the recent ones fits; shots may wait for room
    FAULT = 0


class Said(enum.Enum):
    """What is told once."""

    TAKEN = enum.auto()
    REFUSED = enum.auto()
    PRIORITY_ON = enum.auto()
    PRIORITY_OFF = enum.auto()


def state_pattern(state: State, *, priority: bool) -> Pattern:
    """One cycle. priority: all pictures are priority pictures now; its blinks are long then."""
    if state is State.FAULT:
        return (QUICK_S, QUICK_S)
    lit_s = LONG_S if priority else SHORT_S
    blinks = [lit_s, GAP_S] * state.value
    return (*blinks[:-1], GAP_S + CYCLE_S - sum(blinks))


def said_pattern(said: Said) -> Pattern:
    """All of it."""
    match said:
        case Said.TAKEN:
            blinks: Pattern = (TAKEN_S,)
        case Said.REFUSED:
            blinks = (FLICKER_S,) * (2 * FLICKERS - 1)
        case Said.PRIORITY_ON | Said.PRIORITY_OFF:
            lit_s = LONG_S if said is Said.PRIORITY_ON else SHORT_S
            blinks = (lit_s, GAP_S) * (TURNED_BLINKS - 1) + (lit_s,)
    return (0.0, REST_S, *blinks, REST_S)


@dataclass(frozen=True, slots=True)
class Light:
    """Whether the LED is lit, and until when that stays so if nothing happens."""

    lit: bool
    until: float


class Lights:
    """What one LED shows from one moment to the next.

    A cycle that has begun is shown to its end, so that blinks can be counted whatever happens meanwhile; answer() and
    say() cut it short.
    """

    def __init__(self) -> None:
        self._state, self._priority = State.WELL, False
        self._pattern: Pattern = ()  # of the cycle, or of what is being said
        self._since = 0.0

    def be(self, state: State, *, priority: bool) -> None:
        """What the unit is at."""
        self._state, self._priority = state, priority

    def say(self, said: Said, now: float) -> None:
        """Say this once, in place of what is just being said."""
        self._pattern, self._since = said_pattern(said), now

    def answer(self) -> None:
        """Somebody has pressed the button: what the unit is at is shown at once, from its beginning."""
        self._pattern = ()

    def at(self, now: float) -> Light:
        """What is shown now; times never go back."""
        light = _in_pattern(self._pattern, self._since, now)
        if light is None:
            self._pattern, self._since = state_pattern(self._state, priority=self._priority), now
            light = Light(True, now + self._pattern[0])
        return light


def _in_pattern(pattern: Pattern, since: float, now: float) -> Light | None:
    """None: it is over."""
    until = since
    for index, length_s in enumerate(pattern):
        until += length_s
        if now < until:
            return Light(index % 2 == 0, until)
    return None
