"""Units inside virtual boards: their config and service, the real command asked in the board, cuts of its power.

Nothing here sleeps: what is waited for is a command in the board, and each of these takes its time.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from harness import Fields, Tables, toml

from sim.board import recipe
from sim.board.machine import Board, Result
from sim.fleet_config import enrol

BAUD = 115_200
EVENT_S = 180.0  # longest wait for anything in a board; two of them and their line share the host's cores
PYTHON = f"{recipe.VENV}/bin/python"
# Compiled modules cannot be kept beside the checkout, which is only read.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPYCACHEPREFIX": "/var/cache/dandelion"}
COMMAND = f"#!{PYTHON}\nimport sys\nfrom firmware.cli import main\nsys.exit(main())\n"
SERVICE = """\
[Unit]
Description=Dandelion
After=board.service var-lib-dandelion.mount

[Service]
Environment=PYTHONPYCACHEPREFIX=/var/cache/dandelion
ExecStart=/usr/local/bin/dandelion run
RuntimeDirectory=dandelion
Restart=always

[Install]
WantedBy=multi-user.target
"""

Found = TypeVar("Found")


class BoardedUnit:
    """A unit that runs as a service of its board, from the checkout."""

    def __init__(self, number: int, board: Board, tables: Tables) -> None:
        self.number = number
        self.board = board
        credential = board.shared / "unit.credential"
        enrol(board.directory.parent, number, f"unit-{number}", credential)
        defaults: dict[str, dict[str, object]] = {
            "unit": {"id": number},
            "card": {"capacity": "50 MB"},
            "camera": {"driver": "pattern", "size": [640, 480]},
            "radio": {"port": "/dev/ttyS0", "baud": BAUD},
        }
        for table, keys in tables.items():
            defaults.setdefault(table, {}).update(keys)
        (board.shared / "config.toml").write_text(toml(defaults))
        (board.shared / "dandelion").write_text(COMMAND)
        (board.shared / "dandelion.service").write_text(SERVICE)

    def install(self) -> None:
        """Put it into the board, which is on, and start it."""
        for name, mode, place in (
            ("config.toml", "644", "/etc/dandelion/config.toml"),
            ("unit.credential", "600", "/etc/dandelion/unit.credential"),
            ("dandelion", "755", "/usr/local/bin/dandelion"),
            ("dandelion.service", "644", "/etc/systemd/system/dandelion.service"),
        ):
            self.board.run("install", "-D", "-m", mode, f"/mnt/host/{name}", place)
        self.board.run("systemctl", "enable", "--now", "dandelion")
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
        """In order."""
        self.board.run("systemctl", "restart", "dandelion")
        self.wait_ready()

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(self, *words: str) -> Result:
        """`dandelion` with these words, in the board, whatever its exit status."""
        return self.board.ask("dandelion", *words, env=ENVIRONMENT)

    def rows(self, *words: str) -> list[Fields]:
        """The rows of a command that must be done."""
        out = self.board.run("dandelion", words[0], "--json", *words[1:], env=ENVIRONMENT)
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

    def shell(self, script: str) -> str:
        """What a script wrote that must succeed in the board."""
        return self.board.run("sh", "-e", "-c", script)

    def file_of(self, picture: str, place: str = "own") -> bytes:
        """The bytes of its file on the card."""
        path = self.shell(f"ls /var/lib/dandelion/card/{place}/*/{shlex.quote(picture)}-*.jpg").strip()
        self.board.run("cp", path, "/mnt/host/picture.jpg")
        return (self.board.shared / "picture.jpg").read_bytes()


def make_board(place: Path, number: int, port: str | None, *, clock_1970: bool = False) -> Board:
    """The board of unit `number`, off."""
    return Board(place / f"board-{number}", radio=port, clock_1970=clock_1970)
