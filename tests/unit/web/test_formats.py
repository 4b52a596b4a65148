"""Rows to bytes."""

import json
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import MINUTE_MS, make_candle, minute
from web.formats import encode_rows
from workers.store import document_id, series_hash


def test_a_row_has_exactly_these_keys_in_this_order() -> None:
    candle = make_candle()

    text = encode_rows(candle.series, [candle])

    assert text == (
        b'[{"_id":"f12080219ba2160f5fbc26cc","close":18382.06,"high":18385.85,"low":18376.035,"open":18383.38,'
        b'"pair":"BTC-USD","timestamp":1606166220000,"volume":0.002185}]'
    )


def test_no_candles_are_an_empty_array() -> None:
    text = encode_rows(make_candle().series, [])

    assert text == b"[]"


@given(st.integers(0, (2**32 - 1) // 60))
def test_the_id_is_the_stored_documents(minutes: int) -> None:
    candle = make_candle(timestamp=minutes * 60_000)

    rows = msgspec.json.decode(encode_rows(candle.series, [candle]))

    assert rows[0]["_id"] == str(document_id(series_hash(candle.series), candle.timestamp))


@given(st.decimals(min_value="1e-20", max_value="1e12", allow_nan=False, allow_infinity=False, places=18))
def test_a_price_keeps_every_digit(price: Decimal) -> None:
    candle = make_candle(open=price, high=price, low=price, close=price)

    rows = json.loads(encode_rows(candle.series, [candle]), parse_float=Decimal, parse_int=Decimal)

    assert [rows[0][name] for name in ("open", "high", "low", "close")] == [price] * 4


def test_rows_keep_the_given_order() -> None:
    candles = [make_candle(2), make_candle(0), make_candle(1)]

    rows = msgspec.json.decode(encode_rows(candles[0].series, candles))

    assert [row["timestamp"] for row in rows] == [minute(2), MINUTE_MS, minute(1)]
