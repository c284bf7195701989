"""What the parts of the model share: the picture, messages as bits of the network, what is on a medium. Values only."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from firmware.handover import Stamp
from firmware.messages import Record, Tombstone
from firmware.pictures import Entry, Picture, PictureId
from hal.light_dataclass import dataclass

Local = TypeVar("Local")

ORIGIN = 1
FIRST_HOST = 2
PICTURE = Picture(PictureId(ORIGIN, 1, 1), 1000, bytes(32))
OTHER_CONTENT = Picture(PictureId(ORIGIN, 1, 1), 1000, bytes(31) + b"\1")
"""Another picture under the same id, as after a cloned card: whoever holds it must go on holding it."""
STAMP = Stamp(None, 0, 0.0)
"""Every proof's: what depends on the age of proofs is not decided by the rules, and told by `Origin.stale`."""


class Broken(AssertionError):
    """A rule does not hold. The text begins with its name."""


class Disk(enum.IntEnum):
    """What the medium has of the picture, whatever the catalogue says."""

    NONE = 0
    WHOLE = 1
    ROTTEN = 2


class Says(enum.Enum):
    """The messages of the model. Those that are answers to an order or a question stand for it, too."""

    REQUEST = "REQUEST"
    PARTS = "PARTS"  # all of them, and END
    KEEP = "KEEP"
    DROP = "DROP"
    ACCEPT = "ACCEPT"  # something is missing
    KNOWN = "ACCEPT, nothing missing"
    STALE = "REFUSE stale"
    STORED = "STORED"
    LOST = "LOST"
    DROPPED = "LOST, dropped"
    NAMES = "HOLD or INVENTORY"
    SHOWS = "the bytes of the copy, read back"  # COPY and its parts, or a right PROOF
    RECORD = "RECORDS"


class Message(NamedTuple):
    """One message that is or was on its way. number: its attempt. more: REFUSE's row, a record, or whether a nonce was
    drawn after its host began to lie."""

    to: int
    source: int
    says: Says
    number: int = 0
    more: object = None

    def __str__(self) -> str:
        if isinstance(self.more, Tombstone):
            return f"the tombstone, owed to {self.more.owed}"
        if isinstance(self.more, Record):
            return f"record {self.more.version} of holders {self.more.holders}, {self.more.suspect} suspect"
        more = "" if self.more is None else f" ({self.more})"
        return f"{self.says.value} {self.number}{more}"


class Network:
    """Numbers each message as a bit: a state of the network is the int of those ever sent and never too late."""

    def __init__(self) -> None:
        self.to_from: dict[tuple[int, int], int] = {}
        self.messages: list[Message] = []
        self._bits: dict[Message, int] = {}

    def bit(self, message: Message) -> int:
        """Its bit, given at the first time."""
        bit = self._bits.get(message)
        if bit is None:
            bit = self._bits[message] = 1 << len(self.messages)
            self.messages.append(message)
            link = (message.to, message.source)
            self.to_from[link] = self.to_from.get(link, 0) | bit
        return bit

    def bits(self, said: Iterable[Message]) -> int:
        """All of them. DROP(d) stands for the lower ones, too: what these can still do it can, so that only the highest
        is delivered."""
        bits = 0
        for message in said:
            bits |= self.bit(message)
            if message.says is Says.DROP:
                for number in range(message.number):
                    bits |= self.bit(message._replace(number=number))
        return bits

    def inbox(self, bits: int) -> Iterator[Message]:
        """The messages of a link to deliver, of DROPs the highest alone."""
        drops: list[Message] = []
        while bits:
            low = bits & -bits
            bits ^= low
            message = self.messages[low.bit_length() - 1]
            if message.says is Says.DROP:
                drops.append(message)
            else:
                yield message
        if drops:
            yield max(drops, key=lambda drop: drop.number)

    def link(self, to: int, source: int) -> int:
        """Mask of all messages known so far from one unit to another."""
        return self.to_from.get((to, source), 0)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Local]):
    """One way in which a step of one unit may go. said: messages that are out. restarted: the power went on the way.

    passing: not a way to end, but what is durable between two effects, where every rule must hold as well.
    """

    local: Local
    said: tuple[Message, ...]
    label: str
    restarted: bool = False
    passing: bool = False


def same_content(row: Entry, picture: Picture) -> bool:
    """What HOLD, KEEP and DROP look at by their four bytes of the digest."""
    return row.picture.sha256 == picture.sha256
