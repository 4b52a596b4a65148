"""Reading topics back, and emptying them."""

import time
from collections.abc import Callable

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from ingest.candle import Candle
from ingest.codec import decode_candle, decode_event
from ingest.events import FeedEvent
from ingest.kafka import client_config
from ingest.topics import CANDLES, FEEDS, TOPICS, ensure_topics


def read_topic(brokers: str, topic: str, timeout_seconds: float = 20.0) -> list[Message]:
    """Every record that the topic holds now, in order within each partition."""
    config = client_config(brokers) | {"group.id": "test-reader", "enable.auto.commit": False}
    consumer = Consumer(config | {"auto.offset.reset": "earliest"})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        bounds = {}
        for partition in partitions:
            watermarks = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            assert watermarks is not None
            if watermarks[0] < watermarks[1]:
                bounds[partition] = watermarks
        consumer.assign([TopicPartition(topic, partition, low) for partition, (low, _) in bounds.items()])
        records: list[Message] = []
        missing = {partition: high for partition, (_, high) in bounds.items()}
        deadline = time.monotonic() + timeout_seconds
        while missing:
            assert time.monotonic() < deadline, f"{topic}: partitions {sorted(missing)} did not arrive"
            for record in consumer.consume(1000, timeout=0.1):
                partition, offset = record.partition(), record.offset()
                assert record.error() is None
                assert partition is not None
                assert offset is not None
                records.append(record)
                if offset + 1 >= missing.get(partition, 0):
                    missing.pop(partition, None)
        return records
    finally:
        consumer.close()


def candles_of(brokers: str, exchange: str) -> list[Candle]:
    """The versions of an exchange's candles, in order within each series."""
    return [
        decode_candle(record.value() or b"")
        for record in read_topic(brokers, CANDLES)
        if (record.key() or b"").startswith(f"{exchange}|".encode())
    ]


def events_of(brokers: str, exchange: str) -> list[FeedEvent]:
    """The feed events of an exchange, in order."""
    return [
        decode_event(record.value() or b"")
        for record in read_topic(brokers, FEEDS)
        if record.key() == exchange.encode()
    ]


def wait_until(claim: str, holds: Callable[[], bool], timeout_seconds: float = 20.0) -> None:
    """Wait for a condition; fail with the claim when it does not come true."""
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_seconds:g} s: {claim}"
        time.sleep(0.05)


def ready_topics(brokers: str) -> None:
    """Make sure that the topics exist, and that each of their partitions has a leader that knows it is one."""
    ensure_topics(brokers)
    consumer = Consumer({**client_config(brokers), "group.id": "test-reader"})

    def answer() -> bool:
        try:
            for topic, (partitions, _) in TOPICS.items():
                for number in range(partitions):
                    consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        except KafkaException:
            return False
        return True

    wait_until("the topics answer", answer)
    consumer.close()


def empty_topics(brokers: str) -> None:
    """Make sure that the topics exist and hold nothing: for tests of what a first start and a restart do."""
    ensure_topics(brokers)
    admin = AdminClient(client_config(brokers))
    known = admin.list_topics(timeout=10).topics
    partitions = [TopicPartition(topic, number) for topic in TOPICS for number in known[topic].partitions]
    upto = [TopicPartition(each.topic, each.partition, OFFSET_END) for each in partitions]

    def emptied() -> bool:
        try:
            for future in admin.delete_records(upto).values():
                future.result()
        except KafkaException as error:
            # Topics that were made a moment ago may still be without a leader.
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            return False
        return True

    wait_until("the topics are empty", emptied)
