"""Makes the parts of the machine that a config asks for."""

from __future__ import annotations

from pathlib import Path

from hal.absent import NoCamera, NoRadio
from hal.child_camera import ChildCamera
from hal.interfaces import Camera, Clock, Duplex, Radio, RadioCounts
from hal.serial_port import SerialPort
from hal.serial_radio import SerialRadio
from hal.xbee_module import Wanted
from hal.xbee_radio import open_radio


def make_camera(driver: str, *, folder: Path | None, size: tuple[int, int], quality: int) -> Camera:
    """driver: "picamera2", "folder", "pattern" or "none"; size in pixels, quality of JPEG 1–95."""
    if driver == "none":
        return NoCamera()
    return ChildCamera(driver, folder=folder, size=size, quality=quality)


def make_radio(
    driver: str,
    clock: Clock,
    *,
    port: str,
    baud: int,
    duplex: Duplex,
    rtscts: bool,
    network: int | None,
    channel: int | None,
    pty_only: bool,
) -> Radio:
    """driver: "serial", "xbee" or "none". network, channel: of an XBee module, None: whatever it has. pty_only: speak
    to virtual lines only. An XBee module is asked what it is, which blocks for a moment (hal.xbee_radio.open_radio)."""
    if driver == "none":
        return NoRadio()
    if driver == "xbee":
        opened = SerialPort(port, baud, clock, RadioCounts(), rtscts=rtscts, pty_only=pty_only)
        return open_radio(opened, clock, Wanted(network=network, channel=channel, flow_control=rtscts))
    assert driver == "serial", driver
    return SerialRadio(port, baud, clock, duplex=duplex, rtscts=rtscts, pty_only=pty_only)
