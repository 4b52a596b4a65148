"""Whether stored larger candles are what is stored below them, and how they differ if they are not. Pure.

A larger candle is right if its values, state and minutes are what `roll_up` makes of the candles one level below; where
those are wrong themselves, of what they should be, so that one fault has one name. Its `rev` may be any of the rank of
its state. What is stored as over stays over. One that says more than can be computed, because minutes that it was made
of are no longer held, is none the worse for it.

It need not be right *yet*: a running candle is stored every `Settings.rollup_seconds` only. What it has seen is told by
revs, since its own carries the time of the newest version that it is made of: whichever minute's version has a later
one is not in it. So a candle that differs is outdated if it lacks at least one version that was written before the
*horizon*, a moment so long ago that every version from before it must have been rolled up; and as long as all that it
lacks is younger, it is no difference. Likewise a candle's time counts as over only once minutes show it that are older.
Where nothing is lacking, nothing excuses a difference.

The store keeps one version of each minute. One that is written again and again is always young, so a running candle
that is no longer stored is noticed once one of its minutes has been closed for long enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from ingest.candle import Candle, Interval, Series
from ingest.revision import rank_of, time_us_of
from workers.differences import Difference, Kind, changes
from workers.documents import document_id, series_hash
from workers.rollup import LEVELS, Bucket, is_usable, open_time, roll_up

#: All intervals in the order in which they have to be read, so that none lacks what one that was read before contains:
#: whoever writes candles begins with the smallest.
READ_ORDER: Final = (*reversed(list(LEVELS)), Interval.M1)

#: What lies in documents, by interval and open time (Unix milliseconds); None where it is no candle.
Held = Mapping[Interval, Mapping[int, Candle | None]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one larger candle."""

    #: What the level above is made of: what is stored, or should be; None for nothing.
    candle: Candle | None
    difference: Difference | None = None
    #: Whether what is held can explain it; if not, it is no difference either.
    is_explained: bool = True


class Days:
    """What the store holds of one pair on some whole days (UTC)."""

    def __init__(self, minutes: Series, held: Held, *, newest_ms: int, horizon_us: int) -> None:
        """What has been read.

        Args:
            minutes: The pair's series of minutes.
            held: Everything that is stored of these days, of every interval.
            newest_ms: The newest open time of the pair's minutes from before the horizon, on whichever day; -1: none.
            horizon_us: Versions from before this time must have been rolled up (Unix microseconds).
        """
        self._series, self._held = minutes, held
        self._newest_ms, self._horizon_us = newest_ms, horizon_us
        self._minutes = _usable(minutes, held[Interval.M1])

    def verdicts(self) -> Iterator[Verdict]:
        """One for each larger candle that is stored or should be, level by level."""
        below = self._minutes
        for interval in LEVELS:
            series = self._series._replace(interval=interval)
            stored = self._held[interval]
            usable = _usable(series, stored)
            level: dict[int, Candle] = {}
            for opens in sorted({open_time(opens, interval) for opens in below} | stored.keys()):
                bucket = Bucket(series, opens)
                parts = [below[part] for part in bucket.part_times if part in below]
                held = usable.get(opens)
                computed = roll_up(bucket, parts, is_over=self._is_over(bucket, held))
                if held is not None:
                    verdict = self._judge(bucket, held, computed)
                elif opens in stored:
                    verdict = Verdict(computed, _unusable(bucket, computed, stored[opens]))
                else:
                    assert computed is not None  # it is looked at because there is something below it
                    verdict = self._judge_missing(bucket, computed)
                if verdict.candle is not None:
                    level[opens] = verdict.candle
                yield verdict
            below = level

    def _is_over(self, bucket: Bucket, held: Candle | None) -> bool:
        # Not by its last part: what closed that may have been a minute that is too young to count.
        last = self._minutes.get(bucket.end - Interval.M1.milliseconds)
        closed = any(each is not None and each.state.is_closed for each in (held, last))
        return closed or self._newest_ms >= bucket.end

    def _judge(self, bucket: Bucket, held: Candle, computed: Candle | None) -> Verdict:
        """Judge what is stored and can be part of a larger candle."""
        rank = rank_of(held.rev)
        misranked = [] if rank == held.state.rank else [f"rank of rev is {rank}, expected {held.state.rank}"]
        differing = [] if computed is None else changes(replace(computed, rev=held.rev), held)
        # Of so many minutes it cannot be computed any more.
        is_surer = computed is None or (held.state.rank > computed.state.rank and held.minutes > computed.minutes)
        if misranked:
            faults = misranked if is_surer else differing + misranked
            return Verdict(held if is_surer else computed, _difference(Kind.ALTERED, bucket, computed, held, faults))
        if computed is None or is_surer or not differing:
            return Verdict(held, is_explained=not is_surer)
        lacking = self._versions_after(bucket, time_us_of(held.rev))
        if self._are_young(lacking):
            return Verdict(held)
        is_behind = lacking or held.state.rank < computed.state.rank
        kind = Kind.OLDER if is_behind else Kind.ALTERED
        return Verdict(computed, _difference(kind, bucket, computed, held, differing))

    def _judge_missing(self, bucket: Bucket, computed: Candle) -> Verdict:
        if self._are_young(self._versions_after(bucket, -1)):
            return Verdict(None)
        return Verdict(computed, _difference(Kind.MISSING, bucket, computed, None, ["not in the store"]))

    def _versions_after(self, bucket: Bucket, time_us: int) -> list[int]:
        """The times of those versions of a candle's minutes that were written after one (all Unix microseconds)."""
        opens = range(bucket.timestamp, bucket.end, Interval.M1.milliseconds)
        versions = [self._minutes[minute].rev for minute in opens if minute in self._minutes]
        return [written_us for rev in versions if (written_us := time_us_of(rev)) > time_us]

    def _are_young(self, times_us: Sequence[int]) -> bool:
        return bool(times_us) and min(times_us) > self._horizon_us


def newest_minute(minutes: Mapping[int, Candle | None], horizon_us: int) -> int:
    """The newest open time of minutes whose version is from before the horizon, -1 if there is none."""
    opens = (time for time, each in minutes.items() if each is not None and time_us_of(each.rev) <= horizon_us)
    return max(opens, default=-1)


def _usable(series: Series, held: Mapping[int, Candle | None]) -> dict[int, Candle]:
    """What can be computed with."""
    return {opens: each for opens, each in held.items() if is_usable(each, series, opens)}


def _unusable(bucket: Bucket, computed: Candle | None, stored: Candle | None) -> Difference:
    if stored is None:
        return _difference(Kind.ALTERED, bucket, computed, None, ["the document holds no candle"])
    faults = [] if computed is None else changes(replace(computed, rev=stored.rev), stored)
    return _difference(Kind.ALTERED, bucket, computed, stored, faults or ["the document holds another candle"])


def _difference(
    kind: Kind, bucket: Bucket, computed: Candle | None, stored: Candle | None, faults: Sequence[str]
) -> Difference:
    document = document_id(series_hash(bucket.series), bucket.timestamp)
    return Difference(kind, None, None, computed, stored, "; ".join(faults), str(document))
