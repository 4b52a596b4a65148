"""`python -m web export` as a process that is killed and repeated, and what the server was asked for meanwhile."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
from pymongo import MongoClient

from ingest.candle import Candle
from tests.integration.web_processes import ROOT
from web.terminal.export import Progress
from workers.documents import Document, document_of
from workers.store import CandleStore

#: Beyond anything an export of these tests and benchmarks needs.
PATIENCE_SECONDS = 600.0
_POLL_SECONDS = 0.005


class Ended(NamedTuple):
    """What an export left, how long it took (seconds), and the most memory it had (bytes)."""

    status: int
    said: str
    seconds: float
    peak_rss: int


def store_quickly(uri: str, database: str, candles: Iterable[Candle]) -> None:
    """Put candles of one series into a store that has none of them, without asking what is there for each."""
    with MongoClient[Document](uri) as client:
        store = CandleStore(client, database, "candles")
        rest = iter(candles)
        # The first one brings the series' own document.
        assert store.write(list(islice(rest, 1))) == []
        while batch := [document_of(each) for each in islice(rest, 5_000)]:
            client[database].candles.insert_many(batch, ordered=False)


@contextmanager
def exporting(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs; killed if it is still there afterwards."""
    command = [sys.executable, "-m", "web", "export", *words]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell runs in the background inherits that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def export(target: Path, *words: str) -> Ended:
    """Let an export into ``target`` end."""
    began_at, peak_rss = time.monotonic(), 0
    with exporting(*words, "-o", str(target)) as process:
        while process.poll() is None:
            peak_rss = max(peak_rss, _peak_rss(process.pid))
            assert time.monotonic() - began_at < PATIENCE_SECONDS, words
            time.sleep(_POLL_SECONDS)
        seconds = time.monotonic() - began_at
        output, errors = process.communicate()
    return Ended(process.returncode, output + errors, seconds, peak_rss)


def end_export(target: Path, number: signal.Signals, candles: int, *words: str) -> Ended:
    """Start an export into ``target`` and send it a signal once it has so many candles, before it has all."""
    began_at = time.monotonic()
    with exporting(*words, "-o", str(target)) as process:
        while candles_held(target) < candles:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - began_at < PATIENCE_SECONDS, words
            time.sleep(_POLL_SECONDS)
        process.send_signal(number)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert not target.exists(), "it was faster than the one who ended it"
    return Ended(process.returncode, output + errors, time.monotonic() - began_at, 0)


def candles_held(target: Path) -> int:
    """How many candles of an unfinished export are safe."""
    try:
        return msgspec.json.decode(target.with_name(f"{target.name}.progress").read_bytes(), type=Progress).candles
    except FileNotFoundError:
        return 0


def pages_asked(log: Path) -> list[int | None]:
    """Behind which open times candles were asked for, by the access log of the server; None: from the first."""
    pages: list[int | None] = []
    for line in log.read_bytes().splitlines():
        record = msgspec.json.decode(line)
        if record.get("path") in ("/api/candles", "/api/ohlcv"):
            page = parse_qs(record["query"]).get("page")
            pages.append(None if page is None else int(page[0]))
    return pages


def _peak_rss(pid: int) -> int:
    """The most memory a process ever had; what `getrusage` says of a child begins with that of its parent."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0
