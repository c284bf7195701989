"""The newest roster: asked for from whoever beacons a higher epoch, kept, and handed on (HANDOVER §5).

Rosters are signed and need no secrecy: questions for them and their parts are not sealed, as a unit without the newest
one could not open them. So anybody may say them; what is taken is only what the admin has signed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import Protocol

from firmware import commands as c
from firmware import messages as m
from firmware.core import Core
from firmware.errors import BadRoster, Refused
from firmware.events import SaveRoster
from firmware.roster import MAX_ROSTER_BYTES, Roster, public_of
from firmware.sessions import Keys, SessionSeal
from firmware.steps import Step
from hal.errors import DandelionError
from hal.light_dataclass import dataclass

AGAIN_S = 1.0
"""A part that does not come is asked for again after so long, twice as long each time."""
MAX_TRIES = 4
"""Then another unit is asked, or the same one later."""
REST_S = 4.0
"""A unit that gave a roster that is not taken is left alone for so long, twice as long each time."""
LONGEST_REST_S = 24 * 3600.0
"""Another network in range has its rosters asked for so often at least. Guess."""
MAX_STRANGERS = 16
"""Units that say that they have a higher epoch, and that our roster does not name; the one heard longest ago is
forgotten. Those that it names are never."""
PUSH_S = 15.0
"""A temporary unit that was handed a roster waits for so long for another one to take it, from its start or the last
question for it."""
ANSWERS_AT_ONCE = 32
"""Parts said without a pause: the longest roster that fits a fast radio's packets."""
ANSWERS_PER_S = 4.0
"""And then so many a second: whoever asks without end keeps a third of a line of 115200 baud busy at most."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What makes a unit one of its network. private: its X25519 key. admin_public: what signs rosters. made: the roster
    of its credential, which names it. roster: the newest one that is known."""

    unit: int
    private: bytes = field(repr=False)
    admin_public: bytes
    made: Roster
    roster: Roster

    def knowing(self, encoded: bytes) -> Membership:
        """With this roster too, where it is signed by the admin of this network, and newer."""
        try:
            roster = Roster.decode(encoded, self.admin_public)
        except BadRoster:  # none is kept, or the unit has got a credential of another network since
            return self
        return replace(self, roster=roster) if roster.epoch > self.roster.epoch else self

    @property
    def acts_for(self) -> frozenset[int]:
        """Units gone for good whose pictures are this one's now, as the newest roster says (R10)."""
        named = self.is_named_in(self.roster)
        return frozenset(one.gone for one in self.roster.acting if named and one.by == self.unit)

    def is_named_in(self, roster: Roster) -> bool:
        """Whether the unit is in it, under the key that it has: its number may have been enrolled anew."""
        return public_in(roster, self.unit) == public_of(self.private)

    def seal(self, card: int, boot: int, random_bytes: Callable[[int], bytes]) -> SessionSeal:
        """Of a start of the unit. Where the newest roster does not name it, nothing is sealed with it any more."""
        roster = self.roster if self.is_named_in(self.roster) else self.made
        return SessionSeal(self.unit, card, boot, self.keys(roster), random_bytes)

    def keys(self, roster: Roster) -> Keys:
        """Under this roster. Raises BadRoster where it does not name the unit."""
        public = {row.unit: row.public for row in roster.rows}
        return Keys(roster.epoch, roster.secret_for(self.unit, self.private), self.private, public)


def public_in(roster: Roster, unit: int) -> bytes | None:
    """The key that it has there; None: it is no member."""
    row = roster.find(unit)
    return None if row is None else row.public


class Rosters(Protocol):
    """What a unit does for the newest roster."""

    @property
    def roster(self) -> Roster | None:
        """The newest one; None without a credential."""

    def newer(self, unit: int, epoch: int) -> None:
        """This unit says that it has a higher epoch; nothing of it is proved."""

    def heard(self, unit: int) -> None:
        """This unit has said something under our epoch's secret."""

    def push(self, push: c.PushRoster) -> None:
        """A person hands one over."""

    def on_ask(self, source: int, ask: m.RosterAsk) -> None:
        """Somebody wants ours."""

    def on_part(self, source: int, part: m.RosterPart) -> None:
        """Some of a roster."""

    def tick(self) -> None:
        """Time has passed."""

    def deadline(self) -> float | None:
        """When tick() is wanted."""


class WithoutRosters:
    """Of a unit without a credential."""

    roster: Roster | None = None

    def __init__(self, core: Core) -> None:
        self._core = core

    def newer(self, unit: int, epoch: int) -> None:
        pass

    def heard(self, unit: int) -> None:
        pass

    def push(self, push: c.PushRoster) -> None:
        self._core.failed(push.ticket, Refused("this unit has no credential", can="see docs/security.md"))

    def on_ask(self, source: int, ask: m.RosterAsk) -> None:
        pass

    def on_part(self, source: int, part: m.RosterPart) -> None:
        pass

    def tick(self) -> None:
        pass

    def deadline(self) -> float | None:
        return None


