"""What an XBee module says that it is, and which of its settings the radio needs otherwise.

All by AT parameters (Digi's user guides: 90002277 XBee 3 DigiMesh, 90002273 XBee 3 802.15.4, 90001539 XBee 3 Zigbee,
90002173 XBee-PRO 900HP, 90001538 XBee SX 868). Which there are differs between products: a parameter that the module
does not know is left out.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from hal.framing import CRC_BYTES
from hal.light_dataclass import dataclass

ASKED: Final = ("AP", "HV", "VR", "SH", "SL", "NP", "AO", "SM", "D7", "ID", "CH", "HP", "BR", "MY", "MM")
"""Asked of every module, in this order. AP first: it tells how all else is to be said."""
WANTED: Final = frozenset({"AP", "HV", "VR", "SH", "SL"})
"""Every module answers these."""

SMALLEST_PAYLOAD_BYTES: Final = 66
"""NP of the smallest real packet: Zigbee with encryption. Below it nothing is tried."""
LARGEST_PAYLOAD_BYTES: Final = 2048
"""More is not made use of (hal/xbee_frames.py)."""
_ZIGBEE_FRAGMENT_BYTES: Final = 84
"""Zigbee cuts longer packets to one module into fragments; those to all it refuses (90001539, NP)."""
_SMALL_BUFFER_BYTES: Final = 185
"""Serial receive buffer of the 2.4 GHz modules, 202 bytes, up to where CTS falls (90000976, "Serial buffers")."""
_LARGE_BUFFER_BYTES: Final = 367
"""The same of the modules below 1 GHz: 384 bytes (90002173)."""


class Protocol(enum.Enum):
    """What a module speaks on the air."""

    DIGIMESH = "DigiMesh"
    IEEE_802_15_4 = "802.15.4"
    ZIGBEE = "Zigbee"
    SUB_GHZ = "DigiMesh below 1 GHz"  # 900HP, SX 868


# Bytes per second of data that get through between two modules in range, for what is reckoned from a line's rate. The
# user guides' figures: 90000991 27 kbit/s, 90000976 35, 90002173 91 (BR = 1) and 90001538 27.5; 802.15.4, and BR = 0
# (10 kbit/s on the air), are guesses.
_BYTES_PER_S: Final = {Protocol.DIGIMESH: 3400.0, Protocol.IEEE_802_15_4: 10_000.0, Protocol.ZIGBEE: 4400.0}
_SUB_GHZ_BYTES_PER_S: Final = {0: 900.0, 1: 3400.0}  # by BR
_900HP_BYTES_PER_S: Final = 11_400.0
_900HP_HARDWARE: Final = 0x1B

# The upper byte of HV, and the upper four bits of VR of those that take several firmwares.
_ZIGBEE_FIRMWARE: Final = {0x41: 1, 0x42: 1, 0x43: 1, 0x19: 2, 0x1A: 2, 0x21: 4, 0x22: 4, 0x2D: 4, 0x2E: 4, 0x30: 4}


@dataclass(frozen=True, slots=True)
class Need:
    """A setting that is to be another one. why: what its present one does, a clause without a full stop."""

    setting: str
    value: int
    why: str


@dataclass(frozen=True, slots=True)
class Module:
    """A module by its settings: number by parameter, WANTED ones at least."""

    settings: Mapping[str, int]

    @property
    def address(self) -> int:
        """Its 64 bits, by which others reach it."""
        return self.settings["SH"] << 32 | self.settings["SL"]

    @property
    def protocol(self) -> Protocol:
        """By what parameters it has, and its firmware."""
        if "MM" in self.settings:
            return Protocol.IEEE_802_15_4
        if "HP" in self.settings:
            return Protocol.SUB_GHZ
        is_zigbee = _ZIGBEE_FIRMWARE.get(self.settings["HV"] >> 8) == self.settings["VR"] >> 12 & 0xF
        return Protocol.ZIGBEE if is_zigbee else Protocol.DIGIMESH

    @property
    def mtu_bytes(self) -> int:
        """The longest packet that fits, with its CRC."""
        payload_bytes = max(SMALLEST_PAYLOAD_BYTES, min(self.settings.get("NP", 0), LARGEST_PAYLOAD_BYTES))
        if self.protocol is Protocol.ZIGBEE:
            payload_bytes = min(payload_bytes, _ZIGBEE_FRAGMENT_BYTES)
        return payload_bytes - CRC_BYTES

    @property
    def bytes_per_s(self) -> float:
        """What its air carries of packets."""
        if self.protocol is not Protocol.SUB_GHZ:
            return _BYTES_PER_S[self.protocol]
        if self.settings["HV"] >> 8 == _900HP_HARDWARE and self.settings.get("BR") == 1:
            return _900HP_BYTES_PER_S
        return _SUB_GHZ_BYTES_PER_S.get(self.settings.get("BR", 0), _SUB_GHZ_BYTES_PER_S[1])

    @property
    def buffer_bytes(self) -> int:
        """What it takes over the serial line while it is busy with something else."""
        return _LARGE_BUFFER_BYTES if self.protocol is Protocol.SUB_GHZ else _SMALL_BUFFER_BYTES

    @property
    def channel_setting(self) -> str:
        """The parameter that keeps networks apart on the air: a channel, or a sequence of channels."""
        return "HP" if self.protocol is Protocol.SUB_GHZ else "CH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the config asks of the module. network, channel: None: whatever it has."""

    network: int | None = None
    channel: int | None = None
    flow_control: bool = False


def needs(module: Module, wanted: Wanted) -> list[Need]:
    """Settings that are to be others, the worst first."""
    found, settings = [], module.settings
    if settings.get("SM", 0) != 0:
        found.append(Need("SM", 0, "it sleeps, and hears nothing while it does"))
    if module.protocol is Protocol.IEEE_802_15_4:
        if settings.get("AO") == 1:
            found.append(Need("AO", 2, "what it hears it tells in frames that are not understood"))
        if settings.get("MY", 0xFFFF) < 0xFFFE:
            found.append(Need("MY", 0xFFFF, "it hides its own address, so that what is for it goes to all"))
    elif settings.get("AO", 0) != 0:
        found.append(Need("AO", 0, "what it hears it tells in frames that are not understood"))
    if wanted.flow_control and settings.get("D7", 1) != 1:
        found.append(Need("D7", 1, "it does not say when its buffer is full (CTS), and radio.rtscts is true"))
    if wanted.network is not None and settings.get("ID") != wanted.network:
        found.append(Need("ID", wanted.network, "it is in another network than radio.network says"))
    channel = module.channel_setting
    if wanted.channel is not None and settings.get(channel) != wanted.channel:
        found.append(Need(channel, wanted.channel, "it is on another channel than radio.channel says"))
    return found


def unusable(module: Module) -> str | None:
    """Why this one cannot be used, whatever is set; a clause without a full stop. None: it can."""
    payload_bytes = module.settings.get("NP", 0)
    if payload_bytes < SMALLEST_PAYLOAD_BYTES:
        return f"its packets carry {payload_bytes} bytes (NP), and {SMALLEST_PAYLOAD_BYTES} are needed"
    return None
