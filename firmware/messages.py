"""All messages that units say to one another, and decode(), which finds the right one. docs/protocol.md explains them.

Here stand orders; those of the network, hand-over, records and read-out have files of their own and are offered from
here too. A message is written by its own encode() and read by decode(kind, body).

A handle names one transfer between two units. 0..127 are given by a host in ACCEPT, 128..255 by the serving unit in
COPY: so PART, END, REPORT and EXPIRED of the two directions between the same two units never meet.
"""

from __future__ import annotations

from firmware.errors import UnknownVersion
from firmware.fields import RangeList, Ranges
from firmware.message import (
    FIRST_COPY_HANDLE,
    ID,
    MAX_HOLDERS,
    MAX_HOPS,
    MAX_RANGES,
    SHA256,
    UNIT,
    Message,
)
from firmware.messages_handover import (
    MAX_PART_BYTES,
    Accept,
    Drop,
    End,
    Expired,
    Hold,
    Keep,
    Lost,
    Part,
    Proof,
    Prove,
    Refuse,
    RefuseWhy,
    Relieve,
    Report,
    Request,
    Stored,
)
from firmware.messages_network import (
    MAX_ROSTER_PART_BYTES,
    Beacon,
    Hello,
    Name,
    NameAsk,
    Ready,
    RosterAsk,
    RosterPart,
    Welcome,
)
from firmware.messages_readout import (
    INVENTORY_ROW,
    MAX_ROWS,
    At,
    Copy,
    Get,
    GetWhy,
    Inventory,
    InventoryAsk,
    InventoryRow,
    RefuseGet,
    Unknown,
    Where,
)
from firmware.messages_records import (
    MAX_NAMED,
    MAX_RECORDS,
    NO_TAG,
    Record,
    Records,
    RecordsAsk,
    RecordsKept,
    Tombstone,
    records_that_fit,
)
from firmware.pictures import PictureId
from hal.light_dataclass import dataclass

__all__ = [
    "FIRST_COPY_HANDLE",
    "KINDS",
    "MAX_HOLDERS",
    "MAX_HOPS",
    "MAX_NAMED",
    "MAX_PART_BYTES",
    "MAX_RANGES",
    "MAX_RECORDS",
    "MAX_ROSTER_PART_BYTES",
    "MAX_ROWS",
    "NO_TAG",
    "Accept",
    "At",
    "Beacon",
    "Copy",
    "Damaged",
    "Delete",
    "Drop",
    "End",
    "Expired",
    "Get",
    "GetWhy",
    "Hello",
    "Hold",
    "Inventory",
    "InventoryAsk",
    "InventoryRow",
    "Keep",
    "Lost",
    "Message",
    "Name",
    "NameAsk",
    "Part",
    "Proof",
    "Prove",
    "Ranges",
    "Ready",
    "Record",
    "Records",
    "RecordsAsk",
    "RecordsKept",
    "Refuse",
    "RefuseGet",
    "RefuseWhy",
    "Relieve",
    "Report",
    "Request",
    "RosterAsk",
    "RosterPart",
    "Stored",
    "Tombstone",
    "Unknown",
    "Welcome",
    "Where",
    "decode",
    "inventory_rows_that_fit",
    "kind_of",
    "ranges_that_fit",
    "records_that_fit",
]


@dataclass(frozen=True, slots=True)
class Delete(Message):
    """A person's order to the origin: delete this content everywhere. Said until the tombstone comes."""

    KIND = 48
    id: PictureId
    sha256: bytes
    LAYOUT = (("id", ID), ("sha256", SHA256))


@dataclass(frozen=True, slots=True)
class Damaged(Message):
    """Asker to origin: what this holder gave me had a wrong digest."""

    KIND = 49
    id: PictureId
    unit: int
    LAYOUT = (("id", ID), ("unit", UNIT))


_ALL: tuple[type[Message], ...] = (
    Beacon,
    NameAsk,
    Name,
    Hello,
    Welcome,
    Ready,
    RosterAsk,
    RosterPart,
    Request,
    Accept,
    Refuse,
    Part,
    End,
    Report,
    Expired,
    Stored,
    Hold,
    Keep,
    Drop,
    Lost,
    Prove,
    Proof,
    Relieve,
    Delete,
    Damaged,
    Records,
    RecordsKept,
    RecordsAsk,
    Where,
    At,
    Unknown,
    Get,
    Copy,
    RefuseGet,
    InventoryAsk,
    Inventory,
)
KINDS: dict[int, type[Message]] = {message.KIND: message for message in _ALL}
"""Every message there is, by kind."""


def kind_of(kind: int) -> type[Message]:
    """The class of this kind; raises UnknownVersion."""
    try:
        return KINDS[kind]
    except KeyError:
        raise UnknownVersion(f"a message of kind {kind}, which this software does not know") from None


def decode(kind: int, body: bytes) -> Message:
    """The message in a whole body; raises UnknownVersion, DamagedPacket."""
    return kind_of(kind).decode(body)


def inventory_rows_that_fit(room_bytes: int) -> int:
    """How many rows an INVENTORY may have, whatever stands in them, so that it takes at most room_bytes."""
    without_bytes = len(Inventory(owner=1, rows=(), last=True).encode())
    return min(MAX_ROWS, (room_bytes - without_bytes) // INVENTORY_ROW.max_bytes)


def ranges_that_fit(room_bytes: int) -> int:
    """How many ranges an ACCEPT, REPORT or GET may have, wherever they lie, so that it takes at most room_bytes."""
    longest_bytes = max(sum(codec.max_bytes for _, codec in message.LAYOUT) for message in (Accept, Report, Get))
    without_bytes = longest_bytes - MAX_RANGES * RangeList.RANGE_MAX_BYTES
    return min(MAX_RANGES, (room_bytes - without_bytes) // RangeList.RANGE_MAX_BYTES)
