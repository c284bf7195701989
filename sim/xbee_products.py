"""What the simulated XBee modules are: five products of Digi's, and the figures of their user guides.

Sources, by Digi's number: 90002277 XBee 3 DigiMesh 2.4 · 90002273 XBee 3 802.15.4 · 90001539 XBee 3 Zigbee · 90002173
XBee-PRO 900HP · 90001538 XBee SX 868 · 90000991 XBee DigiMesh 2.4 · 90000976 XBee Zigbee (S2). IEEE 802.15.4-2006 for
the 2.4 GHz air. What stands nowhere is said to be a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from hal.light_dataclass import dataclass
from hal.xbee_frames import BROADCAST, Delivery

FLOW_RESERVE_BYTES: Final = 17
"""CTS falls when the serial receive buffer has no more room than this (90002277, "CTS flow control") …"""
FLOW_RESUME_BYTES: Final = 34
"""… and rises when it has so much again (90000976, "CTS flow control")."""

_SYMBOL_S: Final = 16e-6  # of the 2.4 GHz air (IEEE 802.15.4, 6.5): 4 bits
_LISTEN_LAW_S: Final = 0.005  # SX 868: so long before each transmission (90001538, "Listen Before Talk")

AFA_CHANNELS: Final = 28
"""Channels of 200 kHz that an SX 868 hops on (90001538, "Listen Before Talk"); those of CM that are let."""
AIRTIME_S: Final = 100.0
"""The law of EU 868 with listening: seconds on the air per hour and channel (90001538; ETSI EN 300 220)."""
OFF_S: Final = 0.1
"""No channel is used again so soon after a transmission (90001538: more than 100 ms)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product. Bytes on the air include all that goes with a packet's data: preamble, headers, check."""

    protocol: str
    hardware: int  # HV
    firmware: int  # VR
    rates_bps: tuple[float, ...]  # on the air, by BR; the first where there is no BR
    overhead_bytes: int  # on the air besides data
    ack_bytes: int  # on the air
    slot_s: float  # unit of the random back-off
    listen_s: float  # before talking
    turnaround_s: float  # from listening to sending
    payload_bytes: int  # NP: most data of one packet
    throughput_bps: float  # of data, one hop, unicast, no encryption, serial side at 115200
    mac_retries: int = 0  # of a unicast that is not acknowledged …
    retries: int  # … and all of that again so often; RR, where the product has it
    repeats: int  # of a broadcast, which nobody acknowledges; MT, where the product has it
    serial_bytes: int  # serial receive buffer
    no_ack: Delivery  # what is told when all retries went unanswered
    takes_legacy: bool = False  # the frames 0x00 and 0x01, too
    has_short_addresses: bool = False  # MY can be set, and DL of 16 bits means somebody's MY
    has_budget: bool = False  # airtime is limited by law
    factory: Mapping[str, int]  # settings that differ from those of most products (sim/xbee_settings.py)
    set_up: Mapping[str, int] = field(default_factory=dict)  # and those that a module begins with here

    def air_s(self, size_bytes: int, rate_bps: float) -> float:
        """How long so many bytes are on the air."""
        return 8 * size_bytes / rate_bps

    @property
    def handling_s(self) -> float:
        """What a module takes for one packet besides the air, so that a stream of them gets throughput_bps."""
        rate = self.rates_bps[-1]
        sending_s = self.air_s(self.overhead_bytes + self.payload_bytes, rate)
        answer_s = self.turnaround_s + self.air_s(self.ack_bytes, rate)
        waiting_s = FIRST_SLOTS / 2 * self.slot_s + self.listen_s + self.turnaround_s
        return 8 * self.payload_bytes / self.throughput_bps - waiting_s - sending_s - answer_s


FIRST_SLOTS: Final = 7
"""A back-off is 0 to 7 slots, drawn (IEEE 802.15.4, macMinBE = 3) …"""
MOST_SLOTS: Final = 31
"""… twice as many each time the air is busy, up to so many (macMaxBE = 5) …"""
LISTENINGS: Final = 5
"""… and it is given up when it was busy so often (macMaxCSMABackoffs = 4, and the first)."""

# What a module of any product begins with here, other than from the factory (RE): frames instead of transparent mode,
# as digi-xbee wants them, and the baud rate of our config's default.
_SET_UP: Final = {"AP": 1, "BD": 7}
_MESH: Final = {"ID": 0x7FFF, "DL": BROADCAST, "CE": 0, "SM": 0}

