"""Where the bytes of a read-out go: to the person who asked, onto the own card, or through a digest and nowhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from firmware.commands import Collected, Data, Found, Told
from firmware.core import Core
from firmware.errors import Refused
from firmware.events import BeginPart, ClosePart, FinishPart, WritePart
from firmware.handover import Owner, Recalled, owner
from firmware.pictures import NONCE_BYTES, Entry, File
from firmware.steps import Step
from hal.errors import CardError, DandelionError

Ended = Callable[[DandelionError | None], None]
Done = Callable[[bool, str], None]


class Taker(Protocol):
    """Takes one picture in order. A second begin(): it goes on, or comes anew, from another unit, as found.offset says.

    waiting_bytes: taken and not yet where they should be; whoever collects keeps them few.
    """

    @property
    def waiting_bytes(self) -> int: ...

    def begin(self, found: Found) -> None:
        """So many bytes will come, from this unit; those below found.offset are there already."""

    def write(self, offset: int, data: bytes) -> None:
        """The next bytes."""


class Sink(Taker, Protocol):
    """A taker that is told the end. problem: why the own machine can take no more, else None. After fail(), and after
    finish() has said `ended`, nothing more is given to it."""

    @property
    def problem(self) -> DandelionError | None: ...

    def finish(self, collected: Collected, ended: Ended) -> None:
        """All of it was written, with the right digest as far as can be told. ended: once it is where it should be
        (None), or cannot be."""

    def fail(self, error: Refused) -> None:
        """There will be no picture."""


class ToPerson:
    """Tells everything to the command that asked. waiting_bytes: told, and not yet taken by the person's program."""

    problem = None

    def __init__(self, core: Core, ticket: int) -> None:
        self.ticket = ticket
        self.waiting_bytes = 0
        self._core = core

    def begin(self, found: Found) -> None:
        self._core.told.append(Told(self.ticket, found))

    def write(self, offset: int, data: bytes) -> None:
        self.waiting_bytes += len(data)
        self._core.told.append(Told(self.ticket, Data(offset, data)))

    def finish(self, collected: Collected, ended: Ended) -> None:
        self._core.done(self.ticket, collected)
        ended(None)

    def fail(self, error: Refused) -> None:
        self._core.failed(self.ticket, error)


class DigestOnly:
    """Keeps nothing: that the bytes came with the right digest is all that was asked (R4)."""

    waiting_bytes = 0
    problem = None

    def __init__(self, done: Done) -> None:
        self._done = done

    def begin(self, found: Found) -> None:
        """Nothing to prepare."""

    def write(self, offset: int, data: bytes) -> None:
        """Whoever collects has put the bytes through the digest."""

    def finish(self, collected: Collected, ended: Ended) -> None:
        self._done(True, f"unit {collected.from_unit} has it whole")
        ended(None)

    def fail(self, error: Refused) -> None:
        self._done(False, str(error))


class ToOwnCard:
    """Brings an own picture back onto the card (O8, O9). Its room is reserved while this lives, and counted after."""

    def __init__(self, core: Core, entry: Entry, done: Done) -> None:
        self.problem: DandelionError | None = None
        self._core = core
        self._picture = entry.picture
        self._done = done
        self._key = ("recall", entry.picture.id)
        self._todo: deque[BeginPart | WritePart] = deque()
        self._busy = False
        self._finishing: Ended | None = None
        self._over = False
        self.waiting_bytes = 0
        core.room.reserved_own[self._key] = entry.picture.size_bytes

    def begin(self, found: Found) -> None:
        assert found.size_bytes == self._picture.size_bytes
        if found.offset == 0:
            self._todo.append(BeginPart(self._picture, kept_bytes=0))
            self._go_on()

    def write(self, offset: int, data: bytes) -> None:
        if self.problem is None:
            self._todo.append(WritePart(self._picture.id, offset, data))
            self.waiting_bytes += len(data)
            self._go_on()

    def finish(self, collected: Collected, ended: Ended) -> None:
        del collected
        self._finishing = ended
        self._go_on()

    def fail(self, error: Refused) -> None:
        self._forget()
        text = str(error)
        self._core.run(self._discard(text), self._picture.id, lambda _: self._let_go(False, text))

    def _forget(self) -> None:
        self.waiting_bytes -= sum(_data_bytes(request) for request in self._todo)
        self._todo.clear()

    def _go_on(self) -> None:
        """The next step, one at a time; each begins and ends by itself, so that others on this picture get between."""
        if self._busy or self.problem is not None or not (self._todo or self._finishing):
            return
        step = self._one(self._todo.popleft()) if self._todo else self._store()
        self._busy = True
        self._core.run(step, self._picture.id, self._broke)

    def _one(self, request: BeginPart | WritePart) -> Step:
        yield request
        self.waiting_bytes -= _data_bytes(request)
        self._busy = False
        self._go_on()

    def _store(self) -> Step:
        """Recipe 2-4, then "it is here" is committed; a delete that came in between wins."""
        core, picture = self._core, self._picture
        entry = yield from core.look_up(picture.id)
        if entry is None or entry.deleted or entry.picture.sha256 != picture.sha256:
            raise Refused(f"picture {picture.id} was deleted meanwhile")
        if entry.file is File.GONE:
            proof = yield FinishPart(picture, core.rng.randbytes(NONCE_BYTES))
            if proof is None:
                raise CardError(f"picture {picture.id} was read back wrong", can="the card is worn out, replace it")
            effects = owner(Owner(entry, core.next_attempt), Recalled())
            yield from core.carry_out(picture, entry, effects)
        else:
            yield ClosePart(picture.id, keep=False)
        self._let_go(True, "")
        assert self._finishing is not None
        self._finishing(None)

    def _discard(self, text: str) -> Step:
        yield ClosePart(self._picture.id, keep=False)
        self._let_go(False, text)

    def _let_go(self, came: bool, why: str) -> None:
        """Once: what is said first counts."""
        if not self._over:
            self._over = True
            del self._core.room.reserved_own[self._key]
            self._core.changed = True
            self._done(came, why)

    def _broke(self, error: DandelionError) -> None:
        self.problem = error
        self._forget()
        if self._finishing is not None:
            self._finishing(error)


def _data_bytes(request: BeginPart | WritePart) -> int:
    return len(request.data) if isinstance(request, WritePart) else 0
