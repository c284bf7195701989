"""Whole units: records and tombstones are kept elsewhere too, merged, and found again (HANDOVER R6, R7)."""

import random
from dataclasses import replace

import pytest
from rig_scene import a_pair, carry_out, check, copies, held, on_card, own, rows, settled, shoot

from firmware import commands as c
from firmware import keeping
from firmware import messages as m
from firmware.events import KeptRecords, Orders, Save, Unrecorded
from firmware.pictures import Entry, File, Picture, PictureId
from firmware.record_rows import id_of, page_of, row_of, rows_of
from sim.machine import Machine, Options

TIMES_S = 4000.0  # by then all repeats of a lossy line have come through
SMALL = Options(size_bytes=(2000, 4000))
NO_ROOM = Options(hosting_share=0.001, capacity_bytes=10_000)  # keeps records and no pictures


def a_scene(*, keeper=NO_ROOM, seed=1, host=None, origin=None):
    """Origin 1, host 2, and unit 3, which can keep records only."""
    rig, origin, host = a_pair(seed, origin=origin or Options(), host=host)
    third = Machine(rig, 3, keeper)
    rig.run_for(5)
    return rig, origin, host, third


def delete(machine, picture):
    return carry_out(machine, lambda ticket: c.DeletePicture(ticket, picture.id))


def lagging(machine):
    """Own records that nobody else keeps in their newest version."""
    return [
        unkept.entry
        for deleted in (True, False)
        for unkept in machine.catalogue.unrecorded(Unrecorded(deleted, None, 1000))
    ]


def recorded(*machines):
    """Every own record is kept by somebody in its newest version, and nothing is on its way."""
    return lambda: all(not lagging(m) and not m.on.records._pages for m in machines)


def kept(machine, owner):
    """What it knows of the owner's pictures by the owner's records, by id."""
    return {entry.picture.id: entry for entry in machine.catalogue.kept_records(KeptRecords(owner, None, 1000))}


def pushes(machine):
    """Pages about its own pictures that it has said, repeated ones too; not its answers to others."""
    pages = [said for said in machine.said(m.Records) if said.message.page and not said.lost]
    return [p for p in pages if any(id_of(row).unit == machine.unit for row in rows_of(p.message))]


def same(one, other):
    """The same picture; its time went over the wire in milliseconds."""
    return replace(one, taken_at=None) == replace(other, taken_at=None) and abs(one.taken_at - other.taken_at) < 0.001


def knows_deleted(machine, picture):
    entry = machine.entry(picture.id)
    return entry is not None and entry.deleted


def nowhere(picture, *machines):
    """No file of it and no living row."""

    def is_so():
        return all(
            not on_card(machine, picture) and picture.id not in {entry.picture.id for entry in rows(machine)}
            for machine in machines
        )

    return is_so


def new_card(machine, *, off_s=1.0):
    machine.power_cut()
    machine.lose_card()
    machine.rig.run_for(off_s)
    machine.restart()


def lose_catalogue(machine, *, off_s=1.0):
    machine.power_cut()
    machine.lose_catalogue()
    machine.rig.run_for(off_s)
    machine.restart()


def get(machine, picture):
    return carry_out(machine, lambda ticket: c.Get(ticket, picture.id, False, 60.0))


# ---------------------------------------------------------------- replication


def test_r6_a_record_is_kept_by_a_unit_that_holds_no_copy():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    entry = third.entry(picture.id)
    assert (entry.file, entry.attempt, entry.named) == (File.GONE, None, (2,))
    assert same(entry.picture, picture)
    assert entry.version == origin.entry(picture.id).version
    assert picture.id not in kept(host, 1)


def test_r6_with_one_other_unit_its_held_row_takes_the_record_and_loses_it_not_with_the_copy():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    assert host.entry(picture.id).named == (2,)
    assert host.entry(picture.id).attempt is not None
    assert delete(origin, picture) == c.Done("deleted")
    rig.run_until(nowhere(picture, origin, host), 60)
    assert knows_deleted(host, picture)


