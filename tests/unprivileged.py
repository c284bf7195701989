"""Tests run by root, whom no file mode stops, play somebody else for a while."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

NOBODY = 65_534


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Root's rights are away; whoever else runs the tests stays who he is. Import before what is to be used inside."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
