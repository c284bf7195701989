"""What is known of the link to one neighbour: round trip, loss and rate; kept between transfers, shared by all.

Loss is reckoned per byte: bit errors and lost chunks hit long parts more often than short ones, so that "loss per
part" would change with our own cutting. With lambda errors per byte a part of L bytes and o bytes of overhead gets
through with probability exp(-lambda (L + o)), and the line carries L / (L + o) * exp(-lambda (L + o)) of its rate.
That is greatest where L (L + o) = o / lambda, so about sqrt(o / lambda): the longest parts on a clean line, 160 bytes
at a bit error rate of 1e-4 and 24 bytes of overhead. The top is flat: lambda wrong by a factor of 2 costs about 2 %.
"""

from __future__ import annotations

import math

MAX_PART_BYTES = 4096  # longest part on any link (DESIGN §7)
SHORTEST_PART_BYTES = 64  # no part is cut shorter, however bad the link: below, overhead eats what is won (computed)

# What is assumed of a link of which nothing is known: FIRST_ERRORS in FIRST_BYTES, so parts of about 1 kB. Worth as
# much as 16 kB of experience: the first 50 kB without an error double the parts, the first error halves them (guess).
FIRST_BYTES = 16_000
FIRST_ERRORS = FIRST_BYTES * 24 / 1024**2

MEMORY_BYTES = 128_000  # experience older than this many bytes has faded to 1/e: 150 errors at 1e-4 per bit (guess)
FEWEST_ERRORS = 1e-6  # keeps lambda above 0; 130 GB without an error
TYPICAL_OVERHEAD_BYTES = 24  # seal, header, CRC and delimiters of one part, for `loss` only

# Longest part in line time, in seconds, but never under 1 kB: bounds how long a report or a short packet waits, and
# how much is in flight when the link is cut (HANDOVER R8); 2.9 kB at 115200 cost 0.3 % against 4 kB.
PART_S = 0.25
PART_BYTES = 1024

RTT_GAIN, VARIANCE_GAIN = 1 / 8, 1 / 4  # RFC 6298 §2.3
SHORTEST_TIMEOUT_S = 0.1  # late turns of two loops and a thread; RFC 6298 says 1 s, which no short link needs
# A link that comes back is found within this, and what loses the questions or their answers in a row (a burst on a way
# that carries little else can take a dozen) costs so much each. A question is one short part: 1 % of a line at 115200.
LONGEST_TIMEOUT_S = 1.0
MOST_DOUBLINGS = 16  # a number that stays small; LONGEST_TIMEOUT_S ends the doubling long before
FIRST_ANSWER_S = 0.25  # assumed for the neighbour's answer before the first round trip was measured (guess)
FIRST_VARIANCE = 1 / 4  # of that round trip; RFC 6298 says 1/2, for unknown networks instead of a line of known rate
FRAMES_AHEAD = 2  # frames of ours that the line may have to take before an answer can come (DESIGN §3, HAL radio)

RATE_MEMORY_S = 4.0  # the rate follows a change within a few seconds (guess)


class LinkEstimate:
    """Experience with one neighbour. line_bytes_per_s: of the radio; rates and sizes in bytes unless said."""

    def __init__(self, line_bytes_per_s: float) -> None:
        assert line_bytes_per_s > 0
        self.line_bytes_per_s = line_bytes_per_s
        self.rtt_s: float | None = None  # smoothed; None before the first sample
        self._variance_s = 0.0
        self._errors = FIRST_ERRORS
        self._bytes = float(FIRST_BYTES)
        self._rate_bytes_per_s: float | None = None

    # ------------------------------------------------------------ round trip

    def took(self, seconds: float) -> None:
        """A round trip was measured: from handing a part to the radio to the report on it (RFC 6298 §2)."""
        if self.rtt_s is None:
            self.rtt_s, self._variance_s = seconds, seconds / 2
            return
        self._variance_s += VARIANCE_GAIN * (abs(self.rtt_s - seconds) - self._variance_s)
        self.rtt_s += RTT_GAIN * (seconds - self.rtt_s)

    @property
    def expected_rtt_s(self) -> float:
        """The smoothed round trip, or before the first sample a guess from the line's rate."""
        if self.rtt_s is not None:
            return self.rtt_s
        return FIRST_ANSWER_S + FRAMES_AHEAD * PART_BYTES / self.line_bytes_per_s

    def timeout_s(self, tries: int = 0, wire_bytes: int = 0) -> float:
        """How long to wait for an answer to a frame of this size before asking again; doubles with each try.

        Never less than the line needs for the frame and one before it, whatever shorter ones took.
        """
        rtt_s = self.expected_rtt_s
        variance_s = self._variance_s if self.rtt_s is not None else rtt_s * FIRST_VARIANCE
        on_line_s = FRAMES_AHEAD * wire_bytes / self.line_bytes_per_s
        once_s = max(rtt_s + 4 * variance_s, on_line_s + SHORTEST_TIMEOUT_S)
        return max(once_s, min(LONGEST_TIMEOUT_S, float(once_s * 2 ** min(tries, MOST_DOUBLINGS))))

    # ------------------------------------------------------------ loss

    def carried(self, wire_bytes: int) -> None:
        """A part that took so many bytes of the line got through."""
        self._fade(wire_bytes)
        self._bytes += wire_bytes

    def lost(self, wire_bytes: int) -> None:
        """A part was lost. On average half of it went well before the error, which is why half of it counts."""
        self._fade(wire_bytes)
        self._errors += 1
        self._bytes += wire_bytes / 2

    @property
    def errors_per_byte(self) -> float:
        """lambda."""
        return max(FEWEST_ERRORS, self._errors) / self._bytes

    @property
    def loss(self) -> float:
        """Share, 0..1, of parts of the length in use that get lost."""
        longest = self.part_bytes(MAX_PART_BYTES, TYPICAL_OVERHEAD_BYTES) + TYPICAL_OVERHEAD_BYTES
        return -math.expm1(-self.errors_per_byte * longest)

    def part_bytes(self, longest_bytes: int, overhead_bytes: int) -> int:
        """The length of part that gets most through; longest_bytes is what fits a packet, and is never exceeded."""
        best = math.sqrt(overhead_bytes**2 / 4 + overhead_bytes / self.errors_per_byte) - overhead_bytes / 2
        at_most = min(longest_bytes, max(PART_BYTES, int(PART_S * self.line_bytes_per_s)))
        return min(at_most, max(SHORTEST_PART_BYTES, int(best)))

    def _fade(self, wire_bytes: int) -> None:
        kept = math.exp(-wire_bytes / MEMORY_BYTES)
        self._errors *= kept
        self._bytes *= kept

    # ------------------------------------------------------------ rate

    def delivered(self, size_bytes: int, seconds: float) -> None:
        """So many new bytes of a picture arrived within this time of uninterrupted sending."""
        if seconds <= 0:
            return
        rate = size_bytes / seconds
        if self._rate_bytes_per_s is None:
            self._rate_bytes_per_s = rate
        else:
            self._rate_bytes_per_s += -math.expm1(-seconds / RATE_MEMORY_S) * (rate - self._rate_bytes_per_s)

    @property
    def rate_bps(self) -> float | None:
        """Bits of pictures per second that arrived lately, None before any did."""
        return None if self._rate_bytes_per_s is None else 8 * self._rate_bytes_per_s
