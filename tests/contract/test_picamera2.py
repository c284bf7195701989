"""The board's camera by the real picamera2: run by tests/e2e/test_picamera2_in_a_container.py; not part of `make test`.

What it shares with all cameras is in test_camera.py.
"""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import piexif
import pytest
from PIL import Image

from hal.camera_child import CAMERA_MAX_BYTES
from hal.camera_line import request_of
from hal.child_camera import ChildCamera
from hal.errors import CameraError, CameraHung
from hal.interfaces import Occasion, TimeQuality
from hal.picamera_source import PicameraSource, _controls

PATIENCE_S = 60.0
OCCASION = Occasion(7, 1_790_000_000.25, TimeQuality.SYNCED)
PICTURE = "00007-3fa7-00000042"


def made(size: tuple[int, int] = (1920, 1080), quality: int = 85) -> ChildCamera:
    return ChildCamera("picamera2", folder=None, size=size, quality=quality)


@pytest.fixture
def camera() -> Iterator[ChildCamera]:
    camera = made()
    camera.open()
    yield camera
    camera.close()


def shoot(camera: ChildCamera) -> bytes:
    shot = camera.capture(PATIENCE_S, OCCASION).named(PICTURE)
    data = shot.read(0, shot.size_bytes)
    shot.close()
    return data


def test_the_size_that_was_asked_for_is_given_without_a_word(camera: ChildCamera) -> None:
    assert camera.note == ""
    with Image.open(io.BytesIO(shoot(camera))) as picture:
        assert picture.size == (1920, 1080)
        # The virtual camera shows eight bars, from white to black: the planes are where they should be.
        colours = [picture.getpixel((x, 500)) for x in range(120, 1920, 240)]
    assert len({tuple(round(value / 64) for value in colour) for colour in colours}) == 8
    assert min(colours[0]) > 150
    assert max(colours[-1]) < 60


def test_a_size_that_the_camera_has_not_is_read_back_and_told() -> None:
    camera = made(size=(640, 480))
    camera.open()
    assert camera.note == "the camera gives pictures of 1920 x 1080 pixels; camera.size asks for 640 x 480"
    data = shoot(camera)
    camera.close()
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (1920, 1080)
    assert piexif.load(data)["Exif"][piexif.ExifIFD.PixelXDimension] == 1920


def test_quality_is_respected() -> None:
    lengths = []
    for quality in (20, 95):
        camera = made(quality=quality)
        lengths.append(len(shoot(camera)))
        camera.close()
    assert lengths[0] * 1.2 < lengths[1]


def test_the_exif_block_is_ours_alone(camera: ChildCamera) -> None:
    exif = piexif.load(shoot(camera))
    first, second = exif["0th"], exif["Exif"]
    assert first[piexif.ImageIFD.Model] == b"Virtual Video Device"
    assert first[piexif.ImageIFD.Software] == b"Dandelion"
    assert second[piexif.ExifIFD.ImageUniqueID] == PICTURE.encode()
    assert second[piexif.ExifIFD.BodySerialNumber] == b"7"
    assert second[piexif.ExifIFD.DateTimeOriginal] == b"2026:09:21 14:13:20"
    assert second[piexif.ExifIFD.OffsetTimeOriginal] == b"+00:00"
    assert piexif.ExifIFD.ExposureTime not in second  # this camera does not tell it


def test_many_shots_come_from_one_child_which_gives_the_camera_back_at_its_end(camera: ChildCamera) -> None:
    child = camera._child
    assert child is not None
    assert all(shoot(camera) for _ in range(10))
    assert camera.child_pid == child.process.pid
    camera.close()
    assert child.process.returncode == 0


def test_controls_are_set_only_where_they_are_offered_and_within_their_bounds() -> None:
    assert _controls({}) == {}
    assert _controls({"FrameDurationLimits": (16_666, 33_333, None)}) == {"FrameDurationLimits": (33_333, 33_333)}
    offered = {"AfMode": (0, 2, 0), "FrameDurationLimits": (1000, 10**9, None)}
    assert _controls(offered) == {"AfMode": 2, "FrameDurationLimits": (50_000, 1_000_000)}
    assert _controls({"AfMode": (0, 1, 0)}) == {}


