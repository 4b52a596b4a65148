"""How candles lie in a file: which answer of the API a page is, and which of its bytes go into the file.

Rows are passed on as the API wrote them, so a file says what the API says, digit by digit. A Parquet file cannot be
continued after an interruption, so its pages are gathered as NDJSON and become row groups at the end: until it is
complete, its candles lie on the disk twice.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from ingest.candle import Candle
from web import arrow
from web.answers import CANDLE_COLUMNS
from web.client import NotInstalled, NotUnderstood
from web.client.paging import CANDLES_PATH

#: Candles in a request.
PAGE: Final = 10_000
#: Candles in a Parquet row group: readers skip and read whole groups, and each of them costs a footer to look through.
ROW_GROUP: Final = 50_000
#: Candles that are objects at the same time; in columns they need a tenth of the memory.
CHUNK: Final = 2_000
OHLCV_PATH: Final = "/api/ohlcv"


class ExportFormat(StrEnum):
    """What `export` writes."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    FREQTRADE = "freqtrade"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as they go into the file; ``last_ms`` is the open time of the last one, None without any."""

    rows: bytes
    count: int
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """One way of writing.

    Args:
        path: The part of the API whose answers these are.
        answer: The value of ``format`` that asks for them.
        read: Makes a page of an answer's body; may raise ValueError for one that is not what was asked for.
        head, between, tail: What stands before all pages, between two of them and behind all.
    """

    path: str
    answer: str
    read: Callable[[bytes], Page]
    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""

    def page(self, body: bytes) -> Page:
        """The page in the body of an answer.

        Raises:
            NotUnderstood: If it is not what was asked for.
        """
        try:
            return self.read(body)
        except (ValueError, IndexError, msgspec.DecodeError) as error:
            raise NotUnderstood(self.path, str(error)) from error


class _Opens(msgspec.Struct):
    timestamp: int


_opens_decoder = msgspec.json.Decoder(_Opens)
_candle_decoder = msgspec.json.Decoder(Candle)
_ccxt_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_row_decoder = msgspec.json.Decoder(tuple[int, float, float, float, float, float])
_CSV_HEAD: Final = f"{','.join(CANDLE_COLUMNS)}\r\n".encode()


def _read_csv(body: bytes) -> Page:
    if not body.startswith(_CSV_HEAD):
        raise ValueError(f"expected the columns {', '.join(CANDLE_COLUMNS)}")
    rows = body[len(_CSV_HEAD) :]
    if not rows:
        return Page(b"", 0, None)
    last = rows.rstrip(b"\r\n").rpartition(b"\n")[2]
    return Page(rows, rows.count(b"\n"), int(last.split(b",")[CANDLE_COLUMNS.index("timestamp")]))


def _read_ndjson(body: bytes) -> Page:
    if not body:
        return Page(b"", 0, None)
    last = body.rstrip(b"\n").rpartition(b"\n")[2]
    return Page(body, body.count(b"\n"), _opens_decoder.decode(last).timestamp)


def _read_ccxt(body: bytes) -> Page:
    rows = _ccxt_decoder.decode(body)
    if not rows:
        return Page(b"", 0, None)
    return Page(body.strip()[1:-1], len(rows), _row_decoder.decode(rows[-1])[0])


_NDJSON: Final = Layout(CANDLES_PATH, "ndjson", _read_ndjson)
LAYOUTS: Final = {
    ExportFormat.CSV: Layout(CANDLES_PATH, "csv", _read_csv, head=_CSV_HEAD),
    ExportFormat.NDJSON: _NDJSON,
    ExportFormat.PARQUET: _NDJSON,
    # As freqtrade's JsonDataHandler keeps its data and reads it (pandas, ``orient="values"``): one array of rows,
    # ascending, [ms, open, high, low, close, volume].
    ExportFormat.FREQTRADE: Layout(OHLCV_PATH, "ccxt", _read_ccxt, head=b"[", between=b",", tail=b"]"),
}


def require_parquet() -> None:
    """Return if Parquet files can be written.

    Raises:
        NotInstalled: If pyarrow is missing.
    """
    try:
        import_module("pyarrow.parquet")
    except ImportError:
        raise NotInstalled("--format parquet", "pyarrow") from None


def write_parquet(ndjson: Path, target: Path, advance: Callable[[int], None]) -> None:
    """Write the candles of one file into the other in row groups of `ROW_GROUP`; then onto the disk.

    Args:
        ndjson: What has been gathered.
        target: The file to be; replaced if it exists.
        advance: Told how many more candles are written.
    """
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    types = arrow.column_types(pa)
    schema = pa.schema([(name, types[name]) for name in CANDLE_COLUMNS])
    with target.open("wb") as file:
        with parquet.ParquetWriter(file, schema) as writer:
            for lines in _lines(ndjson, ROW_GROUP):
                chunks = [_table(pa, schema, lines[at : at + CHUNK]) for at in range(0, len(lines), CHUNK)]
                group = pa.concat_tables(chunks).unify_dictionaries()
                writer.write_table(group, row_group_size=ROW_GROUP)
                advance(group.num_rows)
                del chunks, group
                # It would otherwise keep for later what the largest group needed, in pieces of any size.
                pa.default_memory_pool().release_unused()
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path, count: int) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while lines := list(islice(file, count)):
            yield lines


def _table(pa: Any, schema: Any, lines: list[bytes]) -> Any:
    candles = map(_candle_decoder.decode, lines)
    return pa.Table.from_pylist([{name: getattr(each, name) for name in CANDLE_COLUMNS} for each in candles], schema)
