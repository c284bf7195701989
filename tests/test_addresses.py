"""Which radio a packet is for, where the medium has addresses: learnt of what nobody else can have said."""

from dataclasses import replace

import pytest
from rig_scene import a_pair

from firmware import messages as m
from firmware.messages_network import NOISE_BYTES
from firmware.pictures import EVERYONE, PictureId
from hal.interfaces import Arrival

ITS, ANOTHER = 0x0013A20040000002, 0x0013A20040000003


@pytest.fixture
def pair():
    rig, one, two = a_pair()
    rig.run_for(30)
    while one.on.next_packet(rig.now, rig.now) is not None:
        pass
    return rig, one.on, two


def hear(rig, unit, two, to, message, sender, rssi_dbm=None):
    for packet in two.on.link.encode(to, message):
        unit.packet(Arrival(packet, sender, rssi_dbm), rig.now)


def beacon(two):
    *_, last = (said.message for said in two.said(m.Beacon))
    return replace(last, answer_wanted=False)


def radio_for(rig, unit, message, to=2):
    """Where the next packet goes, which is this message's."""
    unit.core.outbox.clear()
    unit.core.say(to, message)
    return unit.next_packet(rig.now, rig.now).to


def test_what_is_for_a_unit_goes_to_the_radio_that_it_spoke_from_in_its_session(pair):
    rig, unit, two = pair
    assert radio_for(rig, unit, m.NameAsk()) is None
    hear(rig, unit, two, 1, m.NameAsk(), ITS)
    assert radio_for(rig, unit, m.NameAsk()) == ITS


@pytest.mark.parametrize("to", [2, EVERYONE])
def test_what_is_for_everyone_and_what_makes_sessions_goes_to_all(pair, to):
    rig, unit, two = pair
    hear(rig, unit, two, 1, m.NameAsk(), ITS)
    assert radio_for(rig, unit, beacon(two), to) is None
    assert radio_for(rig, unit, m.Hello(1, 1, 1, 1, bytes(NOISE_BYTES))) is None


def test_a_beacon_from_the_radio_that_is_known_changes_nothing(pair):
    rig, unit, two = pair
    hear(rig, unit, two, 1, m.NameAsk(), ITS)
    hear(rig, unit, two, EVERYONE, beacon(two), ITS)
    assert radio_for(rig, unit, m.NameAsk()) == ITS


@pytest.mark.parametrize("make", [beacon, lambda _: m.Where(2, 1, PictureId(9, 9, 9), 0)], ids=["beacon", "where"])
def test_what_any_member_can_make_leads_nothing_elsewhere_but_to_all(pair, make):
    rig, unit, two = pair
    hear(rig, unit, two, EVERYONE, make(two), ANOTHER)
    assert radio_for(rig, unit, m.NameAsk()) is None
    hear(rig, unit, two, 1, m.NameAsk(), ITS)
    hear(rig, unit, two, EVERYONE, make(two), ANOTHER)
    assert radio_for(rig, unit, m.NameAsk()) is None


def test_a_unit_whose_module_was_exchanged_is_found_at_its_new_one(pair):
    rig, unit, two = pair
    hear(rig, unit, two, 1, m.NameAsk(), ITS)
    hear(rig, unit, two, 1, m.NameAsk(), ANOTHER)
    assert radio_for(rig, unit, m.NameAsk()) == ANOTHER


def test_a_forged_packet_teaches_nothing(pair):
    rig, unit, two = pair
    hear(rig, unit, two, 1, m.NameAsk(), ITS)
    (packet,) = two.on.link.encode(1, m.NameAsk())
    unit.packet(Arrival(packet[:-1] + bytes([packet[-1] ^ 1]), ANOTHER), rig.now)
    assert radio_for(rig, unit, m.NameAsk()) == ITS


def test_how_strong_a_unit_was_heard_last_is_known_where_the_radio_tells(pair):
    rig, unit, two = pair
    neighbour = unit.core.neighbours.find(2)
    assert neighbour.rssi_dbm is None
    hear(rig, unit, two, EVERYONE, beacon(two), ITS, -71)
    assert neighbour.rssi_dbm == -71
