"""Whole units whose own card or catalogue fails now and then, or whose peers say what cannot be: each goes on."""

from dataclasses import replace

import pytest
from rig_scene import a_pair, carry_out, check, copies, held, own, part_bytes, place, press, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.core import MAX_OUTBOX, MAX_TO_ONE
from firmware.determine import Policy, Rules
from firmware.drops import AGAIN_S, UNPROVED_S
from firmware.events import (
    DigestFile,
    FinishPart,
    KeepShot,
    Lacking,
    LookUp,
    RemoveFile,
    Save,
    SaveRecorded,
    TakePicture,
    Unrecorded,
)
from firmware.hosting import FAILED_RETRY_S
from firmware.layout import TMP, picture_path
from firmware.pictures import EVERYONE, MAX_SEQUENCE, File, Picture, PictureId
from firmware.steps import MAX_WAITING_PER_PICTURE
from firmware.store import FLOOR_SMALL_BYTES
from hal.errors import CardError, CardFull
from hal.interfaces import TimeQuality
from sim.card import Fault
from sim.machine import Machine, Options
from sim.rig import Rig

SIZE = 40_000
DAY_S = 24 * 3600.0


def one_size(pictures, **fields):
    """A card for so many pictures, all of one size."""
    return Options(capacity_bytes=pictures * SIZE, size_bytes=(SIZE, SIZE), **fields)


def fails(machine, kind, *, after=0.0, seconds=1.0):
    """The catalogue fails at requests of this kind for some time."""
    catalogue, rig = machine.catalogue, machine.rig
    works, from_s = catalogue._methods[kind], rig.now + after

    def carry_out(request):
        if from_s <= rig.now < from_s + seconds:
            raise CardError("an I/O error")
        return works(request)

    catalogue._methods[kind] = carry_out


# ---------------------------------------------------------------- the radio


def test_a_radio_that_goes_away_is_told_once_and_so_is_its_return():
    rig, unit, _ = a_pair()
    unit.radio.unplug()
    rig.run_for(120)  # it is tried again a dozen times
    (lost,) = unit.logged("radio")
    assert lost == unit.radio.problem
    unit.radio.plug()
    rig.run_for(20)
    assert unit.logged("radio") == [lost, "the radio works again"]


# ---------------------------------------------------------------- the own card and catalogue


def test_a_look_up_that_fails_after_a_time_out_costs_no_dispersal():
    rig, origin, _ = a_pair()
    rig.loses = lambda said: isinstance(said.message, m.Accept)
    picture = shoot(origin)
    rig.run_until(lambda: origin.said(m.Request), 30)
    fails(origin, LookUp, after=15, seconds=6)
    rig.run_for(25)
    rig.loses = None
    rig.run_until(lambda: copies(origin, picture) == [2], 1000)
    assert list(origin.on.dispersals) == []


def test_a_search_for_work_that_fails_is_made_again():
    rig, origin, _ = a_pair(origin=Options(rules=Rules(policy=Policy.NEVER)))
    picture = shoot(origin)
    origin.power_cut()
    origin.options.rules = Rules()
    origin.restart()
    fails(origin, Lacking, seconds=5.0)
    rig.run_for(5)
    assert copies(origin, picture) == []
    rig.run_until(lambda: copies(origin, picture) == [2], 50)  # before the next beacon


def test_a_second_copy_that_was_refused_is_asked_for_again_when_its_time_has_come():
    """It waited until something else happened: when to ask again was forgotten in the look for other pictures."""
    rig, origin, host = a_pair()
    third = Machine(rig, 3)
    rig.run_for(5)
    host.card.options.below["tmp"] = third.card.options.below["tmp"] = Fault.IO
    picture = shoot(origin, priority=True)
    rig.run_until(lambda: host.said(m.Refuse) or third.said(m.Refuse), 30)
    host.card.options.below.clear()
    third.card.options.below.clear()
    rig.run_until(lambda: len(copies(origin, picture)) == 2, 2 * FAILED_RETRY_S)


