"""Checks of camera, button and LED, and what these need of the board."""

from __future__ import annotations

from firmware.config import Config
from firmware.doctor.facts import Facts
from firmware.doctor.verdicts import Check, Verdict, fault, ok, unknown
from hal.probes.access import may_use

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
        problem = None if status is None else status.get("camera_problem")
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
        "cma",
        "too little contiguous memory for pictures of `camera.size`",
        "`dtoverlay=vc4-kms-v3d,cma-128` in `config.txt`, or a smaller `camera.size`",
        cma,
    ),
)
