"""The board itself: supply voltage and heat as its firmware tells them, memory for the camera, its clock."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hal.interfaces import Clock, TimeQuality
from hal.light_dataclass import dataclass
from hal.probes.reading import number_in, run, text_of

UNDER_VOLTAGE, THROTTLED, HOT = 1 << 0, 1 << 2, 1 << 3
"""Bits of `vcgencmd get_throttled` (Raspberry Pi documentation, os.adoc); the last is the soft limit of temperature.
A board is throttled for either of the two others."""
SINCE_BOOT = 16
"""The same, so many bits higher: at any time since the board was started."""
CELL_MICROVOLTS = 2_000_000
"""A lithium cell of 3 V that has less is empty, or not there (battery_voltage of the Pi 5's clock)."""
CAMERA_HEAP = "dev/dma_heap/vidbuf_cached"
"""What libcamera takes its buffers of: a link to linux,cma, or on a Pi 5 to system (libcamera, dma_heaps.cpp)."""
_ZONES = ("cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp")
_CMA = re.compile(r"^CmaTotal: +(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PowerFacts:
    """throttled: bits of the firmware, None where it cannot be asked, which `problem` says. celsius: None: not told."""

    throttled: int | None
    problem: str
    celsius: float | None


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """cma_bytes: contiguous memory (CMA), None where the kernel does not tell. camera_heap: the kernel's name of what
    the camera takes its buffers of; empty where that is not told."""

    cma_bytes: int | None
    camera_heap: str


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """rtc: the name of a clock that goes on without power, empty where there is none."""

    unix_s: float
    quality: TimeQuality
    rtc: str


def power(root: Path) -> PowerFacts:
    """`throttled=0x50005` is what vcgencmd prints."""
    said = run("vcgencmd", "get_throttled")
    try:
        throttled, problem = int(said.text.removeprefix("throttled="), 16) if not said.problem else None, said.problem
    except ValueError:
        throttled, problem = None, f"vcgencmd says {said.text[:40]!r}"
    return PowerFacts(throttled, problem, _celsius(root))


def _celsius(root: Path) -> float | None:
    """The hottest of the zones that are a processor's."""
    zones = (root / "sys/class/thermal").glob("thermal_zone*")
    found = (number_in(zone / "temp") for zone in zones if text_of(zone / "type") in _ZONES)
    return max((milli / 1000 for milli in found if milli is not None), default=None)


def memory(root: Path) -> MemoryFacts:
    """From /proc/meminfo, and the name of a device."""
    found = _CMA.search(text_of(root / "proc/meminfo") or "")
    try:
        heap = os.path.basename(os.readlink(root / CAMERA_HEAP))
    except OSError:
        heap = ""
    return MemoryFacts(int(found[1]) * 1024 if found else None, heap)


def clock(clock: Clock, root: Path) -> ClockFacts:
    """What the clock says, and whether the board has one that goes on while it is off: that of a Pi 5 needs a cell."""
    unix_s, quality = clock.wall()
    rtc = root / "sys/class/rtc/rtc0"
    microvolts = number_in(rtc / "battery_voltage")
    is_empty = microvolts is not None and microvolts < CELL_MICROVOLTS
    return ClockFacts(unix_s, quality, "" if is_empty else text_of(rtc / "name") or "")
