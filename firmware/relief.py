"""RELIEVE, at the host: its own shots find no room because of what it holds for others (HANDOVER §2)."""

from __future__ import annotations

from firmware import messages as m
from firmware.core import Core
from firmware.drops import Drops
from firmware.events import OldestHeld
from firmware.hosting import Hostings
from firmware.pictures import PictureId
from firmware.steps import Step
from hal.errors import DandelionError

FIRST_S = 60.0
"""It must have been so for so long: what is on its way to others may end it by itself. Guess."""
AGAIN_FIRST_S, AGAIN_LONGEST_S = 600.0, 24 * 3600.0
"""Then the next few are named after this long, and ever more seldom: owners may have nowhere to go with them."""
CALM_S = 3600.0
"""After so long with room enough it begins anew with the first of these. Guess: an hour of shots found room."""
AT_ONCE = 4
"""Copies named at once: a few, for each may cost its owner a transfer. Guess."""


class Relief:
    """Names the oldest held ones, as many as are needed, to owners that are heard; they decide."""

    def __init__(self, core: Core, drops: Drops, hostings: Hostings) -> None:
        self.core = core
        self._drops = drops
        self._hostings = hostings
        self._at: float | None = None  # when the next few are named; None: there is room enough
        self._every_s = AGAIN_FIRST_S
        self._after: PictureId | None = None  # the last one that was named twice
        self._again = False  # the few behind that have been named once
        self._lacked_at = core.now  # when there was too little room, last

    def tick(self) -> None:
        """Begin, go on, or end."""
        core = self.core
        lacking_bytes = self._drops.lacking_bytes if core.room.held_bytes else 0
        self._hostings.relieving = lacking_bytes > 0
        if not lacking_bytes:
            if core.now >= self._lacked_at + CALM_S:
                self._at, self._every_s, self._after, self._again = None, AGAIN_FIRST_S, None, False
            return
        self._lacked_at = core.now
        if self._at is None:
            self._at = core.now + FIRST_S
        elif core.now >= self._at:
            self._at = core.now + self._every_s
            self._every_s = min(2 * self._every_s, AGAIN_LONGEST_S)
            core.run(self._name(lacking_bytes), on_error=self._failed)

    def deadline(self) -> float | None:
        """When the next few are named."""
        return self._at if self._hostings.relieving else None

    def _failed(self, error: DandelionError) -> None:
        self.core.log("card", f"pictures that others could take elsewhere could not be looked up: {error}")

    def _name(self, lacking_bytes: int) -> Step:
        """Each few twice, for an owner may need to hear it again; then those held next longest."""
        core, last = self.core, None
        found = yield OldestHeld(AT_ONCE, self._after)
        for entry in found:
            owner, picture = core.owner_of(entry.picture.id.unit), entry.picture
            if lacking_bytes <= 0 or not core.neighbours.is_heard(owner, core.now):
                continue
            assert entry.attempt is not None
            lacking_bytes -= picture.size_bytes
            last = picture.id
            core.say(owner, m.Relieve(picture.id, entry.attempt))
            core.log("relieve", f"unit {owner} is asked to take picture {picture.id} elsewhere", picture.id, owner)
        if self._again or last is None:
            self._after = last or (found[-1].picture.id if len(found) == AT_ONCE else None)
        self._again = last is not None and not self._again
