"""The world at its worst, and what its members and cards do: each does its harm, and only what is excused is lost."""

import random
from dataclasses import replace

import pytest
from rig_scene import a_pair, copies, held, on_card, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.events import DigestFile
from firmware.layout import picture_path
from hal.errors import CardError
from sim.card import CardOptions, SimCard
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
    report = World(replace(SMALL, hours=24.0, settle_hours=24.0, **{fault: 2.0})).run()
    assert report.faults[{"cards_read_only": "card read-only", "cloned_cards": "cloned card"}.get(fault, "card lie")]
    assert report.copies >= report.pictures - report.excused.total()


def test_a_swallowing_host_keeps_no_picture_from_its_copy():
    report = World(replace(SMALL, swallowers=1, settle_hours=4.0)).run()
    assert report.copies == report.pictures


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
        ({"liars": 1}, {Loss.LIAR}),
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
