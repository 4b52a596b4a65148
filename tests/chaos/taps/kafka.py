"""Everything that Kafka ever acknowledged, read by a consumer of our own that commits nothing.

A reader assigns itself all partitions from offset 0 and never joins a group, so it disturbs no bridge. A broker that
dies is waited for. A topic that is deleted and made anew has another id: it is read again from its beginning, and its
records carry the new id.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from ingest.kafka import client_config, make_admin
from ingest.topics import CANDLES, DEAD_LETTERS, FEEDS
from tests.chaos.evidence import Record
from tests.chaos.taps.tap import Tap

TOPICS: Final = (CANDLES, FEEDS, DEAD_LETTERS)
#: How often it is asked whether a topic is still the one that is being read.
_ASK_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 2.0
_WAIT_SECONDS: Final = 0.05
_MOST_RECORDS: Final = 2000

#: A topic's id, and a partition of it.
Place = tuple[str, int]


@dataclass
class _Topic:
    """What is read of one topic."""

    name: str
    incarnation: str = ""
    partitions: frozenset[int] = frozenset()
    consumer: Consumer | None = None
    records: list[Record] = field(default_factory=list)
    by_place: dict[Place, list[Record]] = field(default_factory=dict)
    #: The offset to read next.
    next_offsets: dict[Place, int] = field(default_factory=dict)


class KafkaTap(Tap):
    """Reads `TOPICS`; what it has read only grows, and may be looked at from any thread."""

    def __init__(self, brokers: str) -> None:
        super().__init__()
        self._brokers = brokers
        self._admin = make_admin(brokers)
        self._topics = {name: _Topic(name) for name in TOPICS}
        self._ask_at = 0.0

    def records(self, topic: str) -> list[Record]:
        """Every record of a topic so far, in the order of reading; that of offsets within a partition."""
        return self._topics[topic].records

    def records_at(self, topic: str, place: Place) -> list[Record]:
        """Every record of a partition so far, in the order of offsets."""
        return self._topics[topic].by_place.get(place, [])

    def wait_read(self, topic: str, place: Place, end: int, seconds: float) -> bool:
        """Wait until everything below offset ``end`` is read; False if that took too long."""
        deadline = time.monotonic() + seconds
        while self._topics[topic].next_offsets.get(place, 0) < end:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def wait_read_all(self, topics: Iterable[str], seconds: float) -> bool:
        """Wait until everything that Kafka holds now is read; False if that took too long.

        Raises:
            KafkaException: If Kafka does not answer.
        """
        deadline = time.monotonic() + seconds
        return all(
            self.wait_read(topic, place, end, deadline - time.monotonic())
            for topic in topics
            for place, end in ends(self._admin, topic).items()
        )

    def look(self) -> None:
        """Read what there is."""
        if time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + _ASK_SECONDS
            for topic in self._topics.values():
                self._follow(topic)
        for topic in self._topics.values():
            if topic.consumer is None:
                self.rest(_WAIT_SECONDS)
                continue
            for message in topic.consumer.consume(_MOST_RECORDS, _WAIT_SECONDS):
                self._take(topic, message)

    def close(self) -> None:
        """Close the connections."""
        for topic in self._topics.values():
            if topic.consumer is not None:
                topic.consumer.close()

    def _follow(self, topic: _Topic) -> None:
        """Read the topic that has this name now, all its partitions."""
        try:
            incarnation, partitions = describe(self._admin, topic.name)
        except KafkaException:
            return  # Kafka is away, or the topic is not there: what was being read goes on
        if (incarnation, partitions) == (topic.incarnation, topic.partitions):
            return
        if topic.consumer is not None:
            topic.consumer.close()
        topic.incarnation, topic.partitions = incarnation, partitions
        topic.consumer = Consumer(_consumer_config(self._brokers))
        topic.consumer.assign(
            [TopicPartition(topic.name, each, topic.next_offsets.get((incarnation, each), 0)) for each in partitions]
        )

    @staticmethod
    def _take(topic: _Topic, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            return  # the broker is away, or this partition's topic is gone; `_follow` sees to it
        place = (topic.incarnation, int(message.partition() or 0))
        offset = int(message.offset() or 0)
        if offset < topic.next_offsets.get(place, 0):
            return
        headers = message.headers() or []
        assert isinstance(headers, list)
        record = Record(
            topic.name,
            *place,
            offset,
            _bytes(message.key()),
            _bytes(message.value()) or b"",
            time.time(),
            tuple((name, _bytes(value) or b"") for name, value in headers),
        )
        topic.records.append(record)
        topic.by_place.setdefault(place, []).append(record)
        topic.next_offsets[place] = offset + 1


def describe(admin: AdminClient, topic: str) -> tuple[str, frozenset[int]]:
    """The id and the partitions of the topic that has this name now.

    Raises:
        KafkaException: If Kafka does not answer, or there is no such topic.
    """
    (answer,) = admin.describe_topics(TopicCollection([topic]), request_timeout=_ANSWER_SECONDS).values()
    found = answer.result()
    return str(found.topic_id), frozenset(each.id for each in found.partitions)


def ends(admin: AdminClient, topic: str) -> dict[Place, int]:
    """The offset after the last record of each partition.

    Raises:
        KafkaException: If Kafka does not answer, or there is no such topic.
    """
    incarnation, partitions = describe(admin, topic)
    latest = {TopicPartition(topic, each): OffsetSpec.latest() for each in partitions}  # type: ignore[no-untyped-call]
    answers = admin.list_offsets(latest, request_timeout=_ANSWER_SECONDS)
    return {(incarnation, each.partition): future.result().offset for each, future in answers.items()}


def _consumer_config(brokers: str) -> dict[str, Any]:
    return {
        **client_config(brokers, polled=True),
        "group.id": "chaos-tap",  # demanded by the client; offsets are neither read nor committed
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Not the beginning: that would be a new topic's, under the id of the old one.
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": 20,
        # Poison may be large.
        "fetch.message.max.bytes": 2_000_000,
    }


def _bytes(data: bytes | str | None) -> bytes | None:
    return data.encode() if isinstance(data, str) else data
