"""A Redis broker whose idle consumers wait in Redis until their queue has work.

Dramatiq's own consumer polls with a back-off of up to a second: half a job's latency would be waiting (364 ms at the
median). Polling each 10 ms costs 7 ms and a core's worth of wake-ups. Here an idle consumer blocks in
``BLMOVE queue queue LEFT LEFT``: a queue is a plain list, so moving its head onto its own head changes nothing,
returns as soon as there is a head, and needs no help from those who enqueue. That gives 2.5 ms at the median with
two commands per second while idle.

What this relies on inside Dramatiq (`tests/contract/test_dramatiq_doorbell.py` fails when it moves): queues are lists
named ``namespace:queue``; the consumer's ``__next__`` returns None at once when there is nothing and its time-out is
0; ``outstanding_message_count`` below ``prefetch`` decides whether it asks Redis; `consume` builds ``consumer_class``.
"""

# mypy: disable-error-code="no-untyped-call"
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed

from workers.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dramatiq.broker import MessageProxy

logger = logging.getLogger(__name__)

#: How long a consumer waits in Redis at a time; it notices a shutdown within it.
MAX_WAIT_SECONDS: Final = 1.0


def queue_key(namespace: str, queue: str) -> str:
    """The list that holds the ids of a queue's waiting messages."""
    return f"{namespace}:{queue}"


class DoorbellConsumer(_RedisConsumer):
    """Consumer of one queue: fetches while there is work, else waits for it in Redis."""

    def __init__(self, broker: "DoorbellBroker", queue_name: str, prefetch: int, timeout: int) -> None:
        # A time-out of 0 keeps the base class from sleeping; the waiting is done here.
        super().__init__(broker, queue_name, prefetch, 0)
        # Below the client's own time-out for an answer, whatever the worker was started with.
        self._wait_seconds = min(timeout / 1000, MAX_WAIT_SECONDS)
        self._key = queue_key(broker.namespace, queue_name)
        self._room = threading.Event()

    def __next__(self) -> "MessageProxy | None":
        self.broker.on_turn()
        try:
            with _timeouts_as_lost_connections():
                message = cast("MessageProxy | None", super().__next__())
                if message is None:
                    self._wait()
                    message = cast("MessageProxy | None", super().__next__())
        except ConnectionClosed as error:
            self.broker.outage.failed(error)
            raise
        self.broker.outage.answered()
        return message

    def _wait(self) -> None:
        """Return when there may be something to do, at the latest after the time-out.

        The caller looks for a shutdown between two calls, and each fetch after a wait is the heartbeat by which
        other workers know this one to be alive.
        """
        if self.outstanding_message_count >= self.prefetch:
            # Enough is fetched for this process's threads: what matters is the next message they finish.
            self._room.wait(self._wait_seconds)
            self._room.clear()
        else:
            self.broker.client.blmove(self._key, self._key, self._wait_seconds, "LEFT", "LEFT")

    def ack(self, message: "MessageProxy") -> None:
        """Acknowledge, and let the consumer fetch again."""
        with _timeouts_as_lost_connections():
            try:
                super().ack(message)
            finally:
                self._room.set()

    def nack(self, message: "MessageProxy") -> None:
        """Reject, and let the consumer fetch again."""
        with _timeouts_as_lost_connections():
            try:
                super().nack(message)
            finally:
                self._room.set()

    def requeue(self, messages: "Iterable[MessageProxy]") -> None:
        """Give messages back on shutdown."""
        with _timeouts_as_lost_connections():
            super().requeue(messages)


class DoorbellBroker(RedisBroker):
    """RedisBroker with waiting consumers; `on_turn` is called by each consumer about once a second or more often."""

    def __init__(self, *, on_turn: Callable[[], None] = lambda: None, **options: Any) -> None:
        super().__init__(**options)
        self.on_turn = on_turn
        #: Shared by all consumers: Dramatiq's own lines come per consumer and attempt.
        self.outage = Outage(logger, "the jobs' Redis")

    @property
    def consumer_class(self) -> type[DoorbellConsumer]:
        """The class that `consume` makes an instance of."""
        return DoorbellConsumer

    def queue_length(self, queue: str) -> int:
        """How many messages wait in a queue, without those that workers have fetched."""
        return int(self.client.llen(queue_key(self.namespace, queue)))


@contextmanager
def _timeouts_as_lost_connections() -> "Iterator[None]":
    """Dramatiq retries what a lost connection interrupted; it takes redis-py's time-outs for a bug of its own."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ConnectionClosed(error) from None
