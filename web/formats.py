"""Rows to bytes, one writer per format: pure functions.

A writer takes rows page by page and gives bytes page by page, so that a long answer needs the memory of one page. The
text of an object comes from a template that msgspec makes from the type in `web.answers`: names, order and quoting are
the type's, and a row costs one formatting. The numbers in a row are exact texts already.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from ingest.candle import Series
from ingest.revision import time_ms_of
from web import arrow
from web.answers import CANDLE_COLUMNS, OHLCV_COLUMNS, CandlePage, CcxtRow, FullCandle, OhlcvColumns, OhlcvRow
from workers.documents import series_hash
from workers.stored_rows import StoredRow

Pages = Iterable[list[StoredRow]]
Writer = Callable[[Series, Pages], Iterator[bytes]]


class Format(StrEnum):
    """The formats that answers come in."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    CCXT = "ccxt"
    COLUMNS = "columns"
    ARROW = "arrow"


#: What an ``Accept`` header may ask for, in our order of preference; ``ccxt`` and ``columns`` are JSON, too.
MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.NDJSON: "application/x-ndjson",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}
#: Formats that can be written before the last row is known, and so of any length.
STREAMED = frozenset({Format.CSV, Format.NDJSON, Format.ARROW})

# Decimals go out as JSON numbers with the digits they have.
_encoder = msgspec.json.Encoder(decimal_format="number")


def content_type(form: Format) -> str:
    """The ``Content-Type`` of answers in this format."""
    return {Format.CSV: "text/csv; charset=utf-8; header=present"}.get(form, MEDIA_TYPES.get(form, "application/json"))


def encode_json(value: object) -> bytes:
    """Any value of ours as JSON, decimals as numbers."""
    return _encoder.encode(value)


def _objects(series: Series, rows: list[StoredRow]) -> list[str]:
    # The same 12 bytes as `workers.documents.document_id`, without an object per row.
    head = series_hash(series).hex()
    template = _template(OhlcvRow, id_=f'"{head}%08x"', timestamp="%d", pair=_quoted(series.pair))
    return [template % (t // 1000, close, high, low, o, t, volume) for t, o, high, low, close, volume, *_ in rows]


def _candles(series: Series, rows: list[StoredRow]) -> list[str]:
    exchange, pair, interval = map(_quoted, series)
    template = _template(
        FullCandle,
        exchange=exchange,
        pair=pair,
        interval=interval,
        timestamp="%d",
        state='"%s"',
        rev="%d",
        minutes="%d",
    )
    # Field order is row order.
    return [template % row for row in rows]


def _json(series: Series, pages: Pages) -> Iterator[bytes]:
    yield f"[{','.join(text for rows in pages for text in _objects(series, rows))}]".encode()


def _ccxt(series: Series, pages: Pages) -> Iterator[bytes]:
    template = _template(CcxtRow, timestamp="%d")
    yield f"[{','.join([template % row[:6] for rows in pages for row in rows])}]".encode()


def _columns(series: Series, pages: Pages) -> Iterator[bytes]:
    rows = [row[:6] for page in pages for row in page]
    columns = zip(*rows, strict=True) if rows else [()] * len(OHLCV_COLUMNS)
    yield _encoder.encode(OhlcvColumns(*[_raw(f"[{','.join(map(str, column))}]") for column in columns]))


def _ndjson(series: Series, pages: Pages) -> Iterator[bytes]:
    for rows in pages:
        yield "".join([f"{text}\n" for text in _objects(series, rows)]).encode()


def _candle_ndjson(series: Series, pages: Pages) -> Iterator[bytes]:
    for rows in pages:
        yield "".join([f"{text}\n" for text in _candles(series, rows)]).encode()


def _csv(series: Series, pages: Pages) -> Iterator[bytes]:
    yield f"{','.join(OHLCV_COLUMNS)}\r\n".encode()
    template = "%d,%s,%s,%s,%s,%s\r\n"
    for rows in pages:
        yield "".join([template % row[:6] for row in rows]).encode()


def _candle_csv(series: Series, pages: Pages) -> Iterator[bytes]:
    template = f"{series.exchange},{series.pair},{series.interval.value},%d,%s,%s,%s,%s,%s,%s,%d,%d\r\n"
    yield f"{','.join(CANDLE_COLUMNS)}\r\n".encode()
    for rows in pages:
        yield "".join([template % row for row in rows]).encode()


OHLCV_WRITERS: dict[Format, Writer] = {
    Format.JSON: _json,
    Format.CSV: _csv,
    Format.NDJSON: _ndjson,
    Format.CCXT: _ccxt,
    Format.COLUMNS: _columns,
    Format.ARROW: arrow.write_ohlcv,
}
#: Without JSON, which is a page of its own: `encode_candle_page`.
CANDLE_WRITERS: dict[Format, Writer] = {
    Format.CSV: _candle_csv,
    Format.NDJSON: _candle_ndjson,
    Format.ARROW: arrow.write_candles,
}


def encode_candle_page(series: Series, rows: list[StoredRow], page: int | None, follows: bool) -> bytes:
    """The answer of ``/api/candles``: these rows; ``page`` as it was asked for, and whether there are more."""
    return _encoder.encode(
        CandlePage(
            page=page,
            next=rows[-1][0] if follows else None,
            as_of=max((time_ms_of(row[7]) for row in rows), default=None),
            candles=_raw(f"[{','.join(_candles(series, rows))}]"),
        )
    )


class Shape(NamedTuple):
    """How one path writes: its writers, and the formats among which a client may choose."""

    writers: dict[Format, Writer]
    formats: tuple[Format, ...]


OHLCV = Shape(OHLCV_WRITERS, tuple(OHLCV_WRITERS))
CANDLES = Shape(CANDLE_WRITERS, (Format.JSON, *CANDLE_WRITERS))


def _template(kind: type[msgspec.Struct], **texts: str) -> str:
    """The JSON of a struct with ``texts`` as values, and a place for a text wherever none is given."""
    values = {name: _raw(texts.get(name, "%s")) for name in kind.__struct_fields__}
    return _encoder.encode(kind(**values)).decode()


def _quoted(name: str) -> str:
    return f'"{name}"'


def _raw(text: str) -> Any:
    """A value that stands for itself, whatever the field's type: msgspec checks types on decoding only."""
    return msgspec.Raw(text.encode())
