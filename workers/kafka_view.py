"""What Kafka says of a bridge's topics, for people who look: how much is behind a watermark, how many dead letters."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ingest.kafka import client_config
from ingest.topics import DEAD_LETTERS, TOPICS

_ANSWER_SECONDS: Final = 2.0
#: An answer counts for so long.
VALID_SECONDS: Final = 5.0

#: Topic and partition.
Place = tuple[str, int]
#: The first offset and the end of partitions.
Bounds = Mapping[Place, tuple[int, int]]
#: Where dead letters are.
LETTERS: Final = frozenset((DEAD_LETTERS, partition) for partition in range(TOPICS[DEAD_LETTERS][0]))


class KafkaView:
    """Asks Kafka itself: what comes along with records stands still when none come, also while Kafka is away."""

    def __init__(
        self, brokers: str, monotonic: Callable[[], float] = time.monotonic, valid_seconds: float = VALID_SECONDS
    ) -> None:
        # A consumer that consumes nothing: in librdkafka a question of the admin client may end the process.
        self._consumer = Consumer({**client_config(brokers), "group.id": "crypto-streams-reader"})
        self._monotonic, self._valid_seconds = monotonic, valid_seconds
        self._asked_at, self._asked = float("-inf"), set[Place]()
        # None while Kafka does not answer.
        self._counts: dict[str, int] | None = None
        self._bounds: dict[Place, tuple[int, int]] = {}

    def ask(self, places: Iterable[Place]) -> None:
        """Ask for these partitions, unless that was just done; waits two seconds if Kafka does not answer."""
        wanted = set(places)
        now = self._monotonic()
        if now - self._asked_at < self._valid_seconds and (self._counts is None or wanted <= self._asked):
            return
        self._asked_at, self._asked = now, wanted
        self._counts, self._bounds = None, {}
        try:
            # All topics: asking for one by name would make it where the broker makes topics by itself.
            topics = self._consumer.list_topics(timeout=_ANSWER_SECONDS).topics
        except KafkaException:
            return
        led = {
            (name, each.id) for name, topic in topics.items() for each in topic.partitions.values() if each.leader >= 0
        }
        with suppress(KafkaException):
            # Nobody answers for a partition without a leader, and what is known of the others counts.
            for topic, partition in wanted & led:
                place = TopicPartition(topic, partition)
                first, end = self._consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
                self._bounds[topic, partition] = first, end
        self._counts = {name: len(topic.partitions) for name, topic in topics.items()}

    def partitions(self, topics: Iterable[str]) -> int | None:
        """How many partitions these topics have together; None if Kafka did not answer."""
        return None if self._counts is None else sum(self._counts.get(topic, 0) for topic in topics)

    def behind(self, watermarks: Mapping[Place, int | None]) -> int | None:
        """How many records there were above these watermarks; None if Kafka did not answer, or one is not known."""
        if self._counts is None:
            return None
        behind = 0
        for place, watermark in watermarks.items():
            if place not in self._bounds:
                return None
            first, end = self._bounds[place]
            if watermark is None and first < end:
                return None
            behind += max(0, end - max(first, end if watermark is None else watermark))
        return behind

    @property
    def bounds(self) -> Bounds | None:
        """Of the partitions that were asked for last and have a leader; None if Kafka did not answer."""
        return None if self._counts is None else self._bounds

    @property
    def dead_letters(self) -> int | None:
        """How many records the dead-letter topic had; None if Kafka did not answer, or was not asked for `LETTERS`."""
        if self._counts is None or not self._bounds.keys() >= LETTERS:
            return None
        return sum(end - first for first, end in map(self._bounds.__getitem__, LETTERS))
