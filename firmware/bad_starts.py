"""Starts that did not live long, in a row, and what follows: safe mode. Pure; the count is in the catalogue.

A start is bad until it has been up for GOOD_AFTER_S or was told to end. After BAD_STARTS of them whatever fails may be
something that the unit does, and it does less: in safe mode it takes pictures and hosts others', answers the questions
about these, and sends no picture. An hour later it starts anew as usual; if that start is bad too, it is in safe mode
again at once.
"""

from __future__ import annotations

from hal.light_dataclass import dataclass

COUNTER = "bad_starts"
"""Durable, in the catalogue: bad starts in a row, this one counted. One commit more at a start, and one when it is
good: beside those that each start makes anyway the card does not feel it."""
BAD_STARTS = 5
GOOD_AFTER_S = 300.0
"""By then the unit has met its neighbours and looked at its card; a board that power fails sooner has none to send
with. Guess."""
SAFE_FOR_S = 3600.0
"""Long enough to keep a board that hurts itself quiet most of the time, short enough that copies are not missed for
long. Guess."""
NOTICE = (
    f"safe mode, after {BAD_STARTS} starts in a row that came to a bad end within {GOOD_AFTER_S / 60:.0f} minutes: "
    "pictures are taken and others' are hosted, none is sent"
)
CAN = "look at the journal for what ended them; safe mode ends within an hour, or with a restart"


@dataclass(frozen=True, slots=True)
class Starts:
    """What a start does about those before. before: bad ones in a row until now."""

    before: int

    @property
    def is_safe(self) -> bool:
        """Whether this start is in safe mode."""
        return self.before >= BAD_STARTS

    @property
    def counted(self) -> int:
        """To be durable before the unit does anything: this one is bad until it was seen to be good."""
        return min(self.before, BAD_STARTS) + 1

    @property
    def good_after_s(self) -> float:
        """When good() is to be noted; in safe mode the unit starts anew then."""
        return SAFE_FOR_S if self.is_safe else GOOD_AFTER_S

    @property
    def good(self) -> int:
        """The count once this start was good: after safe mode one more bad start leads there again."""
        return BAD_STARTS - 1 if self.is_safe else 0
