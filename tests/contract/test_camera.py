"""What every camera keeps to (hal.interfaces.Camera and Shot), on each implementation."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from hal.camera_line import PREVIEW_MAX_BYTES
from hal.child_camera import ChildCamera
from hal.errors import CameraError, CameraHung
from hal.interfaces import Camera, Occasion, Shot, TimeQuality
from sim.camera import CameraFaults, SimCamera, grey_jpeg

PATIENCE_S = 60.0  # for a capture that must succeed
OCCASION = Occasion(7, 1_790_000_000.25, TimeQuality.SYNCED)
PICTURE = "00007-3fa7-00000042"
LONGEST = "65534-ffff-4294967295"


@dataclass(frozen=True, slots=True)
class Rig:
    """A camera, how to make its next capture hang, and whether its pictures are of others, and so not altered."""

    camera: Camera
    hang: Callable[[], None]
    of_others: bool = False


def folder_rig(folder: Path) -> Rig:
    chance = random.Random(7)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (folder / name).write_bytes(grey_jpeg(chance, chance.randint(1000, 300_000)))
    return child_rig(ChildCamera("folder", folder=folder, size=(640, 480), quality=85), of_others=True)


def pattern_rig(folder: Path) -> Rig:
    del folder
    return child_rig(ChildCamera("pattern", folder=None, size=(320, 240), quality=85))


def picamera_rig(folder: Path) -> Rig:
    del folder
    return child_rig(ChildCamera("picamera2", folder=None, size=(1920, 1080), quality=85))


def child_rig(camera: ChildCamera, *, of_others: bool = False) -> Rig:
    def hang() -> None:
        assert camera.child_pid is not None
        os.kill(camera.child_pid, signal.SIGSTOP)

    return Rig(camera, hang, of_others)


def sim_rig(folder: Path) -> Rig:
    del folder
    camera = SimCamera(random.Random(7), size_bytes=(1000, 300_000))

    def hang() -> None:
        camera.faults = CameraFaults(hang=frozenset({camera.captures + 1}))

    return Rig(camera, hang)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rigs = [folder_rig, pattern_rig, sim_rig]
    if metafunc.config.getoption("--picamera2"):
        rigs.append(picamera_rig)
    metafunc.parametrize("rig", rigs, indirect=True)


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made: Rig = request.param(tmp_path)
    made.camera.open()
    yield made
    made.camera.close()


def whole(shot: Shot) -> bytes:
    return shot.read(0, shot.size_bytes)


def test_a_shot_is_complete_and_its_digest_is_right(rig: Rig) -> None:
    shot = rig.camera.capture(PATIENCE_S, OCCASION)
    assert len(whole(shot)) == shot.size_bytes > 0
    assert hashlib.sha256(whole(shot)).digest() == shot.sha256
    shot.close()


def test_ranges_are_exact_and_short_only_at_the_end(rig: Rig) -> None:
    shot = rig.camera.capture(PATIENCE_S, OCCASION)
    data, size_bytes = whole(shot), shot.size_bytes
    for offset, length in ((0, 1), (1, 500), (size_bytes // 2, 333), (size_bytes - 1, 1), (0, 0)):
        assert shot.read(offset, length) == data[offset : offset + length]
    assert shot.read(size_bytes - 3, 1000) == data[-3:]
    assert shot.read(size_bytes, 10) == b""
    shot.close()


def test_the_picture_is_a_jpeg_and_has_a_small_preview_that_is_one(rig: Rig) -> None:
    shot = rig.camera.capture(PATIENCE_S, OCCASION)
    assert 0 < len(shot.preview) <= PREVIEW_MAX_BYTES
    for data in (whole(shot), shot.preview):
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            picture.load()
    shot.close()


@pytest.mark.parametrize("picture", [PICTURE, LONGEST])
def test_a_shot_is_given_its_id_and_is_as_long_as_it_was(rig: Rig, picture: str) -> None:
    shot = rig.camera.capture(PATIENCE_S, OCCASION)
    before = whole(shot)
    named = shot.named(picture)
    data = whole(named)
    assert (named.size_bytes, named.sha256) == (len(before), hashlib.sha256(data).digest())
    assert named.preview == shot.preview
    assert whole(shot) == before
    if rig.of_others:
        assert data == before
    else:
        assert data.count(picture.encode()) == 1
    parts = [named.read(offset, 7) for offset in range(0, named.size_bytes, 7)]
    assert b"".join(parts) == data
    again = named.named(PICTURE)
    assert (picture.encode() in whole(again)) == (picture == PICTURE and not rig.of_others)
    shot.close()
    with pytest.raises(ValueError, match="closed"):
        named.read(0, 1)


def test_shots_held_at_once_stay_intact(rig: Rig) -> None:
    shots = [rig.camera.capture(PATIENCE_S, OCCASION) for _ in range(3)]
    assert len({shot.sha256 for shot in shots}) == len(shots)
    shots[1].close()
    for shot in (shots[0], shots[2]):
        assert hashlib.sha256(whole(shot)).digest() == shot.sha256
        shot.close()


def test_a_shot_outlives_its_camera(rig: Rig) -> None:
    shot = rig.camera.capture(PATIENCE_S, OCCASION)
    rig.camera.close()
    assert hashlib.sha256(whole(shot)).digest() == shot.sha256
    shot.close()


def test_a_closed_shot_has_nothing_and_may_be_closed_again(rig: Rig) -> None:
    shot = rig.camera.capture(PATIENCE_S, OCCASION)
    shot.close()
    shot.close()
    with pytest.raises(ValueError, match="closed"):
        shot.read(0, 1)


def test_a_closed_camera_takes_nothing_until_it_is_opened_again(rig: Rig) -> None:
    rig.camera.close()
    rig.camera.close()
    with pytest.raises(CameraError):
        rig.camera.capture(PATIENCE_S, OCCASION)
    rig.camera.open()
    rig.camera.open()
    rig.camera.capture(PATIENCE_S, OCCASION).close()


def test_a_hang_is_told_and_the_next_capture_works(rig: Rig) -> None:
    rig.hang()
    with pytest.raises(CameraHung):
        rig.camera.capture(0.1, OCCASION)
    rig.camera.capture(PATIENCE_S, OCCASION).close()
