"""How the board was started: its model, the kernel's command line now and at the next start, its consoles."""

from __future__ import annotations

from pathlib import Path

from hal.light_dataclass import dataclass
from hal.probes.reading import text_of

BOOT_FOLDERS = ("boot/firmware", "boot")
"""Where Raspberry Pi OS mounts the boot partition, with config.txt and cmdline.txt: since bookworm, and before."""


@dataclass(frozen=True, slots=True)
class BootFacts:
    """model: empty where this is no Raspberry Pi. folder: of config.txt. consoles: ttys that the kernel writes to now.

    next_words: the command line at the next start, empty where there is no cmdline.txt; config_lines: of config.txt
    without comments.
    """

    model: str
    folder: str
    words: tuple[str, ...]
    next_words: tuple[str, ...]
    config_lines: tuple[str, ...]
    consoles: tuple[str, ...]

    @property
    def is_pi(self) -> bool:
        """Whether the firmware's files and programs mean anything here."""
        return bool(self.model)


def look(root: Path) -> BootFacts:
    """Nothing fails: what is not there is empty."""
    model = text_of(root / "proc/device-tree/model") or ""
    folder = next((name for name in BOOT_FOLDERS if (root / name / "config.txt").exists()), BOOT_FOLDERS[0])
    lines = (line.partition("#")[0].strip() for line in (text_of(root / folder / "config.txt") or "").split("\n"))
    return BootFacts(
        model=model if model.startswith("Raspberry Pi") else "",
        folder=f"/{folder}",
        words=tuple((text_of(root / "proc/cmdline") or "").split()),
        next_words=tuple((text_of(root / folder / "cmdline.txt") or "").split()),
        config_lines=tuple(filter(None, lines)),
        consoles=tuple((text_of(root / "sys/class/tty/console/active") or "").split()),
    )
