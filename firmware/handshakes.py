"""Sessions with other units are made: when something is to be said, after a restart, in time (HANDOVER §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Protocol

from firmware import messages as m
from firmware.core import Core
from firmware.errors import Flooded
from firmware.quotas import Buckets
from firmware.sessions import SessionSeal
from hal.light_dataclass import dataclass

FIRST_TRY_S = 1.0
"""HELLO is said again after so long, doubled each time: an answer takes 160 bytes of line time and a turn or two."""
MAX_TRIES = 5
"""Then whoever has something to say begins anew, with its own back-off, or the next beacon does. Half a minute: that
may be a minute away, and where one packet in five is lost a handshake takes several tries."""
MAX_PARKED = 16
"""Messages to one unit that wait for its session; beyond it the oldest goes, as whatever is lost on the air."""
LOOK_EVERY_S = 3600.0
"""So often old sessions are looked for."""
ANSWERS_AT_ONCE, ANSWERS_PER_S = 4, 1.0
"""HELLOs of one unit that are answered at once, and then so many a second (HANDOVER §5): each takes 10 ms of a
small board. Guess."""
_NOT_PARKED = (m.Part, m.Hello, m.Welcome, m.Ready, m.RosterAsk, m.RosterPart)
"""Of a transfer that is over then, or of what makes sessions."""
WRONG_FOR_S = 10.0
"""A unit of which nothing but wrong seals came for so long is greeted anew, and no more often: sessions that do not fit
one another any more. Guess."""


class Handshakes(Protocol):
    """What a unit does so that its seal knows those that it speaks to."""

    @property
    def cloned(self) -> bool:
        """Whether another unit has shown that it has our number and key, and runs now (R11)."""

    def want(self, unit: int, message: m.Message | None = None) -> None:
        """Something is to be said to a unit that the seal does not know yet."""

    def said(self, unit: int, message: m.Message) -> None:
        """Something was said in a session."""

    def foreign(self, unit: int) -> None:
        """A frame came that claims to be of this unit, of a session that is not known."""

    def wrong(self, unit: int) -> None:
        """A frame came that claims to be of this unit, and its seal is wrong though there is a session."""

    def heard(self, unit: int) -> None:
        """A frame of this unit's session was right."""

    def on_hello(self, source: int, hello: m.Hello) -> None:
        """Another unit begins."""

    def on_welcome(self, source: int, welcome: m.Welcome) -> None:
        """The answer to what was begun."""

    def on_introduced(self, unit: int) -> None:
        """A unit has introduced itself."""

    def new_epoch(self) -> None:
        """A newer roster is in use."""

    def tick(self) -> None:
        """Time has passed."""

    def deadline(self) -> float | None:
        """When tick() is wanted."""


class WithoutHandshakes:
    """Of a unit without credentials: a beacon tells all that its seal must know."""

    cloned = False

    def __init__(self, ask_for_beacon: Callable[[], None]) -> None:
        self._ask_for_beacon = ask_for_beacon

    def want(self, unit: int, message: m.Message | None = None) -> None:  # noqa: ARG002 - it is said again later
        self._ask_for_beacon()

    def said(self, unit: int, message: m.Message) -> None:
        pass

    def foreign(self, unit: int) -> None:  # noqa: ARG002 - whoever it is
        self._ask_for_beacon()

    def wrong(self, unit: int) -> None:
        pass

    def heard(self, unit: int) -> None:
        pass

    def on_hello(self, source: int, hello: m.Hello) -> None:
        pass

    def on_welcome(self, source: int, welcome: m.Welcome) -> None:
        pass

    def on_introduced(self, unit: int) -> None:
        pass

    def new_epoch(self) -> None:
        pass

    def tick(self) -> None:
        pass

    def deadline(self) -> float | None:
        return None


@dataclass(slots=True)
class _Wanted:
    """A session that is being made. hello: said until the answer comes; None: the unit must introduce itself, or has
    begun itself. meant: the epoch and start in which the unit has introduced itself last; for each there are tries."""

    next_at: float
    tries: int = 0
    hello: m.Hello | None = None
    meant: tuple[int, int | None] | None = None
    parked: list[m.Message] = field(default_factory=list)


