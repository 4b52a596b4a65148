"""Reading back what an earlier process left in a real Kafka."""

import asyncio
import time
import uuid

import pytest
from confluent_kafka import Producer

from ingest.backlog import Seen
from ingest.candle import State
from ingest.clock import SystemClock
from ingest.codec import encode_candle, encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.kafka import client_config
from ingest.marks import Marks
from ingest.producer import CandleProducer, kafka_client
from ingest.tail import MAX_TAIL_RECORDS, TAIL_MS, Tail, read_tails
from ingest.topics import CANDLES, FEEDS
from tests.conftest import make_candle, minute
from tests.integration.kafka_log import empty_topics, ready_topics

DAY_MS = 24 * 60 * 60 * 1000


@pytest.fixture
def exchange(kafka_brokers: str) -> str:
    """The name of an exchange that this test alone uses."""
    ready_topics(kafka_brokers)
    return f"t{uuid.uuid4().hex[:12]}"


def now_ms() -> int:
    return int(time.time() * 1000)


def beat(exchange: str, at: int, until: int | None = minute(0)) -> FeedEvent:
    return FeedEvent(exchange, EventKind.BEAT, FeedState.LIVE, 1, at, until=until, pairs=("BTC-USD",))


def write(brokers: str, topic: str, exchange: str, *values: bytes, at_ms: int = 0) -> None:
    """Write records as an earlier process would have, at a time of its choosing."""
    producer = Producer(client_config(brokers))
    key = f"{exchange}|BTC-USD|1m" if topic == CANDLES else exchange
    for value in values:
        producer.produce(topic, value, key, timestamp=at_ms or now_ms())
    assert producer.flush(10) == 0


def test_a_first_start_finds_nothing(kafka_brokers: str, exchange: str) -> None:
    assert read_tails(kafka_brokers, [exchange], now_ms()) == {exchange: Tail()}


def test_finds_the_newest_version_of_each_candle_and_the_last_beat(kafka_brokers: str, exchange: str) -> None:
    producer, marks = CandleProducer(lambda: kafka_client(kafka_brokers), SystemClock()), Marks[Seen]()
    versions = [
        make_candle(0, exchange=exchange, written_us=minute(0) * 1000 + 1),
        make_candle(0, exchange=exchange, state=State.FINAL, written_us=minute(0) * 1000 + 2),
        make_candle(1, exchange=exchange, pair="ETH-USD", written_us=minute(0) * 1000 + 3),
    ]
    for candle in versions:
        producer.send_candle(candle, marks)
    for at in (1, 2):
        producer.send_event(beat(exchange, now_ms() + at, minute(at)), marks)
    asyncio.run(producer.finish(10))

    tail = read_tails(kafka_brokers, [exchange], now_ms())[exchange]

    assert tail.candles == (versions[1], versions[2])
    assert tail.latest_rev == versions[2].rev
    assert tail.seen_until() == {"BTC-USD": minute(2), "ETH-USD": minute(1)}


def test_tells_exchanges_apart(kafka_brokers: str, exchange: str) -> None:
    other = exchange[:-1]  # its key begins alike
    mine, theirs = make_candle(0, exchange=exchange), make_candle(0, exchange=other)
    write(kafka_brokers, CANDLES, exchange, encode_candle(mine))
    write(kafka_brokers, CANDLES, other, encode_candle(theirs))

    tails = read_tails(kafka_brokers, [exchange, other], now_ms())

    assert {name: tail.candles for name, tail in tails.items()} == {exchange: (mine,), other: (theirs,)}


def test_reads_back_from_the_last_beat_after_a_long_absence(kafka_brokers: str, exchange: str) -> None:
    two_days_ago = now_ms() - 2 * DAY_MS
    left_open = make_candle(0, exchange=exchange)
    write(kafka_brokers, CANDLES, exchange, encode_candle(left_open), at_ms=two_days_ago - TAIL_MS // 2)
    write(kafka_brokers, FEEDS, exchange, encode_event(beat(exchange, two_days_ago)), at_ms=two_days_ago)

    tail = read_tails(kafka_brokers, [exchange], now_ms())[exchange]

    assert tail.candles == (left_open,)


def test_looks_past_the_beats_of_others(kafka_brokers: str, exchange: str) -> None:
    mine = beat(exchange, now_ms())
    write(kafka_brokers, FEEDS, exchange, encode_event(mine))
    write(kafka_brokers, FEEDS, "other", *[encode_event(beat("other", now_ms()))] * 3000)

    assert read_tails(kafka_brokers, [exchange], now_ms())[exchange].beat == mine


def test_ignores_what_no_reader_would_take(kafka_brokers: str, exchange: str) -> None:
    good = make_candle(0, exchange=exchange)
    ahead_us = (now_ms() + 2 * DAY_MS) * 1000
    future = make_candle(1, exchange=exchange, written_us=ahead_us)
    write(kafka_brokers, CANDLES, exchange, b"{", b'{"timestamp":60000,"rev":5}', encode_candle(future))
    write(kafka_brokers, CANDLES, exchange, encode_candle(good))

    assert read_tails(kafka_brokers, [exchange], now_ms())[exchange].candles == (good,)


def test_a_busy_market_does_not_hold_up_the_start(kafka_brokers: str, exchange: str) -> None:
    empty_topics(kafka_brokers)
    producer = Producer(client_config(kafka_brokers) | {"queue.buffering.max.messages": 1_000_000, "linger.ms": 50})
    count = MAX_TAIL_RECORDS // 4
    for number in range(count):
        candle = make_candle(number % 20, exchange=exchange, written_us=minute(0) * 1000 + number)
        producer.produce(CANDLES, encode_candle(candle), f"{exchange}|P{number % 50}-USD|1m")
    assert producer.flush(60) == 0

    began = time.monotonic()
    tail = read_tails(kafka_brokers, [exchange], now_ms())[exchange]
    took = time.monotonic() - began

    empty_topics(kafka_brokers)
    # 0.3 s on two idle cores; the bound leaves room for a busy machine.
    assert took < 3
    assert len(tail.candles) == 100
