"""The whole loop works with whatever packets a radio carries: those of every XBee product, and longer ones."""

import hashlib

import pytest
from rig_scene import carry_out, copies, own, rows, settled, shoot

from firmware import commands as c
from sim.machine import Machine, Options
from sim.rig import Rig

XBEE_CRC_BYTES = 2
PAYLOADS = [66, 84, 100, 256, 2048]  # NP: Zigbee with encryption and without, 802.15.4, below 1 GHz; the largest


@pytest.mark.parametrize("mtu_bytes", [48, *(payload - XBEE_CRC_BYTES for payload in PAYLOADS)])
def test_a_picture_is_copied_proved_dropped_read_out_by_a_third_found_again_and_deleted(mtu_bytes):
    rig = Rig(1)
    options = Options(mtu_bytes=mtu_bytes, size_bytes=(6000, 6000))
    one, two, three = (Machine(rig, unit, options) for unit in (1, 2, 3))
    rig.run_until(lambda: all(len(machine.on.core.neighbours) == 2 for machine in (one, two, three)), 60)
    picture = shoot(one)
    rig.run_until(settled(one, two, three), 120)
    assert isinstance(carry_out(one, lambda ticket: c.DropOwn(ticket, picture.id)), c.Done)
    asker = next(machine for machine in (two, three) if machine.unit not in copies(one, picture))
    ticket = asker.command(lambda ticket: c.Get(ticket, picture.id, False, 60.0))
    rig.run_until(lambda: isinstance(asker.outcome(ticket), c.Done | c.Failed), 120)
    data = b"".join(told.data for told in asker.told[ticket] if isinstance(told, c.Data))
    assert hashlib.sha256(data).digest() == picture.sha256
    one.power_cut()
    one.lose_catalogue()
    one.restart()
    rig.run_until(lambda: [entry.picture.id for entry in own(one)] == [picture.id], 120)
    rig.run_until(settled(one, two, three), 120)
    assert isinstance(carry_out(one, lambda ticket: c.DeletePicture(ticket, picture.id)), c.Done)
    rig.run_until(lambda: not any(rows(machine) for machine in (one, two, three)), 120)
    assert max(len(said.packet) for said in rig.said) <= mtu_bytes
