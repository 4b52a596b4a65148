"""Query parameters: what is accepted, and what each mistake is answered with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import MAX_TIMESTAMP_MS, Interval, Series
from web.errors import BadParameters, Problem
from web.parameters import Values
from web.params import MAX_LIMIT, CandleQuery, parse_candle_query

ACCEPTED = "one of pair, from, to, exchange, interval, limit, order, page, state, format, since"
PAIR = "BASE-QUOTE in upper case, for example BTC-USD"
TIME = "an integer from 0 to 9007199254740991"
LIMIT = "an integer from 1 to 1000000"


def test_a_pair_alone_asks_for_everything_newest_first() -> None:
    query = parse_candle_query({"pair": "BTC-USD"}, "sim")

    assert query == CandleQuery(Series("sim", "BTC-USD", Interval.M1), None, None, MAX_LIMIT, True)


def test_every_parameter_is_read() -> None:
    values = {
        "pair": "XMR-EUR",
        "from": "0",
        "to": "1606166220000",
        "exchange": "kraken",
        "interval": "4h",
        "limit": "7",
        "order": "asc",
    }

    query = parse_candle_query(values, "sim")

    assert query == CandleQuery(Series("kraken", "XMR-EUR", Interval.H4), 0, 1_606_166_220_000, 7, False)


def test_a_time_beyond_what_can_be_stored_means_the_end() -> None:
    query = parse_candle_query({"pair": "BTC-USD", "to": "9999999999999"}, "sim")

    assert query.until_ms == MAX_TIMESTAMP_MS


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, Problem("pair", "", PAIR)),
        ({"pair": ""}, Problem("pair", "", PAIR)),
        ({"pair": "btc-usd"}, Problem("pair", "btc-usd", PAIR)),
        ({"pair": "BTC-USD\n"}, Problem("pair", "BTC-USD\n", PAIR)),
        ({"pair": ["BTC-USD", "ETH-USD"]}, Problem("pair", "BTC-USD, ETH-USD", "the parameter once")),
        ({"pair": "BTC-USD", "pair[$ne]": "1"}, Problem("pair[$ne]", "1", ACCEPTED)),
        ({"pair": "BTC-USD", "pairs": "ETH-USD"}, Problem("pairs", "ETH-USD", ACCEPTED)),
        ({"pair": "BTC-USD", "to": "99999999999999999999"}, Problem("to", "99999999999999999999", TIME)),
        ({"pair": "BTC-USD", "to": "9007199254740992"}, Problem("to", "9007199254740992", TIME)),
        ({"pair": "BTC-USD", "from": "-1"}, Problem("from", "-1", TIME)),
        ({"pair": "BTC-USD", "from": ""}, Problem("from", "", TIME)),
        ({"pair": "BTC-USD", "from": "1e3"}, Problem("from", "1e3", TIME)),
        ({"pair": "BTC-USD", "from": "1_000"}, Problem("from", "1_000", TIME)),
        ({"pair": "BTC-USD", "from": "٣"}, Problem("from", "٣", TIME)),
        ({"pair": "BTC-USD", "limit": "0"}, Problem("limit", "0", LIMIT)),
        ({"pair": "BTC-USD", "limit": "10001"}, Problem("limit", "10001", "an integer from 1 to 10000 for json")),
        ({"pair": "BTC-USD", "order": "up"}, Problem("order", "up", "one of desc, asc")),
        ({"pair": "BTC-USD", "interval": "2m"}, Problem("interval", "2m", "one of 1m, 5m, 15m, 30m, 1h, 4h, 1d")),
        ({"pair": "BTC-USD", "exchange": "S!M"}, Problem("exchange", "S!M", "1 to 20 lower-case letters or digits")),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(values: Values, problem: Problem) -> None:
    with pytest.raises(BadParameters) as raised:
        parse_candle_query(values, "sim")

    assert raised.value.problems == (problem,)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(BadParameters) as raised:
        parse_candle_query({"from": "x", "limit": "0", "colour": "red"}, "sim")

    assert [problem.parameter for problem in raised.value.problems] == ["colour", "pair", "from", "limit"]


names = st.sampled_from(["pair", "from", "to", "exchange", "interval", "limit", "order"]) | st.text()


@given(st.dictionaries(names, st.text() | st.lists(st.text(), min_size=2)))
def test_any_query_is_either_refused_or_within_bounds(values: dict[str, str | list[str]]) -> None:
    try:
        query = parse_candle_query(values, "sim")
    except BadParameters:
        return

    assert 1 <= query.limit <= MAX_LIMIT
    assert all(time is None or 0 <= time < 2**53 for time in (query.since_ms, query.until_ms))
