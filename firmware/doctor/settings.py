"""Checks of what a person wrote or copied: the config, the credential."""

from __future__ import annotations

from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok, unknown, warning
from firmware.private_files import FILE_MODE, OTHERS


def config(facts: Facts) -> Verdict:
    """It can be read, and every value is allowed."""
    if (error := facts.config_error) is not None:
        return fault(error.what, error.can)
    assert facts.config is not None
    return ok(f"{facts.config.file} is right")


def credential(facts: Facts) -> Verdict | None:
    """It is there, it is this unit's, and the unit's user can read it."""
    found, config = facts.credential, facts.config
    if config is not None and config.security.insecure:
        can = "on a radio the unit needs a credential: `dandelion net enrol`, and no security.insecure"
        return warning("security.insecure = true: the unit runs without a credential", can)
    if found is None:
        return None
    if found.device is None:
        can = "`dandelion net enrol` makes it, on the computer that has the network's folder; copy it there"
        return fault(f"{found.path} is not there", can)
    person, owner = facts.person, found.device.uid
    if person.uid not in (0, owner):
        can = f"sudo chown {person.name} {found.path}"
        return fault(f"{found.path} does not belong to {person.name}, as whom the unit runs: it cannot read it", can)
    if found.unreadable:
        return unknown(f"{found.path} may not be read by {facts.asking.name}", "give the command with sudo")
    if found.error is not None:
        return fault(found.error.what, found.error.can)
    return ok(f"{found.path} is unit {config.unit.id if config else '?'}'s")


def credential_mode(facts: Facts) -> Verdict | None:
    """Nobody else may read the key."""
    found = facts.credential
    if found is None or found.device is None:
        return None
    mode = found.device.mode & 0o7777
    if mode & OTHERS:
        can = f"`dandelion doctor --fix`, or: chmod {FILE_MODE:03o} {found.path}"
        harm = "if somebody may have read it, its key is not secret: enrol the unit anew"
        return fault(
            f"{found.path} is open to others than its owner (mode {mode:04o}): the unit refuses it; {harm}", can
        )
    return ok(f"nobody but its owner may read it (mode {mode:04o})")


def membership(facts: Facts) -> Verdict | None:
    """The newest list of members that is known here names the unit, under this key."""
    found = facts.credential
    if found is None or found.device is None or found.error is not None:
        return None
    if found.named is None:
        return unknown("the newest list of members that the unit knows cannot be read", "give the command with sudo")
    if not found.named:
        what = f"the list of members of epoch {found.epoch} does not name this unit with this key any more"
        return fault(
            f"{what}: it was shut out, or enrolled anew, and sends nothing",
            "if that was a mistake: `dandelion net enrol` on the admin's computer, and copy the new credential here",
        )
    return ok(f"the newest list of members known here, of epoch {found.epoch}, names this unit")


CHECKS = (
    Check(
        "config",
        "the config is missing, or a key or value in it is wrong",
        "the finding names the key and what is allowed; the table is in [§2](#2-the-config-file)",
        config,
    ),
    Check(
        "credential",
        "no credential, a damaged one, another unit's, or another user's; or `security.insecure`",
        "`dandelion net enrol`, and copy the file to the unit; `sudo chown USER FILE`",
        credential,
    ),
    Check(
        "credential-mode",
        "the credential may be read by others than its owner",
        "`--fix` does it: `chmod 600 FILE`. If somebody may have read it, revoke the unit and enrol it anew",
        credential_mode,
    ),
    Check(
        "membership",
        "the credential has expired: the unit was revoked, or enrolled anew under another key",
        "`dandelion net enrol`, and copy the new credential to the unit",
        membership,
    ),
)
