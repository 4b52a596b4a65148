"""Larger candles from those of the level below: recomputed whole each time, never added to. Pure.

What a candle is made of is what is held now, so it does not matter in which order, how late or how often the minutes
came: the same minutes give the same candle, to the byte. Its state follows from theirs in the same way.

So does its `rev`: the rank of its state, and the time of the newest version that it is made of. Who has seen more has
the higher one, on whatever machine it was computed; a writer raises it only where that would not be above the version
that it replaces (`next_version`).
"""

from collections.abc import Mapping, Sequence, Set
from decimal import MAX_PREC, Context
from functools import reduce
from types import MappingProxyType
from typing import Final, NamedTuple, TypeGuard

from msgspec.structs import replace

from ingest.candle import MAX_DIGITS, Candle, Interval, Series, State
from ingest.revision import make_rev, time_us_of

#: Each computed interval to the one it is made of, in the order in which they have to be computed.
LEVELS: Final[Mapping[Interval, Interval]] = MappingProxyType(
    {
        Interval.M5: Interval.M1,
        Interval.M15: Interval.M5,
        Interval.M30: Interval.M15,
        Interval.H1: Interval.M30,
        Interval.H4: Interval.H1,
        Interval.D1: Interval.H4,
    }
)
#: Sums are exact, and rounded once to what the store can hold.
_EXACT: Final = Context(prec=MAX_PREC)
_STORED: Final = Context(prec=MAX_DIGITS)
_FINAL: Final = frozenset({State.FINAL, State.CORRECTED})


class Bucket(NamedTuple):
    """Which larger candle: of which series (of an interval of `LEVELS`), and when it opens (Unix milliseconds)."""

    series: Series
    timestamp: int

    @property
    def end(self) -> int:
        """When the next one opens."""
        return self.timestamp + self.series.interval.milliseconds

    @property
    def below(self) -> Series:
        """The series that it is made of."""
        return self.series._replace(interval=LEVELS[self.series.interval])

    @property
    def minutes(self) -> Series:
        """The series of its minutes."""
        return self.series._replace(interval=Interval.M1)

    @property
    def part_times(self) -> range:
        """The open times of what it can be made of."""
        return range(self.timestamp, self.end, LEVELS[self.series.interval].milliseconds)


def bucket_of(minutes: Series, interval: Interval, timestamp_ms: int) -> Bucket:
    """The larger candle of an interval that a moment of a series of minutes belongs to."""
    return Bucket(minutes._replace(interval=interval), open_time(timestamp_ms, interval))


def open_time(timestamp_ms: int, interval: Interval) -> int:
    """When the candle of this interval opens that a moment belongs to (both Unix milliseconds, UTC)."""
    return timestamp_ms - timestamp_ms % interval.milliseconds


def is_over(bucket: Bucket, parts: Sequence[Candle], newest_ms: int) -> bool:
    """Whether a bucket's time is over as far as the series shows: its own end is closed, or something later is held.

    Args:
        bucket: Which.
        parts: Its parts.
        newest_ms: The newest open time of the series' minutes.
    """
    if newest_ms >= bucket.end:
        return True
    last = bucket.part_times[-1]
    return any(part.timestamp == last and part.state.is_closed for part in parts)


def roll_up(bucket: Bucket, parts: Sequence[Candle], *, is_over: bool) -> Candle | None:
    """The candle of a bucket; None of an empty one.

    Args:
        bucket: Which.
        parts: The candles of the level below that are held, each once, in any order.
        is_over: Whether something later of the series is known, so that only corrections may still come.

    Raises:
        ValueError: If a part is of another series or level, lies outside, or comes twice.
    """
    if not parts:
        return None
    parts = sorted(parts, key=lambda part: part.timestamp)
    _check(bucket, parts)
    minutes = sum(part.minutes for part in parts)
    is_complete = minutes == bucket.series.interval.minutes
    state = _state({part.state for part in parts}, is_over=is_over, is_complete=is_complete)
    volume = reduce(_EXACT.add, (part.volume for part in parts))
    return Candle(
        *bucket.series,
        bucket.timestamp,
        open=parts[0].open,
        # Of equal numbers with another count of zeros the earliest: the same whatever came first.
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=_STORED.plus(volume),
        state=state,
        rev=make_rev(state.rank, max(time_us_of(part.rev) for part in parts)),
        minutes=minutes,
    )


def recomputed(bucket: Bucket, parts: Sequence[Candle], held: Candle | None, newest_ms: int) -> Candle | None:
    """What replaces the version of a candle that is held, None if nothing should.

    Args:
        bucket: Which.
        parts: The candles of the level below that are held, each once, in any order.
        held: What is held of it. What is over in it stays over, whatever is known of the series.
        newest_ms: The newest open time that is known of the series' minutes.
    """
    over = (held is not None and held.state.is_closed) or is_over(bucket, parts, newest_ms)
    computed = roll_up(bucket, parts, is_over=over)
    return None if computed is None else next_version(computed, held)


def is_usable(candle: Candle | None, series: Series, timestamp: int) -> TypeGuard[Candle]:
    """Whether what lies where a candle of this series and open time belongs is that candle, and holds numbers."""
    return (
        candle is not None
        and candle.series == series
        and candle.timestamp == timestamp
        and all(value.is_finite() for value in candle.values)
    )


def next_version(computed: Candle, held: Candle | None) -> Candle | None:
    """What replaces the version that is held, None if nothing should.

    It stays if it says the same, and if it is surer: then it was made of minutes that are no longer held.
    """
    if held is None:
        return computed
    if replace(computed, rev=held.rev) == held or held.state.rank > computed.state.rank:
        return None
    time_us = max(time_us_of(held.rev) + 1, time_us_of(computed.rev))
    return replace(computed, rev=make_rev(computed.state.rank, time_us))


def _state(states: Set[State], *, is_over: bool, is_complete: bool) -> State:
    if not is_over:
        return State.OPEN
    if not is_complete or not states <= _FINAL:
        return State.PROVISIONAL
    return State.CORRECTED if State.CORRECTED in states else State.FINAL


def _check(bucket: Bucket, parts: Sequence[Candle]) -> None:
    for part in parts:
        if part.series != bucket.below:
            raise ValueError(f"{part.series.key} in a candle of {bucket.series.key}, expected {bucket.below.key}")
        if part.timestamp not in bucket.part_times:
            raise ValueError(f"{part.timestamp} lies outside of {bucket.series.interval}@{bucket.timestamp}")
    if len({part.timestamp for part in parts}) < len(parts):
        raise ValueError(f"a part of {bucket.series.interval}@{bucket.timestamp} comes twice")
