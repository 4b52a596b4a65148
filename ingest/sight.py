"""Which time of an exchange's clock has been seen, pair by pair, and which has not. Pure.

A connection delivers frames in order. So whatever exchange time a frame states, everything the exchange sent on this
connection before it has been seen. Blindness begins at the last time so proven and ends, for pairs that are
subscribed again, at the first time known afterwards. Both ends are chosen so that a gap is never too short; the
minute in which it begins counts as not fully seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingest.backlog import Seen


@dataclass(frozen=True, slots=True)
class Gap:
    """Exchange time ``[from_ms, to_ms)`` in which these pairs were not seen; Unix milliseconds."""

    from_ms: int
    to_ms: int
    pairs: tuple[str, ...]


class Sight:
    """What has been seen of the pairs of one exchange.

    A pair is *asked for* when a connection begins, then *refused* or *subscribed*, and *seen* from the first
    exchange time known after that.
    """

    def __init__(self, pairs: Sequence[str], seen_until: Mapping[str, int]) -> None:
        self._seen_until = {pair: seen_until[pair] for pair in pairs if pair in seen_until}
        self._pairs = tuple(pairs)
        self._asked: set[str] = set(pairs)
        self._subscribed: set[str] = set()
        self._refused: set[str] = set()
        self._seeing: set[str] = set()
        self._now: int | None = None
        #: The exchange's clock was below this when the newest subscription stood; None while nothing is known.
        self._bound: int | None = None

    @property
    def unanswered(self) -> list[str]:
        """The pairs that the exchange has neither accepted nor refused for good, in the order they were asked for."""
        return [pair for pair in self._pairs if pair not in self._subscribed and pair not in self._refused]

    @property
    def refused_pairs(self) -> list[str]:
        """The pairs that the exchange refused for good."""
        return [pair for pair in self._pairs if pair in self._refused]

    @property
    def subscribed(self) -> bool:
        """Whether the exchange follows at least one pair for us."""
        return bool(self._subscribed)

    def ended(self) -> None:
        """The connection is over, or frames of it were missed."""
        if self._now is not None:
            self._seen_until.update(dict.fromkeys(self._seeing, self._now))
        self._now = self._bound = None
        self._asked = set(self._pairs)
        self._subscribed, self._seeing = set(), set()

    def accepted(self, pair: str) -> None:
        """The exchange follows this pair from now on."""
        if pair in self._pairs:
            self._asked.discard(pair)
            self._subscribed.add(pair)
            self._bound = None  # it was known before this subscription

    def refused(self, pair: str, *, for_good: bool) -> None:
        """The exchange does not follow this pair."""
        if pair in self._pairs and pair not in self._subscribed:
            self._asked.discard(pair)
            if for_good:
                self._refused.add(pair)

    def wait_no_longer(self) -> None:
        """Stop waiting for answers: a pair that never gets one must not keep the others' gap open."""
        self._asked.clear()

    def at(self, now_ms: int) -> list[Gap]:
        """A frame says that the exchange's clock shows ``now_ms``; returns the gaps that end with it.

        They wait until every pair has its answer, so that a reconnect is usually one gap that names all pairs.
        """
        self._now = max(now_ms, self._now or 0)
        if self._asked:
            return []
        # The clock was below the earlier bound when that became known, so the gap may as well end there.
        return self._end_gaps(self._now if self._bound is None else min(self._now, self._bound))

    def within(self, from_ms: int, to_ms: int) -> None:
        """A frame says that the exchange's clock is in ``[from_ms, to_ms)``, as a running candle does.

        That bounds a gap, but may overstate it by a minute: `settle` ends the gap there if no exact time comes.
        """
        self._now = max(from_ms, self._now or 0)
        if self._asked or self._subscribed == self._seeing:
            return
        # What was never seen before has no gap to wait for.
        self._seeing |= self._subscribed - self._seen_until.keys()
        if self._bound is None:
            self._bound = to_ms

    def settle(self) -> list[Gap]:
        """Wait for an exact time no longer; returns the gaps that end at the bound known, if one is."""
        return [] if self._asked or self._bound is None else self._end_gaps(self._bound)

    def _end_gaps(self, to_ms: int) -> list[Gap]:
        gaps: dict[int, list[str]] = {}
        for pair in self._pairs:
            if pair not in self._subscribed or pair in self._seeing:
                continue
            from_ms = self._seen_until.get(pair)
            if from_ms is not None:
                if to_ms <= from_ms:
                    continue  # the exchange's clock is behind what it had said: wait until it is past that
                gaps.setdefault(from_ms, []).append(pair)
            self._seeing.add(pair)
            self._refused.discard(pair)
        self._bound = None
        return [Gap(from_ms, to_ms, tuple(names)) for from_ms, names in sorted(gaps.items())]

    def seen(self) -> Seen | None:
        """Up to which exchange time everything was seen, and of which pairs; None before anything was.

        Pairs refused, and pairs never seen, hold nothing up: they are left out until they are seen.
        """
        times = {pair: time for pair, time in self._seen_until.items() if pair not in self._refused}
        if self._now is not None:
            times.update(dict.fromkeys(self._seeing, self._now))
        if not times:
            return None
        return min(times.values()), tuple(pair for pair in self._pairs if pair in times)
