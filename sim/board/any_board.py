"""What the two kinds of boards of this folder have in common, from outside: a directory, a card, commands, ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from firmware.errors import Refused
from hal.light_dataclass import dataclass
from sim.board.image import call, image
from sim.children import Child

CARD_BYTES = 256_000_000  # the card's file system, a file with holes on the host
CONSOLE_BYTES = 4000  # of the console's end, shown where a board fails
BOOT_S = 180.0  # a boot takes 5 s on an idle host, and this is no test of its speed
COMMAND_S = 120.0  # unless a command is given another time
OFF_S = 60.0  # an ordered shutdown


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in a board left: its exit status, and what it wrote to its two outputs."""

    code: int
    out: str


class AnyBoard(ABC):
    """A board with a card of its own in a directory, which outlives its boots. Not started when it is made.

    radio: the pty that is its /dev/ttyS0. In it, the checkout is at /mnt/dandelion and the directory's `host` at
    /mnt/host, the one place that both sides write to; /var/lib/dandelion is the card. has_pins: whether it has GPIO.
    """

    has_pins: ClassVar[bool]

    def __init__(self, directory: Path, *, radio: str | None = None) -> None:
        self.directory = directory.absolute()
        self.radio = radio
        self.shared = self.directory / "host"
        self.shared.mkdir(parents=True, exist_ok=True)
        self.card = self.directory / "card.ext4"
        self._console = self.directory / "console"
        self._child: Child | None = None
        self._image = image()
        if not self.card.exists():
            make_card(self.card)

    @abstractmethod
    def on(self) -> Self:
        """Boot it, until systemd says that all is up. Refused, with the names, if a service has failed."""

    @abstractmethod
    def cut(self) -> None:
        """End it at once, as a power cut does, or as nearly so as it can be."""

    @abstractmethod
    def off(self) -> None:
        """An ordered shutdown."""

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.status() is None

    def run(self, *argv: str, within_s: float = COMMAND_S, env: Mapping[str, str] | None = None) -> str:
        """As root, in the board: what it wrote. Refused if it fails or takes longer."""
        done = self.ask(*argv, within_s=within_s, env=env)
        if done.code:
            raise self._failed(f"{' '.join(argv)} ended with {done.code}:\n{done.out}")
        return done.out

    @abstractmethod
    def ask(
        self,
        *argv: str,
        within_s: float = COMMAND_S,
        env: Mapping[str, str] | None = None,
        show: Callable[[bytes], None] | None = None,
    ) -> Result:
        """Like run(), whatever its exit status. show: is given what it writes, while it runs where that can be had."""

    def _require_running(self, state: str) -> None:
        """state: as `systemctl is-system-running` says it."""
        if state != "running":
            raise self._failed(f"systemd is {state}:\n{self.ask('systemctl', '--failed', '--no-pager').out}")

    def _failed(self, what: str) -> Refused:
        console = self._console.read_bytes()[-CONSOLE_BYTES:].decode(errors="replace")
        return Refused(f"{self.directory.name}: {what}\nThe console's end:\n{console}")

    def check_card(self) -> None:
        """While it is off: what a boot's fsck does, the journal first; then Refused if anything is still wrong with
        the file system."""
        log = self.directory / "fsck"
        call(["e2fsck", "-p", "-E", "journal_only", str(self.card)], log)
        call(["e2fsck", "-f", "-n", str(self.card)], log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self.cut()


def make_card(path: Path) -> None:
    """An empty card: ext4 in a file with holes."""
    with path.open("wb") as file:
        file.truncate(CARD_BYTES)
    call(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "card", str(path)], path.with_suffix(".log"))
