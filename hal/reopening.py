"""When to try again to open what is away: soon at first, then ever less often."""

from __future__ import annotations

# Pauses in seconds between two tries. Guesses: a USB stick put back is on the air again within 10 s, and a port that
# stays away costs less than 0.1 % of a core.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0


class Reopening:
    """Back-off for one port: `due_at` is the time of the next try, None while the port is open."""

    def __init__(self) -> None:
        self.due_at: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def failed(self, now: float) -> None:
        """The port went away, or a try to open it failed."""
        self.due_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def succeeded(self) -> None:
        """The port is open."""
        self.due_at = None
        self._pause_s = FIRST_PAUSE_S
