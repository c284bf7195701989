"""Looking for own pictures that lack copies, whenever something has changed that a decision looks at."""

from __future__ import annotations

from firmware.core import Core
from firmware.determine import Policy
from firmware.dispersal import UNANSWERED_S, Dispersals
from firmware.events import Lacking
from firmware.pictures import PictureId
from firmware.steps import Step
from hal.errors import DandelionError

PAGE = 8
"""Pictures looked at in one turn."""
MAX_STUCK = 64
"""Pictures passed over in one round because of something about themselves, such as a conflict."""


class Planner:
    """Hands pictures to the determining section: priority ones first, then the oldest."""

    def __init__(self, core: Core, dispersals: Dispersals) -> None:
        self.core = core
        self._dispersals = dispersals
        self._looking = False
        self._stuck: set[PictureId] = set()  # passed over in this round
        self._goes_on = False  # this round, behind those

    def tick(self) -> None:
        """A round of looks when something has changed, or when a host may be asked again. What changes during a round
        begins another one behind it: it may concern those that were passed over."""
        core, dispersals = self.core, self._dispersals
        if self._looking:
            return
        if not self._goes_on:
            wake_at = dispersals.deciding.wake_at
            if not core.changed and (wake_at is None or core.now < wake_at):
                return
            core.changed = False
            self._stuck.clear()
            dispersals.deciding.looked()
        self._goes_on = False
        if core.settings.rules.policy is not Policy.NEVER and not dispersals.full:
            self._looking = True
            core.run(self._look(), on_error=self._failed)

    def deadline(self) -> float | None:
        """When a host may be asked again."""
        return None if self._looking else self._dispersals.deciding.wake_at

    def _failed(self, error: DandelionError) -> None:
        self._looking = False
        self._dispersals.deciding.wake_at = self.core.now + UNANSWERED_S
        self.core.log("card", f"cannot look for pictures that lack copies: {error}")

    def _look(self) -> Step:
        core, dispersals, rules = self.core, self._dispersals, self.core.settings.rules
        core.card_view()
        skip = dispersals.at_work | self._stuck
        found = yield Lacking(rules.copies, rules.wanted(True), PAGE, skip)
        if len(self._stuck) >= MAX_STUCK:  # however many wait for a further copy, first copies are made
            found = yield Lacking(1, 1, PAGE, skip)
        self._looking = False
        for entry in found:
            if dispersals.busy_with(entry.picture.id) or dispersals.full:
                continue
            kept = dispersals.consider(entry)
            if kept is not None and kept.others_too:
                break
            if kept is not None and len(self._stuck) < MAX_STUCK:
                self._stuck.add(entry.picture.id)
                self._goes_on = True
