"""Ways to lose a picture that a later change could build in by mistake, each a switch that only tests can reach.

MUTATIONS[name](monkeypatch) takes one rule out of the shipped code, for as long as the test runs. What finds each, and
with which story and cuts, stands in tests/test_mutations.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from firmware import handover, store
from firmware.catalogue import Catalogue
from firmware.events import Digests
from firmware.evictions import Evictions
from firmware.layout import parent_of, part_path
from firmware.pictures import File
from firmware.steps import Steps
from firmware.store import Store


def adoption_without_fsync(patch: pytest.MonkeyPatch) -> None:
    """Start-up takes in what it reads, whether the medium has it or not."""

    def measure(self, path):
        with contextlib.closing(self.card.open(path)) as file:
            data = file.read(0, 1_000_000)
        return len(data), store.hashlib.sha256(data).digest()

    patch.setattr(Store, "measure", measure)
    patch.setattr(Store, "sync_place", lambda _self, _path: None)


def steps_not_serial(patch: pytest.MonkeyPatch) -> None:
    """R13: two steps on one picture at the same time."""
    start = Steps.start
    patch.setattr(Steps, "start", lambda self, step, _picture, on_error: start(self, step, None, on_error))
    patch.setattr(Steps, "busy", lambda _self, _picture: False)


def stored_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """Recipe 2: what was received is renamed, and STORED said, without a sync of its bytes."""

    def finish_part(self, request):
        part = self._part(request.picture.id)
        digests = store._digests(part.file, request.picture, (request.nonce,))
        self.close_part(store.ClosePart(request.picture.id, keep=digests.whole))
        if not digests.whole:
            return None
        self._put_in_place(request.picture)
        return digests.proofs[0]

    patch.setattr(Store, "finish_part", finish_part)


def row_before_file(patch: pytest.MonkeyPatch) -> None:
    """H4, H5: the row is committed, then the file is put in its place."""
    host = handover.host

    def reordered(row, event):
        effects = host(row, event)
        if isinstance(event, handover.AllHere):
            file, commit, *rest = effects
            return (commit, file, *rest)
        return effects

    patch.setattr(handover, "host", reordered)


def _unlink_first(effects):
    return tuple(sorted(effects, key=lambda effect: not isinstance(effect, handover.Unlink)))


def unlink_before_commit_at_the_origin(patch: pytest.MonkeyPatch) -> None:
    """O5, R6: the own file goes, then that is committed."""
    owner = handover.owner
    patch.setattr(handover, "owner", lambda state, event: _unlink_first(owner(state, event)))


def unlink_before_commit_at_the_host(patch: pytest.MonkeyPatch) -> None:
    """H7: the held file goes, then its row."""
    host = handover.host
    patch.setattr(handover, "host", lambda row, event: _unlink_first(host(row, event)))


def no_directory_fsync(patch: pytest.MonkeyPatch) -> None:
    """Recipe 4: renamed, and no more."""

    def put_in_place(self, picture):
        path = self.path(picture)
        self._make(parent_of(path))
        self.card.rename(part_path(picture.id), path)

    patch.setattr(Store, "_put_in_place", put_in_place)


def no_read_back(patch: pytest.MonkeyPatch) -> None:
    """Recipe 3: the digest is reckoned over what was written, not over what the medium has."""
    finish = Store.finish_part

    def finish_part(self, request):
        part = self._part(request.picture.id)
        digests = store._digests(part.file, request.picture, (request.nonce,))
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(store, "_digests", lambda *_: digests)
            return finish(self, request)

    patch.setattr(Store, "finish_part", finish_part)


def digest_not_compared(patch: pytest.MonkeyPatch) -> None:
    """H4 and recipe 3: what came is taken for the picture."""
    reckon = store._digests
    patch.setattr(store, "_digests", lambda *arguments: Digests(True, reckon(*arguments).proofs))


def no_attempt_check_at_drop(patch: pytest.MonkeyPatch) -> None:
    """H7: a DROP of an older attempt is obeyed."""
    host = handover.host

    def obeying(row, event):
        if isinstance(event, handover.DropHeard) and row is not None and row.attempt:
            event = replace(event, attempt=max(event.attempt, row.attempt))
        return host(row, event)

    patch.setattr(handover, "host", obeying)


def drop_without_fresh_proof(patch: pytest.MonkeyPatch) -> None:
    """O5: whoever is listed counts as having proved its copy just now."""
    patch.setattr(Evictions, "proved", lambda _self, entry: frozenset(copy.unit for copy in entry.verified))


def attempts_in_memory_only(patch: pytest.MonkeyPatch) -> None:
    """O1: the counter of attempts begins anew with each start."""
    save = Catalogue.save
    patch.setattr(Catalogue, "save", lambda self, request: save(self, replace(request, next_attempt=None)))


def dropped_before_stored(patch: pytest.MonkeyPatch) -> None:
    """O4, O5: the own file goes as soon as the host has accepted."""
    owner = handover.owner

    def hasty(state, event):
        effects = owner(state, event)
        if isinstance(event, handover.Accepted) and state.entry.file is File.WHOLE:
            return (*effects, handover.Commit(replace(state.entry, file=File.GONE)), handover.Unlink())
        return effects

    patch.setattr(handover, "owner", hasty)


MUTATIONS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    mutation.__name__: mutation
    for mutation in (
        adoption_without_fsync,
        steps_not_serial,
        stored_before_fsync,
        row_before_file,
        unlink_before_commit_at_the_origin,
        unlink_before_commit_at_the_host,
        no_directory_fsync,
        no_read_back,
        digest_not_compared,
        no_attempt_check_at_drop,
        drop_without_fresh_proof,
        attempts_in_memory_only,
        dropped_before_stored,
    )
}
