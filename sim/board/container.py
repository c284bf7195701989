"""A board as a container of systemd-nspawn: the virtual board's card image with this machine's kernel under it.

Real: systemd as the first process with the hardening that it gives a service, its own processes and file systems, the
picamera2 of the image, an ext4 card. Not: kernel, memory, GPIO, the device mapper's faults, its clock; the radio is a
pty. A cut ends all processes at once and no more: what they have written is there, synced or not (sim/board/machine.py
cuts the power). Boots in a second where the virtual board takes ten. Needs root, systemd-container and loop devices.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from firmware.errors import Refused
from sim.board import recipe
from sim.board.any_board import BOOT_S, COMMAND_S, OFF_S, AnyBoard, Result
from sim.board.image import needs
from sim.children import Child

PROGRAMS = {"systemd-nspawn": "systemd-container", "nsenter": "util-linux", "unshare": "util-linux"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOOK_S = 1.0  # between two looks whether it still runs
NOTICE_BYTES = 4096  # of one message of sd_notify(3)
# In the board: what the image has for the kernel of a virtual board, and the radio's group as udev sets it there.
ADAPT = """
ln -sfn /dev/null {root}/etc/systemd/system/board.service
ln -sfn /dev/null {root}/etc/systemd/system/clock-1970.service
: > {root}/etc/fstab
"""


class Container(AnyBoard):
    """As AnyBoard says, without pins."""

    has_pins = False

    def __init__(self, directory: Path, *, radio: str | None = None) -> None:
        needs(PROGRAMS)
        if os.geteuid() != 0:
            raise Refused("only root can start containers", can="run it as root")
        super().__init__(directory, radio=radio)
        for folder in ("image", "changes", "work", "root", "card"):
            (self.directory / folder).mkdir(exist_ok=True)
        self._first = 0  # process id of its systemd, as this machine counts

    # --- power ---------------------------------------------------------------------------------------------

    def on(self) -> Self:
        assert self._child is None
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind("")  # to a name that the kernel finds
            name = notices.getsockname().decode().replace("\0", "@")
            self._child = Child(
                ["/usr/bin/env", f"NOTIFY_SOCKET={name}", "sh", "-ec", self._script()], said=self._console
            )
            self._first = self._wait_ready(notices)
        self._require_running(self.ask("systemctl", "is-system-running", "--wait", within_s=BOOT_S).out.strip())
        if self.radio is not None:
            self.run("sh", "-ec", "chgrp dialout /dev/ttyS0; chmod 660 /dev/ttyS0")
        return self

    def _wait_ready(self, notices: socket.socket) -> int:
        """Until its systemd is up, whose process id is returned; what is said of both is sd_notify(3)."""
        said: dict[str, str] = {}
        deadline = time.monotonic() + BOOT_S
        notices.settimeout(LOOK_S)
        while said.get("READY") != "1":
            if not self.is_on or time.monotonic() > deadline:
                raise self._failed("it does not boot")
            with suppress(TimeoutError):
                said |= dict(line.split("=", 1) for line in notices.recv(NOTICE_BYTES).decode().splitlines())
        return int(said["X_NSPAWN_LEADER_PID"])

    def _script(self) -> str:
        """Its file systems are mounted where nobody else sees them, and are gone with the last process there."""
        place = self.directory
        words = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={place}/root",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--notify-ready=yes",
        ]
        words += [
            "--console=pipe",
            f"--machine={place.name}",
            "--private-network",
            f"--bind={place}/card:/var/lib/dandelion",
        ]
        words += [f"--bind-ro={recipe.ROOT}:/mnt/dandelion", f"--bind={self.shared}:/mnt/host"]
        if self.radio is not None:
            words.append(f"--bind={self.radio}:/dev/ttyS0")
        layers = f"lowerdir={place}/image,upperdir={place}/changes,workdir={place}/work"
        mounts = (
            f"mount -o loop,ro {self._image} {place}/image",
            f"mount -t overlay -o {layers} overlay {place}/root",
            f"mount -o loop,noatime {self.card} {place}/card",
        )
        inner = "\n".join((*mounts, ADAPT.format(root=f"{place}/root"), f"exec {shlex.join(words)}"))
        return f"exec unshare --mount --propagation private sh -ec {shlex.quote(inner)}"

    def cut(self) -> None:
        """All its processes end at once."""
        assert self._child is not None
        os.kill(self._first, signal.SIGKILL)
        self._gone()

    def off(self) -> None:
        assert self._child is not None
        self.ask("systemctl", "poweroff")
        self._gone()

    def _gone(self) -> None:
        assert self._child is not None
        self._child.end(time.monotonic() + OFF_S)
        self._child = None

    # --- commands ------------------------------------------------------------------------------------------

    def ask(
        self,
        *argv: str,
        within_s: float = COMMAND_S,
        env: Mapping[str, str] | None = None,
        show: Callable[[bytes], None] | None = None,
    ) -> Result:
        words = ["nsenter", f"--target={self._first}", "--all", "env", "-i", "--chdir=/root"]
        words += [f"PATH={PATH}", "HOME=/root"]
        words += [f"{name}={value}" for name, value in (env or {}).items()]
        try:
            done = subprocess.run(
                [*words, *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=within_s,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            out = (late.stdout or b"").decode(errors="replace")
            raise self._failed(f"{' '.join(argv)} took longer than {within_s:.0f} s:\n{out}") from late
        if show is not None:
            show(done.stdout)
        return Result(done.returncode, done.stdout.decode(errors="replace"))
