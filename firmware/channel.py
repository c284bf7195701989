"""Taking turns on a half-duplex radio: listen before talk, hold-off while others exchange, back-off (DESIGN §7).

Carrier sense multiple access with collision avoidance, as IEEE 802.11 has it (its distributed coordination function):
what is said on the air names its airtime, for how long the exchange that it belongs to goes on behind it. Whoever is
addressed has the channel until then, to answer or to go on; all others hold off. Where nothing is announced, whoever
wants to speak waits until the channel has been idle for a random number of slots, counted only while it is idle; the
window they are drawn from doubles each time that an expected answer does not come, which is how collisions show.

A turn is some short messages, or the parts of one burst. A burst among others that contend begins with a question, one
short part: the REPORT that answers it shows that the other side hears us, gives us the channel for the burst, and
silences those that only the other side reaches (hidden stations), before the long one is risked. Short messages draw
from slots before all bursts. Who has just sent a burst lets the others go first, which is what makes shares equal.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass

SLOT_S = 0.010
"""One slot: bytes on the air are known everywhere within this. Guess: 4 ms in a driver, a turn of a loop."""
URGENT_SLOTS = 4
"""Short messages draw from so many slots; bursts from those behind them."""
FEWEST_SLOTS, MOST_SLOTS = 8, 64
"""The window for a burst, doubled by each answer that does not come (802.11: 16 to 1024, of much shorter slots)."""
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
OTHERS_S = 10.0
"""So long after another unit's burst was heard the channel counts as contended: a round of eight units' bursts."""


class Turn(enum.Enum):
    """What may be said now."""

    NONE = "nothing"
    SHORT = "short messages"
    ANY = "bursts too"


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
        self._sender_until = float("-inf")  # others' exchanges, as their senders have announced
        self._answer_until = float("-inf")  # and as those have who answer them
        self._grant: Grant | None = None
        self._awaited_until: float | None = None  # when the answer to us must have come
        self._failures = 0  # answers in a row that did not come
        self._others_at = float("-inf")  # another's exchange was heard
        self._left_s: float | None = None  # of the back-off; None: not drawn
        self._left_urgent = False
        self._idle_from = float("-inf")  # the back-off runs from here on
        self._looked_at = float("-inf")
        self._had_burst = False  # our last turn was one

    @property
    def answer_s(self) -> float:
        """What an answer takes, from the end of the question."""
        return TURNAROUND_S + ANSWER_BYTES / self._line_bytes_per_s

    @property
    def burst_bytes(self) -> int:
        """The longest burst."""
        return int(BURST_S * self._line_bytes_per_s)

    # ------------------------------------------------------------ whose turn is it

    def turn(self, now: float, heard_at: float, *, urgent: bool) -> Turn:
        """What may be said now. urgent: a short message waits, or what a grant is for; else only a burst."""
        grant = self._grant
        if self._turn is Turn.NONE and grant is not None and urgent and grant.begins <= now < grant.ends:
            self._turn = Turn.SHORT
        if self._turn is Turn.NONE:
            self._look(now, heard_at)
            if self._left_s is None or (urgent and not self._left_urgent):
                drawn_s = self._draw(urgent=urgent)
                self._left_s = drawn_s if self._left_s is None else min(drawn_s, self._left_s)
                self._left_urgent = urgent
            if now >= self._idle_from + self._left_s:
                self._turn = Turn.SHORT if self._left_urgent else Turn.ANY
        return self._turn

    def is_granted_by(self, unit: int, now: float) -> bool:
        """Whether this unit has given us the channel, now or soon."""
        return self._grant is not None and self._grant.unit == unit and now < self._grant.ends

    def is_contended(self, now: float) -> bool:
        """Whether others have exchanged something lately."""
        return now < self._others_at + OTHERS_S

    def deadline(self) -> float | None:
        """When turn() may have another answer; None while it is ours, or nothing was to be said."""
        if self._turn is not Turn.NONE or self._left_s is None:
            return None
        backed_off_at = self._idle_from + self._left_s
        grant = self._grant
        return backed_off_at if grant is None or grant.begins <= self._looked_at else min(backed_off_at, grant.begins)

    def _draw(self, *, urgent: bool) -> float:
        window = min(MOST_SLOTS, FEWEST_SLOTS << min(self._failures, 8))
        if urgent:
            return SLOT_S * self._rng.randrange(max(URGENT_SLOTS, window // 2 if self._failures else 0))
        after_us = window if self._had_burst and self.is_contended(self._looked_at) else 0
        return SLOT_S * (URGENT_SLOTS + after_us + self._rng.randrange(window))

    def _look(self, now: float, heard_at: float) -> None:
        """Since when the channel is idle. Where it was busy since the last look, the back-off stood still."""
        silent_at = max(heard_at, self._sent_until) + SILENCE_S
        if self._awaited_until is not None and now >= min(self._awaited_until, silent_at):
            self._awaited_until = None
            self._failures += 1
        held_until = max(self._answer_until, min(self._sender_until, silent_at))
        if self._awaited_until is not None:
            held_until = max(held_until, min(self._awaited_until, silent_at))
        idle_from = max(heard_at + SLOT_S, self._sent_until + SLOT_S, held_until)
        if idle_from > self._idle_from:
            if self._left_s is not None:
                self._left_s = max(0.0, self._left_s - max(0.0, self._looked_at - self._idle_from))
            self._idle_from = idle_from
        self._looked_at = now

    # ------------------------------------------------------------ what was said

    def sent(self, destination: int, wire_bytes: int, airtime_s: float, now: float) -> None:
        """A packet was handed to the radio, with this announcement (0: none)."""
        self._sent_until = max(now, self._sent_until) + wire_bytes / self._line_bytes_per_s
        self._awaited_until = self._sent_until + airtime_s if airtime_s > 0 else None
        if self._grant is not None and destination == self._grant.unit:
            self._grant = None
        self._left_s = None

    def over(self, *, burst: bool) -> None:
        """Nothing is left to be said in this turn. burst: it was one."""
        if self._turn is not Turn.NONE:
            self._turn = Turn.NONE
            self._had_burst = burst

    def heard(self, source: int, *, to_us: bool, airtime_s: float, is_answer: bool, now: float) -> float:
        """A packet came, or was overheard; airtime_s: 0 where it announces nothing. When we may answer at once."""
        ends = now + min(airtime_s, LONGEST_HOLD_S)
        if to_us:
            self._awaited_until = None
            self._failures = 0
            if airtime_s <= 0:
                return now
            self._grant = Grant(source, now if is_answer else max(now, ends - self.answer_s), ends)
            return self._grant.begins
        if airtime_s > 0:
            self._others_at = now
            if is_answer:
                self._answer_until = max(self._answer_until, ends)
            else:
                self._sender_until = max(self._sender_until, ends)
        return now
