"""For whoever asks for it: the REST API as it runs (gunicorn, a store and a Redis), a bench for bridges, programs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis

from tests.integration.bridge_bench import BridgeBench, serve_actors, topics_for
from tests.integration.programs import REDIS_DATABASE, Programs
from tests.integration.web_processes import REST, running
from tests.ports import free_port
from workers.settings import Settings
from workers.store import CandleStore, make_store


@pytest.fixture
def store(mongo_uri: str, database: str) -> Iterator[CandleStore]:
    """An empty store."""
    opened = make_store(Settings.from_env(mongo_uri=mongo_uri, mongo_db=database))
    yield opened
    opened.close()


@pytest.fixture
def environment(mongo_uri: str, database: str, redis_url: str) -> dict[str, str]:
    """Settings of a server on that store, and on a port of its own."""
    return {
        "MONGO_URI": mongo_uri,
        "MONGO_DB": database,
        "REDIS_URL": redis_url,
        "REST_PORT": str(free_port()),
        "EXCHANGE": "sim",
        "PAIRS": "BTC-USD",
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def api(environment: dict[str, str], tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of the server."""
    port = int(environment["REST_PORT"])
    with (
        running(REST, port, tmp_path / "rest.log", **environment),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        yield client


@pytest.fixture
def bench(
    kafka_brokers: str,
    redis_url: str,
    mongo_uri: str,
    database: str,
    make_topic: Callable[[int], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[BridgeBench]:
    """Bridges and workers, with topics, a group and a database of this test's own."""
    bench = BridgeBench(kafka_brokers, redis_url, mongo_uri, database, topics_for(make_topic))
    serve_actors(bench, monkeypatch)
    yield bench
    bench.close()


@pytest.fixture
def program_environment(kafka_brokers: str, redis_url: str, mongo_uri: str, database: str) -> Iterator[dict[str, str]]:
    """Settings of a bridge or worker as a process, with services of this test's own."""
    url = f"{redis_url.rsplit('/', 1)[0]}/{REDIS_DATABASE}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield os.environ | {
            "KAFKA_BROKERS": kafka_brokers,
            "REDIS_URL": url,
            "MONGO_URI": mongo_uri,
            "MONGO_DB": database,
            "HEALTH_PORT": str(free_port()),
            "LOG_FORMAT": "json",
        }
        client.flushdb()


@pytest.fixture
def programs(program_environment: dict[str, str], tmp_path: Path) -> Iterator[Programs]:
    """Starts bridges and workers as processes."""
    started = Programs(program_environment, tmp_path)
    yield started
    started.close()
