"""What every Kafka client of ours has in common."""

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

#: While a broker is away librdkafka says so several times a second; once in this long is enough.
REPEAT_SECONDS: Final = 60.0


def client_config(brokers: str, *, polled: bool = False) -> dict[str, Any]:
    """Settings that every Kafka client of ours starts from.

    Args:
        brokers: ``host:port``, comma-separated.
        polled: Whether the client is polled for as long as it lives. Only then can its log lines go the way of ours:
            they wait in a queue until someone polls. Of the others we hear by the errors they raise.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": brokers,
        # The broker would otherwise ask each client for its metrics.
        "enable.metrics.push": False,
        # The default doubles the pause up to 10 s: a broker that was away for a minute would come back unnoticed.
        "reconnect.backoff.max.ms": 1000,
        # An idle connection that the broker closes is no news.
        "log.connection.close": False,
    }
    return config | ({"logger": kafka_logger()} if polled else {"log_level": 0})


def make_admin(brokers: str) -> AdminClient:
    """A client for questions and topics; keep it until its futures are done."""
    return AdminClient(client_config(brokers))


def committed_offsets(
    brokers: str, group: str, partitions: Sequence[TopicPartition], timeout_seconds: float
) -> dict[tuple[str, int], int]:
    """What a group has committed, by topic and partition; without those that it has committed nothing of.

    A consumer asks, which never joins the group, and a fresh one each time. The admin client's question about groups
    (librdkafka 2.16) goes on timing out for ever once the broker it went to was restarted, and in the wrong moment
    ends the process: the code that takes a failed answer expects a consumer.

    Raises:
        KafkaException: If Kafka does not answer in time.
    """
    wanted = [TopicPartition(each.topic, each.partition) for each in partitions]
    consumer = Consumer(client_config(brokers) | {"group.id": group, "enable.auto.commit": False})
    try:
        answer = consumer.committed(wanted, timeout=timeout_seconds)
    finally:
        consumer.close()
    return {(each.topic, each.partition): each.offset for each in answer if not each.error and each.offset >= 0}


def kafka_logger() -> logging.Logger:
    """Where librdkafka's own lines go, repetitions left out."""
    logger = logging.getLogger("kafka")
    if not logger.filters:
        logger.addFilter(_Once())
    return logger


class _Once(logging.Filter):
    """Lets a kind of line through once in a while; what it is about stands in its first words."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this kind of line was not said lately."""
        kind = record.getMessage().partition(" ")[0]
        now = time.monotonic()
        # There are some dozens of kinds ("FAIL", "GETPID", …), so this stays small.
        if now - self._said.get(kind, float("-inf")) < REPEAT_SECONDS:
            return False
        self._said[kind] = now
        return True
