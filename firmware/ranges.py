"""Sets of bytes of a picture, kept as few half-open ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

# Most ranges in a set that packets of a peer build: a named end to its memory (about 100 kB). Chosen far above what an
# honest sender can leave open: 1 s of a line of 1 Mbit/s in parts of 170 bytes, every second one lost, is 300.
MAX_RANGES = 512


class RangeSet:
    """Byte positions as pairs (start, stop), start included, stop not: sorted, disjoint, none adjacent or empty.

    Iterating gives the pairs, len() their number, `size_bytes` the positions in all. A set changes in place and is
    therefore not hashable; copy() gives one that stays as it is.
    """

    __slots__ = ("_starts", "_stops", "size_bytes")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.size_bytes = 0
        for start, stop in pairs:
            self.add(start, stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._stops, strict=True)

    def __len__(self) -> int:
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    @property
    def stop(self) -> int:
        """The end of the last range, 0 for the empty set."""
        return self._stops[-1] if self._stops else 0

    def copy(self) -> RangeSet:
        """An equal set of its own."""
        made = RangeSet()
        made._starts, made._stops, made.size_bytes = self._starts[:], self._stops[:], self.size_bytes
        return made

    def add(self, start: int, stop: int) -> None:
        """Make start..stop part of the set; an empty range changes nothing. 0 <= start <= stop."""
        assert 0 <= start <= stop, (start, stop)
        if start == stop:
            return
        first, last = self._touching(start, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._replace(first, last, [(start, stop)])

    def subtract(self, start: int, stop: int) -> None:
        """Take start..stop out of the set, as far as it is in it. 0 <= start <= stop."""
        assert 0 <= start <= stop, (start, stop)
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if first < last and start < stop:
            left = (self._starts[first], start)
            right = (stop, self._stops[last - 1])
            self._replace(first, last, [pair for pair in (left, right) if pair[0] < pair[1]])

    def covers(self, start: int, stop: int) -> bool:
        """Whether every byte of start..stop is in the set; an empty range always is."""
        if start >= stop:
            return True
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._stops[index] >= stop

    def __contains__(self, position: int) -> bool:
        return self.covers(position, position + 1)

    def grows_by_adding(self, start: int, stop: int) -> bool:
        """Whether add(start, stop) would make the set one range longer: ask before adding what a peer says."""
        first, last = self._touching(start, stop)
        return start < stop and first == last

    def gaps(self, start: int, stop: int) -> RangeSet:
        """What of start..stop is not in the set."""
        made = RangeSet()
        first = bisect_right(self._stops, start)
        for index in range(first, bisect_left(self._starts, stop)):
            made.add(start, max(start, self._starts[index]))
            start = self._stops[index]
        made.add(min(start, stop), stop)
        return made

    def missing(self, size_bytes: int) -> RangeSet:
        """What of a picture of this size is not in the set."""
        return self.gaps(0, size_bytes)

    def first_gap(self) -> int:
        """The lowest position that is not in the set."""
        return self._stops[0] if self._starts and self._starts[0] == 0 else 0

    def beginning(self, limit: int) -> RangeSet:
        """The first ranges, at most `limit` of them."""
        made = RangeSet()
        made._starts, made._stops = self._starts[:limit], self._stops[:limit]
        made.size_bytes = sum(made._stops) - sum(made._starts)
        return made

    def _touching(self, start: int, stop: int) -> tuple[int, int]:
        """Indices first..last of the ranges that overlap start..stop or are adjacent to it."""
        return bisect_left(self._stops, start), bisect_right(self._starts, stop)

    def _replace(self, first: int, last: int, pairs: list[tuple[int, int]]) -> None:
        self.size_bytes += sum(self._starts[first:last]) - sum(self._stops[first:last])
        self.size_bytes += sum(stop - start for start, stop in pairs)
        self._starts[first:last] = [start for start, _ in pairs]
        self._stops[first:last] = [stop for _, stop in pairs]
