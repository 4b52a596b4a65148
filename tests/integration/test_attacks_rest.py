"""What clients that mean harm get from the REST API, and that others are served meanwhile; see docs/security.md."""

import gzip
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis

from tests.conftest import make_candle
from tests.integration.attackers import (
    SECONDS,
    added,
    exchange,
    is_closed,
    request,
    resident_bytes,
    seconds_to_get,
    silent_sockets,
    status,
    traces,
)
from tests.integration.web_processes import REST, running, wait_until
from tests.ports import free_port
from workers.store import CandleStore

MIB = 1024 * 1024


@pytest.fixture
def port(environment: dict[str, str]) -> int:
    return int(environment["REST_PORT"])


@pytest.fixture
def good(port: int) -> str:
    """What somebody who behaves asks for."""
    return f"http://127.0.0.1:{port}/api/ohlcv?pair=BTC-USD&limit=10"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "rest.log"


@pytest.fixture
def server(environment: dict[str, str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(REST, port, log, **environment) as process:
        yield process


HOSTILE_QUERIES = {
    "/api/ohlcv?pair[$ne]=1": (400, "bad_parameter"),
    "/api/ohlcv?pair[$regex]=.*": (400, "bad_parameter"),
    '/api/ohlcv?pair={"$gt":""}': (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&$where=sleep(5000)": (400, "bad_parameter"),
    '/api/candles?pair=BTC-USD&exchange={"$ne":null}': (400, "bad_parameter"),
    "/api/candles?pair=BTC-USD&exchange[]=sim": (400, "bad_parameter"),
    "/api/candles?pair=BTC-USD&interval[$in]=1m": (400, "bad_parameter"),
    "/api/candles?pair=BTC-USD&state[$ne]=final": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&pair=ETH-USD": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&to=99999999999999999999": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&from=-1": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&limit=1e9": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&page=1_000": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&to=NaN": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD&from=%D9%A1": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD%00": (400, "bad_parameter"),
    "/api/ohlcv?pair=BTC-USD%0A": (400, "bad_parameter"),
    "/api/ohlcv?pair=%1B[2J": (400, "bad_parameter"),
    "/api/ohlcv?pair=%FF%FE-USD": (400, "bad_parameter"),
    "/api/ohlcv?pair=" + "A" * 2000: (400, "bad_parameter"),
    "/api/ohlcv?pair=..%2F..%2Fetc%2Fpasswd": (400, "bad_parameter"),
    "/api/pairs?" + "&".join(f"p{number}=1" for number in range(300)): (400, "bad_parameter"),
    "/udf/history?symbol=sim:BTC-USD&resolution=1&to=99999999999999999999": (400, "bad_parameter"),
    "/udf/history?symbol[$ne]=1&resolution=1&to=1": (400, "bad_parameter"),
    "/udf/symbols?symbol=sim:BTC-USD%00": (400, "bad_parameter"),
    "/udf/search?query=.*&limit=99999999999999999999": (400, "bad_parameter"),
    "/api/ohlcv?pair=XXX-YYY": (404, "unknown_pair"),
    "/api/ohlcv?pair=BTC-USD&exchange=other": (404, "unknown_exchange"),
}


@pytest.mark.usefixtures("server")
def test_no_parameter_reaches_the_store_as_anything_but_the_text_it_is(
    environment: dict[str, str], port: int, good: str, store: CandleStore
) -> None:
    assert store.write([make_candle()]) == []
    httpx.get(f"http://127.0.0.1:{port}/api/ohlcv?nothing")
    seconds_to_get(good)
    before = traces(environment, port)

    answers = {}
    for query in HOSTILE_QUERIES:
        raw = exchange(port, request(query))
        answers[query] = (status(raw), json.loads(raw.partition(b"\r\n\r\n")[2])["code"])

    after = traces(environment, port)
    assert answers == HOSTILE_QUERIES
    # Labels of answers come with the answers.
    assert added(before, after).keys() <= {"labels"}
    assert seconds_to_get(good) < 2


def test_unknown_names_leave_nothing_behind(
    environment: dict[str, str], port: int, good: str, server: subprocess.Popen[bytes], store: CandleStore
) -> None:
    assert store.write([make_candle()]) == []

    def ask(client: httpx.Client, first: int, count: int) -> set[int]:
        return {
            client.get(path).status_code
            for number in range(first, first + count)
            for path in (
                f"/api/ohlcv?pair=X{number}-USD",
                f"/api/candles?pair=BTC-USD&exchange=x{number}",
                f"/udf/history?symbol=sim:X{number}-USD&resolution=1&to=1700000000",
                f"/nothing/{number}",
            )
        }

    # With a connection each both workers get some.
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
        ask(client, 0, 100)
        seconds_to_get(good)
        # Looking is a request, too.
        traces(environment, port)
        before, memory = traces(environment, port), resident_bytes(server.pid)

        statuses = ask(client, 100, 300)

    assert statuses == {404}
    assert added(before, traces(environment, port)) == {}
    assert resident_bytes(server.pid) - memory < 4 * MIB
    assert seconds_to_get(good) < 2


INJECTED = {
    "path": b"GET /x%1b[2J%0d%0aX-Injected:%201%0d%0a%0d%0a{%22level%22:%22error%22} HTTP/1.1\r\nHost: a\r\n",
    "query": b"GET /api/ohlcv?pair=A%0d%0aX-Injected:%201%1b[2J HTTP/1.1\r\nHost: a\r\n",
    "request id": b"GET /api/ohlcv HTTP/1.1\r\nHost: a\r\nX-Request-Id: a%0d%0aX-Injected: 1\r\n",
    "origin": b"GET /api/ohlcv HTTP/1.1\r\nHost: a\r\nOrigin: https://a%0d%0aX-Injected: 1\r\n",
    "forwarded": b"GET /api/ohlcv HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\x1b[31m\r\n",
    "host": b"GET /api/ohlcv?pair=BTC-USD&limit=1 HTTP/1.1\r\nHost: evil.example\r\n",
    "bare line feed": b"GET /livez HTTP/1.1\r\nHost: a\r\nA: b\nX-Injected: 1\r\n",
    "folded header": b"GET /livez HTTP/1.1\r\nHost: a\r\nA: b\r\n X-Injected: 1\r\n",
}


@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_that_is_sent_becomes_a_header_or_a_log_line(
    environment: dict[str, str], port: int, good: str, log: Path, form: str, store: CandleStore
) -> None:
    environment["LOG_FORMAT"] = form
    assert store.write([make_candle(0), make_candle(1)]) == []
    with running(REST, port, log, **environment):
        lines = len(log.read_bytes().splitlines())
        answers = {name: exchange(port, sent + b"Connection: close\r\n\r\n") for name, sent in INJECTED.items()}
        assert seconds_to_get(good) < 2
        # One line for each that got as far as the application, and one for the good one; refusals of gunicorn's have
        # theirs, too.
        wait_until(lambda: len(log.read_bytes().splitlines()) >= lines + 7)

    written = log.read_bytes()
    heads = {name: answer.partition(b"\r\n\r\n")[0].lower() for name, answer in answers.items()}
    assert [name for name, head in heads.items() if b"\r\nx-injected" in head or b"evil.example" in head] == []
    assert {name: status(answer) for name, answer in answers.items()} == {
        "path": 404,
        "query": 400,
        "request id": 400,
        "origin": 400,
        "forwarded": 400,
        "host": 200,
        "bare line feed": 400,
        "folded header": 400,
    }
    assert b"\x1b" not in written
    assert not [line for line in written.splitlines() if line.lstrip().lower().startswith((b"x-injected", b'{"level"'))]
    if form == "json":
        assert all(json.loads(line)["logger"] for line in written.splitlines())


@pytest.mark.usefixtures("server")
def test_paths_lead_to_nothing_but_the_routes(port: int, good: str) -> None:
    paths = [
        "/../../../../etc/passwd",
        "/docs/../../gunicorn.conf.py",
        "/docs/..%2f..%2fgunicorn.conf.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/ohlcv/../../.env",
        "//etc/passwd",
        "/docs%00.html",
        "/static/../app.py",
        "/static/..%2f..%2fgunicorn.conf.py",
        "/static/vendor/../../settings.py",
        "/static//etc/passwd",
        "/static/index.html",
        "/static/",
        "/static",
        "/docs\\..\\.env",
        "/.git/config",
        "/.env",
        "http://other.example/etc/passwd",
    ]

    answers = {path: exchange(port, request(path)) for path in paths}

    assert {path: status(answer) for path, answer in answers.items()} == dict.fromkeys(paths, 404)
    assert all(json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "not_found" for answer in answers.values())
    assert seconds_to_get(good) < 2


@pytest.mark.usefixtures("server")
def test_only_reading_is_possible(environment: dict[str, str], port: int, good: str, store: CandleStore) -> None:
    assert store.write([make_candle()]) == []
    methods = ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "MADEUP"]

    answers = {
        method: exchange(
            port, f"{method} /api/ohlcv?pair=BTC-USD HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )
        for method in methods
    }

    statuses = {method: status(answer) for method, answer in answers.items()}
    assert statuses == dict.fromkeys(methods[:7], 405) | {"MADEUP": 400}
    assert [row["pair"] for row in httpx.get(good).json()] == ["BTC-USD"]
    labels = {line for line in traces(environment, port)["labels"] if line.startswith("rest_requests_total")}
    assert not [label for label in labels if "MADEUP" in label or "PROPFIND" in label]


MALFORMED = {
    "long url": b"GET /api/ohlcv?pair=" + b"A" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "many headers": b"GET /livez HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(500)) + b"\r\n",
    "long header": b"GET /livez HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
    "two lengths": b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "negative length": b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length and chunks": b"GET /livez HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "nul in a header": b"GET /livez HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n",
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "raw bytes in the path": b"GET /\xff\xfe\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
}


def test_malformed_and_huge_requests_are_refused_and_hung_up_on(
    port: int, good: str, server: subprocess.Popen[bytes], log: Path
) -> None:
    seconds_to_get(good)
    memory = resident_bytes(server.pid)

    statuses = {name: status(exchange(port, sent)) for name, sent in MALFORMED.items()}

    # Hung up on before all of it was read, a client may see its connection reset rather than the answer.
    assert all(each in (400, 404, 414, 431, None) for each in statuses.values()), statuses
    assert seconds_to_get(good) < 2
    assert resident_bytes(server.pid) - memory < 8 * MIB
    assert "Traceback" not in log.read_text()


def test_a_body_is_neither_kept_nor_decompressed(port: int, good: str, server: subprocess.Popen[bytes]) -> None:
    bomb = gzip.compress(bytes(64 * MIB), 9)
    head = b"%s /api/ohlcv?pair=BTC-USD HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    seconds_to_get(good)
    memory = resident_bytes(server.pid)

    posted = exchange(port, head % (b"POST", len(bomb)) + bomb)
    got = exchange(port, head % (b"GET", 32 * MIB) + bytes(32 * MIB))

    assert status(posted) == 405
    assert status(got) in (200, None)
    assert resident_bytes(server.pid) - memory < 4 * MIB
    assert seconds_to_get(good) < 2


@pytest.mark.usefixtures("server")
def test_a_request_of_one_byte_a_second_is_hung_up_on(port: int, good: str) -> None:
    with silent_sockets(port, 24, b"GET /livez HTTP/1.1\r\nX: ") as slow:
        started = time.monotonic()
        while not all(map(is_closed, slow)):
            assert time.monotonic() - started < SECONDS
            assert seconds_to_get(good) < 5
            for each in slow:
                each.setblocking(True)
                try:
                    each.sendall(b"y")
                except ConnectionError:
                    continue

    assert time.monotonic() - started < SECONDS


def test_clients_that_do_not_take_long_answers_do_not_hold_up_others(
    environment: dict[str, str], port: int, good: str, log: Path, store: CandleStore
) -> None:
    for start in range(0, 10_500, 1500):
        assert store.write([make_candle(number) for number in range(start, start + 1500)]) == []
    environment["WEB_CONCURRENCY"] = "1"
    with running(REST, port, log, **environment) as process:
        seconds_to_get(good)
        sockets = [socket.socket() for _ in range(16)]
        try:
            for each in sockets:
                # Small packets, as on a real network: loopback's would have the kernel take megabytes at once.
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                each.settimeout(SECONDS)
                each.connect(("127.0.0.1", port))
                each.sendall(request("/api/candles?pair=BTC-USD&format=ndjson&limit=1000000"))
            # All threads are busy with answers that nobody takes.
            assert all(each.recv(15) == b"HTTP/1.1 200 OK" for each in sockets[:8])
            memory = resident_bytes(process.pid)

            seconds = seconds_to_get(good)

            grown = resident_bytes(process.pid) - memory
        finally:
            for each in sockets:
                each.close()

    assert (seconds < 8, grown < 32 * MIB) == (True, True)


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["at all", "any more"])
def test_a_flood_of_connections_that_say_nothing_gives_way_to_those_that_ask(
    environment: dict[str, str], port: int, good: str, log: Path, said: bytes
) -> None:
    environment["WEB_CONCURRENCY"] = "1"
    # As many as a worker holds, for five seconds each if nobody asks.
    with running(REST, port, log, **environment), silent_sockets(port, 1000, said) as flood:
        if said:
            assert {each.recv(15) for each in flood} == {b"HTTP/1.1 200 OK"}

        assert seconds_to_get(good) < 4.5


def test_a_forged_address_does_not_evade_the_rate_limit(environment: dict[str, str], port: int, log: Path) -> None:
    environment["REST_MAX_REQUESTS_PER_MINUTE"] = "5"
    environment["TRUSTED_PROXIES"] = "127.0.0.1"
    url = f"http://127.0.0.1:{port}/udf/time"

    def ask(forwarded: str) -> int:
        return httpx.get(url, headers={"X-Forwarded-For": forwarded}).status_code

    with redis.Redis.from_url(environment["REDIS_URL"]) as live, running(REST, port, log, **environment):
        for key in live.scan_iter("rest.rate:*"):
            live.delete(key)
        attacker = [ask(f"10.{number}.0.1, 203.0.113.7") for number in range(8)]
        neighbours = [ask(f"2001:db8:0:1::{number}") for number in range(1, 9)]
        good = ask("203.0.113.8")
        probes = {httpx.get(f"http://127.0.0.1:{port}{path}").status_code for path in ("/livez", "/metrics")}
        keys = sorted(live.scan_iter("rest.rate:*"))
        expire = [live.pttl(key) > 0 for key in keys]

    assert (attacker, neighbours, good, probes) == ([200] * 5 + [429] * 3, [200] * 5 + [429] * 3, 200, {200})
    assert keys == [b"rest.rate:2001:db8:0:1::/64", b"rest.rate:203.0.113.7", b"rest.rate:203.0.113.8"]
    assert expire == [True] * 3


def test_without_a_trusted_proxy_nobody_speaks_for_others(environment: dict[str, str], port: int, log: Path) -> None:
    environment["REST_MAX_REQUESTS_PER_MINUTE"] = "5"
    url = f"http://127.0.0.1:{port}/udf/time"
    with redis.Redis.from_url(environment["REDIS_URL"]) as live, running(REST, port, log, **environment):
        for key in live.scan_iter("rest.rate:*"):
            live.delete(key)
        statuses = [
            httpx.get(url, headers={"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": "for=9.9.9.9"}).status_code
            for number in range(8)
        ]
        keys = list(live.scan_iter("rest.rate:*"))
        live.delete(*keys)

    assert (statuses, keys) == ([200] * 5 + [429] * 3, [b"rest.rate:127.0.0.1"])


def test_errors_tell_nothing_of_where_services_are_or_how_they_are_entered(
    environment: dict[str, str], port: int, log: Path
) -> None:
    mongo, live = free_port(), free_port()
    environment["MONGO_URI"] = f"mongodb://someone:verysecret@127.0.0.1:{mongo}"
    environment["REDIS_URL"] = f"redis://:verysecret@127.0.0.1:{live}/0"
    paths = ["/api/ohlcv?pair=BTC-USD", "/api/pairs", "/api/feeds", "/health", "/readyz", "/udf/symbols?symbol=BTC-USD"]
    # Each waits for a store that does not come.
    with running(REST, port, log, **environment), ThreadPoolExecutor() as at_once:
        got = at_once.map(lambda path: httpx.get(f"http://127.0.0.1:{port}{path}", timeout=SECONDS), paths)
        answers = dict(zip(paths, got, strict=True))

    told = "".join(answer.text + str(answer.headers) for answer in answers.values())
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(paths, 503)
    assert [
        word for word in ("verysecret", str(mongo), str(live), "Traceback", "pymongo", "redis://") if word in told
    ] == []
    assert "verysecret" not in log.read_text()


@pytest.mark.usefixtures("server")
def test_every_answer_tells_browsers_to_take_nothing_for_a_script(port: int, store: CandleStore) -> None:
    assert store.write([make_candle()]) == []
    base = f"http://127.0.0.1:{port}"
    paths = [
        "/",
        "/status",
        "/static/main.js",
        "/api",
        "/docs",
        "/openapi.json",
        "/api/ohlcv?pair=BTC-USD",
        "/api/ohlcv?pair=<script>",
        "/<script>",
        "/livez",
    ]

    answers = {path: httpx.get(base + path, timeout=SECONDS) for path in paths}

    heads = [answer.headers for answer in answers.values()]
    assert {(head["x-content-type-options"], head["referrer-policy"]) for head in heads} == {("nosniff", "no-referrer")}
    assert all("default-src 'none'" in head["content-security-policy"] for head in heads)
    assert all("frame-ancestors 'none'" in head["content-security-policy"] for head in heads)
    html = [path for path, answer in answers.items() if answer.headers["content-type"].startswith("text/html")]
    assert html == ["/", "/status", "/api", "/docs"]
