"""A directory tree made like a healthy Raspberry Pi's, with programs that print what the real ones print, a real pty as
its UART, a real card directory, and a real credential: what `dandelion doctor` looks at, for one fault at a time.

Not simulated: what a kernel does by itself, as a device that vanishes; and modem lines, which no pty has.
"""

from __future__ import annotations

import dataclasses
import os
import pty
import tty
from collections.abc import Mapping
from pathlib import Path

from firmware import network
from firmware.doctor.facts import Facts
from firmware.doctor.gather import gather
from firmware.doctor.table import findings
from firmware.doctor.verdicts import State, Verdict
from hal.interfaces import TimeQuality
from sim.clock import SimClock

UNIT, NAME = 7, "east-hedge"
SUMMER_2026_UNIX_S = 1_783_000_000.0
ROOT = os.geteuid() == 0
UID = 990 if ROOT else os.getuid()  # of the user dandelion; only root can give files away
GROUPS = {"dialout": 20, "video": 44, "gpio": 997} if ROOT else dict.fromkeys(("dialout", "video", "gpio"), os.getgid())
CARD_BYTES = "5 MB"
LOWER_PTYS = 40
"""The numbers of ptys that are free are used again, and a unit elsewhere on this machine whose line has ended goes on
trying the name that it had: it would hold ours. So these are taken, for as long as a test lasts."""

HEALTHY_SERVICE = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "SubState": "running",
    "NRestarts": "0",
    "Result": "success",
    "User": "dandelion",
    "SupplementaryGroups": "",
}


