"""Fixtures: lines, folders of real pictures, and units that are ended and looked through at the end of each test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import FAST_BAUD, Tables, UnitProcess, sane

from sim.line import LineProcess
from sim.pictures import make_pictures

MakeUnit = Callable[..., UnitProcess]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six JPEGs of nearly 200 kB."""
    folder = tmp_path_factory.mktemp("pictures")
    make_pictures(folder, count=6, about_bytes=200_000)
    return folder


@pytest.fixture(scope="session")
def large_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two JPEGs of some 450 kB."""
    folder = tmp_path_factory.mktemp("large")
    make_pictures(folder, count=2, about_bytes=700_000)
    return folder


@pytest.fixture(scope="session")
def middling_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two JPEGs of nearly 80 kB."""
    folder = tmp_path_factory.mktemp("middling")
    make_pictures(folder, count=2, about_bytes=80_000)
    return folder


@pytest.fixture(scope="session")
def tiny_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six JPEGs of nearly 20 kB."""
    folder = tmp_path_factory.mktemp("tiny")
    make_pictures(folder, count=6, about_bytes=20_000)
    return folder


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Iterator[LineProcess]:
    """Two ports on a line; its parameter is the rate."""
    with LineProcess(["--units", "2", "--baud", str(getattr(request, "param", FAST_BAUD))]) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Pump:
    """Another emulator (pump.py), with two ports."""

    ports: list[str]
    process: subprocess.Popen[str]

    def say_again(self) -> int:
        """What the second port was ever given comes there once more, at once; how many bytes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture
def pump() -> Iterator[Pump]:
    """At 115200."""
    program = str(Path(__file__).with_name("pump.py"))
    with subprocess.Popen(
        [sys.executable, program, "115200", "256"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Pump(process.stdout.readline().split(), process)
        process.stdin.close()


@contextmanager
def making_units(directory: Path) -> Iterator[MakeUnit]:
    """Makes units; those that still run at the end must end well, and none may have shown a traceback."""
    made: list[UnitProcess] = []

    def make(number: int, port: str, tables: Tables | None = None) -> UnitProcess:
        unit = UnitProcess(number, directory, tables or {})
        unit.configure({"radio": {"port": port}})
        made.append(unit)
        return unit

    yield make
    failures = []
    for unit in made:
        try:
            unit.end()
            sane(f"unit {unit.number}", unit.said)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture
def make_unit(tmp_path: Path) -> Iterator[MakeUnit]:
    """Makes the units of one test."""
    with making_units(tmp_path) as make:
        yield make
