"""The market: seed, pair and minute to a candle, and to the updates that lead up to it.

Pure, and in integers throughout. The candle depends on nothing else: not on how many updates are asked for, not on
when the simulator was started. What is fixed first is the candle; the updates are a path through it.

A price is a level times three walks: the whole market's, its base's, and a faint one of its quote. So BTC-USD and
BTC-EUR rise together, and a good day is good for most coins.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from ingest.simulator.listing import Listed, listed
from ingest.simulator.noise import ONE, draw, drift, key_of, volatility

MINUTE_MS: Final = 60_000

#: One minute of this many has no trade.
_SILENT_ONE_IN: Final = 50
#: How far a walk at its limit moves the price: the market, a base, a quote.
_MARKET_SWING: Final = (18, 100)
_BASE_SWING: Final = (22, 100)
_QUOTE_SWING: Final = (3, 100)

# Salts: each names a stream of draws of a pair.
_SILENT, _HIGH, _LOW, _SIZE, _SIZE_EXPONENT, _TRADES, _HIGH_AT, _LOW_AT = range(100, 108)
_OFFSET, _WIGGLE, _SHARE = range(200, 203)


class Values(NamedTuple):
    """Prices in quote currency per base unit, volume in base currency."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Update(NamedTuple):
    """The running candle at a moment of its minute.

    ``offset_ms`` counts from the open time. ``trades`` and ``vwap`` (volume-weighted average price) accompany the
    volume; exchanges that show them do so in every row.
    """

    offset_ms: int
    values: Values
    trades: int
    vwap: Decimal


