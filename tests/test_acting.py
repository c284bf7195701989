"""R10, whole units: one that is gone for good is acted for by another one, or its pictures are released."""

from dataclasses import replace

import pytest
from rig_scene import carry_out, check, check_always, copies, held, on_card, own, place, rows, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware import rows as told
from firmware.events import Counts, Held, Save, SaveRoster
from firmware.pictures import Copy, File
from firmware.record_rows import page_of, rows_of
from sim.credentials import AdminFolder
from sim.machine import Machine, Options
from sim.rig import Rig

SIZE = 20_000


class Scene:
    """Units of a network; what they take is copied to unit 2, as the others keep records only."""

    def __init__(self, units=(1, 2, 3), **fields):
        self.rig, self.admin = Rig(), AdminFolder(units)
        self.machines = [
            Machine(self.rig, unit, self.options(unit, hosting_share=0.5 if unit == 2 else 0.001, **fields))
            for unit in units
        ]
        self.rig.run_until(lambda: all(self._hears_all(one) for one in self.machines), 60)

    def _hears_all(self, machine):
        return all(machine.on.core.hears(other.unit) for other in self.machines if other is not machine)

    def options(self, unit, **fields):
        return Options(credential=self.admin.credential(unit), size_bytes=(SIZE, SIZE), **fields)

    def take(self, number=3):
        """So many pictures, each with its copy at unit 2."""
        origin = self.machines[0]
        pictures = [shoot(origin) for _ in range(number)]
        self.rig.run_until(settled(origin), 600)
        assert all(copies(origin, picture) == [2] for picture in pictures)
        return [replace(picture, taken_at=None) for picture in pictures]

    def take_away(self):
        """Unit 1 is stolen, and is not heard again."""
        self.machines[0].kill()
        self.left = self.machines[1:]

    def adopt(self, by, *, gone=1):
        """The admin's next roster, handed to the last unit; all have it afterwards, and go by it."""
        roster = self.admin.adopt(gone, by)
        carry_out(self.machines[-1], lambda ticket: c.PushRoster(ticket, roster.encoded))
        self.rig.run_until(lambda: all(one.running and one.on.core.epoch == roster.epoch for one in self.left), 60)


def verified_at(machine, pictures, units):
    """The machine decides about all of these, and its list names those units, proved."""
    return lambda: all(
        machine.catalogue.is_own(picture.id.unit) and copies(machine, picture) == units for picture in pictures
    )


def get(machine, picture):
    ticket = machine.command(lambda ticket: c.Get(ticket, picture.id, preview=False, timeout_s=60.0))
    machine.rig.run_until(lambda: machine.outcome(ticket) is not None, 120)
    return machine.outcome(ticket)


def test_who_acts_for_a_unit_learns_what_others_hold_of_it_and_keeps_it():
    scene = Scene()
    pictures = scene.take()
    three = scene.machines[-1]
    scene.rig.run_until(lambda: three.entry(pictures[0].id), 120)  # it keeps that record
    scene.take_away()
    two, three = scene.left
    scene.adopt(3)
    assert isinstance(get(three, pictures[0]), c.Done)  # before it knows who has it
    scene.rig.run_until(verified_at(three, pictures, [2]), 600)
    check_always(scene.rig, *scene.left)
    assert three.starts == 2  # it has begun anew, by itself
    assert all(row.kept and row.attempt < three.on.core.next_attempt for row in held(two))
    assert isinstance(get(three, pictures[0]), c.Done)
    scene.rig.run_until(settled(two, three), 600)
    check(two, three)


