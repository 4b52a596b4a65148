"""The consumer of a bridge."""

from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from ingest.kafka import client_config

OnCommit = Callable[[KafkaError | None, list[TopicPartition]], None]


#: How much ends the broker's waiting for more (bytes).
_ENOUGH_BYTES: Final = 256 * 1024


def make_consumer(brokers: str, group: str, on_commit: OnCommit, fetch_wait_ms: int = 0) -> Consumer:
    """A member of a group that commits nothing by itself.

    Args:
        brokers: Kafka.
        group: Which group.
        on_commit: Called with Kafka's answers.
        fetch_wait_ms: How long the broker gathers records before it answers; 0: it sends each at once, which costs it,
            and us, an exchange of messages for nearly every record.
    """
    gathering = {"fetch.min.bytes": _ENOUGH_BYTES, "fetch.wait.max.ms": fetch_wait_ms} if fetch_wait_ms else {}
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
            # Nothing of an answer can be read before all of it has come, which over a slow link must not take long.
            "fetch.max.bytes": 1024 * 1024,
            "fetch.queue.backoff.ms": 50,
            **gathering,
        }
    )
