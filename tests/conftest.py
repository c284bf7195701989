"""Fixtures of more than one test file."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_scene import Unit
from unprivileged import NOBODY

from hal.directory_card import DirectoryCard
from hal.interfaces import Card
from sim.card import SimCard


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "what takes long in tests/test_power_cuts.py and tests/e2e/test_stops.py too: every call, more chances"
    parser.addoption("--every-cut", action="store_true", help=text)
    text = "how often Digi's library goes through each simulated XBee module (tests/test_xbee_ports.py)"
    parser.addoption("--digi-runs", type=int, default=1, metavar="N", help=text)
    text = "the board's camera by picamera2 too, which a container has (tests/e2e/test_picamera2_in_a_container.py)"
    parser.addoption("--picamera2", action="store_true", help=text)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests of picamera2 are for where it is."""
    there = collection_path.name != "test_picamera2.py" or config.getoption("--picamera2")
    return None if there else True


def pytest_configure():
    """A shell that starts all this in the background lets it ignore Ctrl-C, and so every child that a test makes."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Two workers more than cores (`-n auto`): those that have the real units mostly wait for their lines."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Only where pytest-xdist is."""
    from lots import Lots

    return Lots(config, log)


@pytest.fixture
def public():
    """A directory that is nobody's, in the sense of the user of that name; pytest's own are closed to him."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a config that the command finds by itself."""
    (tmp_path / "config.toml").write_text(
        f"""
        [unit]
        id = 1
        name = "north-gate"
        runtime_dir = "{tmp_path}/run"
        [card]
        path = "{tmp_path}/card"
        [camera]
        driver = "none"
        [radio]
        driver = "none"
        [security]
        insecure = true
        """
    )
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("DANDELION_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


@pytest.fixture(params=["directory", "sim"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Unit]:
    """The storage of a unit that has just started, on a real directory and on the simulated card."""
    card: Card = DirectoryCard(str(tmp_path / "card")) if request.param == "directory" else SimCard()
    made = Unit(card, tmp_path / "catalogue.sqlite3")
    made.start()
    yield made
    made.stop()
