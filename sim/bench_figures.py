"""What a measurement gives: figures with their goals, as lines for people or rows for programs; and where it runs."""

from __future__ import annotations

from pathlib import Path

from hal.light_dataclass import dataclass

BAUD = 115_200  # DESIGN §11 speaks of this line
QUICK_BAUD = 1_000_000  # of --quick: a picture of 200 kB takes 2 s


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach (DESIGN §11): at most, or at least, this."""

    bound: float
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Whether the value reaches it."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. goal: None where DESIGN names none, or where a --quick run is not what it is about."""

    name: str
    value: float
    unit: str
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached, None without one."""
        return None if self.goal is None else self.goal.met_by(self.value)

    def row(self) -> dict[str, object]:
        """For --json."""
        goal = None if self.goal is None else str(self.goal)
        return {"name": self.name, "value": self.value, "unit": self.unit, "goal": goal, "met": self.met}

    def line(self) -> str:
        """For people."""
        told = f"{self.name:<26} {number(self.value):>10} {self.unit:<14}"
        if self.goal is not None:
            told += f" goal {self.goal!s:<8} {'met' if self.met else 'MISSED'}"
        return told.rstrip()


def number(value: float) -> str:
    """Whole numbers whole, the rest with three digits that matter."""
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a measurement runs. directory: its own, empty. folder: of a camera, with one JPEG of 200 kB."""

    directory: Path
    folder: Path
    quick: bool

    @property
    def baud(self) -> int:
        """Of its line."""
        return QUICK_BAUD if self.quick else BAUD

    def goal(self, bound: float, *, at_least: bool = False) -> Goal | None:
        """A goal that only a whole run can reach or miss."""
        return None if self.quick else Goal(bound, at_least)
