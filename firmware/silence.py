"""Holders of which nothing was heard for 48 hours: their copies are suspect from then on (DESIGN §1, HANDOVER R2)."""

from __future__ import annotations

from collections.abc import Iterable

from firmware import handover
from firmware.core import Core
from firmware.events import ListedAt
from firmware.handover import Owner
from firmware.operating_time import OperatingTime
from firmware.pictures import PictureId
from firmware.steps import Step
from firmware.wording import so_many
from hal.errors import DandelionError

SUSPECT_AFTER_S = 48 * 3600
"""Operating time without a word of a holder, after which its copies are suspect (DESIGN §1)."""
GRACE_S = 600.0
"""After a start others get so long to be heard before anybody is judged: ten of their beacon intervals."""
LONGEST_LOOK_S = 6 * 3600.0
"""Units are looked through at least this often; a unit is a dictionary entry, so that costs nothing."""
PAGE = 16
"""Copies marked in one turn, each by a commit of its own."""
AGAIN_S = 3600.0
"""Where the own card failed, it is tried again after this long. Guess."""


class Silence:
    """Judges each unit once; when it is heard again its copies are proved (firmware/doubts.py), and count again."""

    def __init__(self, core: Core, time: OperatingTime) -> None:
        self.core = core
        self._time = time
        self._at = core.now + GRACE_S
        self._judged: set[int] = set()
        self._gone: dict[int, int] = {}  # units that were no members from that operating time on
        self._marked = 0  # of the unit that is being judged
        self._unit: int | None = None

    def tick(self) -> None:
        """Look for a unit that has been silent for too long; one at a time."""
        if self._unit is not None or self.core.now < self._at:
            return
        left_s = LONGEST_LOOK_S
        for unit in self._time.units:
            unit_left_s = self._left_s(unit)
            if unit_left_s > 0:
                self._judged.discard(unit)
                left_s = min(left_s, unit_left_s)
            elif unit not in self._judged:
                self._unit, self._marked = unit, 0
                self.core.run(self._mark(unit), on_error=self._failed)
                return
        self._at = self.core.now + left_s

    def left(self, units: Iterable[int]) -> None:
        """These are no members of the network any more: they prove nothing, and are not waited for."""
        self._gone.update(dict.fromkeys(units, self.core.age_s))
        self._judged.difference_update(units)
        self._at = self.core.now

    def _left_s(self, unit: int) -> int:
        if self._time.heard_at_s(unit) <= self._gone.get(unit, -1):
            return 0
        return self._time.heard_at_s(unit) + SUSPECT_AFTER_S - self.core.age_s

    def deadline(self) -> float | None:
        """When units are looked through next."""
        return None if self._unit is not None else self._at

    def _mark(self, unit: int) -> Step:
        """A page of its copies; those marked are not found again."""
        found = yield ListedAt(unit, PAGE)
        left = {entry.picture.id for entry in found}
        if not left or self._left_s(unit) > 0:
            self._end(unit)
            return
        for picture in sorted(left):
            self.core.run(self._suspect(unit, picture, left), picture, self._failed)

    def _suspect(self, unit: int, picture: PictureId, left: set[PictureId]) -> Step:
        core = self.core
        entry = yield from core.look_up(picture)
        if entry is not None and self._left_s(unit) <= 0:
            event = handover.Audited(unit, entry.copy_at(unit).listed, False, core.stamp())
            effects = handover.owner(Owner(entry, core.next_attempt), event)
            yield from core.carry_out(entry.picture, entry, effects)
            self._marked += bool(effects)
        left.discard(picture)
        if not left and self._unit == unit:
            core.run(self._mark(unit), on_error=self._failed)

    def _end(self, unit: int) -> None:
        self._judged.add(unit)
        self._unit = None
        if self._marked:
            suspect = so_many(self._marked, "copy there is", "copies there are")
            text = f"unit {unit} was not heard for {SUSPECT_AFTER_S // 3600} h: {suspect} suspect"
            self.core.log("suspect", text, unit=unit)

    def _failed(self, error: DandelionError) -> None:
        self._unit = None
        self._at = self.core.now + AGAIN_S
        self.core.log("card", f"copies at a silent unit could not be marked: {error}")
