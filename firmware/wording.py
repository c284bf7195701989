"""Numbers in sentences that people read: one of something is said in the singular."""

from __future__ import annotations

from collections.abc import Sequence


def so_many(count: object, one: str, many: str = "") -> str:
    """So many of something: "1 picture", "2 pictures". many: where it is not `one` with an s. None: "- pictures"."""
    number = "-" if count is None else count
    return f"{number} {one if count == 1 else many or f'{one}s'}"


def units(numbers: Sequence[int]) -> str:
    """Which: "unit 2", or "units 2, 3"."""
    return f"unit {numbers[0]}" if len(numbers) == 1 else f"units {', '.join(map(str, numbers))}"
