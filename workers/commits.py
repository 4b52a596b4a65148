"""Writing watermarks down: to Kafka as the group's commit, and beside the rows into the store."""

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

from workers import metrics
from workers.assignment import Assignment
from workers.errors import StoreUnavailable
from workers.outage import Outage
from workers.store import CandleStore, Watermark

logger = logging.getLogger(__name__)

#: How long a stopping bridge waits for the answer to its last commit.
WAIT_SECONDS: Final = 2.0

#: A store that is restored from a copy loses what it took since, and the watermark tells: it is lower than the one that
#: was stored last, or was advanced less often, for it is stored even where it stands still, if batches behind the one
#: that it waits for took effect. Unless none was stored between the copy and the restore, so what was done while that
#: did not succeed for longer than this is read again. No copy is younger.
TRUST_SECONDS: Final = 3.0
#: A store that is merely slow must not make us read the same for ever: twice as long each time, up to this.
MOST_TRUST_SECONDS: Final = 60.0


class _Advanced(NamedTuple):
    """An answer of the store."""

    assignment: Assignment
    #: The watermark that was to be stored, and the stored one before.
    offset: int
    before: Watermark | None
    #: When the store was asked, and when it had answered (monotonic seconds).
    asked_at: float
    answered_at: float


class Lacking(NamedTuple):
    """A partition that has to be read again."""

    assignment: Assignment
    #: Where to read on; None: at the beginning.
    offset: int | None
    #: The watermark that the store holds now.
    stored: int | None


class Commits:
    """Commits the watermarks of a bridge's assignments, and nothing else, ever."""

    def __init__(self, consumer: Consumer, bridge: str, store: CandleStore | None, background: Executor) -> None:
        """``store``: where watermarks are kept, too; None for bridges that must not need it."""
        self._consumer, self._bridge = consumer, bridge
        self._store, self._background = store, background
        self._advancing: Future[list[_Advanced]] | None = None
        self._trust_seconds = TRUST_SECONDS
        self._looked_at = time.monotonic()
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

    def save_and_wait(self, assignments: Sequence[Assignment]) -> None:
        """Store the watermarks once more and wait a moment for it: what is not stored is not committed."""
        deadline = time.monotonic() + WAIT_SECONDS
        left = list(assignments)
        for _ in range(3):  # one may be under way; the last takes the answer
            # What would have to be read again stays as low as it is; whoever comes next reads it.
            given_up = {id(lacking.assignment) for lacking in self.advance_in_store(left)}
            left = [each for each in left if id(each) not in given_up]
            if self._advancing is not None:
                wait([self._advancing], max(0.0, deadline - time.monotonic()))

    def advance_in_store(self, assignments: Iterable[Assignment]) -> list[Lacking]:
        """Store watermarks, after the rows they speak of, so that they can only be too low; does not wait.

        Returns:
            What has to be read again, because the store lacks it or may lack it.
        """
        if self._store is None:
            return []
        assignments = list(assignments)
        for each in assignments:
            if each.unsaved_since is None and _is_unsaved(each):
                # It became so some time after the last look.
                each.unsaved_since = self._looked_at
        self._looked_at = time.monotonic()
        if self._advancing is not None and not self._advancing.done():
            return []
        lacking = [] if self._advancing is None else self._take(self._advancing)
        store = self._store
        given_up = {id(each.assignment) for each in lacking}
        moved = [
            (each, each.start.key, watermark, None if each.stored is None else Watermark(each.stored, each.advances))
            for each in assignments
            if each.start is not None
            and (watermark := each.batches.watermark) is not None
            and _is_unsaved(each)
            and id(each) not in given_up
        ]

        asked_at = time.monotonic()

        def advance() -> list[_Advanced]:
            answers = []
            for assignment, key, offset, stored in moved:
                before = store.advance_watermark(key, offset, at_least=stored)
                answers.append(_Advanced(assignment, offset, before, asked_at, time.monotonic()))
            return answers

        self._advancing = self._background.submit(advance) if moved else None
        return lacking

    def _take(self, future: "Future[list[_Advanced]]") -> list[Lacking]:
        try:
            advanced = [each for each in future.result(timeout=0) if not each.assignment.abandoned]
        except StoreUnavailable as error:
            self._watermarks.failed(error)
            return []
        self._watermarks.answered()
        lacking = [each for each in (self._lacking(answer) for answer in advanced) if each is not None]
        # A watermark that has sunk is no guess: there reading goes on where the store says.
        guessed = any(each.offset != each.stored for each in lacking)
        self._trust_seconds = min(MOST_TRUST_SECONDS, 2 * self._trust_seconds) if guessed else TRUST_SECONDS
        return lacking

    def _lacking(self, answer: _Advanced) -> Lacking | None:
        """What a partition has to read again after its watermark was stored, if anything."""
        assignment, before, last = answer.assignment, answer.before, answer.assignment.stored
        if last is not None and (before is None or before.offset < last or before.advances < assignment.advances):
            offset = None if before is None else before.offset
            logger.warning("store holds an older copy, reading again", extra={**assignment.where, "offset": offset})
            return Lacking(assignment, offset, offset)
        stored = answer.offset if before is None else max(answer.offset, before.offset)
        assignment.advances = 1 if before is None else before.advances + 1
        since = assignment.unsaved_since
        if since is None or answer.answered_at - since <= self._trust_seconds:
            assignment.stored = stored
            assignment.unsaved_since = answer.asked_at if _is_unsaved(assignment) else None
            return None
        assert assignment.start is not None
        offset = assignment.start.offset if last is None else last
        logger.warning(
            "store kept no watermark for a while and may be an older copy, reading again",
            extra={**assignment.where, "offset": offset, "seconds": round(answer.answered_at - since, 1)},
        )
        return Lacking(assignment, offset, stored)


def _is_unsaved(assignment: Assignment) -> bool:
    """Whether something took effect of which the stored watermark does not tell."""
    watermark = assignment.batches.watermark
    if watermark is None:
        return False
    return assignment.stored is None or watermark > assignment.stored or any(each.done for each in assignment.batches)
