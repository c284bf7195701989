"""What an admin does to a network in its folder: make it, enrol and revoke units, say who acts for one that is gone for
good, give it a new secret.

Each of these makes the next epoch: a roster with a new secret, which is written nowhere but there, wrapped for each
unit. The functions raise Refused for what cannot be done, and what network_folder.load() raises; nothing has changed
then unless the error says so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from firmware import credential, network_folder, private_files, values
from firmware.credential import Credential
from firmware.errors import ConfigError, Refused, WrongArgument
from firmware.network_folder import ADMIN_KEY, MAX_REVOKED, NETWORK, Member, Network
from firmware.pictures import MAX_UNIT
from firmware.roster import (
    KEY_BYTES,
    MAX_ACTING,
    MAX_EPOCH,
    MAX_ROWS,
    SECRET_BYTES,
    Acting,
    Roster,
    admin_public_of,
    make_roster,
    public_of,
)
from firmware.values import NotAllowed

SHOWN_NAMES = 3  # of files that are in the way
_AGAIN = "the same command again finishes it"


def show(folder: Path) -> Network:
    """The network as it is. Needs no lock: its file is replaced whole."""
    return network_folder.load(folder)[1]


def create(folder: Path, name: str | None = None) -> Network:
    """A network of epoch 1 without units, in a folder that is made, or there and empty. name: if None the folder's."""
    name = os.path.basename(os.path.realpath(folder)) if name is None else name
    try:
        values.network_name(name)
    except NotAllowed as error:
        can = f"give one with --name; allowed: {error.allowed}"
        raise WrongArgument(f"{name!r} is not a name of a network", can=can) from error
    with private_files.in_words(folder), contextlib.suppress(FileExistsError):
        folder.mkdir(private_files.FOLDER_MODE)
        private_files.sync_folder(folder.absolute().parent)
    with network_folder.alone(folder):
        with private_files.in_words(folder):
            _require_empty(folder)
            folder.chmod(private_files.FOLDER_MODE)
        admin_private = secrets.token_bytes(KEY_BYTES)
        network = Network(name, (), _roster(admin_private, 1, (), ()))
        try:
            _write(folder / ADMIN_KEY, network_folder.encode_key(admin_private))
            _write(folder / NETWORK, network_folder.encode(network))
        except BaseException:
            with contextlib.suppress(OSError):
                for made in (ADMIN_KEY, NETWORK):  # no unit has been enrolled yet
                    (folder / made).unlink(missing_ok=True)
                    _new(folder / made).unlink(missing_ok=True)
            raise
    return network


def _require_empty(folder: Path) -> None:
    if found := sorted(os.listdir(folder)):
        more = ", …" if len(found) > SHOWN_NAMES else ""
        raise Refused(
            f"{folder} is not empty: {', '.join(found[:SHOWN_NAMES])}{more}",
            did="it was left as it is",
            can=f"name a new folder; if an earlier create was cut, and left no {NETWORK}, this one can be removed",
        )


def _write(path: Path, data: bytes) -> None:
    private_files.prepare(_new(path), data)
    private_files.replace(_new(path), path)


def _new(path: Path) -> Path:
    """What the file is called that is about to take the place of the one at path."""
    return path.with_name(f"{path.name}.new")


def revoke(folder: Path, unit: int) -> Network:
    """The next epoch without this unit. Where it acted for one that is gone for good, nobody does from then on."""
    with network_folder.alone(folder):
        admin_private, network = network_folder.load(folder)
        out = network.find(unit)
        if out is None:
            raise _not_in(unit)
        until = replace(out, until_epoch=network.roster.epoch)
        members = [until if one is out else one for one in network.members]
        acting = [one for one in network.roster.acting if one.by != unit]
        return _save(folder, _next(admin_private, network, members, acting))


def _not_in(unit: int) -> Refused:
    return Refused(f"unit {unit} is not in the network", can="`dandelion net show DIR` lists those that are")


def adopt(folder: Path, unit: int, by: int) -> Network:
    """The next epoch, from which on unit `by` acts for one that is gone for good, whoever did before (HANDOVER R10).

    Where it does so already, the network as it is.
    """
    assert 1 <= by <= MAX_UNIT, by
    if by == unit:
        raise WrongArgument(f"unit {unit} cannot act for itself", can="name another unit with --by")
    return _act(folder, Acting(unit, by))


def release(folder: Path, unit: int) -> Network:
    """The next epoch, from which on nobody acts for this unit, which is gone for good: its copies may go.

    Where it is released already, the network as it is.
    """
    return _act(folder, Acting(unit, by=0))


def _act(folder: Path, acting: Acting) -> Network:
    with network_folder.alone(folder):
        admin_private, network = network_folder.load(folder)
        _require_gone(acting.gone, network)
        if acting.by and network.find(acting.by) is None:
            raise _not_in(acting.by)
        if acting in network.roster.acting:
            return network
        others = [one for one in network.roster.acting if one.gone != acting.gone]
        if len(others) >= MAX_ACTING:
            raise Refused(
                f"the roster speaks of {MAX_ACTING} units that are gone for good, and can of no more",
                did="nothing was changed",
                can="make a new network, and enrol its units there",
            )
        return _save(folder, _next(admin_private, network, network.members, [*others, acting]))


def _require_gone(unit: int, network: Network) -> None:
    """Refused where it may be alive, or never was there: what the roster says of it cannot be taken back."""
    if there := network.find(unit):
        raise Refused(
            f"unit {unit} ({there.name}) is in the network since epoch {there.since_epoch}",
            did="nothing was changed",
            can=f"`dandelion net revoke DIR --unit {unit}` first, if it is gone for good",
        )
    were = {one.unit for one in network.members} | {one.gone for one in network.roster.acting}
    if unit not in were:
        raise Refused(
            f"the folder knows of no unit {unit} that was in the network",
            did="nothing was changed",
            can="`dandelion net show DIR` lists those that were. If there was one, that was revoked too long ago "
            "or in an earlier network, enrol it and revoke it: then it is known",
        )


