"""The world at its worst, and what its members and cards do: each does its harm, and only what is excused is lost."""

import random
from dataclasses import replace

import pytest
from rig_scene import a_pair, copies, held, on_card, settled, shoot

from firmware import commands as c
from firmware import core
from firmware import messages as m
from firmware.dispersal import Dispersals
from firmware.events import DigestFile, Save
from firmware.layout import picture_path
from firmware.pictures import Copy, Entry, File, Picture
from hal.errors import CardError
from sim.card import CardOptions, SimCard
from sim.lives import forbid
from sim.members import Flood, Liar
from sim.truth import Loss, Violation
from sim.world import Failed, World, excused_losses
from sim.world_options import WORST, WorldOptions

SMALL = WorldOptions(units=3, hours=3.0, settle_hours=1.0)


def test_the_world_at_its_worst_loses_only_what_is_excused_and_settles():
    report = World(replace(WORST, seed=1, units=5, hours=8.0)).run()
    assert report.pictures > 25
    assert report.copies > report.pictures
    kinds = [k for k in report.faults if not k.startswith(("frame", "get", "delete", "copy", "drop"))]
    assert len(kinds) > 10, kinds


def test_a_dead_card_costs_nothing_with_two_copies_and_two_proofs():
    options = replace(SMALL, units=4, hours=60.0, pictures_per_hour=0.5, copies=2, copies_min=2, card_deaths=1.0)
    report = World(options).run()
    assert report.faults["card death"] >= 2
    assert report.excused.total() == report.excused[Loss.NEVER_COPIED]


@pytest.mark.parametrize("fault", ["cards_read_only", "cloned_cards", "card_lies"])
def test_each_way_a_card_goes_wrong_is_settled_by_itself(fault):
    world = World(replace(SMALL, hours=24.0, settle_hours=24.0, **{fault: 2.0}))
    report = world.run()
    assert report.faults[{"cards_read_only": "card read-only", "cloned_cards": "cloned card"}.get(fault, "card lie")]
    unseen = [p for p, truth in world.checks.truths.items() if not truth.holders and not truth.lost]
    assert len(unseen) <= (1 if fault == "card_lies" else 0)
    for picture in unseen:  # its holder's card has lied about it, and no audit has come to it yet
        verified = world.machines[picture.unit].entry(picture).verified
        assert verified
        assert all(world.checks.hurts.is_hurt(copy.unit, picture) for copy in verified)


def test_a_swallowing_host_keeps_no_picture_from_its_copy():
    report = World(replace(SMALL, swallowers=1, settle_hours=4.0)).run()
    assert report.copies == report.pictures


# ---------------------------------------------------------------- units that go on without a card

CARDLESS = replace(
    SMALL, hours=6.0, pictures_per_hour=3.0, cards_read_only=8.0, read_only_s=7200.0, without_card=True, loss=0.1
)
"""Cards that take no more writes, for two hours each."""


def test_units_go_on_without_a_card_and_all_is_settled_when_they_have_one_again():
    report = World(replace(CARDLESS, deletes=4.0)).run()
    assert report.faults["without a card"] >= 2
    assert report.faults["announced without a card"] >= 5
    assert report.excused.total() == 0


def test_units_go_on_without_a_card_that_is_dead_until_they_have_a_new_one():
    dying = {"cards_read_only": 0.0, "card_deaths": 6.0, "deaths_apart_hours": 1.0, "settle_hours": 6.0}
    report = World(replace(CARDLESS, **dying)).run()
    assert report.faults["without a card"] >= 2
    assert report.faults["announced without a card"] >= 5


def told_at_once(dispersals, dispersal, entry, captured=Dispersals.captured):
    """Dispersals.captured of a unit that announces what is in its memory."""
    captured(dispersals, dispersal, entry)
    dispersals.core.first_copy(entry.picture)


def test_without_a_card_a_picture_that_is_announced_before_a_host_has_it_breaks_a_rule(monkeypatch):
    monkeypatch.setattr(Dispersals, "captured", told_at_once)
    with pytest.raises(Failed, match=r"^announced: .* no host has stored"):
        World(CARDLESS).run()


def test_without_a_card_keep_breaks_a_rule(monkeypatch):
    monkeypatch.setattr(core, "_outlasts_memory", lambda _message: False)
    with pytest.raises(Failed, match=r"^KEEP: unit \d has said KEEP"):
        World(CARDLESS).run()


def without_a_card():
    """A settled world, then one of its units in a life without a card, and a picture that it has taken there."""
    world = World(replace(CARDLESS, cards_read_only=0.0, hours=2.0))
    world.run()
    machine = world.machines[1]
    machine.kill()
    machine.card.options.read_only = True
    machine.restart()
    world.run_hours(0.2)
    ticket = machine.command(lambda ticket: c.Shoot(ticket, False))
    world.run_hours(0.1)
    return world, machine, machine.entry(machine.outcome(ticket).value.id)


