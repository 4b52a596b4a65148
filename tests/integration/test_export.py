"""``python -m web export`` from a real server: interrupted wherever that may be, and the same in the end."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pandas  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest

from ingest.candle import Candle, State
from tests.conftest import make_candle, minute
from tests.integration.commands import run_on_terminal
from tests.integration.exports import candles_held, end_export, export, exporting, pages_asked, store_quickly
from tests.integration.tcp_forwarder import Forwarder
from tests.integration.web_processes import ROOT, wait_until
from tests.ports import free_port
from web.answers import CANDLE_COLUMNS
from web.client import Client
from web.terminal import layouts
from web.terminal.export import Export, ExportError, Request, prepare
from web.terminal.layouts import ExportFormat
from workers.store import CandleStore

PAGE = 100
CANDLES = 1_050
#: Two whole requests of the command itself, and a part of a third.
MANY = 25_000
#: The answer of the API that a file of this format has to be equal to.
ANSWERS = {
    ExportFormat.CSV: "/api/candles?format=csv",
    ExportFormat.NDJSON: "/api/candles?format=ndjson",
    ExportFormat.FREQTRADE: "/api/ohlcv?format=ccxt",
}


@pytest.fixture
def stored(store: CandleStore) -> list[Candle]:
    candles = [make_candle(number, state=State.FINAL) for number in range(CANDLES) if number % 7]
    assert store.write(candles) == []
    return candles


class Interrupted(Client):
    """A client whose user presses Ctrl-C at the numbered request for candles."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(url)
        self._left = number

    def get(self, path: str, parameters: dict[str, str]) -> bytes:
        body = super().get(path, parameters)
        if path != "/api/pairs":
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        return body


@pytest.fixture
def many(mongo_uri: str, database: str) -> int:
    """More candles than fit into two requests, in the store."""
    store_quickly(mongo_uri, database, (make_candle(number, state=State.FINAL) for number in range(MANY)))
    return MANY


@contextmanager
def unseen(_what: str, _total: int) -> Iterator[Callable[[int], None]]:
    yield lambda _count: None


def prepared(url: str, target: Path, form: ExportFormat, **words: str) -> Export:
    request = Request(url, "BTC-USD", None, "1m", words.get("since"), words.get("until"), False, form)
    return prepare(target, request, int, minute(CANDLES + 50))


