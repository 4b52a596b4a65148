"""Which bytes of the API's answers go into a file."""

from pathlib import Path

import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest

from ingest.candle import Candle, State
from tests.conftest import MINUTE_MS, make_candle
from web.client import NotUnderstood
from web.formats import CANDLE_WRITERS, OHLCV_WRITERS, Format
from web.terminal import layouts
from web.terminal.layouts import LAYOUTS, ExportFormat, Page, write_parquet
from workers.stored_rows import StoredRow

SERIES = make_candle().series


def row(candle: Candle) -> StoredRow:
    opened, high, low, close, volume = map(str, candle.values)
    return candle.timestamp, opened, high, low, close, volume, candle.state.value, candle.rev, candle.minutes


def answer(layout: layouts.Layout, candles: list[Candle]) -> bytes:
    writers = OHLCV_WRITERS if layout.answer == "ccxt" else CANDLE_WRITERS
    return b"".join(writers[Format(layout.answer)](SERIES, [[*map(row, candles)]]))


@pytest.mark.parametrize("form", ExportFormat)
def test_pages_joined_are_what_one_answer_is(form: ExportFormat) -> None:
    layout = LAYOUTS[form]
    candles = [make_candle(number, state=State.FINAL) for number in range(5)]

    pages = [layout.page(answer(layout, part)) for part in (candles[:2], candles[2:])]

    joined = layout.head + layout.between.join(page.rows for page in pages) + layout.tail
    assert joined == answer(layout, candles)
    assert [(page.count, page.last_ms) for page in pages] == [
        (2, MINUTE_MS + 60_000),
        (3, MINUTE_MS + 240_000),
    ]


@pytest.mark.parametrize("form", ExportFormat)
def test_an_empty_answer_is_an_empty_page(form: ExportFormat) -> None:
    assert LAYOUTS[form].page(answer(LAYOUTS[form], [])) == Page(b"", 0, None)


@pytest.mark.parametrize("form", ExportFormat)
@pytest.mark.parametrize("body", [b"<html></html>\n", b'{"a":1}\n', b"\xff\n"])
def test_an_answer_of_another_server_is_said_to_be_one(form: ExportFormat, body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        LAYOUTS[form].page(body)


def test_a_parquet_file_has_row_groups_of_their_size_and_exact_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "CHUNK", 2)
    monkeypatch.setattr(layouts, "ROW_GROUP", 5)
    # Chunks of one group that do not have the same states.
    states = [State.FINAL, State.FINAL, State.CORRECTED, State.FINAL, *[State.FINAL] * 7]
    candles = [make_candle(number, state=state) for number, state in enumerate(states)]
    (tmp_path / "lines").write_bytes(answer(LAYOUTS[ExportFormat.PARQUET], candles))
    written: list[int] = []

    write_parquet(tmp_path / "lines", tmp_path / "file", written.append)

    file = parquet.ParquetFile(tmp_path / "file")
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == written == [5, 5, 1]
    rows = file.read().to_pylist()
    assert [each["close"] for each in rows] == [each.close for each in candles]
    assert [int(each["timestamp"].timestamp() * 1000) for each in rows] == [each.timestamp for each in candles]
    assert [(each["pair"], each["state"], each["rev"]) for each in rows] == [
        (each.pair, each.state.value, each.rev) for each in candles
    ]
