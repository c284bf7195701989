"""Checks of the board: clock, supply, heat."""

from __future__ import annotations

from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok, unknown, warning
from hal.interfaces import TimeQuality
from hal.probes.board import HOT, SINCE_BOOT, THROTTLED, UNDER_VOLTAGE

EARLIEST_UNIX_S = 1_735_689_600.0  # 2025-01-01: no unit with this software has run before
HOT_CELSIUS = 80.0  # a Raspberry Pi slows down from here on (Raspberry Pi documentation)
WARM_CELSIUS = 70.0  # in the shade of a test; the sun comes on top. Guess


def clock(facts: Facts) -> Verdict:
    """Somebody vouches for the time."""
    found = facts.clock
    can = "a clock module (as a DS3231), a network, or by hand: sudo timedatectl set-time '2026-07-14 10:00:00'"
    if found.unix_s < EARLIEST_UNIX_S:
        return fault("the clock is not set: pictures get no right time", can)
    status = facts.unit.status
    if found.quality is TimeQuality.SYNCED:
        return ok("the clock is right: something keeps it so")
    if status is not None and status.get("clock_quality") in ("peer", "synced"):
        return ok("the unit has its time from another unit")
    if found.rtc:
        return ok(f"the board has a clock that goes on without power ({found.rtc})")
    return warning("nobody vouches for the clock, and the board has none that goes on without power", can)


def voltage(facts: Facts) -> Verdict:
    """The supply has held since the board was started."""
    bits = facts.power.throttled
    can = "a supply of 5.1 V that gives 2.5 A or more (Pi 5: 5 A), a short, thick cable, a full battery"
    if bits is None:
        return unknown(f"whether the supply holds is not known: {_why(facts)}")
    if bits & UNDER_VOLTAGE:
        return fault("the supply voltage is too low now: cards lose what they write, cameras hang", can)
    if bits >> SINCE_BOOT & UNDER_VOLTAGE:
        return warning("the supply voltage was too low since the board was started", can)
    return ok("the supply voltage has held since the board was started")


def heat(facts: Facts) -> Verdict:
    """The board is not too hot."""
    bits, celsius = facts.power.throttled or 0, facts.power.celsius
    told = "" if celsius is None else f" ({celsius:.0f} °C)"
    can = "shade, air holes, a heat sink; a longer shutter.interval"
    if _is_hot(bits) or (celsius is not None and celsius >= HOT_CELSIUS):
        return fault(f"the board is too hot{told}", can)
    if _is_hot(bits >> SINCE_BOOT):
        return warning(f"the board was too hot since it was started{told}", can)
    if celsius is None:
        return unknown(f"how hot the board is, is not known: {_why(facts)}")
    if celsius >= WARM_CELSIUS:
        return warning(f"the board is warm{told}", can)
    return ok(f"the board is cool enough{told}")


def _is_hot(bits: int) -> bool:
    """Slowed down with a supply that holds: for its heat."""
    return bool(bits & HOT or (bits & THROTTLED and not bits & UNDER_VOLTAGE))


def _why(facts: Facts) -> str:
    return facts.power.problem if facts.boot.is_pi else "this is no Raspberry Pi"


CHECKS = (
    Check(
        "clock",
        "the clock is not set, or nobody vouches for it",
        "a clock module, a network, or `sudo timedatectl set-time`",
        clock,
    ),
    Check(
        "voltage",
        "under-voltage, now or since the board was started; unknown where this is no Raspberry Pi",
        "a stronger supply, a shorter and thicker cable",
        voltage,
    ),
    Check(
        "heat",
        "the board is too hot, or was since it was started",
        "shade, air, a heat sink",
        heat,
    ),
)
