"""TradingView's rules, on candles and query strings without a store or a server."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Interval, Series
from tests.conftest import make_candle, minute
from web import udf
from web.errors import BadParameters

BTC = Series("sim", "BTC-USD", Interval.M1)
NOW_MS = minute(100)
ASKED = {"symbol": "sim:BTC-USD", "resolution": "1", "from": "0", "to": str(minute(10) // 1000)}


def parse(**parameters: str) -> udf.HistoryQuery:
    return udf.parse_history(ASKED | parameters, "sim", NOW_MS)


def test_seconds_become_milliseconds_and_the_end_is_exclusive() -> None:
    query = parse(**{"from": str(minute(1) // 1000)})

    assert query == (BTC, minute(1), minute(10) - 1, udf.MAX_BARS)


@pytest.mark.parametrize(
    ("resolution", "interval"),
    [
        ("1", Interval.M1),
        ("5", Interval.M5),
        ("15", Interval.M15),
        ("30", Interval.M30),
        ("60", Interval.H1),
        ("240", Interval.H4),
        ("1D", Interval.D1),
        ("D", Interval.D1),
    ],
)
def test_every_resolution_is_one_of_our_intervals(resolution: str, interval: Interval) -> None:
    assert parse(resolution=resolution).series == BTC._replace(interval=interval)


def test_countback_outranks_from() -> None:
    query = parse(**{"from": str(minute(9) // 1000), "countback": "300"})

    assert query == (BTC, None, minute(10) - 1, 300)


def test_an_answer_is_bounded_whatever_countback_says() -> None:
    assert parse(countback="1000000000").limit == udf.MAX_BARS


def test_no_bar_opens_after_now() -> None:
    assert parse(to="9007199254740991").until_ms == NOW_MS


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("sim:BTC-USD", ("sim", "BTC-USD")),
        ("SIM:BTC-USD", ("sim", "BTC-USD")),
        ("btc-usd", ("kraken", "BTC-USD")),
        ("kraken:eth-eur", ("kraken", "ETH-EUR")),
    ],
)
def test_symbols_are_understood_in_any_case_and_without_an_exchange(symbol: str, expected: tuple[str, str]) -> None:
    assert udf.parse_symbol({"symbol": symbol}, "kraken") == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("symbol", "BTCUSD"),
        ("symbol", "sim:BTC-USD\n"),
        ("symbol", ""),
        ("resolution", "7"),
        ("resolution", "1d"),
        ("resolution", "1W"),
        ("from", "1.5"),
        ("from", "99999999999999999999"),
        ("to", "٣"),
        ("countback", "0"),
        ("countback", "-1"),
    ],
)
def test_a_bad_parameter_is_named(name: str, value: str) -> None:
    with pytest.raises(BadParameters) as raised:
        parse(**{name: value})

    assert [(problem.parameter, problem.value) for problem in raised.value.problems] == [(name, value)]


@given(st.dictionaries(st.sampled_from(["symbol", "resolution", "from", "to", "countback", "x"]), st.text()))
def test_any_query_string_is_a_query_or_a_bad_parameter(values: dict[str, str]) -> None:
    try:
        query = udf.parse_history(values, "sim", NOW_MS)
    except BadParameters:
        return

    assert query.until_ms <= NOW_MS
    assert 1 <= query.limit <= udf.MAX_BARS


def test_parameters_that_newer_charts_add_are_ignored() -> None:
    assert parse(currencyCode="USD", unitId="kg", session="extended") == parse()


def test_bars_are_columns_in_seconds_with_exact_numbers() -> None:
    answer = udf.bars([make_candle(0), make_candle(1, close=Decimal("18382.060"))])

    assert msgspec.to_builtins(answer, builtin_types=(Decimal,)) == {
        "s": "ok",
        "t": [1606166220, 1606166280],
        "o": [Decimal("18383.38")] * 2,
        "h": [Decimal("18385.85")] * 2,
        "l": [Decimal("18376.035")] * 2,
        "c": [Decimal("18382.06"), Decimal("18382.060")],
        "v": [Decimal("0.002185")] * 2,
    }


@pytest.mark.parametrize(
    ("older", "expected"),
    [([], {"s": "no_data"}), ([make_candle(3)], {"s": "no_data", "nextTime": minute(3) // 1000})],
)
def test_no_data_says_where_the_next_older_bar_is(older: list[Any], expected: dict[str, object]) -> None:
    assert msgspec.to_builtins(udf.no_data(older)) == expected


def test_a_symbol_has_as_many_decimals_as_its_newest_candles() -> None:
    small: dict[str, Any] = {name: Decimal("0.00001230") for name in ("open", "high", "low", "close")}

    answer = udf.symbol("sim", "BTC-USD", [make_candle(1, **small, volume=Decimal("1.50"))])

    assert msgspec.to_builtins(answer) == {
        "name": "BTC-USD",
        "ticker": "sim:BTC-USD",
        "description": "BTC / USD, sim",
        "exchange": "sim",
        "listed_exchange": "sim",
        "pricescale": 10_000_000,
        "volume_precision": 1,
        "supported_resolutions": ["1", "5", "15", "30", "60", "240", "1D"],
        "intraday_multipliers": ["1", "5", "15", "30", "60", "240"],
        "has_daily": True,
        "type": "crypto",
        "session": "24x7",
        "timezone": "Etc/UTC",
        "format": "price",
        "minmov": 1,
        "has_intraday": True,
        "has_weekly_and_monthly": False,
        "visible_plots_set": "ohlcv",
        "data_status": "streaming",
    }


@pytest.mark.parametrize(
    ("prices", "pricescale"),
    [([], 100), (["5E+3"], 1), (["1E-30"], 10**15), (["12345678901234567.890123"], 10**6)],
)
def test_a_pricescale_is_an_exact_power_of_ten_in_javascript(prices: list[str], pricescale: int) -> None:
    names = ("open", "high", "low", "close")
    each: list[dict[str, Any]] = [dict.fromkeys(names, Decimal(price)) for price in prices]
    newest = [make_candle(**fields) for fields in each]

    assert udf.symbol("sim", "BTC-USD", newest).pricescale == pricescale


KNOWN = [
    Series("kraken", "BTC-USD", Interval.M1),
    Series("sim", "BTC-USD", Interval.M1),
    Series("sim", "ETH-BTC", Interval.M1),
    Series("sim", "ETH-BTC", Interval.H1),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["kraken:BTC-USD", "sim:BTC-USD", "sim:ETH-BTC"]),
        ({"query": "BTC", "exchange": "sim"}, ["sim:BTC-USD", "sim:ETH-BTC"]),
        ({"query": "eth", "type": "", "exchange": ""}, ["sim:ETH-BTC"]),
        ({"query": "BTCUSD"}, ["kraken:BTC-USD", "sim:BTC-USD"]),
        ({"query": "ETH/BTC"}, ["sim:ETH-BTC"]),
        ({"query": "SIM:BTC"}, ["sim:BTC-USD"]),
        ({"query": "BTC", "limit": "1"}, ["kraken:BTC-USD"]),
        ({"query": "BTC", "type": "stock"}, []),
        ({"query": "DOGE"}, []),
    ],
)
def test_a_search_finds_pairs_as_people_spell_them(query: dict[str, str], expected: list[str]) -> None:
    assert [found.ticker for found in udf.search(query, KNOWN)] == expected


def test_a_found_pair_has_everything_that_the_search_dialogue_shows() -> None:
    (found,) = udf.search({"query": "ETH"}, KNOWN)

    assert msgspec.to_builtins(found) == {
        "symbol": "ETH-BTC",
        "full_name": "sim:ETH-BTC",
        "description": "ETH / BTC, sim",
        "exchange": "sim",
        "ticker": "sim:ETH-BTC",
        "type": "crypto",
    }


def test_the_configuration_promises_what_there_is() -> None:
    assert msgspec.to_builtins(udf.config(["sim"])) == {
        "supported_resolutions": ["1", "5", "15", "30", "60", "240", "1D"],
        "exchanges": [
            {"value": "", "name": "All exchanges", "desc": ""},
            {"value": "sim", "name": "sim", "desc": "sim"},
        ],
        "symbols_types": [{"name": "All types", "value": ""}, {"name": "Crypto", "value": "crypto"}],
        "supports_search": True,
        "supports_group_request": False,
        "supports_marks": False,
        "supports_timescale_marks": False,
        "supports_time": True,
    }