def test_who_acts_decides_about_copies_as_the_origin_did():
    scene = Scene()
    first, second, third = scene.take()
    scene.take_away()
    two, three = scene.left
    check_always(scene.rig, *scene.left)
    scene.adopt(2)  # which holds them itself
    scene.rig.run_until(lambda: {row.picture.id for row in own(two)} == {first.id, second.id, third.id}, 60)
    assert not held(two)
    assert two.on.core.room.held_bytes == 0
    assert two.on.core.room.own_bytes == 3 * SIZE
    three.kill()
    three.options = scene.options(3)  # with room for others from now on
    three.restart()
    scene.rig.run_until(verified_at(two, (first, second, third), [3]), 600)
    assert carry_out(two, lambda ticket: c.DropOwn(ticket, first.id)) == c.Done(None)
    assert two.entry(first.id).file is File.GONE
    assert not on_card(two, first)
    assert place(two, first, 3) == c.Done(None)
    deleted = carry_out(two, lambda ticket: c.DeletePicture(ticket, second.id))
    assert isinstance(deleted, c.Done)
    scene.rig.run_until(lambda: not on_card(three, second) and not on_card(two, second), 60)
    two.power_cut()
    two.restart()
    scene.rig.run_until(settled(two, three), 600)
    assert {row.picture.id for row in own(two)} == {first.id, third.id}
    assert {row.picture.id for row in held(three)} == {first.id, third.id}


def test_a_file_whose_drop_was_cut_is_taken_back_as_cache_where_the_unit_acts():
    scene = Scene()
    (picture,) = scene.take(1)
    scene.take_away()
    two, _ = scene.left
    scene.adopt(2)
    scene.rig.run_until(lambda: two.running and two.on.core.acts_for == {1}, 60)
    two.kill()
    row = replace(two.entry(picture.id), file=File.GONE, copies=(Copy(3, listed=9),))
    two.catalogue.save(Save(entries=(row,)))
    two.restart()
    assert two.entry(picture.id).file is not File.GONE
    assert two.on.core.room.own_bytes == SIZE
    assert on_card(two, picture)


def test_an_order_to_delete_given_elsewhere_goes_to_who_acts():
    scene = Scene()
    (picture,) = scene.take(1)
    scene.take_away()
    two, three = scene.left
    scene.adopt(3)
    scene.rig.run_until(verified_at(three, [picture], [2]), 600)
    assert carry_out(two, lambda ticket: c.DeletePicture(ticket, picture.id)) == c.Done("pending")
    scene.rig.run_until(lambda: not on_card(two, picture) and three.entry(picture.id).deleted, 10)


@pytest.mark.parametrize("by", [3, 0])
def test_nobody_else_is_obeyed(by):
    scene = Scene((1, 2, 3, 4))
    scene.rig.loses = lambda said: isinstance(said.message, m.Keep) and said.source != 4
    (picture,) = scene.take(1)
    scene.take_away()
    two, _, four = scene.left
    gone_at = scene.rig.now
    scene.adopt(by)
    scene.rig.run_for(60)
    before, asked_at = two.entry(picture.id), scene.rig.now
    assert not before.kept
    assert {said.destination for said in two.said(m.Hold) if said.at > gone_at} == ({by} if by else set())
    for message in (
        m.Request(picture, before.attempt + 1),
        m.Drop(picture.id, before.attempt, picture.digest4),
        m.Keep(picture.id, before.attempt, picture.digest4),
        m.Prove(picture.id, before.attempt, bytes(16)),
        m.InventoryAsk(1, None),
        m.RecordsAsk(1, 1, None),
        page_of(0, [m.Record(picture, 10**6, (4,), 0)]),
    ):
        four.on.core.say(2, message)
    scene.rig.run_for(30)
    assert replace(two.entry(picture.id), version=0) == replace(before, version=0)
    assert 4 not in two.entry(picture.id).named
    assert on_card(two, picture)
    refused = [said.message for said in two.said(m.Refuse) if said.destination == 4]
    assert {message.why for message in refused} == {m.RefuseWhy.NOT_YOURS}
    since = [
        said.message for said in scene.rig.said if (said.source, said.destination) == (2, 4) and said.at > asked_at
    ]
    assert not [message for message in since if isinstance(message, m.Proof | m.Lost | m.Inventory)]
    assert not [message for message in since if isinstance(message, m.Records) and rows_of(message)]


