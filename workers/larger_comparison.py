"""The larger candles in the store against what it holds below them, some days of a pair at a time.

`workers.larger_differences` says what is right. What differs is looked at again until the bridge had its time. Nothing
is written anywhere.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ingest.candle import Interval, Series
from workers.comparison import RECHECK_SECONDS, Watch
from workers.differences import Findings, Kind
from workers.larger_differences import READ_ORDER, Days, Verdict, newest_minute
from workers.rollup import open_time
from workers.store import CandleStore

#: So many days of a pair, nearly 8,000 candles of about 1 KB, are held at once.
DAYS_AT_ONCE: Final = 4
#: How much longer than `Settings.rollup_seconds` a version may take until it is rolled up: from the exchange to the
#: store, the clocks of two machines included.
SLACK_SECONDS: Final = 5.0

_DAY_MS: Final = Interval.D1.milliseconds


@dataclass(eq=False)
class _Pair:
    """One pair on one exchange, and what is known of it."""

    #: Those of its series that the store has.
    series: list[Series]
    #: The starts of its first and after its last day with a candle (Unix milliseconds).
    first_ms: int
    end_ms: int
    #: The newest open time of its minutes from before the horizon, as far as has been read; -1: none.
    newest_ms: int = -1

    @property
    def minutes(self) -> Series:
        return self.series[0]._replace(interval=Interval.M1)

    @property
    def days(self) -> int:
        return (self.end_ms - self.first_ms) // _DAY_MS


class _Span(NamedTuple):
    """Some whole days of a pair, from its first up to before its second time (Unix milliseconds)."""

    pair: _Pair
    since_ms: int
    end_ms: int


class LargerComparison:
    """Compares the larger candles of a store with what they are made of, once."""

    def __init__(
        self,
        store: CandleStore,
        watch: Watch,
        *,
        rollup_seconds: float,
        since_ms: int | None = None,
        wait_seconds: float = 10.0,
        limit: int = 1000,
    ) -> None:
        """A comparison that `run` carries out.

        Args:
            store: The store.
            watch: Shows progress.
            rollup_seconds: How often a running candle is stored: `Settings.rollup_seconds` of the bridge.
            since_ms: From the day (UTC) on that this moment lies in (Unix milliseconds); None: all that is stored.
            wait_seconds: How long something may differ before it is a difference: the bridge's time.
            limit: So many differences are named, those that were found before included; the others are counted.
        """
        self._store, self._watch = store, watch
        self._lag_us = int((rollup_seconds + SLACK_SECONDS) * 1_000_000)
        self._since_ms = 0 if since_ms is None else open_time(since_ms, Interval.D1)
        self._wait_seconds, self._limit = wait_seconds, limit

    def run(self, findings: Findings) -> None:
        """Compare what has been written up to this moment, and add to what was found; safe beside live traffic.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        self._horizon_us = time.time_ns() // 1000 - self._lag_us
        suspects: dict[_Span, Counter[Kind]] = {}
        pairs = list(self._pairs())
        with self._watch("comparing days of larger candles", sum(pair.days for pair in pairs)) as advance:
            for pair in pairs:
                left_ms = pair.end_ms
                for span in self._spans(pair):
                    verdicts = self._look(span)
                    findings.larger += len(verdicts)
                    findings.unexplained += sum(not each.is_explained for each in verdicts)
                    if counts := _count(verdicts):
                        suspects[span] = counts
                    advance((left_ms - span.since_ms) // _DAY_MS)
                    left_ms = span.since_ms
        self._recheck(suspects)
        self._name(suspects, findings)
        findings.sort()

    def _pairs(self) -> Iterator[_Pair]:
        found: dict[tuple[str, str], list[Series]] = {}
        for series in self._store.series():
            found.setdefault((series.exchange, series.pair), []).append(series)
        for all_series in found.values():
            first = min(self._store.edges(all_series, newest=False).values(), default=None)
            last = self._last(all_series, None)
            if first is not None and last is not None and last >= self._since_ms:
                first_ms = max(self._since_ms, open_time(first, Interval.D1))
                yield _Pair(all_series, first_ms, open_time(last, Interval.D1) + _DAY_MS)

    def _last(self, all_series: Sequence[Series], until_ms: int | None) -> int | None:
        return max(self._store.edges(all_series, newest=True, until_ms=until_ms).values(), default=None)

    def _spans(self, pair: _Pair) -> Iterator[_Span]:
        """Its days, the newest first; times without a candle are left out."""
        end_ms = pair.end_ms
        while end_ms > pair.first_ms:
            since_ms = max(pair.first_ms, end_ms - DAYS_AT_ONCE * _DAY_MS)
            yield _Span(pair, since_ms, end_ms)
            last = self._last(pair.series, since_ms - 1)
            end_ms = -1 if last is None else open_time(last, Interval.D1) + _DAY_MS

    def _look(self, span: _Span) -> list[Verdict]:
        pair, since_ms, end_ms = span
        held = {
            interval: self._store.read_range(pair.minutes._replace(interval=interval), since_ms, end_ms - 1)
            for interval in READ_ORDER
        }
        # The days after these were looked at before.
        pair.newest_ms = max(pair.newest_ms, newest_minute(held[Interval.M1], self._horizon_us))
        days = Days(pair.minutes, held, newest_ms=pair.newest_ms, horizon_us=self._horizon_us)
        return list(days.verdicts())

    def _recheck(self, suspects: dict[_Span, Counter[Kind]]) -> None:
        """Look again, until all is well or the time is over, at days in which something differs."""
        deadline = time.monotonic() + self._wait_seconds
        while suspects and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, RECHECK_SECONDS))
            for span in list(suspects):
                if counts := _count(self._look(span)):
                    suspects[span] = counts
                else:
                    del suspects[span]
                if time.monotonic() > deadline:
                    break

    def _name(self, suspects: dict[_Span, Counter[Kind]], findings: Findings) -> None:
        for span, counts in suspects.items():
            if len(findings.differences) >= self._limit:
                findings.counts.update(counts)
                continue
            for verdict in self._look(span):
                if verdict.difference is not None:
                    findings.name(verdict.difference, self._limit)


def _count(verdicts: Sequence[Verdict]) -> Counter[Kind]:
    return Counter(each.difference.kind for each in verdicts if each.difference is not None)
