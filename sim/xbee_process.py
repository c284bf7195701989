"""Simulated XBee modules in a process of their own, as `python -m sim.xbee` starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

END_S = 5.0  # modules that have not ended by then are killed


class XBeeProcess:
    """`links[i]` can be opened once it is made; `addresses[i]` is the 64-bit address of the module there."""

    def __init__(self, links: Sequence[Path], *arguments: str) -> None:
        """arguments: of `python -m sim.xbee`, besides --link. ValueError with its words if it does not start."""
        words = [word for link in links for word in ("--link", str(link))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sim.xbee", *words, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        told: dict[str, Any] = json.loads(text) if text else {"error": "the simulated modules ended by themselves"}
        if "error" in told:
            self.close()
            raise ValueError(told["error"])
        self.links: list[str] = told["links"]
        self.addresses = [int(address, 16) for address in told["addresses"]]

    def close(self) -> int:
        """End it; its exit status. Safe to call twice."""
        assert self._process.stdout is not None
        self._process.terminate()
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._process.stdout.close()

    def __enter__(self) -> XBeeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
