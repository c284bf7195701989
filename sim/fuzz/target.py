"""What a target of the fuzzer is, and feed(): one input to it, and what must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from hal.light_dataclass import dataclass

LIMIT_S = 0.001
LIMIT_BYTES = 64_000
"""What one input may take: the goal for all that comes over the radio."""
MAX_WORDS = 500
"""Characters of a refusal: it goes to the journal or to a person, and must not repeat whatever somebody sent."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target(Generic[T]):
    """A decoder of the shipped code that meets what others have made.

    decode: the decoder, from the same state each time; only this is timed and measured. refuses: what it may raise, and
    nothing else. check: AssertionError where what it has made of the input cannot be. valid: inputs that it takes, to
    begin with. limit_s, limit_bytes: of one input, where they are not everybody's the reason stands beside them.
    """

    name: str
    decode: Callable[[bytes], T]
    refuses: tuple[type[Exception], ...]
    check: Callable[[bytes, T], None]
    valid: Callable[[], Sequence[bytes]]
    longest_bytes: int
    limit_s: float = LIMIT_S
    limit_bytes: int = LIMIT_BYTES


def feed(target: Target[T], data: bytes) -> bool:
    """Whether the decoder takes this input. What it raises comes through, but for its refusals; so does check()'s."""
    try:
        made = target.decode(data)
    except target.refuses as error:
        words = str(error)
        assert len(words) <= MAX_WORDS, f"a refusal of {len(words)} characters"
        words.encode()  # can be printed
        return False
    target.check(data, made)
    return True
