"""sd_notify(3) of our own: what arrives at the manager's socket, and that nothing is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hal.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager_socket(request: pytest.FixtureRequest, tmp_path: Path):
    name = f"@dandelion-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.settimeout(10)
        yield listening, name


def test_each_word_arrives_in_one_datagram_a_line_each(manager_socket):
    listening, name = manager_socket
    ServiceManager({"NOTIFY_SOCKET": name}).tell(READY="1", STATUS="unit 1\nnorth-gate")
    assert listening.recv(1000) == b"READY=1\nSTATUS=unit 1 north-gate"


def test_what_the_process_starts_cannot_speak_in_its_name():
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7", "HOME": "/"}
    assert ServiceManager(environment, pid=7).watchdog_s == 30.0
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere"},
        {"WATCHDOG_USEC": "30000000"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"},
    ],
)
def test_no_watchdog_is_fed_that_does_not_look_at_this_process(environment):
    assert ServiceManager(dict(environment), pid=7).watchdog_s is None


def test_a_manager_that_is_gone_or_was_never_there_is_not_waited_for(tmp_path):
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY="1")
    ServiceManager({}).tell(READY="1")
    assert not ServiceManager({}).listens


def test_a_manager_that_does_not_read_is_not_waited_for(manager_socket):
    _listening, name = manager_socket
    manager = ServiceManager({"NOTIFY_SOCKET": name})
    for _ in range(10_000):  # far more than its socket holds
        manager.tell(WATCHDOG="1")
