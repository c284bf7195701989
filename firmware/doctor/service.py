"""Checks of the software as it runs: the unit, its service, its CRC."""

from __future__ import annotations

from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok, unknown, warning

SERVICE = "dandelion.service"
_JOURNAL = "journalctl -u dandelion -b"
_ENABLED = ("enabled", "enabled-runtime", "static")


def unit(facts: Facts) -> Verdict | None:
    """The unit that runs says that it has no problem."""
    if facts.config is None:
        return None
    if facts.unit.trouble:
        return fault(
            facts.unit.trouble, f"look at its journal: {_JOURNAL}; restart it: sudo systemctl restart dandelion"
        )
    status = facts.unit.status
    if status is None:
        return unknown("no unit runs here: what only a running unit can tell was not looked at", "dandelion run")
    if problems := status.get("problems") or []:
        return warning(
            "the unit says: " + "; also: ".join(map(str, problems)), "see `dandelion status` and `dandelion log`"
        )
    return ok("the unit runs and says that it has no problem")


def service(facts: Facts) -> Verdict:
    """It starts by itself after a power cut, and does not end again and again."""
    found = facts.service
    if found.problem:
        can = "" if "systemd" in found.problem else "give the command on the board itself"
        return unknown(f"whether the unit starts by itself after a power cut is not known: {found.problem}", can)
    if found.load != "loaded":
        return fault(
            f"{SERVICE} is not installed: nothing starts the unit after a power cut", "install it: see deploy/"
        )
    if found.file not in _ENABLED:
        return fault(
            f"{SERVICE} is {found.file or 'not enabled'}: nothing starts the unit after a power cut",
            "sudo systemctl enable --now dandelion",
        )
    if found.active == "activating" and found.sub != "auto-restart" and not found.restarts:
        return warning(f"{SERVICE} is just starting", "look again in a minute")
    if found.active in ("failed", "activating", "deactivating") and found.sub != "running":
        how = f"{found.active} ({found.sub}, {found.result})"
        return fault(f"{SERVICE} is {how}; it was restarted {found.restarts} times", f"see why: {_JOURNAL}")
    if found.active != "active":
        return fault(f"{SERVICE} does not run ({found.active})", "sudo systemctl start dandelion")
    if found.restarts:
        can = f"see why: {_JOURNAL}; sudo systemctl restart dandelion begins to count anew"
        return warning(f"{SERVICE} runs, and was restarted {found.restarts} times since it was started", can)
    return ok(f"{SERVICE} is enabled and runs")


def crcmod(facts: Facts) -> Verdict:
    """Its C extension computes the CRC of every frame."""
    if facts.crc_engine != "C":
        return warning(
            "crcmod runs without its C extension: check sums take 20 times as long, which a small board feels",
            "sudo apt install python3-crcmod; in a virtual environment of its own: sudo apt install gcc python3-dev, "
            "then pip install --force-reinstall --no-cache-dir crcmod",
        )
    return ok("crcmod's C extension computes the check sums")


CHECKS = (
    Check(
        "unit",
        "the unit hangs, or has a problem of its own; unknown where none runs",
        "`dandelion status` and `dandelion log` say more; [§6](#6-what-to-do-when-) what to do",
        unit,
    ),
    Check(
        "service",
        "the service is not installed, not enabled, does not run, or was restarted",
        "`sudo systemctl enable --now dandelion`; why it ends: `journalctl -u dandelion -b`",
        service,
    ),
    Check(
        "crcmod",
        "crcmod runs in pure Python",
        "`sudo apt install python3-crcmod`, or a compiler and crcmod anew",
        crcmod,
    ),
)
