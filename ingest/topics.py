"""The Kafka topics: names, settings, and making them.

Created explicitly, because a topic made by accident would have the broker's partition count and retention.
"""

from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from ingest.kafka import make_admin

CANDLES: Final = "candles"
FEEDS: Final = "feeds"
DEAD_LETTERS: Final = "candles.dlq"

_DAY_MS = 24 * 60 * 60 * 1000
#: Topic: partitions and retention in milliseconds. Partitions may be raised at any time: `rev` makes it safe.
TOPICS: Final = {CANDLES: (8, 7 * _DAY_MS), FEEDS: (1, 30 * _DAY_MS), DEAD_LETTERS: (1, 30 * _DAY_MS)}

#: The broker's own default (``default.replication.factor``): 1 in development, 3 as production advice.
_BROKER_DEFAULT = -1

ADMIN_TIMEOUT_SECONDS = 10.0
#: Whether Kafka is there at all is asked first, and briefly: a stop must not wait for what follows.
PROBE_SECONDS = 2.0


def ensure_topics(brokers: str) -> None:
    """Create the topics that do not exist; safe to call from several processes at once.

    Raises:
        KafkaException: If Kafka cannot be reached or refuses.
    """
    admin = make_admin(brokers)
    existing = admin.list_topics(timeout=PROBE_SECONDS).topics
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