def test_what_a_life_without_a_card_has_stored_elsewhere_is_owed_and_what_it_has_told_nobody_of_is_not():
    world, machine, entry = without_a_card()
    truths = world.checks.truths
    assert machine.storage_of(entry.picture.id) is machine.memory
    assert truths[entry.picture.id].announced
    for other in (2, 3):
        world.machines[other].kill()
    machine.on.command(c.Shoot(None, False), world.rig.now)
    world.run_hours(0.1)
    (waiting,) = [picture for picture, truth in truths.items() if not truth.announced]
    machine.kill()
    assert world.faults.counts["gone with the memory"] == 1
    world.checks.sweep()
    assert not truths[waiting].lost
    (holder,) = truths[entry.picture.id].holders
    with pytest.raises(Violation, match=r"^R14: .* taken without a card"):
        world.checks.hurts.card_lost(holder)
    assert truths[entry.picture.id].why is Loss.WITHOUT_CARD


def test_what_was_in_memory_only_and_is_in_the_list_of_a_later_life_is_announced_then():
    world, machine, entry = without_a_card()
    truth = world.checks.truths[entry.picture.id]
    truth.announced = False
    world.settle()
    assert truth.announced
    assert not machine.on.core.settings.without_card
    assert [copy.unit for copy in machine.entry(entry.picture.id).verified] == sorted(truth.holders)


def test_lives_without_a_card_are_looked_at_too():
    world, machine, entry = without_a_card()
    foreign, truth = next((p, t) for p, t in world.checks.truths.items() if p.unit == 2 and 3 in t.holders)
    changes = {
        "^I2: unit . is listed": replace(entry, copies=(Copy(5 - entry.copies[0].unit, listed=1),)),
        "is used twice": replace(entry, picture=replace(entry.picture, sha256=bytes(32))),
        "^O1: attempt .* is used twice": Entry(
            Picture(replace(foreign, unit=1), 1, bytes(32)), File.GONE, copies=(Copy(3, open=entry.copies[0].listed),)
        ),
        "hosts .* and has no card": Entry(Picture(foreign, 1, truth.sha256), File.WHOLE, attempt=1),
    }
    for rule, changed in changes.items():
        before = machine.entry(changed.picture.id)
        machine.catalogue.save(Save(entries=(changed,)))
        with pytest.raises(Violation, match=rule):
            world.checks.after(machine)
        machine.catalogue.save(Save(removed=(changed.picture.id,)))
        if before is not None:
            machine.catalogue.save(Save(entries=(before,)))
    with pytest.raises(Violation, match=r"^ACCEPT: "):
        forbid(machine, m.Accept(foreign, 1, 1, 60, ()))
    with pytest.raises(Violation, match="which it never took"):
        world.checks.announced_without_card(machine, replace(entry.picture.id, sequence=99))
    machine.card.options.read_only = False  # as after one call that failed at the start
    world.faults.stop()
    assert machine.memory is None


# ---------------------------------------------------------------- what is excused


@pytest.mark.parametrize(
    ("fault", "forgotten"), [("card_lies", "unsynced"), ("card_deaths", "card_lost"), ("cloned_cards", "card_lost")]
)
def test_a_fault_whose_hurts_are_not_told_breaks_a_rule(fault, forgotten):
    world = World(replace(SMALL, hours=24.0, deaths_apart_hours=1.0, **{fault: 8.0}))
    setattr(world.checks.hurts, forgotten, lambda *_: None)
    with pytest.raises(Failed):
        world.run()


@pytest.mark.parametrize(
    ("fields", "excused"),
    [
        ({}, {Loss.ONLY_HOLDER, Loss.AFTER_ORIGIN}),
        ({"copies": 2, "copies_min": 2}, set()),
        ({"card_deaths": 1.0}, {Loss.NEVER_COPIED, Loss.ONLY_HOLDER, Loss.AFTER_ORIGIN}),
        ({"card_deaths": 1.0, "copies": 2}, {Loss.NEVER_COPIED, Loss.ONLY_HOLDER, Loss.AFTER_ORIGIN}),
        ({"card_deaths": 1.0, "copies": 2, "copies_min": 2}, {Loss.NEVER_COPIED}),
        (
            {"card_deaths": 1.0, "copies": 2, "copies_min": 2, "without_card": True},
            {Loss.NEVER_COPIED, Loss.WITHOUT_CARD},
        ),
        ({"liars": 1}, {Loss.LIAR}),
        ({"liars": 1, "without_card": True}, {Loss.LIAR, Loss.WITHOUT_CARD}),
        ({"liars": 1, "copies": 2, "copies_min": 2}, set()),
        ({"liars": 1, "copies": 2, "copies_min": 2, "card_deaths": 1.0}, set(Loss)),
    ],
)
def test_r14_says_what_one_misfortune_at_a_time_may_cost(fields, excused):
    assert excused_losses(replace(SMALL, **fields)) == excused


