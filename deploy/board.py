"""What a board's own files are changed to for a unit, and back: boot partition, login consoles, the person's group.

All of it is below `root`, "/" or a board's file system somewhere else; commands that concern a running system are given
only for "/". What was changed is noted in RECORD, so that all of it, and nothing else, is changed back.
"""

from __future__ import annotations

import grp
import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy import boot_files
from deploy.files import remove, sync_directory, write
from hal.probes.boot import BOOT_FOLDERS

RECORD = "etc/dandelion/board-setup.json"
GROUP = "dandelion"
GETTYS = ("serial-getty@serial0.service", "serial-getty@ttyAMA0.service", "serial-getty@ttyS0.service")
"""Login consoles on a radio's UART: the commonest hole of all. The system starts them by itself where the kernel's
console is there; a mask keeps them off whatever else asks for them."""
MASKS = "etc/systemd/system"


@dataclass(slots=True)
class Record:
    """What was changed. consoles: words taken out of cmdline.txt; masks: units that were masked; people: who came
    into the group."""

    consoles: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)


class Board:
    """The files of one board."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.is_running = root == Path("/")
        self._record_path = root / RECORD
        self._record = self._read_record()

    @property
    def boot(self) -> Path | None:
        """The boot partition of a Raspberry Pi, None on anything else."""
        return next((self.root / at for at in BOOT_FOLDERS if (self.root / at / "config.txt").is_file()), None)

    # ------------------------------------------------------------ changing

    @property
    def has_flow_control(self) -> bool:
        """Whether RTS and CTS of the radio were given their pins."""
        return self.boot is not None and boot_files.has(_text(self.boot / "config.txt"), boot_files.FLOW_CONTROL)

    def configure(self, *, uart: bool, flow_control: bool, camera: bool) -> bool:
        """The block in config.txt, and no console on a UART that the radio has. Whether a restart changes anything."""
        boot = self.boot
        assert boot is not None
        wanted = ((uart, boot_files.UART), (flow_control, boot_files.FLOW_CONTROL), (camera, boot_files.CAMERA))
        lines = tuple(line for is_wanted, block in wanted if is_wanted for line in block)
        changed = _rewrite(boot / "config.txt", lambda text: boot_files.with_block(text, lines))
        if uart:
            self._mask_gettys()
            return self._take_consoles(boot / "cmdline.txt") or changed
        self._unmask_gettys()
        return self._give_consoles_back(boot / "cmdline.txt") or changed

    def _take_consoles(self, cmdline: Path) -> bool:
        if not cmdline.is_file():
            return False
        without, taken = boot_files.without_consoles(_text(cmdline))
        self._record.consoles += [word for word in taken if word not in self._record.consoles]
        self._write_record()  # before the words are gone
        return _rewrite(cmdline, lambda _: without)

    def _give_consoles_back(self, cmdline: Path) -> bool:
        words, self._record.consoles = self._record.consoles, []
        return bool(words) and _rewrite(cmdline, lambda text: boot_files.with_consoles(text, words))

    def _mask_gettys(self) -> None:
        """Those on a UART that nobody has masked before."""
        masks = self.root / MASKS
        todo = [name for name in GETTYS if not (masks / name).exists() and not (masks / name).is_symlink()]
        self._record.masks += [name for name in todo if name not in self._record.masks]
        self._write_record()
        masks.mkdir(parents=True, exist_ok=True)
        for name in todo:
            (masks / name).symlink_to("/dev/null")
        sync_directory(masks)
        if self.is_running and todo:
            _systemctl("daemon-reload")
            _systemctl("stop", *todo)

    def _unmask_gettys(self) -> None:
        """Those that were masked here, where they still are."""
        names, self._record.masks = self._record.masks, []
        for name in names:
            mask = self.root / MASKS / name
            if mask.is_symlink() and mask.readlink() == Path("/dev/null"):
                remove(mask)
        if self.is_running and names:
            _systemctl("daemon-reload")

    def take_in(self, person: str) -> bool:
        """Let this person give the unit commands. Whether that is new. Only where the system runs."""
        assert self.is_running
        if person in grp.getgrnam(GROUP).gr_mem:
            return False
        self._record.people.append(person)
        self._write_record()
        subprocess.run(["gpasswd", "--add", person, GROUP], check=True, stdout=subprocess.DEVNULL)
        return True

    # ------------------------------------------------------------ changing back

    def undo(self) -> bool:
        """Everything as it was before; what others have changed since stays. Whether there was something."""
        boot, people = self.boot, self._record.people
        was_there = self._record_path.exists()
        changed = False if boot is None else self.configure(uart=False, flow_control=False, camera=False)
        if self.is_running:
            for person in people:
                subprocess.run(["gpasswd", "--delete", person, GROUP], check=False, capture_output=True)
        remove(self._record_path)
        self._record = Record()
        return changed or was_there

    # ------------------------------------------------------------ the record

    def _read_record(self) -> Record:
        try:
            return Record(**json.loads(self._record_path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Record()

    def _write_record(self) -> None:
        self._record_path.parent.mkdir(parents=True, exist_ok=True)
        write(self._record_path, (json.dumps(asdict(self._record)) + "\n").encode(), mode=0o644)


def _rewrite(path: Path, change: Callable[[str], str]) -> bool:
    """Whether that makes it another text; whatever bytes are in it stay."""
    text = _text(path)
    changed = change(text)
    if changed == text:
        return False
    write(path, changed.encode("utf-8", "surrogateescape"))
    return True


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _systemctl(*words: str) -> None:
    """Where systemd runs: not in a chroot, nor while an image is made."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", *words], check=False, capture_output=True)
