"""Refused units wait for the time they were told, which a beacon with more room, or a new boot, ends (DESIGN §5)."""

import pytest

from firmware.messages import Beacon
from firmware.neighbours import Neighbours
from hal.interfaces import TimeQuality

NOW, UNTIL = 100.0, 400.0
ROOM = 50_000


def refused(*, needed_bytes=ROOM + 1):
    """Unit 2 has offered ROOM, and then refused."""
    neighbours = Neighbours(11_520)
    neighbour = neighbours.heard(2, NOW, new_boot=True, proved=True)
    neighbours.beacon(neighbour, beacon(ROOM), NOW)
    neighbour.refused_until = UNTIL
    neighbour.refused_needing_bytes = needed_bytes
    return neighbours, neighbour


def beacon(room_bytes, *, hosting=True):
    return Beacon(1, 2, 0, room_bytes, 0, 255, 60, False, hosting, None, TimeQuality.UNSET)


@pytest.mark.parametrize(
    ("needed_bytes", "room_bytes", "ends"),
    [
        (80_000, 79_000, False),
        (80_000, 80_000, True),
        (ROOM + 1, ROOM, False),  # by share: as much room as when it refused
        (ROOM + 1, ROOM + 1000, True),
        (ROOM + 1, ROOM - 1000, False),
    ],
)
def test_a_beacon_with_the_room_that_was_lacking_ends_the_waiting(needed_bytes, room_bytes, ends):
    neighbours, neighbour = refused(needed_bytes=needed_bytes)
    assert neighbours.beacon(neighbour, beacon(room_bytes), NOW) is (ends or room_bytes > ROOM)
    assert (neighbour.refused_until < NOW) is ends


def test_a_beacon_of_one_that_hosts_nothing_ends_no_waiting():
    neighbours, neighbour = refused()
    assert not neighbours.beacon(neighbour, beacon(2 * ROOM, hosting=False), NOW)
    assert neighbour.refused_until == UNTIL


def test_a_new_boot_ends_the_waiting():
    neighbours, _ = refused(needed_bytes=80_000)
    assert neighbours.heard(2, NOW, new_boot=False, proved=True).refused_until == UNTIL
    assert neighbours.heard(2, NOW, new_boot=True, proved=True).refused_until < NOW


# ---------------------------------------------------------------- those that did not answer


@pytest.mark.parametrize(("unanswered", "ends"), [(0, False), (1, False), (2, True), (7, True)])
def test_whatever_is_heard_of_a_unit_out_of_reach_ends_the_waiting(unanswered, ends):
    neighbours, neighbour = refused()
    neighbour.unanswered = unanswered
    assert neighbour.out_of_reach is ends
    assert (neighbours.heard(2, NOW, new_boot=False, proved=True).refused_until < NOW) is ends


def test_once_it_was_heard_a_refusal_is_a_refusal():
    neighbours, neighbour = refused()
    neighbour.unanswered = 5
    neighbours.heard(2, NOW, new_boot=False, proved=True)
    neighbour.refused_until = UNTIL
    assert neighbours.heard(2, NOW, new_boot=False, proved=True).refused_until == UNTIL


def test_a_person_ends_the_waiting_of_one_that_did_not_answer_and_no_refusal():
    neighbours, neighbour = refused()
    neighbours.ask_anew(2)
    assert neighbour.refused_until == UNTIL
    neighbour.unanswered = 1
    neighbours.ask_anew(2)
    assert neighbour.refused_until < NOW
    neighbours.ask_anew(3)  # one that was never heard
