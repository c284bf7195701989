"""Rosters spread by themselves: who has an older one asks for it, takes what the admin has signed, and goes by it."""

from __future__ import annotations

from rig_scene import carry_out, copies, held, own, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.roster import MAX_ROSTER_BYTES
from firmware.rosters import MAX_TRIES, PUSH_S, REST_S
from sim.credentials import AdminFolder
from sim.machine import Machine, Options
from sim.rig import Rig


def machine(rig, admin, unit, **fields):
    """With the credential that it got when it was enrolled."""
    return Machine(rig, unit, Options(credential=admin.credential(unit), **fields))


def fleet(*units, rig=None, **fields):
    """Their admin enrolled one after the other, so that each has an older roster than the next one."""
    rig, admin = rig or Rig(), AdminFolder(units)
    return rig, admin, [machine(rig, admin, unit, **fields) for unit in units]


def has(machine, roster):
    """Whether it goes by this roster, and will after a restart."""
    return lambda: machine.on.rosters.roster == roster and machine.catalogue.roster() == roster.encoded


def push(machine, roster):
    return carry_out(machine, lambda ticket: c.PushRoster(ticket, roster.encoded))


def hear_each_other(*machines):
    return lambda: all(one.on.core.hears(two.unit) for one in machines for two in machines if one is not two)


def test_units_that_were_enrolled_one_after_the_other_come_to_the_newest_roster_and_to_one_another():
    rig, admin, units = fleet(1, 2, 3, 4)
    rig.run_until(hear_each_other(*units), 20)
    assert all(has(unit, admin.newest)() for unit in units[:-1])
    assert not units[-1].catalogue.roster()  # it has that of its credential
    picture = shoot(units[0])
    rig.run_until(lambda: copies(units[0], picture), 60)


def test_a_unit_that_is_enrolled_later_is_heard_as_soon_as_the_others_have_its_roster():
    rig, admin, (one, two) = fleet(1, 2)
    rig.run_until(hear_each_other(one, two), 20)
    admin.enrol(3)
    three = machine(rig, admin, 3)
    rig.run_until(hear_each_other(one, two, three), 20)


def test_the_newest_roster_outlasts_a_restart_and_a_lost_one_comes_again():
    rig, admin, (one, two) = fleet(1, 2)
    assert push(two, admin.rotate()) == c.Done(c.Pushed(3, ()))
    rig.run_until(has(one, admin.newest), 20)
    one.power_cut()
    two.power_cut()
    one.restart()
    assert one.on.core.epoch == 3
    one.kill()
    one.lose_catalogue()
    one.restart()
    assert one.on.core.epoch == 1  # as its credential has it
    two.restart()
    rig.run_until(has(one, admin.newest), 20)


def test_a_revoked_unit_says_nothing_any_more_once_it_knows_and_the_others_never_hear_it_again():
    rig, admin, (one, two, three) = fleet(1, 2, 3)
    rig.run_until(hear_each_other(one, two, three), 20)
    picture = shoot(one)
    rig.run_until(settled(one, two, three), 60)
    admin.revoke(3)
    assert push(one, admin.newest) == c.Done(c.Pushed(4, ()))
    rig.run_until(lambda: three.on.core.mute, 20)
    assert "does not name unit 3" in three.on.core.mute
    rig.run_until(has(two, admin.newest), 20)
    said = len(three.said(m.Beacon))
    three.power_cut()
    three.restart()
    assert three.on.core.mute  # it has kept that roster
    rig.run_for(300)
    assert len(three.said(m.Beacon)) == said
    assert not one.on.core.hears(3)
    own(three)  # what is on its card stays
    assert on_card_somewhere(picture, one, two, three)


def on_card_somewhere(picture, *machines):
    return any(picture.id in {row.picture.id for row in [*own(one), *held(one)]} for one in machines)


def test_a_stolen_unit_that_never_hears_of_it_is_noise_to_those_that_have():
    rig, admin, (one, two, three) = fleet(1, 2, 3)
    rig.run_until(hear_each_other(one, two, three), 20)
    admin.revoke(3)
    since = rig.now
    rig.loses = lambda said: said.destination == 3 or isinstance(said.message, m.RosterAsk | m.RosterPart)
    push(one, admin.newest)
    push(two, admin.newest)
    rig.run_until(hear_each_other(one, two), 20)
    rig.run_for(600)
    assert three.on.core.epoch == 3
    assert not one.on.core.neighbours.find(3)
    assert not two.on.core.neighbours.find(3)
    assert {said.destination for said in [*one.said(m.Welcome), *two.said(m.Welcome)] if said.at > since} <= {1, 2}


def test_copies_at_a_revoked_unit_are_doubted_at_once_and_made_elsewhere():
    rig, admin, (one, two) = fleet(1, 2)
    picture = shoot(one)
    rig.run_until(settled(one, two), 60)
    assert copies(one, picture) == [2]
    admin.enrol(3)
    three = machine(rig, admin, 3)
    rig.run_until(hear_each_other(one, two, three), 20)
    push(one, admin.revoke(2))
    rig.run_until(lambda: copies(one, picture) == [3], 120)
    assert one.entry(picture.id).copy_at(2).suspect


def test_a_number_that_is_enrolled_again_is_a_new_unit():
    rig, admin, (one, two) = fleet(1, 2)
    rig.run_until(hear_each_other(one, two), 20)
    stolen = admin.credential(2)
    two.power_cut()
    admin.revoke(2)
    admin.enrol(2)
    two.options = Options(credential=admin.credential(2))
    two.lose_card()
    two.restart()
    rig.run_until(hear_each_other(one, two), 20)
    assert admin.credential(2).private != stolen.private