def test_a_unit_that_is_heard_during_a_look_is_asked_for_what_the_look_passes_over():
    """The look behind pictures that had nowhere to go took the news of the unit for its own, and passed them over."""
    rig, origin, _ = a_pair()
    picture = shoot(origin, priority=True)
    rig.run_until(lambda: copies(origin, picture) == [2], 30)
    third = Machine(rig, 3)
    looks = []
    rig.watch = lambda who, request: looks.append(request) if who is origin and isinstance(request, Lacking) else None
    origin.on.core.changed = True
    origin.turn()
    rig.run_until(lambda: looks, 5)
    origin.slowness = 1000.0  # the look behind this one
    origin.turn()
    rig.run_until(lambda: origin.on.core.hears(3), 5)
    origin.slowness = 1.0
    rig.run_until(lambda: copies(origin, picture) == [2, 3], 30)
    assert held(third)


def test_a_keeper_that_could_not_be_noted_is_told_again_soon():
    """It took a day until the record was looked at again, and as long until a delete was sure."""
    rig, origin, _ = a_pair()
    fails(origin, SaveRecorded, seconds=75.0)
    shoot(origin)
    rig.run_for(200)
    assert not origin.catalogue.unrecorded(Unrecorded(False, None, 10))


def test_one_picture_that_cannot_be_read_does_not_keep_the_others_from_their_copies():
    rig, origin, host = a_pair(origin=Options(rules=Rules(policy=Policy.NEVER)))
    pictures = [shoot(origin) for _ in range(3)]
    origin.power_cut()
    origin.options.rules = Rules()
    origin.card.options.below[picture_path(pictures[0], 1)] = Fault.IO
    origin.restart()
    started = rig.now
    rig.run_until(lambda: all(copies(origin, picture) == [2] for picture in pictures[1:]), 60)
    assert rig.now - started < 30  # the host was not left alone for a fault that is here
    assert copies(origin, pictures[0]) == []
    assert len(held(host)) == 2


def test_a_store_that_takes_longer_than_many_questions_for_the_proof_is_waited_for():
    rig, origin, host = a_pair()
    other = Machine(rig, 3)
    rig.run_for(5)
    for machine in (host, other):
        machine.latency_s[FinishPart] = machine.latency_s[DigestFile] = 20.0
    picture = shoot(origin)
    rig.run_for(400)
    assert len(copies(origin, picture)) == 1
    assert part_bytes(origin) == picture.size_bytes  # sent once
    assert len(held(host)) + len(held(other)) == 1


def unchecked(origin, pictures):
    """A cut between O5's commit and its unlink: the files are there, and taken back unchecked at the start."""
    origin.power_cut()
    for picture in pictures:
        origin.catalogue.save(Save(entries=(replace(origin.entry(picture.id), file=File.GONE),)))


def test_a_file_that_cannot_be_checked_keeps_no_other_from_being_checked():
    rig, origin, host = a_pair()
    pictures = [shoot(origin) for _ in range(4)]
    rig.run_until(settled(origin, host), 100)
    unchecked(origin, pictures)
    path = picture_path(pictures[0], 1)
    origin.card.options.below[path] = Fault.IO
    origin.restart()
    rig.run_for(60)
    assert [origin.entry(p.id).file for p in pictures] == [File.UNCHECKED] + [File.WHOLE] * 3
    del origin.card.options.below[path]
    rig.run_for(2 * 3600)
    assert origin.entry(pictures[0].id).file is File.WHOLE


def test_a_file_not_yet_checked_that_lacks_a_copy_is_checked_before_it_is_sent():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    unchecked(origin, [picture])
    entry = origin.entry(picture.id)
    suspects = tuple(replace(copy, suspect=True) for copy in entry.copies)
    origin.catalogue.save(Save(entries=(replace(entry, copies=suspects),)))
    host.power_cut()
    third = Machine(rig, 3)
    origin.card.options.below[picture_path(picture, 1)] = Fault.IO
    origin.restart()
    attempts = origin.on.core.next_attempt
    rig.run_for(60)
    assert origin.on.core.next_attempt <= attempts + 1  # not one after the other
    del origin.card.options.below[picture_path(picture, 1)]
    rig.run_until(lambda: copies(origin, picture) == [3], 1000)
    check(origin, third, host)


