"""What sim/board/arm64.py runs on the emulated processor: imports, a roster, a packet framed and read."""

from __future__ import annotations

import os
import platform
import sqlite3

import serial

from firmware import service, verbs  # noqa: F401 - that they can be imported
from firmware.link import Link, Received
from firmware.messages import Where
from firmware.pictures import EVERYONE, PictureId
from firmware.roster import Roster
from firmware.seal import InsecureSeal
from hal.framing import FrameReader, crc16, crc_engine, frame
from sim.credentials import AdminFolder

MTU_BYTES = 256
CRC_CHECK = 0x29B1  # of b"123456789": the check value of CRC-16/CCITT-FALSE in the catalogue of CRCs


def main() -> None:
    """Ends by an AssertionError or an ImportError if anything is not as it is on other processors."""
    assert platform.machine() == "aarch64", platform.machine()
    assert crc16(b"123456789") == CRC_CHECK
    admin = AdminFolder([1, 2])
    assert Roster.decode(admin.newest.encoded, admin.admin_public) == admin.newest
    where = Where(1, 9, PictureId(1, 0x3FA7, 42), 0)
    (packet,) = Link(1, InsecureSeal(1, 7), MTU_BYTES).encode(EVERYONE, where)
    (read,) = FrameReader(MTU_BYTES).feed(frame(packet))
    received = Link(2, InsecureSeal(2, 8), MTU_BYTES).decode(read, 0.0)
    assert isinstance(received, Received), received
    assert received.message == where
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} processors: SQLite "
        f"{sqlite3.sqlite_version}, pyserial {serial.__version__}, CRC in {crc_engine()}: packet framed and read"
    )


if __name__ == "__main__":
    main()
