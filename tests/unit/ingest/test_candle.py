"""Candles: what is always true of them, and what is refused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import (
    MAX_AHEAD_MS,
    MAX_TIMESTAMP_MS,
    Interval,
    Series,
    State,
    check_candle,
    check_not_ahead,
    check_pair,
    check_prices,
    check_timestamp,
)
from ingest.errors import CandleError
from ingest.revision import make_rev
from tests.conftest import make_candle, minute


def test_states_rank_in_the_order_of_their_members() -> None:
    assert {state.value: state.rank for state in State} == {
        "partial": 0,
        "open": 1,
        "provisional": 2,
        "final": 3,
        "corrected": 4,
    }


def test_intervals_know_their_length() -> None:
    assert {interval.value: interval.milliseconds for interval in Interval} == {
        "1m": 60_000,
        "5m": 300_000,
        "15m": 900_000,
        "30m": 1_800_000,
        "1h": 3_600_000,
        "4h": 14_400_000,
        "1d": 86_400_000,
    }


def test_a_series_is_keyed_by_exchange_pair_and_interval() -> None:
    assert Series("sim", "BTC-USD", Interval.M1).key == "sim|BTC-USD|1m"


def test_a_candle_knows_its_series_and_values() -> None:
    candle = make_candle()

    assert candle.series == Series("sim", "BTC-USD", Interval.M1)
    assert candle.values == (candle.open, candle.high, candle.low, candle.close, candle.volume)


@pytest.mark.parametrize("pair", ["BTC-USD", "1INCH-USDT", "A-B", f"{'A' * 20}-{'9' * 20}"])
def test_takes_a_well_formed_pair(pair: str) -> None:
    assert check_pair(pair) == pair


@pytest.mark.parametrize(
    "pair", ["", "BTCUSD", "btc-usd", "BTC/USD", "BTC-USD\n", "-USD", "BTC-", f"{'A' * 21}-B", "A-B-C"]
)
def test_refuses_a_pair_that_is_not_well_formed(pair: str) -> None:
    with pytest.raises(CandleError, match="expected BASE-QUOTE in upper case"):
        check_pair(pair)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"open": "0"}, "open is 0, expected a price above 0"),
        ({"low": "-1"}, "low is -1, expected a price above 0"),
        ({"volume": "-0.1"}, "volume is -0.1, expected 0 or more"),
        ({"close": "NaN"}, "close is NaN, expected a finite number"),
        ({"close": "sNaN"}, "close is sNaN, expected a finite number"),
        ({"high": "Infinity"}, "high is Infinity, expected a finite number"),
        ({"volume": "1E+31"}, "volume is 1E+31, expected at most 34 digits and an exponent within ±30"),
        ({"volume": "1E-31"}, "volume is 1E-31, expected at most 34 digits and an exponent within ±30"),
        ({"close": "9" * 35}, f"close is {'9' * 35}, expected at most 34 digits and an exponent within ±30"),
        ({"close": "12"}, "low, open, close, high is 9, 10, 12, 11, expected low <= open, close <= high"),
        ({"open": "8"}, "low, open, close, high is 9, 8, 10, 11, expected low <= open, close <= high"),
    ],
)
def test_refuses_numbers_that_cannot_be_a_candle(changes: dict[str, str], sentence: str) -> None:
    numbers = {"open": "10", "high": "11", "low": "9", "close": "10", "volume": "0"} | changes

    with pytest.raises(CandleError) as raised:
        check_prices(*(Decimal(numbers[name]) for name in ("open", "high", "low", "close", "volume")))

    assert str(raised.value) == sentence


def test_takes_a_flat_candle_without_volume() -> None:
    check_prices(Decimal(1), Decimal(1), Decimal(1), Decimal(1), Decimal(0))


@given(st.lists(st.decimals("0.000001", "1000000", places=6), min_size=4, max_size=4), st.decimals(0, 10**9, places=8))
def test_takes_any_numbers_in_order(prices: list[Decimal], volume: Decimal) -> None:
    low, first, second, high = sorted(prices)

    check_prices(first, high, low, second, volume)
    check_prices(second, high, low, first, volume)


@pytest.mark.parametrize("timestamp", [0, minute(0), MAX_TIMESTAMP_MS // 60_000 * 60_000])
def test_takes_open_times_on_the_grid(timestamp: int) -> None:
    check_timestamp(timestamp, Interval.M1)


@pytest.mark.parametrize(
    ("timestamp", "interval"),
    [(-60_000, Interval.M1), (minute(0) + 1, Interval.M1), (minute(1), Interval.H1), (2**32 * 1000, Interval.M1)],
)
def test_refuses_open_times_off_the_grid_or_out_of_range(timestamp: int, interval: Interval) -> None:
    with pytest.raises(CandleError, match=r"^timestamp is "):
        check_timestamp(timestamp, interval)


@pytest.mark.parametrize("state", State)
def test_takes_a_candle_in_any_state(state: State) -> None:
    check_candle(make_candle(state=state))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"exchange": "Kraken"}, "exchange"),
        ({"exchange": ""}, "exchange"),
        ({"pair": "btcusd"}, "pair"),
        ({"timestamp": 1}, "timestamp"),
        ({"low": Decimal(0)}, "low"),
        ({"rev": -1}, "rev"),
        ({"rev": 5 << 50}, "rev"),
        ({"rev": make_rev(State.FINAL.rank, minute(0) * 1000)}, "rev"),
    ],
)
def test_refuses_a_candle_with_one_bad_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(CandleError) as raised:
        check_candle(make_candle(**changes))

    assert raised.value.field == field


def test_takes_a_candle_of_tomorrow_and_refuses_one_of_the_day_after() -> None:
    day = MAX_AHEAD_MS // 60_000
    check_not_ahead(make_candle(day, written_us=minute(0) * 1000), minute(0))

    with pytest.raises(CandleError, match="timestamp"):
        check_not_ahead(make_candle(day + 1, written_us=minute(0) * 1000), minute(0))


def test_refuses_a_revision_made_more_than_a_day_ahead() -> None:
    ahead_us = (minute(0) + MAX_AHEAD_MS + 1) * 1000

    with pytest.raises(CandleError, match=r"^rev is "):
        check_not_ahead(make_candle(0, written_us=ahead_us), minute(0))
