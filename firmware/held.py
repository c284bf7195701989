"""Answers about pictures held for others: KEEP, PROVE, and what becomes of a held file that is damaged."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from firmware import handover
from firmware import messages as m
from firmware.core import Core
from firmware.events import DigestFile, Digests, Request
from firmware.pictures import PROOF_BYTES, UNKNOWN_ATTEMPT, Entry, File, PictureId
from firmware.steps import Step
from hal.errors import CardError


class HeldCopies:
    """The held rows and files of one unit, between hand-over and DROP."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._proving: set[tuple[PictureId, bytes]] = set()  # proofs under way; bounded by Steps.crowded

    def on_keep(self, source: int, keep: m.Keep) -> None:
        """The owner has this copy in its list."""
        if self.core.owner_of(keep.id.unit) == source:
            self.core.run(self._keep(keep), keep.id)

    def _keep(self, keep: m.Keep) -> Step:
        row = yield from self.core.look_up(keep.id)
        if row is not None and row.picture.digest4 == keep.digest4:
            effects = handover.host(row, handover.KeepHeard(keep.attempt))
            yield from self.core.carry_out(row.picture, row, effects)

    def on_prove(self, source: int, prove: m.Prove) -> None:
        """R9: read the copy back now. One of an older attempt than is asked about is not what the list names: an old
        DROP would reach it."""
        question = (prove.id, prove.nonce)
        asks = self.core.owner_of(prove.id.unit) == source
        if asks and question not in self._proving:  # the same once more while the card is slow
            self._proving.add(question)
            self.core.run(self._prove(source, prove), prove.id)

    def _prove(self, source: int, prove: m.Prove) -> Step:
        try:
            yield from self._read_back(source, prove)
        finally:
            self._proving.discard((prove.id, prove.nonce))

    def _read_back(self, source: int, prove: m.Prove) -> Step:
        row = yield from self.core.look_up(prove.id)
        if row is None or row.attempt is None or UNKNOWN_ATTEMPT < row.attempt < prove.attempt:
            self.core.say(source, m.Lost(prove.id, prove.attempt, False))
            return
        try:
            digests = yield DigestFile.of(row, prove.nonce)
        except CardError as error:  # a card that does not answer now has not lost the picture
            self.core.log("card", f"cannot read picture {prove.id} back: {error}", prove.id)
            self.core.say(source, m.Proof(prove.id, prove.attempt, prove.nonce, bytes(PROOF_BYTES), False))
            return
        assert isinstance(digests, Digests)
        self.core.say(source, m.Proof(prove.id, prove.attempt, prove.nonce, digests.proofs[0], digests.whole))
        if not digests.whole:
            yield from self.lost(row)

    def check(self, entry: Entry) -> Generator[Request, Any, Entry | None]:
        """Adoption (HANDOVER §1): an unchecked held file is whole from now on, or its row goes and LOST is said."""
        digests = yield DigestFile.of(entry)
        assert isinstance(digests, Digests)
        if not digests.whole:
            yield from self.lost(entry)
            return None
        checked = replace(entry, file=File.WHOLE)
        yield from self.core.save(entry.picture, entry, checked)
        return checked

    def lost(self, row: Entry) -> Generator[Request, Any, None]:
        """The file is damaged: its row goes, its bytes go to quarantine/, its owner is told."""
        picture = row.picture.id
        owner = self.core.owner_of(picture.unit)
        effects = handover.host(row, handover.FileLost(owner))
        told = f"; unit {owner} was told" if owner else ""
        self.core.log("lost", f"the copy of picture {picture} here is damaged{told}", picture, owner or None)
        yield from self.core.carry_out(row.picture, row, effects)
