"""What the card's file system has room for, where that is less than card.capacity promises (HANDOVER §1, floor); and
whether it takes writes at all."""

from __future__ import annotations

from firmware.core import Core
from firmware.events import FreeSpace
from firmware.steps import Step
from hal.errors import CardFull, DandelionError

LOOK_EVERY_S = 60.0
"""Others write to the card too, the catalogue among them; one statvfs costs nothing."""
LOOK_SELDOM_S = 600.0
"""The same while there is room for all that card.capacity promises and a tenth more; guess."""
LOOK_AGAIN_S = 3.0
"""While something waits for room that the file system did not have; guess."""


class FileSystem:
    """Keeps room.ceiling_bytes. trouble: why the last picture found no room there, else None. failure: what the card
    has failed in, until a picture is written there again; else None."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.trouble: str | None = None
        self.failure: str | None = None
        self._failed_look = False  # failure is what the last look came to
        self._told = False  # that less fits than card.capacity says
        self._looking = False
        self._look_at = core.now

    def full(self, error: CardFull) -> None:
        """A picture found no room: what is there now is all that fits, until the next look."""
        core = self.core
        core.room.ceiling_bytes = core.room.used_bytes
        core.changed = True
        if self.trouble is None:
            core.log("card", f"a picture finds no room: {error}")
        self.trouble = error.what
        self._look_at = core.now + LOOK_AGAIN_S

    def failed(self, error: DandelionError) -> None:
        """A picture of another unit could not be kept. If that was not for want of room, the card has failed: an alarm,
        once until it works again. An origin's shots find out by themselves; a host may take none for years."""
        if isinstance(error, CardFull):
            self.full(error)
            return
        if self.failure is None:
            text = "the unit goes on, and tries again with the next picture: look at the kernel log, replace the card"
            self.core.log("alarm", f"the card has failed: {error.what}; {text}")
        self.failure = f"the card has failed: {error.what}"
        self._failed_look = False

    def works(self) -> None:
        """A picture is on the card."""
        if self.failure is not None:
            self.core.log("card", "the card has taken a picture again")
        self.failure = None

    @property
    def why(self) -> str | None:
        """Why less fits than card.capacity says, for a person; None where all of it fits."""
        ceiling_bytes = self.core.room.ceiling_bytes
        if self.trouble is not None or ceiling_bytes is None:
            return self.trouble
        return f"the file system has room for {ceiling_bytes // 1000} kB of pictures, less than card.capacity"

    def look_now(self) -> None:
        """A shot has come: there may be room again."""
        if self.core.room.ceiling_bytes is not None:
            self._look_at = self.core.now

    @property
    def is_due(self) -> bool:
        """Whether it is being looked at now, or about to be."""
        return self._looking or self.core.now >= self._look_at

    def _look(self) -> Step:
        free_bytes = yield FreeSpace()
        assert isinstance(free_bytes, int)
        self._looking = False
        if self._failed_look:
            self.failure, self._failed_look = None, False
        room = self.core.room
        ceiling_bytes = room.used_bytes + free_bytes
        before_bytes = room.limit_bytes
        room.ceiling_bytes = ceiling_bytes if ceiling_bytes < room.capacity_bytes else None
        self.core.changed = self.core.changed or room.limit_bytes > before_bytes
        if room.ceiling_bytes is None or free_bytes > room.recent_bytes:
            self.trouble = None
        self._tell()
        ample = self.trouble is None and ceiling_bytes >= 1.1 * room.capacity_bytes
        self._look_at = self.core.now + (LOOK_SELDOM_S if ample else LOOK_EVERY_S if not self.trouble else LOOK_AGAIN_S)

    def _tell(self) -> None:
        """Once: that the card is smaller than the config says is seen at the start, not when it is full."""
        if self.why is not None and self.trouble is None and not self._told:
            self._told = True
            text = "the unit keeps to what is there: make card.capacity smaller, or remove what else is on the card"
            self.core.log("card", f"{self.why}; {text}")

    def _look_failed(self, error: DandelionError) -> None:
        """As on a card that was mounted anew to be read only, after errors."""
        self._looking = False
        self._look_at = self.core.now + LOOK_EVERY_S
        if self.failure is None or self._failed_look:
            self.failed(error)
            self._failed_look = True

    def tick(self) -> None:
        """Look when it is time."""
        if self.is_due and not self._looking:
            self._looking = True
            self.core.run(self._look(), on_error=self._look_failed)

    def deadline(self) -> float | None:
        """When tick has something to do."""
        return None if self._looking else self._look_at
