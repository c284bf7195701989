"""The Protocol classes of the machine: what the firmware may rely on, whatever hardware or simulation is below.

Each class has one contract test in tests/contract that runs on every implementation. All times are seconds; `now`
never comes from here except through Clock. Methods that may block say so: the service calls those on threads.
"""

from __future__ import annotations

import enum
from typing import NamedTuple, Protocol

from hal.light_dataclass import dataclass


class Protection(enum.Enum):
    """How much a packet is protected against bit errors, chosen by the core per neighbour."""

    NONE = 0


class Duplex(enum.Enum):
    """Whether both ends of a link may send at once."""

    FULL = "full"
    HALF = "half"


class TimeQuality(enum.IntEnum):
    """How far wall time can be trusted, worst first."""

    UNSET = 0
    PEER = 1
    SYNCED = 2


Address = int
"""Of a radio on a medium that has addresses; 64 bits on an XBee. Nothing but the radio makes anything of it."""


class Arrival(NamedTuple):
    """A whole packet that a radio has received. sender: the radio that it came from, None where the medium has no
    addresses or did not tell; nothing proves it. rssi_dbm: how strong it was, None where the radio does not tell."""

    packet: bytes
    sender: Address | None = None
    rssi_dbm: int | None = None


@dataclass(frozen=True, slots=True)
class Occasion:
    """Of which unit a picture is, and when it was asked for (Unix seconds, None where nobody has said the time); what a
    camera cannot know of itself, and writes into the picture's Exif block."""

    unit: int
    unix_s: float | None
    quality: TimeQuality


@dataclass(slots=True)
class RadioCounts:
    """What went over the line since the radio was made; damaged = delimited but wrong CRC, length or coding."""

    frames_out: int = 0
    frames_in: int = 0
    frames_damaged: int = 0
    frames_undelivered: int = 0  # of frames_out, as far as the medium tells: no radio acknowledged them
    bytes_out: int = 0
    bytes_in: int = 0
    reopened: int = 0


class Radio(Protocol):
    """A link that carries whole packets of up to `mtu_bytes`; CRC, delimiting and pacing happen inside.

    Packets may be lost, and nothing else: a damaged one is counted and dropped here. Nothing blocks. When
    the port is away `problem` says why in words for a person, `fileno()` is None, packets handed over are lost,
    and `service()` opens it again with back-off.
    """

    mtu_bytes: int
    line_bytes_per_s: float
    duplex: Duplex
    counts: RadioCounts

    @property
    def is_outdated(self) -> bool:
        """Whether the device has turned out to be one with another mtu_bytes or line_bytes_per_s: this radio goes on as
        it can, and whoever makes it anew gets one that is right."""

    @property
    def problem(self) -> str | None:
        """What is wrong, what the unit does and what a person can do; None while all is well."""

    @property
    def heard_at(self) -> float:
        """Monotonic time at which bytes last came in, as far as receive() knows; minus infinity before."""

    def fileno(self) -> int | None:
        """The descriptor to watch for reading, or None while there is none; may change after service()."""

    @property
    def room(self) -> int:
        """Packets that may be handed over now: the radio takes at most 2 frames or 30 ms of line time ahead."""

    def send(self, packet: bytes, protection: Protection, to: Address | None = None) -> None:
        """Hand over one packet (1..mtu_bytes bytes). Only while room > 0; ValueError otherwise.

        to: the radio that it is for, as an Arrival named it; None: every radio in range. Where the medium has no
        addresses all hear everything.
        """

    def receive(self) -> list[Arrival]:
        """The whole packets that have arrived, in order; empty if none. Reads what is there and returns."""

    def deadline(self) -> float | None:
        """Monotonic time at which service() is wanted: room opens, a write goes on, the port is tried again."""

    def service(self) -> None:
        """Go on with what deadline() was for; call as often as you like. receive() may have packets after it, though
        nothing is readable."""

    def close(self) -> None:
        """Give the port back; the radio is of no more use."""


