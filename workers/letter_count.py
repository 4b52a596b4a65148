"""How many records the dead-letter topic has, for people who look."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ingest.kafka import client_config
from ingest.topics import DEAD_LETTERS, TOPICS

_ASK_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 2.0


class LetterCount:
    """Asks Kafka now and then; what it said last counts until it answers again."""

    def __init__(self, brokers: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        # A consumer that consumes nothing: in librdkafka a question of the admin client may end the process.
        self._consumer = Consumer({**client_config(brokers), "group.id": "crypto-streams-reader"})
        self._monotonic = monotonic
        self._due_at = float("-inf")
        self._count: int | None = None

    def read(self) -> int | None:
        """The number of records; None before the first answer."""
        now = self._monotonic()
        if now >= self._due_at:
            self._due_at = now + _ASK_SECONDS
            with suppress(KafkaException):
                self._count = sum(map(self._records, range(TOPICS[DEAD_LETTERS][0])))
        return self._count

    def _records(self, partition: int) -> int:
        low, high = self._consumer.get_watermark_offsets(
            TopicPartition(DEAD_LETTERS, partition), timeout=_ANSWER_SECONDS
        )
        return high - low
