"""Rows as an Arrow IPC stream; pyarrow is an optional extra, imported when the first such answer is asked for."""

import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from importlib import import_module
from typing import Any, Final

from ingest.candle import Series
from web.answers import CANDLE_COLUMNS, OHLCV_COLUMNS
from web.errors import NotExact, NotInstalled
from workers.stored_rows import StoredRow

#: ``decimal128(38, 18)``: what pandas, polars and DuckDB read, one type for every answer so that answers can be joined.
PRECISION: Final = 38
SCALE: Final = 18


def load() -> Any:
    """The pyarrow module.

    Raises:
        NotInstalled: If this server does not have it.
    """
    try:
        return import_module("pyarrow")
    except ImportError:
        raise NotInstalled("format", "arrow", "pyarrow") from None


def write_ohlcv(series: Series, pages: Iterable[list[StoredRow]]) -> Iterator[bytes]:
    """Open time (UTC) and the five numbers; exchange, pair and interval are in the schema's metadata."""
    return _write(series, pages, OHLCV_COLUMNS)


def write_candles(series: Series, pages: Iterable[list[StoredRow]]) -> Iterator[bytes]:
    """Everything that is known of the candles."""
    return _write(series, pages, CANDLE_COLUMNS)


def _write(series: Series, pages: Iterable[list[StoredRow]], names: tuple[str, ...]) -> Iterator[bytes]:
    pa = load()
    types = column_types(pa)
    schema = pa.schema(
        [(name, types[name]) for name in names],
        metadata=dict(zip(Series._fields, series, strict=True)),
    )
    sink = io.BytesIO()
    with import_module("pyarrow.ipc").new_stream(sink, schema) as writer:
        for rows in pages:
            columns = _columns(series, rows)
            try:
                arrays = [pa.array(columns[name], types[name]) for name in names]
            except pa.ArrowInvalid:
                raise NotExact("format", "arrow", f"numbers of at most {SCALE} decimal places and 20 before") from None
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            yield _taken(sink)
    yield _taken(sink)


def column_types(pa: Any) -> dict[str, Any]:
    """The Arrow type of each column that we write; ``pa`` is what `load` gives."""
    number = pa.decimal128(PRECISION, SCALE)
    name = pa.dictionary(pa.int8(), pa.string())
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), number)
    names = dict.fromkeys(("exchange", "pair", "interval", "state"), name)
    return {"timestamp": pa.timestamp("ms", tz="UTC"), "rev": pa.int64(), "minutes": pa.int32()} | numbers | names


def _columns(series: Series, rows: list[StoredRow]) -> dict[str, list[Any]]:
    own = CANDLE_COLUMNS[len(Series._fields) :]
    columns = dict(zip(own, zip(*rows, strict=True) if rows else [()] * len(own), strict=True))
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = tuple(map(Decimal, columns[name]))
    same = {name: [text] * len(rows) for name, text in zip(Series._fields, series, strict=True)}
    return {name: list(column) for name, column in columns.items()} | same


def _taken(sink: io.BytesIO) -> bytes:
    """What was written since the last call; the sink is empty again."""
    written = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return written
