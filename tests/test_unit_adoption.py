"""Whole units whose catalogue or card was lost: no picture is, and every copy is found again (HANDOVER §1, R4, R7)."""

import random
from dataclasses import replace

import pytest
from rig_scene import (
    a_pair,
    carry_out,
    check,
    check_always,
    copies,
    held,
    on_card,
    own,
    part_bytes,
    press,
    settled,
    shoot,
)

from firmware import commands as c
from firmware import messages as m
from firmware.events import Save
from firmware.layout import picture_path
from firmware.pictures import UNKNOWN_ATTEMPT, Copy, File
from sim.machine import Machine, Options


def with_pictures(number, *, dropped=0, seed=1, **bench):
    """A settled pair; the origin has so many pictures with a copy at unit 2, the first ones of them only there."""
    rig, origin, host = a_pair(seed, **bench)
    pictures = [shoot(origin) for _ in range(number)]
    rig.run_until(settled(origin, host), 400)
    for picture in pictures[:dropped]:
        assert carry_out(origin, lambda ticket, p=picture: c.DropOwn(ticket, p.id)) == c.Done(None)
    return rig, origin, host, pictures


def lose_catalogue(machine, *, off_s=1.0):
    machine.power_cut()
    machine.lose_catalogue()
    machine.rig.run_for(off_s)
    machine.restart()


def all_listed(origin, host, pictures):
    """Every picture has its copy at the host in the list, and the host knows it."""

    def is_so():
        return all(copies(origin, picture) == [host.unit] for picture in pictures) and settled(origin, host)()

    return is_so


# ---------------------------------------------------------------- the origin's catalogue


@pytest.mark.parametrize("number", [1, 2, 5])
def test_own_files_and_their_copies_are_found_again_and_no_picture_moves(number):
    rig, origin, host, pictures = with_pictures(number)
    before, card = part_bytes(origin), origin.on.core.card
    lose_catalogue(origin)
    rig.run_until(all_listed(origin, host, pictures), 60)
    assert part_bytes(origin) == before
    assert {said.message.why for said in host.said(m.Refuse)} <= {m.RefuseWhy.STALE}
    assert not [text for text in origin.logged("refused") if "proof" in text]  # no two of its parts at one copy
    assert origin.on.core.card != card
    assert shoot(origin).id.card != card
    check(origin, host)


def test_pictures_that_were_only_elsewhere_are_read_out_once_and_then_count_as_verified():
    rig, origin, host, pictures = with_pictures(4, dropped=4)
    size = sum(picture.size_bytes for picture in pictures)
    lose_catalogue(origin)
    suspects = []
    rig.watch = lambda machine, _: suspects.extend(
        copy for entry in own(origin) if machine is origin for copy in entry.copies if copy.suspect
    )
    rig.run_until(all_listed(origin, host, pictures), 200)
    assert suspects  # not believed before they were read
    rig.run_for(3600)
    assert size <= sum(len(said.message.data) for said in host.said(m.Part)) <= 1.2 * size
    assert all(entry.file is File.GONE for entry in own(origin))
    assert not origin.card.entries("tmp")
    check(origin, host)


def test_many_copies_are_found_again_within_minutes():
    small = Options(size_bytes=(500, 500))
    rig, origin, host, pictures = with_pictures(70, origin=small, baud=1_000_000)
    lose_catalogue(origin)
    rig.run_until(all_listed(origin, host, pictures), 200)


def test_a_list_lost_while_the_host_was_away_is_asked_for_when_it_is_back():
    rig, origin, host, pictures = with_pictures(3, dropped=2)
    host.power_cut()
    lose_catalogue(origin)
    rig.run_for(1000)
    origin.power_cut()
    origin.restart()
    rig.run_for(10)
    assert len(own(origin)) == 1
    host.restart()
    rig.run_until(all_listed(origin, host, pictures), 200)


