"""What `dandelion net …` does: the admin's commands, on a folder of their own; push hands a new roster to a unit."""

from __future__ import annotations

import argparse
import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from firmware import credential, network
from firmware.errors import Refused
from firmware.network_folder import Member, Network
from firmware.output import Output
from firmware.roster import Acting, words_of

Options = argparse.Namespace
NetVerb = Callable[[Options, Output], int]

PUSH_BYTES = 700  # of a roster in one request, which has 1200 bytes at most (firmware/control_lines.py)
PUSH_SILENCE_S = 120.0  # a temporary unit waits for another one, which on a slow radio asks for a part a second


def create(options: Options, output: Output) -> int:
    """A new network."""
    output.row(_network_row(network.create(options.folder, options.name)))
    output.note(
        f"whoever has {options.folder} decides who is in the network: keep it on this computer, with a copy at a safe "
        "place, and on no unit\nnext: `dandelion net enrol` for each unit"
    )
    return 0


def enrol(options: Options, output: Output) -> int:
    """A unit more; its credential is written."""
    made = network.enrol(options.folder, unit=options.unit, name=options.name, file=options.file)
    member = made.find(options.unit)
    assert member is not None, options.unit
    output.row({**_member_row(member), "epoch": made.roster.epoch, "path": str(options.file)})
    output.note(
        f"next: copy {options.file} to the unit as {credential.PLACE} (mode 0600), then delete it here: it is the "
        "unit's key\nthe six words stand for that key: `dandelion net show` has them too, to be compared"
    )
    return 0


def revoke(options: Options, output: Output) -> int:
    """A unit less."""
    acted_for = [one.gone for one in network.show(options.folder).roster.acting if one.by == options.unit]
    left = network.revoke(options.folder, options.unit)
    out = [one for one in left.members if one.unit == options.unit][-1]
    output.row({**_member_row(out), "epoch": left.roster.epoch})
    output.note(f"the others shut unit {options.unit} out as soon as they have the roster of epoch {left.roster.epoch}")
    for gone in acted_for:
        output.note(f"nobody decides about the pictures of unit {gone} any more: `dandelion net adopt` names another")
    return _push_on(options, left, output)


def adopt(options: Options, output: Output) -> int:
    """A unit that decides about the pictures of one that is gone for good."""
    made = network.adopt(options.folder, options.unit, options.by)
    return _tell_acting(options, made, output)


def release(options: Options, output: Output) -> int:
    """Nobody decides about the pictures of a unit that is gone for good."""
    made = network.release(options.folder, options.unit)
    return _tell_acting(options, made, output)


def _tell_acting(options: Options, made: Network, output: Output) -> int:
    (acting,) = [one for one in made.roster.acting if one.gone == options.unit]
    output.row(_acting_row(acting, made))
    if acting.by:
        output.note(
            f"unit {acting.by} decides about the pictures of unit {acting.gone} as soon as it has the roster of epoch "
            f"{made.roster.epoch}"
        )
    else:
        output.note(
            f"hosts that have the roster of epoch {made.roster.epoch} keep the copies of unit {acting.gone} only until "
            "they need the room\nread out first what you want to keep"
        )
    return _push_on(options, made, output)


def rotate(options: Options, output: Output) -> int:
    """A new secret."""
    made = network.rotate(options.folder)
    output.row(_network_row(made))
    return _push_on(options, made, output)


def push(options: Options, output: Output) -> int:
    """The newest roster, handed to a unit."""
    return _push(options.config, network.show(options.folder), output)


def _push_on(options: Options, changed: Network, output: Output) -> int:
    """At once, where a config is given."""
    if options.config is None:
        output.note(f"next: `dandelion net push {options.folder} --config FILE` hands it to any one unit")
        return 0
    try:
        return _push(options.config, changed, output)
    except Refused as error:
        did = f"the roster of epoch {changed.roster.epoch} is made, and was not handed on; {error.did}".rstrip("; ")
        later = f"later: dandelion net push {options.folder} --config FILE"
        can = f"{error.can}; {later}" if error.can else later
        raise Refused(error.what, did=did, can=can) from error


def _push(config_file: Path, found: Network, output: Output) -> int:
    from firmware.client import Client  # all of these for this alone
    from firmware.config import load
    from firmware.verbs import tell, with_unit

    config, encoded = load(config_file), found.roster.encoded

    def hand_over(client: Client) -> int:
        for at in range(0, len(encoded), PUSH_BYTES):
            roster = base64.b64encode(encoded[at : at + PUSH_BYTES]).decode()
            tell(client, output, "push", silence_s=PUSH_SILENCE_S, roster=roster, at=at, whole_bytes=len(encoded))
        return 0

    return with_unit(config, output, hand_over)


def show(options: Options, output: Output) -> int:
    """The network, its units, and who acts for those that are gone for good."""
    found = network.show(options.folder)
    output.row(_network_row(found))
    for member in found.members:
        output.row(_member_row(member))
    for acting in found.roster.acting:
        output.row(_acting_row(acting, found))
    return 0


def _network_row(found: Network) -> dict[str, object]:
    return {"name": found.name, "network": found.roster.network.hex(), "epoch": found.roster.epoch}


def _member_row(member: Member) -> dict[str, object]:
    return {
        "unit": member.unit,
        "name": member.name,
        "words": words_of(member.unit, member.public),
        "since_epoch": member.since_epoch,
        "until_epoch": member.until_epoch,
        "revoked": member.until_epoch is not None,
    }


def _acting_row(acting: Acting, found: Network) -> dict[str, object]:
    return {"unit": acting.gone, "by": acting.by or None, "epoch": found.roster.epoch}


NET_VERBS: Mapping[str, NetVerb] = {
    "create": create,
    "enrol": enrol,
    "revoke": revoke,
    "adopt": adopt,
    "release": release,
    "rotate": rotate,
    "push": push,
    "show": show,
}
