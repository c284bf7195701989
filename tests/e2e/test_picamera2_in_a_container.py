"""The contract tests of a camera with the real picamera2, on libcamera's virtual pipeline, in a Debian of its own:
`make camera`, and part of `make container`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.board import recipe
from sim.board.container import Container

WITHIN_S = 600.0
ADAPTED = {  # for want of a real camera: sim/board/camera/sitecustomize.py, and a dma-heap of ordinary memory
    "LD_PRELOAD": "/usr/local/lib/dmaheap.so",
    "PYTHONPATH": "/mnt/dandelion/sim/board/camera",
    "PYTHONDONTWRITEBYTECODE": "1",
}
TESTS = ("tests/contract/test_camera.py", "tests/contract/test_picamera2.py")


@pytest.mark.container
@pytest.mark.timeout(1800)
def test_the_real_picamera2_does_what_a_camera_must(tmp_path: Path) -> None:
    with Container(tmp_path / "camera") as board:
        board.on()
        pytest_there = (f"{recipe.VENV}/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--picamera2")
        done = board.ask("env", "--chdir=/mnt/dandelion", *pytest_there, *TESTS, within_s=WITHIN_S, env=ADAPTED)
    print(done.out)
    assert done.code == 0
    assert "skipped" not in done.out
