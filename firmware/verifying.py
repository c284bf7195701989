"""`whereis --verify`: every copy that this unit can vouch for is proved now (HANDOVER R9)."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from firmware.audits import Audits
from firmware.commands import Verified, Verify
from firmware.core import Core
from firmware.errors import Refused
from firmware.events import DigestFile, Digests, Request
from firmware.held import HeldCopies
from firmware.pictures import Entry, File
from firmware.proofs import Proofs
from firmware.steps import Step
from hal.errors import CardError, DandelionError


class Verifying:
    """At the origin all listed holders are asked, each with one of its pairs where the own file is gone; a holder reads
    its own copy back."""

    def __init__(self, core: Core, proofs: Proofs, audits: Audits, held: HeldCopies) -> None:
        self.core = core
        self._proofs = proofs
        self._audits = audits
        self._held = held

    def verify(self, command: Verify) -> None:
        """Done: Verified, once all have answered or time is over."""
        step = self._verify(command.ticket, command)
        self.core.run(step, command.picture, lambda error: self._failed(command.ticket, error))

    def _failed(self, ticket: int, error: DandelionError) -> None:
        self.core.failed(ticket, Refused(error.what, did=error.did, can=error.can))

    def _verify(self, ticket: int, command: Verify) -> Step:
        entry = yield from self.core.look_up(command.picture)
        if entry is None or entry.deleted:
            can = f"ask unit {command.picture.unit}, which took it"
            self.core.failed(ticket, Refused(f"picture {command.picture} is not known here", can=can))
        elif entry.attempt is not None:
            here = (self.core.unit,)
            whole = yield from self._reads_back(entry)
            self.core.done(ticket, Verified(here, here if whole else ()))
        elif not self.core.is_ours(command.picture):  # known by a record, that is by its origin's word
            owner = self.core.owner_of(command.picture.unit)
            told = Refused(f"only unit {owner} can have picture {command.picture} proved", can="ask there")
            self.core.failed(ticket, told if owner else self.core.refuse_released(command.picture))
        elif entry.file is File.GONE:
            self._ask_with_pairs(ticket, entry)
        else:
            self._ask_holders(ticket, entry)

    def _reads_back(self, row: Entry) -> Generator[Request, Any, bool]:
        try:
            digests = yield DigestFile.of(row)
        except CardError as error:
            self.core.log("card", f"cannot read picture {row.picture.id} back: {error}", row.picture.id)
            return False
        assert isinstance(digests, Digests)
        if not digests.whole:
            yield from self._held.lost(row)
        return digests.whole

    def _ask_holders(self, ticket: int, entry: Entry) -> None:
        asked = tuple(sorted(copy.unit for copy in entry.listed))

        def done(proved: frozenset[int]) -> None:
            self.core.done(ticket, Verified(asked, tuple(sorted(proved))))

        self._proofs.ask_all(entry, asked, done)

    def _ask_with_pairs(self, ticket: int, entry: Entry) -> None:
        """One that is not heard is not asked: a pair is used once."""
        core, asked, proved = self.core, tuple(sorted(copy.unit for copy in entry.listed)), set[int]()
        waiting = set(asked)

        def answered(unit: int, right: bool | None) -> None:
            waiting.discard(unit)
            if right:
                proved.add(unit)
            if not waiting:  # behind what the list makes of the answers
                core.run(self._tell(ticket, Verified(asked, tuple(sorted(proved)))), entry.picture.id)

        for unit in asked:
            if core.hears(unit):
                self._audits.prove_with_pair(entry, unit, partial(answered, unit))
            else:
                answered(unit, None)
        if not asked:
            core.done(ticket, Verified((), ()))

    def _tell(self, ticket: int, verified: Verified) -> Step:
        yield from ()
        self.core.done(ticket, verified)