def test_a_picture_costs_one_record_and_an_audit_none():
    rig, origin, host, _third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    assert carry_out(origin, lambda ticket: c.Verify(ticket, picture.id)) == c.Done(c.Verified((2,), (2,)))
    assert carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id)) == c.Done(None)
    rig.run_for(TIMES_S)
    assert len(pushes(origin)) == 1
    assert not [said for said in rig.said if isinstance(said.message, m.RecordsAsk) and said.at > 1060]


def test_a_unit_that_is_up_for_a_command_only_is_no_keeper():
    rig, origin, _laptop = a_pair(host=Options(temporary=True))
    picture = shoot(origin)
    assert delete(origin, picture) == c.Done("pending")
    rig.run_for(600)
    assert [entry.picture.id for entry in lagging(origin)] == [picture.id]
    assert not pushes(origin)


def test_many_records_go_in_pages_and_tombstones_first():
    rig, origin, host, third = a_scene(origin=SMALL)
    host.power_cut()
    third.power_cut()
    rig.run_for(400)
    pictures = [shoot(origin) for _ in range(20)]
    for picture in pictures[10:13]:
        assert delete(origin, picture) == c.Done("pending")
    rig.run_for(600)
    third.restart()
    rig.run_until(recorded(origin), 200)
    told = [said.message for said in pushes(origin)]
    assert [row.id for row in told[0].tombstones] == [picture.id for picture in pictures[10:13]]
    assert len(told) <= 5
    assert len(kept(third, 1)) == 20


def test_nothing_is_told_again_and_again_while_nobody_is_there():
    rig, origin, host = a_pair()
    host.power_cut()
    rig.run_for(400)
    shoot(origin)
    rig.run_for(3600)
    looked = []
    rig.watch = lambda _, request: looked.append(request) if isinstance(request, Unrecorded) else None
    rig.run_for(DAY_S)
    assert not pushes(origin)
    assert len(looked) < 20


@pytest.mark.parametrize("seed", range(6))
def test_a_lossy_line_only_delays_the_records(seed):
    rig, origin, host, third = a_scene(seed=seed, origin=SMALL)
    chance = random.Random(seed)
    rig.loses = lambda _said: chance.random() < 0.3
    pictures = [shoot(origin) for _ in range(5)]
    delete(origin, pictures[0])
    rig.run_until(lambda: settled(origin, host)() and recorded(origin)(), TIMES_S)
    for picture in pictures:
        entries = [machine.entry(picture.id) for machine in (host, third)]
        version = origin.entry(picture.id).version
        assert any(entry and (entry.deleted or entry.version == version) for entry in entries)


@pytest.mark.parametrize("cut", range(2, 60, 6))
def test_durable_before_it_is_confirmed_on_both_sides(cut):
    rig, origin, host, third = a_scene(seed=cut, origin=SMALL)
    pictures = [shoot(origin) for _ in range(3)]
    rig.run_until(settled(origin, host), 60)
    origin.command(lambda ticket: c.DeletePicture(ticket, pictures[1].id))
    rig.run_events(cut, 30)
    machine = random.Random(cut).choice([origin, third])
    machine.power_cut(random.Random(cut))
    rig.run_for(2)
    machine.restart()

    def watch(changed, request):
        if changed is origin and isinstance(request, Save):
            for entry in own(origin):
                if entry.picture.id not in {lag.picture.id for lag in lagging(origin)}:
                    keepers = [m for m in (host, third) if m.entry(entry.picture.id)]
                    assert any(m.entry(entry.picture.id).version >= entry.version for m in keepers)

    rig.watch = watch
    rig.run_until(recorded(origin), TIMES_S)
    for picture in pictures:
        assert picture.id in kept(third, 1) or picture.id in kept(host, 1)


