"""Makes the parts of the machine that a config asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import TypeVar

from hal.absent import NoCamera, NoRadio
from hal.child_camera import ChildCamera
from hal.errors import PinError
from hal.gpio import Gpio, load
from hal.gpio_contact import GpioContact
from hal.gpio_led import GpioLed
from hal.interfaces import Camera, Clock, Contact, Duplex, Led, Radio, RadioCounts
from hal.light_dataclass import dataclass
from hal.sampling import Sampler
from hal.serial_port import SerialPort
from hal.serial_radio import SerialRadio
from hal.xbee_module import Wanted
from hal.xbee_radio import open_radio

T = TypeVar("T")


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


@dataclass(slots=True)
class Pins:
    """What is at the GPIO pins, None where nothing is, or where it cannot be used; `problems` say why."""

    button: Contact | None = None
    motion: Contact | None = None
    tamper: Contact | None = None
    led: Led | None = None
    problems: list[str] = field(default_factory=list)


def make_pins(
    sampler: Sampler,
    *,
    button: int | None,
    motion: int | None,
    tamper: int | None,
    led: int | None,
    directory: Path,
    gpio: Gpio | None = None,
) -> Pins:
    """The button closes to ground; the motion sensor drives its pin high while it sees something; the tamper contact is
    closed to ground while all is well. Where no pin is given no library is loaded.

    sampler: looks at all contacts. directory: where a library may leave its pipe. gpio: in place of the library of this
    machine.
    """
    pins = Pins()
    if button is motion is tamper is led is None:
        return pins
    try:
        gpio = load(directory) if gpio is None else gpio
    except PinError as error:
        pins.problems.append(str(error))
        return pins
    chip, up, down = gpio, gpio.PUD_UP, gpio.PUD_DOWN

    def made(what: str, pin: int | None, make: Callable[[int], T]) -> T | None:
        try:
            return None if pin is None else make(pin)
        except PinError as error:
            pins.problems.append(f"the {what}: {error}")
            return None

    pins.button = made("shutter button", button, lambda pin: GpioContact(chip, pin, sampler, on_at=0, pull=up))
    pins.motion = made("motion sensor", motion, lambda pin: GpioContact(chip, pin, sampler, on_at=1, pull=down))
    pins.tamper = made("tamper contact", tamper, lambda pin: GpioContact(chip, pin, sampler, on_at=1, pull=up))
    pins.led = made("LED", led, lambda pin: GpioLed(chip, pin))
    return pins
