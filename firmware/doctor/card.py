"""Checks of the card: whether it keeps what is written, has room, is quick, and is well."""

from __future__ import annotations

import errno
import os

from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok, unknown, warning
from firmware.lines import size
from firmware.store import floor_bytes
from hal.probes.access import may_use
from hal.probes.cards import CardFacts

SLOW_BYTES_PER_S = 1_000_000.0
"""Synced writing below this is slow: a picture of 2 MB takes seconds to be safe. Cards of class 10 write ten times as
fast in a row; guess for pieces of 256 kB."""
STALL_S = 2.0  # one such piece; a card that is well has spikes of a quarter of a second. Guess
NEARLY_FULL = 0.90  # share of what pictures may take
FLOORS_AHEAD = 2  # free room of less than so many floors is nearly none
WORN_TENTHS = 9  # of the life of an eMMC that it says are used up
REPLACE = "copy its pictures (dandelion get, or the files in own/), and put a new card in"


def card(facts: Facts) -> Verdict | None:
    """The directory is there, the unit's user's, and takes a write."""
    found, speed = facts.card, facts.speed
    if found is None:
        return None
    if found.gone:
        return fault(*found.gone)
    if found.directory is None:
        return unknown(
            f"{found.path} is not there yet: the unit makes it at its first start", "mount the card, or start the unit"
        )
    if not may_use(facts.person, found.directory):
        can = f"sudo chown -R {facts.person.name} {found.path}"
        return fault(f"{found.path} does not belong to {facts.person.name}, as whom the unit runs", can)
    if found.read_only or (speed is not None and speed.error in (errno.EROFS, errno.ENOSPC, errno.EDQUOT)):
        return None  # card-read-only, card-room
    if speed is None or speed.error in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR):
        who = f"give the command as {facts.person.name}, or with sudo"
        return unknown("whether the card takes a write was not tried", who)
    if speed.error:
        why = os.strerror(speed.error)
        return fault(
            f"the card fails: what was written could not be synced ({why})",
            f"look at the kernel log (dmesg); {REPLACE}",
        )
    return ok("the card has taken a write, and synced it")


def card_read_only(facts: Facts) -> Verdict | None:
    """It takes writes."""
    found, speed = facts.card, facts.speed
    if found is None or found.mount is None:
        return None
    if found.read_only or (speed is not None and speed.error == errno.EROFS):
        return fault(
            f"the card's file system ({found.mount.point}) is read-only: no picture can be kept",
            f"it was remounted after errors, or is locked: look at the kernel log (dmesg), check it with the unit "
            f"stopped (fsck {found.mount.source}); then {REPLACE}",
        )
    return ok("the card's file system takes writes")


def card_memory(facts: Facts) -> Verdict | None:
    """What is written there outlives a power cut."""
    found = facts.card
    if found is None or found.mount is None:
        return None
    kind = found.mount.kind
    can = "put card.path on a partition of its own, which is not below the read-only root; see docs/operations.md §7"
    if found.in_memory:
        return fault(f"{found.path} is in memory ({kind}): its pictures are gone after a power cut", can)
    if found.in_memory is None:
        return unknown(
            f"{found.path} is on an overlay: whether what is written there outlives a power cut is not shown", can
        )
    return ok(f"{found.path} is on {kind}, which keeps what is written")


def card_partition(facts: Facts) -> Verdict | None:
    """It is not the file system of the operating system."""
    found = facts.card
    if found is None or found.mount is None or found.in_memory:
        return None
    if found.mount.point == "/":
        return warning(
            f"{found.path} is on the file system of the operating system: each takes the other's room, and errors of "
            "one stop both",
            "a partition of its own for card.path, or a USB stick; see docs/operations.md §7",
        )
    return ok(f"{found.path} has a file system of its own ({found.mount.point})")


def card_capacity(facts: Facts) -> Verdict | None:
    """card.capacity is there."""
    found, config = facts.card, facts.config
    if found is None or config is None or not found.total_bytes:
        return None
    there = found.total_bytes - floor_bytes(found.total_bytes, 0)
    if facts.used_bytes is not None:
        there = min(there, facts.used_bytes + max(0, found.free_bytes - floor_bytes(found.total_bytes, 0)))
    wanted = config.card.capacity_bytes
    if wanted > there:
        return warning(
            f"card.capacity is {size(wanted)}, and the file system has room for {size(there)} of pictures (it has "
            f"{size(found.total_bytes)}, {size(found.free_bytes)} free; some stays free for the catalogue)",
            f'card.capacity = "{there * 9 // 10 // 10**6} MB", or a larger card; the unit keeps to what is there',
        )
    return ok(f"the file system has room for card.capacity ({size(wanted)})")