def test_a_keeper_that_dies_is_replaced_at_the_next_change_and_told_when_it_is_back():
    rig, origin, host, third = a_scene(origin=SMALL)
    pictures = [shoot(origin) for _ in range(20)]
    rig.run_until(settled(origin, host), 200)
    rig.run_until(recorded(origin), 200)
    third.power_cut()
    rig.run_for(400)
    for picture in pictures:
        assert delete(origin, picture) == c.Done("deleted")  # the host has the tombstone
    assert not knows_deleted(third, picture)
    third.restart()
    rig.run_until(lambda: all(knows_deleted(third, picture) for picture in pictures), 60)


@pytest.mark.parametrize("lost", [new_card, lose_catalogue])
def test_what_a_keeper_kept_on_an_old_card_is_told_anew(lost):
    rig, origin, host, third = a_scene(origin=SMALL)
    pictures = [shoot(origin) for _ in range(12)]
    rig.run_until(settled(origin, host), 60)
    delete(origin, pictures[0])
    rig.run_until(recorded(origin), 200)
    assert len(kept(third, 1)) == 12
    lost(third)
    assert not kept(third, 1)
    rig.run_until(lambda: len({*kept(third, 1), *kept(host, 1)}) == 12 and recorded(origin)(), 200)
    assert knows_deleted(third, pictures[0]) or knows_deleted(host, pictures[0])


def test_a_keeper_found_on_another_card_after_a_restart_of_the_origin_too():
    rig, origin, host, third = a_scene(origin=SMALL)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    origin.power_cut()
    new_card(third)
    origin.restart()
    rig.run_until(lambda: picture.id in kept(third, 1), 200)


def test_a_record_of_another_content_is_not_kept_and_alarms():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    before = third.entry(picture.id)
    for message in (
        m.Records(5, (m.Tombstone(picture.id, 1, bytes(32), ()),), (), True),
        m.Records(6, (), (m.Record(Picture(picture.id, 1, bytes(32)), 99, (), 0),), True),
    ):
        origin.on.core.say(3, message)
        origin.turn()
        rig.run_for(5)
    assert third.entry(picture.id) == before
    assert len(third.logged("alarm")) == 2
    assert [said.message.kept for said in third.said(m.RecordsKept)][-2:] == [0, 0]


def tell(teller, keeper, *pictures, deleted):
    """Records of the teller's pictures, or tombstones; which of them were kept."""
    for picture in pictures:
        row = (
            m.Tombstone(picture.id, picture.size_bytes, picture.sha256, ()) if deleted else m.Record(picture, 1, (), 0)
        )
        teller.on.core.say(keeper.unit, page_of(picture.id.sequence, [row]))
        teller.turn()
        teller.rig.run_for(0.5)
    return [said.message.kept for said in keeper.said(m.RecordsKept)][-len(pictures) :]


def test_r6_a_keeper_lets_the_oldest_living_records_go_and_tombstones_never(monkeypatch):
    monkeypatch.setattr(keeping, "THIN_EVERY", 1)
    monkeypatch.setattr(keeping, "MAX_RECORDS", 5)
    monkeypatch.setattr(keeping, "MAX_TOMBSTONES", 3)
    _, teller, keeper = a_pair()
    pictures = [Picture(PictureId(1, 1, n), 100, bytes([n]) * 32) for n in range(1, 21)]
    assert tell(teller, keeper, *pictures[:3], deleted=True) == [1, 1, 1]
    assert tell(teller, keeper, *pictures[3:15], deleted=False) == [1] * 12
    assert [picture.sequence for picture in sorted(kept(keeper, 1))] == [1, 2, 3, *range(10, 16)]
    assert tell(teller, keeper, *pictures[15:17], deleted=True) == [0, 0]
    assert tell(teller, keeper, pictures[14], deleted=True) == [1]  # what is known already takes no more room
    assert len([entry for entry in kept(keeper, 1).values() if entry.deleted]) == 4