def rotate(folder: Path) -> Network:
    """The next epoch, with the same units."""
    with network_folder.alone(folder):
        admin_private, network = network_folder.load(folder)
        return _save(folder, _next(admin_private, network, network.members, network.roster.acting))


def _save(folder: Path, network: Network) -> Network:
    private_files.prepare(_new(folder / NETWORK), network_folder.encode(network))
    with _after_all("it is done, or not at all", can="`dandelion net show DIR` tells which"):
        private_files.replace(_new(folder / NETWORK), folder / NETWORK)
    return network


@contextlib.contextmanager
def _after_all(did: str, *, can: str) -> Iterator[None]:
    """Steps whose failure leaves more than nothing."""
    try:
        yield
    except Refused as error:
        raise Refused(error.what, did=did, can=can) from error


# ---------------------------------------------------------------- enrolling


def enrol(folder: Path, *, unit: int, name: str, file: Path) -> Network:
    """Make the unit's key, take it into the next epoch, and write its credential to file: the only place of that key.

    The order is: the credential, durable under a name of its own; the network with the unit; the credential's true
    name. Cut anywhere, the network is as before, or the unit is in; the same call again does it, or what is left of it.
    """
    assert 1 <= unit <= MAX_UNIT, unit
    assert values.is_name(name), name
    part = credential.part_of(file)
    with network_folder.alone(folder):
        admin_private, network = network_folder.load(folder)
        if not _is_left_of(unit, name, part, network):
            _require_new(unit, name, network)
            if os.path.lexists(file):
                raise private_files.is_there(file)
            network = _enrol(folder, admin_private, network, unit, name, part)
        did = f"unit {unit} is in the network; its credential is {part} if that is there, else {file}"
        with _after_all(did, can=f"where it is {part}, move away what else is at {file}; {_AGAIN}"):
            private_files.place(part, file)
    return network


def _is_left_of(unit: int, name: str, part: Path, network: Network) -> bool:
    """Whether part is the credential of this very unit, left by an enrolment that was cut when the unit was in already.

    Refused where it may be of use to another one. Else there is none, or one that was cut earlier and is good for
    nothing.
    """
    try:
        found = credential.read(part)
    except ConfigError:
        return False
    member = network.find(found.unit)
    is_ours = found.roster.network == network.roster.network
    if is_ours and (member is None or member.public != public_of(found.private)):
        return False
    if is_ours and (found.unit, found.name) == (unit, name):
        return True
    raise Refused(
        f"{part} is the credential of unit {found.unit} ({found.name}) in the network {found.network}",
        did="it was left as it is",
        can="give it the name that it should have, or name another file",
    )


def _require_new(unit: int, name: str, network: Network) -> None:
    """Refused where the network cannot take this unit."""
    for one in network.present:
        if one.unit == unit or one.name == name:
            raise Refused(
                f"unit {one.unit} ({one.name}) is in the network since epoch {one.since_epoch}",
                did="nothing was changed",
                can=f"`dandelion net revoke DIR --unit {one.unit}` first, or give another number and name",
            )
    if any(one.gone == unit for one in network.roster.acting):
        raise Refused(f"unit {unit} is gone for good, as the roster says", can="give another number")
    if len(network.roster.rows) >= MAX_ROWS:
        raise Refused(f"the network has {MAX_ROWS} units and can have no more", can="revoke those that are gone")


def _enrol(folder: Path, admin_private: bytes, network: Network, unit: int, name: str, part: Path) -> Network:
    """Commit the network with the unit, whose credential is durable in part before that."""
    private = secrets.token_bytes(KEY_BYTES)
    member = Member(unit, name, public_of(private), _next_epoch(network))
    changed = _next(admin_private, network, [*network.members, member], network.roster.acting)
    made = Credential(network.name, unit, name, private, admin_public_of(admin_private), changed.roster)
    private_files.prepare(part, made.encode())
    try:
        private_files.prepare(_new(folder / NETWORK), network_folder.encode(changed))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    with _after_all(f"unit {unit} is in the network, or not at all; {part} is kept for the former", can=_AGAIN):
        private_files.replace(_new(folder / NETWORK), folder / NETWORK)
    return changed


# ---------------------------------------------------------------- epochs


def _next_epoch(network: Network) -> int:
    if network.roster.epoch >= MAX_EPOCH:
        raise Refused(
            f"the network has had all its {MAX_EPOCH} epochs", can="make a new one, and enrol its units there"
        )
    return network.roster.epoch + 1


def _next(admin_private: bytes, network: Network, members: Collection[Member], acting: Collection[Acting]) -> Network:
    """The network of the next epoch."""
    present = [one for one in members if one.until_epoch is None]
    revoked = sorted((one for one in members if one.until_epoch is not None), key=lambda one: one.until_epoch or 0)
    kept = sorted([*present, *revoked[-MAX_REVOKED:]], key=lambda one: (one.unit, one.since_epoch))
    roster = _roster(admin_private, _next_epoch(network), present, acting)
    return Network(network.name, tuple(kept), roster)


def _roster(admin_private: bytes, epoch: int, present: Collection[Member], acting: Collection[Acting]) -> Roster:
    """With secrets that nobody has had before, and that are not kept."""
    return make_roster(
        admin_private=admin_private,
        epoch=epoch,
        members={one.unit: one.public for one in present},
        acting=acting,
        secret=secrets.token_bytes(SECRET_BYTES),
        ephemeral_private=secrets.token_bytes(KEY_BYTES),
    )
