"""Going on without a card (DESIGN §5): where it is dead or read-only, a directory in memory takes its place.

What is different then follows from one setting, `Settings.without_card` (why there is none):
* nothing is hosted; policy is always, as what is here goes with the power;
* at most two pictures wait in memory, and each is announced when a host has stored it (firmware/shutter.py);
* neither KEEP nor DROP is said (firmware/core.py): what this life knows ends with it, so each host asks the next one
  (HOLD, R4); the list on a card that comes back may name the very copy that this life would let go;
* nor is anything said of what that card may hold: no INVENTORY, no RECORDS, no LOST that answers a DROP; these settle
  it for good, and are asked for again. PROVE is answered by LOST: suspicion deletes nothing, and has another copy made;
* no number is given to a copy that does not know its own (R4), nor asked for with a new host: the list on the card may
  name that copy under a higher one, and a DROP of what is between would reach it;
* no delete is taken (firmware/deletion.py): it could be kept nowhere, and the picture would come back with its card.
A new catalogue draws a card number of its own, so that ids are never those of the card; the next start tries the
card, and puts on it what waits in memory (firmware/left_in_memory.py).

While a unit runs, its shutter finds out (`Core.card_failed`); the shell then makes a new unit, which takes over the
pictures that wait, and whoever waits for them. All else that was under way ends, as at a restart.
"""

from __future__ import annotations

import errno
from dataclasses import replace

from firmware.core import Settings
from firmware.determine import Policy
from hal.errors import CardError, CardFull, CardReadOnly

CAPACITY_BYTES = 32_000_000
"""Of memory for pictures: two of the largest that a board's camera takes, some 15 MB each. Guess."""
OTHER_TROUBLE = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
"""A card that gives these works, and is not ours or not where the config says: a person must look at it."""


def is_dead(error: CardError) -> bool:
    """Whether the card that failed a start so will not work again by itself, and nothing in the config is wrong."""
    if isinstance(error, CardFull):
        return False
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return isinstance(error, CardReadOnly) or number not in OTHER_TROUBLE


def settings_without_card(settings: Settings, why: str) -> Settings:
    """The same unit, without a card. why: what is wrong with that."""
    rules = replace(settings.rules, policy=Policy.ALWAYS)
    changed = replace(settings, rules=rules, capacity_bytes=CAPACITY_BYTES, hosting_share=0.0)
    return replace(changed, without_card=why, goes_on_without_card=False)


def notice(why: str) -> str:
    """For log and `status`: what has happened, what the unit does, what a person can do."""
    return (
        f"the card cannot be used: {why}; the unit goes on without: it hosts nothing, at most two pictures wait "
        "in memory, and each is announced when a host has stored it; mount it, or replace it and start the unit again"
    )
