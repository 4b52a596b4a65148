"""Larger candles from those of the level below: recomputed whole each time, never added to. Pure.

What a candle is made of is what the store holds now, so it does not matter in which order, how late or how often the
minutes came: the same minutes give the same candle, to the byte. Its state follows from theirs in the same way.
"""

from collections.abc import Mapping, Sequence, Set
from decimal import MAX_PREC, Context
from functools import reduce
from types import MappingProxyType
from typing import Final, NamedTuple

from ingest.candle import MAX_DIGITS, Candle, Interval, State

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
_MINUTE_MS: Final = Interval.M1.milliseconds
#: Sums are exact, and rounded once to what the store can hold.
_EXACT: Final = Context(prec=MAX_PREC)
_STORED: Final = Context(prec=MAX_DIGITS)
_CLOSED: Final = frozenset({State.FINAL, State.CORRECTED})


class Part(NamedTuple):
    """A candle of the level below, and how many of its minutes are held (of a minute's own candle: 1)."""

    candle: Candle
    minutes: int = 1


class Bucket(NamedTuple):
    """What a larger candle is made of.

    Attributes:
        interval: One of `LEVELS`.
        timestamp: When it opens, Unix milliseconds, a multiple of the interval.
        parts: Those of the level below that are held, each once, in any order.
        is_over: Whether something later of the series is known, so that only corrections may still come.
        is_complete: Whether no minute is missing in which the exchange traded.
    """

    interval: Interval
    timestamp: int
    parts: Sequence[Part]
    is_over: bool
    is_complete: bool


class Rolled(NamedTuple):
    """A larger candle, but for the `rev` that its writer gives it; ``minutes`` is how many of its minutes are held."""

    candle: Candle
    minutes: int


def open_time(timestamp_ms: int, interval: Interval) -> int:
    """When the candle of this interval opens that a moment belongs to (both Unix milliseconds, UTC)."""
    return timestamp_ms - timestamp_ms % interval.milliseconds


def minutes_of(interval: Interval) -> int:
    """How many minutes an interval has."""
    return interval.milliseconds // _MINUTE_MS


def is_over(interval: Interval, timestamp: int, parts: Sequence[Part], newest_ms: int) -> bool:
    """Whether a bucket's time is over as far as the series shows: its own end is closed, or something later is held.

    Args:
        interval: One of `LEVELS`.
        timestamp: When the bucket opens, Unix milliseconds.
        parts: Its parts.
        newest_ms: The newest open time of the series' minutes.
    """
    end = timestamp + interval.milliseconds
    if newest_ms >= end:
        return True
    last = end - LEVELS[interval].milliseconds
    return any(each.candle.timestamp == last and each.candle.state.rank >= State.PROVISIONAL.rank for each in parts)


def roll_up(bucket: Bucket) -> Rolled | None:
    """The candle of a bucket, None of an empty one; its ``rev`` is 0.

    Raises:
        ValueError: If a part is of another series or level, lies outside, or comes twice.
    """
    if not bucket.parts:
        return None
    parts = sorted(bucket.parts, key=lambda part: part.candle.timestamp)
    _check(bucket, parts)
    candles = [part.candle for part in parts]
    first = candles[0]
    volume = reduce(_EXACT.add, (candle.volume for candle in candles))
    return Rolled(
        Candle(
            exchange=first.exchange,
            pair=first.pair,
            interval=bucket.interval,
            timestamp=bucket.timestamp,
            open=first.open,
            # Of equal numbers with another count of zeros the earliest: the same whatever came first.
            high=max(candle.high for candle in candles),
            low=min(candle.low for candle in candles),
            close=candles[-1].close,
            volume=_STORED.plus(volume),
            state=_state(bucket, {candle.state for candle in candles}),
            rev=0,
        ),
        sum(part.minutes for part in parts),
    )


def _state(bucket: Bucket, states: Set[State]) -> State:
    if not bucket.is_over:
        return State.OPEN
    if not bucket.is_complete or not states <= _CLOSED:
        return State.PROVISIONAL
    return State.CORRECTED if State.CORRECTED in states else State.FINAL


def _check(bucket: Bucket, parts: Sequence[Part]) -> None:
    interval, end = LEVELS[bucket.interval], bucket.timestamp + bucket.interval.milliseconds
    for part in parts:
        if part.candle.interval is not interval:
            raise ValueError(f"a candle of {part.candle.interval} in one of {bucket.interval}, expected {interval}")
        if not bucket.timestamp <= part.candle.timestamp < end:
            raise ValueError(f"{part.candle.timestamp} lies outside of {bucket.interval}@{bucket.timestamp}")
        if part.candle.series != parts[0].candle.series:
            raise ValueError(f"{part.candle.series.key} in a candle of {parts[0].candle.series.key}")
    if len({part.candle.timestamp for part in parts}) < len(parts):
        raise ValueError(f"a part of {bucket.interval}@{bucket.timestamp} comes twice")
