"""Pacing: how far ahead of the line a radio takes frames, from a model of the line alone.

What is below a radio swallows far more than the line has taken (a pty 20 kB, a UART's driver 4 kB), so that a blocking
write paces nothing and a short packet would wait behind seconds of a picture. The model: the line takes the bytes
handed over one after the other, each in 1 / line_bytes_per_s seconds, without a pause while there are any.
"""

from __future__ import annotations

# Line time, in seconds, that may be ahead whatever the number of frames: covers one late turn of the loop when frames
# are short. Fixed by DESIGN §3; with longer frames it is one frame besides the one that the line is taking.
AHEAD_S = 0.030


class Pacer:
    """When the line will have taken what was handed over, and when the next frame may be."""

    def __init__(self, line_bytes_per_s: float) -> None:
        self.line_bytes_per_s = line_bytes_per_s
        self.free_at = float("-inf")  # the line has taken everything
        self.opens_at = float("-inf")  # the next frame may be handed over

    def take(self, size_bytes: int, now: float) -> None:
        """A frame is handed over; a late one, as long as the line was busy, loses no line time."""
        starts_at = max(now, self.free_at)
        self.free_at = starts_at + size_bytes / self.line_bytes_per_s
        self.opens_at = min(starts_at, self.free_at - AHEAD_S)
