"""The verb `doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from firmware.doctor.facts import Facts
from firmware.doctor.gather import gather
from firmware.doctor.mend import MENDS
from firmware.doctor.table import CHECKS, findings
from firmware.doctor.verdicts import State
from firmware.output import Output
from hal.errors import DandelionError


def doctor(path: Path, output: Output, *, fix: bool) -> int:
    """A row for each finding; 0 only when all are ok. path: of the config."""
    facts, fixed = gather(path), dict[str, str]()
    if fix:
        facts = _mended(facts, fixed, output)
    return examined(facts, output, fixed)


def examined(facts: Facts, output: Output, fixed: Mapping[str, str] = MappingProxyType({})) -> int:
    """The rows of these facts, and the exit status. fixed: what was mended, by finding."""
    well = True
    for name, verdict in findings(facts):
        well = well and verdict.state is State.OK
        row = {"name": name, "state": verdict.state.value, "what": verdict.what, "fix": verdict.fix}
        output.row({**row, "fixed": fixed.get(name)})
    return 0 if well else 1


def _mended(facts: Facts, fixed: dict[str, str], output: Output) -> Facts:
    """The facts as they are after each fault has been mended that can be; fixed: what was done, by finding."""
    for check in CHECKS:
        verdict = check.look(facts)
        if check.name in MENDS and verdict is not None and verdict.state is State.FAULT:
            try:
                fixed[check.name], facts = MENDS[check.name](facts)
            except DandelionError as error:
                output.error(error)
    return facts
