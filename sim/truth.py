"""What a world knows of each picture that was ever announced, and why one need not be there any more."""

from __future__ import annotations

import enum
from dataclasses import field

from hal.light_dataclass import dataclass


class Violation(AssertionError):
    """A rule is broken. The text begins with the rule's name."""


class Loss(enum.Enum):
    """Why nobody has a picture any more, as the report says it."""

    NEVER_COPIED = "hurt at their origin before their first copy"
    ONLY_HOLDER = "own file dropped, and the only holder's card died (R14)"
    AFTER_ORIGIN = "its origin's card died, and then the only holder's (R14)"
    LAST_COPY = "its origin's card died while the copies that it had had were lost"
    ROT = "rotted"
    WITHOUT_CARD = "taken without a card, and the copies that it had lost before there were others"
    LIAR = "the only copy was a liar's"
    LYING_CARD = "lost by a card that lied about a sync"
    FORGOTTEN = "deleted, and nobody knows that any more"


@dataclass(slots=True)
class Truth:
    """One picture that was taken. holders: units with row and whole file, but the origin.

    here: the origin had the file when it was looked at last. copied: another unit has had it. dropped: its origin has
    dropped the own file since it had it last. lost: hurt so that nobody need have it any more; why: then not None.
    announced: people were told of it, or a catalogue on a card knows it; until then it is nobody's loss. without_card:
    it was taken while its origin had none, so that no card of that unit has ever had it.
    """

    sha256: bytes
    size_bytes: int
    holders: set[int] = field(default_factory=set)
    here: bool = False
    copied: bool = False
    dropped: bool = False
    deleted: bool = False
    lost: bool = False
    why: Loss | None = None
    announced: bool = True
    without_card: bool = False

    def lose(self, why: Loss) -> None:
        """Nobody need have it any more."""
        if not self.lost:
            self.lost, self.why = True, why
