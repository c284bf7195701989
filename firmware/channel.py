"""Taking turns on a half-duplex radio: listen before talk, hold-off while others exchange, back-off (DESIGN §7).

Carrier sense multiple access with collision avoidance, as IEEE 802.11 has it (its distributed coordination function):
what is said on the air names its airtime, for how long the exchange that it belongs to goes on behind it. Whoever is
addressed has the channel until then, to answer or to go on; all others hold off. Where nothing is announced, whoever
wants to speak waits until the channel has been idle for a random number of slots, counted only while it is idle; the
window they are drawn from is doubled while an expected answer has not come, which is how collisions show.

A turn is some short messages, or the parts of one burst. A burst among others that contend begins with a question, one
short part: the REPORT that answers it shows that the other side hears us, gives us the channel for the burst, and
silences those that only the other side reaches (hidden stations), before the long one is risked. Short messages draw
from earlier slots, and so do bursts of read-outs, for which somebody waits (classes of access, as 802.11e has them):
while one goes on, copies get few turns. A back-off that was interrupted goes on where it stood, so that who has waited
longest comes first: that is what makes shares equal.
"""

from __future__ import annotations

import enum
import random

from hal.light_dataclass import dataclass

SLOT_S = 0.010
"""One slot: bytes on the air are known everywhere within this. Guess: 4 ms in a driver, a turn of a loop."""
GAP_S = 0.025
"""The channel is idle once nothing has been heard for so long. Guess: USB adapters hold bytes back for 16 ms, and a
busy board or emulator is late; an answer comes sooner."""
URGENT_SLOTS = 8
"""Short messages draw from so many slots. Where others contend, bursts draw from those behind them."""
SLOTS_PER_UNIT = 5
"""The window for a burst, for each unit that contends. A collision of questions costs about 12 slots; the best window
for n units is then near 2 n sqrt(12 / 2) (Bianchi 2000)."""
READ_OUT_UNITS = 2
"""Where others contend, a read-out's burst draws from a window for so many units: seldom is more than one read out."""
MOST_DOUBLINGS = 1
"""Both windows are doubled where an answer did not come, so often at most (802.11: 6 times): the number of units is
known from what is heard, and whoever doubles without end is starved by those who do not."""
BURST_S = 1.2
"""Line time of one burst: an announced turn costs about 0.1 s, and nobody waits for long. With transfer's limit of what
may be in flight, 13.8 kB at 115200."""
TURNAROUND_S = 0.060
"""From the end of a packet to the beginning of its answer: a slow board's loop, a commit on a card. Guess."""
ANSWER_BYTES = 80
"""On the line, of the answer that a burst or a question gets: a REPORT with a dozen ranges."""
SILENCE_S = 0.100
"""What a sender has announced is over when nothing has been heard for so long: its exchange has failed. What an
answering unit has announced holds all the same: the one that it answers may be out of our range."""
LONGEST_HOLD_S = 4.0
"""An announcement is believed for no longer: twice a burst with its question. The clear header proves nothing."""
CONTENDS_S = 15.0
"""So long after its last burst was heard another unit counts as contending: a round of ten units' bursts."""
MAX_BURSTING = 64
"""Units counted as contending; more than any channel has."""
MAX_ANNOUNCED = 64
"""Exchanges held off for at once; in range of one another there is one, of hidden units a few."""


class Turn(enum.Enum):
    """What may be said now."""

    NONE = "nothing"
    SHORT = "short messages"
    ANY = "bursts too"


class Wish(enum.IntEnum):
    """What the channel is wanted for, the most urgent first."""

    SHORT = 0
    READ_OUT = 1
    COPY = 2


class Said(enum.Enum):
    """What kind of packet came."""

    ANSWER = "what it announces is for whoever it answers"
    PART = "of a burst"
    OTHER = "any other"


@dataclass(frozen=True, slots=True)
class _Announced:
    """What a unit has announced last: an exchange with that one, until then."""

    destination: int
    until: float
    is_answer: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """The channel is given to us by this unit, for what it expects from us, between these times."""

    unit: int
    begins: float
    ends: float


