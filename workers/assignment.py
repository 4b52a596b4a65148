"""What a bridge knows of one partition while it is assigned to it."""

import uuid
from collections.abc import Iterator
from typing import Any

from confluent_kafka import OFFSET_INVALID, TopicPartition

from workers.batching import Collector
from workers.policies import Source
from workers.starts import Start
from workers.watermark import Batch, PartitionBatches


class Assignment:
    """One partition from one assignment or rewind to the next.

    The id is fresh each time, so that completions of earlier jobs can never be taken for these.
    """

    def __init__(self, topic: str, partition: int, source: Source, *, kept_in_store: bool = False) -> None:
        """``kept_in_store``: whether its watermark is kept beside the rows, too, and there first."""
        self._kept_in_store = kept_in_store
        self.id = uuid.uuid4().hex
        self.topic, self.partition, self.source = topic, partition, source
        #: Applies a batch in the bridge itself.
        self.apply = source.begin()
        self.collector = Collector(source.version_of)
        self.batches = PartitionBatches()
        #: None until it is known where to start; nothing is read before.
        self.start: Start | None = None
        #: What Kafka and the store were last known to have as this partition's watermark.
        self.committed: int | None = None
        self.stored: int | None = None
        #: How often the store was told, as far as is known; 0: nothing is known.
        self.advances = 0
        #: Since when (monotonic seconds) something took effect after the store was last told; None: nothing did.
        self.unsaved_since: float | None = None
        #: Offset that reading must go to before anything counts; None once it is there.
        self.seek_to: int | None = None
        #: Nothing of it counts any more.
        self.abandoned = False
        self._first_offset = self._next_offset = 0

    def begin(self, start: Start) -> None:
        """Set where it starts."""
        self.start, self.stored = start, start.stored
        self.batches = PartitionBatches(start.known_offset)
        self._first_offset = self._next_offset = start.known_offset or 0

    def is_before(self, offset: int) -> bool:
        """Whether a record lies before the place where reading began: its topic is another one of the same name."""
        return self.start is not None and self.seek_to is None and offset < self._first_offset

    @property
    def position(self) -> int | None:
        """The next offset to read, 0 for the earliest; None while it is not known where."""
        if self.start is None:
            return None
        return self._next_offset if self.seek_to is None else max(self.seek_to, 0)

    def add(self, offset: int, key: bytes | None, value: bytes | None, now: float) -> Batch | None:
        """Add a record; returns the batch before it when the record does not fit in."""
        if self.start is None or self.seek_to is not None or offset < self._next_offset:
            return None
        self._next_offset = offset + 1
        return self.collector.add(offset, key, value, now)

    def unfinished(self) -> Iterator[Batch]:
        """Batches that are not done, oldest first."""
        return (batch for batch in self.batches if not batch.done)

    @property
    def to_commit(self) -> int | None:
        """The watermark, as far as the store has it and nothing below is owed; None: there is none, or Kafka has it."""
        watermark, owed_from = self.batches.watermark, self.source.owed_from(self.apply)
        if watermark is not None and owed_from is not None:
            watermark = min(watermark, owed_from)
        if self._kept_in_store and watermark is not None:
            watermark = None if self.stored is None else min(watermark, self.stored)
        return None if watermark == self.committed else watermark

    def at(self, offset: int = OFFSET_INVALID) -> TopicPartition:
        """This partition in Kafka's terms, at ``offset`` if one is given."""
        return TopicPartition(self.topic, self.partition, offset)

    @property
    def where(self) -> dict[str, Any]:
        """This partition in a log line's terms."""
        return {"topic": self.topic, "partition": self.partition}