def test_a_lost_part_is_asked_for_again_and_a_long_roster_comes_through_small_packets():
    rig, admin = Rig(), AdminFolder(range(1, 41))
    one = machine(rig, admin, 1, mtu_bytes=66)
    lost = []

    def every_ninth(said):
        if isinstance(said.message, m.RosterAsk | m.RosterPart):
            lost.append(said)
        return isinstance(said.message, m.RosterAsk | m.RosterPart) and len(lost) % 9 == 0

    rig.loses = every_ninth
    machine(rig, admin, 40, mtu_bytes=66)
    assert len(admin.newest.encoded) > 3000
    rig.run_until(has(one, admin.newest), 120)
    assert len(lost) > 20


def test_a_roster_of_another_network_is_not_taken_and_its_unit_left_alone_for_a_while():
    rig, admin, (one,) = fleet(1)
    foreign = AdminFolder([1, 2, 3, 4], name="other")
    machine(rig, foreign, 4)
    rig.run_until(lambda: one.logged("network"), 20)
    assert "not signed by the admin" in one.logged("network")[0]
    asked = len(one.said(m.RosterAsk))
    rig.run_for(0.9 * REST_S)
    assert len(one.said(m.RosterAsk)) == asked
    rig.run_for(3600)
    assert len(one.said(m.RosterAsk)) < asked + 15
    assert one.on.core.epoch == 1
    assert one.on.rosters.roster == admin.newest


def test_who_only_claims_a_higher_epoch_is_asked_a_few_times_and_others_meanwhile():
    rig, admin, (one, two) = fleet(1, 2)
    two.kill()
    for liar in (7, 8):
        one.on.rosters.newer(liar, 60_000)
    one.on.rosters.tick()
    two.restart()
    rig.run_until(has(one, admin.newest), 60)
    rig.run_for(120)
    for liar in (7, 8):
        asked = [said for said in one.said(m.RosterAsk) if said.destination == liar]
        assert 1 <= len(asked) <= 6 * MAX_TRIES  # it is left alone ever longer in between


def test_nobody_is_asked_for_a_roster_that_is_announced_in_our_own_name():
    rig, _, (one, two) = fleet(1, 2)
    rig.run_until(hear_each_other(one, two), 20)
    beacon = one.said(m.Beacon)[-1].packet
    for epoch in (9, 65_535):
        rig.arrives(beacon[:12] + epoch.to_bytes(2, "big") + beacon[14:])
    rig.run_for(60)
    assert one.on.bad_packets.counts["WrongSeal"] >= 2
    assert {said.destination for said in one.said(m.RosterAsk)} <= {2}
    assert {said.destination for said in two.said(m.RosterAsk)} == {1}


def test_who_asks_without_end_is_answered_a_few_times_a_second():
    rig, _, (one, _two) = fleet(1, 2)
    rig.run_for(5)
    before = len(one.said(m.RosterPart))
    for _ in range(100):
        one.on.rosters.on_ask(9, m.RosterAsk(1, 0))
        one.turn()
        rig.run_for(0.1)
    assert len(one.said(m.RosterPart)) - before < 100


def test_no_length_from_the_air_is_believed():
    _, _, (one, two) = fleet(1, 2)
    two.kill()
    one.on.rosters.newer(2, 9)
    one.on.rosters.tick()
    one.on.rosters.on_part(2, m.RosterPart(9, 65_535, 0, b"x"))
    assert not one.on.rosters._pull.data
    assert MAX_ROSTER_BYTES < 65_535


# ---------------------------------------------------------------- net push


def test_a_person_hands_a_roster_to_one_unit_and_all_have_it():
    rig, admin, units = fleet(1, 2, 3)
    rig.run_until(hear_each_other(*units), 20)
    assert push(units[1], admin.rotate()) == c.Done(c.Pushed(4, ()))
    rig.run_until(lambda: all(has(unit, admin.newest)() for unit in units), 20)
    rig.run_for(120)
    assert push(units[1], admin.newest) == c.Done(c.Pushed(4, (1, 3)))


def test_a_unit_that_is_up_for_the_command_waits_until_another_one_has_it():
    rig, admin, (one, two) = fleet(1, 2)
    rig.run_until(hear_each_other(one, two), 20)
    admin.enrol(9)
    laptop = machine(rig, admin, 9, temporary=True)
    admin.revoke(2)
    assert push(laptop, admin.newest) == c.Done(c.Pushed(4, (1,)))
    assert has(one, admin.newest)()


def test_with_nobody_in_range_it_is_kept_and_the_person_told():
    rig, admin, (one,) = fleet(1, temporary=True)
    began = rig.now
    outcome = push(one, admin.rotate())
    assert "no other unit has taken" in str(outcome.error)
    assert rig.now - began < PUSH_S + 1
    assert has(one, admin.newest)()


def test_what_cannot_be_taken_is_refused_with_the_reason():
    _, admin, (one, _two) = fleet(1, 2)
    old = one.on.rosters.roster
    foreign = AdminFolder([1], name="other")
    copy = AdminFolder([1, 2])  # an older copy of the folder, which has made an epoch of its own
    newest = admin.rotate()
    push(one, newest)
    copy.enrol(3)
    told = {
        "not signed by the admin": foreign.newest,
        "does not name unit 1": AdminFolder([1]).revoke(1),
        "this unit has another one of epoch 3": old,
        "another one of epoch 3": copy.newest,
    }
    for why, roster in told.items():
        assert why in str(push(one, roster).error)
    assert one.on.rosters.roster == newest