DIGIMESH: Final = Product(
    protocol="digimesh",
    hardware=0x4142,
    firmware=0x300B,
    rates_bps=(250_000,),
    overhead_bytes=60,  # a PHY frame of 6 + 127 bytes less NP
    ack_bytes=11,
    slot_s=20 * _SYMBOL_S,
    listen_s=8 * _SYMBOL_S,
    turnaround_s=12 * _SYMBOL_S,
    payload_bytes=73,
    throughput_bps=27_000,  # 90000991, "DigiMesh throughput"
    retries=10,
    repeats=3,
    serial_bytes=255,  # FT may be 17 less
    no_ack=Delivery.NETWORK_ACK_FAILURE,
    factory=_MESH,
    set_up=_SET_UP,
)

IEEE_802_15_4: Final = Product(
    protocol="802.15.4",
    hardware=0x4142,
    firmware=0x200E,
    rates_bps=(250_000,),
    overhead_bytes=31,  # as above
    ack_bytes=11,
    slot_s=20 * _SYMBOL_S,
    listen_s=8 * _SYMBOL_S,
    turnaround_s=12 * _SYMBOL_S,
    payload_bytes=102,  # both addresses long, no encryption (90002273, "Maximum payload")
    throughput_bps=80_000,  # guess; the air would let through 120,000
    mac_retries=3,
    retries=0,
    repeats=0,  # RR = 0
    serial_bytes=202,  # "DI buffer"
    no_ack=Delivery.NO_ACK,
    takes_legacy=True,
    has_short_addresses=True,
    factory={"ID": 0x3332, "CE": 0, "MY": 0, "DL": 0, "AO": 2},
    set_up=_SET_UP | {"MY": 0xFFFF, "DL": BROADCAST},  # MY: packets then come with the sender's 64-bit address
)

ZIGBEE: Final = Product(
    protocol="zigbee",
    hardware=0x4142,
    firmware=0x1010,
    rates_bps=(250_000,),
    overhead_bytes=49,
    ack_bytes=11,
    slot_s=20 * _SYMBOL_S,
    listen_s=8 * _SYMBOL_S,
    turnaround_s=12 * _SYMBOL_S,
    payload_bytes=84,  # one fragment
    throughput_bps=35_000,  # 90000976, "Throughput": 1 hop, RR, SD
    mac_retries=3,
    retries=2,
    repeats=2,
    serial_bytes=202,  # as the 802.15.4 product; guess
    no_ack=Delivery.NETWORK_ACK_FAILURE,
    factory={"ID": 0, "CE": 0, "SM": 0, "DL": 0},
    set_up=_SET_UP | {"DL": BROADCAST},
)

XBEE_900HP: Final = Product(
    protocol="900hp",
    hardware=0x1B42,
    firmware=0x8075,
    rates_bps=(10_000, 200_000),
    overhead_bytes=60,  # guess
    ack_bytes=30,  # guess
    slot_s=0.0005,  # guess
    listen_s=0.0005,  # guess
    turnaround_s=0.0005,  # guess
    payload_bytes=256,
    throughput_bps=91_000,  # "DigiMesh throughput": mesh unicast, 1 hop
    retries=10,
    repeats=3,
    serial_bytes=384,  # FT may be 17 less
    no_ack=Delivery.NETWORK_ACK_FAILURE,
    takes_legacy=True,
    factory=_MESH | {"BR": 1},
    set_up=_SET_UP,
)

SX868: Final = Product(
    protocol="sx868",
    hardware=0x3E42,
    firmware=0xA00A,
    rates_bps=(10_000, 80_000),
    overhead_bytes=60,  # guess
    ack_bytes=30,  # guess
    slot_s=0.0005,  # guess
    listen_s=_LISTEN_LAW_S,
    turnaround_s=0.0005,  # guess
    payload_bytes=256,
    throughput_bps=27_540,  # "Data transmission and routing": mesh unicast, one hop
    retries=10,
    repeats=3,
    serial_bytes=384,
    no_ack=Delivery.NETWORK_ACK_FAILURE,
    has_budget=True,
    factory=_MESH | {"BR": 1, "CM": (1 << AFA_CHANNELS) - 1},
    set_up=_SET_UP,
)

PRODUCTS: Final = {each.protocol: each for each in (DIGIMESH, IEEE_802_15_4, ZIGBEE, XBEE_900HP, SX868)}
"""By what is said to --protocol."""
