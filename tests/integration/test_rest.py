"""The REST API as it runs: gunicorn, a real store, a real Redis."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from ingest.codec import encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from tests.conftest import make_candle, minute
from tests.integration.web_processes import REST, ROOT, running, wait_until
from tests.ports import free_port
from workers.live import FEEDS
from workers.store import CandleStore


def exact(answer: httpx.Response) -> Any:
    return json.loads(answer.text, parse_float=Decimal)


def test_what_was_stored_is_served_digit_by_digit(api: httpx.Client, store: CandleStore) -> None:
    prices: dict[str, Any] = {
        "open": Decimal("0.00000001"),
        "low": Decimal("0.00000001"),
        "close": Decimal("12345678901234567.890123"),
    }
    candles = [make_candle(0), make_candle(1, **prices, high=prices["close"], volume=Decimal("1E-30"))]
    assert store.write(candles) == []

    answer = api.get("/api/ohlcv", params={"pair": "BTC-USD", "from": 0, "to": 9999999999999})

    assert answer.status_code == 200
    assert [list(row) for row in exact(answer)] == [
        ["_id", "close", "high", "low", "open", "pair", "timestamp", "volume"]
    ] * 2
    assert exact(answer) == [
        {
            "_id": "f12080219ba2160f5fbc2708",
            "close": Decimal("12345678901234567.890123"),
            "high": Decimal("12345678901234567.890123"),
            "low": Decimal("0.00000001"),
            "open": Decimal("0.00000001"),
            "pair": "BTC-USD",
            "timestamp": minute(1),
            "volume": Decimal("1E-30"),
        },
        {
            "_id": "f12080219ba2160f5fbc26cc",
            "close": Decimal("18382.06"),
            "high": Decimal("18385.85"),
            "low": Decimal("18376.035"),
            "open": Decimal("18383.38"),
            "pair": "BTC-USD",
            "timestamp": minute(0),
            "volume": Decimal("0.002185"),
        },
    ]


def test_pages_cover_everything_once(api: httpx.Client, store: CandleStore) -> None:
    assert store.write([make_candle(number) for number in range(25)]) == []
    times, url = [], "/api/ohlcv?pair=BTC-USD&limit=10"
    while url:
        answer = api.get(url)
        times.append([row["timestamp"] for row in answer.json()])
        url = answer.links.get("next", {}).get("url", "")

    assert [len(page) for page in times] == [10, 10, 5]
    assert [time for page in times for time in page] == [minute(number) for number in reversed(range(25))]


def test_without_a_limit_ten_thousand_rows_come_and_the_rest_after_them(api: httpx.Client, store: CandleStore) -> None:
    for start in range(0, 10_500, 1500):
        assert store.write([make_candle(number) for number in range(start, start + 1500)]) == []

    first = api.get("/api/ohlcv?pair=BTC-USD")
    second = api.get(first.links["next"]["url"])

    times = [row["timestamp"] for answer in (first, second) for row in answer.json()]
    assert (len(first.json()), "next" in second.links) == (10_000, False)
    assert times == [minute(number) for number in reversed(range(10_500))]


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("pair=XXX-YYY", 404, "pair"),
        ("pair[$ne]=1", 400, "pair[$ne]"),
        ("pair=BTC-USD&to=99999999999999999999", 400, "to"),
        ("pair=BTC-USD&pair=BTC-USD", 400, "pair"),
        ("pair=BTC-USD&nonsense=1", 400, "nonsense"),
        ("pair=BTC-USD%00", 400, "pair"),
    ],
)
def test_mistakes_are_problems_that_name_the_parameter(
    api: httpx.Client, query: str, status: int, parameter: str
) -> None:
    answer = api.get(f"/api/ohlcv?{query}")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["errors"][0]["parameter"] == parameter


def test_a_known_pair_without_candles_is_an_empty_array(api: httpx.Client) -> None:
    answer = api.get("/api/ohlcv?pair=BTC-USD")

    assert (answer.status_code, answer.text) == (200, "[]")


def test_feeds_and_health_follow_the_newest_event(api: httpx.Client, store: CandleStore, redis_url: str) -> None:
    now = time.time_ns() // 1_000_000
    event = FeedEvent("sim", EventKind.BEAT, FeedState.LIVE, since=now - 1000, at=now, pairs=("BTC-USD",))
    open_time = now // 60_000 * 60_000
    assert store.write([make_candle(timestamp=open_time)]) == []
    with redis.Redis.from_url(redis_url) as client:
        client.delete(FEEDS)
        before = api.get("/health")
        client.hset(FEEDS, "sim", encode_event(event))
        # One answer serves all who ask within a second.
        wait_until(lambda: api.get("/health").status_code == 200)
        feeds, after = api.get("/api/feeds"), api.get("/health")
        client.delete(FEEDS)

    assert (before.status_code, before.json()["problems"]) == (503, ["feed sim: never heard of, expected live"])
    assert feeds.json() == [
        {"exchange": "sim", "event": "beat", "feed": "live", "since": now - 1000, "at": now, "pairs": ["BTC-USD"]}
    ]
    assert (after.status_code, after.json()) == (200, {"status": "fresh", "problems": []})


def test_pairs_say_from_when_to_when(api: httpx.Client, store: CandleStore) -> None:
    assert store.write([make_candle(3), make_candle(8), make_candle(1, pair="ADA-USD")]) == []

    answer = api.get("/api/pairs")

    assert answer.json() == [
        {"exchange": "sim", "pair": "ADA-USD", "interval": "1m", "earliest": minute(1), "newest": minute(1)},
        {"exchange": "sim", "pair": "BTC-USD", "interval": "1m", "earliest": minute(3), "newest": minute(8)},
    ]


@pytest.mark.parametrize("said", [b"", b"GET /api/pairs HTTP/1.1\r\nHost: a\r\n"])
def test_sockets_that_hold_their_request_back_do_not_hold_up_others(
    api: httpx.Client, environment: dict[str, str], said: bytes
) -> None:
    address = ("127.0.0.1", int(environment["REST_PORT"]))
    with contextlib.ExitStack() as sockets:
        # More than all threads of all workers.
        idle = [sockets.enter_context(socket.create_connection(address)) for _ in range(24)]
        for each in idle:
            each.sendall(said)

        started = time.monotonic()
        answer = api.get("/livez")
        seconds = time.monotonic() - started

    assert (answer.status_code, seconds < 5) == (200, True)


def test_all_of_gunicorns_workers_count_together(api: httpx.Client) -> None:
    for _ in range(30):
        # A connection of its own each, so that both workers get some.
        httpx.get(f"{api.base_url}/livez")

    counted = [
        line.rpartition(" ")[2]
        for line in api.get("/metrics").text.splitlines()
        if line.startswith('rest_requests_total{method="GET",route="/livez",status="200"}')
    ]

    assert [float(value) >= 30 for value in counted] == [True]


def test_the_restart_of_a_gunicorn_worker_shows_in_a_metric(environment: dict[str, str], tmp_path: Path) -> None:
    port = int(environment["REST_PORT"])
    with running(REST, port, tmp_path / "rest.log", **environment) as master:
        before = newest_start(port)
        killed_at = time.time()

        psutil.Process(master.pid).children()[0].kill()

        wait_until(lambda: newest_start(port) > killed_at)
        assert before < killed_at


def newest_start(port: int) -> float:
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text.splitlines()
    (value,) = [line.split()[1] for line in metrics if line.startswith("web_process_start_time_seconds ")]
    return float(value)


@pytest.mark.parametrize("kind", ["refuses", "silent"])
def test_a_store_that_is_gone_is_a_503_within_five_seconds(
    environment: dict[str, str], tmp_path: Path, kind: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # A socket that accepts and says nothing is a store that was frozen or cut off.
        port = silent.getsockname()[1] if kind == "silent" else free_port()
        environment["MONGO_URI"] = f"mongodb://127.0.0.1:{port}"
        rest = int(environment["REST_PORT"])
        with running(REST, rest, tmp_path / "rest.log", **environment):
            started = time.monotonic()
            answer = httpx.get(f"http://127.0.0.1:{rest}/api/ohlcv?pair=BTC-USD", timeout=10)
            seconds = time.monotonic() - started
            ready = httpx.get(f"http://127.0.0.1:{rest}/readyz", timeout=10)
            alive = httpx.get(f"http://127.0.0.1:{rest}/livez", timeout=10)

    assert (answer.status_code, answer.headers["retry-after"], seconds < 5) == (503, "2", True)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "does not answer")
    assert alive.status_code == 200


def test_a_bad_setting_stops_the_start_with_one_sentence(environment: dict[str, str]) -> None:
    ended = subprocess.run(
        REST,
        cwd=ROOT,
        env=os.environ | environment | {"REST_PORT": "eighty"},
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert ended.returncode == 2
    assert ended.stderr == ("REST_PORT='eighty': expected a valid integer, unable to parse string as an integer\n")


def test_sigterm_ends_all_processes_and_cleans_up(environment: dict[str, str], tmp_path: Path) -> None:
    environment["TMPDIR"] = str(tmp_path)
    with running(REST, int(environment["REST_PORT"]), tmp_path / "rest.log", **environment) as process:
        folders = list(tmp_path.glob("crypto-streams-metrics-*"))
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(15)
        seconds = time.monotonic() - started

    assert (len(folders), status, seconds < 12) == (1, 0, True)
    wait_until(lambda: not list(tmp_path.glob("crypto-streams-metrics-*")))


def test_log_lines_are_json(api: httpx.Client, tmp_path: Path) -> None:
    api.get("/api/ohlcv?pair=BTC-USD", headers={"X-Request-Id": "abc"})

    lines = [json.loads(line) for line in (tmp_path / "rest.log").read_text().splitlines()]

    access = [line for line in lines if line["logger"] == "web.access"]
    assert [(line["id"], line["path"], line["query"], line["status"]) for line in access] == [
        ("abc", "/api/ohlcv", "pair=BTC-USD", 200)
    ]