@pytest.mark.parametrize("version", [1, 50])
def test_r6_a_keeper_that_knows_otherwise_says_so_and_the_origin_raises_its_version_above(version):
    """The origin's list is younger than the record, or as old: it was lost in between."""
    rig, origin, host, third = a_scene()
    host.power_cut()
    rig.run_for(400)
    picture = shoot(origin)
    told = Entry(picture, File.GONE, version=version, named=(9,))
    third.catalogue.save(Save(entries=(told,)))
    rig.loses = lambda said: isinstance(said.message, m.RecordsAsk | m.Request)
    rig.run_until(recorded(origin), 200)
    entry = third.entry(picture.id)
    assert (entry.version, entry.named) == (origin.entry(picture.id).version, ())
    assert entry.version > version


def test_r6_a_keeper_that_knows_of_the_delete_says_so_to_an_origin_that_does_not():
    rig, origin, host, third = a_scene()
    host.power_cut()
    rig.run_for(400)
    picture = shoot(origin)
    tag = origin.on.core.tag(picture.id.encode() + picture.sha256)
    third.catalogue.save(Save(entries=(Entry(picture, File.GONE, version=1, deleted=True, tag=tag),)))
    rig.loses = lambda said: isinstance(said.message, m.RecordsAsk | m.Request)
    rig.run_until(lambda: knows_deleted(origin, picture), 200)
    rig.run_until(recorded(origin), 60)
    assert not on_card(origin, picture)


def test_r6_a_tombstone_that_the_origin_has_not_made_deletes_nothing():
    """A member that lies, or another unit's tag."""
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    for tag in (b"", third.on.core.tag(picture.id.encode() + picture.sha256)):
        tombstone = m.Tombstone(picture.id, picture.size_bytes, picture.sha256, (2,), tag or m.NO_TAG)
        third.on.core.say(1, m.Records(0, (tombstone,), (), True))
        third.turn()
        rig.run_for(30)
    assert len(origin.logged("alarm")) == 2
    assert on_card(origin, picture)
    assert on_card(host, picture)
    assert copies(origin, picture) == [2]


def test_r6_who_tells_the_origin_of_a_deleted_picture_as_living_is_told():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    host.power_cut()
    rig.run_for(400)
    assert delete(origin, picture) == c.Done("deleted")
    host.restart()
    rig.run_for(10)
    assert not knows_deleted(host, picture)
    host.on.core.say(1, m.Records(0, (), (m.Record(picture, 3, (2,), 0),), True))
    host.turn()
    rig.run_until(lambda: knows_deleted(host, picture), 10)
    assert knows_deleted(third, picture)


def test_what_is_not_kept_goes_to_another_unit_and_not_to_the_same_again_and_again():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    other = Picture(picture.id, 1, bytes(32))
    third.on.core.run(third.on.core.fetch(Save(entries=(Entry(other, File.GONE, version=3),))))
    third.turn()
    rig.run_until(recorded(origin), 200)
    rig.run_for(TIMES_S)
    assert picture.id in kept(host, 1)
    assert len(pushes(origin)) == 2


# ---------------------------------------------------------------- deletes that are sure


def test_a_delete_is_pending_until_another_unit_has_the_tombstone():
    rig, origin, host, _third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.loses = lambda said: isinstance(said.message, m.Records | m.RecordsKept)
    assert delete(origin, picture) == c.Done("pending")
    rig.loses = None
    rig.run_until(recorded(origin), 200)
    assert delete(origin, picture) == c.Done("deleted")


@pytest.mark.parametrize("lost", [m.Records, m.RecordsKept])
def test_a_page_or_its_answer_that_is_lost_is_soon_said_again(lost):
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    left = [2]

    def loses(said):
        if isinstance(said.message, lost):
            left[0] -= 1
        return isinstance(said.message, lost) and left[0] >= 0

    rig.loses = loses
    assert delete(origin, picture) == c.Done("deleted")


def test_a_unit_that_is_just_up_waits_for_the_others_before_it_says_pending():
    rig, origin, host, _third = a_scene()
    picture, other = shoot(origin), shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.power_cut()
    origin.restart()
    assert delete(origin, picture) == c.Done("deleted")
    origin.power_cut()
    rig.loses = lambda _said: True
    origin.restart()
    assert delete(origin, other) == c.Done("pending")
    assert 15 <= rig.now - origin.on.core.started < 16


