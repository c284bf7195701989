"""Two boards and a unit on this machine, on one line: from the shutter to the picture read out elsewhere, and what a
board has to survive. `make board` runs it on virtual boards, `make container` the first half of it in containers;
docs/board.md says what is real there."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from boarded import BAUD, EVENT_S, BoardedUnit
from harness import Fields, UnitProcess

from sim.board.any_board import AnyBoard
from sim.board.container import Container
from sim.board.machine import Board
from sim.line import LineProcess

VIRTUAL = pytest.param(Board, marks=pytest.mark.board, id="virtual")
CONTAINER = pytest.param(Container, marks=pytest.mark.container, id="container")
pytestmark = pytest.mark.timeout(1800)
any_board = pytest.mark.parametrize("scene", [VIRTUAL, CONTAINER], indirect=True)
virtual_board = pytest.mark.parametrize("scene", [VIRTUAL], indirect=True)  # with its kernel's clock and device mapper
MOMENTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of a picture that the line has carried when the power is cut
LOOK_AGAIN_S = 0.02  # between two looks at what the line has carried: 230 bytes
HUNG_S = 20.0  # from a camera that hangs to the next shot


@dataclass(frozen=True, slots=True)
class Scene:
    """Units 1 and 2 in boards, unit 3 a process here, all on one line."""

    line: LineProcess
    one: BoardedUnit
    two: BoardedUnit
    here: UnitProcess

    def carried(self, port: int) -> int:
        """Bytes that the line has taken from this port, counted from 0."""
        ports = self.line.stats()["ports"]
        assert isinstance(ports, list)
        return int(ports[port]["sent_bytes"])

    def wait_carried(self, port: int, size_bytes: int) -> None:
        """Until the line has taken so many bytes more."""
        goal = self.carried(port) + size_bytes
        deadline = time.monotonic() + EVENT_S
        while self.carried(port) < goal:
            assert time.monotonic() < deadline, f"the line carries no {size_bytes} bytes"
            threading.Event().wait(LOOK_AGAIN_S)


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Booted, installed, started."""
    place, kind = tmp_path_factory.mktemp("boards"), request.param
    with ExitStack() as stack:
        line = stack.enter_context(LineProcess(["--units", "3", "--baud", str(BAUD)]))
        units = []
        for number in (1, 2):
            board: AnyBoard = stack.enter_context(kind(place / f"board-{number}", radio=line.ports[number - 1]))
            units.append(BoardedUnit(number, board, {}))
            board.on()
        nothing_for_others = {"dispersal": {"hosting": 0.0}, "radio": {"port": line.ports[2], "baud": BAUD}}
        here = UnitProcess(3, place, nothing_for_others)
        for unit in units:
            unit.install()
        here.start()
        stack.callback(here.end)
        yield Scene(line, *units, here)


def read_out(unit: UnitProcess, shot: Fields, place: Path) -> bytes:
    """The bytes that `get` brings there, which must be those that were taken."""
    (row,) = unit.rows("get", str(shot["picture"]), "-o", place, within_s=EVENT_S)
    data = Path(str(row["path"])).read_bytes()
    assert hashlib.sha256(data).hexdigest() == shot["sha256"]
    return data


@any_board
def test_a_picture_of_a_board_is_held_by_the_other_and_read_out_at_a_third_unit(scene: Scene, tmp_path: Path) -> None:
    shot = scene.one.press()
    picture = str(shot["picture"])
    scene.one.wait_copy(picture, at=2)
    assert scene.two.row(picture)["local"]
    taken = scene.one.file_of(picture)
    assert scene.two.file_of(picture, "held") == taken
    assert read_out(scene.here, shot, tmp_path) == taken


@any_board
def test_power_cuts_at_five_moments_of_a_transfer_lose_nothing_at_either_board(scene: Scene, tmp_path: Path) -> None:
    shots = []
    for victim in (scene.one, scene.two):
        for moment in MOMENTS:
            shot = scene.one.shoot()
            scene.wait_carried(0, int(moment * shot["size_bytes"]))
            victim.cut_and_boot()
            shots.append(shot)
            scene.one.wait_copy(shot["picture"], at=2)
            victim.restart()
    assert len({shot["picture"] for shot in shots}) == 2 * len(MOMENTS)
    for shot in shots:
        assert read_out(scene.here, shot, tmp_path) == scene.one.file_of(shot["picture"])


@any_board
def test_a_camera_that_stands_still_is_ended_and_the_next_shot_works(scene: Scene) -> None:
    scene.one.shell("pkill -STOP -f '[h]al.camera_child'")
    hung = scene.one.ask("shoot")
    began = time.monotonic()
    assert hung.code == 1, hung.out
    scene.one.shoot()
    assert time.monotonic() - began < HUNG_S


@any_board
def test_a_unit_that_stands_still_is_started_anew_by_the_watchdog(scene: Scene) -> None:
    def restarts() -> int:
        return int(scene.one.shell("systemctl show -p NRestarts --value dandelion"))

    before = restarts()
    scene.one.shell("systemctl kill --kill-whom=main --signal=STOP dandelion")
    scene.one.wait_until(lambda: restarts() > before, "restart by the watchdog")
    scene.one.wait_ready()
    scene.one.shoot()


PORT = "/dev/ttyS0"
CARD = "/var/lib/dandelion"
CREDENTIAL = "/etc/dandelion/unit.credential"


