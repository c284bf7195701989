"""AT parameters of a simulated XBee module: what may be asked and set, what is in force and what outlives a reset.

A parameter is set (pending), applied (in force) and written (kept over a reset), each for itself, as a module does it.
Commands that are no parameters (AC, FR, RE, WR, CN) are in sim/xbee_module.py.
"""

from __future__ import annotations

from typing import Final

from hal.light_dataclass import dataclass
from hal.xbee_frames import AtStatus
from sim.xbee_products import Product

MOST_NAME_BYTES: Final = 20  # of NI

_BAUDS: Final = (
    1200,
    2400,
    4800,
    9600,
    19_200,
    38_400,
    57_600,
    115_200,
    230_400,
)  # by BD; from 0x4B0 on BD is the rate
_LEAST_BAUD: Final = 0x4B0


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that is a number: how many bytes, from where to where, what the factory sets."""

    size_bytes: int
    least: int
    most: int
    factory: int


_EVERYWHERE: Final = {
    "AP": Parameter(1, 0, 2, 0),  # 0 transparent, 1 frames, 2 escaped frames
    "AO": Parameter(1, 0, 0, 0),  # 0: what comes is told by 0x90; 2: by 0x80 and 0x81
    "BD": Parameter(4, 0, 921_600, 3),
    "CC": Parameter(1, 0, 0xFF, ord("+")),
    "CE": Parameter(1, 0, 2, 0),
    "CH": Parameter(1, 0x0B, 0x1A, 0x0C),
    "CT": Parameter(2, 2, 0x1770, 0x64),  # 100 ms
    "D6": Parameter(1, 0, 5, 0),  # 1: RTS is heeded
    "D7": Parameter(1, 0, 7, 1),  # 1: CTS is given
    "DH": Parameter(4, 0, 0xFFFF_FFFF, 0),
    "DL": Parameter(4, 0, 0xFFFF_FFFF, 0),
    "EE": Parameter(1, 0, 0, 0),  # encryption is not simulated
    "GT": Parameter(2, 2, 0x6D3, 1000),  # ms
    "ID": Parameter(2, 0, 0xFFFF, 0x7FFF),
    "PL": Parameter(1, 0, 4, 4),
    "RO": Parameter(1, 0, 0xFF, 3),  # characters
    "SM": Parameter(1, 0, 5, 0),  # 1 by pin, 4 and 5 by time
    "SO": Parameter(2, 0, 0xFFFF, 0),
    "SP": Parameter(2, 1, 1440, 200),  # 10 ms
    "ST": Parameter(2, 1, 36_000, 2000),  # ms
    "TO": Parameter(1, 0, 0xFF, 0xC0),
}
_OF_PROTOCOL: Final = {
    "digimesh": {"RR": Parameter(1, 0, 15, 10), "MT": Parameter(1, 0, 15, 3)},
    "802.15.4": {
        "AO": Parameter(1, 0, 2, 2),
        "MY": Parameter(2, 0, 0xFFFF, 0),
        "RR": Parameter(1, 0, 6, 0),
        "MM": Parameter(1, 0, 0, 0),
        "TO": Parameter(1, 0, 5, 0),
    },
    "zigbee": {"ID": Parameter(8, 0, (1 << 64) - 1, 0), "CE": Parameter(1, 0, 1, 0), "TO": Parameter(1, 0, 0x61, 0)},
    "900hp": {
        "BR": Parameter(1, 0, 1, 1),
        "HP": Parameter(1, 0, 7, 0),
        "MT": Parameter(1, 0, 15, 3),
        "RR": Parameter(1, 0, 15, 10),
    },
    "sx868": {
        "BR": Parameter(1, 0, 1, 1),
        "CM": Parameter(4, 3, 0xFFF_FFFF, 0xFFF_FFFF),
        "HP": Parameter(1, 0, 7, 0),
        "MT": Parameter(1, 0, 15, 3),
        "RR": Parameter(1, 0, 15, 10),
    },
}
_NO_CHANNEL: Final = ("900hp", "sx868")  # they hop: HP keeps networks apart, there is no CH


class Settings:
    """Of one module. told: parameters that can be read and not set, and what they say."""

    def __init__(self, product: Product, *, set_up: dict[str, int], told: dict[str, bytes]) -> None:
        self.told = told
        self._parameters = _EVERYWHERE | _OF_PROTOCOL[product.protocol]
        if product.protocol in _NO_CHANNEL:
            del self._parameters["CH"]
        numbers = {name: parameter.factory for name, parameter in self._parameters.items()} | dict(product.factory)
        self._factory = {name: self._coded(name, number) for name, number in numbers.items()} | {"NI": b" "}
        self._pending: dict[str, bytes] = {}
        self._written = dict(self._factory)
        for name, number in (dict(product.set_up) | set_up).items():
            self._written[name] = self._coded(name, number)
        self._current = dict(self._written)

    def __getitem__(self, name: str) -> int:
        """The number in force."""
        return int.from_bytes(self._current[name], "big")

    def get(self, name: str, otherwise: int) -> int:
        """The number in force, or `otherwise` where this product has no such parameter."""
        return self[name] if name in self._current else otherwise

    @property
    def serial_bytes_per_s(self) -> float:
        """What the serial line carries: start bit, eight data bits, stop bit."""
        number = self["BD"]
        baud = _BAUDS[number] if number < len(_BAUDS) else max(number, _LEAST_BAUD)
        return baud / 10

    def read(self, name: str) -> bytes | None:
        """What the module answers; None where it knows no such parameter. What was set and not applied is told, too."""
        found = self.told.get(name, self._pending.get(name))
        return self._current.get(name) if found is None else found

    def set(self, name: str, value: bytes) -> AtStatus:
        """Keep a value until apply()."""
        if name == "NI":
            if len(value) > MOST_NAME_BYTES:
                return AtStatus.INVALID_PARAMETER
            self._pending[name] = value
            return AtStatus.OK
        parameter = self._parameters.get(name)
        if parameter is None:
            return AtStatus.INVALID_PARAMETER if name in self.told else AtStatus.INVALID_COMMAND
        number = int.from_bytes(value, "big")
        if not parameter.least <= number <= parameter.most:
            return AtStatus.INVALID_PARAMETER
        self._pending[name] = self._coded(name, number)
        return AtStatus.OK

    def apply(self) -> None:
        """Put what was set in force."""
        self._current |= self._pending
        self._pending.clear()

    def write(self) -> None:
        """WR: keep what was set over resets."""
        self._written = self._current | self._pending

    def restore(self) -> None:
        """RE: as from the factory; to be applied, and written to last."""
        self._pending = dict(self._factory)

    def reset(self) -> None:
        """Power came back: what was written is in force."""
        self._pending.clear()
        self._current = dict(self._written)

    def _coded(self, name: str, number: int) -> bytes:
        return number.to_bytes(self._parameters[name].size_bytes, "big")
