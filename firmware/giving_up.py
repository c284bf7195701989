"""Copies of pictures that nobody decides about any more go when their room is wanted (HANDOVER R10)."""

from __future__ import annotations

from collections.abc import Callable

from firmware import handover
from firmware.core import Core
from firmware.determine import PROOFS_AHEAD
from firmware.events import Held
from firmware.hosting import Hostings
from firmware.pictures import PictureId
from firmware.steps import Step
from hal.errors import DandelionError

PAGE = 8
"""Copies looked at in one turn; one of them goes."""
AGAIN_S = 600.0
"""Where none could go, as they are being read out or the card has failed, it is tried again after this long. Guess."""


class GivingUp:
    """Ahead of need, so that no shot and no unit that asks for room waits for it; the oldest of an origin first."""

    def __init__(self, core: Core, hostings: Hostings, in_use: Callable[[PictureId], bool]) -> None:
        """in_use: whether a picture is being read out now."""
        self._core = core
        self._hostings = hostings
        self._in_use = in_use
        self._looking = False
        self._rests_until = core.now

    def _is_wanted(self) -> bool:
        """Whether room that shots, or units that were refused lately, want could be made."""
        room, refused_bytes = self._core.room, self._hostings.refused_bytes
        for_shots = room.free_bytes < PROOFS_AHEAD * room.recent_bytes
        for_others = min(room.free_bytes, room.hosting_left_bytes) < PROOFS_AHEAD * refused_bytes
        return (for_shots or for_others) and bool(self._origins())

    def _origins(self) -> list[int]:
        core = self._core
        return sorted(origin for origin in core.acting if core.is_released(origin) and core.hosted_bytes[origin] > 0)

    def tick(self) -> None:
        """One after the other goes while room is wanted."""
        if self._core.acting and not self._looking and self._core.now >= self._rests_until and self._is_wanted():
            self._looking = True
            self._core.run(self._look(), on_error=self._failed)

    def _look(self) -> Step:
        for origin in self._origins():
            for entry in (yield Held(origin, None, PAGE)):
                picture: PictureId = entry.picture.id
                if not self._in_use(picture):
                    self._core.run(self._give_up(picture), picture, self._failed)
                    return
        self._rest()

    def _give_up(self, picture: PictureId) -> Step:
        core = self._core
        row = yield from core.look_up(picture)
        if core.is_released(picture.unit) and not self._in_use(picture):
            effects = handover.host(row, handover.Released())
            if row is not None and effects:
                yield from core.carry_out(row.picture, row, effects)
                text = f"picture {picture} of unit {picture.unit}, which is gone for good, has made room"
                core.log("dropped", text, picture, picture.unit)
        self._looking = False

    def _failed(self, error: DandelionError) -> None:
        self._core.log("card", f"a copy that nobody decides about could not be removed: {error}")
        self._rest()

    def _rest(self) -> None:
        self._looking = False
        self._rests_until = self._core.now + AGAIN_S

    def deadline(self) -> float | None:
        """When it is tried again."""
        waits = self._core.acting and not self._looking and self._core.now < self._rests_until and self._is_wanted()
        return self._rests_until if waits else None
