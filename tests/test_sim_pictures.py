"""The pictures of the simulated fleet, made by the command as `make run` makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

from sim.pictures import make_pictures


def test_the_command_makes_different_jpegs_of_200_to_300_kb(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim.pictures", str(tmp_path / "made"), "--count", "4"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    paths = sorted((tmp_path / "made").glob("*.jpg"))
    assert len({path.read_bytes() for path in paths}) == 4
    for path in paths:
        assert 200_000 <= path.stat().st_size <= 300_000
        with Image.open(path, formats=["JPEG"]) as picture:
            picture.load()


def test_pictures_are_the_same_every_time_and_as_short_as_asked_for(tmp_path: Path) -> None:
    (one,), (other,) = (make_pictures(tmp_path / name, count=1, about_bytes=100_000) for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    assert 80_000 <= one.stat().st_size <= 100_000