class Shot(Protocol):
    """A picture just taken, held in memory outside the card until close()."""

    size_bytes: int
    sha256: bytes
    preview: bytes  # JPEG of at most 4 kB, empty where none could be made

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Exactly these bytes, less only at the end."""

    def named(self, picture: str) -> Shot:
        """The same shot, as long as it was, with this picture id in its Exif block; itself where the camera does not
        write one, but gives bytes of others. It lasts as long as this one. Reads and digests all of it."""

    def close(self) -> None:
        """Forget the bytes; safe to call twice."""


class Camera(Protocol):
    """Takes JPEGs. Blocks, so it has a thread of its own; what can hang lives in a child process behind it.

    note: what a person should know of the camera since it was opened, though it works; empty if there is nothing.
    """

    note: str

    def open(self) -> None:
        """Make ready, so that the next capture starts within 20 ms; raises CameraError. Safe to call again."""

    def capture(self, timeout_s: float, occasion: Occasion) -> Shot:
        """Take one picture. Raises CameraError, or CameraHung after timeout_s; may be called again then."""

    def close(self) -> None:
        """Give the camera back."""


class CardEntry(NamedTuple):
    """One name in a directory of the card. size_bytes: -1 where the card cannot even say what is behind the name."""

    name: str
    size_bytes: int
    is_directory: bool

    @property
    def is_unreadable(self) -> bool:
        """Nothing is known of it but its name; it may be a sound file that the card gives back another time."""
        return self.size_bytes < 0


class CardFile(Protocol):
    """An open file on the card."""

    def write(self, offset: int, data: bytes) -> None:
        """Write all of data at offset; raises CardError. Durable only after sync()."""

    def read(self, offset: int, size_bytes: int) -> bytes:
        """These bytes, fewer only at the end of the file."""

    def sync(self) -> None:
        """Return once what was written is on the medium (fsync). After CardError never call it again: a failed
        fsync marks the pages clean, so only a new file written from memory can be trusted."""

    def forget_cache(self) -> None:
        """Ask that the next read comes from the medium (posix_fadvise DONTNEED); best effort."""

    def close(self) -> None:
        """Release the descriptor; safe to call twice."""


class Card(Protocol):
    """The file system of an SD card, seen from its root directory; paths are relative, with `/`.

    All methods may block for seconds and raise CardError (CardFull, CardReadOnly), or FileNotFoundError and
    FileExistsError. A new, renamed or removed name is durable only after sync_directory() of its parent.
    """

    def create(self, path: str, size_bytes: int) -> CardFile:
        """A new file (O_CREAT|O_EXCL, mode 0600) with size_bytes really reserved; CardFull leaves nothing behind."""

    def open(self, path: str, *, writable: bool = False) -> CardFile:
        """An existing file; CardError where the name is of anything else. Never waits for another process."""

    def rename(self, old: str, new: str) -> None:
        """Move within the card, replacing nothing that exists under another content: the caller has checked."""

    def unlink(self, path: str) -> None:
        """Remove a file."""

    def make_directory(self, path: str) -> None:
        """Make a directory and its missing parents, durable in their parents; fine if it is there; CardError if
        something else is."""

    def sync_directory(self, path: str) -> None:
        """Make the names in this directory durable."""

    def entries(self, path: str) -> list[CardEntry]:
        """What is in a directory, by name; empty if the directory is not there."""

    def free_bytes(self) -> int:
        """Room of the file system for us (statvfs f_bavail). CardReadOnly where it takes no writes."""

    def total_bytes(self) -> int:
        """Size of the file system."""


class Change(NamedTuple):
    """A contact is on or off from `at` on, in monotonic seconds."""

    on: bool
    at: float


class Contact(Protocol):
    """Something at a pin that is on or off: a button that is pressed, a motion sensor that sees something. Debounced.

    Nothing blocks. What it is at when it is made is no change. `problem` says why in words for a person where the pin
    cannot be read any more; nothing settles from then on.
    """

    problem: str | None

    @property
    def on(self) -> bool:
        """What it is at, as far as changes() has told."""

    def fileno(self) -> int | None:
        """The descriptor to watch: readable when changes() is wanted, and when there has come to be a problem. The same
        until close(), then None."""

    def changes(self) -> list[Change]:
        """How it has changed since the last call, in order; call as often as you like."""

    def close(self) -> None:
        """Give the pin back; safe to call twice."""


class Led(Protocol):
    """One LED. `problem`: as of a Contact."""

    problem: str | None

    def set(self, on: bool) -> None:
        """Switch it; at once, and nothing blocks."""

    def close(self) -> None:
        """Dark, and the pin is given back; safe to call twice."""


class Clock(Protocol):
    """Time. Only monotonic time decides anything; wall time is told to people, with its quality."""

    def monotonic(self) -> float:
        """Seconds that only go forward, from an arbitrary start."""

    def wall(self) -> tuple[float, TimeQuality]:
        """Unix time in seconds and how far to trust it."""
