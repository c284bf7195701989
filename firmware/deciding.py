"""Decisions about own pictures: what is looked at, what is remembered of them, and when to look again (DESIGN §5).

What is decided, determine.py says; what is done about it, dispersal.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

from firmware.core import Core
from firmware.determine import Disperse, Keep, PictureView, determine, told
from firmware.events import SaveDecision
from firmware.pictures import Entry, PictureId

DECISIONS_REMEMBERED = 256
"""Pictures whose last decision is not written again while it stays the same: each write costs a sync. More than are
looked at in one round."""
CARD_AGAIN_S = 600.0
"""A picture that the own card or catalogue would not give is tried again after this long. Guess."""
MAX_RESTING = 64
"""Such pictures at once; more are tried again and again."""
MAX_CONFLICTS = 256
"""Pictures remembered with the units that refused them for another content under the id; beyond it the oldest is
forgotten, and asked for again."""
NO_ROOM_ENDS_IT = float("inf")
"""needed_bytes of a wait that no beacon ends, however much room it offers."""
JITTER = 0.25
"""A time to ask again is stretched or shortened by up to this share, so that refused units do not come back at once."""


class Deciding:
    """idle_why: why nothing moves, for `status`. wake_at: when what was kept may be decided otherwise, else None."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.idle_why = ""
        self.wake_at: float | None = None
        self.adopting: Callable[[PictureId], set[int]] = lambda _: set()  # units whose copies are being adopted (R4)
        self.leaving: Callable[[PictureId], set[int]] = lambda _: set()  # units whose copies are being let go
        self._conflicts: dict[PictureId, set[int]] = {}
        self._resting: dict[PictureId, float] = {}  # until when pictures are left alone that the own card did not give
        self._decided: OrderedDict[PictureId, str] = OrderedDict()

    def decide(self, entry: Entry, by_hand: int | None, busy: Collection[int]) -> Keep | Disperse:
        """What is to be done about this picture now. busy: units that a picture of ours is on its way to."""
        core, picture = self.core, entry.picture.id
        avoided = self._conflicts.get(picture, set()) | self.adopting(picture)
        view, card = _view(entry, by_hand, avoided, self.leaving(picture)), core.card_view()
        neighbours, rules = core.neighbours.views(core.now, set(busy)), core.settings.rules
        decision: Keep | Disperse = Keep("the card that has failed counts its attempts", others_too=False)
        if core.settings.safe_mode:
            decision = Keep("the unit is in safe mode and sends no picture")
        elif not core.counts_elsewhere(picture):
            decision = determine(view, card, neighbours, rules, core.now)
        if self._remember(picture, words := _words(decision)):  # for `explain`
            inputs = told(view, card, neighbours, rules, core.now)
            core.run(core.fetch(SaveDecision(picture, words, inputs)))
        if isinstance(decision, Disperse):
            self.idle_why = ""
        return decision

    def _remember(self, picture: PictureId, words: str) -> bool:
        """Take this for the last decision about the picture. False where it was that already."""
        if self._decided.get(picture) == words:
            return False
        self._decided[picture] = words
        while len(self._decided) > DECISIONS_REMEMBERED:
            self._decided.popitem(last=False)
        return True

    def kept(self, keep: Keep, *, by_hand: bool) -> None:
        """A picture stays; what a person asked for says nothing about why the others do."""
        if not by_hand:
            refused = [n for n in self.core.neighbours if n.refused_until > self.core.now]
            refusals = ", ".join(f"unit {n.unit}: {n.refused_why}" for n in refused)
            self.idle_why = f"{keep.why} ({refusals})" if refusals else keep.why
        if keep.again_at is not None:
            self.wake_at = min(self.wake_at or keep.again_at, keep.again_at)

    def looked(self) -> None:
        """All pictures are being looked at now: only those that rest are left for later."""
        self.wake_at = min((until for until in self._resting.values() if until > self.core.now), default=None)

    # ------------------------------------------------------------ what is not to be asked for now

    def rest(self, picture: PictureId) -> float:
        """The own card or catalogue failed with this one: it is left alone until the time returned, others go on."""
        now = self.core.now
        self._resting = {other: until for other, until in self._resting.items() if until > now}
        if len(self._resting) < MAX_RESTING:
            self._resting[picture] = now + CARD_AGAIN_S
        self.core.changed = True
        return now + CARD_AGAIN_S

    @property
    def resting(self) -> frozenset[PictureId]:
        """Those that are left alone now."""
        return frozenset(picture for picture, until in self._resting.items() if until > self.core.now)

    def conflict(self, picture: PictureId, unit: int) -> None:
        """This unit holds another content under the id."""
        if len(self._conflicts) >= MAX_CONFLICTS:
            del self._conflicts[next(iter(self._conflicts))]
        self._conflicts.setdefault(picture, set()).add(unit)

    def leave_alone(self, unit: int, seconds: float, why: str, needed_bytes: float | None = None) -> None:
        """This unit has refused, or did not answer. needed_bytes: a beacon that offers so much room ends the wait;
        None: one that offers more than now."""
        neighbour = self.core.neighbours.find(unit)
        if neighbour is not None:
            stretch = 1 + JITTER * (2 * self.core.rng.random() - 1)
            neighbour.refused_until = self.core.now + max(1.0, seconds * stretch)
            neighbour.refused_why = why
            neighbour.refused_needing_bytes = neighbour.room_bytes + 1 if needed_bytes is None else needed_bytes


def _words(decision: Keep | Disperse) -> str:
    return f"ask unit {decision.unit}: {decision.why}" if isinstance(decision, Disperse) else decision.why


def _view(entry: Entry, by_hand: int | None, avoided: set[int], leaving: set[int]) -> PictureView:
    holders = {c.unit for c in entry.verified} | avoided | leaving
    return PictureView(
        size_bytes=entry.picture.size_bytes,
        priority=entry.picture.priority,
        verified=tuple(c.unit for c in entry.verified if c.unit not in leaving),
        holders=tuple(sorted(holders)),
        suspect_at=tuple(c.unit for c in entry.listed if c.suspect),
        open_at=tuple(c.unit for c in entry.copies if c.open),
        by_hand=by_hand,
    )
