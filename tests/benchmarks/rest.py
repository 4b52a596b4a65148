"""What a JSON answer costs beside fetching the same documents, and what a long answer needs in memory.

    python3 -m deploy.native services run .venv/bin/python -m tests.benchmarks.rest

Candles of every interval are fetched in the same way, as many as a year has days: larger ones must not cost more.

Bare PyMongo finds the documents and decodes them into a list. Ours is the whole of an uncached answer over HTTP: the
request on a connection that is kept, gunicorn, the store, the body read. The two take turns, so that both meet the same
noise; times are medians. Processor time, which noise changes less, is that of the client and, for ours, of gunicorn's
only worker, without the store's. Memory is that worker's, while it sends a long answer as CSV and NDJSON.
"""

import argparse
import http.client
import os
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from msgspec.structs import replace
from pymongo import MongoClient

from ingest.candle import Candle, Interval, State
from tests.conftest import MINUTE_MS, make_candle
from tests.integration.web_processes import REST, running
from tests.ports import free_port
from web.listing import KEEP_SECONDS
from workers.documents import MAX_SECONDS, Document, document_id, series_hash
from workers.rollup import open_time
from workers.settings import Settings
from workers.store import make_store

SIZES = (100, 1_000, 10_000)
YEAR = 365
PAIRS = 200
LARGER = [interval for interval in Interval if interval is not Interval.M1]


