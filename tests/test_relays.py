"""Read-outs from units that are not heard: through those between, with loss, restarts and rot on the way (HANDOVER §3)."""

import hashlib

import pytest
from out_of_range import Field, row
from rig_scene import shoot

from firmware import commands as c
from firmware import messages as m


def whole(field, unit, ticket, picture, holder, within_s=120.0):
    """The command got every byte, from that holder."""
    ended = field.wait(unit, ticket, within_s)
    assert isinstance(ended, c.Done), str(ended.error) + "\n" + field.rig.story()
    assert hashlib.sha256(field.read(unit, ticket)).digest() == picture.sha256
    assert ended.value.from_unit == holder
    return True


@pytest.mark.parametrize("length", [3, 4, 5, 6])
def test_a_picture_comes_through_up_to_four_units_between(length):
    field = Field(*row(range(1, length + 1)))
    picture = shoot(field[length])
    assert whole(field, 1, field.get(1, picture), picture, length)
    between = range(2, length)
    assert all(field[unit].said(m.Get)[0].message.hops == unit - 1 for unit in between)
    assert all(not list(field[unit].on.relays) for unit in between) or field.rig.run_for(2) is None
    assert all(field[unit].on.core.room.used_bytes == 0 for unit in between)


def test_farther_than_the_hop_limit_nothing_is_found_and_that_in_time():
    field = Field(*row(range(1, 8)))
    picture = shoot(field[7])
    began = field.rig.now
    ended = field.wait(1, field.get(1, picture), 20)
    assert isinstance(ended, c.Failed)
    assert field.rig.now - began < 19
    assert field[6].said(m.Where) == []