@pytest.mark.parametrize("cut", range(3, 170, 8))
def test_a_power_cut_anywhere_in_the_adoption_forgets_no_copy(cut):
    rig, origin, host, pictures = with_pictures(4, dropped=2, seed=cut)
    lose_catalogue(origin)
    rig.run_events(cut, 100)
    chance = random.Random(cut)
    machine = chance.choice([origin, origin, host])
    machine.power_cut(chance)
    rig.run_for(2)
    machine.restart()
    rig.run_until(all_listed(origin, host, pictures), 400)
    check(origin, host)


@pytest.mark.parametrize("seed", range(8))
def test_a_lossy_line_only_delays_the_adoption(seed):
    rig, origin, host, pictures = with_pictures(3, dropped=1, seed=seed)
    chance = random.Random(seed)
    rig.loses = lambda _said: chance.random() < 0.3
    lose_catalogue(origin)
    rig.run_until(all_listed(origin, host, pictures), 2000)
    check(origin, host)


def test_a_picture_that_nobody_else_had_is_adopted_and_gets_its_copy():
    rig, origin, host = a_pair()
    host.power_cut()
    picture = shoot(origin)
    lose_catalogue(origin)
    host.restart()
    rig.run_until(all_listed(origin, host, [picture]), 100)


# ---------------------------------------------------------------- the host's catalogue


def test_held_files_are_adopted_with_an_unknown_number_until_their_owner_gives_one():
    rig, origin, host, pictures = with_pictures(3, dropped=1)
    origin.power_cut()
    before = part_bytes(origin)
    lose_catalogue(host)
    rig.run_for(60)
    assert [row.attempt for row in held(host)] == [UNKNOWN_ATTEMPT] * 3
    origin.restart()
    rig.run_until(all_listed(origin, host, pictures), 100)
    assert part_bytes(origin) == before
    assert all(row.attempt != UNKNOWN_ATTEMPT for row in held(host))
    check(origin, host)


def test_a_copy_of_unknown_number_obeys_no_drop_and_keep_gives_it_none():
    rig, origin, host, (picture,) = with_pictures(1)
    rig.loses = lambda said: isinstance(said.message, m.Request | m.Hold)
    lose_catalogue(host)
    rig.run_for(5)
    for message in (m.Drop(picture.id, 99, picture.digest4), m.Keep(picture.id, 1, picture.digest4)):
        origin.on.core.say(2, message)
        origin.turn()
        rig.run_for(5)
    row = host.entry(picture.id)
    assert (row.attempt, row.kept) == (UNKNOWN_ATTEMPT, False)
    assert on_card(host, picture)
    rig.loses = None
    rig.run_until(settled(origin, host), 200)


def test_a_deleted_picture_whose_copy_has_no_number_any_more_still_goes():
    rig, origin, host, (picture,) = with_pictures(1)
    host.power_cut()
    host.lose_catalogue()
    assert carry_out(origin, lambda ticket: c.DeletePicture(ticket, picture.id)) == c.Done("pending")
    rig.run_for(60)
    host.restart()
    rig.run_until(lambda: not held(host), 200)
    rig.run_for(1)
    assert not on_card(host, picture)


def test_both_catalogues_lost_at_once():
    rig, origin, host, pictures = with_pictures(4, dropped=2)
    for machine in (origin, host):
        machine.power_cut()
        machine.lose_catalogue()
    rig.run_for(1)
    for machine in (origin, host):
        machine.restart()
    rig.run_until(all_listed(origin, host, pictures), 400)
    check(origin, host)


# ---------------------------------------------------------------- a card lost


def test_r7_on_a_new_card_the_origin_finds_every_picture_that_was_copied():
    rig, origin, host, pictures = with_pictures(4, dropped=1)
    origin.power_cut()
    origin.lose_card()
    origin.restart()
    rig.run_until(all_listed(origin, host, pictures), 200)
    assert not [entry for entry in own(origin) if entry.file is not File.GONE]
    assert shoot(origin).id not in {picture.id for picture in pictures}


def test_a_host_on_a_new_card_is_found_out_when_a_proof_is_asked_for_and_gets_the_picture_anew():
    rig, origin, host, (picture,) = with_pictures(1)
    host.power_cut()
    host.lose_card()
    host.restart()
    rig.run_for(5)
    verify = carry_out(origin, lambda ticket: c.Verify(ticket, picture.id))
    assert verify == c.Done(c.Verified((2,), ()))
    assert copies(origin, picture) == []
    rig.run_until(lambda: on_card(host, picture) and settled(origin, host)(), 100)
    check(origin, host)


