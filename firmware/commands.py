"""What people ask a unit for (commands) and what they are told. Values only.

Each command carries a ticket, a number that the shell chose; everything said about it comes back as Told with that
ticket, and after Done or Failed nothing more.
"""

from __future__ import annotations

from firmware.errors import Refused
from firmware.pictures import Picture, PictureId
from hal.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Shoot:
    """Press the shutter. Done: the Picture, once it is durable. ticket: None where nobody waits."""

    ticket: int | None
    priority: bool = False


@dataclass(frozen=True, slots=True)
class TurnPriority:
    """Take all pictures as priority pictures from now on, or no more. Nothing is told of it."""


@dataclass(frozen=True, slots=True)
class Get:
    """Read a picture out. Found, then Data from its offset on in order, perhaps again; Done: Collected.

    Say Took for each Data: what is not taken is not read, from the own card or from the radio. have_bytes: of its
    beginning that the person has from an earlier try; they are not read again, and not checked by the unit.
    have_sha256: of a whole file that the person has; if it is the picture's, no Data comes, and nothing is read.
    """

    ticket: int
    picture: PictureId
    preview: bool
    timeout_s: float
    have_bytes: int = 0
    have_sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Took:
    """The person's program has taken so many bytes of what Data told of a Get. Nothing is told of it."""

    ticket: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PlaceCopy:
    """Put a copy at a unit. Done: None, once it is proved."""

    ticket: int
    picture: PictureId
    unit: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class DropOwn:
    """Free the own file of a picture that has enough proofs. Done: None."""

    ticket: int
    picture: PictureId


@dataclass(frozen=True, slots=True)
class DeletePicture:
    """Delete everywhere. Done: "deleted" at the origin, "pending" where it was forwarded."""

    ticket: int
    picture: PictureId


@dataclass(frozen=True, slots=True)
class Verify:
    """Have every copy proved now that this unit can vouch for. Done: Verified."""

    ticket: int
    picture: PictureId


@dataclass(frozen=True, slots=True)
class Verified:
    """Verify: units that were asked, and those of them that have proved their copy. Ascending."""

    asked: tuple[int, ...]
    proved: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PushRoster:
    """A person hands the network's newest roster over, as it was signed. Done: Pushed, once it is durable here; at a
    temporary unit once another unit has it, too."""

    ticket: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Pushed:
    """PushRoster: of which epoch it is, and the units heard that have it."""

    epoch: int
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """The person has gone: whatever was begun only for this ticket may end."""

    ticket: int


Command = Shoot | TurnPriority | Get | Took | PlaceCopy | DropOwn | DeletePicture | Verify | PushRoster | Cancel


@dataclass(frozen=True, slots=True)
class Found:
    """Get: what will come, and from which unit. offset: where data goes on; 0: from the beginning, perhaps again."""

    picture: Picture
    size_bytes: int
    from_unit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """Get: the next bytes."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes that the other unit has confirmed, of how many."""

    picture: PictureId
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Collected:
    """Get: all of it was delivered, and the digest of what was collected from its beginning on is right. air_bytes:
    packet bytes that carried it."""

    picture: Picture
    from_unit: int
    air_bytes: int


@dataclass(frozen=True, slots=True)
class Done:
    """The command is done; the command's docstring says what value is."""

    value: object = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The command could not be done; the text is for the person."""

    error: Refused


@dataclass(frozen=True, slots=True)
class Told:
    """Something about the command with this ticket."""

    ticket: int
    what: Found | Data | Progress | Done | Failed
