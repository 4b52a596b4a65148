"""Writing watermarks down: to Kafka as the group's commit, and beside the rows into the store."""

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from workers import metrics
from workers.assignment import Assignment
from workers.errors import StoreUnavailable
from workers.outage import Outage
from workers.store import CandleStore

logger = logging.getLogger(__name__)

#: How long a stopping bridge waits for the answer to its last commit.
WAIT_SECONDS: Final = 2.0

#: An assignment, the offset that was to be stored, the stored one before.
_Advanced = tuple[Assignment, int, int | None]


class Commits:
    """Commits the watermarks of a bridge's assignments, and nothing else, ever."""

    def __init__(self, consumer: Consumer, bridge: str, store: CandleStore | None, background: Executor) -> None:
        """``store``: where watermarks are kept, too; None for bridges that must not need it."""
        self._consumer, self._bridge = consumer, bridge
        self._store, self._background = store, background
        self._advancing: Future[list[_Advanced]] | None = None
        self._kafka = Outage(logger, "Kafka, asked to commit,")
        self._watermarks = Outage(logger, "the store, asked to keep watermarks,")

    def commit(self, assignments: Iterable[Assignment]) -> None:
        """Send to Kafka what it does not have yet; the answer comes by `answered`."""
        offsets = [each.at(offset) for each in assignments if (offset := each.to_commit) is not None]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def commit_and_wait(self, assignments: Sequence[Assignment]) -> None:
        """Commit and wait for the answer, but not for ever: a synchronous commit would wait for any coordinator."""
        self.commit(assignments)
        deadline = time.monotonic() + WAIT_SECONDS
        while any(each.to_commit is not None for each in assignments) and time.monotonic() < deadline:
            # The answer is handed out by this call; records are not taken in any more.
            self._consumer.poll(0.05)

    def answered(
        self, error: KafkaError | None, assignments: Iterable[Assignment], partitions: Iterable[TopicPartition]
    ) -> None:
        """Take Kafka's answer; what failed is sent again with the next commit."""
        metrics.BRIDGE_COMMITS.labels(self._bridge, "failed" if error else "ok").inc()
        if error is not None:
            self._kafka.failed(error)
            return
        self._kafka.answered()
        committed = {(each.topic, each.partition): each.offset for each in partitions if not each.error}
        for each in assignments:
            each.committed = committed.get((each.topic, each.partition), each.committed)

    def advance_in_store(self, assignments: Iterable[Assignment]) -> list[tuple[Assignment, int | None]]:
        """Store watermarks, after the rows they speak of, so that they can only be too low; does not wait.

        Returns:
            What the store turned out to hold an older copy of, with the watermark in that copy (None: not even that).
        """
        if self._store is None or (self._advancing is not None and not self._advancing.done()):
            return []
        restored = [] if self._advancing is None else self._take(self._advancing)
        store = self._store
        moved = [
            (each, each.start.key, watermark, each.stored)
            for each in assignments
            if each.start is not None
            and (watermark := each.batches.watermark) is not None
            and (each.stored is None or watermark > each.stored)
        ]

        def advance() -> list[_Advanced]:
            return [
                (assignment, offset, store.advance_watermark(key, offset, at_least=stored))
                for assignment, key, offset, stored in moved
            ]

        self._advancing = self._background.submit(advance) if moved else None
        return restored

    def _take(self, future: "Future[list[_Advanced]]") -> list[tuple[Assignment, int | None]]:
        try:
            advanced = future.result(timeout=0)
        except StoreUnavailable as error:
            self._watermarks.failed(error)
            return []
        self._watermarks.answered()
        restored = []
        for assignment, offset, before in advanced:
            if assignment.abandoned:
                continue
            if assignment.stored is not None and (before is None or before < assignment.stored):
                restored.append((assignment, before))
            else:
                assignment.stored = offset if before is None else max(offset, before)
        return restored
