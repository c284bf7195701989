"""Simulated XBee modules on ptys: what a unit with `radio.driver = "xbee"`, or any program for XBee modules, can open.

    python -m sim.xbee --link PATH --link PATH [--protocol digimesh|802.15.4|zigbee|900hp|sx868] [--loss P]

makes one module per PATH, which becomes a symbolic link to its port, and prints one JSON line when ready: {"protocol",
"links", "addresses"} (64-bit, hexadecimal, in the order of the links). All modules are in one network and hear each
other. Ends on SIGTERM or SIGINT, and removes the links.

A module begins as most programs want it: API mode 1 (`--mode` says another one), 115200 baud, on 802.15.4 without a
16-bit address; RE and FR after WR bring what the factory sets. On Zigbee the first module is the coordinator. What is
simulated, and what not, stands in sim/xbee_module.py (serial side), sim/xbee_mac.py and sim/xbee_air.py.

What a pty cannot show: modem lines. Whether the module's CTS is up, whether RTS is wired, sleep by pin: these there are
in a program only (sim.xbee_module.Module). A program that has asked its port for RTS/CTS is held back, though, as it
would be: what it writes stays in the pty while CTS is down. One that has not overruns the module's buffer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sim.pty_port import READ_BYTES, UNREAD_BYTES, PtyPort
from sim.xbee_air import Air
from sim.xbee_mac import Ack, Packet
from sim.xbee_module import WIRE_BYTES, Module
from sim.xbee_products import DIGIMESH, PRODUCTS, Product

SERIAL: Final = 0x4152_6300
"""SL of the first module; the next ones follow."""
MOST_MODULES: Final = 50
"""As DESIGN speaks of 3 to 50 units."""
IDLE_S: Final = 60.0
"""Longest wait while nothing happens; nothing depends on it."""
_REFILL_BYTES: Final = WIRE_BYTES // 4
"""A serial line with less room is not filled up yet, so that a busy one is no busy loop."""
_MODES: Final = {"transparent": 0, "api": 1, "escaped": 2}


class XBeePorts:
    """Modules, each on a pty. `ports[i]` is what is opened to talk to `modules[i]`. clock: monotonic seconds.

    Nothing moves but inside step(), which one thread calls. What a program does not read in time is dropped.
    """

    def __init__(
        self,
        links: Sequence[Path | None],
        *,
        product: Product = DIGIMESH,
        mode: int = 1,
        loss: float = 0.0,
        seed: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 1 <= len(links) <= MOST_MODULES:
            raise ValueError(f"1 to {MOST_MODULES} modules can be simulated, not {len(links)}")
        self._clock = clock
        self._air: Air[Packet | Ack] = Air(random.Random(seed), loss=loss, now=clock())
        self.modules: list[Module] = []
        for index in range(len(links)):
            set_up = {"AP": mode}
            if product.protocol == "zigbee" and index == 0:
                set_up["CE"] = 1
            self.modules.append(Module(self._air, product, serial=SERIAL + index, set_up=set_up))
        self._ptys: list[PtyPort] = []
        try:
            for link in links:
                self._ptys.append(PtyPort(link))
        except (OSError, ValueError):
            self.close()
            raise
        self.ports = [pty.name for pty in self._ptys]

    def step(self, *, patience_s: float, watch: tuple[int, ...] = ()) -> list[int]:
        """Wait until there is something to do, at most patience_s, and do it; returns which of `watch` can be read."""
        pairs = list(zip(self.modules, self._ptys, strict=True))
        talking = [pty.fd for module, pty in pairs if module.room_bytes >= _REFILL_BYTES]
        deadline = self._air.deadline()
        if deadline is not None:
            patience_s = min(patience_s, max(0.0, deadline - self._clock()))
        ready, _, _ = select.select([*talking, *watch], [], [], patience_s)
        now = self._clock()
        for module, pty in pairs:
            if pty.fd in ready:
                module.honours_cts = pty.has_flow_control()
                module.write(pty.read(module.room_bytes), now)
        self._air.service(now)
        for module, pty in pairs:
            said = module.read(now)
            if said:
                pty.write(said[: max(0, UNREAD_BYTES - pty.unread_bytes())])
        return [fd for fd in watch if fd in ready]

    def close(self) -> None:
        """Give the ptys and their links back."""
        for pty in self._ptys:
            pty.close()
        self._ptys.clear()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sim.xbee",
        description="simulate XBee modules on ptys, until SIGTERM or Ctrl-C",
    )
    parser.add_argument("--link", type=Path, action="append", required=True, metavar="PATH", help="one module's port")
    parser.add_argument("--protocol", choices=PRODUCTS, default=DIGIMESH.protocol)
    parser.add_argument("--loss", type=float, default=0.0, metavar="P", help="probability to lose a frame on the air")
    parser.add_argument(
        "--mode", choices=_MODES, default="api", help="AP at the start: 1 api, 2 escaped, 0 transparent"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run modules until SIGTERM."""
    options = _arguments(argv)
    product = PRODUCTS[options.protocol]
    wake_fd, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)  # the wake-up ends the loop
    try:
        ports = XBeePorts(
            options.link, product=product, mode=_MODES[options.mode], loss=options.loss, seed=options.seed
        )
    except (ValueError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    addresses = [f"{module.address:016X}" for module in ports.modules]
    print(json.dumps({"protocol": product.protocol, "links": ports.ports, "addresses": addresses}), flush=True)
    while not ports.step(patience_s=IDLE_S, watch=(wake_fd,)):
        pass
    os.read(wake_fd, READ_BYTES)
    ports.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
