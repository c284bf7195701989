"""Makes the parts of the machine that a config asks for."""

from __future__ import annotations

from pathlib import Path

from hal.absent import NoCamera, NoRadio
from hal.child_camera import ChildCamera
from hal.interfaces import Camera, Clock, Duplex, Radio
from hal.serial_radio import SerialRadio


def make_camera(driver: str, *, folder: Path | None, size: tuple[int, int], quality: int) -> Camera:
    """driver: "folder", "pattern" or "none"; size in pixels, quality of JPEG 1–95."""
    if driver == "none":
        return NoCamera()
    return ChildCamera(driver, folder=folder, size=size, quality=quality)


def make_radio(
    driver: str, clock: Clock, *, port: str, baud: int, duplex: Duplex, rtscts: bool, pty_only: bool
) -> Radio:
    """driver: "serial" or "none". pty_only: speak to virtual lines only."""
    if driver == "none":
        return NoRadio()
    assert driver == "serial", driver
    return SerialRadio(port, baud, clock, duplex=duplex, rtscts=rtscts, pty_only=pty_only)
