"""What systemd says of the unit's service."""

from __future__ import annotations

from pathlib import Path

from hal.light_dataclass import dataclass
from hal.probes.reading import run

_ASKED = ("LoadState", "UnitFileState", "ActiveState", "SubState", "NRestarts", "Result", "User", "SupplementaryGroups")


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """problem: why systemd cannot be asked, in words; empty, and then the rest is what `systemctl show` says."""

    problem: str
    load: str = ""
    file: str = ""
    active: str = ""
    sub: str = ""
    restarts: int = 0
    result: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()


def look(name: str, root: Path) -> ServiceFacts:
    """name: as dandelion.service."""
    if not (root / "run/systemd/system").exists():  # sd_booted(3)
        return ServiceFacts("this machine was not started by systemd")
    said = run("systemctl", "show", name, f"--property={','.join(_ASKED)}")
    if said.problem:
        return ServiceFacts(said.problem)
    told = dict(line.partition("=")[::2] for line in said.text.split("\n"))
    restarts = told.get("NRestarts", "")
    return ServiceFacts(
        "",
        load=told.get("LoadState", ""),
        file=told.get("UnitFileState", ""),
        active=told.get("ActiveState", ""),
        sub=told.get("SubState", ""),
        restarts=int(restarts) if restarts.isdigit() else 0,
        result=told.get("Result", ""),
        user=told.get("User", ""),
        groups=tuple(told.get("SupplementaryGroups", "").split()),
    )