# ---------------------------------------------------------------- copies that are too many, numbers that are too high


def test_r4_a_copy_whose_receipt_never_came_is_surplus_once_another_unit_has_one():
    rig, origin, host = a_pair(host=Options(capacity_bytes=20_000_000))
    third = Machine(rig, 3)
    rig.run_for(3)
    rig.loses = lambda said: isinstance(said.message, m.Stored) and said.source == 2
    check_always(rig, origin, host, third)
    picture = shoot(origin)
    rig.run_until(lambda: bool(held(host)), 60)
    host.power_cut()
    rig.run_until(lambda: copies(origin, picture) == [3], 400)
    rig.loses = None
    host.restart()
    rig.run_until(lambda: not held(host) and settled(origin, third)(), 200)
    rig.run_for(1)
    assert [said.message.id for said in host.said(m.Lost)] == [picture.id]
    assert not on_card(host, picture)


def test_r4_a_number_heard_from_a_holder_raises_next_before_the_next_request():
    rig, origin, host, (picture,) = with_pictures(1)
    host.catalogue.save(Save(entries=(replace(host.entry(picture.id), attempt=500),)))
    lose_catalogue(origin)
    rig.run_until(all_listed(origin, host, [picture]), 100)
    assert host.entry(picture.id).attempt == 501
    assert origin.on.core.next_attempt == 502


def test_r7_a_number_far_above_all_is_not_followed_and_alarms():
    rig, origin, host, (picture,) = with_pictures(1)
    host.on.core.say(1, m.Hold(picture.id, 2**63, picture.digest4))
    host.turn()
    rig.run_for(5)
    assert origin.on.core.next_attempt < 100
    assert "far above" in origin.logged("alarm")[0]
    assert copies(origin, picture) == [2]


def test_r4_a_hold_of_a_picture_that_an_older_list_does_not_know_brings_it_back_into_the_list():
    rig, origin, host, (_, picture) = with_pictures(2)
    origin.power_cut()
    origin.catalogue.save(Save(removed=(picture.id,)))
    origin.card.unlink(picture_path(picture, 1))
    origin.card.sync_directory(picture_path(picture, 1).rpartition("/")[0])
    origin.restart()
    rig.run_for(5)
    assert origin.entry(picture.id) is None
    held_there = host.entry(picture.id)
    host.on.core.say(1, m.Hold(picture.id, held_there.attempt, picture.digest4))
    host.turn()
    rig.run_until(lambda: copies(origin, picture) == [2], 100)
    assert origin.entry(picture.id).picture.sha256 == picture.sha256


def test_r7_only_the_owner_is_told_what_is_held_for_it():
    rig, origin, host, (picture,) = with_pictures(1)
    third = Machine(rig, 3)
    rig.run_for(30)  # whoever is new is asked for what it holds
    before = len(host.said(m.Inventory))
    for asker, answers in ((third, 0), (origin, 1)):
        asker.on.core.say(2, m.InventoryAsk(1, None))
        asker.turn()
        rig.run_for(5)
        assert len(host.said(m.Inventory)) - before == answers
    assert host.said(m.Inventory)[-1].message.rows[0].picture.id == picture.id


def test_a_hold_of_other_content_alarms_and_changes_nothing():
    rig, origin, host, (picture,) = with_pictures(1)
    before = origin.entry(picture.id)
    host.on.core.say(1, m.Hold(picture.id, 9, b"else"))
    host.turn()
    rig.run_for(5)
    assert origin.entry(picture.id) == before
    assert "another content" in origin.logged("alarm")[0]


def test_o1_an_attempt_left_open_by_a_dispersal_that_found_its_copies_elsewhere_is_closed():
    rig, origin, host = a_pair()
    third = Machine(rig, 3)
    rig.run_for(3)
    host.power_cut()
    third.power_cut()
    picture = shoot(origin)
    rig.run_for(30)
    assert any(copy.open for copy in origin.entry(picture.id).copies)
    asked = [copy.unit for copy in origin.entry(picture.id).copies if copy.open]
    other = {2: third, 3: host}[asked[0]]
    other.restart()
    rig.run_until(lambda: copies(origin, picture) == [other.unit], 100)
    assert origin.entry(picture.id).copy_at(asked[0]) == Copy(asked[0])


