"""Parts that a unit may do without: no camera (a laptop, a store), no radio (a camera that only keeps)."""

from __future__ import annotations

from hal.errors import CameraError
from hal.interfaces import Address, Arrival, Duplex, Occasion, Protection, RadioCounts, Shot


class NoCamera:
    """Implements Camera: every capture says that there is none."""

    note = ""

    def open(self) -> None:
        """Nothing to make ready."""

    def capture(self, timeout_s: float, occasion: Occasion) -> Shot:  # noqa: ARG002 - the Protocol's
        """Raises CameraError."""
        raise CameraError(
            "this unit has no camera",
            did="no picture was taken",
            can='set camera.driver in the config, it is "none"',
        )

    def close(self) -> None:
        """Nothing to give back."""


class NoRadio:
    """Implements Radio: nothing is heard, and there is never room to send."""

    mtu_bytes = 4128
    line_bytes_per_s = 11_520.0
    duplex = Duplex.FULL
    heard_at = float("-inf")
    room = 0
    is_outdated = False

    def __init__(self) -> None:
        self.counts = RadioCounts()
        self.problem: str | None = 'this unit has no radio: radio.driver is "none"'

    def fileno(self) -> int | None:
        """None: nothing to watch."""
        return None

    def send(self, packet: bytes, protection: Protection, to: Address | None = None) -> None:  # noqa: ARG002
        """Raises ValueError: there is no room."""
        raise ValueError("there is no radio to send with")

    def receive(self) -> list[Arrival]:
        """Empty."""
        return []

    def deadline(self) -> float | None:
        """None: nothing to do."""
        return None

    def service(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to give back."""