@any_board
@pytest.mark.parametrize(
    ("fault", "seed", "mend"),
    [
        ("port-permission", f"chgrp root {PORT}", f"chgrp dialout {PORT}"),
        ("port-held", f"systemctl stop dandelion; nohup tail -f {PORT} >/dev/null 2>&1 &", "pkill tail"),
        ("credential-mode", f"chmod 644 {CREDENTIAL}", "dandelion doctor --fix || true"),
        ("service", "systemctl disable dandelion", "systemctl enable dandelion"),
        ("camera", "pkill -STOP -f '[h]al.camera_child'; ! dandelion shoot", "dandelion shoot"),
        ("card-room", f"fallocate -l $(df --output=avail -B 1 {CARD} | tail -n 1) {CARD}/other", f"rm {CARD}/other"),
    ],
    ids=lambda value: value if " " not in value else "",
)
def test_doctor_finds_what_goes_wrong_on_an_installed_board(scene: Scene, fault: str, seed: str, mend: str) -> None:
    def faults() -> set[str]:
        rows = map(json.loads, scene.two.ask("doctor", "--json").out.splitlines())
        return {str(row["name"]) for row in rows if row["state"] in ("fault", "warning")}

    scene.two.wait_until(lambda: fault not in faults(), f"board without {fault}")
    scene.two.shell(seed)
    assert fault in faults()
    scene.two.shell(f"{mend}; systemctl start dandelion")
    scene.two.wait_ready()
    scene.two.wait_until(lambda: fault not in faults(), f"end of {fault}")


@virtual_board
def test_a_board_that_knows_no_time_takes_it_from_the_other(scene: Scene) -> None:
    board = scene.one.board
    assert isinstance(board, Board)
    scene.two.shell("mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized")  # as timesyncd says it
    scene.two.restart()
    board.off()
    board.clock_1970 = True
    board.on()
    scene.one.wait_ready()
    board.clock_1970 = False
    assert scene.one.shell("date +%Y").strip() == "1970"
    scene.one.wait_copy(str(scene.one.shoot()["picture"]), at=2)  # by then they have heard each other
    row = scene.one.row(str(scene.one.shoot()["picture"]))
    assert row["taken_at_quality"] == "peer"
    assert str(row["taken_at"]).startswith(scene.two.shell("date +%Y").strip())


@virtual_board
def test_config_and_credential_on_a_fat_boot_partition_are_taken_in_once(scene: Scene) -> None:
    """As on a Raspberry Pi OS, where any computer can write to that partition, and nobody has a screen."""
    scene.two.shell(
        "truncate -s 40M /boot.vfat; mkfs.vfat /boot.vfat; mkdir -p /boot/firmware; "
        "echo '/boot.vfat /boot/firmware vfat loop 0 2' >> /etc/fstab; mount /boot/firmware; cd /etc/dandelion; "
        "sed 's/^\\[unit\\]/&\\nname = \"by-the-pond\"/' config.toml > /boot/firmware/dandelion.toml; rm config.toml; "
        "mv unit.credential /boot/firmware/dandelion.credential"
    )
    scene.two.board.off()
    scene.two.board.on()
    scene.two.wait_ready()
    (row,) = scene.two.rows("status")
    assert row["name"] == "by-the-pond"
    assert scene.two.shell("ls /boot/firmware").split() == ["dandelion.toml.taken"]
    assert scene.two.shell("stat -c '%a %U' /etc/dandelion/unit.credential").split() == ["600", "dandelion"]


def mount_through_mapper(unit: BoardedUnit) -> None:
    """Its card, by a layer that can be told to fail."""
    unit.shell(
        "systemctl stop dandelion; umount /var/lib/dandelion; "
        'dmsetup create card --table "0 $(blockdev --getsz /dev/ubdb) linear /dev/ubdb 0"; '
        "mount /dev/mapper/card /var/lib/dandelion; systemctl start dandelion"
    )
    unit.wait_ready()


def break_card(unit: BoardedUnit, how: str) -> None:
    """how: `drop_writes`, it lies about all that is written, or `error_writes`, each write fails."""
    unit.shell(
        f'dmsetup load card --table "0 $(blockdev --getsz /dev/ubdb) flakey /dev/ubdb 0 0 3600 1 {how}"; '
        "dmsetup resume card"
    )


@virtual_board
def test_a_card_that_lies_is_given_no_receipt_and_loses_no_picture(scene: Scene, tmp_path: Path) -> None:
    for row in scene.one.rows("list", "--unit", "1"):
        scene.one.wait_copy(str(row["picture"]), at=2)
    mount_through_mapper(scene.two)
    break_card(scene.two, "drop_writes")
    shot = scene.one.shoot()
    picture = str(shot["picture"])
    scene.one.wait_until(lambda: f"does not take picture {picture}: failed" in scene.one.said(), "refusal")
    assert all(copy["state"] != "verified" for copy in scene.one.row(picture)["copies"])
    scene.two.cut_and_boot()
    scene.one.wait_copy(picture, at=2)
    assert read_out(scene.here, shot, tmp_path) == scene.one.file_of(picture)


@virtual_board
def test_a_board_whose_card_fails_at_each_write_takes_pictures_for_the_other(scene: Scene, tmp_path: Path) -> None:
    mount_through_mapper(scene.one)
    break_card(scene.one, "error_writes")
    scene.one.ask("shoot")  # at the moment at which the unit finds out; it may be refused
    scene.one.wait_ready()
    shot = scene.one.shoot()
    assert scene.two.row(shot["picture"])["local"]
    assert scene.one.rows("status")[0]["problems"]
    scene.one.cut_and_boot()
    read_out(scene.here, shot, tmp_path)
