"""Saying that this unit is here, and learning who else is: beacons, names, and time from those who know it."""

from __future__ import annotations

from firmware import messages as m
from firmware.core import Core
from firmware.events import SaveName
from firmware.hosting import Hostings
from firmware.neighbours import Neighbour
from firmware.pictures import EVERYONE
from hal.interfaces import TimeQuality

FIRST_EVERY_S = 1.0
"""Beacons come so far apart after the start, doubling to Settings.beacon_s."""
ANSWER_WITHIN_S = 0.4
"""A beacon that wants an answer gets one after a random wait up to this, so that many do not answer at once."""
TIME_WITHIN_S = 5.0
"""A time that comes later than so long after the question is not taken: it may have been held back."""
ASK_SPACING_S = 1.0
"""A unit whose session we do not know is asked for a beacon at most this often (HANDOVER §5)."""


class Beacons:
    """One beacon now and then, at once where something is to be said."""

    def __init__(self, core: Core, hostings: Hostings) -> None:
        self.core = core
        self._hostings = hostings
        self._at = core.now
        self._every_s = FIRST_EVERY_S
        self._asked_at = -ASK_SPACING_S
        self._ask = True
        self._asked: dict[int, float] = {}  # units asked for name and time, and when
        self.queue = 0  # pictures on their way out, told to others

    def tick(self) -> None:
        """Say a beacon that is due, or that there is room again for what was refused."""
        core = self.core
        if 0 < self._hostings.refused_bytes <= core.room.offered_bytes:
            self._hostings.refused_bytes = 0
            self._at = core.now
        if core.now < self._at:
            return
        self._every_s = min(2 * self._every_s, core.settings.beacon_s)
        self._at = core.now + self._every_s * (0.9 + 0.2 * core.rng.random())
        core.say(EVERYONE, self._beacon())
        self._ask = all(neighbour.card is None for neighbour in core.neighbours)  # no beacon has come

    def _beacon(self) -> m.Beacon:
        core = self.core
        loss = max((n.estimate.loss for n in core.neighbours), default=0.0)
        hosting = not core.settings.temporary and core.settings.hosting_share > 0
        return m.Beacon(
            card=core.card,
            boot=core.boot,
            epoch=core.epoch,
            room_bytes=core.room.offered_bytes if hosting else 0,
            queue=min(self.queue, 255),
            link=round(255 * (1 - loss)),
            interval_s=round(core.settings.beacon_s),
            answer_wanted=self._ask,
            hosting=hosting,
            unix_s=core.wall_s(),
            quality=core.wall_quality,
        )

    def ask(self) -> None:
        """Ask whoever hears it for a beacon: a frame came for another session, or one is needed to speak at all."""
        if self.say_soon():
            self._ask = True

    def say_soon(self) -> bool:
        """Somebody does not know what a beacon says; False: one was said for such a reason a moment ago."""
        if self.core.now - self._asked_at < ASK_SPACING_S:
            return False
        self._at = self._asked_at = self.core.now
        return True

    def on_beacon(self, neighbour: Neighbour, beacon: m.Beacon) -> None:
        """A unit is here; what it offers may end waiting."""
        core = self.core
        if core.neighbours.beacon(neighbour, beacon, core.now):
            core.changed = True
        self.answer(beacon)
        knows_time = core.wall_quality is TimeQuality.UNSET and beacon.quality is TimeQuality.SYNCED
        if neighbour.name is None or knows_time:
            self._asked[neighbour.unit] = core.now
            core.say(neighbour.unit, m.NameAsk())

    def answer(self, beacon: m.Beacon) -> None:
        """Where one is wanted."""
        if beacon.answer_wanted:
            self._at = min(self._at, self.core.now + ANSWER_WITHIN_S * self.core.rng.random())

    def on_name_ask(self, source: int) -> None:
        """Somebody wants to know what this unit is called, and what time it is."""
        core = self.core
        core.say(source, m.Name(core.settings.name, core.wall_s(), core.wall_quality))

    def on_name(self, neighbour: Neighbour, name: m.Name) -> None:
        """What a unit is called, and what time it has."""
        core = self.core
        asked_at = self._asked.pop(neighbour.unit, None)
        soon = asked_at is not None and core.now <= asked_at + TIME_WITHIN_S
        if soon and core.wall_quality is TimeQuality.UNSET and name.quality is TimeQuality.SYNCED and name.unix_s:
            core.wall_offset_s = name.unix_s - core.now
            core.wall_quality = TimeQuality.PEER
        if neighbour.name == name.name:
            return
        neighbour.name = name.name
        self.core.log("heard", f"unit {neighbour.unit} is called {name.name}", unit=neighbour.unit)
        self.core.run(self.core.fetch(SaveName(neighbour.unit, name.name)))

    def deadline(self) -> float:
        """When the next beacon is due."""
        return self._at
