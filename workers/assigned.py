"""The partitions that are assigned to a bridge: how they begin, go back, and end."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from workers import metrics
from workers.assignment import Assignment
from workers.backpressure import Backpressure
from workers.completions import CompletionReader
from workers.errors import TopicReplaced
from workers.policies import Policy
from workers.starts import Start, StartFinder

logger = logging.getLogger(__name__)

#: How long a rebalance waits for the starts. What takes longer is paused, and resuming costs half a second of fetching.
START_WAIT_SECONDS: Final = 1.5


class Assigned:
    """One `Assignment` per partition of this bridge; belongs to the main loop."""

    def __init__(
        self,
        policy: Policy,
        consumer: Consumer,
        starts: StartFinder,
        background: Executor,
        backpressure: Backpressure,
        reader: CompletionReader,
    ) -> None:
        self._policy, self._consumer, self._starts = policy, consumer, starts
        self._background, self._backpressure, self._reader = background, backpressure, reader
        self._assignments: dict[tuple[str, int], Assignment] = {}
        self._finding: list[tuple[list[Assignment], Future[list[Start]]]] = []

    def __iter__(self) -> Iterator[Assignment]:
        return iter(list(self._assignments.values()))

    def __len__(self) -> int:
        return len(self._assignments)

    def get(self, topic: str, partition: int) -> Assignment | None:
        """The current assignment of a partition, None if it is not ours."""
        return self._assignments.get((topic, partition))

    def of(self, partitions: Iterable[TopicPartition]) -> list[Assignment]:
        """The current assignments of those of these partitions that are ours."""
        found = [self.get(each.topic, each.partition) for each in partitions]
        return [each for each in found if each is not None]

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Take partitions on: read them from their starts, or pause them until these are known."""
        assignments = [self._new(each.topic, each.partition) for each in partitions]
        self._add(assignments)
        logger.info("assigned", extra={"partitions": names(assignments)})
        finding = self._background.submit(self._starts.find, partitions)
        try:
            starts = finding.result(timeout=START_WAIT_SECONDS)
        except Exception:  # a time-out here, or the reason that `continue_starts` will see
            # At some offset: without one the client asks for the commit, and may wait for that answer for ever, while
            # no partition can be moved whose start it does not know (librdkafka 2.16, its issue 5586).
            self._consumer.incremental_assign([each.at(OFFSET_BEGINNING) for each in assignments])
            self._consumer.pause(list(partitions))
            self._finding.append((assignments, finding))
            return
        for each, start in zip(assignments, starts, strict=True):
            each.begin(start)
        self._consumer.incremental_assign(
            [each.at(start.offset) for each, start in zip(assignments, starts, strict=True)]
        )
        if self._backpressure.paused:
            self._consumer.pause(list(partitions))

    def continue_starts(self) -> None:
        """Go on with what is not reading yet; called every so often.

        Raises:
            TopicReplaced: If a topic was made anew; nothing of it is assigned any more, and the consumer is of no use.
        """
        for each in self:
            if each.seek_to is not None:
                self._seek(each)
                sought = each.seek_to is None
                if sought and not self._backpressure.paused:
                    self._consumer.resume([each.at()])
        finding, self._finding = self._finding, []
        for assignments, future in finding:
            wanted = [each for each in assignments if not each.abandoned]
            if not future.done():
                self._finding.append((wanted, future))
            elif isinstance(error := future.exception(), TopicReplaced):
                # What was read of the old one must not be committed as if it were of the new one.
                self.forget([each for each in self if each.topic == error.topic])
                raise error
            elif error is not None:
                logger.warning("cannot find where to start, trying again", extra={"reason": str(error)})
                again = self._background.submit(self._starts.find, [each.at() for each in wanted])
                self._finding += [(wanted, again)] if wanted else []
            else:
                self._begin(wanted, future.result())

    def rewind(self, assignment: Assignment, offset: int | None, stored: int | None) -> None:
        """The store lacks, or may lack, rows that it once took: read them again, under a fresh assignment id.

        Args:
            assignment: The partition.
            offset: Where to read on; None: at the beginning.
            stored: The watermark that the store holds now.
        """
        metrics.BRIDGE_REWINDS.labels(self._policy.name).inc()
        assert assignment.start is not None
        self.forget([assignment])
        offset = OFFSET_BEGINNING if offset is None else offset
        again = self._new(assignment.topic, assignment.partition)
        again.begin(Start(again.topic, again.partition, offset, assignment.start.key, stored))
        again.seek_to = offset
        self._add([again])
        self._seek(again)

    def begin_again(self, assignment: Assignment) -> None:
        """What is read is not what the start was found for: look for the start anew, under a fresh assignment id."""
        logger.warning("topic begins before the place to start at, looking again", extra=assignment.where)
        metrics.BRIDGE_REWINDS.labels(self._policy.name).inc()
        self.forget([assignment])
        again = self._new(assignment.topic, assignment.partition)
        self._add([again])
        self._consumer.pause([again.at()])
        self._finding.append(([again], self._background.submit(self._starts.find, [again.at()])))

    def forget(self, assignments: Iterable[Assignment]) -> None:
        """Nothing of these counts any more; completions that still come prove nothing."""
        for each in assignments:
            each.abandoned = True
            for _ in each.unfinished():
                self._backpressure.removed()
            self._assignments.pop((each.topic, each.partition), None)
            for gauge in (metrics.BRIDGE_LAG, metrics.BRIDGE_WATERMARK, metrics.BRIDGE_RECORDS_IN_FLIGHT):
                with suppress(KeyError):
                    gauge.remove(self._policy.name, each.topic, str(each.partition))
        self._watch()

    def _new(self, topic: str, partition: int) -> Assignment:
        source = self._policy.sources[topic]
        return Assignment(topic, partition, source, kept_in_store=self._policy.watermark_in_store)

    def _add(self, assignments: Iterable[Assignment]) -> None:
        self._assignments.update({(each.topic, each.partition): each for each in assignments})
        self._watch()

    def _watch(self) -> None:
        # Of batches that never leave the bridge no worker reports anything.
        self._reader.watch(each.id for each in self if each.source.actor is not None)

    @staticmethod
    def _begin(assignments: Iterable[Assignment], starts: Iterable[Start]) -> None:
        by_place = {(start.topic, start.partition): start for start in starts}
        for each in assignments:
            start = by_place[each.topic, each.partition]
            each.begin(start)
            # It is paused; the next call of `continue_starts` moves and resumes it.
            each.seek_to = start.offset

    def _seek(self, assignment: Assignment) -> None:
        assert assignment.seek_to is not None
        try:
            self._consumer.seek(assignment.at(assignment.seek_to))
        except KafkaException as error:
            # A partition whose fetching has not begun cannot be moved yet.
            logger.info("cannot seek yet", extra={**assignment.where, "reason": str(error)})
        else:
            assignment.seek_to = None


def names(assignments: Iterable[Assignment]) -> str:
    """Partitions as one word each, for a log line."""
    return " ".join(f"{each.topic}/{each.partition}" for each in assignments)
