"""The determining section: whether a picture stays here or gets a copy elsewhere, and where (DESIGN §5).

Pure: everything it looks at is handed in, and every decision can be told with its inputs (`explain`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hal.light_dataclass import dataclass

PICTURES_AHEAD = 2
"""Pictures like the recent ones that should always fit without waiting for the radio (DESIGN §5)."""
PROOFS_AHEAD = 4
"""Proofs of the oldest cache are asked for when fewer pictures than this would fit (DESIGN §5)."""


class Policy(enum.Enum):
    """When own pictures get their copies."""

    ALWAYS = "always"
    WHEN_FULL = "when-full"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the person asked for; shares are fractions of the card's capacity."""

    policy: Policy = Policy.ALWAYS
    copies: int = 1
    copies_min: int = 1
    priority_copies: int = 2
    high_water: float = 0.85
    low_water: float = 0.70

    def wanted(self, priority: bool) -> int:
        """Verified holders, other than the origin, that a picture should have."""
        return max(self.copies, self.priority_copies) if priority else self.copies


@dataclass(frozen=True, slots=True)
class CardView:
    """fixed_bytes: what may not be dropped now; recent_bytes: size of pictures like the recent ones, 0 if none."""

    capacity_bytes: int
    fixed_bytes: int
    recent_bytes: int
    relieving: bool


@dataclass(frozen=True, slots=True)
class NeighbourView:
    """One unit as it was last heard. room_bytes: what it offers; idle: no picture of ours is on its way there."""

    unit: int
    room_bytes: int
    hosting: bool
    silent: bool
    idle: bool
    refused_until: float
    link: float  # 0..1
    last_used: float


@dataclass(frozen=True, slots=True)
class PictureView:
    """verified, holders, suspect_at, open_at: units; by_hand: the unit that a person named, else None.

    holders: these are not asked. suspect_at: listed, and perhaps without their copy.
    """

    size_bytes: int
    priority: bool
    verified: tuple[int, ...]
    holders: tuple[int, ...]
    open_at: tuple[int, ...]
    suspect_at: tuple[int, ...] = ()
    by_hand: int | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing is sent now. again_at: monotonic time at which the answer may differ by itself, else None.

    others_too: what holds this picture back holds back every other one that is like it. wanted: it should have a copy,
    which nobody can take now.
    """

    why: str
    again_at: float | None = None
    others_too: bool = True
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Disperse:
    """Ask this unit for room."""

    unit: int
    why: str


def told(
    picture: PictureView, card: CardView, neighbours: Iterable[NeighbourView], rules: Rules, now: float
) -> dict[str, object]:
    """What a decision is made from, for `explain`: plain values; times as seconds from now."""
    near = []
    for neighbour in neighbours:
        values = _values(neighbour)
        values["refused_for_s"] = max(0, round(values.pop("refused_until") - now))
        values["last_used_s"] = round(now - last_used) if (last_used := values.pop("last_used")) else None
        near.append(values)
    asked = _values(rules) | {"policy": rules.policy.value}
    return {"picture": _values(picture), "card": _values(card), "neighbours": near, "rules": asked}


def _values(view: Any) -> dict[str, Any]:
    """Of a dataclass with slots and plain fields; asdict() would copy each deeply, and takes ten times as long."""
    return {name: getattr(view, name) for name in view.__slots__}


def relieving(card: CardView, rules: Rules) -> bool:
    """Whether a `when-full` card is being relieved: from above high water until below low water, and two more fit."""
    room = card.capacity_bytes - card.fixed_bytes
    tight = room < PICTURES_AHEAD * card.recent_bytes
    water = rules.low_water if card.relieving else rules.high_water
    return tight or card.fixed_bytes > water * card.capacity_bytes


def determine(
    picture: PictureView, card: CardView, neighbours: Iterable[NeighbourView], rules: Rules, now: float
) -> Keep | Disperse:
    """Decide about one picture of our own."""
    if picture.by_hand is None:
        wanted = rules.wanted(picture.priority)
        if len(picture.verified) >= wanted:
            return Keep(f"it has {len(picture.verified)} of {wanted} copies", wanted=False)
        if rules.policy is Policy.NEVER:
            return Keep("policy is never: copies are made by hand only", wanted=False)
        if rules.policy is Policy.WHEN_FULL and not card.relieving and not picture.priority:
            return Keep("policy is when-full and the card has room", wanted=False)
    possible = [n for n in neighbours if n.unit not in picture.holders and (picture.by_hand in (None, n.unit))]
    if not possible:
        return Keep("no other unit is heard that does not hold it already", others_too=not picture.holders)
    decision = _choose(picture, possible, now)
    if isinstance(decision, Keep) and picture.holders:  # others may go where this one may not
        return replace(decision, others_too=False)
    return decision


def _choose(picture: PictureView, possible: list[NeighbourView], now: float) -> Keep | Disperse:
    """Same host again while its attempt is open; else most room after this one, best link, least recently used.

    A holder whose copy is suspect comes last: where there is no other unit, it gets the picture once more.
    """
    able = [n for n in possible if n.hosting and not n.silent]
    if not able:
        return Keep("no unit that hosts is heard now")
    willing = [n for n in able if n.refused_until <= now]
    if not willing:
        soonest = min(able, key=lambda n: n.refused_until)
        full = all(n.room_bytes < picture.size_bytes for n in able)
        why = "no unit heard has room for it" if full else "every unit heard has refused"
        return Keep(f"{why}; unit {soonest.unit} is asked again", soonest.refused_until)
    roomy = [n for n in willing if n.room_bytes >= picture.size_bytes or n.unit in picture.open_at]
    # What a beacon says may be old: without any room heard of, they are asked, and refuse with a time and a reason.
    idle = [n for n in roomy or willing if n.idle]
    if not idle:
        return Keep("the units with room are receiving other pictures of ours")
    best = max(idle, key=lambda n: (n.unit in picture.open_at, n.unit not in picture.suspect_at, *_rank(n)))
    if picture.by_hand is not None:
        return Disperse(best.unit, "a person asked for it")
    if best.unit in picture.open_at:
        return Disperse(best.unit, "its attempt there is still open")
    if best.unit in picture.suspect_at:
        return Disperse(best.unit, "its copy is suspect, and no other unit can take one")
    return Disperse(best.unit, f"it has most room, {best.room_bytes // 1000} kB")


def _rank(neighbour: NeighbourView) -> tuple[float, ...]:
    return neighbour.room_bytes, neighbour.link, -neighbour.last_used
