"""The running API against its own description: generated requests, good and bad, and every answer checked."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import redis

from ingest.codec import encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from tests.conftest import make_candle
from tests.integration.web_processes import REST, ROOT, running
from tests.ports import free_port
from web.endpoints import ENDPOINTS
from workers.live import FEEDS
from workers.store import CandleStore

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

NEED_A_SERVICE = (
    *("/api/ohlcv", "/api/candles", "/api/pairs", "/api/feeds"),
    *("/udf/symbols", "/udf/search", "/udf/history"),
)


def fuzz(environment: dict[str, str], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Let schemathesis loose on a server of its own."""
    port = int(environment["REST_PORT"])
    url = f"http://127.0.0.1:{port}"
    with running(REST, port, folder / "rest.log", **environment):
        # As a file: the address that a description was read from is not tested.
        (folder / "openapi.json").write_text(httpx.get(f"{url}/openapi.json", timeout=10).text)
        return subprocess.run(
            [SCHEMATHESIS, "run", "openapi.json", "--url", url, "--seed", "1", *options],
            # Its database of examples and what it reports go where nobody looks; no configuration is found there.
            cwd=folder,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.integration.fuzz_hooks", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
        )


@pytest.fixture
def fresh(store: CandleStore, redis_url: str) -> None:
    """Candles up to now, and a feed that lives for as long as the test may take."""
    now = time.time_ns() // 1_000_000
    times = [(now // 60_000 - number) * 60_000 for number in range(50)]
    assert store.write([make_candle(timestamp=each) for each in times]) == []
    beat = FeedEvent("sim", EventKind.BEAT, FeedState.LIVE, since=now, at=now + 600_000, pairs=("BTC-USD",))
    with redis.Redis.from_url(redis_url) as client:
        client.hset(FEEDS, "sim", encode_event(beat))


@pytest.mark.usefixtures("fresh")
def test_every_answer_is_described_and_none_is_a_server_error(
    environment: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    environment["MAX_CANDLE_AGE_SECONDS"] = "600"

    ended = fuzz(environment, tmp_path, "--max-examples", "5")

    with redis.Redis.from_url(redis_url) as client:
        client.delete(FEEDS)
    assert ended.returncode == 0, ended.stdout[-10_000:] + ended.stderr
    assert f"Tested: {len(ENDPOINTS)}" in ended.stdout


def test_without_store_and_redis_only_described_503s_come(environment: dict[str, str], tmp_path: Path) -> None:
    environment |= {
        "MONGO_URI": f"mongodb://127.0.0.1:{free_port()}",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }

    ended = fuzz(
        environment,
        tmp_path,
        # Each request waits for a store that does not come: few of them, several at a time, to who asks it.
        *("--include-path-regex", "^/(api|udf|health|readyz)", "--workers", "8"),
        *("--phases", "fuzzing", "--mode", "positive", "--max-examples", "2"),
        # That 503 comes is the point. Whether it is described, and looks as described, stays checked.
        *("--exclude-checks", "not_a_server_error"),
    )

    assert ended.returncode == 0, ended.stdout[-10_000:] + ended.stderr
    statuses = access_statuses(tmp_path / "rest.log")
    assert {path: statuses[path] for path in NEED_A_SERVICE} == {path: {503} for path in NEED_A_SERVICE}


def access_statuses(log: Path) -> dict[str, set[int]]:
    """Path → the statuses that were answered."""
    statuses: dict[str, set[int]] = {}
    for line in map(json.loads, log.read_text().splitlines()):
        if line["logger"] == "web.access":
            statuses.setdefault(line["path"], set()).add(line["status"])
    return statuses
