"""``python -m web export`` from a real server: interrupted wherever that may be, and the same in the end."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest

from ingest.candle import Candle, State
from tests.conftest import make_candle, minute
from tests.integration.web_processes import ROOT, free_port
from web.client import Client
from web.terminal.export import Export, ExportError, Request, prepare
from web.terminal.layouts import ExportFormat
from workers.store import CandleStore

PAGE = 100
CANDLES = 1_050
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
    for module in ("export", "layouts"):
        monkeypatch.setattr(f"web.terminal.{module}.PAGE", PAGE)
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