def test_a_shot_refused_while_another_is_being_written_leaves_that_one_alone():
    rig = Rig()
    origin = Machine(rig, 1, one_size(3, patience_s=20.0, rules=Rules(policy=Policy.NEVER)))
    origin.latency_s[TakePicture] = 0.05
    first, *_ = [shoot(origin) for _ in range(3)]
    origin.latency_s[KeepShot] = 3.0
    tickets = [press(origin), press(origin)]
    rig.run_until(lambda: origin.on.shutter.waiting == 2, 5)
    rig.run_for(origin.on.core.started + 13.5 - rig.now)
    origin.command(lambda ticket: c.DeletePicture(ticket, first.id))  # room for one
    rig.run_for(30)
    one, other = map(origin.outcome, tickets)
    assert isinstance(one, c.Done)
    assert isinstance(other, c.Failed)
    assert {entry.picture.id for entry in own(origin)} >= {one.value.id}
    assert len(own(origin)) == 3


def test_a_shot_whose_row_could_not_be_committed_keeps_its_id():
    rig = Rig()
    origin = Machine(rig, 1, one_size(10))
    rig.run_for(1)
    full = CardErrorOnce(origin)
    picture = shoot(origin)
    assert full.raised
    assert [entry.picture.id for entry in own(origin)] == [picture.id]
    assert picture.id.sequence == 1
    assert len(origin.card.entries(f"own/00001-{origin.on.core.card:04x}")) == 1


class CardErrorOnce:
    """The first COMMIT of a shot's row finds the file system full."""

    def __init__(self, machine):
        self.raised = False
        self._catalogue, self._save = machine.catalogue, machine.catalogue.save
        machine.catalogue._methods[Save] = self.save

    def save(self, request):
        if request.sequence is not None and not self.raised:
            self.raised = True
            raise CardFull("the file system is full")
        return self._save(request)


def test_the_room_of_a_file_that_could_not_be_removed_stays_taken_and_keeps_no_shot_waiting():
    rig, origin, host = a_pair(origin=one_size(4))
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    origin.card.options.below[picture_path(picture, 1)] = Fault.READ_ONLY
    assert isinstance(carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id)), c.Failed)
    assert origin.on.core.room.used_bytes == SIZE
    assert origin.on.core.unlinking == 0


def test_a_slow_unlink_does_not_make_more_pictures_go_than_have_to():
    rig, origin, _ = a_pair(origin=one_size(12))
    origin.latency_s[RemoveFile] = 3.0
    for shots in range(1, 15):
        shoot(origin)
        rig.run_for(30)
        gone = sum(entry.file is File.GONE for entry in own(origin))
        assert gone <= max(0, shots - 10)  # two more always fit, and no more than that is freed


