"""Whether the unit still gets on: what the watchdog is patted by. Pure; firmware/supervised.py pats.

A unit that stands still is better started anew. Not so for the camera: what hangs in it may not be ended by anything,
not even by a new start, and the unit is needed as a host. So a camera that does not answer is declared failed, which
is what the watchdog asks for, and goes on being asked for nothing until it has answered.
"""

from __future__ import annotations

from hal.light_dataclass import dataclass

CARD_PATIENCE_S = 120.0
"""One request to the card or the catalogue: worn cards stall for tens of seconds, and reading a picture back takes
seconds. Guess; two minutes without any answer have not been seen of a card that came back."""
RADIO_PATIENCE_S = 60.0
"""A radio that takes nothing, says of no trouble, and does not say when it will. Twelve times what a write may take."""
CAMERA_PATIENCE_S = 60.0
"""One request to the camera, after which it is declared failed: 20 s until its process runs, 20 s for the shot, seconds
to end what hangs; its driver should have said so itself by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Since when the unit waits for each part of its machine, in monotonic seconds; None: not at all.

    camera_failed: it was declared so, and the unit waits for it no longer.
    """

    card: float | None
    catalogue: float | None
    radio: float | None
    camera: float | None
    camera_failed: bool


def stands_still(waiting: Waiting, now: float) -> str:
    """Which part does not get on, in words for a person; empty: the watchdog is to be patted."""
    camera = None if waiting.camera_failed else waiting.camera
    parts = (
        ("its card has not answered", waiting.card, CARD_PATIENCE_S),
        ("its catalogue has not answered", waiting.catalogue, CARD_PATIENCE_S),
        ("its radio has taken nothing", waiting.radio, RADIO_PATIENCE_S),
        ("its camera has not answered", camera, 2 * CAMERA_PATIENCE_S),
    )
    late = [(what, _late_s(since, patience_s, now)) for what, since, patience_s in parts]
    return ", ".join(f"{what} for {late_s:.0f} s" for what, late_s in late if late_s)


def is_camera_lost(waiting: Waiting, now: float) -> bool:
    """Whether the camera is to be declared failed now."""
    return _late_s(waiting.camera, CAMERA_PATIENCE_S, now) > 0 and not waiting.camera_failed


def _late_s(since: float | None, patience_s: float, now: float) -> float:
    """How long it has been waited for, once that is longer than patience; else 0."""
    return now - since if since is not None and now - since >= patience_s else 0.0


@dataclass(slots=True)
class RadioLook:
    """Notices since when a radio takes nothing: what it was like when looked at last."""

    since: float | None = None
    bytes_out: int = -1

    def look(self, *, takes: bool, waits_until: float | None, bytes_out: int, now: float) -> float | None:
        """Since when it has stood still, None: it has not. takes: it has room, or says what is wrong with it, and the
        unit knows. waits_until: when it wants to go on by itself, as after its share of the channel."""
        stands = not takes and bytes_out == self.bytes_out and (waits_until is None or waits_until <= now)
        self.since = (now if self.since is None else self.since) if stands else None
        self.bytes_out = bytes_out
        return self.since
