"""What the doorbell relies on inside Dramatiq, and that it rings."""

import statistics
import threading
import time
import uuid
from collections.abc import Iterator

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import compute_backoff
from dramatiq.worker import Worker

from workers.broker import make_broker
from workers.doorbell import DoorbellBroker, DoorbellConsumer


@pytest.fixture
def broker(redis_url: str) -> Iterator[DoorbellBroker]:
    """A broker with keys of its own."""
    broker = make_broker(redis_url, f"test-{uuid.uuid4().hex[:12]}")
    yield broker
    for key in broker.client.scan_iter(f"{broker.namespace}:*"):
        broker.client.delete(key)
    broker.client.close()


def test_a_queue_is_a_list_named_after_namespace_and_queue(broker: DoorbellBroker) -> None:
    echo = dramatiq.actor(actor_name="echo", queue_name="q", broker=broker)(lambda: None)

    message = broker.enqueue(echo.message())

    waiting = broker.client.lrange(f"{broker.namespace}:q", 0, -1)
    assert waiting == [message.options["redis_message_id"].encode()]
    assert broker.queue_length("q") == 1


def test_moving_the_head_onto_the_head_changes_nothing(broker: DoorbellBroker) -> None:
    key = f"{broker.namespace}:q"
    broker.client.rpush(key, "a", "b", "c")

    moved = broker.client.blmove(key, key, 1, "LEFT", "LEFT")

    assert (moved, broker.client.lrange(key, 0, -1)) == (b"a", [b"a", b"b", b"c"])


def test_the_broker_consumes_through_the_doorbell(broker: DoorbellBroker) -> None:
    assert isinstance(broker.consume("q"), DoorbellConsumer)
    assert "consumer_class" in vars(RedisBroker)


def test_the_base_consumer_does_not_sleep_with_a_timeout_of_zero() -> None:
    assert {compute_backoff(misses, max_backoff=0)[1] for misses in range(40)} == {0}


def test_an_idle_consumer_waits_in_redis_and_wakes_at_once(broker: DoorbellBroker) -> None:
    echo = dramatiq.actor(actor_name="echo", queue_name="q", broker=broker)(lambda: None)
    consumer = broker.consume("q", prefetch=2, timeout=1000)
    commands_before = total_commands(broker)
    assert next(consumer) is None
    commands = total_commands(broker) - commands_before

    threading.Timer(0.2, broker.enqueue, (echo.message(),)).start()
    began_at = time.monotonic()
    message = next(consumer)

    assert message is not None
    assert 0.1 < time.monotonic() - began_at < 0.6
    assert commands < 15


def test_a_consumer_with_enough_fetched_waits_for_an_ack(broker: DoorbellBroker) -> None:
    echo = dramatiq.actor(actor_name="echo", queue_name="q", broker=broker)(lambda: None)
    for _ in range(2):
        broker.enqueue(echo.message())
    consumer = broker.consume("q", prefetch=1, timeout=1000)
    first = next(consumer)
    assert first is not None
    assert next(consumer) is None

    threading.Timer(0.1, consumer.ack, (first,)).start()
    began_at = time.monotonic()
    second = next(consumer)

    assert second is not None
    assert time.monotonic() - began_at < 0.6


def test_a_redis_that_does_not_answer_is_a_lost_connection_to_dramatiq(broker: DoorbellBroker) -> None:
    def answers_nothing(*arguments: object) -> None:
        raise redis.TimeoutError("Timeout reading from socket")

    consumer = broker.consume("q")
    consumer.broker.client.blmove = answers_nothing  # type: ignore[attr-defined]

    with pytest.raises(dramatiq.errors.ConnectionClosed):
        next(consumer)


def test_jobs_reach_an_idle_worker_within_milliseconds(broker: DoorbellBroker) -> None:
    ran_at: list[float] = []
    ran = threading.Event()

    def note() -> None:
        ran_at.append(time.perf_counter())
        ran.set()

    actor = dramatiq.actor(actor_name="note", queue_name="q", broker=broker)(note)
    worker = Worker(broker, worker_threads=2)
    worker.start()
    delays = []
    try:
        for _ in range(30):
            ran.clear()
            sent_at = time.perf_counter()
            broker.enqueue(actor.message())
            assert ran.wait(5)
            delays.append(ran_at[-1] - sent_at)
    finally:
        began_at = time.monotonic()
        worker.stop(timeout=5000)

    # Polling, as Dramatiq does it, takes 364 ms at the median; the margin is for a busy machine.
    assert statistics.median(delays) < 0.05
    assert time.monotonic() - began_at < 4


def test_expired_jobs_are_dropped_without_a_trace(broker: DoorbellBroker) -> None:
    ran = []
    fresh = threading.Event()

    def work(text: str) -> None:
        ran.append(text)
        fresh.set()

    actor = dramatiq.actor(queue_name="q", broker=broker, drop_after=1000, max_retries=0)(work)
    old = actor.message("old")
    broker.enqueue(old.copy(message_timestamp=old.message_timestamp - 2000))
    broker.enqueue(actor.message("fresh"))
    worker = Worker(broker, worker_threads=1)

    worker.start()
    try:
        assert fresh.wait(5)
    finally:
        worker.stop(timeout=5000)

    left = {key.decode().removeprefix(broker.namespace) for key in broker.client.scan_iter(f"{broker.namespace}:*")}
    assert (ran, left) == (["fresh"], {":__heartbeats__"})


def total_commands(broker: DoorbellBroker) -> int:
    return int(broker.client.info("stats")["total_commands_processed"])