class Channel:
    """Whose turn it is, as far as this unit knows. Times are monotonic seconds; `heard_at` is the radio's.

    Before each packet ask turn(); tell sent() of each packet, over() when nothing is left to be said, and heard() of
    each packet that came or was overheard.
    """

    def __init__(self, rng: random.Random, line_bytes_per_s: float) -> None:
        self._rng = rng
        self._line_bytes_per_s = line_bytes_per_s
        self._turn = Turn.NONE
        self._sent_until = float("-inf")  # the line is taking what we have sent
        self._announced: dict[int, _Announced] = {}  # by others, of others' exchanges
        self._grant: Grant | None = None
        self._awaited_until: float | None = None  # when the answer to us must have come
        self._failures = 0  # answers in a row that did not come
        self._bursting: dict[int, float] = {}  # other units -> when a part of a burst of theirs was heard
        self._left_s: float | None = None  # of the back-off; None: not drawn
        self._left_for = Wish.COPY  # what it was drawn for
        self._copy_left_s: float | None = None  # of a copy's back-off, while something more urgent goes first
        self._answering = False  # this turn was given to us: it uses up no back-off
        self._idle_from = float("-inf")  # the back-off runs from here on
        self._ran_from: float | None = None  # it ran from here on, until a time that is not known yet
        self._looked_at = float("-inf")

    @property
    def answer_s(self) -> float:
        """What an answer takes, from the end of the question."""
        return TURNAROUND_S + ANSWER_BYTES / self._line_bytes_per_s

    @property
    def burst_bytes(self) -> int:
        """The longest burst."""
        return int(BURST_S * self._line_bytes_per_s)

    # ------------------------------------------------------------ whose turn is it

    def turn(self, now: float, heard_at: float, wish: Wish) -> Turn:
        """What may be said now. wish: SHORT where a short message waits, or what a grant is for; else a burst."""
        if self._turn is Turn.NONE and wish is Wish.SHORT and self._is_granted(now):
            self._turn, self._answering = Turn.SHORT, True
        if self._turn is Turn.NONE:
            self._answering = False
            self._look(now, heard_at)
            left_s = self._left(now, wish)
            if now >= self._idle_from + left_s:
                self._turn = Turn.SHORT if wish is Wish.SHORT else Turn.ANY
        return self._turn

    def _is_granted(self, now: float) -> bool:
        """Whether we may answer now, and do not wait for an answer ourselves."""
        grant = self._grant
        return grant is not None and grant.begins <= now < grant.ends and self._awaited_until is None

    def is_granted_by(self, unit: int, now: float) -> bool:
        """Whether this unit has given us the channel, now or soon."""
        return self._grant is not None and self._grant.unit == unit and now < self._grant.ends

    def is_contended(self, now: float) -> bool:
        """Whether others have sent bursts lately."""
        return self._contending(now) > 0

    def round_s(self, now: float) -> float:
        """How long the others that contend have the channel before each of them has sent one burst."""
        return self._contending(now) * (BURST_S + self.answer_s)

    def _contending(self, now: float) -> int:
        """Others that have sent bursts lately."""
        if self._bursting and min(self._bursting.values()) < now - CONTENDS_S:
            self._bursting = {unit: at for unit, at in self._bursting.items() if at >= now - CONTENDS_S}
        return len(self._bursting)

    def deadline(self) -> float | None:
        """When turn() may have another answer; None while it is ours, or nothing was to be said."""
        if self._turn is not Turn.NONE or self._left_s is None:
            return None
        backed_off_at = self._idle_from + self._left_s
        grant = self._grant
        return backed_off_at if grant is None or grant.begins <= self._looked_at else min(backed_off_at, grant.begins)

    def _left(self, now: float, wish: Wish) -> float:
        """The back-off, drawn where nothing was to be said before, or something of another kind."""
        if self._left_s is None:
            self._left_s, self._idle_from = self._draw(wish), max(self._idle_from, now)  # others woke, too
        elif wish < self._left_for:
            if self._left_for is Wish.COPY:
                self._copy_left_s = self._left_s
            self._left_s = min(self._left_s, self._draw(wish))
        elif wish > self._left_for:  # what was more urgent has lapsed
            kept_s = self._copy_left_s if wish is Wish.COPY else None
            self._left_s = self._draw(wish) if kept_s is None else kept_s
            if wish is Wish.COPY:
                self._copy_left_s = None
        self._left_for = wish
        return self._left_s

    def _draw(self, wish: Wish) -> float:
        others = self._contending(self._looked_at)
        if wish is Wish.SHORT:
            window = URGENT_SLOTS
        elif wish is Wish.READ_OUT:
            window = SLOTS_PER_UNIT * min(READ_OUT_UNITS, 1 + others)
        else:
            window = SLOTS_PER_UNIT * (1 + others)
        window <<= min(self._failures, MOST_DOUBLINGS)
        behind = URGENT_SLOTS if others and wish is Wish.COPY else 0
        return SLOT_S * (self._rng.randrange(window) + behind)

    def _look(self, now: float, heard_at: float) -> None:
        """Since when the channel is idle. Where it was busy since the last look, the back-off stood still."""
        silent_at = max(heard_at, self._sent_until) + SILENCE_S
        if self._awaited_until is not None and now >= min(self._awaited_until, silent_at):
            self._awaited_until = None
            self._failures += 1
        idle_from = max(heard_at, self._sent_until) + GAP_S
        if self._grant is not None and now < self._grant.ends:
            idle_from = max(idle_from, min(self._grant.begins, silent_at))
        for announced in self._announced.values():
            idle_from = max(idle_from, announced.until if announced.is_answer else min(announced.until, silent_at))
        if self._awaited_until is not None:
            idle_from = max(idle_from, min(self._awaited_until, silent_at))
        if now < self._idle_from:  # a hold-off that was to last longer may be over
            self._idle_from = max(idle_from, min(now, self._idle_from))
        self._stand_still(idle_from)
        if now >= self._idle_from:
            self._ran_from = None
        self._looked_at = now

    def _stand_still(self, idle_from: float) -> None:
        """The channel is busy until then. How long it was idle before is known once a packet tells when it began."""
        if idle_from > self._idle_from:
            if self._ran_from is None:
                self._ran_from = self._idle_from
            self._idle_from = idle_from

    def _count(self, busy_from: float) -> None:
        """What of the back-off ran until this time counts."""
        if self._ran_from is not None and self._left_s is not None:
            ran_s = max(0.0, busy_from - self._ran_from)
            self._left_s = max(0.0, self._left_s - ran_s)
            if self._copy_left_s is not None:
                self._copy_left_s = max(0.0, self._copy_left_s - ran_s)
        self._ran_from = None

    # ------------------------------------------------------------ what was said

    def sent(self, destination: int, wire_bytes: int, airtime_s: float, now: float) -> None:
        """A packet was handed to the radio, with this announcement (0: none)."""
        self._sent_until = max(now, self._sent_until) + wire_bytes / self._line_bytes_per_s
        self._awaited_until = self._sent_until + airtime_s if airtime_s > 0 else None
        if self._grant is not None and destination == self._grant.unit:
            self._grant = None
        if not self._answering:
            self._take_up(now)
        self._idle_from, self._ran_from = max(self._idle_from, self._sent_until + GAP_S), None

    def _take_up(self, now: float) -> None:
        """The back-off is used up; that of a copy goes on behind what was more urgent."""
        kept_s, self._copy_left_s = self._copy_left_s, None
        self._left_s = None if kept_s is None else max(0.0, kept_s - max(0.0, now - self._idle_from))
        self._left_for = Wish.COPY

    def nothing_to_say(self) -> None:
        """What was to be said has lapsed."""
        self._left_s = self._copy_left_s = None

    def over(self) -> None:
        """Nothing is left to be said in this turn."""
        self._turn = Turn.NONE

    def heard(
        self,
        source: int,
        destination: int,
        wire_bytes: int,
        *,
        to_us: bool,
        airtime_s: float,
        said: Said,
        now: float,
    ) -> float:
        """A packet came, or was overheard; airtime_s: 0 where it announces nothing. When we may answer at once."""
        self._stand_still(now + GAP_S)
        self._count(now - wire_bytes / self._line_bytes_per_s)
        self._supersede(source, destination, now)
        ends = now + min(airtime_s, LONGEST_HOLD_S)
        if said is Said.PART and (source in self._bursting or len(self._bursting) < MAX_BURSTING):
            self._bursting[source] = now
        if to_us:
            self._awaited_until = None
            self._failures = 0
            if airtime_s <= 0:
                return now
            self._grant = Grant(source, now if said is Said.ANSWER else max(now, ends - self.answer_s), ends)
            return self._grant.begins
        if airtime_s > 0 and len(self._announced) < MAX_ANNOUNCED:
            self._announced[source] = _Announced(destination, ends, said is Said.ANSWER)
        return now

    def _supersede(self, source: int, destination: int, now: float) -> None:
        """A unit has spoken: what it has announced before is over, and so is what was announced for this answer."""

        def is_over(unit: int, announced: _Announced) -> bool:
            answered = unit == destination and announced.destination == source and not announced.is_answer
            return unit == source or answered or announced.until <= now

        self._announced = {unit: one for unit, one in self._announced.items() if not is_over(unit, one)}
