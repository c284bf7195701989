"""A button that a program presses, and an LED that a program looks at.

Not simulated: bounce (the Button of the HAL is debounced) and how long the button is held.
"""

from __future__ import annotations

import os


class SimButton:
    """A Button pressed by press(), from any thread."""

    def __init__(self) -> None:
        self._fd: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def press(self) -> None:
        """Press once; nothing comes of it after close()."""
        if self._fd is not None:
            os.eventfd_write(self._fd, 1)

    def fileno(self) -> int | None:
        """Readable after a press; None after close()."""
        return self._fd

    def presses(self) -> int:
        """Presses since the last call."""
        if self._fd is None:
            return 0
        try:
            return os.eventfd_read(self._fd)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Give the descriptor back; safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class SimLed:
    """An LED: `on` is what it shows, `changes` how often that changed."""

    def __init__(self) -> None:
        self.on = False
        self.changes = 0

    def set(self, on: bool) -> None:
        """Switch it."""
        self.changes += on != self.on
        self.on = on

    def close(self) -> None:
        """Dark, as the pin is when given back."""
        self.set(False)
