"""What stands in sentences that people read: numbers of something, and values that somebody gave."""

from __future__ import annotations

from collections.abc import Sequence

MAX_SHOWN = 80
"""Characters of somebody's value: enough to know it by. A sentence does not repeat whatever was sent."""


def so_many(count: object, one: str, many: str = "") -> str:
    """So many of something: "1 picture", "2 pictures". many: where it is not `one` with an s. None: "- pictures"."""
    number = "-" if count is None else count
    return f"{number} {one if count == 1 else many or f'{one}s'}"


def units(numbers: Sequence[int]) -> str:
    """Which: "unit 2", or "units 2, 3"."""
    return f"unit {numbers[0]}" if len(numbers) == 1 else f"units {', '.join(map(str, numbers))}"


def shown(value: object) -> str:
    """A value that somebody gave, as Python writes it, its beginning where it is long."""
    return cut(repr(value))


def cut(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
