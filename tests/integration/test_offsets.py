"""How far a real bridge is, as `lag` sees it from outside."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from ingest.health import Progress, serve_health
from ingest.topics import CANDLES
from tests.conftest import make_candle
from tests.integration.bridge_bench import PERSIST, BridgeBench, wait_until
from workers.offsets import Lag, Offsets
from workers.topic_reader import TopicReader


@pytest.fixture
def health() -> Iterator[str]:
    """The metrics of this process, served as a bridge serves its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = serve_health("127.0.0.1", port, Progress(), REGISTRY)
    yield f"127.0.0.1:{port}"
    server.shutdown()
    server.server_close()


def test_a_bridge_is_behind_until_what_it_read_took_effect(bench: BridgeBench, health: str) -> None:
    policy = replace(bench.policy(PERSIST), group=bench.group)
    offsets = Offsets(TopicReader(bench.kafka_brokers), [policy], {"persist": health})
    candles = [make_candle(number) for number in range(10)]
    bench.produce_candles(candles)
    produced_at = time.monotonic()

    before = offsets.read()
    # No worker answers, and a lease is longer than this test.
    bench.start_bridge(lease_seconds=60.0)
    wait_until(lambda: [each.in_flight for each in offsets.read()] == [5, 5], "what is in flight")
    waiting = offsets.read()
    waited = time.monotonic() - produced_at
    bench.start_worker()
    bench.wait_committed([5, 5])
    wait_until(lambda: [each.in_flight for each in offsets.read()] == [0, 0], "nothing in flight")
    after = offsets.read()

    topic = bench.topics[CANDLES]

    def lags(committed: int | None, behind: int, in_flight: int | None, rows: list[Lag]) -> list[Lag]:
        ages = [each.oldest_seconds for each in rows]
        return [Lag("persist", topic, each, 5, committed, behind, in_flight, ages[each]) for each in (0, 1)]

    assert before == lags(None, 5, None, before)
    assert waiting == lags(None, 5, 5, waiting)
    assert after == lags(5, 0, 0, after)
    assert [each.oldest_seconds for each in after] == [None, None]
    ages = [each.oldest_seconds or 0 for each in waiting]
    assert all(abs(each - waited) < 2 for each in ages), f"{ages} after {waited:.1f} s"


def test_the_age_is_that_of_the_first_record_behind(bench: BridgeBench) -> None:
    policy = replace(bench.policy(PERSIST), group=bench.group)
    offsets = Offsets(TopicReader(bench.kafka_brokers), [policy])
    now_ms = time.time_ns() // 1_000_000
    for ago_seconds in (5000, 1000, 10):
        bench._producer.produce(bench.topics[CANDLES], b"x", partition=1, timestamp=now_ms - ago_seconds * 1000)
    bench._producer.flush(10)

    ages = [each.oldest_seconds for each in offsets.read()]

    assert ages[0] is None
    assert ages[1] is not None
    assert 5000 <= ages[1] < 5060
