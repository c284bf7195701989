"""What systemd hears of a unit's process, and when it hears nothing."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from firmware.supervised import LOOK_EVERY_S, READING_SHARE, Supervised
from hal.service_manager import ServiceManager


class Manager:
    """The manager's end of the line."""

    def __init__(self, directory: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(directory / "notify"))
        self.socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(directory / "notify"), "WATCHDOG_USEC": "15000000"}

    def heard(self) -> list[str]:
        """Everything since the last call, a datagram each."""
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return found


class Processor:
    """Processor time that a test sets."""

    used_s = 0.0


@pytest.fixture
def manager(tmp_path: Path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def supervised(manager: Manager, processor: Processor | None = None) -> tuple[Supervised, list[str]]:
    """And what it says to people."""
    said: list[str] = []
    used = processor or Processor()
    return Supervised(ServiceManager(manager.environment), said.append, used_s=lambda: used.used_s), said


def test_a_unit_that_gets_on_pats_three_times_a_period(manager):
    unit, said = supervised(manager)
    assert unit.every_s == 5.0
    unit.looked("")
    assert manager.heard() == ["WATCHDOG=1"]
    assert said == []


def test_without_a_watchdog_it_looks_all_the_same(manager):
    del manager.environment["WATCHDOG_USEC"]
    assert supervised(manager)[0].every_s == LOOK_EVERY_S


def test_a_unit_that_stands_still_does_not_pat_and_says_once_why(manager):
    unit, said = supervised(manager)
    unit.looked("its card has not answered for 120 s")
    unit.looked("its card has not answered for 125 s")
    assert not any("WATCHDOG" in heard for heard in manager.heard())
    assert said == [
        "alarm: the unit stands still: its card has not answered for 120 s; the watchdog will start it anew"
    ]
    unit.looked("")
    assert manager.heard()[0] == "WATCHDOG=1"
    assert said[1:] == ["the unit gets on again"]


def test_a_start_that_reads_its_card_has_the_manager_wait_and_one_that_does_nothing_has_not(manager):
    processor = Processor()
    unit, _said = supervised(manager, processor)
    processor.used_s += READING_SHARE * unit.every_s
    unit.reads()
    assert manager.heard() == ["EXTEND_TIMEOUT_USEC=30000000\nSTATUS=it reads its card"]
    unit.reads()
    assert manager.heard() == []


def test_a_unit_that_starts_anew_in_its_process_pats_while_it_reads_its_card(manager):
    processor = Processor()
    unit, _said = supervised(manager, processor)
    unit.ready("unit 1")
    assert manager.heard() == ["READY=1\nSTATUS=unit 1"]
    processor.used_s += 1.0
    unit.reads()
    assert manager.heard() == ["WATCHDOG=1"]


def test_the_manager_hears_that_the_unit_was_told_to_end(manager):
    supervised(manager)[0].ends()
    assert manager.heard() == ["STOPPING=1\nSTATUS=it was told to end"]