def test_what_was_deleted_before_stays_deleted_and_leaves_its_holder():
    scene = Scene()
    kept, deleted = scene.take(2)
    one, two, three = scene.machines
    two.power_cut()
    carry_out(one, lambda ticket: c.DeletePicture(ticket, deleted.id))
    scene.rig.run_until(lambda: three.entry(deleted.id) is not None and three.entry(deleted.id).deleted, 120)
    scene.take_away()
    roster = scene.admin.adopt(1, 3)
    carry_out(three, lambda ticket: c.PushRoster(ticket, roster.encoded))
    scene.rig.run_until(lambda: three.running and three.on.core.acts_for == {1}, 30)
    two.restart()
    assert on_card(two, deleted)
    scene.rig.run_until(lambda: not on_card(two, deleted), 300)
    scene.rig.run_until(verified_at(three, [kept], [2]), 600)
    assert three.entry(deleted.id).deleted
    assert deleted.id not in {row.picture.id for machine in (two, three) for row in rows(machine)}


def test_what_was_deleted_before_stays_deleted_where_who_acts_loses_its_card():
    """Others keep the tombstone, with a tag that the one who acts knows for its own."""
    scene = Scene()
    _, deleted = scene.take(2)
    one, two, three = scene.machines
    two.power_cut()
    carry_out(one, lambda ticket: c.DeletePicture(ticket, deleted.id))
    scene.rig.run_until(lambda: three.entry(deleted.id) is not None, 120)
    two.restart()
    scene.rig.run_until(lambda: two.entry(deleted.id).deleted, 600)
    scene.take_away()
    scene.adopt(3)
    scene.rig.run_until(
        lambda: not len(three.on.records._pages) and two.entry(deleted.id).tag == three_tag(three, deleted), 600
    )
    three.power_cut()
    three.lose_card()
    three.restart()
    scene.rig.run_until(lambda: three.running and three.entry(deleted.id) and three.entry(deleted.id).deleted, 600)


def three_tag(machine, picture):
    return machine.on.core.tag(picture.id.encode() + picture.sha256) if machine.running else None


def test_what_was_deleted_before_leaves_the_card_of_a_holder_that_acts():
    scene = Scene()
    kept, deleted = scene.take(2)
    one, two, _ = scene.machines
    scene.rig.loses = lambda said: isinstance(said.message, m.Drop)
    carry_out(one, lambda ticket: c.DeletePicture(ticket, deleted.id))
    scene.rig.run_until(lambda: two.entry(deleted.id).deleted, 120)
    assert on_card(two, deleted)
    scene.take_away()
    scene.adopt(2)
    scene.rig.run_until(lambda: two.running and two.on.core.acts_for == {1}, 60)
    assert not on_card(two, deleted)
    assert [row.picture.id for row in own(two)] == [kept.id]
    assert two.on.core.room.used_bytes == SIZE


@pytest.mark.parametrize("lost", ["process", "catalogue", "card"])
def test_who_acts_may_be_cut_or_lose_its_catalogue_or_card(lost):
    """What it held goes with its card, if it had the only copy; what others hold comes back."""
    scene = Scene()
    pictures = scene.take()
    scene.take_away()
    two, three = scene.left
    roster = scene.admin.adopt(1, 3)
    carry_out(three, lambda ticket: c.PushRoster(ticket, roster.encoded))
    if three.running is not None:
        three.power_cut()
    three.restart()
    assert three.on.core.acts_for == {1}
    scene.rig.run_until(verified_at(three, pictures, [2]), 600)
    three.power_cut()
    if lost == "catalogue":
        three.lose_catalogue()
    elif lost == "card":
        three.lose_card()
    three.restart()
    scene.rig.run_until(verified_at(three, pictures, [2]), 1200)
    scene.rig.run_until(settled(two, three), 600)
    check(two, three)


