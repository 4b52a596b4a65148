"""The Kafka topics: names, settings, and making them.

Created explicitly, because a topic made by accident would have the broker's partition count and retention.
"""

from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

CANDLES: Final = "candles"
FEEDS: Final = "feeds"
DEAD_LETTERS: Final = "candles.dlq"

_DAY_MS = 24 * 60 * 60 * 1000
#: Topic: partitions and retention in milliseconds. Partitions may be raised at any time: `rev` makes it safe.
TOPICS: Final = {CANDLES: (8, 7 * _DAY_MS), FEEDS: (1, 30 * _DAY_MS), DEAD_LETTERS: (1, 30 * _DAY_MS)}

#: The broker's own default (``default.replication.factor``): 1 in development, 3 as production advice.
_BROKER_DEFAULT = -1

ADMIN_TIMEOUT_SECONDS = 10.0


def client_config(brokers: str) -> dict[str, str | int | float | bool]:
    """What every Kafka client of ours sets."""
    return {
        "bootstrap.servers": brokers,
        # The broker would otherwise ask each client for its metrics.
        "enable.metrics.push": False,
        # The default of 100 ms doubles up to 10 s: a broker that was away for a minute would come back unnoticed.
        "reconnect.backoff.max.ms": 1000,
    }


def ensure_topics(brokers: str) -> None:
    """Create the topics that do not exist; safe to call from several processes at once.

    Raises:
        KafkaException: If Kafka cannot be reached or refuses.
    """
    admin = AdminClient(client_config(brokers))
    existing = admin.list_topics(timeout=ADMIN_TIMEOUT_SECONDS).topics
    missing = [
        NewTopic(name, partitions, _BROKER_DEFAULT, config={"retention.ms": str(retention_ms)})
        for name, (partitions, retention_ms) in TOPICS.items()
        if name not in existing
    ]
    if not missing:
        return
    for future in admin.create_topics(missing, request_timeout=ADMIN_TIMEOUT_SECONDS).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
