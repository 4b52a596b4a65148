"""Where to start reading a partition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from ingest.clock import Clock, SystemClock, now_ms
from ingest.kafka import committed_offsets, make_admin
from workers.errors import TopicReplaced
from workers.policies import Policy
from workers.store import CandleStore

#: Each question to Kafka.
KAFKA_SECONDS: Final = 2.0
#: For an answer that does not even say that there is none.
_LONGEST_SECONDS: Final = KAFKA_SECONDS + 1.0


@dataclass(frozen=True)
class Start:
    """Where one partition starts.

    ``offset`` may be confluent_kafka's `OFFSET_BEGINNING`; ``stored`` is the store's watermark (None: there is none)
    under ``key``.
    """

    topic: str
    partition: int
    offset: int
    key: str
    stored: int | None

    @property
    def known_offset(self) -> int | None:
        """The offset as a number, None if it is the earliest, whichever that is."""
        return self.offset if self.offset >= 0 else None


class StartFinder:
    """Finds the starts of partitions; blocks, so it runs beside the main loop.

    It asks through clients of its own: the bridge's consumer serialises its callers, so a question from another
    thread waits for as long as the main loop keeps polling.
    """

    def __init__(
        self, kafka_brokers: str, policy: Policy, group: str, store: CandleStore | None, clock: Clock | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._kafka_brokers = kafka_brokers
        self._policy, self._group, self._store = policy, group, store
        # Topic to its id when it was first asked for.
        self._ids: dict[str, str] = {}

    def find(self, partitions: Sequence[TopicPartition]) -> list[Start]:
        """The start of each partition, in the order given.

        With a store: the lower of Kafka's commit and the store's watermark, the earliest if either is missing. Both
        say "everything below took effect", and either may be wrong alone: commits expire and outlive a topic, a store
        is restored from a copy. The store's watermark names the topic's id, because a topic that was made anew counts
        from 0 again.

        Raises:
            KafkaException: If Kafka does not answer.
            TimeoutError: If its client does not say so either.
            StoreUnavailable: If the store does not answer.
            TopicReplaced: If a topic is not the one that this finder found before.
        """
        # A fresh client each time: what an older one has in its hands may be from before a broker's restart.
        admin = make_admin(self._kafka_brokers)
        ids = _topic_ids(admin, {each.topic for each in partitions})
        for topic, topic_id in ids.items():
            if self._ids.setdefault(topic, topic_id) != topic_id:
                raise TopicReplaced(topic)
        committed = committed_offsets(self._kafka_brokers, self._group, partitions, KAFKA_SECONDS)
        uncommitted = [each for each in partitions if committed.get((each.topic, each.partition), -1) < 0]
        recent = (
            {} if self._policy.start_ago_ms is None else self._recent(admin, uncommitted, self._policy.start_ago_ms)
        )
        return [self._start(each, ids[each.topic], committed, recent) for each in partitions]

    def _start(
        self,
        partition: TopicPartition,
        topic_id: str,
        committed: Mapping[tuple[str, int], int],
        recent: Mapping[tuple[str, int], int],
    ) -> Start:
        place = (partition.topic, partition.partition)
        key = f"{self._group}:{partition.topic}:{topic_id}:{partition.partition}"
        offset = committed.get(place, -1)
        if self._store is None:
            return Start(*place, offset if offset >= 0 else recent.get(place, OFFSET_BEGINNING), key, None)
        watermark = self._store.read_watermark(key)
        stored = None if watermark is None else watermark.offset
        if stored is None or offset < 0:
            return Start(*place, OFFSET_BEGINNING, key, stored)
        return Start(*place, min(offset, stored), key, stored)

    def _recent(
        self, admin: AdminClient, partitions: Sequence[TopicPartition], ago_ms: int
    ) -> dict[tuple[str, int], int]:
        if not partitions:
            return {}
        # The end first: a record that comes between the two questions must not be missed.
        ends = _offsets(admin, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        since = _offsets(admin, partitions, OffsetSpec.for_timestamp(now_ms(self._clock) - ago_ms))
        return {place: offset if offset >= 0 else ends[place] for place, offset in since.items()}


def _topic_ids(admin: AdminClient, topics: set[str]) -> dict[str, str]:
    answers = admin.describe_topics(TopicCollection(sorted(topics)), request_timeout=KAFKA_SECONDS)
    return {topic: str(future.result(_LONGEST_SECONDS).topic_id) for topic, future in answers.items()}


def _offsets(admin: AdminClient, partitions: Sequence[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    wanted = {TopicPartition(each.topic, each.partition): spec for each in partitions}
    answers = admin.list_offsets(wanted, request_timeout=KAFKA_SECONDS)
    return {(each.topic, each.partition): future.result(_LONGEST_SECONDS).offset for each, future in answers.items()}