def test_an_order_given_elsewhere_ends_with_the_tombstone_that_its_origin_tells():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    host.power_cut()
    rig.run_for(400)
    assert delete(origin, picture) == c.Done("deleted")
    origin.power_cut()
    host.restart()
    assert delete(host, picture) == c.Done("pending")
    third.on.core.say(2, m.Records(0, (m.Tombstone(picture.id, picture.size_bytes, picture.sha256, ()),), (), True))
    third.turn()
    rig.run_for(30)
    assert host.catalogue.orders(Orders(None, 9))
    rig.loses = lambda said: isinstance(said.message, m.Drop)
    origin.restart()
    rig.run_until(lambda: not host.catalogue.orders(Orders(None, 9)), 30)
    assert on_card(host, picture)  # R1


def test_the_same_order_again_once_it_is_known_to_be_deleted():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    delete(origin, picture)
    rig.run_until(lambda: knows_deleted(third, picture), 60)
    assert delete(third, picture) == c.Done("deleted")


# ---------------------------------------------------------------- a holder that was off for a month

MONTH_S = 30 * 24 * 3600.0
DAY_S = 24 * 3600.0


def deleted_while_the_host_is_off(*, off_s=DAY_S / 12, beacon_s=60.0):
    unit = Options(beacon_s=beacon_s)
    rig, origin, host, third = a_scene(origin=unit, host=unit, keeper=replace(NO_ROOM, beacon_s=beacon_s))
    picture, other = shoot(origin), shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    host.power_cut()
    rig.run_for(400)
    assert delete(origin, picture) == c.Done("deleted")
    rig.run_for(off_s)
    return rig, origin, host, third, picture, other


def test_r6_a_picture_deleted_while_its_holder_was_off_for_a_month_does_not_come_back():
    rig, origin, host, third, picture, other = deleted_while_the_host_is_off(off_s=MONTH_S, beacon_s=600.0)
    host.restart()
    rig.run_until(nowhere(picture, origin, host, third), 60)
    rig.run_until(settled(origin, host), 200)
    assert on_card(host, other)
    check(origin, host)


@pytest.mark.parametrize("lost", [new_card, lose_catalogue])
@pytest.mark.parametrize("order", ["keeper first", "holder first", "together"])
def test_r6_nor_where_the_origin_has_lost_its_list_meanwhile(lost, order):
    rig, origin, host, third, picture, other = deleted_while_the_host_is_off()
    silent = {"keeper first": 2, "holder first": 3, "together": 0}[order]
    rig.loses = lambda said: silent in (said.source, said.destination)
    lost(origin)
    rig.run_for(DAY_S / 12)
    host.restart()
    rig.run_for(600)
    if order == "holder first":  # it looks like any other picture, until the keeper is heard
        assert copies(origin, picture) == [2]
    rig.loses = None
    third.power_cut()
    third.restart()
    rig.run_until(nowhere(picture, origin, host, third), 400)
    rig.run_until(lambda: copies(origin, other) == [2] and recorded(origin)(), 400)
    rig.run_for(3600)
    assert nowhere(picture, origin, host, third)()
    assert knows_deleted(origin, picture)
    assert not any(copy.owed for copy in origin.entry(picture.id).copies)
    assert on_card(host, other)


def test_r6_where_the_origin_is_gone_for_good_whoever_knows_says_that_it_was_deleted():
    rig, origin, host, third, picture, other = deleted_while_the_host_is_off()
    origin.power_cut()
    host.restart()
    asker = Machine(rig, 4)
    rig.run_for(5)
    outcome = get(asker, picture)
    assert isinstance(outcome, c.Failed)
    assert "was deleted" in str(outcome.error)
    assert isinstance(get(asker, other), c.Done)
    assert "was deleted" in str(get(third, picture).error)