class SessionHandshakes:
    """Of a unit with credentials."""

    def __init__(
        self,
        core: Core,
        seal: SessionSeal,
        ask_for_beacon: Callable[[], None],
        unproved: Callable[[int, str], None],
    ) -> None:
        """unproved: told of a unit whose introduction nothing came of, and of the reason in words."""
        self._core = core
        self._seal = seal
        self._ask_for_beacon = ask_for_beacon
        self._unproved = unproved
        self._wanted: dict[int, _Wanted] = {}  # no more than there are members
        self.cloned = False
        self._warned = False
        self._answers = Buckets(ANSWERS_AT_ONCE, ANSWERS_PER_S)
        self._begun = Buckets(ANSWERS_AT_ONCE, ANSWERS_PER_S)  # for another start: somebody may say old ones in turn
        self._look_at = core.now + LOOK_EVERY_S
        self._right_at: dict[
            int, float
        ] = {}  # when the last good frame of a session came, or it was greeted for wrong ones

    def want(self, unit: int, message: m.Message | None = None) -> None:
        if not self._seal.is_member(unit):
            return
        wanted = self._wanted.setdefault(unit, _Wanted(self._core.now))
        if message is not None and not isinstance(message, _NOT_PARKED) and message not in wanted.parked:
            if not wanted.parked:  # until now for the sake of a beacon only
                wanted.tries, wanted.next_at = 0, min(wanted.next_at, self._core.now + FIRST_TRY_S)
            wanted.parked.append(message)
            del wanted.parked[:-MAX_PARKED]

    def said(self, unit: int, message: m.Message) -> None:
        """To a unit that seems to have restarted it is said again under the new session, if there comes one."""
        if unit in self._wanted and self._seems_restarted(unit):
            self.want(unit, message)

    def _seems_restarted(self, unit: int) -> bool:
        introduced = self._seal.introduced(unit) is not None and unit != self._core.unit
        return introduced and not self._seal.is_there(unit)

    def foreign(self, unit: int) -> None:
        self.want(unit)

    def wrong(self, unit: int) -> None:
        now = self._core.now
        if now >= self._right_at.setdefault(unit, now) + WRONG_FOR_S:
            self._right_at[unit] = now
            self.want(unit)

    def heard(self, unit: int) -> None:
        self._right_at[unit] = self._core.now
        wanted = self._wanted.get(unit)
        if wanted is not None and wanted.hello is None and self._seal.knows(unit):
            self._made(unit)

    def on_hello(self, source: int, hello: m.Hello) -> None:
        if not self._answers.take(source, self._core.now):
            raise Flooded(f"unit {source} begins more sessions than anybody needs")
        welcome = self._seal.on_hello(source, hello, self._core.now)
        if welcome is None:
            return
        wanted = self._wanted.get(source)
        if wanted is not None:  # what is parked waits for the first frame of this session
            wanted.hello, wanted.next_at = None, self._core.now + FIRST_TRY_S
        self._core.say(source, welcome)
        if source == self._core.unit:
            self._greeted_by_a_clone(hello)

    def _greeted_by_a_clone(self, hello: m.Hello) -> None:
        """R11. One that runs from a copy of our card and started before us falls silent by our answer, and we go on:
        what it says this start may have said in its past, so that somebody may say it again."""
        if not self._seal.is_past(hello.card, hello.boot):
            self.cloned = True
        elif not self._warned:
            self._warned = True
            self._core.log("alarm", f"another unit runs from a copy of the card of unit {self._core.unit}: find it")

    def on_welcome(self, source: int, welcome: m.Welcome) -> None:
        self._seal.on_welcome(source, welcome, self._core.now)
        if source == self._core.unit:
            self.cloned = True
            del self._wanted[source]
            return
        self._core.say(source, m.Ready())
        self._made(source)

    def on_introduced(self, unit: int) -> None:
        if self._seems_restarted(unit):
            self.want(unit)
        wanted, meant = self._wanted.get(unit), (self._seal.epoch, self._seal.introduced(unit))
        if wanted is not None and wanted.meant != meant and self._begun.take(unit, self._core.now):
            wanted.hello, wanted.meant, wanted.tries, wanted.next_at = None, meant, 0, self._core.now

    def new_epoch(self) -> None:
        """What was begun under the old roster's secret is begun anew."""
        for unit, wanted in list(self._wanted.items()):
            if self._seal.is_member(unit):
                wanted.hello, wanted.next_at, wanted.tries = None, self._core.now, 0
            else:
                del self._wanted[unit]

    def _made(self, unit: int) -> None:
        wanted = self._wanted.pop(unit, None)
        for message in [] if wanted is None else wanted.parked:
            self._core.say(unit, message)

    def tick(self) -> None:
        now = self._core.now
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            for unit in self._seal.due(now):
                if self._core.hears(unit):
                    self.want(unit)
        for unit, wanted in list(self._wanted.items()):
            if now >= wanted.next_at:
                self._try(unit, wanted)

    def _try(self, unit: int, wanted: _Wanted) -> None:
        core = self._core
        if (unit, wanted.hello) in core.outbox:  # many wait for a slow channel: it has not been said yet
            wanted.next_at = core.now + FIRST_TRY_S
            return
        if wanted.tries >= MAX_TRIES:
            del self._wanted[unit]
            self._seal.give_up(unit)
            if self._seems_restarted(unit):
                why = "it does not hear this unit, or somebody says again what it once said"
                self._unproved(unit, f"unit {unit} has introduced itself and answers no handshake: {why}")
            return
        wanted.next_at = core.now + FIRST_TRY_S * 2**wanted.tries * (0.75 + 0.5 * core.rng.random())
        wanted.tries += 1
        boot = self._seal.introduced(unit)
        if boot is None:
            wanted.hello = None
        elif wanted.hello is None or self._seal.heard_of_others(unit, wanted.hello.peer_boot):
            wanted.hello, wanted.meant = self._seal.begin(unit, wanted.tries - 1), (self._seal.epoch, boot)
        if wanted.hello is None:
            self._ask_for_beacon()
        else:
            core.say(unit, wanted.hello)

    def deadline(self) -> float | None:
        if not self._wanted:
            return self._look_at
        return min(self._look_at, *(wanted.next_at for wanted in self._wanted.values()))
