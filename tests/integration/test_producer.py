"""The producer on a real Kafka."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from ingest.backlog import Seen
from ingest.candle import State
from ingest.clock import SystemClock
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.marks import Marks
from ingest.producer import CandleProducer, KafkaClient, kafka_client, producer_config
from ingest.topics import DEAD_LETTERS, ensure_topics
from tests.conftest import make_candle, minute
from tests.integration.kafka_log import candles_of, events_of, read_topic, wait_until


@pytest.fixture
def exchange(kafka_brokers: str) -> str:
    """The name of an exchange that this test alone uses."""
    ensure_topics(kafka_brokers)
    return f"t{uuid.uuid4().hex[:12]}"


def start(make_client: Callable[[], KafkaClient], exchange: str) -> CandleProducer:
    producer = CandleProducer(make_client, SystemClock())
    producer.report_losses(exchange, lambda candle, reason: pytest.fail(f"lost {candle}: {reason}"))
    return producer


def test_candles_arrive_in_the_order_of_their_revisions(kafka_brokers: str, exchange: str) -> None:
    producer, marks = start(lambda: kafka_client(kafka_brokers), exchange), Marks[Seen]()
    sent = [make_candle(number // 10, exchange=exchange, written_us=minute(0) * 1000 + number) for number in range(500)]

    for candle in sent:
        producer.send_candle(candle, marks)
    marks.place((1, ()))
    finished = asyncio.run(producer.finish(10))

    assert (finished, marks.reached, candles_of(kafka_brokers, exchange)) == (True, (1, ()), sent)


def test_a_full_queue_loses_superseded_versions_only(kafka_brokers: str, exchange: str) -> None:
    def small() -> KafkaClient:
        client: KafkaClient = Producer(producer_config(kafka_brokers) | {"queue.buffering.max.messages": 3})
        return client

    producer, marks = start(small, exchange), Marks[Seen]()
    sent = [make_candle(number % 7, exchange=exchange, written_us=minute(0) * 1000 + number) for number in range(700)]

    for candle in sent:
        producer.send_candle(candle, marks)
    finished = asyncio.run(producer.finish(10))

    stored = candles_of(kafka_brokers, exchange)
    assert finished
    assert {each.timestamp: each for each in stored} == {each.timestamp: each for each in sent}
    assert [each.rev for each in stored] == sorted(each.rev for each in stored)


def test_a_record_that_times_out_is_tried_again(exchange: str) -> None:
    def unreachable() -> KafkaClient:
        # Nothing listens on the discard port.
        client: KafkaClient = Producer(producer_config("127.0.0.1:9") | {"delivery.timeout.ms": 300, "log_level": 0})
        return client

    producer, marks = start(unreachable, exchange), Marks[Seen]()
    handed_over: list[int] = []
    producer.send_candle(make_candle(exchange=exchange), marks)
    marks.place((1, ()))

    def tried_twice() -> bool:
        waiting = producer.waiting
        producer.poll()
        handed_over.append(waiting)
        return producer.unfinished == 1 and failures() >= 2

    def failures() -> float:
        from prometheus_client import REGISTRY

        return (REGISTRY.get_sample_value("producer_failures_total", {"kind": "candle"}) or 0.0) - before

    from prometheus_client import REGISTRY

    before = REGISTRY.get_sample_value("producer_failures_total", {"kind": "candle"}) or 0.0
    wait_until("the candle failed twice and is still held", tried_twice, 10)

    assert (marks.reached, producer.unfinished_names()) == (None, [f"{exchange}|BTC-USD|1m@{minute(0)}"])


def test_an_unreachable_kafka_does_not_hold_up_a_stop(exchange: str) -> None:
    producer, marks = start(lambda: kafka_client("127.0.0.1:9"), exchange), Marks[Seen]()
    producer.send_candle(make_candle(exchange=exchange, state=State.FINAL), marks)

    finished = asyncio.run(producer.finish(0.3))

    assert (finished, producer.unfinished) == (False, 1)


def test_events_and_dead_letters_arrive(kafka_brokers: str, exchange: str) -> None:
    producer, marks = start(lambda: kafka_client(kafka_brokers), exchange), Marks[Seen]()
    gap = FeedEvent(exchange, EventKind.GAP, FeedState.LIVE, 1, 2, gap_from=minute(0), gap_to=minute(1))

    producer.send_event(gap, marks)
    producer.send_dead_letter(exchange, "{", "not JSON")
    finished = asyncio.run(producer.finish(10))

    letters = [
        (record.value(), record.headers())
        for record in read_topic(kafka_brokers, DEAD_LETTERS)
        if record.key() == exchange.encode()
    ]
    assert (finished, events_of(kafka_brokers, exchange)) == (True, [gap])
    assert letters == [(b"{", [("reason", b"not JSON"), ("topic", b""), ("partition", b"-1"), ("offset", b"-1")])]
