"""What an export to Parquet needs, and what becomes of it when it is killed in the middle.

    python3 -m deploy.native services run .venv/bin/python -m tests.benchmarks.export --candles 500000

A fifth of the candles and then all of them are exported, as CSV and as Parquet, each in a process of its own, whose
peak memory must be the same. A last export to Parquet is killed (SIGKILL) in the middle and repeated. By the server's
access log the second process must not ask for a page again that the first one had, and its file is compared with the
API's own answer, candle for candle.
"""

import argparse
import os
import random
import signal
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
from pymongo import MongoClient

from ingest.candle import Candle, State
from tests.conftest import make_candle, minute
from tests.integration.exports import Ended, candles_held, end_export, export, pages_asked, store_quickly
from tests.integration.web_processes import REST, running
from tests.ports import free_port
from web.answers import CANDLE_COLUMNS
from web.terminal.layouts import PAGE
from workers.documents import Document

#: What allocators keep differs by some 20 MiB from run to run; 400,000 candles more would be 80 MiB as text alone.
TOLERANCE = 32 * 2**20
MIB = 2**20


def main() -> int:
    """Fill a database of its own, measure, drop it; the exit status is 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--candles", type=int, default=500_000, help="minutes in the store (default: 500000)")
    options = parser.parse_args()
    uri, name, port = os.environ["TEST_MONGO_URI"], f"bench-{uuid.uuid4().hex[:8]}", free_port()
    environment = {"MONGO_URI": uri, "MONGO_DB": name, "REST_PORT": str(port), "EXCHANGE": "sim", "PAIRS": "BTC-USD"}
    environment |= {"REDIS_URL": os.environ["TEST_REDIS_URL"], "LOG_FORMAT": "json", "LOG_LEVEL": "info"}
    with MongoClient[Document](uri) as client, tempfile.TemporaryDirectory() as folder:
        try:
            store_quickly(uri, name, _candles(options.candles))
            log = Path(folder) / "rest.log"
            with running(REST, port, log, **environment):
                broken = _measure(f"http://127.0.0.1:{port}", options.candles, Path(folder), log)
        finally:
            client.drop_database(name)
    for each in broken:
        print(f"BROKEN: {each}")
    return 1 if broken else 0


def _candles(count: int) -> Iterator[Candle]:
    chance = random.Random(1)
    for number in range(count):
        open_, close = (Decimal(chance.randrange(1_800_000, 1_900_000)) / 100 for _ in range(2))
        yield make_candle(
            number,
            open=open_,
            close=close,
            high=max(open_, close) + Decimal("0.5"),
            low=min(open_, close) - Decimal("1.25"),
            volume=Decimal(chance.randrange(10**9)) / 10**8,
            state=State.FINAL,
        )


def _measure(url: str, count: int, folder: Path, log: Path) -> list[str]:
    grows = False
    for form in ("csv", "parquet"):
        words = ("BTC-USD", "--format", form, "--url", url)
        until = str(minute(count // 5 - 1))
        small = _show(form, count // 5, export(folder / f"small.{form}", *words, "--to", until))
        whole = _show(form, count, export(folder / f"whole.{form}", *words))
        grows |= whole.peak_rss - small.peak_rss > TOLERANCE
    target = folder / "resumed"
    asked_before = len(pages_asked(log))
    end_export(target, signal.SIGKILL, count // 2, *words)
    held, gathered = candles_held(target), target.with_name("resumed.part").stat().st_size
    ended = export(target, *words)
    assert ended.status == 0, ended.said
    asked = Counter(pages_asked(log)[asked_before:])
    groups = parquet.ParquetFile(target).metadata
    print(f"killed with {held} candles, {gathered / MIB:.0f} MiB in FILE.part; repeated: {ended.seconds:.1f} s")
    print(f"  {asked.total()} requests for {len(asked)} pages in all")
    print(
        f"  file: {target.stat().st_size / MIB:.1f} MiB, {groups.num_rows} rows in {groups.num_row_groups} row groups"
    )
    equal = _equal(target, url)
    print(f"  {equal} of {count} candles are those of the API")
    # What was on its way when the process was killed may be asked for again; what was there may not.
    twice = {page for page, times in asked.items() if times > 1}
    broken = {
        "peak memory grows with the candles": grows,
        "what was there was asked for again": not twice <= {minute(held - 1)} or asked.total() > count // PAGE + 2,
        "the file is not what the API answers": equal != count or groups.num_rows != count,
    }
    return [sentence for sentence, is_so in broken.items() if is_so]


def _show(form: str, count: int, ended: Ended) -> Ended:
    assert ended.status == 0, ended.said
    print(
        f"{form:>7} {count:7} candles: {ended.seconds:5.1f} s, peak memory {ended.peak_rss / MIB:.1f} MiB", flush=True
    )
    return ended


def _equal(target: Path, url: str) -> int:
    """How many rows of the file are, one by one, what the API streams."""
    asked = f"{url}/api/candles?pair=BTC-USD&order=asc&format=ndjson&limit=1000000"
    decoder, equal = msgspec.json.Decoder(Candle), 0
    with httpx.stream("GET", asked, timeout=60) as answer:
        answered = (decoder.decode(line) for line in answer.iter_lines())
        for batch in parquet.ParquetFile(target).iter_batches(10_000):
            for row in batch.to_pylist():
                row["timestamp"] = round(row["timestamp"].timestamp() * 1000)
                candle = next(answered, None)
                equal += candle is not None and row == {name: getattr(candle, name) for name in CANDLE_COLUMNS}
        assert next(answered, None) is None
    return equal


if __name__ == "__main__":
    raise SystemExit(main())
