"""A unit's process under a service manager: what that hears from its start to its end, and after five kills."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeUnit
from harness import EVENT_S

from firmware.bad_starts import BAD_STARTS

ENVIRONMENT = {"WATCHDOG_USEC": "600000"}  # patted each 0.2 s


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(EVENT_S)
        yield listening


def hears(manager: socket.socket, wanted: str) -> str:
    """The first word of this kind, whatever comes before it."""
    while True:
        heard = manager.recv(4096).decode()
        if wanted in heard.splitlines():
            return heard


def test_the_manager_hears_that_it_is_ready_then_that_it_gets_on_and_that_it_ends(
    make_unit: MakeUnit, manager: socket.socket
) -> None:
    unit = make_unit(1, "none", {"radio": {"driver": "none"}})
    unit.environment = ENVIRONMENT | {"NOTIFY_SOCKET": manager.getsockname()}
    unit.start()
    assert hears(manager, "READY=1") == "READY=1\nSTATUS=unit 1 (unit-1)"
    for _ in range(5):
        hears(manager, "WATCHDOG=1")
    unit.end()
    hears(manager, "STOPPING=1")


def test_after_five_kills_it_is_in_safe_mode_and_after_an_end_it_is_not(
    make_unit: MakeUnit, manager: socket.socket
) -> None:
    unit = make_unit(1, "none", {"radio": {"driver": "none"}})
    unit.environment = ENVIRONMENT | {"NOTIFY_SOCKET": manager.getsockname()}
    for _ in range(BAD_STARTS):
        unit.start()
        assert "safe mode" not in hears(manager, "READY=1")
        unit.kill()
    unit.start()
    assert "safe mode" in hears(manager, "READY=1")
    assert unit.status()["safe_mode"] is True
    unit.end()
    unit.start()
    assert unit.status()["safe_mode"] is False
