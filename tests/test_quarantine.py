"""What the store puts aside: nothing that is in quarantine/ is ever written over, whoever has put it there."""

from __future__ import annotations

import pytest
from card_scene import UNIT, content, files, picture, put, put_picture

from firmware import store as stores
from firmware.events import Quarantine
from firmware.store import Store
from hal.errors import CardError
from sim.card import SimCard

NAME = picture(1).file_name


def aside(store: Store, data: bytes, name: str = "a") -> str:
    """Put a file of this name aside: where it is now."""
    put(store.card, f"lost/{name}", data)
    return store.put_aside(f"lost/{name}")


def test_the_next_process_goes_on_behind_the_names_that_are_there() -> None:
    card = SimCard()
    for number, expected in enumerate(("quarantine/a", "quarantine/a.1", "quarantine/a.2")):
        assert aside(Store(card, UNIT), b"%d" % number) == expected
    assert files(card) == {"quarantine/a": b"0", "quarantine/a.1": b"1", "quarantine/a.2": b"2"}


def test_a_numbered_name_is_a_name_like_any_other() -> None:
    store = Store(SimCard(), UNIT)
    names = [aside(store, b"%d" % n, name) for n, name in enumerate(("a", "a", "a.1", "b.7", "b.7"))]
    assert names == [f"quarantine/{name}" for name in ("a", "a.1", "a.1.1", "b.7", "b.7.1")]


@pytest.mark.parametrize("kind", ["file", "directory", "unreadable"])
def test_what_somebody_else_puts_there_meanwhile_is_left_alone(kind: str) -> None:
    card = SimCard()
    store = Store(card, UNIT)
    assert aside(store, b"0") == "quarantine/a"
    put(card, "quarantine/a.1/x" if kind == "directory" else "quarantine/a.1", b"theirs")
    if kind == "unreadable":
        card.options.unreadable.add("quarantine/a.1")
    assert aside(store, b"2") == "quarantine/a.2"
    assert aside(store, b"3") == "quarantine/a.3"
    card.options.unreadable.clear()
    assert b"theirs" in files(card).values()
    assert len(files(card)) == 4


def test_whether_a_path_is_taken_is_told_of_files_directories_and_what_cannot_be_read() -> None:
    card = SimCard()
    store = Store(card, UNIT)
    put(card, "quarantine/a", b"a")
    assert store.is_there("quarantine/a")
    assert store.is_there("quarantine")
    assert not store.is_there("quarantine/b")
    card.options.unreadable.add("quarantine/a")
    assert store.is_there("quarantine/a")


def test_where_quarantine_is_full_of_a_name_nothing_is_moved_and_a_person_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "MAX_QUARANTINE_NAMES", 2)
    store = Store(SimCard(), UNIT)
    for _ in range(2):
        put_picture(store.card, picture(1))
        store.carry_out(Quarantine(picture(1)))
    path = put_picture(store.card, picture(1))
    with pytest.raises(CardError) as raised:
        store.carry_out(Quarantine(picture(1)))
    assert str(raised.value) == f"quarantine/ is full of {NAME}; look at the files there and remove them"
    assert set(files(store.card)) == {f"quarantine/{NAME}", f"quarantine/{NAME}.1", path}
    assert aside(store, content(2), "another") == "quarantine/another"