def test_r6_a_copy_whose_holder_has_the_tombstone_is_not_served_and_waits_for_its_drop():
    rig, origin, host, third, picture, _ = deleted_while_the_host_is_off()
    origin.power_cut()
    host.restart()
    rig.run_for(5)
    tombstone = m.Tombstone(picture.id, picture.size_bytes, picture.sha256, ())
    host.on.keeping.on_records(1, m.Records(0, (tombstone,), (), True))  # as its origin has told it before
    host.turn()
    rig.run_until(lambda: knows_deleted(host, picture), 30)
    asker = Machine(rig, 4)
    third.power_cut()
    rig.run_for(5)
    assert "was deleted" in str(get(asker, picture).error)
    assert on_card(host, picture)
    host.power_cut()
    host.restart()
    rig.run_for(3600)
    assert on_card(host, picture)
    origin.restart()
    rig.run_until(lambda: not on_card(host, picture), 60)


def test_r6_an_origin_that_asks_room_for_what_it_deleted_is_told_its_own_tombstone():
    """Its file was found on the card when the list was lost between the tombstone and the unlink."""
    rig, origin, host, _third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    host.catalogue.save(Save(removed=(picture.id,)))
    tombstone = m.Tombstone(picture.id, picture.size_bytes, picture.sha256, ())
    tagged = replace(tombstone, tag=origin.on.core.tag_of(tombstone))
    host.on.keeping.on_records(1, m.Records(0, (tagged,), (), True))  # as its origin has told it before
    host.turn()
    rig.run_until(lambda: knows_deleted(host, picture), 30)
    carry_out(origin, lambda ticket: c.PlaceCopy(ticket, picture.id, 2, 20.0))
    origin.on.core.say(2, m.Request(picture, 500))
    origin.turn()
    rig.run_until(lambda: knows_deleted(origin, picture), 60)
    rig.run_for(1)
    assert not on_card(origin, picture)
    assert not host.on.core.room.reserved_held


# ---------------------------------------------------------------- a new card at the origin


def test_r7_a_new_card_is_rebuilt_from_records_and_inventories():
    rig, origin, host, _third = a_scene(origin=SMALL)
    pictures = [shoot(origin) for _ in range(12)]
    rig.run_until(settled(origin, host), 100)
    for picture in pictures[:2]:
        delete(origin, picture)
    rig.run_until(recorded(origin), 200)
    old = origin.on.core.card
    strangers = [shoot(host) for _ in range(2)]
    rig.run_until(settled(host, origin), 100)
    before = {entry.picture.id for entry in held(host)}
    new_card(origin)
    rig.run_until(lambda: all(copies(origin, picture) == [2] for picture in pictures[2:]), 600)
    rig.run_until(recorded(origin), 400)
    for picture in pictures[2:]:
        entry = origin.entry(picture.id)
        assert same(entry.picture, picture)
        assert on_card(host, picture)
    assert all(knows_deleted(origin, picture) for picture in pictures[:2])
    assert {entry.picture.id for entry in held(host)} == before
    assert origin.on.core.card != old
    assert shoot(origin).id not in {picture.id for picture in pictures}
    assert all(on_card(host, picture) for picture in strangers)


def test_r7_a_holder_that_only_the_record_names_is_asked_when_it_is_heard():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    host.power_cut()
    new_card(origin)
    rig.run_until(lambda: origin.entry(picture.id) is not None, 60)
    assert origin.entry(picture.id).listed == ()  # a record never writes the list
    assert same(origin.entry(picture.id).picture, picture)
    assert origin.entry(picture.id).version > third.entry(picture.id).version
    rig.run_for(600)
    host.restart()
    rig.run_until(lambda: copies(origin, picture) == [2], 100)


def test_r7_where_no_inventory_comes_the_holders_that_records_name_are_asked():
    rig, origin, host, _third = a_scene(origin=SMALL)
    pictures = [shoot(origin) for _ in range(20)]  # three pages
    rig.run_until(settled(origin, host), 200)
    rig.run_until(recorded(origin), 200)
    rig.loses = lambda said: isinstance(said.message, m.Inventory)
    new_card(origin)
    rig.run_until(lambda: all(copies(origin, picture) == [2] for picture in pictures), 400)


