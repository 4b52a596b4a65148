"""Reading a topic from one moment to another, beside those who read and write it; nothing is committed.

For commands: each question has its time, and what does not answer by then is an error rather than something to wait
for.
"""

import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin._listoffsets import OffsetSpec

from ingest.kafka import client_config, committed_offsets, make_admin
from workers.errors import KafkaUnavailable, TopicMissing

T = TypeVar("T")

#: Each question to Kafka.
QUESTION_SECONDS: Final = 5.0
#: Reading gives up when nothing came for so long.
SILENCE_SECONDS: Final = 20.0
#: How many records are handed on at once.
MAX_BATCH: Final = 5000
_POLL_SECONDS: Final = 0.1

#: Partition to the first offset to read and the one to stop before.
Bounds = dict[int, tuple[int, int]]

#: The connection is being made again; silence decides when that is too long.
_PASSING: Final = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
#: A topic was just made, or its leader or the group's coordinator changes: the next answer is another.
_MOVING: Final = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


class TopicReader:
    """Asks where topics begin and end, and reads between.

    Every method raises `KafkaUnavailable` if Kafka does not answer in time, and `TopicMissing` for a topic that is not
    there.
    """

    def __init__(self, brokers: str, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._brokers, self._silence_seconds = brokers, silence_seconds
        self._admin = make_admin(brokers)

    def partitions(self, topic: str) -> list[int]:
        """The numbers of a topic's partitions."""
        # All topics: asking for one by name would make it where the broker makes topics by itself.
        topics = self._ask(lambda: self._admin.list_topics(timeout=QUESTION_SECONDS).topics)
        if topic not in topics:
            raise TopicMissing(self._brokers, topic)
        return sorted(topics[topic].partitions)

    def bounds(self, topic: str, since_ms: int | None = None) -> Bounds:
        """What a topic holds at this moment, from the first record at or after ``since_ms`` (Unix milliseconds)."""
        partitions = self.partitions(topic)
        first = (
            self._offsets(topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            if since_ms is None
            else self._offsets(topic, partitions, OffsetSpec.for_timestamp(since_ms))
        )
        ends = self.ends(topic, partitions)
        # For a time after the last record the answer is -1.
        return {each: (first[each] if first[each] >= 0 else ends[each], ends[each]) for each in partitions}

    def ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """The offset after the last record, per partition."""
        return self._offsets(topic, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def earliest(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """The offset of the first record that Kafka still has, per partition."""
        return self._offsets(topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def read(self, topic: str, bounds: Mapping[int, tuple[int, int]]) -> Generator[list[Message], None, None]:
        """The records within the bounds, some thousand at once, in order per partition."""
        stops = {partition: stop for partition, (start, stop) in bounds.items() if start < stop}
        if not stops:
            return
        consumer = Consumer(_consumer_config(self._brokers))
        try:
            consumer.assign([TopicPartition(topic, partition, bounds[partition][0]) for partition in stops])
            heard_at = time.monotonic()
            while stops:
                messages = consumer.consume(MAX_BATCH, _POLL_SECONDS)
                records, ended = self._sort(messages, stops)
                if ended:
                    # Live traffic behind the end would be fetched for nothing.
                    consumer.pause([TopicPartition(topic, partition) for partition in ended])
                if records or ended:
                    yield records
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > self._silence_seconds:
                    raise KafkaUnavailable(self._brokers, f"no record of {topic} within {self._silence_seconds:g} s")
        finally:
            consumer.close()

    def committed(self, group: str, topic: str, partitions: Collection[int]) -> dict[int, int | None]:
        """What a consumer group has committed, per partition; None for nothing."""
        wanted = [TopicPartition(topic, each) for each in partitions]
        found = self._ask(lambda: committed_offsets(self._brokers, group, wanted, QUESTION_SECONDS))
        return {each: found.get((topic, each)) for each in partitions}

    def _sort(self, messages: Sequence[Message], stops: dict[int, int]) -> tuple[list[Message], list[int]]:
        """Take the records below their stops; remove and return the partitions that are read to theirs."""
        records, ended = [], []
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.code() not in _PASSING:
                    raise KafkaUnavailable(self._brokers, str(error))
                continue
            if partition not in stops or offset is None:
                continue
            if error is None and offset < stops[partition]:
                records.append(message)
            # The last offsets may be gaps (a transaction's end), then only the end of the partition tells.
            if offset + (error is None) >= stops[partition]:
                del stops[partition]
                ended.append(partition)
        return records, ended

    def _offsets(self, topic: str, partitions: Collection[int], spec: OffsetSpec) -> dict[int, int]:
        def question() -> dict[int, int]:
            wanted = {TopicPartition(topic, partition): spec for partition in partitions}
            answers = self._admin.list_offsets(wanted, request_timeout=QUESTION_SECONDS)
            return {each.partition: future.result(QUESTION_SECONDS + 1).offset for each, future in answers.items()}

        return self._ask(question)

    def _ask(self, question: Callable[[], T]) -> T:
        deadline = time.monotonic() + QUESTION_SECONDS
        while True:
            try:
                return question()
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise KafkaUnavailable(self._brokers, str(error.args[0].str())) from error
                time.sleep(0.1)
            except FutureTimeout:
                raise KafkaUnavailable(self._brokers, f"no answer within {QUESTION_SECONDS:g} s") from None


def _consumer_config(brokers: str) -> dict[str, Any]:
    return {
        **client_config(brokers),
        "group.id": "crypto-streams-reader",  # demanded by the client; it joins no group
        "enable.auto.commit": False,
        # What retention took away meanwhile is skipped.
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 50,
        "queued.max.messages.kbytes": 16_384,
    }
