"""Saying what of a picture has come: REPORT, and on a half-duplex radio what may follow it at once."""

from __future__ import annotations

from firmware import messages as m
from firmware.core import Core
from firmware.transfer import Receiver, report_of


def say_report(core: Core, unit: int, handle: int, receiver: Receiver, most: int) -> int:
    """The REPORT under this handle, of nothing beyond `most`; it counts as sent. How far it speaks."""
    asks_for_bytes = receiver.asks_for_bytes
    if not receiver.complete and asks_for_bytes is not None:
        asks_for_bytes = receiver.have.missing(min(most, receiver.size_bytes)).size_bytes or None
    if core.burst_bytes is not None:
        core.asked_for_bytes.pop((unit, handle), None)  # of a REPORT that the outbox had no room for
        if asks_for_bytes is not None:
            core.asked_for_bytes[unit, handle] = asks_for_bytes
    report = report_of(handle, receiver, core.now)
    below = min(report.below, most)
    have = tuple((start, min(stop, below)) for start, stop in report.have if start < below)
    core.say(unit, m.Report(handle, have, below))
    return below
