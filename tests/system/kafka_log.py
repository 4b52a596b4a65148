"""What Kafka holds, read from the beginning: everything it ever acknowledged."""

from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.system.stack import Stack, parse_exact


def newest_versions(stack: Stack) -> dict[tuple[str, str, int], tuple[int, dict[str, Any]]]:
    """The highest ``rev`` of each candle, and the record that carries it."""
    newest: dict[tuple[str, str, int], tuple[int, dict[str, Any]]] = {}
    for record in _records(stack, "candles"):
        key = (record["exchange"], record["pair"], record["timestamp"])
        if record["rev"] > newest.get(key, (-1, {}))[0]:
            newest[key] = (record["rev"], record)
    return newest


def read_events(stack: Stack) -> list[dict[str, Any]]:
    """Every feed event."""
    return list(_records(stack, "feeds"))


def _records(stack: Stack, topic: str) -> Iterator[dict[str, Any]]:
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{stack.port(9092)}",
            "group.id": "system-test",
            "enable.auto.commit": False,
            "enable.metrics.push": False,
            "log_level": 0,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {}
        for number in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            if high > low:
                ends[number] = high
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        while ends:
            for message in consumer.consume(5000, timeout=0.2):
                error = message.error()
                assert error is None, error
                yield parse_exact(message.value() or b"null")
                number, offset = message.partition(), message.offset()
                assert number is not None
                assert offset is not None
                if offset + 1 >= ends.get(number, 0):
                    ends.pop(number, None)
    finally:
        consumer.close()
