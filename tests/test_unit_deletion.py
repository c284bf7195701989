"""Whole units: a person deletes a picture, anywhere, at any moment, and it stays deleted (HANDOVER R6, O7, H7, R13)."""

import random

import pytest
from rig_scene import a_pair, carry_out, check, copies, held, on_card, rows, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.determine import Rules
from firmware.events import LookUp, Owed, RemoveFile, Save
from firmware.events import Orders as PendingOrders
from firmware.layout import preview_path
from firmware.pictures import Copy, File, Picture, PictureId
from sim.machine import Machine, Options

LARGE = Options(size_bytes=(200_000, 200_000))


def delete(machine, picture):
    return carry_out(machine, lambda ticket: c.DeletePicture(ticket, picture.id))


def owed(machine):
    return machine.catalogue.owed(Owed(None, 100))


def gone(picture, *machines):
    """No file of it anywhere, no row at a host, and nobody owes anything any more."""

    def is_so():
        return all(
            machine.running is not None
            and not on_card(machine, picture)
            and not [row for row in held(machine) if row.picture.id == picture.id]
            and not owed(machine)
            for machine in machines
        )

    return is_so


# ---------------------------------------------------------------- at the origin


def test_deleted_at_the_origin_the_tombstone_comes_first_and_every_copy_goes():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    order = []
    rig.watch = lambda machine, request: order.append((machine.unit, type(request)))
    assert delete(origin, picture) == c.Done("deleted")
    assert origin.entry(picture.id).deleted
    rig.run_until(gone(picture, origin, host), 30)
    for unit in (1, 2):
        mine = [kind for at, kind in order if at == unit and kind in (Save, RemoveFile)]
        assert mine[0] is Save
        assert mine[mine.index(RemoveFile) - 1] is Save
    assert picture.id not in [entry.picture.id for entry in rows(origin)]
    assert origin.card.durable(preview_path(picture.id)) is None


def test_drop_is_said_until_lost_comes():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    left = [3]

    def loses(said):
        if isinstance(said.message, m.Lost):
            left[0] -= 1
        return isinstance(said.message, m.Lost) and left[0] >= 0

    rig.loses = loses
    delete(origin, picture)
    rig.run_until(gone(picture, origin, host), 400)
    assert len(origin.said(m.Drop)) == len(host.said(m.Lost)) == 4
    rig.run_for(4000)
    assert len(origin.said(m.Drop)) == 4


def test_a_holder_that_is_away_is_owed_its_drop_over_restarts():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    host.power_cut()
    delete(origin, picture)
    rig.run_for(1000)
    origin.power_cut()
    origin.restart()
    assert owed(origin)[0].copies == (Copy(2, owed=True),)
    rig.run_for(1000)
    host.restart()
    rig.run_until(gone(picture, origin, host), 30)


def test_a_picture_without_its_own_file_is_deleted_all_the_same():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id))
    assert origin.entry(picture.id).file is File.GONE
    assert delete(origin, picture) == c.Done("deleted")
    rig.run_until(gone(picture, origin, host), 30)


@pytest.mark.parametrize("after_s", [0.01, 0.32, 0.36, 0.5, 3.0, 17.0, 18.0])
def test_deleted_at_any_moment_of_its_hand_over(after_s):
    rig, origin, host = a_pair(origin=LARGE)
    other = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    picture = shoot(origin)
    rig.run_for(after_s)
    assert delete(origin, picture) == c.Done("deleted")
    rig.run_until(gone(picture, origin, host), 200)
    rig.run_for(1)
    assert not host.on.core.room.reserved_held
    assert copies(origin, other) == [2]
    assert not list(origin.on.dispersals)
    check(origin, host)


def test_deleted_again_is_fine_and_an_unknown_one_is_refused():
    rig, origin, _ = a_pair()
    picture = shoot(origin)
    delete(origin, picture)
    assert delete(origin, picture) == c.Done("deleted")
    rig.run_for(60)
    assert isinstance(delete(origin, Picture(PictureId(1, 7, 7), 1, bytes(32))), c.Failed)