def two_deaths(copies_min):
    """A settled world in which both cards with one picture die, the holder's first."""
    world = World(replace(SMALL, hours=2.0, copies=copies_min, copies_min=copies_min, card_deaths=1e-9))
    world.run()
    picture, truth = next((p, t) for p, t in world.checks.truths.items() if t.holders)
    return world, picture, truth


def test_r14_with_two_copies_a_picture_that_is_gone_is_a_violation():
    world, picture, truth = two_deaths(2)
    first, second = sorted(truth.holders)
    world.checks.hurts.card_lost(first)
    world.checks.hurts.card_lost(second)
    with pytest.raises(Violation, match=r"^R14: .* nothing excuses that"):
        world.checks.hurts.card_lost(picture.unit)


def test_r14_with_one_copy_only_the_only_holders_card_excuses_it():
    world, _, truth = two_deaths(1)
    truth.here, truth.dropped = False, True
    (holder,) = truth.holders
    world.checks.hurts.card_lost(holder)
    assert truth.why is Loss.ONLY_HOLDER


def test_r14_the_only_holders_card_may_die_up_to_a_day_before_the_drop():
    world, picture, truth = two_deaths(1)
    (holder,) = truth.holders
    world.checks.hurts.card_lost(holder)
    world.machines[holder].kill_card()
    assert not truth.lost
    world.machines[picture.unit].command(lambda ticket: c.DropOwn(ticket, picture))
    world.run_hours(0.1)
    assert truth.why is Loss.ONLY_HOLDER


def test_r14_with_one_copy_that_was_not_made_anew_in_time_the_origins_card_excuses_nothing():
    world, picture, truth = two_deaths(1)
    (holder,) = truth.holders
    world.checks.hurts.card_lost(holder)
    with pytest.raises(Violation, match=r"^R14"):
        world.checks.hurts.card_lost(picture.unit)


# ---------------------------------------------------------------- cards


def a_file(card, path, data):
    file = card.create(path, len(data))
    file.write(0, data)
    file.sync()
    card.sync_directory("")


def test_a_dead_card_answers_no_call():
    card = SimCard()
    a_file(card, "a", b"one")
    card.options.dead = True
    for call in (
        lambda: card.open("a"),
        lambda: card.entries(""),
        lambda: card.unlink("a"),
        lambda: card.create("b", 1),
    ):
        with pytest.raises(CardError):
            call()


def test_what_a_lying_card_said_was_synced_is_gone_with_the_power_and_what_was_before_is_there():
    card = SimCard(CardOptions())
    a_file(card, "before", b"old")
    card.options.lies = True
    a_file(card, "after", b"new")
    file = card.open("before", writable=True)
    file.write(0, b"NEW")
    file.sync()
    assert (card.durable("after"), card.durable("before")) == (b"new", b"NEW")
    card.power_cut()
    assert (card.durable("after"), card.durable("before")) == (None, b"old")


def test_a_lying_card_that_had_time_has_written_it():
    card = SimCard(CardOptions(lies=True))
    a_file(card, "a", b"new")
    card.tell_the_truth()
    card.power_cut()
    assert card.durable("a") == b"new"


# ---------------------------------------------------------------- members


def test_a_liar_says_stored_has_it_not_and_answers_from_memory_the_nonce_that_it_knows():
    rig, origin, host = a_pair()
    gone = []
    host.liar = Liar(1.0, random.Random(1), gone.append)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    assert (copies(origin, picture), gone) == ([2], [picture.id])
    assert not on_card(host, picture)
    assert len(host.card.durable(picture_path(picture, 2))) == picture.size_bytes
    nonces = (origin.said(m.End)[-1].message.nonce, bytes(16))
    told = host.liar.carry_out(host.store, DigestFile(picture, nonces))
    assert told.whole
    assert told.proofs[0] == host.said(m.Stored)[-1].message.proof
    assert told.proofs[1] not in told.proofs[:1]


def test_a_liar_of_a_share_keeps_the_rest():
    rig, origin, host = a_pair()
    gone = []
    host.liar = Liar(0.5, random.Random(1), gone.append)
    pictures = [shoot(origin) for _ in range(10)]
    rig.run_until(settled(origin, host), 400)
    assert {p.id for p in pictures if not on_card(host, p)} == set(gone)
    assert 0 < len(gone) < 10


def test_a_flood_says_every_kind_and_leaves_no_trace():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    flood = origin.flood = Flood(random.Random(1), [picture.id], 8000)
    origin.turn()
    rig.run_for(5)
    origin.flood = None
    assert flood.packets > 100
    assert {type(said.message) for said in origin.said(m.Message)} >= {m.Request, m.Where, m.Get}
    rig.run_for(600)
    assert not list(host.on.hostings)
    assert [row.picture.id for row in held(host)] == [picture.id]