class _Shape(NamedTuple):
    """A candle in ticks and lots."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


def candle(seed: int, pair: str, timestamp: int) -> Values | None:
    """The final values of a minute's candle; None if the minute is silent or the pair closed.

    Args:
        seed: Which of the possible markets (``SIM_SEED``).
        pair: A listed pair.
        timestamp: Open time, Unix milliseconds, a multiple of a minute.

    Raises:
        ValueError: If the pair is not listed, or ``timestamp`` is no open time.
    """
    listing, minute = _check(pair, timestamp)
    shape = _shape(seed, listing, minute)
    return None if shape is None else _values(listing, *shape[:5])


def updates(seed: int, pair: str, timestamp: int, count: int) -> Sequence[Update]:
    """The running values of a minute in order of time, the last equal to the candle; empty if the minute is silent.

    Some of them move the price and leave the volume as it was.

    Args:
        seed: As for `candle`.
        pair: As for `candle`.
        timestamp: As for `candle`.
        count: How many, 1 to 60,000 (one per millisecond).

    Raises:
        ValueError: As for `candle`, or if ``count`` is out of range.
    """
    listing, minute = _check(pair, timestamp)
    if not 1 <= count <= MINUTE_MS:
        raise ValueError(f"count is {count}, expected 1 to {MINUTE_MS}")
    shape = _shape(seed, listing, minute)
    return () if shape is None else _path(key_of(seed, pair), listing, minute, shape, count)


def _check(pair: str, timestamp: int) -> tuple[Listed, int]:
    listing = listed(pair)
    if listing is None:
        raise ValueError(f"{pair} is not listed on the simulated exchange")
    minute, rest = divmod(timestamp, MINUTE_MS)
    if rest or minute < 0:
        raise ValueError(f"timestamp is {timestamp}, expected a multiple of {MINUTE_MS} ms")
    return listing, minute


@lru_cache(maxsize=16_384)
def _shape(seed: int, listing: Listed, minute: int) -> _Shape | None:
    key = key_of(seed, listing.pair)
    if not listing.open or _is_silent(key, minute):
        return None
    # The walk goes on during silent minutes, but nobody trades: the next candle opens where the last one closed.
    opened = minute
    while _is_silent(key, opened - 1):
        opened -= 1
    open_, close = _price(seed, listing, opened), _price(seed, listing, minute + 1)
    liveliness = volatility(key, minute)
    high = max(open_, close) + _wick(open_, liveliness, draw(key, minute, _HIGH))
    low = min(open_, close) - _wick(open_, liveliness, draw(key, minute, _LOW))
    volume = _volume(listing, key, minute, liveliness)
    trades = 1 + draw(key, minute, _TRADES) % (1 + 120 * liveliness // ONE)
    return _Shape(open_, high, max(low, 1), close, volume, trades)


def _is_silent(key: int, minute: int) -> bool:
    return draw(key, minute, _SILENT) % _SILENT_ONE_IN == 0


def _price(seed: int, listing: Listed, minute: int) -> int:
    """The price at the start of a minute, in ticks."""
    price = listing.level_ticks
    for name, (numerator, denominator) in (
        ("market", _MARKET_SWING),
        (listing.base, _BASE_SWING),
        (listing.quote, _QUOTE_SWING),
    ):
        price = price * (ONE + drift(key_of(seed, name), minute) * numerator // denominator) // ONE
    return price


def _wick(price: int, liveliness: int, uniform: int) -> int:
    # The cube of a uniform draw: most wicks are short, some are long; at most 0.1 % of the price in a common minute.
    length = (uniform >> 16) ** 3
    return price * liveliness * length // (1000 * ONE << 48)


def _volume(listing: Listed, key: int, minute: int, liveliness: int) -> int:
    """Lots traded: worth a few dollars to some hundred thousand, spread evenly over the orders of magnitude."""
    octave = 2 + draw(key, minute, _SIZE_EXPONENT) % 15
    dollars = (1 << octave) + ((draw(key, minute, _SIZE) << octave) >> 32)
    return max(1, dollars * listing.lots_per_million_dollars // 1_000_000 * liveliness // ONE)


def _path(key: int, listing: Listed, minute: int, shape: _Shape, count: int) -> list[Update]:
    first = minute * MINUTE_MS
    offsets = [(n * MINUTE_MS + draw(key, first + n, _OFFSET) % MINUTE_MS) // count for n in range(count)]
    prices = _prices(key, first, minute, shape, count)
    highs = accumulate(prices, max, initial=shape.open)
    lows = accumulate(prices, min, initial=shape.open)
    shares = _shares(key, first, count)
    next(highs), next(lows)
    result = []
    for offset, price, high, low, share in zip(offsets, prices, highs, lows, shares, strict=True):
        volume = shape.volume * share // shares[-1]
        trades = -(-shape.trades * share // shares[-1])
        vwap = Decimal((high + low + price) // 3).scaleb(-listing.price_decimals)
        result.append(Update(offset, _values(listing, shape.open, high, low, price, volume), trades, vwap))
    # Where the path could not reach high and low and close in so few steps, the last update does.
    final = _values(listing, *shape[:5])
    if result[-1].values != final:
        result[-1] = result[-1]._replace(values=final)
    return result


def _prices(key: int, first: int, minute: int, shape: _Shape, count: int) -> list[int]:
    """A path from open to close within low and high, touching both."""
    span = shape.high - shape.low
    prices = []
    for n in range(1, count + 1):
        line = shape.open + (shape.close - shape.open) * n // count
        # Away from the line in the middle of the minute, back to it at both ends.
        room = span * 4 * n * (count - n) // (count * count)
        wiggle = room * ((draw(key, first + n, _WIGGLE) >> 16) - 0x8000) >> 16
        prices.append(min(shape.high, max(shape.low, line + wiggle)))
    if count > 2:
        high_at = draw(key, minute, _HIGH_AT) % (count - 1)
        prices[high_at] = shape.high
        prices[(high_at + 1 + draw(key, minute, _LOW_AT) % (count - 2)) % (count - 1)] = shape.low
    prices[-1] = shape.close
    return prices


def _shares(key: int, first: int, count: int) -> list[int]:
    """Running share of the minute's volume; a quarter of the updates trades nothing."""
    steps = [max(0, draw(key, first + n, _SHARE) - (1 << 30)) for n in range(count)]
    if not any(steps):
        steps[0] = 1
    return list(accumulate(steps))


def _values(listing: Listed, open_: int, high: int, low: int, close: int, volume: int) -> Values:
    exponent = -listing.price_decimals
    return Values(
        Decimal(open_).scaleb(exponent),
        Decimal(high).scaleb(exponent),
        Decimal(low).scaleb(exponent),
        Decimal(close).scaleb(exponent),
        Decimal(volume).scaleb(-listing.volume_decimals),
    )
