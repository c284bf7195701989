"""Credentials for simulated units: a network that every unit number is in, or one with an admin and real rosters."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterator, Mapping
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.pictures import MAX_UNIT
from firmware.roster import SIGNED, Acting, Roster, admin_public_of, make_roster, public_of
from firmware.rosters import Membership
from firmware.sessions import Keys, SessionSeal


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@cache
def _public(unit: int) -> bytes:
    return public_of(_key(f"unit {unit}"))


class _Everybody(Mapping[int, bytes]):
    """Public keys, made when they are asked for."""

    def __getitem__(self, unit: int) -> bytes:
        if not 1 <= unit <= MAX_UNIT:
            raise KeyError(unit)
        return _public(unit)

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, MAX_UNIT + 1))

    def __len__(self) -> int:
        return MAX_UNIT


def everybody() -> Mapping[int, bytes]:
    """The public keys of the network that everybody is in."""
    return _Everybody()


def seal_of(unit: int, card: int, boot: int, rng: random.Random) -> SessionSeal:
    """The seal of a unit at one of its starts, in a network that everybody is in. rng: for its ephemeral keys.

    Not simulated there: rosters.
    """
    keys = Keys(epoch=1, secret=_key("network"), private=_key(f"unit {unit}"), public=everybody())
    return SessionSeal(unit, card, boot, keys, rng.randbytes)


class AdminFolder:
    """A network with an admin, as `dandelion net` makes one, in memory: each change is an epoch with its own secret.

    A unit that is enrolled again under its number has another key.
    """

    def __init__(self, units: Collection[int], name: str = "network", acting: Collection[Acting] = ()) -> None:
        """acting: units that are gone for good, in every roster that is made."""
        self._name = name
        self._acting = {one.gone: one for one in acting}
        self._private: dict[int, bytes] = {}
        self._made: dict[int, Roster] = {}
        self._epoch = 0
        for unit in units:
            self.enrol(unit)

    def enrol(self, unit: int) -> Roster:
        """A unit more."""
        self._private[unit] = _key(f"{self._name} unit {unit} from epoch {self._epoch + 1}")
        self._made[unit] = self.rotate()
        return self._made[unit]

    def revoke(self, unit: int) -> Roster:
        """A unit less; what it has of its credential stays with it."""
        del self._private[unit]
        return self.rotate()

    def adopt(self, gone: int, by: int) -> Roster:
        """That unit is gone for good, and this one acts for it; 0: nobody does."""
        self._private.pop(gone, None)
        self._acting[gone] = Acting(gone, by)
        return self.rotate()

    def rotate(self) -> Roster:
        """The same units, another secret."""
        self._epoch += 1
        self.newest = make_roster(
            admin_private=_key(f"{self._name} admin"),
            epoch=self._epoch,
            members={unit: public_of(private) for unit, private in self._private.items()},
            acting=self._acting.values(),
            secret=_key(f"{self._name} secret {self._epoch}"),
            ephemeral_private=_key(f"{self._name} ephemeral {self._epoch}"),
        )
        return self.newest

    def credential(self, unit: int) -> Membership:
        """As the unit got it when it was enrolled last."""
        made = self._made[unit]
        return Membership(unit, self._private[unit], self.admin_public, made, made)

    @property
    def admin_public(self) -> bytes:
        """What its rosters are checked with."""
        return admin_public_of(_key(f"{self._name} admin"))

    def sign(self, body: bytes) -> bytes:
        """The signature that makes a roster of these bytes, if they are one."""
        return Ed25519PrivateKey.from_private_bytes(_key(f"{self._name} admin")).sign(SIGNED + body)
