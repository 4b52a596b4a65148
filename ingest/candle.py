"""Candle, Series, Interval, Pair, State: values, and what is always true of them."""

import re
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import msgspec

from ingest import revision
from ingest.errors import CandleError

#: ``BASE-QUOTE`` in upper case.
PAIR_PATTERN = re.compile(r"\A[A-Z0-9]{1,20}-[A-Z0-9]{1,20}\Z")
EXCHANGE_PATTERN = re.compile(r"\A[a-z0-9]{1,20}\Z")

#: What Decimal128 holds without rounding; the exponent is kept far inside its range so that a price
#: of ``1e1000000`` is refused here rather than expanded to a million digits somewhere else.
MAX_DIGITS = 34
MAX_EXPONENT = 30

#: Open times are stored as unsigned 32-bit seconds (see `workers.documents`), which ends in 2106.
MAX_TIMESTAMP_MS = (2**32 - 1) * 1000

#: How far ahead of the clock an open time or a revision may be before it is taken for a mistake.
MAX_AHEAD_MS = 24 * 60 * 60 * 1000


class Interval(StrEnum):
    """How long a candle lasts. Exchanges are followed in ``1m``."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @cached_property
    def milliseconds(self) -> int:
        """The length in milliseconds."""
        return int(self.value[:-1]) * {"m": 60_000, "h": 3_600_000, "d": 86_400_000}[self.value[-1]]

    @cached_property
    def minutes(self) -> int:
        """The length in minutes."""
        return self.milliseconds // 60_000


class State(StrEnum):
    """How sure a candle's values are; the order of the members is the order of their ranks."""

    PARTIAL = "partial"  # built from a half-seen interval
    OPEN = "open"  # running
    PROVISIONAL = "provisional"  # closed, without proof that its last update was seen
    FINAL = "final"  # closed with proof
    CORRECTED = "corrected"  # differs from what had been final

    @cached_property
    def rank(self) -> int:
        """0 to 4: the top bits of ``rev``, so that a surer state outweighs a later one."""
        return list(State).index(self)

    @cached_property
    def is_closed(self) -> bool:
        """Whether the candle's interval is over, with proof or without."""
        return self.rank >= State.PROVISIONAL.rank


class Series(NamedTuple):
    """What one chart shows: one exchange's candles of one pair and interval."""

    exchange: str
    pair: str
    interval: Interval

    @property
    def key(self) -> str:
        """``exchange|pair|interval``: Kafka key, part of Redis keys and of document ids."""
        return f"{self.exchange}|{self.pair}|{self.interval.value}"


class Candle(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of one candle.

    ``timestamp`` is the open time in Unix milliseconds UTC. Prices are in quote currency per base unit,
    ``volume`` in base currency. Volume zero does not mean that nothing happened: exchanges send moving
    prices with it. ``minutes`` says of how many of its minutes a larger candle is made: 57 of 60 is visible; of a
    minute's own candle it is 1, and not written.
    """

    exchange: str
    pair: str
    interval: Interval
    timestamp: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    state: State
    rev: int
    minutes: int = 1

    @property
    def series(self) -> Series:
        """The series this candle belongs to."""
        return Series(self.exchange, self.pair, self.interval)

    @property
    def values(self) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
        """Open, high, low, close and volume: what a correction may change."""
        return self.open, self.high, self.low, self.close, self.volume


def check_pair(pair: str) -> str:
    """Return ``pair`` when it is well formed.

    Raises:
        CandleError: If it is not ``BASE-QUOTE`` in upper case, 1 to 20 letters or digits each.
    """
    if not PAIR_PATTERN.match(pair):
        raise CandleError("pair", repr(pair), "BASE-QUOTE in upper case, for example BTC-USD")
    return pair


def check_prices(open_: Decimal, high: Decimal, low: Decimal, close: Decimal, volume: Decimal) -> None:
    """Raise `CandleError` unless the five numbers can belong to one candle."""
    for field, value in (("open", open_), ("high", high), ("low", low), ("close", close)):
        _check_decimal(field, value)
        if value <= 0:
            raise CandleError(field, value, "a price above 0")
    _check_decimal("volume", volume)
    if volume < 0:
        raise CandleError("volume", volume, "0 or more")
    if not (low <= open_ <= high and low <= close <= high):
        raise CandleError("low, open, close, high", f"{low}, {open_}, {close}, {high}", "low <= open, close <= high")


def check_timestamp(timestamp: int, interval: Interval) -> None:
    """Raise `CandleError` unless ``timestamp`` is an open time of ``interval`` between 1970 and 2106."""
    if not 0 <= timestamp <= MAX_TIMESTAMP_MS:
        raise CandleError("timestamp", timestamp, f"Unix milliseconds from 0 to {MAX_TIMESTAMP_MS}")
    if timestamp % interval.milliseconds:
        raise CandleError("timestamp", timestamp, f"a multiple of {interval.milliseconds} ms ({interval.value})")


def check_candle(candle: Candle) -> None:
    """Raise `CandleError` unless everything that is always true of a candle is true of this one."""
    if not EXCHANGE_PATTERN.match(candle.exchange):
        raise CandleError("exchange", repr(candle.exchange), "1 to 20 lower-case letters or digits")
    check_pair(candle.pair)
    check_timestamp(candle.timestamp, candle.interval)
    check_prices(*candle.values)
    if not 0 <= candle.rev <= revision.MAX_REV:
        raise CandleError("rev", candle.rev, f"0 to {revision.MAX_REV}")
    if revision.rank_of(candle.rev) != candle.state.rank:
        raise CandleError("rev", candle.rev, f"rank {candle.state.rank}, the rank of state {candle.state.value}")
    if not 1 <= candle.minutes <= candle.interval.minutes:
        raise CandleError("minutes", candle.minutes, f"1 to {candle.interval.minutes} in {candle.interval.value}")


def check_not_ahead(candle: Candle, now_ms: int) -> None:
    """Raise `CandleError` if the open time or ``rev`` is more than a day after ``now_ms``.

    Either would pin a wrong value: nothing that comes later could ever replace it.
    """
    if candle.timestamp > now_ms + MAX_AHEAD_MS:
        raise CandleError("timestamp", candle.timestamp, f"at most a day after now ({now_ms})")
    if revision.time_ms_of(candle.rev) > now_ms + MAX_AHEAD_MS:
        raise CandleError("rev", candle.rev, f"a time at most a day after now ({now_ms})")


def _check_decimal(field: str, value: Decimal) -> None:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):  # 'n', 'N' or 'F' for NaN, sNaN and infinity
        raise CandleError(field, value, "a finite number")
    if len(digits) > MAX_DIGITS or abs(exponent) > MAX_EXPONENT:
        raise CandleError(field, value, f"at most {MAX_DIGITS} digits and an exponent within ±{MAX_EXPONENT}")
