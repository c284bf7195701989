"""Saying what of a picture has come: REPORT, and on a half-duplex radio what may follow it at once."""

from __future__ import annotations

from firmware.core import Core
from firmware.transfer import Receiver, report_of


def say_report(core: Core, unit: int, handle: int, receiver: Receiver) -> None:
    """The REPORT under this handle; it counts as sent."""
    asks_for_bytes = receiver.asks_for_bytes
    if core.burst_bytes is not None and asks_for_bytes is not None:
        core.asked_for_bytes[unit, handle] = asks_for_bytes
    core.say(unit, report_of(handle, receiver, core.now))