def test_capacity_holds_while_the_row_of_a_hosted_picture_is_being_committed():
    rig = Rig()
    host = Machine(rig, 9, Options(capacity_bytes=3 * SIZE // 2, hosting_share=0.95, size_bytes=(SIZE, SIZE)))
    origin = Machine(rig, 1, one_size(10, hosting_share=0.0))
    rig.run_for(5)
    host.latency_s[Save] = 2.0
    shoot(origin)
    rig.run_until(lambda: origin.said(m.End), 60)
    rig.run_for(0.3)
    press(host)
    most = []
    rig.watch = lambda machine, _: most.append(machine.on.core.room.used_bytes) if machine is host else None
    rig.run_for(30)
    assert len(held(host)) == 1
    assert max(most) <= 3 * SIZE // 2


def test_a_host_whose_file_system_is_full_says_so_and_says_when_it_has_room_again():
    rig, origin, host = a_pair(host=Options(file_system_bytes=17_000_000))
    filler = host.card.create("filler", host.card.free_bytes() - FLOOR_SMALL_BYTES - 1_000)
    filler.close()
    picture = shoot(origin)
    rig.run_for(100)
    assert host.said(m.Refuse)[-1].message.why is m.RefuseWhy.FULL
    assert copies(origin, picture) == []
    host.card.unlink("filler")
    rig.run_until(lambda: copies(origin, picture) == [2], 30)


def test_a_beacon_offers_no_more_than_the_file_system_has():
    _, origin, host = a_pair(host=Options(file_system_bytes=18_000_000, capacity_bytes=1_000_000_000))
    left = host.card.free_bytes() - FLOOR_SMALL_BYTES
    assert origin.on.core.neighbours.find(2).room_bytes <= left < 2_000_000


@pytest.mark.parametrize("fault", [Fault.IO, Fault.READ_ONLY])
def test_a_host_whose_card_fails_says_so_once_and_again_when_it_works(fault):
    rig, origin, host = a_pair(host=Options())
    host.card.options.below[TMP] = fault
    pictures = [shoot(origin) for _ in range(3)]
    rig.run_for(400)
    (alarm,) = host.logged("alarm")
    assert "the card has failed" in alarm
    assert "the card has failed" in host.on.file_system.failure
    del host.card.options.below[TMP]
    rig.run_until(lambda: all(copies(origin, picture) == [2] for picture in pictures), 3600)
    assert host.on.file_system.failure is None
    assert host.logged("card")[-1] == "the card has taken a picture again"


def test_a_card_that_is_mounted_anew_to_be_read_only_is_noticed_without_a_picture():
    rig, _, host = a_pair(host=Options())
    host.card.options.read_only = True
    rig.run_for(1200)
    (alarm,) = host.logged("alarm")
    assert "the card has failed" in alarm
    host.card.options.read_only = False
    rig.run_for(120)
    assert host.on.file_system.failure is None


def test_a_capacity_that_the_file_system_does_not_have_is_told_once_at_the_start():
    rig, _, host = a_pair(host=Options(file_system_bytes=18_000_000, capacity_bytes=1_000_000_000))
    rig.run_for(400)
    (told,) = [line for line in host.logged("card") if "less than card.capacity" in line]
    assert "the unit keeps to what is there" in told


class DropsFail:
    """No commit that drops an own file goes through; how often it was tried."""

    def __init__(self, machine):
        self.tried = 0
        self._save = machine.catalogue.save
        machine.catalogue._methods[Save] = self.save

    def save(self, request):
        if any(entry.file is File.GONE for entry in request.entries):
            self.tried += 1
            raise CardError("an I/O error")
        return self._save(request)


def test_a_drop_that_the_catalogue_does_not_take_is_tried_now_and_then_only():
    rig, origin, _ = a_pair(origin=one_size(6))
    failing = DropsFail(origin)
    for _ in range(6):
        shoot(origin)
        rig.run_for(15)
    before = failing.tried
    rig.run_for(60)
    assert 0 < failing.tried - before <= 2 * 60 / AGAIN_S


def test_a_proof_asked_for_again_while_the_card_is_slow_is_read_back_once():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    host.latency_s[DigestFile] = 10.0
    read = []
    rig.watch = lambda machine, request: read.append(request) if machine is host else None
    assert carry_out(origin, lambda ticket: c.Verify(ticket, picture.id)) == c.Done(c.Verified((2,), (2,)))
    assert len([request for request in read if isinstance(request, DigestFile)]) == 1
    assert len(origin.said(m.Prove)) > 2


def test_what_could_not_be_proved_is_asked_for_again_later():
    rig, origin, host = a_pair(origin=one_size(10))
    pictures = []
    for _ in range(8):
        pictures.append(shoot(origin))
        rig.run_for(10)
    origin.power_cut()
    host.card.options.below["held"] = Fault.IO
    origin.restart()
    shoot(origin)
    rig.run_for(100)
    asked = len(origin.said(m.Prove))
    assert asked
    assert all(entry.file is File.WHOLE for entry in own(origin))
    host.card.options.below.clear()
    rig.run_for(1.1 * UNPROVED_S)
    assert len(origin.said(m.Prove)) > asked


# ---------------------------------------------------------------- pressed, and not pressed


def test_a_card_that_is_one_picture_short_asks_for_one_proof_and_drops_one_file():
    rig, origin, _ = a_pair(origin=one_size(10, rules=Rules(copies=2, copies_min=1)))
    for shots in range(1, 15):
        shoot(origin)
        rig.run_for(30)
        gone = sum(entry.file is File.GONE for entry in own(origin))
        assert gone == max(0, shots - 8)
    assert len(origin.said(m.Prove)) <= 2 * gone


def test_a_drop_by_hand_and_one_by_itself_of_the_same_picture_are_one():
    rig, origin, host = a_pair(origin=one_size(10, rules=Rules(copies=2, copies_min=1)))
    pictures = []
    for _ in range(8):
        pictures.append(shoot(origin))
        rig.run_for(15)
    host.latency_s[DigestFile] = 2.0
    origin.latency_s[RemoveFile] = 2.0
    shoot(origin)
    rig.run_until(lambda: origin.said(m.Prove), 10)
    assert carry_out(origin, lambda ticket: c.DropOwn(ticket, pictures[0].id)) == c.Done(None)
    assert origin.entry(pictures[0].id).file is File.GONE


def test_pressed_proofs_that_come_when_there_is_room_again_drop_nothing():
    rig, origin, host = a_pair(origin=one_size(10, rules=Rules(copies=2, copies_min=1)))
    pictures = []
    for _ in range(8):
        pictures.append(shoot(origin))
        rig.run_for(15)
    host.latency_s[DigestFile] = 6.0
    shoot(origin)
    rig.run_until(lambda: origin.said(m.Prove), 10)
    for picture in pictures[4:8]:
        carry_out(origin, lambda ticket, p=picture: c.DeletePicture(ticket, p.id))
    rig.run_for(60)
    assert all(entry.file is File.WHOLE for entry in own(origin))


def test_no_picture_goes_below_its_copies_for_the_sake_of_another_units_picture():
    rig, origin, _ = a_pair(origin=one_size(12, hosting_share=0.9, rules=Rules(copies=2, copies_min=1)))
    for _ in range(7):  # each has one of two copies; five more fit
        shoot(origin)
        rig.run_for(15)
    audits = len(origin.said(m.Prove))
    origin.on.hostings.want(8 * SIZE)
    rig.run_for(30)
    assert len(origin.said(m.Prove)) == audits
    assert all(entry.file is File.WHOLE for entry in own(origin))
    rig.run_for(60)
    assert not origin.on.hostings.wanted_bytes  # nobody has asked again


# ---------------------------------------------------------------- what peers say


def says(machine, destination, message):
    machine.on.core.say(destination, message)
    machine.turn()


@pytest.mark.parametrize("unix_s", [3e11, float(2**40 - 2)])
def test_a_beacon_with_a_time_that_cannot_be_sets_no_clock(unix_s):
    rig, origin, host = a_pair()
    heard = host.said(m.Beacon)[-1].message
    says(host, EVERYONE, replace(heard, unix_s=unix_s, quality=TimeQuality.SYNCED))
    rig.run_for(5)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    assert picture.taken_at < 4e9


def test_an_inventory_far_above_the_own_count_is_an_alarm_and_the_next_shot_is_taken():
    rig, origin, host = a_pair()
    card = origin.on.core.card
    row = m.InventoryRow(Picture(PictureId(1, card, MAX_SEQUENCE), 100, b"x" * 32), 5)
    says(host, 1, m.Inventory(1, (row,), True))
    rig.run_for(5)
    assert "far above" in origin.logged("alarm")[0]
    origin.power_cut()
    origin.restart()
    rig.run_for(5)
    assert shoot(origin).id == PictureId(1, card, 1)


def test_a_catalogue_that_is_an_older_copy_uses_no_id_twice():
    """Its holders know pictures of this very card that it does not."""
    rig, origin, host = a_pair()
    row = m.InventoryRow(Picture(PictureId(1, origin.on.core.card, 7), 100, b"x" * 32), 5)
    says(host, 1, m.Inventory(1, (row,), True))
    rig.run_for(5)
    assert shoot(origin).id.sequence == 8


def test_messages_about_a_picture_for_which_much_waits_are_dropped_and_nothing_is_stuck():
    rig, origin, host = a_pair()
    rig.loses = lambda said: isinstance(said.message, m.Accept)
    picture = shoot(origin)
    rig.run_until(lambda: origin.said(m.Request), 30)
    rig.run_for(17.5)
    origin.latency_s[LookUp] = 8.0
    for query in range(MAX_WAITING_PER_PICTURE + 8):
        host.on.core.say(1, m.Where(2, query, picture.id, 0))
    host.turn()
    rig.run_for(8)
    origin.latency_s[LookUp] = 0.001
    rig.loses = None
    rig.run_until(lambda: copies(origin, picture) == [2], 1000)
    assert len(origin.said(m.At)) == MAX_WAITING_PER_PICTURE + 1


def test_one_unit_that_asks_again_and_again_keeps_no_other_out():
    """Each handle rests for its TTL, hours for a large picture; but only for the unit it was given to."""
    rig = Rig()
    Machine(rig, 2, Options(capacity_bytes=60_000_000, hosting_share=0.95, file_system_bytes=200_000_000))
    greedy = Machine(rig, 7, Options(hosting_share=0.0))
    origin = Machine(rig, 1, Options(hosting_share=0.0))
    rig.run_for(5)
    wanted = Picture(PictureId(7, 1, 1), 50_000_000, b"z" * 32)
    for attempt in range(140):
        says(greedy, 2, m.Request(wanted, attempt + 1))
        rig.run_for(0.3)
    says(greedy, 2, m.Drop(wanted.id, 200, wanted.digest4))
    rig.run_for(1)
    picture = shoot(origin)
    rig.run_until(lambda: copies(origin, picture) == [2], 100)


def test_answers_to_one_that_asks_without_end_push_nothing_out_that_is_for_others():
    rig = Rig()
    core = Machine(rig, 1).on.core
    core.say(3, m.NameAsk())
    for number in range(2 * MAX_OUTBOX):
        core.say(2, m.RefuseGet(2, number, 1, PictureId(1, 7, number), m.GetWhy.BUSY))
    assert (3, m.NameAsk()) in core.outbox
    to_two = [message for unit, message in core.outbox if unit == 2]
    assert [message.id.sequence for message in to_two] == list(range(2 * MAX_OUTBOX - MAX_TO_ONE, 2 * MAX_OUTBOX))


def test_delete_orders_for_units_that_are_gone_keep_no_other_order_back():
    rig = Rig()
    gone, living, holder = Machine(rig, 7), Machine(rig, 20), Machine(rig, 2)
    rig.run_for(5)
    dead = [shoot(gone) for _ in range(20)]
    picture = shoot(living)
    for unit, pictures in ((gone, dead), (living, [picture])):
        for one in pictures:
            assert place(unit, one, 2) == c.Done(None)
    gone.power_cut()
    rig.run_for(200)
    for one in dead:
        carry_out(holder, lambda ticket, p=one: c.DeletePicture(ticket, p.id))
    lost_until = rig.now + 5
    rig.loses = lambda said: isinstance(said.message, m.Delete) and rig.now < lost_until
    carry_out(holder, lambda ticket: c.DeletePicture(ticket, picture.id))
    rig.run_until(lambda: living.entry(picture.id).deleted, DAY_S)


def test_a_beacon_that_ends_a_refusal_is_acted_on_at_once():
    rig = Rig()
    host = Machine(rig, 9, Options(capacity_bytes=5 * SIZE))
    rig.run_for(100)
    origin, other = (Machine(rig, unit, one_size(100, hosting_share=0.0)) for unit in (1, 2))
    rig.run_for(5)
    others = [shoot(other) for _ in range(2)]
    rig.run_until(lambda: all(copies(other, one) for one in others), 60)
    picture = shoot(origin)
    rig.run_until(lambda: origin.logged("refused"), 10)
    assert host.said(m.Refuse)
    for one in others:
        carry_out(other, lambda ticket, p=one: c.DeletePicture(ticket, p.id))
    started = rig.now
    rig.run_until(lambda: copies(origin, picture) == [9], 100)
    assert rig.now - started < 10
