"""Asking an XBee module what it is: one AT command after the other, each repeated while it is not answered.

Without port and clock: whoever has them writes what next_frame() gives and hands in what comes.
"""

from __future__ import annotations

from typing import Final

from hal.xbee_frames import AtCommand, AtResponse, AtStatus
from hal.xbee_framing import ApiMode
from hal.xbee_module import ASKED, WANTED, Module

ANSWER_S: Final = 0.3
"""So long an answer is waited for: modules take 10 ms, more while they are sending. Guess."""
TRIES: Final = 3
"""So often one command is said before the module counts as not answering."""
AGAIN_S: Final = 2.0
"""Pause before a module that did not answer is asked again. Guess: its power came back, or it was plugged in."""
ROUNDS: Final = 3
"""So often a round is begun, without one that ends, before the module counts as not answering: it restarts faster than
it can tell what it is."""

FIRST_ID: Final = 1
"""Frame id of the first command, and not of packets: with it neither AP's question nor its answer holds a byte that is
escaped in mode 2, so that both modes read them alike."""


class Inquiry:
    """Rounds of questions, begun with begin(). module: as the last whole round has told; None before, and where the
    module has stopped answering, which `failed` says: then it is asked again, and again.
    """

    def __init__(self) -> None:
        self.module: Module | None = None
        self.mode = ApiMode.PLAIN
        self.failed = False
        self._is_under_way = False
        self._settings: dict[str, int] = {}
        self._rounds = 0  # begun since one has ended
        self._at = 0  # in ASKED
        self._tries = 0
        self._due = float("-inf")  # when the command is to be said (again)

    @property
    def is_open(self) -> bool:
        """Whether an answer is to be expected before long."""
        return self._is_under_way and not self.failed

    @property
    def answered(self) -> int:
        """Questions of this round that have their answer."""
        return self._at

    def begin(self, now: float) -> None:
        """Ask everything anew, from now on; after too many rounds without an end in a while, and it has failed."""
        self._is_under_way = True
        self._rounds = min(self._rounds + 1, ROUNDS + 1)
        if self._rounds > ROUNDS:
            self._fail(now)
            return
        self._settings = {}
        self._at = self._tries = 0
        self._due = now

    def next_frame(self, now: float) -> AtCommand | None:
        """The command to be written now; None: none."""
        if not self._is_under_way or now < self._due:
            return None
        if self._tries >= TRIES:
            self._fail(now)
            return None
        self._tries += 1
        self._due = now + ANSWER_S
        return AtCommand(frame_id=FIRST_ID + self._at, command=ASKED[self._at])

    def take(self, answer: AtResponse, now: float) -> None:
        """An answer has come."""
        if not self._is_under_way or (answer.frame_id, answer.command) != (FIRST_ID + self._at, ASKED[self._at]):
            return  # to an earlier command, or a repeated one
        if answer.status == AtStatus.OK and answer.value:
            self._settings[answer.command] = int.from_bytes(answer.value, "big")
        elif answer.command in WANTED:
            self._tries = TRIES
            self._due = now
            return
        if answer.command == "AP":
            self.mode = ApiMode.ESCAPED if self._settings["AP"] == ApiMode.ESCAPED else ApiMode.PLAIN
        self._at += 1
        self._tries = 0
        self._due = now
        if self._at == len(ASKED):
            self.module = Module(self._settings)
            self._is_under_way = self.failed = False
            self._rounds = 0

    def deadline(self) -> float | None:
        """When next_frame() may have something that it had not; None while nothing is asked."""
        return self._due if self._is_under_way else None

    def _fail(self, now: float) -> None:
        """Not answered: what was known of it may hold no more. Begin again in a while."""
        self.module = None
        self.failed = True
        self.mode = ApiMode.PLAIN
        self._settings = {}
        self._at = self._tries = 0
        self._due = now + AGAIN_S