def test_a_catalogue_that_is_lost_where_the_copies_are_own_ones_finds_their_files_again():
    scene = Scene()
    pictures = scene.take()
    scene.take_away()
    two, three = scene.left
    scene.adopt(2)
    scene.rig.run_until(lambda: len(own(two)) == 3, 60)
    two.power_cut()
    two.lose_catalogue()
    two.restart()  # its credential's roster does not say that it acts: they are held ones
    scene.rig.run_until(lambda: two.running and two.on.core.acts_for == {1}, 60)
    assert {row.picture.id for row in own(two)} == {picture.id for picture in pictures}
    assert all(on_card(two, picture) for picture in pictures)
    check(two, three)


def test_another_one_may_act_later_and_the_first_one_holds_what_it_has():
    scene = Scene()
    pictures = scene.take()
    scene.take_away()
    two, three = scene.left
    scene.adopt(2)
    scene.rig.run_until(lambda: len(own(two)) == 3, 60)
    scene.adopt(3)
    scene.rig.run_until(verified_at(three, pictures, [2]), 600)
    assert {row.picture.id for row in held(two)} == {picture.id for picture in pictures}
    assert not own(two)
    scene.rig.run_until(settled(two, three), 600)
    check(two, three)


def test_an_order_to_delete_that_waited_for_the_gone_unit_is_carried_out_where_the_unit_that_took_it_acts():
    scene = Scene()
    (picture,) = scene.take(1)
    three = scene.machines[-1]
    scene.rig.run_until(lambda: three.entry(picture.id), 120)
    scene.take_away()
    assert carry_out(three, lambda ticket: c.DeletePicture(ticket, picture.id)) == c.Done("pending")
    scene.adopt(3)
    scene.rig.run_until(lambda: three.running and three.entry(picture.id).deleted, 600)
    scene.rig.run_for(60)
    assert not three.catalogue.counts(Counts(1, 1)).deletes_pending


def test_a_delete_before_a_unit_that_shall_act_has_begun_anew_harms_nothing():
    scene = Scene()
    (picture,) = scene.take(1)
    scene.take_away()
    two, _ = scene.left
    two.kill()
    two.options = replace(two.options, temporary=True)  # does not begin anew
    two.restart()
    scene.rig.run_for(60)
    scene.adopt(2)
    scene.rig.run_for(10)
    outcome = carry_out(two, lambda ticket: c.DeletePicture(ticket, picture.id))
    scene.rig.run_for(60)
    two.kill()
    two.options = replace(two.options, temporary=False)
    two.restart()
    scene.rig.run_for(2 * 24 * 3600)
    assert outcome != c.Done("pending") or two.entry(picture.id).deleted


def test_who_acts_tells_who_holds_the_pictures():
    scene = Scene()
    (picture,) = scene.take(1)
    scene.take_away()
    _, three = scene.left
    scene.adopt(3)
    scene.rig.run_until(verified_at(three, [picture], [2]), 600)
    row = told.whereis_row(three.entry(picture.id), 3)
    assert [copy["unit"] for copy in row["copies"]] == [2]


def test_a_start_without_credential_or_radio_keeps_the_lists_of_who_acts():
    scene = Scene()
    (picture,) = scene.take(1)
    scene.take_away()
    _, three = scene.left
    scene.adopt(3)
    scene.rig.run_until(verified_at(three, [picture], [2]), 600)
    three.kill()
    mine, three.options = three.options, replace(three.options, credential=None)
    three.restart()
    three.kill()
    three.options = mine
    three.restart()
    assert copies(three, picture) == [2]


def test_who_acts_does_not_ask_for_ever_for_room_for_a_picture_that_others_know_to_be_deleted():
    scene = Scene((1, 2, 3, 4))
    _, deleted = scene.take(2)
    one, two, three, four = scene.machines
    two.power_cut()
    three.power_cut()
    carry_out(one, lambda ticket: c.DeletePicture(ticket, deleted.id))
    scene.rig.run_until(lambda: four.entry(deleted.id) is not None and four.entry(deleted.id).deleted, 120)
    scene.take_away()
    two.restart()
    three.restart()
    four.kill()
    four.options = scene.options(4)
    four.restart()
    scene.rig.run_for(60)
    scene.adopt(2)
    scene.rig.run_for(6 * 3600)
    asked = [s for s in two.said(m.Request) if s.message.picture.id == deleted.id and s.destination == 4]
    assert 0 < len(asked) < 20