class Pi:
    """The tree below `root`; every method that seeds a fault changes it, and nothing else."""

    def __init__(self, place: Path) -> None:
        self.root = place / "root"
        self.programs = place / "programs"
        self.card = place / "card"
        self.config = place / "config.toml"
        self.credential = place / "unit.credential"
        self.network = place / "network"
        self.runtime_dir = place / "run"
        self.clock = SimClock(wall_s=SUMMER_2026_UNIX_S, quality=TimeQuality.SYNCED)
        self.tables: dict[str, dict[str, str]] = {
            "unit": {"id": str(UNIT), "name": f'"{NAME}"', "runtime_dir": f'"{self.runtime_dir}"'},
            "card": {"path": f'"{self.card}"', "capacity": f'"{CARD_BYTES}"'},
            "camera": {"driver": '"none"'},
            "radio": {"port": f'"{self.root}/dev/serial0"'},
            "security": {"credential": f'"{self.credential}"'},
        }
        self.runtime_dir.mkdir()
        self._make_files()
        self._make_devices()
        self._make_card_and_credential()
        self.service(**HEALTHY_SERVICE)
        self.says("vcgencmd", "throttled=0x0")

    # ------------------------------------------------------------ the tree

    def write(self, name: str, text: str) -> None:
        """A file below root, with its directories."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def link(self, name: str, to: str) -> None:
        """A symbolic link below root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(to)

    def _make_files(self) -> None:
        members = "dandelion"
        groups = "".join(f"{name}:x:{gid}:{members}\n" for name, gid in GROUPS.items())
        self.write("etc/passwd", f"root:x:0:0:root:/root:/bin/bash\ndandelion:x:{UID}:{UID}::/nonexistent:/bin/false\n")
        self.write("etc/group", f"root:x:0:\n{groups}")
        self.write("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
        self.write("proc/cmdline", "console=tty1 root=PARTUUID=4a7b-02 rootfstype=ext4 fsck.repair=yes rootwait\n")
        self.write(
            "proc/meminfo", "MemTotal:        3884360 kB\nCmaTotal:         524288 kB\nCmaFree:          508000 kB\n"
        )
        self.mounts(card="ext4 /dev/mmcblk0p3 rw")
        self.write("boot/firmware/config.txt", "dtparam=audio=on\n[all]\nenable_uart=1\ndtoverlay=disable-bt\n")
        self.write("boot/firmware/cmdline.txt", "console=tty1 root=PARTUUID=4a7b-02 rootwait\n")
        self.write("sys/class/tty/console/active", "tty1\n")
        self.uart("ttyAMA0", "arm,pl011\0arm,primecell\0")
        self.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
        self.write("sys/class/thermal/thermal_zone0/temp", "48312\n")
        self.link("sys/dev/block/179:3", "../../devices/platform/emmc2bus/mmc_host/mmc0/block/mmcblk0/mmcblk0p3")
        self.write("sys/block/mmcblk0/device/type", "SD\n")
        self.write("sys/fs/ext4/mmcblk0p3/errors_count", "0\n")
        (self.root / "run/systemd/system").mkdir(parents=True)

    def mounts(self, *, card: str, root: str = "ext4 /dev/mmcblk0p2 rw", more: str = "") -> None:
        """mountinfo. card and root: file system, source, options; card empty: it is no mount of its own."""
        lines = [f"30 1 179:2 / / rw,noatime shared:1 - {root}"]
        if card:
            lines.append(f"40 30 179:3 / {self.card} rw,noatime shared:2 - {card}")
        self.write("proc/self/mountinfo", "\n".join((*lines, more)) + "\n")

    def uart(self, name: str, compatible: str) -> None:
        """What /dev/serial0 leads to."""
        self.write(f"sys/class/tty/{name}/device/of_node/compatible", compatible)
        self.link("dev/serial0", name)

    def _make_devices(self) -> None:
        self._lower = [descriptor for _ in range(LOWER_PTYS) for descriptor in pty.openpty()]
        self._far, near = pty.openpty()
        tty.setraw(near)
        self.line = os.ttyname(near)
        self._near = near
        self.link("dev/ttyAMA0", self.line)
        self.owned("dev/ttyAMA0", "dialout")

    def owned(self, name: str, group: str, mode: int = 0o660) -> None:
        """Root's, and a group's."""
        path = self.root / name
        os.chmod(path, mode)
        if ROOT:
            os.chown(path, 0, GROUPS[group])

    def device(self, name: str, group: str) -> None:
        """A device file that is only looked at."""
        self.write(name, "")
        self.owned(name, group)

    def _make_card_and_credential(self) -> None:
        network.create(self.network)
        network.enrol(self.network, unit=UNIT, name=NAME, file=self.credential)
        (self.card / "tmp").mkdir(parents=True)
        for path in (self.card / "tmp", self.card, self.credential):
            self.give_away(path)

    def give_away(self, path: Path) -> None:
        """To the user of the unit."""
        if ROOT:
            os.chown(path, UID, UID)

    def close(self) -> None:
        """The line away."""
        for descriptor in (self._far, self._near, *self._lower):
            os.close(descriptor)

    # ------------------------------------------------------------ programs and users

    def says(self, program: str, text: str, *, status: int = 0) -> None:
        """A program on PATH that prints this."""
        self.programs.mkdir(exist_ok=True)
        path = self.programs / program
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {status}\n")
        path.chmod(0o755)

    def service(self, **properties: str) -> None:
        """What `systemctl show` prints."""
        self.says("systemctl", "\n".join(f"{name}={value}" for name, value in properties.items()))

    def leaves_groups(self, name: str) -> None:
        """The unit's user is in no group, and the device is not theirs."""
        self.write("etc/group", "".join(f"{group}:x:{gid}:\n" for group, gid in {"root": 0, **GROUPS}.items()))
        self.write(
            "etc/passwd", f"root:x:0:0::/root:/bin/bash\ndandelion:x:{UID}:{UID if ROOT else 64_999}::/:/bin/false\n"
        )
        os.chmod(self.root / name, 0o060)

    # ------------------------------------------------------------ looking

    def facts(self) -> Facts:
        """Of this board, with the config as it stands in `tables`."""
        text = "".join(f"[{t}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for t, keys in self.tables.items())
        self.config.write_text(text)
        return gather(self.config, root=self.root, clock=self.clock)

    def verdicts(self, **changed: object) -> Mapping[str, Verdict]:
        """By the name of the finding. changed: facts that no directory can be made to show."""
        return dict(findings(dataclasses.replace(self.facts(), **changed)))  # type: ignore[arg-type]

    def not_ok(self, **changed: object) -> dict[str, State]:
        """What is not well now."""
        return not_ok(self.verdicts(**changed))


def not_ok(found: Mapping[str, Verdict]) -> dict[str, State]:
    """What is not well, and not for the want of a running unit, which no test but its own has."""
    return {name: each.state for name, each in found.items() if each.state is not State.OK and name != "unit"}
