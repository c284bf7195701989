"""Gathers the facts of this machine and its unit. Blocks: other programs have their time-outs, a camera up to 40 s."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from firmware import config as configs
from firmware import credential as credentials
from firmware.camera_thread import CAPTURE_TIMEOUT_S
from firmware.catalogue import Catalogue
from firmware.client import Client
from firmware.config import Config
from firmware.control_lines import Row
from firmware.doctor.camera import REAL
from firmware.doctor.facts import CameraFacts, CredentialFacts, Facts, UnitFacts, XBeeFacts
from firmware.doctor.service import SERVICE
from firmware.errors import ConfigError, NobodyRuns, Refused
from firmware.layout import TMP
from firmware.rosters import Membership
from hal.board import make_camera
from hal.clock import SystemClock
from hal.errors import CameraError, CameraHung, CardError, RadioError
from hal.framing import crc_engine
from hal.interfaces import Clock, Occasion, TimeQuality
from hal.probes import access, board, boot, cards, ports, services
from hal.probes.access import Person
from hal.probes.holders import holders
from hal.probes.services import ServiceFacts
from hal.xbee_module import Wanted, unusable
from hal.xbee_repair import all_needs, find

ANSWER_S = 10.0  # guess: a unit that has not said how it is by then hangs
CAMERA_NODES = ("media*", "video*", "dma_heap/*")  # that libcamera opens, below dev/
OVERFLOW_UID = 65_534  # whom files belong to whose user is not there, as in a user namespace (user_namespaces(7))
MOST_LINKS = 40  # of one path, as Linux has it (path_resolution(7))
ROOT = Path("/")


class _Kept(NamedTuple):
    """What the catalogue keeps: the newest roster, and what pictures take."""

    roster: bytes
    used_bytes: int


def gather(path: Path, *, root: Path = ROOT, clock: Clock | None = None) -> Facts:
    """path: of the config. Where no unit runs a picture is taken and thrown away; 4 MB are written to the card, and are
    gone; nothing else is changed. root: see hal/probes."""
    config, error = _config(path)
    service, start = services.look(SERVICE, root), boot.look(root)
    asking = access.myself(root)
    person = _person(service, asking, root)
    card = None if config is None else cards.look(config.card.path, start.words, root)
    unit = UnitFacts() if config is None else _unit(config)
    kept = None if config is None or unit.runs else _kept(config)
    port = None if config is None or config.radio.driver == "none" else ports.look(config.radio.port, root)
    return Facts(
        config=config,
        config_error=error,
        asking=asking,
        person=person,
        unit=unit,
        service=service,
        boot=start,
        crc_engine=crc_engine(),
        power=board.power(root),
        clock=board.clock(clock or SystemClock(), root),
        memory=board.memory(root),
        gpio=access.devices("gpiochip*", root) if config is not None and _has_pins(config) else None,
        port=port,
        xbee=None if config is None or unit.runs or port is None else xbee_facts(config, port),
        camera=None if config is None else _camera(config, unit, root),
        credential=None if config is None else credential_facts(config, unit, kept, root),
        card=card,
        speed=None if config is None or (card is not None and card.gone) else _speed(config),
        used_bytes=_used_bytes(unit, kept),
    )


def _config(path: Path) -> tuple[Config | None, ConfigError | None]:
    try:
        config = configs.load(path)
    except ConfigError as error:
        return None, error
    try:
        configs.check_port(config)
    except ConfigError as error:
        return config, error
    return config, None


def _person(service: ServiceFacts, asking: Person, root: Path) -> Person:
    """Whom the unit runs as: the service's user, or whoever starts it by hand."""
    if service.problem or service.load != "loaded":
        return asking
    return access.person(service.user or "root", service.groups, root) or asking


def _unit(config: Config) -> UnitFacts:
    try:
        answers = Client(config.unit.socket_path, config.unit.id).ask("status", silence_s=ANSWER_S)
        rows = [answer.fields for answer in answers if isinstance(answer, Row)]
    except NobodyRuns:
        return UnitFacts()
    except Refused as error:
        return UnitFacts(trouble=str(error))
    return UnitFacts(status=rows[0]) if rows else UnitFacts(trouble="the unit does not say how it is")


@contextmanager
def _as_owner(path: Path) -> Iterator[None]:
    """Root is for a while the user whom the card belongs to: what is made there is theirs, and where they have put a
    link root goes nowhere that they could not. Raises OSError."""
    owner = _owner(path)
    if os.geteuid() != 0 or owner is None:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    with ExitStack() as back:
        os.setgroups([])
        back.callback(os.setgroups, groups)
        os.setegid(owner.st_gid)
        back.callback(os.setegid, group)
        os.seteuid(owner.st_uid)
        back.callback(os.seteuid, 0)
        yield


def _owner(path: Path) -> os.stat_result | None:
    """Of all that the path goes through, links too, the last that is not root's: its user can put another thing there.
    None where there is no such user. Raises OSError where nothing is there."""
    return next((status for status in reversed(_way(path)) if status.st_uid not in (0, OVERFLOW_UID)), None)


def _way(path: Path) -> list[os.stat_result]:
    """Each directory and link from / to where the path leads. Raises OSError."""
    at, parts, found, links = Path("/"), list(path.absolute().parts[1:]), [os.lstat("/")], 0
    while parts:
        here = at / parts.pop(0)
        found.append(os.lstat(here))
        if not stat.S_ISLNK(found[-1].st_mode):
            at = here.resolve() if here.name == ".." else here
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(here))
        at = Path("/") if target.is_absolute() else at
        parts = [*(part for part in target.parts if part != "/"), *parts]
    return found


