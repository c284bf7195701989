"""The camera's thread: what is told of a camera that was lost, and that nothing opens one that was given back."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable

import pytest

from firmware.camera_thread import CameraThread
from firmware.events import Answer, TakePicture
from hal.errors import CameraError
from hal.interfaces import Occasion, TimeQuality
from sim.camera import CameraFaults, MemoryShot, SimCamera

PATIENCE_S = 60.0
SHOT = TakePicture(Occasion(1, None, TimeQuality.UNSET))


class Gated(SimCamera):
    """Hangs in a shot until `free` is set, and in open() until `may_open` is."""

    def __init__(self, faults: CameraFaults) -> None:
        super().__init__(random.Random(1), size_bytes=(2000, 3000), faults=faults)
        self.asked, self.free, self.may_open = threading.Event(), threading.Event(), threading.Event()
        self.opening = threading.Event()
        self.opened = 0

    def open(self) -> None:
        self.opening.set()
        assert self.may_open.wait(PATIENCE_S)
        self.opened += 1
        super().open()

    def capture(self, timeout_s: float, occasion: Occasion) -> MemoryShot:
        self.asked.set()
        assert self.free.wait(PATIENCE_S)
        return super().capture(timeout_s, occasion)

    @property
    def is_closed(self) -> bool:
        return self._closed


class Scene:
    """A thread with its camera, and what it has said."""

    def __init__(self, faults: CameraFaults) -> None:
        self.driver = Gated(faults)
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.news: asyncio.Queue[str] = asyncio.Queue()
        self.thread = CameraThread(
            self.driver,
            asyncio.get_running_loop(),
            answered=self.answers.put_nowait,
            news=lambda _event, text: self.news.put_nowait(text),
            broken=lambda error: pytest.fail(str(error)),
        )

    def end(self) -> None:
        self.thread.end_soon()
        self.thread.close()
        self.driver.may_open.set()
        assert self.thread.wait(PATIENCE_S)


def run(story: Callable[[Scene], asyncio.Future[None]], faults: CameraFaults | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story(Scene(faults or CameraFaults()))

    asyncio.run(main())


async def lose(scene: Scene) -> None:
    scene.driver.may_open.set()
    scene.thread.ask(7, SHOT)
    await asyncio.to_thread(scene.driver.asked.wait, PATIENCE_S)
    scene.thread.declare_lost()
    assert (await scene.answers.get()).token == 7
    assert "does not answer" in await scene.news.get()
    scene.driver.free.set()


def test_a_lost_camera_that_gives_a_picture_has_no_trouble_any_more() -> None:
    async def story(scene: Scene) -> None:
        await lose(scene)
        assert await scene.news.get() == "the camera answers again"
        assert scene.thread.problem is None
        assert not scene.thread.is_lost
        scene.end()

    run(story)


def test_a_lost_camera_that_answers_with_an_error_is_still_in_trouble() -> None:
    async def story(scene: Scene) -> None:
        await lose(scene)
        assert "answers again: the camera failed" in await scene.news.get()
        assert "as it was ordered to" in (scene.thread.problem or "")
        scene.thread.ask(8, SHOT)
        shot = (await scene.answers.get()).result
        assert isinstance(shot, MemoryShot)
        shot.close()
        assert scene.thread.problem is None
        scene.end()

    run(story, CameraFaults(fail=frozenset({1})))


def test_what_waits_to_be_made_ready_does_not_open_a_camera_that_was_given_back() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.to_thread(scene.driver.opening.wait, PATIENCE_S)
        scene.end()
        assert scene.driver.opened == 1  # at the start, which was under way
        assert scene.driver.is_closed
        scene.thread._use(None)  # as after a hang, had it been taken up only now
        assert scene.driver.opened == 1

    run(story)


def test_errors_of_the_camera_are_answers() -> None:
    async def story(scene: Scene) -> None:
        scene.driver.may_open.set()
        scene.driver.free.set()
        scene.thread.ask(7, SHOT)
        assert isinstance((await scene.answers.get()).error, CameraError)
        scene.end()

    run(story, CameraFaults(fail=frozenset({1})))