def test_r7_a_page_of_others_records_under_the_same_number_is_no_answer():
    """Or the unit would never ask that keeper again for what it keeps."""
    rig, origin, host, third = a_scene()
    picture = shoot(host)
    rig.run_until(settled(origin, host), 60)
    entry = host.entry(picture.id)
    recollections = origin.on.recollections
    recollections._recollected.discard(third.unit)
    recollections.heard(third.unit)
    page = page_of(recollections._asks[third.unit].page, [row_of(entry)])
    assert not recollections.on_records(third.unit, page)
    assert third.unit in recollections._asks


def test_r7_only_the_owner_is_told_what_is_kept_of_it():
    rig, origin, host, third = a_scene()
    shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    for asker, answers in ((host, 0), (origin, 1)):
        before = len(third.said(m.Records))
        asker.on.core.say(3, m.RecordsAsk(99, 1, None))
        asker.turn()
        rig.run_for(5)
        assert len(third.said(m.Records)) - before == answers


def test_r7_an_old_image_of_the_card_gives_no_id_twice():
    """The catalogue and files of an older day, the same card number: a keeper knows of later pictures."""
    rig, origin, host, third = a_scene(origin=SMALL)
    first = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    later = PictureId(first.id.unit, first.id.card, first.id.sequence + 3)
    record = m.Record(Picture(later, 5000, bytes(range(32))), 4, (), 0)
    third.on.core.say(1, m.Records(0, (), (record,), True))
    third.turn()
    rig.run_until(lambda: origin.entry(later) is not None, 30)
    assert shoot(origin).id.sequence == later.sequence + 1


def test_r7_an_id_far_above_all_that_was_taken_alarms():
    rig, origin, _host, third = a_scene()
    first = shoot(origin)
    far = PictureId(first.id.unit, first.id.card, 4_000_000_000)
    third.on.core.say(1, m.Records(0, (m.Tombstone(far, 1, bytes(32), ()),), (), True))
    third.turn()
    rig.run_for(5)
    assert origin.entry(far) is None
    assert "far above" in origin.logged("alarm")[0]


@pytest.mark.parametrize("cut", range(5, 90, 12))
def test_a_power_cut_while_records_are_recollected_forgets_none(cut):
    rig, origin, host, _third = a_scene(seed=cut, origin=SMALL)
    pictures = [shoot(origin) for _ in range(4)]
    rig.run_until(settled(origin, host), 100)
    delete(origin, pictures[0])
    rig.run_until(recorded(origin), 200)
    new_card(origin)
    rig.run_events(cut, 100)
    origin.power_cut(random.Random(cut))
    rig.run_for(2)
    origin.restart()
    rig.run_until(lambda: all(copies(origin, picture) == [2] for picture in pictures[1:]), 600)
    rig.run_until(lambda: knows_deleted(origin, pictures[0]), 100)


def test_r6_the_record_of_a_longer_history_only_raises_the_version():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    before = origin.entry(picture.id)
    third.on.core.say(1, m.Records(0, (), (m.Record(picture, 50, (), 0),), True))
    third.turn()
    rig.run_for(5)
    after = origin.entry(picture.id)
    assert (after.version, after.copies, after.file) == (51, before.copies, before.file)
    rig.run_until(recorded(origin), 200)
    assert third.entry(picture.id).version == 51


# ---------------------------------------------------------------- the origin is gone


def test_the_origin_gone_a_third_unit_lists_its_pictures_and_their_holders():
    rig, origin, host, third = a_scene()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    rig.run_until(recorded(origin), 200)
    origin.power_cut()
    (entry,) = [entry for entry in rows(third) if entry.picture.id == picture.id]
    assert (entry.named, entry.doubted) == ((2,), 0)
    assert same(entry.picture, picture)
    outcome = carry_out(third, lambda ticket: c.Verify(ticket, picture.id))
    assert isinstance(outcome, c.Failed)
    assert "only unit 1" in str(outcome.error)