def test_a_child_that_hangs_is_killed_and_the_next_shot_is_taken_in_time(camera: ChildCamera) -> None:
    shoot(camera)
    assert camera.child_pid is not None
    child = os.pidfd_open(camera.child_pid)
    signal.pidfd_send_signal(child, signal.SIGSTOP)
    hung_at = time.monotonic()
    with pytest.raises(CameraHung):
        camera.capture(1.0, OCCASION)
    assert shoot(camera)
    assert time.monotonic() - hung_at < 20
    os.close(child)


def test_a_child_that_dies_while_it_streams_is_replaced(camera: ChildCamera) -> None:
    assert camera.child_pid is not None
    os.kill(camera.child_pid, signal.SIGKILL)
    os.waitid(os.P_PID, camera.child_pid, os.WEXITED | os.WNOWAIT)
    assert shoot(camera)


def test_memory_is_bounded_and_what_is_used_is_far_from_it(camera: ChildCamera) -> None:
    for _ in range(3):
        shoot(camera)
    limits = Path(f"/proc/{camera.child_pid}/limits").read_text()
    status = Path(f"/proc/{camera.child_pid}/status").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max data size"))
    assert line.split()[3:5] == [str(CAMERA_MAX_BYTES)] * 2
    used_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData"))
    assert used_kb * 1024 < CAMERA_MAX_BYTES / 2


def test_the_parent_has_imported_nothing_heavy(camera: ChildCamera) -> None:
    maps = Path(f"/proc/{os.getpid()}/maps").read_text()
    assert "libcamera" not in maps
    assert "libcamera" in Path(f"/proc/{camera.child_pid}/maps").read_text()


def test_a_camera_that_is_not_there_is_told_and_tried_again_not_before_its_time() -> None:
    now = [0.0]
    camera = ChildCamera("picamera2", folder=None, size=(1920, 1080), quality=85, clock=lambda: now[0])
    hidden = os.environ.get("LIBCAMERA_PIPELINES_MATCH_LIST")
    os.environ["LIBCAMERA_PIPELINES_MATCH_LIST"] = "none"
    try:
        for at in (0.0, 0.9, 1.0):
            now[0] = at
            with pytest.raises(CameraError, match="no camera is found"):
                camera.capture(PATIENCE_S, OCCASION)
            assert camera.child_pid is None
    finally:
        os.environ.pop("LIBCAMERA_PIPELINES_MATCH_LIST")
        if hidden is not None:
            os.environ["LIBCAMERA_PIPELINES_MATCH_LIST"] = hidden
    with pytest.raises(CameraError, match="no camera is found"):
        camera.capture(PATIENCE_S, OCCASION)
    now[0] = 3.0
    assert shoot(camera)
    camera.close()


# Last: it has picamera2 in this process.


def test_a_shot_is_of_a_frame_after_it_was_asked_for() -> None:
    """Not the one that came last, which may be of any time before: what the motion sensor saw is in the picture."""
    source = PicameraSource((1920, 1080), 85)
    request = request_of(1, "", PATIENCE_S, OCCASION)
    frames, seen = threading.Semaphore(0), []
    with closing(source):
        source.choose(request)
        source._camera.post_callback = lambda _: frames.release()
        capture = source._capture

        def watched() -> object:
            frame = capture()
            seen.append(frame.get_metadata()["SensorTimestamp"])
            return frame

        source._capture = watched
        source.take("", request, io.BytesIO())
        for _ in range(3):
            while frames.acquire(blocking=False):
                pass
            assert frames.acquire(timeout=PATIENCE_S), "no frame comes between two shots"
            asked_at = time.monotonic_ns()
            source.take("", request, io.BytesIO())
            assert seen[-1] >= asked_at
