"""The consumer of a bridge."""

from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, TopicPartition

from ingest.kafka import client_config

OnCommit = Callable[[KafkaError | None, list[TopicPartition]], None]


def make_consumer(brokers: str, group: str, on_commit: OnCommit) -> Consumer:
    """A member of a group that commits nothing by itself; ``on_commit`` is called with Kafka's answers."""
    return Consumer(
        {
            **client_config(brokers, polled=True),
            "group.id": group,
            "on_commit": on_commit,
            # The broker balances members in 0.6 s rather than 5 s.
            "group.protocol": "consumer",
            # Only watermarks are committed, by us.
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            # What is read ahead is memory; a full queue is looked at again soon rather than in a second.
            "queued.max.messages.kbytes": 4096,
            "fetch.queue.backoff.ms": 50,
        }
    )