def test_a_copy_that_was_dropped_and_whose_unlink_was_cut_does_not_come_back_as_an_own_picture():
    """DROP of a deleted picture: the row goes, the power goes before the unlink, and the next start is the one that
    acts. By the table of HANDOVER §1 a held file without row is unlinked."""
    scene = Scene((1, 2, 3))
    _, deleted = scene.take(2)
    one, two, three = scene.machines
    scene.rig.loses = lambda said: said.destination == 2 and isinstance(said.message, m.Records | m.Drop)
    carry_out(one, lambda ticket: c.DeletePicture(ticket, deleted.id))
    scene.rig.run_until(lambda: three.entry(deleted.id).deleted, 60)
    two.kill()
    assert on_card(two, deleted)
    assert not two.entry(deleted.id).deleted
    two.catalogue.save(Save(removed=(deleted.id,)))  # as between the commit of H7 and its unlink
    scene.take_away()
    roster = scene.admin.adopt(1, 2)
    two.catalogue.save_roster(SaveRoster(roster.epoch, roster.encoded))  # it came just before the power went
    two.restart()
    assert two.on.core.acts_for == {1}
    scene.rig.run_for(60)
    entry = two.entry(deleted.id)
    assert entry is None or entry.deleted or entry.file is File.GONE


def test_who_is_in_the_roster_under_another_key_acts_for_nobody():
    """The stolen board's number was enrolled anew, for the board that acts: the old board is not that one."""
    admin = AdminFolder((2, 3))
    stolen = admin.credential(3)
    admin._private.pop(3)
    admin._private[3] = bytes(range(32))  # enrolled anew
    roster = admin.adopt(1, 3)
    assert not stolen.knowing(roster.encoded).acts_for


def names_holder(machine, picture):
    entry = machine.entry(picture.id)
    return entry is not None and entry.named == (2,)


def test_a_record_of_who_acts_does_not_take_out_the_holders_that_it_has_not_heard_yet():
    scene = Scene((1, 2, 3, 4))
    (picture,) = scene.take(1)
    _, two, three, four = scene.machines
    keeper = three if scene.rig.run(lambda: names_holder(three, picture), 300) else four
    assert names_holder(keeper, picture)
    scene.take_away()
    two.kill()
    scene.left = [three, four]
    scene.rig.run_for(30)
    roster = scene.admin.adopt(1, keeper.unit)
    carry_out(four, lambda ticket: c.PushRoster(ticket, roster.encoded))
    scene.rig.run_for(3600)
    assert [copy.unit for copy in keeper.entry(picture.id).listed] or keeper.entry(picture.id).named


def test_a_unit_that_has_not_the_newest_roster_yet_is_no_liar():
    scene = Scene((1, 2, 3, 4))
    first, second = scene.take(2)
    scene.take_away()
    two, three, four = scene.left
    scene.adopt(3)
    scene.rig.run_until(verified_at(three, [first, second], [2]), 600)
    scene.rig.run_for(300)
    scene.rig.loses = lambda said: isinstance(said.message, m.RosterPart) and said.destination == 3
    roster = scene.admin.adopt(1, 4)
    before = [one.on.core.journal.count for one in (two, four)]
    carry_out(four, lambda ticket: c.PushRoster(ticket, roster.encoded))
    three.command(lambda ticket: c.DeletePicture(ticket, second.id))
    scene.rig.run_for(300)
    alarms = [
        line.text
        for one, count in zip((two, four), before, strict=True)
        for line in one.on.core.journal.after(0)
        if line.event == "alarm"
    ]
    assert not alarms


# ------------------------------------------------------------ released


def released_scene(units=(1, 2, 3)):
    """Four pictures of unit 1 at unit 2, about which nobody decides any more, and as much room again for others'."""
    scene = Scene(units, capacity_bytes=16 * SIZE)
    pictures = scene.take(4)
    scene.take_away()
    scene.adopt(0)
    scene.rig.run_for(3600)
    assert released(scene) == pictures
    return scene, pictures


