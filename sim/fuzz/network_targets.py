"""Targets: who is in the network. The roster, as it comes by radio or from a person, and the credential's file."""

from __future__ import annotations

import functools

from firmware.credential import MAX_CREDENTIAL_BYTES, Credential
from firmware.errors import ConfigError, PeerError
from firmware.roster import MAX_ROSTER_BYTES, SIGNATURE_BYTES, Acting, Roster
from sim.credentials import AdminFolder
from sim.fuzz.target import Target

UNITS = (1, 2, 7)
CREDENTIAL_LIMIT_S, CREDENTIAL_LIMIT_BYTES = 0.1, 1_000_000
"""A file of 30 kB that a person has put there: as text, as a table, and as a roster with its signature."""


@functools.cache
def _folder() -> AdminFolder:
    return AdminFolder(UNITS)


def _signed(body: bytes) -> Roster:
    """As if the admin had signed it: what is looked at behind the signature must not break on anything, either."""
    folder = _folder()
    return Roster.decode(body + folder.sign(body), folder.admin_public)


def _check_roster(body: bytes, roster: Roster) -> None:
    """A roster has one encoding, and names each unit once."""
    assert roster.encoded[:-SIGNATURE_BYTES] == body
    assert [row.unit for row in roster.rows] == sorted({row.unit for row in roster.rows})
    assert roster.find(0) is None


def _rosters() -> list[bytes]:
    folder = AdminFolder(UNITS, acting=(Acting(3, 1), Acting(4, 0)))
    return [roster.encoded[:-SIGNATURE_BYTES] for roster in (_folder().newest, folder.newest, folder.revoke(2))]


def _check_credential(_data: bytes, credential: Credential) -> None:
    assert Credential.decode(credential.encode()) == credential


def _credentials() -> list[bytes]:
    made = [_folder().credential(unit) for unit in UNITS]
    return [Credential("n", one.unit, "name", one.private, one.admin_public, one.made).encode() for one in made]


TARGETS = (
    Target("roster", _signed, (PeerError,), _check_roster, _rosters, MAX_ROSTER_BYTES - SIGNATURE_BYTES),
    Target(
        "credential",
        Credential.decode,
        (ConfigError,),
        _check_credential,
        _credentials,
        MAX_CREDENTIAL_BYTES,
        CREDENTIAL_LIMIT_S,
        CREDENTIAL_LIMIT_BYTES,
    ),
)
