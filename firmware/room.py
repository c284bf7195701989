"""What the card holds and may still take: sums only, kept in step with what is committed (DESIGN §5)."""

from __future__ import annotations

from collections import deque
from dataclasses import field

from firmware.pictures import PictureId
from hal.light_dataclass import dataclass

RECENT_PICTURES = 8
"""Shots whose largest is taken for "pictures like the recent ones"; guess: covers a day and a night exposure."""


@dataclass(slots=True)
class Room:
    """Bytes on one card. cache ⊂ own: own files that enough verified holders have, so that they may be dropped.

    reserved: bytes promised and not yet counted elsewhere, by key; stranded: bytes of files that have no row and are
    still on the card, until they are gone or the next start looks at them; hosting_share: fraction that others may use.
    ceiling_bytes: what pictures may take while the file system has room for no more of them, else None.
    """

    capacity_bytes: int
    hosting_share: float
    own_bytes: int = 0
    cache_bytes: int = 0
    held_bytes: int = 0
    partial_bytes: int = 0
    largest_bytes: int = 0
    ceiling_bytes: int | None = None
    reserved_own: dict[object, int] = field(default_factory=dict)
    reserved_held: dict[object, int] = field(default_factory=dict)
    stranded: dict[PictureId, int] = field(default_factory=dict)
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_PICTURES))
    _recent_bytes: int = 0  # the largest of them

    @property
    def reserved_bytes(self) -> int:
        """Everything promised."""
        if not (self.reserved_own or self.reserved_held or self.stranded):
            return 0
        return sum(map(sum, (self.reserved_own.values(), self.reserved_held.values(), self.stranded.values())))

    @property
    def used_bytes(self) -> int:
        """What capacity bounds: own, held, kept .part files and everything promised."""
        return self.own_bytes + self.held_bytes + self.partial_bytes + self.reserved_bytes

    @property
    def limit_bytes(self) -> int:
        """What pictures may take now."""
        return self.capacity_bytes if self.ceiling_bytes is None else min(self.capacity_bytes, self.ceiling_bytes)

    @property
    def free_bytes(self) -> int:
        """What can be taken at once, never below 0."""
        return max(0, self.limit_bytes - self.used_bytes)

    @property
    def fixed_bytes(self) -> int:
        """What may not be dropped."""
        return self.own_bytes - self.cache_bytes + self.held_bytes + self.reserved_bytes

    @property
    def recent_bytes(self) -> int:
        """Size of a picture like the recent ones; 0 where none was taken."""
        return self._recent_bytes or self.largest_bytes

    def saw_picture(self, size_bytes: int) -> None:
        """A picture of this size was taken."""
        self._recent.append(size_bytes)
        self._recent_bytes = max(self._recent)

    @property
    def hosting_bytes(self) -> int:
        """What others may use here, all together."""
        return int(self.hosting_share * self.capacity_bytes)

    @property
    def hosting_left_bytes(self) -> int:
        """What others may still put here."""
        return max(0, self.hosting_bytes - self.held_bytes - sum(self.reserved_held.values()))

    @property
    def offered_bytes(self) -> int:
        """Room told to others: within their share, and free or freeable by dropping cache (and kept parts)."""
        freeable = self.limit_bytes - self.fixed_bytes - 2 * self.recent_bytes
        return max(0, min(self.hosting_left_bytes, freeable))