def released(scene):
    """What is left of them at unit 2, oldest first."""
    two = scene.left[0]
    left = [replace(row.picture, taken_at=None) for row in two.catalogue.held(Held(1, None, 10))]
    assert all(on_card(two, picture) for picture in left)
    return left


def test_released_pictures_stay_and_are_read_out_while_there_is_room():
    scene = Scene()
    pictures = scene.take()
    scene.take_away()
    two, three = scene.left
    scene.adopt(0)
    scene.rig.run_for(3 * 24 * 3600)
    assert {row.picture.id for row in held(two)} == {picture.id for picture in pictures}
    assert isinstance(get(three, pictures[0]), c.Done)


def test_released_pictures_make_room_for_shots_the_oldest_first():
    scene, pictures = released_scene()
    two, _ = scene.left
    for _ in range(9):
        shoot(two)
    scene.rig.run_for(60)
    assert released(scene) == pictures[1:]
    assert not on_card(two, pictures[0])
    for _ in range(3):
        shoot(two)
    scene.rig.run_for(60)
    assert not released(scene)
    assert two.on.core.room.held_bytes == 0


def test_released_pictures_make_room_for_copies_of_others():
    scene, _ = released_scene()
    _, three = scene.left
    taken = [shoot(three) for _ in range(7)]
    scene.rig.run_until(settled(three), 1200)
    assert all(copies(three, picture) == [2] for picture in taken)
    assert len(released(scene)) < 4


def test_released_pictures_take_nothing_from_the_shares_of_others():
    scene, _ = released_scene((1, 2, 3, 4))
    _, three, four = scene.left
    taken = [(machine, shoot(machine)) for _ in range(4) for machine in (three, four)]
    scene.rig.run_until(settled(three, four), 3600)
    assert all(copies(machine, picture) == [2] for machine, picture in taken)
    assert not released(scene)


def test_a_released_picture_is_deleted_by_nobody():
    scene = Scene()
    (picture,) = scene.take(1)
    scene.take_away()
    two, three = scene.left
    scene.adopt(0)
    for machine in (two, three):
        outcome = carry_out(machine, lambda ticket: c.DeletePicture(ticket, picture.id))
        assert isinstance(outcome, c.Failed)
        assert "gone for good" in str(outcome.error)
    assert on_card(two, picture)


def test_an_order_to_delete_a_released_picture_is_not_pending_for_ever():
    scene = Scene()
    (picture,) = scene.take(1)
    three = scene.machines[-1]
    scene.rig.run_until(lambda: three.entry(picture.id), 120)
    scene.take_away()
    assert carry_out(three, lambda ticket: c.DeletePicture(ticket, picture.id)) == c.Done("pending")
    scene.adopt(0)
    scene.rig.run_for(3 * 24 * 3600)
    assert not three.catalogue.counts(Counts(1, 1)).deletes_pending


def test_a_temporary_unit_gives_up_no_released_picture():
    scene = Scene()
    pictures = scene.take()
    shoot(scene.machines[1])
    scene.take_away()
    two, _ = scene.left
    scene.adopt(0)
    scene.rig.run_for(3600)
    assert len(held(two)) == 3
    two.kill()
    two.options = replace(two.options, temporary=True, hosting_share=0.0)  # as service.py `_settings` makes them
    two.restart()
    scene.rig.run_for(60)
    assert {row.picture.id for row in held(two)} == {picture.id for picture in pictures}


def test_a_host_whose_share_is_below_what_it_holds_gives_up_no_released_picture_while_there_is_room():
    scene = Scene()
    pictures = scene.take()
    two = scene.machines[1]
    shoot(two)
    scene.take_away()
    scene.adopt(0)
    scene.rig.run_for(600)
    two.kill()
    two.options = replace(two.options, hosting_share=0.001)
    two.restart()
    scene.rig.run_for(600)
    assert two.on.core.room.free_bytes > 9_000_000
    assert len(held(two)) == len(pictures)
