"""Members that do harm: a host that lies about what it stores, one that swallows pictures, one that floods the others.

Each is the shipped unit, with something between it and its card or its radio; so it keeps to the protocol otherwise.
Not simulated: members that forge what others say to everyone (all have the key for it), and several that plot.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from firmware import messages as m
from firmware.events import CardRequest, DigestFile, Digests, FinishPart
from firmware.layout import picture_path
from firmware.link import Link
from firmware.pictures import EVERYONE, PROOF_BYTES, Picture, PictureId
from firmware.store import Store
from firmware.unit import Unit
from sim.card import SimCard

MADE_UP = 3_000_000_000
"""Sequence numbers of pictures that a flood asks room for; no camera gets there."""


class Liar:
    """Says stored, and throws the bytes of a share of the pictures away; a file of the same length stays there.

    It answers proofs of these from memory where it has heard the nonce before (that of END), else with chance bytes.
    thrown_away: told of each such picture, when it says that it is stored.
    """

    def __init__(self, share: float, chance: random.Random, thrown_away: Callable[[PictureId], None]) -> None:
        self._share = share
        self._chance = chance
        self._thrown_away = thrown_away
        self._gone: dict[PictureId, dict[bytes, bytes]] = {}  # with the proofs that it remembers, by nonce

    def carry_out(self, store: Store, request: CardRequest) -> object:
        """In place of Store.carry_out."""
        result = store.carry_out(request)
        match request:
            case FinishPart(picture, nonce) if isinstance(result, bytes) and picture.id.unit != store.unit:
                self._gone.pop(picture.id, None)
                if self._chance.random() < self._share:
                    self.throw_away(store, picture)
                    self._gone[picture.id][nonce] = result
            case DigestFile(picture, nonces) if picture.id in self._gone:
                known = self._gone[picture.id]
                return Digests(True, tuple(known.get(n) or self._chance.randbytes(PROOF_BYTES) for n in nonces))
        return result

    def throw_away(self, store: Store, picture: Picture) -> None:
        """This one, which is on its card."""
        assert isinstance(store.card, SimCard)
        store.card.overwrite(picture_path(picture, store.unit), self._chance.randbytes(picture.size_bytes))
        self._gone[picture.id] = {}
        self._thrown_away(picture.id)


NEVER_SAID = (m.Report, m.Stored, m.Proof, m.Lost, m.Refuse, m.Expired)
"""What a swallowing host keeps to itself."""


def is_swallowed(source_swallows: bool, destination_swallows: bool, message: m.Message) -> bool:
    """Whether this message comes to nothing: a swallower accepts, heeds no END, and answers nothing afterwards."""
    return (source_swallows and isinstance(message, NEVER_SAID)) or (
        destination_swallows and isinstance(message, m.End)
    )


class Flood:
    """Whenever its unit has nothing to say: REQUESTs for made-up pictures, WHEREs and GETs, one after the other.

    pictures: what may be asked for.
    """

    def __init__(self, chance: random.Random, pictures: Sequence[PictureId], size_bytes: int) -> None:
        self._chance = chance
        self._pictures = pictures
        self._size_bytes = size_bytes
        self.packets = 0

    def next_packet(self, unit: Unit, link: Link) -> bytes | None:
        """One more; None while it hears nobody."""
        heard = [n.unit for n in unit.core.neighbours if link.seal.knows(n.unit)]
        if not heard:
            return None
        self.packets += 1
        to = self._chance.choice(heard)
        message = self._message(unit, to)
        if isinstance(message, m.Where) and self._chance.random() < 0.5:
            to = EVERYONE
        (packet,) = link.encode(to, message)
        return packet

    def _message(self, unit: Unit, to: int) -> m.Message:
        chance, query = self._chance, self._chance.randrange(2**16)
        kind = chance.randrange(3) if self._pictures else 0
        if kind == 0:
            made_up = PictureId(unit.core.unit, unit.core.card, MADE_UP + self.packets)
            return m.Request(Picture(made_up, self._size_bytes, chance.randbytes(32)), self.packets)
        about = chance.choice(self._pictures)
        if kind == 1:
            return m.Where(unit.core.unit, query, about, 0)
        return m.Get(unit.core.unit, query, to, about, False, (), 0)
