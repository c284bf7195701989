"""The power goes, or a call fails, anywhere in the recipes or in start-up: a picture is whole or never was."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from card_scene import (
    Unit,
    bytes_of,
    content,
    files,
    filled,
    held,
    own,
    picture,
    pictures_on,
    shot,
)

from firmware.events import (
    BeginPart,
    FinishPart,
    Save,
    SavePartial,
    SyncPart,
    WritePart,
)
from hal.errors import CardError
from sim.card import CardOptions, Fault, PowerCut, SimCard

NONCE = b"0123456789abcdef"


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_cut_after_any_call_of_keep_shot_leaves_a_whole_picture_or_none(tmp_path: Path, seed: int | None) -> None:
    chance = None if seed is None else random.Random(seed)
    adopted = 0
    for calls in range(200):
        card = SimCard()
        unit = Unit(card, tmp_path / f"c{calls}")
        store = unit.start().store
        card.options.cut_after = card.calls + calls
        kept = True
        try:
            store.keep_shot(shot(1))
        except PowerCut:
            kept = False
        unit.stop()
        card.power_cut(chance)
        unit.start()
        entry = unit.entry(picture(1).id)
        if kept or entry is not None:
            assert entry == own(1)
            assert pictures_on(card) == {store.path(picture(1)): content(1)}
            adopted += 1
        else:
            assert pictures_on(card) == {}
        assert files(card, "tmp") == {}
        unit.stop()
        if kept:
            break
    assert kept
    assert calls > 10
    assert adopted >= 1


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_cut_after_any_call_of_receiving_leaves_stored_pictures_whole_and_others_out(
    tmp_path: Path, seed: int | None
) -> None:
    chance = None if seed is None else random.Random(seed)
    of, data = picture(7, unit=2), content(7)
    for calls in range(200):
        card = SimCard()
        unit = Unit(card, tmp_path / f"c{calls}")
        started = unit.start()
        card.options.cut_after = card.calls + calls
        stored, synced_bytes = False, 0
        try:
            started.store.begin_part(BeginPart(of, 0))
            started.store.write_part(WritePart(of.id, 0, data[:64_000]))
            started.store.sync_part(SyncPart(of.id))
            started.catalogue.save_partial(SavePartial(of.id, 5, of.sha256, 64_000, of.size_bytes))
            synced_bytes = 64_000
            started.store.write_part(WritePart(of.id, 64_000, data[64_000:]))
            assert started.store.finish_part(FinishPart(of, NONCE)) is not None
            started.catalogue.save(Save(entries=(held(7),)))
            stored = True
        except PowerCut:
            pass
        unit.stop()
        card.power_cut(chance)
        again = unit.start()
        assert again.memory.lost_held == ()
        assert pictures_on(card) == ({again.store.path(of): data} if stored else {})
        if stored:
            assert files(card, "tmp") == {}
            unit.stop()
            break
        found = again.store.begin_part(BeginPart(of, synced_bytes))
        if f"tmp/{of.id}.part" in files(card) and found:
            assert bytes_of(card, f"tmp/{of.id}.part")[:found] == data[:found]
        unit.stop()
    assert stored
    assert calls > 8


@pytest.mark.parametrize("fault", [Fault.IO, Fault.FULL, Fault.READ_ONLY])
def test_a_start_that_fails_at_any_call_harms_no_picture(tmp_path: Path, fault: Fault) -> None:
    failed = 0
    for call in range(1, 300, 3):
        card = SimCard(CardOptions())
        unit = Unit(card, tmp_path / f"c{call}")
        unit.start()
        before = filled(unit)
        unit.stop()
        card.options.at[card.calls + call] = fault
        try:
            started = unit.start()
            assert not any(notice.startswith("LOST") for notice in started.notices)
        except CardError:
            failed += 1
        ended = card.calls < max(card.options.at)
        card.options.at.clear()
        unit.stop()
        started = unit.start()
        assert not any(notice.startswith("LOST") for notice in started.notices)
        assert pictures_on(card) == before
        unit.stop()
        if ended:
            break
    assert failed > 0 or fault is Fault.FULL
