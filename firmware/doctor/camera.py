"""Checks of camera, button and LED, and what these need of the board."""

from __future__ import annotations

from firmware.config import Config
from firmware.daily_load import (
    DailyLoad,
    carried_bytes_per_day,
    daily_load,
    expected_picture_bytes,
    shots_per_day,
)
from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok, unknown, warning
from hal.interfaces import Duplex
from hal.probes.access import may_use
from hal.serial_port import BITS_PER_BYTE

REAL = "picamera2"  # the driver of a camera that is a device
CMA_OTHER_BYTES = 48_000_000
"""Contiguous memory beside the still buffers: raw frames of the sensor and what the display keeps. Guess, from 12
megapixels in 10 bits, packed, twice (31 MB)."""
STILL_BUFFERS = 2  # of the still stream (buffer_count)


def camera_permission(facts: Facts) -> Verdict | None:
    """The unit's user may use the camera's device files."""
    found = facts.camera
    if found is None or not found.nodes:
        return None
    closed = [node for node in found.nodes if not may_use(facts.person, node)]
    if closed:
        groups = sorted({node.group for node in closed} - {"root"}) or ["video"]
        return fault(
            f"{facts.person.name}, as whom the unit runs, may not use the camera ({closed[0].path})",
            f"sudo adduser {facts.person.name} {groups[0]}, then restart the unit",
        )
    return ok(f"{facts.person.name} may use the camera's device files")


def camera_busy(facts: Facts) -> Verdict | None:
    """No other process has it."""
    found = facts.camera
    if found is None or not found.nodes or facts.unit.runs or found.hung:
        return None
    if found.holders:
        named = ", ".join(map(str, found.holders))
        return fault(f"the camera is in use by {named}", f"end it: sudo kill {found.holders[0].pid}")
    return ok("no other process has the camera")


def camera(facts: Facts) -> Verdict | None:
    """It gives a picture."""
    found, status = facts.camera, facts.unit.status
    if facts.config is None or facts.config.camera.driver == "none":
        return None
    if facts.unit.runs:
        problem = None if status is None else status.get("camera_failed") or status.get("camera_problem")
        if status is None:
            return unknown("the unit has the camera, and does not answer")
        return fault(f"the unit says: {problem}", _PLUG) if problem else ok("the unit has the camera, which works")
    if found is None or found.hung or (found.error and found.holders):
        return None
    if found.error:
        return fault(f"the camera gives no picture: {found.error}", found.advice or _PLUG)
    return ok("a picture was taken, and thrown away")


def camera_hung(facts: Facts) -> Verdict | None:
    """It answers."""
    found = facts.camera
    if found is None or not found.hung:
        return None
    return fault(f"the camera hangs: {found.error}", f"{_PLUG}; switch the board off and on")


_LIST = "`rpicam-hello --list-cameras` shows what is found"
_PLUG = f"with the board off, push the camera's flat cable in at both ends; {_LIST}"


def cma(facts: Facts) -> Verdict | None:
    """There is contiguous memory for the camera's buffers."""
    config = facts.config
    if config is None or config.camera.driver != REAL:
        return None
    if facts.memory.camera_heap == "system":
        return ok("the camera takes its buffers of ordinary memory here")
    total = facts.memory.cma_bytes
    if total is None:
        return unknown("the kernel does not tell how much contiguous memory (CMA) it has")
    needed = needed_cma_bytes(config)
    if total < needed:
        mb = 2 ** (needed // 2**20).bit_length()
        return fault(
            f"the camera needs {needed // 10**6} MB of contiguous memory (CMA), and the board has {total // 10**6} MB",
            f"dtoverlay=vc4-kms-v3d,cma-{mb} in {facts.boot.folder}/config.txt, and restart the board",
        )
    return ok(f"{total // 10**6} MB of contiguous memory (CMA), the camera needs {needed // 10**6}")


def needed_cma_bytes(config: Config) -> int:
    """YUV420 or NV12 stills have 1.5 bytes a pixel."""
    width, height = config.camera.size
    return STILL_BUFFERS * width * height * 3 // 2 + CMA_OTHER_BYTES


def camera_load(facts: Facts) -> Verdict | None:
    """The link carries what the camera makes."""
    status, config = facts.unit.status, facts.config
    if config is None or "none" in (config.camera.driver, config.radio.driver) or config.dispersal.policy == "never":
        return None
    if status is not None and (told := status.get("load")) is not None:
        text, too_much = str(told["text"]), bool(told["too_much"])
    elif (load := _expected_load(config, facts)) is not None:
        text, too_much = load.text, load.too_much
    else:
        return None  # pictures are taken by hand only, or of a size that nobody knows yet
    return warning(text, "as it says, or a faster link (radio.baud)") if too_much else ok(text)


def _expected_load(config: Config, facts: Facts) -> DailyLoad | None:
    """By the config alone, before a unit has run."""
    shots = shots_per_day(config.shutter.interval_s, seen=0, seen_for_s=0.0)
    if shots is None or config.camera.driver == "folder":
        return None
    rate = config.radio.baud / BITS_PER_BYTE
    if facts.xbee is not None and facts.xbee.found is not None and facts.xbee.found.module is not None:
        rate = min(rate, facts.xbee.found.module.bytes_per_s)
    return daily_load(
        shots=shots,
        picture_bytes=expected_picture_bytes(config.camera.size, config.camera.quality),
        copies=config.dispersal.copies,
        carried_bytes=carried_bytes_per_day(rate, by_turns=config.radio.duplex is Duplex.HALF),
    )


def gpio_permission(facts: Facts) -> Verdict | None:
    """The unit's user may use the pins."""
    if facts.gpio is None:
        return None
    if not facts.gpio:
        return fault(
            "the config names pins, and the board has none (/dev/gpiochip0)", "leave the pins out of the config"
        )
    closed = [node for node in facts.gpio if not may_use(facts.person, node)]
    if closed:
        group = closed[0].group if closed[0].group != "root" else "gpio"
        return fault(
            f"{facts.person.name}, as whom the unit runs, may not use the pins of button and LED ({closed[0].path})",
            f"sudo adduser {facts.person.name} {group}, then restart the unit",
        )
    return ok(f"{facts.person.name} may use the pins of button and LED")


CHECKS = (
    Check(
        "gpio-permission",
        "the unit's user may not use the pins of button and LED",
        "`sudo adduser USER gpio`, restart the unit",
        gpio_permission,
    ),
    Check(
        "camera-permission",
        "the unit's user may not use the camera",
        "`sudo adduser USER video`, restart the unit",
        camera_permission,
    ),
    Check(
        "camera-busy",
        "another process has the camera; it is named, with its pid",
        "end that process",
        camera_busy,
    ),
    Check(
        "camera",
        "no camera is found, or it gives no picture (one is taken and thrown away where no unit runs)",
        "cable and plugs, with the board off; `rpicam-hello --list-cameras`",
        camera,
    ),
    Check(
        "camera-hung",
        "the camera does not answer",
        "cable and power; switch the board off and on",
        camera_hung,
    ),
    Check(
        "camera-load",
        "the camera makes more than the link carries: copies fall behind",
        "pictures more seldom or smaller, a faster link, fewer copies",
        camera_load,
    ),
    Check(
        "cma",
        "too little contiguous memory for pictures of `camera.size`",
        "`dtoverlay=vc4-kms-v3d,cma-128` in `config.txt`, or a smaller `camera.size`",
        cma,
    ),
)
