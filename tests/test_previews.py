"""Previews of held pictures: fetched once, kept with the copy, gone with it, and never in the way of pictures."""

import hashlib

import pytest
from boards import Board, a_picture
from rig_scene import a_pair, carry_out, settled, shoot

from firmware import commands as c
from firmware import messages as m
from firmware.layout import preview_path
from firmware.pictures import MAX_PREVIEW_BYTES
from firmware.previews import AFTER_S, AGAIN_S, MAX_WANTED, MOST_TRIES, Previews
from hal.interfaces import TimeQuality
from sim.camera import GREY_JPEG


def preview_of(machine, picture):
    return machine.card.durable(preview_path(picture.id))


def previews_asked_for(machine):
    return [said for said in machine.said(m.Get) if said.message.preview]


def with_copy(**options):
    rig, origin, host = a_pair(**options)
    picture = shoot(origin)
    rig.run_until(settled(origin, host), 60)
    return rig, origin, host, picture


def test_a_holder_has_the_preview_soon_after_its_copy_counts():
    rig, origin, host, picture = with_copy()
    rig.run_until(lambda: preview_of(host, picture), 10)
    assert preview_of(host, picture) == preview_of(origin, picture) == GREY_JPEG
    rig.run_for(300)
    assert len(previews_asked_for(host)) == 1


@pytest.mark.parametrize("recorded", [False, True])
def test_it_goes_with_the_copy(recorded):
    """Also where the host knows the picture by its record, too."""
    rig, origin, host, picture = with_copy()
    rig.run_until(lambda: preview_of(host, picture), 10)
    if recorded:
        rig.run_until(lambda: host.entry(picture.id).named, 200)
        rig.loses = lambda said: isinstance(said.message, m.Records)  # the tombstone
    carry_out(origin, lambda ticket: c.DeletePicture(ticket, picture.id))
    rig.run_until(lambda: preview_of(host, picture) is None, 60)


def test_pictures_on_their_way_go_first():
    rig, origin, host = a_pair()
    pictures = [shoot(origin) for _ in range(5)]
    rig.run_until(settled(origin, host), 120)
    last_part = max(said.at for said in origin.said(m.Part) if said.message.handle < m.FIRST_COPY_HANDLE)
    rig.run_until(lambda: all(preview_of(host, picture) for picture in pictures), 60)
    assert all(said.at > last_part for said in previews_asked_for(host))


def test_where_the_origin_has_none_it_is_done_without():
    rig, origin, host = a_pair()
    picture = shoot(origin)
    origin.card.unlink(preview_path(picture.id))
    rig.run_until(settled(origin, host), 60)
    rig.run_for(600)
    assert preview_of(host, picture) is None
    assert len(previews_asked_for(host)) == MOST_TRIES


GOOD = b"\xff\xd8 a preview \xff\xd9"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(GOOD, GOOD), (GOOD[:-1], b""), (GOOD[1:], b""), (GOOD[:2] + bytes(MAX_PREVIEW_BYTES) + GOOD[-2:], b"")],
)
def test_only_what_looks_like_a_preview_is_kept(sent, kept):
    """Whatever an origin sends; it is never decoded."""
    board = Board(2)
    picture, data = a_picture(unit=1)
    board.put(picture, data)
    board.heard(1)
    previews = Previews(board.core, board.read_outs, lambda: True)
    previews.on_keep(1, m.Keep(picture.id, 1, picture.digest4))
    board.core.now += AFTER_S
    previews.tick()
    board.work(board.core.now)
    (get,) = [message for _, message in board.core.outbox if isinstance(message, m.Get)]
    about = (2, get.query, 1)
    board.read_outs.on_copy(1, m.Copy(*about, 128, len(sent), hashlib.sha256(sent).digest(), None, TimeQuality.UNSET))
    if list(board.read_outs):
        board.read_outs.on_part(1, m.Part(128, 0, sent))
    board.work(board.core.now)
    assert (board.store.card.durable(preview_path(picture.id)) or b"") == kept
    assert list(board.read_outs) == []


SILENT, BUSY = "the origin is silent", "pictures are on their way"


@pytest.mark.parametrize(("in_the_way", "rest_s"), [(SILENT, AGAIN_S), (BUSY, AFTER_S)])
def test_many_that_wait_are_looked_at_together_and_seldom(in_the_way, rest_s):
    """Or a night's previews of a unit that is gone would wake the unit a hundred times a second."""
    board = Board(2)
    if in_the_way == BUSY:
        board.heard(1)
    previews = Previews(board.core, board.read_outs, lambda: in_the_way == SILENT)
    for number in range(MAX_WANTED):
        picture, _ = a_picture(unit=1, sequence=number)
        previews.on_keep(1, m.Keep(picture.id, 1, picture.digest4))
    board.core.now += AFTER_S
    previews.tick()
    assert previews.deadline() >= board.core.now + rest_s


def test_nobody_but_the_origin_makes_a_holder_fetch_one():
    board = Board(2)
    picture, data = a_picture(unit=1)
    board.put(picture, data)
    previews = Previews(board.core, board.read_outs, lambda: True)
    previews.on_keep(3, m.Keep(picture.id, 1, picture.digest4))
    assert previews.deadline() is None
