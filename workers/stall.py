"""Noticing a consumer that gets nothing any more while Kafka holds more for it.

librdkafka has states in which a partition is assigned, its broker answers, and no record ever comes; no error is
raised. Only somebody who asks Kafka how far a partition goes can tell that from a market that is quiet.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Final

from workers.kafka_view import Bounds, KafkaView, Place

#: Between an answer of Kafka's and the next question.
LOOK_SECONDS: Final = 2.0
#: So many looks in a row must find a partition where it was; more than one, because the process itself may have been
#: stopped for long. Where other partitions move this one may just be waiting for its turn.
LOOKS: Final = 4
LOOKS_AMONG_MOVING: Final = 30
#: A fresh consumer that gets nothing either is not replaced as soon: so many times, doubled each time.
MOST_PATIENCE: Final = 32


@dataclass
class Stall:
    """Compares how far reading is with how far Kafka goes, one look after the other."""

    #: Offset at which a partition stands although there is more, and in how many looks it stood there.
    _standing: dict[Place, tuple[int, int]] = field(default_factory=dict)
    _looks_without_a_move: int = 0
    _positions: Mapping[Place, int] = field(default_factory=dict)
    _patience: int = 1
    #: Where the consumer before this one stood.
    _replaced_at: dict[Place, int] = field(default_factory=dict)

    def look(self, positions: Mapping[Place, int], bounds: Bounds) -> list[Place]:
        """Take one look, and return the partitions that are stalled.

        Args:
            positions: The next offset to read, of each partition that is being read.
            bounds: The first offset and the end of partitions, asked for before the positions were taken.
        """
        has_moved = any(self._positions.get(place, offset) < offset for place, offset in positions.items())
        self._looks_without_a_move = 0 if has_moved else self._looks_without_a_move + 1
        self._positions = dict(positions)
        if any(positions.get(place, offset) > offset for place, offset in self._replaced_at.items()):
            self._patience, self._replaced_at = 1, {}
        standing = {}
        for place, offset in positions.items():
            first, end = bounds.get(place, (0, 0))
            if max(first, offset) < end:
                before, looks = self._standing.get(place, (offset, 0))
                standing[place] = (offset, looks + 1 if before == offset else 1)
        self._standing = standing
        return [place for place, (_, looks) in standing.items() if looks >= self._needed()]

    def replaced(self) -> None:
        """The consumer is a fresh one: it is given time, and longer if the last one was replaced at the same place."""
        self._replaced_at = {place: offset for place, (offset, _) in self._standing.items()}
        self._patience = min(2 * self._patience, MOST_PATIENCE)
        self.forget()

    def forget(self) -> None:
        """Nothing is known of the time since the last look."""
        self._standing, self._positions, self._looks_without_a_move = {}, {}, 0

    def _needed(self) -> int:
        nothing_moves = self._looks_without_a_move >= LOOKS * self._patience
        return (LOOKS if nothing_moves else LOOKS_AMONG_MOVING) * self._patience


class StallWatch:
    """Asks Kafka every few seconds, beside the main loop, and judges the answers."""

    def __init__(self, kafka_brokers: str, background: Executor, monotonic: Callable[[], float]) -> None:
        """``background`` waits for Kafka's answers; ``monotonic`` gives seconds."""
        self._kafka_brokers, self._background, self._monotonic = kafka_brokers, background, monotonic
        self._stall = Stall()
        self._kafka: KafkaView | None = None
        self._asking: Future[Bounds | None] | None = None
        self._due_at = monotonic() + LOOK_SECONDS

    def stalled(self, positions: Mapping[Place, int]) -> list[Place]:
        """The partitions that get nothing although Kafka holds more; called often, never waits.

        Args:
            positions: The next offset to read, of each partition that is being read now.
        """
        if not positions:
            self._stall.forget()
            return []
        if self._asking is None:
            if self._monotonic() >= self._due_at:
                self._asking = self._background.submit(self._ask, frozenset(positions))
            return []
        if not self._asking.done():
            return []
        asking, self._asking = self._asking, None
        self._due_at = self._monotonic() + LOOK_SECONDS
        bounds = asking.result()
        if bounds is None:
            self._stall.forget()  # Kafka is away: no wonder that nothing comes
            return []
        return self._stall.look(positions, bounds)

    def replaced(self) -> None:
        """The consumer is a fresh one."""
        self._due_at = self._monotonic() + LOOK_SECONDS
        self._stall.replaced()

    def _ask(self, places: Collection[Place]) -> Bounds | None:
        kafka = self._kafka or KafkaView(self._kafka_brokers, valid_seconds=0.0)
        kafka.ask(places)
        # One that got no answer may be in the same trouble as the consumer.
        self._kafka = kafka if kafka.bounds is not None else None
        return kafka.bounds