def _kept(config: Config) -> _Kept | None:
    """None where there is no catalogue, or it cannot be read now."""
    path = config.card.catalogue_path
    try:
        with _as_owner(config.card.path):
            if not os.access(path, os.R_OK, effective_ids=True):
                return None
            with closing(Catalogue.read_only(str(path), config.unit.id)) as catalogue:
                own_bytes, _ = catalogue.own_bytes(config.dispersal.copies, config.dispersal.priority_copies)
                return _Kept(catalogue.roster(), own_bytes + catalogue.held_bytes())
    except (OSError, CardError):
        return None


def _used_bytes(unit: UnitFacts, kept: _Kept | None) -> int | None:
    if unit.status is not None:
        return sum(int(unit.status.get(name) or 0) for name in ("own_bytes", "held_bytes", "reserved_bytes"))
    return None if kept is None else kept.used_bytes


def credential_facts(config: Config, unit: UnitFacts, kept: _Kept | None, root: Path) -> CredentialFacts | None:
    """None without one."""
    if config.security.insecure or config.radio.driver == "none":
        return None
    path = config.security.credential
    device = access.device(path, root)
    if device is None:
        return CredentialFacts(str(path), None, None, False, 0, None)
    try:
        with path.open("rb") as file:
            data = file.read(credentials.MAX_CREDENTIAL_BYTES)
    except PermissionError:
        return CredentialFacts(str(path), device, None, True, 0, None)
    except OSError as error:
        wrong = ConfigError(f"{path} cannot be read: {error.strerror}")
        return CredentialFacts(str(path), device, wrong, False, 0, None)
    try:
        found = credentials.Credential.decode(data)
        credentials.require_unit(found, config.unit.id, path)
    except ConfigError as error:
        return CredentialFacts(str(path), device, ConfigError(f"{path}: {error.what}", can=error.can), False, 0, None)
    membership = Membership(found.unit, found.private, found.admin_public, found.roster, found.roster)
    if kept is not None:
        membership = membership.knowing(kept.roster)
    epoch, named = membership.roster.epoch, membership.is_named_in(membership.roster)
    network = (unit.status or {}).get("network")
    if isinstance(network, dict):
        epoch, named = int(network.get("epoch") or 0), bool(network.get("member"))
    elif kept is None and (unit.runs or config.card.catalogue_path.exists()):
        return CredentialFacts(str(path), device, None, False, epoch, None)
    return CredentialFacts(str(path), device, None, False, epoch, named)


def _has_pins(config: Config) -> bool:
    names = (field.name for field in fields(config.shutter) if field.name.endswith("_pin"))
    return any(getattr(config.shutter, name) is not None for name in names)


def xbee_facts(config: Config, port: ports.PortFacts) -> XBeeFacts | None:
    """Where nobody has the port. A module in another mode, or at another rate, is looked for: half a minute where none
    answers."""
    if config.radio.driver != "xbee" or port.open_error or port.locked or port.holders or not port.is_serial:
        return None
    try:
        found = find(config.radio.port, config.radio.baud, SystemClock())
    except RadioError:
        return None  # it went away meanwhile, or somebody has taken it
    if found is None:
        return XBeeFacts(None, (), "")
    needs = all_needs(found, wanted_of(config), config.radio.baud)
    return XBeeFacts(found, tuple(needs), ("" if found.module is None else unusable(found.module)) or "")


def wanted_of(config: Config) -> Wanted:
    """What the config asks of a module."""
    radio = config.radio
    return Wanted(network=radio.network, channel=radio.channel, flow_control=radio.rtscts)


def _camera(config: Config, unit: UnitFacts, root: Path) -> CameraFacts | None:
    """A picture is taken and thrown away, but where a unit has the camera."""
    if config.camera.driver == "none":
        return None
    real = config.camera.driver == REAL
    nodes = tuple(node for pattern in CAMERA_NODES for node in access.devices(pattern, root)) if real else ()
    if unit.runs:
        return CameraFacts(nodes, (), "", "", False)
    camera = make_camera(
        config.camera.driver, folder=config.camera.folder, size=config.camera.size, quality=config.camera.quality
    )
    try:
        camera.open()
        camera.capture(CAPTURE_TIMEOUT_S, Occasion(config.unit.id, None, TimeQuality.UNSET)).close()
    except CameraError as error:
        busy = holders([node.path for node in nodes if "dma_heap" not in node.path])
        return CameraFacts(nodes, busy, error.what, error.can, isinstance(error, CameraHung))
    finally:
        camera.close()
    return CameraFacts(nodes, (), "", "", False)


def _speed(config: Config) -> cards.SpeedFacts | None:
    """None where there is no card yet."""
    try:
        with _as_owner(config.card.path), _directory(str(config.card.path), os.O_DIRECTORY) as top:
            try:
                with _directory(TMP, os.O_DIRECTORY | os.O_NOFOLLOW, top) as folder:
                    return cards.measure(folder)
            except OSError:  # not there, or a link to somewhere else
                return cards.measure(top)
    except OSError:
        return None


@contextmanager
def _directory(name: str, flags: int, above: int | None = None) -> Iterator[int]:
    """A descriptor of it. Raises OSError."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