def card_room(facts: Facts) -> Verdict | None:
    """There is room for pictures."""
    found, config = facts.card, facts.config
    if found is None or config is None or not found.total_bytes:
        return None
    floor = floor_bytes(found.total_bytes, 0)
    can = "give the unit a neighbour with room, or get pictures and delete them; see docs/operations.md §6"
    if found.free_bytes < floor or (facts.speed is not None and facts.speed.error == errno.ENOSPC):
        can = f"remove what else is on it (the unit takes no more pictures), or {can}"
        return fault(f"the card's file system is full: {size(found.free_bytes)} free of {size(found.total_bytes)}", can)
    if found.free_bytes < FLOORS_AHEAD * floor:
        return warning(
            f"the card's file system is nearly full: {size(found.free_bytes)} free of {size(found.total_bytes)}", can
        )
    used, capacity = facts.used_bytes, config.card.capacity_bytes
    if used is not None and used >= NEARLY_FULL * capacity:
        return warning(f"pictures take {size(used)} of card.capacity, {size(capacity)}", can)
    return ok(f"{size(found.free_bytes)} of {size(found.total_bytes)} are free")


def card_speed(facts: Facts) -> Verdict | None:
    """Pictures are safe soon."""
    speed = facts.speed
    if speed is None or speed.error:
        return None  # the other findings of the card have it
    told = f"{speed.bytes_per_s / 1e6:.1f} MB/s synced, the slowest piece of 256 kB took {speed.longest_s:.2f} s"
    if speed.bytes_per_s < SLOW_BYTES_PER_S or speed.longest_s > STALL_S:
        return warning(
            f"the card is slow: {told}",
            "a card of class A1 or A2, from a maker that you know; this one may be worn out",
        )
    return ok(told)


def card_health(facts: Facts) -> Verdict | None:
    """Neither file system nor card tell of damage."""
    found = facts.card
    if found is None or found.mount is None:
        return None
    if found.errors:
        return fault(
            f"the file system has found {found.errors} errors on the card",
            f"look at the kernel log (dmesg), check it with the unit stopped (fsck {found.mount.source}); {REPLACE}",
        )
    if (found.end_of_life or 0) >= 3 or (found.life or 0) >= 11:
        return fault("the card says that its life is over", REPLACE)
    if (found.end_of_life or 0) >= 2 or (found.life or 0) >= WORN_TENTHS:
        return warning(f"the card says that {_life(found)} of its life is used up", REPLACE)
    errors = (
        "the file system does not count its errors"
        if found.errors is None
        else "no errors were found by the file system"
    )
    if found.life is None:
        wear = "SD cards tell nothing of their wear" if found.medium == "SD" else "this card tells nothing of its wear"
        return ok(f"{errors}; {wear}") if found.errors is not None else unknown(f"{errors}, and {wear}")
    return ok(f"{errors}; {_life(found)} of its life is used up")


def _life(found: CardFacts) -> str:
    """Each step is a tenth (JEDEC eMMC 5.0)."""
    life = found.life or 0
    return f"{10 * life - 10} to {10 * life} %" if life else "most"


CHECKS = (
    Check(
        "card",
        "the card is not the unit's user's, is not mounted any more, or fails (a synced write of 4 MB, which leaves "
        "nothing)",
        "`sudo chown -R USER DIR`; `sudo mount DIR`; a card that fails: copy its pictures and replace it",
        card,
    ),
    Check(
        "card-read-only",
        "the card's file system takes no writes (any more)",
        "kernel log, `fsck` with the unit stopped, a new card",
        card_read_only,
    ),
    Check(
        "card-memory",
        "`card.path` is in memory, as on a read-only (overlay) root or a tmpfs: pictures are gone after a power cut",
        "a partition of its own for `card.path`, see [§7](#7-the-card-and-how-to-read-it-without-this-software)",
        card_memory,
    ),
    Check(
        "card-partition",
        "`card.path` is on the file system of the operating system",
        "a partition of its own, or a USB stick",
        card_partition,
    ),
    Check(
        "card-capacity",
        "`card.capacity` is more than the file system has; the unit keeps to what is there",
        "a smaller `card.capacity`, or a larger card",
        card_capacity,
    ),
    Check(
        "card-room",
        "the card is full or nearly so",
        "a neighbour with room; `get` pictures and `delete` them; remove what else is on it",
        card_room,
    ),
    Check(
        "card-speed",
        "the card is slow: under 1 MB/s synced, or 2 s for a piece of 256 kB",
        "another card",
        card_speed,
    ),
    Check(
        "card-health",
        "the file system has counted errors, or the card (eMMC) says that it is worn out. SD cards tell nothing of "
        "their wear but to their makers' own programs",
        "copy its pictures and replace it",
        card_health,
    ),
)