def test_a_beacon_that_comes_late_from_before_a_lost_catalogue_does_not_part_two_units():
    rig, origin, host, _ = with_pictures(1)
    old = origin.said(m.Beacon)[-1]
    lose_catalogue(origin)
    rig.run_for(30)
    host.power_cut()
    host.restart()
    rig.run_for(30)
    rig.replay(old)
    rig.run_for(30)
    press(origin)
    rig.run_until(lambda: len(own(origin)) == 2 and settled(origin, host)(), 600)


@pytest.mark.parametrize("twice", [False, True])
def test_a_lost_drop_of_a_copy_too_many_is_said_again_until_it_is_obeyed(twice):
    """Seeds 6 and 37 of the world: the list was lost, more copies than wanted were named, and the one DROP did not
    arrive. Seed 1210 of the worst: and the last page of what that unit holds, without the copy, came twice."""
    rig, origin, host, (picture,) = with_pictures(1)
    third = Machine(rig, 3)
    rig.run_until(lambda: origin.on.core.hears(3), 10)
    assert carry_out(origin, lambda ticket: c.PlaceCopy(ticket, picture.id, 3, 60.0)) == c.Done(None)
    lose_catalogue(origin)
    # a record would name both from the start
    rig.loses = lambda said: said.source == 3 or isinstance(said.message, m.Drop | m.Records)
    rig.run_until(lambda: copies(origin, picture) == [2], 60)
    rig.loses = lambda said: isinstance(said.message, m.Drop | m.Records)
    rig.run_for(30)
    assert [len(held(host)), len(held(third))] == [1, 1]
    assert len(copies(origin, picture)) == 1
    if twice:
        for machine in (host, third):
            origin.on.adoptions.on_inventory(machine.unit, m.Inventory(1, (), True))
    rig.loses = lambda said: isinstance(said.message, m.Records)
    rig.run_for(200)
    assert len(held(host)) + len(held(third)) == 1
    check(origin, host, third)


def test_o4_a_copy_with_a_wrong_proof_is_not_listed_under_the_number_that_its_holder_names():
    rig, origin, host, (picture,) = with_pictures(1)
    row, listed = host.entry(picture.id), origin.entry(picture.id).copy_at(2).listed

    def forged(said):
        if not isinstance(said.message, m.Stored):
            return False
        rig.say_again(said._replace(message=replace(said.message, proof=bytes(16))))
        return True

    rig.loses = forged
    host.catalogue.save(Save(entries=(replace(row, attempt=row.attempt + 5, kept=False),)))
    host.power_cut()
    host.restart()
    rig.run_until(lambda: len(host.said(m.Stored)) > 1, 60)
    rig.run_for(30)
    assert origin.entry(picture.id).copy_at(2).listed == listed
    assert not host.entry(picture.id).kept
    rig.loses = None
    rig.run_until(lambda: host.entry(picture.id).kept, 24 * 3600)
    assert copies(origin, picture) == [2]


def test_an_own_file_that_is_found_rotten_when_a_proof_comes_is_put_aside_and_the_copy_counts():
    """Seed 30 of the world: the proof was asked for again and again, and never could be right."""
    rig, origin, host, (picture,) = with_pictures(1)
    row = host.entry(picture.id)
    host.catalogue.save(Save(entries=(replace(row, attempt=row.attempt + 5, kept=False),)))
    origin.card.rot(picture_path(picture, 1), 7)
    host.power_cut()
    host.restart()
    rig.run_until(lambda: origin.entry(picture.id).file is File.GONE, 60)
    rig.run_for(1)
    assert [entry.name for entry in origin.card.entries("quarantine")] == [picture.file_name]
    rig.run_until(lambda: copies(origin, picture) == [2] and all(entry.kept for entry in held(host)), 4000)
