"""Targets: what an XBee module says, in both API modes."""

from __future__ import annotations

import functools

from hal import xbee_frames as x
from hal.xbee_frames import LONGEST_BODY_BYTES, Frame
from hal.xbee_framing import HALF_FRAME_S, ApiMode, ApiReader, pack
from sim.fuzz.target import Target

LINE_BYTES = 2 * LONGEST_BODY_BYTES + 50
"""More than one frame, each byte of it escaped; and than the kernel keeps for a reader that is late: 4096 (TRAPS)."""
SLOWLY_BYTES = 300
"""Up to here an input is read byte by byte, too; longer ones seven bytes at a time, or it would take all the time."""
LIMIT_S, PLAIN_LIMIT_S = 0.005, 0.05
"""Nothing but start bytes takes so long; in mode 1 each third byte may begin a frame of 2 kB with a wrong checksum. A
module that means harm can do this, nobody on the air; so many bytes take 0.4 s to come at 115200 baud."""
_NEXT = x.ModemStatus(status=x.Modem.JOINED)

Read = tuple[ApiReader, list[Frame]]


def _read(mode: ApiMode, data: bytes) -> Read:
    reader = ApiReader(mode)
    return reader, reader.feed(data, 0.0) + reader.expire(HALF_FRAME_S)


def _check_read(data: bytes, read: Read) -> None:
    """Byte by byte makes no difference, each frame is what it says, and after silence all is well."""
    reader, frames = read
    slow = ApiReader(reader.mode)
    step = 1 if len(data) <= SLOWLY_BYTES else 7
    slowly = [frame for at in range(0, len(data), step) for frame in slow.feed(data[at : at + step], 0.0)]
    assert slow.begun_bytes <= 4 + LONGEST_BODY_BYTES
    assert slowly + slow.expire(HALF_FRAME_S) == frames
    assert (slow.frames_damaged, slow.frames_unknown) == (reader.frames_damaged, reader.frames_unknown)
    for frame in frames:
        assert type(frame).decode(frame.encode()) == frame
    for each in (reader, slow):
        assert each.begun_bytes == 0
        assert each.feed(pack(_NEXT, each.mode), 1.0) == [_NEXT]


@functools.cache
def _told() -> tuple[Frame, ...]:
    data = b"~}\x11\x13" * 20
    return (
        x.AtResponse(frame_id=1, command="NP", status=x.AtStatus.OK, value=b"\x00\x49"),
        x.AtResponse(frame_id=2, command="ZZ", status=x.AtStatus.INVALID_COMMAND),
        x.TransmitStatus(frame_id=3, retries=1, status=x.Delivery.SUCCESS),
        x.TxStatus(frame_id=4, status=x.Delivery.NO_ACK),
        x.ReceivePacket(source=0x0013A200_41526300, options=x.ReceivePacket.BROADCAST, data=data),
        x.Rx64(source=0x0013A200_41526300, rssi_dbm=-40, options=0, data=data),
        x.Rx16(source_16=7, rssi_dbm=-40, options=0, data=data),
        x.ModemStatus(status=x.Modem.HARDWARE_RESET),
    )


def _valid(mode: ApiMode) -> list[bytes]:
    each = [pack(frame, mode) for frame in _told()]
    return [*each, b"".join(each)]


TARGETS = (
    Target(
        "xbee frames",
        functools.partial(_read, ApiMode.ESCAPED),
        (),
        _check_read,
        functools.partial(_valid, ApiMode.ESCAPED),
        LINE_BYTES,
        LIMIT_S,
    ),
    Target(
        "plain xbee frames",
        functools.partial(_read, ApiMode.PLAIN),
        (),
        _check_read,
        functools.partial(_valid, ApiMode.PLAIN),
        LINE_BYTES,
        PLAIN_LIMIT_S,
    ),
)
