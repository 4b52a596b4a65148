"""What one connection is owed, in order of market time: one heap over all pairs it follows."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from ingest.simulator.clock import MINUTE_MS
from ingest.simulator.market import Update, updates


class Due(NamedTuple):
    """An update that is to be sent; times are market time in Unix milliseconds."""

    at_ms: int
    pair: str
    timestamp: int
    update: Update


class Schedule:
    """Updates of the followed pairs, made a minute at a time."""

    def __init__(self, seed: int, updates_per_minute: int) -> None:
        self._seed, self._updates_per_minute = seed, updates_per_minute
        # The number breaks ties, and tells a subscription from an earlier one of the same pair.
        self._numbers = count()
        self._heap: list[tuple[int, int, Due, Iterator[Due]]] = []
        self._active: dict[str, int] = {}

    def __contains__(self, pair: str) -> bool:
        return pair in self._active

    def __len__(self) -> int:
        return len(self._active)

    def add(self, pair: str, from_ms: int, *, with_running: bool) -> None:
        """Follow a pair that trades.

        Args:
            pair: A listed, open pair.
            from_ms: Market time of the first update.
            with_running: Whether a candle that runs at ``from_ms`` is sent at that moment, as it stands.
        """
        number = self._active[pair] = next(self._numbers)
        self._push(number, self._from(pair, from_ms, with_running))

    def remove(self, pair: str) -> None:
        """Follow a pair no longer."""
        self._active.pop(pair, None)

    def next_ms(self) -> int | None:
        """Market time of the next update; None if nothing is followed."""
        self._skip_removed()
        return self._heap[0][0] if self._heap else None

    def pop(self, until_ms: int) -> Due | None:
        """The next update up to and including ``until_ms`` (market time); None if there is none yet."""
        self._skip_removed()
        if not self._heap or self._heap[0][0] > until_ms:
            return None
        _, number, due, rest = self._heap[0]
        following = next(rest)
        heapq.heapreplace(self._heap, (following.at_ms, number, following, rest))
        return due

    def running(self, pair: str, timestamp: int, until_ms: int) -> Due | None:
        """The candle of a minute as it stands at ``until_ms`` (inclusive); None if it has no update yet."""
        seen = [due for due in self._minute(pair, timestamp) if due.at_ms <= until_ms]
        return seen[-1] if seen else None

    def _skip_removed(self) -> None:
        while self._heap and self._active.get(self._heap[0][2].pair) != self._heap[0][1]:
            heapq.heappop(self._heap)

    def _push(self, number: int, dues: Iterator[Due]) -> None:
        first = next(dues)
        heapq.heappush(self._heap, (first.at_ms, number, first, dues))

    def _from(self, pair: str, from_ms: int, with_running: bool) -> Iterator[Due]:
        """All updates from a moment on; a market never ends."""
        timestamp = from_ms // MINUTE_MS * MINUTE_MS
        if with_running and (standing := self.running(pair, timestamp, from_ms)):
            yield standing._replace(at_ms=from_ms)
        yield from (due for due in self._minute(pair, timestamp) if due.at_ms > from_ms)
        for number in count(1):
            yield from self._minute(pair, timestamp + number * MINUTE_MS)

    def _minute(self, pair: str, timestamp: int) -> Iterator[Due]:
        for update in updates(self._seed, pair, timestamp, self._updates_per_minute):
            yield Due(timestamp + update.offset_ms, pair, timestamp, update)
