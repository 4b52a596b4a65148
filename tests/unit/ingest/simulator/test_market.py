"""What is always true of the simulated market, and its exact values, which nothing may change."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import check_prices
from ingest.simulator.listing import LOAD_TEST_PAIRS, listed, pairs
from ingest.simulator.market import MINUTE_MS, Values, candle, updates
from tests.conftest import MINUTE_MS as OPEN_TIME_MS

OPEN_PAIRS = [pair for pair in pairs() if (listing := listed(pair)) and listing.open]
DAY_MINUTES = 24 * 60

some_pair = st.sampled_from(OPEN_PAIRS)
some_minute = st.integers(min_value=0, max_value=70_000_000).map(lambda minute: minute * MINUTE_MS)
some_seed = st.integers(min_value=0, max_value=2**63 - 1)


def values(*texts: str) -> Values:
    return Values(*map(Decimal, texts))


PINNED = {
    "BTC-USD": values("85964.19", "85999.91", "85935.71", "85935.75", "0.00065498"),
    "ETH-EUR": values("2602.86", "2606.55", "2599.51", "2602.65", "4.27187183"),
    "SHIB-USD": values("0.0000131154", "0.0000131251", "0.0000131114", "0.0000131114", "18333131.1805"),
    "XRP-BTC": values("0.0000262723", "0.0000262751", "0.0000262719", "0.0000262741", "7.03634876"),
    "T042-USD": values("427.933", "427.943", "427.716", "427.800", "0.06389431"),
}


def day(pair: str, seed: int = 1) -> list[Values | None]:
    return [candle(seed, pair, OPEN_TIME_MS + number * MINUTE_MS) for number in range(DAY_MINUTES)]


def test_the_market_of_a_seed_is_what_it_has_always_been() -> None:
    """Stored candles and other people's expectations rest on these values: they may never change."""
    market = {pair: candle(1, pair, OPEN_TIME_MS) for pair in ("BTC-USD", "ETH-EUR", "SHIB-USD", "XRP-BTC", "T042-USD")}

    assert market == PINNED


def test_another_seed_is_another_market() -> None:
    assert candle(1, "BTC-USD", OPEN_TIME_MS) != candle(2, "BTC-USD", OPEN_TIME_MS)


@given(some_seed, some_pair, some_minute)
def test_every_candle_is_valid(seed: int, pair: str, timestamp: int) -> None:
    found = candle(seed, pair, timestamp)

    if found is not None:
        check_prices(*found)
        assert found.volume > 0


@given(some_seed, some_pair, some_minute, st.integers(min_value=1, max_value=200))
def test_updates_lead_up_to_the_candle(seed: int, pair: str, timestamp: int, count: int) -> None:
    path = updates(seed, pair, timestamp, count)
    final = candle(seed, pair, timestamp)

    assert [update.values for update in path[-1:]] == ([] if final is None else [final])
    assert len(path) in (0, count)
    for earlier, later in itertools.pairwise(path):
        assert earlier.offset_ms < later.offset_ms
        assert earlier.trades <= later.trades
        assert earlier.values.open == later.values.open
        assert earlier.values.high <= later.values.high
        assert earlier.values.low >= later.values.low
        assert earlier.values.volume <= later.values.volume
    for update in path:
        check_prices(*update.values)
        assert 0 <= update.offset_ms < MINUTE_MS
        assert update.values.low <= update.vwap <= update.values.high


@given(some_seed, some_pair, some_minute)
def test_a_candle_opens_where_the_one_before_closed(seed: int, pair: str, timestamp: int) -> None:
    run = [candle(seed, pair, timestamp + number * MINUTE_MS) for number in range(12)]
    traded = [each for each in run if each is not None]

    assert [each.open for each in traded[1:]] == [each.close for each in traded[:-1]]


def test_about_one_minute_in_fifty_is_silent() -> None:
    silent = sum(each is None for pair in ("BTC-USD", "ETH-USD", "T001-USD") for each in day(pair))

    assert 0.01 < silent / (3 * DAY_MINUTES) < 0.03


def test_some_updates_move_the_price_and_leave_the_volume() -> None:
    path = [
        update for number in range(20) for update in updates(1, "BTC-USD", OPEN_TIME_MS + number * MINUTE_MS, count=12)
    ]
    moved = [
        later
        for earlier, later in itertools.pairwise(path)
        if earlier.values.close != later.values.close and earlier.values.volume == later.values.volume
    ]

    assert len(moved) > len(path) / 20


def test_some_volumes_are_small_enough_for_an_exponent() -> None:
    volumes = [each.volume for each in day("BTC-USD") if each]

    assert min(volumes) < Decimal("0.001") < Decimal(1) < max(volumes)


@pytest.mark.parametrize(
    ("pair", "lowest", "highest"),
    [("BTC-USD", 60_000, 110_000), ("ETH-USD", 1_800, 4_800), ("BTC-EUR", 54_000, 100_000), ("ETH-BTC", 0.025, 0.06)],
)
def test_prices_stay_where_one_expects_them_for_years(pair: str, lowest: float, highest: float) -> None:
    closes = [
        each.close
        for hours in range(0, 5 * 365 * 24, 7)
        if (each := candle(1, pair, OPEN_TIME_MS + hours * 3_600_000)) is not None
    ]

    assert Decimal(lowest) < min(closes)
    assert max(closes) < Decimal(highest)


def test_quotes_of_one_base_move_together() -> None:
    dollars, euros = day("BTC-USD"), day("BTC-EUR")
    ratios = [
        in_dollars.close / in_euros.close
        for in_dollars, in_euros in zip(dollars, euros, strict=True)
        if in_dollars and in_euros
    ]

    assert max(ratios) / min(ratios) < Decimal("1.02")
    assert max(each.high for each in dollars if each) / min(each.low for each in dollars if each) > Decimal("1.005")


def test_a_closed_pair_is_silent() -> None:
    assert candle(1, "LUNA-USD", OPEN_TIME_MS) is None
    assert list(updates(1, "LUNA-USD", OPEN_TIME_MS, 12)) == []


@pytest.mark.parametrize(
    ("pair", "timestamp", "count", "complaint"),
    [
        ("BTC-XXX", OPEN_TIME_MS, 12, "BTC-XXX is not listed"),
        ("BTC-USD", OPEN_TIME_MS + 1, 12, "expected a multiple of 60000 ms"),
        ("BTC-USD", -MINUTE_MS, 12, "expected a multiple of 60000 ms"),
        ("BTC-USD", OPEN_TIME_MS, 0, "count is 0, expected 1 to 60000"),
    ],
)
def test_what_cannot_be_asked_is_refused(pair: str, timestamp: int, count: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        updates(1, pair, timestamp, count)


def test_lists_the_pairs_that_tests_and_first_starts_need() -> None:
    common = {"BTC-USD", "BTC-EUR", "ETH-USD", "ETH-EUR", "SOL-USD", "XRP-EUR", "DOGE-GBP", "BTC-USDT", "ETH-BTC"}

    assert common <= set(OPEN_PAIRS)
    assert {"T000-USD", "T999-USD"} <= set(OPEN_PAIRS)
    assert len(OPEN_PAIRS) - LOAD_TEST_PAIRS >= 24
    assert listed("BTC-XXX") is None