@dataclass(slots=True)
class _Source:
    """A unit that says it has a higher epoch. not_before: when it may be asked; rest_s: how long it is left alone
    when what it gives is not taken (again)."""

    epoch: int
    not_before: float
    rest_s: float = REST_S


@dataclass(slots=True)
class _Pull:
    """A roster on its way here."""

    source: int
    epoch: int
    again_at: float
    tries: int = 0
    data: bytearray = field(default_factory=bytearray)


class SpreadingRosters:
    """Of a unit with a credential. changed: told of the units that are members no more."""

    def __init__(
        self,
        core: Core,
        seal: SessionSeal,
        membership: Membership,
        part_room_bytes: int,
        say_soon: Callable[[], object],
    ) -> None:
        """say_soon: has a beacon said."""
        self._core = core
        self._seal = seal
        self._membership = membership
        self._part_room_bytes = part_room_bytes
        self._say_soon = say_soon
        self.roster: Roster = membership.roster
        self._expelled = False
        self._look_for_ourselves()
        if self._look_who_acts():
            core.log("alarm", "the card had no room to note whose pictures this unit decides about: start it again")
        self.changed: Callable[[list[int]], None] = lambda _: None
        self._sources: dict[int, _Source] = {}
        self._pull: _Pull | None = None
        self._taking = False
        self._have_it: set[int] = set()  # units heard since we have it
        self._pushes: list[int] = []  # tickets of those that wait for another unit to have it
        self._pushed_until = 0.0
        self._answers = float(ANSWERS_AT_ONCE)
        self._answered_at = core.now

    # ------------------------------------------------------------ handing on

    def on_ask(self, source: int, ask: m.RosterAsk) -> None:
        now, encoded = self._core.now, self.roster.encoded
        self._answers = min(ANSWERS_AT_ONCE, self._answers + ANSWERS_PER_S * (now - self._answered_at))
        self._answered_at = now
        if self._answers < 1 or ask.epoch >= self.roster.epoch or ask.at >= len(encoded):
            return
        self._answers -= 1
        self._pushed_until = now + PUSH_S
        data = encoded[ask.at : ask.at + self._part_room_bytes]
        self._core.say(source, m.RosterPart(self.roster.epoch, len(encoded), ask.at, data))

    def push(self, push: c.PushRoster) -> None:
        core, ours = self._core, self.roster
        try:
            roster = Roster.decode(push.encoded, self._membership.admin_public)
        except BadRoster as error:
            core.failed(push.ticket, Refused(error.what, can="push the folder of this unit's own network"))
            return
        if not self._membership.is_named_in(roster):
            what = f"the roster of epoch {roster.epoch} does not name unit {core.unit}, or with another key"
            core.failed(push.ticket, Refused(what, did="it was not taken", can="push it to a unit that it names"))
        elif roster.epoch < ours.epoch or (roster.epoch == ours.epoch and roster.encoded != ours.encoded):
            what = f"the roster is of epoch {roster.epoch}, and this unit has another one of epoch {ours.epoch}"
            can = "use the newest copy of the admin's folder"
            core.failed(push.ticket, Refused(what, did="it was not taken", can=can))
        elif roster.epoch == ours.epoch:
            self._was_pushed(push.ticket)
        else:
            core.run(self._push(push.ticket, roster), on_error=lambda error: self._not_pushed(push.ticket, error))

    def _push(self, ticket: int, roster: Roster) -> Step:
        yield from self.take(roster)
        self._was_pushed(ticket)

    def _not_pushed(self, ticket: int, error: DandelionError) -> None:
        self._core.failed(ticket, Refused(error.what, did=error.did, can=error.can))

    def _was_pushed(self, ticket: int) -> None:
        core = self._core
        if core.settings.temporary and not self._have_it:
            self._pushes.append(ticket)
            self._pushed_until = max(self._pushed_until, core.now + PUSH_S)
        else:
            core.done(ticket, c.Pushed(self.roster.epoch, tuple(sorted(self._have_it))))

    def heard(self, unit: int) -> None:
        self._have_it.add(unit)
        waiting, self._pushes = self._pushes, []
        for ticket in waiting:
            self._was_pushed(ticket)

    def _give_up_pushes(self) -> None:
        waiting, self._pushes = self._pushes, []
        for ticket in waiting:
            what = f"no other unit has taken the roster of epoch {self.roster.epoch} yet"
            did = "it is kept here, and handed on whenever this unit is up"
            self._core.failed(ticket, Refused(what, did=did, can="bring this unit near another one and push again"))

    # ------------------------------------------------------------ asking for it

    def newer(self, unit: int, epoch: int) -> None:
        if unit == self._core.unit:
            return  # whoever says so in our name has no roster for us
        known = self._sources.pop(unit, None) or _Source(epoch, self._core.now)
        self._sources[unit] = known  # the one heard last stands last
        known.epoch = epoch
        strangers = [other for other in self._sources if self.roster.find(other) is None]
        if len(strangers) > MAX_STRANGERS:
            del self._sources[strangers[0]]

    def on_part(self, source: int, part: m.RosterPart) -> None:
        pull = self._pull
        if pull is None or pull.source != source or part.epoch <= self.roster.epoch:
            return
        if part.epoch != pull.epoch:  # a newer one yet has come there meanwhile
            pull.epoch = part.epoch
            pull.data.clear()
        if part.at != len(pull.data) or part.whole_bytes > MAX_ROSTER_BYTES:
            return
        pull.data += part.data
        pull.tries, pull.again_at = 0, self._core.now
        if len(pull.data) >= part.whole_bytes:
            self._end_pull()
            self._came(source, bytes(pull.data))

    def _came(self, source: int, encoded: bytes) -> None:
        try:
            roster = Roster.decode(encoded, self._membership.admin_public)
        except BadRoster as error:
            self._core.log("network", f"unit {source} gave a roster that is not taken: {error.what}", unit=source)
            return
        if roster.epoch > self.roster.epoch:
            self._sources.pop(source, None)
            self._core.run(self.take(roster), on_error=self._failed)

    def take(self, roster: Roster) -> Step:
        """It is ours from now on, once it is durable; roster: signed by the admin, of a higher epoch than ours."""
        core = self._core
        self._taking = True
        try:
            yield SaveRoster(roster.epoch, roster.encoded)
        finally:
            self._taking = False
        if roster.epoch <= self.roster.epoch:
            return
        gone = [row.unit for row in self.roster.rows if public_in(roster, row.unit) != row.public]
        self.roster = roster
        core.epoch = roster.epoch
        self._look_for_ourselves()
        if self._expelled:
            return
        self._have_it.clear()
        self._seal.use(self._membership.keys(roster))
        core.log("network", f"the roster of epoch {roster.epoch} names {len(roster.rows)} units")
        if self._look_who_acts():
            core.start_anew = f"the roster of epoch {roster.epoch} changes whose pictures this unit decides about"
            core.log("network", f"{core.start_anew}: it starts anew")
        for unit in gone:
            core.log("network", f"unit {unit} is spoken to no more: it is no member, or has another key", unit=unit)
        self.changed(gone)
        self._say_soon()

    def _look_for_ourselves(self) -> None:
        """Whoever is named no more says nothing any more."""
        core, roster = self._core, self.roster
        named = self._membership.is_named_in(roster)
        if named and self._expelled:
            core.mute = ""
        elif not named:
            core.mute = (
                f"the roster of epoch {roster.epoch} does not name unit {core.unit} any more, or with another key"
            )
            core.log("alarm", f"{core.mute}; nothing is sent any more, pictures stay here")
        self._expelled = not named

    def _look_who_acts(self) -> bool:
        """Whether pictures become ours, or are ours no more. The catalogue must say so before anything is said of them:
        that is done at a start."""
        core, before = self._core, self._core.acting
        core.acting = {one.gone: one.by for one in self.roster.acting}
        for gone, by in core.acting.items():
            if before.get(gone) != by:
                who = f"unit {by} acts for it" if by else "its pictures are kept only while there is room"
                core.log("network", f"unit {gone} is gone for good: {who}", unit=gone)
        return replace(self._membership, roster=self.roster).acts_for != core.acts_for

    def _failed(self, error: DandelionError) -> None:
        self._core.log("card", f"a newer roster could not be kept: {error}")

    def _end_pull(self) -> None:
        if self._pull is not None:
            source = self._sources.get(self._pull.source)
            if source is not None:
                source.not_before = self._core.now + source.rest_s
                source.rest_s = min(2 * source.rest_s, LONGEST_REST_S)
            self._pull = None

    def tick(self) -> None:
        now = self._core.now
        if self._pushes and now >= self._pushed_until:
            self._give_up_pushes()
        if self._pull is not None and self._pull.tries >= MAX_TRIES and now >= self._pull.again_at:
            self._end_pull()
        if self._pull is None and not self._taking:
            self._begin()
        pull = self._pull
        if pull is not None and now >= pull.again_at:
            self._core.say(pull.source, m.RosterAsk(self.roster.epoch, len(pull.data)))
            pull.again_at = now + AGAIN_S * 2**pull.tries
            pull.tries += 1

    def _begin(self) -> None:
        """The one that has waited longest is next."""
        now, ours = self._core.now, self.roster.epoch
        self._sources = {unit: source for unit, source in self._sources.items() if source.epoch > ours}
        unit = min(self._sources, key=lambda unit: self._sources[unit].not_before, default=None)
        if unit is not None and now >= self._sources[unit].not_before:
            self._pull = _Pull(unit, self._sources[unit].epoch, now)

    def deadline(self) -> float | None:
        times = [self._pushed_until] if self._pushes else []
        if self._pull is not None:
            times.append(self._pull.again_at)
        elif not self._taking:
            times += [source.not_before for source in self._sources.values()]
        return min(times, default=None)
