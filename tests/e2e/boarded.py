"""Units inside boards of sim/board: their config and service, the real command asked in the board, cuts of its power.

Nothing here sleeps: what is waited for is a command in the board, and each of these takes its time.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from harness import Fields, Tables

from sim.board import recipe
from sim.board.any_board import AnyBoard, Result
from sim.fleet_config import as_toml, enrol

BAUD = 115_200
EVENT_S = 180.0  # longest wait for anything in a board; two of them and their line share the host's cores
INSTALL_S = 600.0  # apt unpacks the package, Python compiles it
BUTTON, LED = 17, 27
CHIP = "/sys/devices/platform/gpio-sim.0/gpiochip0"
# The pins of a board, which gpio-sim forgets with each boot; the button's pull-up holds it open.
PINS = f"""\
#!/bin/sh -e
made=/sys/kernel/config/gpio-sim/cam
[ ! -e "$made" ] || exit 0
mkdir -p "$made/bank0"
echo 54 > "$made/bank0/num_lines"
echo pinctrl-bcm2835 > "$made/bank0/label"
echo 1 > "$made/live"
echo pull-up > {CHIP}/sim_gpio{BUTTON}/pull
udevadm settle
"""
# What is adapted to a board that is no Raspberry Pi, and to a camera that is none.
DROP_IN = """\
[Service]
Environment=LD_PRELOAD=/usr/local/lib/dmaheap.so
"""
WITH_PINS = """\
Environment=RPI_LGPIO_REVISION=c03115 RPI_LGPIO_CHIP=0
ExecStartPre=+/usr/local/sbin/pins
"""

Found = TypeVar("Found")


class BoardedUnit:
    """A unit that its own installer has put into its board."""

    def __init__(self, number: int, board: AnyBoard, tables: Tables) -> None:
        self.number = number
        self.board = board
        credential = board.shared / "unit.credential"
        enrol(board.directory.parent, number, f"unit-{number}", credential)
        defaults: dict[str, dict[str, object]] = {
            "unit": {"id": number},
            "card": {"capacity": "50 MB"},
            "camera": {"driver": "picamera2"},
            "shutter": {"button_pin": BUTTON, "led_pin": LED} if board.has_pins else {},
            "radio": {"port": "/dev/ttyS0", "baud": BAUD},
        }
        for table, keys in tables.items():
            defaults.setdefault(table, {}).update(keys)
        (board.shared / "config.toml").write_text(as_toml(defaults))
        (board.shared / "pins").write_text(PINS)
        (board.shared / "board.conf").write_text(DROP_IN + WITH_PINS * board.has_pins)

    def install(self) -> None:
        """As a person does it, in the board, which is on; then start it."""
        words = [sys.executable, "-m", "deploy.build_deb", "-o", str(self.board.shared)]
        subprocess.run(words, cwd=recipe.ROOT, check=True, capture_output=True)
        (package,) = self.board.shared.glob("*.deb")
        self.board.run("/mnt/dandelion/deploy/install", "--yes", f"/mnt/host/{package.name}", within_s=INSTALL_S)
        (self.board.shared / "virtual_camera.pth").write_text("import virtual_camera\n")  # at each start of a Python
        packages = self.shell("echo /usr/local/lib/python3.*/dist-packages").strip()
        adaptations = "/mnt/dandelion/sim/board/camera/sitecustomize.py"
        for source, mode, place in (
            ("/mnt/host/config.toml", "644", "/etc/dandelion/config.toml"),
            ("/mnt/host/pins", "755", "/usr/local/sbin/pins"),
            ("/mnt/host/board.conf", "644", "/etc/systemd/system/dandelion.service.d/board.conf"),
            (adaptations, "644", f"{packages}/virtual_camera.py"),
            ("/mnt/host/virtual_camera.pth", "644", f"{packages}/virtual_camera.pth"),
        ):
            self.board.run("install", "-D", "-m", mode, source, place)
        owner = ("-m", "600", "-o", "dandelion", "-g", "dandelion")
        self.board.run("install", *owner, "/mnt/host/unit.credential", "/etc/dandelion/unit.credential")
        self.shell("systemctl daemon-reload; systemctl start dandelion")
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until it answers."""
        self.wait_until(lambda: self.ask("status").code == 0, "answer to status")

    def cut_and_boot(self) -> None:
        """Power cut; its card has no fault that its journal does not mend; it comes up again by itself."""
        self.board.cut()
        self.board.check_card()
        self.board.on()
        self.wait_ready()

    def restart(self) -> None:
        """In order, which makes it a good start: five bad ones in a row would lead to safe mode."""
        self.board.run("systemctl", "restart", "dandelion")
        self.wait_ready()

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(self, *words: str) -> Result:
        """`dandelion` with these words, in the board, whatever its exit status."""
        return self.board.ask("dandelion", *words)

    def rows(self, *words: str) -> list[Fields]:
        """The rows of a command that must be done."""
        out = self.board.run("dandelion", words[0], "--json", *words[1:])
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def shoot(self) -> Fields:
        """Press the shutter, by the command; the row of the picture."""
        (row,) = self.rows("shoot")
        return row

    def row(self, picture: str) -> Fields:
        """Its row of `list`."""
        return next(row for row in self.rows("list") if row["picture"] == picture)

    def wait_until(self, look: Callable[[], Found | None], what: str) -> Found:
        """What `look` finds."""
        deadline = time.monotonic() + EVENT_S
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"unit {self.number}: no {what}; it said:\n{self.said()}")

    def wait_copy(self, picture: str, at: int) -> None:
        """Until that unit has proved that it holds it."""

        def there() -> bool:
            copies = self.row(picture)["copies"]
            return any(copy["unit"] == at and copy["state"] == "verified" for copy in copies)

        self.wait_until(there, f"verified copy of {picture} at {at}")

    def said(self) -> str:
        """What the service has written since the boot."""
        return self.board.run("journalctl", "--no-pager", "-o", "cat", "-b", "-u", "dandelion")

    def press(self) -> Fields:
        """Press the button, and let it go; the row of the picture in `list`. Without pins the command does it."""
        if not self.board.has_pins:
            return self.shoot()
        before = {row["picture"] for row in self.rows("list")}
        pin = f"{CHIP}/sim_gpio{BUTTON}/pull"
        self.shell(f"echo pull-down > {pin}; sleep 0.5; echo pull-up > {pin}")

        def taken() -> Fields | None:
            return next((row for row in self.rows("list") if row["picture"] not in before), None)

        return self.wait_until(taken, "picture after a press of the button")

    def shell(self, script: str) -> str:
        """What a script wrote that must succeed in the board."""
        return self.board.run("sh", "-e", "-c", script)

    def file_of(self, picture: str, place: str = "own") -> bytes:
        """The bytes of its file on the card."""
        path = self.shell(f"ls /var/lib/dandelion/card/{place}/*/{shlex.quote(picture)}-*.jpg").strip()
        self.board.run("cp", path, "/mnt/host/picture.jpg")
        return (self.board.shared / "picture.jpg").read_bytes()
