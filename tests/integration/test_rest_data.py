"""Candles over HTTP as programs read them: pandas, Arrow, pages while others write, long answers."""

import csv
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pandas  # type: ignore[import-untyped]
import pyarrow  # type: ignore[import-untyped]
import pytest

from ingest.candle import Candle, Interval, State
from tests.conftest import make_candle, minute
from tests.integration.tcp_forwarder import Forwarder
from tests.integration.web_processes import REST, running
from workers.store import CandleStore

PRICES = {"open": 18383.38, "high": 18385.85, "low": 18376.035, "close": 18382.06, "volume": 0.002185}


@pytest.fixture
def api(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of the API."""
    port = int(environment["REST_PORT"])
    with running(REST, port, tmp_path / "rest.log", **environment):
        yield f"http://127.0.0.1:{port}"


def finals(numbers: range, **fields: Any) -> list[Candle]:
    return [make_candle(number, state=State.FINAL, **fields) for number in numbers]


def fill(store: CandleStore, count: int) -> None:
    for start in range(0, count, 1500):
        assert store.write(finals(range(start, min(start + 1500, count)))) == []


def expected_frame(numbers: list[int]) -> pandas.DataFrame:
    return pandas.DataFrame([{"timestamp": minute(number), **PRICES} for number in numbers])


def test_pandas_reads_json(api: str, store: CandleStore) -> None:
    fill(store, 3)

    frame = pandas.read_json(f"{api}/api/ohlcv?pair=BTC-USD")

    assert list(frame.columns) == ["_id", "close", "high", "low", "open", "pair", "timestamp", "volume"]
    times = pandas.to_datetime([minute(number) for number in (2, 1, 0)], unit="ms")
    assert list(frame["timestamp"]) == list(times)
    assert frame["close"].tolist() == [18382.06] * 3
    assert frame["_id"].tolist()[-1] == "f12080219ba2160f5fbc26cc"


def test_pandas_reads_csv(api: str, store: CandleStore) -> None:
    fill(store, 3)

    frame = pandas.read_csv(f"{api}/api/ohlcv?pair=BTC-USD&format=csv&order=asc")

    pandas.testing.assert_frame_equal(frame, expected_frame([0, 1, 2]))


def test_pandas_reads_ndjson(api: str, store: CandleStore) -> None:
    fill(store, 3)

    frame = pandas.read_json(f"{api}/api/ohlcv?pair=BTC-USD&format=ndjson", lines=True, dtype=False)

    columns = ["timestamp", "open", "high", "low", "close", "volume"]
    frame["timestamp"] = frame["timestamp"].astype("datetime64[ms]").astype("int64")
    pandas.testing.assert_frame_equal(frame[columns], expected_frame([2, 1, 0]))


def test_pandas_makes_a_frame_of_columns(api: str, store: CandleStore) -> None:
    fill(store, 3)

    frame = pandas.DataFrame(httpx.get(f"{api}/api/ohlcv?pair=BTC-USD&format=columns").json())

    pandas.testing.assert_frame_equal(frame, expected_frame([2, 1, 0]))


def test_pandas_reads_full_candles_from_csv(api: str, store: CandleStore) -> None:
    fill(store, 2)

    frame = pandas.read_csv(f"{api}/api/candles?pair=BTC-USD&format=csv", dtype={"close": str})

    newest = make_candle(1, state=State.FINAL)
    assert frame.loc[0, ["exchange", "pair", "interval", "close", "state", "rev", "minutes"]].tolist() == [
        *("sim", "BTC-USD", "1m", "18382.06", "final", newest.rev, 1)
    ]


@pytest.mark.parametrize("form", ["json", "csv", "ndjson", "arrow"])
def test_larger_candles_say_of_how_many_minutes_they_are_made(api: str, store: CandleStore, form: str) -> None:
    opens = minute(0) // 3_600_000 * 3_600_000
    hours = [
        make_candle(interval=Interval.H1, timestamp=opens + number * 3_600_000, minutes=60 - number)
        for number in range(3)
    ]
    assert store.write([*finals(range(3)), *hours]) == []

    answer = httpx.get(f"{api}/api/candles?pair=BTC-USD&interval=1h&order=asc&format={form}")

    assert read_column(answer, form, "minutes") == [60, 59, 58]
    assert read_column(answer, form, "timestamp") == [hour.timestamp for hour in hours]


def read_column(answer: httpx.Response, form: str, name: str) -> list[int]:
    """A column of integers of an answer of ``/api/candles``."""
    if form == "arrow":
        return list(pyarrow.ipc.open_stream(answer.content).read_all()[name].cast("int64").to_pylist())
    if form == "csv":
        return [int(row[name]) for row in csv.DictReader(io.StringIO(answer.text, newline=""))]
    rows = answer.json()["candles"] if form == "json" else map(json.loads, answer.text.splitlines())
    return [row[name] for row in rows]


def test_arrow_is_read_without_losing_a_digit(api: str, store: CandleStore) -> None:
    price = Decimal("0.000000000000000001")
    assert store.write(finals(range(2), open=price, high=price, low=price, close=price)) == []

    answer = httpx.get(f"{api}/api/ohlcv?pair=BTC-USD", headers={"Accept": "application/vnd.apache.arrow.stream"})

    table = pyarrow.ipc.open_stream(answer.content).read_all()
    assert table["close"].to_pylist() == [price, price]
    assert table.to_pandas()["timestamp"].tolist() == [
        pandas.Timestamp(minute(number), unit="ms", tz="UTC") for number in (1, 0)
    ]


@pytest.mark.parametrize("query", ["limit=37", "limit=37&order=asc", "limit=40000&format=csv&order=asc"])
def test_nothing_is_skipped_or_repeated_while_others_write(api: str, store: CandleStore, query: str) -> None:
    """Four writers move every candle forward, in no order, and add newer and older ones, all the while."""
    held = range(1000, 13_000, 20) if "limit=37" in query else range(1000, 13_000)
    for start in range(0, len(held), 1500):
        assert store.write([make_candle(number) for number in held[start : start + 1500]]) == []
    stop = threading.Event()

    def write(writer: int) -> None:
        number = writer
        while not stop.is_set():
            number = (number + 7919) % 14_000
            store.write([make_candle(each, state=State.FINAL) for each in (number, 13_999 - number)])

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for each in writers:
        each.start()
    try:
        seen = list(read_all(f"{api}/api/ohlcv?pair=BTC-USD&{query}"))
    finally:
        stop.set()
        for each in writers:
            each.join(20)

    assert seen == sorted(set(seen), reverse="asc" not in query)
    assert {minute(number) for number in held} - set(seen) == set()


def read_all(url: str) -> Iterator[int]:
    """The open times of all pages."""
    with httpx.Client(timeout=30) as client:
        while url:
            answer = client.get(url)
            assert answer.status_code == 200
            if "csv" in url:
                yield from (int(line.partition(",")[0]) for line in answer.text.splitlines()[1:])
            else:
                yield from (row["timestamp"] for row in answer.json())
            following = answer.links.get("next", {}).get("url", "")
            url = f"{answer.url.copy_with(query=None, path='/')}"[:-1] + following if following else ""


def test_a_tag_saves_the_second_answer_on_one_connection(api: str, store: CandleStore) -> None:
    fill(store, 5)
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=10)
    path = f"/api/ohlcv?pair=BTC-USD&to={minute(4)}"
    connection.request("GET", path)
    first = connection.getresponse()
    body, tag = first.read(), first.getheader("ETag")
    assert tag is not None

    connection.request("GET", path, headers={"If-None-Match": tag})
    second = connection.getresponse()
    second.read()
    connection.request("GET", path)
    third = connection.getresponse()

    assert (second.status, second.getheader("ETag")) == (304, tag)
    assert (third.status, third.read()) == (200, body)
    connection.close()


def test_an_answer_that_cannot_be_finished_is_seen_to_be_cut(
    environment: dict[str, str], store: CandleStore, tmp_path: Path
) -> None:
    # Far more than what these sockets hold, so that parts are still to be read when the store goes.
    fill(store, 15_000)
    host, _, port = environment["MONGO_URI"].removeprefix("mongodb://").partition(":")
    rest = int(environment["REST_PORT"])
    with Forwarder((host, int(port))) as link:
        link.open()
        environment["MONGO_URI"] = f"mongodb://127.0.0.1:{link.port}"
        with running(REST, rest, tmp_path / "rest.log", **environment), SmallWindow(rest) as connection:
            connection.request("GET", "/api/candles?pair=BTC-USD&limit=15000&format=ndjson")
            answer = connection.getresponse()
            answer.read(1000)
            link.cut()

            # Chunked: an end that was not announced is an error, not the end.
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                answer.read()

    assert answer.status == 200
    assert "a long answer breaks off" in (tmp_path / "rest.log").read_text()
    assert "Traceback" not in (tmp_path / "rest.log").read_text()


class SmallWindow(http.client.HTTPConnection):
    """A connection whose receiver takes little in advance."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=30)
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect(("127.0.0.1", port))

    def __enter__(self) -> http.client.HTTPConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.mark.parametrize(
    "path", ["/api/candles?pair=BTC-USD", "/api/ohlcv?pair=BTC-USD&format=csv&limit=20000", "/api/pairs"]
)
def test_a_silent_store_is_a_503_within_five_seconds(environment: dict[str, str], tmp_path: Path, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment["MONGO_URI"] = f"mongodb://127.0.0.1:{silent.getsockname()[1]}"
        rest = int(environment["REST_PORT"])
        with running(REST, rest, tmp_path / "rest.log", **environment):
            started = time.monotonic()
            answer = httpx.get(f"http://127.0.0.1:{rest}{path}", timeout=10)
            seconds = time.monotonic() - started

    assert (answer.status_code, answer.headers["retry-after"], seconds < 5) == (503, "2", True)
    assert answer.headers["content-type"] == "application/problem+json"
