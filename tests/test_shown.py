"""What carries a secret does not show it: no repr, and so no log, no assertion and no error, has the bytes of one."""

import pytest
from roster_scene import ADMIN, ADMIN_PUBLIC, PRIVATE, SECRET, roster_of
from session_scene import pair

from firmware import sessions
from firmware.credential import Credential
from firmware.events import Answer, DigestFile, Digests, Pair, SavePairs, UsePair
from firmware.network_folder import Member, Network
from firmware.pictures import Picture, PictureId
from firmware.rosters import Membership
from firmware.sealing import Sealer

ID = PictureId(1, 0x3FA7, 42)
NONCE, PROOF = bytes(range(100, 116)), bytes(range(200, 216))
QUESTION = Pair(ID, 2, 86_400, NONCE, PROOF)
MEMBERSHIP = Membership(7, PRIVATE[7], ADMIN_PUBLIC, roster_of(), roster_of())
CARRIERS = [
    Credential("field", 7, "unit-7", PRIVATE[7], ADMIN_PUBLIC, roster_of()),
    MEMBERSHIP,
    MEMBERSHIP.keys(roster_of()),
    Network("field", (Member(7, "unit-7", roster_of().rows[1].public, 7),), roster_of()),
    DigestFile(Picture(ID, 5, bytes(32)), (NONCE,)),
    Answer(3, Digests(True, (PROOF,)), None),
    SavePairs((QUESTION,)),
    UsePair(QUESTION),
]


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: type(carrier).__name__)
def test_nothing_that_carries_a_secret_shows_it(carrier):
    for secret in (ADMIN, SECRET, PRIVATE[7], NONCE, PROOF):
        assert repr(secret)[2:-1] not in repr(carrier)
        assert secret.hex() not in repr(carrier)


def test_a_session_does_not_show_its_keys(monkeypatch):
    keys = []

    def noting(key):
        keys.append(key)
        return Sealer(key)

    monkeypatch.setattr(sessions, "Sealer", noting)
    for side in pair():
        peers = list(side.seal._peers.values())
        held = [peers, [peer.current for peer in peers], vars(side.seal)]
        assert len(keys) == 6  # at each of the two: for everyone, for parts and for all else
        for key in keys:
            assert repr(key)[2:-1] not in repr(held)
            assert key.hex() not in repr(held)
