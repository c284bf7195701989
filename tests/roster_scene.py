"""What tests of rosters and credentials share: keys that are the same each time, and rosters signed by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.roster import Acting, Roster, admin_public_of, make_roster, public_of


def key(name: str) -> bytes:
    """A private key, or whatever else has 32 bytes."""
    return hashlib.sha256(name.encode()).digest()


ADMIN = key("admin")
ADMIN_PUBLIC = admin_public_of(ADMIN)
SECRET = key("secret")
UNITS = (1, 7, 65_534)
PRIVATE = {unit: key(f"unit {unit}") for unit in (*UNITS, 8)}
PUBLIC = {unit: public_of(private) for unit, private in PRIVATE.items()}


def roster_of(
    units: Collection[int] = UNITS,
    *,
    admin: bytes = ADMIN,
    epoch: int = 7,
    acting: Collection[Acting] = (Acting(2, 7), Acting(3, 0)),
    more: Mapping[int, bytes] | None = None,
) -> Roster:
    """Of these units; more: further ones with their public keys."""
    members = {unit: PUBLIC[unit] for unit in units} | dict(more or {})
    return make_roster(
        admin_private=admin,
        epoch=epoch,
        members=members,
        acting=acting,
        secret=SECRET,
        ephemeral_private=key("ephemeral"),
    )


def signed(body: bytes) -> bytes:
    """What the admin would have signed."""
    return body + Ed25519PrivateKey.from_private_bytes(ADMIN).sign(b"dandelion roster 1" + body)
