"""How far the system is: the ends of `candles`, and what each bridge's group has committed, several times a second.

From these samples follows when a fault had passed (`recovered_after`) and when everything came to rest (`at_rest`).
"""

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ingest.kafka import client_config
from ingest.topics import CANDLES
from workers.policies import FANOUT, PERSIST, POLICIES

#: That of each bridge, and of those that move minutes alone.
GROUPS = tuple(policy.group for policy in POLICIES.values())
MINUTES_GROUPS = (PERSIST.group, FANOUT.group)
SAMPLE_SECONDS = 0.25
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Sample:
    """One look; ``at`` in Unix seconds, offsets by partition; ``incarnation`` counts how often the topic was new."""

    at: float
    incarnation: int
    ends: Mapping[int, int]
    committed: Mapping[str, Mapping[int, int]]

    def caught_up(self) -> bool:
        """Whether every group has committed everything there is."""
        return all(self.committed[group] == self.ends for group in GROUPS)

    def behind(self) -> str:
        """What is not committed, for a person."""
        return "; ".join(
            f"{group} {partition}: {self.committed[group].get(partition, 0)} of {end}"
            for group in GROUPS
            for partition, end in self.ends.items()
            if self.committed[group].get(partition, 0) != end
        )


def recovered_after(samples: Sequence[Sample], moment: float, groups: Collection[str] = GROUPS) -> float | None:
    """Seconds from a moment until everything accepted before it, and something later, was committed by these groups.

    None if that did not happen within the samples. Bridges commit once a second, which is part of the answer.
    """
    later = [sample for sample in samples if sample.at >= moment]
    if not later:
        return None
    before = later[0]
    for sample in later[1:]:
        ends = before.ends if sample.incarnation == before.incarnation else dict.fromkeys(sample.ends, 0)
        if all(_is_past(sample.committed[group], ends, sample.ends) for group in groups):
            return sample.at - moment
    return None


def came_after(samples: Sequence[Sample], moment: float) -> bool:
    """Whether something was accepted after a moment; else nothing can show how soon it would have taken effect."""
    later = [sample for sample in samples if sample.at >= moment]
    # Of a topic that is made anew everything came later.
    return any(
        sum(sample.ends.values()) > (sum(later[0].ends.values()) if sample.incarnation == later[0].incarnation else 0)
        for sample in later
    )


def _is_past(committed: Mapping[int, int], target: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    # Not above the ends: else it is the commit of a topic that is gone.
    return (
        all(target.get(partition, 0) <= offset <= ends[partition] for partition, offset in committed.items())
        and committed.keys() >= {partition for partition, offset in target.items() if offset}
        and sum(committed.values()) > sum(target.values())
    )


class Progress:
    """Takes samples in a thread until `stop`."""

    def __init__(self, brokers: str) -> None:
        self._looker = Looker(brokers)
        self.samples: list[Sample] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples."""
        self._stopping.set()
        self._thread.join(3 * _ANSWER_SECONDS)

    def newer(self, than: float, seconds: float) -> Sample:
        """The first sample taken after a moment; waits for it.

        Raises:
            TimeoutError: If Kafka does not answer in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = next((sample for sample in reversed(self.samples) if sample.at > than), None)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"Kafka did not say for {seconds:g} s how far it is")
            time.sleep(0.02)

    def wait_caught_up(self, what: str, *, seconds: float, quiet: int = 1) -> float:
        """Return how long it took until every group had committed everything, in ``quiet`` equal samples in a row.

        Raises:
            TimeoutError: If it took longer than ``seconds``; says what is behind.
        """
        began = time.monotonic()
        equal: list[Sample] = []
        last = time.time()
        while len(equal) < quiet:
            left = began + seconds - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{what}: not within {seconds:g} s: {self.samples[-1].behind()}")
            sample = self.newer(last, left)
            last = sample.at
            if not sample.caught_up() or (equal and equal[-1].ends != sample.ends):
                equal = []
            if sample.caught_up():
                equal.append(sample)
        return time.monotonic() - began

    def _run(self) -> None:
        while not self._stopping.wait(SAMPLE_SECONDS):
            try:
                self.samples.append(self._looker.look())
            except (KafkaException, KeyError):
                continue  # Kafka is away, or the topic is being made anew: there is nothing to say now
        self._looker.close()


class Looker:
    """Asks Kafka; its clients are consumers that consume nothing.

    Not the admin client: in librdkafka 2.16 its questions about groups abort the process when the broker goes away in
    the wrong moment, and here it does.
    """

    def __init__(self, brokers: str) -> None:
        quiet = client_config(brokers) | {"enable.auto.commit": False}
        self._consumers = {group: Consumer(quiet | {"group.id": group}) for group in GROUPS}
        self._ends: dict[int, int] = {}
        self._incarnation = 0

    def look(self) -> Sample:
        """Look once.

        Raises:
            KafkaException: If Kafka does not answer.
        """
        consumer = self._consumers[GROUPS[0]]
        topic = consumer.list_topics(CANDLES, timeout=_ANSWER_SECONDS).topics[CANDLES]
        if topic.error is not None:
            raise KafkaException(topic.error)
        places = [TopicPartition(CANDLES, partition) for partition in topic.partitions]
        # Commits first: what is committed must not seem to lie beyond the end.
        committed = {group: self._committed(group, places) for group in GROUPS}
        ends = {place.partition: _end(consumer, place) for place in places}
        if any(end < self._ends.get(partition, 0) for partition, end in ends.items()):
            self._incarnation += 1
        self._ends = ends
        used = {partition: end for partition, end in ends.items() if end}
        return Sample(
            time.time(),
            self._incarnation,
            used,
            {group: {p: offset for p, offset in found.items() if p in used} for group, found in committed.items()},
        )

    def _committed(self, group: str, places: list[TopicPartition]) -> dict[int, int]:
        found = self._consumers[group].committed(places, timeout=_ANSWER_SECONDS)
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def close(self) -> None:
        """Let the clients go."""
        for consumer in self._consumers.values():
            consumer.close()


def _end(consumer: Consumer, place: TopicPartition) -> int:
    marks = consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
    if marks is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    return marks[1]