@pytest.mark.parametrize("form", ExportFormat)
def test_an_interrupted_export_that_is_resumed_equals_the_api_row_for_row(
    api: httpx.Client,
    stored: list[Candle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: ExportFormat,
) -> None:
    monkeypatch.setattr("web.terminal.export.PAGE", PAGE)
    url, target = str(api.base_url), tmp_path / "file"
    part = tmp_path / "file.part"

    for pages in (0, 3, 2):
        with Interrupted(url, pages) as client, pytest.raises(KeyboardInterrupt):
            prepared(url, target, form).run(client, unseen)
        assert not target.exists()
        # A page that was being written when the power went.
        with part.open("ab") as file:
            file.write(b"half a pa")
    resumed_from = prepared(url, target, form).progress.candles
    with Client(url) as client:
        count = prepared(url, target, form).run(client, unseen)

    assert (resumed_from, count) == (5 * PAGE, len(stored))
    assert [path.name for path in tmp_path.glob("file*")] == ["file"]
    if form is ExportFormat.PARQUET:
        assert parquet.read_table(target).column("rev").to_pylist() == [each.rev for each in stored]
        assert parquet.read_table(target).column("low").to_pylist() == [each.low for each in stored]
    else:
        expected = api.get(f"{ANSWERS[form]}&pair=BTC-USD&order=asc")
        assert target.read_bytes() == expected.content


@pytest.mark.parametrize("form", ExportFormat)
def test_a_killed_export_that_is_repeated_asks_for_nothing_twice_and_equals_the_api_row_for_row(
    api: httpx.Client, many: int, tmp_path: Path, form: ExportFormat
) -> None:
    target, words = tmp_path / "file", ("BTC-USD", "--format", form.value, "--url", str(api.base_url))

    end_export(target, signal.SIGKILL, layouts.PAGE, *words)
    held = candles_held(target)
    ended = export(target, *words)

    asked = Counter(pages_asked(tmp_path / "rest.log"))
    assert ended.status == 0
    assert f"going on behind {held:,} candles that are in {target}.part\n" in ended.said
    assert set(asked) == {None, *(minute(number - 1) for number in range(layouts.PAGE, many, layouts.PAGE))}
    # What was on its way to the killed one was asked for again; what it had was not.
    assert {page for page, times in asked.items() if times > 1} <= {minute(held - 1)}
    assert [path.name for path in tmp_path.glob("file*")] == ["file"]
    assert rows_of(target, form) == answered_rows(api, form, many)


def rows_of(target: Path, form: ExportFormat) -> list[bytes] | list[dict[str, object]]:
    """What is in a file, row by row."""
    if form is ExportFormat.PARQUET:
        rows = parquet.read_table(target).to_pylist()
        return [row | {"timestamp": round(row["timestamp"].timestamp() * 1000)} for row in rows]
    return split_rows(target.read_bytes())


def answered_rows(api: httpx.Client, form: ExportFormat, count: int) -> list[bytes] | list[dict[str, object]]:
    """The same of the API, which gives all of them at once where it streams."""
    if form is ExportFormat.PARQUET:
        lines = api.get(f"/api/candles?format=ndjson&pair=BTC-USD&order=asc&limit={count}").content.splitlines()
        candles = [msgspec.json.decode(line, type=Candle) for line in lines]
        return [{name: getattr(candle, name) for name in CANDLE_COLUMNS} for candle in candles]
    if form is not ExportFormat.FREQTRADE:
        return split_rows(api.get(f"{ANSWERS[form]}&pair=BTC-USD&order=asc&limit={count}").content)
    rows: list[bytes] = []
    for number in range(0, count, 10_000):
        span = f"from={minute(number)}&to={minute(number + 9_999)}&limit=10000"
        rows += split_rows(api.get(f"{ANSWERS[form]}&pair=BTC-USD&order=asc&{span}").content)
    return rows


def split_rows(body: bytes) -> list[bytes]:
    if body.startswith(b"["):
        return [bytes(row) for row in msgspec.json.decode(body, type=list[msgspec.Raw])]
    return body.splitlines()


def test_ctrl_c_says_how_to_go_on(api: httpx.Client, many: int, tmp_path: Path) -> None:
    target = tmp_path / "file"

    ended = end_export(target, signal.SIGINT, layouts.PAGE, "BTC-USD", "--url", str(api.base_url))

    assert ended.status == 130
    expected = f"{candles_held(target):,} candles are in {target}.part: the same command goes on behind them\n"
    assert ended.said == expected


def test_a_server_that_goes_away_is_status_3_and_says_how_to_go_on(
    api: httpx.Client, many: int, tmp_path: Path
) -> None:
    target = tmp_path / "file"

    with Forwarder(("127.0.0.1", api.base_url.port or 0)) as link:
        link.open()
        with exporting("BTC-USD", "--url", f"http://127.0.0.1:{link.port}", "-o", str(target)) as process:
            wait_until(lambda: candles_held(target) > 0)
            link.cut()
            _, errors = process.communicate(timeout=60)

    assert process.returncode == 3
    hint, sentence = errors.splitlines()
    assert hint == f"{candles_held(target):,} candles are in {target}.part: the same command goes on behind them"
    assert sentence.startswith(f"http://127.0.0.1:{link.port} does not answer: ")


def test_a_terminal_gets_a_bar_with_the_time_that_is_left(api: httpx.Client, many: int, tmp_path: Path) -> None:
    words = ("export", "BTC-USD", "--url", str(api.base_url), "-o", str(tmp_path / "file"))

    status, text = run_on_terminal(os.environ, *words, program="web")

    assert status == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert re.search(r" \d+/24999 +[0-9,]+/s 0:00:\d\d", shown), shown
    assert re.search(rf"{many:,} candles in \S+/file, [0-9.]+ s", shown)


def test_what_freqtrade_is_given_reads_as_freqtrade_reads_it(
    api: httpx.Client, stored: list[Candle], tmp_path: Path
) -> None:
    done = command("BTC-USD", "--url", str(api.base_url), "--format", "freqtrade", "-o", str(tmp_path))

    # Its name for BTC/USD, and how its JsonDataHandler loads it.
    frame = pandas.read_json(tmp_path / "BTC_USD-1m.json", orient="values")
    frame.columns = pandas.Index(["date", "open", "high", "low", "close", "volume"])
    frame = frame.astype(dict.fromkeys(("open", "high", "low", "close", "volume"), "float"))
    frame["date"] = pandas.to_datetime(frame["date"], unit="ms", utc=True)
    assert done.returncode == 0
    assert [each.timestamp() * 1000 for each in frame["date"]] == [each.timestamp for each in stored]
    for name in ("open", "high", "low", "close", "volume"):
        assert list(frame[name]) == [float(getattr(each, name)) for each in stored]


def test_the_part_of_another_export_is_left_alone(
    api: httpx.Client, stored: list[Candle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.terminal.export.PAGE", PAGE)
    url, target = str(api.base_url), tmp_path / "file"
    with Interrupted(url, 1) as client, pytest.raises(KeyboardInterrupt):
        prepared(url, target, ExportFormat.CSV).run(client, unseen)

    with pytest.raises(ExportError, match="is of another export that was interrupted"):
        prepared(url, target, ExportFormat.NDJSON)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "web", "export", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_the_command_writes_a_file_for_freqtrade_and_says_what_it_did(
    api: httpx.Client, stored: list[Candle], tmp_path: Path
) -> None:
    begin, end = stored[10], stored[19]

    done = command(
        *("BTC-USD", "--from", str(begin.timestamp), "--to", str(end.timestamp), "--url", str(api.base_url)),
        *("--format", "freqtrade", "-o", str(tmp_path)),
    )

    file = tmp_path / "BTC_USD-1m.json"
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: value for name, value in json.loads(done.stdout).items() if name != "seconds"} == {
        "file": str(file),
        "candles": 10,
    }
    assert [row[0] for row in json.loads(file.read_text())] == [each.timestamp for each in stored[10:20]]


def test_without_a_server_it_is_status_3_and_without_a_folder_2(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    away, nowhere = (
        command("BTC-USD", "-o", str(target), "--url", url) for target in (tmp_path / "file", tmp_path / "no" / "file")
    )

    assert (away.returncode, away.stdout) == (3, "")
    assert away.stderr.startswith(f"{url} does not answer: ")
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert nowhere.stderr == f"{tmp_path / 'no' / 'file'}: expected the name of a file in a folder that exists\n"
