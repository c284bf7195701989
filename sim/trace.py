"""What has happened in a world: one line per event, and one digest of all lines, the same for the same seed."""

from __future__ import annotations

import hashlib
from typing import TextIO


class Trace:
    """Lines `<seconds> <unit> <what>`; unit 0 is the world itself. file: the lines go there too."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.lines = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._file = file

    def add(self, at: float, unit: int, what: str) -> None:
        """One more line."""
        line = f"{at:.6f} {unit} {what}\n"
        self.lines += 1
        self._hash.update(line.encode())
        if self._file is not None:
            self._file.write(line)

    def digest(self) -> str:
        """Of all lines so far, in hexadecimal digits."""
        return self._hash.hexdigest()
