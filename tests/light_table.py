"""The table of what the LED says, made from the patterns of firmware/lights.py. Run it to renew the document.

In the document it stands between `<!-- lights -->` and `<!-- /lights -->`.
"""

import re
from pathlib import Path

from firmware import lights
from firmware.lights import CYCLE_S, FLICKER_S, QUICK_S, Said, State, said_pattern, state_pattern

DOCUMENT = Path(__file__).parent.parent / "docs" / "operations.md"
MARKED = re.compile(r"<!-- lights -->\n(.*?)<!-- /lights -->\n", re.DOTALL)

NUMBERS = ("no", "one", "two", "three", "four")
LENGTHS = {lights.SHORT_S: "short", lights.LONG_S: "long"}  # of a blink, in seconds
STATES = {
    State.WELL: "all is well, nothing is being sent",
    State.SENDING: "pictures are on their way to other units",
    State.FULL: "the card is full, or a shot waits for room",
    State.FAULT: "something does not work: `dandelion status` says what",
}
SAYINGS = {
    Said.TAKEN: "a picture was taken and is safe on the card (without a card: at another unit)",
    Said.REFUSED: "a shot came to nothing: refused, or no picture from the camera; `dandelion log` says why",
    Said.PRIORITY_ON: "priority is on",
    Said.PRIORITY_OFF: "priority is off",
}


def blinks(lit):
    """In words, from the seconds of each."""
    (length_s,) = set(lit)
    match length_s:
        case lights.TAKEN_S:
            return "lit for a second"
        case _ if length_s == FLICKER_S:
            return "flickering for a second"
        case _:
            return f"{NUMBERS[len(lit)]} {LENGTHS[length_s]} blink{'s' if len(lit) > 1 else ''}"


def rows():
    """(what is seen, what it means)."""
    for state, means in STATES.items():
        pattern = state_pattern(state, priority=False)
        if pattern == (QUICK_S, QUICK_S):
            yield "blinking quickly without end", means
        else:
            assert round(sum(pattern), 6) == CYCLE_S
            yield f"{blinks(pattern[::2])}, again each {CYCLE_S:.0f} s", means
    assert {state_pattern(state, priority=True)[0] for state in State} == {lights.LONG_S, QUICK_S}
    yield "the same with long blinks", "the same, and every picture is a priority picture"
    for said, means in SAYINGS.items():
        yield f"once: {blinks(said_pattern(said)[2::2])}", means
    yield "dark for longer than that", "no unit runs, or it has no power"


def table():
    """The whole of it, in Markdown."""
    return "".join(f"| {seen} | {means} |\n" for seen, means in [("LED", "means"), ("---", "---"), *rows()])


def renewed(text):
    """The document with the table made anew."""
    return MARKED.sub(lambda _: f"<!-- lights -->\n{table()}<!-- /lights -->\n", text)


if __name__ == "__main__":
    DOCUMENT.write_text(renewed(DOCUMENT.read_text()))
