"""Rows to bytes: every format against the types that describe it, and against the stored decimals."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.candle import Candle, Series, State
from ingest.revision import make_rev, time_ms_of
from tests.conftest import MINUTE_MS, make_candle, minute
from web import arrow
from web.answers import CANDLE_COLUMNS, OHLCV_COLUMNS, CandlePage, CcxtRow, FullCandle, OhlcvColumns, OhlcvRow
from web.errors import NotExact, NotInstalled
from web.formats import CANDLE_WRITERS, OHLCV_WRITERS, Format, encode_candle_page
from workers.documents import document_id, series_hash
from workers.stored_rows import StoredRow

SERIES = make_candle().series
encoder = msgspec.json.Encoder(decimal_format="number")

prices = st.decimals(min_value="1e-18", max_value="1e12", allow_nan=False, allow_infinity=False, places=18)
candles = st.lists(
    st.builds(
        lambda number, price, volume, state, minutes: make_candle(
            number, open=price, high=price, low=price, close=price, volume=volume, state=state, minutes=minutes
        ),
        st.integers(0, 10**6),
        prices | st.just(Decimal("1E-8")),
        prices | st.just(Decimal("0E-8")),
        st.sampled_from(State),
        st.integers(1, 60),
    ),
    max_size=6,
)


def row_of(candle: Candle) -> StoredRow:
    open_, high, low, close, volume = map(str, candle.values)
    return candle.timestamp, open_, high, low, close, volume, candle.state.value, candle.rev, candle.minutes


def written(form: Format, held: list[Candle], *, writers: Any = OHLCV_WRITERS, series: Series = SERIES) -> bytes:
    return b"".join(writers[form](series, [[row_of(candle) for candle in held]]))


def ohlcv(candle: Candle) -> OhlcvRow:
    id_ = str(document_id(series_hash(candle.series), candle.timestamp))
    open_, high, low, close, volume = candle.values
    return OhlcvRow(id_, close, high, low, open_, candle.pair, candle.timestamp, volume)


def full(candle: Candle) -> FullCandle:
    return FullCandle(*(getattr(candle, name) for name in FullCandle.__struct_fields__))


def test_a_row_has_exactly_these_keys_in_this_order() -> None:
    text = written(Format.JSON, [make_candle()])

    assert text == (
        b'[{"_id":"f12080219ba2160f5fbc26cc","close":18382.06,"high":18385.85,"low":18376.035,"open":18383.38,'
        b'"pair":"BTC-USD","timestamp":1606166220000,"volume":0.002185}]'
    )


@given(candles)
def test_json_is_what_its_type_encodes_to(held: list[Candle]) -> None:
    assert written(Format.JSON, held) == encoder.encode([ohlcv(candle) for candle in held])


@given(candles)
def test_ndjson_is_the_same_objects_one_a_line(held: list[Candle]) -> None:
    assert written(Format.NDJSON, held) == b"".join(encoder.encode(ohlcv(candle)) + b"\n" for candle in held)


@given(candles)
def test_ccxt_is_what_its_type_encodes_to(held: list[Candle]) -> None:
    rows = [CcxtRow(candle.timestamp, *candle.values) for candle in held]

    assert written(Format.CCXT, held) == encoder.encode(rows)


@given(candles)
def test_columns_are_what_their_type_encodes_to(held: list[Candle]) -> None:
    columns: list[list[Any]] = [[candle.timestamp for candle in held]]
    columns += [[candle.values[number] for candle in held] for number in range(5)]

    assert written(Format.COLUMNS, held) == encoder.encode(OhlcvColumns(*columns))


@given(candles)
def test_a_page_of_full_candles_is_what_its_type_encodes_to(held: list[Candle]) -> None:
    as_of = max((time_ms_of(candle.rev) for candle in held), default=None)
    following = held[-1].timestamp if held else None
    page = CandlePage(minute(7), following, as_of, [full(candle) for candle in held])

    text = encode_candle_page(SERIES, [row_of(candle) for candle in held], minute(7), follows=bool(held))

    assert text == encoder.encode(page)


@given(candles)
def test_full_candles_as_ndjson_are_what_their_type_encodes_to(held: list[Candle]) -> None:
    text = written(Format.NDJSON, held, writers=CANDLE_WRITERS)

    assert text == b"".join(encoder.encode(full(candle)) + b"\n" for candle in held)


@given(candles)
def test_csv_holds_every_digit(held: list[Candle]) -> None:
    rows = list(csv.reader(io.StringIO(written(Format.CSV, held).decode(), newline="")))

    assert rows[0] == list(OHLCV_COLUMNS)
    assert [(int(row[0]), *map(Decimal, row[1:])) for row in rows[1:]] == [
        (candle.timestamp, *candle.values) for candle in held
    ]


def test_full_candles_as_csv_have_all_columns() -> None:
    text = written(
        Format.CSV, [make_candle(state=State.FINAL, rev=make_rev(3, 1_606_166_280_000_000))], writers=CANDLE_WRITERS
    )

    assert text.decode() == (
        "exchange,pair,interval,timestamp,open,high,low,close,volume,state,rev,minutes\r\n"
        "sim,BTC-USD,1m,1606166220000,18383.38,18385.85,18376.035,18382.06,0.002185,final,3406029200527872,1\r\n"
    )


@given(candles)
@settings(deadline=None)  # the first example imports what pyarrow puts off
def test_arrow_holds_every_digit(held: list[Candle]) -> None:
    table = pyarrow.ipc.open_stream(written(Format.ARROW, held)).read_all()

    number = pyarrow.decimal128(38, 18)
    assert table.schema.names == list(OHLCV_COLUMNS)
    assert table.schema.types == [pyarrow.timestamp("ms", tz="UTC")] + [number] * 5
    assert table.schema.metadata == {b"exchange": b"sim", b"pair": b"BTC-USD", b"interval": b"1m"}
    assert table["timestamp"].cast("int64").to_pylist() == [candle.timestamp for candle in held]
    assert table["close"].to_pylist() == [candle.close for candle in held]


def test_arrow_joins_parts_whose_states_differ() -> None:
    parts = [[row_of(make_candle(0, state=State.FINAL))], [], [row_of(make_candle(1, minutes=57))]]

    table = pyarrow.ipc.open_stream(b"".join(CANDLE_WRITERS[Format.ARROW](SERIES, parts))).read_all()

    assert table.schema.names == list(CANDLE_COLUMNS)
    assert table["state"].to_pylist() == ["final", "open"]
    assert table["pair"].to_pylist() == ["BTC-USD", "BTC-USD"]
    assert table["minutes"].to_pylist() == [1, 57]


@pytest.mark.parametrize("number", ["1E-19", "1E+21"])
def test_arrow_rounds_nothing(number: str) -> None:
    price = Decimal(number)

    with pytest.raises(NotExact):
        written(Format.ARROW, [make_candle(open=price, high=price, low=price, close=price)])


def test_arrow_without_pyarrow_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(arrow, "import_module", missing)

    with pytest.raises(NotInstalled) as raised:
        arrow.load()

    assert str(raised.value) == "format=arrow needs pyarrow, which is not installed on this server"


@pytest.mark.parametrize(
    ("form", "empty"),
    [
        (Format.JSON, b"[]"),
        (Format.NDJSON, b""),
        (Format.CCXT, b"[]"),
        (Format.CSV, b"timestamp,open,high,low,close,volume\r\n"),
        (Format.COLUMNS, b'{"timestamp":[],"open":[],"high":[],"low":[],"close":[],"volume":[]}'),
    ],
)
def test_no_candles_are_an_empty_answer(form: Format, empty: bytes) -> None:
    assert written(form, []) == empty


def test_a_price_is_not_made_a_binary_float() -> None:
    price = Decimal("12345678901234567.890123")
    candle = make_candle(open=price, high=price, low=price, close=price)

    rows = json.loads(written(Format.JSON, [candle]), parse_float=Decimal)

    assert [rows[0][name] for name in ("open", "high", "low", "close")] == [price] * 4


def test_rows_keep_the_given_order() -> None:
    rows = msgspec.json.decode(written(Format.JSON, [make_candle(2), make_candle(0), make_candle(1)]))

    assert [row["timestamp"] for row in rows] == [minute(2), MINUTE_MS, minute(1)]