def main() -> None:
    """Fill a database of its own, measure, drop it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, help="per size; a tenth of them for the largest")
    parser.add_argument("--stream", type=int, default=0, metavar="ROWS", help="rows of the long answers, 0: none")
    options = parser.parse_args()
    uri, name, port = os.environ["TEST_MONGO_URI"], f"bench-{uuid.uuid4().hex[:8]}", free_port()
    environment = {"MONGO_URI": uri, "MONGO_DB": name, "REST_PORT": str(port), "EXCHANGE": "sim", "PAIRS": "BTC-USD"}
    environment |= {"REDIS_URL": os.environ["TEST_REDIS_URL"], "WEB_CONCURRENCY": "1", "LOG_FORMAT": "json"}
    with MongoClient[Document](uri) as client, tempfile.TemporaryDirectory() as folder:
        try:
            _fill(uri, name, max(*SIZES, options.stream) + 1)
            with running(REST, port, Path(folder) / "rest.log", **environment) as gunicorn:
                (worker,) = psutil.Process(gunicorn.pid).children()
                _compare(client, name, worker, port, options.rounds)
                _compare_intervals(worker, port, options.rounds)
                _list_series(port)
                if options.stream:
                    _stream(worker, port, options.stream)
        finally:
            client.drop_database(name)


def _fill(uri: str, name: str, count: int) -> None:
    store = make_store(Settings.from_env(mongo_uri=uri, mongo_db=name))
    chance = random.Random(1)
    for start in range(0, count, 1000):
        assert store.write([_candle(number, chance) for number in range(start, min(start + 1000, count))]) == []
    for interval in LARGER:
        assert store.write([_candle(number, chance, interval) for number in range(YEAR)]) == []
    for pair in range(1, PAIRS):
        minute = replace(_candle(pair, chance), pair=f"C{pair}-USD")
        larger = (replace(minute, interval=each, timestamp=open_time(minute.timestamp, each)) for each in LARGER)
        assert store.write([minute, *larger]) == []
    store.close()


def _candle(number: int, chance: random.Random, interval: Interval = Interval.M1) -> Candle:
    open_, close = (Decimal(chance.randrange(1_800_000, 1_900_000)) / 100 for _ in range(2))
    return make_candle(
        interval=interval,
        timestamp=(MINUTE_MS // interval.milliseconds + number) * interval.milliseconds,
        minutes=chance.randint(1, interval.minutes),
        open=open_,
        close=close,
        high=max(open_, close) + Decimal("0.5"),
        low=min(open_, close) - Decimal("1.25"),
        volume=Decimal(chance.randrange(10**9)) / 10**8,
        state=State.FINAL,
    )


def _compare(client: MongoClient[Document], name: str, worker: psutil.Process, port: int, rounds: int) -> None:
    head = series_hash(make_candle().series)
    ids = {"_id": {"$gte": document_id(head, 0), "$lte": document_id(head, MAX_SECONDS * 1000)}}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def bare(size: int) -> None:
        rows = list(client[name].candles.find(ids).sort("_id", -1).limit(size))
        assert len(rows) == size

    def ours(size: int) -> None:
        connection.request("GET", f"/api/ohlcv?pair=BTC-USD&limit={size}")
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) > 100 * size) == (200, True)

    print("             time, ms                        processor time, ms")
    print("candles   PyMongo   REST JSON   ratio       PyMongo   REST JSON   ratio")
    for size in SIZES:
        pymongo, rest = _take_turns([bare, ours], worker, size, max(5, rounds // 10) if size == SIZES[-1] else rounds)
        figures = (pymongo.time, rest.time, rest.time / pymongo.time, pymongo.cpu, rest.cpu, rest.cpu / pymongo.cpu)
        print("{:7} {:9.2f} {:11.2f} {:7.2f} {:13.2f} {:11.2f} {:7.2f}".format(size, *figures), flush=True)
    connection.close()


def _compare_intervals(worker: psutil.Process, port: int, rounds: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def fetch(interval: Interval, size: int) -> None:
        connection.request("GET", f"/api/candles?pair=BTC-USD&interval={interval.value}&limit={size}")
        answer = connection.getresponse()
        assert (answer.status, answer.read().count(b'"minutes"')) == (200, size)

    costs = _take_turns([partial(fetch, interval) for interval in Interval], worker, YEAR, rounds)
    print(f"{YEAR} candles with all that is known of them:")
    print("interval   time, ms   processor time, ms")
    for interval, cost in zip(Interval, costs, strict=True):
        print(f"{interval.value:>8} {cost.time:10.2f} {cost.cpu:20.2f}", flush=True)
    connection.close()


def _list_series(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times = []
    for turn in range(6):
        time.sleep(KEEP_SECONDS if turn else 0.0)
        started = time.perf_counter()
        connection.request("GET", "/api/pairs")
        answer = connection.getresponse()
        assert (answer.status, answer.read().count(b'"newest"')) == (200, PAIRS * len(Interval))
        times.append((time.perf_counter() - started) * 1000)
    later = statistics.median(times[1:])
    print(f"/api/pairs, {PAIRS} pairs in {len(Interval)} intervals: first {times[0]:.0f} ms, later {later:.0f} ms")
    connection.close()


class _Cost(NamedTuple):
    """Of one turn: median of the time, mean of the processor time; milliseconds."""

    time: float
    cpu: float


def _take_turns(what: list[Callable[[int], Any]], worker: psutil.Process, size: int, rounds: int) -> list[_Cost]:
    """What each costs, by turns; the first turn is not counted."""
    times: list[list[float]] = [[] for _ in what]
    cpu = [0.0] * len(what)
    for turn in range(rounds + 1):
        for number, each in enumerate(what):
            started, cpu_before = time.perf_counter(), _cpu_seconds(worker)
            each(size)
            if turn:
                times[number].append((time.perf_counter() - started) * 1000)
                cpu[number] += (_cpu_seconds(worker) - cpu_before) * 1000
    return [_Cost(statistics.median(each), used / rounds) for each, used in zip(times, cpu, strict=True)]


def _cpu_seconds(worker: psutil.Process) -> float:
    used = worker.cpu_times()
    return time.process_time() + used.user + used.system


def _stream(worker: psutil.Process, port: int, rows: int) -> None:
    for form in ("csv", "ndjson"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/api/ohlcv?pair=BTC-USD&order=asc&limit={rows}&format={form}")
        answer = connection.getresponse()
        started, before = time.perf_counter(), worker.memory_info().rss
        lines, taken, highest, quarter = 0, 0, before, [before]
        while part := answer.read(1 << 18):
            lines, taken = lines + part.count(b"\n"), taken + len(part)
            rss = worker.memory_info().rss
            highest = max(highest, rss)
            if lines >= rows * len(quarter) // 4:
                quarter.append(rss)
        seconds = time.perf_counter() - started
        connection.close()
        mib = ", ".join(f"{each / 2**20:.1f}" for each in quarter)
        print(f"{form}: {lines} lines, {taken / 2**20:.1f} MiB in {seconds:.1f} s ({rows / seconds:.0f} rows/s)")
        print(f"  worker's memory at 0, 1/4, 1/2, 3/4, 1: {mib} MiB; highest {highest / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
