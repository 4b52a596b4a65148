"""What a JSON answer costs beside fetching the same documents, and what a long answer needs in memory.

    python3 -m deploy.native services run .venv/bin/python -m tests.benchmarks.rest

Bare PyMongo finds the documents and decodes them into a list. Ours is the whole of an uncached answer over HTTP: the
request on a connection that is kept, gunicorn, the store, the body read. The two take turns, so that both meet the same
noise; figures are medians. Memory is that of gunicorn's only worker, while it sends a long answer as CSV and NDJSON.
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
from pathlib import Path
from typing import Any

import psutil
from pymongo import MongoClient

from ingest.candle import Candle, State
from tests.conftest import make_candle
from tests.integration.web_processes import REST, free_port, running
from workers.settings import Settings
from workers.store import MAX_SECONDS, Document, document_id, make_store, series_hash

SIZES = (100, 1_000, 10_000)


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
                _compare(client, name, port, options.rounds)
                if options.stream:
                    _stream(psutil.Process(gunicorn.pid).children()[0], port, options.stream)
        finally:
            client.drop_database(name)


def _fill(uri: str, name: str, count: int) -> None:
    store = make_store(Settings.from_env(mongo_uri=uri, mongo_db=name))
    chance = random.Random(1)
    for start in range(0, count, 1000):
        assert store.write([_candle(number, chance) for number in range(start, min(start + 1000, count))]) == []
    store.close()


def _candle(number: int, chance: random.Random) -> Candle:
    open_, close = (Decimal(chance.randrange(1_800_000, 1_900_000)) / 100 for _ in range(2))
    return make_candle(
        number,
        open=open_,
        close=close,
        high=max(open_, close) + Decimal("0.5"),
        low=min(open_, close) - Decimal("1.25"),
        volume=Decimal(chance.randrange(10**9)) / 10**8,
        state=State.FINAL,
    )


def _compare(client: MongoClient[Document], name: str, port: int, rounds: int) -> None:
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

    print("candles   bare PyMongo   REST JSON   ratio   (medians, ms)")
    for size in SIZES:
        times = _take_turns([bare, ours], size, max(5, rounds // 10) if size == SIZES[-1] else rounds)
        pymongo_ms, rest_ms = (statistics.median(each) * 1000 for each in times)
        print(f"{size:7} {pymongo_ms:14.2f} {rest_ms:11.2f} {rest_ms / pymongo_ms:7.2f}", flush=True)
    connection.close()


def _take_turns(what: list[Callable[[int], Any]], size: int, rounds: int) -> list[list[float]]:
    """Seconds that each took, by turns; the first turn is not counted."""
    times: list[list[float]] = [[] for _ in what]
    for turn in range(rounds + 1):
        for each, its_times in zip(what, times, strict=True):
            started = time.perf_counter()
            each(size)
            if turn:
                its_times.append(time.perf_counter() - started)
    return times


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
