"""The Debian package and its service: what is in it, that it runs from where it is unpacked, and what systemd says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import build_deb
from firmware import VERSION

ROOT = Path(__file__).parent.parent
UNITS = ("dandelion.service", "dandelion-take-in.service")
LARGEST_EXPOSURE = {"dandelion.service": 20, "dandelion-take-in.service": 25}  # tenths
WITHOUT_DPKG = "there is no dpkg-deb here"
WITHOUT_SYSTEMD = "there is no systemd-analyze here"

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason=WITHOUT_DPKG)
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason=WITHOUT_SYSTEMD)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_deb.build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("root")
    subprocess.run(["dpkg-deb", "-R", str(package), str(tree)], check=True)
    return tree


def run(words: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=os.environ | more)


@needs_dpkg
def test_the_same_checkout_gives_the_same_bytes(package, tmp_path):
    old = os.umask(0o077)
    try:
        assert build_deb.build(tmp_path).read_bytes() == package.read_bytes()
    finally:
        os.umask(old)


@needs_dpkg
def test_every_module_is_in_it_and_no_test(unpacked):
    packed = {str(path.relative_to(unpacked / build_deb.LIBRARY)) for path in unpacked.rglob("*.py")}
    ours = {str(path.relative_to(ROOT)) for name in build_deb.PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert packed == ours - {"deploy/build_deb.py"}
    assert not [path for path in unpacked.rglob("*") if path.name == "__pycache__"]


@needs_dpkg
def test_what_python_needs_is_asked_for_from_the_archive(unpacked):
    control = (unpacked / "DEBIAN" / "control").read_text()
    needed = re.findall(r"^    (\w+) >= ([\d.]+)", _install_requires(), re.MULTILINE)
    assert len(needed) == 7
    packages = {"pyserial": "serial", "Pillow": "pil"}
    for name, version in needed:
        assert f"python3-{packages.get(name, name)} (>= {version.removesuffix('.0')}" in control, name
    assert f"Version: {VERSION}\n" in control


def _install_requires() -> str:
    found = re.search(r"^install_requires =\n(.*?)\n\n", (ROOT / "setup.cfg").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@needs_dpkg
def test_its_programs_run_from_where_it_is_with_its_own_modules(unpacked, tmp_path):
    shown = run([sys.executable, "-P", str(unpacked / "usr/bin/dandelion"), "--help"], PYTHONPATH="/nowhere")
    assert shown.stdout.startswith("usage: dandelion"), shown.stderr
    shown = run([sys.executable, "-P", str(unpacked / "usr/sbin/dandelion-setup"), "--root", str(tmp_path), "--yes"])
    assert shown.returncode == 0, shown.stderr
    assert "no config.txt" in shown.stderr


@needs_dpkg
def test_scripts_of_the_package_are_ones(unpacked):
    for script in (*(unpacked / "DEBIAN" / name for name in build_deb.SCRIPTS), ROOT / "deploy" / "install"):
        assert os.access(script, os.X_OK), script
        assert run(["sh", "-n", str(script)]).stderr == ""


@needs_dpkg
def test_the_installer_says_how_it_is_used_and_does_nothing_for_a_wrong_word():
    said = run(["sh", str(ROOT / "deploy" / "install"), "--everything"])
    assert said.returncode == 2
    assert "--uninstall" in said.stdout


@needs_dpkg
@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(unpacked, tmp_path):
    for name in UNITS:
        text = (unpacked / "usr/lib/systemd/system" / name).read_text()
        for program in ("usr/bin/dandelion", "usr/sbin/dandelion-setup"):
            text = text.replace(f"=/{program}", f"={unpacked / program}")
        (tmp_path / name).write_text(text)
    said = run(["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)])
    ours = [line for line in said.stderr.splitlines() if "dandelion" in line]
    assert ours == []


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_the_units_are_hardened(name):
    threshold = LARGEST_EXPOSURE[name]
    unit = str(ROOT / "deploy" / "systemd" / name)
    said = run(["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", "--no-pager", unit])
    assert said.returncode == 0, said.stdout.splitlines()[-1:]


def service() -> str:
    return (ROOT / "deploy" / "systemd" / "dandelion.service").read_text()


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "TimeoutStopSec=5",
        "RuntimeDirectory=dandelion",
        "StateDirectory=dandelion",
        "User=dandelion",
    ],
)
def test_the_service_comes_back_whatever_ends_it(line):
    assert f"\n{line}\n" in service()


def test_whether_the_clock_is_kept_right_may_be_asked():
    """ProtectClock= forbids adjtimex(2): each picture's time would count as unset."""
    assert "\nProtectClock=" not in service()
    assert re.search(r"^SystemCallFilter=adjtimex ", service(), re.MULTILINE)


def test_the_boards_watchdog_takes_no_more_than_a_raspberry_pis_can():
    found = re.search(r"^RuntimeWatchdogSec=(\d+)$", (ROOT / "deploy/systemd/system.conf").read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) <= 15


FIXED_MAJORS = {"ttyS": 4, "video4linux": 81, "ttyACM": 166, "ttyUSB": 188, "ttyAMA": 204}
"""Kinds of devices whose modules may come after the unit's start; numbers as of the kernel's devices.txt."""
THERE_FROM_THE_START = {"pts", "gpiochip", "*gpiomem", "dma_heap", "vcio"}
LOADED_BEFORE = {"media": "modprobe@mc.service"}


def test_the_service_may_use_devices_that_come_after_its_start():
    """systemd knows a kind of device by name only if it is there when the unit starts."""
    kinds = set(re.findall(r"^DeviceAllow=char-(\S+) rw$", service(), re.MULTILINE))
    assert {int(kind) for kind in kinds if kind.isdigit()} == set(FIXED_MAJORS.values())
    assert {kind for kind in kinds if not kind.isdigit()} == THERE_FROM_THE_START | LOADED_BEFORE.keys()
    for loaded in LOADED_BEFORE.values():
        assert f"\nAfter={loaded}\nWants={loaded}\n" in service()
