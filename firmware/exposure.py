"""Exposure (HANDOVER R12): how long pictures have only the card they were taken with, as `status` tells it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from firmware.determine import Policy
from firmware.events import Counted
from firmware.rows import rfc3339

_WHY = {
    Policy.ALWAYS: "",
    Policy.WHEN_FULL: "the policy is when-full: they are copied when the card fills up",
    Policy.NEVER: "the policy is never: they are copied by hand only",
}


def exposure_row(counted: Counted, age_s: int, wall_s: float | None, policy: Policy) -> dict[str, object]:
    """pictures: own ones without a verified copy elsewhere now. one_holder: those whose own file is gone, and of which
    there is one verified copy; unproved: none. p50_s, p99_s: from the shutter to the first one, of the
    latest pictures that have had one (of: how many), None where there is none."""
    oldest = counted.oldest
    since_s = None if counted.oldest_since_s is None else max(0, age_s - counted.oldest_since_s)
    if since_s is None and oldest is not None and oldest.taken_at is not None and wall_s is not None:
        since_s = max(0, int(wall_s - oldest.taken_at))
    return {
        "pictures": counted.exposed,
        "one_holder": counted.one_holder,
        "unproved": counted.unproved,
        "why": (_WHY[policy] or None) if counted.exposed else None,
        "oldest": None if oldest is None else str(oldest.id),
        "oldest_taken_at": None if oldest is None else rfc3339(oldest.taken_at),
        "oldest_s": since_s,
        "p50_s": percentile(counted.covered_s, 50),
        "p99_s": percentile(counted.covered_s, 99),
        "of": len(counted.covered_s),
    }


def percentile(values: Sequence[int], percent: int) -> int | None:
    """The least value that so many percent of all do not exceed (nearest rank); None of nothing."""
    assert 0 < percent <= 100
    ordered = sorted(values)
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else None
