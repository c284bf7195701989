"""Own pictures without own file that lack copies are brought back and copied anew (HANDOVER R2, O8)."""

from dataclasses import replace

from boards import Board
from rig_scene import carry_out, check, copies, held, on_card, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.determine import Policy, Rules
from firmware.pictures import Copy, Entry, File, Picture, PictureId
from firmware.repair import MAX_DOUBTED, PROVE_WITHIN_S, Repairs
from firmware.silence import SUSPECT_AFTER_S
from sim.machine import Machine, Options
from sim.rig import Rig

SIZE = 20_000
TWO = Options(size_bytes=(SIZE, SIZE), rules=Rules(copies=2), hosting_share=0.0)
HOST = Options(size_bytes=(SIZE, SIZE))


def away_at_two(number=3, *, options=TWO):
    """Pictures of unit 1 that only units 2 and 3 have."""
    rig = Rig(1)
    origin, *hosts = (Machine(rig, unit, options if unit == 1 else HOST) for unit in (1, 2, 3))
    rig.run_for(10)
    pictures = [shoot(origin) for _ in range(number)]
    rig.run_until(settled(origin, *hosts, wanted=2), 300)
    for picture in pictures:
        assert carry_out(origin, lambda ticket, p=picture: c.DropOwn(ticket, p.id)) == c.Done(None)
    return rig, origin, hosts, pictures


def repaired(machine, pictures, units):
    return lambda: all(copies(machine, picture) == units for picture in pictures)


def test_a_holder_that_is_gone_is_replaced_though_the_own_file_is_gone():
    rig, origin, (first, second), pictures = away_at_two()
    first.power_cut()
    fourth = Machine(rig, 4, HOST)
    rig.run_for(SUSPECT_AFTER_S - 3600)
    assert not held(fourth)
    rig.run_until(repaired(origin, pictures, [3, 4]), 2 * 3600)
    assert len(held(fourth)) == len(pictures)
    check(origin, first, second, fourth)


def test_nothing_is_collected_while_nobody_could_take_it():
    rig, origin, (first, second), pictures = away_at_two()
    first.power_cut()
    rig.run_for(SUSPECT_AFTER_S + 3600)
    assert not second.said(m.Part)
    assert all(origin.entry(picture.id).file is File.GONE for picture in pictures)
    first.restart()
    rig.run_until(repaired(origin, pictures, [2, 3]), 600)
    assert not second.said(m.Part)


def test_more_copies_asked_for_later_are_made_of_old_pictures_too():
    rig = Rig(1)
    origin, *hosts = (
        Machine(rig, unit, replace(TWO, rules=Rules(copies=1)) if unit == 1 else HOST) for unit in (1, 2, 3)
    )
    rig.run_for(10)
    picture = shoot(origin)
    rig.run_until(settled(origin, *hosts), 100)
    carry_out(origin, lambda ticket: c.DropOwn(ticket, picture.id))
    origin.power_cut()
    origin.options.rules = Rules(copies=2)
    origin.restart()
    rig.run_until(repaired(origin, [picture], [2, 3]), 900)
    assert on_card(origin, picture)


def test_a_card_that_is_tight_brings_nothing_back_only_to_drop_it_again():
    tight = replace(TWO, capacity_bytes=6 * SIZE)
    rig, origin, (first, second), (picture,) = away_at_two(1, options=tight)
    first.power_cut()
    rig.run_until(lambda: origin.on.core.neighbours.find(2).silent(rig.now), 600)
    for _ in range(6):
        shoot(origin)
        rig.run_for(30)
    fourth = Machine(rig, 4, replace(HOST, capacity_bytes=2 * SIZE, hosting_share=1.0))
    rig.run_for(6 * 3600)
    assert origin.entry(picture.id).file is File.GONE
    assert not second.said(m.Part)
    check(origin, first, second, fourth)


def test_many_pictures_wait_for_a_suspect_holder_side_by_side():
    """Each gets its hour: with as many as are remembered, none begins anew at each look."""
    board = Board(1)
    for unit in (2, 3):
        board.heard(unit)
        neighbour = board.core.neighbours.find(unit)
        neighbour.hosting, neighbour.room_bytes = True, 1_000_000
    repairs = Repairs(board.core, None, board.read_outs, None)
    copies_there = (Copy(2, listed=1), Copy(3, listed=2, suspect=True, doubted=True))
    entries = [
        Entry(Picture(PictureId(1, 1, number), SIZE, bytes(32)), File.GONE, copies=copies_there)
        for number in range(1, MAX_DOUBTED + 1)
    ]
    for _ in range(2):
        assert not any(repairs.is_useful(entry) for entry in entries)
        board.core.now += PROVE_WITHIN_S / 2
        board.heard(2, 3)
    assert all(repairs.is_useful(entry) for entry in entries)


def test_policy_never_brings_nothing_back():
    rig, origin, (first, second), _ = away_at_two()
    origin.power_cut()
    origin.options.rules = Rules(policy=Policy.NEVER, copies=2)
    origin.restart()
    first.power_cut()
    Machine(rig, 4, HOST)
    rig.run_for(SUSPECT_AFTER_S + 3600)
    assert not second.said(m.Part)
