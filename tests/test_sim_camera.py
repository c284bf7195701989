"""The simulated camera's own promises; what it shares with the others is in contract/test_camera.py."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from hal.errors import CameraError, CameraHung
from hal.interfaces import Occasion, TimeQuality
from sim.camera import COMMENT_MAX_BYTES, GREY_JPEG, LEAST_BYTES, CameraFaults, SimCamera, grey_jpeg

OCCASION = Occasion(1, None, TimeQuality.UNSET)
LENGTHS = [LEAST_BYTES, LEAST_BYTES + 1, 8000]
LENGTHS += [len(GREY_JPEG) + COMMENT_MAX_BYTES + extra for extra in range(6)]


@pytest.mark.parametrize("size_bytes", LENGTHS)
def test_pictures_of_every_length_are_real_jpegs(size_bytes: int) -> None:
    data = grey_jpeg(random.Random(1), size_bytes)
    assert len(data) == size_bytes
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
        picture.load()


def test_the_same_chance_gives_the_same_pictures() -> None:
    one, other = (SimCamera(random.Random(9), size_bytes=(200, 9000)) for _ in range(2))
    digests = [one.capture(1, OCCASION).sha256 for _ in range(5)]
    assert digests == [other.capture(1, OCCASION).sha256 for _ in range(5)]
    assert len(set(digests)) == 5


def test_faults_come_at_the_captures_they_are_ordered_for_and_only_there() -> None:
    faults = CameraFaults(hang=frozenset({2}), fail=frozenset({3}))
    camera = SimCamera(random.Random(9), size_bytes=(200, 9000), faults=faults)
    camera.capture(1, OCCASION)
    with pytest.raises(CameraHung):
        camera.capture(1, OCCASION)
    with pytest.raises(CameraError) as caught:
        camera.capture(1, OCCASION)
    assert not isinstance(caught.value, CameraHung)
    camera.capture(1, OCCASION)
