"""All checks, in the order in which a person should look at them: the table of docs/operations.md."""

from __future__ import annotations

from collections.abc import Iterator

from firmware.doctor import camera, card, machine, radio, service, settings, xbee
from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Finding

CHECKS: tuple[Check, ...] = (
    *settings.CHECKS,
    *service.CHECKS,
    *radio.CHECKS,
    *xbee.CHECKS,
    *camera.CHECKS,
    *card.CHECKS,
    *machine.CHECKS,
)


def findings(facts: Facts) -> Iterator[Finding]:
    """What each check comes to; those left out that have nothing to look at."""
    for check in CHECKS:
        verdict = check.look(facts)
        if verdict is not None:
            yield Finding(check.name, verdict)


def as_table() -> str:
    """For the docs, in Markdown."""
    rows = [f"| `{check.name}` | {check.finds} | {check.fix} |" for check in CHECKS]
    return "\n".join(("| finding | what it finds | fix |", "|---|---|---|", *rows))
