"""Told by `mutmut results --all true`, which mutants live: mutmut results --all true | python tests/survivors.py

Prints for each subject how many of its mutants a test has found, and exits 1 where that is less than nine in ten of one
of them, or where not all were tried: mutmut itself takes any share for a success. Part of `make mutants`.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict

LEAST = 0.9  # share of the mutants of each subject
FOUND = {"killed", "timeout"}  # a change after which the tests never end is found, too
UNTRIED = "not checked"


def subject_of(mutant: str) -> str:
    """firmware.catalogue_rows.x_signed__mutmut_1 is one of the catalogue's."""
    return mutant.split(".")[1].split("_")[0]


def main() -> int:
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for line in sys.stdin:
        mutant, _, state = line.strip().rpartition(": ")
        if not mutant:
            continue
        told[subject_of(mutant)][state] += 1
        if state not in FOUND:
            print(line.strip())
    for subject, states in sorted(told.items()):
        found = sum(states[state] for state in FOUND)
        print(f"{subject}: {found} of {states.total()} mutants found, {found / states.total():.1%}")
    enough = all(sum(s[state] for state in FOUND) >= LEAST * s.total() and not s[UNTRIED] for s in told.values())
    return 0 if told and enough else 1


if __name__ == "__main__":
    sys.exit(main())
