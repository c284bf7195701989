"""R10 by chance: under loss, power cuts, lost catalogues, changing rosters all is settled, whoever acts in the end."""

import random

import pytest
from rig_scene import check, held, on_card, own, shoot

from firmware import commands as c
from firmware.determine import Rules
from firmware.pictures import File
from sim.credentials import AdminFolder
from sim.machine import Machine, Options
from sim.radio import LineOptions
from sim.rig import Rig

PICTURES = 6
STEPS = 8
SETTLED_S = 4 * 24 * 3600.0
OTHERS = (2, 3, 4, 5)


class Story:
    """Unit 1 takes pictures and is gone; the admin names one of the others, and another one, while their power goes."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.wanted = self.chance.choice([1, 2])
        self.admin = AdminFolder((1, *OTHERS))
        self.rig = Rig(seed, line=LineOptions(frame_loss=self.chance.choice([0.0, 0.05, 0.15])))
        self.gone, *self.left = [Machine(self.rig, unit, self._options(unit)) for unit in (1, *OTHERS)]
        self.by = 0

    def _options(self, unit):
        rules, credential = Rules(copies=self.wanted), self.admin.credential(unit)
        return Options(credential=credential, size_bytes=(4000, 9000), rules=rules, capacity_bytes=400_000)

    def tell(self):
        self.rig.run_for(120)
        self.pictures = [shoot(self.gone) for _ in range(PICTURES)]
        self.rig.run_for(self.chance.uniform(0, 900))
        self.gone.kill()
        self.had = [p for p in self.pictures if any(on_card(machine, p) for machine in self.left)]
        self.name_one()
        for _ in range(STEPS):
            self.rig.run_for(self.chance.expovariate(1 / 300))
            self.chance.choice([self.cut, self.cut, self.name_one, self.shoot, self.drop])()
        for machine in self.left:
            if machine.running is None:
                machine.restart()
        self.push()

    def cut(self):
        machine = self.chance.choice(self.left)
        if machine.running is not None:
            machine.power_cut()
        self.rig.run_for(self.chance.uniform(0, 60))
        if self.chance.random() < 0.25:
            machine.lose_catalogue()
        machine.restart()

    def name_one(self):
        self.by = self.chance.choice(OTHERS)
        self.admin.adopt(1, self.by)
        self.push()

    def push(self):
        encoded = self.admin.newest.encoded
        self._some_unit().command(lambda ticket: c.PushRoster(ticket, encoded))

    def shoot(self):
        self._some_unit().command(lambda ticket: c.Shoot(ticket, False))

    def drop(self):
        picture = self.chance.choice(self.pictures)
        self._some_unit().command(lambda ticket: c.DropOwn(ticket, picture.id))

    def _some_unit(self):
        return self.chance.choice([machine for machine in self.left if machine.running is not None])

    def settled(self):
        return (
            all(machine.running is not None for machine in self.left)
            and all(machine.on.core.acts_for == ({1} if machine.unit == self.by else set()) for machine in self.left)
            and all(map(self._has_its_copies, self.had))
            and all(row.kept for machine in self.left for row in held(machine))
        )

    def _has_its_copies(self, picture):
        """The list of who acts names all that have it, and no others."""
        acting = self.left[OTHERS.index(self.by)]
        entry = acting.entry(picture.id)
        holders = [m.unit for m in self.left if m is not acting and on_card(m, picture)]
        listed = [] if entry is None else [copy.unit for copy in entry.listed]
        return listed == holders and len(entry.verified) == len(holders) >= self.wanted

    def rooms(self):
        """What each unit reckons with, and what its rows say."""
        for machine in self.left:
            room = machine.on.core.room
            yield (room.own_bytes, room.held_bytes), (_bytes_of(own(machine)), _bytes_of(held(machine)))


def _bytes_of(rows):
    return sum(row.picture.size_bytes for row in rows if row.file is not File.GONE)


@pytest.mark.parametrize("seed", range(1, 7))
def test_whoever_acts_in_the_end_has_every_picture_with_its_copies(seed):
    story = Story(seed)
    story.tell()
    story.rig.run_until(story.settled, SETTLED_S)
    check(*story.left)
    assert len(story.had) > 0
    for reckoned, there in story.rooms():
        assert reckoned == there