@pytest.mark.parametrize("cut", range(1, 60, 4))
def test_power_cuts_while_it_is_deleted(cut):
    chance = random.Random(cut)
    rig, origin, host = a_pair(seed=cut)
    picture, other = shoot(origin), shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.command(lambda ticket: c.DeletePicture(ticket, picture.id))
    rig.run_events(cut, 30)
    machine = chance.choice([origin, host])
    machine.power_cut(chance)
    rig.run_for(1)
    machine.restart()
    rig.run_for(200)
    check(origin, host)
    assert on_card(origin, other)
    assert on_card(host, other)
    if origin.entry(picture.id).deleted:
        assert gone(picture, origin, host)()
    else:  # the cut was before the tombstone: nothing has happened
        assert copies(origin, picture) == [2]
        assert on_card(origin, picture)


def test_what_was_deleted_does_not_come_back_with_old_messages():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    delete(origin, picture)
    rig.run_until(gone(picture, origin, host), 30)
    for said in list(rig.said):
        rig.say_again(said)
        rig.run_for(0.05)
    rig.run_for(300)
    assert gone(picture, origin, host)()
    assert not host.on.core.room.reserved_held


def test_a_copy_that_turns_up_later_is_dropped_too():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    row = host.entry(picture.id)
    host.power_cut()
    delete(origin, picture)
    entry = origin.entry(picture.id)
    origin.catalogue.save(Save(entries=(type(entry)(entry.picture, entry.file, version=9, deleted=True),)))
    assert not owed(origin)
    host.catalogue.save(Save(entries=(type(row)(row.picture, row.file, attempt=row.attempt, kept=False),)))
    host.restart()  # asks whether it is still wanted
    rig.run_until(gone(picture, origin, host), 60)


# ---------------------------------------------------------------- from elsewhere


def test_deleted_at_the_host_it_is_pending_until_the_origins_tombstone_comes():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.power_cut()
    assert delete(host, picture) == c.Done("pending")
    rig.run_for(100)
    assert host.catalogue.orders(PendingOrders(None, 10)) == [(picture.id, picture.sha256)]
    assert on_card(host, picture)  # only the origin decides about copies
    host.power_cut()
    host.restart()
    origin.restart()
    rig.run_until(gone(picture, origin, host), 60)
    rig.run_until(lambda: not host.catalogue.orders(PendingOrders(None, 10)), 60)


def test_a_unit_that_never_had_the_picture_finds_it_and_forwards_the_order():
    rig, origin, host = a_pair()
    laptop = Machine(rig, 3, Options(temporary=True))
    rig.run_for(3)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    assert delete(laptop, picture) == c.Done("pending")
    rig.run_until(gone(picture, origin, host), 60)


def test_an_order_is_taken_also_while_the_origin_is_off_and_a_holder_is_heard():
    rig, origin, host = a_pair()
    third = Machine(rig, 3, Options(hosting_share=0.0))
    rig.run_for(3)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.power_cut()
    assert delete(third, picture) == c.Done("pending")
    assert third.catalogue.orders(PendingOrders(None, 10)) == [(picture.id, picture.sha256)]
    origin.restart()
    rig.run_until(gone(picture, origin, host), 60)


def test_an_order_for_what_nobody_knows_is_refused_within_20_s():
    rig, _, host = a_pair()
    started = rig.now
    outcome = delete(host, Picture(PictureId(1, 7, 7), 1, bytes(32)))
    assert isinstance(outcome, c.Failed)
    assert "not known" in str(outcome.error)
    assert rig.now - started < 20


def test_an_order_for_another_content_is_not_obeyed():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    host.on.core.say(1, m.Delete(picture.id, bytes(32)))
    host.turn()
    rig.run_for(10)
    assert not origin.entry(picture.id).deleted
    assert on_card(origin, picture)


