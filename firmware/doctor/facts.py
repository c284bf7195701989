"""Everything that the checks may look at; gathered once, by gather.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware.config import Config
from firmware.errors import ConfigError
from hal.light_dataclass import dataclass
from hal.probes.access import Device, Person
from hal.probes.board import ClockFacts, MemoryFacts, PowerFacts
from hal.probes.boot import BootFacts
from hal.probes.cards import CardFacts, SpeedFacts
from hal.probes.holders import Holder
from hal.probes.ports import PortFacts
from hal.probes.services import ServiceFacts
from hal.xbee_module import Need
from hal.xbee_repair import Found


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """The unit that runs here. status: what it tells of itself, None where it does not. trouble: why not, in words;
    empty where no unit runs."""

    status: Mapping[str, Any] | None = None
    trouble: str = ""

    @property
    def runs(self) -> bool:
        """Whether there is one, so that port and camera are its own."""
        return self.status is not None or bool(self.trouble)


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """device: None where the file is not there. error: what is wrong with what stands in it, None where it is right.
    unreadable: it is not for the user of this command. epoch: of the newest roster known here. named: whether that
    names this unit; None: not known."""

    path: str
    device: Device | None
    error: ConfigError | None
    unreadable: bool
    epoch: int
    named: bool | None


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """nodes: its device files. holders: who else has them open. error: why no picture came, in words; hung: it did not
    answer. None of these are looked at while a unit runs. advice: what can be done."""

    nodes: tuple[Device, ...]
    holders: tuple[Holder, ...]
    error: str
    advice: str
    hung: bool


@dataclass(frozen=True, slots=True)
class XBeeFacts:
    """found: the module, None where none has answered at any rate. needs: what is to be set in it. unusable: why it
    cannot be used whatever is set, empty if it can."""

    found: Found | None
    needs: tuple[Need, ...]
    unusable: str


@dataclass(frozen=True, slots=True)
class Facts:
    """person: the user whom the unit runs as. asking: the one of this command. What depends on a config is None
    where that is wrong; port, camera, credential and speed also where there is nothing to look at.

    gpio: the chips of the pins that the config names, None where it names none. xbee: None where there is none, or it
    could not be asked as somebody else has the port. used_bytes: of pictures on the card by its catalogue, None where
    it cannot be read now.
    """

    config: Config | None
    config_error: ConfigError | None
    asking: Person
    person: Person
    unit: UnitFacts
    service: ServiceFacts
    boot: BootFacts
    crc_engine: str
    power: PowerFacts
    clock: ClockFacts
    memory: MemoryFacts
    gpio: tuple[Device, ...] | None
    port: PortFacts | None
    xbee: XBeeFacts | None
    camera: CameraFacts | None
    credential: CredentialFacts | None
    card: CardFacts | None
    speed: SpeedFacts | None
    used_bytes: int | None
