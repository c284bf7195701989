"""The stories that `make cuts` tells, by name; each schedule has the next one."""

from __future__ import annotations

from collections.abc import Sequence

from firmware import commands as c
from firmware import messages as m
from firmware.pictures import File
from sim.machine import Options
from sim.scene import TRIES, Scene, Story


class Urgent(Story):
    """Two copies at once."""

    units = 3

    def tell(self, scene: Scene) -> None:
        scene.shoot(priority=True)


class ByHand(Story):
    """A second copy where a person wants it."""

    units = 3

    def prepare(self, scene: Scene) -> None:
        scene.settled_shot()

    def tell(self, scene: Scene) -> None:
        picture = next(iter(scene.checks.truths))
        free = [unit for unit in (2, 3) if unit not in scene.checks.truths[picture].holders]
        scene.ask(scene.origin, lambda ticket: c.PlaceCopy(ticket, picture, free[0], 60.0))


class Dropped(Story):
    """A person frees the own file, after a fresh proof."""

    def prepare(self, scene: Scene) -> None:
        scene.settled_shot()
        if scene.chance.random() < 0.7:  # a proof of an earlier boot is not fresh
            scene.origin.kill()
            scene.switch_on(scene.origin)
            scene.settle()

    def tell(self, scene: Scene) -> None:
        for picture in list(scene.checks.truths):
            scene.ask(scene.origin, lambda ticket, p=picture: c.DropOwn(ticket, p))  # type: ignore[misc]


class Pressed(Story):
    """A card that is nearly full: with the next shot the oldest own file makes way."""

    def options(self, size_bytes: int) -> Options:
        return Options(
            size_bytes=(size_bytes, size_bytes), capacity_bytes=6 * size_bytes + size_bytes // 2, hosting_share=0.9
        )

    def prepare(self, scene: Scene) -> None:
        for _ in range(4):
            scene.settled_shot()

    def tell(self, scene: Scene) -> None:
        scene.shoot()


class Recalled(ByHand):
    """The own file is gone, and a person wants a second copy: it is collected first."""

    def prepare(self, scene: Scene) -> None:
        picture = scene.settled_shot()
        dropped = scene.ask(scene.origin, lambda ticket: c.Verify(ticket, picture.id))
        scene.ask(scene.origin, lambda ticket: c.DropOwn(ticket, picture.id))
        scene.settle()
        entry = scene.origin.entry(picture.id)
        assert entry is not None, dropped
        assert entry.file is File.GONE, f"not dropped\n{scene.rig.story()}"


class ReadOut(Recalled):
    """Read out at the origin, that has no file of it; nothing changes anywhere."""

    units = 2

    def tell(self, scene: Scene) -> None:
        picture = next(iter(scene.checks.truths))
        scene.ask(scene.origin, lambda ticket: c.Get(ticket, picture, False, 60.0))


class Deleted(Story):
    """A person deletes it at its origin."""

    def prepare(self, scene: Scene) -> None:
        scene.settled_shot()

    def tell(self, scene: Scene) -> None:
        for picture in list(scene.checks.truths):
            scene.ask(scene.origin, lambda ticket, p=picture: c.DeletePicture(ticket, p))  # type: ignore[misc]

    def missing(self, scene: Scene) -> str:
        living = [str(picture) for picture, truth in scene.checks.truths.items() if not truth.deleted]
        return f"{living} are not deleted" if living else super().missing(scene)


class DeletedElsewhere(Deleted):
    """A person deletes it at its holder, which forwards the order."""

    def tell(self, scene: Scene) -> None:
        picture = next(iter(scene.checks.truths))
        scene.ask(scene.host, lambda ticket: c.DeletePicture(ticket, picture))


class Unconfirmed(Story):
    """KEEP was lost: after a restart of either the holder asks whether its copy is wanted."""

    def prepare(self, scene: Scene) -> None:
        line = scene.rig.loses
        scene.rig.loses = lambda said: isinstance(said.message, m.Keep)
        picture = scene.shoot()
        assert picture is not None
        scene.rig.run_for(30)
        scene.rig.loses = line

    def tell(self, scene: Scene) -> None:
        machine = scene.chance.choice((scene.origin, scene.host))
        if machine.running is not None:
            machine.kill()
            scene.switch_on(machine)


class TwoWays(Story):
    """Both take a picture at once, each is the other's host."""

    def tell(self, scene: Scene) -> None:
        scene.host.command(lambda ticket: c.Shoot(ticket, False))
        scene.shoot()


class Relieved(Recalled):
    """A holder asks for room: the copy is placed elsewhere, leaves the list, and is let go. Half of the origins have no
    file of it, and must collect it first."""

    def prepare(self, scene: Scene) -> None:
        if scene.chance.random() < 0.5:
            super().prepare(scene)
        else:
            scene.settled_shot()

    def tell(self, scene: Scene) -> None:
        picture, truth = next(iter(scene.checks.truths.items()))
        holder = scene.machines[min(truth.holders)]
        for _ in range(TRIES):
            row = holder.entry(picture)
            if holder.running is not None and row is not None and row.attempt:
                holder.running.core.say(1, m.Relieve(picture, row.attempt))
                holder.turn()
            scene.rig.run(lambda: holder.unit not in truth.holders, 20.0)

    def missing(self, scene: Scene) -> str:
        let_go = any("was let go" in text for text in scene.origin.logged("dropped"))
        return super().missing(scene) if let_go else "no copy was let go"


STORIES: dict[str, Story] = {
    "copied": Story(),
    "dropped": Dropped(),
    "by-hand": ByHand(),
    "deleted": Deleted(),
    "recalled": Recalled(),
    "pressed": Pressed(),
    "unconfirmed": Unconfirmed(),
    "urgent": Urgent(),
    "deleted-elsewhere": DeletedElsewhere(),
    "two-ways": TwoWays(),
    "read-out": ReadOut(),
    "relieved": Relieved(),
}


def story_of(seed: int) -> str:
    """Schedule after schedule, one story after the other."""
    return _NAMES[(seed - 1) % len(_NAMES)]


_NAMES: Sequence[str] = tuple(STORIES)
