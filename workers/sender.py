"""Sends batches to the workers' queue, as long as there is one and it is short."""

import logging
from typing import Final

import redis

from ingest.clock import Clock
from workers import metrics
from workers.assignment import Assignment
from workers.doorbell import DoorbellBroker
from workers.outage import Outage
from workers.watermark import Batch

logger = logging.getLogger(__name__)

#: After a failure, and between two looks at the queue's length.
PAUSE_SECONDS: Final = 1.0


class JobSender:
    """Enqueues one job per batch; a failure is an answer, and costs at most one time-out per second."""

    def __init__(self, broker: DoorbellBroker, bridge: str, queue: str, max_queued: int, clock: Clock) -> None:
        """``max_queued``: nothing is sent while more jobs wait, so that a dead worker pool cannot fill Redis."""
        self._broker, self._bridge, self._queue = broker, bridge, queue
        self._max_queued, self._clock = max_queued, clock
        self._blocked_until = self._looked_at = float("-inf")
        self._outage = Outage(logger, "the jobs' Redis")

    def send(self, assignment: Assignment, batch: Batch) -> bool:
        """Enqueue a batch; False if it was not, for whatever reason."""
        if self._clock.monotonic() < self._blocked_until:
            return False
        try:
            sent = self._is_short() and self._enqueue(assignment, batch)
        except redis.RedisError as error:
            self._outage.failed(error)
            sent = False
        else:
            self._outage.answered()
        if not sent:
            metrics.BRIDGE_ENQUEUE_FAILED.labels(self._bridge).inc()
            self._blocked_until = self._clock.monotonic() + PAUSE_SECONDS
        return sent

    def _is_short(self) -> bool:
        now = self._clock.monotonic()
        if now - self._looked_at < PAUSE_SECONDS:
            return True
        short = self._broker.queue_length(self._queue) <= self._max_queued
        # While it is too long, look each time: there is at most one attempt per pause.
        self._looked_at = now if short else float("-inf")
        return short

    def _enqueue(self, assignment: Assignment, batch: Batch) -> bool:
        rows = [(row.offset, row.text) for row in batch.rows]
        actor = assignment.source.actor
        assert actor is not None  # such batches never leave the bridge
        message = actor.message(assignment.id, assignment.partition, batch.first, batch.last, rows)
        self._broker.enqueue(message)
        return True
