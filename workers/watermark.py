"""Which batches of a partition are done, what may be committed, what is overdue. Pure: time is handed in.

The watermark is ``last + 1`` of the longest done prefix of batches, in the order they were read. Order is that of
reading, not ``last + 1 == next.first``: control records and compaction leave holes in the offsets.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

#: After so many lapses the bridge applies a batch itself.
MAX_LAPSES: Final = 2


class Row(NamedTuple):
    """One Kafka record on its way: its offset, its value as text, its key as received."""

    offset: int
    text: str
    key: bytes | None = None


class Letter(NamedTuple):
    """One Kafka record that can never take effect, and why."""

    offset: int
    key: bytes | None
    value: bytes | None
    reason: str


@dataclass(eq=False, slots=True)
class Batch:
    """Records of one partition, from offset ``first`` to ``last``, that take effect together."""

    first: int
    last: int
    rows: list[Row]
    #: What the bridge found unreadable itself; what workers refuse is added.
    letters: list[Letter] = field(default_factory=list)
    #: How many records were read for it, those left out for newer versions included.
    records: int = 0
    #: When the current lease began (monotonic seconds); None before the first attempt to send it.
    sent_at: float | None = None
    #: Whether a job for the current lease is in the queue.
    enqueued: bool = False
    lapses: int = 0
    #: Whether its rows took effect; it is done once its letters are safe, too.
    applied: bool = False
    done: bool = False

    @property
    def was_dispatched(self) -> bool:
        """Whether it was sent, or given to the bridge itself to be applied, at least once."""
        return self.sent_at is not None or self.lapses > 0


class PartitionBatches:
    """The batches of one partition that count towards its watermark, in the order they were read."""

    def __init__(self, start: int | None = None) -> None:
        """``start``: the offset that reading starts at, None if only "the earliest" is known."""
        self._batches: deque[Batch] = deque()
        self._watermark = start

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def watermark(self) -> int | None:
        """The offset below which everything took effect, None if nothing is known yet."""
        return self._watermark

    def add(self, batch: Batch) -> None:
        """Append the batch that was read last.

        Raises:
            ValueError: If it does not lie above the batch before it.
        """
        if batch.first > batch.last or (self._batches and batch.first <= self._batches[-1].last):
            raise ValueError(f"batch {batch.first} to {batch.last} does not follow the one before it")
        self._batches.append(batch)

    def find(self, first: int, last: int) -> Batch | None:
        """The batch with exactly these bounds; a completion of anything else proves nothing."""
        return next((batch for batch in self._batches if batch.first == first and batch.last == last), None)

    def mark_done(self, batch: Batch) -> None:
        """Note that a batch took effect, and move the watermark over the done prefix."""
        batch.done = True
        while self._batches and self._batches[0].done:
            self._watermark = self._batches.popleft().last + 1


class Leases:
    """Decides when a batch is sent again, and whether the workers are there at all; one per bridge.

    A job may be lost anywhere on its way without a trace. A batch is overdue when it was sent a lease ago *and* no
    worker completed anything for a lease (a mere backlog moves on, so it is not sent again), or when a batch sent a
    lease later is done, since the queue is first in, first out.
    """

    def __init__(self, lease_seconds: float) -> None:
        """``lease_seconds``: how long a batch may take, and how long the workers may be silent."""
        self._lease_seconds = lease_seconds
        self._last_completion_at = float("-inf")
        self._newest_done_sent_at = float("-inf")
        self._queue_dead = False
        self._probed_at = float("-inf")

    @property
    def queue_dead(self) -> bool:
        """Whether nothing came back for two leases: sending batches through the queue only delays them."""
        return self._queue_dead

    def begin(self, batch: Batch, now: float) -> None:
        """A lease begins with the first attempt to enqueue, whether or not the attempt succeeds."""
        batch.sent_at, batch.enqueued = now, False

    def completed(self, batch: Batch | None, now: float) -> None:
        """A worker completed ``batch``, or (None) one that is no longer known: either way, workers are there."""
        self._last_completion_at = now
        self._queue_dead = False
        if batch is not None and batch.sent_at is not None:
            self._newest_done_sent_at = max(self._newest_done_sent_at, batch.sent_at)

    def lapse(self, batches: Iterable[Batch], now: float) -> list[Batch]:
        """Count a lapse for every batch that is overdue, and return them."""
        overdue = [batch for batch in batches if self._is_overdue(batch, now)]
        for batch in overdue:
            batch.lapses += 1
        silent_for = now - self._last_completion_at
        if silent_for >= MAX_LAPSES * self._lease_seconds and any(batch.lapses >= MAX_LAPSES for batch in overdue):
            self._queue_dead = True
        return overdue

    def probe_is_due(self, now: float) -> bool:
        """While the queue is dead, once per lease: enqueue one batch although the bridge applies it itself.

        Its completion is how the bridge learns that workers are back.
        """
        if not self._queue_dead or now - self._probed_at < self._lease_seconds:
            return False
        self._probed_at = now
        return True

    def _is_overdue(self, batch: Batch, now: float) -> bool:
        if batch.done or batch.applied or batch.sent_at is None or batch.lapses >= MAX_LAPSES:
            return False
        if batch.sent_at + self._lease_seconds <= self._newest_done_sent_at:
            return True
        return now - max(batch.sent_at, self._last_completion_at) >= self._lease_seconds