def test_an_order_ends_with_the_origins_tombstone_and_not_with_what_anybody_else_tells():
    rig, origin, host = a_pair()
    third = Machine(rig, 3)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.power_cut()
    delete(host, picture)
    for sha256 in (bytes(32), picture.sha256):
        third.on.core.say(2, m.Records(9, (m.Tombstone(picture.id, picture.size_bytes, sha256, ()),), (), True))
        third.turn()
        rig.run_for(10)
        assert len(host.catalogue.orders(PendingOrders(None, 10))) == 1
    assert on_card(host, picture)  # R1: only the origin's DROP takes it
    origin.restart()
    rig.run_until(lambda: not host.catalogue.orders(PendingOrders(None, 10)), 60)


# ---------------------------------------------------------------- R13


def test_r13_between_the_commit_and_the_unlink_no_request_for_it_is_begun():
    rig, origin, host = a_pair(origin=Options(rules=Rules(copies=0)))
    picture = shoot(origin)
    carry_out(origin, lambda ticket: c.PlaceCopy(ticket, picture.id, 2, 60.0))
    rig.run_until(settled(origin, host, wanted=0), 60)
    host.latency_s[RemoveFile] = 5.0
    origin.on.core.say(2, m.Drop(picture.id, origin.entry(picture.id).copy_at(2).listed, picture.digest4))
    origin.turn()
    rig.run_until(lambda: not held(host), 10)
    committed_at = rig.now
    origin.on.core.say(2, m.Request(picture, 50))
    origin.turn()
    rig.run_for(4)
    assert not host.said(m.Accept)[1:]
    assert on_card(host, picture)
    rig.run_until(lambda: len(host.said(m.Accept)) == 2, 10)
    assert rig.now - committed_at >= 5.0
    assert not on_card(host, picture)
    assert host.said(m.Accept)[1].message.missing == ((0, picture.size_bytes),)


def test_r13_steps_on_other_pictures_do_not_wait():
    rig, origin, host = a_pair()
    picture, other = shoot(origin), shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.latency_s[Save] = 5.0
    delete_ticket = origin.command(lambda ticket: c.DeletePicture(ticket, picture.id))
    again_ticket = origin.command(lambda ticket: c.DeletePicture(ticket, picture.id))
    verify_ticket = origin.command(lambda ticket: c.Verify(ticket, other.id))
    rig.run_for(4)
    assert [origin.outcome(t) for t in (delete_ticket, again_ticket)] == [None, None]
    rig.run_until(lambda: origin.outcome(verify_ticket) == c.Done(c.Verified((2,), (2,))), 20)
    rig.run_until(lambda: origin.outcome(again_ticket) == c.Done("deleted"), 20)
    assert len(origin.said(m.Prove)) == 1


# ---------------------------------------------------------------- copies that were let go


def test_o7_no_drop_that_is_said_again_reaches_the_attempt_that_is_being_opened_meanwhile():
    """The rows that owe one are read while the new number is on its way to the same slow catalogue."""
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    third = Machine(rig, 3)
    rig.run_until(lambda: origin.on.core.hears(3), 60)
    rig.loses = lambda said: isinstance(said.message, m.Drop)
    host.on.core.say(1, m.Relieve(picture.id, held(host)[0].attempt))
    host.turn()
    rig.run_until(lambda: copies(origin, picture) == [3], 150)

    origin.latency_s.update({LookUp: 2.0, Owed: 0.5})
    ticket = origin.command(lambda ticket: c.PlaceCopy(ticket, picture.id, 2, 60.0))
    while origin.outcome(ticket) is None:
        origin.on.deletions.new_boot()  # what is owed is said soon, again and again
        origin.turn()
        rig.run_for(0.2)
    assert origin.outcome(ticket) == c.Done(None)
    assert len(origin.said(m.Drop)) > 3
    for drop in origin.said(m.Drop):
        assert drop.message.attempt < origin.entry(picture.id).copy_at(2).listed
    check(origin, host, third)
