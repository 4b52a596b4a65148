"""The bridge: from Kafka to the workers, committing only what took effect.

Kafka is the only durable queue; everything beyond it is a hint that may be lost. So the bridge reads batches, sends
each as a job, and moves a partition's watermark only over batches that a worker (or, when none answers, the bridge
itself) reported as applied. The watermark alone is committed. Repeats are harmless, because stores only move forward.

The main loop owns all state. Beside it: a thread that reads completions, one that applies batches when no worker does,
and one for questions to the store and to Kafka that may take long. None of them is waited for longer than a moment.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ingest.clock import Clock, SystemClock
from ingest.health import Progress
from ingest.topics import DEAD_LETTERS
from workers import metrics
from workers.applier import Applied, Applier
from workers.assigned import Assigned, names
from workers.assignment import Assignment
from workers.backpressure import Backpressure
from workers.bridge_report import report
from workers.commits import Commits
from workers.completions import Completion, CompletionReader
from workers.consumer import make_consumer
from workers.dead_letters import DeadLetters
from workers.doorbell import DoorbellBroker
from workers.errors import ConsumerStalled, TopicReplaced
from workers.policies import Policy
from workers.sender import JobSender
from workers.stall import StallWatch
from workers.starts import StartFinder
from workers.store import CandleStore
from workers.watermark import MAX_LAPSES, Batch, Leases, Letter

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.05
#: How long while records of a partition wait for the batch before them: a completion does not wake the poll.
HELD_UP_SECONDS: Final = 0.001
MAX_POLLED: Final = 500
COMMIT_SECONDS: Final = 1.0
#: How often leases, unsent batches and unfinished starts are looked at.
UPKEEP_SECONDS: Final = 0.25
#: How long a revoked or stopping bridge waits for completions.
DRAIN_SECONDS: Final = 3.0


class Bridge:
    """One bridge process; `run` returns after `stop`."""

    def __init__(
        self,
        policy: Policy,
        kafka_brokers: str,
        broker: DoorbellBroker,
        *,
        store: CandleStore | None = None,
        group: str | None = None,
        dead_letter_topic: str = DEAD_LETTERS,
        lease_seconds: float | None = None,
        progress: Progress | None = None,
        clock: Clock | None = None,
    ) -> None:
        """``store`` holds the watermarks, for policies that keep them there; ``lease_seconds`` None: the policy's."""
        self._policy, self._progress = policy, progress or Progress()
        self._clock = clock or SystemClock()
        self._store = store if policy.watermark_in_store else None
        self._kafka_brokers, self._group = kafka_brokers, group or policy.group
        self._background = ThreadPoolExecutor(3, thread_name_prefix="background")
        self._letters = DeadLetters(kafka_brokers, dead_letter_topic) if policy.dead_letters else None
        self._letters_blocked_until = float("-inf")
        self._results: SimpleQueue[Completion | Applied] = SimpleQueue()
        self._reader = CompletionReader(broker.client, self._results.put)
        self._applier = Applier(self._results, policy.upkeep, policy.upkeep_seconds)
        self._leases = Leases(lease_seconds or policy.lease_seconds)
        self._backpressure = Backpressure()
        self._sender = JobSender(broker, policy.name, policy.queue, 2 * self._backpressure.cap, self._clock)
        self._stall = StallWatch(kafka_brokers, self._background, self._clock.monotonic)
        self._commit_due_at = self._upkeep_due_at = float("-inf")
        self._stopping = threading.Event()
        self._connect()

    def _connect(self) -> None:
        """Make a consumer, and what goes with it."""
        self._consumer = make_consumer(self._kafka_brokers, self._group, self._on_commit, self._policy.fetch_wait_ms)
        self._commits = Commits(self._consumer, self._policy.name, self._store, self._background)
        starts = StartFinder(self._kafka_brokers, self._policy, self._group, self._store, self._clock)
        self._assigned = Assigned(
            self._policy, self._consumer, starts, self._background, self._backpressure, self._reader
        )

    def stop(self) -> None:
        """Ask `run` to end; safe from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Bridge until `stop`, then wait a moment for completions, commit and leave the group.

        Raises:
            SeriesCollision: If two series have one hash.
            KafkaException: If the Kafka client cannot go on.
        """
        self._reader.start()
        self._applier.start()
        self._join()
        try:
            while not self._stopping.is_set():
                try:
                    self._turn()
                except (TopicReplaced, ConsumerStalled) as error:
                    # A consumer knows partitions by their topic's name, takes the leader epoch 0 of a new one for
                    # outdated, and waits for another for ever (librdkafka 2.16, its issue 4898). Of why it stalls
                    # otherwise nothing is known here.
                    logger.warning("beginning with a fresh consumer", extra={"reason": str(error)})
                    metrics.BRIDGE_FRESH_CONSUMERS.labels(self._policy.name).inc()
                    self._stall.replaced(stalled=isinstance(error, ConsumerStalled))
                    self._leave()
                    self._connect()
                    self._join()
        finally:
            self._close()

    # -- one turn -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._progress.turned()
        if self._applier.fatal is not None:
            raise self._applier.fatal
        self._read()
        self._take_results()
        self._send_due()
        self._push_back()
        now = self._clock.monotonic()
        if now >= self._upkeep_due_at:
            self._upkeep_due_at = now + UPKEEP_SECONDS
            self._assigned.continue_starts()
            self._repeat(now)
            self._look_for_stall()
        if now >= self._commit_due_at:
            self._commit_due_at = now + COMMIT_SECONDS
            self._commits.commit(self._assigned)
            for lacking in self._commits.advance_in_store(self._assigned):
                self._assigned.rewind(*lacking)
            report(self._policy.name, self._assigned, self._leases, self._backpressure, self._consumer)
            metrics.BRIDGE_OWN_BATCHES.labels(self._policy.name).set(self._applier.waiting)

    def _read(self) -> None:
        message = self._consumer.poll(HELD_UP_SECONDS if self._is_held_up() else POLL_SECONDS)
        if message is None:
            return
        # Taken in before the next call: that may run a rebalance, after which this record would be out of place.
        self._take_in(message)
        for message in self._consumer.consume(MAX_POLLED - 1, 0):
            self._take_in(message)

    def _look_for_stall(self) -> None:
        read = () if self._backpressure.paused else self._assigned
        positions = {(each.topic, each.partition): each.position for each in read if each.position is not None}
        if stalled := self._stall.stalled(positions):
            raise ConsumerStalled(names(each for each in self._assigned if (each.topic, each.partition) in stalled))

    def _is_held_up(self) -> bool:
        """Whether records wait for a completion, which must come soon; one that does not is no reason to hurry."""
        since = self._clock.monotonic() - UPKEEP_SECONDS
        began = (each.collector.began_at for each in self._assigned if self._must_wait(each))
        return any(began_at is not None and began_at > since for began_at in began)

    def _take_in(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            logger.warning("cannot read from Kafka", extra={"reason": str(error)})
            return
        topic, partition, offset = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
        assignment = self._assigned.get(topic, partition)
        if assignment is None:
            return
        metrics.BRIDGE_RECORDS.labels(self._policy.name, topic).inc()
        if assignment.is_before(offset):
            self._assigned.begin_again(assignment)
            return
        key, value = message.key(), message.value()
        before = assignment.add(offset, _as_bytes(key), _as_bytes(value), self._clock.monotonic())
        if before is not None:
            self._send(assignment, before)
        if assignment.collector.full:
            self._send_collected(assignment)

    def _send_due(self) -> None:
        wait_seconds = self._backpressure.batch_seconds(self._policy.batch_seconds)
        now = self._clock.monotonic()
        for assignment in self._assigned:
            began_at, is_urgent = assignment.collector.began_at, assignment.collector.is_urgent
            patience = wait_seconds if is_urgent else max(wait_seconds, self._policy.patience_seconds)
            if began_at is not None and now - began_at >= patience and not self._must_wait(assignment):
                self._send_collected(assignment)

    def _must_wait(self, assignment: Assignment) -> bool:
        """Whether order forbids sending more of this partition now; records gather meanwhile."""
        return self._policy.in_order and any(assignment.unfinished())

    # -- sending ------------------------------------------------------------------------------------------------------

    def _send_collected(self, assignment: Assignment) -> None:
        batch = assignment.collector.take()
        if batch is not None:
            self._send(assignment, batch)

    def _send(self, assignment: Assignment, batch: Batch) -> None:
        must_wait = self._must_wait(assignment)
        assignment.batches.add(batch)
        self._backpressure.added()
        conflated = batch.records - len(batch.rows) - len(batch.letters)
        metrics.BRIDGE_CONFLATED.labels(self._policy.name).inc(conflated)
        if not batch.rows:
            self._applied(assignment, batch, [])
        elif not must_wait:
            self._dispatch(assignment, batch)

    def _dispatch(self, assignment: Assignment, batch: Batch) -> None:
        if assignment.source.actor is None:
            self._give_to_applier(assignment, batch)
        elif self._leases.queue_dead:
            self._apply_itself(assignment, batch)
            if self._leases.probe_is_due(self._clock.monotonic()):
                self._sender.send(assignment, batch)
        else:
            self._leases.begin(batch, self._clock.monotonic())
            batch.enqueued = self._sender.send(assignment, batch)

    def _apply_itself(self, assignment: Assignment, batch: Batch) -> None:
        metrics.BRIDGE_APPLIED_ITSELF.labels(self._policy.name).inc()
        self._give_to_applier(assignment, batch)

    def _give_to_applier(self, assignment: Assignment, batch: Batch) -> None:
        batch.lapses = MAX_LAPSES
        self._applier.submit(assignment, batch)

    def _repeat(self, now: float) -> None:
        waiting = {batch: each for each in self._assigned for batch in each.unfinished()}
        for batch in self._leases.lapse(waiting, now):
            if batch.lapses >= MAX_LAPSES:
                self._apply_itself(waiting[batch], batch)
            else:
                metrics.BRIDGE_REDISPATCHED.labels(self._policy.name).inc()
                self._leases.begin(batch, now)
        for batch, assignment in waiting.items():
            if batch.applied:
                self._finish(assignment, batch)
            elif batch.was_dispatched and not batch.enqueued and batch.lapses < MAX_LAPSES:
                batch.enqueued = self._sender.send(assignment, batch)

    # -- results ------------------------------------------------------------------------------------------------------

    def _take_results(self) -> None:
        with suppress(Empty):
            while True:
                result = self._results.get_nowait()
                if isinstance(result, Applied):
                    if not result.assignment.abandoned and not result.batch.applied:
                        self._applied(result.assignment, result.batch, result.refused)
                else:
                    self._completed(result)

    def _completed(self, completion: Completion) -> None:
        found = [each for each in self._assigned if each.id == completion.assignment_id]
        batch = None
        if found and found[0].partition == completion.partition:
            batch = found[0].batches.find(completion.first, completion.last)
        self._leases.completed(batch, self._clock.monotonic())
        if batch is not None and not batch.applied:
            self._applied(found[0], batch, completion.refused)

    def _applied(self, assignment: Assignment, batch: Batch, refused: Iterable[tuple[int, str]]) -> None:
        rows = {row.offset: row for row in batch.rows}
        for offset, reason in refused:
            row = rows.get(offset)
            if row is not None:
                batch.letters.append(Letter(offset, row.key, row.text.encode(), reason))
        batch.applied, batch.rows = True, []
        self._finish(assignment, batch)

    def _finish(self, assignment: Assignment, batch: Batch) -> None:
        """Mark a batch done, once what it could not apply is safe elsewhere."""
        now = self._clock.monotonic()
        if batch.letters:
            if self._letters is not None:
                if now < self._letters_blocked_until:
                    return
                if not self._letters.send(assignment.topic, assignment.partition, batch.letters):
                    self._letters_blocked_until = self._clock.monotonic() + COMMIT_SECONDS
                    return
                metrics.DEAD_LETTERS.labels(self._policy.name).inc(len(batch.letters))
            metrics.BRIDGE_UNREADABLE.labels(self._policy.name).inc(len(batch.letters))
            batch.letters = []
        assignment.batches.mark_done(batch)
        self._backpressure.removed()
        if self._policy.in_order:
            oldest = next(assignment.unfinished(), None)
            if oldest is not None and not oldest.was_dispatched:
                self._dispatch(assignment, oldest)

    # -- backpressure -------------------------------------------------------------------------------------------------

    def _push_back(self) -> None:
        change = self._backpressure.change(sum(len(each.batches) for each in self._assigned))
        if change is None:
            return
        # One that is still looking for its start is paused for a reason of its own.
        partitions = [each.at() for each in self._assigned if each.start is not None]
        if not partitions:
            return
        if change:
            self._consumer.pause(partitions)
        else:
            self._consumer.resume(partitions)

    # -- rebalances ----------------------------------------------------------------------------------------------------

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._commits.answered(error, self._assigned.of(partitions), partitions)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned.assign(partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        revoked = self._assigned.of(partitions)
        self._drain(revoked)
        # Goes to the coordinator before the word that these partitions are given up, on the same connection.
        self._commits.commit(revoked)
        self._assigned.forget(revoked)
        logger.info("revoked", extra={"partitions": names(revoked)})

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        lost = self._assigned.of(partitions)
        self._assigned.forget(lost)
        logger.warning("lost, what was under way will be repeated", extra={"partitions": names(lost)})

    def _drain(self, assignments: Sequence[Assignment]) -> None:
        """Wait a moment for completions of what is under way; nothing more is read meanwhile."""
        deadline = self._clock.monotonic() + DRAIN_SECONDS
        pause = threading.Event()
        while any(any(each.unfinished()) for each in assignments) and self._clock.monotonic() < deadline:
            self._progress.turned()
            pause.wait(0.01)
            self._take_results()

    def _join(self) -> None:
        self._consumer.subscribe(
            sorted(self._policy.sources), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _leave(self) -> None:
        mine = list(self._assigned)
        self._drain(mine)
        self._commits.save_and_wait(mine)
        self._commits.commit_and_wait(mine)
        # Before leaving the group, which revokes them: everything has been done for them.
        self._assigned.forget(mine)
        self._consumer.close()

    def _close(self) -> None:
        self._leave()
        self._applier.stop()
        self._reader.stop()
        self._background.shutdown(wait=False, cancel_futures=True)


def _as_bytes(data: bytes | str | None) -> bytes | None:
    return data.encode() if isinstance(data, str) else data
